//! What ends a command, its exit code, and how it is told.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use serde::Serialize;

use super::config::error::ConfigError;
use super::config::settings::SettingsError;
use super::config::store::StoreError;
use super::exit::Exit;
use super::secrets::SecretError;
use super::units::{self, printable};
use crate::alerts::AlertError;
use crate::crypt::CryptError;
use crate::model::entry::PathError;
use crate::model::filter::PatternError;
use crate::operations::OperationError;
use crate::repository::RepositoryError;
use crate::repository::format::names;
use crate::schedule::ScheduleError;
use crate::source::SourceError;
use crate::source::telegram::{CallError, TelegramError};
use crate::state::StateError;
use crate::storage::StorageError;
use crate::target::TargetError;

/// Why a command ended without doing what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line makes no sense in a way that the parser cannot see.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to type instead.
        hint: Option<String>,
    },
    /// Settings are missing or wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A vault's store cannot be opened as the profile says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No secret could be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A chosen passphrase is too easy to guess.
    #[error(
        "this passphrase is too easy to guess: it has about {bits:.0} bits of strength, {} are required",
        super::passphrase::LEAST_BITS
    )]
    WeakPassphrase {
        /// Its estimated strength.
        bits: f64,
    },
    /// The passphrase of this machine's logins is not the one that they were protected with.
    #[error("the login passphrase is wrong")]
    LoginPassphrase,
    /// The passphrase of this machine's logins is not given, and nobody can be asked.
    #[error("the logins on this machine are protected with a passphrase, and there is no terminal to ask for it on")]
    NoLoginPassphrase,
    /// A pattern cannot be understood.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A path inside a snapshot cannot be one.
    #[error("this is not a path in a snapshot")]
    Path(#[from] PathError),
    /// A recipient or an identity cannot be used.
    #[error(transparent)]
    Key(#[from] CryptError),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The repository cannot be used.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// This machine's state cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// An operation failed.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Telegram, or an account on this machine.
    #[error(transparent)]
    Telegram(#[from] TelegramError),
    /// There is no file for a schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Somebody could not be told something.
    #[error(transparent)]
    Alert(#[from] AlertError),
    /// A local file that the command line names cannot be read or written.
    #[error("cannot {doing} {path}")]
    File {
        /// `read` or `write`.
        doing: &'static str,
        /// The file, quoted.
        path: String,
        /// The system's word.
        source: io::Error,
    },
    /// Standard output is closed or full.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// The system does not give the memory that any run needs.
    #[error("this program needs {} MiB of memory, and the system does not give that much", needed_bytes / 1024 / 1024)]
    Memory {
        /// What is needed.
        needed_bytes: u64,
    },
    /// The system lets no more files be opened.
    #[error("the system does not let this program open the files it needs")]
    Files(#[source] io::Error),
    /// The system gives no more threads.
    #[error("the system does not let this program start the threads it needs")]
    Threads(#[source] io::Error),
    /// Nothing can be mounted here.
    #[error("{why}")]
    NoFuse {
        /// What is missing.
        why: String,
        /// The system's word, where there is one.
        source: Option<io::Error>,
    },
    /// The system failed: no randomness, no signals.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's word.
        source: io::Error,
    },
}

impl From<SettingsError> for CommandError {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Config(error) => error.into(),
            SettingsError::Secret(error) => error.into(),
        }
    }
}

impl CommandError {
    /// Says that the command line makes no sense.
    pub fn usage(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), hint: Some(hint.into()) }
    }

    /// What the parser of the command line says, without how it lays it out for a terminal.
    pub fn of_parser(error: &clap::Error) -> Self {
        let text = error.to_string();
        let mut lines = text.lines().map(str::trim);
        let what = lines.by_ref().take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        let tip = lines.find_map(|line| line.strip_prefix("tip: "));
        Self::usage(what.strip_prefix("error: ").unwrap_or(&what), tip.unwrap_or("see `--help` for how to use it"))
    }

    /// Says that a file of the user's cannot be used.
    pub fn file(doing: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Self::File { doing, path: format!("'{}'", printable(&path.to_string_lossy())), source }
    }

    /// The exit code; the one place where errors become numbers.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. }
            | Self::Config(_)
            | Self::Store(_)
            | Self::Schedule(_)
            | Self::Pattern(_)
            | Self::Path(_)
            | Self::WeakPassphrase { .. } => Exit::Usage,
            Self::Secret(error) => match error {
                SecretError::PlainVariable | SecretError::TwoSources { .. } => Exit::Usage,
                SecretError::Interrupted => Exit::Interrupted,
                SecretError::Differ | SecretError::Terminal(_) => Exit::Failed,
                _ => Exit::WrongKey,
            },
            Self::Key(CryptError::Memory { .. }) => Exit::Failed,
            Self::Key(_) | Self::LoginPassphrase | Self::NoLoginPassphrase => Exit::WrongKey,
            Self::Repository(error) => of_repository(error),
            Self::State(error) => of_state(error),
            Self::Operation(error) => of_operation(error),
            Self::Storage(error) => of_storage(error),
            Self::Telegram(error) => of_telegram(error),
            Self::Source(error) => of_source(error),
            Self::Alert(AlertError::Stopped { .. }) => Exit::Interrupted,
            Self::File { .. } | Self::System { .. } | Self::Alert(_) => Exit::Failed,
            Self::Threads(_) | Self::Files(_) | Self::Memory { .. } => Exit::Failed,
            Self::NoFuse { .. } => Exit::NoFuse,
            // Who closed the pipe has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Output(_) => Exit::Failed,
        }
    }

    /// What the user can type next.
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        let fixed = |hint: &'static str| Some(Cow::Borrowed(hint));
        match self {
            Self::Usage { hint, .. } => hint.as_deref().map(Cow::Borrowed),
            Self::Config(error) => error.hint().map(Cow::Borrowed),
            Self::Store(error) => error.hint().map(Cow::Borrowed),
            Self::Schedule(ScheduleError::Calendar { .. }) => fixed("use daily, weekly, monthly or quarterly with --at HH:MM"),
            Self::Secret(error) => error.hint().map(Cow::Borrowed),
            Self::Key(error) => key_hint(error).map(Cow::Borrowed),
            Self::NoFuse { .. } => fixed(
                "install FUSE (on Debian and Ubuntu: `sudo apt install fuse3`; a container needs --device /dev/fuse and the right to mount), or \
                 look around with `tgvault browse`",
            ),
            Self::Memory { .. } => fixed("raise the limit (`ulimit -v`, or that of the service or container)"),
            Self::Files(_) => fixed("raise the limit (`ulimit -n`, LimitNOFILE= of a service): 64 are enough"),
            Self::Threads(_) => {
                fixed("raise the limit (`ulimit -u`, TasksMax= of a service, --pids-limit of a container), or end other programs")
            }
            Self::WeakPassphrase { .. } => fixed("accept the suggested one, add unrelated words, or use --force-weak-passphrase"),
            Self::Pattern(_) => {
                fixed(r"patterns are paths inside the folder: '/cache' at its top, 'cache' anywhere in it, '\\' before a special character")
            }
            Self::LoginPassphrase => fixed("use the passphrase you chose with `tgvault login --session-passphrase`"),
            Self::NoLoginPassphrase => fixed("use --session-passphrase-file FILE or --session-passphrase-command COMMAND"),
            Self::Storage(error) => error.hint().map(Cow::Borrowed),
            Self::Repository(error) => repository_hint(error).map(Cow::Borrowed),
            Self::State(error) => state_hint(error).map(Cow::Borrowed),
            Self::Operation(error) => operation_hint(error),
            Self::Telegram(error) => telegram_hint(error),
            Self::Source(error) => source_hint(error),
            _ => None,
        }
    }

    /// The error's own words and those of its causes, each once.
    fn told(&self) -> Vec<String> {
        let mut lines = vec![printable(&self.to_string())];
        let mut next = self.source();
        while let Some(cause) = next {
            let line = printable(&cause.to_string());
            if !lines.iter().any(|told| told.contains(&line)) {
                lines.push(line);
            }
            next = cause.source();
        }
        lines
    }

    /// What happened and why, in one line.
    pub fn one_line(&self) -> String {
        self.told().join(": ")
    }

    /// What happened, where the words are about stores, keys and connections: nothing that a source holds is named, so it may be kept and
    /// sent. `None` for all other errors, of which the exit code says enough.
    pub fn without_content(&self) -> Option<String> {
        let is_plain = match self {
            Self::Config(_) | Self::Store(_) | Self::Secret(_) | Self::Storage(_) | Self::Repository(_) | Self::State(_) => true,
            Self::LoginPassphrase | Self::NoLoginPassphrase => true,
            Self::Operation(error) if !matches!(error, OperationError::Source(_)) => matches!(
                error,
                OperationError::Repository(_) | OperationError::State(_) | OperationError::KeyNeeded | OperationError::Interrupted
            ),
            Self::Telegram(error)
            | Self::Source(SourceError::Telegram { source: error, .. })
            | Self::Operation(OperationError::Source(SourceError::Telegram { source: error, .. })) => {
                if let TelegramError::TryLater { seconds, .. } = error {
                    // What has to wait may be a chat.
                    return Some(format!("Telegram requires a wait of {}", units::duration(Duration::from_secs(*seconds))));
                }
                matches!(error, TelegramError::LoginNeeded { .. } | TelegramError::WrongServer { .. })
            }
            _ => false,
        };
        is_plain.then(|| self.told().first().cloned().unwrap_or_default())
    }

    /// Whether it is the vault that cannot be used, rather than what was to be backed up: another source would fare no better.
    pub fn is_of_the_vault(&self) -> bool {
        let of_repository = |error: &RepositoryError| {
            matches!(
                error,
                RepositoryError::Absent { .. }
                    | RepositoryError::Newer { .. }
                    | RepositoryError::WrongKey { .. }
                    | RepositoryError::Trust(_)
                    | RepositoryError::Divided { .. }
                    | RepositoryError::NotAWriter(_)
                    | RepositoryError::Storage(_)
            )
        };
        match self {
            Self::Store(_) | Self::Storage(_) => true,
            Self::Repository(error) | Self::Operation(OperationError::Repository(error)) => of_repository(error),
            _ => false,
        }
    }

    /// The lines that tell it to people: `error:`, `caused by:`, `hint:`.
    pub fn text(&self) -> String {
        let lines = self.told();
        let mut text = String::new();
        for (at, line) in lines.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = if at == 0 { writeln!(text, "error: {line}") } else { writeln!(text, "  caused by: {line}") };
        }
        if let Some(hint) = self.hint() {
            let _ = writeln!(text, "hint: {hint}");
        }
        text
    }

    /// The JSON line that tells it, with its end of line.
    pub fn json_line(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            message_type: &'static str,
            exit_code: u8,
            message: &'a str,
            causes: &'a [String],
            #[serde(skip_serializing_if = "Option::is_none")]
            hint: Option<Cow<'a, str>>,
        }
        let told = self.told();
        let (message, causes) = told.split_first().map_or(("", &told[..]), |(first, rest)| (first.as_str(), rest));
        let line = Line { message_type: "error", exit_code: self.exit().code(), message, causes, hint: self.hint() };
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
        text
    }
}

fn of_repository(error: &RepositoryError) -> Exit {
    match error {
        RepositoryError::Absent { .. } => Exit::NoRepository,
        RepositoryError::WrongKey { .. }
        | RepositoryError::RemovedSlot { .. }
        | RepositoryError::Rotated
        | RepositoryError::NotAWriter(_) => Exit::WrongKey,
        RepositoryError::Locked { .. } => Exit::Locked,
        RepositoryError::Stale { .. } => Exit::TryLater,
        error if error.is_integrity() => Exit::Integrity,
        RepositoryError::Storage(error) => of_storage(error),
        RepositoryError::Crypt(CryptError::WrongKey | CryptError::Key(_)) => Exit::WrongKey,
        _ => Exit::Failed,
    }
}

fn of_state(error: &StateError) -> Exit {
    match error {
        StateError::Locked { .. } => Exit::Locked,
        StateError::Sealed { .. } => Exit::WrongKey,
        StateError::File { .. } | StateError::Damaged { .. } | StateError::Newer { .. } => Exit::Failed,
    }
}

fn of_operation(error: &OperationError) -> Exit {
    match error {
        error if error.is_damage() => Exit::Integrity,
        OperationError::Repository(error) => of_repository(error),
        OperationError::State(error) => of_state(error),
        OperationError::KeyNeeded | OperationError::PartialKey { .. } => Exit::WrongKey,
        OperationError::Interrupted => Exit::Interrupted,
        OperationError::NoSuchKey { .. }
        | OperationError::NoSuchWriter { .. }
        | OperationError::LastKey { .. }
        | OperationError::NotRenewed { .. }
        | OperationError::LinkedTo { .. }
        | OperationError::NotAlone { .. } => Exit::Usage,
        OperationError::IsMirror { .. } | OperationError::NoCopy { .. } => Exit::Usage,
        OperationError::Emptied { .. } | OperationError::AllExcluded { .. } => Exit::Emptied,
        OperationError::Source(error) => of_source(error),
        OperationError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        _ => Exit::Failed,
    }
}

fn of_storage(error: &StorageError) -> Exit {
    match error {
        StorageError::Address { .. } | StorageError::NoBucket { .. } | StorageError::Settings { .. } => Exit::Usage,
        StorageError::NoContainer { .. } | StorageError::NotAFolder { .. } => Exit::NoRepository,
        StorageError::Unavailable { .. } => Exit::TryLater,
        StorageError::Full { .. } => Exit::StoreFull,
        StorageError::WrongClock { .. } => Exit::WrongClock,
        StorageError::WrongRegion { .. } => Exit::WrongRegion,
        StorageError::WrongScheme { .. } => Exit::WrongScheme,
        StorageError::UnknownHost { .. } => Exit::UnknownHost,
        StorageError::Untrusted { .. } => Exit::Untrusted,
        _ => Exit::Failed,
    }
}

fn of_source(error: &SourceError) -> Exit {
    match error {
        SourceError::Stopped(_) => Exit::Interrupted,
        SourceError::NoExport { .. } | SourceError::OtherAccount { .. } => Exit::Usage,
        SourceError::Telegram { source, .. } => of_telegram(source),
        SourceError::Unreadable { .. } => Exit::Failed,
    }
}

fn of_telegram(error: &TelegramError) -> Exit {
    match error {
        TelegramError::LoginNeeded { .. } => Exit::LoginNeeded,
        TelegramError::TryLater { .. } => Exit::TryLater,
        TelegramError::Call { source, .. } if source.is_unreachable() => Exit::TryLater,
        TelegramError::WrongServer { .. } | TelegramError::OtherKey { .. } => Exit::WrongKey,
        TelegramError::Invalid(_) | TelegramError::NoSuchChat { .. } | TelegramError::NoSuchFolder { .. } => Exit::Usage,
        TelegramError::Stopped => Exit::Interrupted,
        TelegramError::Login(_) | TelegramError::Call { .. } | TelegramError::Local { .. } => Exit::Failed,
    }
}

fn telegram_hint(error: &TelegramError) -> Option<Cow<'static, str>> {
    let hint = match error {
        TelegramError::LoginNeeded { .. } => "log in with `tgvault login`; stored data is kept, and the next backup resumes from it",
        TelegramError::TryLater { .. } => "run the same command again then; it resumes where it stopped",
        TelegramError::Call { source: CallError::Proxy(error), .. } if error.may_pass() => {
            "check the proxy's address and whether it runs; nothing was sent around it. Run the same command again; it resumes where it stopped"
        }
        TelegramError::Call { source: CallError::Proxy(_), .. } => {
            "check --proxy, TGVAULT_PROXY or the profile's `proxy`, and its password; nothing was sent around the proxy"
        }
        TelegramError::Call { source, .. } if source.is_unreachable() => {
            "check the network and run the same command again; it resumes where it stopped"
        }
        TelegramError::WrongServer { .. } => {
            "check the address and public key of the server (--telegram-server, --telegram-server-key); if it is Telegram itself, somebody may \
             be intercepting the connection: try another network"
        }
        TelegramError::Call { source: CallError::Exchange(_), .. } => "this is not a Telegram server: check the address and the port",
        TelegramError::OtherKey { .. } => "the key that encrypts the logins has changed; log in again with `tgvault login`",
        TelegramError::NoSuchChat { .. } => {
            "list the chats with `tgvault chats`; name a chat by its name, @username, ID or link; find chats that you left with \
             --takeout always"
        }
        TelegramError::NoSuchFolder { known, .. } if known.is_empty() => {
            "this account has no folders; create them in a Telegram app under Settings → Folders"
        }
        TelegramError::NoSuchFolder { known, .. } => {
            let known: Vec<String> = known.iter().map(|(number, name)| format!("'{}' ({number})", printable(name))).collect();
            return Some(Cow::Owned(format!("name a folder by its name or number: {}", known.join(", "))));
        }
        _ => return None,
    };
    Some(Cow::Borrowed(hint))
}

fn state_hint(error: &StateError) -> Option<&'static str> {
    Some(match error {
        StateError::Locked { .. } => "wait for it to finish; a run that was killed leaves no lock behind",
        StateError::Sealed { .. } => {
            "this machine's key has changed; move the state folder away and run the backup once with the passphrase to rebuild it"
        }
        StateError::Newer { .. } => "update tgvault, or use another folder with --state-dir DIR",
        StateError::Damaged { .. } => "move the file away; its contents are rebuilt from the vault",
        StateError::File { .. } => "the state folder is not writable; fix its permissions, or choose another one with --state-dir DIR",
    })
}

fn operation_hint(error: &OperationError) -> Option<Cow<'static, str>> {
    let hint = match error {
        OperationError::Repository(error) => repository_hint(error)?,
        OperationError::State(error) => state_hint(error)?,
        OperationError::Source(error) => return source_hint(error),
        OperationError::Target(TargetError::Root { source, .. })
            if matches!(source.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory) =>
        {
            "--to needs a folder, but there is a file with that name"
        }
        OperationError::KeyNeeded => SecretError::NobodyToAsk.hint()?,
        OperationError::NoSuchKey { .. } => "list the key slots with `tgvault key list`; give the beginning of an ID, or a recipient",
        OperationError::NotAlone { .. } => "use a grace period of 2 hours or more, or add --alone when nothing writes to the vault now",
        OperationError::NotRenewed { .. } => {
            "unlock the vault with that passphrase, or leave the key out with `--remove ID` and add it again afterwards with `tgvault key add`"
        }
        OperationError::PartialKey { .. } => "use a key that reads all of the vault: what this one does not know would be lost",
        OperationError::LastKey { .. } => "add another key first with `tgvault key add`",
        OperationError::NoSuchWriter { .. } => "list the writers with `tgvault key list`; give the beginning of an ID",
        OperationError::IsMirror { .. } => {
            "write into the vault itself, then bring the mirror up to date with `tgvault copy --mirror --to URL`"
        }
        OperationError::NoCopy { .. } => "--repo is the vault that is read, --to the place that is written: check both",
        OperationError::IsWriter { .. } => "nothing to do: backups work; use another state folder (--state-dir) for another writer",
        OperationError::LinkedTo { .. } => "exclude both, or neither",
        OperationError::NoSuchPath { .. } => "list the files with `tgvault ls` or `tgvault find`",
        OperationError::NoSuchChat { near, .. } if !near.is_empty() => {
            return Some(Cow::Owned(format!("did you mean {}?", near.join(" or "))));
        }
        OperationError::NoSuchChat { of, .. } if !of.is_empty() => {
            return Some(Cow::Owned(format!("{} has such a chat: add --source {}", of.join(" and "), of.join(" or --source "))));
        }
        OperationError::NoSuchChat { .. } => {
            "list the chats with `tgvault ls latest --chats`; name a chat by its name, @username, ID or link"
        }
        OperationError::SeveralChats { .. } => "name the one you mean by its ID, such as user123 or channel456",
        OperationError::NoChats { .. } => {
            "select a snapshot of an account with --source telegram:NAME (see `tgvault snapshots`), or use --as files to restore files"
        }
        OperationError::NoImport { .. } => "choose one with --import, or restore another form with --as telegram-desktop",
        OperationError::Lost { .. } => {
            "`tgvault verify` lists what is lost, `tgvault ls` what is left; an earlier snapshot may still have it"
        }
        OperationError::Emptied { .. } => {
            "check that the disk is mounted and the path is right; if the files were really deleted, run it once with --allow-empty or \
             --max-removed PERCENT"
        }
        OperationError::AllExcluded { .. } => {
            "check --exclude, --exclude-file and the profile; if it is meant to be empty, run it once with --allow-empty"
        }
        OperationError::Content { .. } => "run `tgvault verify` to see what else is affected",
        _ => return None,
    };
    Some(Cow::Borrowed(hint))
}

fn source_hint(error: &SourceError) -> Option<Cow<'static, str>> {
    let hint = match error {
        SourceError::NoExport { .. } => {
            "give the folder that contains result.json, messages.html or export_results.html, or back it up as it is with `tgvault backup folder PATH`"
        }
        SourceError::OtherAccount { .. } => "use --account NAME to keep the chats of two people apart",
        SourceError::Telegram { source, .. } => return telegram_hint(source),
        SourceError::Unreadable { .. } | SourceError::Stopped(_) => return None,
    };
    Some(Cow::Borrowed(hint))
}

fn key_hint(error: &CryptError) -> Option<&'static str> {
    match error {
        CryptError::Memory { .. } => {
            Some("raise the limit (`ulimit -v`, MemoryMax= of a service), or use an age identity with -i FILE, which needs no such memory")
        }
        _ => None,
    }
}

fn repository_hint(error: &RepositoryError) -> Option<&'static str> {
    Some(match error {
        RepositoryError::Absent { .. } => "check the address, or create a vault there with `tgvault init`",
        RepositoryError::Occupied { .. } => "choose another folder or prefix for a new vault; to use this one, run any other command",
        RepositoryError::Newer { .. } => "use a newer tgvault",
        RepositoryError::WrongKey { .. } => "check the passphrase or identity file; the recovery sheet shows which vault it belongs to",
        RepositoryError::RemovedSlot { .. } => "use another key of the vault; `tgvault key list` shows which there are",
        RepositoryError::Rotated => {
            "use a passphrase or identity that opens a key slot (`tgvault key list`); what was stored before, docs/recovery.md reads with this one"
        }
        RepositoryError::Trust(_) => {
            "somebody may have replaced the vault: compare its ID and root key with the recovery sheet before you continue"
        }
        RepositoryError::Divided { .. } => "unlock the vault once with `tgvault repair`: it keeps the recipient that your key reads",
        RepositoryError::NotAWriter(_) => "unlock the vault once with -i FILE or the passphrase to authorise this machine",
        RepositoryError::Missing { name } | RepositoryError::Damaged { name, .. } if name.starts_with(names::ROOT) => {
            "run `tgvault repair` with the passphrase or identity: it makes the vault usable again from the statements that are sound"
        }
        RepositoryError::Missing { .. } | RepositoryError::Damaged { .. } | RepositoryError::Untrusted { .. } => {
            "run `tgvault verify` to see what else is affected"
        }
        RepositoryError::Gone { .. } => {
            "the store may have been rolled back, or the snapshot deleted: look for deleted or older versions there; you can still select an older snapshot by its ID"
        }
        RepositoryError::Locked { .. } => "wait for it to finish; `tgvault unlock` removes the lock of a run that was killed",
        RepositoryError::Stale { .. } => "run the same command again later; nothing was deleted",
        RepositoryError::Unsafe { .. } => {
            "run `tgvault verify` to see what is affected, and bring back what is missing from a copy; to give up what is lost for good, \
             run `tgvault forget --lost`, or name a damaged snapshot: `tgvault forget ID`"
        }
        RepositoryError::NoSnapshot { .. } => "list them with `tgvault snapshots`",
        RepositoryError::Ambiguous { .. } => "give more digits of the ID",
        RepositoryError::Storage(error) => return error.hint(),
        RepositoryError::Archive { .. } => "run `tgvault verify` to see what else is affected",
        RepositoryError::Crypt(error) => return key_hint(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_what_why_and_what_next() {
        let error = CommandError::file("read", "/x\n".as_ref(), io::Error::from_raw_os_error(2));
        assert_eq!(error.text(), "error: cannot read '/x\\n'\n  caused by: No such file or directory (os error 2)\n");
        let error = CommandError::from(RepositoryError::Absent { address: "/v".into() });
        assert_eq!(error.text(), "error: there is no vault at /v\nhint: check the address, or create a vault there with `tgvault init`\n");
        let json: serde_json::Value = serde_json::from_str(&error.json_line()).unwrap();
        assert_eq!((&json["message_type"], &json["exit_code"]), (&"error".into(), &10.into()));
    }

    #[test]
    fn the_codes_are_the_documented_ones() {
        let cases: [(CommandError, u8); 11] = [
            (CommandError::usage("x", "y"), 2),
            (ConfigError::NoRepo.into(), 2),
            (SecretError::NobodyToAsk.into(), 12),
            (SecretError::Interrupted.into(), 130),
            (RepositoryError::Absent { address: String::new() }.into(), 10),
            (RepositoryError::WrongKey { slots: 1 }.into(), 12),
            (RepositoryError::Divided { recipients: Vec::new() }.into(), 1),
            (RepositoryError::NotAWriter("it has no writer key yet".into()).into(), 12),
            (RepositoryError::Missing { name: String::new() }.into(), 15),
            (StorageError::NoBucket { address: "s3://".into() }.into(), 2),
            (CommandError::Output(io::ErrorKind::BrokenPipe.into()), 0),
        ];
        for (error, code) in cases {
            assert_eq!(error.exit().code(), code, "{error}");
        }
    }
}
