//! The server's half of MTProto 2.0's message encryption, and randomness.
//!
//! Described at <https://core.telegram.org/mtproto/description>; the offset `x` is 0 from client to server and 8 the other way.

use grammers_crypto::aes;
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// A permanent key of 2048 bits, agreed on in the handshake.
pub(crate) type AuthKey = [u8; 256];
/// The lower 64 bits of the key's SHA-1: what a packet says which key it is encrypted with.
pub(crate) type AuthKeyId = [u8; 8];

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

pub(crate) fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut hash = Sha1::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// The id that packets encrypted with `key` carry.
pub(crate) fn auth_key_id(key: &AuthKey) -> AuthKeyId {
    let mut id = [0; 8];
    id.copy_from_slice(&sha1(&[key])[12..]);
    id
}

fn cipher(key: &AuthKey, message_key: &[u8], x: usize) -> ([u8; 32], [u8; 32]) {
    let a = sha256(&[message_key, &key[x..x + 36]]);
    let b = sha256(&[&key[40 + x..76 + x], message_key]);
    let (mut aes_key, mut iv) = ([0; 32], [0; 32]);
    aes_key[..8].copy_from_slice(&a[..8]);
    aes_key[8..24].copy_from_slice(&b[8..24]);
    aes_key[24..].copy_from_slice(&a[24..]);
    iv[..8].copy_from_slice(&b[..8]);
    iv[8..24].copy_from_slice(&a[8..24]);
    iv[24..].copy_from_slice(&b[24..]);
    (aes_key, iv)
}

/// Decrypts a packet of a client in place and gives its plain part (salt, session, message, padding);
/// `None` when it was not encrypted with `key` or was changed on the way.
pub(crate) fn decrypt<'p>(key: &AuthKey, packet: &'p mut [u8]) -> Option<&'p [u8]> {
    if packet.len() < 24 + 32 || !(packet.len() - 24).is_multiple_of(16) {
        return None;
    }
    let (head, body) = packet.split_at_mut(24);
    let message_key = &head[8..];
    let (aes_key, iv) = cipher(key, message_key, 0);
    aes::ige_decrypt(body, &aes_key, &iv);
    (sha256(&[&key[88..120], body])[8..24] == *message_key).then_some(body)
}

/// Encrypts a packet for a client. `packet` holds 24 free bytes and then the plain part; padding is added here.
pub(crate) fn encrypt(key: &AuthKey, packet: &mut Vec<u8>) {
    let plain = packet.len().saturating_sub(24);
    // 12 to 1024 bytes of padding, to a multiple of 16.
    let padding = 12 + (16 - (plain + 12) % 16) % 16;
    packet.extend(&random::<32>()[..padding]);
    let Some((head, body)) = packet.split_at_mut_checked(24) else { return };
    let hash = sha256(&[&key[96..128], body]);
    let (aes_key, iv) = cipher(key, &hash[8..24], 8);
    aes::ige_encrypt(body, &aes_key, &iv);
    head[..8].copy_from_slice(&auth_key_id(key));
    head[8..].copy_from_slice(&hash[8..24]);
}
