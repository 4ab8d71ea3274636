//! The payload of an age file: chunks of 64 KiB, each sealed with ChaCha20-Poly1305.
//!
//! A chunk's nonce is its number (11 bytes, big endian) and a byte that is 1 for the last chunk, so a chunk cannot be moved,
//! dropped or repeated unseen, and any of them can be opened alone. Format: <https://age-encryption.org/v1>.

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;

use super::CryptError;

/// Plain bytes in a chunk; only the last may have fewer.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of the authentication tag behind each chunk.
pub const TAG_BYTES: usize = 16;

/// Stored bytes of a full chunk.
pub const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// The key of one file's payload.
pub struct PayloadKey(LessSafeKey);

impl PayloadKey {
    /// Derives the payload key as age does: HKDF-SHA-256 with the nonce as salt.
    pub(super) fn derive(file_key: &[u8; 16], nonce: &[u8; 16]) -> Result<Self, CryptError> {
        let pseudo_random = hkdf::Salt::new(hkdf::HKDF_SHA256, nonce).extract(file_key);
        let okm = pseudo_random.expand(&[b"payload"], &CHACHA20_POLY1305).map_err(|_| CryptError::Cipher)?;
        Ok(Self(LessSafeKey::new(UnboundKey::from(okm))))
    }

    fn nonce(chunk: u64, last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[3..11].copy_from_slice(&chunk.to_be_bytes());
        nonce[11] = u8::from(last);
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals chunk number `chunk` in place; gives its tag.
    pub fn seal(&self, chunk: u64, last: bool, plain: &mut [u8]) -> Result<[u8; TAG_BYTES], CryptError> {
        let tag = self.0.seal_in_place_separate_tag(Self::nonce(chunk, last), Aad::empty(), plain).map_err(|_| CryptError::Cipher)?;
        tag.as_ref().try_into().map_err(|_| CryptError::Cipher)
    }

    /// Opens chunk number `chunk` in place; gives its plain bytes.
    ///
    /// # Errors
    /// [`CryptError::Chunk`] when the chunk was changed, cut, or is not this number or not the last.
    pub fn open<'a>(&self, chunk: u64, last: bool, sealed: &'a mut [u8]) -> Result<&'a mut [u8], CryptError> {
        self.0.open_in_place(Self::nonce(chunk, last), Aad::empty(), sealed).map_err(|_| CryptError::Chunk { chunk })
    }

    /// Opens chunk number `chunk` into `plain`, which is as long as its plain bytes.
    fn open_into(&self, chunk: u64, last: bool, sealed: &[u8], plain: &mut [u8]) -> Result<(), CryptError> {
        let wrong = CryptError::Chunk { chunk };
        let Some((text, tag)) = sealed.split_last_chunk::<TAG_BYTES>().filter(|(text, _)| text.len() == plain.len()) else {
            return Err(wrong);
        };
        self.0.open_separate_gather(Self::nonce(chunk, last), Aad::empty(), text, tag, plain).map_err(|_| wrong)
    }
}

/// The plain length of a payload of `sealed_bytes`.
///
/// # Errors
/// When no payload has that length.
pub fn plain_length(sealed_bytes: u64) -> Result<u64, CryptError> {
    let chunks = sealed_bytes.div_ceil(SEALED_CHUNK_BYTES as u64);
    let last = sealed_bytes.saturating_sub(chunks.saturating_sub(1).saturating_mul(SEALED_CHUNK_BYTES as u64));
    // An empty last chunk exists only where the whole payload is empty.
    if chunks == 0 || last < TAG_BYTES as u64 || (last == TAG_BYTES as u64 && chunks > 1) {
        return Err(CryptError::Chunk { chunk: chunks.saturating_sub(1) });
    }
    Ok(sealed_bytes - chunks * TAG_BYTES as u64)
}

/// Opens `sealed`, which starts at chunk `first` and holds whole chunks; `plain` holds the plain bytes afterwards, and nothing
/// else. `ends` says whether the payload ends with it.
///
/// # Errors
/// When a chunk does not authenticate.
pub fn open_chunks(key: &PayloadKey, first: u64, ends: bool, sealed: &[u8], plain: &mut Vec<u8>) -> Result<(), CryptError> {
    let count = sealed.len().div_ceil(SEALED_CHUNK_BYTES);
    // Memory that is used again is not cleared first: every byte of it is written below.
    plain.resize(sealed.len().saturating_sub(count * TAG_BYTES), 0);
    let mut plain = plain.chunks_mut(CHUNK_BYTES);
    for (number, sealed) in sealed.chunks(SEALED_CHUNK_BYTES).enumerate() {
        key.open_into(first + number as u64, ends && number + 1 == count, sealed, plain.next().unwrap_or_default())?;
    }
    Ok(())
}

/// Seals everything that is written to it.
pub struct PayloadWriter<W> {
    key: PayloadKey,
    out: W,
    chunk: Vec<u8>,
    number: u64,
}

impl<W: Write> PayloadWriter<W> {
    /// Seals under `key` into `out`, which stands behind the header.
    pub fn new(key: PayloadKey, out: W) -> Self {
        Self { key, out, chunk: Vec::with_capacity(SEALED_CHUNK_BYTES), number: 0 }
    }

    /// The layer below.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    fn emit(&mut self, last: bool) -> io::Result<()> {
        let tag = self.key.seal(self.number, last, &mut self.chunk).map_err(io::Error::other)?;
        self.chunk.extend_from_slice(&tag);
        self.out.write_all(&self.chunk)?;
        self.chunk.clear();
        self.number += 1;
        Ok(())
    }

    /// Seals the last chunk and gives the layer below.
    ///
    /// # Errors
    /// Those of the layer below.
    pub fn finish(mut self) -> io::Result<W> {
        self.emit(true)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for PayloadWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits until more follows: only then is it known not to be the last.
        if self.chunk.len() == CHUNK_BYTES && !bytes.is_empty() {
            self.emit(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Opens a payload from its start to its end.
pub struct PayloadReader<R> {
    key: PayloadKey,
    input: R,
    sealed: Vec<u8>,
    plain: std::ops::Range<usize>,
    number: u64,
    ended: bool,
}

impl<R: Read> PayloadReader<R> {
    /// Reads the payload behind a header that `key` came from.
    pub fn new(key: PayloadKey, input: R) -> Self {
        Self { key, input, sealed: Vec::new(), plain: 0..0, number: 0, ended: false }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        // One byte more than a chunk is read ahead: whether it exists tells whether this chunk is the last.
        let ahead = self.sealed.get(SEALED_CHUNK_BYTES).copied();
        self.sealed.clear();
        self.sealed.extend(ahead);
        let wanted = (SEALED_CHUNK_BYTES + 1 - self.sealed.len()) as u64;
        self.input.by_ref().take(wanted).read_to_end(&mut self.sealed)?;
        let last = self.sealed.len() <= SEALED_CHUNK_BYTES;
        let length = self.sealed.len().min(SEALED_CHUNK_BYTES);
        let chunk = self.sealed.get_mut(..length).unwrap_or_default();
        let plain = self.key.open(self.number, last, chunk).map_err(io::Error::other)?.len();
        if last && plain == 0 && self.number > 0 {
            return Err(io::Error::other(CryptError::Chunk { chunk: self.number }));
        }
        self.plain = 0..plain;
        self.number += 1;
        self.ended = last;
        Ok(())
    }
}

impl<R: Read> Read for PayloadReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.plain.is_empty() {
            if self.ended {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let taken = buffer.len().min(self.plain.len());
        let from = self.plain.start;
        if let (Some(to), Some(bytes)) = (buffer.get_mut(..taken), self.sealed.get(from..from + taken)) {
            to.copy_from_slice(bytes);
        }
        self.plain.start += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::super::header;
    use super::super::keys::{self, Identities, Recipients};
    use super::*;

    fn pair() -> (Recipients, Identities) {
        let (secret, recipient) = keys::generate();
        (Recipients::parse([recipient.as_str()]).unwrap(), Identities::parse(keys::expose(&secret)).unwrap())
    }

    #[test]
    fn the_age_crate_reads_what_is_sealed_here_at_every_border() {
        let (secret, recipient) = keys::generate();
        let recipients = Recipients::parse([recipient.as_str()]).unwrap();
        let identity: age::x25519::Identity = keys::expose(&secret).parse().unwrap();
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 17] {
            let plain: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let (mut stored, key) = header::seal(&recipients).unwrap();
            let head = stored.len();
            let mut writer = PayloadWriter::new(key, &mut stored);
            for piece in plain.chunks(7919) {
                writer.write_all(piece).unwrap();
            }
            writer.finish().unwrap();
            assert_eq!(age::decrypt(&identity, &stored).unwrap(), plain, "{length}");
            assert_eq!(plain_length((stored.len() - head) as u64).unwrap(), length as u64);
        }
    }

    #[test]
    fn reads_what_the_age_crate_sealed_and_notices_every_change() {
        let (secret, recipient) = keys::generate();
        let identities = Identities::parse(keys::expose(&secret)).unwrap();
        let recipient: age::x25519::Recipient = recipient.parse().unwrap();
        for length in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES] {
            let plain = vec![7; length];
            let stored = age::encrypt(&recipient, &plain).unwrap();
            let (head, key) = header::open(&stored, &identities).unwrap();
            let mut read = Vec::new();
            PayloadReader::new(key, &stored[head..]).read_to_end(&mut read).unwrap();
            assert_eq!(read, plain);
            for cut in [head, head + 1, stored.len() - 1, stored.len() - TAG_BYTES] {
                let (_, key) = header::open(&stored, &identities).unwrap();
                if cut < stored.len() && cut >= head {
                    assert!(PayloadReader::new(key, &stored[head..cut]).read_to_end(&mut Vec::new()).is_err(), "{length} {cut}");
                }
            }
            let mut longer = stored.clone();
            longer.push(0);
            let (_, key) = header::open(&longer, &identities).unwrap();
            assert!(PayloadReader::new(key, &longer[head..]).read_to_end(&mut Vec::new()).is_err());
        }
    }

    #[test]
    fn a_cut_header_asks_for_more_and_a_strange_key_is_told() {
        let (recipients, identities) = pair();
        let (stored, _) = header::seal(&recipients).unwrap();
        for cut in 0..stored.len() {
            assert!(matches!(header::open(&stored[..cut], &identities), Err(CryptError::Incomplete)), "{cut}");
        }
        assert!(matches!(header::open(&stored, &pair().1), Err(CryptError::WrongKey)));
        assert!(matches!(header::open(b"not an age file at all, certainly not\n", &identities), Err(CryptError::Header(_))));
    }
}
