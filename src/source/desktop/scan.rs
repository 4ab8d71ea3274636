//! Cuts a `result.json` of any length into pieces, without understanding more than its outline.
//!
//! The pieces, one after the other, are the file: nothing is left out, also where the file is broken or ends too early. Real
//! files are not always valid JSON or UTF-8 (see [`super::repair`]); neither bug touches quotes and brackets, so the outline can be
//! followed on the bytes as they are. Memory is one piece, at most [`MAX_VALUE_BYTES`].

use std::io::{self, Read};

/// The longest single message or section that is looked for: what is behind a longer one is not found.
pub const MAX_VALUE_BYTES: usize = 64 * 1024 * 1024;

/// How much is read at once.
const READ_BYTES: usize = 256 * 1024;

/// What a piece of the file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Punctuation, keys, white space.
    Glue,
    /// The value of a top-level key other than the lists of chats.
    Section(String),
    /// The value of a key next to `list` in `chats` or `left_chats`.
    ListKey {
        /// Whether it is `left_chats`.
        left: bool,
        /// The key.
        key: String,
    },
    /// The bracket that begins a chat of a list. The only chat of a single-chat export begins without one.
    ChatBegins {
        /// Whether it stands in `left_chats`.
        left: bool,
    },
    /// The value of one of a chat's keys other than `messages`.
    ChatKey(String),
    /// One message.
    Message,
    /// The bracket that ends a chat of a list.
    ChatEnds,
    /// Bytes behind the place where the file stops making sense; see [`Scanner::broken`].
    Rest,
}

/// A piece of the file.
#[derive(Debug)]
pub struct Piece<'a> {
    /// What it is.
    pub what: What,
    /// Its first byte in the file.
    pub offset: u64,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Where and why a file stops making sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The byte in the file.
    pub offset: u64,
    /// What was the matter, in words.
    pub why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Root,
    List { left: bool },
    Chats { left: bool },
    Chat { single: bool, left: bool },
    Messages { single: bool, left: bool },
    After,
    Rest,
}

enum Stop {
    Io(io::Error),
    Broken(&'static str),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// See the module's page.
pub struct Scanner<R> {
    input: R,
    buffer: Vec<u8>,
    /// Where in `buffer` the next piece begins; all indexes below count from there.
    start: usize,
    /// The length of the piece that was handed out last.
    given: usize,
    at_end: bool,
    offset: u64,
    state: State,
    value: Option<What>,
    broken: Option<Broken>,
}

impl<R: Read> Scanner<R> {
    /// A scanner over `input`, a whole `result.json` from its first byte.
    pub fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), start: 0, given: 0, at_end: false, offset: 0, state: State::Start, value: None, broken: None }
    }

    /// Where the file stops making sense, once that place has been reached.
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// Those of the input. A broken file is no error: its rest comes as [`What::Rest`].
    pub fn next_piece(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.offset += self.given as u64;
        self.start += self.given;
        self.given = 0;
        let (what, len) = match self.step() {
            Ok(found) => found,
            Err(Stop::Io(error)) => return Err(error),
            Err(Stop::Broken(why)) => {
                self.broken.get_or_insert(Broken { offset: self.offset, why });
                self.state = State::Rest;
                self.value = None;
                self.rest()?
            }
        };
        self.given = len;
        if len == 0 {
            return Ok(None);
        }
        Ok(Some(Piece { what, offset: self.offset, bytes: self.window().get(..len).unwrap_or_default() }))
    }

    fn window(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Reads more; false at the end of the file.
    fn more(&mut self) -> io::Result<bool> {
        if self.at_end {
            return Ok(false);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + READ_BYTES, 0);
        loop {
            match self.input.read(self.buffer.get_mut(old..).unwrap_or_default()) {
                Ok(count) => {
                    self.buffer.truncate(old + count);
                    self.at_end = count == 0;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.truncate(old);
                    return Err(error);
                }
            }
        }
    }

    fn byte(&mut self, at: usize) -> io::Result<Option<u8>> {
        while at >= self.window().len() {
            if !self.more()? {
                return Ok(None);
            }
        }
        Ok(self.window().get(at).copied())
    }

    /// The index of the next byte that is neither white space nor a comma.
    fn skip_space(&mut self, mut at: usize) -> Result<usize, Stop> {
        while let Some(byte) = self.byte(at)? {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',') {
                return Ok(at);
            }
            at += 1;
            if at > MAX_VALUE_BYTES {
                return Err(Stop::Broken("endless white space"));
            }
        }
        Err(Stop::Broken("the file ends too early"))
    }

    /// The index after the string that begins at `at`.
    fn string(&mut self, at: usize) -> Result<usize, Stop> {
        let mut at = at + 1;
        loop {
            let available = self.window().get(at..).unwrap_or_default();
            match memchr::memchr2(b'"', b'\\', available) {
                Some(found) if available.get(found) == Some(&b'"') => return Ok(at + found + 1),
                // The byte after a backslash is part of the escape, whatever it is.
                Some(found) => at += found + 2,
                None => {
                    at = at.max(self.window().len());
                    if at > MAX_VALUE_BYTES {
                        return Err(Stop::Broken("a text that is longer than 64 MiB, or has no end"));
                    }
                    if !self.more()? {
                        return Err(Stop::Broken("the file ends inside a text"));
                    }
                }
            }
        }
    }

    /// The index after the value that begins at `at`.
    fn end_of_value(&mut self, start: usize) -> Result<usize, Stop> {
        let mut at = start;
        let mut depth = 0usize;
        while let Some(byte) = self.byte(at)? {
            match byte {
                b'"' => {
                    at = self.string(at)?;
                    if depth == 0 {
                        return Ok(at);
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => break,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(at + 1);
                    }
                }
                b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => break,
                _ => {}
            }
            at += 1;
            if at > MAX_VALUE_BYTES {
                return Err(Stop::Broken("a value longer than 64 MiB"));
            }
        }
        if depth > 0 {
            return Err(Stop::Broken("the file ends inside a value"));
        }
        if at == start {
            return Err(Stop::Broken("a value is missing"));
        }
        Ok(at)
    }

    /// A key that begins at `at` and the index of its value.
    fn key(&mut self, at: usize) -> Result<(String, usize), Stop> {
        if self.byte(at)? != Some(b'"') {
            return Err(Stop::Broken("a key was expected"));
        }
        let end = self.string(at)?;
        let key = String::from_utf8_lossy(self.window().get(at + 1..end - 1).unwrap_or_default()).into_owned();
        let colon = self.skip_space(end)?;
        if self.byte(colon)? != Some(b':') {
            return Err(Stop::Broken("a key without ':'"));
        }
        Ok((key, self.skip_space(colon + 1)?))
    }

    fn expect(&mut self, at: usize, bracket: u8) -> Result<(), Stop> {
        if self.byte(at)? == Some(bracket) { Ok(()) } else { Err(Stop::Broken("another kind of value was expected")) }
    }

    fn rest(&mut self) -> io::Result<(What, usize)> {
        if self.window().is_empty() {
            self.more()?;
        }
        Ok((What::Rest, self.window().len()))
    }

    /// The next piece's kind and length; 0 after the last. Any piece starts at the buffer's start.
    fn step(&mut self) -> Result<(What, usize), Stop> {
        if let Some(what) = self.value.take() {
            let end = self.end_of_value(0)?;
            return Ok((what, end));
        }
        let mut at = 0;
        loop {
            match self.state {
                State::Start => {
                    // A byte order mark is not written by Telegram Desktop, but by editors.
                    let start = if self.byte(0)? == Some(0xEF) { 3 } else { 0 };
                    at = self.skip_space(start)?;
                    self.expect(at, b'{')?;
                    at += 1;
                    self.state = State::Root;
                }
                State::Root => {
                    at = self.skip_space(at)?;
                    if self.byte(at)? == Some(b'}') {
                        self.state = State::After;
                        return Ok((What::Glue, at + 1));
                    }
                    let (key, value) = self.key(at)?;
                    at = value;
                    match key.as_str() {
                        "chats" | "left_chats" if self.byte(at)? == Some(b'{') => {
                            at += 1;
                            self.state = State::List { left: key == "left_chats" };
                        }
                        "name" | "type" | "id" => {
                            self.state = State::Chat { single: true, left: false };
                            return self.glue_then(at, What::ChatKey(key));
                        }
                        "messages" => {
                            self.expect(at, b'[')?;
                            at += 1;
                            self.state = State::Messages { single: true, left: false };
                        }
                        _ => return self.glue_then(at, What::Section(key)),
                    }
                }
                State::List { left } => {
                    at = self.skip_space(at)?;
                    if self.byte(at)? == Some(b'}') {
                        at += 1;
                        self.state = State::Root;
                        continue;
                    }
                    let (key, value) = self.key(at)?;
                    at = value;
                    if key == "list" && self.byte(at)? == Some(b'[') {
                        at += 1;
                        self.state = State::Chats { left };
                    } else {
                        return self.glue_then(at, What::ListKey { left, key });
                    }
                }
                State::Chats { left } => {
                    at = self.skip_space(at)?;
                    match self.byte(at)? {
                        Some(b']') => {
                            at += 1;
                            self.state = State::List { left };
                        }
                        Some(b'{') if at == 0 => {
                            self.state = State::Chat { single: false, left };
                            return Ok((What::ChatBegins { left }, 1));
                        }
                        Some(b'{') => return Ok((What::Glue, at)),
                        _ => return Err(Stop::Broken("a chat was expected")),
                    }
                }
                State::Chat { single, left } => {
                    at = self.skip_space(at)?;
                    if self.byte(at)? == Some(b'}') {
                        if single {
                            self.state = State::After;
                            return Ok((What::Glue, at + 1));
                        }
                        if at > 0 {
                            return Ok((What::Glue, at));
                        }
                        self.state = State::Chats { left };
                        return Ok((What::ChatEnds, 1));
                    }
                    let (key, value) = self.key(at)?;
                    at = value;
                    if key == "messages" && self.byte(at)? == Some(b'[') {
                        at += 1;
                        self.state = State::Messages { single, left };
                    } else {
                        return self.glue_then(at, What::ChatKey(key));
                    }
                }
                State::Messages { single, left } => {
                    at = self.skip_space(at)?;
                    if self.byte(at)? == Some(b']') {
                        at += 1;
                        self.state = State::Chat { single, left };
                    } else {
                        return self.glue_then(at, What::Message);
                    }
                }
                State::After => {
                    while let Some(byte) = self.byte(at)? {
                        if !byte.is_ascii_whitespace() {
                            return Err(Stop::Broken("something follows the end of the export"));
                        }
                        at += 1;
                        if at >= READ_BYTES {
                            break;
                        }
                    }
                    return Ok((What::Glue, at));
                }
                State::Rest => return Ok(self.rest()?),
            }
        }
    }

    /// The glue up to a value, and the value next time; or the value at once where no glue is before it.
    fn glue_then(&mut self, at: usize, what: What) -> Result<(What, usize), Stop> {
        if at == 0 {
            return Ok((what, self.end_of_value(0)?));
        }
        self.value = Some(what);
        Ok((What::Glue, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads at most `step` bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn pieces(file: &[u8], step: usize) -> (Vec<(What, Vec<u8>)>, Option<Broken>) {
        let mut scanner = Scanner::new(Slow(file, step));
        let mut found = Vec::new();
        let mut offset = 0;
        while let Some(piece) = scanner.next_piece().unwrap() {
            assert_eq!(piece.offset, offset);
            offset += piece.bytes.len() as u64;
            found.push((piece.what, piece.bytes.to_vec()));
        }
        let all: Vec<u8> = found.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        assert_eq!(all, file, "the pieces are the file");
        (found, scanner.broken().cloned())
    }

    fn told(found: &[(What, Vec<u8>)]) -> Vec<(What, &str)> {
        let told = found.iter().filter(|(what, _)| *what != What::Glue);
        told.map(|(what, bytes)| (what.clone(), std::str::from_utf8(bytes).unwrap())).collect()
    }

    const ACCOUNT: &str = r#"{
 "about": "a \"{[",
 "contacts": {"list": [1, 2]},
 "chats": {"about": "b", "list": [{"name": null, "type": "x", "id": 5, "messages": [{"id": 1}, {"text": "}]"}], "new": 1}, {"messages": []}]},
 "left_chats": {"list": []},
 "later": [{}]
}"#;

    #[test]
    fn an_account_is_cut_where_it_should() {
        for step in [1, 7, 1 << 20] {
            let (found, broken) = pieces(ACCOUNT.as_bytes(), step);
            assert_eq!(broken, None);
            let key = |key: &str| What::ChatKey(key.into());
            let section = |key: &str| What::Section(key.into());
            assert_eq!(
                told(&found),
                [
                    (section("about"), r#""a \"{[""#),
                    (section("contacts"), r#"{"list": [1, 2]}"#),
                    (What::ListKey { left: false, key: "about".into() }, r#""b""#),
                    (What::ChatBegins { left: false }, "{"),
                    (key("name"), "null"),
                    (key("type"), r#""x""#),
                    (key("id"), "5"),
                    (What::Message, r#"{"id": 1}"#),
                    (What::Message, r#"{"text": "}]"}"#),
                    (key("new"), "1"),
                    (What::ChatEnds, "}"),
                    (What::ChatBegins { left: false }, "{"),
                    (What::ChatEnds, "}"),
                    (section("later"), "[{}]"),
                ]
            );
        }
    }

    #[test]
    fn a_single_chat_is_its_root() {
        let (found, broken) = pieces(b"{\"name\":\"A\",\"type\":\"personal_chat\",\"id\":1,\"messages\":[{},7]}\n", 3);
        assert_eq!(broken, None);
        let whats: Vec<_> = told(&found).into_iter().map(|(what, _)| what).collect();
        let key = |key: &str| What::ChatKey(key.into());
        assert_eq!(whats, [key("name"), key("type"), key("id"), What::Message, What::Message]);
    }

    #[test]
    fn a_file_cut_anywhere_is_kept_whole() {
        for cut in 0..ACCOUNT.len() {
            let (_, broken) = pieces(&ACCOUNT.as_bytes()[..cut], 16);
            assert!(broken.is_some(), "cut at {cut}");
        }
        let (_, broken) = pieces(format!("{ACCOUNT} x").as_bytes(), 16);
        assert_eq!(broken.map(|broken| broken.why), Some("something follows the end of the export"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_kept(file in proptest::collection::vec(proptest::sample::select(b"{}[]\",:\\ \nachmesg1\xE2\x80".to_vec()), 0..200)) {
            pieces(&file, 5);
            let mut framed = b"{\"messages\":[".to_vec();
            framed.extend_from_slice(&file);
            pieces(&framed, 11);
        }
    }
}
