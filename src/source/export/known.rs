//! What earlier imports of an account's exports have stored, so that a grown export costs only what is new in it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::crypt::digest::Hasher;
use crate::model::paths::RunId;
use crate::model::peer::Peer;

/// What is known of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing, or it said something else.
    New,
    /// It said the same, in other bytes.
    Same,
    /// That run stored a record with these very bytes.
    SameBytes(RunId),
}

/// Remembers messages across imports.
pub trait Known: Send + Sync {
    /// Says what is known of a message. `content` is what it says ([`super::content`]), `raw` its bytes in the export.
    fn look(&self, peer: Peer, id: i64, content: &[u8], raw: &[u8]) -> Look;

    /// Takes note that the message goes into the item with this mark, by run `run`. It counts from [`Known::committed`] on.
    fn note(&self, mark: u64, run: &RunId, peer: Peer, id: i64, content: &[u8], raw: &[u8]);

    /// The items with these marks are stored for good.
    fn committed(&self, marks: &[u64]);
}

/// A message as it is remembered: keyed 8-byte hashes, nothing that could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    content: u64,
    raw: u64,
    run: u32,
}

#[derive(Default)]
struct Table {
    messages: HashMap<(Peer, i64), Note>,
    runs: Vec<RunId>,
    pending: HashMap<u64, Vec<(Peer, i64, Note)>>,
}

/// [`Known`] in memory: 48 bytes or so for a message.
pub struct Remembered {
    key: [u8; 32],
    table: Mutex<Table>,
}

impl Remembered {
    /// Knows nothing yet. The key is random and the machine's own: it keeps others from making two messages that are taken for
    /// the same.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, table: Mutex::new(Table::default()) }
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = Hasher::new();
        hasher.update(&self.key);
        hasher.update(bytes);
        let [a, b, c, d, e, f, g, h, ..] = hasher.finish().0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    fn with<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        act(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known for Remembered {
    fn look(&self, peer: Peer, id: i64, content: &[u8], raw: &[u8]) -> Look {
        let content = self.hash(content);
        self.with(|table| match table.messages.get(&(peer, id)) {
            Some(note) if note.content == content => match table.runs.get(note.run as usize) {
                Some(run) if note.raw == self.hash(raw) => Look::SameBytes(run.clone()),
                _ => Look::Same,
            },
            _ => Look::New,
        })
    }

    fn note(&self, mark: u64, run: &RunId, peer: Peer, id: i64, content: &[u8], raw: &[u8]) {
        let (content, raw) = (self.hash(content), self.hash(raw));
        self.with(|table| {
            let index = table.runs.iter().rposition(|known| known == run).unwrap_or_else(|| {
                table.runs.push(run.clone());
                table.runs.len() - 1
            });
            let run = u32::try_from(index).unwrap_or(u32::MAX);
            table.pending.entry(mark).or_default().push((peer, id, Note { content, raw, run }));
        });
    }

    fn committed(&self, marks: &[u64]) {
        self.with(|table| {
            for mark in marks {
                for (peer, id, note) in table.pending.remove(mark).unwrap_or_default() {
                    table.messages.insert((peer, id), note);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_known_once_they_are_stored() {
        let known = Remembered::new([7; 32]);
        let (peer, run): (Peer, RunId) = (Peer::user(1), "r1".parse().unwrap());
        known.note(3, &run, peer, 5, b"says", b"{raw}");
        assert_eq!(known.look(peer, 5, b"says", b"{raw}"), Look::New);
        known.committed(&[3, 4]);
        assert_eq!(known.look(peer, 5, b"says", b"{raw}"), Look::SameBytes(run));
        assert_eq!(known.look(peer, 5, b"says", b"{ raw}"), Look::Same);
        assert_eq!(known.look(peer, 5, b"says more", b"{raw}"), Look::New);
        assert_eq!(known.look(peer, 6, b"says", b"{raw}"), Look::New);
    }
}
