//! The framings of MTProto over TCP, from the server's side: full, abridged, intermediate and padded intermediate.
//!
//! The client's first bytes say which one it speaks; full has no such mark and is what remains.
//! Described at <https://core.telegram.org/mtproto/mtproto-transports>.

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

impl Framing {
    /// Tells the framing from the first bytes of a connection and how many of them are its mark; `None` asks for more bytes.
    pub(crate) fn detect(start: &[u8]) -> Option<(Self, usize)> {
        match start {
            [0xef, ..] => Some((Self::Abridged, 1)),
            [0xee, 0xee, 0xee, 0xee, ..] => Some((Self::Intermediate, 4)),
            [0xdd, 0xdd, 0xdd, 0xdd, ..] => Some((Self::Padded, 4)),
            [_, _, _, _, ..] => Some((Self::Full, 0)),
            _ => None,
        }
    }
}

/// Cuts what a client sends into packets.
pub(crate) struct FrameReader {
    framing: Framing,
    received: u32,
}

impl FrameReader {
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, received: 0 }
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
}

impl FrameWriter {
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, sent: 0 }
    }

    /// The packet as it goes over the wire.
    pub(crate) fn frame(&mut self, payload: &[u8]) -> Vec<u8> {
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

    #[test]
    fn every_framing_gives_back_what_was_framed() {
        for framing in [Framing::Full, Framing::Abridged, Framing::Intermediate, Framing::Padded] {
            let payloads: Vec<Vec<u8>> = [40, 24 + 16, 24 + 1600].iter().map(|&len| (0..len).map(|i| i as u8 | 1).collect()).collect();
            let mut writer = FrameWriter::new(framing);
            let mut wire: Vec<u8> = payloads.iter().flat_map(|p| writer.frame(p)).collect();
            let mut reader = FrameReader::new(framing);
            let mut buffer = Vec::new();
            let mut got = Vec::new();
            // Byte by byte, as the network may deliver it.
            for byte in wire.drain(..) {
                buffer.push(byte);
                while let Some(packet) = reader.take(&mut buffer).expect("framed well") {
                    got.push(packet);
                }
            }
            assert_eq!(got, payloads, "{framing:?}");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn full_framing_refuses_changed_and_repeated_packets() {
        let packet = FrameWriter::new(Framing::Full).frame(&[1; 24]);
        let mut changed = packet.clone();
        changed[10] ^= 1;
        assert_eq!(FrameReader::new(Framing::Full).take(&mut changed), Err(FramingError::Checksum));
        let mut twice = [packet.clone(), packet].concat();
        let mut reader = FrameReader::new(Framing::Full);
        assert!(reader.take(&mut twice).is_ok_and(|p| p.is_some()));
        assert_eq!(reader.take(&mut twice), Err(FramingError::Sequence { expected: 1, got: 0 }));
    }
}
