"use strict";
// The pages work without this: it plays videos in place, keeps spoilers open after a tap, and marks the message a link led to.
document.addEventListener("click", function (event) {
  var spoiler = event.target.closest(".spoiler");
  if (spoiler) {
    spoiler.classList.toggle("shown");
    return;
  }
  var clip = event.target.closest("a.video_file_wrap, a.animated_wrap");
  if (clip && clip.dataset.play) {
    event.preventDefault();
    var player = document.createElement("video");
    player.src = clip.getAttribute("href");
    player.controls = true;
    player.autoplay = true;
    player.loop = clip.classList.contains("animated_wrap");
    player.className = "video_file";
    clip.replaceWith(player);
    player.focus();
    return;
  }
});
function mark() {
  document.querySelectorAll(".body.selected").forEach(function (old) { old.classList.remove("selected"); });
  var found = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (found) {
    found.classList.add("selected");
    found.scrollIntoView({ block: "center" });
  }
}
window.addEventListener("hashchange", mark);
document.addEventListener("DOMContentLoaded", mark);
