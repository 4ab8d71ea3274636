//! The command line as it is typed: options for all commands, and the commands.
//!
//! Each command's own options stand in its file. Every option that says how things are, as opposed to what one run does, has an
//! environment variable: `TGVAULT_` and its long name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::exit::MEANINGS;
use super::{
    accounts, backup, cat, chats, completions, config, coverage, demo, diff, find, init, login, logout, ls, man, restore, search,
    snapshots, stats, units, verify,
};
use crate::model::entry::{EntryPath, PathError};
use crate::operations::choice::{Selection, SnapshotChoice};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const EXAMPLES: &str = "\
Examples:
  tgvault demo                                      try it on sample data, in a new folder
  tgvault --repo /mnt/disk/vault init               make a vault
  tgvault login                                     log in to Telegram, then:
  tgvault --repo /mnt/disk/vault backup telegram    save the account
  tgvault --repo /mnt/disk/vault backup ~/export    save a folder, a Telegram export say
  tgvault --repo /mnt/disk/vault restore latest --to ~/restored
  tgvault --repo s3://bucket/vault snapshots        or gs://…, az://… as the store";

/// Automatic, encrypted, verifiable backups of Telegram that belong to you alone.
#[derive(Debug, Parser)]
#[command(name = "tgvault", version, styles = STYLES, after_help = EXAMPLES, after_long_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = false, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// What all commands understand.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that all commands understand.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options for all commands")]
pub struct Global {
    /// Where the vault is: a folder, file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix
    #[arg(long, global = true, value_name = "URL", env = "TGVAULT_REPO", value_parser = NonEmptyStringValueParser::new())]
    pub repo: Option<String>,

    /// Unlock with the age identity in this file; `-` reads it from standard input
    #[arg(short = 'i', long, global = true, value_name = "FILE", env = "TGVAULT_IDENTITY")]
    pub identity: Option<PathBuf>,

    /// Unlock with the passphrase in the first line of this file
    #[arg(long, global = true, value_name = "FILE", env = "TGVAULT_PASSPHRASE_FILE")]
    pub passphrase_file: Option<PathBuf>,

    /// Unlock with the passphrase that this shell command prints as its first line
    #[arg(long, global = true, value_name = "COMMAND", env = "TGVAULT_PASSPHRASE_COMMAND")]
    pub passphrase_command: Option<OsString>,

    /// Unlock with the passphrase in the first line that this open file descriptor gives
    #[arg(long, global = true, value_name = "NUMBER", env = "TGVAULT_PASSPHRASE_FD")]
    pub passphrase_fd: Option<u32>,

    /// Look for the passphrase in the system keyring (service `tgvault`, user: the URL)
    #[arg(long, global = true, env = "TGVAULT_KEYRING", value_parser = FalseyValueParser::new())]
    pub keyring: bool,

    /// Believe only a vault that this root key from the recovery sheet has signed
    #[arg(long, global = true, value_name = "KEY", env = "TGVAULT_ROOT_KEY")]
    pub root_key: Option<String>,

    /// Read settings from this profile: ~/.config/tgvault/NAME.toml or /etc/tgvault/NAME.toml, or a path with a slash
    #[arg(short = 'P', long, global = true, value_name = "NAME", env = "TGVAULT_PROFILE")]
    pub profile: Option<String>,

    /// Keep this machine's own state (sealed) here instead of ~/.local/state/tgvault
    #[arg(long, global = true, value_name = "DIR", env = "TGVAULT_STATE_DIR")]
    pub state_dir: Option<PathBuf>,

    /// Send at most this many bytes a second, as in 500K or 10M
    #[arg(long, global = true, value_name = "RATE", env = "TGVAULT_LIMIT_UPLOAD", value_parser = units::parse_rate)]
    pub limit_upload: Option<u64>,

    /// Fetch at most this many bytes a second
    #[arg(long, global = true, value_name = "RATE", env = "TGVAULT_LIMIT_DOWNLOAD", value_parser = units::parse_rate)]
    pub limit_download: Option<u64>,

    /// Print JSON lines instead of text (docs/guide/json.md)
    #[arg(long, global = true, env = "TGVAULT_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,

    /// Print results, problems and errors only
    #[arg(short = 'q', long, global = true, env = "TGVAULT_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,

    /// Draw no progress bar
    #[arg(long, global = true, env = "TGVAULT_NO_PROGRESS", value_parser = FalseyValueParser::new())]
    pub no_progress: bool,

    /// Log more: -v what is done, -vv requests and retries, -vvv everything (also TGVAULT_LOG=debug, per module too)
    #[arg(short = 'v', long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Say at the end how long each stage took
    #[arg(long, global = true, hide = true, env = "TGVAULT_TIMINGS", value_parser = FalseyValueParser::new())]
    pub timings: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new vault and print its recovery sheet
    Init(init::Args),
    /// Log this machine in to a Telegram account
    Login(login::Args),
    /// End a login, at Telegram too
    Logout(logout::Args),
    /// List the Telegram accounts of this machine
    Accounts(accounts::Args),
    /// List the chats of a Telegram account
    Chats(chats::Args),
    /// Back up a Telegram account or a folder
    Backup(backup::Args),
    /// Restore a snapshot, or a part of it, into a folder
    Restore(restore::Args),
    /// Write one file of a snapshot, or the messages of a chat, to standard output
    Cat(cat::Args),
    /// Check that everything stored is there and unchanged
    Verify(verify::Args),
    /// Make a vault whose statements of trust are damaged usable again; overwrites and deletes nothing
    Repair,
    /// List the snapshots
    Snapshots(snapshots::Args),
    /// List what a snapshot holds
    Ls(ls::Args),
    /// Find files in snapshots by name
    Find(find::Args),
    /// Find messages by words
    Search(search::Args),
    /// Say what differs between two snapshots
    Diff(diff::Args),
    /// Say how complete the chats of a snapshot are
    Coverage(coverage::Args),
    /// Count what is stored
    Stats(stats::Args),
    /// Show the settings that hold, and where each comes from
    #[command(subcommand)]
    Config(config::Action),
    /// Try it: back up sample data into a new vault in a new folder
    Demo(demo::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Print the manual page, or write the pages of all commands into a folder
    Man(man::Args),
}

/// Which snapshot, of which machine and source.
#[derive(Clone, Debug, Args)]
pub struct Select {
    /// Only snapshots of this machine
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Only snapshots with this tag; several: with all of them
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Only snapshots of this source, as `snapshots` shows it: an absolute path, or an account as in telegram:main
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
}

impl Select {
    /// The selection as operations take it.
    pub fn selection(&self) -> Selection {
        Selection { host: self.host.clone(), tags: self.tags.clone(), source: self.source.clone() }
    }

    /// Whether anything is selected at all.
    pub fn narrows(&self) -> bool {
        self.host.is_some() || !self.tags.is_empty() || self.source.is_some()
    }

    /// One snapshot of the selection.
    pub fn choose(&self, wanted: &str) -> SnapshotChoice {
        SnapshotChoice { wanted: wanted.to_owned(), among: self.selection() }
    }
}

/// Reads the name of a snapshot: `latest`, or what [`parse_id`] takes.
///
/// # Errors
/// When it cannot be one.
pub fn parse_snapshot(text: &str) -> Result<String, String> {
    if text == "latest" {
        return Ok(text.to_owned());
    }
    parse_id(text).map_err(|_| {
        format!("'{}' is not a snapshot; it is `latest`, or the first digits of an id from `tgvault snapshots`", units::printable(text))
    })
}

/// Reads the first digits of a snapshot's id, or the whole name that `verify` prints.
///
/// # Errors
/// When it cannot be one.
pub fn parse_id(text: &str) -> Result<String, String> {
    let digits = text.rsplit_once('-').map_or(text, |(_, id)| id);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("'{}' is not the beginning of a snapshot's id", units::printable(text)));
    }
    // Ids are written small; the time before them has capitals.
    Ok(if text.contains('-') { text.to_owned() } else { text.to_ascii_lowercase() })
}

/// Which snapshot, and what of it.
#[derive(Debug, clap::Args)]
pub struct Part {
    /// `latest`, or the first digits of a snapshot's id
    #[arg(value_parser = parse_snapshot)]
    pub snapshot: String,

    /// Only what is at and below these paths of the snapshot
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    /// Which snapshots are meant.
    #[command(flatten)]
    pub select: Select,
}

impl Part {
    /// The snapshot that is meant.
    pub fn choice(&self) -> SnapshotChoice {
        self.select.choose(&self.snapshot)
    }

    /// The paths; all that there is when there are none.
    ///
    /// # Errors
    /// When one cannot be a path in a snapshot.
    pub fn paths(&self) -> Result<Vec<EntryPath>, PathError> {
        self.paths.iter().map(|path| entry_path(path)).collect()
    }
}

/// Reads a path in a snapshot as people type it: slashes at its ends, and `./` before it, say nothing.
///
/// # Errors
/// When nothing is left, or it has a `..`.
pub fn entry_path(text: &OsStr) -> Result<EntryPath, PathError> {
    let mut bytes = text.as_bytes();
    while let Some(rest) = bytes.strip_prefix(b"./").or_else(|| bytes.strip_prefix(b"/")) {
        bytes = rest;
    }
    while let Some(rest) = bytes.strip_suffix(b"/") {
        bytes = rest;
    }
    EntryPath::new(bytes)
}

/// The table of exit codes, for the long help.
pub fn exit_codes() -> String {
    let lines = MEANINGS.iter().map(|(exit, meaning)| format!("  {:>3}  {meaning}", exit.code()));
    format!("Exit codes:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// The parser, as completions and manual pages need it too.
pub fn parser() -> clap::Command {
    let long = format!("{EXAMPLES}\n\n{}", exit_codes());
    // Values of variables stay out of the help: some name places that are nobody's business in a screenshot.
    fn hide(command: clap::Command) -> clap::Command {
        command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(hide)
    }
    hide(Cli::command().after_long_help(long))
}

/// Reads the command line and the environment.
///
/// # Errors
/// Wrong usage, and the requests for help and version, which print themselves.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<(Cli, ArgMatches), clap::Error> {
    let mut parser = parser();
    let matches = parser.try_get_matches_from_mut(arguments)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut parser))?;
    Ok((cli, matches))
}

/// Whether a command line that cannot be read asks for JSON lines, as far as can be told; `variable` is `TGVAULT_JSON`.
pub fn wants_json(arguments: impl IntoIterator<Item = OsString>, variable: Option<OsString>) -> bool {
    const NO: [&str; 7] = ["", "0", "f", "false", "n", "no", "off"];
    let variable = variable.is_some_and(|value| !value.to_str().is_some_and(|value| NO.contains(&value.to_lowercase().as_str())));
    variable || arguments.into_iter().take_while(|word| word != "--").any(|word| word == "--json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_definition_is_sound() {
        parser().debug_assert();
    }

    #[test]
    fn options_for_all_commands_may_stand_before_and_after_the_command() {
        for line in ["tgvault --repo /v --json snapshots", "tgvault snapshots --repo /v --json"] {
            let (cli, _) = parse(words(line)).unwrap();
            assert_eq!(cli.global.repo.as_deref(), Some("/v"));
            assert!(cli.global.json);
        }
    }

    #[test]
    fn a_folder_may_be_backed_up_with_and_without_its_kind() {
        for line in ["backup --tag t x --exclude a", "backup folder x --tag t --exclude a", "backup --tag t folder x --exclude a"] {
            let (cli, _) = parse(words(&format!("tgvault {line}"))).unwrap();
            let Command::Backup(args) = cli.command else { panic!("{line}") };
            assert_eq!(args.common.tags, ["t"], "{line}");
            let folder = match args.kind {
                Some(backup::Kind::Folder(folder)) => folder,
                Some(other) => panic!("{line}: {other:?}"),
                None => args.folder,
            };
            assert_eq!((folder.path, folder.exclude), (Some("x".into()), vec!["a".to_owned()]), "{line}");
        }
    }

    #[test]
    fn ids_of_groups_are_taken_as_telegram_writes_them() {
        for option in ["--chat", "--exclude-chat"] {
            assert!(parse(words(&format!("tgvault backup telegram {option} -1001500000001"))).is_ok(), "{option}");
        }
    }

    #[test]
    fn snapshots_and_paths_are_taken_as_people_type_them() {
        assert_eq!(parse_snapshot("3F9A").as_deref(), Ok("3f9a"));
        assert_eq!(parse_snapshot("latest").as_deref(), Ok("latest"));
        assert_eq!(parse_snapshot("20261122T101112Z-3f").as_deref(), Ok("20261122T101112Z-3f"));
        for bad in ["", "latest~1", "x", "20261122T101112Z-"] {
            assert!(parse_snapshot(bad).is_err(), "{bad}");
        }
        for same in ["a/b", "/a/b/", "./a/b", ".//a/b"] {
            assert_eq!(entry_path(same.as_ref()).unwrap().as_bytes(), b"a/b");
        }
        assert!(entry_path("/".as_ref()).is_err());
        assert!(entry_path("a/../b".as_ref()).is_err());
    }

    #[test]
    fn every_option_that_is_a_setting_has_its_variable() {
        for arg in Cli::command().get_arguments().filter(|arg| !["help", "version", "verbose"].contains(&arg.get_id().as_str())) {
            let long = arg.get_long().expect("settings have long names").replace('-', "_").to_uppercase();
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(format!("TGVAULT_{long}").as_str()));
        }
    }
}
