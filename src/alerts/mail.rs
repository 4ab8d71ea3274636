//! Mail through the system's `sendmail`, which cron uses too.

use std::path::Path;

use super::AlertError;
use super::command;
use super::document::Document;

/// Sends a document as a mail.
///
/// # Errors
/// When an address has a line break, or `sendmail` cannot be run or fails.
pub async fn send(sendmail: &Path, to: &str, from: Option<&str>, document: &Document) -> Result<(), AlertError> {
    let text = text(to, from, document)?;
    // -t takes the recipients out of the head, -i does not end at a line with a single dot.
    command::run("sendmail", sendmail.as_os_str(), &["-t", "-i"], &text).await
}

fn text(to: &str, from: Option<&str>, document: &Document) -> Result<String, AlertError> {
    // A line break would begin a header of somebody else's choice.
    for address in [Some(to), from].into_iter().flatten() {
        if address.trim().is_empty() || address.chars().any(char::is_control) {
            return Err(AlertError::Address("a mail address has a line break, or is empty".to_owned()));
        }
    }
    let from = from.map_or_else(String::new, |from| format!("From: {from}\n"));
    let subject: String = document.title().chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    let subject = if subject.is_ascii() { subject } else { "tgvault".to_owned() };
    Ok(format!(
        "To: {to}\n{from}Subject: {subject}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: 8bit\n\n{}\n{}",
        document.title(),
        document.text()
    ))
}
