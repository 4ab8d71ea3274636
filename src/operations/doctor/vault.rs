//! The vault in a store: whether there is one, who can open it, whether this machine may write.

use super::{Check, Report, Verdict};
use crate::operations::OperationError;
use crate::operations::session::{Opened, Session};
use crate::repository::RepositoryError;
use crate::repository::format::root::SlotKind;
use crate::storage::StorageError;

/// Looks at the vault; with the key that the session has, whether that opens it.
pub async fn vault(session: &Session, report: &mut dyn Report) {
    let opened = match session.open_locked().await {
        Ok(opened) => opened,
        Err(OperationError::Repository(RepositoryError::Absent { .. } | RepositoryError::Storage(StorageError::NoContainer { .. }))) => {
            return report.check(Check::warned("vault", "there is none here yet", "create it with `tgvault init`"));
        }
        Err(error) => return report.check(Check::of_error("vault", &error, Some("see `tgvault verify`"))),
    };
    report.check(Check::passed("vault", opened.repository.id.to_string()));
    report.check(slots(&opened));
    report.check(if opened.is_writer() {
        Check::passed("writer", "this machine may write, and needs no key to do so")
    } else {
        Check::warned("writer", "this machine has not written here yet", "the first backup needs the passphrase or an identity, once")
    });
    if !opened.is_anchored {
        report.check(Check::warned(
            "root key",
            format!("{} comes from the vault itself", opened.repository.root.root_key.as_str()),
            "compare it with the recovery sheet, or give it with --root-key",
        ));
    }
    if session.unlock.is_some() {
        report.check(match session.open().await {
            Ok(_) => Check::passed("key", "opens the vault"),
            Err(error) => Check::of_error("key", &error, Some("check the passphrase or identity file")),
        });
    }
}

/// The ways into the vault.
fn slots(opened: &Opened) -> Check {
    let slots = &opened.repository.root.slots;
    let passphrases = slots.iter().filter(|slot| matches!(slot.kind, SlotKind::Passphrase)).count();
    let text = format!("{passphrases} by passphrase, {} by recipient", slots.len() - passphrases);
    let verdict = if slots.is_empty() { Verdict::Failed } else { Verdict::Passed };
    let hint = slots.is_empty().then_some("nobody can read this vault");
    Check { name: "key slots", verdict, text, hint }
}
