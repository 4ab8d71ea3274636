//! What each method answers. One file per part of the API; `resolve` finds what requests point at.

use grammers_tl_types::{Identifiable, functions as f};

use super::dispatch::{Call, Refusal, run};

mod auth;
mod dialogs;
mod help;
mod history;
mod resolve;
mod updates;
mod upload;
mod users;

macro_rules! methods {
    ($call:expr, $id:expr, $arguments:expr, { $($method:path => $answer:path,)* }) => {
        match $id {
            $(<$method>::CONSTRUCTOR_ID => run::<$method>($call, $arguments, $answer),)*
            id => Err(Refusal::new(400, format!("INPUT_METHOD_INVALID_{id}"))),
        }
    };
}

/// Calls the method with this constructor.
pub(crate) fn call(call: &mut Call<'_>, id: u32, arguments: &[u8]) -> Result<Vec<u8>, Refusal> {
    methods!(call, id, arguments, {
        f::auth::SendCode => auth::send_code,
        f::auth::SignIn => auth::sign_in,
        f::auth::ExportAuthorization => auth::export_authorization,
        f::auth::ImportAuthorization => auth::import_authorization,
        f::auth::ImportBotAuthorization => auth::import_bot_authorization,
        f::auth::LogOut => auth::log_out,
        f::help::GetConfig => help::get_config,
        f::help::GetNearestDc => help::get_nearest_dc,
        f::messages::GetDialogs => dialogs::get_dialogs,
        f::messages::GetHistory => history::get_history,
        f::messages::GetMessages => history::get_messages,
        f::channels::GetMessages => history::get_channel_messages,
        f::updates::GetState => updates::get_state,
        f::upload::GetFile => upload::get_file,
        f::users::GetUsers => users::get_users,
    })
}

/// Methods that need no login.
pub(crate) fn open_to_all(id: u32) -> bool {
    [
        f::auth::SendCode::CONSTRUCTOR_ID,
        f::auth::ResendCode::CONSTRUCTOR_ID,
        f::auth::CancelCode::CONSTRUCTOR_ID,
        f::auth::SignIn::CONSTRUCTOR_ID,
        f::auth::CheckPassword::CONSTRUCTOR_ID,
        f::auth::ImportAuthorization::CONSTRUCTOR_ID,
        f::auth::ImportBotAuthorization::CONSTRUCTOR_ID,
        f::auth::ExportLoginToken::CONSTRUCTOR_ID,
        f::auth::ImportLoginToken::CONSTRUCTOR_ID,
        f::account::GetPassword::CONSTRUCTOR_ID,
        f::help::GetConfig::CONSTRUCTOR_ID,
        f::help::GetNearestDc::CONSTRUCTOR_ID,
        f::help::GetAppConfig::CONSTRUCTOR_ID,
    ]
    .contains(&id)
}

/// Methods that bots may not call.
pub(crate) fn users_only(id: u32) -> bool {
    [
        f::messages::GetDialogs::CONSTRUCTOR_ID,
        f::messages::GetPinnedDialogs::CONSTRUCTOR_ID,
        f::messages::GetDialogFilters::CONSTRUCTOR_ID,
        f::messages::GetPeerDialogs::CONSTRUCTOR_ID,
        f::messages::GetHistory::CONSTRUCTOR_ID,
        f::messages::Search::CONSTRUCTOR_ID,
        f::messages::GetSplitRanges::CONSTRUCTOR_ID,
        f::account::InitTakeoutSession::CONSTRUCTOR_ID,
        f::account::GetAuthorizations::CONSTRUCTOR_ID,
        f::account::GetWebAuthorizations::CONSTRUCTOR_ID,
        f::channels::GetLeftChannels::CONSTRUCTOR_ID,
        f::contacts::GetContacts::CONSTRUCTOR_ID,
        f::contacts::GetSaved::CONSTRUCTOR_ID,
        f::contacts::GetTopPeers::CONSTRUCTOR_ID,
        f::stories::GetStoriesArchive::CONSTRUCTOR_ID,
    ]
    .contains(&id)
}
