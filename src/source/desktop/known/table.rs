//! The table of stored messages: for each chat, the batches that hold them.
//!
//! The stored form is binary, little-endian, each list with its length before it:
//!
//! ```text
//! "tgvi" version:u32 key:[u8;32] owner:i64
//! runs:        { name, observed:i64 }
//! unfinished:  0, or 1 fingerprint:u64 name
//! described:   { path:u64 observed:i64 content:u64 }
//! chats:       { peer, segments: { run:u32 seq:u32 first:i64, entries: { id - first:u32 content:u64 raw:u64 } } }
//! ```
//!
//! A segment is what a batch holds, or a part of it where ids lie far apart; entries are packed in memory as they are in the file.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use crate::model::paths::RunId;
use crate::model::peer::{Peer, PeerKind};

const MAGIC: [u8; 4] = *b"tgvi";
/// Version 1 had columns of 28 bytes a message; no released program wrote it.
const VERSION: u32 = 2;

/// No list of a sound table is longer.
const MAX_LENGTH: u64 = 1 << 32;

/// How many entries are read or written at a time.
const AT_ONCE: usize = 4096;

/// Room for so many entries is made at once, unless there are fewer: more than a usual batch has.
const AT_LEAST: usize = 1 << 16;

/// Bytes of an entry, in memory as in the file.
const ENTRY_BYTES: usize = 20;

/// A message as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its id.
    pub id: i64,
    /// A hash of what it says.
    pub content: u64,
    /// A hash of its bytes; 0 where they cannot be referred to.
    pub raw: u64,
    /// The number of the run that stored it.
    pub run: u32,
}

/// A message as it will be remembered, when its run has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// Its id.
    pub id: i64,
    /// A hash of what it says.
    pub content: u64,
    /// A hash of its bytes; 0 where they cannot be referred to.
    pub raw: u64,
}

/// A message in 20 bytes: how far its id is behind the segment's first, and both hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    behind: u32,
    content: [u8; 8],
    raw: [u8; 8],
}

/// What is remembered of messages whose ids are near each other: a few bytes, and 20 for each.
#[derive(Debug, PartialEq, Eq)]
pub struct Packed {
    /// The lowest id.
    first: i64,
    /// Ascending, never empty; an id may stand several times, once for each version.
    entries: Box<[Entry]>,
}

/// A batch of one chat as it is added: run, when its export was made, number of the batch, messages.
pub type Batch = (RunId, i64, u32, Vec<Packed>);

struct Segment {
    run: u32,
    /// The number of the batch.
    seq: u32,
    /// The highest id of this segment and all before it.
    reach: i64,
    packed: Packed,
}

/// The segments of a chat, by their first ids.
#[derive(Default)]
struct Chat(Vec<Segment>);

/// What is remembered.
#[derive(Default)]
pub struct Table {
    /// The key of all hashes.
    pub key: [u8; 32],
    /// The account's own user id.
    pub owner: Option<i64>,
    /// The fingerprint of an import that has not come to its end, and its run.
    pub unfinished: Option<(u64, RunId)>,
    /// Descriptions that imports stored, by the hash of their path: when they were made, and a hash of what they say.
    pub described: BTreeMap<u64, (i64, u64)>,
    runs: Vec<(RunId, i64)>,
    chats: BTreeMap<Peer, Chat>,
}

impl Packed {
    /// Packs the messages of a batch, in whatever order they are: mostly into one piece.
    pub fn pieces(messages: &mut [Fresh]) -> Vec<Self> {
        messages.sort_by_key(|fresh| fresh.id);
        let mut pieces = Vec::new();
        let mut left = &*messages;
        while let Some(Fresh { id: first, .. }) = left.first().copied() {
            // The difference of two numbers of 64 bits is a positive one of 64 bits when the second is not below the first.
            let is_near = |fresh: &Fresh| u32::try_from(fresh.id.abs_diff(first)).is_ok();
            let (near, rest) = left.split_at(left.partition_point(is_near));
            let mut entries = Vec::with_capacity(near.len());
            entries.extend(near.iter().map(|fresh| Entry {
                behind: u32::try_from(fresh.id.abs_diff(first)).unwrap_or(u32::MAX),
                content: fresh.content.to_le_bytes(),
                raw: fresh.raw.to_le_bytes(),
            }));
            entries.dedup();
            pieces.push(Self { first, entries: entries.into() });
            left = rest;
        }
        pieces
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.first.to_le_bytes())?;
        length(out, self.entries.len())?;
        let mut buffer = Vec::with_capacity(self.entries.len().min(AT_ONCE) * ENTRY_BYTES);
        for entries in self.entries.chunks(AT_ONCE) {
            buffer.clear();
            for entry in entries {
                buffer.extend_from_slice(&entry.behind.to_le_bytes());
                buffer.extend_from_slice(&entry.content);
                buffer.extend_from_slice(&entry.raw);
            }
            out.write_all(&buffer)?;
        }
        Ok(())
    }

    fn read(input: &mut dyn Read) -> io::Result<Self> {
        let first = i64::from_le_bytes(read(input)?);
        let mut left = usize::try_from(read_length(input)?).map_err(|_| damaged())?;
        let mut entries = Vec::new();
        let mut buffer = vec![0; left.min(AT_ONCE) * ENTRY_BYTES];
        while left > 0 {
            let count = left.min(AT_ONCE);
            let bytes = buffer.get_mut(..count * ENTRY_BYTES).unwrap_or_default();
            input.read_exact(bytes)?;
            // A length that is not true costs little memory.
            if entries.capacity() - entries.len() < count {
                entries.reserve_exact(left.min(AT_LEAST.max(entries.len())));
            }
            entries.extend(bytes.as_chunks::<ENTRY_BYTES>().0.iter().filter_map(|&[a, b, c, d, ref hashes @ ..]| {
                let [content, raw] = *hashes.as_chunks::<8>().0 else { return None };
                Some(Entry { behind: u32::from_le_bytes([a, b, c, d]), content, raw })
            }));
            left -= count;
        }
        let is_sound = entries.first().is_some_and(|entry: &Entry| entry.behind == 0) && entries.is_sorted_by_key(|entry| entry.behind);
        let last = entries.last().and_then(|entry| first.checked_add(entry.behind.into()));
        if !is_sound || last.is_none() {
            return Err(damaged());
        }
        Ok(Self { first, entries: entries.into() })
    }

    fn last(&self) -> i64 {
        self.entries.last().map_or(self.first, |entry| self.first.saturating_add(entry.behind.into()))
    }

    /// The versions of a message.
    fn of(&self, id: i64) -> &[Entry] {
        let Ok(behind) = u32::try_from(i128::from(id) - i128::from(self.first)) else { return &[] };
        let from = self.entries.partition_point(|entry| entry.behind < behind);
        let found = self.entries.get(from..).unwrap_or_default();
        found.get(..found.iter().take_while(|entry| entry.behind == behind).count()).unwrap_or_default()
    }
}

impl Chat {
    /// To be called after segments were added or removed.
    fn order(&mut self) {
        self.0.sort_by_key(|segment| segment.packed.first);
        let mut reach = i64::MIN;
        for segment in &mut self.0 {
            reach = reach.max(segment.packed.last());
            segment.reach = reach;
        }
    }

    fn notes(&self, id: i64) -> impl Iterator<Item = Note> {
        let behind = self.0.partition_point(|segment| segment.packed.first <= id);
        let near = self.0.get(..behind).unwrap_or_default().iter().rev().take_while(move |segment| segment.reach >= id);
        near.flat_map(move |segment| {
            let note = |entry: &Entry| (u64::from_le_bytes(entry.content), u64::from_le_bytes(entry.raw));
            segment.packed.of(id).iter().map(note).map(move |(content, raw)| Note { id, content, raw, run: segment.run })
        })
    }
}

impl Table {
    /// An empty table with the key of its hashes.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, ..Self::default() }
    }

    /// The runs that stored something.
    pub fn runs(&self) -> &[(RunId, i64)] {
        &self.runs
    }

    /// A run by its number.
    pub fn run(&self, number: u32) -> Option<&RunId> {
        self.runs.get(number as usize).map(|(run, _)| run)
    }

    /// When the export of a run was made.
    pub fn observed(&self, number: u32) -> i64 {
        self.runs.get(number as usize).map_or(i64::MIN, |(_, observed)| *observed)
    }

    fn number(&mut self, run: &RunId, observed: i64) -> u32 {
        let found = self.runs.iter().rposition(|(known, _)| known == run);
        let index = found.unwrap_or_else(|| {
            self.runs.push((run.clone(), observed));
            self.runs.len() - 1
        });
        u32::try_from(index).unwrap_or(u32::MAX)
    }

    /// The versions of a message, those of run `but` left out.
    pub fn notes(&self, peer: Peer, id: i64, but: &RunId) -> Vec<Note> {
        let Some(chat) = self.chats.get(&peer) else { return Vec::new() };
        chat.notes(id).filter(|note| self.run(note.run) != Some(but)).collect()
    }

    /// The chats of this kind that have a message with this id.
    pub fn chats_with(&self, kind: PeerKind, id: i64) -> Vec<Peer> {
        self.chats.iter().filter(|(peer, chat)| peer.kind == kind && chat.notes(id).next().is_some()).map(|(peer, _)| *peer).collect()
    }

    /// Every batch, where its ids lie far apart several times: its chat, its run with the run's number, and its own number.
    pub fn batches(&self) -> impl Iterator<Item = (Peer, &RunId, u32, u32)> {
        let segments = self.chats.iter().flat_map(|(peer, chat)| chat.0.iter().map(|segment| (*peer, segment.run, segment.seq)));
        segments.filter_map(|(peer, run, seq)| Some((peer, self.run(run)?, run, seq)))
    }

    /// Forgets what a run stored of a chat.
    pub fn forget(&mut self, peer: Peer, run: u32) {
        if let Some(chat) = self.chats.get_mut(&peer) {
            chat.0.retain(|segment| segment.run != run);
            chat.order();
        }
    }

    /// Takes batches in; one that is known already, of a run that went on where it had stopped, takes the place of what it was.
    pub fn add(&mut self, batches: BTreeMap<Peer, Vec<Batch>>) {
        for (peer, batches) in batches {
            for (run, observed, seq, pieces) in batches {
                let run = self.number(&run, observed);
                let chat = self.chats.entry(peer).or_default();
                chat.0.retain(|segment| (segment.run, segment.seq) != (run, seq));
                chat.0.extend(pieces.into_iter().map(|packed| Segment { run, seq, reach: i64::MIN, packed }));
            }
            if let Some(chat) = self.chats.get_mut(&peer) {
                chat.order();
            }
        }
    }

    /// Writes the table.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&self.key)?;
        out.write_all(&self.owner.unwrap_or(0).to_le_bytes())?;
        length(out, self.runs.len())?;
        for (run, observed) in &self.runs {
            text(out, run.as_str())?;
            out.write_all(&observed.to_le_bytes())?;
        }
        length(out, usize::from(self.unfinished.is_some()))?;
        if let Some((print, run)) = &self.unfinished {
            out.write_all(&print.to_le_bytes())?;
            text(out, run.as_str())?;
        }
        length(out, self.described.len())?;
        for (path, (observed, content)) in &self.described {
            out.write_all(&path.to_le_bytes())?;
            out.write_all(&observed.to_le_bytes())?;
            out.write_all(&content.to_le_bytes())?;
        }
        length(out, self.chats.len())?;
        for (peer, chat) in &self.chats {
            text(out, &peer.to_string())?;
            length(out, chat.0.len())?;
            for Segment { run, seq, packed, .. } in &chat.0 {
                out.write_all(&run.to_le_bytes())?;
                out.write_all(&seq.to_le_bytes())?;
                packed.write(out)?;
            }
        }
        Ok(())
    }

    /// Reads a table.
    ///
    /// # Errors
    /// Those of the input, and when it is not a table of a version that this program knows.
    pub fn read(input: &mut dyn Read) -> io::Result<Self> {
        Self::read_all(input, true)
    }

    /// Reads a table, keeps no message of it in memory, and says whether any run stored something.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn look_over(input: &mut dyn Read) -> io::Result<bool> {
        Self::read_all(input, false).map(|table| !table.runs.is_empty())
    }

    fn read_all(input: &mut dyn Read, keeps_messages: bool) -> io::Result<Self> {
        if read::<4>(input)? != MAGIC || u32::from_le_bytes(read(input)?) != VERSION {
            return Err(damaged());
        }
        let mut table = Self { key: read(input)?, ..Self::default() };
        table.owner = Some(i64::from_le_bytes(read(input)?)).filter(|owner| *owner != 0);
        for _ in 0..read_length(input)? {
            let run = read_text(input)?.parse().map_err(|_| damaged())?;
            table.runs.push((run, i64::from_le_bytes(read(input)?)));
        }
        if read_length(input)? > 0 {
            let print = u64::from_le_bytes(read(input)?);
            table.unfinished = Some((print, read_text(input)?.parse().map_err(|_| damaged())?));
        }
        for _ in 0..read_length(input)? {
            let path = u64::from_le_bytes(read(input)?);
            table.described.insert(path, (i64::from_le_bytes(read(input)?), u64::from_le_bytes(read(input)?)));
        }
        for _ in 0..read_length(input)? {
            let peer: Peer = read_text(input)?.parse().map_err(|_| damaged())?;
            let mut chat = Chat::default();
            for _ in 0..read_length(input)? {
                let (run, seq) = (u32::from_le_bytes(read(input)?), u32::from_le_bytes(read(input)?));
                let packed = Packed::read(input)?;
                if keeps_messages {
                    chat.0.push(Segment { run, seq, reach: i64::MIN, packed });
                }
            }
            chat.order();
            table.chats.insert(peer, chat);
        }
        Ok(table)
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it has another form than this version of tgvault writes")
}

fn length(out: &mut dyn Write, length: usize) -> io::Result<()> {
    out.write_all(&(length as u64).to_le_bytes())
}

fn text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    length(out, text.len())?;
    out.write_all(text.as_bytes())
}

fn read<const N: usize>(input: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_length(input: &mut dyn Read) -> io::Result<u64> {
    Some(u64::from_le_bytes(read(input)?)).filter(|length| *length < MAX_LENGTH).ok_or_else(damaged)
}

fn read_text(input: &mut dyn Read) -> io::Result<String> {
    let length = read_length(input)?;
    let mut text = String::new();
    if length > 256 || input.take(length).read_to_string(&mut text)? as u64 != length {
        return Err(damaged());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PEER: Peer = Peer { kind: PeerKind::User, id: 1 };

    fn ids() -> impl Strategy<Value = i64> {
        prop_oneof![8 => 0..300_i64, 2 => -5..5_i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
    }

    fn again(table: &Table) -> Table {
        let mut written = Vec::new();
        table.write(&mut written).unwrap();
        let read = Table::read(&mut &written[..]).unwrap();
        let mut once_more = Vec::new();
        read.write(&mut once_more).unwrap();
        assert!(written == once_more);
        assert_eq!(Table::look_over(&mut &written[..]).unwrap(), !read.runs().is_empty());
        read
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        #[test]
        fn every_version_is_found_by_its_id_until_its_run_is_forgotten(
            batches in proptest::collection::vec(
                (0..3_u32, 0..6_u32, proptest::collection::vec((ids(), 1..4_u64), 1..60)), 0..12,
            ),
            asked in proptest::collection::vec(ids(), 20),
            forgotten in 0..3_u32,
        ) {
            let runs: Vec<RunId> = ["a", "b", "c"].iter().map(|run| run.parse().unwrap()).collect();
            let run_of = |number: u32| runs[number as usize].clone();
            let mut table = Table::new([1; 32]);
            let mut expected: BTreeMap<(u32, u32), Vec<(i64, u64)>> = BTreeMap::new();
            for (run, seq, messages) in batches {
                let mut fresh: Vec<Fresh> = messages.iter().map(|&(id, content)| Fresh { id, content, raw: content + 7 }).collect();
                let batch = (run_of(run), i64::from(run), seq, Packed::pieces(&mut fresh));
                table.add(BTreeMap::from([(PEER, vec![batch])]));
                expected.insert((run, seq), messages);
            }
            let everything: Vec<i64> = expected.values().flatten().map(|(id, _)| *id).chain(asked).collect();
            let check = |table: &Table, expected: &BTreeMap<(u32, u32), Vec<(i64, u64)>>| {
                for &id in &everything {
                    let notes = table.notes(PEER, id, &run_of(1));
                    let mut found: Vec<(RunId, u64)> = notes.iter().map(|note| (table.run(note.run).unwrap().clone(), note.content)).collect();
                    assert!(notes.iter().all(|note| note.id == id && note.raw == note.content + 7));
                    let of_id = expected.iter().filter(|((run, _), _)| *run != 1).flat_map(|((run, _), messages)| {
                        messages.iter().filter(|message| message.0 == id).map(|message| (run_of(*run), message.1))
                    });
                    let mut wanted: Vec<(RunId, u64)> = of_id.collect();
                    for list in [&mut found, &mut wanted] {
                        list.sort();
                        list.dedup();
                    }
                    assert_eq!(found, wanted, "id {id}");
                }
                let batches: std::collections::BTreeSet<(RunId, u32)> = table.batches().map(|(_, run, _, seq)| (run.clone(), seq)).collect();
                assert_eq!(batches, expected.keys().map(|(run, seq)| (run_of(*run), *seq)).collect());
            };
            check(&table, &expected);
            let mut table = again(&table);
            check(&table, &expected);
            if let Some(number) = table.runs().iter().position(|(run, _)| *run == run_of(forgotten)) {
                table.forget(PEER, u32::try_from(number).unwrap());
                expected.retain(|(run, _), _| *run != forgotten);
            }
            check(&again(&table), &expected);
        }
    }

    #[test]
    fn a_message_takes_20_bytes_in_memory_and_in_the_file() {
        assert_eq!(size_of::<Entry>(), ENTRY_BYTES);
        let size = |count: i64| {
            let mut fresh: Vec<Fresh> = (0..count).map(|id| Fresh { id, content: 1, raw: 2 }).collect();
            let mut table = Table::new([1; 32]);
            table.add(BTreeMap::from([(PEER, vec![("a".parse().unwrap(), 1, 1, Packed::pieces(&mut fresh))])]));
            let mut written = Vec::new();
            again(&table).write(&mut written).unwrap();
            written.len()
        };
        assert_eq!(size(10_001) - size(1), 10_000 * ENTRY_BYTES);
    }

    #[test]
    fn lengths_and_ids_that_are_not_true_are_refused() {
        let mut fresh = [Fresh { id: i64::MAX - 1, content: 1, raw: 2 }, Fresh { id: i64::MAX, content: 1, raw: 2 }];
        let mut table = Table::new([1; 32]);
        table.add(BTreeMap::from([(PEER, vec![("a".parse().unwrap(), 1, 1, Packed::pieces(&mut fresh))])]));
        let mut written = Vec::new();
        table.write(&mut written).unwrap();
        let last = written.len() - ENTRY_BYTES;
        let count = last - ENTRY_BYTES - 8;
        for (place, value) in [(last, 2), (last - ENTRY_BYTES, 1), (count, 0), (count, 3), (count + 3, 255), (4, 1)] {
            let mut changed = written.clone();
            changed[place] = value;
            assert!(Table::read(&mut &changed[..]).is_err() && Table::look_over(&mut &changed[..]).is_err(), "byte {place}");
        }
    }
}
