//! The exchange that makes an authorization key with a server, checked as core.telegram.org/mtproto/auth_key demands.
//!
//! `grammers_mtproto::authentication` knows Telegram's own RSA keys only; this one takes any, so that the same code runs against
//! Telegram, its test data centres and servers of one's own.

use std::time::{SystemTime, UNIX_EPOCH};

use grammers_crypto::{AuthKey, DequeBuffer, aes, factorize, generate_key_data_from_nonce, rsa, two_factor_auth};
use grammers_mtproto::mtp::{Deserialization, Mtp, Plain};
use grammers_mtproto::transport;
use grammers_tl_types::{Cursor, Deserializable, RemoteCall, Serializable, enums, functions, types};
use num_bigint::BigUint;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::framing::Framing;
use super::server_key::ServerKey;

/// What the exchange leaves behind.
pub(super) struct NewKey {
    pub(super) auth_key: Zeroizing<[u8; 256]>,
    /// Seconds by which the server's clock is ahead of ours.
    pub(super) time_offset: i32,
    pub(super) first_salt: i64,
    pub(super) stream: TcpStream,
    pub(super) framing: Framing,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The connection failed.
    #[error("the connection failed during the key exchange")]
    Io(#[from] std::io::Error),
    /// The bytes were not MTProto, or the server sent a status such as -404.
    #[error("the server does not speak MTProto as expected ({0})")]
    Protocol(String),
    /// The server has none of the keys that we trust.
    #[error("the server offers the keys {0:x?}, and none of them is one we know: check the server's public key")]
    UnknownKey(Vec<i64>),
    /// A check of the exchange failed: somebody may be in between.
    #[error("the key exchange failed its check of {0}: somebody may be interfering with the connection")]
    Check(&'static str),
}

/// Frames longer than this have no place in the exchange.
const MAX_FRAME_BYTES: usize = 64 * 1024;

/// Secrets that are tried with one server until it likes the key.
const MOST_SECRETS: usize = 5;

struct PlainChannel {
    stream: TcpStream,
    framing: Framing,
    mtp: Plain,
    read: Vec<u8>,
}

impl PlainChannel {
    async fn invoke<R: RemoteCall>(&mut self, request: &R) -> Result<R::Return, ExchangeError> {
        let mut out = DequeBuffer::with_capacity(1024, 64);
        self.mtp.push(&mut out, &request.to_bytes());
        self.mtp.finalize(&mut out);
        self.framing.pack(&mut out);
        self.stream.write_all(out.as_ref()).await?;
        loop {
            match self.framing.unpack(&mut self.read) {
                Ok(offset) => {
                    let mut payload = self.read.get(offset.data_range).unwrap_or_default().to_vec();
                    self.read.drain(..offset.next_offset);
                    // The declared length is checked here because the parser adds to it without care for overflow.
                    let declared = payload.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_le_bytes);
                    if declared.is_none_or(|length| usize::try_from(length).is_ok_and(|length| length > MAX_FRAME_BYTES)) {
                        return Err(ExchangeError::Protocol("a message without a sensible length".into()));
                    }
                    let answers = self.mtp.deserialize(&mut payload).map_err(|error| ExchangeError::Protocol(error.to_string()))?;
                    for answer in answers {
                        if let Deserialization::RpcResult(result) = answer {
                            return R::Return::from_bytes(&result.body).map_err(|error| ExchangeError::Protocol(error.to_string()));
                        }
                    }
                }
                Err(transport::Error::MissingBytes)
                    if self.read.first_chunk().is_some_and(|&length| u32::from_le_bytes(length) as usize > MAX_FRAME_BYTES) =>
                {
                    return Err(ExchangeError::Protocol("the server announced a packet that is too long".into()));
                }
                Err(transport::Error::MissingBytes) if self.read.len() < MAX_FRAME_BYTES => {
                    let count = self.stream.read_buf(&mut self.read).await?;
                    if count == 0 {
                        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                    }
                    let start = self.read.len().saturating_sub(count);
                    self.framing.clear(self.read.get_mut(start..).unwrap_or_default());
                }
                Err(error) => return Err(ExchangeError::Protocol(error.to_string())),
            }
        }
    }
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, ExchangeError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut bytes[..]).map_err(std::io::Error::other)?;
    Ok(bytes)
}

fn check(holds: bool, what: &'static str) -> Result<(), ExchangeError> {
    if holds { Ok(()) } else { Err(ExchangeError::Check(what)) }
}

/// Big-endian without leading zeros: Telegram answers -404 to anything longer.
fn shortest_bytes(value: u64) -> Vec<u8> {
    value.to_be_bytes().into_iter().skip_while(|&byte| byte == 0).collect()
}

/// Makes a new authorization key with the owner of one of `keys`, who is at the other end of `stream`.
///
/// # Errors
/// When the connection fails, the server has none of the keys, or a check fails.
pub(super) async fn exchange(stream: TcpStream, framing: Framing, keys: &[ServerKey]) -> Result<NewKey, ExchangeError> {
    let mut channel = PlainChannel { stream, framing, mtp: Plain::new(), read: Vec::new() };

    let nonce = *random::<16>()?;
    let enums::ResPq::Pq(offer) = channel.invoke(&functions::ReqPqMulti { nonce }).await?;
    check(offer.nonce == nonce, "the nonce")?;
    let server_nonce = offer.server_nonce;
    // Big-endian, and shorter where the factors are small.
    check((1..=8).contains(&offer.pq.len()), "the size of pq")?;
    let pq = offer.pq.iter().fold(0, |number: u64, &byte| number << 8 | u64::from(byte));
    // Factorising a number that is not the product of two odd primes would never end.
    check(pq > 15 && !pq.is_multiple_of(2) && !is_prime(pq) && pq.isqrt().pow(2) != pq, "pq")?;
    let (p, q) = factorize(pq);
    check(p.checked_mul(q) == Some(pq) && p > 1 && q > 1, "the factors of pq")?;
    let (fingerprint, key) = keys
        .iter()
        .find(|key| offer.server_public_key_fingerprints.contains(&key.fingerprint()))
        .and_then(|key| Some((key.fingerprint(), key.for_encryption()?)))
        .ok_or(ExchangeError::UnknownKey(offer.server_public_key_fingerprints))?;

    let new_nonce = random::<32>()?;
    let inner = enums::PQInnerData::Data(types::PQInnerData {
        pq: offer.pq,
        p: shortest_bytes(p),
        q: shortest_bytes(q),
        nonce,
        server_nonce,
        new_nonce: *new_nonce,
    });
    let encrypted_data = rsa::encrypt_hashed(&inner.to_bytes(), &key, &*random::<224>()?);
    let request = functions::ReqDhParams {
        nonce,
        server_nonce,
        p: shortest_bytes(p),
        q: shortest_bytes(q),
        public_key_fingerprint: fingerprint,
        encrypted_data,
    };
    let enums::ServerDhParams::Ok(params) = channel.invoke(&request).await? else {
        return Err(ExchangeError::Check("the server's Diffie-Hellman parameters"));
    };
    check(params.nonce == nonce && params.server_nonce == server_nonce, "the nonces")?;

    let (aes_key, aes_iv) = generate_key_data_from_nonce(&server_nonce, &new_nonce);
    let mut answer = params.encrypted_answer;
    check(answer.len() >= 32 && answer.len().is_multiple_of(16), "the length of the encrypted answer")?;
    aes::ige_decrypt(&mut answer, &aes_key, &aes_iv);
    let (digest, plain) = answer.split_at_checked(20).ok_or(ExchangeError::Check("the length of the answer"))?;
    let mut cursor = Cursor::from_slice(plain);
    let enums::ServerDhInnerData::Data(dh) =
        enums::ServerDhInnerData::deserialize(&mut cursor).map_err(|error| ExchangeError::Protocol(error.to_string()))?;
    let covered = plain.get(..cursor.pos()).unwrap_or_default();
    check(Sha1::digest(covered)[..] == *digest, "the answer's digest")?;
    check(dh.nonce == nonce && dh.server_nonce == server_nonce, "the inner nonces")?;

    // check_p_and_g panics on a generator outside 2..=7.
    check((2..=7).contains(&dh.g) && two_factor_auth::check_p_and_g(&dh.dh_prime, &dh.g), "the Diffie-Hellman group")?;
    let prime = BigUint::from_bytes_be(&dh.dh_prime);
    let generator = BigUint::from(dh.g.unsigned_abs());
    let g_a = BigUint::from_bytes_be(&dh.g_a);
    let margin = BigUint::from(1_u8) << (2048 - 64);
    let safe = |value: &BigUint| *value > margin && *value < &prime - &margin;
    check(safe(&g_a), "the range of the Diffie-Hellman values")?;

    let mut auth_key = Zeroizing::new([0; 256]);
    let mut retry_id = 0;
    let mut agreed = false;
    for _ in 0..MOST_SECRETS {
        let secret = BigUint::from_bytes_be(&random::<256>()?[..]);
        let g_b = generator.modpow(&secret, &prime);
        check(safe(&g_b), "the range of the Diffie-Hellman values")?;
        let shared = Zeroizing::new(g_a.modpow(&secret, &prime).to_bytes_be());
        let start = auth_key.len().checked_sub(shared.len()).ok_or(ExchangeError::Check("the length of the key"))?;
        auth_key.fill(0);
        auth_key[start..].copy_from_slice(&shared);

        let client = enums::ClientDhInnerData::Data(types::ClientDhInnerData { nonce, server_nonce, retry_id, g_b: g_b.to_bytes_be() });
        let client = client.to_bytes();
        let mut sealed = Sha1::digest(&client).to_vec();
        sealed.extend_from_slice(&client);
        let padding = random::<16>()?;
        sealed.extend_from_slice(&padding[..(16 - sealed.len() % 16) % 16]);
        aes::ige_encrypt(&mut sealed, &aes_key, &aes_iv);
        let expected = |number| AuthKey::from_bytes(*auth_key).calc_new_nonce_hash(&new_nonce, number);
        match channel.invoke(&functions::SetClientDhParams { nonce, server_nonce, encrypted_data: sealed }).await? {
            enums::SetClientDhParamsAnswer::DhGenOk(done) => {
                check(done.nonce == nonce && done.server_nonce == server_nonce, "the final nonces")?;
                check(done.new_nonce_hash1 == expected(1), "the shared key")?;
                agreed = true;
                break;
            }
            // Another key begins with the same bytes: the server asks for another secret of ours.
            enums::SetClientDhParamsAnswer::DhGenRetry(again) => {
                check(again.nonce == nonce && again.server_nonce == server_nonce, "the final nonces")?;
                check(again.new_nonce_hash2 == expected(2), "the shared key")?;
                retry_id = Sha1::digest(&auth_key[..]).first_chunk().copied().map(i64::from_le_bytes).unwrap_or_default();
            }
            enums::SetClientDhParamsAnswer::DhGenFail(_) => return Err(ExchangeError::Check("the shared key (the server refuses it)")),
        }
    }
    check(agreed, "the shared key (the server asks for another again and again)")?;

    let mut first_salt = [0; 8];
    for (byte, (a, b)) in first_salt.iter_mut().zip(new_nonce.iter().zip(server_nonce)) {
        *byte = a ^ b;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let time_offset = i32::try_from(i64::from(dh.server_time) - i64::try_from(now).unwrap_or_default()).unwrap_or_default();
    let PlainChannel { stream, framing, .. } = channel;
    Ok(NewKey { auth_key, time_offset, first_salt: i64::from_le_bytes(first_salt), stream, framing })
}

/// Miller–Rabin with the bases that decide every number of 64 bits.
fn is_prime(number: u64) -> bool {
    const BASES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];
    if let Some(base) = BASES.iter().find(|&&base| number.is_multiple_of(base)) {
        return number == *base;
    }
    let modulus = u128::from(number);
    let power = |base: u64, mut exponent: u64| {
        let (mut result, mut square) = (1_u128, u128::from(base));
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result * square % modulus;
            }
            square = square * square % modulus;
            exponent >>= 1;
        }
        result
    };
    let twos = (number - 1).trailing_zeros();
    BASES.iter().all(|&base| {
        let mut value = power(base, (number - 1) >> twos);
        value == 1
            || (0..twos).any(|_| {
                let last = value == modulus - 1;
                value = value * value % modulus;
                last
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_told_from_products() {
        for prime in [2, 3, 17, 1_000_003, 4_294_967_291, 18_446_744_073_709_551_557] {
            assert!(is_prime(prime), "{prime}");
        }
        for product in [15, 1_000_003 * 999_983, 0x17ED_4894_1A08_F981, 4_294_967_291 * 4_294_967_279] {
            assert!(!is_prime(product), "{product}");
        }
    }
}
