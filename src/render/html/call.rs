//! Phone calls: ordinary messages with a block, as Telegram Desktop shows them, though `result.json` has them as service messages.

use super::Page;
use super::media::block;
use super::view::View;
use crate::model::peer::PeerKind;

/// Whether the message is a call.
pub fn is_call(view: &View<'_>) -> bool {
    view.word("type") == "service" && matches!(view.word("action"), "phone_call" | "conference_call")
}

/// Writes the block: who was called, which way, and for how long.
pub fn call(out: &mut String, view: &View<'_>, page: &Page<'_>) {
    let outgoing = is_own(view, page, true);
    let missed = view.word("discard_reason") == "missed" || view.get("is_missed") == Some("true");
    let mut status = match (outgoing, missed, view.word("discard_reason")) {
        (true, true, _) => "Cancelled",
        (true, false, _) => "Outgoing",
        (false, true, _) => "Missed",
        (false, false, "busy") => "Declined",
        (false, false, _) => "Incoming",
    }
    .to_owned();
    let seconds = view.integer("duration_seconds").filter(|&seconds| seconds > 0);
    if let Some(seconds) = seconds {
        status.push_str(&format!(" ({seconds} seconds)"));
    }
    if view.get("is_active") == Some("true") {
        status.push_str(", in progress");
    }
    let called = if outgoing { page.chat } else { page.owner.name.as_deref().unwrap_or("You") };
    block(out, if seconds.is_some() { "media_call success" } else { "media_call" }, called, "", &status, None);
}

/// Whether the account's owner sent the message, as far as that can be known: a live backup tells; exports tell who sent it, those before
/// 1.4.8 and pages by name only. `is_of_two` says that the chat is one of two people.
pub fn is_own(view: &View<'_>, page: &Page<'_>, is_of_two: bool) -> bool {
    if view.extra("outgoing") == Some("true") {
        return true;
    }
    let name = view.text("from").or_else(|| view.text("actor")).unwrap_or_default();
    let chat = view.record.peer;
    match (view.sender(), page.owner.peer, page.owner.name.as_deref()) {
        (Some(sender), Some(owner), _) => sender == owner,
        (Some(sender), None, _) if is_of_two && chat.kind == PeerKind::User && !chat.is_made_up() => sender != chat,
        (_, _, Some(owner)) => name == owner,
        // A person's chat has the first name only.
        _ => is_of_two && !name.is_empty() && name != page.chat && !name.strip_prefix(page.chat).is_some_and(|rest| rest.starts_with(' ')),
    }
}
