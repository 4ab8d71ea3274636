//! `key list`: the keys and the machines.

use serde::Serialize;

use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::units::{self, columns, printable, short_id};
use crate::operations::keys::{Access, SlotState, WriterState, access};
use crate::repository::format::root::{RootRecipient, SlotKind};

#[derive(Serialize)]
struct KeyLine<'a> {
    message_type: &'static str,
    id: String,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<&'a str>,
    sound: bool,
    given: bool,
}

#[derive(Serialize)]
struct RecipientLine<'a> {
    message_type: &'static str,
    recipient: &'a str,
    current: bool,
}

#[derive(Serialize)]
struct WriterLine<'a> {
    message_type: &'static str,
    id: String,
    this_machine: bool,
    revoked: bool,
    snapshots: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
}

/// Prints both.
///
/// # Errors
/// When the vault cannot be opened, or the store fails.
pub async fn run(context: &Context) -> Result<Exit, CommandError> {
    let session = context.session(Keys::IfGiven).await?;
    let access = access(&session).await?;
    let output = &context.output;
    if output.is_json() {
        for SlotState { slot, is_sound, is_given } in &access.slots {
            let (kind, recipient) = (kind(&slot.kind), recipient(&slot.kind));
            let id = slot.id.to_string();
            output.json(&KeyLine { message_type: "key", id, kind, recipient, sound: *is_sound, given: *is_given })?;
        }
        for RootRecipient { recipient, current, .. } in &access.recipients {
            output.json(&RecipientLine { message_type: "recipient", recipient, current: *current })?;
        }
        for writer in &access.writers {
            output.json(&line(writer))?;
        }
    } else {
        output.text(&tables(&access))?;
    }
    for broken in &access.broken {
        output.warn(broken);
    }
    let damaged = access.slots.iter().filter(|slot| !slot.is_sound).count() as u64;
    if damaged > 0 {
        output.warn(&format!("{} missing or damaged: add a new key with `tgvault key add`", units::counted(damaged, "key slot")));
    }
    Ok(Exit::after(damaged > 0 || !access.broken.is_empty(), false))
}

fn line(writer: &WriterState) -> WriterLine<'_> {
    WriterLine {
        message_type: "writer",
        id: writer.id.to_string(),
        this_machine: writer.is_this,
        revoked: writer.is_revoked,
        snapshots: writer.snapshots,
        last: writer.last,
        host: writer.host.as_deref(),
    }
}

/// What kind of key opens a slot, in a word.
pub(super) fn kind(kind: &SlotKind) -> &'static str {
    match kind {
        SlotKind::Passphrase => "passphrase",
        SlotKind::Recipient(_) => "recipient",
        _ => "unknown",
    }
}

fn recipient(kind: &SlotKind) -> Option<&str> {
    match kind {
        SlotKind::Recipient(recipient) => Some(recipient),
        _ => None,
    }
}

fn tables(access: &Access) -> String {
    let mut keys = vec![["KEY", "OPENED BY", ""].map(str::to_owned)];
    keys.extend(access.slots.iter().map(|SlotState { slot, is_sound, is_given }| {
        let opened_by = recipient(&slot.kind).map_or_else(|| kind(&slot.kind).to_owned(), printable);
        let remark = match (is_sound, is_given) {
            (false, _) => "missing or damaged",
            (true, true) => "the one you gave",
            (true, false) => "",
        };
        [short_id(&slot.id.to_string()).to_owned(), opened_by, remark.to_owned()]
    }));
    let mut writers = vec![["WRITER", "SNAPSHOTS", "LAST", "HOST", ""].map(str::to_owned)];
    writers.extend(access.writers.iter().map(|writer| {
        let remark = match (writer.is_revoked, writer.is_this) {
            (true, _) => "revoked",
            (false, true) => "this machine",
            (false, false) => "",
        };
        [
            short_id(&writer.id.to_string()).to_owned(),
            writer.snapshots.to_string(),
            writer.last.map(units::time).unwrap_or_default(),
            writer.host.as_deref().map(printable).unwrap_or_default(),
            remark.to_owned(),
        ]
    }));
    let former = access.recipients.iter().filter(|named| !named.current).count() as u64;
    let rotated = if former == 0 { String::new() } else { format!("\nrotated {}\n", units::counted(former, "time")) };
    format!("{}{rotated}\n{}", columns(&keys, &[]), columns(&writers, &[1]))
}
