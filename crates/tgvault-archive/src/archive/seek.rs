//! The end of an archive: the trailer, which says where its own members begin, and the seek table over its frames.
//!
//! Both are zstd skippable frames, so that `zstd -d` passes over them. The table is that of the zstd seekable format
//! (<https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md>), without checksums.

use super::{ArchiveError, MAX_FRAME_BYTES, damaged};
use crate::model::digest::Id;

const TABLE_MAGIC: u32 = 0x184D_2A5E;
const TRAILER_MAGIC: u32 = 0x184D_2A5D;
const FOOTER_MAGIC: u32 = 0x8F92_EAB1;
const TRAILER_WORD: &[u8; 8] = b"tgvault1";

/// Bytes of the footer, with which the table and so the whole plain archive ends.
pub const FOOTER_BYTES: usize = 9;

/// Bytes of the trailer with its frame header.
pub const TRAILER_BYTES: usize = 8 + 8 + 16 + 4;

/// The most frames that are read: 1 GiB of archive could not hold more at a sensible size.
const MAX_FRAMES: u32 = 4 * 1024 * 1024;

/// One frame: lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Coded length.
    pub coded: u32,
    /// Length after decoding; 0 for a skippable frame.
    pub plain: u32,
}

/// What the end of an archive says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The archive's name.
    pub id: Id,
    /// Number of the first frame of the archive's own members.
    pub own_frame: u32,
    /// All frames, in order, without trailer and table.
    pub frames: Vec<Frame>,
}

/// The trailer and the table of an archive, as they are stored.
pub fn write(layout: &Layout) -> Vec<u8> {
    let entries = layout.frames.len() + 1;
    let mut bytes = Vec::with_capacity(TRAILER_BYTES + 8 + entries * 8 + FOOTER_BYTES);
    bytes.extend_from_slice(&TRAILER_MAGIC.to_le_bytes());
    bytes.extend_from_slice(&((TRAILER_BYTES - 8) as u32).to_le_bytes());
    bytes.extend_from_slice(TRAILER_WORD);
    bytes.extend_from_slice(&layout.id.0);
    bytes.extend_from_slice(&layout.own_frame.to_le_bytes());
    bytes.extend_from_slice(&TABLE_MAGIC.to_le_bytes());
    bytes.extend_from_slice(&((entries * 8 + FOOTER_BYTES) as u32).to_le_bytes());
    let trailer = Frame { coded: TRAILER_BYTES as u32, plain: 0 };
    for frame in layout.frames.iter().chain([&trailer]) {
        bytes.extend_from_slice(&frame.coded.to_le_bytes());
        bytes.extend_from_slice(&frame.plain.to_le_bytes());
    }
    bytes.extend_from_slice(&(entries as u32).to_le_bytes());
    bytes.push(0);
    bytes.extend_from_slice(&FOOTER_MAGIC.to_le_bytes());
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, ArchiveError> {
    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
    four.map(u32::from_le_bytes).ok_or_else(|| damaged("its end is cut"))
}

/// How many bytes trailer and table take, read from the last [`FOOTER_BYTES`] of the plain archive.
///
/// # Errors
/// When the bytes are no footer.
pub fn length_from_footer(footer: &[u8]) -> Result<u64, ArchiveError> {
    if footer.len() != FOOTER_BYTES || u32_at(footer, 5)? != FOOTER_MAGIC {
        return Err(damaged("it does not end with a seek table"));
    }
    let entries = u32_at(footer, 0)?;
    if entries == 0 || entries > MAX_FRAMES || footer.get(4) != Some(&0) {
        return Err(damaged("its seek table is not one that tgvault writes"));
    }
    Ok((TRAILER_BYTES + 8 + FOOTER_BYTES) as u64 + u64::from(entries) * 8)
}

/// Reads trailer and table, `end` being exactly those bytes and `plain_bytes` the length of the whole plain archive.
///
/// # Errors
/// When anything in it contradicts the format or the archive's length.
pub fn read(end: &[u8], plain_bytes: u64) -> Result<Layout, ArchiveError> {
    let footer = end.len().checked_sub(FOOTER_BYTES).and_then(|from| end.get(from..)).unwrap_or_default();
    if length_from_footer(footer)? != end.len() as u64 {
        return Err(damaged("its seek table has a wrong length"));
    }
    let entries = u32_at(footer, 0)? as usize;
    let sound = u32_at(end, 0)? == TRAILER_MAGIC
        && u32_at(end, 4)? as usize == TRAILER_BYTES - 8
        && end.get(8..16) == Some(TRAILER_WORD)
        && u32_at(end, TRAILER_BYTES)? == TABLE_MAGIC
        && u32_at(end, TRAILER_BYTES + 4)? as usize == entries * 8 + FOOTER_BYTES;
    let id = end.get(16..32).and_then(|id| id.try_into().ok()).map(Id);
    let (true, Some(id)) = (sound, id) else { return Err(damaged("its trailer is not one that tgvault writes")) };
    let own_frame = u32_at(end, 32)?;
    let mut frames = Vec::with_capacity(entries - 1);
    let mut coded_bytes = end.len() as u64 - TRAILER_BYTES as u64;
    for number in 0..entries {
        let at = TRAILER_BYTES + 8 + number * 8;
        let frame = Frame { coded: u32_at(end, at)?, plain: u32_at(end, at + 4)? };
        coded_bytes += u64::from(frame.coded);
        if number + 1 == entries {
            if (frame.coded, frame.plain) != (TRAILER_BYTES as u32, 0) {
                return Err(damaged("its seek table does not end with the trailer"));
            }
        } else if u64::from(frame.plain) > MAX_FRAME_BYTES || u64::from(frame.coded) > 2 * MAX_FRAME_BYTES || frame.plain == 0 {
            return Err(damaged(format!("frame {number} claims {} bytes from {} stored ones", frame.plain, frame.coded)));
        } else {
            frames.push(frame);
        }
    }
    if coded_bytes != plain_bytes || own_frame as usize > frames.len() {
        return Err(damaged("its seek table does not fit its length"));
    }
    Ok(Layout { id, own_frame, frames })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout { id: Id([7; 16]), own_frame: 1, frames: vec![Frame { coded: 10, plain: 20 }, Frame { coded: 5, plain: 9 }] }
    }

    #[test]
    fn reads_what_it_wrote_and_zstd_passes_over_it() {
        let end = write(&layout());
        let plain = end.len() as u64 + 15;
        assert_eq!(length_from_footer(&end[end.len() - FOOTER_BYTES..]).unwrap(), end.len() as u64);
        assert_eq!(read(&end, plain).unwrap(), layout());
        let mut stream = zstd::encode_all(&b"tar"[..], 1).unwrap();
        stream.extend_from_slice(&end);
        assert_eq!(zstd::decode_all(stream.as_slice()).unwrap(), b"tar");
    }

    #[test]
    fn no_changed_or_cut_end_panics_or_passes_for_another_layout() {
        let end = write(&layout());
        for position in 0..end.len() {
            for bit in 0..8 {
                let mut changed = end.clone();
                changed[position] ^= 1 << bit;
                if let Ok(found) = read(&changed, end.len() as u64 + 15) {
                    assert!((8 + 8..TRAILER_BYTES).contains(&position) || found.frames.iter().any(|frame| frame.plain != 20), "{position}");
                }
            }
            assert!(read(&end[position + 1..], end.len() as u64 + 15).is_err());
            assert!(read(&end[..position], end.len() as u64 + 15).is_err());
        }
    }
}
