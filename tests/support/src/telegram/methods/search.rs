//! Messages by author, date, kind, words or topic.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};

use grammers_tl_types::enums::{MessageAction, MessageMedia, MessagesFilter as Filter};
use grammers_tl_types::{enums, functions as f, types};

use super::history::Window;
use super::topics::topic_of;
use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::world::chat::Chat;
use crate::telegram::world::{Peer, SELF, World};

/// What is looked for.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    chat: Peer,
    words: String,
    from: Option<Peer>,
    topic: Option<i32>,
    /// Both ends exclusive; 0 means open.
    dates: (i32, i32),
    filter: Filter,
}

/// Results of the last searches, so that reading on does not look through the chat again.
#[derive(Default)]
pub(crate) struct Searches(VecDeque<(Wanted, u64, Arc<Vec<i32>>)>);

/// How many results are kept.
const KEPT: usize = 32;

impl World {
    /// Ids of the messages wanted, ascending.
    fn find(&self, chat: &Chat, wanted: &Wanted) -> Vec<i32> {
        let inside = |date: i32| (wanted.dates.0 == 0 || date > wanted.dates.0) && (wanted.dates.1 == 0 || date < wanted.dates.1);
        let plain =
            wanted.words.is_empty() && wanted.from.is_none() && wanted.topic.is_none() && wanted.filter == Filter::InputMessagesFilterEmpty;
        let dated = chat.ids().iter().copied().filter(|id| wanted.dates == (0, 0) || inside(self.date(chat, *id)));
        if plain {
            return dated.collect();
        }
        dated.filter(|id| self.message(chat, *id).is_some_and(|message| self.is_wanted(chat, &message, wanted))).collect()
    }

    fn is_wanted(&self, chat: &Chat, message: &enums::Message, wanted: &Wanted) -> bool {
        let (text, from, out) = match message {
            enums::Message::Message(m) => (m.message.as_str(), &m.from_id, m.out),
            enums::Message::Service(m) => ("", &m.from_id, m.out),
            enums::Message::Empty(_) => return false,
        };
        let author = match (from, chat.peer) {
            (Some(peer), _) => Peer::from_tl(peer),
            (None, Peer::User(_)) if out => Peer::User(SELF),
            (None, peer) => peer,
        };
        (wanted.words.is_empty() || text.to_lowercase().contains(&wanted.words))
            && wanted.from.is_none_or(|from| from == author)
            && wanted.topic.is_none_or(|topic| topic == topic_of(message) || topic == message.id())
            && matches_filter(message, &wanted.filter)
    }
}

impl Call<'_> {
    fn found(&self, world: &World, chat: &Chat, wanted: Wanted) -> Arc<Vec<i32>> {
        let mut kept = self.shared.searches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., ids)) = kept.0.iter().find(|(known, version, _)| *known == wanted && *version == world.version) {
            return Arc::clone(ids);
        }
        let ids = Arc::new(world.find(chat, &wanted));
        kept.0.push_front((wanted, world.version, Arc::clone(&ids)));
        kept.0.truncate(KEPT);
        ids
    }
}

pub(super) fn search(call: &mut Call<'_>, r: f::messages::Search) -> Result<enums::messages::Messages, Refusal> {
    let world = call.shared.world();
    let peer = world.resolve(&r.peer)?;
    let from = r.from_id.as_ref().map(|from| world.resolve(from)).transpose()?;
    // One's own messages can be found after leaving.
    let chat = if from == Some(Peer::User(SELF)) { world.present(peer)? } else { world.readable(peer)? };
    let wanted =
        Wanted { chat: peer, words: r.q.to_lowercase(), from, topic: r.top_msg_id, dates: (r.min_date, r.max_date), filter: r.filter };
    let window =
        Window { offset_id: r.offset_id, offset_date: 0, add_offset: r.add_offset, limit: r.limit, max_id: r.max_id, min_id: r.min_id };
    let all = call.found(&world, chat, wanted);
    let ids = call.in_range(chat, &all);
    Ok(world.answer_page(chat, window.page(ids, |_| 0), ids.len()))
}

/// The messages of a topic.
pub(super) fn get_replies(call: &mut Call<'_>, r: f::messages::GetReplies) -> Result<enums::messages::Messages, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve(&r.peer)?)?;
    let wanted = Wanted {
        chat: chat.peer,
        words: String::new(),
        from: None,
        topic: Some(r.msg_id),
        dates: (0, 0),
        filter: Filter::InputMessagesFilterEmpty,
    };
    let window = Window {
        offset_id: r.offset_id,
        offset_date: r.offset_date,
        add_offset: r.add_offset,
        limit: r.limit,
        max_id: r.max_id,
        min_id: r.min_id,
    };
    let ids = call.found(&world, chat, wanted);
    Ok(world.answer_page(chat, window.page(&ids, |id| world.date(chat, id)), ids.len()))
}

pub(super) fn get_search_counters(
    call: &mut Call<'_>,
    r: f::messages::GetSearchCounters,
) -> Result<Vec<enums::messages::SearchCounter>, Refusal> {
    let world = call.shared.world();
    let chat = world.readable(world.resolve(&r.peer)?)?;
    let counter = |filter: Filter| {
        let wanted =
            Wanted { chat: chat.peer, words: String::new(), from: None, topic: r.top_msg_id, dates: (0, 0), filter: filter.clone() };
        let count = call.found(&world, chat, wanted).len() as i32;
        types::messages::SearchCounter { inexact: false, filter, count }.into()
    };
    Ok(r.filters.into_iter().map(counter).collect())
}

fn matches_filter(message: &enums::Message, filter: &Filter) -> bool {
    let message = match message {
        enums::Message::Message(message) => message,
        enums::Message::Service(message) => {
            return match filter {
                Filter::InputMessagesFilterEmpty => true,
                Filter::InputMessagesFilterPhoneCalls(calls) => {
                    matches!(&message.action, MessageAction::PhoneCall(call) if !calls.missed || call.duration.is_none())
                }
                Filter::InputMessagesFilterChatPhotos => matches!(message.action, MessageAction::ChatEditPhoto(_)),
                _ => false,
            };
        }
        enums::Message::Empty(_) => return false,
    };
    let photo = matches!(message.media, Some(MessageMedia::Photo(_)));
    let document = Document::of(message.media.as_ref());
    match filter {
        Filter::InputMessagesFilterEmpty => true,
        Filter::InputMessagesFilterPhotos => photo,
        Filter::InputMessagesFilterVideo => document.video(),
        Filter::InputMessagesFilterPhotoVideo => photo || document.video(),
        Filter::InputMessagesFilterDocument => document.plain(),
        Filter::InputMessagesFilterGif => document.animated,
        Filter::InputMessagesFilterVoice => document.voice,
        Filter::InputMessagesFilterMusic => document.audio && !document.voice,
        Filter::InputMessagesFilterRoundVideo => document.round,
        Filter::InputMessagesFilterRoundVoice => document.round || document.voice,
        Filter::InputMessagesFilterGeo => {
            matches!(message.media, Some(MessageMedia::Geo(_) | MessageMedia::GeoLive(_) | MessageMedia::Venue(_)))
        }
        Filter::InputMessagesFilterContacts => matches!(message.media, Some(MessageMedia::Contact(_))),
        Filter::InputMessagesFilterPoll => matches!(message.media, Some(MessageMedia::Poll(_))),
        Filter::InputMessagesFilterPinned => message.pinned,
        Filter::InputMessagesFilterMyMentions => message.mentioned,
        Filter::InputMessagesFilterUrl => message
            .entities
            .iter()
            .flatten()
            .any(|entity| matches!(entity, enums::MessageEntity::Url(_) | enums::MessageEntity::TextUrl(_))),
        Filter::InputMessagesFilterPhoneCalls(_) | Filter::InputMessagesFilterChatPhotos => false,
    }
}

/// What a document's attributes say.
#[derive(Default)]
struct Document {
    any: bool,
    moving: bool,
    round: bool,
    animated: bool,
    audio: bool,
    voice: bool,
    sticker: bool,
}

impl Document {
    fn of(media: Option<&MessageMedia>) -> Self {
        let mut found = Self::default();
        let Some(MessageMedia::Document(media)) = media else { return found };
        let Some(enums::Document::Document(document)) = &media.document else { return found };
        found.any = true;
        for attribute in &document.attributes {
            match attribute {
                enums::DocumentAttribute::Video(video) => {
                    found.moving = true;
                    found.round = video.round_message;
                }
                enums::DocumentAttribute::Audio(audio) => {
                    found.audio = true;
                    found.voice = audio.voice;
                }
                enums::DocumentAttribute::Animated => found.animated = true,
                enums::DocumentAttribute::Sticker(_) => found.sticker = true,
                _ => {}
            }
        }
        found
    }

    fn video(&self) -> bool {
        self.moving && !self.round && !self.animated && !self.sticker
    }

    fn plain(&self) -> bool {
        self.any && !self.moving && !self.audio && !self.sticker
    }
}
