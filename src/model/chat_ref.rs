//! How people say which chat they mean: by its id in any of the usual forms, its public name, a link, or its name.

use std::convert::Infallible;
use std::str::FromStr;

use super::peer::Peer;

/// The prefix of channels' ids in the Bot API and in many tools.
const BOT_API_CHANNEL: i64 = 1_000_000_000_000;

/// Hosts of links to chats, without `www.`.
const HOSTS: [&str; 3] = ["t.me", "telegram.me", "telegram.dog"];

/// Where Telegram runs in a browser: its addresses end with the chat.
const WEB_HOST: &str = "web.telegram.org";

/// What somebody typed for a chat, understood as far as it can be without a list of chats.
///
/// | text | meaning |
/// |---|---|
/// | `user12`, `chat12`, `channel12` | that peer |
/// | `-1001234567890`, `-4567` | a channel or supergroup, a basic group, as Telegram's bots and many tools write them |
/// | `4567` | the bare id, of whatever kind; or a chat that is called so |
/// | `@name`, `t.me/name`, `https://t.me/name/55`, `name.t.me` | the public name |
/// | `t.me/c/1234/5` | a link inside a private channel or supergroup |
/// | `tg://resolve?domain=name`, `tg://privatepost?channel=1234`, `tg://user?id=12` | the same, as apps write it |
/// | `https://web.telegram.org/a/#-1001234567890` | what a browser shows above the chat |
/// | anything else | the chat's name, or its public name; case does not matter |
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatRef {
    /// One peer and no other.
    Peer(Peer),
    /// An id that could be of any kind.
    Number(i64),
    /// A public name, without `@`.
    Username(String),
    /// A name, or a public name without `@`, in small letters.
    Name(String),
}

impl FromStr for ChatRef {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let text = text.trim();
        if let Ok(peer) = text.to_ascii_lowercase().parse() {
            return Ok(Self::Peer(peer));
        }
        if let Ok(number) = text.parse::<i64>() {
            return Ok(match number.checked_neg() {
                Some(id) if id > BOT_API_CHANNEL => Self::Peer(Peer::channel(id - BOT_API_CHANNEL)),
                Some(id) if id > 0 => Self::Peer(Peer::chat(id)),
                _ => Self::Number(number),
            });
        }
        let named = text.strip_prefix('@').filter(|name| !name.is_empty()).map(|name| Self::Username(name.to_owned()));
        Ok(named.or_else(|| link(text)).unwrap_or_else(|| Self::Name(text.to_lowercase())))
    }
}

/// The chat that a link leads to; `None` for invitations, which name no chat.
fn link(text: &str) -> Option<ChatRef> {
    let (scheme, address) = text.split_once("://").unwrap_or(("", text));
    match scheme.to_ascii_lowercase().as_str() {
        "tg" => return app_link(address),
        "" | "https" | "http" => {}
        _ => return None,
    }
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let host = host.to_ascii_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    if host == WEB_HOST {
        return web_address(path);
    }
    if let Some(name) = host.strip_suffix(".t.me") {
        return Some(ChatRef::Username(name.to_owned())).filter(|_| !name.is_empty());
    }
    if !HOSTS.contains(&host) {
        return None;
    }
    let mut parts = path.split(['/', '?', '#']);
    match (parts.next()?, parts.next()) {
        ("c", Some(id)) => Some(ChatRef::Peer(Peer::channel(id.parse().ok().filter(|&id: &i64| id > 0)?))),
        // A channel's page for readers without an account.
        ("s", Some(name)) if !name.is_empty() => Some(ChatRef::Username(name.to_owned())),
        ("" | "c" | "s" | "joinchat", _) => None,
        (name, _) if name.starts_with('+') => None,
        (name, _) => Some(ChatRef::Username(name.to_owned())),
    }
}

/// A link as apps hand it to each other, after `tg://`.
fn app_link(address: &str) -> Option<ChatRef> {
    let (action, query) = address.split_once('?')?;
    let value = |key: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == key)).map(|(_, value)| value);
    let id = |key: &str| value(key).and_then(|id| id.parse().ok()).filter(|&id: &i64| id > 0);
    match action.trim_end_matches('/').to_ascii_lowercase().as_str() {
        "resolve" => value("domain").filter(|name| !name.is_empty()).map(|name| ChatRef::Username(name.to_owned())),
        "privatepost" => id("channel").map(|id| ChatRef::Peer(Peer::channel(id))),
        "user" => id("id").map(|id| ChatRef::Peer(Peer::user(id))),
        "openmessage" => {
            let group = || id("chat_id").map(|id| ChatRef::Peer(Peer::chat(id)));
            id("user_id").map(|id| ChatRef::Peer(Peer::user(id))).or_else(group)
        }
        _ => None,
    }
}

/// What a browser shows: the chat's public name or id behind `#`, with the topic or message after it.
fn web_address(path: &str) -> Option<ChatRef> {
    let (_, chat) = path.split_once('#')?;
    if let Some(name) = chat.strip_prefix('@').and_then(|name| name.split(['/', '?']).next()) {
        return Some(ChatRef::Username(name.to_owned())).filter(|_| !name.is_empty());
    }
    let number: i64 = chat.split(['_', '/', '?']).next()?.parse().ok()?;
    match number.checked_neg()? {
        id if id > BOT_API_CHANNEL => Some(ChatRef::Peer(Peer::channel(id - BOT_API_CHANNEL))),
        // One of the two programs there writes groups and channels alike.
        id if id > 0 => None,
        _ => Some(ChatRef::Peer(Peer::user(number))),
    }
}

impl ChatRef {
    /// Reads what was typed; every text means something.
    pub fn new(text: &str) -> Self {
        match text.parse() {
            Ok(parsed) => parsed,
            Err(never) => match never {},
        }
    }

    /// Whether this chat is meant: its public names without `@`, and all the names that it goes by.
    pub fn fits<'a>(&self, peer: Peer, usernames: impl IntoIterator<Item = &'a str>, names: impl IntoIterator<Item = &'a str>) -> bool {
        let is_called = |wanted: &str| names.into_iter().any(|name| name.trim().to_lowercase() == wanted);
        match self {
            Self::Peer(wanted) => *wanted == peer,
            Self::Number(number) => (!peer.is_made_up() && peer.id == *number) || is_called(&number.to_string()),
            Self::Username(wanted) => usernames.into_iter().any(|own| own.eq_ignore_ascii_case(wanted)),
            Self::Name(wanted) => is_called(wanted) || usernames.into_iter().any(|own| own.eq_ignore_ascii_case(wanted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_named_in_many_ways() {
        for (text, expected) in [
            ("user12", ChatRef::Peer(Peer::user(12))),
            (" Channel12 ", ChatRef::Peer(Peer::channel(12))),
            ("-1001234567890", ChatRef::Peer(Peer::channel(1_234_567_890))),
            ("-4567", ChatRef::Peer(Peer::chat(4567))),
            ("4567", ChatRef::Number(4567)),
            ("-9223372036854775808", ChatRef::Number(i64::MIN)),
            ("@durov", ChatRef::Username("durov".into())),
            ("https://t.me/durov/55", ChatRef::Username("durov".into())),
            ("t.me/s/durov", ChatRef::Username("durov".into())),
            ("http://telegram.me/durov?start=1", ChatRef::Username("durov".into())),
            ("t.me/c/1234/5", ChatRef::Peer(Peer::channel(1234))),
            ("https://t.me/+AbCd", ChatRef::Name("https://t.me/+abcd".into())),
            ("t.me/joinchat/AbCd", ChatRef::Name("t.me/joinchat/abcd".into())),
            ("HTTPS://T.me/durov", ChatRef::Username("durov".into())),
            ("https://www.t.me/durov", ChatRef::Username("durov".into())),
            ("https://durov.t.me/55", ChatRef::Username("durov".into())),
            ("tg://resolve?domain=durov&post=4", ChatRef::Username("durov".into())),
            ("tg://privatepost?channel=1234&post=5", ChatRef::Peer(Peer::channel(1234))),
            ("tg://user?id=12", ChatRef::Peer(Peer::user(12))),
            ("tg://openmessage?chat_id=4567", ChatRef::Peer(Peer::chat(4567))),
            ("tg://openmessage?user_id=12", ChatRef::Peer(Peer::user(12))),
            ("tg://join?invite=AbCd", ChatRef::Name("tg://join?invite=abcd".into())),
            ("https://web.telegram.org/k/#@durov", ChatRef::Username("durov".into())),
            ("https://web.telegram.org/a/#-1001234567890_3", ChatRef::Peer(Peer::channel(1_234_567_890))),
            ("https://web.telegram.org/a/#12", ChatRef::Peer(Peer::user(12))),
            ("https://web.telegram.org/k/#-4567", ChatRef::Name("https://web.telegram.org/k/#-4567".into())),
            ("https://example.org/durov", ChatRef::Name("https://example.org/durov".into())),
            ("t.me", ChatRef::Name("t.me".into())),
            ("@", ChatRef::Name("@".into())),
            ("Family & friends", ChatRef::Name("family & friends".into())),
        ] {
            assert_eq!(ChatRef::new(text), expected, "{text}");
        }
    }

    #[test]
    fn a_reference_fits_what_it_means_and_nothing_else() {
        let fits = |text: &str, peer, username, names: &[&str]| ChatRef::new(text).fits(peer, username, names.iter().copied());
        let (user, channel) = (Peer::user(7), Peer::channel(7));
        assert!(fits("7", user, None, &[]) && fits("7", channel, None, &[]) && fits("-1000000000007", channel, None, &[]));
        assert!(!fits("-1000000000007", user, None, &[]));
        assert!(fits("2024", user, None, &["2024"]), "a name may be a number");
        assert!(fits("@Mara", user, Some("mara"), &[]) && !fits("@Mara", user, None, &["@Mara"]));
        assert!(fits("Mara", user, Some("mara"), &["x"]), "a public name may come without @");
        assert!(ChatRef::new("@second").fits(user, ["first", "Second"], []), "a chat may have several");
        assert!(fits("МАРА b", user, None, &["x", " Мара B "]) && !fits("Mar", user, None, &["Mara"]));
        let made_up = Peer::made_up(crate::model::peer::PeerKind::User, &[b"x"]);
        assert!(!fits(&made_up.id.to_string(), made_up, None, &[]));
    }
}
