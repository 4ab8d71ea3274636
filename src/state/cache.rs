//! What this machine has read of a repository and checked, kept so that the next run need not read it again.
//!
//! A cache is a folder of sealed segments, each written once: pieces one after the other, then a directory of their names, places
//! and SHA-256, which names the repository too. Nothing depends on it: what is missing, cut, changed, sealed with another key or of
//! another repository or version is as if it had never been kept, and its file goes. Processes do not wait for each other: each
//! writes segments of its own.
//!
//! What is kept are bytes as they are stored, sealed for those who may read them: a machine without a reading key learns nothing
//! from its cache.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::folder::{MachineKey, StateFolder};
use super::sealed::Replacement;
use super::{Lock, SealedFolder, StateError};
use crate::crypt::digest::sha256;
use crate::crypt::header::{self, MAX_HEADER_BYTES};
use crate::crypt::payload::{self, CHUNK_BYTES, PayloadKey, SEALED_CHUNK_BYTES};
use crate::model::digest::{Digest, Id};

/// The folder of a repository's cache.
const FOLDER: &str = "cache";

/// The form of segments; one of another form is dropped.
const VERSION: u32 = 1;

/// The last bytes of a segment, behind the length of its directory.
const MAGIC: &[u8; 8] = b"tgvcache";

/// What a cache takes of the disk at most; beyond it, the oldest segment goes.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// The longest piece that is kept.
const MAX_PIECE_BYTES: usize = 16 * 1024 * 1024;

/// New pieces are held in memory up to this.
const FRESH_BYTES: usize = 8 * 1024 * 1024;

/// From this many segments on, the smaller ones are made one.
const MAX_SEGMENTS: usize = 8;

/// A segment of this length stays as it is.
const FULL_BYTES: u64 = 32 * 1024 * 1024;

/// The longest directory that is read.
const MAX_DIRECTORY_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Directory {
    cache: u32,
    repository: Id,
    pieces: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    at: u64,
    length: usize,
    sha256: Digest,
}

/// The cache of one repository on this machine.
pub struct Cache {
    folder: PathBuf,
    key: Arc<MachineKey>,
    repository: Id,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    segments: Vec<Segment>,
    fresh: HashMap<String, Bytes>,
    fresh_bytes: usize,
}

struct Segment {
    path: PathBuf,
    file: File,
    key: PayloadKey,
    header_bytes: u64,
    plain_bytes: u64,
    stored_bytes: u64,
    pieces: HashMap<String, (u64, usize, Digest)>,
}

/// What a cache takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheSize {
    /// Pieces that can be read.
    pub pieces: u64,
    /// Bytes on the disk.
    pub bytes: u64,
}

impl Cache {
    /// Opens the cache in a repository's folder. It never fails: what cannot be used is not there.
    pub fn open(folder: &SealedFolder, repository: Id) -> Self {
        let (path, key) = (folder.path().join(FOLDER), folder.key());
        let mut segments: Vec<Segment> = files(&path).iter().filter_map(|path| Segment::open(path, &key, repository)).collect();
        // The newest is asked first.
        segments.sort_by_key(|segment| std::cmp::Reverse(modified(&segment.path)));
        Self { folder: path, key, repository, state: Mutex::new(State { segments, ..State::default() }) }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a piece of this name.
    pub fn has(&self, name: &str) -> bool {
        let state = self.state();
        state.fresh.contains_key(name) || state.segments.iter().any(|segment| segment.pieces.contains_key(name))
    }

    /// The piece of this name, just as it was kept.
    pub fn get(&self, name: &str) -> Option<Bytes> {
        let mut state = self.state();
        if let Some(bytes) = state.fresh.get(name) {
            return Some(bytes.clone());
        }
        while let Some(at) = state.segments.iter().position(|segment| segment.pieces.contains_key(name)) {
            match state.segments.get(at).and_then(|segment| segment.read(name)) {
                Some(bytes) => return Some(bytes),
                // Nothing else of it is worth more.
                None => drop_file(&state.segments.swap_remove(at).path),
            }
        }
        None
    }

    /// Keeps a piece.
    pub fn keep(&self, name: &str, bytes: &Bytes) {
        if bytes.len() > MAX_PIECE_BYTES {
            return;
        }
        let mut state = self.state();
        state.fresh_bytes += bytes.len();
        if let Some(old) = state.fresh.insert(name.to_owned(), Bytes::copy_from_slice(bytes)) {
            state.fresh_bytes -= old.len();
        }
        if state.fresh_bytes >= FRESH_BYTES {
            self.write(&mut state);
        }
    }

    /// Forgets a piece.
    pub fn forget(&self, name: &str) {
        let mut state = self.state();
        if let Some(bytes) = state.fresh.remove(name) {
            state.fresh_bytes -= bytes.len();
        }
        for segment in &mut state.segments {
            segment.pieces.remove(name);
        }
    }

    /// Writes what is new to the disk. A failure costs requests later, and nothing else.
    pub fn flush(&self) {
        self.write(&mut self.state());
    }

    fn write(&self, state: &mut State) {
        if state.fresh.is_empty() {
            return;
        }
        let fresh = std::mem::take(&mut state.fresh);
        state.fresh_bytes = 0;
        match self.segment_of(fresh.iter().map(|(name, bytes)| (name.as_str(), bytes.clone()))) {
            Ok(segment) => state.segments.extend(segment),
            Err(error) => tracing::debug!(%error, "what was read is not kept"),
        }
        // Without the lock somebody else is at it.
        if state.segments.len() > MAX_SEGMENTS
            && let Ok(_lock) = Lock::take(&self.folder.join("merge.lock"))
        {
            self.merge(state);
        }
        self.limit(state);
    }

    /// Makes small segments one.
    fn merge(&self, state: &mut State) {
        let (small, full): (Vec<Segment>, Vec<Segment>) =
            std::mem::take(&mut state.segments).into_iter().partition(|segment| segment.stored_bytes < FULL_BYTES);
        state.segments = full;
        let mut seen = std::collections::HashSet::new();
        let pieces = small.iter().flat_map(|segment| segment.pieces.keys().map(move |name| (name.as_str(), segment)));
        let pieces =
            pieces.filter(|(name, _)| seen.insert(name.to_string())).filter_map(|(name, segment)| Some((name, segment.read(name)?)));
        match self.segment_of(pieces) {
            Ok(segment) => {
                state.segments.extend(segment);
                small.iter().for_each(|segment| drop_file(&segment.path));
            }
            Err(error) => {
                tracing::debug!(%error, "the cache stays in pieces");
                state.segments.extend(small);
            }
        }
    }

    /// Drops the oldest segments of a cache that is too large.
    fn limit(&self, state: &mut State) {
        let mut kept = 0;
        state.segments.sort_by_key(|segment| std::cmp::Reverse(modified(&segment.path)));
        state.segments.retain(|segment| {
            kept += segment.stored_bytes;
            let fits = kept <= MAX_BYTES;
            if !fits {
                drop_file(&segment.path);
            }
            fits
        });
    }

    /// Writes a segment and opens it.
    fn segment_of<'a>(&self, pieces: impl Iterator<Item = (&'a str, Bytes)>) -> io::Result<Option<Segment>> {
        super::folder::make_private(&self.folder).map_err(io::Error::other)?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let path = self.folder.join(format!("{}.age", Id(random)));
        let replacement = Replacement::create(&path).map_err(io::Error::other)?;
        let mut out = self.key.seal(BufWriter::new(replacement.file.try_clone()?)).map_err(io::Error::other)?;
        let mut directory = Directory { cache: VERSION, repository: self.repository, pieces: Vec::new() };
        let mut at = 0;
        for (name, bytes) in pieces {
            out.write_all(&bytes)?;
            directory.pieces.push(Entry { name: name.to_owned(), at, length: bytes.len(), sha256: sha256(&bytes) });
            at += bytes.len() as u64;
        }
        let directory = serde_json::to_vec(&directory)?;
        out.write_all(&directory)?;
        out.write_all(&(directory.len() as u64).to_le_bytes())?;
        out.write_all(MAGIC)?;
        out.finish()?.flush()?;
        // A cut file is noticed when it is opened: nothing waits for the disk here.
        replacement.rename().map_err(io::Error::other)?;
        Ok(Segment::open(&path, &self.key, self.repository))
    }

    /// What the cache takes.
    pub fn size(&self) -> CacheSize {
        let state = self.state();
        let names: std::collections::HashSet<&String> = state.segments.iter().flat_map(|segment| segment.pieces.keys()).collect();
        CacheSize { pieces: names.len() as u64, bytes: state.segments.iter().map(|segment| segment.stored_bytes).sum() }
    }

    /// Deletes everything that is kept; gives what it took.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn clean(&self) -> io::Result<CacheSize> {
        let size = self.size();
        *self.state() = State::default();
        for path in files(&self.folder) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        // With its lock's file in it, it stays, empty.
        let _ = fs::remove_file(self.folder.join("merge.lock"));
        let _ = fs::remove_dir(&self.folder);
        Ok(size)
    }
}

impl StateFolder {
    /// What is kept of repositories that were read, each with its name.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn caches(&self) -> Result<Vec<(Id, Cache)>, StateError> {
        let entries = fs::read_dir(self.path()).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(StateError::file("read", self.path()))?;
        let mut ids: Vec<Id> = entries.iter().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        ids.sort_unstable_by_key(|id| id.0);
        let mut caches = Vec::new();
        for id in ids {
            let cache = Cache::open(&self.repository(id)?, id);
            if cache.path().exists() {
                caches.push((id, cache));
            }
        }
        Ok(caches)
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Segment {
    /// Opens a segment; one that is not sound goes.
    fn open(path: &Path, key: &MachineKey, repository: Id) -> Option<Self> {
        let opened = Self::try_open(path, key, repository);
        if opened.is_none() {
            drop_file(path);
        }
        opened
    }

    fn try_open(path: &Path, key: &MachineKey, repository: Id) -> Option<Self> {
        let file = File::open(path).ok()?;
        let stored_bytes = file.metadata().ok()?.len();
        let mut head = vec![0; usize::try_from(stored_bytes.min(MAX_HEADER_BYTES as u64).min(4096)).ok()?];
        file.read_exact_at(&mut head, 0).ok()?;
        let (header_bytes, payload_key) = header::open(&head, &key.identities).ok()?;
        let header_bytes = header_bytes as u64;
        let plain_bytes = payload::plain_length(stored_bytes.checked_sub(header_bytes)?).ok()?;
        let mut this =
            Self { path: path.to_owned(), file, key: payload_key, header_bytes, plain_bytes, stored_bytes, pieces: HashMap::new() };
        let end = this.plain(plain_bytes.checked_sub(16)?, 16)?;
        let (length, magic) = end.split_first_chunk::<8>()?;
        let length = u64::from_le_bytes(*length);
        if magic != MAGIC || length > MAX_DIRECTORY_BYTES {
            return None;
        }
        let at = plain_bytes.checked_sub(16)?.checked_sub(length)?;
        let directory: Directory = serde_json::from_slice(&this.plain(at, usize::try_from(length).ok()?)?).ok()?;
        if directory.cache != VERSION || directory.repository != repository {
            return None;
        }
        let places = directory.pieces.into_iter().map(|entry| (entry.name, (entry.at, entry.length, entry.sha256)));
        this.pieces = places.collect();
        Some(this)
    }

    fn read(&self, name: &str) -> Option<Bytes> {
        let &(at, length, digest) = self.pieces.get(name)?;
        let bytes = self.plain(at, length)?;
        (sha256(&bytes) == digest).then(|| Bytes::from(bytes))
    }

    /// Opens the chunks that hold a range of the plain bytes.
    fn plain(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        if length == 0 {
            return Some(Vec::new());
        }
        let end = at.checked_add(length as u64).filter(|&end| end <= self.plain_bytes)?;
        let (first, last) = (at / CHUNK_BYTES as u64, (end - 1) / CHUNK_BYTES as u64);
        let from = self.header_bytes + first * SEALED_CHUNK_BYTES as u64;
        let to = (self.header_bytes + (last + 1) * SEALED_CHUNK_BYTES as u64).min(self.stored_bytes);
        let mut sealed = vec![0; usize::try_from(to.checked_sub(from)?).ok()?];
        self.file.read_exact_at(&mut sealed, from).ok()?;
        let mut plain = Vec::new();
        payload::open_chunks(&self.key, first, to == self.stored_bytes, &sealed, &mut plain).ok()?;
        let skip = usize::try_from(at - first * CHUNK_BYTES as u64).ok()?;
        plain.get(skip..skip + length).map(<[u8]>::to_vec)
    }
}

/// The files of a cache's folder, those of interrupted writes too.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "age" || extension == "tmp")).collect()
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).and_then(|found| found.modified()).ok()
}

/// Removes what is of no use. A file that another process is still writing is left to it.
fn drop_file(path: &Path) {
    /// Nobody writes a segment for so long.
    const ABANDONED: std::time::Duration = std::time::Duration::from_secs(3600);
    let is_being_written = path.extension().is_some_and(|extension| extension == "tmp")
        && modified(path).and_then(|time| time.elapsed().ok()).is_none_or(|age| age < ABANDONED);
    if !is_being_written && let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "a part of the cache that is of no use stays");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPOSITORY: Id = Id([7; 16]);

    fn folder(root: &Path) -> SealedFolder {
        StateFolder::open(root.join("state"), None).unwrap().repository(REPOSITORY).unwrap()
    }

    fn filled(root: &Path) -> SealedFolder {
        let folder = folder(root);
        let cache = Cache::open(&folder, REPOSITORY);
        cache.keep("a", &Bytes::from_static(b"first"));
        cache.keep("b", &Bytes::from(vec![9; 200_000]));
        cache.keep("c", &Bytes::new());
        folder
    }

    fn segment(folder: &SealedFolder) -> PathBuf {
        let mut found = files(&folder.path().join(FOLDER));
        assert_eq!(found.len(), 1);
        found.pop().unwrap()
    }

    #[test]
    fn what_was_kept_is_there_for_the_next_process_and_is_sealed() {
        let root = tempfile::tempdir().unwrap();
        let folder = filled(root.path());
        let cache = Cache::open(&folder, REPOSITORY);
        assert_eq!(cache.get("a").unwrap(), "first");
        assert_eq!(cache.get("b").unwrap(), vec![9; 200_000]);
        assert_eq!(cache.get("c").unwrap(), "");
        assert!(cache.get("d").is_none() && !cache.has("d"));
        assert_eq!(cache.size().pieces, 3);
        let stored = fs::read(segment(&folder)).unwrap();
        assert!(!stored.windows(5).any(|window| window == b"first"));
        assert_eq!(cache.clean().unwrap().pieces, 3);
        assert_eq!(Cache::open(&folder, REPOSITORY).size(), CacheSize::default());
    }

    #[test]
    fn no_change_and_no_cut_gives_other_bytes_or_an_error() {
        let root = tempfile::tempdir().unwrap();
        let folder = filled(root.path());
        let path = segment(&folder);
        let stored = fs::read(&path).unwrap();
        for at in (0..stored.len()).step_by(997).chain(stored.len() - 40..stored.len()).chain(0..300) {
            let mut changed = stored.clone();
            changed[at] ^= 4;
            for bytes in [&changed, &stored[..at].to_vec()] {
                fs::write(&path, bytes).unwrap();
                let cache = Cache::open(&folder, REPOSITORY);
                assert!(cache.get("a").is_none_or(|found| found == "first"), "{at}");
                assert!(cache.get("b").is_none_or(|found| found == vec![9; 200_000]), "{at}");
            }
        }
    }

    #[test]
    fn what_is_of_another_vault_machine_or_version_is_as_if_it_were_not_there() {
        let root = tempfile::tempdir().unwrap();
        let folder = filled(root.path());
        let stored = fs::read(segment(&folder)).unwrap();
        assert!(Cache::open(&folder, Id([8; 16])).get("a").is_none());
        assert!(files(&folder.path().join(FOLDER)).is_empty(), "it goes");
        let other = tempfile::tempdir().unwrap();
        let foreign = self::folder(other.path());
        fs::create_dir(foreign.path().join(FOLDER)).unwrap();
        fs::write(foreign.path().join(FOLDER).join("x.age"), &stored).unwrap();
        let cache = Cache::open(&foreign, REPOSITORY);
        assert!(cache.get("a").is_none());
        // And it works on.
        cache.keep("a", &Bytes::from_static(b"mine"));
        drop(cache);
        assert_eq!(Cache::open(&foreign, REPOSITORY).get("a").unwrap(), "mine");
    }

    #[test]
    fn a_segment_of_an_older_or_newer_version_goes() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        let at = folder.path().join(FOLDER);
        fs::create_dir(&at).unwrap();
        for (version, is_read) in [(VERSION, true), (VERSION - 1, false), (VERSION + 1, false)] {
            let entry = Entry { name: "a".into(), at: 0, length: 5, sha256: sha256(b"first") };
            let directory = Directory { cache: version, repository: REPOSITORY, pieces: vec![entry] };
            let directory = serde_json::to_vec(&directory).unwrap();
            let mut sealed = folder.key().seal(Vec::new()).unwrap();
            for part in [&b"first"[..], &directory, &(directory.len() as u64).to_le_bytes(), MAGIC] {
                sealed.write_all(part).unwrap();
            }
            fs::write(at.join("x.age"), sealed.finish().unwrap()).unwrap();
            assert_eq!(Cache::open(&folder, REPOSITORY).get("a").is_some(), is_read, "{version}");
            assert_eq!(at.join("x.age").exists(), is_read, "{version}");
        }
    }

    #[test]
    fn many_runs_leave_few_files_and_all_pieces_and_a_second_process_loses_nothing() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        let other = Cache::open(&folder, REPOSITORY);
        other.keep("other", &Bytes::from_static(b"other"));
        other.flush();
        for number in 0..40 {
            Cache::open(&folder, REPOSITORY).keep(&format!("n{number}"), &Bytes::from(vec![number]));
        }
        // Its segment was merged away meanwhile.
        assert_eq!(other.get("other").unwrap(), "other");
        let cache = Cache::open(&folder, REPOSITORY);
        assert!((0..40).all(|number| cache.get(&format!("n{number}")).is_some_and(|found| found[..] == [number])));
        assert_eq!(cache.get("other").unwrap(), "other");
        assert!(files(&folder.path().join(FOLDER)).len() <= MAX_SEGMENTS + 1);
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_nothing_but_the_cache() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        fs::write(folder.path().join(FOLDER), b"a file stands where the folder should").unwrap();
        let cache = Cache::open(&folder, REPOSITORY);
        cache.keep("a", &Bytes::from_static(b"first"));
        assert_eq!(cache.get("a").unwrap(), "first");
        cache.flush();
        assert!(cache.get("a").is_none());
    }
}
