//! `tgvault chats`: what there is in an account.

use std::sync::Arc;

use serde::Serialize;

use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;
use super::telegram::apart;
use super::telegram::connection::Connection;
use super::telegram::observer::Teller;
use super::units;
use crate::model::chat::{ChatType, DELETED_ACCOUNT};
use crate::source::telegram::{ChatSummary, ListingDetail};

const EXAMPLES: &str = "\
Examples:
  tgvault chats
  tgvault chats --estimate       # messages, files and bytes a backup would fetch
  tgvault chats --quick --json";

/// Options of `chats`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Also count files and estimate their size (a few requests per chat)
    #[arg(long, conflicts_with = "quick")]
    pub estimate: bool,

    /// Skip the message counts
    #[arg(long)]
    pub quick: bool,

    /// Which account.
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    chat: String,
    #[serde(rename = "type")]
    kind: Option<&'static str>,
    name: Option<&'a str>,
    username: Option<&'a str>,
    archived: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    photos: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    videos: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_estimated: Option<u64>,
}

/// Lists the chats.
///
/// # Errors
/// When the account cannot be opened or the list not be read.
pub async fn run(args: &Args, context: &Arc<Context>) -> Result<Exit, CommandError> {
    let detail = match (args.estimate, args.quick) {
        (true, _) => ListingDetail::Estimate,
        (false, true) => ListingDetail::Names,
        (false, false) => ListingDetail::Messages,
    };
    let (connection, shared) = (args.connection.clone(), context.clone());
    let chats = apart(move || {
        let account = connection.open(&shared, Arc::new(Teller::of_waits(&shared.output)))?;
        Ok::<_, CommandError>(account.chats(detail)?)
    })
    .await?;
    show(&chats, detail, &context.output)?;
    Ok(Exit::Done)
}

/// Shows chats and how much there is in them.
///
/// # Errors
/// When standard output fails.
pub fn show(chats: &[ChatSummary], detail: ListingDetail, output: &Output) -> Result<(), CommandError> {
    if output.is_json() {
        for chat in chats {
            output.json(&line(chat, detail))?;
        }
        return Ok(());
    }
    output.text(&table(chats, detail))?;
    output.say(&total(chats, detail));
    Ok(())
}

fn line(chat: &ChatSummary, detail: ListingDetail) -> Line<'_> {
    let size = chat.size;
    let media = size.filter(|_| detail == ListingDetail::Estimate);
    Line {
        message_type: "chat",
        chat: chat.peer.to_string(),
        kind: chat.kind.map(|kind| kind.key()),
        name: chat.name.as_deref(),
        username: chat.username.as_deref(),
        archived: chat.archived,
        messages: size.map(|size| size.messages),
        photos: media.map(|size| size.photos),
        videos: media.map(|size| size.videos),
        audio: media.map(|size| size.audio),
        files: media.map(|size| size.files),
        bytes_estimated: media.and_then(|size| size.bytes),
    }
}

fn table(chats: &[ChatSummary], detail: ListingDetail) -> String {
    let mut rows = vec![["ID", "TYPE", "MESSAGES", "FILES", "ABOUT", "NAME"].map(str::to_owned)];
    let unknown = || "?".to_owned();
    rows.extend(chats.iter().map(|chat| {
        let name = chat.name.as_deref().unwrap_or_else(|| chat.kind.map_or(DELETED_ACCOUNT, ChatType::stand_in));
        let username = chat.username.as_ref().map_or_else(String::new, |username| format!(" @{username}"));
        [
            chat.peer.to_string(),
            chat.kind.map_or("?", |kind| kind.key()).replace('_', "-"),
            chat.size.map_or_else(unknown, |size| units::count(size.messages)),
            chat.size.map_or_else(unknown, |size| units::count(size.with_files())),
            chat.size.and_then(|size| size.bytes).map_or_else(unknown, units::bytes),
            format!("{}{}", units::printable(name), units::printable(&username)),
        ]
    }));
    match detail {
        ListingDetail::Estimate => units::columns(&rows, &[2, 3, 4]),
        ListingDetail::Messages => {
            let rows: Vec<[String; 4]> = rows.into_iter().map(|[id, kind, messages, _, _, name]| [id, kind, messages, name]).collect();
            units::columns(&rows, &[2])
        }
        ListingDetail::Names => {
            let rows: Vec<[String; 3]> = rows.into_iter().map(|[id, kind, _, _, _, name]| [id, kind, name]).collect();
            units::columns(&rows, &[])
        }
    }
}

fn total(chats: &[ChatSummary], detail: ListingDetail) -> String {
    let sizes = || chats.iter().filter_map(|chat| chat.size);
    let mut text = units::counted(chats.len() as u64, "chat");
    if detail != ListingDetail::Names {
        text += &format!(", {}", units::counted(sizes().map(|size| size.messages).sum(), "message"));
    }
    if detail == ListingDetail::Estimate {
        let files = sizes().map(|size| size.with_files()).sum();
        let bytes = sizes().filter_map(|size| size.bytes).sum();
        text += &format!(", {} with about {}", units::counted(files, "file"), units::bytes(bytes));
    }
    text
}
