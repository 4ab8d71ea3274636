//! Packed messages, looked at before the protocol library sees them: it inflates whatever it gets, and a few hundred kilobytes can
//! stand for gigabytes.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use grammers_crypto::aes;
use grammers_tl_types::Deserializable;
use sha2::{Digest, Sha256};

use super::notices::{CONTAINER, MESSAGE, RPC_RESULT, Way, cipher, int, messages};

/// What a packet's messages may have when they are inflated, all together. Telegram sends nothing like it.
pub(super) const MOST_BYTES: usize = 16 << 20;
const GZIP_PACKED: u32 = 0x3072_cfa1;
/// Deflate makes nothing smaller than this part of it.
const BEST_RATIO: usize = 1032;
/// Where the encrypted part begins: after key and digest.
const ENCRYPTED: usize = 24;
/// Enough of a packet's beginning to tell an answer, and whether it is packed.
const BEGINNING: usize = 48;

/// Takes bytes in and keeps none, or as many as fit.
struct Bounded {
    left: usize,
    kept: Option<Vec<u8>>,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Inflates a packed object; `None` where it does not fit. What is damaged counts as far as it goes, and fails in the library.
fn inflate(object: &[u8], left: &mut usize, keep: bool) -> Option<Vec<u8>> {
    let Some(Ok(packed)) = object.get(4..).map(Vec::<u8>::from_bytes) else { return Some(vec![]) };
    let mut decoder = GzDecoder::new(Bounded { left: *left, kept: keep.then(Vec::new) });
    if let Err(error) = decoder.write_all(&packed)
        && error.kind() == io::ErrorKind::FileTooLarge
    {
        return None;
    }
    if let Err(error) = decoder.try_finish()
        && error.kind() == io::ErrorKind::FileTooLarge
    {
        return None;
    }
    let bounded = decoder.get_mut();
    *left = bounded.left;
    Some(bounded.kept.take().unwrap_or_default())
}

/// What stands around a message.
#[derive(Clone, Copy, Default)]
struct Around {
    container: bool,
    packed: bool,
}

/// Whether a message's body is as large as it says and holds no others of its kind without end.
fn fits(body: &[u8], left: &mut usize, around: Around) -> bool {
    match int(body, 0) {
        Some(RPC_RESULT) if int(body, 12) == Some(GZIP_PACKED) => {
            body.get(12..).is_none_or(|packed| inflate(packed, left, false).is_some())
        }
        Some(GZIP_PACKED) if around.packed => false,
        Some(GZIP_PACKED) => inflate(body, left, true).is_some_and(|inner| fits(&inner, left, Around { packed: true, ..around })),
        Some(CONTAINER) if around.container => false,
        Some(CONTAINER) => {
            // As it would stand in a packet of its own.
            let length = u32::try_from(body.len()).unwrap_or_default();
            let packet = [&[0; MESSAGE + 12][..], &length.to_le_bytes(), body].concat();
            messages(&packet).iter().all(|message| fits(message.body, left, Around { container: true, ..around }))
        }
        _ => true,
    }
}

/// Whether the library may have a message of its own.
pub(super) fn is_harmless(body: &[u8]) -> bool {
    fits(body, &mut MOST_BYTES.clone(), Around { container: true, packed: false })
}

/// Gives an encrypted packet of the server in plain, where the library must not have it as a whole.
pub(super) fn harmful(key: &[u8; 256], packet: &[u8]) -> Option<Vec<u8>> {
    let digest: [u8; 16] = packet.get(8..ENCRYPTED)?.try_into().ok()?;
    let (aes_key, iv) = cipher(key, &digest, Way::FromServer);
    let mut beginning = packet.get(ENCRYPTED..ENCRYPTED + BEGINNING)?.to_vec();
    aes::ige_decrypt(&mut beginning, &aes_key, &iv);
    match (int(&beginning, MESSAGE - ENCRYPTED + 16)?, int(&beginning, MESSAGE - ENCRYPTED + 28)?) {
        (CONTAINER | GZIP_PACKED, _) => {}
        (RPC_RESULT, GZIP_PACKED) if packet.len() > MOST_BYTES / BEST_RATIO => {}
        _ => return None,
    }
    if !(packet.len() - ENCRYPTED).is_multiple_of(16) {
        return None;
    }
    let mut plain = packet.to_vec();
    let message = plain.get_mut(ENCRYPTED..)?;
    aes::ige_decrypt(message, &aes_key, &iv);
    let mut left = MOST_BYTES;
    if fits(body(&plain)?, &mut left, Around::default()) {
        return None;
    }
    let check = Sha256::new().chain_update(key.get(96..128)?).chain_update(plain.get(ENCRYPTED..)?).finalize();
    // What nobody with the key has sent is for the library to refuse.
    (check.get(8..24)? == digest).then_some(plain)
}

/// The body of a packet's one message, a container or not.
fn body(plain: &[u8]) -> Option<&[u8]> {
    let length = usize::try_from(int(plain, MESSAGE + 12)?).ok()?;
    plain.get(MESSAGE + 16..)?.get(..length)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use grammers_tl_types::Serializable;

    use super::super::notices::Session;
    use super::*;

    const KEY: [u8; 256] = [7; 256];

    fn packed(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        [&GZIP_PACKED.to_le_bytes()[..], &encoder.finish().unwrap().to_bytes()].concat()
    }

    fn zeros(bytes: usize) -> Vec<u8> {
        packed(&vec![0; bytes])
    }

    fn answer(result: &[u8]) -> Vec<u8> {
        [&RPC_RESULT.to_le_bytes()[..], &5_i64.to_le_bytes(), result].concat()
    }

    fn container(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut all = [CONTAINER.to_le_bytes(), u32::try_from(bodies.len()).unwrap().to_le_bytes()].concat();
        for body in bodies {
            all.extend([0; 12]);
            all.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
            all.extend(body);
        }
        all
    }

    #[test]
    fn what_grows_too_large_is_held_back() {
        let session = Session::of_answer(&[1; 64]).unwrap();
        let judge = |body: &[u8]| harmful(&KEY, &session.packet(&KEY, 9, 1, body)).is_some();
        let (small, half, large) = (zeros(1_000), zeros(MOST_BYTES / 2 + 1), zeros(MOST_BYTES + 1));
        let twice = |inner: &[u8]| packed(inner);
        let table = [
            (answer(&small), false),
            (answer(b"????????"), false),
            (answer(&half), false),
            (answer(&large), true),
            (large.clone(), true),
            (half.clone(), false),
            (container(&[answer(&half), answer(&small)]), false),
            (container(&[answer(&half), answer(&half)]), true),
            (container(&[container(&[])]), true),
            (packed(&container(&[answer(&small)])), false),
            (packed(&container(&[answer(&large)])), true),
            (twice(&small), true),
            (container(&[packed(&container(&[]))]), true),
            (packed(&answer(&large)), true),
            ([&GZIP_PACKED.to_le_bytes()[..], &b"no gzip at all".to_vec().to_bytes()].concat(), false),
        ];
        for (number, (body, expected)) in table.iter().enumerate() {
            assert_eq!(judge(body), *expected, "{number}");
        }
        // In plain it is what was sent, and only from who has the key.
        let packet = session.packet(&KEY, 9, 1, &answer(&large));
        assert_eq!(body(&harmful(&KEY, &packet).unwrap()).unwrap(), answer(&large));
        assert!(is_harmless(&answer(&half)) && !is_harmless(&answer(&large)));
        for length in 0..200 {
            assert!(harmful(&KEY, &packet[..length]).is_none());
        }
        let mut changed = packet.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(harmful(&KEY, &changed).is_none());
    }
}
