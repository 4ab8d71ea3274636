//! `tgvault logout`: end a login, at Telegram too.

use std::sync::Arc;

use serde::Serialize;

use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use super::telegram::apart;
use super::telegram::connection::Connection;
use super::telegram::observer::Teller;

const EXAMPLES: &str = "\
Examples:
  tgvault logout
  tgvault logout --account work";

/// Options of `logout`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Which account.
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    account: &'a str,
}

/// Logs out.
///
/// # Errors
/// When there is no such account, or Telegram cannot be reached: then the login stays.
pub async fn run(args: &Args, context: &Arc<Context>) -> Result<Exit, CommandError> {
    let (connection, shared) = (args.connection.clone(), context.clone());
    let name = apart(move || {
        let accounts = connection.accounts(&shared)?;
        let name = connection.account_name(&accounts, &shared)?;
        accounts.logout(&name, &connection.options(&shared, Arc::new(Teller::of_waits(&shared.output)))?)?;
        Ok::<_, CommandError>(name)
    })
    .await?;
    let output = &context.output;
    if output.is_json() {
        output.json(&Summary { message_type: "summary", command: "logout", account: &name })?;
    } else {
        output.line(&format!("logged out of account '{name}': its session has ended and its login was removed from this machine"))?;
    }
    Ok(Exit::Done)
}
