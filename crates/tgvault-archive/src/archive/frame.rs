//! zstd frames: coded one by one, checked before they are stored, decoded within bounds.

use zstd_safe::{CCtx, DCtx};

use super::{ArchiveError, FRAME_BYTES, MAX_FRAME_BYTES, damaged};

/// Compression level for what compresses: level 3 is where zstd's speed and ratio meet for chat JSON.
const LEVEL: i32 = 3;

/// A raw block holds at most this many bytes (RFC 8878, section 3.1.1.2.3).
const BLOCK_BYTES: usize = 128 * 1024;

/// Samples that decide whether a frame is worth compressing: how many, and bytes in each.
const SAMPLES: usize = 8;
const SAMPLE_BYTES: usize = 4 * 1024;

/// Codes frames; keeps its buffers and contexts from one to the next.
pub struct FrameCoder {
    compressor: CCtx<'static>,
    decompressor: DCtx<'static>,
    coded: Vec<u8>,
    plain_again: Vec<u8>,
    sample: Vec<u8>,
}

impl FrameCoder {
    /// Makes a coder.
    ///
    /// # Errors
    /// When there is no memory for zstd's contexts.
    pub fn new() -> Result<Self, ArchiveError> {
        let no_memory = || std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        Ok(Self {
            compressor: CCtx::try_create().ok_or_else(no_memory)?,
            decompressor: DCtx::try_create().ok_or_else(no_memory)?,
            coded: Vec::with_capacity(zstd_safe::compress_bound(FRAME_BYTES) + 1024),
            plain_again: Vec::with_capacity(FRAME_BYTES),
            sample: Vec::with_capacity(zstd_safe::compress_bound(SAMPLE_BYTES)),
        })
    }

    /// Codes `plain` (1 byte to [`MAX_FRAME_BYTES`]) as one frame: compressed, or as raw blocks where samples say that compressing
    /// is useless, as for photos and videos.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn code(&mut self, plain: &[u8]) -> Result<&[u8], ArchiveError> {
        if self.is_worth_compressing(plain)? {
            self.coded.clear();
            self.coded.reserve(zstd_safe::compress_bound(plain.len()));
            self.compressor.compress(&mut self.coded, plain, LEVEL).map_err(zstd_error)?;
        } else {
            write_raw_frame(plain, &mut self.coded);
        }
        Ok(&self.coded)
    }

    /// Decodes the frame that [`Self::code`] made last and compares it with `plain`: an encoder's bug must not reach the store.
    ///
    /// # Errors
    /// [`ArchiveError::FrameCheck`] when they differ.
    pub fn check(&mut self, plain: &[u8]) -> Result<(), ArchiveError> {
        decode(&mut self.decompressor, &self.coded, plain.len() as u64, &mut self.plain_again).map_err(|_| ArchiveError::FrameCheck)?;
        if self.plain_again == plain { Ok(()) } else { Err(ArchiveError::FrameCheck) }
    }

    /// What [`Self::code`] made last.
    pub fn coded(&self) -> &[u8] {
        &self.coded
    }

    fn is_worth_compressing(&mut self, plain: &[u8]) -> Result<bool, ArchiveError> {
        if plain.len() < 2 * SAMPLES * SAMPLE_BYTES {
            return Ok(true);
        }
        // Each sample decides alone, so that a text behind an incompressible head is seen.
        let step = (plain.len() - SAMPLE_BYTES) / (SAMPLES - 1);
        for number in 0..SAMPLES {
            let piece = plain.get(number * step..number * step + SAMPLE_BYTES).unwrap_or_default();
            self.sample.clear();
            self.compressor.compress(&mut self.sample, piece, 1).map_err(zstd_error)?;
            if self.sample.len() < SAMPLE_BYTES / 16 * 15 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Writes `plain` as a frame of raw blocks: magic, header with the content's size, blocks with their 3-byte headers (RFC 8878).
fn write_raw_frame(plain: &[u8], coded: &mut Vec<u8>) {
    const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
    // Content size in 4 bytes, single segment (so no window descriptor), no checksum, no dictionary.
    const DESCRIPTOR: u8 = 0b1010_0000;
    coded.clear();
    coded.extend_from_slice(&MAGIC);
    coded.push(DESCRIPTOR);
    coded.extend_from_slice(&(plain.len() as u32).to_le_bytes());
    let blocks = plain.len().div_ceil(BLOCK_BYTES).max(1);
    for number in 0..blocks {
        let block = plain.get(number * BLOCK_BYTES..plain.len().min((number + 1) * BLOCK_BYTES)).unwrap_or_default();
        let last = u32::from(number + 1 == blocks);
        let header = last | (block.len() as u32) << 3;
        coded.extend_from_slice(header.to_le_bytes().get(..3).unwrap_or_default());
        coded.extend_from_slice(block);
    }
}

/// Decodes `coded` into `plain`, which then holds exactly `plain_bytes`.
///
/// # Errors
/// When the frame is damaged, or holds more or less than `plain_bytes`, or more than [`MAX_FRAME_BYTES`].
pub fn decode(decompressor: &mut DCtx<'static>, coded: &[u8], plain_bytes: u64, plain: &mut Vec<u8>) -> Result<(), ArchiveError> {
    if plain_bytes > MAX_FRAME_BYTES {
        return Err(damaged(format!("a frame claims {plain_bytes} bytes, more than the {MAX_FRAME_BYTES} that are accepted")));
    }
    plain.clear();
    plain.reserve(plain_bytes as usize);
    decompressor.decompress(plain, coded).map_err(zstd_error)?;
    if plain.len() as u64 != plain_bytes {
        return Err(damaged(format!("a frame holds {} bytes instead of {plain_bytes}", plain.len())));
    }
    Ok(())
}

/// Compresses a small thing that is kept in memory whole.
///
/// # Errors
/// When zstd fails.
pub fn compress_small(plain: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    Ok(zstd::bulk::compress(plain, LEVEL)?)
}

/// As [`compress_small`], larger and several times as fast: for what only waits in memory.
///
/// # Errors
/// When zstd fails.
pub fn compress_quickly(plain: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let mut compressed = zstd::bulk::compress(plain, 1)?;
    compressed.shrink_to_fit();
    Ok(compressed)
}

/// Decompresses what [`compress_small`] or [`compress_quickly`] made, up to `limit_bytes`.
///
/// # Errors
/// When it is damaged or larger.
pub fn decompress_small(compressed: &[u8], limit_bytes: u64) -> Result<Vec<u8>, ArchiveError> {
    use std::io::Read;
    let mut plain = Vec::new();
    zstd::stream::read::Decoder::new(compressed)?.take(limit_bytes + 1).read_to_end(&mut plain)?;
    if plain.len() as u64 > limit_bytes { Err(damaged(format!("more than {limit_bytes} bytes"))) } else { Ok(plain) }
}

/// A skippable frame, which readers of zstd pass over, with something of our own in it.
const BESIDE_MAGIC: [u8; 4] = 0x184D_2A5C_u32.to_le_bytes();
const BESIDE_NAME: &[u8; 8] = b"tgvindex";

/// Puts `beside` behind frames as a skippable one; left out where it is empty or too long for one.
pub fn put_beside(frames: &mut Vec<u8>, beside: &[u8]) {
    let Ok(length) = u32::try_from(beside.len() + BESIDE_NAME.len()) else { return };
    if !beside.is_empty() {
        frames.extend_from_slice(&BESIDE_MAGIC);
        frames.extend_from_slice(&length.to_le_bytes());
        frames.extend_from_slice(BESIDE_NAME);
        frames.extend_from_slice(beside);
    }
}

/// What [`put_beside`] put behind the first frame.
pub fn beside(frames: &[u8]) -> Option<&[u8]> {
    let first = zstd_safe::find_frame_compressed_size(frames).ok()?;
    let rest = frames.get(first..)?.strip_prefix(&BESIDE_MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    rest.get(..length)?.strip_prefix(BESIDE_NAME)
}

/// Compresses what comes bit by bit and is kept in memory, up to a bound.
pub struct Gathering {
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    limit_bytes: usize,
}

impl Gathering {
    /// Nothing so far, and compressed never more than about `limit_bytes`.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn new(limit_bytes: usize) -> Result<Self, ArchiveError> {
        Ok(Self { encoder: zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?, limit_bytes })
    }

    /// Whether there is room for more.
    pub fn has_room(&self) -> bool {
        self.encoder.get_ref().len() < self.limit_bytes
    }

    /// Takes more.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn add(&mut self, plain: &[u8]) -> Result<(), ArchiveError> {
        use std::io::Write;
        Ok(self.encoder.write_all(plain)?)
    }

    /// All of it, compressed.
    ///
    /// # Errors
    /// When zstd fails.
    pub fn finish(self) -> Result<Vec<u8>, ArchiveError> {
        Ok(self.encoder.finish()?)
    }
}

/// Decompresses bit by bit.
///
/// # Errors
/// When zstd has no memory.
pub fn decompressing(compressed: &[u8]) -> Result<impl std::io::BufRead + '_, ArchiveError> {
    Ok(std::io::BufReader::new(zstd::stream::read::Decoder::with_buffer(compressed)?))
}

fn zstd_error(code: usize) -> ArchiveError {
    damaged(format!("zstd: {}", zstd_safe::get_error_name(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as u8
            })
            .collect()
    }

    #[test]
    fn noise_is_stored_raw_and_text_compressed_and_both_read_back() {
        let mut coder = FrameCoder::new().unwrap();
        let mut decoder = DCtx::create();
        let text = b"{\"id\": 1, \"type\": \"message\"},\n".repeat(40_000);
        for (plain, raw) in [(noise(FRAME_BYTES), true), (text.clone(), false), (vec![1], false), (noise(BLOCK_BYTES), true)] {
            let coded = coder.code(&plain).unwrap().to_vec();
            assert_eq!(coded.len() > plain.len(), raw || plain.len() < 20, "{}", plain.len());
            coder.check(&plain).unwrap();
            let mut again = Vec::new();
            decode(&mut decoder, &coded, plain.len() as u64, &mut again).unwrap();
            assert_eq!(again, plain);
            assert_eq!(zstd::decode_all(coded.as_slice()).unwrap(), plain);
        }
        let mut mixed = noise(FRAME_BYTES / 2);
        mixed.extend_from_slice(&text[..FRAME_BYTES / 2]);
        assert!(coder.code(&mixed).unwrap().len() < mixed.len() * 3 / 4);
    }

    #[test]
    fn a_frame_that_explodes_is_refused() {
        let bomb = zstd::encode_all(std::io::repeat(0).take(64 << 20), 3).unwrap();
        let mut plain = Vec::new();
        assert!(decode(&mut DCtx::create(), &bomb, 1 << 20, &mut plain).is_err());
        assert!(decode(&mut DCtx::create(), &bomb, 64 << 20, &mut plain).is_err());
        assert!(plain.capacity() < 16 << 20);
    }

    #[test]
    fn the_check_finds_an_encoder_that_lies() {
        let mut coder = FrameCoder::new().unwrap();
        let plain = noise(FRAME_BYTES);
        coder.code(&plain).unwrap();
        coder.coded[100] ^= 1;
        assert!(matches!(coder.check(&plain), Err(ArchiveError::FrameCheck)));
    }

    use std::io::Read;
}
