//! What this machine remembers of its backups, so that their age can be told without a key and without the store.
//!
//! One sealed file for each source in each vault. Nothing of the content is in it: addresses, names of sources, counts, times.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::crypt::digest::sha256;
use crate::state::{SealedFolder, StateError, StateFolder};

/// The folder below the state.
const FOLDER: &str = "status";

/// What the names of files about checks of whole vaults begin with.
const VERIFIED: &str = "verified-";

/// The same of files about the room in vaults.
const ROOM: &str = "room-";

/// A source in a vault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The vault's address.
    pub address: String,
    /// `folder`, `telegram`, `desktop-export`.
    pub kind: String,
    /// The account or the absolute path.
    pub source: String,
}

/// What is remembered of a source in a vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which.
    pub subject: Subject,
    /// The last run, however it ended.
    pub last: Attempt,
    /// The last run that made a snapshot of everything it could read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<Saved>,
    /// The first of the runs since then that made none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub seconds: u64,
    /// Its exit code.
    pub exit: u8,
    /// Why it failed, in words that name nothing of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A snapshot that a run made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// When the run began.
    pub at: Timestamp,
    /// The run's exit code: 0, or 3 when something could not be read.
    pub exit: u8,
    /// The snapshot.
    pub snapshot: String,
    /// Entries in the state.
    pub entries: u64,
    /// Bytes of content in the state.
    pub bytes: u64,
    /// Bytes that the run stored.
    pub stored_bytes: u64,
    /// Entries that could not be read.
    pub problems: u64,
    /// Of an account: how complete its chats are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
}

/// How many chats are complete as Telegram served them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Chats that are.
    pub complete: u64,
    /// Chats that are not, for a reason that is known.
    pub incomplete: u64,
    /// Chats of which it is not known.
    pub unknown: u64,
}

/// A check of a whole vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The vault's address.
    pub address: String,
    /// When it began.
    pub at: Timestamp,
    /// What was checked: `quick`, `sample`, `checksums`, `deep`.
    pub how: String,
    /// Whether nothing was wrong.
    pub is_sound: bool,
}

/// How long there is room in a vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// The vault's address.
    pub address: String,
    /// When it was looked at.
    pub at: Timestamp,
    /// Bytes that there was room for then.
    pub left_bytes: u64,
    /// What limits it: `disk` or `quota`.
    pub what: String,
    /// Days from then until it is full, if it goes on growing as it did; `None` where that is not known.
    pub full_in_days: Option<u64>,
}

impl Room {
    /// Days from `now` until it is full.
    pub fn days_left(&self, now: Timestamp) -> Option<u64> {
        let passed = now.duration_since(self.at).as_hours().max(0) / 24;
        Some(self.full_in_days?.saturating_sub(passed.unsigned_abs()))
    }
}

/// What this machine remembers.
pub struct Ledger {
    folder: SealedFolder,
}

/// All that is remembered, and what cannot be read of it.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Sources in vaults, in the order of their addresses and names.
    pub records: Vec<Record>,
    /// The last checks.
    pub verified: Vec<Verified>,
    /// How long there is room in vaults.
    pub rooms: Vec<Room>,
    /// Files that cannot be read.
    pub broken: Vec<StateError>,
}

impl Ledger {
    /// Opens what `state` has of it.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn open(state: &StateFolder) -> Result<Self, StateError> {
        Ok(Self { folder: state.sealed(FOLDER)? })
    }

    /// Notes a run and the snapshot that it made, if it made one; the last one stays known otherwise.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note(&self, subject: Subject, last: Attempt, saved: Option<Saved>) -> Result<(), StateError> {
        let name = file_of(&subject);
        // What cannot be read is no reason to remember nothing from now on.
        let known = self.folder.read_json::<Record>(&name).ok().flatten();
        let failing_since = match (&saved, &known) {
            (Some(_), _) => None,
            (None, Some(Record { failing_since: Some(since), .. })) => Some(*since),
            (None, _) => Some(last.at),
        };
        let saved = saved.or_else(|| known.and_then(|known| known.saved));
        self.folder.write_json(&name, &Record { subject, last, saved, failing_since })
    }

    /// Notes a check of a whole vault.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_verified(&self, verified: &Verified) -> Result<(), StateError> {
        self.folder.write_json(&format!("{VERIFIED}{}.age", sha256(verified.address.as_bytes())), verified)
    }

    /// Notes how long there is room in a vault.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn note_room(&self, room: &Room) -> Result<(), StateError> {
        self.folder.write_json(&format!("{ROOM}{}.age", sha256(room.address.as_bytes())), room)
    }

    /// Everything that is remembered.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read(&self) -> Result<Remembered, StateError> {
        let mut found = Remembered::default();
        for name in self.folder.names()?.iter().filter(|name| name.ends_with(".age")) {
            if name.starts_with(VERIFIED) {
                keep(self.folder.read_json(name), &mut found.verified, &mut found.broken);
            } else if name.starts_with(ROOM) {
                keep(self.folder.read_json(name), &mut found.rooms, &mut found.broken);
            } else {
                keep(self.folder.read_json(name), &mut found.records, &mut found.broken);
            }
        }
        found.records.sort_by(|one, other| one.subject.cmp(&other.subject));
        Ok(found)
    }
}

fn keep<T>(read: Result<Option<T>, StateError>, found: &mut Vec<T>, broken: &mut Vec<StateError>) {
    match read {
        Ok(value) => found.extend(value),
        Err(error) => broken.push(error),
    }
}

fn file_of(subject: &Subject) -> String {
    let name = [subject.address.as_str(), &subject.kind, &subject.source].join("\0");
    format!("{}.age", sha256(name.as_bytes()))
}

impl Remembered {
    /// What is remembered of a source in a vault.
    pub fn of(&self, subject: &Subject) -> Option<&Record> {
        self.records.iter().find(|record| record.subject == *subject)
    }

    /// The last check of the vault at `address`.
    pub fn verified_at(&self, address: &str) -> Option<&Verified> {
        self.verified.iter().find(|verified| verified.address == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn attempt(second: i64, exit: u8) -> Attempt {
        Attempt { at: at(second), seconds: 1, exit, why: None }
    }

    fn saved(second: i64) -> Saved {
        let snapshot = format!("{second:x}");
        Saved { at: at(second), exit: 0, snapshot, entries: 1, bytes: 2, stored_bytes: 3, problems: 0, coverage: None }
    }

    fn subject(source: &str) -> Subject {
        Subject { address: "/vault".into(), kind: "folder".into(), source: source.into() }
    }

    #[test]
    fn a_failed_run_keeps_the_last_backup_and_says_since_when() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(folder.path().join("state"), None).unwrap();
        let ledger = Ledger::open(&state).unwrap();
        ledger.note(subject("/a"), attempt(1, 0), Some(saved(1))).unwrap();
        for second in [2, 3] {
            ledger.note(subject("/a"), attempt(second, 13), None).unwrap();
        }
        ledger.note(subject("/never"), attempt(4, 10), None).unwrap();
        let found = ledger.read().unwrap();
        let record = found.of(&subject("/a")).unwrap();
        assert_eq!((record.saved.clone(), record.last.exit, record.failing_since), (Some(saved(1)), 13, Some(at(2))));
        assert_eq!((found.records.len(), found.records[1].saved.is_none()), (2, true));
        // A success ends it.
        ledger.note(subject("/a"), attempt(5, 0), Some(saved(5))).unwrap();
        assert_eq!(ledger.read().unwrap().of(&subject("/a")).unwrap().failing_since, None);
    }

    #[test]
    fn the_days_that_are_left_become_fewer() {
        let room = Room { address: "/vault".into(), at: at(0), left_bytes: 1, what: "disk".into(), full_in_days: Some(30) };
        let left: Vec<_> = [-86_400, 0, 86_399, 10 * 86_400, 90 * 86_400].map(|now| room.days_left(at(now))).into();
        assert_eq!(left, [Some(30), Some(30), Some(30), Some(20), Some(0)]);
        assert_eq!(Room { full_in_days: None, ..room }.days_left(at(0)), None);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_hides_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(folder.path().join("state"), None).unwrap();
        let ledger = Ledger::open(&state).unwrap();
        ledger.note(subject("/a"), attempt(1, 0), Some(saved(1))).unwrap();
        let verified = Verified { address: "/vault".into(), at: at(9), how: "deep".into(), is_sound: true };
        ledger.note_verified(&verified).unwrap();
        std::fs::write(folder.path().join("state/status/x.age"), "rubbish").unwrap();
        let found = ledger.read().unwrap();
        assert_eq!((found.records.len(), found.broken.len()), (1, 1));
        assert_eq!(found.verified_at("/vault"), Some(&verified));
        // Nothing of it is readable without this machine's key.
        let stored =
            std::fs::read_dir(folder.path().join("state/status")).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        assert!(!stored.flatten().collect::<Vec<u8>>().windows(6).any(|bytes| bytes == b"/vault"));
    }
}
