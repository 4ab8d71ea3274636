//! Checking a whole archive: the tar is read to its end, every content against its SHA-256, the index against both.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::index::{IndexEntry, Located};
use super::member::{BLOCK_BYTES, padding};
use super::reader::{ArchiveReader, ReadAt};
use super::{ArchiveError, damaged};
use crate::crypt::digest::Hasher;
use crate::model::entry::EntryPath;

/// What a check found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Index entries.
    pub entries: u64,
    /// Bytes of content whose digest was checked.
    pub bytes: u64,
    /// Contents that are not what the index says.
    pub wrong: Vec<(EntryPath, String)>,
}

/// One tar header, as far as the check needs it.
struct Member {
    kind: u8,
    size: u64,
}

/// Reads a tar header; `None` at the end of the tar.
///
/// The `tar` crate would do, but for names and attributes with line breaks, which it splits (its PAX reader goes line by line).
fn parse_header(block: &[u8; BLOCK_BYTES]) -> Result<Option<Member>, ArchiveError> {
    if block.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    let header = tar::Header::from_byte_slice(block);
    let sum: u32 = block.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) }).sum();
    if header.cksum()? != sum {
        return Err(damaged("a tar header's checksum does not match"));
    }
    Ok(Some(Member { kind: header.entry_type().as_byte(), size: header.entry_size()? }))
}

fn skip(input: &mut impl Read, bytes: u64) -> Result<(), ArchiveError> {
    let skipped = io::copy(&mut input.take(bytes), &mut io::sink())?;
    if skipped == bytes { Ok(()) } else { Err(damaged("the tar ends in the middle of a member")) }
}

/// Checks everything in an archive. What is wrong with single contents is in the result.
///
/// # Errors
/// When the archive as a whole cannot be read to its end, or its index contradicts its tar.
pub fn check<R: ReadAt>(reader: &ArchiveReader<R>) -> Result<Checked, ArchiveError> {
    let mut checked = Checked::default();
    let mut expected: BTreeMap<u64, (EntryPath, Located)> = BTreeMap::new();
    let mut plain = 0_u64;
    reader.own_members(&mut |entry: IndexEntry| {
        checked.entries += 1;
        match entry.content {
            Some(located) if located.archive.is_none() => {
                if expected.insert(located.offset, (entry.path, located)).is_some() {
                    return Err(damaged("two index entries have the same place"));
                }
            }
            Some(_) => {}
            None if matches!(entry.kind, crate::model::entry::Kind::Hardlink { .. }) => {}
            None => plain += 1,
        }
        Ok(())
    })?;
    let own_start: u64 = reader.tar_place(reader.own_frame())?;
    let mut stream = reader.tar_stream();
    let mut at = 0_u64;
    let mut block = [0; BLOCK_BYTES];
    loop {
        stream.read_exact(&mut block).map_err(|_| damaged("the tar has no end"))?;
        at += BLOCK_BYTES as u64;
        let Some(member) = parse_header(&block)? else { break };
        let stored = member.size + padding(member.size) as u64;
        match (member.kind, expected.remove(&at)) {
            (b'0', Some((path, located))) => check_content(&mut stream, path, &located, member.size, &mut checked)?,
            (b'0', None) if at > own_start => skip(&mut stream, stored)?,
            (b'0', None) => return Err(damaged(format!("a file at {at} of the tar is not in the index"))),
            (b'5' | b'2', None) => plain = plain.checked_sub(1).ok_or_else(|| damaged("an entry is not in the index"))?,
            (b'x', None) => skip(&mut stream, stored)?,
            (kind, _) => return Err(damaged(format!("a member of kind {kind:#x}, which tgvault does not write, at {at} of the tar"))),
        }
        at += stored;
    }
    let mut rest = Vec::new();
    stream.take(BLOCK_BYTES as u64 + 1).read_to_end(&mut rest)?;
    if rest.len() != BLOCK_BYTES || rest.iter().any(|&byte| byte != 0) {
        return Err(damaged("something follows the end of the tar"));
    }
    if plain > 0 || !expected.is_empty() {
        return Err(damaged(format!("{} entries of the index are not in the tar", plain + expected.len() as u64)));
    }
    Ok(checked)
}

fn check_content(stream: &mut impl Read, path: EntryPath, located: &Located, size: u64, checked: &mut Checked) -> Result<(), ArchiveError> {
    if located.length > size || (located.length < size && !located.short) {
        return Err(damaged(format!("'{path}' has {size} bytes in the tar and {} in the index", located.length)));
    }
    let mut hasher = Hasher::new();
    let mut left = located.length;
    let mut buffer = vec![0; 256 * 1024];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let got = stream.read(buffer.get_mut(..wanted).unwrap_or_default())?;
        if got == 0 {
            return Err(damaged("the tar ends in the middle of a member"));
        }
        hasher.update(buffer.get(..got).unwrap_or_default());
        left -= got as u64;
    }
    skip(stream, size - located.length + padding(size) as u64)?;
    checked.bytes += located.length;
    if hasher.finish() != located.sha256 {
        checked.wrong.push((path, "its content is not what the index says".into()));
    }
    Ok(())
}
