//! Writes one archive, entry after entry, in one thread and bounded memory.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use super::frame::FrameCoder;
use super::index::{IndexEntry, Located, Part};
use super::parts::{PartPool, PartSink, PartsWriter};
use super::{ArchiveError, FRAME_BYTES, TARGET_BYTES, TARGET_INDEX_BYTES, member, seek};
use crate::crypt::digest::{Hasher, sha256};
use crate::crypt::header;
use crate::crypt::keys::Recipients;
use crate::crypt::payload::{CHUNK_BYTES, PayloadWriter, SEALED_CHUNK_BYTES};
use crate::model::digest::{Digest, Id};
use crate::model::entry::{EntryPath, Kind, Metadata, Stamp};

/// Bytes read from a body at a time: small enough that they are still in the cache when they are hashed.
const READ_BYTES: usize = 256 * 1024;

/// A frame that holds at least this much is closed before an entry that would cross its end.
const CUT_BYTES: usize = FRAME_BYTES / 8;

/// A file, or one part of it, to be stored.
pub struct NewFile<'a> {
    /// Where it belongs.
    pub path: &'a EntryPath,
    /// Mode, owner, times, attributes.
    pub meta: &'a Metadata,
    /// What tells an unchanged file.
    pub stamp: Option<Stamp>,
    /// Length of the whole file in bytes as declared.
    pub size: u64,
    /// Whether the file has holes.
    pub sparse: bool,
    /// Bytes that this member takes from the body: `size`, or the part's share.
    pub length: u64,
    /// Set for one part of a long file.
    pub part: Option<Part>,
}

/// How a body was stored.
#[derive(Debug)]
pub struct Stored {
    /// Where it is now; [`Located::short`] when the body ended early or failed.
    pub located: Located,
    /// Why reading the body failed, if it did.
    pub failure: Option<io::Error>,
}

/// A finished archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The archive's name.
    pub id: Id,
    /// Stored bytes.
    pub length: u64,
    /// SHA-256 of the stored bytes.
    pub sha256: Digest,
    /// SHA-256 of the stored bytes up to and including the nonce of the payload.
    pub header_sha256: Digest,
    /// Bytes of tar in it, index included.
    pub tar_bytes: u64,
    /// Index lines in it.
    pub entries: u64,
    /// Stored bytes of the header, the nonce included.
    pub header_bytes: u64,
    /// The stored byte with which the chunk begins in which its own members begin.
    pub own_from: u64,
}

/// Where the time of writing went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Reading bodies.
    pub read: Duration,
    /// SHA-256 over contents.
    pub hash: Duration,
    /// Compressing, or wrapping raw.
    pub compress: Duration,
    /// Decompressing and comparing.
    pub check: Duration,
    /// Sealing, SHA-256 over what is stored, and waiting for the store.
    pub seal: Duration,
}

impl std::ops::AddAssign for Timings {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.hash += other.hash;
        self.compress += other.compress;
        self.check += other.check;
        self.seal += other.seal;
    }
}

/// Adds the time since it was made to a sum.
fn timed<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *sum += start.elapsed();
    result
}

/// Writes one archive into the parts of `S`.
pub struct ArchiveWriter<S: PartSink> {
    id: Id,
    header_sha256: Digest,
    header_bytes: u64,
    payload: PayloadWriter<PartsWriter<S>>,
    coder: FrameCoder,
    frame: Box<[u8]>,
    filled: usize,
    frames: Vec<seek::Frame>,
    tar_bytes: u64,
    index: Vec<u8>,
    remove: Vec<u8>,
    refs: Vec<u8>,
    entries: u64,
    index_members: u32,
    own_frame: Option<u32>,
    timings: Timings,
    scratch: Vec<u8>,
}

impl<S: PartSink> ArchiveWriter<S> {
    /// Begins archive `id` for `recipients`.
    ///
    /// # Errors
    /// When the recipients cannot be used together, or the sink refuses.
    pub fn new(id: Id, recipients: &Recipients, sink: S, pool: PartPool) -> Result<Self, ArchiveError> {
        let (head, key) = header::seal(recipients)?;
        let mut parts = PartsWriter::new(sink, pool);
        parts.write_all(&head)?;
        Ok(Self {
            id,
            header_sha256: sha256(&head),
            header_bytes: head.len() as u64,
            payload: PayloadWriter::new(key, parts),
            coder: FrameCoder::new()?,
            frame: vec![0; FRAME_BYTES].into_boxed_slice(),
            filled: 0,
            frames: Vec::new(),
            tar_bytes: 0,
            index: Vec::new(),
            remove: Vec::new(),
            refs: Vec::new(),
            entries: 0,
            index_members: 0,
            own_frame: None,
            timings: Timings::default(),
            scratch: Vec::new(),
        })
    }

    /// The archive's name.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Whether the archive should be finished before the next entry.
    pub fn is_full(&self) -> bool {
        self.payload.get_ref().length() >= TARGET_BYTES || self.index.len() + self.remove.len() + self.refs.len() >= TARGET_INDEX_BYTES
    }

    /// Stores a file or a part of one. A body that ends early or fails is filled up with zeros in the tar and marked short.
    ///
    /// # Errors
    /// When coding or the sink fails; a failing body is no error here.
    pub fn append_file(&mut self, file: &NewFile<'_>, body: &mut dyn Read) -> Result<Stored, ArchiveError> {
        let name = file.part.map_or_else(|| file.path.as_bytes().to_vec(), |part| part.member_name(file.path));
        let frame = self.begin(&name, &Kind::File, file.meta, file.length)?;
        let offset = self.tar_bytes + self.filled as u64;
        let (sha256, length, failure) = self.copy(body, file.length)?;
        let short = length < file.length;
        if short {
            self.zeros(file.length - length)?;
        }
        self.zeros(member::padding(file.length) as u64)?;
        let located = Located { sha256, archive: None, frame, offset, length, short, part: file.part };
        let entry = IndexEntry {
            path: file.path.clone(),
            kind: Kind::File,
            meta: file.meta.clone(),
            stamp: file.stamp,
            size: if file.part.is_none() { length } else { file.size },
            sparse: file.sparse,
            content: Some(located.clone()),
        };
        self.index_line(&entry)?;
        if short {
            // Who restores with tar alone cuts the filling off again.
            self.reference(&[b"cut", length.to_string().as_bytes(), &name]);
        }
        if let Some(part) = file.part.filter(|part| part.n == part.of) {
            self.reference(&[b"join", file.path.as_bytes(), part.of.to_string().as_bytes()]);
        }
        Ok(Stored { located, failure })
    }

    /// Stores a folder or a symbolic link.
    ///
    /// # Errors
    /// When coding or the sink fails.
    pub fn append_plain(&mut self, path: &EntryPath, kind: &Kind, meta: &Metadata, stamp: Option<Stamp>) -> Result<(), ArchiveError> {
        self.begin(path.as_bytes(), kind, meta, 0)?;
        let entry = IndexEntry { path: path.clone(), kind: kind.clone(), meta: meta.clone(), stamp, size: 0, sparse: false, content: None };
        self.index_line(&entry)
    }

    /// Notes an entry whose content is stored in another archive, or a hard link.
    ///
    /// # Errors
    /// Does not happen with entries that the format knows.
    pub fn append_reference(&mut self, entry: &IndexEntry) -> Result<(), ArchiveError> {
        let path = entry.path.as_bytes();
        if let Kind::Hardlink { target } = &entry.kind {
            self.reference(&[b"link", target.as_bytes(), path]);
        } else if let Some((content, archive)) = entry.content.as_ref().and_then(|content| Some((content, content.archive?))) {
            let name = content.part.map_or_else(|| path.to_vec(), |part| part.member_name(&entry.path));
            self.reference(&[
                b"copy",
                archive.to_string().as_bytes(),
                content.offset.to_string().as_bytes(),
                content.length.to_string().as_bytes(),
                content.sha256.to_string().as_bytes(),
                format!("{}:{}", entry.meta.uid, entry.meta.gid).as_bytes(),
                format!("{:o}", entry.meta.mode).as_bytes(),
                member::pax_time(entry.meta.mtime).as_bytes(),
                &name,
            ]);
            if let Some(part) = content.part.filter(|part| part.n == part.of) {
                self.reference(&[b"join", path, part.of.to_string().as_bytes()]);
            }
        } else {
            return Err(super::damaged("an entry without content elsewhere was given as a reference"));
        }
        self.index_line(entry)
    }

    /// Notes an entry in a merged index, which holds nothing but lines about other archives.
    ///
    /// # Errors
    /// When coding or the sink fails.
    pub fn append_merged(&mut self, entry: &IndexEntry) -> Result<(), ArchiveError> {
        self.index_line(entry)?;
        if self.index.len() >= TARGET_INDEX_BYTES { self.flush_index() } else { Ok(()) }
    }

    /// Notes a path that is to be removed before this archive's entries are applied.
    pub fn append_removal(&mut self, name: &[u8]) {
        self.remove.extend_from_slice(name);
        self.remove.push(0);
    }

    /// Where the time went so far.
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// Writes the archive's own members, trailer and seek table, and ends it.
    ///
    /// # Errors
    /// When coding or the sink fails.
    pub fn finish(mut self) -> Result<(Sealed, S), ArchiveError> {
        self.flush_index()?;
        for (name, content) in [("remove", std::mem::take(&mut self.remove)), ("refs", std::mem::take(&mut self.refs))] {
            if !content.is_empty() {
                self.own_member(name, &content)?;
            }
        }
        self.write(&member::END)?;
        self.flush_frame()?;
        let own_frame = self.own_frame.unwrap_or_default();
        let layout = seek::Layout { id: self.id, own_frame, frames: std::mem::take(&mut self.frames) };
        let coded: u64 = layout.frames.iter().take(own_frame as usize).map(|frame| u64::from(frame.coded)).sum();
        let header_bytes = self.header_bytes;
        let own_from = header_bytes + coded / CHUNK_BYTES as u64 * SEALED_CHUNK_BYTES as u64;
        self.payload.write_all(&seek::write(&layout))?;
        let (sink, sha256, length) = self.payload.finish()?.finish()?;
        let (id, header_sha256, tar_bytes, entries) = (self.id, self.header_sha256, self.tar_bytes, self.entries);
        Ok((Sealed { id, length, sha256, header_sha256, tar_bytes, entries, header_bytes, own_from }, sink))
    }

    /// Writes the header of a member, in a new frame where the member would cross the end of this one; gives the frame's number.
    fn begin(&mut self, name: &[u8], kind: &Kind, meta: &Metadata, length: u64) -> Result<u32, ArchiveError> {
        let mut header = std::mem::take(&mut self.scratch);
        header.clear();
        member::write_header(name, kind, meta, length, &mut header);
        let needed = header.len() as u64 + length.min(FRAME_BYTES as u64);
        if self.filled >= CUT_BYTES && self.filled as u64 + needed > FRAME_BYTES as u64 {
            self.flush_frame()?;
        }
        if self.filled == FRAME_BYTES {
            self.flush_frame()?;
        }
        let frame = self.frames.len() as u32;
        let written = self.write(&header);
        self.scratch = header;
        written.map(|()| frame)
    }

    /// Copies up to `length` bytes of `body` into frames; gives the digest, the bytes got, and why it failed if it did.
    fn copy(&mut self, body: &mut dyn Read, length: u64) -> Result<(Digest, u64, Option<io::Error>), ArchiveError> {
        let mut hasher = Hasher::new();
        let mut left = length;
        let mut failure = None;
        while left > 0 {
            if self.filled == FRAME_BYTES {
                self.flush_frame()?;
            }
            let wanted = left.min(READ_BYTES as u64).min((FRAME_BYTES - self.filled) as u64) as usize;
            let space = self.frame.get_mut(self.filled..self.filled + wanted).unwrap_or_default();
            match timed(&mut self.timings.read, || body.read(space)) {
                Ok(0) => break,
                Ok(got) => {
                    let piece = space.get(..got).unwrap_or_default();
                    timed(&mut self.timings.hash, || hasher.update(piece));
                    self.filled += piece.len();
                    left -= piece.len() as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        Ok((hasher.finish(), length - left, failure))
    }

    fn zeros(&mut self, mut count: u64) -> Result<(), ArchiveError> {
        const ZEROS: [u8; 4096] = [0; 4096];
        while count > 0 {
            let piece = ZEROS.get(..count.min(ZEROS.len() as u64) as usize).unwrap_or_default();
            self.write(piece)?;
            count -= piece.len() as u64;
        }
        Ok(())
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        while !bytes.is_empty() {
            if self.filled == FRAME_BYTES {
                self.flush_frame()?;
            }
            let taken = bytes.len().min(FRAME_BYTES - self.filled);
            let (piece, rest) = bytes.split_at(taken);
            self.frame.get_mut(self.filled..self.filled + taken).unwrap_or_default().copy_from_slice(piece);
            self.filled += taken;
            bytes = rest;
        }
        Ok(())
    }

    fn flush_frame(&mut self) -> Result<(), ArchiveError> {
        let plain = self.frame.get(..self.filled).unwrap_or_default();
        if plain.is_empty() {
            return Ok(());
        }
        timed(&mut self.timings.compress, || self.coder.code(plain).map(|_| ()))?;
        timed(&mut self.timings.check, || self.coder.check(plain))?;
        let coded = self.coder.coded();
        timed(&mut self.timings.seal, || self.payload.write_all(coded))?;
        self.frames.push(seek::Frame { coded: coded.len() as u32, plain: self.filled as u32 });
        self.tar_bytes += self.filled as u64;
        self.filled = 0;
        Ok(())
    }

    fn index_line(&mut self, entry: &IndexEntry) -> Result<(), ArchiveError> {
        entry.write_line(&mut self.index)?;
        self.entries += 1;
        Ok(())
    }

    fn flush_index(&mut self) -> Result<(), ArchiveError> {
        let name = if self.index_members == 0 { "index.jsonl".to_owned() } else { format!("index-{:04}.jsonl", self.index_members + 1) };
        self.index_members += 1;
        let index = std::mem::take(&mut self.index);
        self.own_member(&name, &index)
    }

    /// Writes one of the archive's own members; the first begins a new frame.
    fn own_member(&mut self, name: &str, content: &[u8]) -> Result<(), ArchiveError> {
        if self.own_frame.is_none() {
            self.flush_frame()?;
            self.own_frame = Some(self.frames.len() as u32);
        }
        let path = own_name(self.id, name);
        let meta = Metadata { mode: 0o600, ..Metadata::default() };
        self.begin(path.as_bytes(), &Kind::File, &meta, content.len() as u64)?;
        self.write(content)?;
        self.zeros(member::padding(content.len() as u64) as u64)
    }

    /// Appends a record to `refs`: its fields, each ended by NUL.
    fn reference(&mut self, fields: &[&[u8]]) {
        for field in fields {
            self.refs.extend_from_slice(field);
            self.refs.push(0);
        }
    }
}

/// The path of one of an archive's own members.
pub fn own_name(id: Id, name: &str) -> String {
    format!(".tgvault/{id}/{name}")
}
