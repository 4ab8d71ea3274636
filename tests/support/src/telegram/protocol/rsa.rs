//! The server's RSA key: made, read and written, and the one private operation that the handshake needs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use grammers_crypto::aes;
use num_bigint::BigUint;

use super::crypto::{random, sha1, sha256};

/// RSA key of 2048 bits, the only size in the protocol.
#[derive(Clone)]
pub struct ServerKey {
    modulus: BigUint,
    exponent: BigUint,
    secret: BigUint,
}

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text has no PEM block, or its base64 is broken.
    #[error("no PEM block of a private RSA key")]
    Pem,
    /// The bytes are neither PKCS#1 nor PKCS#8.
    #[error("the PEM block holds no private RSA key (PKCS#1 or PKCS#8)")]
    Der,
    /// MTProto allows 2048 bits only.
    #[error("the key has {0} bits where the protocol wants 2048")]
    Size(u64),
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerKey({:016x})", self.fingerprint())
    }
}

impl ServerKey {
    /// Makes a new key.
    pub fn generate() -> Self {
        let exponent = BigUint::from(65_537u32);
        loop {
            let (p, q) = (prime(), prime());
            let modulus = &p * &q;
            let order = (p - 1u32) * (q - 1u32);
            if let (2048, Some(secret)) = (modulus.bits(), exponent.modinv(&order)) {
                return Self { modulus, exponent, secret };
            }
        }
    }

    /// Reads a private key from PEM, as `openssl genrsa` writes it (PKCS#8 or, with `-traditional`, PKCS#1).
    ///
    /// # Errors
    /// [`KeyError`] when the text is no such key or the key has another size than 2048 bits.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let body: String =
            pem.lines().skip_while(|l| !l.starts_with("-----BEGIN")).skip(1).take_while(|l| !l.starts_with("-----END")).collect();
        let der = BASE64.decode(body.trim()).map_err(|_| KeyError::Pem)?;
        if der.is_empty() {
            return Err(KeyError::Pem);
        }
        let (modulus, exponent, secret) = private_numbers(&der).ok_or(KeyError::Der)?;
        if modulus.bits() != 2048 {
            return Err(KeyError::Size(modulus.bits()));
        }
        Ok(Self { modulus, exponent, secret })
    }

    /// The public half as PKCS#1 PEM, as clients take it.
    pub fn public_pem(&self) -> String {
        let mut numbers = der_integer(&self.modulus);
        numbers.extend(der_integer(&self.exponent));
        let encoded = BASE64.encode(der(0x30, &numbers));
        let lines: Vec<&str> = encoded.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The modulus as a decimal number.
    pub fn modulus(&self) -> String {
        self.modulus.to_string()
    }

    /// The public exponent as a decimal number.
    pub fn exponent(&self) -> String {
        self.exponent.to_string()
    }

    /// The lower 64 bits of SHA-1 over the bare `rsa_public_key` in TL, which names the key in the handshake.
    pub fn fingerprint(&self) -> i64 {
        use grammers_tl_types::Serializable;
        let mut bare = self.modulus.to_bytes_be().to_bytes();
        self.exponent.to_bytes_be().serialize(&mut bare);
        let mut last = [0; 8];
        last.copy_from_slice(&sha1(&[&bare])[12..]);
        i64::from_le_bytes(last)
    }

    /// Decrypts what a client encrypted in the handshake, in today's scheme (`RSA_PAD`) or the one before it.
    /// Gives the data, with the padding behind it.
    pub(crate) fn decrypt(&self, encrypted: &[u8]) -> Option<Vec<u8>> {
        let number = BigUint::from_bytes_be(encrypted);
        if encrypted.len() != 256 || number >= self.modulus {
            return None;
        }
        let plain = number.modpow(&self.secret, &self.modulus).to_bytes_be();
        let mut padded = vec![0; 256usize.saturating_sub(plain.len())];
        padded.extend(plain);
        unpad(&padded).or_else(|| unpad_before_2021(&padded))
    }
}

/// `temp_key ^ SHA256(aes)`, then AES-IGE of the reversed data and SHA256(temp_key, data), with an IV of zeros.
fn unpad(padded: &[u8]) -> Option<Vec<u8>> {
    let (masked, encrypted) = padded.split_at_checked(32)?;
    let mut key = sha256(&[encrypted]);
    key.iter_mut().zip(masked).for_each(|(k, m)| *k ^= m);
    let mut plain = encrypted.to_vec();
    aes::ige_decrypt(&mut plain, &key, &[0; 32]);
    let (data, hash) = plain.split_at_mut_checked(192)?;
    data.reverse();
    (sha256(&[&key, data]) == *hash).then(|| data.to_vec())
}

/// A zero byte, SHA-1 of the data, the data, padding. The data's length is not told: it is found by the hash.
fn unpad_before_2021(padded: &[u8]) -> Option<Vec<u8>> {
    let (hash, rest) = padded.get(1..)?.split_at_checked(20)?;
    (0..=rest.len()).step_by(4).find(|&len| sha1(&[&rest[..len]]) == *hash).map(|_| rest.to_vec())
}

/// A random prime of 1024 bits whose two highest bits are set, so that a product of two has 2048.
fn prime() -> BigUint {
    let small: Vec<u32> = (3..2000u32).step_by(2).filter(|n| (3..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)).collect();
    loop {
        let mut bytes = random::<128>();
        bytes[0] |= 0xc0;
        bytes[127] |= 1;
        let candidate = BigUint::from_bytes_be(&bytes);
        if small.iter().all(|p| &candidate % p != BigUint::ZERO) && probably_prime(&candidate) {
            return candidate;
        }
    }
}

/// Miller and Rabin's test with eight random bases, plenty for a key that protects nothing.
fn probably_prime(n: &BigUint) -> bool {
    let one = BigUint::from(1u32);
    let last = n - 1u32;
    let twos = last.trailing_zeros().unwrap_or(0);
    let odd = &last >> twos;
    (0..8).all(|_| {
        let base = BigUint::from_bytes_be(&random::<64>()) + 2u32;
        let mut x = base.modpow(&odd, n);
        x == one
            || x == last
            || (1..twos).any(|_| {
                x = &x * &x % n;
                x == last
            })
    })
}

fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match body.len() {
        len @ 0..0x80 => out.push(len as u8),
        len @ 0x80..0x100 => out.extend([0x81, len as u8]),
        len => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend(body);
    out
}

fn der_integer(number: &BigUint) -> Vec<u8> {
    let mut bytes = number.to_bytes_be();
    if bytes.first().is_some_and(|b| b & 0x80 != 0) {
        bytes.insert(0, 0);
    }
    der(2, &bytes)
}

/// Takes one element off the front: its tag and its body.
fn der_take<'d>(input: &mut &'d [u8]) -> Option<(u8, &'d [u8])> {
    let (&[tag, first], mut rest) = input.split_first_chunk::<2>()?;
    let mut len = usize::from(first);
    if first & 0x80 != 0 {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 4 {
            return None;
        }
        len = bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        rest = after;
    }
    let (body, after) = rest.split_at_checked(len)?;
    *input = after;
    Some((tag, body))
}

/// Modulus, public and private exponent of a PKCS#1 key, or of the one inside a PKCS#8 wrapping.
fn private_numbers(mut der: &[u8]) -> Option<(BigUint, BigUint, BigUint)> {
    let (0x30, mut fields) = der_take(&mut der)? else { return None };
    let (2, _version) = der_take(&mut fields)? else { return None };
    match der_take(&mut fields)? {
        (2, modulus) => {
            let (2, exponent) = der_take(&mut fields)? else { return None };
            let (2, secret) = der_take(&mut fields)? else { return None };
            Some((BigUint::from_bytes_be(modulus), BigUint::from_bytes_be(exponent), BigUint::from_bytes_be(secret)))
        }
        (0x30, _algorithm) => match der_take(&mut fields)? {
            (4, inner) => private_numbers(inner),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decrypts_what_a_client_encrypts_and_nothing_else() {
        let key = ServerKey::generate();
        let public = grammers_crypto::rsa::Key::new(&key.modulus(), &key.exponent()).expect("decimal numbers");
        let mut encrypted = grammers_crypto::rsa::encrypt_hashed(b"the inner data of a handshake", &public, &[7; 224]);
        assert!(key.decrypt(&encrypted).is_some_and(|data| data.starts_with(b"the inner data of a handshake")));
        encrypted[200] ^= 1;
        assert_eq!(key.decrypt(&encrypted), None);
    }

    #[test]
    fn public_half_is_pkcs1() {
        let key = ServerKey::generate();
        let pem = key.public_pem();
        let body: String = pem.lines().filter(|l| !l.starts_with('-')).collect();
        let bytes = BASE64.decode(body).expect("base64");
        let mut der = bytes.as_slice();
        let (tag, mut fields) = der_take(&mut der).expect("a sequence");
        assert_eq!((tag, der.len()), (0x30, 0));
        assert_eq!(der_take(&mut fields).map(|(_, n)| BigUint::from_bytes_be(n).to_string()), Some(key.modulus()));
        assert_eq!(der_take(&mut fields).map(|(_, n)| BigUint::from_bytes_be(n).to_string()), Some(key.exponent()));
    }
}
