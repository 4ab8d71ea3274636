//! Logging in by code, as a bot, on another DC; logging out.

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::protocol::crypto::random;
use crate::telegram::state::Access;
use crate::telegram::world::SELF;

impl Call<'_> {
    /// The answer to a login that went well.
    pub(crate) fn authorization(&self) -> enums::auth::Authorization {
        let world = self.shared.world();
        types::auth::Authorization {
            setup_password_required: false,
            otherwise_relogin_days: None,
            tmp_sessions: None,
            future_auth_token: None,
            user: if self.access == Access::Bot { world.bot_user() } else { world.user(SELF) },
        }
        .into()
    }

    /// Lets the key that asks in, or says that the password is wanted first.
    pub(crate) fn admit(&mut self) -> Result<enums::auth::Authorization, Refusal> {
        if self.shared.options.password.is_some() {
            self.log_in(Access::Password);
            return Err(Refusal::new(401, "SESSION_PASSWORD_NEEDED"));
        }
        self.log_in(Access::User);
        Ok(self.authorization())
    }
}

pub(super) fn send_code(call: &mut Call<'_>, request: f::auth::SendCode) -> Result<enums::auth::SentCode, Refusal> {
    if !call.shared.options.is_phone(&request.phone_number) {
        return Err(Refusal::bad("PHONE_NUMBER_INVALID"));
    }
    let home = call.shared.home();
    if call.dc != home {
        return Err(Refusal::new(303, format!("PHONE_MIGRATE_{home}")));
    }
    Ok(sent_code(call))
}

pub(super) fn resend_code(call: &mut Call<'_>, request: f::auth::ResendCode) -> Result<enums::auth::SentCode, Refusal> {
    if !call.shared.login().codes.remove(&request.phone_code_hash) {
        return Err(Refusal::bad("PHONE_CODE_EXPIRED"));
    }
    Ok(sent_code(call))
}

pub(super) fn cancel_code(call: &mut Call<'_>, request: f::auth::CancelCode) -> Result<bool, Refusal> {
    Ok(call.shared.login().codes.remove(&request.phone_code_hash))
}

fn sent_code(call: &Call<'_>) -> enums::auth::SentCode {
    let phone_code_hash = format!("{:016x}", u64::from_le_bytes(random()));
    call.shared.login().codes.insert(phone_code_hash.clone());
    let length = call.shared.options.code.len() as i32;
    types::auth::SentCode { r#type: types::auth::SentCodeTypeApp { length }.into(), phone_code_hash, next_type: None, timeout: None }.into()
}

pub(super) fn sign_in(call: &mut Call<'_>, request: f::auth::SignIn) -> Result<enums::auth::Authorization, Refusal> {
    if !call.shared.options.is_phone(&request.phone_number) {
        return Err(Refusal::bad("PHONE_NUMBER_INVALID"));
    }
    if !call.shared.login().codes.contains(&request.phone_code_hash) {
        return Err(Refusal::bad("PHONE_CODE_EXPIRED"));
    }
    match request.phone_code.as_deref() {
        None | Some("") => Err(Refusal::bad("PHONE_CODE_EMPTY")),
        Some(code) if code != call.shared.options.code => Err(Refusal::bad("PHONE_CODE_INVALID")),
        Some(_) => {
            call.shared.login().codes.remove(&request.phone_code_hash);
            call.admit()
        }
    }
}

pub(super) fn import_bot_authorization(
    call: &mut Call<'_>,
    request: f::auth::ImportBotAuthorization,
) -> Result<enums::auth::Authorization, Refusal> {
    if request.bot_auth_token != call.shared.options.bot_token {
        return Err(Refusal::bad("ACCESS_TOKEN_INVALID"));
    }
    let home = call.shared.home();
    if call.dc != home {
        return Err(Refusal::new(303, format!("USER_MIGRATE_{home}")));
    }
    call.log_in(Access::Bot);
    Ok(call.authorization())
}

pub(super) fn export_authorization(
    call: &mut Call<'_>,
    request: f::auth::ExportAuthorization,
) -> Result<enums::auth::ExportedAuthorization, Refusal> {
    if !call.shared.dcs.contains_key(&request.dc_id) || request.dc_id == call.dc {
        return Err(Refusal::bad("DC_ID_INVALID"));
    }
    let bytes = random::<64>().to_vec();
    call.shared.login().exported.insert(bytes.clone(), call.access);
    Ok(types::auth::ExportedAuthorization { id: SELF, bytes }.into())
}

pub(super) fn import_authorization(
    call: &mut Call<'_>,
    request: f::auth::ImportAuthorization,
) -> Result<enums::auth::Authorization, Refusal> {
    // Good for one use.
    let access = call.shared.login().exported.remove(&request.bytes).ok_or_else(|| Refusal::bad("AUTH_BYTES_INVALID"))?;
    call.log_in(access);
    Ok(call.authorization())
}

pub(super) fn log_out(call: &mut Call<'_>, _: f::auth::LogOut) -> Result<enums::auth::LoggedOut, Refusal> {
    Call::log_out(call);
    Ok(types::auth::LoggedOut { future_auth_token: None }.into())
}
