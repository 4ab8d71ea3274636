//! `tgvault doctor`: check this machine, the stores, the vaults and the logins before anybody relies on them.

use std::sync::Arc;

use serde::Serialize;

use super::config::sources::SourceProfile;
use super::context::{Context, Keys};
use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;
use super::telegram::apart;
use super::telegram::connection::Connection;
use super::units;
use crate::model::digest::Id;
use crate::operations::doctor::store::{Extent, LARGE_BYTES};
use crate::operations::doctor::{Check, Report, Verdict, machine, store, vault};
use crate::source::telegram::{TelegramError, Unobserved};

const EXAMPLES: &str = "\
Examples:
  tgvault doctor                        # all vaults and logins of the profile
  tgvault --repo s3://bucket/vault doctor
  tgvault doctor --no-speed --no-telegram --json";

/// Options of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Do not send and read an object of 10 MiB
    #[arg(long)]
    pub no_speed: bool,

    /// Do not ask Telegram whether the logins still hold
    #[arg(long)]
    pub no_telegram: bool,

    /// Application and server of the accounts.
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    subject: &'a str,
    check: &'a str,
    verdict: &'static str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    passed: u64,
    warned: u64,
    failed: u64,
    left: &'a [String],
}

/// Tells each check as it is done, and counts them.
pub struct Teller<'a> {
    output: &'a Output,
    subject: String,
    counts: [u64; 3],
    /// Standard output failed.
    failure: Option<CommandError>,
}

impl<'a> Teller<'a> {
    /// Nothing was checked yet.
    pub fn new(output: &'a Output) -> Self {
        Self { output, subject: String::new(), counts: [0; 3], failure: None }
    }

    /// What the next checks are about.
    fn about(&mut self, subject: &str) {
        subject.clone_into(&mut self.subject);
        if !self.output.is_json() {
            self.keep(self.output.line(&units::printable(subject)));
        }
    }

    fn keep(&mut self, told: Result<(), CommandError>) {
        if let Err(error) = told {
            self.failure.get_or_insert(error);
        }
    }
}

impl Report for Teller<'_> {
    fn check(&mut self, check: Check) {
        let (index, verdict) = match check.verdict {
            Verdict::Passed => (0, "passed"),
            Verdict::Warned => (1, "warned"),
            Verdict::Failed => (2, "failed"),
        };
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
        }
        if self.output.is_json() {
            let line =
                Line { message_type: "check", subject: &self.subject, check: check.name, verdict, text: &check.text, hint: check.hint };
            return self.keep(self.output.json(&line));
        }
        let mut text = format!("  {verdict}  {}: {}", check.name, units::printable(&check.text));
        if let Some(hint) = check.hint {
            text += &format!("\n          hint: {hint}");
        }
        self.keep(self.output.line(&text));
    }
}

/// Checks everything; every finding is a line.
///
/// # Errors
/// When this machine's state cannot be opened, or standard output cannot be written.
pub async fn run(args: &Args, contexts: &[Arc<Context>]) -> Result<Exit, CommandError> {
    let Some(first) = contexts.first() else { return Ok(Exit::Done) };
    let output = &first.output;
    let mut teller = Teller::new(output);
    let left = check_all(args, contexts, &mut teller).await?;
    if let Some(error) = teller.failure {
        return Err(error);
    }
    let [passed, warned, failed] = teller.counts;
    for name in &left {
        output.warn(&format!("'{name}' is left in the store, because it cannot be deleted with these credentials; it does no harm"));
    }
    if output.is_json() {
        output.json(&Summary { message_type: "summary", command: "doctor", passed, warned, failed, left: &left })?;
    } else {
        output.summary(&format!("{passed} passed, {warned} warned, {failed} failed"))?;
    }
    Ok(if failed > 0 { Exit::Failed } else { Exit::Done })
}

/// Checks this machine, then each vault, then the logins; gives what is left in the stores.
pub async fn check_all(args: &Args, contexts: &[Arc<Context>], teller: &mut Teller<'_>) -> Result<Vec<String>, CommandError> {
    let Some(first) = contexts.first() else { return Ok(Vec::new()) };
    teller.about("this machine");
    machine::machine(&first.state()?, teller);
    let mut left = Vec::new();
    for context in contexts {
        let Some(label) = context.vault_label() else { continue };
        teller.about(&format!("vault {label}"));
        match context.session(Keys::IfGiven).await {
            Err(error) => {
                let text = error.one_line();
                let check = Check::failed("settings", text, Some("see `tgvault config check` and `tgvault config show`"));
                teller.check(check);
            }
            Ok(session) => {
                left.extend(store::store(&session.storage, extent(args)?, teller).await);
                vault::vault(&session, teller).await;
            }
        }
    }
    if !args.no_telegram {
        logins(args, first, teller).await;
    }
    Ok(left)
}

fn extent(args: &Args) -> Result<Extent, CommandError> {
    let failed = |error: getrandom::Error| CommandError::System { what: "cannot get random numbers from the system", source: error.into() };
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(failed)?;
    if args.no_speed {
        return Ok(Extent { id: Id(id), large: None });
    }
    let mut large = vec![0; LARGE_BYTES];
    getrandom::fill(&mut large).map_err(failed)?;
    Ok(Extent { id: Id(id), large: Some(large.into()) })
}

/// Asks Telegram whether each login of this machine still holds.
async fn logins(args: &Args, context: &Arc<Context>, teller: &mut Teller<'_>) {
    let (connection, shared) = (args.connection.clone(), context.clone());
    let names = apart(move || {
        let accounts = connection.accounts(&shared)?;
        accounts.names().map_err(|source| CommandError::System { what: "cannot list the accounts", source })
    })
    .await;
    let names = match names {
        Ok(names) => names,
        Err(error) => {
            teller.about("logins");
            teller.check(Check::failed("login", error.one_line(), Some("see `tgvault accounts`")));
            return;
        }
    };
    let wanted = &context.settings.sources;
    let wanted = wanted.iter().filter_map(|source| match source {
        SourceProfile::Telegram(entry) => Some(entry.account.clone()),
        _ => None,
    });
    let all: std::collections::BTreeSet<String> = names.into_iter().chain(wanted).collect();
    for name in all {
        teller.about(&format!("telegram:{name}"));
        let connection = Connection { account: Some(name), ..args.connection.clone() };
        let shared = context.clone();
        let checked = apart(move || {
            connection.open(&shared, Arc::new(Unobserved))?.check()?;
            Ok::<_, CommandError>(())
        })
        .await;
        teller.check(match checked {
            Ok(()) => Check::passed("login", "Telegram accepts it"),
            Err(error @ CommandError::Telegram(TelegramError::LoginNeeded { .. })) => {
                Check::failed("login", error.one_line(), Some("log in with `tgvault login`"))
            }
            Err(error) => Check::failed("login", error.one_line(), Some("check the network; see `tgvault accounts`")),
        });
    }
}
