//! The little of HTML that machine-written exports use: elements, attributes, texts, with their place in the page.
//!
//! No general parser gives the bytes that an element came from, and these are what an import has to keep. Pages that are not
//! well-formed are read as far as they go; nothing here fails.

use std::borrow::Cow;

/// How deep elements may lie in each other; what is deeper is put into the element at that depth.
const MAX_DEPTH: usize = 128;

/// An element.
#[derive(Debug)]
pub struct Element<'a> {
    /// Its name, as written.
    pub name: &'a str,
    attributes: &'a str,
    /// Its first byte in the page.
    pub start: usize,
    /// The byte after it.
    pub end: usize,
    /// What is in it.
    pub children: Vec<Node<'a>>,
}

/// An element or a text.
#[derive(Debug)]
pub enum Node<'a> {
    /// An element.
    Element(Element<'a>),
    /// A text as it is written in the page.
    Text(&'a str),
}

impl<'a> Element<'a> {
    /// An attribute's value.
    pub fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.attributes;
        loop {
            rest = rest.trim_start();
            let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
            let (key, after) = rest.split_at_checked(end)?;
            if key.is_empty() && after.is_empty() {
                return None;
            }
            let Some(value) = after.strip_prefix('=') else {
                rest = after;
                continue;
            };
            let (value, more) = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let inner = value.get(1..)?;
                    inner.split_once(quote).unwrap_or((inner, ""))
                }
                _ => value.split_once(char::is_whitespace).unwrap_or((value, "")),
            };
            if key.eq_ignore_ascii_case(name) {
                return Some(decode(value));
            }
            rest = more;
        }
    }

    /// Whether `class` is one of its classes.
    pub fn has_class(&self, class: &str) -> bool {
        self.attribute("class").is_some_and(|classes| classes.split_whitespace().any(|one| one == class))
    }

    /// The elements directly in it.
    pub fn elements(&self) -> impl Iterator<Item = &Element<'a>> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first element with this class, itself included, in the order of the page.
    pub fn find(&self, class: &str) -> Option<&Element<'a>> {
        if self.has_class(class) {
            return Some(self);
        }
        self.elements().find_map(|element| element.find(class))
    }

    /// All elements with this class, itself included, outermost only.
    pub fn find_all<'e>(&'e self, class: &str, found: &mut Vec<&'e Element<'a>>) {
        if self.has_class(class) {
            found.push(self);
            return;
        }
        for element in self.elements() {
            element.find_all(class, found);
        }
    }

    /// All its text, `<br>` as a line break, white space at both ends left out.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.add_text(&mut out);
        out.trim().to_owned()
    }

    fn add_text(&self, out: &mut String) {
        for node in &self.children {
            match node {
                Node::Text(text) => out.push_str(&decode(text)),
                Node::Element(element) if element.name == "br" => out.push('\n'),
                Node::Element(element) => element.add_text(out),
            }
        }
    }

    /// The text directly in it, not that of its elements.
    pub fn own_text(&self) -> String {
        let texts = self.children.iter().filter_map(|node| match node {
            Node::Text(text) => Some(decode(text)),
            Node::Element(_) => None,
        });
        texts.collect::<String>().trim().to_owned()
    }
}

/// Reads a page; the result is an element without a name that holds everything.
pub fn parse(page: &str) -> Element<'_> {
    let element = |name, attributes, start| Element { name, attributes, start, end: page.len(), children: Vec::new() };
    let mut open = vec![element("", "", 0)];
    let mut at = 0;
    while let Some(rest) = page.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(tag_at) = memchr::memchr(b'<', rest.as_bytes()) else {
            add(&mut open, Node::Text(rest));
            break;
        };
        if tag_at > 0 {
            add(&mut open, Node::Text(rest.get(..tag_at).unwrap_or_default()));
        }
        let start = at + tag_at;
        let tag = page.get(start..).unwrap_or_default();
        if let Some(comment) = tag.strip_prefix("<!--") {
            at = start + 4 + comment.find("-->").map_or(comment.len(), |end| end + 3);
            continue;
        }
        let end = tag_end(tag);
        at = start + end;
        let inner = tag.get(1..end).unwrap_or_default().trim_end_matches('>');
        if inner.starts_with(['!', '?']) {
            continue;
        }
        if let Some(name) = inner.strip_prefix('/') {
            close(&mut open, name.trim(), at);
            continue;
        }
        let inner = inner.trim_end_matches('/');
        let (name, attributes) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
        let mut new = element(name, attributes, start);
        let is_void = matches!(name, "br" | "img" | "meta" | "link" | "hr" | "input" | "source");
        if is_void || open.len() >= MAX_DEPTH {
            new.end = at;
            add(&mut open, Node::Element(new));
            continue;
        }
        open.push(new);
        if matches!(name, "script" | "style") {
            let body = page.get(at..).unwrap_or_default();
            at += body.find("</").unwrap_or(body.len());
        }
    }
    while open.len() > 1 {
        close_last(&mut open, page.len());
    }
    open.pop().unwrap_or_else(|| element("", "", 0))
}

/// The index after the `>` that ends a tag; quoted values may hold one.
fn tag_end(tag: &str) -> usize {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    tag.len()
}

fn add<'a>(open: &mut [Element<'a>], node: Node<'a>) {
    if let Some(last) = open.last_mut() {
        last.children.push(node);
    }
}

/// Closes the innermost open element of this name and all within it; a tag that closes nothing is ignored.
fn close(open: &mut Vec<Element<'_>>, name: &str, end: usize) {
    let Some(index) = open.iter().rposition(|element| element.name.eq_ignore_ascii_case(name)).filter(|&index| index > 0) else {
        return;
    };
    while open.len() > index {
        close_last(open, end);
    }
}

fn close_last(open: &mut Vec<Element<'_>>, end: usize) {
    if let Some(mut last) = open.pop() {
        last.end = end;
        add(open, Node::Element(last));
    }
}

/// A text with its character references resolved.
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at..).unwrap_or_default();
        let end = rest.bytes().take(12).position(|byte| byte == b';');
        let resolved = end.and_then(|end| Some((reference(rest.get(1..end)?)?, end + 1)));
        let (character, len) = resolved.unwrap_or(('&', 1));
        out.push(character);
        rest = rest.get(len..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn reference(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{A0}',
        "laquo" => '«',
        "raquo" => '»',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_know_where_they_stand() {
        let page = "<!DOCTYPE html><p>x<!-- <div> --><div class='a b' id=\"i&amp;>\" data-x=1 on>t<br>u &lt;&#39;&#x41;&zzz;</div></p>";
        let dom = parse(page);
        let div = dom.find("b").unwrap();
        assert_eq!(&page[div.start..div.end], r#"<div class='a b' id="i&amp;>" data-x=1 on>t<br>u &lt;&#39;&#x41;&zzz;</div>"#);
        assert_eq!(div.text(), "t\nu <'A&zzz;");
        assert_eq!(div.attribute("id").as_deref(), Some("i&>"));
        assert_eq!(div.attribute("data-x").as_deref(), Some("1"));
        assert_eq!(div.attribute("none"), None);
        assert_eq!(dom.elements().next().unwrap().own_text(), "x");
    }

    #[test]
    fn deep_or_broken_pages_end() {
        let deep = parse(&"<div>".repeat(100_000)).text();
        assert_eq!(deep, "");
        for page in ["<", "</", "<a", "<a b=\"", "</div></p>", "<!--", "<script>", "<a =x>", "&", "&#99999999;", "<a b c= >"] {
            let dom = parse(page);
            let _ = (dom.text(), dom.find("x").is_some());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_page_is_read(page in "[<>/a-c=\"' &;!é-]{0,60}") {
            let dom = parse(&page);
            for element in dom.elements() {
                proptest::prop_assert!(page.get(element.start..element.end).is_some());
                let _ = (element.attribute("a"), element.has_class("b"), element.text());
            }
        }
    }
}
