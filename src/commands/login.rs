//! `tgvault login`: let this machine act for a Telegram account.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::config::profile::MachineKey;
use super::context::Context;
use super::error::CommandError;
use super::exit::Exit;
use super::secrets;
use super::telegram::apart;
use super::telegram::connection::{Connection, FIRST_ACCOUNT};
use super::telegram::observer::Teller;
use super::telegram::prompts::{Answers, Prompts};
use crate::operations::accounts::login_key;
use crate::source::telegram::{LoginWay, SessionString, SessionStringError};

const EXAMPLES: &str = "\
Examples:
  tgvault login                            # asks for phone number, code, password
  tgvault login --qr --account work        # scan a QR code with your phone
  tgvault login --phone +441234567890 --password-command 'pass telegram'
  tgvault login --bot --account robot --token-file ~/token
  tgvault login --from-session-string --session-string-file ~/session";

/// Options of `login`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Phone number in international format; asked for if not given
    #[arg(long, value_name = "NUMBER")]
    pub phone: Option<String>,

    /// Log in by scanning a QR code with a phone
    #[arg(long, conflicts_with_all = ["phone", "bot"])]
    pub qr: bool,

    /// Log in as a bot; the token is read from standard input unless a file or command is given
    #[arg(long, conflicts_with = "phone")]
    pub bot: bool,

    /// Read the login code from this shell command (first line)
    #[arg(long, value_name = "COMMAND")]
    pub code_command: Option<OsString>,

    /// Read the two-step verification password from this shell command (first line)
    #[arg(long, value_name = "COMMAND", conflicts_with = "password_file")]
    pub password_command: Option<OsString>,

    /// Read the two-step verification password from the first line of this file
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Read the bot token from this shell command (first line)
    #[arg(long, value_name = "COMMAND", requires = "bot", conflicts_with = "token_file")]
    pub token_command: Option<OsString>,

    /// Read the bot token from the first line of this file
    #[arg(long, value_name = "FILE", requires = "bot")]
    pub token_file: Option<PathBuf>,

    /// Protect the logins on this machine with a passphrase that every backup then needs
    #[arg(long)]
    pub session_passphrase: bool,

    /// Take over a session of Telethon or Pyrogram; its string is read from standard input unless a file or command is given
    #[arg(long, conflicts_with_all = ["phone", "qr", "bot"])]
    pub from_session_string: bool,

    /// Read the session string from the first line of this file
    #[arg(long, value_name = "FILE", requires = "from_session_string", hide_short_help = true)]
    pub session_string_file: Option<PathBuf>,

    /// Read the session string from this shell command (first line)
    #[arg(long, value_name = "COMMAND", requires = "from_session_string", conflicts_with = "session_string_file", hide_short_help = true)]
    pub session_string_command: Option<OsString>,

    /// Which account, application and server.
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    account: &'a str,
    user_id: i64,
    bot: bool,
}

/// Logs in.
///
/// # Errors
/// When something is not given, or Telegram refuses.
pub async fn run(args: &Args, context: &Arc<Context>) -> Result<Exit, CommandError> {
    let (args, shared) = (args.clone(), context.clone());
    let account = apart(move || log_in(&args, &shared)).await?;
    let (output, user) = (&context.output, account.user());
    let name = account.name();
    if output.is_json() {
        // The summary is the last line.
        output.say(&what_a_thief_gets(context)?);
        output.json(&Summary { message_type: "summary", command: "login", account: name, user_id: user.user_id, bot: user.bot })?;
    } else {
        let kind = if user.bot { "bot" } else { "user" };
        output.line(&format!("logged in: account '{name}' is {kind} {}", user.user_id))?;
        output.say(&what_a_thief_gets(context)?);
    }
    Ok(Exit::Done)
}

fn log_in(args: &Args, context: &Context) -> Result<crate::source::telegram::Account, CommandError> {
    let connection = &args.connection;
    if args.from_session_string {
        return take_over(args, context);
    }
    // What is missing is reported before anybody types anything.
    let application = connection.application(context)?;
    let options = connection.options(context, Arc::new(Teller::of_waits(&context.output)))?;
    let accounts = if args.session_passphrase { connection.protect(context)? } else { connection.accounts(context)? };
    let name = name(args, context);
    let way = if args.bot {
        LoginWay::Bot(token(args, context)?)
    } else if args.qr {
        LoginWay::Qr
    } else {
        if args.phone.is_none() && !secrets::can_ask() {
            return Err(CommandError::usage(
                "no phone number was given, and there is no terminal to ask on",
                "use --phone NUMBER with the code and password on standard input or from commands, or use --qr or --bot",
            ));
        }
        LoginWay::Phone(args.phone.clone())
    };
    let answers = Answers {
        code_command: args.code_command.clone(),
        password_command: args.password_command.clone(),
        password_file: args.password_file.clone(),
    };
    Ok(accounts.login(&name, way, &application, &options, &mut Prompts::new(&context.output, answers))?)
}

fn name(args: &Args, context: &Context) -> String {
    let named = args.connection.account.clone().or_else(|| context.settings.telegram.account.clone());
    named.unwrap_or_else(|| FIRST_ACCOUNT.to_owned())
}

/// Takes over a session that another program logged in.
fn take_over(args: &Args, context: &Context) -> Result<crate::source::telegram::Account, CommandError> {
    let connection = &args.connection;
    let options = connection.options(context, Arc::new(Teller::of_waits(&context.output)))?;
    let accounts = if args.session_passphrase { connection.protect(context)? } else { connection.accounts(context)? };
    const WHAT: &str = "session string";
    let text = match (&args.session_string_command, &args.session_string_file) {
        (Some(command), _) => secrets::command_line(WHAT, command)?,
        (None, Some(file)) => secrets::file_line(WHAT, file, &mut |text| context.output.warn(&text))?,
        (None, None) if secrets::can_ask() => secrets::ask("Session string: ")?,
        (None, None) => secrets::input_line(WHAT)?,
    };
    let string = SessionString::parse(text.expose_secret()).map_err(|error| {
        let hint = match error {
            SessionStringError::BotToken => "log a bot in with `tgvault login --bot`",
            _ => "print it with Telethon's `StringSession.save()` or Pyrogram's `export_session_string()`, and give the whole line",
        };
        CommandError::usage(error.to_string(), hint)
    })?;
    // A session belongs to no secret of an application: its number is all that Telegram asks for.
    let api_id = Some(options.api_id).filter(|&id| id != 0).or(string.api_id);
    let api_id = api_id.ok_or_else(|| {
        CommandError::usage(
            "Telegram requires an api_id, and this session string does not contain one",
            "give the api_id that the session was made with: --api-id, TGVAULT_API_ID or the profile's [telegram]",
        )
    })?;
    Ok(accounts.import(&name(args, context), &string, api_id, &options)?)
}

fn token(args: &Args, context: &Context) -> Result<SecretString, CommandError> {
    Ok(match (&args.token_command, &args.token_file) {
        (Some(command), _) => secrets::command_line("token", command)?,
        (None, Some(file)) => secrets::file_line("token", file, &mut |text| context.output.warn(&text))?,
        (None, None) if secrets::can_ask() => secrets::ask("Bot token: ")?,
        (None, None) => secrets::input_line("token")?,
    })
}

/// What the login means for this machine.
fn what_a_thief_gets(context: &Context) -> Result<String, CommandError> {
    let state = context.state()?;
    let by = if login_key(&state).exists()? {
        "a passphrase: without it, nobody who steals this machine can use the account".to_owned()
    } else {
        let key = match context.settings.machine_key.value {
            MachineKey::File => "a key file next to it",
            MachineKey::Keyring => "a key in the system keyring",
        };
        format!(
            "{key}: anyone who gets this machine and that key can use the account, \
             until you end the session (`tgvault logout`, or in Telegram: Settings > Devices)"
        )
    };
    Ok(format!("the login is stored in {}, encrypted with {by}", state.path().join("telegram").display()))
}
