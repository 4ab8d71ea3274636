//! The account's own sections: who it is, whom it knows, where it is logged in.

use std::collections::HashSet;

use futures::StreamExt;
use futures::stream;
use grammers_tl_types::{LAYER, Serializable, enums, functions, types};
use serde_json::value::RawValue;

use super::run::{FILES_AT_ONCE, Run, path};
use crate::model::account::{AccountSection, Section};
use crate::model::media::{Media, MediaRole, MediaStatus, SkipReason};
use crate::model::paths;
use crate::model::peer::Peer;
use crate::model::reason::Reason;
use crate::model::record::{Raw, VERSION};
use crate::source::telegram::error::{TelegramError, Trouble};
use crate::source::telegram::events::Event;
use crate::source::telegram::options::Detail;
use crate::source::telegram::stored::{Effect, Seen};
use crate::source::telegram::tl::json::{Object, iso, list, put_date, raw};
use crate::source::telegram::tl::{NOT_INCLUDED, Outcomes, TOO_LARGE, UNAVAILABLE, Want, peer_of, photo_want, story_wants};
use crate::source::telegram::wire::CallError;

const PAGE: i32 = 100;

/// A section as it was found.
pub(super) struct Found {
    pub(super) value: Box<RawValue>,
    pub(super) media: Vec<Media>,
    pub(super) raw: Vec<Raw>,
    /// How many the server counts beyond those that it listed.
    pub(super) short: usize,
}

impl Found {
    pub(super) fn whole(value: Box<RawValue>, raw: Vec<Raw>) -> Self {
        Self { value, media: vec![], raw, short: 0 }
    }
}

/// How many of a list are missing.
pub(super) fn short(count: i32, listed: usize) -> usize {
    usize::try_from(count).unwrap_or_default().saturating_sub(listed)
}

pub(super) fn tl(object: &impl Serializable) -> Raw {
    Raw::Tl { layer: LAYER.unsigned_abs(), bytes: object.to_bytes() }
}

fn listing(items: impl IntoIterator<Item = String>) -> Box<RawValue> {
    let mut object = Object::new();
    object.put("about", "").put_raw("list", &list(items));
    object.into_raw()
}

/// A line of the account's address book.
struct Contact {
    user_id: Option<i64>,
    first: String,
    last: String,
    phone: String,
    date: Option<i32>,
}

fn contact_list(mut contacts: Vec<Contact>, raw: Vec<Raw>) -> Found {
    contacts.sort_by_key(|contact| format!("{} {}", contact.first, contact.last).to_lowercase());
    let value = listing(contacts.iter().map(|contact| {
        let mut object = Object::new();
        if let Some(id) = contact.user_id {
            object.put("user_id", &id);
        }
        object.put("first_name", &contact.first).put("last_name", &contact.last).put("phone_number", &phone(&contact.phone));
        if let Some(date) = contact.date {
            put_date(&mut object, "date", date.into());
        }
        object.end()
    }));
    Found::whole(value, raw)
}

fn phone(number: &str) -> String {
    if number.is_empty() || number.starts_with(['+', '0']) { number.to_owned() } else { format!("+{number}") }
}

/// The words for a picture that is not there, as the exports have them for the account's own.
fn shown(want: Option<&Want>, outcomes: &Outcomes) -> String {
    let file = match want.map(|want| (want, outcomes.get(&want.key))) {
        Some((want, Some(MediaStatus::Stored))) => return want.path.to_string(),
        Some((_, Some(MediaStatus::Skipped(SkipReason::TooLarge)))) => TOO_LARGE,
        Some((_, Some(MediaStatus::Skipped(SkipReason::TypeNotChosen)))) => NOT_INCLUDED,
        _ => UNAVAILABLE,
    };
    file.replacen("File", "Photo", 1)
}

/// A list of pictures, as exports have it.
pub(super) fn picture_list(photos: &[types::Photo], wants: &[Option<Want>], outcomes: &Outcomes) -> Box<RawValue> {
    raw(list(photos.iter().zip(wants).map(|(photo, want)| {
        let mut object = Object::new();
        if photo.date != 0 {
            put_date(&mut object, "date", photo.date.into());
        }
        object.put("photo", &shown(want.as_ref(), outcomes));
        object.end()
    })))
}

/// A list of stories, as exports have it.
pub(super) fn story_list(stories: &[types::StoryItem], wants: &[Vec<Want>], outcomes: &Outcomes) -> Box<RawValue> {
    raw(list(stories.iter().zip(wants).map(|(story, wants)| {
        let mut object = Object::new();
        put_date(&mut object, "date", story.date.into());
        put_date(&mut object, "expires", story.expire_date.into());
        object.put("pinned", &story.pinned);
        object.put("media", &shown(wants.iter().find(|want| want.role == MediaRole::Story), outcomes));
        // What Telegram Desktop leaves out.
        object.put("id", &story.id).put_text("caption", story.caption.as_deref().unwrap_or_default());
        object.end()
    })))
}

/// Whether it is one of what few accounts have.
fn is_more(section: Section) -> bool {
    use Section::{Drafts, Gifts, ProfileMusic, QuickReplies, StoryAlbums};
    matches!(section, Drafts | Gifts | StoryAlbums | QuickReplies | ProfileMusic)
}

/// The word of a server that has no such thing, for this account or at all, or wants it to be asked for later: nothing is lost.
fn not_offered(section: Section, error: &CallError) -> Option<String> {
    let rpc = error.rpc().filter(|rpc| is_more(section) && matches!(rpc.code, 400 | 403 | 406 | 420))?;
    Some(rpc.name.clone())
}

impl Run {
    /// Writes the account's sections that changed. One that cannot be had is a problem of its own.
    pub(super) async fn sections(&self) -> Result<(), TelegramError> {
        self.tell(Event::Section("account"));
        // Each waits for its own pictures only.
        let mut sections = stream::iter(Section::ALL).map(|section| self.write_section(section)).buffer_unordered(Section::ALL.len());
        while let Some(written) = sections.next().await {
            written?;
        }
        Ok(())
    }

    async fn write_section(&self, section: Section) -> Result<(), TelegramError> {
        let place = path(paths::account_section(section))?;
        // Only a takeout knows them.
        if matches!(section, Section::Contacts | Section::OtherData) && !self.api.has_takeout() {
            return if self.plan.taken_out { self.unserved(section.key(), place, Reason::TakeoutEnded).await } else { Ok(()) };
        }
        let found = match self.section(section).await {
            Ok(found) => found,
            Err(Trouble::Run(error)) => return Err(error),
            Err(Trouble::Call(error)) => {
                if let Some(error) = not_offered(section, &error) {
                    self.ledger.part(section.key(), Some(Reason::NotGiven { error }));
                    return Ok(());
                }
                let error = self.api.or_reason("reading the account's own data", error)?;
                return self.unserved(section.key(), place, Reason::NotGiven { error }).await;
            }
        };
        self.ledger.listed(section.key(), found.as_ref().map_or(0, |found| found.short));
        let Some(found) = found else { return Ok(()) };
        let digest = self.prints.of_bytes(found.value.get().as_bytes());
        let known = self.state.read().sections.get(&section).copied();
        // What the account never had needs no file.
        if known == Some(digest) || (known.is_none() && is_more(section) && found.value.get() == "[]") {
            return Ok(());
        }
        let Found { value, media, raw, .. } = found;
        let file = AccountSection { v: VERSION, section, observed: self.observed, run: self.id.clone(), value, media, raw };
        self.describe(place, &file, Effect::Section(section, digest)).await?;
        Ok(())
    }

    async fn section(&self, section: Section) -> Result<Option<Found>, Trouble> {
        Ok(Some(match section {
            Section::PersonalInformation => self.personal().await?,
            Section::ProfilePictures => self.pictures().await?,
            Section::Stories => self.stories().await?,
            Section::Contacts => self.saved_contacts().await?,
            Section::TelegramContacts => self.telegram_contacts().await?,
            Section::FrequentContacts => self.frequent().await?,
            Section::Sessions => self.logins().await?,
            Section::WebSessions => self.web_logins().await?,
            Section::OtherData => return self.other().await,
            Section::ProfileMusic if self.options.takes(Detail::Music) => self.music().await?,
            Section::Drafts if self.options.takes(Detail::Drafts) => self.drafts().await?,
            Section::Gifts if self.options.takes(Detail::Gifts) => self.gifts().await?,
            Section::StoryAlbums if self.options.takes(Detail::Stories) => self.story_albums().await?,
            Section::QuickReplies if self.options.takes(Detail::QuickReplies) => self.quick_replies().await?,
            Section::ProfileMusic | Section::Drafts | Section::Gifts | Section::StoryAlbums | Section::QuickReplies => return Ok(None),
            // What an export file holds beside its sections; a live account has no such thing.
            Section::UnknownKeys => return Ok(None),
        }))
    }

    async fn personal(&self) -> Result<Found, Trouble> {
        let enums::users::UserFull::Full(full) = self.api.ask(&functions::users::GetFullUser { id: enums::InputUser::UserSelf }).await?;
        self.learn(&full.users, &full.chats);
        let enums::UserFull::Full(about) = &full.full_user;
        let user = full.users.iter().find_map(|user| match user {
            enums::User::User(user) if user.id == about.id => Some(user),
            _ => None,
        });
        let text = |field: Option<&String>| field.cloned().unwrap_or_default();
        let mut object = Object::new();
        object.put("user_id", &about.id);
        object.put("first_name", &text(user.and_then(|user| user.first_name.as_ref())));
        object.put("last_name", &text(user.and_then(|user| user.last_name.as_ref())));
        object.put("phone_number", &phone(&text(user.and_then(|user| user.phone.as_ref()))));
        if let Some(name) = self.peers.username(Peer::user(about.id)) {
            object.put("username", &format!("@{name}"));
        }
        object.put_text("bio", about.about.as_deref().unwrap_or_default());
        Ok(Found::whole(object.into_raw(), vec![tl(&full)]))
    }

    /// Sees to files that are shown elsewhere than in messages; says what became of each.
    pub(super) async fn fetch_all(&self, wants: Vec<(Want, Seen)>) -> Result<(Outcomes, Vec<Media>), TelegramError> {
        let (mut outcomes, mut media) = (Outcomes::new(), Vec::new());
        // Each waits its turn behind the chats' files: one after another they would outlast these.
        let fetches = stream::iter(wants).map(|(want, seen)| async move {
            let status = self.fetcher.fetch(&want, seen).await?;
            Ok::<_, TelegramError>((want, status))
        });
        let mut fetches = std::pin::pin!(fetches.buffered(FILES_AT_ONCE));
        while let Some(fetched) = fetches.next().await {
            let (want, status) = fetched?;
            media.push(Media {
                role: want.role,
                path: (status == MediaStatus::Stored).then(|| want.path.clone()),
                id: Some(want.key.id),
                size: Some(want.size),
                mime: want.mime.clone(),
                name: want.name.clone(),
                exported_as: None,
                status: status.clone(),
            });
            outcomes.insert(want.key, status);
        }
        Ok((outcomes, media))
    }

    async fn pictures(&self) -> Result<Found, Trouble> {
        let mut photos: Vec<types::Photo> = Vec::new();
        let (mut rows, mut count) = (HashSet::new(), 0);
        let mut raws = Vec::new();
        loop {
            let max_id = photos.last().map_or(0, |photo| photo.id);
            let request = functions::photos::GetUserPhotos { user_id: enums::InputUser::UserSelf, offset: 0, max_id, limit: PAGE };
            let answer = self.api.ask(&request).await?;
            raws.push(tl(&answer));
            let (page, users, slice) = match answer {
                enums::photos::Photos::Photos(photos) => (photos.photos, photos.users, false),
                enums::photos::Photos::Slice(photos) => {
                    count = photos.count;
                    (photos.photos, photos.users, true)
                }
            };
            rows.extend(page.iter().map(enums::Photo::id));
            self.learn(&users, &[]);
            let before = photos.len();
            for photo in page {
                if let enums::Photo::Photo(photo) = photo
                    && !photos.iter().any(|known| known.id == photo.id)
                {
                    photos.push(photo);
                }
            }
            if !slice || photos.len() == before {
                break;
            }
        }
        let wants: Vec<Option<Want>> = photos
            .iter()
            .map(|photo| {
                let mut want = photo_want(photo, MediaRole::Userpic)?;
                want.kind = None;
                Some(want)
            })
            .collect();
        let jobs = wants.iter().flatten().map(|want| (want.clone(), Seen::Userpic(want.key.id))).collect();
        let (outcomes, media) = self.fetch_all(jobs).await?;
        let value = picture_list(&photos, &wants, &outcomes);
        Ok(Found { value, media, raw: raws, short: short(count, rows.len()) })
    }

    async fn stories(&self) -> Result<Found, Trouble> {
        let mut stories: Vec<types::StoryItem> = Vec::new();
        let mut rows = HashSet::new();
        let mut count;
        let mut raws = Vec::new();
        loop {
            let offset_id = stories.last().map_or(0, |story| story.id);
            let request = functions::stories::GetStoriesArchive { peer: enums::InputPeer::PeerSelf, offset_id, limit: PAGE };
            let answer = self.api.ask(&request).await?;
            raws.push(tl(&answer));
            let enums::stories::Stories::Stories(page) = answer;
            count = page.count;
            rows.extend(page.stories.iter().map(enums::StoryItem::id));
            self.learn(&page.users, &page.chats);
            let before = stories.len();
            for story in page.stories {
                if let enums::StoryItem::Item(story) = story
                    && !stories.iter().any(|known| known.id == story.id)
                {
                    stories.push(*story);
                }
            }
            if stories.len() == before || stories.len() >= usize::try_from(page.count).unwrap_or_default() {
                break;
            }
        }
        let wants: Vec<Vec<Want>> = stories.iter().map(|story| story_wants(&story.media)).collect();
        let jobs =
            stories.iter().zip(&wants).flat_map(|(story, wants)| wants.iter().map(|want| (want.clone(), Seen::Story(story.id)))).collect();
        let (outcomes, media) = self.fetch_all(jobs).await?;
        let value = story_list(&stories, &wants, &outcomes);
        Ok(Found { value, media, raw: raws, short: short(count, rows.len()) })
    }

    /// All contacts that the account saved, on Telegram or not.
    async fn saved_contacts(&self) -> Result<Found, Trouble> {
        let saved = self.api.ask(&functions::contacts::GetSaved {}).await?;
        let raws = vec![tl(&saved)];
        let contacts = saved.into_iter().map(|enums::SavedContact::SavedPhoneContact(saved)| Contact {
            user_id: None,
            first: saved.first_name,
            last: saved.last_name,
            phone: saved.phone,
            date: Some(saved.date),
        });
        Ok(contact_list(contacts.collect(), raws))
    }

    /// Those of the contacts that are on Telegram.
    async fn telegram_contacts(&self) -> Result<Found, Trouble> {
        let answer = self.api.ask(&functions::contacts::GetContacts { hash: 0 }).await?;
        let raws = vec![tl(&answer)];
        let users = match answer {
            enums::contacts::Contacts::Contacts(contacts) => contacts.users,
            enums::contacts::Contacts::NotModified => vec![],
        };
        self.learn(&users, &[]);
        let contacts = users.into_iter().filter_map(|user| match user {
            enums::User::User(user) => Some(Contact {
                user_id: Some(user.id),
                first: user.first_name.unwrap_or_default(),
                last: user.last_name.unwrap_or_default(),
                phone: user.phone.unwrap_or_default(),
                date: None,
            }),
            enums::User::Empty(_) => None,
        });
        Ok(contact_list(contacts.collect(), raws))
    }

    async fn frequent(&self) -> Result<Found, Trouble> {
        let mut items = Vec::new();
        let mut raws = Vec::new();
        let mut seen = HashSet::new();
        let mut offset = 0;
        loop {
            let request = functions::contacts::GetTopPeers {
                correspondents: true,
                bots_pm: false,
                bots_inline: true,
                phone_calls: true,
                forward_users: false,
                forward_chats: false,
                groups: false,
                channels: false,
                bots_app: false,
                bots_guestchat: false,
                offset,
                limit: PAGE,
                hash: 0,
            };
            let answer = self.api.ask(&request).await?;
            raws.push(tl(&answer));
            let enums::contacts::TopPeers::Peers(page) = answer else { break };
            self.learn(&page.users, &page.chats);
            let before = seen.len();
            for enums::TopPeerCategoryPeers::Peers(category) in page.categories {
                let word = match category.category {
                    enums::TopPeerCategory::Correspondents => "people",
                    enums::TopPeerCategory::BotsInline => "inline_bots",
                    enums::TopPeerCategory::PhoneCalls => "calls",
                    _ => continue,
                };
                for enums::TopPeer::Peer(top) in category.peers {
                    let peer = peer_of(&top.peer);
                    if !seen.insert((word, peer)) {
                        continue;
                    }
                    let kind = self.peers.chat_type(peer).map(|kind| kind.key()).unwrap_or("user");
                    let kind = if kind.ends_with("_chat") || kind == "saved_messages" { "user" } else { kind };
                    let mut object = Object::new();
                    object.put("id", &peer.id).put("category", word).put("type", kind);
                    object.put("name", &self.peers.name(peer)).put_fraction("rating", top.rating);
                    items.push(object.end());
                }
            }
            if seen.len() == before || seen.len() - before < usize::try_from(PAGE).unwrap_or_default() {
                break;
            }
            offset = i32::try_from(seen.len()).unwrap_or(i32::MAX);
        }
        Ok(Found::whole(listing(items), raws))
    }

    async fn logins(&self) -> Result<Found, Trouble> {
        let answer = self.api.ask(&functions::account::GetAuthorizations {}).await?;
        let raws = vec![tl(&answer)];
        let enums::account::Authorizations::Authorizations(answer) = answer;
        let value = listing(answer.authorizations.iter().map(|enums::Authorization::Authorization(login)| {
            let mut object = Object::new();
            // Of this very session it would say "now" in each run.
            let active = if login.current { login.date_created } else { login.date_active };
            put_date(&mut object, "last_active", active.into());
            object.put("last_ip", &login.ip).put("last_country", &login.country).put("last_region", &login.region);
            object.put("application_name", &login.app_name).put_text("application_version", &login.app_version);
            object.put("device_model", &login.device_model).put("platform", &login.platform);
            object.put("system_version", &login.system_version);
            put_date(&mut object, "created", login.date_created.into());
            object.end()
        }));
        Ok(Found::whole(value, raws))
    }

    async fn web_logins(&self) -> Result<Found, Trouble> {
        let answer = self.api.ask(&functions::account::GetWebAuthorizations {}).await?;
        let raws = vec![tl(&answer)];
        let enums::account::WebAuthorizations::Authorizations(answer) = answer;
        self.learn(&answer.users, &[]);
        let value = listing(answer.authorizations.iter().map(|enums::WebAuthorization::Authorization(login)| {
            let mut object = Object::new();
            object.put("last_active", &iso(login.date_active.into()));
            object.put("last_active_unixtime", &login.date_active.to_string());
            object.put("last_ip", &login.ip).put("last_region", &login.region);
            object.put("bot_username", &self.peers.username(Peer::user(login.bot_id)));
            object.put("domain_name", &login.domain).put("browser", &login.browser).put("platform", &login.platform);
            put_date(&mut object, "created", login.date_created.into());
            object.end()
        }));
        Ok(Found::whole(value, raws))
    }

    /// What else Telegram keeps: one JSON file that only a takeout gives.
    async fn other(&self) -> Result<Option<Found>, Trouble> {
        /// Nobody has that much other data; a server that says so is not believed.
        const MAX_BYTES: usize = 64 << 20;
        const LIMIT: i32 = 512 << 10;
        let mut bytes = Vec::new();
        let dc = self.api.client.home();
        loop {
            let request = functions::upload::GetFile {
                precise: false,
                cdn_supported: false,
                location: enums::InputFileLocation::InputTakeoutFileLocation,
                offset: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
                limit: LIMIT,
            };
            let part = match self.api.ask_file(&request, dc).await {
                Ok((enums::upload::File::File(part), _)) => part.bytes,
                Ok((enums::upload::File::CdnRedirect(_), _)) => return Err(CallError::Unusable("an unexpected redirect".into()).into()),
                Err(error) if error.is_any(&["TAKEOUT_FILE_EMPTY"]) => break,
                Err(error) => return Err(error.into()),
            };
            let end = part.len() < usize::try_from(LIMIT).unwrap_or_default();
            bytes.extend(part);
            if end || bytes.len() > MAX_BYTES {
                break;
            }
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let text = String::from_utf8(bytes).map_err(|_| CallError::Unusable("the other data is not text".into()))?;
        let value = RawValue::from_string(text).map_err(|_| CallError::Unusable("the other data is not JSON".into()))?;
        Ok(Some(Found::whole(value, vec![])))
    }
}
