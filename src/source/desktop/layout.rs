//! How an imported `result.json` is put together from records, so that it can be given back byte for byte.
//!
//! One JSON object a line, in the file's order:
//!
//! ```text
//! {"bytes":"{\n \"about\": …"}                                       bytes of no message; {"base64":"…"} where not UTF-8
//! {"peer":"user1","run":"r1","ids":"1 1*3 7","glue":",\n   "}         the raw bytes of these records, with `glue` between them
//! ```
//!
//! `ids` begins with an id; what follows are differences to the id before, `d*n` standing for n times d: 1, 2, 3, 4, 11 here. An array
//! of ids is read too.
//!
//!
//! A record is found by (peer, run, id). Its run is that of the import, or of an earlier import whose record has the same raw
//! bytes: a grown export repeats next to nothing.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use crate::model::entry::bytes_as_text;
use crate::model::paths::RunId;
use crate::model::peer::Peer;

/// How many records one line names at most.
const IDS_PER_LINE: usize = 100_000;

/// How many a line of another program's may name.
const MAX_IDS: usize = 1_000_000;

/// How many bytes one line holds at most, before escapes.
const BYTES_PER_LINE: usize = 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Bytes(#[serde(with = "bytes_as_text")] Vec<u8>);

/// Ids in their short form.
mod short {
    use std::fmt;

    use serde::de::{Error, SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    use super::MAX_IDS;

    pub fn serialize<S: Serializer>(ids: &[i64], serializer: S) -> Result<S::Ok, S::Error> {
        use fmt::Write;
        let mut text = String::new();
        let mut last = None;
        let mut steps = ids.iter().map(|&id| id.wrapping_sub(last.replace(id).unwrap_or(0))).peekable();
        let mut is_first = true;
        while let Some(step) = steps.next() {
            let mut times = 1u64;
            // The first is an id, and no difference.
            while !is_first && steps.next_if_eq(&step).is_some() {
                times += 1;
            }
            let space = if is_first { "" } else { " " };
            // Writing to a string does not fail.
            let _ = if times > 1 { write!(text, "{space}{step}*{times}") } else { write!(text, "{space}{step}") };
            is_first = false;
        }
        serializer.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i64>, D::Error> {
        struct Ids;
        impl<'de> Visitor<'de> for Ids {
            type Value = Vec<i64>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("ids, as an array or by their differences")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Vec<i64>, E> {
                let (mut ids, mut id) = (Vec::new(), 0i64);
                for part in text.split_ascii_whitespace() {
                    let (step, times) = part.split_once('*').unwrap_or((part, "1"));
                    let step: i64 = step.parse().map_err(E::custom)?;
                    let times: usize = times.parse().map_err(E::custom)?;
                    if times > MAX_IDS - ids.len() {
                        return Err(E::custom("too many ids in one line"));
                    }
                    for _ in 0..times {
                        id = id.wrapping_add(step);
                        ids.push(id);
                    }
                }
                Ok(ids)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<i64>, A::Error> {
                let mut ids = Vec::new();
                while let Some(id) = seq.next_element()? {
                    ids.push(id);
                }
                Ok(ids)
            }
        }
        deserializer.deserialize_any(Ids)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<Peer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "short")]
    ids: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    glue: Option<Bytes>,
}

impl Line {
    const EMPTY: Self = Self { bytes: None, peer: None, run: None, ids: Vec::new(), glue: None };
}

/// Why a file cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A line has another form than the module's page says.
    #[error("line {line} of an import's layout cannot be read from column {column} on")]
    Form {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A line is neither bytes nor records.
    #[error("line {0} of an import's layout names neither bytes nor records")]
    Empty(usize),
    /// A record is not there, or does not have its bytes.
    #[error("message {id} of {peer} from run {run} is not in the backup with its original bytes")]
    Missing {
        /// The chat.
        peer: Peer,
        /// The message.
        id: i64,
        /// The run.
        run: RunId,
    },
    /// Reading the layout or writing the file failed.
    #[error("an import's original file cannot be written")]
    Io(#[from] io::Error),
}

struct Records {
    peer: Peer,
    run: RunId,
    ids: Vec<i64>,
    glue: Option<Vec<u8>>,
}

/// Writes a layout while an export is read.
pub struct LayoutWriter<W: Write> {
    out: W,
    bytes: Vec<u8>,
    records: Option<Records>,
    highest: HashMap<Peer, i64>,
}

impl LayoutWriter<Vec<u8>> {
    /// Takes the finished lines out when they are longer than `bytes`; else nothing. What is taken and what follows belong one
    /// after the other.
    pub fn take_if_longer(&mut self, bytes: usize) -> Vec<u8> {
        if self.out.len() > bytes { std::mem::take(&mut self.out) } else { Vec::new() }
    }
}

impl<W: Write> LayoutWriter<W> {
    /// A layout that goes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, bytes: Vec::new(), records: None, highest: HashMap::new() }
    }

    /// The next bytes of the file belong to no message.
    ///
    /// # Errors
    /// Those of the output.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= BYTES_PER_LINE {
            self.flush_records()?;
            self.flush_bytes()?;
        }
        Ok(())
    }

    /// The next bytes of the file are the raw bytes of this record.
    ///
    /// A message that repeats an id, or comes after a higher one, is laid down as bytes: its record might not be the only one of
    /// that name.
    ///
    /// # Errors
    /// Those of the output.
    pub fn message(&mut self, peer: Peer, run: &RunId, id: i64, raw: &[u8]) -> io::Result<()> {
        let highest = self.highest.entry(peer).or_insert(i64::MIN);
        if id <= *highest {
            return self.bytes(raw);
        }
        *highest = id;
        if let Some(records) = &mut self.records {
            let fits = records.peer == peer && records.run == *run && records.ids.len() < IDS_PER_LINE;
            if fits && records.glue.as_ref().is_none_or(|glue| *glue == self.bytes) {
                records.glue.get_or_insert_with(|| std::mem::take(&mut self.bytes));
                self.bytes.clear();
                records.ids.push(id);
                return Ok(());
            }
        }
        self.flush_records()?;
        self.flush_bytes()?;
        self.records = Some(Records { peer, run: run.clone(), ids: vec![id], glue: None });
        Ok(())
    }

    /// Writes what is left and returns the output.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush_records()?;
        self.flush_bytes()?;
        Ok(self.out)
    }

    fn flush_records(&mut self) -> io::Result<()> {
        match self.records.take() {
            Some(Records { peer, run, ids, glue }) => {
                self.line(Line { peer: Some(peer), run: Some(run), ids, glue: glue.map(Bytes), ..Line::EMPTY })
            }
            None => Ok(()),
        }
    }

    fn flush_bytes(&mut self) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let bytes = Some(Bytes(std::mem::take(&mut self.bytes)));
        self.line(Line { bytes, ..Line::EMPTY })
    }

    fn line(&mut self, line: Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }
}

/// Puts the file together again: `raw` finds the raw bytes of a record by peer, run and id.
///
/// # Errors
/// When the layout cannot be read, a record is missing, or the output fails.
pub fn rebuild(
    layout: impl BufRead,
    mut raw: impl FnMut(Peer, &RunId, i64) -> Option<Vec<u8>>,
    out: &mut impl Write,
) -> Result<(), LayoutError> {
    for (index, line) in layout.lines().enumerate() {
        let number = index + 1;
        let line: Line = serde_json::from_str(&line?).map_err(|error| LayoutError::Form { line: number, column: error.column() })?;
        match line {
            Line { bytes: Some(bytes), .. } => out.write_all(&bytes.0)?,
            Line { peer: Some(peer), run: Some(run), ids, glue, .. } => {
                for (index, id) in ids.into_iter().enumerate() {
                    if index > 0 {
                        out.write_all(glue.as_ref().map(|glue| glue.0.as_slice()).unwrap_or_default())?;
                    }
                    let bytes = raw(peer, &run, id);
                    out.write_all(&bytes.ok_or_else(|| LayoutError::Missing { peer, id, run: run.clone() })?)?;
                }
            }
            _ => return Err(LayoutError::Empty(number)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_together_from_spans() {
        let (one, two): (RunId, RunId) = ("r1".parse().unwrap(), "r2".parse().unwrap());
        let mut layout = LayoutWriter::new(Vec::new());
        let peer = Peer::user(1);
        let mut file = Vec::new();
        let mut records = HashMap::new();
        let bytes = |layout: &mut LayoutWriter<Vec<u8>>, file: &mut Vec<u8>, bytes: &[u8]| {
            file.extend_from_slice(bytes);
            layout.bytes(bytes).unwrap();
        };
        bytes(&mut layout, &mut file, b"[\xFF");
        for (id, run) in [(1, &one), (2, &one), (3, &two), (3, &two), (2, &one), (7, &two), (8, &two)] {
            let raw = format!("<{id}{run}{}>", file.len()).into_bytes();
            file.extend_from_slice(&raw);
            layout.message(peer, run, id, &raw).unwrap();
            records.entry((peer, run.clone(), id)).or_insert(raw);
            bytes(&mut layout, &mut file, if id == 8 { b"]" } else { b", " });
        }
        let layout = layout.finish().unwrap();
        let mut rebuilt = Vec::new();
        rebuild(&layout[..], |peer, run, id| records.get(&(peer, run.clone(), id)).cloned(), &mut rebuilt).unwrap();
        assert_eq!(rebuilt, file);
        let text = String::from_utf8(layout.clone()).unwrap();
        assert!(text.contains(r#"{"peer":"user1","run":"r1","ids":"1 1","glue":", "}"#), "{text}");

        let missing = rebuild(&layout[..], |_, _, _| None, &mut Vec::new());
        assert!(matches!(missing, Err(LayoutError::Missing { id: 1, .. })));
        assert!(matches!(rebuild(&b"{}\n"[..], |_, _, _| None, &mut Vec::new()), Err(LayoutError::Empty(1))));
        assert!(matches!(rebuild(&b"[\n"[..], |_, _, _| None, &mut Vec::new()), Err(LayoutError::Form { line: 1, .. })));
    }

    #[test]
    fn ids_are_told_by_their_differences() {
        let read = |ids: &str| serde_json::from_str::<Line>(&format!("{{\"ids\":{ids}}}")).map(|line| line.ids);
        assert_eq!(read("\"1 1*3 7\"").unwrap(), [1, 2, 3, 4, 11]);
        assert_eq!(read("[1,2,5]").unwrap(), [1, 2, 5]);
        for bad in ["\"1 1*99999999999\"", "\"1 x\"", "\"1*\"", "{}", "\"99999999999999999999\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let (write, some) = (|ids: &[i64]| serde_json::to_string(&Line { ids: ids.to_vec(), ..Line::EMPTY }).unwrap(), i64::MIN);
        assert_eq!(write(&[5, 10, 15, 20, 21]), r#"{"ids":"5 5*3 1"}"#);
        proptest::proptest!(|(ids in proptest::collection::vec(proptest::num::i64::ANY, 1..50))| {
            let line = write(&ids);
            proptest::prop_assert_eq!(serde_json::from_str::<Line>(&line).unwrap().ids, ids);
        });
        assert_eq!(serde_json::from_str::<Line>(&write(&[some, 0, i64::MAX])).unwrap().ids, [some, 0, i64::MAX]);
    }
}
