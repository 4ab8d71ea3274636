//! Contents that this machine knows to be in the vault, beside those of the last snapshot: what it stored before, from any source, and
//! what it saw there with a key. So a content that one snapshot lacked, or that comes from another folder, is not stored again.
//!
//! Each commit leaves a file: what it has stored, by SHA-256 and place. Many become one. Nothing depends on them: what is forgotten, or
//! no longer in the store, is stored again.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, Read, Write};

use serde::{Deserialize, Serialize};

use crate::model::digest::Id;
use crate::operations::OperationError;
use crate::repository::Machine;
use crate::repository::format::snapshot::ArchiveRecord;
use crate::state::{SealedFolder, StateError};

const FOLDER: &str = "contents";

/// The most contents that are kept in mind, the newest first: some 40 MB of memory.
const MOST: usize = 400_000;

/// From so many files on, they are made one.
const MAX_FILES: usize = 32;

/// The most archives that a file speaks of, and names of snapshots.
const MAX_HEADER_BYTES: u64 = 256 * 1024 * 1024;

/// The first half of a content's SHA-256.
pub(super) type ContentKey = [u8; 16];

/// Where a content is. Kept small: there may be hundreds of thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// A number that the list of archives beside it explains.
    pub archive: u32,
    pub frame: u32,
    pub offset: u64,
    pub length: u64,
}

/// Bytes of a content in a file.
const CONTENT_BYTES: usize = 16 + 4 + 4 + 8 + 8;

/// The first line of a file; contents follow.
#[derive(Serialize, Deserialize)]
struct Header {
    /// The snapshots whose contents are known by it.
    stems: Vec<String>,
    archives: Vec<ArchiveRecord>,
    /// Whether these are all contents of the archives, also those that no state has any more.
    is_whole: bool,
}

/// What this machine remembers of the contents in one vault.
pub(super) struct Remembered {
    folder: SealedFolder,
    machine: Machine,
    files: Vec<String>,
    /// The snapshots whose contents are known.
    stems: HashSet<String>,
    archives: HashMap<Id, ArchiveRecord>,
    /// The archives of which all contents are known.
    whole: HashSet<Id>,
    contents: Vec<(Id, ContentKey, Piece)>,
    /// Whether what is added is needed in this run still.
    is_released: bool,
}

impl Remembered {
    /// Reads what is remembered of archives that are still stored.
    ///
    /// # Errors
    /// When the folder cannot be read. Files that cannot be are passed over.
    pub fn read(repository: &SealedFolder, machine: &Machine, is_stored: impl Fn(&ArchiveRecord) -> bool) -> Result<Self, OperationError> {
        let folder = repository.folder(FOLDER)?;
        let mut this = Self {
            folder,
            machine: machine.clone(),
            files: Vec::new(),
            stems: HashSet::new(),
            archives: HashMap::new(),
            whole: HashSet::new(),
            contents: Vec::new(),
            is_released: false,
        };
        let mut names = this.folder.names()?;
        names.retain(|name| name.ends_with(".age"));
        // They begin with the time.
        names.sort_unstable_by(|a, b| b.cmp(a));
        for name in names {
            if let Err(error) = this.read_file(&name, &is_stored) {
                tracing::warn!(name, %error, "what it remembers is passed over");
            }
            this.files.push(name);
        }
        Ok(this)
    }

    fn read_file(&mut self, name: &str, is_stored: &impl Fn(&ArchiveRecord) -> bool) -> Result<(), OperationError> {
        let failed = |error: io::Error| StateError::Damaged { path: self.folder.path().join(name), why: error.to_string() };
        let Some(mut reader) = self.folder.reader(name)? else { return Ok(()) };
        let mut line = Vec::new();
        (&mut reader).take(MAX_HEADER_BYTES).read_until(b'\n', &mut line).map_err(failed)?;
        let header: Header = serde_json::from_slice(&line).map_err(|error| failed(error.into()))?;
        let ids: Vec<Option<Id>> = header.archives.iter().map(|record| is_stored(record).then_some(record.id)).collect();
        let mut bytes = [0; CONTENT_BYTES];
        let mut contents = Vec::new();
        while self.contents.len() + contents.len() < MOST && read_content(&mut reader, &mut bytes).map_err(failed)? {
            let (key, piece) = decode(&bytes);
            if let Some(Some(id)) = ids.get(piece.archive as usize) {
                contents.push((*id, key, piece));
            }
        }
        self.contents.extend(contents);
        self.stems.extend(header.stems);
        self.whole.extend(ids.into_iter().flatten().filter(|_| header.is_whole));
        self.archives.extend(header.archives.into_iter().filter(is_stored).map(|record| (record.id, record)));
        Ok(())
    }

    /// Whether the contents of a snapshot are known.
    pub fn knows(&self, stem: &str) -> bool {
        self.stems.contains(stem)
    }

    /// Whether all contents of an archive are known.
    pub fn has_all_of(&self, archive: Id) -> bool {
        self.whole.contains(&archive)
    }

    /// The contents, each with its archive.
    pub fn contents(&self) -> &[(Id, ContentKey, Piece)] {
        &self.contents
    }

    /// The archives that the contents are in.
    pub fn archives(&self) -> impl Iterator<Item = &ArchiveRecord> {
        self.archives.values()
    }

    /// Frees what only a run's beginning needs.
    pub fn release(&mut self) {
        (self.contents, self.archives, self.whole) = (Vec::new(), HashMap::new(), HashSet::new());
        self.is_released = true;
    }

    /// Remembers contents of `archives`, by which those of the snapshots `stems` are known; `is_whole` says that these are all that
    /// the archives have.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn add(
        &mut self,
        stems: Vec<String>,
        archives: Vec<ArchiveRecord>,
        contents: Vec<(Id, ContentKey, Piece)>,
        is_whole: bool,
    ) -> Result<(), OperationError> {
        let header = Header { stems, archives, is_whole };
        let name = self.write(&header, &contents)?;
        self.files.push(name);
        if !self.is_released {
            self.stems.extend(header.stems);
            self.whole.extend(header.archives.iter().map(|record| record.id).filter(|_| is_whole));
            self.archives.extend(header.archives.into_iter().map(|record| (record.id, record)));
            self.contents.extend(contents);
        }
        Ok(())
    }

    /// Makes one file of many, while all that they say is in mind.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn join(&mut self) -> Result<(), OperationError> {
        if self.files.len() < MAX_FILES {
            return Ok(());
        }
        // A run of another source is at it.
        let Ok(_lock) = self.folder.lock("join.lock") else { return Ok(()) };
        let mut stems: Vec<String> = self.stems.iter().cloned().collect();
        stems.sort_unstable();
        let archives: Vec<ArchiveRecord> = self.archives.values().cloned().collect();
        let is_whole = archives.iter().all(|record| self.whole.contains(&record.id));
        let name = self.write(&Header { stems, archives, is_whole }, &self.contents)?;
        let joined: HashSet<String> = std::mem::replace(&mut self.files, vec![name]).into_iter().collect();
        Ok(self.folder.retain(|name| !joined.contains(name))?)
    }

    fn write(&self, header: &Header, contents: &[(Id, ContentKey, Piece)]) -> Result<String, OperationError> {
        let name = format!("{:016x}-{}.age", self.machine.now().as_millisecond().max(0), self.machine.id()?);
        let failed = |source: io::Error| StateError::File { operation: "write", path: self.folder.path().join(&name), source };
        let numbers: HashMap<Id, u32> = (0..).zip(&header.archives).map(|(number, record)| (record.id, number)).collect();
        let mut writer = self.folder.writer(&name)?;
        let mut bytes = serde_json::to_vec(header).map_err(|error| failed(error.into()))?;
        bytes.push(b'\n');
        for (id, key, piece) in contents {
            if let Some(&archive) = numbers.get(id) {
                bytes.extend_from_slice(&encode(key, &Piece { archive, ..*piece }));
            }
            if bytes.len() > 1 << 16 {
                writer.write_all(&bytes).map_err(failed)?;
                bytes.clear();
            }
        }
        writer.write_all(&bytes).map_err(failed)?;
        writer.finish()?;
        Ok(name)
    }
}

fn encode(key: &ContentKey, piece: &Piece) -> [u8; CONTENT_BYTES] {
    let mut bytes = [0; CONTENT_BYTES];
    let fields: [&[u8]; 5] =
        [key, &piece.archive.to_le_bytes(), &piece.frame.to_le_bytes(), &piece.offset.to_le_bytes(), &piece.length.to_le_bytes()];
    for (byte, from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
        *byte = *from;
    }
    bytes
}

fn decode(bytes: &[u8; CONTENT_BYTES]) -> (ContentKey, Piece) {
    fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
        bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }
    let piece = Piece {
        archive: u32::from_le_bytes(field(bytes, 16)),
        frame: u32::from_le_bytes(field(bytes, 20)),
        offset: u64::from_le_bytes(field(bytes, 24)),
        length: u64::from_le_bytes(field(bytes, 32)),
    };
    (field(bytes, 0), piece)
}

/// Reads the next content; `false` at the end.
fn read_content(reader: &mut impl Read, bytes: &mut [u8; CONTENT_BYTES]) -> io::Result<bool> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;
    use crate::state::StateFolder;

    fn record(number: u8) -> ArchiveRecord {
        ArchiveRecord {
            id: Id([number; 16]),
            object: format!("archives/{number}"),
            length: 1,
            sha256: Digest([0; 32]),
            header_sha256: Digest([0; 32]),
            merged: false,
            own: None,
        }
    }

    fn content(archive: u8, content: u8) -> (Id, ContentKey, Piece) {
        (Id([archive; 16]), [content; 16], Piece { archive: 0, frame: 1, offset: 1 << 40, length: u64::from(content) })
    }

    fn sorted(remembered: &Remembered) -> Vec<(Id, ContentKey, u64)> {
        let mut contents: Vec<_> = remembered.contents().iter().map(|(id, key, piece)| (*id, *key, piece.length)).collect();
        contents.sort_unstable();
        contents
    }

    #[test]
    fn what_is_added_is_remembered_and_what_is_gone_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(folder.path().join("state"), None).unwrap();
        let (kept, machine) = (state.repository(Id([9; 16])).unwrap(), Machine::default());
        let mut first = Remembered::read(&kept, &machine, |_| true).unwrap();
        for number in 0..40 {
            let (archives, contents) = (vec![record(number)], vec![content(number, number), content(number, 100)]);
            first.add(vec![format!("stem-{number}")], archives, contents, true).unwrap();
        }
        let mut again = Remembered::read(&kept, &machine, |record| record.id != Id([3; 16])).unwrap();
        assert!(again.knows("stem-39") && !again.knows("stem-40"));
        assert!(again.has_all_of(Id([4; 16])) && !again.has_all_of(Id([3; 16])));
        assert_eq!(again.contents().len(), 78);
        let before = sorted(&again);
        again.join().unwrap();
        let joined = Remembered::read(&kept, &machine, |_| true).unwrap();
        assert_eq!((joined.files.len(), sorted(&joined)), (1, before));
        assert!(joined.knows("stem-3"));
        assert!(joined.contents().iter().all(|(_, _, piece)| piece.offset == 1 << 40 && piece.frame == 1));
    }
}
