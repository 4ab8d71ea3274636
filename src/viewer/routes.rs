//! What is asked for.

use percent_encoding::percent_decode_str;

use crate::model::entry::EntryPath;
use crate::model::peer::Peer;
use crate::operations::browse::Where;

/// What is asked for.
#[derive(Debug, PartialEq)]
pub enum Route {
    /// The list of chats.
    Chats,
    /// A window of a chat.
    Chat(Peer, Moment),
    /// Messages with these words.
    Search(String),
    /// The style or script of the pages.
    Asset(&'static str),
    /// A stored file.
    File(EntryPath),
    /// Nothing that there is.
    Unknown,
}

/// Where in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// At a message or an end.
    At(Where),
    /// On a day, in the zone of shown times.
    Day(jiff::civil::Date),
}

/// Reads the path below the secret folder, and the query.
pub fn route(path: &str, query: Option<&str>) -> Route {
    let pair = |wanted: &str| {
        let mut pairs = query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(key, _)| *key == wanted).map(|(_, value)| decoded(&value.replace('+', " ")))
    };
    match path {
        "" | "lists/chats.html" => return Route::Chats,
        "css/style.css" => return Route::Asset("css/style.css"),
        "js/script.js" => return Route::Asset("js/script.js"),
        "search" => return Route::Search(pair("q").and_then(|q| String::from_utf8(q).ok()).unwrap_or_default()),
        _ => {}
    }
    let chat = path.strip_prefix("chats/").and_then(|rest| rest.strip_suffix("/messages.html"));
    if let Some(peer) = chat.and_then(|peer| peer.parse().ok()) {
        let number = |key: &str| pair(key).and_then(|value| String::from_utf8(value).ok()?.parse::<i64>().ok());
        let day = pair("date").and_then(|value| String::from_utf8(value).ok()?.parse().ok());
        let at = [("around", Where::Around as fn(i64) -> Where), ("before", Where::Before), ("after", Where::After)];
        let at = at.into_iter().find_map(|(key, at)| number(key).map(at));
        let at = at.or_else(|| pair("first").map(|_| Where::First)).unwrap_or(Where::Last);
        return Route::Chat(peer, day.map_or(Moment::At(at), Moment::Day));
    }
    // Of the rest only media is anybody's business: logs and descriptions are shown as pages.
    match EntryPath::new(decoded(path)) {
        Ok(path) if path.as_bytes().starts_with(b"media/") => Route::File(path),
        _ => Route::Unknown,
    }
}

fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood() {
        assert_eq!(route("", None), Route::Chats);
        assert_eq!(route("search", Some("q=hej+d%C3%A5&x=1")), Route::Search("hej då".into()));
        let chat = |query| route("chats/user5/messages.html", query);
        assert_eq!(chat(None), Route::Chat(Peer::user(5), Moment::At(Where::Last)));
        assert_eq!(chat(Some("around=17")), Route::Chat(Peer::user(5), Moment::At(Where::Around(17))));
        assert_eq!(chat(Some("around=x")), Route::Chat(Peer::user(5), Moment::At(Where::Last)));
        assert_eq!(chat(Some("first")), Route::Chat(Peer::user(5), Moment::At(Where::First)));
        assert_eq!(chat(Some("date=2026-03-01")), Route::Chat(Peer::user(5), Moment::Day(jiff::civil::date(2026, 3, 1))));
        assert_eq!(route("media/photos/a%20b.jpg", None), Route::File(EntryPath::new("media/photos/a b.jpg").unwrap()));
    }

    #[test]
    fn nothing_else_is_served() {
        for path in
            ["chats/user5/20260101T000000000000Z-00000000-0001.jsonl", "account/personal.json", "../x", "media/../account/x", "/etc/passwd"]
        {
            assert_eq!(route(path, None), Route::Unknown, "{path}");
        }
    }
}
