//! `tgvault backup desktop-export`: take an export of Telegram Desktop in.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::common::{Common, Finished, back_up, conclude, own_folders};
use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::units;
use crate::model::account::DEFAULT_ACCOUNT;
use crate::model::paths::RunId;
use crate::model::peer::Peer;
use crate::operations::{Session, imports};
use crate::source::desktop::import::{DesktopExport, ImportOptions, told};
use crate::source::folder::FolderOptions;

/// What can be typed, for the help.
const EXAMPLES: &str = "\
Examples:
  tgvault backup desktop-export ~/Downloads/DataExport_2021-05-04
  tgvault backup desktop-export ~/ChatExport_2019-03-01 --account work
  tgvault backup desktop-export ~/old              # all exports in this folder
  tgvault backup desktop-export ~/pages --chat user123456789   # HTML, one chat
  tgvault restore latest --as original --to ~/restored   # the same folder back";

/// Options of `backup desktop-export`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The export: the folder that contains result.json, messages.html or export_results.html
    ///
    /// Several exports are imported one after the other, and so are all exports in a folder that is none itself.
    #[arg(value_name = "PATH", required = true, num_args = 1..)]
    pub paths: Vec<PathBuf>,

    /// Import into this account [default: main]
    ///
    /// All exports and live backups of an account form one history.
    #[arg(long, value_name = "NAME", env = "TGVAULT_ACCOUNT", value_parser = parse_account)]
    pub account: Option<String>,

    /// When the export was made, if its folder name and files are wrong
    #[arg(long, value_name = "DATE", value_parser = parse_made)]
    pub made: Option<Made>,

    /// Time zone of the computer that made the export, for exports before 2021 (which hold local times only)
    ///
    /// Defaults to the time zone of this machine.
    #[arg(long, value_name = "ZONE", value_parser = parse_zone)]
    pub time_zone: Option<TimeZone>,

    /// For an HTML export of a single chat: the chat it belongs to, such as user123, chat123 or channel123
    #[arg(long, value_name = "PEER", value_parser = parse_peer)]
    pub chat: Option<Peer>,
}

/// When an export was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// On this day; its end counts.
    Day(Date),
    /// At this moment.
    At(jiff::Timestamp),
}

pub(super) fn parse_account(text: &str) -> Result<String, String> {
    let is_sound = (1..=64).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c == '/');
    if is_sound { Ok(text.to_owned()) } else { Err("use 1 to 64 bytes, without slashes or control characters".into()) }
}

fn parse_made(text: &str) -> Result<Made, String> {
    if let Ok(at) = text.parse() {
        return Ok(Made::At(at));
    }
    text.parse().map(Made::Day).map_err(|_| "use a form such as 2021-05-04 or 2021-05-04T12:30:00Z".into())
}

pub(in crate::commands) fn parse_zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text).map_err(|error| format!("{error}; use a name such as Europe/Lisbon or UTC"))
}

fn parse_peer(text: &str) -> Result<Peer, String> {
    text.parse().map_err(|error: crate::model::peer::PeerError| error.to_string())
}

impl Args {
    /// An export that was named without any options of its own but the account.
    pub(super) fn plain(path: &Path, account: Option<String>) -> Self {
        Self { paths: vec![path.to_owned()], account, made: None, time_zone: None, chat: None }
    }

    /// The account whose chats these are: the option or its variable, then the profile.
    pub(super) fn account<'a>(&'a self, context: &'a Context) -> &'a str {
        let named = self.account.as_ref().or(context.settings.telegram.account.as_ref());
        named.map_or(DEFAULT_ACCOUNT, String::as_str)
    }

    /// The options that decide what the snapshot holds, for its record.
    fn given(&self) -> Vec<String> {
        let zone = self.time_zone.as_ref().and_then(TimeZone::iana_name);
        let made = self.made.map(|made| match made {
            Made::Day(day) => day.to_string(),
            Made::At(at) => at.to_string(),
        });
        let options = [("made", made), ("time-zone", zone.map(str::to_owned)), ("chat", self.chat.map(|chat| chat.to_string()))];
        options.into_iter().filter_map(|(name, value)| Some(format!("--{name}={}", value?))).collect()
    }

    fn import_options(&self) -> Result<ImportOptions, CommandError> {
        let zone = self.time_zone.clone().unwrap_or_else(TimeZone::system);
        let made = match self.made {
            None => None,
            Some(Made::At(at)) => Some(at.as_second()),
            Some(Made::Day(day)) => {
                let end = day.at(23, 59, 59, 0).to_zoned(zone.clone());
                Some(
                    end.map_err(|_| CommandError::usage("--made is not a valid day in that time zone", "use a form such as 2021-05-04"))?
                        .timestamp()
                        .as_second(),
                )
            }
        };
        Ok(ImportOptions { zone, run: run_id()?, made })
    }
}

/// Names a run so that later ones sort after earlier ones, those of the same second too.
fn run_id() -> Result<RunId, CommandError> {
    let mut random = [0; 4];
    let failed = |source| CommandError::System { what: "the system gives no random number", source };
    getrandom::fill(&mut random).map_err(|error| failed(std::io::Error::other(error)))?;
    let time = jiff::Timestamp::now();
    let id = format!("{}{:06}Z-{:08x}", time.strftime("%Y%m%dT%H%M%S"), time.subsec_microsecond(), u32::from_le_bytes(random));
    id.parse().map_err(|error| failed(std::io::Error::other(error)))
}

/// Takes an export in.
///
/// # Errors
/// When there is no export in the folder, it is of another account, or vault, state or store cannot be used, or the run is
/// interrupted.
pub async fn run(args: &Args, common: &Common, context: &Context) -> Result<Finished, CommandError> {
    let mut exports = Vec::new();
    for path in &args.paths {
        exports.extend(exports_at(path));
    }
    let mut all = Finished::nothing(Exit::Done);
    for (number, path) in (1..).zip(&exports) {
        if exports.len() > 1 {
            context.output.say(&format!("export {number} of {}: '{}'", exports.len(), units::printable(&path.to_string_lossy())));
        }
        let session = context.session(Keys::IfGiven).await?;
        let never = own_folders(context, &session.storage)?;
        let one = Args { paths: vec![path.clone()], ..args.clone() };
        let finished = take_in(&one, common, context, session, never).await?;
        let exit = if finished.exit == Exit::Done { all.exit } else { finished.exit };
        all = Finished { exit, ..finished };
    }
    Ok(all)
}

/// The exports that are meant by a path: itself, or those in it where it is none and holds some, in the order of their names, which begin
/// with the day.
fn exports_at(path: &Path) -> Vec<PathBuf> {
    let itself = vec![path.to_owned()];
    if !path.is_dir() || is_export(path) {
        return itself;
    }
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = inside.filter(|inside| inside.is_dir() && is_export(inside)).collect();
    // The chats of one export lie in a folder of it.
    if found.is_empty() || path.file_name().is_some_and(|name| name == "chats") {
        return itself;
    }
    let day = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        (name.split_once('_').map(|(_, day)| day.to_owned()), name)
    };
    found.sort_by_key(day);
    found
}

/// As [`run`], with the vault opened.
pub(super) async fn take_in(
    args: &Args,
    common: &Common,
    context: &Context,
    session: Session,
    never: Vec<(u64, u64)>,
) -> Result<Finished, CommandError> {
    let account = args.account(context);
    let known = imports::remembered(&session, account).await?;
    let folder = FolderOptions { never, ..FolderOptions::default() };
    let Some(named) = args.paths.first() else { return Err(CommandError::usage("no export was given", "give its folder")) };
    let path = folder_of(named)?;
    if path != *named {
        context.output.say(&format!("importing the whole folder '{}'", path.display()));
    }
    let source = DesktopExport::open_with(&path, folder, args.import_options()?, Arc::clone(&known))?;
    let source = source.of_account(account).of_chat(args.chat);
    let options = common.options(context, args.given())?;
    let summary = back_up(context, session, Arc::new(source), options).await?;
    if let Some(error) = known.failure() {
        context.output.warn(&format!("cannot save the list of imported messages, so the next import stores some of them again: {error}"));
    }
    Ok(Finished::of(conclude(&summary, common.dry_run, context)?, &summary))
}

/// The folder with the export, where one of its files is named.
///
/// # Errors
/// When a file is named that is not one of those by which an export is known.
fn folder_of(path: &Path) -> Result<PathBuf, CommandError> {
    if !path.is_file() {
        return Ok(path.to_owned());
    }
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    if ["result.json", "messages.html", "export_results.html"].contains(&name.as_str()) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        return Ok(folder.unwrap_or(Path::new(".")).to_owned());
    }
    Err(CommandError::usage(
        format!("'{}' is a file, but an export is a folder", units::printable(&path.to_string_lossy())),
        "give the folder that contains result.json, messages.html or export_results.html; unpack an archive first",
    ))
}

/// Whether the folder at `path` holds an export; no for what cannot be looked at, which other errors tell better.
pub fn is_export(path: &Path) -> bool {
    told::is_export(path).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_moments_are_taken_as_people_type_them() {
        assert_eq!(parse_made("2021-05-04"), Ok(Made::Day(jiff::civil::date(2021, 5, 4))));
        assert!(matches!(parse_made("2021-05-04T12:30:00Z"), Ok(Made::At(_))));
        assert!(matches!(parse_made("2021-05-04T12:30:00+02:00"), Ok(Made::At(_))));
        assert!(parse_made("yesterday").is_err());
        assert!(parse_account("").is_err() && parse_account("a/b").is_err());
        assert_eq!(parse_account("Работа"), Ok("Работа".into()));
    }

    #[test]
    fn later_runs_sort_behind_earlier_ones() {
        let first = run_id().unwrap();
        assert!(run_id().unwrap().as_str().get(..22) >= first.as_str().get(..22));
    }
}
