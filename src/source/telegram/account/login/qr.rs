//! Login by a QR code that another device of the account scans (core.telegram.org/api/qr-login).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grammers_tl_types::{Deserializable, enums, functions};
use secrecy::ExposeSecret;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};

use super::{Login, failed, no_answer};
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::wire::Pushed;

/// How long a person gets to fetch a phone.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

impl Login<'_> {
    pub(super) async fn by_qr(&mut self) -> Result<enums::auth::Authorization, TelegramError> {
        let mut updates = self.client.updates();
        let end = Instant::now() + PATIENCE;
        let export = functions::auth::ExportLoginToken {
            api_id: self.application.api_id,
            api_hash: self.application.api_hash.expose_secret().to_owned(),
            except_ids: vec![],
        };
        while Instant::now() < end {
            let mut answer = self.client.call(&export).await;
            if let Ok(enums::auth::LoginToken::MigrateTo(elsewhere)) = answer {
                let moved = self.session.change(|session| session.home_dc = elsewhere.dc_id);
                moved.map_err(|error| TelegramError::Login(format!("the session cannot be saved: {error}")))?;
                answer = self.client.call(&functions::auth::ImportLoginToken { token: elsewhere.token }).await;
            }
            match answer {
                Ok(enums::auth::LoginToken::Success(success)) => return Ok(success.authorization),
                Ok(enums::auth::LoginToken::Token(token)) => {
                    let link = format!("tg://login?token={}", URL_SAFE_NO_PAD.encode(&token.token));
                    self.prompts.show_qr(&link).map_err(no_answer)?;
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                    let lifetime = u64::try_from(token.expires).unwrap_or_default().saturating_sub(now).clamp(1, 60);
                    accepted(&mut updates, end.min(Instant::now() + Duration::from_secs(lifetime))).await;
                }
                Ok(enums::auth::LoginToken::MigrateTo(_)) => return Err(TelegramError::Login("Telegram sends us in circles".into())),
                Err(error) if error.is_any(&["SESSION_PASSWORD_NEEDED"]) => return self.password().await,
                Err(error) => return Err(failed("logging in by QR code", error)),
            }
        }
        Err(TelegramError::Login("nobody scanned the QR code".into()))
    }
}

/// Waits until the code was scanned, or until `end`: either way the token is asked for again.
async fn accepted(updates: &mut broadcast::Receiver<Pushed>, end: Instant) {
    loop {
        match timeout_at(end, updates.recv()).await {
            Ok(Ok(Pushed::Updates(update))) => {
                if let Ok(enums::Updates::UpdateShort(short)) = enums::Updates::from_bytes(&update)
                    && matches!(short.update, enums::Update::LoginToken)
                {
                    return;
                }
            }
            Ok(Ok(Pushed::Lost) | Err(broadcast::error::RecvError::Lagged(_))) => return,
            Ok(Err(broadcast::error::RecvError::Closed)) | Err(_) => return,
        }
    }
}
