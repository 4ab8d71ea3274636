//! `tgvault watch`: follow a Telegram account, and store what happens soon after it did.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::alert::{self, send};
use super::backup::Task;
use super::backup::common::{Common, Finished, back_up, back_up_until};
use super::backup::{remembered, telegram as backup};
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::run::aftermath;
use super::service;
use super::telegram::apart;
use super::telegram::observer::Teller;
use super::units;
use crate::alerts::document::Event;
use crate::operations::watch::{Due, Pace, Ran, watch};
use crate::operations::{OperationError, Session, Stop};
use crate::repository;
use crate::source::SourceError;
use crate::source::telegram::{Account, ExportOptions, Heard, Listener, TelegramError, TelegramSource};

const EXAMPLES: &str = "\
Examples:
  tgvault watch                                # store what happens every 5 minutes
  tgvault watch --flush 30s --media photos
  tgvault watch --chats personal,private-groups";

/// Options of `watch`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[group(skip)]
pub struct Args {
    /// Store what happened after at most this long, such as 30s or 5m [default: 5m]
    #[arg(long, value_name = "SPAN", value_parser = units::parse_span)]
    pub flush: Option<Duration>,

    /// Record this machine name instead of the host name
    #[arg(long, hide_short_help = true, value_name = "NAME", env = "TGVAULT_HOST")]
    pub host: Option<String>,

    /// Which account, and what of it: as `backup telegram`.
    #[command(flatten)]
    pub telegram: backup::Args,
}

/// What all runs of a watch share.
struct Watch<'a> {
    args: &'a backup::Args,
    common: Common,
    context: &'a Arc<Context>,
    session: Session,
    vault: String,
    account: Arc<Account>,
    export: ExportOptions,
}

/// Watches until it is told to stop.
///
/// # Errors
/// When vault, account, state or store cannot be used at the start, Telegram wants a login, or what was heard last cannot be stored.
pub async fn run(args: &Args, context: &Arc<Context>) -> Result<Exit, CommandError> {
    let telegram = &args.telegram;
    if telegram.estimate || telegram.till.is_some() {
        return Err(CommandError::usage("watch takes neither --estimate nor --till", "use them with `tgvault backup telegram`"));
    }
    let flush = args.flush.unwrap_or(Pace::default().flush);
    let common = Common {
        host: args.host.clone(),
        tags: Vec::new(),
        force_rehash: false,
        allow_empty: false,
        max_removed: None,
        dry_run: false,
        lanes: None,
    };
    let export = backup::export_options(telegram, &common, context)?;
    let session = context.session(Keys::IfGiven).await?;
    let vault = repository::find(&session.storage).await?.to_string();
    let teller = Arc::new(Teller::of_waits(&context.output));
    let (connection, shared) = (telegram.connection.clone(), context.clone());
    let account = apart(move || connection.open(&shared, teller)).await?;
    let watching = Watch { args: telegram, common, context, session, vault, account: Arc::new(account), export };
    // Before the first backup, so that nothing falls between the two.
    let listener = Listener::start(&watching.account);
    service::notify("STATUS=making a first backup");
    watching.save(None).await?;
    service::notify("READY=1\nSTATUS=watching");
    context.output.say(&format!("watching; what happens is stored within {}. Stop with Ctrl-C", units::duration(flush)));
    let pace = Pace { flush, ..Pace::default() };
    let mut failed = None;
    let ran = watch(&listener, pace, &context.heeded.stop(), async |due| watching.store(due, &mut failed).await, |_| ()).await?;
    service::notify("STOPPING=1");
    if let Some(error) = listener.end() {
        return Err(error.into());
    }
    match (ran, failed) {
        (Ran::Later(_), Some(error)) => Err(error),
        _ => Ok(Exit::Done),
    }
}

impl Watch<'_> {
    /// Stores what is due; says when to try again what cannot be stored now.
    async fn store(&self, due: Due, failed: &mut Option<CommandError>) -> Result<Ran, CommandError> {
        let heard = match due {
            Due::News(heard) => Some(*heard),
            Due::Whole => None,
        };
        match self.save(heard).await {
            Ok(_) => {
                service::notify(&format!("STATUS=watching; last stored at {}", units::time(Timestamp::now())));
                Ok(Ran::Stored)
            }
            Err(error) if ends_watch(&error) => Err(error),
            Err(error) => {
                let after = wait_of(&error);
                if !matches!(error, CommandError::Operation(OperationError::Interrupted)) {
                    self.context.output.warn(&format!("not stored yet, and tried again: {}", error.one_line()));
                }
                service::notify(&format!("STATUS=not stored yet: {}", error.one_line()));
                *failed = Some(error);
                Ok(Ran::Later(after))
            }
        }
    }

    /// Makes one backup, of everything or what was heard, and remembers how it ended.
    async fn save(&self, heard: Option<Heard>) -> Result<Finished, CommandError> {
        let began = Timestamp::now();
        let ended = self.backup(heard).await;
        remembered::note(Task::Telegram(self.args), began, &ended, self.context);
        if let Ok(finished) = &ended
            && finished.deletions.is_some()
        {
            self.tell_deletions(finished).await;
        }
        ended
    }

    /// Sends the alerts that the profile has for many deletions: somebody may be clearing up just now.
    async fn tell_deletions(&self, finished: &Finished) {
        let vault = self.context.vault_label().unwrap_or_default();
        let step = aftermath::step_of(&format!("telegram:{}", self.account.name), &vault, finished.exit, Some(finished));
        let document = send::document(Event::ManyDeleted, finished.exit.code(), vec![step], self.context);
        let mut told = send::send(&document, self.context).await;
        told.extend(send::hooks(&document, self.context).await);
        alert::warn_of(&told, self.context);
    }

    async fn backup(&self, heard: Option<Heard>) -> Result<Finished, CommandError> {
        let (account, export, vault) = (self.account.clone(), self.export.clone(), self.vault.clone());
        let source = apart(move || Ok::<_, CommandError>(TelegramSource::new(account, export, &vault)?)).await?;
        let mut options = backup::options(self.args, &self.export, &self.common, self.context)?;
        let Some(heard) = heard else {
            let source = Arc::new(source);
            let ended = back_up(self.context, self.session.clone(), source.clone(), options).await;
            return backup::conclude(ended, &source, false, self.context);
        };
        let source = Arc::new(source.following(heard));
        options.lanes = 1;
        // It is small, and what was heard is in no other place: the wish to end waits for it.
        let summary = back_up_until(Stop::new(), self.context, self.session.clone(), source.clone(), options).await?;
        if let Some(error) = source.state_error() {
            let text = format!("cannot save the progress of this backup on this machine; the next run repeats some of the work ({error})");
            self.context.output.warn(&text);
        }
        let id = summary.snapshot.map(|id| id.to_string()).unwrap_or_default();
        let counts = &summary.counts;
        self.context.output.say(&format!(
            "saved snapshot {}: {} new or changed, {} stored",
            units::short_id(&id),
            units::counted(counts.new_entries, "entry"),
            units::bytes(counts.stored_bytes)
        ));
        let exit = if counts.problems == 0 { Exit::Done } else { Exit::Incomplete };
        Ok(backup::finished(exit, &summary, &source))
    }
}

/// Whether there is no use in trying again.
fn ends_watch(error: &CommandError) -> bool {
    matches!(error.exit(), Exit::Usage | Exit::NoRepository | Exit::WrongKey | Exit::LoginNeeded | Exit::Integrity | Exit::Untrusted)
}

/// How long Telegram wants to be left alone.
fn wait_of(error: &CommandError) -> Option<Duration> {
    match error {
        CommandError::Telegram(TelegramError::TryLater { seconds, .. })
        | CommandError::Operation(OperationError::Source(SourceError::Telegram {
            source: TelegramError::TryLater { seconds, .. }, ..
        })) => Some(Duration::from_secs(*seconds)),
        _ => None,
    }
}
