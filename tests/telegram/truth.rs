//! What Telegram Desktop's keys have to say about a message, worked out from the server's own object: nothing here asks the program.

use std::collections::BTreeSet;

use grammers_tl_types::enums::{self, DocumentAttribute, Message, MessageAction, MessageMedia};
use grammers_tl_types::types;
use serde_json::Value;
use tgvault_test_support::telegram::{TelegramServer, file_bytes};

/// Where a message was restored to.
pub struct Place<'a> {
    pub server: &'a TelegramServer,
    /// The chat, typed.
    pub chat: String,
    /// What is added to its ids: groups that became supergroups have theirs below zero.
    pub shift: i64,
    /// The content of a restored file, by the path that the message names.
    pub file: &'a dyn Fn(&str) -> Option<Vec<u8>>,
}

/// What was seen, so that a test can say that it saw everything.
#[derive(Default)]
pub struct Seen {
    pub media: BTreeSet<String>,
    pub actions: BTreeSet<String>,
    pub entities: BTreeSet<&'static str>,
    pub files: usize,
    pub rich: usize,
}

fn typed(peer: &enums::Peer) -> String {
    match peer {
        enums::Peer::User(user) => format!("user{}", user.user_id),
        enums::Peer::Chat(chat) => format!("chat{}", chat.chat_id),
        enums::Peer::Channel(channel) => format!("channel{}", channel.channel_id),
    }
}

/// The whole text of a value that is a string, or a list of strings and marked pieces.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(|part| part.as_str().or(part["text"].as_str()).unwrap()).collect(),
        other => panic!("not a text: {other}"),
    }
}

fn constructor(object: &impl std::fmt::Debug) -> String {
    format!("{object:?}").split(['(', ' ']).next().unwrap().to_owned()
}

impl Place<'_> {
    /// Compares a restored message with the server's.
    pub fn compare(&self, truth: &Message, json: &Value, seen: &mut Seen) {
        assert_eq!(json["id"], i64::from(truth.id()) + self.shift, "{json}");
        match truth {
            Message::Message(truth) if matches!(truth.media, Some(MessageMedia::Unsupported)) => {
                assert_eq!(json["type"], "unsupported", "{json}");
                assert!(json.get("text").is_none(), "{json}");
                // The stored form leaves it to the record around it; what is rendered says it.
                let date = json.get("date_unixtime");
                assert!(date.is_none_or(|date| date.as_str() == Some(&truth.date.to_string())), "{json}");
                seen.media.insert("Unsupported".into());
            }
            Message::Message(truth) => self.message(truth, json, seen),
            Message::Service(truth) => self.service(truth, json, seen),
            Message::Empty(_) => panic!("an empty message was stored"),
        }
    }

    fn message(&self, truth: &types::Message, json: &Value, seen: &mut Seen) {
        assert_eq!(json["type"], "message", "{json}");
        assert_eq!(json["date_unixtime"], truth.date.to_string(), "{json}");
        assert_eq!(json["edited_unixtime"].as_str().map(str::to_owned), truth.edit_date.map(|date| date.to_string()), "{json}");
        assert_eq!(json["from_id"], truth.from_id.as_ref().map_or(self.chat.clone(), typed), "{json}");
        assert_eq!(json["author"].as_str().unwrap_or_default(), truth.post_author.as_deref().unwrap_or_default(), "{json}");
        assert_eq!(json.get("via_bot").is_some(), truth.via_bot_id.is_some(), "{json}");
        assert_eq!(json.get("forwarded_from").is_some(), truth.fwd_from.is_some(), "{json}");
        if let Some(enums::MessageFwdHeader::Header(header)) = &truth.fwd_from {
            if let Some(from) = &header.from_id {
                assert_eq!(json["forwarded_from_id"], typed(from), "{json}");
            } else if let Some(name) = &header.from_name {
                assert_eq!(json["forwarded_from"], name.as_str(), "{json}");
            }
            assert_eq!(json.get("saved_from").is_some(), header.saved_from_peer.is_some(), "{json}");
        }
        self.reply(truth.reply_to.as_ref(), json);
        let text = text_of(&json["text"]);
        assert_eq!(text_of(&json["text_entities"]), text, "{json}");
        match &truth.rich_message {
            Some(enums::RichMessage::Message(rich)) => says_all(&text, &truth.message, rich, seen),
            None => {
                assert_eq!(text, truth.message, "{json}");
                entities(&truth.message, truth.entities.as_deref().unwrap_or_default(), &json["text_entities"], seen);
            }
        }
        buttons(truth.reply_markup.as_ref(), json);
        reactions(truth.reactions.as_ref(), json);
        if let Some(media) = &truth.media {
            seen.media.insert(constructor(media));
            self.media(media, json, seen);
        }
    }

    fn reply(&self, reply: Option<&enums::MessageReplyHeader>, json: &Value) {
        let Some(enums::MessageReplyHeader::Header(header)) = reply else {
            assert!(json.get("reply_to_message_id").is_none(), "{json}");
            return;
        };
        let elsewhere = header.reply_to_peer_id.as_ref().map(typed).filter(|peer| *peer != self.chat);
        let shift = if elsewhere.is_some() { 0 } else { self.shift };
        let id = header.reply_to_msg_id.filter(|&id| id != 0).map(|id| i64::from(id) + shift);
        assert_eq!(json["reply_to_message_id"].as_i64(), id, "{json} {header:?}");
        if id.is_some() {
            assert_eq!(json["reply_to_peer_id"].as_str().map(str::to_owned), elsewhere, "{json} {header:?}");
        }
    }

    /// A file that the message names is there with the server's bytes.
    fn bytes(&self, json: &Value, key: &str, id: i64, letter: &str, seen: &mut Seen) {
        let path = json[key].as_str().unwrap_or_else(|| panic!("no {key} in {json}"));
        if path.starts_with('(') {
            // Made by nobody: a server cannot have the bytes of every object that the schema allows.
            assert!(self.server.file_size(id, letter).is_none_or(|size| size == 0) || path.contains("unavailable"), "{json}");
            return;
        }
        let content = (self.file)(path).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(Some(content.len() as u64), self.server.file_size(id, letter), "{json}");
        let letter = if matches!(letter, "y" | "c") { "" } else { letter };
        assert!(content == file_bytes(id, letter, 0, content.len()), "{path} differs");
        seen.files += 1;
    }

    fn photo(&self, photo: Option<&enums::Photo>, ttl: Option<i32>, json: &Value, seen: &mut Seen) {
        assert!(json["photo"].is_string(), "{json}");
        if let Some(ttl) = ttl.filter(|&ttl| ttl != 0) {
            assert_eq!(json["self_destruct_period_seconds"], ttl, "{json}");
            return;
        }
        let Some(enums::Photo::Photo(photo)) = photo else { return };
        let sizes = photo.sizes.iter().filter_map(|size| match size {
            enums::PhotoSize::Size(size) => Some((size.w, size.h, size.r#type.clone())),
            enums::PhotoSize::Progressive(size) => Some((size.w, size.h, size.r#type.clone())),
            _ => None,
        });
        let Some((width, height, letter)) = sizes.max_by_key(|(width, height, _)| i64::from(*width) * i64::from(*height)) else { return };
        assert_eq!((json["width"].as_i64(), json["height"].as_i64()), (Some(width.into()), Some(height.into())), "{json}");
        self.bytes(json, "photo", photo.id, &letter, seen);
    }

    fn document(&self, media: &types::MessageMediaDocument, json: &Value, seen: &mut Seen) {
        assert!(json["file"].is_string(), "{json}");
        assert_eq!(json["media_spoiler"].as_bool().unwrap_or_default(), media.spoiler, "{json}");
        let Some(enums::Document::Document(document)) = &media.document else { return };
        assert_eq!(json["mime_type"].as_str().unwrap_or_default(), document.mime_type, "{json}");
        let mut name = "";
        let (mut video, mut audio, mut sticker, mut animated) = (None, None, None, false);
        for attribute in &document.attributes {
            match attribute {
                DocumentAttribute::Filename(attribute) => name = &attribute.file_name,
                DocumentAttribute::Video(attribute) => video = Some(attribute),
                DocumentAttribute::Audio(attribute) => audio = Some(attribute),
                DocumentAttribute::Sticker(attribute) => sticker = Some(attribute),
                DocumentAttribute::Animated => animated = true,
                _ => {}
            }
        }
        assert_eq!(json["file_name"].as_str().unwrap_or_default(), name, "{json}");
        let kind = match (sticker, video, audio) {
            (Some(sticker), ..) => {
                assert_eq!(json["sticker_emoji"].as_str().unwrap_or_default(), sticker.alt, "{json}");
                "sticker"
            }
            (_, Some(video), _) if video.round_message => "video_message",
            (_, _, Some(audio)) if audio.voice => "voice_message",
            _ if animated => "animation",
            (_, Some(_), _) => "video_file",
            (_, _, Some(audio)) => {
                assert_eq!(json["performer"].as_str(), audio.performer.as_deref().filter(|text| !text.is_empty()), "{json}");
                assert_eq!(json["title"].as_str(), audio.title.as_deref().filter(|text| !text.is_empty()), "{json}");
                "audio_file"
            }
            _ => "",
        };
        assert_eq!(json["media_type"].as_str().unwrap_or_default(), kind, "{json}");
        let duration = video.map(|video| video.duration as i64).or(audio.map(|audio| audio.duration.into())).unwrap_or_default();
        assert_eq!(json["duration_seconds"].as_i64().unwrap_or_default(), duration, "{json}");
        match media.ttl_seconds {
            Some(ttl) => assert_eq!(
                (json["file_size"].as_i64(), json["self_destruct_period_seconds"].as_i64().unwrap_or_default()),
                (Some(0), ttl.into()),
                "{json}"
            ),
            None => {
                assert_eq!(json["file_size"], document.size, "{json}");
                self.bytes(json, "file", document.id, "", seen);
            }
        }
    }

    fn media(&self, media: &MessageMedia, json: &Value, seen: &mut Seen) {
        let point = |point: &enums::GeoPoint, place: &Value| match point {
            enums::GeoPoint::Point(point) => {
                assert!((place["latitude"].as_f64().unwrap() - point.lat).abs() < 1e-6, "{json}");
                assert!((place["longitude"].as_f64().unwrap() - point.long).abs() < 1e-6, "{json}");
            }
            enums::GeoPoint::Empty => assert!(place.is_null(), "{json}"),
        };
        let rich = |text: &enums::TextWithEntities| {
            let enums::TextWithEntities::Entities(text) = text;
            text.text.clone()
        };
        match media {
            MessageMedia::Photo(media) => self.photo(media.photo.as_ref(), media.ttl_seconds, json, seen),
            MessageMedia::Document(media) => self.document(media, json, seen),
            MessageMedia::Geo(media) => point(&media.geo, &json["location_information"]),
            MessageMedia::GeoLive(media) => {
                point(&media.geo, &json["location_information"]);
                assert_eq!(json["live_location_period_seconds"], media.period, "{json}");
            }
            MessageMedia::Venue(media) => {
                point(&media.geo, &json["location_information"]);
                assert_eq!(json["place_name"].as_str().unwrap_or_default(), media.title, "{json}");
                assert_eq!(json["address"].as_str().unwrap_or_default(), media.address, "{json}");
            }
            MessageMedia::Contact(media) => {
                let contact = &json["contact_information"];
                assert_eq!(contact["first_name"], media.first_name.as_str(), "{json}");
                assert_eq!(contact["last_name"], media.last_name.as_str(), "{json}");
                let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
                assert_eq!(digits(contact["phone_number"].as_str().unwrap()), digits(&media.phone_number), "{json}");
                assert_eq!(json.get("contact_vcard").is_some(), !media.vcard.is_empty(), "{json}");
                if let Some(path) = json["contact_vcard"].as_str() {
                    assert_eq!((self.file)(path).unwrap(), media.vcard.as_bytes(), "{json}");
                }
            }
            MessageMedia::Game(media) => {
                let enums::Game::Game(game) = &media.game;
                assert_eq!(json["game_title"].as_str().unwrap_or_default(), game.title, "{json}");
                assert_eq!(json["game_description"].as_str().unwrap_or_default(), game.description, "{json}");
            }
            MessageMedia::Invoice(media) => {
                let invoice: Value = serde_json::from_str(json["invoice_information"].as_str().unwrap()).unwrap();
                assert_eq!((&invoice["title"], &invoice["amount"]), (&media.title.as_str().into(), &media.total_amount.into()), "{json}");
                assert_eq!(invoice["currency"], media.currency.as_str(), "{json}");
            }
            MessageMedia::Poll(media) => {
                let enums::Poll::Poll(poll) = &media.poll;
                assert_eq!(text_of(&json["poll"]["question"]), rich(&poll.question), "{json}");
                assert_eq!(json["poll"]["closed"], poll.closed, "{json}");
                let answers = json["poll"]["answers"].as_array().unwrap();
                assert_eq!(answers.len(), poll.answers.len(), "{json}");
                for (answer, truth) in answers.iter().zip(&poll.answers) {
                    if let enums::PollAnswer::Answer(truth) = truth {
                        assert_eq!(text_of(&answer["text"]), rich(&truth.text), "{json}");
                    }
                }
                let enums::PollResults::Results(results) = &media.results;
                assert_eq!(
                    json["poll"]["total_voters"].as_i64().unwrap_or_default(),
                    i64::from(results.total_voters.unwrap_or_default()),
                    "{json}"
                );
            }
            MessageMedia::ToDo(media) => {
                let enums::TodoList::List(list) = &media.todo;
                assert_eq!(text_of(&json["todo_list"]["title"]), rich(&list.title), "{json}");
                assert_eq!(json["todo_list"]["others_can_append"], list.others_can_append, "{json}");
                let items = json["todo_list"]["answers"].as_array().unwrap();
                assert_eq!(items.len(), list.list.len(), "{json}");
                for (item, enums::TodoItem::Item(truth)) in items.iter().zip(&list.list) {
                    assert_eq!((text_of(&item["text"]), item["id"].as_i64()), (rich(&truth.title), Some(truth.id.into())), "{json}");
                }
            }
            MessageMedia::Giveaway(media) => {
                let told = &json["giveaway_information"];
                assert_eq!(
                    (told["quantity"].as_i64(), told["channels"].as_array().unwrap().len()),
                    (Some(media.quantity.into()), media.channels.len()),
                    "{json}"
                );
                assert_eq!(told["stars"].as_i64().unwrap_or_default(), media.stars.unwrap_or_default(), "{json}");
            }
            MessageMedia::GiveawayResults(media) => {
                let told = &json["giveaway_results"];
                assert_eq!(
                    (told["channel"].as_i64(), told["winners"].as_array().unwrap().len()),
                    (Some(media.channel_id), media.winners.len()),
                    "{json}"
                );
                assert_eq!(told["winners_count"], media.winners_count, "{json}");
            }
            MessageMedia::PaidMedia(media) => assert_eq!(json["paid_stars_amount"], media.stars_amount, "{json}"),
            // The exports say nothing about these; the records keep their bytes.
            MessageMedia::WebPage(_) | MessageMedia::Dice(_) | MessageMedia::Story(_) | MessageMedia::Empty => {}
            MessageMedia::VideoStream(_) | MessageMedia::Unsupported => {}
        }
    }

    fn service(&self, truth: &types::MessageService, json: &Value, seen: &mut Seen) {
        assert_eq!(json["date_unixtime"], truth.date.to_string(), "{json}");
        seen.actions.insert(constructor(&truth.action));
        let Some(word) = word_of(&truth.action) else {
            // What the exports do not know is an empty message there.
            assert!(json.get("action").is_none() || json["type"] == "service", "{json}");
            return;
        };
        assert_eq!(json["type"], "service", "{json}");
        // The one action with a text of its own, under the key that is empty everywhere else.
        let text = if let MessageAction::WebViewDataSent(sent) = &truth.action { &*sent.text } else { "" };
        assert!(json["text"] == text || json["text"] == "", "{json}");
        if word.is_empty() {
            assert!(json["information_text"].is_string(), "{json}");
        } else {
            assert_eq!(json["action"], word, "{json}");
        }
        if let Some(actor) = json["actor_id"].as_str() {
            assert_eq!(actor, truth.from_id.as_ref().map_or(self.chat.clone(), typed), "{json}");
        }
        match &truth.action {
            MessageAction::ChatCreate(a) => {
                assert_eq!(
                    (json["title"].as_str().unwrap_or_default(), json["members"].as_array().unwrap().len()),
                    (a.title.as_str(), a.users.len()),
                    "{json}"
                );
            }
            MessageAction::ChatEditTitle(a) => assert_eq!(json["title"], a.title.as_str(), "{json}"),
            MessageAction::ChannelCreate(a) => assert_eq!(json["title"], a.title.as_str(), "{json}"),
            MessageAction::ChannelMigrateFrom(a) => assert_eq!(json["title"], a.title.as_str(), "{json}"),
            MessageAction::TopicCreate(a) => assert_eq!(json["title"], a.title.as_str(), "{json}"),
            MessageAction::ChatAddUser(a) => assert_eq!(json["members"].as_array().unwrap().len(), a.users.len(), "{json}"),
            MessageAction::ChatEditPhoto(a) => self.photo(Some(&a.photo), None, json, seen),
            MessageAction::SuggestProfilePhoto(a) => self.photo(Some(&a.photo), None, json, seen),
            MessageAction::GameScore(a) => assert_eq!(json["score"], a.score, "{json}"),
            MessageAction::PaymentSent(a) => {
                assert_eq!((&json["amount"], &json["currency"]), (&a.total_amount.into(), &a.currency.as_str().into()), "{json}")
            }
            MessageAction::PaymentRefunded(a) => {
                assert_eq!((&json["amount"], &json["peer_id"]), (&a.total_amount.into(), &typed(&a.peer).into()), "{json}")
            }
            MessageAction::PhoneCall(a) => {
                assert_eq!(json["duration_seconds"].as_i64().unwrap_or_default(), i64::from(a.duration.unwrap_or_default()), "{json}")
            }
            MessageAction::ConferenceCall(a) => {
                assert_eq!((&json["is_active"], &json["is_missed"]), (&a.active.into(), &a.missed.into()), "{json}")
            }
            MessageAction::CustomAction(a) => assert_eq!(json["information_text"], a.message.as_str(), "{json}"),
            MessageAction::GeoProximityReached(a) => {
                assert_eq!((&json["from_id"], &json["distance"]), (&typed(&a.from_id).into(), &a.distance.into()), "{json}")
            }
            MessageAction::GroupCall(a) => {
                assert_eq!(json["duration"].as_i64().unwrap_or_default(), i64::from(a.duration.unwrap_or_default()), "{json}")
            }
            MessageAction::GroupCallScheduled(a) => assert_eq!(json["schedule_date"], a.schedule_date, "{json}"),
            MessageAction::SetMessagesTtl(a) => assert_eq!(json["period"], a.period, "{json}"),
            MessageAction::RequestedPeer(a) => {
                let peers: Vec<i64> = serde_json::from_str(json["peers"].as_str().unwrap()).unwrap();
                assert_eq!((&json["button_id"], peers.len()), (&a.button_id.into(), a.peers.len()), "{json}");
            }
            MessageAction::GiftCode(a) => {
                assert_eq!((&json["gift_code"], &json["unclaimed"]), (&a.slug.as_str().into(), &a.unclaimed.into()), "{json}")
            }
            MessageAction::GiveawayResults(a) => {
                assert_eq!((&json["winners"], &json["unclaimed"]), (&a.winners_count.into(), &a.unclaimed_count.into()), "{json}")
            }
            MessageAction::BoostApply(a) => assert_eq!(json["boosts"], a.boosts, "{json}"),
            MessageAction::PrizeStars(a) => {
                assert_eq!((&json["stars"], &json["transaction_id"]), (&a.stars.into(), &a.transaction_id.as_str().into()), "{json}")
            }
            MessageAction::PaidMessagesRefunded(a) => {
                assert_eq!((&json["messages_count"], &json["stars_count"]), (&a.count.into(), &a.stars.into()), "{json}")
            }
            MessageAction::PaidMessagesPrice(a) => assert_eq!(json["price_stars"], a.stars, "{json}"),
            MessageAction::TodoCompletions(a) => assert_eq!(
                (&json["completed"], &json["incompleted"]),
                (&a.completed.clone().into(), &a.incompleted.clone().into()),
                "{json}"
            ),
            MessageAction::TodoAppendTasks(a) => assert_eq!(json["items"].as_array().unwrap().len(), a.list.len(), "{json}"),
            MessageAction::SuggestedPostRefund(a) => assert_eq!(json["user_initiated"], a.payer_initiated, "{json}"),
            _ => {}
        }
    }
}

/// Whether a text says all that stands in a rich message, and how often, and what stands beside it where it is another.
pub fn says_all(text: &str, own: &str, rich: &types::RichMessage, seen: &mut Seen) {
    let made = format!("{:?}", rich.blocks);
    seen.rich += 1;
    // What a text was before it was changed is not shown.
    if made.contains("old_text") {
        return;
    }
    // Made texts are all the same.
    assert!(!own.is_empty());
    let leaves = made.matches(&format!("TextPlain {{ text: {own:?} }}")).count();
    assert_eq!((text.matches(own).count(), made.matches("TextPlain {").count()), (leaves.max(1), leaves), "{text} {made}");
    for before in ["Math { source: \"", "alt: \"", "author: Some(\"", "description: Some(\""] {
        for after in made.split(before).skip(1) {
            let said = after.split('"').next().unwrap();
            assert!(text.contains(said), "{said} is not in {text}: {made}");
        }
    }
}

/// The kinds of marked pieces, and of plain ones between them: a piece that begins inside another or ends behind the text is none.
fn entities(text: &str, truth: &[enums::MessageEntity], json: &Value, seen: &mut Seen) {
    let units: Vec<u16> = text.encode_utf16().collect();
    let mut expected = Vec::new();
    let mut end = 0;
    for entity in truth {
        let (word, offset, length) = word_and_place(entity);
        let (Ok(offset), Ok(length)) = (usize::try_from(offset), usize::try_from(length)) else { continue };
        if length == 0 || offset < end || offset + length > units.len() {
            continue;
        }
        seen.entities.insert(word);
        expected.push((word, String::from_utf16_lossy(&units[offset..offset + length])));
        end = offset + length;
    }
    let told = json.as_array().unwrap().iter().filter(|part| part["type"] != "plain");
    let told: Vec<(&str, String)> = told.map(|part| (part["type"].as_str().unwrap(), part["text"].as_str().unwrap().to_owned())).collect();
    assert_eq!(told, expected, "{json}");
}

fn word_and_place(entity: &enums::MessageEntity) -> (&'static str, i32, i32) {
    use enums::MessageEntity as E;
    match entity {
        E::Unknown(e) => ("unknown", e.offset, e.length),
        E::Mention(e) => ("mention", e.offset, e.length),
        E::Hashtag(e) => ("hashtag", e.offset, e.length),
        E::BotCommand(e) => ("bot_command", e.offset, e.length),
        E::Url(e) => ("link", e.offset, e.length),
        E::Email(e) => ("email", e.offset, e.length),
        E::Bold(e) => ("bold", e.offset, e.length),
        E::Italic(e) => ("italic", e.offset, e.length),
        E::Code(e) => ("code", e.offset, e.length),
        E::Pre(e) => ("pre", e.offset, e.length),
        E::TextUrl(e) => ("text_link", e.offset, e.length),
        E::MentionName(e) => ("mention_name", e.offset, e.length),
        E::InputMessageEntityMentionName(e) => ("mention_name", e.offset, e.length),
        E::Phone(e) => ("phone", e.offset, e.length),
        E::Cashtag(e) => ("cashtag", e.offset, e.length),
        E::Underline(e) => ("underline", e.offset, e.length),
        E::Strike(e) => ("strikethrough", e.offset, e.length),
        E::BankCard(e) => ("bank_card", e.offset, e.length),
        E::Spoiler(e) => ("spoiler", e.offset, e.length),
        E::CustomEmoji(e) => ("custom_emoji", e.offset, e.length),
        E::Blockquote(e) => ("blockquote", e.offset, e.length),
        // Of these the exports say that they do not know them.
        E::FormattedDate(e) => ("unknown", e.offset, e.length),
        E::DiffInsert(e) => ("unknown", e.offset, e.length),
        E::DiffReplace(e) => ("unknown", e.offset, e.length),
        E::DiffDelete(e) => ("unknown", e.offset, e.length),
        E::TonAddress(e) => ("unknown", e.offset, e.length),
    }
}

fn buttons(markup: Option<&enums::ReplyMarkup>, json: &Value) {
    let rows = match markup {
        Some(enums::ReplyMarkup::ReplyInlineMarkup(markup)) => markup.rows.len(),
        _ => 0,
    };
    assert_eq!(json["inline_bot_buttons"].as_array().map_or(0, Vec::len), rows, "{json}");
}

fn reactions(truth: Option<&enums::MessageReactions>, json: &Value) {
    let told = json["reactions"].as_array().cloned().unwrap_or_default();
    let Some(enums::MessageReactions::Reactions(truth)) = truth else {
        assert!(told.is_empty(), "{json}");
        return;
    };
    let recent = truth.recent_reactions.as_ref().map_or(0, Vec::len);
    for enums::ReactionCount::Count(count) in &truth.results {
        let is_it = |entry: &&Value| match &count.reaction {
            enums::Reaction::Emoji(emoji) => entry["type"] == "emoji" && entry["emoji"] == emoji.emoticon.as_str(),
            enums::Reaction::CustomEmoji(_) => entry["type"] == "custom_emoji" && entry["document_id"].is_string(),
            enums::Reaction::Paid => entry["type"] == "paid",
            enums::Reaction::Empty => entry["type"] == "empty",
        };
        assert!(told.iter().filter(is_it).any(|entry| entry["count"] == count.count), "{json} {count:?}");
    }
    let told_recent: usize = told.iter().map(|entry| entry["recent"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(told_recent, recent, "{json}");
}

/// The word of an action in the exports; empty where it has a text instead, `None` where they have no word for it.
fn word_of(action: &MessageAction) -> Option<&'static str> {
    use MessageAction as A;
    Some(match action {
        A::ChatCreate(_) => "create_group",
        A::ChatEditTitle(_) => "edit_group_title",
        A::ChatEditPhoto(_) => "edit_group_photo",
        A::ChatDeletePhoto => "delete_group_photo",
        A::ChatAddUser(_) => "invite_members",
        A::ChatDeleteUser(_) => "remove_members",
        A::ChatJoinedByLink(_) => "join_group_by_link",
        A::ChatJoinedByRequest => "join_group_by_request",
        A::ChannelCreate(_) => "create_channel",
        A::ChatMigrateTo(_) => "migrate_to_supergroup",
        A::ChannelMigrateFrom(_) => "migrate_from_group",
        A::PinMessage => "pin_message",
        A::HistoryClear => "clear_history",
        A::GameScore(_) => "score_in_game",
        A::PaymentSent(_) => "send_payment",
        A::PaymentRefunded(_) => "refunded_payment",
        A::PhoneCall(_) => "phone_call",
        A::ConferenceCall(_) => "conference_call",
        A::ScreenshotTaken => "take_screenshot",
        A::CustomAction(_) => "",
        A::SecureValuesSent(_) => "send_passport_values",
        A::ContactSignUp => "joined_telegram",
        A::GeoProximityReached(_) => "proximity_reached",
        A::GroupCall(_) => "group_call",
        A::InviteToGroupCall(_) => "invite_to_group_call",
        A::GroupCallScheduled(_) => "group_call_scheduled",
        A::SetMessagesTtl(_) => "set_messages_ttl",
        A::SetChatTheme(_) => "edit_chat_theme",
        A::WebViewDataSent(_) => "send_webview_data",
        A::GiftPremium(_) => "send_premium_gift",
        A::TopicCreate(_) => "topic_created",
        A::TopicEdit(_) => "topic_edit",
        A::SuggestProfilePhoto(_) => "suggest_profile_photo",
        A::RequestedPeer(_) => "requested_peer",
        A::SetChatWallPaper(a) if a.same => "set_same_chat_wallpaper",
        A::SetChatWallPaper(_) => "set_chat_wallpaper",
        A::GiftCode(_) => "gift_code_prize",
        A::GiveawayLaunch(_) => "giveaway_launch",
        A::GiveawayResults(_) => "giveaway_results",
        A::BoostApply(_) => "boost_apply",
        A::GiftStars(_) => "send_stars_gift",
        A::GiftTon(_) => "send_ton_gift",
        A::PrizeStars(_) => "stars_prize",
        A::PaidMessagesRefunded(_) => "paid_messages_refund",
        A::PaidMessagesPrice(_) => "paid_messages_price_change",
        A::TodoCompletions(_) => "todo_completions",
        A::TodoAppendTasks(_) => "todo_append_tasks",
        A::SuggestedPostApproval(_) => "process_suggested_post",
        A::SuggestedPostSuccess(_) => "suggested_post_success",
        A::SuggestedPostRefund(_) => "suggested_post_refund",
        _ => return None,
    })
}
