"use strict";
// The pages work without this: it plays videos in place, keeps spoilers open after a tap, marks the message a link led to, quotes
// what a reply answers, names the tab, and adds a filter, a jump by month and a view of media only.
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
function make(tag, className, text) {
  var made = document.createElement(tag);
  made.className = className;
  made.textContent = text || "";
  return made;
}
// The title that programs know an export by stays in the file.
function nameTab() {
  var heading = document.querySelector(".page_header .text.bold");
  if (heading) { document.title = heading.textContent.trim(); }
}
// Messages of one page; what stands on another page keeps its link.
function quoteReplies() {
  var longest = 120;
  document.querySelectorAll(".reply_to a[href^='#go_to_message']").forEach(function (link) {
    var target = document.getElementById(link.getAttribute("href").slice(1));
    var quote = link.closest(".reply_to").querySelector("blockquote");
    if (!target || quote) { return; }
    var first = target.closest(".message");
    while (first && first.classList.contains("joined")) { first = first.previousElementSibling; }
    var name = first && first.querySelector(".from_name");
    var text = target.querySelector(":scope > .text");
    var media = target.querySelector(":scope > .media_wrap .title, :scope > .media_wrap img");
    var said = text ? text.textContent.trim() : media ? (media.textContent || media.alt || "Photo").trim() : "";
    var shown = make("blockquote", "reply_quote", said.length > longest ? said.slice(0, longest) + "…" : said);
    if (name) { shown.prepend(make("b", "", name.textContent.trim()), document.createElement("br")); }
    link.closest(".reply_to").append(shown);
  });
}
function addFilter(page) {
  var entries = Array.from(page.querySelectorAll(".entry"));
  if (entries.length < 2) { return; }
  var field = make("input", "filter");
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
function addMonths(bar) {
  var select = make("select", "months");
  select.setAttribute("aria-label", "Jump to a month");
  select.append(new Option("Jump to …", ""));
  var last = "";
  document.querySelectorAll(".message.service[id^='message-'] > .body").forEach(function (line) {
    var month = line.textContent.trim().replace(/^\d+\s+/, "");
    if (month !== last) { select.append(new Option(month, line.parentElement.id)); }
    last = month;
  });
  select.addEventListener("change", function () {
    var line = document.getElementById(select.value);
    if (line) { line.scrollIntoView(); }
  });
  if (select.length > 2) { bar.append(select); }
}
function addGallery(bar) {
  if (!document.querySelector(".photo_wrap, .video_file_wrap")) { return; }
  var toggle = make("button", "gallery_toggle", "Photos and videos");
  toggle.type = "button";
  toggle.setAttribute("aria-pressed", "false");
  toggle.addEventListener("click", function () {
    toggle.setAttribute("aria-pressed", String(document.body.classList.toggle("gallery")));
  });
  bar.append(toggle);
}
document.addEventListener("DOMContentLoaded", function () {
  nameTab();
  quoteReplies();
  var list = document.querySelector(".list_page");
  if (list) { addFilter(list); }
  var chat = document.querySelector(".chat_page");
  if (chat) {
    var bar = make("div", "tools");
    addMonths(bar);
    addGallery(bar);
    if (bar.childElementCount) { chat.prepend(bar); }
  }
  mark();
});
