//! `tgvault coverage`: how complete the chats of a snapshot are, as far as that can be said.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::arguments::{Select, parse_snapshot};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;
use super::reading::Unread;
use super::{sheet, units};
use crate::crypt::digest::sha256;
use crate::model::chat::ChatInfo;
use crate::model::coverage::{Coverage, MissingPart, Verdict};
use crate::model::digest::Digest;
use crate::model::reason::Reason;
use crate::operations::OperationError;
use crate::operations::certificate::{KIND, Signed, certify};
use crate::operations::chats::OpenChats;
use crate::operations::coverage::{ChatCoverage, coverage, missing_parts};

const EXAMPLES: &str = "\
Examples:
  tgvault coverage
  tgvault coverage 3f9a1b2c --incomplete
  tgvault coverage latest --source telegram:work --json
  tgvault coverage --certificate june.json --previous may.json   # signed";

/// The longest earlier certificate that is read.
const MAX_CERTIFICATE_BYTES: u64 = 1 << 30;

/// Options of `coverage`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// `latest`, or the first digits of a snapshot ID
    #[arg(default_value = "latest", value_parser = parse_snapshot)]
    pub snapshot: String,

    /// Only chats that are incomplete or unknown
    #[arg(long)]
    pub incomplete: bool,

    /// Write a signed certificate of the coverage to this new file, and its signature to FILE.minisig
    ///
    /// It has no names and no texts: chats by number, ranges of message IDs, counts, missing media with reasons. minisign and jq check it:
    /// see docs/guide/certificate.md.
    #[arg(long, value_name = "FILE", conflicts_with = "incomplete")]
    pub certificate: Option<PathBuf>,

    /// The certificate before this one, which the new one names by its SHA-256
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub previous: Option<PathBuf>,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    chat: String,
    name: Option<&'a str>,
    verdict: &'static str,
    because: Vec<String>,
    #[serde(skip_serializing_if = "<[Reason]>::is_empty")]
    reasons: &'a [Reason],
    messages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Coverage>,
}

/// A part of the account that is no chat.
#[derive(Serialize)]
struct PartLine<'a> {
    message_type: &'static str,
    part: &'a str,
    because: String,
    why: &'a Reason,
}

#[derive(Serialize)]
struct Summary {
    message_type: &'static str,
    command: &'static str,
    snapshot: String,
    complete: u64,
    incomplete: u64,
    unknown: u64,
    parts_missing: u64,
}

#[derive(Serialize)]
struct CertificateLine<'a> {
    message_type: &'static str,
    file: &'a Path,
    key: &'a str,
    sha256: String,
}

/// Shows the coverage.
///
/// # Errors
/// When no key fits, the snapshot cannot be read, or a certificate cannot be written.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let previous = args.previous.as_deref().map(previous).transpose()?;
    let session = context.session(Keys::Needed).await?;
    let opened = OpenChats::open_with_chats(&session.open().await?, &args.select.choose(&args.snapshot)).await?;
    let (output, mut unread) = (&context.output, Unread::new(&context.output));
    opened.stands_in().into_iter().for_each(|said| output.say(said));
    unread.lost(&opened);
    let snapshot = opened.opened().snapshot().clone();
    let id = snapshot.id.to_string();
    let read = tokio::task::spawn_blocking(move || {
        let chats = coverage(&opened, &mut |path, error| unread.file(path, error))?;
        let parts = missing_parts(&opened, &mut |path, error| unread.file(path, error))?;
        Ok::<_, OperationError>((chats, parts, unread.exit()))
    });
    let (chats, parts, exit) = read.await.map_err(OperationError::from)??;
    if let Some(path) = &args.certificate {
        if exit != Exit::Done {
            output.warn("no certificate was written: a part of the coverage could not be read");
        } else {
            let signed = certify(&session, &snapshot, &chats, &parts, previous).await?;
            write(path, &signed, output)?;
        }
    }
    let counted = |wanted: &str| chats.iter().filter(|chat| word(&chat.verdict()) == wanted).count() as u64;
    let (complete, incomplete, unknown) = (counted("complete"), counted("incomplete"), counted("unknown"));
    let shown: Vec<&ChatCoverage> = chats.iter().filter(|chat| !args.incomplete || chat.verdict() != Verdict::Complete).collect();
    if output.is_json() {
        for chat in shown {
            print(chat, output)?;
        }
        for MissingPart { part, because } in &parts {
            output.json(&PartLine { message_type: "account_coverage", part, because: because.to_string(), why: because })?;
        }
        let parts_missing = parts.len() as u64;
        output.json(&Summary {
            message_type: "summary",
            command: "coverage",
            snapshot: id,
            complete,
            incomplete,
            unknown,
            parts_missing,
        })?;
        return Ok(exit);
    }
    let mut rows = vec![["ID", "MESSAGES", "NAME", "COVERAGE"].map(str::to_owned)];
    rows.extend(shown.iter().map(|chat| {
        let mut verdict = chat.verdict().to_string();
        if let Some(read) = chat.coverage.as_ref().and_then(|coverage| coverage.reactions_read)
            && let Ok(time) = jiff::Timestamp::from_second(read)
        {
            verdict += &format!(" (reactions as of {})", units::time(time));
        }
        for part in chat.coverage.iter().flat_map(|coverage| &coverage.parts).filter(|part| !part.is_whole()) {
            verdict += &format!("; {part}");
        }
        [chat.peer.to_string(), held(chat), units::printable(title(chat)), units::printable(&verdict)]
    }));
    rows.extend(parts.iter().map(|MissingPart { part, because }| {
        ["account".to_owned(), "-".to_owned(), units::printable(&part.replace('_', " ")), units::printable(&format!("missing: {because}"))]
    }));
    if rows.len() > 1 {
        output.text(&units::columns(&rows, &[1]))?;
    }
    let parts = parts_missing(parts.len() as u64);
    output.line(&format!("snapshot {}: {}{parts}", units::short_id(&id), sentence(complete, incomplete, unknown)))?;
    Ok(exit)
}

/// The verdicts of many chats in one line.
pub fn sentence(complete: u64, incomplete: u64, unknown: u64) -> String {
    format!(
        "{} complete as served, {} incomplete, {} unknown",
        units::counted(complete, "chat"),
        units::count(incomplete),
        units::count(unknown)
    )
}

/// What the same line says of the rest of the account, where something is missing.
pub fn parts_missing(count: u64) -> String {
    match count {
        0 => String::new(),
        1 => "; 1 other part of the account missing".into(),
        _ => format!("; {} other parts of the account missing", units::count(count)),
    }
}

/// The SHA-256 of an earlier certificate.
fn previous(path: &Path) -> Result<Digest, CommandError> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_CERTIFICATE_BYTES).read_to_end(&mut bytes));
    read.map_err(|source| CommandError::file("read", path, source))?;
    let found: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    match found.is_some_and(|found| found.get("certificate").and_then(serde_json::Value::as_str) == Some(KIND)) {
        true => Ok(sha256(&bytes)),
        false => Err(CommandError::usage(
            format!("{} is no certificate of coverage", units::printable(&path.to_string_lossy())),
            "give the file that an earlier `tgvault coverage --certificate FILE` wrote",
        )),
    }
}

/// Writes the certificate and its signature. Neither may be there already.
fn write(path: &Path, signed: &Signed, output: &Output) -> Result<(), CommandError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    let beside = PathBuf::from(name);
    let mut signature = sheet::create(&beside)?;
    let mut file = sheet::create(path).inspect_err(|_| {
        // It is empty, and ours.
        let _ = fs::remove_file(&beside);
    })?;
    sheet::write_all(&mut signature, &beside, signed.signature.as_bytes())?;
    sheet::write_all(&mut file, path, signed.text.as_bytes())?;
    let key = signed.key.as_str();
    if output.is_json() {
        output.json(&CertificateLine { message_type: "certificate", file: path, key, sha256: signed.sha256.to_string() })?;
    }
    output.say(&format!("certificate: {}; check it with `minisign -Vm FILE -P {key}`", path.display()));
    Ok(())
}

fn name(chat: &ChatCoverage) -> Option<&str> {
    let info = chat.info.as_ref()?;
    info.full_name.as_deref().or(info.name.as_deref())
}

fn title(chat: &ChatCoverage) -> &str {
    chat.info.as_ref().and_then(ChatInfo::title).unwrap_or_default()
}

/// How many messages are held, where they were accounted for.
fn held(chat: &ChatCoverage) -> String {
    chat.coverage.as_ref().map_or_else(|| "?".to_owned(), |_| units::count(chat.messages()))
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Complete => "complete",
        Verdict::Incomplete(_) => "incomplete",
        Verdict::Unknown => "unknown",
    }
}

fn print(chat: &ChatCoverage, output: &Output) -> Result<(), CommandError> {
    let verdict = chat.verdict();
    let reasons = match &verdict {
        Verdict::Incomplete(reasons) => reasons.as_slice(),
        _ => &[],
    };
    output.json(&Line {
        message_type: "chat_coverage",
        chat: chat.peer.to_string(),
        name: name(chat),
        verdict: word(&verdict),
        because: reasons.iter().map(Reason::to_string).collect(),
        reasons,
        messages: chat.messages(),
        details: chat.coverage.as_ref(),
    })
}
