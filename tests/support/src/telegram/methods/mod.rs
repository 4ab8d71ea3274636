//! What each method answers. One file per part of the API; `resolve` finds what requests point at.

use grammers_tl_types::{Identifiable, functions as f};

use super::dispatch::{Call, Refusal, run};

mod account;
mod auth;
mod chats;
mod contacts;
mod details;
mod dialogs;
mod forward;
mod help;
mod history;
pub(crate) mod password;
mod qr;
mod reactions;
mod resolve;
pub(crate) mod search;
mod stories;
mod takeout;
mod topics;
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
        f::account::FinishTakeoutSession => takeout::finish,
        f::account::GetAuthorizations => account::get_authorizations,
        f::account::GetPassword => password::get_password,
        f::account::GetWebAuthorizations => account::get_web_authorizations,
        f::account::InitTakeoutSession => takeout::init,
        f::account::UpdateStatus => help::update_status,
        f::auth::CancelCode => auth::cancel_code,
        f::auth::CheckPassword => password::check_password,
        f::auth::ExportAuthorization => auth::export_authorization,
        f::auth::ExportLoginToken => qr::export_login_token,
        f::auth::ImportAuthorization => auth::import_authorization,
        f::auth::ImportBotAuthorization => auth::import_bot_authorization,
        f::auth::ImportLoginToken => qr::import_login_token,
        f::auth::LogOut => auth::log_out,
        f::auth::ResendCode => auth::resend_code,
        f::auth::SendCode => auth::send_code,
        f::auth::SignIn => auth::sign_in,
        f::channels::GetAdminLog => details::get_admin_log,
        f::channels::GetChannels => chats::get_channels,
        f::channels::GetFullChannel => chats::get_full_channel,
        f::channels::GetLeftChannels => takeout::get_left_channels,
        f::channels::GetMessages => history::get_channel_messages,
        f::channels::GetParticipants => chats::get_participants,
        f::contacts::GetContacts => contacts::get_contacts,
        f::contacts::GetSaved => takeout::get_saved,
        f::contacts::GetTopPeers => contacts::get_top_peers,
        f::contacts::ResolvePhone => contacts::resolve_phone,
        f::contacts::ResolveUsername => contacts::resolve_username,
        f::help::GetConfig => help::get_config,
        f::help::GetNearestDc => help::get_nearest_dc,
        f::messages::ForwardMessages => forward::forward_messages,
        f::messages::GetAllDrafts => details::get_all_drafts,
        f::messages::GetChats => chats::get_chats,
        f::messages::GetCustomEmojiDocuments => account::get_custom_emoji,
        f::messages::GetDialogFilters => dialogs::get_dialog_filters,
        f::messages::GetDialogs => dialogs::get_dialogs,
        f::messages::GetForumTopics => topics::get_forum_topics,
        f::messages::GetForumTopicsById => topics::get_forum_topics_by_id,
        f::messages::GetFullChat => chats::get_full_chat,
        f::messages::GetHistory => history::get_history,
        f::messages::GetMessageReactionsList => reactions::get_message_reactions_list,
        f::messages::GetMessages => history::get_messages,
        f::messages::GetMessagesReactions => reactions::get_messages_reactions,
        f::messages::GetPeerDialogs => dialogs::get_peer_dialogs,
        f::messages::GetPinnedDialogs => dialogs::get_pinned_dialogs,
        f::messages::GetPollVotes => details::get_poll_votes,
        f::messages::GetQuickReplies => details::get_quick_replies,
        f::messages::GetQuickReplyMessages => details::get_quick_reply_messages,
        f::messages::GetReplies => search::get_replies,
        f::messages::GetRichMessage => history::get_rich_message,
        f::messages::GetScheduledHistory => details::get_scheduled_history,
        f::messages::GetSearchCounters => search::get_search_counters,
        f::messages::GetSplitRanges => takeout::get_split_ranges,
        f::messages::Search => search::search,
        f::payments::GetSavedStarGifts => details::get_saved_star_gifts,
        f::photos::GetUserPhotos => account::get_user_photos,
        f::stories::GetAlbumStories => details::get_album_stories,
        f::stories::GetAlbums => details::get_albums,
        f::stories::GetPeerStories => stories::get_peer_stories,
        f::stories::GetPinnedStories => stories::get_pinned,
        f::stories::GetStoriesArchive => stories::get_archive,
        f::stories::GetStoriesById => stories::get_by_id,
        f::updates::GetChannelDifference => updates::get_channel_difference,
        f::updates::GetDifference => updates::get_difference,
        f::updates::GetState => updates::get_state,
        f::upload::GetFile => upload::get_file,
        f::users::GetFullUser => account::get_full_user,
        f::users::GetRequirementsToContact => account::get_requirements,
        f::users::GetSavedMusic => account::get_saved_music,
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
        f::messages::ForwardMessages::CONSTRUCTOR_ID,
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
