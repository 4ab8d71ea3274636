//! SHA-256 over bytes and streams.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::model::digest::Digest;

/// Computes a SHA-256 piece by piece.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Hashes and counts what is written through it.
pub struct HashWriter<W> {
    out: W,
    hasher: Hasher,
    length: u64,
}

impl<W: Write> HashWriter<W> {
    /// Wraps `out`.
    pub fn new(out: W) -> Self {
        Self { out, hasher: Hasher::new(), length: 0 }
    }

    /// Bytes written so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The layer below.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Ends: the layer below, the digest and the length in bytes.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.out, self.hasher.finish(), self.length)
    }
}

impl<W: Write> Write for HashWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..taken).unwrap_or(bytes));
        self.length += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Hashes and counts what is read through it.
pub struct HashReader<R> {
    input: R,
    hasher: Hasher,
    length: u64,
}

impl<R: Read> HashReader<R> {
    /// Wraps `input`.
    pub fn new(input: R) -> Self {
        Self { input, hasher: Hasher::new(), length: 0 }
    }

    /// Ends: the digest and length of what was read.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.length)
    }
}

impl<R: Read> Read for HashReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read(buffer)?;
        self.hasher.update(buffer.get(..got).unwrap_or_default());
        self.length += got as u64;
        Ok(got)
    }
}
