//! Reads one archive at any place: its index, a run of frames, one file.

use std::io::{self, BufReader, Read};
use std::ops::Range;

use bytes::Bytes;
use zstd_safe::DCtx;

use super::index::{IndexEntry, Located, read_lines};
use super::writer::own_name;
use super::{ArchiveError, damaged, frame, seek};
use crate::crypt::CryptError;
use crate::crypt::digest::sha256;
use crate::crypt::header::{self, MAX_HEADER_BYTES};
use crate::crypt::keys::Identities;
use crate::crypt::payload::{self, CHUNK_BYTES, PayloadKey, SEALED_CHUNK_BYTES};
use crate::model::digest::{Digest, Id};
use crate::model::entry::EntryPath;

/// Bytes read at first for the header: enough for a dozen recipients.
pub const HEAD_BYTES: u64 = 4 * 1024;

/// Plain bytes read at first from the end: seek table and, for most archives, the whole index.
pub const TAIL_BYTES: u64 = 128 * 1024;

/// Coded bytes asked for at a time when frames are read one after the other.
const FETCH_BYTES: u64 = 4 * 1024 * 1024;

/// The longest `remove` member that is read.
const MAX_REMOVE_BYTES: u64 = 256 * 1024 * 1024;

/// An object that can be read at any place.
pub trait ReadAt: Send + Sync {
    /// Reads exactly the bytes of `range`.
    ///
    /// # Errors
    /// When they cannot be had, all of them.
    fn read_at(&self, range: Range<u64>) -> io::Result<Bytes>;

    /// Reads the first bytes, `bytes` of them or as many as are at hand.
    ///
    /// # Errors
    /// As [`Self::read_at`].
    fn read_head(&self, bytes: u64) -> io::Result<Bytes> {
        self.read_at(0..bytes)
    }

    /// From which place on the object is at hand to its end, if it is: reading less than that asks nobody.
    fn at_hand_from(&self) -> Option<u64> {
        None
    }
}

impl ReadAt for Bytes {
    fn read_at(&self, range: Range<u64>) -> io::Result<Bytes> {
        let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end)) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        if start > end || end > self.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(self.slice(start..end)) }
    }
}

/// What the snapshot says of an archive, checked before anything in it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The archive's name.
    pub id: Id,
    /// Stored bytes.
    pub length: u64,
    /// SHA-256 of the stored bytes up to and including the nonce. It fixes the file key, and with it every chunk.
    pub header_sha256: Digest,
}

/// Takes one decoded frame and the place of its first byte in the tar stream.
pub type FrameVisitor<'a> = dyn FnMut(u64, &[u8]) -> Result<(), ArchiveError> + 'a;

/// What an archive's own members say.
#[derive(Debug, Default)]
pub struct OwnMembers {
    /// Index lines.
    pub entries: u64,
    /// Names to be removed before the entries are applied.
    pub remove: Vec<EntryPath>,
}

/// What scanning needs of memory, to be used again and again: fresh memory for each run of frames would be a large part of
/// the work.
#[derive(Default)]
pub struct Scratch {
    decompressor: Option<DCtx<'static>>,
    coded: Vec<u8>,
    plain: Vec<u8>,
}

/// An archive opened for reading at any place.
pub struct ArchiveReader<R> {
    object: R,
    key: PayloadKey,
    header_bytes: u64,
    plain_bytes: u64,
    layout: seek::Layout,
    /// Where each frame starts: coded and plain. One more than there are frames.
    starts: Vec<(u64, u64)>,
}

impl<R: ReadAt> ArchiveReader<R> {
    /// Opens the archive: two small reads, one of its header and one of its end.
    ///
    /// # Errors
    /// [`ArchiveError::ForeignHeader`] when the object is not the one that was stored under this name;
    /// otherwise when no identity fits, or the object is damaged or cannot be read.
    pub fn open(object: R, expected: &Expected, identities: &Identities) -> Result<Self, ArchiveError> {
        let mut head = object.read_head(expected.length.min(HEAD_BYTES))?;
        let (header_bytes, key) = loop {
            match header::open(&head, identities) {
                Ok((length, key)) => break (length, key),
                Err(CryptError::Incomplete) if (head.len() as u64) < expected.length.min(MAX_HEADER_BYTES as u64) => {
                    head = object.read_at(0..expected.length.min(MAX_HEADER_BYTES as u64))?;
                }
                Err(CryptError::WrongKey) => {
                    // A foreign header has foreign keys: say what is wrong with it rather than with the user's key.
                    check_header(&head, expected)?;
                    return Err(CryptError::WrongKey.into());
                }
                Err(error) => return Err(error.into()),
            }
        };
        let found = sha256(head.get(..header_bytes).unwrap_or_default());
        if found != expected.header_sha256 {
            return Err(ArchiveError::ForeignHeader { expected: expected.header_sha256, found });
        }
        let header_bytes = header_bytes as u64;
        let plain_bytes = payload::plain_length(expected.length - header_bytes)?;
        let mut this = Self {
            object,
            key,
            header_bytes,
            plain_bytes,
            layout: seek::Layout { id: expected.id, own_frame: 0, frames: Vec::new() },
            starts: Vec::new(),
        };
        this.read_layout(expected)?;
        Ok(this)
    }

    fn read_layout(&mut self, expected: &Expected) -> Result<(), ArchiveError> {
        let at_hand = self.object.at_hand_from().map_or(0, |stored| {
            let chunk = stored.saturating_sub(self.header_bytes).div_ceil(SEALED_CHUNK_BYTES as u64);
            (chunk * CHUNK_BYTES as u64).min(self.plain_bytes.saturating_sub(1))
        });
        let tail_start = self.plain_bytes.saturating_sub(TAIL_BYTES).max(at_hand);
        let mut tail = Vec::new();
        self.read_plain(tail_start..self.plain_bytes, &mut tail)?;
        let footer = tail.len().checked_sub(seek::FOOTER_BYTES).and_then(|from| tail.get(from..)).unwrap_or_default();
        let length = seek::length_from_footer(footer)?;
        if length > self.plain_bytes {
            return Err(damaged("its seek table is longer than the archive"));
        }
        if length > tail.len() as u64 {
            self.read_plain(self.plain_bytes - length..self.plain_bytes, &mut tail)?;
        }
        let end = tail.get(tail.len() - length as usize..).unwrap_or_default();
        self.layout = seek::read(end, self.plain_bytes)?;
        if self.layout.id != expected.id {
            return Err(damaged(format!("it calls itself {}, not {}", self.layout.id, expected.id)));
        }
        let mut at = (0, 0);
        self.starts = Vec::with_capacity(self.layout.frames.len() + 1);
        self.starts.push(at);
        for frame in &self.layout.frames {
            at = (at.0 + u64::from(frame.coded), at.1 + u64::from(frame.plain));
            self.starts.push(at);
        }
        Ok(())
    }

    /// Reads and opens a range of the plain payload (coded frames, that is) into `plain`: no more chunks than it touches.
    fn read_plain(&self, range: Range<u64>, plain: &mut Vec<u8>) -> Result<(), ArchiveError> {
        if range.start >= range.end || range.end > self.plain_bytes {
            return Err(damaged("a range outside of the archive was asked for"));
        }
        let first = range.start / CHUNK_BYTES as u64;
        let last = (range.end - 1) / CHUNK_BYTES as u64;
        let sealed_bytes = self.plain_bytes + self.plain_bytes.div_ceil(CHUNK_BYTES as u64).max(1) * payload::TAG_BYTES as u64;
        let sealed_end = ((last + 1) * SEALED_CHUNK_BYTES as u64).min(sealed_bytes);
        let stored = self.header_bytes + first * SEALED_CHUNK_BYTES as u64..self.header_bytes + sealed_end;
        let sealed = self.object.read_at(stored)?;
        payload::open_chunks(&self.key, first, sealed_end == sealed_bytes, &sealed, plain)?;
        let skip = (range.start - first * CHUNK_BYTES as u64) as usize;
        plain.drain(..skip.min(plain.len()));
        plain.truncate((range.end - range.start) as usize);
        Ok(())
    }

    /// The object itself.
    pub fn object(&self) -> &R {
        &self.object
    }

    /// Where, among the stored bytes, the header ends, and where the chunks with the archive's own members begin: with what is before
    /// the one and behind the other, [`Self::open`] and [`Self::own_members`] need nothing else.
    pub fn own_bytes(&self) -> (u64, u64) {
        let coded = self.starts.get(self.layout.own_frame as usize).map_or(0, |start| start.0);
        (self.header_bytes, self.header_bytes + coded / CHUNK_BYTES as u64 * SEALED_CHUNK_BYTES as u64)
    }

    /// Number of frames.
    pub fn frames(&self) -> u32 {
        self.layout.frames.len() as u32
    }

    /// First frame of the archive's own members.
    pub fn own_frame(&self) -> u32 {
        self.layout.own_frame
    }

    /// Bytes of tar in the archive.
    pub fn tar_bytes(&self) -> u64 {
        self.starts.last().map_or(0, |start| start.1)
    }

    /// The place in the tar stream where a frame starts.
    ///
    /// # Errors
    /// When there is no such frame.
    pub fn tar_place(&self, frame: u32) -> Result<u64, ArchiveError> {
        self.starts.get(frame as usize).map(|start| start.1).ok_or_else(|| damaged(format!("it has no frame {frame}")))
    }

    /// The frame that holds byte `offset` of the tar stream.
    ///
    /// # Errors
    /// When the tar stream is shorter.
    pub fn frame_at(&self, offset: u64) -> Result<u32, ArchiveError> {
        let after = self.starts.partition_point(|start| start.1 <= offset);
        if after == 0 || after > self.layout.frames.len() {
            return Err(damaged(format!("its tar stream has no byte {offset}")));
        }
        Ok(after as u32 - 1)
    }

    /// Stored bytes that the frames of `range` take, about.
    pub fn coded_bytes(&self, range: Range<u32>) -> u64 {
        let start = |frame: u32| self.starts.get(frame as usize).map_or(0, |start| start.0);
        start(range.end).saturating_sub(start(range.start))
    }

    /// Decodes the frames of `range` in order and hands each to `each` with its place in the tar stream.
    ///
    /// # Errors
    /// When a frame is damaged or cannot be read, or `each` fails.
    pub fn scan(&self, range: Range<u32>, scratch: &mut Scratch, each: &mut FrameVisitor<'_>) -> Result<(), ArchiveError> {
        let Scratch { decompressor, coded, plain } = scratch;
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            None => decompressor.insert(DCtx::try_create().ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?),
        };
        let mut next = range.start;
        while next < range.end {
            let mut end = next + 1;
            while end < range.end && self.coded_bytes(next..end + 1) <= FETCH_BYTES {
                end += 1;
            }
            let place = |frame: u32| self.starts.get(frame as usize).copied().ok_or_else(|| damaged(format!("it has no frame {frame}")));
            let (from, to) = (place(next)?.0, place(end)?.0);
            self.read_plain(from..to, coded)?;
            for number in next..end {
                let (coded_start, plain_start) = place(number)?;
                let (coded_end, plain_end) = place(number + 1)?;
                let bytes = coded.get((coded_start - from) as usize..(coded_end - from) as usize).unwrap_or_default();
                frame::decode(decompressor, bytes, plain_end - plain_start, plain)?;
                each(plain_start, plain)?;
            }
            next = end;
        }
        Ok(())
    }

    /// Hands the content at `located` to `each`, piece by piece, unchecked against its digest.
    ///
    /// # Errors
    /// When it is not inside the archive, a frame is damaged, or `each` fails.
    pub fn content(&self, located: &Located, each: &mut dyn FnMut(&[u8]) -> Result<(), ArchiveError>) -> Result<(), ArchiveError> {
        if located.length == 0 {
            return Ok(());
        }
        let end = located.offset.checked_add(located.length).filter(|&end| end <= self.tar_bytes());
        let end = end.ok_or_else(|| damaged("its index points behind its end"))?;
        let frames = self.frame_at(located.offset)?..self.frame_at(end - 1)? + 1;
        self.scan(frames, &mut Scratch::default(), &mut |place, plain| {
            let from = located.offset.saturating_sub(place).min(plain.len() as u64) as usize;
            let to = end.saturating_sub(place).min(plain.len() as u64) as usize;
            each(plain.get(from..to).unwrap_or_default())
        })
    }

    /// Reads the archive's own members: hands every index entry to `each`, and gives what is to be removed.
    ///
    /// # Errors
    /// When they are damaged, or `each` fails.
    pub fn own_members(&self, each: &mut dyn FnMut(IndexEntry) -> Result<(), ArchiveError>) -> Result<OwnMembers, ArchiveError> {
        let mut own = OwnMembers::default();
        let frames = FrameStream::new(self, self.layout.own_frame);
        let mut archive = tar::Archive::new(frames);
        let id = self.layout.id;
        for member in archive.entries()? {
            let mut member = member?;
            let name = member.path_bytes().into_owned();
            if name == own_name(id, "remove").as_bytes() {
                let mut bytes = Vec::new();
                if (&mut member).take(MAX_REMOVE_BYTES + 1).read_to_end(&mut bytes)? as u64 > MAX_REMOVE_BYTES {
                    return Err(damaged("its list of removals is longer than any that tgvault writes"));
                }
                for path in bytes.split(|&byte| byte == 0).filter(|path| !path.is_empty()) {
                    own.remove.push(EntryPath::new(path).map_err(|error| damaged(format!("a removal: {error}")))?);
                }
            } else if name.starts_with(own_name(id, "index").as_bytes()) {
                read_lines(BufReader::with_capacity(CHUNK_BYTES, &mut member), &mut |entry| {
                    own.entries += 1;
                    each(entry)
                })?;
            } else if name != own_name(id, "refs").as_bytes() {
                return Err(damaged("a strange member stands among its own"));
            }
        }
        Ok(own)
    }

    /// The whole tar stream, frame after frame.
    pub fn tar_stream(&self) -> impl Read + '_ {
        FrameStream::new(self, 0)
    }
}

fn check_header(head: &[u8], expected: &Expected) -> Result<(), ArchiveError> {
    // The header ends at the nonce behind the line that begins with "---".
    let mac = head.windows(5).position(|window| window == b"\n--- ").map(|at| at + 1);
    let line_end = mac.and_then(|mac| head.get(mac..)?.iter().position(|&byte| byte == b'\n').map(|length| mac + length + 1));
    let found = sha256(line_end.and_then(|end| head.get(..end + header::NONCE_BYTES)).unwrap_or(head));
    if found == expected.header_sha256 { Ok(()) } else { Err(ArchiveError::ForeignHeader { expected: expected.header_sha256, found }) }
}

struct FrameStream<'a, R> {
    reader: &'a ArchiveReader<R>,
    next: u32,
    /// Its `plain` is the frame in hand; `at` is what of it has been read.
    scratch: Scratch,
    at: usize,
}

impl<'a, R: ReadAt> FrameStream<'a, R> {
    fn new(reader: &'a ArchiveReader<R>, first: u32) -> Self {
        Self { reader, next: first, scratch: Scratch::default(), at: 0 }
    }
}

impl<R: ReadAt> Read for FrameStream<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = self.scratch.plain.get(self.at..).unwrap_or_default().read(buffer)?;
            self.at += got;
            if got > 0 || self.next >= self.reader.frames() || buffer.is_empty() {
                return Ok(got);
            }
            // Nothing of a frame is read that could not be decoded whole.
            self.at = usize::MAX;
            let scanned = self.reader.scan(self.next..self.next + 1, &mut self.scratch, &mut |_, _| Ok(()));
            scanned.map_err(|error| match error {
                ArchiveError::Io(error) => error,
                // The kind survives the tar reader above, and says whose fault it is.
                other if other.is_integrity() => io::Error::new(io::ErrorKind::InvalidData, other),
                other => io::Error::other(other),
            })?;
            self.at = 0;
            self.next += 1;
        }
    }
}
