//! How packets stand on a connection: in full framing, or obfuscated for an MTProxy.
//!
//! Described at <https://core.telegram.org/mtproto/mtproto-transports>.

use std::io;

use grammers_crypto::{DequeBuffer, ObfuscatedCipher};
use grammers_mtproto::transport::{Error, Full, Transport, UnpackedOffset};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::proxy_secret::ProxySecret;

/// The longest packet, as for full framing.
const MAX_PACKET_BYTES: usize = 16 << 20;

/// What the proxy is told about the packets.
const INTERMEDIATE: [u8; 4] = [0xee; 4];
const PADDED: [u8; 4] = [0xdd; 4];

/// One connection's framing.
pub(super) enum Framing {
    Full(Full),
    Obfuscated(Box<Obfuscated>),
}

/// Intermediate framing, encrypted under keys that both ends derive from the proxy's secret.
pub(super) struct Obfuscated {
    to_proxy: ObfuscatedCipher,
    from_proxy: ObfuscatedCipher,
    padded: bool,
}

/// One direction's cipher. The library takes keys from where they stand in a connection's first bytes, and knows no secrets: it is given
/// bytes in which the finished key stands there.
fn cipher(key_and_iv: &[u8; 48], secret: &ProxySecret) -> ObfuscatedCipher {
    let (key, iv) = key_and_iv.split_at(32);
    let key = Zeroizing::new(<[u8; 32]>::from(Sha256::new().chain_update(key).chain_update(&secret.key[..]).finalize()));
    let mut bytes = Zeroizing::new([0; 64]);
    for (to, from) in bytes.iter_mut().skip(8).zip(key.iter().chain(iv)) {
        *to = *from;
    }
    ObfuscatedCipher::new(&bytes)
}

impl Obfuscated {
    /// The first bytes of a connection to a data centre, and what follows them.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(super) fn begin(secret: &ProxySecret, dc: i32) -> io::Result<([u8; 64], Self)> {
        let mut start = [0; 64];
        loop {
            getrandom::fill(&mut start).map_err(io::Error::other)?;
            if !looks_like_something_else(&start) {
                break;
            }
        }
        let mark = if secret.padded { PADDED } else { INTERMEDIATE };
        // The number of a data centre has two bytes there.
        let dc = i16::try_from(dc).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?.to_le_bytes();
        for (to, from) in start.iter_mut().skip(56).zip(mark.into_iter().chain(dc)) {
            *to = from;
        }
        let forth: [u8; 48] = std::array::from_fn(|i| start.get(8 + i).copied().unwrap_or_default());
        let back: [u8; 48] = std::array::from_fn(|i| start.get(55 - i).copied().unwrap_or_default());
        let (mut to_proxy, from_proxy) = (cipher(&forth, secret), cipher(&back, secret));
        let mut sealed = start;
        to_proxy.encrypt(&mut sealed);
        for (to, from) in start.iter_mut().zip(sealed).skip(56) {
            *to = from;
        }
        Ok((start, Self { to_proxy, from_proxy, padded: secret.padded }))
    }

    fn pack(&mut self, buffer: &mut DequeBuffer<u8>) {
        if self.padded {
            let mut noise = [0; 16];
            // Without randomness the packet is one that is not padded, which every proxy reads.
            if getrandom::fill(&mut noise).is_ok() {
                let count = usize::from(noise.last().copied().unwrap_or_default() & 15);
                buffer.extend(noise.into_iter().take(count));
            }
        }
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        buffer.extend_front(&length.to_le_bytes());
        self.to_proxy.encrypt(buffer.as_mut());
    }
}

/// First bytes by which other protocols and framings are told.
fn looks_like_something_else(start: &[u8; 64]) -> bool {
    const TAKEN: [[u8; 4]; 7] = [*b"HEAD", *b"POST", *b"GET ", *b"OPTI", PADDED, INTERMEDIATE, [0x16, 0x03, 0x01, 0x02]];
    let word = |at: usize| start.get(at..at + 4).unwrap_or_default();
    start.first() == Some(&0xef) || TAKEN.iter().any(|taken| word(0) == taken) || word(4) == [0; 4]
}

/// How much of a packet's payload is the message: a proxy may pad whatever it sends.
fn without_padding(payload: &[u8]) -> usize {
    const HEAD: usize = 24;
    let length = payload.len();
    match payload.first_chunk::<8>() {
        // Not encrypted: it says how long it is.
        Some([0, 0, 0, 0, 0, 0, 0, 0]) => {
            let told = payload.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
            told.and_then(|told| usize::try_from(told).ok()?.checked_add(20)).map_or(length, |told| told.min(length))
        }
        // Encrypted in blocks of 16 bytes.
        Some(_) if length >= HEAD => length - (length - HEAD) % 16,
        _ => length,
    }
}

impl Framing {
    /// Makes a packet of what the buffer holds.
    pub(super) fn pack(&mut self, buffer: &mut DequeBuffer<u8>) {
        match self {
            Self::Full(full) => full.pack(buffer),
            Self::Obfuscated(obfuscated) => obfuscated.pack(buffer),
        }
    }

    /// Makes bytes readable that came from the network; each exactly once, and in order.
    pub(super) fn clear(&mut self, received: &mut [u8]) {
        if let Self::Obfuscated(obfuscated) = self {
            // Counter mode is its own inverse.
            obfuscated.from_proxy.encrypt(received);
        }
    }

    /// Where the first packet of cleared bytes is.
    ///
    /// # Errors
    /// [`Error::MissingBytes`] when it is not whole yet; otherwise what is wrong with it.
    pub(super) fn unpack(&mut self, buffer: &mut [u8]) -> Result<UnpackedOffset, Error> {
        match self {
            Self::Full(full) => full.unpack(buffer),
            Self::Obfuscated(_) => intermediate(buffer),
        }
    }
}

fn intermediate(buffer: &[u8]) -> Result<UnpackedOffset, Error> {
    let (length, rest) = buffer.split_first_chunk::<4>().ok_or(Error::MissingBytes)?;
    let got = i32::from_le_bytes(*length);
    let length = usize::try_from(got).ok().filter(|&length| length <= MAX_PACKET_BYTES).ok_or(Error::BadLen { got })?;
    let payload = rest.get(..length).ok_or(Error::MissingBytes)?;
    // Shorter than any message: a status, with up to 15 bytes of padding.
    if length < 20 {
        let status = payload.first_chunk().map(|&bytes| i32::from_le_bytes(bytes)).filter(|&status| status < 0);
        return Err(status.map_or(Error::BadLen { got }, |status| Error::BadStatus { status: status.unsigned_abs() }));
    }
    Ok(UnpackedOffset { data_range: 4..4 + without_padding(payload), next_offset: 4 + length })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        [&u32::try_from(payload.len()).unwrap().to_le_bytes()[..], payload].concat()
    }

    #[test]
    fn packets_end_where_their_messages_end() {
        let sealed = [vec![1; 24 + 32], vec![9; 15]].concat();
        assert_eq!(intermediate(&packet(&sealed)).unwrap(), UnpackedOffset { data_range: 4..60, next_offset: 75 });
        let plain = [vec![0; 16], vec![8, 0, 0, 0], vec![5; 8], vec![9; 3]].concat();
        assert_eq!(intermediate(&packet(&plain)).unwrap(), UnpackedOffset { data_range: 4..32, next_offset: 35 });
        // A length that is a lie reads nothing beyond the packet.
        let lie = [vec![0; 16], vec![0xff; 4], vec![5; 8]].concat();
        assert_eq!(intermediate(&packet(&lie)).unwrap().data_range, 4..32);
        let status = [(-404_i32).to_le_bytes().to_vec(), vec![9; 7]].concat();
        assert_eq!(intermediate(&packet(&status)), Err(Error::BadStatus { status: 404 }));
        for (bytes, error) in [
            (vec![], Error::MissingBytes),
            (vec![30, 0, 0, 0, 1], Error::MissingBytes),
            (packet(&[]), Error::BadLen { got: 0 }),
            ((-1_i32).to_le_bytes().to_vec(), Error::BadLen { got: -1 }),
            (i32::MAX.to_le_bytes().to_vec(), Error::BadLen { got: i32::MAX }),
        ] {
            assert_eq!(intermediate(&bytes), Err(error));
        }
    }

    #[test]
    fn the_first_bytes_name_framing_and_data_centre_to_whoever_knows_the_secret() {
        let secret = ProxySecret::new(&[&[0xdd][..], &[7; 16]].concat()).unwrap();
        for dc in [2, -4] {
            let (start, mut own) = Obfuscated::begin(&secret, dc).unwrap();
            assert!(!looks_like_something_else(&start));
            let mut theirs = cipher(start[8..56].try_into().unwrap(), &secret);
            let mut seen = start;
            theirs.encrypt(&mut seen);
            assert_eq!(seen[56..60], PADDED);
            assert_eq!(i16::from_le_bytes([seen[60], seen[61]]), dc as i16);
            let mut sent = DequeBuffer::with_capacity(64, 64);
            sent.extend([3; 40]);
            own.pack(&mut sent);
            theirs.encrypt(sent.as_mut());
            let length = u32::from_le_bytes(sent.as_ref()[..4].try_into().unwrap()) as usize;
            assert!((40..56).contains(&length) && sent.len() == 4 + length);
            assert_eq!(sent.as_ref()[4..44], [3; 40]);
            let mut other = cipher(start[8..56].try_into().unwrap(), &ProxySecret::new(&[8; 16]).unwrap());
            let mut unread = start;
            other.encrypt(&mut unread);
            assert_ne!(unread[56..60], PADDED);
        }
    }
}
