//! Logging in by a token that another device scans.

use std::sync::Arc;
use std::time::Duration;

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::protocol::crypto::random;
use crate::telegram::protocol::session::unix_time;
use crate::telegram::state::{Shared, Token};

/// Seconds that a token is good for.
const LIFETIME: i32 = 30;
/// How long a device takes that scans at once.
const SCAN: Duration = Duration::from_millis(200);

pub(super) fn export_login_token(call: &mut Call<'_>, _: f::auth::ExportLoginToken) -> Result<enums::auth::LoginToken, Refusal> {
    let (key, home) = (call.key, call.shared.home());
    // Events must reach this client although it is not logged in: that is how it hears of the scan.
    call.client.listen(key);
    let accepted = call.shared.login().tokens.iter().find(|(_, token)| token.key == key && token.accepted).map(|(bytes, _)| bytes.clone());
    if let Some(token) = accepted {
        if call.dc != home {
            return Ok(types::auth::LoginTokenMigrateTo { dc_id: home, token }.into());
        }
        call.shared.login().tokens.remove(&token);
        return Ok(types::auth::LoginTokenSuccess { authorization: call.admit()? }.into());
    }
    let token = random::<32>().to_vec();
    let expires = call.now + LIFETIME;
    call.shared.login().tokens.insert(token.clone(), Token { key, expires, accepted: false });
    if call.shared.options.accept_login_tokens {
        let (shared, token) = (Arc::clone(&call.client.shared), token.clone());
        tokio::spawn(async move {
            // As long as a scan takes at least: the client must have the token before it hears that it was scanned.
            tokio::time::sleep(SCAN).await;
            shared.accept_login_token(&token, unix_time());
        });
    }
    Ok(types::auth::LoginToken { expires, token }.into())
}

pub(super) fn import_login_token(call: &mut Call<'_>, request: f::auth::ImportLoginToken) -> Result<enums::auth::LoginToken, Refusal> {
    let token = call.shared.login().tokens.get(&request.token).map(|token| (token.accepted, token.expires));
    match token {
        None => Err(Refusal::bad("AUTH_TOKEN_INVALID")),
        Some((_, expires)) if expires < call.now => Err(Refusal::bad("AUTH_TOKEN_EXPIRED")),
        Some((false, _)) => Err(Refusal::bad("AUTH_TOKEN_INVALID")),
        Some((true, _)) => {
            call.shared.login().tokens.remove(&request.token);
            Ok(types::auth::LoginTokenSuccess { authorization: call.admit()? }.into())
        }
    }
}

impl Shared {
    /// What happens when the account's other device scans a token; false when there is no such token or it is too old.
    pub(crate) fn accept_login_token(&self, token: &[u8], now: i32) -> bool {
        let key = match self.login().tokens.get_mut(token) {
            Some(token) if token.expires >= now => {
                token.accepted = true;
                token.key
            }
            _ => return false,
        };
        let update = types::UpdateShort { update: enums::Update::LoginToken, date: now }.into();
        self.tell(key, &update);
        true
    }
}
