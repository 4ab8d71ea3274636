//! What an account has collected: drafts, gifts. And who voted in a poll.

use grammers_tl_types::{enums, types};
use serde_json::value::RawValue;

use super::PeerBook;
use super::files::{Want, document_want, song_media};
use super::json::{Object, list, put_date, raw};
use super::media::{Outcomes, put_media, shown};
use super::peers::peer_of;
use super::text::{EmojiIds, render};
use crate::model::media::MediaRole;
use crate::model::record::Extra;

/// What was written in a chat and not sent; `None` where nothing is.
pub(crate) fn draft(update: &types::UpdateDraftMessage, names: &PeerBook) -> Option<String> {
    let enums::DraftMessage::Message(draft) = &update.draft else { return None };
    let peer = peer_of(&update.peer);
    let mut object = Object::new();
    object.put("chat", &names.name(peer)).put("chat_id", &peer);
    object.put_number("topic_id", update.top_msg_id.unwrap_or_default().into());
    put_date(&mut object, "date", draft.date.into());
    if let Some(enums::InputReplyTo::Message(reply)) = &draft.reply_to {
        object.put("reply_to_message_id", &reply.reply_to_msg_id);
    }
    let entities = draft.entities.as_deref().unwrap_or_default();
    let text = render(&draft.message, entities, &EmojiIds::Numbers);
    object.put_raw("text", &text.text).put_raw("text_entities", &text.entities);
    Some(object.end())
}

/// A piece of music of the profile, which Telegram Desktop has as a message without a sender from 1970.
pub(crate) fn song(song: &types::Document, id: i32, wants: &[Want], outcomes: &Outcomes) -> String {
    let mut object = Object::new();
    object.put("id", &id).put("type", "message");
    put_date(&mut object, "date", 0);
    put_media(&mut object, &song_media(song), None, wants, outcomes);
    object.put("text", "").put_raw("text_entities", "[]");
    object.end()
}

/// The sticker that a gift shows.
pub(crate) fn gift_wants(gift: &types::SavedStarGift) -> Option<Want> {
    let document = match &gift.gift {
        enums::StarGift::Gift(gift) => &gift.sticker,
        enums::StarGift::Unique(gift) => gift.attributes.iter().find_map(|attribute| match attribute {
            enums::StarGiftAttribute::Model(model) => Some(&model.document),
            _ => None,
        })?,
    };
    match document {
        enums::Document::Document(document) => document_want(document, MediaRole::Attachment),
        enums::Document::Empty(_) => None,
    }
}

/// A gift that the account got.
pub(crate) fn gift(gift: &types::SavedStarGift, want: Option<&Want>, names: &PeerBook, outcomes: &Outcomes) -> String {
    let mut object = Object::new();
    match &gift.gift {
        enums::StarGift::Gift(plain) => {
            object.put("title", plain.title.as_deref().unwrap_or("Gift")).put("gift_id", &plain.id).put("stars", &plain.stars);
            object.put_flag("is_limited", plain.limited);
        }
        enums::StarGift::Unique(unique) => {
            object.put("title", &format!("{} #{}", unique.title, unique.num)).put("gift_id", &unique.gift_id);
            object.put("link", &format!("https://t.me/nft/{}", unique.slug));
            for attribute in &unique.attributes {
                match attribute {
                    enums::StarGiftAttribute::Model(model) => drop(object.put("model", &model.name)),
                    enums::StarGiftAttribute::Pattern(pattern) => drop(object.put("pattern", &pattern.name)),
                    enums::StarGiftAttribute::Backdrop(backdrop) => drop(object.put("backdrop", &backdrop.name)),
                    enums::StarGiftAttribute::OriginalDetails(_) => {}
                }
            }
        }
    }
    put_date(&mut object, "date", gift.date.into());
    if let Some(from) = gift.from_id.as_ref().map(peer_of) {
        object.put("from", &names.name(from)).put("from_id", &from);
    }
    if let Some(enums::TextWithEntities::Entities(message)) = &gift.message {
        let text = render(&message.text, &message.entities, &EmojiIds::Numbers);
        object.put_raw("text", &text.text);
    }
    object.put_flag("is_anonymous", gift.name_hidden).put_flag("is_hidden", gift.unsaved);
    object.put_flag("is_pinned", gift.pinned_to_top).put_flag("is_refunded", gift.refunded);
    if let Some(want) = want {
        object.put("sticker", &shown(want, outcomes));
    }
    object.end()
}

/// What a message has beside Telegram Desktop's keys, with who voted in its poll.
pub(crate) fn with_votes(extra: Option<&RawValue>, votes: &str) -> Option<Box<RawValue>> {
    let mut extra: Extra = extra.and_then(|extra| serde_json::from_str(extra.get()).ok()).unwrap_or_default();
    extra.poll_votes = Some(raw(votes.to_owned()));
    extra.to_raw().unwrap_or_default()
}

/// Who voted for which answers.
pub(crate) fn votes(votes: &[enums::MessagePeerVote], answers: &[enums::PollAnswer], names: &PeerBook) -> String {
    let text_of = |option: &Vec<u8>| {
        answers.iter().find_map(|answer| match answer {
            enums::PollAnswer::Answer(answer) if answer.option == *option => {
                let enums::TextWithEntities::Entities(text) = &answer.text;
                Some(text.text.clone())
            }
            _ => None,
        })
    };
    list(votes.iter().map(|vote| {
        let (peer, options) = match vote {
            enums::MessagePeerVote::Vote(vote) => (&vote.peer, vec![&vote.option]),
            enums::MessagePeerVote::InputOption(vote) => (&vote.peer, vec![]),
            enums::MessagePeerVote::Multiple(vote) => (&vote.peer, vote.options.iter().collect()),
        };
        let peer = peer_of(peer);
        let mut object = Object::new();
        object.put("from", &names.name(peer)).put("from_id", &peer);
        put_date(&mut object, "date", vote.date().into());
        object.put("answers", &options.into_iter().filter_map(text_of).collect::<Vec<_>>());
        object.end()
    }))
}
