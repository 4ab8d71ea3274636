//! Text, attributes and links of pages. Everything that people wrote goes through here.

use crate::model::json::{self, Shape};

/// Appends text with the characters escaped that mean something in HTML, attributes included.
pub fn text(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'', '\0']) {
        out.push_str(rest.get(..at).unwrap_or_default());
        out.push_str(match rest.as_bytes().get(at) {
            Some(b'&') => "&amp;",
            Some(b'<') => "&lt;",
            Some(b'>') => "&gt;",
            Some(b'"') => "&quot;",
            Some(b'\'') => "&apos;",
            _ => "\u{FFFD}",
        });
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    out.push_str(rest);
}

/// Appends text whose line breaks are kept.
pub fn lines(out: &mut String, lines: &str) {
    for (index, line) in lines.split('\n').enumerate() {
        if index > 0 {
            out.push_str("<br>");
        }
        text(out, line);
    }
}

/// Appends a relative path as the value of `href` or `src`. What would cut it short is escaped, and nothing else: programs that read
/// pages look for the file under the name that stands there, spaces included.
pub fn path(out: &mut String, up: &str, path: &str) {
    out.push_str(up);
    for character in path.chars() {
        match character {
            '%' => out.push_str("%25"),
            '#' => out.push_str("%23"),
            '?' => out.push_str("%3F"),
            '\\' => out.push_str("%5C"),
            _ => {
                let mut buffer = [0u8; 4];
                text(out, character.encode_utf8(&mut buffer));
            }
        }
    }
}

/// Whether a link that somebody sent may be a link of the page: no `javascript:`, `data:`, `file:` and the like.
pub fn is_safe_link(link: &str) -> bool {
    let scheme = link.split(':').next().unwrap_or_default().to_ascii_lowercase();
    link.contains(':') && matches!(scheme.as_str(), "http" | "https" | "tg" | "ton" | "mailto" | "tel" | "ftp" | "magnet")
}

/// The link that a bare address stands for: `example.org` is `http://example.org`.
pub fn bare_link(address: &str) -> String {
    if is_safe_link(address) || address.contains("://") { address.to_owned() } else { format!("http://{address}") }
}

/// Appends a message's text with its entities, from `text_entities` or, in older records, `text`.
pub fn rich(out: &mut String, value: &str) {
    match json::shape(value) {
        Shape::Array => {
            for part in json::elements(value) {
                part_of_text(out, part);
            }
        }
        _ => lines(out, &json::text(value).unwrap_or_default()),
    }
}

fn part_of_text(out: &mut String, part: &str) {
    if json::shape(part) != Shape::Object {
        return lines(out, &json::text(part).unwrap_or_default());
    }
    let body = json::get(part, "text").and_then(json::text).unwrap_or_default();
    let key = |key: &str| json::get(part, key).and_then(json::text).unwrap_or_default();
    let kind = json::get(part, "type").and_then(json::spelling).unwrap_or_default();
    let tag = match kind {
        "bold" => "strong",
        "italic" => "em",
        "code" => "code",
        "pre" => "pre",
        "underline" => "u",
        "strikethrough" => "s",
        "blockquote" => "blockquote",
        _ => "",
    };
    if !tag.is_empty() {
        out.push('<');
        out.push_str(tag);
        out.push('>');
        lines(out, &body);
        out.push_str("</");
        out.push_str(tag);
        out.push('>');
        return;
    }
    let link = match kind {
        "text_link" => key("href").into_owned(),
        "link" => bare_link(&body),
        "email" => format!("mailto:{body}"),
        "phone" => format!("tel:{body}"),
        "mention" => format!("https://t.me/{}", body.trim_start_matches('@')),
        _ => String::new(),
    };
    match kind {
        _ if is_safe_link(&link) => {
            out.push_str("<a href=\"");
            text(out, &link);
            out.push_str("\" rel=\"noopener noreferrer\">");
            lines(out, &body);
            out.push_str("</a>");
        }
        "spoiler" => {
            out.push_str("<span class=\"spoiler hidden\" tabindex=\"0\">");
            lines(out, &body);
            out.push_str("</span>");
        }
        "hashtag" | "cashtag" | "bot_command" | "mention_name" | "custom_emoji" => {
            out.push_str("<span class=\"");
            out.push_str(kind);
            out.push_str("\">");
            lines(out, &body);
            out.push_str("</span>");
        }
        _ => lines(out, &body),
    }
}

/// The plain text of a "string or array" value.
pub fn plain(value: &str) -> String {
    match json::shape(value) {
        Shape::Array => json::elements(value).map(plain).collect(),
        Shape::Object => json::get(value, "text").map(plain).unwrap_or_default(),
        _ => json::text(value).unwrap_or_default().into_owned(),
    }
}

/// The texts of a rich message, each block on a line of its own; its layout is not kept.
pub fn rich_plain(value: &str) -> String {
    let mut out = String::new();
    add_rich(&mut out, value, false, 40);
    out
}

fn add_rich(out: &mut String, value: &str, blocks: bool, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match json::shape(value) {
        Shape::Object => {
            for (key, value) in json::members(value) {
                match (key, json::shape(value)) {
                    ("text", Shape::String) => out.push_str(&json::text(value).unwrap_or_default()),
                    (_, Shape::Object | Shape::Array) => add_rich(out, value, key == "blocks", depth),
                    _ => {}
                }
            }
        }
        Shape::Array => {
            for element in json::elements(value) {
                if blocks && !out.is_empty() && !out.ends_with('\n') {
                    out.push('\n');
                }
                add_rich(out, element, false, depth);
            }
        }
        Shape::String | Shape::Plain => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(value: &str) -> String {
        let mut out = String::new();
        rich(&mut out, value);
        out
    }

    #[test]
    fn nothing_that_people_wrote_becomes_markup() {
        assert_eq!(html(r#""<b>&\"'\nx""#), "&lt;b&gt;&amp;&quot;&apos;<br>x");
        let entity = |kind: &str, extra: &str| format!(r#"[{{"type":"{kind}","text":"<i>"{extra}}}]"#);
        assert_eq!(html(&entity("bold", "")), "<strong>&lt;i&gt;</strong>");
        for bad in
            ["javascript:alert(1)", " javascript:x", "JavaScript:x", "data:text/html,x", "file:///etc/passwd", "//x", "java\\nscript:x"]
        {
            let shown = html(&entity("text_link", &format!(r#","href":"{bad}""#)));
            assert_eq!(shown, "&lt;i&gt;", "{bad}");
        }
        assert_eq!(
            html(&entity("text_link", r#","href":"https://e.org/?a=1&b=\"><script>""#)),
            "<a href=\"https://e.org/?a=1&amp;b=&quot;&gt;&lt;script&gt;\" rel=\"noopener noreferrer\">&lt;i&gt;</a>"
        );
        assert_eq!(html(r#"[{"type":"no\"t<known>","text":"x"}]"#), "x");
    }

    #[test]
    fn rich_messages_have_a_plain_text() {
        let rich = r#"{"blocks":[{"type":"heading","text":{"type":"plain","text":"A"}},{"type":"paragraph","text":{"type":"concat","text":[{"text":"b"},{"text":"c"}]}}]}"#;
        assert_eq!(rich_plain(rich), "A\nbc");
        assert_eq!(rich_plain(&"[".repeat(10_000)), "");
    }

    #[test]
    fn paths_become_links_to_the_file() {
        let mut out = String::new();
        path(&mut out, "../../", "files/50% #1? é \"x\".pdf");
        assert_eq!(out, "../../files/50%25 %231%3F é &quot;x&quot;.pdf");
    }
}
