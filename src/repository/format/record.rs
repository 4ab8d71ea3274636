//! `records/<time>-<id>.json`: what somebody with the root key did to snapshots and archives, so that nobody takes it for damage.
//!
//! Everybody can read records, with and without a key of the vault: keyless checks and recovery without this program need them too.

use serde::{Deserialize, Serialize};

use super::snapshot::ArchiveRecord;
use super::version::FormatVersion;
use crate::model::digest::Id;

/// One record. It is written with one key to a line: a shell reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format's version.
    pub format: FormatVersion,
    /// The repository's name.
    pub repository: Id,
    /// When it was made.
    pub time: jiff::Timestamp,
    /// The stems of records that this one repeats: nobody needs those any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supersedes: Vec<String>,
    /// What it says.
    pub says: Vec<Saying>,
}

/// One thing that a record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Saying {
    /// Of a kind that this version knows.
    Known(Known),
    /// Of a kind that a later version adds, as it is stored: it is carried along and means nothing here.
    Other(serde_json::Value),
}

/// What this version knows to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Known {
    /// Snapshots that are no longer wanted.
    Forgotten(Forgotten),
    /// Archives whose contents are in others now.
    Replaced(Replaced),
}

/// Snapshots of one chain that are no longer wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// The chain.
    pub chain: Id,
    /// Stem and number of each.
    pub snapshots: Vec<(String, u64)>,
}

/// Archives whose contents are in others now. Wherever a snapshot lists the old ones, in this order and without a gap, the new ones
/// stand for them; what an entry says to be in one of the old archives is in the new one whose index has the same SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Why.
    pub reason: Reason,
    /// The last number of each chain that was looked at: what these snapshots show is all in the new archives, while a later one, whose
    /// writer did not know of the record yet, may need the old ones too. `None` is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<Vec<(Id, u64)>>,
    /// The objects of the old archives.
    pub archives: Vec<String>,
    /// The new ones.
    pub by: Vec<ArchiveRecord>,
}

impl Replaced {
    /// Whether all that this snapshot shows is in the new archives.
    pub fn covers(&self, chain: Id, sequence: u64) -> bool {
        let last = |up_to: &Vec<(Id, u64)>| up_to.iter().any(|(of, last)| *of == chain && sequence <= *last);
        self.up_to.as_ref().is_none_or(last)
    }
}

/// Why archives were replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// Many became few; the state of every snapshot is the same.
    Compacted,
    /// The old one was damaged or missing, and a good copy was found elsewhere.
    Healed,
    /// Contents were taken out of every snapshot.
    Rewritten,
    /// A reason of a later version.
    #[serde(untagged)]
    Other(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_later_versions_are_carried_along() {
        let json = r#"{"format":"3.0","repository":"33f696ab4618c065dfdc60fb07cd1300","time":"2026-12-01T00:00:00Z","says":[
            {"kind":"forgotten","chain":"33f696ab4618c065dfdc60fb07cd1300","snapshots":[["20261201T000000000Z-ab",4]]},
            {"kind":"pardoned","why":["nobody knows",1]},
            {"kind":"replaced","reason":"sunlight","archives":["archives/a"],"by":[]}]}"#;
        let record: Record = serde_json::from_str(json).unwrap();
        assert!(matches!(&record.says[0], Saying::Known(Known::Forgotten(said)) if said.snapshots[0].1 == 4));
        assert!(matches!(&record.says[1], Saying::Other(_)));
        assert!(matches!(&record.says[2], Saying::Known(Known::Replaced(said)) if said.reason == Reason::Other("sunlight".into())));
        let again: Record = serde_json::from_str(&serde_json::to_string_pretty(&record).unwrap()).unwrap();
        assert_eq!(again, record);
    }
}
