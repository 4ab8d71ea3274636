//! What a chat has beside its messages: what it says of itself, its members, pictures, stories, and what is about to be sent.
//!
//! A chat with news is asked in the same run, others in turns, and only for what may have changed: the description says how many
//! members there are, which picture is the newest, whether anything is scheduled.

use std::collections::HashSet;

use grammers_tl_types::{enums, functions, types};
use serde_json::value::RawValue;

use super::Chat;
use crate::model::chat_part::ChatPart;
use crate::model::kinds::FileKind;
use crate::model::media::{Media, MediaRole};
use crate::model::part::Part;
use crate::model::paths;
use crate::model::peer::{Peer, PeerKind};
use crate::model::reason::Reason;
use crate::model::record::{Raw, VERSION};
use crate::source::telegram::error::{TelegramError, Trouble};
use crate::source::telegram::export::missing::MAX_TRIES;
use crate::source::telegram::export::run::{Run, path};
use crate::source::telegram::export::sections::{picture_list, story_list, tl};
use crate::source::telegram::options::Detail;
use crate::source::telegram::stored::{Effect, PartState, Seen, State};
use crate::source::telegram::tl::json::{list, raw};
use crate::source::telegram::tl::{Described, Member, Outcomes, Want, admin_event, member_list, photo_want, record, story_wants};
use crate::source::telegram::wire::CallError;

/// Members in one answer, as Telegram gives them at most, and how many of a chat it gives in all.
const MEMBERS_PAGE: i32 = 200;
const MOST_MEMBERS: i32 = 10_000;
/// Pictures, stories, entries of a log in one answer.
const PAGE: i32 = 100;
/// After so long a chat without news is asked again, and one with as many members as before for these.
const STALE_SECONDS: i64 = 7 * 24 * 60 * 60;

/// The parts that a chat's description tells of.
const DESCRIBED: [(Part, Detail); 5] = [
    (Part::About, Detail::About),
    (Part::Members, Detail::Members),
    (Part::ProfilePictures, Detail::Pictures),
    (Part::Stories, Detail::Stories),
    (Part::ScheduledMessages, Detail::Scheduled),
];

/// A part as it was found.
struct Found {
    value: Box<RawValue>,
    /// What tells a changed one from an unchanged one, where that is not all of it.
    steady: Option<String>,
    media: Vec<Media>,
    raw: Vec<Raw>,
    held: u64,
    counted: Option<u64>,
    newest: Option<i64>,
}

impl Found {
    fn list(value: Box<RawValue>, held: usize, raw: Vec<Raw>) -> Self {
        Self { value, steady: None, media: vec![], raw, held: held as u64, counted: None, newest: None }
    }
}

/// When the part of a chat that waits longest was asked for, where its turn has come without any news; 0 for never.
pub(crate) fn waiting_since(run: &Run, state: &State, peer: Peer) -> Option<i64> {
    let known = state.chats.get(&peer).map(|chat| &chat.parts);
    let log = (Part::AdminLog, Detail::AdminLog);
    let wanted = DESCRIBED.iter().chain((peer.kind == PeerKind::Channel).then_some(&log));
    let wanted = wanted.filter(|(part, detail)| run.options.takes(*detail) && (*part != Part::Members || peer.kind != PeerKind::User));
    let asked = wanted.filter_map(|(part, _)| {
        let asked = known.and_then(|known| known.get(part)).map_or(0, |known| known.asked);
        let is_stale = run.observed.saturating_sub(asked) >= STALE_SECONDS || state.lacks_files(peer, *part, MAX_TRIES);
        is_stale.then_some(asked)
    });
    asked.min()
}

impl Chat {
    /// Asks for the parts.
    ///
    /// # Errors
    /// When the run has to end.
    pub(crate) async fn parts(&self) -> Result<(), TelegramError> {
        let closed = self.findings().closed.is_some() || self.dialog.left;
        if closed || !self.run.ledger.may_ask_details() {
            return Ok(());
        }
        if DESCRIBED.iter().any(|(_, detail)| self.run.options.takes(*detail)) {
            match self.described().await {
                Ok(Some((full, bytes))) => self.described_parts(&full, bytes).await?,
                Ok(None) => self.undescribed(),
                Err(error) => {
                    self.undescribed();
                    self.refused(Part::About, error)?;
                }
            }
        }
        if self.run.options.takes(Detail::AdminLog) && self.peer().kind == PeerKind::Channel {
            let log = self.admin_log().await;
            self.settled(Part::AdminLog, log).await?;
        }
        Ok(())
    }

    /// Takes note that the chat was asked and does not describe itself: its turn comes again like that of the others.
    fn undescribed(&self) {
        for (part, _) in DESCRIBED.iter().filter(|(_, detail)| self.run.options.takes(*detail)) {
            let before = self.before.parts.get(part).cloned().unwrap_or_default();
            self.know(*part, PartState { asked: self.run.observed, ..before });
        }
    }

    async fn described_parts(&self, full: &Described, bytes: Raw) -> Result<(), TelegramError> {
        let takes = |detail| self.run.options.takes(detail);
        if takes(Detail::About) {
            let about = Found { steady: Some(full.steady().to_owned()), ..Found::list(full.value(), 1, vec![bytes]) };
            self.settled(Part::About, Ok(Some(about))).await?;
        }
        if takes(Detail::Members) && self.peer().kind != PeerKind::User {
            let members = self.members(full).await;
            self.settled(Part::Members, members).await?;
        }
        if takes(Detail::Pictures) {
            let pictures = self.pictures(full).await;
            self.settled(Part::ProfilePictures, pictures).await?;
        }
        if takes(Detail::Stories) {
            let stories = if full.has_stories { self.stories().await } else { Ok(None) };
            self.settled(Part::Stories, stories).await?;
        }
        if takes(Detail::Scheduled) {
            let held = self.before.parts.get(&Part::ScheduledMessages).is_some_and(|known| known.held > 0);
            let scheduled = if full.has_scheduled || held { self.scheduled().await } else { Ok(None) };
            self.settled(Part::ScheduledMessages, scheduled).await?;
        }
        Ok(())
    }

    /// The chat's description, with the server's bytes.
    async fn described(&self) -> Result<Option<(Described, Raw)>, Trouble> {
        let (run, peer) = (&self.run, self.peer());
        let answer = match (peer.kind, run.peers.input_channel(peer)) {
            (PeerKind::User, _) => {
                let Some(id) = run.peers.input_user(peer) else { return Ok(None) };
                let full = run.api.ask_extra(&functions::users::GetFullUser { id }).await?;
                let bytes = tl(&full);
                let enums::users::UserFull::Full(full) = full;
                run.learn(&full.users, &full.chats);
                let enums::UserFull::Full(about) = &full.full_user;
                return Ok(Some((Described::of_user(about, &run.peers), bytes)));
            }
            (PeerKind::Channel, Some(channel)) => run.api.ask_extra(&functions::channels::GetFullChannel { channel }).await?,
            (PeerKind::Channel, None) => return Ok(None),
            (PeerKind::Chat, _) => run.api.ask_extra(&functions::messages::GetFullChat { chat_id: peer.id }).await?,
        };
        let bytes = tl(&answer);
        let enums::messages::ChatFull::Full(full) = answer;
        run.learn(&full.users, &full.chats);
        Ok(Described::of_chat(&full.full_chat, &run.peers).map(|described| (described, bytes)))
    }

    /// Who is in it, where their number changed or the list is old.
    async fn members(&self, full: &Described) -> Result<Option<Found>, Trouble> {
        let (run, peer) = (&self.run, self.peer());
        let counted = full.counted;
        let (mut members, mut raws): (Vec<Member>, Vec<Raw>) = (vec![], vec![]);
        if let (PeerKind::Channel, Some(channel)) = (peer.kind, run.peers.input_channel(peer)) {
            if !full.shows_members {
                return Ok(Some(Found { counted, ..Found::list(raw("[]".into()), 0, vec![]) }));
            }
            let known = self.before.parts.get(&Part::Members).filter(|known| known.digest.is_some());
            if known.is_some_and(|known| known.counted == counted && run.observed - known.asked < STALE_SECONDS) {
                return Ok(None);
            }
            let filter = enums::ChannelParticipantsFilter::ChannelParticipantsRecent;
            while i32::try_from(members.len()).is_ok_and(|offset| offset < MOST_MEMBERS) && run.ledger.may_ask_details() {
                let offset = i32::try_from(members.len()).unwrap_or(i32::MAX);
                let request = functions::channels::GetParticipants {
                    channel: channel.clone(),
                    filter: filter.clone(),
                    offset,
                    limit: MEMBERS_PAGE,
                    hash: 0,
                };
                let answer = run.api.ask_extra(&request).await?;
                raws.push(tl(&answer));
                let enums::channels::ChannelParticipants::Participants(page) = answer else { break };
                run.learn(&page.users, &page.chats);
                if page.participants.is_empty() {
                    break;
                }
                members.extend(page.participants.iter().map(Member::of_channel));
                if i32::try_from(members.len()).is_ok_and(|known| known >= page.count) {
                    break;
                }
            }
        }
        let came = full.members.as_ref().map(|came| member_list(came.iter().collect(), &run.peers));
        let (value, held) = came.unwrap_or_else(|| member_list(members.iter().collect(), &run.peers));
        Ok(Some(Found { counted, ..Found::list(raw(value), held, raws) }))
    }

    /// The pictures that a person shows or has shown; of a group or channel the one that it has, for its messages tell of the others.
    async fn pictures(&self, full: &Described) -> Result<Option<Found>, Trouble> {
        let (run, peer) = (&self.run, self.peer());
        let newest = full.photo.as_ref().map(|photo| photo.id);
        let known = self.before.parts.get(&Part::ProfilePictures);
        let lacks = run.state.read().lacks_files(peer, Part::ProfilePictures, MAX_TRIES);
        if known.is_some_and(|known| known.newest == newest) && !lacks {
            return Ok(None);
        }
        let (mut photos, mut raws) = (vec![], vec![]);
        match (peer.kind, run.peers.input_user(peer)) {
            (PeerKind::User, Some(user_id)) if newest.is_some() => {
                let mut seen = HashSet::new();
                while run.ledger.may_ask_details() {
                    let max_id = photos.last().map_or(0, |photo: &types::Photo| photo.id);
                    let request = functions::photos::GetUserPhotos { user_id: user_id.clone(), offset: 0, max_id, limit: PAGE };
                    let answer = run.api.ask_extra(&request).await?;
                    raws.push(tl(&answer));
                    let (page, users, is_all) = match answer {
                        enums::photos::Photos::Photos(all) => (all.photos, all.users, true),
                        enums::photos::Photos::Slice(some) => (some.photos, some.users, false),
                    };
                    run.learn(&users, &[]);
                    let before = photos.len();
                    photos.extend(page.into_iter().filter_map(|photo| match photo {
                        enums::Photo::Photo(photo) if seen.insert(photo.id) => Some(photo),
                        _ => None,
                    }));
                    if is_all || photos.len() == before {
                        break;
                    }
                }
            }
            _ => photos.extend(full.photo.clone()),
        }
        let wants: Vec<Option<Want>> = photos.iter().map(|photo| photo_want(photo, MediaRole::Userpic)).collect();
        let jobs = wants.iter().flatten().map(|want| (want.clone(), Seen::Part(peer, Part::ProfilePictures, want.key.id))).collect();
        let (outcomes, media) = run.fetch_all(jobs).await?;
        let value = picture_list(&photos, &wants, &outcomes);
        Ok(Some(Found { media, newest, ..Found::list(value, photos.len(), raws) }))
    }

    /// The stories that stay on the chat's page.
    async fn stories(&self) -> Result<Option<Found>, Trouble> {
        let (run, peer) = (&self.run, self.peer());
        let Some(input) = run.peers.input(peer) else { return Ok(None) };
        let (mut stories, mut raws): (Vec<types::StoryItem>, Vec<Raw>) = (vec![], vec![]);
        let mut counted = 0;
        while run.ledger.may_ask_details() {
            let offset_id = stories.last().map_or(0, |story| story.id);
            let request = functions::stories::GetPinnedStories { peer: input.clone(), offset_id, limit: PAGE };
            let answer = run.api.ask_extra(&request).await?;
            raws.push(tl(&answer));
            let enums::stories::Stories::Stories(page) = answer;
            run.learn(&page.users, &page.chats);
            counted = u64::try_from(page.count).unwrap_or_default();
            let before = stories.len();
            for story in page.stories {
                if let enums::StoryItem::Item(story) = story
                    && !stories.iter().any(|known| known.id == story.id)
                {
                    stories.push(*story);
                }
            }
            if stories.len() == before || stories.len() as u64 >= counted {
                break;
            }
        }
        let wants: Vec<Vec<Want>> = stories.iter().map(|story| chosen(story_wants(&story.media))).collect();
        let seen = |id: i32| Seen::Part(peer, Part::Stories, id.into());
        let pairs = stories.iter().zip(&wants);
        let jobs = pairs.flat_map(|(story, wants)| wants.iter().map(|want| (want.clone(), seen(story.id)))).collect();
        let (outcomes, media) = run.fetch_all(jobs).await?;
        let value = story_list(&stories, &wants, &outcomes);
        Ok(Some(Found { media, counted: Some(counted), ..Found::list(value, stories.len(), raws) }))
    }

    /// Messages that are to be sent later. They have numbers of their own, which mean nothing in the history.
    async fn scheduled(&self) -> Result<Option<Found>, Trouble> {
        let (run, peer) = (&self.run, self.peer());
        let Some(input) = run.peers.input(peer) else { return Ok(None) };
        let answer = run.api.ask_extra(&functions::messages::GetScheduledHistory { peer: input, hash: 0 }).await?;
        let bytes = tl(&answer);
        let messages = run.messages_of(answer);
        let (value, media) = run.message_list(peer, &messages, |id| Seen::Part(peer, Part::ScheduledMessages, id)).await?;
        Ok(Some(Found { media, ..Found::list(value, messages.len(), vec![bytes]) }))
    }

    /// What administrators did since the last entry that is held.
    async fn admin_log(&self) -> Result<Option<Found>, Trouble> {
        let (run, peer) = (&self.run, self.peer());
        let Some(channel) = run.peers.input_channel(peer) else { return Ok(None) };
        let known = self.before.parts.get(&Part::AdminLog).and_then(|known| known.newest);
        let (mut events, mut raws): (Vec<types::ChannelAdminLogEvent>, Vec<Raw>) = (vec![], vec![]);
        while run.ledger.may_ask_details() {
            let request = functions::channels::GetAdminLog {
                channel: channel.clone(),
                q: String::new(),
                events_filter: None,
                admins: None,
                max_id: events.last().map_or(0, |event| event.id),
                min_id: known.unwrap_or_default(),
                limit: PAGE,
            };
            let answer = run.api.ask_extra(&request).await?;
            let bytes = tl(&answer);
            let enums::channels::AdminLogResults::Results(page) = answer;
            run.learn(&page.users, &page.chats);
            let before = events.len();
            let last = events.last().map_or(i64::MAX, |event| event.id);
            let events_of = page.events.into_iter().map(|enums::ChannelAdminLogEvent::Event(event)| event);
            let mut older: Vec<_> = events_of.filter(|event| event.id < last && known.is_none_or(|known| event.id > known)).collect();
            older.sort_by_key(|event| std::cmp::Reverse(event.id));
            events.extend(older);
            if events.len() == before {
                break;
            }
            raws.push(bytes);
        }
        if events.is_empty() {
            return Ok(None);
        }
        let newest = events.first().map(|event| event.id);
        events.reverse();
        let shown = |message: &enums::Message| {
            let record = record(message, &run.context(peer, &|_| None), &[], &Outcomes::new())?;
            Some(record.message.get().to_owned())
        };
        let value = list(events.iter().map(|event| admin_event(event, &run.peers, &shown)));
        Ok(Some(Found { newest, ..Found::list(raw(value), events.len(), raws) }))
    }

    /// Writes a part that was found, unless it is as before, and remembers what came of it.
    async fn settled(&self, part: Part, found: Result<Option<Found>, Trouble>) -> Result<(), TelegramError> {
        let (run, peer) = (&self.run, self.peer());
        let before = self.before.parts.get(&part).cloned().unwrap_or_default();
        let found = match found {
            Ok(Some(found)) => found,
            // As it was.
            Ok(None) => {
                self.know(part, PartState { asked: run.observed, because: None, ..before });
                return Ok(());
            }
            Err(trouble) => return self.refused(part, trouble),
        };
        let Found { value, steady, media, raw, held, counted, newest } = found;
        let digest = run.prints.of_bytes(steady.as_deref().unwrap_or_else(|| value.get()).as_bytes());
        let grows = part == Part::AdminLog;
        let state = PartState {
            asked: run.observed,
            digest: Some(digest),
            held: if grows { before.held + held } else { held },
            counted,
            newest: newest.or(before.newest.filter(|_| grows)),
            because: None,
        };
        let is_new = before.digest.map_or(held > 0, |known| known != digest);
        if !is_new {
            self.know(part, PartState { digest: before.digest, ..state });
            return Ok(());
        }
        let file = ChatPart { v: VERSION, peer, part, observed: run.observed, run: run.id.clone(), value, media, raw };
        self.findings().parts.insert(part, state.clone());
        run.describe(path(paths::chat_part(peer, part, &run.id))?, &file, Effect::Part { peer, part, state }).await?;
        Ok(())
    }

    /// Remembers what needs no file.
    fn know(&self, part: Part, state: PartState) {
        self.findings().parts.insert(part, state.clone());
        self.run.state.when_all(&[], Effect::Part { peer: self.peer(), part, state });
    }

    /// Takes note of what Telegram does not give. A refusal is its answer; anything else is asked for again by the next run.
    fn refused(&self, part: Part, trouble: Trouble) -> Result<(), TelegramError> {
        let error = match trouble {
            Trouble::Call(error) => error,
            Trouble::Run(error) => return Err(error),
        };
        if error.rpc().is_some_and(|rpc| rpc.wait().is_some()) {
            self.run.ledger.no_more_details();
            return Ok(());
        }
        let is_answer = is_answer(&error);
        let error = self.run.api.or_reason("asking what a chat has beside messages", error)?;
        let before = self.before.parts.get(&part).cloned().unwrap_or_default();
        let because = Some(Reason::NotGiven { error: error.clone() });
        if is_answer {
            self.know(part, PartState { asked: self.run.observed, because, ..before });
        } else {
            self.findings().parts.insert(part, PartState { because, ..before });
            self.note_missing(Reason::PartNotRead { part: part.key().to_owned(), error });
        }
        Ok(())
    }
}

/// Whether Telegram says no, and would say so again.
fn is_answer(error: &CallError) -> bool {
    error.rpc().is_some_and(|rpc| matches!(rpc.code, 400 | 403 | 404 | 406))
}

/// The same files with the switches that belong to their kinds: stories of others are no part of the account itself.
fn chosen(mut wants: Vec<Want>) -> Vec<Want> {
    for want in &mut wants {
        let is_video = want.mime.as_deref().is_some_and(|mime| mime.starts_with("video/"));
        want.kind = Some(if is_video { FileKind::Video } else { FileKind::Photo });
    }
    wants
}
