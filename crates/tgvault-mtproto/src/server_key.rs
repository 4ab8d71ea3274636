//! The RSA keys by which a server proves itself during the key exchange.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use grammers_crypto::rsa;
use grammers_tl_types::Serializable;
use num_bigint::BigUint;
use sha1::{Digest, Sha1};

/// Telegram's keys, as published with its official clients: production, then the test data centres; modulus in decimal.
const TELEGRAM_MODULI: [&str; 2] = [
    "29379598170669337022986177149456128565388431120058863768162556424047512191330847455146576344487764408661701890505066208632169112269581063774293102577308490531282748465986139880977280302242772832972539403531316010870401287642763009136156734339538042419388722777357134487746169093539093850251243897188928735903389451772730245253062963384108812842079887538976360465290946139638691491496062099570836476454855996319192747663615955633778034897140982517446405334423701359108810182097749467210509584293428076654573384828809574217079944388301239431309115013843331317877374435868468779972014486325557807783825502498215169806323",
    "25342889448840415564971689590713473206898847759084779052582026594546022463853940585885215951168491965708222649399180603818074200620463776135424884632162512403163793083921641631564740959529419359595852941166848940585952337613333022396096584117954892216031229237302943701877588456738335398602461675225081791820393153757504952636234951323237820036543581047826906120927972487366805292115792231423684261262330394324750785450942589751755390156647751460719351439969059949569615302809050721500330239005077889855323917509948255722081644689442127297605422579707142646660768825302832201908302295573257427896031830742328565032949",
];

/// Says why a text is not an RSA public key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ServerKeyError {
    /// No `-----BEGIN … PUBLIC KEY-----` block, or its base64 is damaged.
    #[error("the server key is not a PEM block of a public key")]
    NotPem,
    /// The block holds something else than PKCS#1 `RSAPublicKey` or `SubjectPublicKeyInfo` with such a key.
    #[error("the server key is not an RSA public key (PKCS#1 or SPKI)")]
    NotRsa,
    /// Telegram's exchange is defined for moduli of 2048 bits only.
    #[error("the server key has {0} bits, and the key exchange is defined for 2048")]
    Length(u64),
}

/// An RSA public key of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerKey {
    modulus: BigUint,
    exponent: BigUint,
}

impl ServerKey {
    /// Reads one PEM block, PKCS#1 (`RSA PUBLIC KEY`) or SPKI (`PUBLIC KEY`).
    ///
    /// # Errors
    /// When the text is no such key, or the key is not of 2048 bits.
    pub fn from_pem(pem: &str) -> Result<Self, ServerKeyError> {
        let mut body = String::new();
        let mut inside = false;
        for line in pem.lines().map(str::trim) {
            if line.starts_with("-----BEGIN") && line.ends_with("PUBLIC KEY-----") {
                inside = true;
            } else if line.starts_with("-----END") && inside {
                let der = BASE64.decode(&body).map_err(|_| ServerKeyError::NotPem)?;
                return Self::from_der(&der);
            } else if inside {
                body.push_str(line);
            }
        }
        Err(ServerKeyError::NotPem)
    }

    fn from_der(der: &[u8]) -> Result<Self, ServerKeyError> {
        const INTEGER: u8 = 0x02;
        const BIT_STRING: u8 = 0x03;
        const SEQUENCE: u8 = 0x30;
        let not_rsa = ServerKeyError::NotRsa;
        let (mut fields, _) = der_value(der, SEQUENCE).ok_or(ServerKeyError::NotRsa)?;
        if fields.first() == Some(&SEQUENCE) {
            let (_, rest) = der_value(fields, SEQUENCE).ok_or(ServerKeyError::NotRsa)?;
            let (bits, _) = der_value(rest, BIT_STRING).ok_or(ServerKeyError::NotRsa)?;
            // The first byte of a bit string counts the unused bits of its last one.
            let inner = bits.strip_prefix(&[0]).ok_or(ServerKeyError::NotRsa)?;
            (fields, _) = der_value(inner, SEQUENCE).ok_or(ServerKeyError::NotRsa)?;
        }
        let (modulus, rest) = der_value(fields, INTEGER).ok_or(ServerKeyError::NotRsa)?;
        let (exponent, _) = der_value(rest, INTEGER).ok_or(not_rsa)?;
        let key = Self { modulus: BigUint::from_bytes_be(modulus), exponent: BigUint::from_bytes_be(exponent) };
        match key.modulus.bits() {
            2048 => Ok(key),
            other => Err(ServerKeyError::Length(other)),
        }
    }

    /// Telegram's own keys: production and test data centres.
    pub fn telegram() -> Vec<Self> {
        TELEGRAM_MODULI
            .iter()
            .filter_map(|digits| BigUint::parse_bytes(digits.as_bytes(), 10))
            .map(|modulus| Self { modulus, exponent: BigUint::from(65_537_u32) })
            .collect()
    }

    /// The number by which a server names the key: the low 64 bits of the SHA-1 of its bare TL form.
    pub fn fingerprint(&self) -> i64 {
        let mut bytes = Vec::new();
        self.modulus.to_bytes_be().serialize(&mut bytes);
        self.exponent.to_bytes_be().serialize(&mut bytes);
        let digest: [u8; 20] = Sha1::digest(&bytes).into();
        let [.., a, b, c, d, e, f, g, h] = digest;
        i64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    pub(super) fn for_encryption(&self) -> Option<rsa::Key> {
        rsa::Key::new(&self.modulus.to_string(), &self.exponent.to_string())
    }
}

/// The content of the DER value of type `tag` at the start of `input`, and what follows it.
fn der_value(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit)), rest)
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telegrams_keys_have_the_fingerprints_their_servers_announce() {
        let fingerprints: Vec<i64> = ServerKey::telegram().iter().map(ServerKey::fingerprint).collect();
        assert_eq!(fingerprints, [-3414540481677951611, -5595554452916591101]);
    }

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &length[..], content].concat()
    }

    #[test]
    fn both_pem_forms_give_the_same_key() {
        let telegram = &ServerKey::telegram()[0];
        let modulus = [&[0][..], &telegram.modulus.to_bytes_be()].concat();
        let pkcs1 = der(0x30, &[der(2, &modulus), der(2, &[1, 0, 1])].concat());
        let spki = der(0x30, &[der(0x30, b"\x06\x00"), der(3, &[&[0][..], &pkcs1].concat())].concat());
        for (name, bytes) in [("RSA PUBLIC KEY", &pkcs1), ("PUBLIC KEY", &spki)] {
            let pem = format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", BASE64.encode(bytes));
            assert_eq!(&ServerKey::from_pem(&pem).unwrap(), telegram);
        }
    }

    #[test]
    fn damaged_keys_are_refused() {
        assert_eq!(ServerKey::from_pem("hello"), Err(ServerKeyError::NotPem));
        let wrap = |bytes: &[u8]| format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", BASE64.encode(bytes));
        for bytes in [&b"\x30"[..], b"\x30\x84\xff\xff\xff\xff", b"\x30\x80", b"\x04\x01a", b"\x30\x03\x02\x01\x05"] {
            assert_eq!(ServerKey::from_pem(&wrap(bytes)), Err(ServerKeyError::NotRsa));
        }
        assert_eq!(ServerKey::from_pem(&wrap(b"\x30\x06\x02\x01\x05\x02\x01\x03")), Err(ServerKeyError::Length(3)));
    }
}
