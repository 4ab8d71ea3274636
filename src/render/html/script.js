"use strict";
// The pages work without this: it plays videos in place, keeps spoilers open after a tap, marks the message a link led to, names the
// tab, and adds a filter to lists.
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
// The title that programs know an export by stays in the file.
function nameTab() {
  var heading = document.querySelector(".page_header .text.bold");
  if (heading) { document.title = heading.textContent.trim(); }
}
function addFilter(page) {
  var entries = Array.from(page.querySelectorAll(".entry"));
  if (entries.length < 2) { return; }
  var field = document.createElement("input");
  field.className = "filter";
  field.type = "search";
  field.placeholder = "Filter by name";
  field.setAttribute("aria-label", "Filter by name");
  field.addEventListener("input", function () {
    var wanted = field.value.trim().toLowerCase();
    entries.forEach(function (entry) {
      var name = entry.querySelector(".name");
      entry.hidden = Boolean(wanted) && !(name && name.textContent.toLowerCase().includes(wanted));
    });
  });
  page.prepend(field);
}
document.addEventListener("DOMContentLoaded", function () {
  nameTab();
  var list = document.querySelector(".list_page");
  if (list) { addFilter(list); }
  mark();
});
