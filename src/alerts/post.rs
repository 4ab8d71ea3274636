//! Sending a small body to a server: a few attempts, each with a limit, so that an alert never holds up a run for long.

use std::time::Duration;

use super::AlertError;

/// How long one attempt may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Attempts, and the pause after each that failed in a way that may pass.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::ZERO];

/// What is sent.
pub struct Message {
    /// Where to.
    pub url: String,
    /// Headers; their values may be secrets.
    pub headers: Vec<(&'static str, String)>,
    /// What kind of body it is.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// Sends a message by POST.
///
/// # Errors
/// When the address cannot be used, or no attempt is accepted; the address is not repeated, since it may be a secret.
pub async fn send(message: &Message) -> Result<(), AlertError> {
    let client = reqwest::Client::builder()
        .user_agent(concat!("tgvault/", env!("CARGO_PKG_VERSION")))
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| AlertError::Http(in_words(error)))?;
    let mut last = String::new();
    for pause in PAUSES {
        let mut request = client.post(&message.url).header("content-type", message.content_type).body(message.body.clone());
        for (name, value) in &message.headers {
            request = request.header(*name, value);
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                last = format!("it answers {}", answer.status());
                if !(answer.status().is_server_error() || answer.status().as_u16() == 429) {
                    break;
                }
            }
            Err(error) if error.is_builder() => return Err(AlertError::Address(in_words(error))),
            Err(error) => last = in_words(error),
        }
        tokio::time::sleep(pause).await;
    }
    Err(AlertError::Http(last))
}

fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
