//! A rich message of a page: its text, and the files in it.

use super::dom::{Element, Node, flowing};
use crate::source::desktop::parts::Parts;

/// The text of the element that holds a rich message.
pub fn text_of(element: &Element<'_>) -> Parts {
    let mut parts = Parts::default();
    inside(element, &mut parts, 0, false);
    parts.trim();
    parts
}

fn inside(element: &Element<'_>, parts: &mut Parts, lists: usize, is_kept: bool) {
    let mut number = 0;
    let is_ordered = element.is("ol");
    let mut cells = 0;
    for (node, next) in element.nodes() {
        let child = match node {
            Node::Text(text) if is_kept => {
                parts.push(text);
                continue;
            }
            Node::Text(text) => {
                let text = flowing(text, parts.last(), next);
                parts.push(if parts.last().is_some_and(|last| last == ' ') { text.trim_start() } else { &text });
                continue;
            }
            Node::Element(child) => child,
        };
        let name = child.name.to_ascii_lowercase();
        let style = |parts: &mut Parts, kind, more| {
            let began = parts.begin(kind, more);
            inside(child, parts, lists, is_kept || child.is("pre"));
            parts.end(began);
        };
        match name.as_str() {
            "br" => parts.push("\n"),
            "script" | "style" | "img" | "hr" | "input" | "source" => {}
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "summary" | "caption" => {
                parts.begin_line();
                style(parts, "bold", Vec::new());
                parts.begin_line();
            }
            "ul" | "ol" => inside(child, parts, lists + 1, is_kept),
            "li" => {
                number += 1;
                parts.begin_line();
                parts.push(&"  ".repeat(lists.saturating_sub(1)));
                parts.push(&match tick(child) {
                    Some(true) => "☑ ".to_owned(),
                    Some(false) => "☐ ".to_owned(),
                    None if is_ordered => {
                        format!("{}. ", child.attribute("value").map_or_else(|| number.to_string(), |value| value.into_owned()))
                    }
                    None => "• ".to_owned(),
                });
                parts.stay_on_line();
                inside(child, parts, lists, is_kept);
            }
            "td" | "th" => {
                if cells > 0 {
                    parts.push(" | ");
                }
                cells += 1;
                style(parts, if child.is("th") { "bold" } else { "" }, Vec::new());
            }
            "p" | "div" | "figure" | "figcaption" | "tr" | "table" | "details" | "section" => {
                parts.begin_line();
                inside(child, parts, lists, is_kept);
                parts.begin_line();
            }
            "pre" => {
                parts.begin_line();
                style(parts, "pre", vec![("language", String::new())]);
                parts.begin_line();
            }
            "blockquote" => {
                parts.begin_line();
                style(parts, "blockquote", Vec::new());
                parts.begin_line();
            }
            "a" => {
                let href = child.attribute("href").unwrap_or_default().into_owned();
                let is_link = href.contains(':');
                style(parts, if is_link { "text_link" } else { "" }, if is_link { vec![("href", href)] } else { Vec::new() });
            }
            "strong" | "b" => style(parts, "bold", Vec::new()),
            "em" | "i" => style(parts, "italic", Vec::new()),
            "u" => style(parts, "underline", Vec::new()),
            "s" | "del" => style(parts, "strikethrough", Vec::new()),
            "code" => style(parts, "code", Vec::new()),
            _ if child.has_class("spoiler") => style(parts, "spoiler", Vec::new()),
            _ => style(parts, "", Vec::new()),
        }
    }
}

/// Whether a list's item is ticked; `None` for one that cannot be.
fn tick(item: &Element<'_>) -> Option<bool> {
    let find = |element: &Element<'_>| element.is("input") && element.attribute("type").as_deref() == Some("checkbox");
    let boxed =
        item.elements().find(|child| find(child)).or_else(|| item.elements().find_map(|child| child.elements().find(|child| find(child))));
    match boxed {
        Some(boxed) => Some(boxed.has_attribute("checked")),
        None if item.has_class("checked") => Some(true),
        None if item.has_class("unchecked") => Some(false),
        None => None,
    }
}

/// The files that the page shows in it, as they are linked: the whole picture where it links to that.
pub fn files<'e>(element: &'e Element<'_>, found: &mut Vec<std::borrow::Cow<'e, str>>) {
    for child in element.elements() {
        let link = child.attribute("href").filter(|_| child.is("a")).or_else(|| child.attribute("src"));
        let local = link.filter(|link| !link.is_empty() && !link.starts_with('#') && !link.contains(':'));
        match local {
            Some(link) => found.push(link),
            None => files(child, found),
        }
    }
}
