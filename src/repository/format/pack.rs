//! `packs/…`: plain tars of pieces of other objects, byte for byte, so that many of them come in one request.
//!
//! A pack vouches for nothing: each piece in it is checked as if the store had given it under its own name.

use std::io::{self, Read};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::names::PACKS;
use crate::model::digest::{Digest, Id};

/// The longest pack that is written.
pub const MAX_PACK_BYTES: usize = 16 * 1024 * 1024;

/// The longest pack that is read.
pub const MAX_READ_BYTES: u64 = 64 * 1024 * 1024;

/// A pack with the ends of archives that follow each other in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackRecord {
    /// The object.
    pub object: String,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// How many archives it is about: those behind the ones of the packs before it.
    pub archives: usize,
}

/// The object of a pack of archives' ends.
pub fn indexes(id: Id) -> String {
    format!("{PACKS}indexes/{id}.tar")
}

/// The names of an archive's pieces: its header, and its end from the chunk on in which its own members begin.
pub fn ends(archive: &str) -> (String, String) {
    (format!("{archive}@head"), format!("{archive}@end"))
}

/// Snapshots of one chain that lie in one pack, as its name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedRun {
    /// The chain.
    pub chain: Id,
    /// The first number.
    pub from: u64,
    /// The last number.
    pub to: u64,
    /// The time in the name of the first snapshot, and of the last.
    pub times: (String, String),
}

impl PackedRun {
    /// `packs/snapshots/<chain>-<from>-<to>-<time>-<time>.tar`.
    pub fn object(&self) -> String {
        let (from, to) = &self.times;
        format!("{PACKS}snapshots/{}-{}-{}-{from}-{to}.tar", self.chain, self.from, self.to)
    }

    /// Reads an object's name.
    pub fn parse(object: &str) -> Option<Self> {
        let mut fields = object.strip_prefix(PACKS)?.strip_prefix("snapshots/")?.strip_suffix(".tar")?.split('-');
        let mut next = || fields.next();
        let (chain, from, to) = (next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?);
        let run = Self { chain, from, to, times: (next()?.to_owned(), next()?.to_owned()) };
        (next().is_none() && from <= to).then_some(run)
    }

    /// How many snapshots it has.
    pub fn count(&self) -> u64 {
        self.to - self.from + 1
    }
}

/// Makes a pack.
///
/// # Errors
/// When a name is none that a tar can have.
pub fn write<'a>(pieces: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> io::Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in pieces {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(0);
        tar.append_data(&mut header, name, bytes)?;
    }
    Ok(tar.into_inner()?.into())
}

/// Takes a pack apart: names and bytes of its pieces, which nothing has checked.
///
/// # Errors
/// When it is no tar, or one that ends in the middle.
pub fn read(pack: &Bytes) -> io::Result<Vec<(String, Bytes)>> {
    let mut pieces = Vec::new();
    let mut tar = tar::Archive::new(pack.as_ref());
    for member in tar.entries()? {
        let mut member = member?;
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        let (at, length) = (member.raw_file_position(), member.size());
        let range = usize::try_from(at).ok().zip(usize::try_from(length).ok()).and_then(|(at, length)| Some(at..at.checked_add(length)?));
        let bytes = range.filter(|range| range.end <= pack.len()).map(|range| pack.slice(range));
        pieces.push((name, bytes.ok_or(io::ErrorKind::UnexpectedEof)?));
        // To the next member.
        io::copy(&mut member.by_ref(), &mut io::sink())?;
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_names_say_what_is_in_it() {
        let pieces =
            [("snapshots/a.sums", &b"sums"[..]), ("archives/2026/11/a.tar.zst.age@head", &[0, 1, 2][..]), ("lists/empty", &[][..])];
        let pack = write(pieces).unwrap();
        let read = read(&pack).unwrap();
        assert_eq!(read.iter().map(|(name, bytes)| (name.as_str(), bytes.as_ref())).collect::<Vec<_>>(), pieces);
        let run = PackedRun { chain: Id([3; 16]), from: 9, to: 16, times: ("20261130T170000000Z".into(), "20261130T180000000Z".into()) };
        assert_eq!(PackedRun::parse(&run.object()), Some(run));
        assert_eq!(PackedRun::parse("packs/snapshots/x-1-2-a-b.tar"), None);
    }

    #[test]
    fn no_change_and_no_cut_panics() {
        let pack = write([("a", &[7; 600][..]), ("b", &b"b"[..])]).unwrap();
        for at in 0..pack.len() {
            let mut changed = pack.to_vec();
            changed[at] ^= 0x10;
            let _ = read(&changed.into());
            let _ = read(&pack.slice(..at));
        }
    }
}
