//! The table of stored messages: for each chat, columns sorted by id.
//!
//! The stored form is binary, little-endian, each list with its length before it:
//!
//! ```text
//! "tgvi" version:u32 key:[u8;32] owner:i64
//! runs:        { name, observed:i64 }
//! unfinished:  0, or 1 fingerprint:u64 name
//! described:   { path:u64 observed:i64 content:u64 }
//! chats:       { peer, batches: { run:u32 seq:u32 }, ids:i64…, content:u64…, raw:u64…, run:u32… }
//! ```

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use crate::model::paths::RunId;
use crate::model::peer::Peer;

const MAGIC: [u8; 4] = *b"tgvi";
const VERSION: u32 = 1;

/// No list of a sound table is longer.
const MAX_LENGTH: u64 = 1 << 32;

/// How many numbers are read or written at a time.
const AT_ONCE: usize = 4096;

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

/// Batches of one chat as they are added: run, when its export was made, number of the batch, messages.
pub type Batches = Vec<(RunId, i64, u32, Vec<Fresh>)>;

#[derive(Default)]
struct Chat {
    /// Run and number.
    batches: Vec<(u32, u32)>,
    /// Ascending; an id may stand several times, once for each version.
    ids: Vec<i64>,
    content: Vec<u64>,
    raw: Vec<u64>,
    run: Vec<u32>,
}

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

impl Chat {
    fn note(&self, at: usize) -> Option<Note> {
        let (id, content) = (*self.ids.get(at)?, *self.content.get(at)?);
        Some(Note { id, content, raw: *self.raw.get(at)?, run: *self.run.get(at)? })
    }

    fn push(&mut self, note: Note) {
        self.ids.push(note.id);
        self.content.push(note.content);
        self.raw.push(note.raw);
        self.run.push(note.run);
    }

    fn reserve(&mut self, count: usize) {
        self.ids.reserve_exact(count);
        self.content.reserve_exact(count);
        self.raw.reserve_exact(count);
        self.run.reserve_exact(count);
    }

    /// Takes the messages of one batch in.
    fn merge(&mut self, run: u32, mut more: Vec<Fresh>) {
        more.sort_by_key(|fresh| fresh.id);
        more.dedup();
        let note = |fresh: Fresh| Note { id: fresh.id, content: fresh.content, raw: fresh.raw, run };
        let is_behind = self.ids.last().is_none_or(|last| more.first().is_none_or(|first| *last < first.id));
        if is_behind {
            more.into_iter().for_each(|fresh| self.push(note(fresh)));
            return;
        }
        let mut merged = Self { batches: std::mem::take(&mut self.batches), ..Self::default() };
        merged.reserve(self.ids.len() + more.len());
        let mut more = more.into_iter().map(note).peekable();
        for at in 0..self.ids.len() {
            let Some(note) = self.note(at) else { break };
            while let Some(next) = more.next_if(|next| next.id < note.id) {
                merged.push(next);
            }
            // The same note again, of a run that went on where it had stopped.
            while more.next_if_eq(&note).is_some() {}
            merged.push(note);
        }
        more.for_each(|note| merged.push(note));
        *self = merged;
    }

    fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        let mut kept = Self { batches: std::mem::take(&mut self.batches), ..Self::default() };
        kept.batches.retain(|(run, _)| keep(*run));
        (0..self.ids.len()).filter_map(|at| self.note(at)).filter(|note| keep(note.run)).for_each(|note| kept.push(note));
        *self = kept;
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
        let from = chat.ids.partition_point(|known| *known < id);
        let notes = (from..).map_while(|at| chat.note(at).filter(|note| note.id == id));
        notes.filter(|note| self.run(note.run) != Some(but)).collect()
    }

    /// Every batch: its chat, its run with the run's number, and its own number.
    pub fn batches(&self) -> impl Iterator<Item = (Peer, &RunId, u32, u32)> {
        let of = |(peer, chat): (&Peer, &'_ Chat)| {
            let peer = *peer;
            chat.batches.iter().map(move |(run, seq)| (peer, *run, *seq)).collect::<Vec<_>>()
        };
        self.chats.iter().flat_map(of).filter_map(|(peer, run, seq)| Some((peer, self.run(run)?, run, seq)))
    }

    /// Forgets what a run stored of a chat.
    pub fn forget(&mut self, peer: Peer, run: u32) {
        if let Some(chat) = self.chats.get_mut(&peer) {
            chat.retain(|known| known != run);
        }
    }

    /// Takes batches in.
    pub fn add(&mut self, batches: BTreeMap<Peer, Batches>) {
        for (peer, mut batches) in batches {
            // In their order most of them only have to be put behind the others.
            batches.sort_by_key(|(_, observed, seq, _)| (*observed, *seq));
            let count = batches.iter().map(|(_, _, _, notes)| notes.len()).sum();
            self.chats.entry(peer).or_default().reserve(count);
            for (run, observed, seq, notes) in batches {
                let run = self.number(&run, observed);
                let chat = self.chats.entry(peer).or_default();
                if !chat.batches.contains(&(run, seq)) {
                    chat.batches.push((run, seq));
                }
                chat.merge(run, notes);
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
            length(out, chat.batches.len())?;
            for (run, seq) in &chat.batches {
                out.write_all(&run.to_le_bytes())?;
                out.write_all(&seq.to_le_bytes())?;
            }
            numbers(out, &chat.ids, i64::to_le_bytes)?;
            numbers(out, &chat.content, u64::to_le_bytes)?;
            numbers(out, &chat.raw, u64::to_le_bytes)?;
            numbers(out, &chat.run, u32::to_le_bytes)?;
        }
        Ok(())
    }

    /// Reads a table.
    ///
    /// # Errors
    /// Those of the input, and when it is not a table of a version that this program knows.
    pub fn read(input: &mut dyn Read) -> io::Result<Self> {
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
                chat.batches.push((u32::from_le_bytes(read(input)?), u32::from_le_bytes(read(input)?)));
            }
            chat.ids = read_numbers(input, i64::from_le_bytes)?;
            chat.content = read_numbers(input, u64::from_le_bytes)?;
            chat.raw = read_numbers(input, u64::from_le_bytes)?;
            chat.run = read_numbers(input, u32::from_le_bytes)?;
            let count = chat.ids.len();
            if [chat.content.len(), chat.raw.len(), chat.run.len()] != [count; 3] || !chat.ids.is_sorted() {
                return Err(damaged());
            }
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

fn numbers<T: Copy, const N: usize>(out: &mut dyn Write, numbers: &[T], bytes: fn(T) -> [u8; N]) -> io::Result<()> {
    length(out, numbers.len())?;
    let mut buffer = Vec::with_capacity(AT_ONCE * N);
    for chunk in numbers.chunks(AT_ONCE) {
        buffer.clear();
        chunk.iter().for_each(|number| buffer.extend_from_slice(&bytes(*number)));
        out.write_all(&buffer)?;
    }
    Ok(())
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

fn read_numbers<T, const N: usize>(input: &mut dyn Read, number: fn([u8; N]) -> T) -> io::Result<Vec<T>> {
    let mut left = usize::try_from(read_length(input)?).map_err(|_| damaged())?;
    let mut numbers = Vec::new();
    let mut buffer = vec![0; AT_ONCE * N];
    while left > 0 {
        let count = left.min(AT_ONCE);
        let bytes = buffer.get_mut(..count * N).unwrap_or_default();
        input.read_exact(bytes)?;
        // As many as were read: a length that is not true costs no memory.
        numbers.reserve_exact(if numbers.capacity() - numbers.len() < count { count.max(numbers.len()).min(left) } else { 0 });
        numbers.extend(bytes.as_chunks::<N>().0.iter().map(|bytes| number(*bytes)));
        left -= count;
    }
    Ok(numbers)
}
