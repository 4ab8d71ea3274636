//! Service messages: what happened in a chat, in Telegram Desktop's words.

use grammers_tl_types::{enums, types};

use super::Context;
use super::files::Want;
use super::json::{Object, list};
use super::media::{Outcomes, put_photo, short_text, todo_items};
use super::peers::peer_of;
use crate::model::peer::Peer;

type Action = enums::MessageAction;

/// The word in `action`, and whether the message names its actor.
enum Shape {
    Known(&'static str, bool),
    /// An action without a word of its own: its text is all there is.
    Custom,
    /// An action that Telegram Desktop does not export: an ordinary message with an empty text.
    Unknown,
}

fn shape(action: &Action) -> Shape {
    use Shape::{Custom, Known, Unknown};
    match action {
        Action::ChatCreate(_) => Known("create_group", true),
        Action::ChatEditTitle(_) => Known("edit_group_title", true),
        Action::ChatEditPhoto(_) => Known("edit_group_photo", true),
        Action::ChatDeletePhoto => Known("delete_group_photo", true),
        Action::ChatAddUser(_) => Known("invite_members", true),
        Action::ChatDeleteUser(_) => Known("remove_members", true),
        Action::ChatJoinedByLink(_) => Known("join_group_by_link", true),
        Action::ChatJoinedByRequest => Known("join_group_by_request", true),
        Action::ChannelCreate(_) => Known("create_channel", true),
        Action::ChatMigrateTo(_) => Known("migrate_to_supergroup", true),
        Action::ChannelMigrateFrom(_) => Known("migrate_from_group", true),
        Action::PinMessage => Known("pin_message", true),
        Action::HistoryClear => Known("clear_history", true),
        Action::GameScore(_) => Known("score_in_game", true),
        Action::PaymentSent(_) => Known("send_payment", false),
        Action::PaymentRefunded(_) => Known("refunded_payment", false),
        Action::PhoneCall(_) => Known("phone_call", true),
        Action::ConferenceCall(_) => Known("conference_call", true),
        Action::ScreenshotTaken => Known("take_screenshot", true),
        Action::CustomAction(_) => Custom,
        Action::BotAllowed(allowed) if allowed.attach_menu => Known("attach_menu_bot_allowed", false),
        Action::BotAllowed(allowed) if allowed.from_request => Known("web_app_bot_allowed", false),
        Action::BotAllowed(_) => Known("allow_sending_messages", false),
        Action::SecureValuesSent(_) => Known("send_passport_values", false),
        Action::ContactSignUp => Known("joined_telegram", true),
        Action::GeoProximityReached(_) => Known("proximity_reached", false),
        Action::GroupCall(_) => Known("group_call", true),
        Action::InviteToGroupCall(_) => Known("invite_to_group_call", true),
        Action::GroupCallScheduled(_) => Known("group_call_scheduled", true),
        Action::SetMessagesTtl(_) => Known("set_messages_ttl", true),
        Action::SetChatTheme(_) => Known("edit_chat_theme", true),
        Action::WebViewDataSent(_) => Known("send_webview_data", false),
        Action::GiftPremium(_) => Known("send_premium_gift", true),
        Action::TopicCreate(_) => Known("topic_created", true),
        Action::TopicEdit(_) => Known("topic_edit", true),
        Action::SuggestProfilePhoto(_) => Known("suggest_profile_photo", true),
        Action::RequestedPeer(_) => Known("requested_peer", true),
        Action::SetChatWallPaper(set) if set.same => Known("set_same_chat_wallpaper", true),
        Action::SetChatWallPaper(_) => Known("set_chat_wallpaper", true),
        Action::GiftCode(_) => Known("gift_code_prize", false),
        Action::GiveawayLaunch(_) => Known("giveaway_launch", false),
        Action::GiveawayResults(_) => Known("giveaway_results", false),
        Action::BoostApply(_) => Known("boost_apply", true),
        Action::GiftStars(_) => Known("send_stars_gift", true),
        Action::GiftTon(_) => Known("send_ton_gift", true),
        Action::PrizeStars(_) => Known("stars_prize", true),
        Action::StarGift(_) | Action::StarGiftUnique(_) => Known("send_star_gift", true),
        Action::PaidMessagesRefunded(_) => Known("paid_messages_refund", true),
        Action::PaidMessagesPrice(_) => Known("paid_messages_price_change", true),
        Action::TodoCompletions(_) => Known("todo_completions", true),
        Action::TodoAppendTasks(_) => Known("todo_append_tasks", true),
        Action::SuggestedPostApproval(_) => Known("process_suggested_post", true),
        Action::SuggestedPostSuccess(_) => Known("suggested_post_success", true),
        Action::SuggestedPostRefund(_) => Known("suggested_post_refund", true),
        Action::PollAppendAnswer(_) => Known("poll_append_answer", true),
        Action::PollDeleteAnswer(_) => Known("poll_delete_answer", true),
        Action::SuggestBirthday(_) => Known("suggest_birthday", true),
        Action::NoForwardsToggle(_) => Known("no_forwards_toggle", true),
        Action::NoForwardsRequest(_) => Known("no_forwards_request", true),
        Action::NewCreatorPending(_) => Known("new_creator_pending", true),
        Action::ChangeCreator(_) => Known("change_creator", true),
        Action::ManagedBotCreated(_) => Known("managed_bot_created", true),
        Action::ChatJoinedViaCommunity(_) => Known("join_group_via_community", true),
        Action::Empty
        | Action::PaymentSentMe(_)
        | Action::SecureValuesSentMe(_)
        | Action::WebViewDataSentMe(_)
        | Action::RequestedPeerSentMe(_)
        | Action::StarGiftPurchaseOffer(_)
        | Action::StarGiftPurchaseOfferDeclined(_)
        | Action::ChangeCommunity(_)
        | Action::GramTransfer(_)
        | Action::WalletTonConnectRequest(_) => Unknown,
    }
}

/// Writes a service message from its `type` on; says whether Telegram Desktop has a word for it.
pub(super) fn put_service(
    object: &mut Object,
    message: &types::MessageService,
    context: &Context<'_>,
    wants: &[Want],
    outcomes: &Outcomes,
) -> bool {
    let shape = shape(&message.action);
    object.put("type", if matches!(shape, Shape::Unknown) { "message" } else { "service" });
    super::json::put_date(object, "date", message.date.into());
    let actor = message.from_id.as_ref().map_or(context.chat, peer_of);
    let (word, named) = match shape {
        Shape::Known(word, named) => (Some(word), named),
        Shape::Custom => (None, true),
        Shape::Unknown => return false,
    };
    if named {
        object.put("actor", &context.names.name(actor)).put("actor_id", &actor);
    }
    if let Some(word) = word {
        object.put("action", word);
    }
    put_details(object, message, context, wants, outcomes);
    object.put("text", "").put_raw("text_entities", "[]");
    true
}

fn names(users: &[i64], context: &Context<'_>) -> Vec<Option<String>> {
    users.iter().map(|&user| context.names.name(Peer::user(user))).collect()
}

fn replied_to(message: &types::MessageService) -> (Option<i32>, Option<Peer>) {
    match &message.reply_to {
        Some(enums::MessageReplyHeader::Header(header)) => (header.reply_to_msg_id, header.reply_to_peer_id.as_ref().map(peer_of)),
        _ => (None, None),
    }
}

/// An amount of money as people write it: minor units of most currencies are hundredths.
fn cost(amount: i64, currency: &str) -> String {
    let value = format!("{}.{:02}", amount / 100, (amount % 100).abs());
    if currency == "USD" { format!("${value}") } else { format!("{value} {currency}") }
}

fn put_price(object: &mut Object, price: &enums::StarsAmount) {
    let (whole, nano, currency) = match price {
        enums::StarsAmount::Amount(stars) => (stars.amount, i64::from(stars.nanos), "Stars"),
        enums::StarsAmount::StarsTonAmount(ton) => (ton.amount / 1_000_000_000, ton.amount % 1_000_000_000, "TON"),
    };
    object.put("price_amount_whole", &whole.to_string()).put("price_amount_nano", &nano.to_string());
    object.put("price_currency", currency);
}

/// Months are what the exports count; newer layers count days.
fn months(days: i32) -> i32 {
    (days + 15) / 30
}

/// A peer as one number: the type in the bits from 48 on.
fn packed(peer: Peer) -> i64 {
    use crate::model::peer::PeerKind;
    let kind = match peer.kind {
        PeerKind::User => 0,
        PeerKind::Chat => 1,
        PeerKind::Channel => 2,
    };
    peer.id | kind << 48
}

fn passport_value(kind: &enums::SecureValueType) -> &'static str {
    type Kind = enums::SecureValueType;
    match kind {
        Kind::PersonalDetails => "personal_details",
        Kind::Passport => "passport",
        Kind::DriverLicense => "driver_license",
        Kind::IdentityCard => "identity_card",
        Kind::InternalPassport => "internal_passport",
        Kind::Address => "address_information",
        Kind::UtilityBill => "utility_bill",
        Kind::BankStatement => "bank_statement",
        Kind::RentalAgreement => "rental_agreement",
        Kind::PassportRegistration => "passport_registration",
        Kind::TemporaryRegistration => "temporary_registration",
        Kind::Phone => "phone_number",
        Kind::Email => "email",
    }
}

fn discard_reason(reason: &enums::PhoneCallDiscardReason) -> &'static str {
    type Reason = enums::PhoneCallDiscardReason;
    match reason {
        Reason::Missed => "missed",
        Reason::Disconnect => "disconnect",
        Reason::Hangup => "hangup",
        Reason::Busy => "busy",
        // Telegram Desktop's own spelling.
        Reason::MigrateConferenceCall(_) => "migrate_conference_all",
    }
}

fn is_true(value: &bool) -> bool {
    *value
}

fn option_text(answer: &enums::PollAnswer) -> String {
    match answer {
        enums::PollAnswer::Answer(answer) => {
            let enums::TextWithEntities::Entities(text) = &answer.text;
            text.text.clone()
        }
        enums::PollAnswer::InputPollAnswer(_) => String::new(),
    }
}

fn put_details(object: &mut Object, message: &types::MessageService, context: &Context<'_>, wants: &[Want], outcomes: &Outcomes) {
    let (replied_id, replied_peer) = replied_to(message);
    match &message.action {
        Action::ChatCreate(a) => {
            object.put_text("title", &a.title).put("members", &names(&a.users, context));
        }
        Action::ChatEditTitle(a) => {
            object.put("title", &a.title);
        }
        Action::ChatEditPhoto(a) => put_photo(object, Some(&a.photo), false, None, wants, outcomes),
        Action::SuggestProfilePhoto(a) => put_photo(object, Some(&a.photo), false, None, wants, outcomes),
        Action::ChatAddUser(a) => {
            object.put("members", &names(&a.users, context));
        }
        Action::ChatDeleteUser(a) => {
            object.put("members", &names(&[a.user_id], context));
        }
        Action::ChatJoinedByLink(a) => {
            object.put("inviter", &context.names.name(Peer::user(a.inviter_id)));
        }
        Action::ChannelCreate(a) => {
            object.put("title", &a.title);
        }
        Action::ChannelMigrateFrom(a) => {
            object.put("title", &a.title);
        }
        Action::PinMessage => {
            object.put_number("message_id", replied_id.unwrap_or_default().into());
            if let Some(peer) = replied_peer {
                object.put("reply_to_peer_id", &peer);
            }
        }
        Action::GameScore(a) => {
            object.put_number("game_message_id", replied_id.unwrap_or_default().into()).put("score", &a.score);
        }
        Action::PaymentSent(a) => {
            object.put("amount", &a.total_amount).put("currency", &a.currency);
            object.put_number("invoice_message_id", replied_id.unwrap_or_default().into());
            object.put_text(
                "recurring",
                if a.recurring_used {
                    "used"
                } else if a.recurring_init {
                    "init"
                } else {
                    ""
                },
            );
        }
        Action::PaymentRefunded(a) => {
            let peer = peer_of(&a.peer);
            let enums::PaymentCharge::Charge(charge) = &a.charge;
            object.put("amount", &a.total_amount).put("currency", &a.currency).put("peer_name", &context.names.name(peer));
            object.put("peer_id", &peer).put("charge_id", &charge.id);
        }
        Action::PhoneCall(a) => {
            object.put_number("duration_seconds", a.duration.unwrap_or_default().into());
            object.put_text("discard_reason", a.reason.as_ref().map_or("", discard_reason));
        }
        Action::ConferenceCall(a) => {
            object.put_number("duration_seconds", a.duration.unwrap_or_default().into());
            object.put("is_active", &a.active).put("is_missed", &a.missed);
        }
        Action::CustomAction(a) => {
            object.put("information_text", &a.message);
        }
        Action::BotAllowed(a) => {
            if let Some(domain) = &a.domain {
                object.put_text("reason_domain", domain);
            } else if let Some(enums::BotApp::App(app)) = &a.app {
                object.put("reason_app_id", &app.id).put_text("reason_app_name", &app.title);
            }
        }
        Action::SecureValuesSent(a) => {
            object.put("values", &a.types.iter().map(passport_value).collect::<Vec<_>>());
        }
        Action::GeoProximityReached(a) => {
            let (from, to) = (peer_of(&a.from_id), peer_of(&a.to_id));
            object.put("from", &context.names.name(from)).put("from_id", &from);
            object.put("to", &context.names.name(to)).put("to_id", &to).put("distance", &a.distance);
        }
        Action::GroupCall(a) => {
            object.put_number("duration", a.duration.unwrap_or_default().into());
        }
        Action::InviteToGroupCall(a) => {
            object.put("members", &names(&a.users, context));
        }
        Action::GroupCallScheduled(a) => {
            object.put("schedule_date", &a.schedule_date);
        }
        Action::SetMessagesTtl(a) => {
            object.put("period", &a.period);
        }
        Action::SetChatTheme(a) => {
            if let enums::ChatTheme::Theme(theme) = &a.theme {
                object.put_text("emoticon", &theme.emoticon);
            }
        }
        Action::WebViewDataSent(a) => {
            object.put("text", &a.text);
        }
        Action::GiftPremium(a) => {
            object.put_text("cost", &cost(a.amount, &a.currency)).put_number("months", months(a.days).into());
        }
        Action::TopicCreate(a) => {
            object.put("title", &a.title);
        }
        Action::TopicEdit(a) => {
            object.put_text("new_title", a.title.as_deref().unwrap_or_default());
            object.put("new_icon_emoji_id", &a.icon_emoji_id.unwrap_or_default());
        }
        Action::RequestedPeer(a) => {
            let peers = list(a.peers.iter().map(|peer| packed(peer_of(peer)).to_string()));
            object.put("button_id", &a.button_id).put("peers", &peers);
        }
        Action::SetChatWallPaper(_) => {
            object.put_number("message_id", replied_id.unwrap_or_default().into());
        }
        Action::GiftCode(a) => {
            object.put("gift_code", &a.slug);
            if let Some(peer) = &a.boost_peer {
                object.put("boost_peer_id", &peer_of(peer));
            }
            object.put("months", &months(a.days)).put("unclaimed", &a.unclaimed).put("via_giveaway", &a.via_giveaway);
        }
        Action::GiveawayResults(a) => {
            object.put("winners", &a.winners_count).put("unclaimed", &a.unclaimed_count).put("stars", &a.stars);
        }
        Action::BoostApply(a) => {
            object.put("boosts", &a.boosts);
        }
        Action::GiftStars(a) => {
            object.put_text("cost", &cost(a.amount, &a.currency)).put("amount_whole", &a.stars).put("amount_nano", &0);
        }
        Action::GiftTon(a) => {
            object.put_text("cost", &cost(a.amount, &a.currency));
            object.put("amount_whole", &(a.crypto_amount / 1_000_000_000)).put("amount_nano", &(a.crypto_amount % 1_000_000_000));
        }
        Action::PrizeStars(a) => {
            let peer = peer_of(&a.boost_peer);
            object.put("boost_peer_id", &peer).put("boost_peer_name", &context.names.name(peer)).put("stars", &a.stars);
            object.put("is_unclaimed", &a.unclaimed).put("giveaway_msg_id", &a.giveaway_msg_id);
            object.put("transaction_id", &a.transaction_id);
        }
        Action::StarGift(a) => put_gift(object, &a.gift, a.name_hidden, a.message.as_ref()),
        Action::StarGiftUnique(a) => put_gift(object, &a.gift, a.name_hidden, a.message.as_ref()),
        Action::PaidMessagesRefunded(a) => {
            object.put("messages_count", &a.count).put("stars_count", &a.stars);
        }
        Action::PaidMessagesPrice(a) => {
            object.put("price_stars", &a.stars).put("is_broadcast_messages_allowed", &a.broadcast_messages_allowed);
        }
        Action::TodoCompletions(a) => {
            object.put("completed", &a.completed).put("incompleted", &a.incompleted);
        }
        Action::TodoAppendTasks(a) => {
            object.put_raw("items", &todo_items(&a.list));
        }
        Action::SuggestedPostApproval(a) => {
            if a.rejected {
                object.put("rejected", &true).put_text("comment", a.reject_comment.as_deref().unwrap_or_default());
            } else {
                if let Some(price) = &a.price {
                    put_price(object, price);
                }
                object.put("scheduled_date", &a.schedule_date.unwrap_or_default());
            }
        }
        Action::SuggestedPostSuccess(a) => put_price(object, &a.price),
        Action::SuggestedPostRefund(a) => {
            object.put("user_initiated", &a.payer_initiated);
        }
        Action::PollAppendAnswer(a) => {
            object.put_text("option", &option_text(&a.answer));
        }
        Action::PollDeleteAnswer(a) => {
            object.put_text("option", &option_text(&a.answer));
        }
        Action::SuggestBirthday(a) => {
            let enums::Birthday::Birthday(day) = &a.birthday;
            object.put("day", &day.day).put("month", &day.month).put_number("year", day.year.unwrap_or_default().into());
        }
        Action::NoForwardsToggle(a) => {
            object.put("new_value", &is_true(&a.new_value));
        }
        Action::NoForwardsRequest(a) => {
            object.put("expired", &a.expired).put("new_value", &is_true(&a.new_value));
        }
        Action::NewCreatorPending(a) => {
            object.put("new_creator", &context.names.name(Peer::user(a.new_creator_id)));
        }
        Action::ChangeCreator(a) => {
            object.put("new_creator", &context.names.name(Peer::user(a.new_creator_id)));
        }
        Action::ManagedBotCreated(a) => {
            object.put("bot", &context.names.name(Peer::user(a.bot_id)));
        }
        Action::ChatJoinedViaCommunity(a) => {
            object.put("community_id", &a.community_id);
        }
        _ => {}
    }
}

fn put_gift(object: &mut Object, gift: &enums::StarGift, hidden: bool, message: Option<&enums::TextWithEntities>) {
    let (id, stars, limited) = match gift {
        enums::StarGift::Gift(gift) => (gift.id, gift.stars, gift.limited),
        enums::StarGift::Unique(gift) => (gift.gift_id, 0, true),
    };
    object.put("gift_id", &id).put("stars", &stars).put("is_limited", &limited).put("is_anonymous", &hidden);
    object.put_raw("gift_text", &message.map_or_else(|| "\"\"".into(), short_text));
}

/// The name of an action's constructor, for those that Telegram Desktop has no word for.
pub(super) fn constructor(bytes: &[u8]) -> Option<String> {
    let id = u32::from_le_bytes(*bytes.first_chunk::<4>()?);
    Some(grammers_tl_types::name_for_id(id).to_owned())
}
