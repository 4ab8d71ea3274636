//! Which account, which application, which server, and the key of the logins.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::{proxy, words};
use crate::commands::context::Context;
use crate::commands::error::CommandError;
use crate::commands::secrets;
use crate::crypt::CryptError;
use crate::operations::accounts::{accounts, login_key};
use crate::source::telegram::{
    Account, Accounts, Application, ConnectOptions, CustomServer, Device, Observer, Pace, ServerKey, TelegramError, TimeLimits,
};
use crate::state::{MachineKey, StateError};

/// The account that a first login makes.
pub const FIRST_ACCOUNT: &str = crate::model::account::DEFAULT_ACCOUNT;

/// The variable with the application's secret: not a key to any account, and still nothing for a command line.
const API_HASH: &str = "TGVAULT_API_HASH";

/// Telegram's clients begin with this data centre, and a server of one's own usually has this number.
const USUAL_DC: i32 = 2;

/// Longer FLOOD_WAITs end the run, which goes on where it was when it is started again.
const MAX_WAIT: Duration = Duration::from_secs(15 * 60);

/// Options of all commands that act for an account.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Connection {
    /// The account, if this machine is logged in to several
    #[arg(help_heading = "Account", long, value_name = "NAME", env = "TGVAULT_ACCOUNT")]
    pub account: Option<String>,

    /// How fast to send requests: gentle, normal or fast (see docs/guide/telegram.md)
    #[arg(help_heading = "Server", long, value_name = "PACE", env = "TGVAULT_PACE", value_parser = words::pace)]
    pub pace: Option<Pace>,

    /// Connect through socks5://USER@HOST:PORT or http://… (or TGVAULT_PROXY, which also takes tg://proxy links)
    #[arg(help_heading = "Server", hide_short_help = true, long, value_name = "URL")]
    pub proxy: Option<String>,

    /// Read the proxy's password from the first line of this file
    #[arg(help_heading = "Server", hide_short_help = true, long, value_name = "FILE", env = "TGVAULT_PROXY_PASSWORD_FILE")]
    pub proxy_password_file: Option<PathBuf>,

    /// Your api_id from my.telegram.org; put the api_hash into TGVAULT_API_HASH or the profile
    #[arg(help_heading = "Account", hide_short_help = true, long, value_name = "NUMBER", env = "TGVAULT_API_ID")]
    pub api_id: Option<i32>,

    /// Read your api_hash from the first line of this file
    #[arg(help_heading = "Account", hide_short_help = true, long, value_name = "FILE", env = "TGVAULT_API_HASH_FILE")]
    pub api_hash_file: Option<PathBuf>,

    /// Connect to this server instead of Telegram's
    #[arg(help_heading = "Server", hide_short_help = true, long, value_name = "HOST:PORT", env = "TGVAULT_TELEGRAM_SERVER")]
    pub telegram_server: Option<String>,

    /// The public RSA key of that server (PEM file)
    #[arg(help_heading = "Server", hide_short_help = true, long, value_name = "FILE", env = "TGVAULT_TELEGRAM_SERVER_KEY")]
    pub telegram_server_key: Option<PathBuf>,

    /// The data centre number of that server [default: 2]
    #[arg(help_heading = "Server", hide_short_help = true, long, value_name = "NUMBER", env = "TGVAULT_TELEGRAM_SERVER_DC")]
    pub telegram_server_dc: Option<i32>,

    /// Read the login passphrase, if you set one, from the first line of this file
    #[arg(help_heading = "Account", hide_short_help = true, long, value_name = "FILE", env = "TGVAULT_SESSION_PASSPHRASE_FILE")]
    pub session_passphrase_file: Option<PathBuf>,

    /// Read the login passphrase from this shell command (first line)
    #[arg(help_heading = "Account", hide_short_help = true, long, value_name = "COMMAND", env = "TGVAULT_SESSION_PASSPHRASE_COMMAND")]
    pub session_passphrase_command: Option<OsString>,
}

impl Connection {
    /// The accounts of this machine; the passphrase of the logins is asked for where they have one.
    ///
    /// # Errors
    /// When the state cannot be opened, or the passphrase is not to be had or wrong.
    pub fn accounts(&self, context: &Context) -> Result<Accounts, CommandError> {
        let state = context.state()?;
        let own = login_key(&state);
        let key = if own.exists()? { Some(own.open(&self.session_passphrase(context, false)?).map_err(of_passphrase)?) } else { None };
        Ok(accounts(&state, key))
    }

    /// The same, with a passphrase for the logins from now on.
    ///
    /// # Errors
    /// When there are logins already that have none; otherwise as [`Self::accounts`].
    pub fn protect(&self, context: &Context) -> Result<Accounts, CommandError> {
        let state = context.state()?;
        let own = login_key(&state);
        if own.exists()? {
            return self.accounts(context);
        }
        let names = accounts(&state, None).names().map_err(|source| CommandError::file("read", state.path(), source))?;
        if !names.is_empty() {
            return Err(CommandError::usage(
                "this machine already has logins without a passphrase",
                "end them with `tgvault logout` first; all logins on a machine share one passphrase, or have none",
            ));
        }
        let key: MachineKey = own.create(&self.session_passphrase(context, true)?)?;
        Ok(accounts(&state, Some(key)))
    }

    fn session_passphrase(&self, context: &Context, is_new: bool) -> Result<SecretString, CommandError> {
        let profile = &context.settings.telegram;
        let file = self.session_passphrase_file.clone().or_else(|| profile.session_passphrase_file.clone());
        let command = self.session_passphrase_command.clone().or_else(|| profile.session_passphrase_command.clone().map(OsString::from));
        if let Some(file) = file {
            return Ok(secrets::passphrase_file(&file, &mut |text| context.output.warn(&text))?);
        }
        if let Some(command) = command {
            return Ok(secrets::passphrase_command(&command)?);
        }
        if !secrets::can_ask() {
            return Err(CommandError::NoLoginPassphrase);
        }
        let passphrase = secrets::ask("Login passphrase: ")?;
        if is_new {
            secrets::ask_again(&passphrase)?;
        }
        Ok(passphrase)
    }

    /// The account that is meant.
    ///
    /// # Errors
    /// When none is named and there is not exactly one.
    pub fn account_name(&self, accounts: &Accounts, context: &Context) -> Result<String, CommandError> {
        if let Some(name) = self.account.clone().or_else(|| context.settings.telegram.account.clone()) {
            return Ok(name);
        }
        let names = accounts.names().map_err(|source| CommandError::System { what: "the accounts cannot be listed", source })?;
        match names.as_slice() {
            [] => Err(TelegramError::LoginNeeded { account: FIRST_ACCOUNT.into(), why: "there is no login on this machine".into() }.into()),
            [only] => Ok(only.clone()),
            _ => Err(CommandError::usage(
                format!("there are several accounts on this machine: {}", names.join(", ")),
                "name one with --account NAME, TGVAULT_ACCOUNT, or `account` in the profile's [telegram]",
            )),
        }
    }

    /// The account that is meant, as far as that can be told without the logins' key: the first login's name where there is none yet.
    pub fn likely_account(&self, context: &Context) -> String {
        let named = self.account.clone().or_else(|| context.settings.telegram.account.clone());
        let only = || {
            let names = accounts(&context.state().ok()?, None).names().ok()?;
            match names.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            }
        };
        named.or_else(only).unwrap_or_else(|| FIRST_ACCOUNT.to_owned())
    }

    /// Opens the account that is meant, without sending anything.
    ///
    /// # Errors
    /// When there is no such login, or it cannot be opened.
    pub fn open(&self, context: &Context, observer: Arc<dyn Observer>) -> Result<Account, CommandError> {
        let accounts = self.accounts(context)?;
        let name = self.account_name(&accounts, context)?;
        Ok(accounts.open(&name, &self.options(context, observer)?)?)
    }

    /// How to act for the account.
    ///
    /// # Errors
    /// When the server's address or key cannot be used.
    pub fn options(&self, context: &Context, observer: Arc<dyn Observer>) -> Result<ConnectOptions, CommandError> {
        let profile = &context.settings.telegram;
        let proxy = proxy::proxy(self.proxy.as_deref(), self.proxy_password_file.as_ref(), context)?;
        Ok(ConnectOptions {
            api_id: self.api_id.or(profile.api_id).unwrap_or_default(),
            server: self.server(context, proxy.is_some())?,
            proxy,
            device: Device::default(),
            pace: self.pace.or(profile.pace).unwrap_or_default(),
            limits: TimeLimits::default(),
            max_wait: MAX_WAIT,
            observer,
        })
    }

    /// The application that logs in.
    ///
    /// # Errors
    /// When its number or its secret is missing.
    pub fn application(&self, context: &Context) -> Result<Application, CommandError> {
        const HINT: &str = "make an application of your own at https://my.telegram.org (API development tools), and give its api_id with \
                            --api-id or TGVAULT_API_ID, its api_hash with TGVAULT_API_HASH, --api-hash-file or the profile's [telegram]";
        let profile = &context.settings.telegram;
        let missing = |what: &str| CommandError::usage(format!("Telegram wants to know the application: its {what} is not given"), HINT);
        let api_id = self.api_id.or(profile.api_id).ok_or_else(|| missing("api_id"))?;
        let file = self.api_hash_file.clone().or_else(|| profile.api_hash_file.clone());
        let api_hash = match (std::env::var(API_HASH), file, &profile.api_hash) {
            (Ok(hash), _, _) if !hash.is_empty() => SecretString::from(hash),
            (_, Some(file), _) => secrets::file_line("api_hash", &file, &mut |text| context.output.warn(&text))?,
            (_, None, Some(hash)) => SecretString::from(hash.0.as_str()),
            _ => return Err(missing("api_hash")),
        };
        Ok(Application { api_id, api_hash })
    }

    /// The server that is named, if it is not Telegram. Its name is looked up only where that does not go around a proxy.
    fn server(&self, context: &Context, is_proxied: bool) -> Result<Option<CustomServer>, CommandError> {
        let profile = &context.settings.telegram;
        let address = self.telegram_server.as_ref().or(profile.server.as_ref());
        let key = self.telegram_server_key.as_ref().or(profile.server_key.as_ref());
        let (address, key) = match (address, key) {
            (None, None) => return Ok(None),
            (Some(address), Some(key)) => (address, key),
            (Some(_), None) => {
                let hint = "give the server's public RSA key, a PEM file: --telegram-server-key FILE";
                return Err(CommandError::usage("a Telegram server is named without its key", hint));
            }
            (None, Some(_)) => {
                let hint = "give the server's address: --telegram-server HOST:PORT";
                return Err(CommandError::usage("the key of a Telegram server is named without the server", hint));
            }
        };
        let key_pem = std::fs::read_to_string(key).map_err(|source| CommandError::file("read", key, source))?;
        ServerKey::from_pem(&key_pem).map_err(|error| CommandError::Usage {
            what: format!("{} is no public RSA key: {error}", crate::commands::units::printable(&key.to_string_lossy())),
            hint: Some("it is a PEM file with RSA PUBLIC KEY (PKCS#1) or PUBLIC KEY (SPKI)".into()),
        })?;
        if is_proxied && address.parse::<SocketAddr>().is_err() {
            let what = "the Telegram server is given by name, and looking it up would not go through the proxy";
            return Err(CommandError::usage(what, "give its IP address and port: --telegram-server ADDRESS:PORT"));
        }
        let dc = self.telegram_server_dc.or(profile.server_dc).unwrap_or(USUAL_DC);
        Ok(Some(CustomServer { address: resolve(address)?, dc, key_pem }))
    }
}

/// A key that only the passphrase opens did not open: that is what was wrong, and nothing of the state.
fn of_passphrase(error: StateError) -> CommandError {
    match error {
        StateError::Sealed { source: CryptError::WrongKey, .. } => CommandError::LoginPassphrase,
        error => error.into(),
    }
}

fn resolve(text: &str) -> Result<SocketAddr, CommandError> {
    let hint = "write HOST:PORT, as in 149.154.167.40:443";
    let unusable = |why: String| {
        CommandError::usage(format!("'{}' cannot be used as a server's address: {why}", crate::commands::units::printable(text)), hint)
    };
    let mut found = text.to_socket_addrs().map_err(|error| unusable(error.to_string()))?;
    found.next().ok_or_else(|| unusable("the name has no address".into()))
}
