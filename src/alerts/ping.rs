//! Pings in the manner of Healthchecks: a server that notices when they stay away.

use super::AlertError;
use super::document::{Document, Event, Outcome};
use super::post::Message;

/// Longer bodies are cut by servers; a list of many sources can be long.
const MAX_BODY_BYTES: usize = 8 * 1024;

/// The ping for a document: to the address itself for a success, to `/fail`, `/log` or `/start` below it otherwise. A success with gaps is a
/// success, with a body that says which; what goes on later is only logged.
///
/// # Errors
/// When the address cannot be used.
pub fn message(address: &str, document: &Document) -> Result<Message, AlertError> {
    let below = match (document.event, document.outcome) {
        (Event::Before, _) => "start",
        (Event::Test, _) => "log",
        (_, Outcome::Success) => "",
        (_, Outcome::Later) => "log",
        (_, Outcome::Failure) => "fail",
    };
    let mut body = document.text();
    if body.len() > MAX_BODY_BYTES {
        let end = (0..=MAX_BODY_BYTES).rev().find(|end| body.is_char_boundary(*end)).unwrap_or(0);
        body.truncate(end);
    }
    Ok(Message { url: at(address, below)?, headers: Vec::new(), content_type: "text/plain; charset=utf-8", body })
}

/// The address with a further segment before its `?` part.
fn at(address: &str, below: &str) -> Result<String, AlertError> {
    if !address.starts_with("https://") && !address.starts_with("http://") {
        return Err(AlertError::Address("it must begin with https:// or http://".to_owned()));
    }
    let (path, query) = address.split_once('?').map_or((address, String::new()), |(path, query)| (path, format!("?{query}")));
    let path = path.trim_end_matches('/');
    Ok(if below.is_empty() { format!("{path}{query}") } else { format!("{path}/{below}{query}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_the_server_stays_behind_the_path() {
        assert_eq!(at("https://hc/uuid", "").unwrap(), "https://hc/uuid");
        assert_eq!(at("https://hc/key/slug/?create=1", "fail").unwrap(), "https://hc/key/slug/fail?create=1");
        assert!(at("hc/uuid", "").is_err());
    }
}
