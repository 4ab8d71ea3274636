//! Logging in: by phone code, by QR code, as a bot; with the second password where there is one.

mod password;
mod phone;
mod qr;

use std::io;

use grammers_tl_types::{RemoteCall, enums, functions, types};
use secrecy::{ExposeSecret, SecretString};

use super::session::{LoggedIn, SessionStore};
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::wire::{CallError, CallOptions, Client};

/// The application's own credentials, from my.telegram.org.
pub struct Application {
    /// Its number.
    pub api_id: i32,
    /// Its secret.
    pub api_hash: SecretString,
}

/// How to log in.
pub enum LoginWay {
    /// By a code that Telegram sends; the number in international form, asked for when it is `None`.
    Phone(Option<String>),
    /// By a QR code that another device of the account scans.
    Qr,
    /// As a bot, with the token from BotFather.
    Bot(SecretString),
}

/// Asks the person, or whatever stands in for one; the only way in which logging in meets a terminal.
pub trait LoginPrompts: Send {
    /// Asks for the phone number.
    ///
    /// # Errors
    /// When no answer can be had; the login ends.
    fn phone(&mut self) -> io::Result<String>;

    /// Asks for the code; `how` says where it was sent.
    ///
    /// # Errors
    /// As above.
    fn code(&mut self, how: &str) -> io::Result<SecretString>;

    /// Asks for the second password, with the hint that the person left for it.
    ///
    /// # Errors
    /// As above.
    fn password(&mut self, hint: Option<&str>) -> io::Result<SecretString>;

    /// Shows a link as a QR code; called again with a new one every half minute until it is scanned.
    ///
    /// # Errors
    /// As above.
    fn show_qr(&mut self, link: &str) -> io::Result<()>;

    /// Says something.
    fn say(&mut self, text: &str);
}

/// How often a wrong code or password may be corrected.
const TRIES: usize = 3;

/// How often a step is taken again whose connection was lost before its answer came.
const LOST: usize = 5;

/// Everything that the steps of a login share.
struct Login<'a> {
    client: &'a Client,
    session: &'a SessionStore,
    application: &'a Application,
    prompts: &'a mut dyn LoginPrompts,
}

/// Logs in and stores who it is in the session.
pub(super) async fn log_in(
    client: &Client,
    session: &SessionStore,
    application: &Application,
    way: LoginWay,
    prompts: &mut dyn LoginPrompts,
) -> Result<LoggedIn, TelegramError> {
    let mut login = Login { client, session, application, prompts };
    let authorization = match way {
        LoginWay::Phone(number) => login.by_phone(number).await?,
        LoginWay::Qr => login.by_qr().await?,
        LoginWay::Bot(token) => login.as_bot(&token).await?,
    };
    let enums::auth::Authorization::Authorization(authorization) = authorization else {
        return Err(TelegramError::Login("there is no Telegram account with this number".into()));
    };
    let enums::User::User(user) = authorization.user else {
        return Err(TelegramError::Login("Telegram does not say who is logged in".into()));
    };
    let user = LoggedIn { user_id: user.id, bot: user.bot };
    let stored = user.clone();
    session.change(|session| session.user = Some(stored)).map_err(|source| failed("saving the login", CallError::Io(source)))?;
    Ok(user)
}

fn failed(what: &str, error: CallError) -> TelegramError {
    match error.rpc() {
        Some(rpc) if ["API_ID_INVALID", "API_ID_PUBLISHED_FLOOD", "CONNECTION_API_ID_INVALID"].contains(&rpc.name.as_str()) => {
            TelegramError::Login("Telegram does not accept the api_id and api_hash: get your own at https://my.telegram.org/apps".into())
        }
        Some(rpc) if rpc.is("PHONE_NUMBER_INVALID") => {
            TelegramError::Login("this is not a phone number in international form (+44…)".into())
        }
        Some(rpc) if rpc.is("PHONE_NUMBER_BANNED") => TelegramError::Login("Telegram has banned this phone number".into()),
        Some(rpc) if rpc.is("PHONE_PASSWORD_FLOOD") || rpc.is("PHONE_NUMBER_FLOOD") => {
            TelegramError::Login("too many attempts with this number; Telegram asks to try again later, perhaps tomorrow".into())
        }
        Some(rpc) if rpc.is("UPDATE_APP_TO_LOGIN") => {
            TelegramError::Login("Telegram lets only newer apps log in this way: try `tgvault login --qr`, or a newer tgvault".into())
        }
        Some(rpc) if rpc.is("ACCESS_TOKEN_INVALID") || rpc.is("ACCESS_TOKEN_EXPIRED") => {
            TelegramError::Login("Telegram does not accept the bot's token".into())
        }
        Some(rpc) if rpc.code == 420 => TelegramError::TryLater { what: what.to_owned(), seconds: rpc.value.unwrap_or_default().into() },
        _ if error.is_wrong_server() => TelegramError::WrongServer { what: format!("{what} failed"), source: error },
        _ => TelegramError::Call { what: format!("{what} failed"), source: error },
    }
}

fn no_answer(error: io::Error) -> TelegramError {
    TelegramError::Login(format!("no answer to the question: {error}"))
}

/// The same after a first answer that was wrong: that is what went wrong, not that there was no second.
fn no_better_answer(what: &str, error: io::Error) -> TelegramError {
    if error.kind() == io::ErrorKind::Interrupted {
        no_answer(error)
    } else {
        TelegramError::Login(format!("the {what} is wrong, and no other was given"))
    }
}

/// How far a login had come.
enum Taken {
    No,
    Password,
    Whole(Box<enums::auth::Authorization>),
}

impl Login<'_> {
    /// Takes a step that is better not taken twice: again only when its connection was lost. Says also whether it was, since then an
    /// earlier attempt may have arrived.
    async fn step<R: RemoteCall>(&self, request: &R) -> (Result<R::Return, CallError>, bool) {
        let mut lost = 0;
        loop {
            match self.client.call_with(request, CallOptions::ONCE).await {
                Err(error) if error.is_lost() && lost < LOST => {
                    tracing::debug!(%error, "the connection was lost; the step is taken again");
                    lost += 1;
                }
                result => return (result.map(|(answer, _)| answer), lost > 0),
            }
        }
    }

    /// What there is to a login whose last step was taken and its answer lost: the login itself, or the question for the password.
    async fn taken_already(&self) -> Taken {
        let users = match self.client.call(&functions::users::GetUsers { id: vec![enums::InputUser::UserSelf] }).await {
            Ok(users) => users,
            Err(error) if error.is_any(&["SESSION_PASSWORD_NEEDED"]) => return Taken::Password,
            Err(_) => return Taken::No,
        };
        let Some(user) = users.into_iter().find(|user| matches!(user, enums::User::User(_))) else { return Taken::No };
        let authorization = types::auth::Authorization {
            setup_password_required: false,
            otherwise_relogin_days: None,
            tmp_sessions: None,
            future_auth_token: None,
            user,
        };
        Taken::Whole(Box::new(authorization.into()))
    }

    async fn as_bot(&mut self, token: &SecretString) -> Result<enums::auth::Authorization, TelegramError> {
        let request = functions::auth::ImportBotAuthorization {
            flags: 0,
            api_id: self.application.api_id,
            api_hash: self.application.api_hash.expose_secret().to_owned(),
            bot_auth_token: token.expose_secret().to_owned(),
        };
        self.client.call(&request).await.map_err(|error| failed("logging in", error))
    }
}
