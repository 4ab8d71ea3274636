//! The little of HTML that machine-written exports use: elements, attributes, texts, with their place in the page.
//!
//! No general parser gives the bytes that an element came from, and these are what an import has to keep. Nothing here fails.
//!
//! Pages are not always well-formed: versions 4.15 to 5.8 left a table open in each message with buttons, 1.7 wrote initials and
//! others still write buttons without escaping `<`. So the reader is told where the elements begin that it is read for, and none of
//! them ever lies in another, whatever is open or broken before it.

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
            let Some(value) = after.trim_start().strip_prefix('=') else {
                rest = after;
                continue;
            };
            let value = value.trim_start();
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

    /// Whether it has an attribute, whatever its value.
    pub fn has_attribute(&self, name: &str) -> bool {
        self.attributes.split_whitespace().any(|one| one.split('=').next().is_some_and(|key| key.eq_ignore_ascii_case(name)))
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

    /// Whether this is its name: HTML does not care for case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// All its text, `<br>` as a line break, white space at both ends left out.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.add_text(false, &mut out);
        out.trim().to_owned()
    }

    /// Appends all its text. A line break in the page is the page's, and counts as a space, unless the text `is_kept` as it is.
    pub fn add_text(&self, is_kept: bool, out: &mut String) {
        let is_kept = is_kept || self.is("pre");
        for (node, next) in self.nodes() {
            match node {
                Node::Text(text) if is_kept => out.push_str(&decode(text)),
                Node::Text(text) => out.push_str(&flowing(text, out.chars().next_back(), next)),
                Node::Element(element) if element.is("br") => out.push('\n'),
                Node::Element(element) => element.add_text(is_kept, out),
            }
        }
    }

    /// What is in it, each with what follows.
    pub fn nodes(&self) -> impl Iterator<Item = (&Node<'a>, Option<&Node<'a>>)> {
        self.children.iter().enumerate().map(|(index, node)| (node, self.children.get(index + 1)))
    }

    /// The text directly in it, not that of its elements.
    pub fn own_text(&self) -> String {
        let mut out = String::new();
        for (node, next) in self.nodes() {
            if let Node::Text(text) = node {
                out.push_str(&flowing(text, out.chars().next_back(), next));
            }
        }
        out.trim().to_owned()
    }

    /// The elements that begin at one of `starts`, which ascend, in the order of the page.
    pub fn beginning_at<'e>(&'e self, starts: &[usize], found: &mut Vec<&'e Element<'a>>) {
        if starts.binary_search(&self.start).is_ok() && !self.name.is_empty() {
            found.push(self);
            return;
        }
        for element in self.elements() {
            element.beginning_at(starts, found);
        }
    }
}

/// A text whose line breaks, with the white space around them, are the page's: editors indent pages in their own way. `before` is the
/// last character in front of it, `next` what follows.
pub fn flowing(text: &str, before: Option<char>, next: Option<&Node<'_>>) -> String {
    let is_break = |node: &Node<'_>| matches!(node, Node::Element(element) if element.is("br"));
    let (mut out, mut rest) = (String::new(), text);
    while let Some((line, after)) = rest.split_once('\n') {
        out.push_str(&decode(line.trim_end_matches([' ', '\t', '\r'])));
        rest = after.trim_start_matches([' ', '\t', '\r', '\n']);
        // Beside a `<br>`, and where a text begins, it is nothing at all.
        let at_end = rest.is_empty() && next.is_some_and(is_break);
        if !at_end && out.chars().next_back().or(before).is_some_and(|before| !matches!(before, '\n' | ' ')) {
            out.push(' ');
        }
    }
    out.push_str(&decode(rest));
    out
}

/// Reads a page; the result is an element without a name that holds everything. `starts`, which ascend, are the bytes at which tags of
/// elements begin that never lie in each other.
pub fn parse<'a>(page: &'a str, starts: &[usize]) -> Element<'a> {
    let element = |name, attributes, start| Element { name, attributes, start, end: page.len(), children: Vec::new() };
    let mut open = vec![element("", "", 0)];
    let mut depth = None;
    let mut starts = starts.iter().copied().peekable();
    let mut at = 0;
    // Where the next closing tag behind some element of code is: looked for once, however many such elements come before it.
    let mut closing: Option<usize> = None;
    while at < page.len() {
        let next = starts.peek().copied().unwrap_or(page.len());
        if at == next {
            starts.next();
            let depth = *depth.get_or_insert(open.len().min(MAX_DEPTH / 2));
            while open.len() > depth {
                close_last(&mut open, at);
            }
        }
        // No tag reaches over the place where such an element begins.
        let limit = if at == next { starts.peek().copied().unwrap_or(page.len()) } else { next };
        let rest = page.get(at..limit).unwrap_or_default();
        let Some(tag) = Tag::at(rest) else {
            let after = memchr::memchr(b'<', rest.as_bytes().get(1..).unwrap_or_default()).map_or(rest.len(), |found| found + 1);
            // An index behind a byte that is no letter is no place to cut a text at; that of a `<` is.
            add(&mut open, Node::Text(rest.get(..after).unwrap_or_default()));
            at += after.max(1);
            continue;
        };
        let start = at;
        at += tag.len();
        match tag {
            Tag::Nothing(_) => {}
            Tag::Close(name, _) => close(&mut open, name, at),
            Tag::Open(inner, _) => {
                let (name, attributes) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
                let mut new = element(name, attributes, start);
                let is_void = ["br", "img", "meta", "link", "hr", "input", "source"].into_iter().any(|void| new.is(void));
                if is_void || open.len() >= MAX_DEPTH {
                    new.end = at;
                    add(&mut open, Node::Element(new));
                    continue;
                }
                if new.is("script") || new.is("style") {
                    if closing.is_none_or(|closing| closing < at) {
                        closing = Some(page.get(at..).and_then(|rest| rest.find("</")).map_or(page.len(), |found| at + found));
                    }
                    let end = closing.unwrap_or(page.len());
                    let closed = page.get(end + 2..).and_then(|rest| rest.get(..name.len()));
                    if !closed.is_some_and(|closed| new.is(closed)) {
                        // Nobody wrote it as code: it is a word of a text, which would be lost behind it.
                        add(&mut open, Node::Text(page.get(start..at).unwrap_or_default()));
                        continue;
                    }
                    // What code holds is no element, whatever it looks like.
                    while starts.next_if(|start| *start < end).is_some() {}
                    at = end;
                }
                open.push(new);
            }
        }
    }
    while open.len() > 1 {
        close_last(&mut open, page.len());
    }
    open.pop().unwrap_or_else(|| element("", "", 0))
}

/// A tag, with its length in bytes.
enum Tag<'a> {
    /// What is between `<` and `>` of one that opens an element.
    Open(&'a str, usize),
    /// The name of the element that one closes.
    Close(&'a str, usize),
    /// A comment, or a declaration.
    Nothing(usize),
}

impl<'a> Tag<'a> {
    /// The tag at the beginning of `text`; `None` where a text begins. A `<` before anything but a name is text, and so is one of a tag
    /// without end: nobody wrote that as a tag.
    fn at(text: &'a str) -> Option<Self> {
        let inner = text.strip_prefix('<')?;
        if let Some(comment) = inner.strip_prefix("!--") {
            return Some(Self::Nothing(4 + comment.find("-->")? + 3));
        }
        let len = tag_end(text)?;
        let inner = inner.get(..len - 2)?;
        match inner.chars().next()? {
            '!' | '?' if inner.get(1..)?.starts_with(|c: char| c.is_ascii_alphabetic()) => Some(Self::Nothing(len)),
            '/' if inner.get(1..)?.starts_with(|c: char| c.is_ascii_alphabetic()) => Some(Self::Close(inner.get(1..)?.trim(), len)),
            c if c.is_ascii_alphabetic() => Some(Self::Open(inner.trim_end_matches('/'), len)),
            _ => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Open(_, len) | Self::Close(_, len) | Self::Nothing(len) => *len,
        }
    }
}

/// The index after the `>` that ends a tag; values in quotes may hold one. `None` where another tag begins before.
fn tag_end(tag: &str) -> Option<usize> {
    let (mut quote, mut is_value) = (None, false);
    for (at, byte) in tag.bytes().enumerate().skip(1) {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'<') => return None,
            (None, b'"' | b'\'') if is_value => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
        is_value = byte == b'=' || is_value && byte.is_ascii_whitespace();
    }
    None
}

/// Whether a tag that begins with this text ends in it.
pub fn closes_before(tag: &str) -> bool {
    tag_end(tag).is_some()
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
        let dom = parse(page, &[]);
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
        let deep = "<div>".repeat(100_000);
        assert_eq!(parse(&deep, &[]).text(), "");
        for page in ["<", "</", "<a", "<a b=\"", "</div></p>", "<!--", "<script>", "<a =x>", "&", "&#99999999;", "<a b c= >"] {
            let dom = parse(page, &[]);
            let _ = (dom.text(), dom.find("x").is_some());
        }
    }

    #[test]
    fn code_that_is_not_closed_is_a_word_of_a_text() {
        let text = |page| parse(page, &[]).text();
        assert_eq!(text("<p>run <script>alert here</p><p>next</p>"), text("<p>run &lt;script&gt;alert here</p><p>next</p>"));
        assert_eq!(text("<p>a <STYLE b=c>d <b>e</b></p>"), text("<p>a &lt;STYLE b=c&gt;d <b>e</b></p>"));
        assert_eq!(text("<p>run <script"), "run <script");
        assert_eq!(text("<p>a<script src=x>if (a < b) c()</SCRIPT>b<style>p { }</style>c</p>"), "abc");
        // Not even up to the next message.
        let page = "<p><div id=1>one <script></div><div id=2>two</script></div></p>";
        let starts = [3, page.find("<div id=2>").unwrap()];
        let dom = parse(page, &starts);
        let mut found = Vec::new();
        dom.beginning_at(&starts, &mut found);
        assert_eq!(found.iter().map(|message| message.text()).collect::<Vec<_>>(), ["one <script>", "two"]);
    }

    #[test]
    fn elements_that_are_read_for_never_lie_in_each_other() {
        for before in ["", "<b>", "<!--", "<a x=\"", "<<", "<?", "<B\n", "<a\"", "</div></div></p>", &"<i>".repeat(500)] {
            let page = format!("<p><div id=1>{before}<div id=2>two</div></p>");
            let start = page.find("<div id=2>").unwrap();
            let starts = [3, start];
            let dom = parse(&page, &starts);
            let mut found = Vec::new();
            dom.beginning_at(&starts, &mut found);
            assert_eq!(found.len(), 2, "{before}");
            assert_eq!((found[0].start, found[1].start, found[1].end), (3, start, start + 19), "{before}");
            assert_eq!(found[1].text(), "two");
        }
    }

    #[test]
    fn a_page_may_be_indented_in_any_way() {
        let dom = parse("<p>\n   one  two<br>\n   three\n   <b>\n  four</b>,\n<pre>a\n b</pre></p>", &[]);
        assert_eq!(dom.text(), "one  two\nthree four, a\n b");
        let dom = parse("<p id = 'x'  class\n=\n\"a b\">3 < 4 &lt; 5</p>", &[]);
        let p = dom.find("b").unwrap();
        assert_eq!((p.attribute("id").as_deref(), p.text().as_str()), (Some("x"), "3 < 4 < 5"));
    }

    proptest::proptest! {
        #[test]
        fn any_page_is_read(page in "[<>/a-c=\"' &;!é-]{0,60}") {
            let dom = parse(&page, &[]);
            for element in dom.elements() {
                proptest::prop_assert!(page.get(element.start..element.end).is_some());
                let _ = (element.attribute("a"), element.has_class("b"), element.text());
            }
        }
    }
}
