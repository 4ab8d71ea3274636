//! What this machine remembers of a backup's end, for `status`.

use std::path::Path;

use jiff::Timestamp;

use super::Task;
use super::common::Finished;
use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::operations::status::ledger::{Attempt, Ledger, Saved, Subject};

/// Notes how a backup ended. A machine that cannot note it has backed up all the same.
pub fn note(task: Task<'_>, began: Timestamp, ended: &Result<Finished, CommandError>, context: &Context) {
    // Wrong usage is told to whoever typed it; nothing was run.
    if matches!(ended, Err(error) if error.exit() == Exit::Usage && !error.is_of_the_vault()) {
        return;
    }
    let Some(address) = context.address() else { return };
    let (kind, source) = named(task, context);
    let subject = Subject { address, kind: kind.to_owned(), source };
    let seconds = u64::try_from(Timestamp::now().duration_since(began).as_secs()).unwrap_or(0);
    let (exit, why) = match ended {
        Ok(finished) => (finished.exit, None),
        Err(error) => (error.exit(), error.without_content()),
    };
    let last = Attempt { at: began, seconds, exit: exit.code(), why };
    let saved = ended.as_ref().ok().and_then(|finished| saved(finished, began));
    let noted = context.state().and_then(|state| Ok(Ledger::open(&state)?.note(subject, last, saved)?));
    if let Err(error) = noted {
        context.output.warn(&format!("cannot note how this backup ended, for `tgvault status`: {}", error.one_line()));
    }
}

fn saved(finished: &Finished, at: Timestamp) -> Option<Saved> {
    let (snapshot, counts) = finished.made?;
    Some(Saved {
        at,
        exit: finished.exit.code(),
        snapshot: snapshot.to_string(),
        entries: counts.entries,
        bytes: counts.bytes,
        stored_bytes: counts.stored_bytes,
        problems: counts.problems,
        coverage: finished.coverage,
    })
}

/// The kind of a source and what it is called, as far as that is known before it is opened.
fn named(task: Task<'_>, context: &Context) -> (&'static str, String) {
    match task {
        Task::Folder(args) => ("folder", args.path.as_deref().map(folder).unwrap_or_default()),
        Task::DesktopExport(args) => ("desktop-export", args.paths.first().map(|path| folder(path)).unwrap_or_default()),
        Task::Telegram(args) => ("telegram", args.connection.likely_account(context)),
    }
}

/// The absolute path of a folder, also of one that is not there now.
pub fn folder(path: &Path) -> String {
    let whole = path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    whole.to_string_lossy().into_owned()
}
