//! The text of a rich message of an export, with entities: it has blocks in place of a text, which only newer readers know.
//!
//! Lists, check marks and tables look as they do for rich messages of a live backup; pictures and the like stay in the blocks.

use super::parts::Parts;
use crate::model::json::{self, Shape};

/// Texts and blocks in one another that are followed; in the place of what is deeper stands an ellipsis.
const MOST_LEVELS: usize = 100;

/// The text of `rich_message`, an object.
pub fn text_of(rich_message: &str) -> Parts {
    let mut writer = Writer { parts: Parts::default(), levels: 0, lists: 0 };
    writer.blocks(json::get(rich_message, "blocks").unwrap_or("[]"));
    writer.parts
}

struct Writer {
    parts: Parts,
    levels: usize,
    /// Lists around the block.
    lists: usize,
}

impl Writer {
    /// Goes one level down, unless there are too many.
    fn down(&mut self, write: impl FnOnce(&mut Self)) {
        if self.levels >= MOST_LEVELS {
            return self.parts.push("…");
        }
        self.levels += 1;
        write(self);
        self.levels -= 1;
    }

    fn blocks(&mut self, blocks: &str) {
        for block in json::elements(blocks) {
            self.down(|writer| writer.block(block));
        }
    }

    /// A text on lines of its own.
    fn line(&mut self, kind: &'static str, text: Option<&str>) {
        let Some(text) = text.filter(|text| *text != "null") else { return };
        self.parts.begin_line();
        self.styled(kind, Vec::new(), text);
    }

    fn styled(&mut self, kind: &'static str, more: Vec<(&'static str, String)>, text: &str) {
        let outer = self.parts.begin(kind, more);
        self.text(text);
        self.parts.end(outer);
    }

    fn block(&mut self, block: &str) {
        let get = |key: &str| json::get(block, key);
        let kind = get("type").and_then(json::spelling).unwrap_or_default();
        match kind {
            "heading" => self.line("bold", get("text")),
            "code" => {
                self.parts.begin_line();
                let language = get("language").and_then(json::text).unwrap_or_default().into_owned();
                self.styled("pre", vec![("language", language)], get("text").unwrap_or("\"\""));
            }
            "math" => {
                self.parts.begin_line();
                self.formula(block);
            }
            "quote" => {
                self.parts.begin_line();
                let outer = self.parts.begin("blockquote", Vec::new());
                self.line("", get("text"));
                self.blocks(get("blocks").unwrap_or("[]"));
                self.line("", get("caption"));
                self.parts.end(outer);
            }
            "list" => self.list(block),
            "table" => {
                self.line("bold", get("title"));
                for row in json::elements(get("rows").unwrap_or("[]")) {
                    self.row(json::get(row, "cells").unwrap_or("[]"), "text");
                }
            }
            "button_row" => self.row(get("buttons").unwrap_or("[]"), "text"),
            "details" => {
                self.line("bold", get("title"));
                self.blocks(get("blocks").unwrap_or("[]"));
            }
            "related_articles" => {
                self.line("bold", get("title"));
                json::elements(get("articles").unwrap_or("[]")).for_each(|article| self.article(article));
            }
            _ => self.other(block),
        }
    }

    /// A block that has a text, blocks, pictures with captions, or something that this version does not know.
    fn other(&mut self, block: &str) {
        for (key, value) in json::members(block) {
            match key {
                "text" | "author" | "name" | "title" => self.line("", Some(value)),
                "blocks" | "items" => self.blocks(value),
                "cover" => self.down(|writer| writer.block(value)),
                "caption" => match json::get(value, "credit") {
                    Some(credit) => {
                        self.line("", json::get(value, "text"));
                        self.line("", Some(credit));
                    }
                    None => self.line("", Some(value)),
                },
                "url" => {
                    self.parts.begin_line();
                    self.styled("link", Vec::new(), value);
                }
                _ => self.unknown(value),
            }
        }
    }

    /// A value of a key that this version does not know: it may have texts in it.
    fn unknown(&mut self, value: &str) {
        match json::shape(value) {
            Shape::Object => self.down(|writer| writer.block(value)),
            Shape::Array => self.down(|writer| json::elements(value).for_each(|one| writer.unknown(one))),
            Shape::String | Shape::Plain => {}
        }
    }

    fn list(&mut self, list: &str) {
        self.lists += 1;
        let is_ordered = json::get(list, "kind").and_then(json::spelling) == Some("ordered");
        for (index, item) in json::elements(json::get(list, "items").unwrap_or("[]")).enumerate() {
            self.parts.begin_line();
            self.parts.push(&"  ".repeat(self.lists - 1));
            let number = json::get(item, "num").and_then(json::text).map_or_else(|| (index + 1).to_string(), |number| number.into_owned());
            let dot = if number.ends_with(char::is_alphanumeric) { "." } else { "" };
            self.parts.push(&match json::get(item, "task_state").and_then(json::spelling) {
                Some("checked") => "☑ ".to_owned(),
                Some("unchecked") => "☐ ".to_owned(),
                _ if is_ordered => format!("{number}{dot} "),
                _ => "• ".to_owned(),
            });
            self.parts.stay_on_line();
            self.text(json::get(item, "text").unwrap_or("\"\""));
            self.blocks(json::get(item, "blocks").unwrap_or("[]"));
        }
        self.lists -= 1;
    }

    fn row(&mut self, cells: &str, key: &str) {
        self.parts.begin_line();
        for (index, cell) in json::elements(cells).enumerate() {
            if index > 0 {
                self.parts.push(" | ");
            }
            let kind = if json::get(cell, "header") == Some("true") { "bold" } else { "" };
            self.styled(kind, Vec::new(), json::get(cell, key).unwrap_or("\"\""));
        }
    }

    fn article(&mut self, article: &str) {
        let get = |key: &str| json::get(article, key).and_then(json::text).filter(|text| !text.is_empty());
        let url = get("url").unwrap_or_default();
        self.parts.begin_line();
        let outer = self.parts.begin("text_link", vec![("href", url.clone().into_owned())]);
        self.parts.push(&get("title").unwrap_or(url));
        self.parts.end(outer);
        for more in [get("description"), get("author")].into_iter().flatten() {
            self.parts.begin_line();
            self.parts.push(&more);
        }
    }

    fn formula(&mut self, math: &str) {
        let formula = json::get(math, "formula").or_else(|| json::get(math, "source")).or_else(|| json::get(math, "text"));
        self.styled("code", Vec::new(), formula.unwrap_or("\"\""));
    }

    /// A text: a string, a list of texts, or an object with a type.
    fn text(&mut self, value: &str) {
        match json::shape(value) {
            Shape::String => self.parts.push(&json::text(value).unwrap_or_default()),
            Shape::Array => self.down(|writer| json::elements(value).for_each(|one| writer.text(one))),
            Shape::Object => self.down(|writer| writer.object(value)),
            Shape::Plain => {}
        }
    }

    fn object(&mut self, value: &str) {
        let get = |key: &str| json::get(value, key).and_then(json::text).unwrap_or_default().into_owned();
        let kind = json::get(value, "type").and_then(json::spelling).unwrap_or_default();
        let text = json::get(value, "text").unwrap_or("\"\"");
        let of = |kind: &'static str| (kind, Vec::new());
        let (kind, more) = match kind {
            "math" => return self.formula(value),
            "bold" => of("bold"),
            "italic" => of("italic"),
            "underline" => of("underline"),
            "strikethrough" => of("strikethrough"),
            "code" => of("code"),
            "spoiler" => of("spoiler"),
            "link" => of("link"),
            "email" => of("email"),
            "phone" => of("phone"),
            "mention" => of("mention"),
            "hashtag" => of("hashtag"),
            "cashtag" => of("cashtag"),
            "bot_command" => of("bot_command"),
            "bank_card" => of("bank_card"),
            "text_link" => ("text_link", vec![("href", get("href"))]),
            "custom_emoji" => ("custom_emoji", vec![("document_id", get("document_id"))]),
            _ => of(""),
        };
        self.styled(kind, more, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(blocks: &str) -> String {
        text_of(&format!("{{\"blocks\":{blocks}}}")).plain()
    }

    #[test]
    fn blocks_become_lines() {
        let list = r#"[{"type":"heading","text":{"type":"plain","text":"Head"}},
            {"type":"list","kind":"unordered","items":[{"task_state":"checked","text":{"type":"plain","text":"a"}},
              {"task_state":"unchecked","text":"b"},{"task_state":"none","blocks":[{"type":"paragraph","text":"c"},
              {"type":"list","kind":"ordered","items":[{"num":"7","text":"d"},{"text":"e"}]}]}]},
            {"type":"table","title":"T","rows":[{"cells":[{"text":"x"},{"text":{"type":"bold","text":"y"}}]}]},
            {"type":"photo","photo":"p.jpg","caption":{"text":"cap","credit":"by"}},
            {"type":"quote","text":"q","caption":"who"},{"type":"details","title":"t","blocks":[{"type":"paragraph","text":"in"}]},
            {"type":"math","formula":"E"},{"type":"divider"},{"type":"novelty","text":"new"}]"#;
        let new = r#"[{"type":"novelty","sides":[{"front":{"text":"one"}},{"back":{"caption":"two","more":[{"text":{"type":"bold","text":"three"}}]}}]}]"#;
        assert_eq!(plain(new), "one\ntwo\nthree", "words are found in what later versions may have");
        assert_eq!(plain(list), "Head\n☑ a\n☐ b\n• c\n  7. d\n  2. e\nT\nx | y\ncap\nby\nq\nwho\nt\nin\nE\nnew");
    }

    #[test]
    fn styles_become_entities() {
        let text = r#"[{"type":"paragraph","text":{"type":"concat","text":[{"type":"plain","text":"Hel"},{"type":"bold","text":{"type":"italic","text":"lo"}},{"type":"text_link","href":"https://e.org","text":"here"},{"type":"formatted_date","text":"now"}]}}]"#;
        assert_eq!(
            text_of(&format!("{{\"blocks\":{text}}}")).long(),
            r#"[{"type":"plain","text":"Hel"},{"type":"bold","text":"lo"},{"type":"text_link","text":"here","href":"https://e.org"},{"type":"plain","text":"now"}]"#
        );
        let deep = format!("{}{}", "{\"type\":\"bold\",\"text\":".repeat(500), "\"x\"") + &"}".repeat(500);
        assert!(plain(&format!("[{{\"type\":\"paragraph\",\"text\":{deep}}}]")).ends_with('…'));
    }
}
