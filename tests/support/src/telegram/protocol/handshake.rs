//! The creation of an authorisation key: factorisation, RSA, Diffie-Hellman.
//!
//! Described at <https://core.telegram.org/mtproto/auth_key>. The state lives as long as the connection.

use grammers_crypto::{aes, generate_key_data_from_nonce};
use grammers_tl_types::{Cursor, Deserializable, Identifiable, Serializable, enums, functions, types};
use num_bigint::BigUint;

use super::crypto::{AuthKey, random, sha1};
use super::rsa::ServerKey;

/// The safe prime of 2048 bits that Telegram uses, with generator 3: clients know it and need not test it.
pub(crate) const PRIME: [u8; 256] = prime();
/// A generator of the subgroup for [`PRIME`].
pub(crate) const GENERATOR: i32 = 3;

/// What a client has to do next.
#[derive(Default)]
enum Step {
    #[default]
    Start,
    Factors {
        nonce: [u8; 16],
        server_nonce: [u8; 16],
        p: u64,
        q: u64,
    },
    Exchange {
        nonce: [u8; 16],
        server_nonce: [u8; 16],
        new_nonce: [u8; 32],
        secret: BigUint,
    },
}

/// One handshake on one connection.
#[derive(Default)]
pub(crate) struct Handshake {
    step: Step,
    /// How often another secret is asked for yet.
    retries: u32,
    /// What the client must say about the key that was not liked: the first 64 bits of its SHA-1.
    refused: i64,
}

/// A key that both sides have, and the first salt, which follows from the nonces.
pub(crate) struct Agreed {
    pub(crate) key: AuthKey,
    pub(crate) salt: i64,
}

impl Handshake {
    /// One that asks for another secret so often.
    pub(crate) fn with_retries(retries: u32) -> Self {
        Self { retries, ..Self::default() }
    }

    /// Answers one unencrypted message; `None` for a message that does not belong here (the connection then ends with -404).
    pub(crate) fn answer(&mut self, server: &ServerKey, body: &[u8], now: i32) -> Option<(Vec<u8>, Option<Agreed>)> {
        let id = u32::from_le_bytes(*body.first_chunk()?);
        let arguments = body.get(4..)?;
        match id {
            functions::ReqPqMulti::CONSTRUCTOR_ID | functions::ReqPq::CONSTRUCTOR_ID => {
                Some((self.offer(server, functions::ReqPqMulti::from_bytes(arguments).ok()?.nonce), None))
            }
            functions::ReqDhParams::CONSTRUCTOR_ID => {
                Some((self.exchange(server, functions::ReqDhParams::from_bytes(arguments).ok()?, now)?, None))
            }
            functions::SetClientDhParams::CONSTRUCTOR_ID => self.agree(functions::SetClientDhParams::from_bytes(arguments).ok()?),
            _ => None,
        }
    }

    fn offer(&mut self, server: &ServerKey, nonce: [u8; 16]) -> Vec<u8> {
        let (a, b) = (small_prime(), small_prime());
        let (p, q) = if a < b { (a, b) } else { (b, a) };
        let server_nonce = random();
        self.step = Step::Factors { nonce, server_nonce, p, q };
        let pq = (p * q).to_be_bytes().to_vec();
        enums::ResPq::Pq(types::ResPq { nonce, server_nonce, pq, server_public_key_fingerprints: vec![server.fingerprint()] }).to_bytes()
    }

    fn exchange(&mut self, server: &ServerKey, request: functions::ReqDhParams, now: i32) -> Option<Vec<u8>> {
        let Step::Factors { nonce, server_nonce, p, q } = self.step else { return None };
        let inner = Inner::read(&server.decrypt(&request.encrypted_data)?)?;
        let factors = (BigUint::from_bytes_be(&request.p), BigUint::from_bytes_be(&request.q));
        let same =
            (request.nonce, request.server_nonce) == (nonce, server_nonce) && (inner.nonce, inner.server_nonce) == (nonce, server_nonce);
        if !same || factors != (BigUint::from(p), BigUint::from(q)) || request.public_key_fingerprint != server.fingerprint() {
            return None;
        }
        let secret = BigUint::from_bytes_be(&random::<256>());
        let g_a = BigUint::from(GENERATOR as u32).modpow(&secret, &BigUint::from_bytes_be(&PRIME)).to_bytes_be();
        let data = enums::ServerDhInnerData::Data(types::ServerDhInnerData {
            nonce,
            server_nonce,
            g: GENERATOR,
            dh_prime: PRIME.to_vec(),
            g_a,
            server_time: now,
        })
        .to_bytes();
        let mut encrypted_answer = sha1(&[&data]).to_vec();
        encrypted_answer.extend(data);
        let padding = (16 - encrypted_answer.len() % 16) % 16;
        encrypted_answer.extend(&random::<16>()[..padding]);
        let (key, iv) = generate_key_data_from_nonce(&server_nonce, &inner.new_nonce);
        aes::ige_encrypt(&mut encrypted_answer, &key, &iv);
        self.step = Step::Exchange { nonce, server_nonce, new_nonce: inner.new_nonce, secret };
        Some(enums::ServerDhParams::Ok(types::ServerDhParamsOk { nonce, server_nonce, encrypted_answer }).to_bytes())
    }

    fn agree(&mut self, request: functions::SetClientDhParams) -> Option<(Vec<u8>, Option<Agreed>)> {
        let Step::Exchange { nonce, server_nonce, new_nonce, secret } = std::mem::take(&mut self.step) else { return None };
        let mut data = request.encrypted_data;
        if (request.nonce, request.server_nonce) != (nonce, server_nonce) || data.len() < 32 || !data.len().is_multiple_of(16) {
            return None;
        }
        let (key, iv) = generate_key_data_from_nonce(&server_nonce, &new_nonce);
        aes::ige_decrypt(&mut data, &key, &iv);
        let (hash, inner) = data.split_at_checked(20)?;
        let mut cursor = Cursor::from_slice(inner);
        let enums::ClientDhInnerData::Data(client) = enums::ClientDhInnerData::deserialize(&mut cursor).ok()?;
        if sha1(&[inner.get(..cursor.pos())?]) != *hash {
            return None;
        }
        let shared = BigUint::from_bytes_be(&client.g_b).modpow(&secret, &BigUint::from_bytes_be(&PRIME)).to_bytes_be();
        let mut key = [0; 256];
        key.get_mut(256usize.checked_sub(shared.len())?..)?.copy_from_slice(&shared);
        if client.retry_id != self.refused {
            return None;
        }
        // new_nonce_hash: SHA-1 of the nonce, the number of the answer and the first 64 bits of the key's SHA-1, its last 128 bits.
        let auxiliary = sha1(&[&key])[..8].to_vec();
        let nonce_hash = |number: u8| {
            let mut hash = [0; 16];
            hash.copy_from_slice(&sha1(&[&new_nonce, &[number], &auxiliary])[4..]);
            hash
        };
        if self.retries > 0 {
            self.retries -= 1;
            self.refused = i64::from_le_bytes(auxiliary.first_chunk().copied()?);
            let new_nonce_hash2 = nonce_hash(2);
            let answer = types::DhGenRetry { nonce, server_nonce, new_nonce_hash2 };
            self.step = Step::Exchange { nonce, server_nonce, new_nonce, secret };
            return Some((enums::SetClientDhParamsAnswer::DhGenRetry(answer).to_bytes(), None));
        }
        self.refused = 0;
        let new_nonce_hash1 = nonce_hash(1);
        let mut salt = [0; 8];
        salt.iter_mut().zip(new_nonce.iter().zip(&server_nonce)).for_each(|(s, (a, b))| *s = a ^ b);
        let answer = enums::SetClientDhParamsAnswer::DhGenOk(types::DhGenOk { nonce, server_nonce, new_nonce_hash1 }).to_bytes();
        Some((answer, Some(Agreed { key, salt: i64::from_le_bytes(salt) })))
    }
}

/// What the client says under RSA; the four kinds differ in fields that are of no use here.
struct Inner {
    nonce: [u8; 16],
    server_nonce: [u8; 16],
    new_nonce: [u8; 32],
}

impl Inner {
    fn read(data: &[u8]) -> Option<Self> {
        use enums::PQInnerData as Data;
        let (nonce, server_nonce, new_nonce) = match Data::from_bytes(data).ok()? {
            Data::Data(d) => (d.nonce, d.server_nonce, d.new_nonce),
            Data::Dc(d) => (d.nonce, d.server_nonce, d.new_nonce),
            Data::Temp(d) => (d.nonce, d.server_nonce, d.new_nonce),
            Data::TempDc(d) => (d.nonce, d.server_nonce, d.new_nonce),
        };
        Some(Self { nonce, server_nonce, new_nonce })
    }
}

/// A random prime of 31 bits, so that the product has the 64 bits that clients expect at most.
fn small_prime() -> u64 {
    loop {
        let n = u64::from(u32::from_le_bytes(random())) & 0x7fff_ffff | 0x4000_0001;
        if (3..).step_by(2).take_while(|d| d * d <= n).all(|d| n % d != 0) {
            return n;
        }
    }
}

const fn prime() -> [u8; 256] {
    const HEX: &[u8; 512] = b"c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f48198a0aa7c14058229493d22530f4dbfa336f6e0ac925139543aed44cce7c3720fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f642477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4a4a695811051907e162753b56b0f6b410dba74d8a84b2a14b3144e0ef1284754fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f0d8115f635b105ee2e4e15d04b2454bf6f4fadf034b10403119cd8e3b92fcc5b";
    const fn digit(c: u8) -> u8 {
        if c >= b'a' { c - b'a' + 10 } else { c - b'0' }
    }
    let mut out = [0; 256];
    let mut i = 0;
    while i < 256 {
        out[i] = digit(HEX[2 * i]) << 4 | digit(HEX[2 * i + 1]);
        i += 1;
    }
    out
}
