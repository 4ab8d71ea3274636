//! A message as a record.

use grammers_tl_types::{LAYER, Serializable, enums, types};

use super::Context;
use super::buttons::{inline_rows, reply_keyboard};
use super::files::Want;
use super::json::{Object, list, put_date, raw};
use super::media::{Outcomes, put_media, shown, stored, web_page};
use super::peers::peer_of;
use super::rich::whole_text;
use super::service::{constructor, put_service};
use super::text::{EmojiIds, all_entities, render};
use crate::model::media::MediaRole;
use crate::model::peer::Peer;
use crate::model::record::{Dice, Digits, Extra, MessageRecord, Quote, Raw};

/// Telegram Desktop's word for a custom emoji whose file is not there.
const NO_EMOJI: &str = "(unavailable)";

/// Renders a message; `None` for an empty one, which is only a sign that there is none.
pub(crate) fn record(message: &enums::Message, context: &Context<'_>, wants: &[Want], outcomes: &Outcomes) -> Option<MessageRecord> {
    let mut object = Object::new();
    let mut extra = Extra::default();
    let (id, date, edited) = match message {
        enums::Message::Message(m) => {
            put_message(&mut object, m, context, wants, outcomes);
            describe(&mut extra, m, context, wants, outcomes);
            (m.id, m.date, m.edit_date)
        }
        enums::Message::Service(m) => {
            object.put("id", &m.id);
            if !put_service(&mut object, m, context, wants, outcomes) {
                object.put("text", "").put_raw("text_entities", "[]");
                extra.constructor = constructor(&m.action.to_bytes());
            }
            put_reactions(&mut object, m.reactions.as_ref(), context);
            describe_service(&mut extra, m);
            (m.id, m.date, None)
        }
        enums::Message::Empty(_) => return None,
    };
    Some(MessageRecord {
        peer: context.chat,
        id: id.into(),
        observed: context.observed,
        run: context.run.clone(),
        date: Some(date.into()),
        edited: edited.map(i64::from),
        message: object.into_raw(),
        extra: extra.to_raw().unwrap_or_default(),
        media: stored(wants, outcomes),
        raw: Some(Raw::Tl { layer: LAYER.unsigned_abs(), bytes: message.to_bytes() }),
    })
}

fn put_message(object: &mut Object, message: &types::Message, context: &Context<'_>, wants: &[Want], outcomes: &Outcomes) {
    object.put("id", &message.id);
    if matches!(message.media, Some(enums::MessageMedia::Unsupported)) {
        object.put("type", "unsupported");
        return;
    }
    object.put("type", "message");
    put_date(object, "date", message.date.into());
    if let Some(edited) = message.edit_date {
        put_date(object, "edited", edited.into());
    }
    let sender = message.from_id.as_ref().map_or(context.chat, peer_of);
    object.put("from", &context.names.name(sender)).put("from_id", &sender);
    object.put_text("author", message.post_author.as_deref().unwrap_or_default());
    if let Some(enums::MessageFwdHeader::Header(forward)) = &message.fwd_from {
        let source = forward.from_id.as_ref().map(peer_of);
        object.put("forwarded_from", &source.map_or_else(|| forward.from_name.clone(), |peer| context.names.name(peer)));
        if let Some(source) = source {
            object.put("forwarded_from_id", &source);
        }
        if let Some(saved) = forward.saved_from_peer.as_ref().map(peer_of) {
            object.put("saved_from", &context.names.name(saved));
        }
    }
    if let Some(enums::MessageReplyHeader::Header(reply)) = &message.reply_to {
        object.put_number("reply_to_message_id", reply.reply_to_msg_id.unwrap_or_default().into());
        if let Some(peer) = reply.reply_to_peer_id.as_ref().map(peer_of)
            && peer != context.chat
        {
            object.put("reply_to_peer_id", &peer);
        }
    }
    let bot = message.via_bot_id.and_then(|bot| context.names.username(Peer::user(bot)));
    if message.via_bot_id.is_some() {
        object.put("via_bot", &format!("@{}", bot.as_deref().unwrap_or_default()));
    }
    if let Some(media) = &message.media {
        let game_bot = bot.or_else(|| context.names.username(sender));
        put_media(object, media, game_bot.as_deref(), wants, outcomes);
    }
    let emoji = |id| (context.emoji)(id).unwrap_or_else(|| NO_EMOJI.into());
    let (text, entities) = whole_text(message);
    let text = render(&text, &entities, &EmojiIds::Files(&emoji));
    object.put_raw("text", &text.text).put_raw("text_entities", &text.entities);
    if let Some(rows) = message.reply_markup.as_ref().and_then(inline_rows) {
        object.put_raw("inline_bot_buttons", &rows);
    }
    put_reactions(object, message.reactions.as_ref(), context);
}

/// `type`, and `emoji` or `document_id`.
fn reaction(object: &mut Object, reaction: &enums::Reaction, context: &Context<'_>, count: Option<i32>) {
    let kind = match reaction {
        enums::Reaction::Emoji(_) => "emoji",
        enums::Reaction::CustomEmoji(_) => "custom_emoji",
        enums::Reaction::Paid => "paid",
        enums::Reaction::Empty => "empty",
    };
    object.put("type", kind);
    if let Some(count) = count {
        object.put("count", &count);
    }
    match reaction {
        enums::Reaction::Emoji(emoji) => {
            object.put("emoji", &emoji.emoticon);
        }
        enums::Reaction::CustomEmoji(custom) => {
            object.put("document_id", &(context.emoji)(custom.document_id).unwrap_or_else(|| NO_EMOJI.into()));
        }
        enums::Reaction::Paid | enums::Reaction::Empty => {}
    }
}

fn put_reactions(object: &mut Object, reactions: Option<&enums::MessageReactions>, context: &Context<'_>) {
    let Some(enums::MessageReactions::Reactions(reactions)) = reactions else { return };
    let recent: Vec<&types::MessagePeerReaction> =
        reactions.recent_reactions.iter().flatten().map(|enums::MessagePeerReaction::Reaction(recent)| recent).collect();
    let mut counted: Vec<(&enums::Reaction, i32)> =
        reactions.results.iter().map(|enums::ReactionCount::Count(count)| (&count.reaction, count.count)).collect();
    // One that only the list of the latest knows still shows, with a count of 0.
    for one in &recent {
        if !counted.iter().any(|(known, _)| **known == one.reaction) {
            counted.push((&one.reaction, 0));
        }
    }
    if counted.is_empty() {
        return;
    }
    let all = list(counted.into_iter().map(|(kind, count)| {
        let mut object = Object::new();
        reaction(&mut object, kind, context, Some(count));
        let by: Vec<String> = recent
            .iter()
            .filter(|one| one.reaction == *kind)
            .map(|one| {
                let peer = peer_of(&one.peer_id);
                let mut object = Object::new();
                object.put("from", &context.names.name(peer)).put("from_id", &peer);
                object.put("date", &super::json::iso(one.date.into()));
                object.end()
            })
            .collect();
        if !by.is_empty() {
            object.put_raw("recent", &list(by));
        }
        object.end()
    }));
    object.put_raw("reactions", &all);
}

/// The topic that a message belongs to.
fn topic(reply: Option<&enums::MessageReplyHeader>) -> Option<i64> {
    match reply {
        Some(enums::MessageReplyHeader::Header(reply)) if reply.forum_topic => {
            reply.reply_to_top_id.or(reply.reply_to_msg_id).map(i64::from)
        }
        _ => None,
    }
}

fn own_reactions(reactions: Option<&enums::MessageReactions>, context: Option<&Context<'_>>) -> Option<String> {
    let enums::MessageReactions::Reactions(reactions) = reactions?;
    let own: Vec<String> = reactions
        .results
        .iter()
        .filter_map(|enums::ReactionCount::Count(count)| {
            count.chosen_order?;
            let mut object = Object::new();
            match (&count.reaction, context) {
                (enums::Reaction::CustomEmoji(custom), None) => {
                    object.put("type", "custom_emoji").put("document_id", &custom.document_id.to_string());
                }
                (enums::Reaction::Emoji(emoji), None) => {
                    object.put("type", "emoji").put("emoji", &emoji.emoticon);
                }
                (kind, Some(context)) => reaction(&mut object, kind, context, None),
                (_, None) => return None,
            }
            Some(object.end())
        })
        .collect();
    (!own.is_empty()).then(|| list(own))
}

fn describe(extra: &mut Extra, message: &types::Message, context: &Context<'_>, wants: &[Want], outcomes: &Outcomes) {
    extra.topic_id = topic(message.reply_to.as_ref());
    extra.grouped_id = message.grouped_id.map(Digits);
    extra.views = message.views;
    extra.forwards = message.forwards;
    extra.replies_count = message.replies.as_ref().map(|enums::MessageReplies::Replies(replies)| replies.replies);
    extra.outgoing = message.out;
    extra.pinned = message.pinned;
    extra.silent = message.silent;
    extra.edit_hide = message.edit_hide;
    extra.from_scheduled = message.from_scheduled;
    extra.no_forwards = message.noforwards;
    extra.invert_media = message.invert_media;
    extra.media_unread = message.media_unread;
    extra.ttl_period_seconds = message.ttl_period;
    extra.via_business_bot_id = message.via_business_bot_id.map(Peer::user);
    extra.effect_id = message.effect.map(Digits);
    extra.sender_boosts = message.from_boosts_applied;
    extra.paid_message_stars = message.paid_message_stars;
    extra.saved_peer_id = message.saved_peer_id.as_ref().map(peer_of);
    match &message.reply_to {
        Some(enums::MessageReplyHeader::Header(reply)) => {
            extra.reply_quote = reply.quote_text.as_ref().map(|text| Quote {
                text: text.clone(),
                text_entities: reply.quote_entities.as_ref().map(|entities| raw(render(text, entities, &EmojiIds::Numbers).entities)),
                offset: reply.quote_offset,
            });
        }
        Some(enums::MessageReplyHeader::MessageReplyStoryHeader(story)) => extra.reply_to_story_id = Some(story.story_id),
        None => {}
    }
    if let Some(enums::MessageFwdHeader::Header(forward)) = &message.fwd_from {
        extra.forwarded_date_unixtime = Some(Digits(forward.date.into()));
        extra.forwarded_message_id = forward.channel_post.map(i64::from);
        extra.forwarded_author.clone_from(&forward.post_author);
        extra.saved_from_id = forward.saved_from_peer.as_ref().map(peer_of);
        extra.saved_from_message_id = forward.saved_from_msg_id.map(i64::from);
    }
    let (text, entities) = whole_text(message);
    if render(&text, &entities, &EmojiIds::Numbers).dropped {
        extra.all_entities = Some(all_entities(&entities));
    }
    extra.reply_keyboard = message.reply_markup.as_ref().and_then(reply_keyboard).map(raw);
    extra.own_reactions = own_reactions(message.reactions.as_ref(), Some(context)).map(raw);
    match &message.media {
        Some(enums::MessageMedia::WebPage(page)) => {
            extra.web_page = web_page(&page.webpage).map(|mut object| {
                if let Some(photo) = wants.iter().find(|want| want.role == MediaRole::Attachment) {
                    object.put("photo", &shown(photo, outcomes));
                }
                object.into_raw()
            });
        }
        Some(enums::MessageMedia::Dice(dice)) => extra.dice = Some(Dice { emoji: dice.emoticon.clone(), value: dice.value }),
        Some(enums::MessageMedia::Story(story)) => {
            let mut object = Object::new();
            object.put("peer", &peer_of(&story.peer)).put("id", &story.id);
            extra.story = Some(object.into_raw());
        }
        Some(media @ (enums::MessageMedia::Unsupported | enums::MessageMedia::VideoStream(_))) => {
            extra.constructor = constructor(&media.to_bytes());
        }
        _ => {}
    }
}

fn describe_service(extra: &mut Extra, message: &types::MessageService) {
    extra.topic_id = match message.action {
        // The message that begins a topic belongs to it.
        enums::MessageAction::TopicCreate(_) => Some(message.id.into()),
        _ => topic(message.reply_to.as_ref()),
    };
    extra.outgoing = message.out;
    extra.silent = message.silent;
    extra.media_unread = message.media_unread;
    extra.ttl_period_seconds = message.ttl_period;
    extra.saved_peer_id = message.saved_peer_id.as_ref().map(peer_of);
    extra.own_reactions = own_reactions(message.reactions.as_ref(), None).map(raw);
}
