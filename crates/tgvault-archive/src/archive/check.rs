//! Checking a whole archive: the tar is read to its end, every content against its SHA-256, the index against both.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::index::{IndexEntry, Located};
use super::member::{BLOCK_BYTES, padding};
use super::reader::{ArchiveReader, ReadAt};
use super::{ArchiveError, MAX_INDEX_LINE_BYTES, damaged};
use crate::crypt::digest::Hasher;
use crate::model::entry::{EntryPath, Kind};

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

/// A tar header, as far as the check needs it.
struct Member {
    kind: u8,
    size: u64,
    name: Vec<u8>,
    link: Vec<u8>,
}

/// Paths from a PAX header, which stand in for those of the header that follows.
#[derive(Default)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
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
    let link = header.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
    let (kind, size) = (header.entry_type().as_byte(), header.entry_size()?);
    Ok(Some(Member { kind, size, name: header.path_bytes().into_owned(), link }))
}

/// Reads the records `<length> <key>=<value>\n` of a PAX header.
fn parse_pax(mut records: &[u8]) -> Result<Pax, ArchiveError> {
    let mut pax = Pax::default();
    while !records.is_empty() {
        let broken = || damaged("a PAX record is malformed");
        let space = records.iter().position(|&byte| byte == b' ').ok_or_else(broken)?;
        let length = records.get(..space).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
        let length = length.filter(|&length| length > space + 1).ok_or_else(broken)?;
        let record = records.get(space + 1..length).and_then(|record| record.strip_suffix(b"\n")).ok_or_else(broken)?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(broken)?;
        let value = record.get(equals + 1..).unwrap_or_default().to_vec();
        match record.get(..equals) {
            Some(b"path") => pax.path = Some(value),
            Some(b"linkpath") => pax.link = Some(value),
            // A size there would overrule the header's.
            Some(b"size") => return Err(damaged("a PAX record gives a size, which tgvault does not write")),
            _ => {}
        }
        records = records.get(length..).unwrap_or_default();
    }
    Ok(pax)
}

fn skip(input: &mut impl Read, bytes: u64) -> Result<(), ArchiveError> {
    let skipped = io::copy(&mut input.take(bytes), &mut io::sink())?;
    if skipped == bytes { Ok(()) } else { Err(damaged("the tar ends in the middle of a member")) }
}

/// Fills `buffer`; that the stream ends before is damage, everything else the way to it.
fn fill(input: &mut impl Read, buffer: &mut [u8], what: &str) -> Result<(), ArchiveError> {
    input.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged(what),
        _ => error.into(),
    })
}

/// Whether a tar header says what the index does: another path would lead those astray who restore with `tar` alone.
fn is_same(member: &Member, entry: &IndexEntry, at: u64) -> bool {
    let part = entry.content.as_ref().and_then(|content| content.part);
    match &entry.kind {
        Kind::File => {
            let name = part.map_or_else(|| entry.path.as_bytes().to_vec(), |part| part.member_name(&entry.path));
            member.kind == b'0' && member.name == name && entry.content.as_ref().is_some_and(|content| content.offset == at)
        }
        Kind::Dir => member.kind == b'5' && member.size == 0 && member.name.strip_suffix(b"/") == Some(entry.path.as_bytes()),
        Kind::Symlink { target } => {
            member.kind == b'2' && member.size == 0 && member.name == entry.path.as_bytes() && member.link == *target
        }
        Kind::Hardlink { .. } => false,
    }
}

/// Checks everything in an archive; `merged` is one that holds nothing but lines about others. What is wrong with single
/// contents is in the result.
///
/// # Errors
/// When the archive as a whole cannot be read to its end, or its index contradicts its tar.
pub fn check<R: ReadAt>(reader: &ArchiveReader<R>, merged: bool) -> Result<Checked, ArchiveError> {
    let mut checked = Checked::default();
    // The members that the tar must hold, in the index' order.
    let mut expected: VecDeque<IndexEntry> = VecDeque::new();
    reader.own_members(&mut |entry: IndexEntry| {
        checked.entries += 1;
        let has_member = match &entry.content {
            Some(located) => located.archive.is_none(),
            None => !merged && !matches!(entry.kind, Kind::Hardlink { .. }),
        };
        if has_member {
            expected.push_back(entry);
        }
        Ok(())
    })?;
    let own_start: u64 = reader.tar_place(reader.own_frame())?;
    let mut stream = reader.tar_stream();
    let mut at = 0_u64;
    let mut block = [0; BLOCK_BYTES];
    let mut pax = Pax::default();
    loop {
        fill(&mut stream, &mut block, "the tar has no end")?;
        let header_at = at;
        at += BLOCK_BYTES as u64;
        let Some(mut member) = parse_header(&block)? else { break };
        if member.size > reader.tar_bytes() {
            return Err(damaged(format!("a member of {} bytes does not fit into its tar", member.size)));
        }
        let stored = member.size + padding(member.size) as u64;
        if member.kind == b'x' {
            if member.size > MAX_INDEX_LINE_BYTES as u64 {
                return Err(damaged(format!("a PAX header of {} bytes is longer than any that tgvault writes", member.size)));
            }
            let mut records = vec![0; member.size as usize];
            fill(&mut stream, &mut records, "the tar ends in the middle of a PAX header")?;
            skip(&mut stream, stored - member.size)?;
            pax = parse_pax(&records)?;
        } else {
            let Pax { path, link } = std::mem::take(&mut pax);
            member.name = path.unwrap_or(member.name);
            member.link = link.unwrap_or(member.link);
            match expected.pop_front() {
                Some(entry) if is_same(&member, &entry, at) => match entry.content {
                    Some(located) => check_content(&mut stream, entry.path, &located, member.size, &mut checked)?,
                    None => skip(&mut stream, stored)?,
                },
                Some(entry) => return Err(damaged(format!("the tar holds something else at {at} than '{}'", entry.path))),
                None if member.kind == b'0' && header_at >= own_start => skip(&mut stream, stored)?,
                None => return Err(damaged(format!("a member at {at} of the tar is not in the index"))),
            }
        }
        at += stored;
    }
    let mut rest = Vec::new();
    stream.take(BLOCK_BYTES as u64 + 1).read_to_end(&mut rest)?;
    if rest.len() != BLOCK_BYTES || rest.iter().any(|&byte| byte != 0) {
        return Err(damaged("something follows the end of the tar"));
    }
    if !expected.is_empty() {
        return Err(damaged(format!("{} entries of the index are not in the tar", expected.len())));
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
