//! `tgvault backup telegram`: save a Telegram account.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::common::{Common, Finished, back_up, conclude_with};
use crate::commands::chats;
use crate::commands::context::{Context, Keys};
use crate::commands::coverage;
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::span::{Moment, check_order, parse_moment};
use crate::commands::telegram::apart;
use crate::commands::telegram::connection::Connection;
use crate::commands::telegram::observer::Teller;
use crate::commands::telegram::words;
use crate::commands::units;
use crate::model::kinds::KindChoice;
use crate::operations::OperationError;
use crate::operations::backup::{BackupOptions, BackupSummary};
use crate::operations::status::ledger::Coverage;
use crate::repository;
use crate::source::telegram::{
    ChatClass, CoverageCounts, Detail, ExportOptions, LARGEST_FILE_BYTES, ListingDetail, Outcome, TakeoutUse, TelegramSource,
};

const EXAMPLES: &str = "\
Examples:
  tgvault backup telegram                      # the whole account
  tgvault backup telegram --chats personal,private-groups --max-file-size 100M
  tgvault backup telegram --chat @durov --chat Family --media photos
  tgvault backup telegram --from 2025-01-01 --till 2025-12-31";

/// Archives that are built at a time unless told otherwise: two keep up with any line to Telegram, and each takes its memory.
const MOST_LANES: usize = 2;

/// Options of `backup telegram`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    /// Only these types: personal, bots, private-groups, public-groups, private-channels, public-channels
    #[arg(help_heading = "Chats", long, value_name = "TYPES", value_delimiter = ',', value_parser = words::chat_class)]
    pub chats: Vec<ChatClass>,

    /// Only this chat, by name, @username, ID or link; may be repeated
    #[arg(help_heading = "Chats", long, value_name = "CHAT", allow_negative_numbers = true)]
    pub chat: Vec<String>,

    /// Skip this chat; may be repeated
    #[arg(help_heading = "Chats", long, value_name = "CHAT", allow_negative_numbers = true)]
    pub exclude_chat: Vec<String>,

    /// Only chats in this Telegram folder; may be repeated
    #[arg(help_heading = "Chats", long, value_name = "FOLDER")]
    pub folder: Vec<String>,

    /// From groups and channels, only messages you sent
    #[arg(help_heading = "Messages", long)]
    pub only_my_messages: bool,

    /// Only these kinds: photos, videos, voice-messages, video-messages, stickers, gifs, files, music, any, none
    #[arg(help_heading = "Media", long, value_name = "KINDS", value_delimiter = ',')]
    pub media: Vec<KindChoice>,

    /// Skip files larger than this, such as 100M
    #[arg(help_heading = "Media", long, value_name = "SIZE", value_parser = units::parse_size)]
    pub max_file_size: Option<u64>,

    /// Only messages sent on or after this day or time, such as 2025-01-31
    #[arg(help_heading = "Messages", long, value_name = "TIME", value_parser = parse_moment)]
    pub from: Option<Moment>,

    /// Only messages sent up to the end of this day, or up to this time
    #[arg(help_heading = "Messages", long, value_name = "TIME", value_parser = parse_moment)]
    pub till: Option<Moment>,

    /// Skip contacts, sessions, stories and other account data
    #[arg(help_heading = "Account", long)]
    pub no_account_data: bool,

    /// What else to save: usual, all, none, or some of: about, members, pictures, stories, …
    ///
    /// about, members, pictures, stories, scheduled, drafts, music, gifts, quick-replies, reactions, votes, admin-log; `usual` is all but
    /// the last three.
    #[arg(help_heading = "Account", long, value_name = "DETAILS", value_delimiter = ',', value_parser = words::detail)]
    pub details: Vec<Detail>,

    /// Skip groups and channels that you have left
    #[arg(help_heading = "Chats", long)]
    pub no_left_chats: bool,

    /// Use a takeout (Telegram's data export): always, auto or never
    ///
    /// A takeout has higher rate limits. Telegram notifies your devices about it.
    #[arg(help_heading = "Takeout", long, value_name = "WHEN", value_parser = words::takeout)]
    pub takeout: Option<TakeoutUse>,

    /// Wait up to a day for the takeout instead of exiting with code 14
    #[arg(help_heading = "Takeout", long)]
    pub wait: bool,

    /// Show how large each selected chat is, and stop
    #[arg(long)]
    pub estimate: bool,

    /// Check for edits and deletions this far back, such as 30d; 0 turns this off
    #[arg(help_heading = "Messages", long, value_name = "SPAN", value_parser = units::parse_span)]
    pub recheck: Option<Duration>,

    /// Requests per run for rereading old messages, mainly for new reactions
    #[arg(help_heading = "Messages", hide_short_help = true, long, value_name = "NUMBER")]
    pub recheck_budget: Option<u32>,

    /// Which account.
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Serialize)]
struct CoverageLine {
    message_type: &'static str,
    complete: u64,
    incomplete: u64,
    unknown: u64,
    messages: u64,
    files_missing: u64,
    files_left_out: u64,
    parts_missing: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chats_waiting: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    takeout_at: Option<Timestamp>,
    requests: u64,
}

/// Backs up an account.
///
/// # Errors
/// When vault, account, state or store cannot be used, Telegram wants a login or a long wait, or the run is interrupted.
pub async fn run(args: &Args, common: &Common, context: &Arc<Context>) -> Result<Finished, CommandError> {
    let export = export_options(args, common, context)?;
    if args.estimate {
        return estimate(args, export, context).await.map(Finished::nothing);
    }
    let session = context.session(Keys::IfGiven).await?;
    let vault = repository::find(&session.storage).await?;
    let options = options(args, &export, common, context)?;
    let teller = Arc::new(Teller::new(&context.output));
    let (connection, shared, told) = (args.connection.clone(), context.clone(), teller.clone());
    let source = apart(move || {
        let account = connection.open(&shared, told)?;
        Ok::<_, CommandError>(Arc::new(TelegramSource::new(account, export, &vault.to_string())?))
    })
    .await?;
    let ended = back_up(context, session, source.clone(), options).await;
    teller.finish();
    conclude(ended, &source, common.dry_run, context)
}

/// Tells how a backup of an account ended, and what is known of its chats.
///
/// # Errors
/// That of the backup; when standard output cannot be written.
pub fn conclude(
    ended: Result<BackupSummary, CommandError>,
    source: &TelegramSource,
    dry_run: bool,
    context: &Context,
) -> Result<Finished, CommandError> {
    if let Err(CommandError::Operation(OperationError::Interrupted | OperationError::Source(_))) = &ended
        && !dry_run
    {
        tell_so_far(source, context)?;
    }
    let summary = ended?;
    if context.output.is_json() {
        tell_json(source, context)?;
    }
    let exit = conclude_with(&summary, dry_run, context, |exit| {
        if let Some(error) = source.state_error() {
            let text = format!("cannot save the progress of this backup on this machine; the next run repeats some of the work ({error})");
            context.output.warn(&text);
        }
        tell(source, exit, dry_run, context)
    })?;
    Ok(finished(exit, &summary, source))
}

/// What a backup of an account came to: how complete its chats are, and whether many messages are gone.
pub fn finished(exit: Exit, summary: &BackupSummary, source: &TelegramSource) -> Finished {
    let CoverageCounts { complete, incomplete, unknown, .. } = source.coverage();
    let deletions = Some(source.outcome().deletions).filter(|deletions| deletions.chats > 0);
    Finished { coverage: Some(Coverage { complete, incomplete, unknown }), deletions, ..Finished::of(exit, summary) }
}

/// How the backup is made.
///
/// # Errors
/// When this machine has no name.
pub fn options(args: &Args, export: &ExportOptions, common: &Common, context: &Context) -> Result<BackupOptions, CommandError> {
    let mut options = common.options(context, given(args, export))?;
    if common.lanes.is_none() {
        options.lanes = options.lanes.min(MOST_LANES);
    }
    Ok(options)
}

/// Says how much there is in the chosen chats. Nothing is stored, and no vault is needed.
async fn estimate(args: &Args, export: ExportOptions, context: &Arc<Context>) -> Result<Exit, CommandError> {
    let (connection, shared) = (args.connection.clone(), context.clone());
    let chats = apart(move || {
        let account = connection.open(&shared, Arc::new(Teller::of_waits(&shared.output)))?;
        Ok::<_, CommandError>(account.chosen_chats(ListingDetail::Estimate, &export)?)
    })
    .await?;
    chats::show(&chats, ListingDetail::Estimate, &context.output)?;
    Ok(Exit::Done)
}

fn tell_json(source: &TelegramSource, context: &Context) -> Result<(), CommandError> {
    let outcome = source.outcome();
    let CoverageCounts { complete, incomplete, unknown, messages, files_missing, files_left_out, parts_missing } = source.coverage();
    context.output.json(&CoverageLine {
        message_type: "coverage",
        complete,
        incomplete,
        unknown,
        messages,
        files_missing,
        files_left_out,
        parts_missing,
        chats_waiting: outcome.takeout_delayed.map(|(chats, _)| chats),
        takeout_at: outcome.takeout_delayed.map(|(_, seconds)| later(seconds)),
        requests: source.requests(),
    })
}

/// The line for a run that came to no end: what is stored for good, of the chats that were reached.
fn tell_so_far(source: &TelegramSource, context: &Context) -> Result<(), CommandError> {
    if context.output.is_json() {
        return tell_json(source, context);
    }
    context.output.line(&format!("{}; the run did not finish", coverage_line(&source.coverage())))
}

/// The line that every backup of an account ends with, and what has to wait.
fn tell(source: &TelegramSource, exit: Exit, dry_run: bool, context: &Context) -> Result<Exit, CommandError> {
    let (outcome, counts, output) = (source.outcome(), source.coverage(), &context.output);
    if !output.is_json() && !dry_run {
        output.summary(&coverage_line(&counts))?;
    }
    for text in &outcome.not_excluded {
        output.warn(&format!("--exclude-chat '{}' matches no chat (see `tgvault chats`)", units::printable(text)));
    }
    if let Some((chats, seconds)) = outcome.takeout_delayed {
        let at = later(seconds);
        output.warn(&format!(
            "{} need a takeout, which Telegram allows from {}; run the same command again then, or confirm the export in Telegram on another \
             device and run it now (--takeout never skips the takeout)",
            units::counted(chats, "new chat"),
            units::time(at)
        ));
        return Ok(Exit::TryLater);
    }
    let Outcome { chats_failed, files_failed, lists_failed, .. } = outcome;
    if chats_failed + files_failed + lists_failed > 0 && exit == Exit::Done {
        let failed = [(chats_failed, "chat"), (files_failed, "file"), (lists_failed, "list")].into_iter().filter(|(count, _)| *count > 0);
        let failed: Vec<String> = failed.map(|(count, what)| units::counted(count, what)).collect();
        output.warn(&format!("{} could not be read; see `tgvault coverage` for the reasons; the next run retries", failed.join(", ")));
        return Ok(Exit::Incomplete);
    }
    Ok(exit)
}

fn coverage_line(counts: &CoverageCounts) -> String {
    let mut line = format!(
        "coverage: {}; {}",
        coverage::sentence(counts.complete, counts.incomplete, counts.unknown),
        units::counted(counts.messages, "message")
    );
    if counts.files_missing > 0 {
        line += &format!("; {} missing", units::counted(counts.files_missing, "file"));
    }
    if counts.files_left_out > 0 {
        line += &format!("; {} skipped by --media or --max-file-size", units::counted(counts.files_left_out, "file"));
    }
    line + &coverage::parts_missing(counts.parts_missing)
}

/// Now and so many seconds.
fn later(seconds: u64) -> Timestamp {
    let now = Timestamp::now();
    now.checked_add(Duration::from_secs(seconds)).unwrap_or(now)
}

/// What is exported: the options, and what the profile says where there are none.
///
/// # Errors
/// When they make no sense together.
pub fn export_options(args: &Args, common: &Common, context: &Context) -> Result<ExportOptions, CommandError> {
    let profile = &context.settings.telegram;
    let usual = ExportOptions::default();
    let list = |typed: &[String], profile: &Option<Vec<String>>| {
        if typed.is_empty() { profile.clone().unwrap_or_default() } else { typed.to_vec() }
    };
    let recheck = match (args.recheck, &profile.recheck) {
        (Some(span), _) => span,
        (None, Some(text)) => units::parse_span(text)
            .map_err(|what| CommandError::usage(format!("recheck in the profile: {what}"), "use a form such as 30d"))?,
        (None, None) => usual.recheck,
    };
    check_order(args.from, args.till)?;
    Ok(ExportOptions {
        classes: if args.chats.is_empty() { profile.chats.clone().unwrap_or(usual.classes) } else { args.chats.clone() },
        chats: args.chat.clone(),
        exclude_chats: list(&args.exclude_chat, &profile.exclude_chat),
        // Single chats are meant as they are named, whatever folder the profile has.
        folders: if args.chat.is_empty() { list(&args.folder, &profile.folder) } else { args.folder.clone() },
        only_my_messages: args.only_my_messages || profile.only_my_messages.unwrap_or(false),
        media: match &profile.media {
            _ if !args.media.is_empty() => args.media.clone(),
            // A list of kinds that names none.
            Some(kinds) if kinds.is_empty() => vec![KindChoice::None],
            kinds => kinds.clone().unwrap_or_default(),
        },
        max_file_size: args.max_file_size.or(profile.max_file_size.map(|size| size.0)).unwrap_or(LARGEST_FILE_BYTES),
        from: args.from.map(|from| from.first),
        till: args.till.map(|till| till.last.saturating_add(1)),
        left: !args.no_left_chats,
        account: !args.no_account_data,
        details: match &profile.details {
            _ if !args.details.is_empty() => args.details.clone(),
            // A list that names none.
            Some(details) if details.is_empty() => vec![Detail::None],
            details => details.clone().unwrap_or_default(),
        },
        // A dry run must not alarm the account's devices.
        takeout: if common.dry_run { TakeoutUse::Never } else { args.takeout.or(profile.takeout).unwrap_or_default() },
        wait_for_takeout: args.wait,
        recheck,
        recheck_budget: args.recheck_budget.or(profile.recheck_budget).unwrap_or(usual.recheck_budget),
        dry_run: common.dry_run,
        prefetch_bytes: usual.prefetch_bytes,
    })
}

/// The options that decide what the snapshot holds, for its record.
fn given(args: &Args, export: &ExportOptions) -> Vec<String> {
    let words = |value: serde_json::Result<serde_json::Value>| -> String {
        let list = value.ok().and_then(|value| value.as_array().cloned()).unwrap_or_default();
        list.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join(",")
    };
    let mut given = Vec::new();
    if export.classes != ChatClass::ALL {
        given.push(format!("--chats={}", words(serde_json::to_value(&export.classes))));
    }
    given.extend(export.chats.iter().map(|chat| format!("--chat={chat}")));
    given.extend(export.exclude_chats.iter().map(|chat| format!("--exclude-chat={chat}")));
    given.extend(export.folders.iter().map(|folder| format!("--folder={folder}")));
    if !export.media.is_empty() {
        given.push(format!("--media={}", words(serde_json::to_value(&export.media))));
    }
    if !export.details.is_empty() {
        given.push(format!("--details={}", words(serde_json::to_value(&export.details))));
    }
    if export.max_file_size < LARGEST_FILE_BYTES {
        given.push(format!("--max-file-size={}", export.max_file_size));
    }
    let time = |seconds: i64| Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string());
    given.extend(args.from.map(|from| format!("--from={}", time(from.first))));
    given.extend(args.till.map(|till| format!("--till={}", time(till.last.saturating_add(1)))));
    let flags =
        [("--only-my-messages", export.only_my_messages), ("--no-account-data", !export.account), ("--no-left-chats", !export.left)];
    given.extend(flags.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| (*name).to_owned()));
    given
}
