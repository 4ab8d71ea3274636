//! Sessions that Telethon and Pyrogram hand out as one line of text: a data centre and the key agreed on with it.

use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::source::telegram::wire::AuthorizationKey;

/// What stands in a session string.
#[derive(Clone, Debug)]
pub struct SessionString {
    /// The data centre that holds the account.
    pub dc: i32,
    /// The key agreed on with it.
    pub key: AuthorizationKey,
    /// The application that the session was made with, where the string says so.
    pub api_id: Option<i32>,
    /// Whether it is a session at Telegram's test servers.
    pub is_test: bool,
}

/// Why a string cannot be used; it is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionStringError {
    /// It is a bot's token.
    #[error("this is a bot token, not a session string")]
    BotToken,
    /// It has another length.
    #[error(
        "this is not a session string of Telethon or Pyrogram: it has {0} characters, and theirs have 351, 353, 356, 362 or 369; it may be \
         cut off, or come from another program"
    )]
    Length(usize),
    /// A character does not belong there.
    #[error("this is not a session string of Telethon or Pyrogram: it has a character that does not belong there")]
    Characters,
    /// It is whole, and has no key or no data centre in it.
    #[error("this session string holds no login: its key or data centre is empty")]
    Empty,
}

/// Lengths without the padding that some people cut off.
const TELETHON_V4: usize = 352;
const TELETHON_V6: usize = 368;
const PYROGRAM: usize = 362;
const PYROGRAM_OLD: usize = 351;
const PYROGRAM_OLD_64: usize = 356;

/// Telegram's test servers, as my.telegram.org and the libraries name them: Telethon's strings have no other sign of a test account.
const TEST_SERVERS: [Ipv4Addr; 3] = [Ipv4Addr::new(149, 154, 175, 10), Ipv4Addr::new(149, 154, 167, 40), Ipv4Addr::new(149, 154, 175, 117)];

impl SessionString {
    /// Reads a session string of either.
    ///
    /// # Errors
    /// What it is instead, or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, SessionStringError> {
        let text = text.trim();
        if is_bot_token(text) {
            return Err(SessionStringError::BotToken);
        }
        let bare = text.trim_end_matches('=');
        let encoded = match (bare.len(), bare.strip_prefix('1')) {
            (TELETHON_V4 | TELETHON_V6, Some(encoded)) => encoded,
            (PYROGRAM | PYROGRAM_OLD | PYROGRAM_OLD_64, _) => bare,
            _ => return Err(SessionStringError::Length(text.chars().count())),
        };
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).map_err(|_| SessionStringError::Characters)?);
        // Where the key begins; all numbers are big-endian.
        let (at, api_id, is_test) = match bare.len() {
            // Data centre, address of 4 or 16 bytes, port.
            TELETHON_V4 => {
                let address = bytes.get(1..5).and_then(|address| <[u8; 4]>::try_from(address).ok()).map(Ipv4Addr::from);
                (7, None, address.is_some_and(|address| TEST_SERVERS.contains(&address)))
            }
            TELETHON_V6 => (19, None, false),
            // Data centre, application, test flag; the user's number and whether it is a bot follow the key.
            PYROGRAM => {
                let id = bytes.get(1..5).and_then(|id| id.try_into().ok()).map(i32::from_be_bytes);
                (6, id.filter(|&id| id > 0), bytes.get(5) == Some(&1))
            }
            _ => (2, None, bytes.get(1) == Some(&1)),
        };
        let key = bytes.get(at..at + 256).and_then(|key| <[u8; 256]>::try_from(key).ok()).map(Zeroizing::new);
        match (bytes.first(), key) {
            (Some(&dc), Some(key)) if dc > 0 && key.iter().any(|&byte| byte != 0) => {
                Ok(Self { dc: dc.into(), key: AuthorizationKey::new(key), api_id, is_test })
            }
            _ => Err(SessionStringError::Empty),
        }
    }
}

/// Whether it is a number, a colon, and some thirty characters.
fn is_bot_token(text: &str) -> bool {
    text.len() < 100 && text.split_once(':').is_some_and(|(id, _)| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE;

    use super::*;

    fn key() -> [u8; 256] {
        std::array::from_fn(|i| i as u8 ^ 0x5a)
    }

    /// Every form, as the packages' own code packs them.
    fn all() -> Vec<(String, Option<i32>, bool)> {
        let telethon = |ip: &[u8]| format!("1{}", URL_SAFE.encode([&[2][..], ip, &443_u16.to_be_bytes(), &key()].concat()));
        let pyrogram = |head: &[u8], user: &[u8]| URL_SAFE_NO_PAD.encode([head, &key(), user, &[0]].concat());
        let new = [&[2][..], &4711_u32.to_be_bytes(), &[0]].concat();
        vec![
            (telethon(&[149, 154, 167, 51]), None, false),
            (telethon(&[149, 154, 167, 40]), None, true),
            (telethon(&[0x20; 16]), None, false),
            (pyrogram(&new, &7_u64.to_be_bytes()), Some(4711), false),
            (pyrogram(&[2, 0], &7_u32.to_be_bytes()), None, false),
            (pyrogram(&[2, 1], &7_u64.to_be_bytes()), None, true),
        ]
    }

    #[test]
    fn every_form_is_read() {
        let lengths: Vec<usize> = all().iter().map(|(text, ..)| text.len()).collect();
        assert_eq!(lengths, [353, 353, 369, 362, 351, 356]);
        for (text, api_id, is_test) in all() {
            for text in [text.clone(), format!(" {text}\n"), text.trim_end_matches('=').to_owned()] {
                let read = SessionString::parse(&text).unwrap();
                assert_eq!((read.dc, read.api_id, read.is_test), (2, api_id, is_test));
                assert_eq!(read.key.bytes()[..], key());
                assert!(!format!("{read:?}").contains("90"));
            }
        }
    }

    #[test]
    fn what_is_no_session_string_is_told_in_words() {
        let parse = |text: &str| SessionString::parse(text).unwrap_err();
        assert_eq!(parse("123456:AAF-abcdefghijklmnopqrstuvwxyz0123456"), SessionStringError::BotToken);
        assert_eq!(parse(""), SessionStringError::Length(0));
        for (text, ..) in all() {
            let bare = text.trim_end_matches('=');
            let cut = &bare[..bare.len() - 3];
            assert_eq!(parse(cut), SessionStringError::Length(cut.len()));
            assert_eq!(parse(&format!("{}!{}", &text[..40], &text[41..])), SessionStringError::Characters);
        }
        let empty = format!("1{}", URL_SAFE.encode([&[2, 1, 1, 1, 1, 1, 1][..], &[0; 256]].concat()));
        assert_eq!(parse(&empty), SessionStringError::Empty);
    }
}
