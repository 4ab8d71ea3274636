//! What administrators of a channel did: a line of their log.

use grammers_tl_types::{Serializable, enums, types};

use super::PeerBook;
use super::about::Member;
use super::json::{Object, put_date};
use super::service::constructor;
use crate::model::peer::Peer;

/// A line of the log. `shown` renders a message; what no key here says is in the server's bytes.
pub(crate) fn admin_event(
    event: &types::ChannelAdminLogEvent,
    names: &PeerBook,
    shown: &dyn Fn(&enums::Message) -> Option<String>,
) -> String {
    let mut object = Object::new();
    object.put("id", &event.id);
    put_date(&mut object, "date", event.date.into());
    let actor = Peer::user(event.user_id);
    object.put("actor", &names.name(actor)).put("actor_id", &actor);
    object.put("action", &action(&event.action));
    details(&mut object, &event.action, names, shown);
    object.end()
}

/// The word for what happened: `change_title`, `delete_message`, ….
fn action(action: &enums::ChannelAdminLogEventAction) -> String {
    let name = constructor(&action.to_bytes()).unwrap_or_default();
    let name = name.strip_prefix("channelAdminLogEventAction").unwrap_or(&name);
    let mut word = String::new();
    for (position, letter) in name.chars().enumerate() {
        let was_small = name.chars().nth(position.wrapping_sub(1)).is_some_and(char::is_lowercase);
        if letter.is_uppercase() && was_small {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

fn details(
    object: &mut Object,
    action: &enums::ChannelAdminLogEventAction,
    names: &PeerBook,
    shown: &dyn Fn(&enums::Message) -> Option<String>,
) {
    use enums::ChannelAdminLogEventAction as Action;
    match action {
        Action::ChangeTitle(a) => put_change(object, &a.prev_value, &a.new_value),
        Action::ChangeAbout(a) => put_change(object, &a.prev_value, &a.new_value),
        Action::ChangeUsername(a) => put_change(object, &a.prev_value, &a.new_value),
        Action::ChangeUsernames(a) => put_change(object, &a.prev_value, &a.new_value),
        Action::ChangeLinkedChat(a) => {
            let chat = |id: i64| (id != 0).then(|| Peer::channel(id));
            put_change(object, &chat(a.prev_value), &chat(a.new_value));
        }
        Action::ToggleSlowMode(a) => put_change(object, &a.prev_value, &a.new_value),
        Action::ChangeHistoryTtl(a) => put_change(object, &a.prev_value, &a.new_value),
        Action::ParticipantEditRank(a) => {
            put_member(object, Peer::user(a.user_id), names);
            put_change(object, &a.prev_rank, &a.new_rank);
        }
        Action::ToggleInvites(a) => put_now(object, a.new_value),
        Action::ToggleSignatures(a) => put_now(object, a.new_value),
        Action::TogglePreHistoryHidden(a) => put_now(object, a.new_value),
        Action::ToggleNoForwards(a) => put_now(object, a.new_value),
        Action::ToggleForum(a) => put_now(object, a.new_value),
        Action::ToggleAntiSpam(a) => put_now(object, a.new_value),
        Action::ToggleSignatureProfiles(a) => put_now(object, a.new_value),
        Action::UpdatePinned(a) => put_message(object, "message", &a.message, shown),
        Action::DeleteMessage(a) => put_message(object, "message", &a.message, shown),
        Action::StopPoll(a) => put_message(object, "message", &a.message, shown),
        Action::SendMessage(a) => put_message(object, "message", &a.message, shown),
        Action::EditMessage(a) => {
            put_message(object, "before", &a.prev_message, shown);
            put_message(object, "now", &a.new_message, shown);
        }
        Action::ParticipantInvite(a) => put_member(object, Member::of_channel(&a.participant).peer, names),
        Action::ParticipantToggleBan(a) => put_roles(object, &a.prev_participant, &a.new_participant, names),
        Action::ParticipantToggleAdmin(a) => put_roles(object, &a.prev_participant, &a.new_participant, names),
        _ => {}
    }
}

fn put_change<T: serde::Serialize>(object: &mut Object, before: &T, now: &T) {
    object.put("before", before).put("now", now);
}

fn put_now(object: &mut Object, now: bool) {
    object.put("now", &now);
}

fn put_member(object: &mut Object, member: Peer, names: &PeerBook) {
    object.put("member", &names.name(member)).put("member_id", &member);
}

fn put_roles(object: &mut Object, before: &enums::ChannelParticipant, now: &enums::ChannelParticipant, names: &PeerBook) {
    let (before, now) = (Member::of_channel(before), Member::of_channel(now));
    put_member(object, now.peer, names);
    put_change(object, &before.role, &now.role);
}

fn put_message(object: &mut Object, key: &str, message: &enums::Message, shown: &dyn Fn(&enums::Message) -> Option<String>) {
    if let Some(shown) = shown(message) {
        object.put_raw(key, &shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_happened_and_to_whom() {
        let names = PeerBook::new(1);
        let change = types::ChannelAdminLogEventActionChangeTitle { prev_value: "Old".into(), new_value: "New \"x\"".into() };
        let event = types::ChannelAdminLogEvent { id: 7, date: 1_764_000_000, user_id: 5, action: change.into() };
        assert_eq!(
            admin_event(&event, &names, &|_| None),
            "{\"id\":7,\"date\":\"2025-11-24T16:00:00\",\"date_unixtime\":\"1764000000\",\"actor\":null,\"actor_id\":\"user5\",\
             \"action\":\"change_title\",\"before\":\"Old\",\"now\":\"New \\\"x\\\"\"}"
        );
        let ttl = types::ChannelAdminLogEventActionChangeHistoryTtl { prev_value: 0, new_value: 86_400 };
        assert_eq!(action(&ttl.into()), "change_history_ttl");
    }
}
