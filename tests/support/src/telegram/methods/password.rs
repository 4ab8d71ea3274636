//! Two-step verification: the server's side of SRP, after <https://core.telegram.org/api/srp>.

use grammers_tl_types::{enums, functions as f, types};
use num_bigint::BigUint;

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::protocol::crypto::{random, sha256};
use crate::telegram::protocol::handshake::{GENERATOR, PRIME};
use crate::telegram::state::{Access, Exchange};

/// What the server keeps instead of the password.
pub(crate) struct Verifier {
    salt1: [u8; 40],
    salt2: [u8; 16],
    /// `g ^ x mod p`.
    v: BigUint,
}

impl Verifier {
    pub(crate) fn new(password: &str) -> Self {
        let (salt1, salt2) = (random(), random());
        let salted = |data: &[u8], salt: &[u8]| sha256(&[salt, data, salt]);
        let first = salted(&salted(password.as_bytes(), &salt1), &salt2);
        let mut slow = [0; 64];
        pbkdf2::pbkdf2_hmac::<sha2::Sha512>(&first, &salt1, 100_000, &mut slow);
        let x = BigUint::from_bytes_be(&salted(&slow, &salt2));
        Self { salt1, salt2, v: generator().modpow(&x, &prime()) }
    }

    fn algorithm(&self) -> enums::PasswordKdfAlgo {
        types::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow {
            salt1: self.salt1.to_vec(),
            salt2: self.salt2.to_vec(),
            g: GENERATOR,
            p: PRIME.to_vec(),
        }
        .into()
    }

    /// A secret number and the public one, `k * v + g ^ b mod p`.
    fn offer(&self) -> Exchange {
        let b = BigUint::from_bytes_be(&random::<256>());
        let k = BigUint::from_bytes_be(&sha256(&[&PRIME, &padded(&generator())]));
        let public = (k * &self.v + generator().modpow(&b, &prime())) % prime();
        Exchange { secret: b, public: padded(&public) }
    }

    /// Whether the client's proof is the one that follows from the password.
    fn accepts(&self, exchange: &Exchange, a: &[u8], m1: &[u8]) -> bool {
        let client = BigUint::from_bytes_be(a);
        if client.clone() % prime() == BigUint::ZERO {
            return false;
        }
        let a = padded(&client);
        let u = BigUint::from_bytes_be(&sha256(&[&a, &exchange.public]));
        let shared = (client * self.v.modpow(&u, &prime())).modpow(&exchange.secret, &prime());
        let key = sha256(&[&padded(&shared)]);
        let mut group = sha256(&[&PRIME]);
        group.iter_mut().zip(sha256(&[&padded(&generator())])).for_each(|(p, g)| *p ^= g);
        m1 == sha256(&[&group, &sha256(&[&self.salt1]), &sha256(&[&self.salt2]), &a, &exchange.public, &key])
    }
}

fn prime() -> BigUint {
    BigUint::from_bytes_be(&PRIME)
}

fn generator() -> BigUint {
    BigUint::from(GENERATOR as u32)
}

fn padded(number: &BigUint) -> Vec<u8> {
    let bytes = number.to_bytes_be();
    let mut out = vec![0; 256usize.saturating_sub(bytes.len())];
    out.extend(bytes);
    out
}

pub(super) fn get_password(call: &mut Call<'_>, _: f::account::GetPassword) -> Result<enums::account::Password, Refusal> {
    let verifier = call.shared.verifier();
    let offer = verifier.map(|verifier| {
        let exchange = verifier.offer();
        let id = i64::from_le_bytes(random());
        let public = exchange.public.clone();
        call.shared.login().passwords.insert(id, exchange);
        (id, public)
    });
    Ok(types::account::Password {
        has_recovery: false,
        has_secure_values: false,
        has_password: verifier.is_some(),
        current_algo: verifier.map(Verifier::algorithm),
        srp_id: offer.as_ref().map(|(id, _)| *id),
        srp_b: offer.map(|(_, public)| public),
        hint: verifier.is_some().then(|| "the usual one".into()),
        email_unconfirmed_pattern: None,
        new_algo: enums::PasswordKdfAlgo::Unknown,
        new_secure_algo: enums::SecurePasswordKdfAlgo::Unknown,
        secure_random: random::<256>().to_vec(),
        pending_reset_date: None,
        login_email_pattern: None,
    }
    .into())
}

pub(super) fn check_password(call: &mut Call<'_>, request: f::auth::CheckPassword) -> Result<enums::auth::Authorization, Refusal> {
    let enums::InputCheckPasswordSrp::Srp(proof) = request.password else { return Err(Refusal::bad("PASSWORD_HASH_INVALID")) };
    if call.access != Access::Password {
        return Err(Refusal::new(401, "AUTH_KEY_UNREGISTERED"));
    }
    let exchange = call.shared.login().passwords.remove(&proof.srp_id).ok_or_else(|| Refusal::bad("SRP_ID_INVALID"))?;
    let right = call.shared.verifier().is_some_and(|verifier| verifier.accepts(&exchange, &proof.a, &proof.m1));
    if !right {
        return Err(Refusal::bad("PASSWORD_HASH_INVALID"));
    }
    call.log_in(Access::User);
    Ok(call.authorization())
}
