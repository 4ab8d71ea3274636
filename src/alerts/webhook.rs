//! Messages to services that show them on a phone.

use serde::Deserialize;
use serde_json::json;

use super::document::{Document, Outcome};
use super::post::Message;

/// The form that a service wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The document itself, for a program of the user's own.
    #[default]
    Json,
    /// ntfy: the address of the server, and a topic.
    Ntfy,
    /// Gotify: the address of the server, and an application's token.
    Gotify,
    /// The Apprise API: the address with `/notify/KEY`.
    Apprise,
}

/// The message for a document; `topic` is ntfy's, `token` lets it in.
pub fn message(kind: Kind, address: &str, topic: Option<&str>, token: Option<&str>, document: &Document) -> Message {
    let (title, text) = (document.title(), document.text());
    let is_urgent = document.outcome == Outcome::Failure;
    let address = address.trim_end_matches('/');
    let (url, body, header) = match kind {
        Kind::Json => (address.to_owned(), serde_json::to_value(document).unwrap_or_default(), "authorization"),
        Kind::Ntfy => {
            let body =
                json!({ "topic": topic.unwrap_or("tgvault"), "title": title, "message": text, "priority": if is_urgent { 4 } else { 3 } });
            (format!("{address}/"), body, "authorization")
        }
        Kind::Gotify => {
            let body = json!({ "title": title, "message": text, "priority": if is_urgent { 8 } else { 4 } });
            (format!("{address}/message"), body, "x-gotify-key")
        }
        Kind::Apprise => {
            let body = json!({ "title": title, "body": text, "type": if is_urgent { "failure" } else { "info" } });
            (address.to_owned(), body, "authorization")
        }
    };
    let value = |token: &str| if header == "authorization" { format!("Bearer {token}") } else { token.to_owned() };
    let headers = token.map(|token| (header, value(token))).into_iter().collect();
    Message { url, headers, content_type: "application/json", body: body.to_string() }
}
