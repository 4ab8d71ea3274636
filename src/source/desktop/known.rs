//! What earlier imports of an account's exports have stored, so that a grown export costs only what is new in it.
//!
//! - [`Remembered`] is asked for each message of an export, and told what was stored.
//! - [`table`] holds what is known of stored messages, in 20 bytes each.
//! - [`Kept`] keeps it on this machine, sealed: keyed hashes, ids and names of runs, nothing that could be read.
//!
//! Commit first, then state: an item counts when its mark comes back. What the snapshot before does not hold (any more) is
//! forgotten when the next import begins, so a state that is wrong costs uploads and never loses a message.

pub mod table;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::table::{Batch, Fresh, Note, Packed, Table};
use crate::crypt::digest::Hasher;
use crate::model::entry::EntryPath;
use crate::model::keep::Kept;
use crate::model::paths::{self, RunId};
use crate::model::peer::{Peer, PeerKind};

/// What is known of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing, or it said something else.
    New,
    /// It said the same, in other bytes; that run stored it.
    Same(RunId),
    /// That run stored a record with these very bytes.
    SameBytes(RunId),
}

impl Look {
    /// The run that stored it.
    pub fn run(&self) -> Option<&RunId> {
        match self {
            Self::New => None,
            Self::Same(run) | Self::SameBytes(run) => Some(run),
        }
    }
}

/// What is known of a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// When it was made, Unix seconds.
    pub observed: i64,
    /// Whether it tells only part of what exports can tell.
    pub is_partial: bool,
    /// Whether it says what was asked for.
    pub says_the_same: bool,
}

/// What [`Remembered::load`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: no import has ended on this machine.
    Nothing,
    /// What earlier imports stored.
    Earlier,
    /// Something that cannot be read, and counts as nothing.
    Damaged(String),
}

/// What becomes true when an item is stored.
enum Effect {
    /// A batch of a log.
    Batch { peer: Peer, run: RunId, observed: i64, seq: u32, pieces: Vec<Packed> },
    /// The description of a chat or a section of the account.
    Described { path: u64, observed: i64, content: u64 },
    /// The list of the import's files, which comes last: the import is whole.
    Whole,
}

#[derive(Default)]
struct State {
    table: Table,
    pending: HashMap<u64, Effect>,
    failure: Option<io::Error>,
}

/// What earlier imports have stored.
pub struct Remembered {
    state: Mutex<State>,
    keeper: Option<Kept>,
}

/// A keyed hash of 8 bytes; never 0.
fn hash(key: &[u8; 32], bytes: &[u8]) -> u64 {
    let mut hasher = Hasher::new();
    hasher.update(key);
    hasher.update(bytes);
    let [a, b, c, d, e, f, g, h, ..] = hasher.finish().0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1)
}

/// The hash of a description; its last bit says whether it is a partial one.
fn described(key: &[u8; 32], content: &[u8], is_partial: bool) -> u64 {
    hash(key, content) & !1 | u64::from(is_partial)
}

impl Remembered {
    /// Knows nothing, and keeps nothing. The key is random and the machine's own: it keeps others from making two messages that
    /// are taken for the same.
    pub fn new(key: [u8; 32]) -> Self {
        let state = State { table: Table::new(key), ..State::default() };
        Self { state: Mutex::new(state), keeper: None }
    }

    /// Knows what `keeper` kept, from [`Self::load`] on.
    ///
    /// # Errors
    /// When the system gives no random key.
    pub fn kept(keeper: Kept) -> io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Ok(Self { keeper: Some(keeper), ..Self::new(key) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up what was kept; to be called under the lock of the source, before anything else is asked.
    pub fn load(&self) -> Found {
        let Some(keeper) = &self.keeper else {
            return if self.state().table.runs().is_empty() { Found::Nothing } else { Found::Earlier };
        };
        let loaded = keeper.reader().and_then(|input| input.map(|mut input| Table::read(&mut input)).transpose());
        match loaded {
            Ok(None) => Found::Nothing,
            Ok(Some(table)) => {
                let found = if table.runs().is_empty() { Found::Nothing } else { Found::Earlier };
                self.state().table = table;
                found
            }
            Err(error) => Found::Damaged(error.to_string()),
        }
    }

    /// Whether [`Self::load`] would find what earlier imports stored; takes no memory to speak of.
    pub fn is_there(&self) -> bool {
        let Some(keeper) = &self.keeper else { return !self.state().table.runs().is_empty() };
        let seen = keeper.reader().and_then(|input| input.map(|mut input| Table::look_over(&mut input)).transpose());
        seen.is_ok_and(|seen| seen == Some(true))
    }

    /// Begins an import of what has this fingerprint, and names its run: `proposed`, or the run of an import of the very same
    /// that did not come to its end. Going on under the same name makes the same items again, which are stored then.
    pub fn begin(&self, fingerprint: &[u8], proposed: &RunId) -> RunId {
        let mut state = self.state();
        state.pending.clear();
        let print = hash(&state.table.key, fingerprint);
        let run = match &state.table.unfinished {
            Some((unfinished, run)) if *unfinished == print => run.clone(),
            _ => proposed.clone(),
        };
        state.table.unfinished = Some((print, run.clone()));
        self.save(&mut state);
        run
    }

    /// The chats of this kind of which a message with this id is stored.
    pub fn chats_with(&self, kind: PeerKind, id: i64) -> Vec<Peer> {
        self.state().table.chats_with(kind, id)
    }

    /// When that run's export was made, Unix seconds.
    pub fn made(&self, run: &RunId) -> Option<i64> {
        self.state().table.runs().iter().rev().find(|(known, _)| known == run).map(|(_, observed)| *observed)
    }

    /// The account's own user id, where an export has told it.
    pub fn owner(&self) -> Option<i64> {
        self.state().table.owner
    }

    /// Takes note of the account's own user id; kept with the next item that is stored.
    pub fn set_owner(&self, owner: i64) {
        self.state().table.owner = Some(owner);
    }

    /// Forgets what lies in batches that are not `there`.
    pub fn keep_only(&self, mut there: impl FnMut(&EntryPath) -> bool) {
        let mut state = self.state();
        let mut gone: HashSet<(Peer, u32)> = HashSet::new();
        for (peer, run, number, seq) in state.table.batches() {
            let path = paths::log_batch(peer, run, seq);
            if !path.is_ok_and(|path| there(&path)) {
                gone.insert((peer, number));
            }
        }
        for (peer, run) in gone {
            state.table.forget(peer, run);
        }
    }

    /// Says what is known of a message. `content` is what it says ([`super::content`]), `raw` its bytes in the export; `run` is the
    /// import at hand, whose own records do not count, and `observed` when its export was made.
    pub fn look(&self, run: &RunId, observed: i64, peer: Peer, id: i64, content: &[u8], raw: &[u8]) -> Look {
        let state = self.state();
        let notes = state.table.notes(peer, id, run);
        // A message may say again what it said before: only of an older export does any earlier version tell enough.
        let Some(latest) = notes.iter().map(|note| state.table.observed(note.run)).max() else { return Look::New };
        let counts = |note: &&Note| observed < latest || state.table.observed(note.run) == latest;
        let content = hash(&state.table.key, content);
        let same: Vec<&Note> = notes.iter().filter(counts).filter(|note| note.content == content).collect();
        let raw = hash(&state.table.key, raw);
        let run = |note: &&Note| state.table.run(note.run).cloned();
        let bytes = same.iter().find(|note| note.raw == raw).and_then(run).map(Look::SameBytes);
        bytes.or_else(|| same.last().and_then(run).map(Look::Same)).unwrap_or(Look::New)
    }

    /// The hashes of a message that goes into an item; `raw` is `None` where the record is not the first of its run with its id, so
    /// that nobody can refer to it.
    pub fn note(&self, id: i64, content: &[u8], raw: Option<&[u8]>) -> Fresh {
        let state = self.state();
        let key = &state.table.key;
        Fresh { id, content: hash(key, content), raw: raw.map_or(0, |raw| hash(key, raw)) }
    }

    /// Takes note that the item with this mark is a batch of a log with these messages, which it sorts. It counts from
    /// [`Self::committed`] on.
    pub fn expect_batch(&self, mark: u64, peer: Peer, run: &RunId, observed: i64, seq: u32, messages: &mut [Fresh]) {
        let effect = Effect::Batch { peer, run: run.clone(), observed, seq, pieces: Packed::pieces(messages) };
        self.state().pending.insert(mark, effect);
    }

    /// Takes note that the item with this mark describes a chat or the account, as of `observed`, and says `content`.
    pub fn expect_description(&self, mark: u64, path: &EntryPath, observed: i64, is_partial: bool, content: &[u8]) {
        let mut state = self.state();
        let (path, content) = (hash(&state.table.key, path.as_bytes()), described(&state.table.key, content, is_partial));
        state.pending.insert(mark, Effect::Described { path, observed, content });
    }

    /// Takes note that the item with this mark is the import's last.
    pub fn expect_end(&self, mark: u64) {
        self.state().pending.insert(mark, Effect::Whole);
    }

    /// What is known of the description at `path` that an import stored; `None` where none did.
    pub fn described(&self, path: &EntryPath, content: &[u8]) -> Option<Described> {
        let state = self.state();
        let key = &state.table.key;
        let (observed, known) = *state.table.described.get(&hash(key, path.as_bytes()))?;
        let is_partial = known & 1 == 1;
        Some(Described { observed, is_partial, says_the_same: known == described(key, content, is_partial) })
    }

    /// Takes note of a batch that is stored: for making this anew out of a snapshot.
    pub fn rebuild_batch(&self, peer: Peer, run: &RunId, observed: i64, seq: u32, messages: &mut [Fresh]) {
        self.state().table.add(BTreeMap::from([(peer, vec![(run.clone(), observed, seq, Packed::pieces(messages))])]));
    }

    /// Takes note of a description that is stored, as [`Self::rebuild_batch`].
    pub fn rebuild_description(&self, path: &EntryPath, observed: i64, is_partial: bool, content: &[u8]) {
        let mut state = self.state();
        let (path, content) = (hash(&state.table.key, path.as_bytes()), described(&state.table.key, content, is_partial));
        state.table.described.insert(path, (observed, content));
    }

    /// The items with these marks are stored for good.
    pub fn committed(&self, marks: &[u64]) {
        let mut state = self.state();
        let mut batches: BTreeMap<Peer, Vec<Batch>> = BTreeMap::new();
        for mark in marks {
            match state.pending.remove(mark) {
                Some(Effect::Batch { peer, run, observed, seq, pieces }) => {
                    batches.entry(peer).or_default().push((run, observed, seq, pieces));
                }
                Some(Effect::Described { path, observed, content }) => {
                    state.table.described.insert(path, (observed, content));
                }
                Some(Effect::Whole) => state.table.unfinished = None,
                None => {}
            }
        }
        state.table.add(batches);
        self.save(&mut state);
    }

    fn save(&self, state: &mut State) {
        let Some(keeper) = &self.keeper else { return };
        if let Err(error) = keeper.replace(&mut |out| state.table.write(out)) {
            tracing::warn!(%error, "what imports have stored could not be noted");
            state.failure = Some(error);
        }
    }

    /// Why what was stored could not be noted, if that happened: the next import stores some of it again.
    pub fn failure(&self) -> Option<io::Error> {
        self.state().failure.take()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::keep::testing::Memory;

    const PEER: Peer = Peer { kind: PeerKind::User, id: 1 };

    fn run(name: &str) -> RunId {
        name.parse().unwrap()
    }

    fn store(known: &Remembered, name: &str, observed: i64, messages: &[(i64, &str)]) {
        let mut notes: Vec<Fresh> = messages.iter().map(|(id, says)| known.note(*id, says.as_bytes(), Some(says.as_bytes()))).collect();
        known.expect_batch(3, PEER, &run(name), observed, 1, &mut notes);
        known.committed(&[3, 4]);
    }

    fn look(known: &Remembered, observed: i64, id: i64, content: &str, raw: &str) -> Look {
        known.look(&run("now"), observed, PEER, id, content.as_bytes(), raw.as_bytes())
    }

    #[test]
    fn messages_are_known_once_they_are_stored() {
        let known = Remembered::new([7; 32]);
        known.expect_batch(3, PEER, &run("r1"), 10, 1, &mut [known.note(5, b"says", Some(b"{raw}"))]);
        assert_eq!(look(&known, 20, 5, "says", "{raw}"), Look::New);
        known.committed(&[3, 4]);
        assert_eq!(look(&known, 20, 5, "says", "{raw}"), Look::SameBytes(run("r1")));
        assert_eq!(look(&known, 20, 5, "says", "{ raw}"), Look::Same(run("r1")));
        assert_eq!(look(&known, 20, 5, "says more", "{raw}"), Look::New);
        assert_eq!(look(&known, 20, 6, "says", "{raw}"), Look::New);
        assert_eq!(known.look(&run("r1"), 20, PEER, 5, b"says", b"{raw}"), Look::New, "a run goes on as it began");
    }

    #[test]
    fn what_a_message_says_again_is_new_and_what_older_exports_repeat_is_not() {
        let known = Remembered::new([7; 32]);
        store(&known, "r1", 10, &[(5, "a")]);
        store(&known, "r2", 20, &[(5, "b")]);
        assert_eq!(look(&known, 30, 5, "a", "a"), Look::New);
        assert_eq!(look(&known, 30, 5, "b", "b"), Look::SameBytes(run("r2")));
        assert_eq!(look(&known, 15, 5, "a", "a"), Look::SameBytes(run("r1")));
        assert_eq!(look(&known, 15, 5, "c", "c"), Look::New);
    }

    #[test]
    fn what_the_vault_has_lost_is_forgotten() {
        let known = Remembered::new([7; 32]);
        store(&known, "r1", 10, &[(5, "a")]);
        store(&known, "r2", 20, &[(6, "b")]);
        known.keep_only(|path| path.to_string().contains("r2"));
        assert_eq!(look(&known, 30, 5, "a", "a"), Look::New);
        assert_eq!(look(&known, 30, 6, "b", "b"), Look::SameBytes(run("r2")));
    }

    #[test]
    fn it_survives_the_process_and_names_an_interrupted_run_again() {
        let memory = Arc::new(Memory::default());
        let kept = || Kept::new(memory.clone(), "imported");
        let known = Remembered::kept(kept()).unwrap();
        assert_eq!((known.load(), known.is_there()), (Found::Nothing, false));
        assert_eq!(known.begin(b"export", &run("r1")), run("r1"));
        known.set_owner(77);
        store(&known, "r1", 10, &[(5, "a"), (-3, "b"), (900, "c")]);

        let again = Remembered::kept(kept()).unwrap();
        assert!(again.is_there());
        assert_eq!((again.load(), again.owner()), (Found::Earlier, Some(77)));
        assert_eq!(again.begin(b"export", &run("r2")), run("r1"));
        for (id, says) in [(5, "a"), (-3, "b"), (900, "c")] {
            assert_eq!(look(&again, 20, id, says, says), Look::SameBytes(run("r1")));
        }
        again.expect_end(9);
        again.committed(&[9]);
        assert_eq!(again.begin(b"export", &run("r3")), run("r3"));
        assert_eq!(again.begin(b"another", &run("r4")), run("r4"));

        memory.files().get_mut("imported").unwrap().truncate(40);
        let broken = Remembered::kept(kept()).unwrap();
        assert!(matches!(broken.load(), Found::Damaged(_)) && !broken.is_there());
        assert_eq!(look(&broken, 20, 5, "a", "a"), Look::New);
    }
}
