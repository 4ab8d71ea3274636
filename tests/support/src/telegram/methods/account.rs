//! The account itself: sessions, profile, photos, custom emoji.

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::files::{EXTRA, FileKind, file_id};
use crate::telegram::world::media::Flavour;
use crate::telegram::world::{Blank, Peer, SELF, blank};

pub(super) fn get_authorizations(call: &mut Call<'_>, _: f::account::GetAuthorizations) -> Result<enums::account::Authorizations, Refusal> {
    let session = |n: i32, device: &str| {
        types::Authorization {
            current: n == 0,
            official_app: n == 1,
            password_pending: false,
            encrypted_requests_disabled: false,
            call_requests_disabled: false,
            unconfirmed: false,
            hash: if n == 0 { 0 } else { 1_000_000_007 * i64::from(n) },
            device_model: device.into(),
            platform: "Linux".into(),
            system_version: "6.12".into(),
            api_id: 1 + n,
            app_name: format!("App {n}"),
            app_version: "1.0".into(),
            date_created: call.now - 86_400 * (n + 1),
            date_active: call.now - 60 * n,
            ip: "127.0.0.1".into(),
            country: "Testland".into(),
            region: String::new(),
        }
        .into()
    };
    Ok(types::account::Authorizations {
        authorization_ttl_days: 180,
        authorizations: vec![session(0, "this client"), session(1, "Telefon"), session(2, "桌面")],
    }
    .into())
}

pub(super) fn get_web_authorizations(
    call: &mut Call<'_>,
    _: f::account::GetWebAuthorizations,
) -> Result<enums::account::WebAuthorizations, Refusal> {
    let bot_id = call.shared.world().bot_id();
    let site = |n: i64| {
        types::WebAuthorization {
            hash: 77 + n,
            bot_id,
            domain: format!("site{n}.example.org"),
            browser: "Firefox".into(),
            platform: "Linux".into(),
            date_created: call.now - 5000,
            date_active: call.now - 50,
            ip: "127.0.0.1".into(),
            region: "Testland".into(),
        }
        .into()
    };
    Ok(types::account::WebAuthorizations { authorizations: vec![site(1), site(2)], users: vec![call.shared.world().user(bot_id)] }.into())
}

pub(super) fn get_full_user(call: &mut Call<'_>, r: f::users::GetFullUser) -> Result<enums::users::UserFull, Refusal> {
    let world = call.shared.world();
    let id = world.resolve_user(&r.id)?;
    let settings: enums::PeerSettings = types::PeerSettings::into(blank(4));
    // Both flags and the id; settings, notifications; common chats.
    let mut full: types::UserFull = Blank::zeros(16).object(&settings).object(&Blank::notify()).more(4).build();
    full.id = id;
    full.about = Some(format!("About user {id} – naïve ✓"));
    if let Some((_, chat)) = world.chat(Peer::User(id)) {
        full.about = chat.about.clone().or(full.about);
        full.pinned_msg_id = chat.pinned_message;
        full.has_scheduled = world.scheduled(chat) > 0;
    }
    full.stories_pinned_available = id != SELF && world.has_stories(id);
    full.profile_photo = world.user_photos(id).first().map(|photo| world.profile_photo(*photo, world.start));
    if id == SELF {
        full.birthday = Some(types::Birthday { day: 29, month: 2, year: Some(1996) }.into());
    }
    Ok(types::users::UserFull { full_user: full.into(), chats: Vec::new(), users: vec![world.user(id)] }.into())
}

pub(super) fn get_user_photos(call: &mut Call<'_>, r: f::photos::GetUserPhotos) -> Result<enums::photos::Photos, Refusal> {
    let world = call.shared.world();
    let id = world.resolve_user(&r.user_id)?;
    let all = world.user_photos(id);
    // `max_id` means: only what is older than this photo.
    let from = if r.max_id == 0 { 0 } else { all.iter().position(|photo| *photo == r.max_id).map_or(all.len(), |at| at + 1) };
    let page = all.iter().enumerate().skip(from + r.offset.max(0) as usize).take(r.limit.clamp(0, 100) as usize);
    let photos: Vec<enums::Photo> = page.map(|(n, photo)| world.profile_photo(*photo, world.until - 1_000_000 * n as i32)).collect();
    let users = vec![world.user(id)];
    Ok(if photos.len() == all.len() {
        types::photos::Photos { photos, users }.into()
    } else {
        types::photos::PhotosSlice { count: all.len() as i32, photos, users }.into()
    })
}

pub(super) fn get_saved_music(call: &mut Call<'_>, r: f::users::GetSavedMusic) -> Result<enums::users::SavedMusic, Refusal> {
    let world = call.shared.world();
    let songs = if world.resolve_user(&r.id)? == SELF { 2 } else { 0 };
    let all = (0..songs).map(|n| world.document(file_id(FileKind::Document, EXTRA + 900 + n), Flavour::Music, world.start));
    let documents = all.skip(r.offset.max(0) as usize).take(r.limit.clamp(0, 100) as usize).collect();
    Ok(types::users::SavedMusic { count: songs as i32, documents }.into())
}

pub(super) fn get_custom_emoji(call: &mut Call<'_>, r: f::messages::GetCustomEmojiDocuments) -> Result<Vec<enums::Document>, Refusal> {
    if r.document_id.len() > 200 {
        return Err(Refusal::bad("LIMIT_INVALID"));
    }
    let world = call.shared.world();
    let known = r.document_id.iter().filter(|id| **id >> 56 == file_id(FileKind::Emoji, 0) >> 56);
    Ok(known.map(|id| world.custom_emoji(*id)).collect())
}

pub(super) fn get_requirements(
    call: &mut Call<'_>,
    r: f::users::GetRequirementsToContact,
) -> Result<Vec<enums::RequirementToContact>, Refusal> {
    let world = call.shared.world();
    r.id.iter().map(|user| world.resolve_user(user).map(|_| enums::RequirementToContact::Empty)).collect()
}
