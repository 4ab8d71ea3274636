//! What several statements say together. The result does not depend on their order, nor on which of them were merged before.

use std::collections::{BTreeMap, BTreeSet};

use super::super::format::root::{Root, RootRecipient};

/// Merges statements: what any adds is there, unless any has revoked or removed it. `None` of none.
pub fn merge<'a>(statements: impl IntoIterator<Item = &'a Root>) -> Option<Root> {
    let statements: Vec<&Root> = statements.into_iter().collect();
    let mut merged = (*statements.first()?).clone();
    let all = || statements.iter().copied();
    // Of equal statements, one: its own order is kept.
    if statements.len() > 1 {
        let mut current: BTreeMap<&str, bool> = BTreeMap::new();
        for recipient in all().flat_map(|root| &root.recipients) {
            *current.entry(&recipient.recipient).or_insert(true) &= recipient.current;
        }
        merged.recipients =
            current.into_iter().map(|(recipient, current)| RootRecipient { recipient: recipient.to_owned(), current }).collect();
        merged.removed_slots = all().flat_map(|root| root.removed_slots.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect();
        merged.slots = unique(all().flat_map(|root| &root.slots), |slot| (slot.id, slot.sha256));
        merged.writers = unique(all().flat_map(|root| &root.writers), |writer| (writer.id, writer.key.as_str().to_owned()));
        merged.revoked = unique(all().flat_map(|root| &root.revoked), |revocation| (revocation.writer, revocation.last_sequence.clone()));
        merged.format = all().map(|root| root.format).max().unwrap_or(merged.format);
        merged.number = all().map(|root| root.number).max().unwrap_or(merged.number);
        merged.numbered = all().map(|root| root.numbered).max().unwrap_or(merged.numbered);
        if let Some(time) = all().map(|root| root.time).max() {
            merged.time = time;
        }
        (merged.parents, merged.ancestors) = (Vec::new(), Vec::new());
    }
    let removed: BTreeSet<_> = merged.removed_slots.iter().copied().collect();
    merged.slots.retain(|slot| !removed.contains(&slot.id));
    Some(merged)
}

fn unique<'a, T: Clone + 'a, K: Ord>(items: impl Iterator<Item = &'a T>, key: impl Fn(&T) -> K) -> Vec<T> {
    items.map(|item| (key(item), item)).collect::<BTreeMap<K, &T>>().into_values().cloned().collect()
}
