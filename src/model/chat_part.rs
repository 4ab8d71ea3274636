//! `chats/<peer>/<part>.json`: one part of a chat as it was found last.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::json;
use super::media::Media;
use super::part::Part;
use super::paths::RunId;
use super::peer::Peer;
use super::record::Raw;

/// A part of a chat. The log of its administrators has a file for each run that found something, `chats/<peer>/admin_log/<run>.json`:
/// Telegram forgets what is older than two days.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChatPart {
    /// Version of the form, [`super::record::VERSION`].
    pub v: u32,
    /// The chat.
    pub peer: Peer,
    /// Which part.
    pub part: Part,
    /// When it was found, Unix seconds.
    pub observed: i64,
    /// By which run.
    pub run: RunId,
    /// What it says, as [`Part`] has it; files as in [`super::media::Media`].
    pub value: Box<RawValue>,
    /// The files that `value` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// The server's own bytes, one item for each answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raw: Vec<Raw>,
}

impl ChatPart {
    /// Makes one list of those that came one after another, in the order of their runs; of any other part the last one counts.
    pub fn join(mut parts: Vec<Self>) -> Vec<Self> {
        parts.sort_by(|a, b| (a.part, a.observed, &a.run).cmp(&(b.part, b.observed, &b.run)));
        let mut joined: Vec<Self> = Vec::new();
        for part in parts {
            match joined.last_mut().filter(|last| last.part == part.part) {
                Some(last) if part.part == Part::AdminLog => {
                    let entries: Vec<&str> = json::elements(last.value.get()).chain(json::elements(part.value.get())).collect();
                    let list = RawValue::from_string(format!("[{}]", entries.join(",")));
                    let media = std::mem::take(&mut last.media).into_iter().chain(part.media.clone()).collect();
                    *last = Self { value: list.unwrap_or_else(|_| part.value.clone()), media, ..part };
                }
                Some(last) => *last = part,
                None => joined.push(part),
            }
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(part: Part, observed: i64, value: &str) -> ChatPart {
        let value = RawValue::from_string(value.to_owned()).unwrap();
        ChatPart {
            v: 1,
            peer: Peer::channel(5),
            part,
            observed,
            run: format!("r{observed}").parse().unwrap(),
            value,
            media: vec![],
            raw: vec![],
        }
    }

    #[test]
    fn logs_follow_each_other_and_of_the_rest_the_last_counts() {
        let log = |observed, value| part(Part::AdminLog, observed, value);
        let about = |observed, value| part(Part::About, observed, value);
        let all = vec![log(9, "[3]"), about(7, "{\"a\":1}"), log(5, "[1,2]"), about(6, "{\"a\":2}")];
        let joined: Vec<(Part, String)> = ChatPart::join(all).into_iter().map(|part| (part.part, part.value.get().to_owned())).collect();
        assert_eq!(joined, [(Part::About, "{\"a\":1}".to_owned()), (Part::AdminLog, "[1,2,3]".to_owned())]);
    }
}
