//! Arguments that several commands take: the options for all of them, and how a snapshot and a part of it are named.
//!
//! Every option that says how things are, as opposed to what one run does, has an environment variable: `TGVAULT_` and its long name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use clap::{ArgAction, Args};

use super::units;
use crate::model::entry::{EntryPath, PathError};
use crate::operations::snapshot::choice::{Selection, SnapshotChoice};

/// The heading of [`Global`] in the help.
pub const HEADING_OF_ALL: &str = "Options for all commands";

/// Options that all commands understand.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = HEADING_OF_ALL)]
pub struct Global {
    /// The vault: a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix
    #[arg(long, visible_alias = "vault", global = true, value_name = "URL", env = "TGVAULT_REPO", value_parser = NonEmptyStringValueParser::new())]
    pub repo: Option<String>,

    /// Unlock with the age identity in this file; `-` reads it from standard input
    #[arg(short = 'i', long, global = true, value_name = "FILE", env = "TGVAULT_IDENTITY")]
    pub identity: Option<PathBuf>,

    /// Unlock with the passphrase in the first line of this file
    #[arg(long, global = true, value_name = "FILE", env = "TGVAULT_PASSPHRASE_FILE")]
    pub passphrase_file: Option<PathBuf>,

    /// Unlock with the passphrase printed by this shell command (first line)
    #[arg(long, global = true, value_name = "COMMAND", env = "TGVAULT_PASSPHRASE_COMMAND")]
    pub passphrase_command: Option<OsString>,

    /// Unlock with the passphrase read from this file descriptor (first line)
    #[arg(long, global = true, value_name = "NUMBER", env = "TGVAULT_PASSPHRASE_FD")]
    pub passphrase_fd: Option<u32>,

    /// Look up the passphrase in the system keyring (service `tgvault`, user: the URL)
    #[arg(long, global = true, env = "TGVAULT_KEYRING", value_parser = FalseyValueParser::new())]
    pub keyring: bool,

    /// Accept only a vault signed by this root key (from the recovery sheet)
    #[arg(long, global = true, value_name = "KEY", env = "TGVAULT_ROOT_KEY")]
    pub root_key: Option<String>,

    /// Use this profile: ~/.config/tgvault/NAME.toml, /etc/tgvault/NAME.toml, or a path
    #[arg(short = 'P', long, global = true, value_name = "NAME", env = "TGVAULT_PROFILE")]
    pub profile: Option<String>,

    /// Keep this machine's encrypted state here instead of in ~/.local/state/tgvault
    #[arg(long, global = true, value_name = "DIR", env = "TGVAULT_STATE_DIR")]
    pub state_dir: Option<PathBuf>,

    /// Limit uploads to this many bytes per second, such as 500K or 10M
    #[arg(long, global = true, value_name = "RATE", env = "TGVAULT_LIMIT_UPLOAD", value_parser = units::parse_rate)]
    pub limit_upload: Option<u64>,

    /// Limit downloads to this many bytes per second
    #[arg(long, global = true, value_name = "RATE", env = "TGVAULT_LIMIT_DOWNLOAD", value_parser = units::parse_rate)]
    pub limit_download: Option<u64>,

    /// Trust the store's server by the certificates in this PEM file, beside the system's (also AWS_CA_BUNDLE, SSL_CERT_FILE)
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE", env = "TGVAULT_CA_FILE")]
    pub ca_file: Option<PathBuf>,

    /// Give the owner of an S3 bucket full control of what this machine stores (x-amz-acl: bucket-owner-full-control)
    #[arg(long, global = true, hide_short_help = true, env = "TGVAULT_BUCKET_OWNER_FULL_CONTROL", value_parser = FalseyValueParser::new())]
    pub bucket_owner_full_control: bool,

    /// Do not use or fill this machine's cache of vaults in buckets
    #[arg(long, global = true, env = "TGVAULT_NO_CACHE", value_parser = FalseyValueParser::new())]
    pub no_cache: bool,

    /// Print JSON lines instead of text (see docs/guide/json.md)
    #[arg(long, global = true, env = "TGVAULT_JSON", value_parser = FalseyValueParser::new())]
    pub json: bool,

    /// Print only data that was asked for, warnings and errors
    #[arg(short = 'q', long, global = true, env = "TGVAULT_QUIET", value_parser = FalseyValueParser::new())]
    pub quiet: bool,

    /// Do not draw a progress bar
    #[arg(long, global = true, env = "TGVAULT_NO_PROGRESS", value_parser = FalseyValueParser::new())]
    pub no_progress: bool,

    /// Log more: -v for steps, -vv for requests and retries, -vvv for everything (or set TGVAULT_LOG)
    #[arg(short = 'v', long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Report how long each stage took
    #[arg(long, global = true, hide = true, env = "TGVAULT_TIMINGS", value_parser = FalseyValueParser::new())]
    pub timings: bool,
}

/// Which snapshot, of which machine and source.
#[derive(Clone, Debug, Args)]
pub struct Select {
    /// Consider only snapshots made on this machine
    #[arg(long, value_name = "NAME", help_heading = "Which snapshot")]
    pub host: Option<String>,
    /// Consider only snapshots with this tag; repeat to require several
    #[arg(long = "tag", value_name = "TAG", help_heading = "Which snapshot")]
    pub tags: Vec<String>,
    /// Consider only snapshots of this source: an absolute path or an account such as telegram:main
    #[arg(long, value_name = "SOURCE", help_heading = "Which snapshot")]
    pub source: Option<String>,
}

impl Select {
    /// The selection as operations take it.
    pub fn selection(&self) -> Selection {
        Selection { host: self.host.clone(), tags: self.tags.clone(), source: self.source.clone() }
    }

    /// Whether anything is selected at all.
    pub fn narrows(&self) -> bool {
        self.selection().narrows()
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
        format!("'{}' is not a snapshot: use `latest` or the first digits of an ID from `tgvault snapshots`", units::printable(text))
    })
}

/// Reads the first digits of a snapshot's id, or the whole name that `verify` prints.
///
/// # Errors
/// When it cannot be one.
pub fn parse_id(text: &str) -> Result<String, String> {
    let digits = text.rsplit_once('-').map_or(text, |(_, id)| id);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("'{}' is not the beginning of a snapshot ID", units::printable(text)));
    }
    // Ids are written small; the time before them has capitals.
    Ok(if text.contains('-') { text.to_owned() } else { text.to_ascii_lowercase() })
}

/// Which snapshot, and what of it.
#[derive(Debug, Args)]
pub struct Part {
    /// `latest`, or the first digits of a snapshot ID
    #[arg(value_parser = parse_snapshot)]
    pub snapshot: String,

    /// Only these paths in the snapshot and everything below them
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

/// Reads a path in a snapshot as people type it: slashes at its ends and twice in a row, and a `.`, say nothing, and a `..` goes back.
///
/// # Errors
/// When nothing is left, or it leads out.
pub fn entry_path(text: &OsStr) -> Result<EntryPath, PathError> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in text.as_bytes().split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b".")) {
        match (part, parts.last()) {
            (b"..", Some(last)) if *last != b".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    EntryPath::new(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_and_paths_are_taken_as_people_type_them() {
        assert_eq!(parse_snapshot("3F9A").as_deref(), Ok("3f9a"));
        assert_eq!(parse_snapshot("latest").as_deref(), Ok("latest"));
        assert_eq!(parse_snapshot("20261122T101112Z-3f").as_deref(), Ok("20261122T101112Z-3f"));
        for bad in ["", "latest~1", "x", "20261122T101112Z-"] {
            assert!(parse_snapshot(bad).is_err(), "{bad}");
        }
        for same in ["a/b", "/a/b/", "./a/b", ".//a/b", "a//b", "a/./b", "a/c/../b", "/c/../a/b/."] {
            assert_eq!(entry_path(same.as_ref()).unwrap().as_bytes(), b"a/b");
        }
        assert!(entry_path("/".as_ref()).is_err());
        for out in ["..", "../b", "a/../../b", "a/..", "."] {
            assert!(entry_path(out.as_ref()).is_err(), "{out}");
        }
    }
}
