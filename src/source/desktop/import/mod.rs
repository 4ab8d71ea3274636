//! Takes a folder with a Telegram Desktop export in: a [`Source`] whose items are logs, media and what puts the folder together
//! again.
//!
//! ```text
//! chats/…  account/…  media/…                  as for a live backup; media are named by content
//! imports/<run id>/files.jsonl                 a line for each file, folder and link of the export: [`ImportedFile`];
//!                                              goes on in files-0002.jsonl where it is long
//! imports/<run id>/layout/<n>-<seq>.jsonl      how a result.json or page is put together: [`super::layout`]
//! imports/<run id>/seen.jsonl                  which messages it found as earlier runs had stored them: `SeenAgain`
//! imports/<run id>/files/…                     files that are neither media nor taken apart, under their own paths
//! ```
//!
//! - [`told`] says whether a folder holds an export, and what it tells of itself before it is read.
//! - `run` is one import; `found` finds the files that messages name, `memory` bounds what waits to be stored, `moved` joins
//!   basic groups with the supergroups that they became.
//! - `rebuild` learns from the vault what earlier imports stored, where the machine does not know it.

mod found;
mod memory;
mod moved;
mod rebuild;
mod run;
pub mod told;

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use self::run::Import;
use super::html::page_number;
use super::known::{Found, Remembered};
use crate::crypt::digest::Hasher;
use crate::model::account::DEFAULT_ACCOUNT;
use crate::model::digest::Digest;
use crate::model::entry::{EntryPath, Kind, Metadata};
use crate::model::paths::RunId;
use crate::model::peer::Peer;
use crate::source::folder::{FolderOptions, FolderSource};
use crate::source::{Item, Problem, Sink, Source, SourceError, SourceName, Stopped};

/// Where what puts imported folders together again is kept.
pub const IMPORTS: &str = "imports";

/// How an export is taken in.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// The zone of the machine that made the export, for exports that hold local times only.
    pub zone: TimeZone,
    /// The name of this run; an import of the very same that was interrupted goes on under its own.
    pub run: RunId,
    /// When the export was made, Unix seconds; otherwise the time of its `result.json` or first page counts, or the end of the day
    /// in the folder's name, whichever is earlier.
    pub made: Option<i64>,
}

/// A line of `files.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ImportedFile {
    /// Its path in the export.
    pub path: EntryPath,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// Mode, owner, times, attributes.
    pub meta: Metadata,
    /// Length in bytes.
    pub size: u64,
    /// The entry that has its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<EntryPath>,
    /// Or the layout that puts it together, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layout: Vec<EntryPath>,
    /// The SHA-256 of a file that a layout puts together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// A folder with an export.
pub struct DesktopExport {
    folder: FolderSource,
    options: ImportOptions,
    known: Arc<Remembered>,
    account: String,
    chat: Option<Peer>,
}

impl DesktopExport {
    /// The export in the folder at `path`, of the account with the default name.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn open(path: &Path, options: ImportOptions, known: Arc<Remembered>) -> Result<Self, SourceError> {
        Self::open_with(path, FolderOptions::default(), options, known)
    }

    /// As [`Self::open`], with what of the folder is never listed.
    ///
    /// # Errors
    /// When the folder cannot be opened, or is one that is never listed.
    pub fn open_with(path: &Path, folder: FolderOptions, options: ImportOptions, known: Arc<Remembered>) -> Result<Self, SourceError> {
        let folder = FolderSource::open(path, folder)?;
        Ok(Self { folder, options, known, account: DEFAULT_ACCOUNT.into(), chat: None })
    }

    /// Says which account's chats these are.
    #[must_use]
    pub fn of_account(mut self, account: &str) -> Self {
        account.clone_into(&mut self.account);
        self
    }

    /// Says which chat the pages of a single chat are: HTML tells its name only.
    #[must_use]
    pub fn of_chat(mut self, chat: Option<Peer>) -> Self {
        self.chat = chat;
        self
    }

    /// The snapshots of an account, imported or live, are one chain.
    pub fn source_name(account: &str) -> SourceName {
        SourceName { kind: "telegram".into(), name: account.to_owned() }
    }

    fn unreadable(&self, source: io::Error) -> SourceError {
        match source.downcast::<Stopped>() {
            Ok(stopped) => SourceError::Stopped(stopped),
            Err(source) => SourceError::Unreadable { what: self.folder.name().name, source },
        }
    }

    /// What tells this export from any other, and from itself after a change.
    fn fingerprint(&self, items: &[Item]) -> io::Result<Digest> {
        let mut hasher = Hasher::new();
        let of = (self.folder.name().name, self.options.zone.iana_name(), self.options.made, self.chat, env!("CARGO_PKG_VERSION"));
        hasher.update(format!("{of:?}").as_bytes());
        for item in items {
            hasher.update(&serde_json::to_vec(&(&item.path, &item.kind, item.size, item.meta.mtime))?);
        }
        Ok(hasher.finish())
    }

    /// The file that says most about the export: its `result.json`, or its first page.
    fn main_file(items: &[Item]) -> Option<&Item> {
        let find = |wanted: &[u8]| items.iter().find(|item| item.kind == Kind::File && item.path.as_bytes() == wanted);
        let pages = || items.iter().filter(|item| item.kind == Kind::File).filter_map(|item| Some((page_of(item)?, item)));
        let first = |folder: &dyn Fn(&str) -> bool| pages().filter(|((of, _), _)| folder(of)).min_by_key(|((_, number), _)| *number);
        let account = || {
            let has_summary = find(b"export_results.html").is_some();
            first(&|folder| !folder.is_empty() && (has_summary || folder.starts_with("chats/")))
        };
        find(b"result.json").or_else(|| first(&str::is_empty).or_else(account).map(|(_, item)| item))
    }

    /// When the export was made, as far as it can be told.
    fn observed(&self, main: &Item) -> i64 {
        let ImportOptions { zone, made, .. } = &self.options;
        let written = main.meta.mtime.seconds;
        let latest = told::made_at_latest(&self.folder.name().name, zone);
        made.unwrap_or_else(|| latest.map_or(written, |latest| latest.min(written)))
    }
}

impl Source for DesktopExport {
    fn name(&self) -> SourceName {
        Self::source_name(&self.account)
    }

    fn lists_everything(&self) -> bool {
        false
    }

    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError> {
        let mut folder = Listed { items: Vec::new(), sink };
        self.folder.list(&mut folder)?;
        let items = folder.items;
        let folder = || self.folder.name().name;
        let main = Self::main_file(&items).ok_or_else(|| SourceError::NoExport { folder: folder() })?;
        let content = main.content.as_ref().ok_or_else(|| SourceError::NoExport { folder: folder() })?;
        let unreadable = |error| self.unreadable(error);
        let is_json = main.path.as_bytes() == b"result.json";
        let name = if is_json { "result.json" } else { "messages.html" };
        if !told::has_signs(name, content.open(0).map_err(unreadable)?).map_err(unreadable)? {
            return Err(SourceError::NoExport { folder: folder() });
        }
        let told = if is_json { told::look_over(content.open(0).map_err(unreadable)?).map_err(unreadable)? } else { told::Told::default() };

        let known = &self.known;
        let found = known.load();
        match (known.owner(), told.owner) {
            (Some(known), Some(told)) if known != told => {
                return Err(SourceError::OtherAccount { account: self.account.clone(), known, told });
            }
            (None, Some(told)) => known.set_owner(told),
            _ => {}
        }
        if let Found::Damaged(why) = &found {
            sink.note(&format!("cannot read the list of imported messages on this machine ({why})"));
        }
        let run = known.begin(&self.fingerprint(&items).map_err(unreadable)?.0, &self.options.run);
        known.keep_only(|path| sink.before(path).is_some());
        if found != Found::Earlier {
            rebuild::rebuild(known, sink).map_err(unreadable)?;
        }
        let observed = self.observed(main);
        Import::new(self, run, observed, &items, sink).run(is_json, told.heads).map_err(unreadable)
    }

    fn wants_key(&self) -> bool {
        !self.known.is_there()
    }

    fn committed(&self, marks: &[u64]) {
        self.known.committed(marks);
    }
}

/// The folder of a page, with `/` behind it or empty, and its number; `None` for files that have no page's name.
fn page_of(item: &Item) -> Option<(&str, u64)> {
    let path = std::str::from_utf8(item.path.as_bytes()).ok()?;
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, name) = path.split_at_checked(name)?;
    Some((folder, page_number(name)?))
}

struct Listed<'a> {
    items: Vec<Item>,
    sink: &'a mut dyn Sink,
}

impl Sink for Listed<'_> {
    fn item(&mut self, item: Item) -> Result<(), Stopped> {
        self.items.push(item);
        Ok(())
    }

    fn problem(&mut self, problem: Problem) {
        self.sink.problem(problem);
    }

    fn skipped(&mut self, path: &EntryPath, why: &str) {
        self.sink.skipped(path, why);
    }
}
