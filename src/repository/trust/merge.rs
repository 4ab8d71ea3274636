//! What several statements say together. The result does not depend on their order, nor on which of them were merged before.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::format::root::{Later, Root, RootRecipient, Writer};

/// Merges statements: what any adds is there, unless any has revoked or removed it. `None` of none.
pub fn merge<'a>(statements: impl IntoIterator<Item = &'a Root>) -> Option<Root> {
    let statements: Vec<&Root> = statements.into_iter().collect();
    let mut merged = (*statements.first()?).clone();
    let all = || statements.iter().copied();
    // Of equal statements, one: its own order is kept.
    if statements.len() > 1 {
        let named = unique(all().flat_map(|root| &root.recipients), |named| named.recipient.clone(), |named| &mut named.later);
        let is_current = |named: &RootRecipient| {
            all().flat_map(|root| &root.recipients).filter(|other| other.recipient == named.recipient).all(|other| other.current)
        };
        merged.recipients = named.into_iter().map(|named| RootRecipient { current: is_current(&named), ..named }).collect();
        merged.removed_slots = all().flat_map(|root| root.removed_slots.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect();
        merged.slots = unique(all().flat_map(|root| &root.slots), |slot| (slot.id, slot.sha256), |slot| &mut slot.later);
        let names = |writer: &Writer| (writer.id, writer.key.as_str().to_owned());
        merged.writers = unique(all().flat_map(|root| &root.writers), names, |writer| &mut writer.later);
        merged.revoked = unique(
            all().flat_map(|root| &root.revoked),
            |revocation| (revocation.writer, revocation.last_sequence.clone()),
            |revocation| &mut revocation.later,
        );
        merged.format = all().map(|root| root.format).max().unwrap_or(merged.format);
        merged.number = all().map(|root| root.number).max().unwrap_or(merged.number);
        merged.numbered = all().map(|root| root.numbered).max().unwrap_or(merged.numbered);
        if let Some(time) = all().map(|root| root.time).max() {
            merged.time = time;
        }
        (merged.parents, merged.ancestors) = (Vec::new(), Vec::new());
        all().for_each(|root| unite(&mut merged.later, &root.later));
    }
    let removed: BTreeSet<_> = merged.removed_slots.iter().copied().collect();
    merged.slots.retain(|slot| !removed.contains(&slot.id));
    Some(merged)
}

/// Each once, in the order of their keys; what later versions said of the same one is united.
fn unique<'a, T: Clone + 'a, K: Ord>(
    items: impl Iterator<Item = &'a T>,
    key: impl Fn(&T) -> K,
    later: impl Fn(&mut T) -> &mut Later,
) -> Vec<T> {
    let mut found: BTreeMap<K, T> = BTreeMap::new();
    for item in items {
        let mut item = item.clone();
        let kept = found.entry(key(&item)).or_insert_with(|| item.clone());
        let said = std::mem::take(later(&mut item));
        unite(later(kept), &said);
    }
    found.into_values().collect()
}

/// Unites what later versions said: of lists, all that is in either; of other values, the one that sorts last. A list goes before
/// anything else.
fn unite(into: &mut Later, from: &Later) {
    let text = |value: &Value| value.to_string();
    for (key, value) in from {
        let kept = into.entry(key.clone()).or_insert_with(|| value.clone());
        match (kept, value) {
            (Value::Array(kept), Value::Array(more)) => {
                kept.extend(more.iter().cloned());
                kept.sort_by_key(text);
                kept.dedup();
            }
            (Value::Array(_), _) => {}
            (kept, Value::Array(_)) => *kept = value.clone(),
            (kept, value) if text(kept) < text(value) => *kept = value.clone(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn later(value: Value) -> Later {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_later_versions_say_is_united_in_any_order() {
        let said = [
            json!({"shares": [3, 1], "policy": "b", "mixed": {"x": 1}}),
            json!({"shares": [2, 1], "policy": "a", "mixed": [1]}),
            json!({"more": true, "mixed": 7}),
        ]
        .map(later);
        let expected = later(json!({"shares": [1, 2, 3], "policy": "b", "mixed": [1], "more": true}));
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]] {
            let mut united = Later::new();
            for number in order.into_iter().chain(order) {
                unite(&mut united, &said[number]);
            }
            assert_eq!(united, expected, "{order:?}");
        }
    }
}
