//! `tgvault save`: forward messages into Saved Messages.

use std::sync::Arc;

use serde::Serialize;

use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use super::telegram::apart;
use super::telegram::connection::Connection;
use super::telegram::observer::Teller;
use super::units;

const EXAMPLES: &str = "\
Examples:
  tgvault save 'Anna Holm' 4711
  tgvault save @hikers 120-135 140
  tgvault backup telegram --chat saved    # then store Saved Messages in the vault";

/// Messages of one command at most: more is a case for a backup.
const MOST: usize = 10_000;

/// Options of `save`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The chat, by name, @username, ID or link
    #[arg(allow_hyphen_values = true)]
    pub chat: String,

    /// IDs of messages, or ranges such as 120-135
    #[arg(value_name = "IDS", required = true, value_parser = parse_ids)]
    pub ids: Vec<Span>,

    /// Which account.
    #[command(flatten)]
    pub connection: Connection,
}

/// Ids of messages from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    first: i32,
    last: i32,
}

fn parse_ids(text: &str) -> Result<Span, String> {
    let number = |text: &str| text.trim_start_matches('#').parse::<i32>().ok().filter(|id| *id > 0);
    // The end of a link to a message.
    let text = text.rsplit_once('/').map_or(text, |(_, id)| id);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(Span { first, last }),
        _ => Err("a message ID is a number such as 4711, and a range 120-135".to_owned()),
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    messages: u64,
    with_albums: u64,
    missing: &'a [i32],
    refused: &'a [i32],
}

/// Forwards the messages.
///
/// # Errors
/// When the account cannot be opened, the chat is not one of its chats or does not allow it, or Telegram cannot be asked.
pub async fn run(args: &Args, context: &Arc<Context>) -> Result<Exit, CommandError> {
    let ids = ids(&args.ids)?;
    let (connection, shared, chat) = (args.connection.clone(), context.clone(), args.chat.clone());
    let forwarded = apart(move || {
        let account = connection.open(&shared, Arc::new(Teller::of_waits(&shared.output)))?;
        Ok::<_, CommandError>(account.forward_to_saved(&chat, &ids)?)
    })
    .await?;
    let output = &context.output;
    for (ids, why) in [(&forwarded.missing, "not in this chat"), (&forwarded.refused, "cannot be forwarded")] {
        if !ids.is_empty() {
            output.warn(&format!("{why}: {}", listed(ids)));
        }
    }
    if output.is_json() {
        let (messages, with_albums) = (forwarded.messages, forwarded.with_albums);
        let (missing, refused) = (&forwarded.missing, &forwarded.refused);
        output.json(&Summary { message_type: "summary", command: "save", messages, with_albums, missing, refused })?;
    } else {
        let mut text = format!("forwarded {} to Saved Messages", units::counted(forwarded.messages, "message"));
        if forwarded.with_albums > 0 {
            text += &format!(", {} of them to keep albums whole", units::count(forwarded.with_albums));
        }
        output.summary(&text)?;
    }
    Ok(if forwarded.missing.is_empty() && forwarded.refused.is_empty() { Exit::Done } else { Exit::Incomplete })
}

/// The ids of some spans, each once and in order.
fn ids(spans: &[Span]) -> Result<Vec<i32>, CommandError> {
    let mut ids = Vec::new();
    for Span { first, last } in spans {
        ids.extend((*first..=*last).take(MOST + 1));
        if ids.len() > MOST {
            let hint = "name fewer of them, or save the chat with `tgvault backup telegram --chat`";
            return Err(CommandError::usage(format!("more than {} messages", units::count(MOST as u64)), hint));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The first of some ids, and how many more there are.
fn listed(ids: &[i32]) -> String {
    const SHOWN: usize = 10;
    let mut text = ids.iter().take(SHOWN).map(|id| format!("#{id}")).collect::<Vec<_>>().join(", ");
    if ids.len() > SHOWN {
        text += &format!(" and {} more", units::count((ids.len() - SHOWN) as u64));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbers_ranges_and_the_ends_of_links() {
        let span = |first, last| Ok(Span { first, last });
        assert_eq!(parse_ids("4711"), span(4711, 4711));
        assert_eq!(parse_ids("#4711"), span(4711, 4711));
        assert_eq!(parse_ids("120-135"), span(120, 135));
        assert_eq!(parse_ids("https://t.me/c/1234/55"), span(55, 55));
        for wrong in ["", "0", "-5", "9-3", "x", "1-", "99999999999"] {
            assert!(parse_ids(wrong).is_err(), "{wrong}");
        }
        let spans = ["3-5", "4", "1"].map(|text| parse_ids(text).unwrap());
        assert_eq!(ids(&spans).unwrap(), [1, 3, 4, 5]);
        assert!(ids(&[Span { first: 1, last: i32::MAX }]).is_err());
    }
}
