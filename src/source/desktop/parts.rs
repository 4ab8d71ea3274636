//! A text in parts, as `text` and `text_entities` have it.

use std::fmt::Write;

/// A part: its type, what it says, and further keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    kind: &'static str,
    text: String,
    more: Vec<(&'static str, String)>,
}

/// A text whose styles do not overlap: what is styled inside of another style is part of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    done: Vec<Part>,
    /// Whether a style is open: what comes belongs to it.
    is_open: bool,
    /// Whether the line has a sign that its text stands behind.
    has_sign: bool,
}

impl Parts {
    /// Appends text in the style that is open.
    pub fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.has_sign = false;
        match self.done.last_mut() {
            Some(last) if self.is_open || last.kind == "plain" => last.text.push_str(text),
            _ => self.done.push(Part { kind: "plain", text: text.to_owned(), more: Vec::new() }),
        }
    }

    /// Begins a style; false where one is open already, or `kind` is none. The answer goes to [`Self::end`].
    pub fn begin(&mut self, kind: &'static str, more: Vec<(&'static str, String)>) -> bool {
        if self.is_open || kind.is_empty() {
            return false;
        }
        self.done.push(Part { kind, text: String::new(), more });
        self.is_open = true;
        true
    }

    /// Ends a style.
    pub fn end(&mut self, began: bool) {
        if began {
            self.is_open = false;
            self.done.pop_if(|last| last.text.is_empty());
        }
    }

    /// Goes to the beginning of a line.
    pub fn begin_line(&mut self) {
        let last = self.done.iter().rev().find_map(|part| part.text.chars().next_back());
        if !self.has_sign && last.is_some_and(|last| last != '\n') {
            self.push("\n");
        }
    }

    /// What begins a line next stays on this one.
    pub fn stay_on_line(&mut self) {
        self.has_sign = true;
    }

    /// The last character.
    pub fn last(&self) -> Option<char> {
        self.done.iter().rev().find_map(|part| part.text.chars().next_back())
    }

    /// What it says.
    pub fn plain(&self) -> String {
        self.done.iter().map(|part| part.text.as_str()).collect()
    }

    /// Leaves out white space at both ends, and empty parts.
    pub fn trim(&mut self) {
        if let Some(first) = self.done.first_mut().filter(|first| first.kind == "plain") {
            first.text = first.text.trim_start().to_owned();
        }
        if let Some(last) = self.done.last_mut().filter(|last| last.kind == "plain") {
            last.text.truncate(last.text.trim_end().len());
        }
        self.done.retain(|part| !part.text.is_empty());
    }

    /// The value of `text`.
    pub fn short(&self) -> String {
        match self.done.as_slice() {
            [] => "\"\"".to_owned(),
            [one] if one.kind == "plain" => quoted(&one.text),
            all => {
                let parts: Vec<String> = all.iter().map(|one| if one.kind == "plain" { quoted(&one.text) } else { one.object() }).collect();
                format!("[{}]", parts.join(","))
            }
        }
    }

    /// The value of `text_entities`.
    pub fn long(&self) -> String {
        let parts: Vec<String> = self.done.iter().map(Part::object).collect();
        format!("[{}]", parts.join(","))
    }
}

impl Part {
    fn object(&self) -> String {
        let mut out = format!("{{\"type\":\"{}\",\"text\":{}", self.kind, quoted(&self.text));
        for (key, value) in &self.more {
            let _ = write!(out, ",\"{key}\":{}", quoted(value));
        }
        out.push('}');
        out
    }
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
