//! What makes a message the same in two exports.

use crate::model::json;
use crate::model::record::MessageRecord;

/// Names that are told anew with every export; where the id stands beside them a new name is no change of the message.
const NAMES: [(&str, &str); 3] = [("from", "from_id"), ("actor", "actor_id"), ("forwarded_from", "forwarded_from_id")];

/// Appends what `record` says, so that two records of a message with equal bytes here need not both be kept.
///
/// Left out are: when and by whom it was seen, its raw bytes, local times beside their `_unixtime`, times that are not exact, and
/// names beside their ids.
/// Files count by their path in the backup, which for imports is their content, so that another name for the same file is no
/// change either. Callers keep a keyed hash of the bytes for each message.
pub fn content(record: &MessageRecord, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{} {}\n", record.peer, record.id).as_bytes());
    let members: Vec<(&str, &str)> = json::members(record.message.get()).collect();
    let has = |key: &str| members.iter().any(|(name, _)| *name == key);
    let approximate = record.extra.as_ref().is_some_and(|extra| json::get(extra.get(), "approximate_date") == Some("true"));
    for (key, value) in &members {
        let local = matches!(*key, "date" | "edited") && has(&format!("{key}_unixtime")) || approximate && *key == "date_unixtime";
        let name = NAMES.iter().any(|(name, id)| name == key && has(id));
        if !local && !name {
            member(out, key, value);
        }
    }
    for (key, value) in record.extra.iter().flat_map(|extra| json::members(extra.get())) {
        if key != "assumed_zone" {
            member(out, key, value);
        }
    }
}

/// A line break cannot stand in the text of a one-line value, so it tells members apart.
fn member(out: &mut Vec<u8>, key: &str, value: &str) {
    out.extend_from_slice(key.as_bytes());
    out.push(b' ');
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::model::peer::Peer;

    fn of(message: &str) -> Vec<u8> {
        let record = MessageRecord {
            peer: Peer::user(1),
            id: 5,
            observed: 1,
            run: "r".parse().unwrap(),
            date: None,
            edited: None,
            message: RawValue::from_string(message.into()).unwrap(),
            extra: Some(RawValue::from_string(r#"{"views":1,"assumed_zone":"local"}"#.into()).unwrap()),
            media: vec![],
            raw: None,
        };
        let mut out = Vec::new();
        content(&record, &mut out);
        out
    }

    #[test]
    fn a_new_name_or_zone_is_no_change_and_a_new_text_is() {
        let message = r#"{"id":5,"date":"2020-01-01T00:00:00","date_unixtime":"1577833200","from":"Bo","from_id":"user1","text":"a"}"#;
        let same = of(&message.replace("T00", "T09").replace("Bo", "Bosse"));
        assert_eq!(of(message), same);
        assert_ne!(of(message), of(&message.replace("\"a\"", "\"b\"")));
        assert_ne!(of(message), of(&message.replace("user1", "user2")));
        let nameless = r#"{"id":5,"from":"Bo"}"#;
        assert_ne!(of(nameless), of(&nameless.replace("Bo", "Bosse")));
        assert!(of(message).ends_with(b"views 1\n"));
    }
}
