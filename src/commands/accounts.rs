//! `tgvault accounts`: which Telegram accounts this machine is logged in to.

use std::sync::Arc;

use serde::Serialize;

use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use super::telegram::connection::Connection;
use super::units;
use crate::source::telegram::Unobserved;

const EXAMPLES: &str = "\
Examples:
  tgvault accounts
  tgvault accounts --json";

/// Options of `accounts`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How the logins are opened.
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Serialize)]
struct Line<'a> {
    message_type: &'static str,
    account: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bot: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Lists the accounts. Telegram is not asked.
///
/// # Errors
/// When the folder of the logins cannot be read.
pub async fn run(args: &Args, context: &Arc<Context>) -> Result<Exit, CommandError> {
    let accounts = args.connection.accounts(context)?;
    let options = args.connection.options(context, Arc::new(Unobserved))?;
    let names = accounts.names().map_err(|source| CommandError::System { what: "cannot list the accounts", source })?;
    let output = &context.output;
    let mut rows = vec![["ACCOUNT", "ID", "KIND"].map(str::to_owned)];
    let mut exit = Exit::Done;
    for name in &names {
        let opened = accounts.open(name, &options);
        let (user, problem) = match &opened {
            Ok(account) => (Some(account.user()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        if let Some(problem) = &problem {
            exit = Exit::Incomplete;
            output.warn(problem);
        }
        if output.is_json() {
            let (user_id, bot) = (user.map(|user| user.user_id), user.map(|user| user.bot));
            output.json(&Line { message_type: "account", account: name, user_id, bot, problem })?;
        } else if let Some(user) = user {
            rows.push([units::printable(name), user.user_id.to_string(), if user.bot { "bot" } else { "user" }.to_owned()]);
        }
    }
    if !output.is_json() && rows.len() > 1 {
        output.text(&units::columns(&rows, &[1]))?;
    }
    if names.is_empty() {
        output.say("this machine is not logged in to any account; run `tgvault login`");
    }
    Ok(exit)
}
