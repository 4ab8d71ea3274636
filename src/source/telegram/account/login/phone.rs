//! Login by a code that Telegram sends to the account's other devices, or by SMS or call.

use grammers_tl_types::{enums, functions, types};
use secrecy::ExposeSecret;

use super::{Login, TRIES, Taken, failed, no_answer, no_better_answer};
use crate::source::telegram::error::TelegramError;

impl Login<'_> {
    pub(super) async fn by_phone(&mut self, number: Option<String>) -> Result<enums::auth::Authorization, TelegramError> {
        let number = match number {
            Some(number) => number,
            None => self.prompts.phone().map_err(no_answer)?,
        };
        let number: String = number.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
        let settings = types::CodeSettings {
            allow_flashcall: false,
            current_number: false,
            allow_app_hash: false,
            allow_missed_call: false,
            allow_firebase: false,
            unknown_number: false,
            logout_tokens: None,
            token: None,
            app_sandbox: None,
        };
        let request = functions::auth::SendCode {
            phone_number: number.clone(),
            api_id: self.application.api_id,
            api_hash: self.application.api_hash.expose_secret().to_owned(),
            settings: settings.into(),
        };
        let mut restarted = false;
        for _ in 0..TRIES {
            let sent = match self.step(&request).await.0 {
                Ok(enums::auth::SentCode::Code(sent)) => sent,
                Ok(enums::auth::SentCode::Success(success)) => return Ok(success.authorization),
                Ok(enums::auth::SentCode::PaymentRequired(_)) => {
                    let what = "Telegram wants a payment for sending a code to this number: log in by QR code instead";
                    return Err(TelegramError::Login(what.into()));
                }
                Err(error) if error.is_any(&["SESSION_PASSWORD_NEEDED"]) => return self.password().await,
                // Telegram's word for: once more from the beginning.
                Err(error) if error.is_any(&["AUTH_RESTART"]) && !std::mem::replace(&mut restarted, true) => continue,
                Err(error) => return Err(failed("asking for a code", error)),
            };
            if let Some(authorization) = self.redeem(&number, &sent).await? {
                return Ok(authorization);
            }
            self.prompts.say("The code has expired; Telegram is sending a new one.");
        }
        Err(TelegramError::Login("the codes expired".into()))
    }

    /// Asks for the code until it is right; `None` when it expired.
    async fn redeem(&mut self, number: &str, sent: &types::auth::SentCode) -> Result<Option<enums::auth::Authorization>, TelegramError> {
        if let enums::auth::SentCodeType::SetUpEmailRequired(_) = sent.r#type {
            let what =
                "Telegram sends no code before the account has an e-mail address for logins: set one up in an app, or log in by QR code";
            return Err(TelegramError::Login(what.into()));
        }
        let how = where_sent(&sent.r#type);
        let mut wrong = false;
        for _ in 0..TRIES {
            let answer = self.prompts.code(&how);
            let code = answer.map_err(|error| if wrong { no_better_answer("code", error) } else { no_answer(error) })?;
            let request = functions::auth::SignIn {
                phone_number: number.to_owned(),
                phone_code_hash: sent.phone_code_hash.clone(),
                phone_code: Some(code.expose_secret().trim().to_owned()),
                email_verification: None,
            };
            let (result, lost) = self.step(&request).await;
            match result {
                Ok(authorization) => return Ok(Some(authorization)),
                Err(error) if error.is_any(&["SESSION_PASSWORD_NEEDED"]) => return self.password().await.map(Some),
                Err(error) if lost && error.rpc().is_some() => {
                    return match self.taken_already().await {
                        Taken::Whole(authorization) => Ok(Some(*authorization)),
                        Taken::Password => self.password().await.map(Some),
                        Taken::No => Err(failed("logging in", error)),
                    };
                }
                Err(error) if error.is_any(&["PHONE_CODE_INVALID", "PHONE_CODE_EMPTY"]) => {
                    self.prompts.say("That code is wrong.");
                    wrong = true;
                }
                Err(error) if error.is_any(&["PHONE_CODE_EXPIRED"]) => return Ok(None),
                Err(error) => return Err(failed("logging in", error)),
            }
        }
        Err(TelegramError::Login("the code was wrong".into()))
    }
}

/// Says where the code went.
fn where_sent(kind: &enums::auth::SentCodeType) -> String {
    use enums::auth::SentCodeType as Kind;
    match kind {
        Kind::App(_) => "the Telegram app on another device".into(),
        Kind::Sms(_) | Kind::FirebaseSms(_) => "an SMS".into(),
        Kind::SmsWord(_) => "an SMS with a word".into(),
        Kind::SmsPhrase(_) => "an SMS with a phrase".into(),
        Kind::Call(_) => "a call".into(),
        Kind::FlashCall(_) => "a call that hangs up: the caller's number is the code".into(),
        Kind::MissedCall(call) => format!("a missed call: the last {} digits of the caller's number", call.length),
        Kind::EmailCode(_) => "an e-mail".into(),
        Kind::SetUpEmailRequired(_) => "nothing".into(),
        Kind::FragmentSms(_) => "fragment.com".into(),
    }
}
