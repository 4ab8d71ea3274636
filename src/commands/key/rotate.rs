//! `key rotate`: a new identity for what is stored from now on.

use serde::Serialize;

use super::list::kind;
use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::units::{counted, short_id};
use crate::operations::keys::rotate;
use crate::repository::format::root::Slot;

#[derive(Serialize)]
struct Summary<'a> {
    message_type: &'static str,
    command: &'static str,
    recipient: &'a str,
    former_recipients: u64,
    added: Vec<String>,
    removed: Vec<String>,
    left_out: Vec<String>,
}

fn ids<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> Vec<String> {
    slots.into_iter().map(|slot| slot.id.to_string()).collect()
}

/// Rotates the vault's identity.
///
/// # Errors
/// When the vault cannot be unlocked, a key slot cannot be encrypted again, or the store fails.
pub async fn run(without: &[String], context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::Needed).await?;
    let rotated = rotate(&session, without).await?;
    let output = &context.output;
    if output.is_json() {
        output.json(&Summary {
            message_type: "summary",
            command: "key rotate",
            recipient: &rotated.recipient,
            former_recipients: rotated.former,
            added: ids(&rotated.renewed),
            removed: ids(rotated.removed.iter().map(|removed| &removed.slot)),
            left_out: ids(&rotated.left_out),
        })?;
    }
    let named = |slot: &Slot| format!("key {} ({})", short_id(&slot.id.to_string()), kind(&slot.kind));
    output.say(&format!("from now on everything is encrypted for {}", rotated.recipient));
    output.say(&format!("{} can still be read", counted(rotated.former, "earlier identity")));
    rotated.renewed.iter().for_each(|slot| output.say(&format!("added {}", named(slot))));
    rotated.left_out.iter().for_each(|slot| output.say(&format!("removed {}", named(slot))));
    let mut kept = rotated.removed.iter().filter_map(|removed| removed.kept.as_ref());
    if let Some(why) = kept.next() {
        output.warn(&format!("tgvault no longer accepts the old key slots, but their objects are still in the store: {why}"));
    }
    for slot in &rotated.missed {
        output.warn(&format!(
            "{} was added at the same moment and reads only what was stored before: remove it and add it again",
            named(slot)
        ));
    }
    output.say("other machines switch to the new identity with their next backup; print a new sheet with `tgvault recovery-sheet`");
    output.say("whoever copied the old identity can still read what was stored before; after a leak, copy the vault into a new one");
    Ok(Exit::Done)
}
