//! Sentences for what happened in a chat.

use crate::model::json;

use super::escape;
use super::view::View;

/// Telegram Desktop's words for a message that it cannot export.
pub const UNSUPPORTED: &str = "This message is not supported by this version of Telegram Desktop. Please update the application.";

/// The sentence of a service message, as HTML, links to messages included. `link` makes the link to a message of the chat.
pub fn sentence(out: &mut String, view: &View<'_>, link: &dyn Fn(i64, &str) -> String) {
    if view.word("type") == "unsupported" {
        return out.push_str(UNSUPPORTED);
    }
    let action = view.word("action");
    // What is posted in a channel is posted by the channel.
    let in_channel = view.sender() == Some(view.record.peer);
    let actor = peer(view, "actor");
    let text = |key: &str| escaped(&view.text(key).unwrap_or_default());
    let quoted = |key: &str| format!("«{}»", text(key));
    let number = |key: &str| view.integer(key).unwrap_or_default();
    let members = || {
        let names: Vec<String> = view
            .get("members")
            .map(json::elements)
            .into_iter()
            .flatten()
            .map(|name| json::text(name).map_or_else(|| "Deleted Account".to_owned(), |name| escaped(&name)))
            .collect();
        listed(&names)
    };
    let message = |key: &str, words: &str| match view.integer(key) {
        Some(id) => link(id, words),
        None => escaped(words),
    };
    let sum = |whole: &str, nano: &str| {
        // Strings in some versions, though they are numbers.
        let either = |key: &str| view.integer(key).or_else(|| view.get(key).and_then(json::digits)).unwrap_or_default();
        let nano = format!("{:09}", either(nano).unsigned_abs());
        let nano = nano.trim_end_matches('0');
        let dot = if nano.is_empty() { "" } else { "." };
        format!("{}{dot}{nano}", either(whole))
    };
    let price = || format!("{} {}", sum("price_amount_whole", "price_amount_nano"), text("price_currency"));
    let cost = || view.text("cost").filter(|cost| !cost.is_empty()).map(|cost| format!(" for {}", escaped(&cost))).unwrap_or_default();
    // How long Telegram Premium lasts: `days` where older versions have `months`.
    let term = || match (view.integer("days"), view.integer("months")) {
        (Some(days), _) => format!(" for {}", counted(days, "day")),
        (None, Some(months)) => format!(" for {}", counted(months, "month")),
        _ => String::new(),
    };
    let is = |key: &str| view.get(key) == Some("true");
    let numbers = |key: &str| -> Vec<String> {
        view.get(key).map(json::elements).into_iter().flatten().map(|number| format!("#{}", escaped(number.trim()))).collect()
    };
    let html = match action {
        "create_group" => {
            let members = members();
            let with = if members.is_empty() { "" } else { " with members " };
            format!("{actor} created group {}{with}{members}", quoted("title"))
        }
        "edit_group_title" if in_channel => format!("Channel title changed to {}", quoted("title")),
        "edit_group_photo" if in_channel => "Channel photo changed".to_owned(),
        "delete_group_photo" if in_channel => "Channel photo removed".to_owned(),
        "edit_group_title" => format!("{actor} changed group title to {}", quoted("title")),
        "edit_group_photo" => format!("{actor} changed group photo"),
        "delete_group_photo" => format!("{actor} removed group photo"),
        "invite_members" => format!("{actor} invited {}", members()),
        "remove_members" => format!("{actor} removed {}", members()),
        "join_group_by_link" => format!("{actor} joined group by link from {}", name(view, "inviter")),
        "join_group_by_request" => format!("{actor} joined group by request"),
        "join_group_via_community" => format!("{actor} joined group through community {}", number("community_id")),
        "create_channel" => format!("Channel {} created", quoted("title")),
        "migrate_to_supergroup" => format!("{actor} converted this group to a supergroup"),
        "migrate_from_group" => format!("{actor} converted a basic group to this supergroup {}", quoted("title")),
        "pin_message" => format!("{actor} pinned {}", message("message_id", "this message")),
        "clear_history" => "History cleared".to_owned(),
        "score_in_game" => {
            format!("{actor} scored {} in {}", number("score"), message("game_message_id", "this game"))
        }
        "send_payment" => {
            format!("Payment of {} {} for {}", amount(number("amount")), text("currency"), message("invoice_message_id", "this invoice"))
        }
        "refunded_payment" => {
            format!("{} refunded {} {}", peer(view, "peer_name"), amount(number("amount")), text("currency"))
        }
        "phone_call" | "conference_call" => {
            let kind = if action == "phone_call" { "Phone call" } else { "Conference call" };
            let state = match (is("is_missed"), is("is_active")) {
                (true, _) => ", missed",
                (false, true) => ", in progress",
                _ => "",
            };
            let length = view.integer("duration_seconds").map(|seconds| format!(" ({})", duration(seconds)));
            let reason = match view.word("discard_reason") {
                "" => "",
                "missed" => ", missed",
                "busy" => ", declined",
                "disconnect" => ", disconnected",
                "migrate_conference_all" => ", continued as a conference call",
                _ => "",
            };
            format!("{kind} by {actor}{}{reason}{state}", length.unwrap_or_default())
        }
        "take_screenshot" => format!("{actor} took a screenshot"),
        "attach_menu_bot_allowed" => "You allowed this bot to message you when you added it in the attachment menu.".to_owned(),
        "web_app_bot_allowed" => "You allowed this bot to message you in its web app.".to_owned(),
        "allow_sending_messages" => match (view.text("reason_domain"), view.text("reason_app_name")) {
            (Some(domain), _) => format!("You allowed this bot to message you when you logged in on {}", escaped(&domain)),
            (_, Some(app)) => format!("You allowed this bot to message you when you opened {}", escaped(&app)),
            _ => "You allowed this bot to message you".to_owned(),
        },
        "send_passport_values" => {
            let values: Vec<String> = view
                .get("values")
                .map(json::elements)
                .into_iter()
                .flatten()
                .filter_map(json::text)
                .map(|value| escaped(&value.replace('_', " ")))
                .collect();
            format!("You have sent the following documents: {}", listed(&values))
        }
        "joined_telegram" => format!("{actor} joined Telegram"),
        "proximity_reached" => {
            format!("{} is within {} m of {}", peer(view, "from"), number("distance"), peer(view, "to"))
        }
        "requested_phone_number" => format!("{actor} asked for the phone number"),
        "group_call" => match view.integer("duration") {
            Some(seconds) => format!("Voice chat ({})", duration(seconds)),
            None if in_channel => "Voice chat".to_owned(),
            None => format!("{actor} started voice chat"),
        },
        "invite_to_group_call" => format!("{actor} invited {} to the voice chat", members()),
        "group_call_scheduled" => {
            let who = if in_channel { "Voice chat scheduled".to_owned() } else { format!("{actor} scheduled a voice chat") };
            format!("{who} for {}", view.unix_time(number("schedule_date")))
        }
        "set_messages_ttl" => match number("period") {
            0 => format!("{actor} has set messages not to auto-delete"),
            seconds => format!("{actor} has set messages to auto-delete in {}", period(seconds)),
        },
        "edit_chat_theme" => match view.text("emoticon").filter(|emoticon| !emoticon.is_empty()) {
            Some(emoticon) => format!("{actor} changed chat theme to {}", escaped(&emoticon)),
            None => format!("{actor} disabled chat theme"),
        },
        "send_webview_data" => format!("Data sent to the bot: {}", quoted("text")),
        "send_premium_gift" => match cost() {
            cost if cost.is_empty() => format!("{actor} sent a gift of Telegram Premium{}", term()),
            cost => format!("{actor} sent a gift{cost}: Telegram Premium{}", term()),
        },
        "topic_created" => format!("{actor} created topic {}", quoted("title")),
        "topic_edit" => {
            let icon = view.integer("new_icon_emoji_id").filter(|icon| *icon != 0);
            match (view.text("new_title").filter(|title| !title.is_empty()), icon) {
                (Some(title), Some(icon)) => format!("{actor} changed topic title to «{}» and its icon to «{icon}»", escaped(&title)),
                (Some(title), None) => format!("{actor} changed topic title to «{}»", escaped(&title)),
                (None, _) => format!("{actor} changed topic icon to «{}»", icon.unwrap_or_default()),
            }
        }
        "suggest_profile_photo" => format!("{actor} suggested a profile photo"),
        "requested_peer" => format!("{actor} shared a chat with the bot"),
        "set_chat_wallpaper" => format!("{actor} set a new background for this chat"),
        "set_same_chat_wallpaper" => format!("{actor} set {} for this chat", message("message_id", "the same background")),
        "gift_code_prize" => {
            let from = view.text("boost_peer_id").map(|peer| format!(" from {}", escaped(&peer))).unwrap_or_default();
            let way = if is("via_giveaway") { "won in a giveaway" } else { "received as a gift" };
            let unclaimed = if is("unclaimed") { ", unclaimed" } else { "" };
            format!("A gift code of Telegram Premium{}{from} was {way}{unclaimed}: {}", term(), text("gift_code"))
        }
        "giveaway_launch" => "A giveaway was started".to_owned(),
        "giveaway_results" => {
            let unclaimed = match number("unclaimed") {
                0 => String::new(),
                count => format!("; {count} prizes are unclaimed"),
            };
            let stars = if is("stars") { ", whose prizes are Stars," } else { "" };
            format!("{} winners of the giveaway{stars} were selected{unclaimed}", number("winners"))
        }
        "boost_apply" => format!("{actor} boosted the group {} times", number("boosts")),
        "send_stars_gift" => format!("{actor} sent a gift of {} Stars{}", sum("amount_whole", "amount_nano"), cost()),
        "send_ton_gift" => format!("{actor} sent a gift of {} TON{}", sum("amount_whole", "amount_nano"), cost()),
        "stars_prize" => {
            let from = view.text("boost_peer_name").map(|peer| format!(" from {}", escaped(&peer))).unwrap_or_default();
            let giveaway = view.integer("giveaway_msg_id").filter(|id| *id != 0).map(|id| format!(" in {}", link(id, "this giveaway")));
            let unclaimed = if is("is_unclaimed") { ", unclaimed" } else { "" };
            let id = view.text("transaction_id").filter(|id| !id.is_empty()).map(|id| format!(" (transaction {})", escaped(&id)));
            let (giveaway, id) = (giveaway.unwrap_or_default(), id.unwrap_or_default());
            format!("A prize of {} Stars{from} was won{giveaway}{unclaimed}{id}", number("stars"))
        }
        "send_star_gift" => {
            let gift_text = view.get("gift_text").map(escape::plain).unwrap_or_default();
            let colon = if gift_text.is_empty() { "" } else { ": " };
            format!("{actor} sent a gift for {} Stars{colon}{}", number("stars"), escaped(&gift_text))
        }
        "paid_messages_refund" => {
            format!("{actor} refunded {} Stars for {} messages", number("stars_count"), number("messages_count"))
        }
        "paid_messages_price_change" => format!("{actor} set the price of a message to {} Stars", number("price_stars")),
        "todo_completions" => {
            let (done, open) = (numbers("completed"), numbers("incompleted"));
            match (done.is_empty(), open.is_empty()) {
                (_, true) => format!("{actor} marked as done: {}", listed(&done)),
                (true, false) => format!("{actor} marked as not done: {}", listed(&open)),
                (false, false) => format!("{actor} marked as done: {}; as not done: {}", listed(&done), listed(&open)),
            }
        }
        "todo_append_tasks" => {
            let items: Vec<String> =
                view.get("items").map(json::elements).into_iter().flatten().map(|item| escaped(&escape::plain(item))).collect();
            format!("{actor} added tasks: {}", items.join(", "))
        }
        "process_suggested_post" if view.get("rejected").is_some() => {
            let comment = view.text("comment").filter(|comment| !comment.is_empty()).map(|comment| format!(": {}", escaped(&comment)));
            format!("{actor} rejected the suggested post{}", comment.unwrap_or_default())
        }
        "process_suggested_post" => format!("{actor} agreed to publish the suggested post for {}", price()),
        "suggested_post_success" => format!("The suggested post was paid: {}", price()),
        "suggested_post_refund" if is("user_initiated") => "The suggested post was refunded, as the payer asked".to_owned(),
        "suggested_post_refund" => "The suggested post was refunded".to_owned(),
        "poll_append_answer" => format!("{actor} added an answer to the poll: {}", text("option")),
        "poll_delete_answer" => format!("{actor} removed an answer from the poll: {}", text("option")),
        "suggest_birthday" => {
            let year = view.integer("year").map(|year| year.to_string()).unwrap_or_default();
            format!("{actor} suggested a birthday: {}.{}.{year}", number("day"), number("month"))
        }
        "no_forwards_toggle" if is("new_value") => format!("{actor} disallowed forwarding and saving messages"),
        "no_forwards_toggle" => format!("{actor} allowed forwarding and saving messages"),
        "no_forwards_request" => {
            let wish = if is("new_value") { "disallow" } else { "allow" };
            let expired = if is("expired") { "; the request has expired" } else { "" };
            format!("{actor} asked to {wish} forwarding and saving messages{expired}")
        }
        "new_creator_pending" => format!("{actor} wants {} to become the owner", name(view, "new_creator")),
        "change_creator" => format!("{actor} made {} the owner", name(view, "new_creator")),
        "managed_bot_created" => format!("{actor} created the bot {}", name(view, "bot")),
        _ => match view.text("information_text") {
            Some(information) => escaped(&information),
            None => format!("{actor}: {}{}", escaped(&action.replace('_', " ")), unknown(view)),
        },
    };
    out.push_str(&html);
}

/// The sentence of a service message as plain text.
pub fn plain_sentence(view: &View<'_>) -> String {
    let mut html = String::new();
    sentence(&mut html, view, &|_, words| words.to_owned());
    let text = html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    escape::text(&mut out, text);
    out
}

/// What an action of a later version says: its keys as they are.
fn unknown(view: &View<'_>) -> String {
    const KNOWN: [&str; 10] = ["id", "type", "date", "date_unixtime", "actor", "actor_id", "action", "text", "text_entities", "photo"];
    let told: Vec<String> = view
        .members()
        .filter(|(key, _)| !KNOWN.contains(key))
        .map(|(key, value)| format!("{} {}", key.replace('_', " "), json::text(value).unwrap_or(value.into())))
        .collect();
    if told.is_empty() { String::new() } else { format!(" ({})", escaped(&told.join(", "))) }
}

/// `1 day`, `2 days`.
fn counted(count: i64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// The name of a person.
fn name(view: &View<'_>, key: &str) -> String {
    named(view, key, "Deleted Account")
}

/// The name of whoever or whatever it is.
fn peer(view: &View<'_>, key: &str) -> String {
    named(view, key, "Deleted")
}

fn named(view: &View<'_>, key: &str, without: &str) -> String {
    match view.get(key).map(json::text) {
        Some(Some(name)) if !name.is_empty() => escaped(&name),
        Some(_) => without.to_owned(),
        None => "Somebody".to_owned(),
    }
}

/// `A, B and C`.
fn listed(names: &[String]) -> String {
    match names {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => names.concat(),
    }
}

/// Sums are in the smallest unit of their currency, nearly always a hundredth.
fn amount(amount: i64) -> String {
    format!("{}.{:02}", amount / 100, (amount % 100).abs())
}

/// `MM:SS` or `H:MM:SS`.
pub fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes:02}:{seconds:02}") }
}

fn period(seconds: i64) -> String {
    let (count, unit) = match seconds {
        s if s % 86_400 == 0 => (s / 86_400, "day"),
        s if s % 3600 == 0 => (s / 3600, "hour"),
        s if s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
