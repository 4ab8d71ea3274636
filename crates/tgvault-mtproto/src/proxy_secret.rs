//! The secret of an MTProxy, in the forms in which people have it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// The secret of an MTProxy; never shown.
#[derive(Clone)]
pub struct ProxySecret {
    pub(super) key: Zeroizing<[u8; 16]>,
    /// Whether packets get a random length, which makes them harder to tell from others.
    pub(super) padded: bool,
}

impl ProxySecret {
    /// A secret of 16 bytes, or of 17 that begin with `dd`: then packets get a random length.
    ///
    /// # Errors
    /// What kind of secret it is instead.
    pub fn new(bytes: &[u8]) -> Result<Self, ProxySecretError> {
        let (key, padded) = match bytes {
            [0xdd, key @ ..] if key.len() == 16 => (key, true),
            [0xee, ..] if bytes.len() > 16 => return Err(ProxySecretError::Tls),
            key => (key, false),
        };
        let key = <[u8; 16]>::try_from(key).map_err(|_| ProxySecretError::Length(bytes.len()))?;
        Ok(Self { key: Zeroizing::new(key), padded })
    }

    /// The same from hexadecimal digits or base64, as links have it.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it.
    pub fn from_text(text: &str) -> Result<Self, ProxySecretError> {
        let bytes = match from_digits(text) {
            Some(bytes) => bytes,
            None => {
                // A plus sign in a link is read as a space.
                let text = Zeroizing::new(text.trim_end_matches('=').replace(['+', ' '], "-").replace('/', "_"));
                Zeroizing::new(URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(|_| ProxySecretError::Text)?)
            }
        };
        Self::new(&bytes)
    }
}

impl fmt::Debug for ProxySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Why a secret cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxySecretError {
    /// It asks for connections that look like TLS.
    #[error("its secret begins with ee: such a proxy imitates HTTPS, which tgvault cannot do")]
    Tls,
    /// It is written in no way that is known.
    #[error("its secret is neither hexadecimal nor base64")]
    Text,
    /// It has another length.
    #[error("its secret has {0} bytes; 16 are needed, or 17 that begin with dd")]
    Length(usize),
}

fn from_digits(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some((nibble(*high)? << 4) | nibble(*low)?),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_apart() {
        assert!(!ProxySecret::new(&[7; 16]).unwrap().padded);
        assert!(ProxySecret::new(&[&[0xdd][..], &[7; 16]].concat()).unwrap().padded);
        // Sixteen bytes are a key, whatever they begin with.
        assert!(ProxySecret::new(&[0xee; 16]).is_ok());
        assert_eq!(ProxySecret::new(&[&[0xee][..], &[7; 16], b"example.com"].concat()).unwrap_err(), ProxySecretError::Tls);
        assert_eq!(ProxySecret::new(&[7; 15]).unwrap_err(), ProxySecretError::Length(15));
    }

    #[test]
    fn one_secret_in_every_form() {
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        for text in
            ["000102030405060708090a0b0c0d0e0f", "000102030405060708090A0B0C0D0E0F", "AAECAwQFBgcICQoLDA0ODw", "AAECAwQFBgcICQoLDA0ODw=="]
        {
            let secret = ProxySecret::from_text(text).unwrap();
            assert!(*secret.key == key && !secret.padded, "{text}");
        }
        for text in ["dd000102030405060708090a0b0c0d0e0f", "3QABAgMEBQYHCAkKCwwNDg8="] {
            let secret = ProxySecret::from_text(text).unwrap();
            assert!(*secret.key == key && secret.padded, "{text}");
        }
        for text in ["+/+/+/+/+/+/+/+/+/+/+w", " / / / / / / / / / / w", "-_-_-_-_-_-_-_-_-_-_-w"] {
            assert!(ProxySecret::from_text(text).is_ok(), "{text}");
        }
        assert_eq!(ProxySecret::from_text("hunter2!").unwrap_err(), ProxySecretError::Text);
    }
}
