//! Certificates of completeness: what a snapshot says about each chat, signed, for people who are not to see the content.
//!
//! No name, title or text is in one: chats by their numbers, ranges of ids, counts, media, reasons. `minisign`, `jq` and `sha256sum` check it.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::OperationError;
use super::coverage::ChatCoverage;
use super::session::Session;
use crate::crypt::digest::sha256;
use crate::crypt::signature::VerifyingKey;
use crate::model::coverage::{MissingPart, Verdict};
use crate::model::digest::{Digest, Id};
use crate::repository::format::snapshot::Snapshot;

/// What the first line of a certificate says that it is.
pub const KIND: &str = "tgvault coverage certificate 1";

#[derive(Serialize)]
struct Certificate<'a> {
    certificate: &'static str,
    vault: Id,
    root_key: &'a VerifyingKey,
    issued: Timestamp,
    /// SHA-256 of the certificate before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Digest>,
    snapshot: Subject,
    signed_by: Signer<'a>,
    totals: Totals,
    account_missing: &'a [MissingPart],
    chats: Vec<Value>,
}

/// What it is about. The digest is over a line for each archive, as `sha256sum` prints it: it ties the certificate to the stored bytes.
#[derive(Serialize)]
struct Subject {
    id: Id,
    time: Timestamp,
    writer: Id,
    chain: Id,
    sequence: u64,
    archives: usize,
    archives_sha256: Digest,
}

#[derive(Serialize)]
struct Signer<'a> {
    writer: Id,
    key: &'a VerifyingKey,
}

#[derive(Default, Serialize)]
struct Totals {
    chats: u64,
    complete: u64,
    incomplete: u64,
    unknown: u64,
    messages: u64,
    media_wanted: u64,
    media_stored: u64,
}

impl Totals {
    fn add(&mut self, chat: &ChatCoverage) {
        self.chats += 1;
        *match chat.verdict() {
            Verdict::Complete => &mut self.complete,
            Verdict::Incomplete(_) => &mut self.incomplete,
            Verdict::Unknown => &mut self.unknown,
        } += 1;
        self.messages += chat.messages();
        if let Some(coverage) = &chat.coverage {
            self.media_wanted += coverage.media.wanted;
            self.media_stored += coverage.media.stored;
        }
    }
}

/// A certificate, to be written into two files.
pub struct Signed {
    /// The certificate, JSON.
    pub text: String,
    /// minisign's signature over it.
    pub signature: String,
    /// What the signature is checked with.
    pub key: VerifyingKey,
    /// The SHA-256 that the next certificate names.
    pub sha256: Digest,
}

/// Certifies what `chats` and `missing` say of `snapshot`, signed by this machine as a writer of the vault. It becomes one if it is none
/// yet: then a statement of trust is made.
///
/// # Errors
/// When this machine is no writer and the session has no key, the place is a mirror, or the store fails.
pub async fn certify(
    session: &Session,
    snapshot: &Snapshot,
    chats: &[ChatCoverage],
    missing: &[MissingPart],
    previous: Option<Digest>,
) -> Result<Signed, OperationError> {
    let failed = |error: serde_json::Error| OperationError::Internal(error.to_string());
    let mut opened = session.open_to_change().await?;
    let writer = opened.writer().await?;
    let mut totals = Totals::default();
    chats.iter().for_each(|chat| totals.add(chat));
    let lines: String = snapshot.archives.iter().map(|archive| format!("{}  {}\n", archive.sha256, archive.object)).collect();
    let certificate = Certificate {
        certificate: KIND,
        vault: opened.repository.id,
        root_key: &opened.repository.root.root_key,
        issued: session.machine.now(),
        previous,
        snapshot: Subject {
            id: snapshot.id,
            time: snapshot.time,
            writer: snapshot.writer,
            chain: snapshot.chain,
            sequence: snapshot.sequence,
            archives: snapshot.archives.len(),
            archives_sha256: sha256(lines.as_bytes()),
        },
        signed_by: Signer { writer: writer.id, key: writer.key.public() },
        totals,
        account_missing: missing,
        chats: chats.iter().map(chat).collect::<Result<_, _>>().map_err(failed)?,
    };
    let text = serde_json::to_string_pretty(&certificate).map_err(failed)? + "\n";
    let sha256 = sha256(text.as_bytes());
    let comment = format!("tgvault repository={} writer={} certificate={sha256}", opened.repository.id, writer.id);
    let signature = writer.key.sign(text.as_bytes(), &comment)?;
    Ok(Signed { text, signature, key: writer.key.public().clone(), sha256 })
}

/// What is said of one chat: its `coverage.json`, and how many messages are held.
fn chat(chat: &ChatCoverage) -> Result<Value, serde_json::Error> {
    let mut said = match &chat.coverage {
        Some(coverage) => serde_json::to_value(coverage)?,
        None => serde_json::json!({"peer": chat.peer, "verdict": "unknown", "ranges": []}),
    };
    if let Value::Object(said) = &mut said {
        said.insert("messages".into(), chat.messages().into());
    }
    Ok(said)
}
