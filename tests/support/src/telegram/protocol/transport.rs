//! The framings of MTProto over TCP, from the server's side: full, abridged, intermediate and padded intermediate, the last
//! three also obfuscated.
//!
//! The client's first bytes say which one it speaks.
//! Described at <https://core.telegram.org/mtproto/mtproto-transports>.

use grammers_crypto::ObfuscatedCipher;

/// Longest packet taken, in bytes: a request with the largest body that a client may send is far below it.
const LONGEST_PACKET: usize = 1 << 24;

/// One of the four framings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Full,
    Abridged,
    Intermediate,
    Padded,
}

/// Why the bytes of a client cannot be cut into packets.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum FramingError {
    #[error("a packet of {0} bytes")]
    Length(usize),
    #[error("packet number {got} where {expected} was due")]
    Sequence { expected: u32, got: u32 },
    #[error("checksum does not match")]
    Checksum,
}

/// Tells from a connection's first bytes what the client speaks, and takes those that only say so off the buffer;
/// `None` asks for more bytes.
pub(crate) fn open(buffer: &mut Vec<u8>) -> Option<(FrameReader, FrameWriter)> {
    let (framing, mark) = match *buffer.as_slice() {
        [0xef, ..] => (Framing::Abridged, 1),
        [0xee, 0xee, 0xee, 0xee, ..] => (Framing::Intermediate, 4),
        [0xdd, 0xdd, 0xdd, 0xdd, ..] => (Framing::Padded, 4),
        // A length, and the number of the first packet.
        [_, _, _, _, 0, 0, 0, 0, ..] => (Framing::Full, 0),
        _ => return open_obfuscated(buffer),
    };
    buffer.drain(..mark);
    Some((FrameReader { framing, received: 0, cipher: None }, FrameWriter { framing, sent: 0, cipher: None }))
}

/// 64 random bytes come first: they hold the keys of both directions, and under the client's own the mark of the framing.
fn open_obfuscated(buffer: &mut Vec<u8>) -> Option<(FrameReader, FrameWriter)> {
    let mut start = *buffer.first_chunk::<64>()?;
    let mut incoming = ObfuscatedCipher::new(&start);
    let outgoing = ObfuscatedCipher::new(&start);
    incoming.encrypt(&mut start);
    let framing = match start[56..60] {
        [0xef, 0xef, 0xef, 0xef] => Framing::Abridged,
        [0xee, 0xee, 0xee, 0xee] => Framing::Intermediate,
        _ => Framing::Padded,
    };
    buffer.drain(..64);
    incoming.encrypt(buffer);
    Some((FrameReader { framing, received: 0, cipher: Some(incoming) }, FrameWriter { framing, sent: 0, cipher: Some(outgoing) }))
}

/// Cuts what a client sends into packets.
pub(crate) struct FrameReader {
    framing: Framing,
    received: u32,
    cipher: Option<ObfuscatedCipher>,
}

impl FrameReader {
    /// Makes bytes that came from the network readable.
    pub(crate) fn clear(&mut self, bytes: &mut [u8]) {
        if let Some(cipher) = &mut self.cipher {
            // What the client's half calls encryption: counter mode is its own inverse.
            cipher.encrypt(bytes);
        }
    }

    /// Takes the next whole packet off the front of `buffer`; `None` when more bytes are needed.
    pub(crate) fn take(&mut self, buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, FramingError> {
        let Some((start, end, next)) = self.bounds(buffer)? else { return Ok(None) };
        let mut payload = buffer.get(start..end).unwrap_or_default().to_vec();
        if self.framing == Framing::Padded && payload.len() > 24 && payload[..8] != [0; 8] {
            payload.truncate(payload.len() - (payload.len() - 24) % 16);
        }
        buffer.drain(..next.min(buffer.len()));
        Ok(Some(payload))
    }

    /// Where the payload lies and where the next packet begins.
    fn bounds(&mut self, buffer: &[u8]) -> Result<Option<(usize, usize, usize)>, FramingError> {
        let (head, len) = match self.framing {
            Framing::Abridged => match buffer {
                [] => return Ok(None),
                [0x7f | 0xff, a, b, c, ..] => (4, u32::from_le_bytes([*a, *b, *c, 0]) as usize * 4),
                [0x7f | 0xff, ..] => return Ok(None),
                // The high bit asks for a quick ack, which nobody here needs.
                [words, ..] => (1, usize::from(words & 0x7f) * 4),
            },
            Framing::Intermediate | Framing::Padded | Framing::Full => {
                let Some(len) = word(buffer, 0) else { return Ok(None) };
                (4, (len & 0x7fff_ffff) as usize)
            }
        };
        if len > LONGEST_PACKET {
            return Err(FramingError::Length(len));
        }
        if self.framing != Framing::Full {
            return Ok((buffer.len() >= head + len).then_some((head, head + len, head + len)));
        }
        if len < 12 {
            return Err(FramingError::Length(len));
        }
        let (Some(sequence), Some(checksum)) = (word(buffer, 4), word(buffer, len - 4)) else { return Ok(None) };
        if sequence != self.received {
            return Err(FramingError::Sequence { expected: self.received, got: sequence });
        }
        if checksum != crc32fast::hash(buffer.get(..len - 4).unwrap_or_default()) {
            return Err(FramingError::Checksum);
        }
        self.received += 1;
        Ok(Some((8, len - 4, len)))
    }
}

/// Puts packets for a client into its framing.
pub(crate) struct FrameWriter {
    framing: Framing,
    sent: u32,
    cipher: Option<ObfuscatedCipher>,
}

impl FrameWriter {
    /// The packet as it goes over the wire.
    pub(crate) fn frame(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = self.framed(payload);
        if let Some(cipher) = &mut self.cipher {
            cipher.decrypt(&mut out);
        }
        out
    }

    fn framed(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(payload.len() + 16);
        match self.framing {
            Framing::Full => {
                out.extend((payload.len() as u32 + 12).to_le_bytes());
                out.extend(self.sent.to_le_bytes());
                out.extend(payload);
                out.extend(crc32fast::hash(&out).to_le_bytes());
                self.sent += 1;
            }
            Framing::Abridged => {
                let words = payload.len() / 4;
                if words < 0x7f {
                    out.push(words as u8);
                } else {
                    out.push(0x7f);
                    out.extend(&(words as u32).to_le_bytes()[..3]);
                }
                out.extend(payload);
            }
            Framing::Intermediate => {
                out.extend((payload.len() as u32).to_le_bytes());
                out.extend(payload);
            }
            Framing::Padded => {
                let padding = usize::from(super::crypto::random::<1>()[0] & 15);
                out.extend(((payload.len() + padding) as u32).to_le_bytes());
                out.extend(payload);
                out.extend(&super::crypto::random::<16>()[..padding]);
            }
        }
        out
    }

    /// A transport error such as -404 or -429, which takes the place of a packet.
    pub(crate) fn error(&mut self, code: i32) -> Vec<u8> {
        match self.framing {
            // In full framing the code stands where the length would, as clients expect it.
            Framing::Full => code.to_le_bytes().to_vec(),
            _ => self.frame(&code.to_le_bytes()),
        }
    }
}

fn word(buffer: &[u8], at: usize) -> Option<u32> {
    buffer.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(framing: Framing) -> FrameWriter {
        FrameWriter { framing, sent: 0, cipher: None }
    }

    /// What a client sends first in each framing, with the packets that follow.
    fn wire(framing: Framing, packets: &[Vec<u8>]) -> Vec<u8> {
        let mark: &[u8] = match framing {
            Framing::Full => &[],
            Framing::Abridged => &[0xef],
            Framing::Intermediate => &[0xee; 4],
            Framing::Padded => &[0xdd; 4],
        };
        let mut writer = writer(framing);
        [mark.to_vec(), packets.iter().flat_map(|packet| writer.frame(packet)).collect()].concat()
    }

    /// Reads byte by byte, as the network may deliver.
    fn read(wire: &[u8]) -> Result<Vec<Vec<u8>>, FramingError> {
        let (mut buffer, mut open_now, mut got) = (Vec::new(), None, Vec::new());
        for byte in wire {
            match &mut open_now {
                None => {
                    buffer.push(*byte);
                    open_now = open(&mut buffer).map(|(reader, _)| reader);
                }
                Some(reader) => {
                    let mut byte = [*byte];
                    reader.clear(&mut byte);
                    buffer.extend(byte);
                }
            }
            while let Some(packet) = open_now.as_mut().map(|reader| reader.take(&mut buffer)).transpose()?.flatten() {
                got.push(packet);
            }
        }
        assert!(buffer.is_empty());
        Ok(got)
    }

    fn packets() -> Vec<Vec<u8>> {
        [40, 24 + 16, 24 + 1600].iter().map(|&len| (0..len).map(|i| i as u8 | 1).collect()).collect()
    }

    #[test]
    fn every_framing_gives_back_what_was_framed() {
        for framing in [Framing::Full, Framing::Abridged, Framing::Intermediate, Framing::Padded] {
            assert_eq!(read(&wire(framing, &packets())), Ok(packets()), "{framing:?}");
        }
    }

    #[test]
    fn obfuscated_framings_too() {
        for (framing, tag) in [(Framing::Abridged, 0xef), (Framing::Intermediate, 0xee), (Framing::Padded, 0xdd)] {
            let mut start: [u8; 64] = std::array::from_fn(|i| i as u8 + 1);
            let mut client = ObfuscatedCipher::new(&start);
            start[56..60].copy_from_slice(&[tag; 4]);
            let mut sealed = start;
            client.encrypt(&mut sealed);
            start[56..].copy_from_slice(&sealed[56..]);
            let mut plain = wire(framing, &packets()).split_off(if framing == Framing::Abridged { 1 } else { 4 });
            client.encrypt(&mut plain);
            assert_eq!(read(&[start.to_vec(), plain].concat()), Ok(packets()), "{framing:?}");
        }
    }

    #[test]
    fn full_framing_refuses_changed_and_repeated_packets() {
        let good = wire(Framing::Full, &[vec![1; 24]]);
        let mut changed = good.clone();
        changed[10] ^= 1;
        assert_eq!(read(&changed), Err(FramingError::Checksum));
        assert_eq!(read(&[good.clone(), good].concat()), Err(FramingError::Sequence { expected: 1, got: 0 }));
    }
}
