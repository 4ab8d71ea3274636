//! The state in use: what is on its way to the store, and what becomes true when it is there.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufReader};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use super::{ChatState, Effect, State, VERSION};
use crate::model::keep::Kept;
use crate::model::peer::Peer;

/// An effect that waits until several items are stored.
struct Awaiting {
    left: usize,
    effect: Effect,
}

#[derive(Default)]
struct Pending {
    last_mark: u64,
    effects: HashMap<u64, Effect>,
    /// The marks of the batches of each chat that are on their way.
    logs: HashMap<Peer, Vec<u64>>,
    /// Marks that turned out not to be what they promised.
    void: HashSet<u64>,
    groups: HashMap<u64, Vec<u64>>,
    awaiting: HashMap<u64, Awaiting>,
    last_group: u64,
    /// What becomes true when all but files is stored.
    at_end: Vec<Effect>,
}

impl Pending {
    fn has_more_than_files(&self) -> bool {
        self.effects.values().any(|effect| !matches!(effect, Effect::Media(_)))
    }
}

/// The state in use.
pub(crate) struct StateStore {
    file: Kept,
    /// Whether nothing is saved: for runs that only look.
    forgets: bool,
    state: Mutex<State>,
    pending: Mutex<Pending>,
}

/// The version of the state in a file; `None` where not even that can be read.
fn version_of(file: &Kept) -> io::Result<Option<u8>> {
    #[derive(Deserialize)]
    struct Head {
        version: u8,
    }
    let Some(reader) = file.reader()? else { return Ok(None) };
    let head = serde_json::from_reader::<_, Head>(BufReader::new(reader));
    Ok(head.ok().map(|head| head.version))
}

fn check_version(version: u8) -> io::Result<()> {
    if (1..=VERSION).contains(&version) {
        return Ok(());
    }
    let what = format!("the state has version {version}, and this program knows versions up to {VERSION}: a newer tgvault wrote it");
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

impl StateStore {
    /// Reads the state, or begins one; a state of another user is not ours.
    pub(crate) fn open(file: Kept, user_id: i64) -> io::Result<Self> {
        let state = match file.reader()? {
            None => State::new(user_id)?,
            Some(reader) => {
                let mut reader = serde_json::Deserializer::from_reader(BufReader::new(reader));
                let state = State::deserialize(&mut reader).and_then(|state| reader.end().map(|()| state));
                if state.is_err() {
                    // A later version may have another form: then that is what is wrong.
                    version_of(&file)?.map_or(Ok(()), check_version)?;
                }
                let state = state.map_err(|error| match error.io_error_kind() {
                    Some(kind) => io::Error::new(kind, error),
                    None => io::Error::new(io::ErrorKind::InvalidData, format!("the state is damaged at byte {}", error.column())),
                })?;
                check_version(state.version)?;
                if state.user_id == user_id { state.upgraded() } else { State::new(user_id)? }
            }
        };
        Ok(Self { file, forgets: false, state: Mutex::new(state), pending: Mutex::default() })
    }

    /// The same state for a run that only looks: nothing of it is saved.
    pub(crate) fn forgetting(self) -> Self {
        Self { forgets: true, ..self }
    }

    pub(crate) fn read(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what an earlier listing promised and nobody stored: its items will be listed again.
    pub(crate) fn begin(&self) {
        let mut pending = self.pending();
        *pending = Pending { last_mark: pending.last_mark, last_group: pending.last_group, ..Pending::default() };
    }

    /// Takes note of the memory that the run goes on from. What was stored under another name counts as not stored: it is fetched again.
    pub(crate) fn continues(&self, memory: &str, anew: bool) -> io::Result<()> {
        let mut state = self.read();
        if !anew && state.memory.as_deref() == Some(memory) {
            return Ok(());
        }
        let fresh = State::new(state.user_id)?;
        *state = State {
            key: state.key,
            takeout: state.takeout,
            takeout_owed: state.takeout_owed,
            takeout_not_before: state.takeout_not_before,
            moment: state.moment,
            memory: Some(memory.to_owned()),
            ..fresh
        };
        self.save(&state)
    }

    /// Changes what does not depend on items, and saves.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.read();
        change(&mut state);
        self.save(&state)
    }

    /// Takes note of a run's moment; gives that of the one before. One that is ahead of the clock is saved before the run says it: runs
    /// that follow each other faster than the seconds are ahead, and so is a clock that is set back later.
    pub(crate) fn begins_at(&self, now: i64) -> io::Result<(i64, Option<i64>)> {
        let mut state = self.read();
        let before = state.moment;
        let moment = before.map_or(now, |before| now.max(before.saturating_add(1)));
        state.moment = Some(moment);
        if moment > now {
            self.save(&state)?;
        }
        Ok((moment, before))
    }

    /// What a chat's earlier runs left.
    #[cfg(test)]
    pub(crate) fn chat(&self, peer: Peer) -> ChatState {
        self.read().chats.get(&peer).cloned().unwrap_or_default()
    }

    /// Gives the mark for an item whose storing has this effect.
    pub(crate) fn mark(&self, effect: Effect) -> u64 {
        let mut pending = self.pending();
        pending.last_mark += 1;
        let mark = pending.last_mark;
        if let Effect::Log(peer, _) = &effect {
            pending.logs.entry(*peer).or_default().push(mark);
        }
        pending.effects.insert(mark, effect);
        mark
    }

    /// Makes an effect wait for several items; with none it is applied at once.
    pub(crate) fn when_all(&self, marks: &[u64], effect: Effect) {
        let mut pending = self.pending();
        let open: Vec<u64> = marks.iter().copied().filter(|mark| pending.effects.contains_key(mark)).collect();
        if open.is_empty() {
            drop(pending);
            self.read().apply(effect);
            return;
        }
        pending.last_group += 1;
        let group = pending.last_group;
        for &mark in &open {
            pending.groups.entry(mark).or_default().push(group);
        }
        pending.awaiting.insert(group, Awaiting { left: open.len(), effect });
    }

    /// Makes an effect wait for everything that is on its way but the files, of which each is asked for again where it fails.
    pub(crate) fn when_all_is_stored(&self, effect: Effect) {
        let mut pending = self.pending();
        if pending.has_more_than_files() {
            pending.at_end.push(effect);
        } else {
            drop(pending);
            self.read().apply(effect);
        }
    }

    /// A chat as it will be once everything on its way is stored.
    pub(crate) fn after_pending(&self, peer: Peer) -> ChatState {
        // Always the state before the pending, so that no effect is between the two.
        let state = self.read();
        let pending = self.pending();
        let mut chat = state.chats.get(&peer).cloned().unwrap_or_default();
        for mark in pending.logs.get(&peer).into_iter().flatten() {
            if let Some(Effect::Log(_, log)) = pending.effects.get(mark) {
                chat.add(log);
            }
        }
        chat
    }

    /// The chats of which something is written down that is not stored for good yet.
    pub(crate) fn pending_chats(&self) -> Vec<Peer> {
        self.pending().logs.keys().copied().collect()
    }

    /// Takes back what an item promised: its content could not be had after all.
    pub(crate) fn revoke(&self, mark: u64, reason: String) {
        let mut state = self.read();
        let mut pending = self.pending();
        if let Some(Effect::Media(digest)) = pending.effects.get(&mark) {
            state.fail(*digest, None, reason);
            if let Some(missing) = state.missing.get_mut(digest) {
                missing.late = true;
            }
        }
        pending.void.insert(mark);
    }

    /// Applies the effects of items that are stored for good, and saves.
    pub(crate) fn committed(&self, marks: &[u64]) -> io::Result<()> {
        let mut state = self.read();
        let mut effects = Vec::new();
        {
            let mut pending = self.pending();
            let pending = &mut *pending;
            for mark in marks {
                let void = pending.void.remove(mark);
                if let Some(effect) = pending.effects.remove(mark) {
                    if let Effect::Log(peer, _) = &effect
                        && let Some(marks) = pending.logs.get_mut(peer)
                    {
                        marks.retain(|own| own != mark);
                    }
                    if !void {
                        effects.push(effect);
                    }
                }
                for group in pending.groups.remove(mark).unwrap_or_default() {
                    if let Some(awaiting) = pending.awaiting.get_mut(&group) {
                        awaiting.left = awaiting.left.saturating_sub(1);
                        if awaiting.left == 0
                            && let Some(awaiting) = pending.awaiting.remove(&group)
                        {
                            effects.push(awaiting.effect);
                        }
                    }
                }
            }
            if !pending.at_end.is_empty() && !pending.has_more_than_files() {
                effects.append(&mut pending.at_end);
            }
        }
        for effect in effects {
            state.apply(effect);
        }
        self.save(&state)
    }

    /// Saves what was applied without items.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.save(&self.read())
    }

    fn save(&self, state: &State) -> io::Result<()> {
        if self.forgets {
            return Ok(());
        }
        self.file.replace(&mut |out| serde_json::to_writer(out, state).map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Print;
    use super::super::Ranges;
    use super::super::{Counters, LogEffect};
    use super::*;
    use crate::model::account::Section;
    use crate::model::keep::testing::Memory;

    fn log(peer: Peer, first: i64, last: i64, messages: &[(i32, Option<u64>)]) -> Effect {
        let mut covered = Ranges::default();
        covered.add(first, last);
        let messages = messages.iter().map(|&(id, print)| (id, print.map(Print::from))).collect();
        Effect::Log(peer, Box::new(LogEffect { covered, messages, ..LogEffect::default() }))
    }

    #[test]
    fn nothing_moves_before_it_is_stored_and_everything_survives_the_file() {
        let file = Kept::new(Arc::new(Memory::default()), "a.state");
        let store = StateStore::open(file.clone(), 7).unwrap();
        let peer = Peer::channel(5);
        let first = store.mark(log(peer, 1, 100, &[(1, Some(11)), (2, Some(22))]));
        let second = store.mark(log(peer, 101, 200, &[(2, None), (150, Some(33))]));
        let looked = Effect::Looked { peer, pts: Some(9), server_count: Some(2), gone: None, again: false };
        store.when_all(&[first, second], looked);
        store.committed(&[second]).unwrap();
        assert_eq!((store.chat(peer).pts, store.chat(peer).ranges.contains(50)), (None, false));
        store.committed(&[first]).unwrap();
        let expected = store.chat(peer);
        assert_eq!(expected.pts, Some(9));
        assert_eq!(expected.ranges.gaps(1, 200), vec![]);
        let again = StateStore::open(file.clone(), 7).unwrap();
        assert_eq!(again.chat(peer), expected);
        assert_eq!(StateStore::open(file, 8).unwrap().chat(peer), ChatState::default(), "another user's state is not used");
    }

    #[test]
    fn a_file_that_failed_after_all_is_not_stored() {
        let store = StateStore::open(Kept::new(Arc::new(Memory::default()), "a"), 7).unwrap();
        let (good, bad) = (store.mark(Effect::Media(1)), store.mark(Effect::Media(2)));
        store.revoke(bad, "broken".into());
        store.committed(&[good, bad]).unwrap();
        assert_eq!(store.read().media.0, HashSet::from([1]));
    }

    #[test]
    fn a_takeout_is_owed_until_the_last_description_is_stored() {
        let store = StateStore::open(Kept::new(Arc::new(Memory::default()), "a"), 7).unwrap();
        store.change(|state| state.takeout_owed = true).unwrap();
        let messages = store.mark(log(Peer::channel(5), 1, 9, &[(1, Some(11))]));
        let contacts = store.mark(Effect::Section(Section::Contacts, 3));
        let _file = store.mark(Effect::Media(1));
        store.when_all_is_stored(Effect::TakenOut);
        store.committed(&[messages]).unwrap();
        assert!(store.read().takeout_owed);
        store.committed(&[contacts]).unwrap();
        assert!(!store.read().takeout_owed);
        store.change(|state| state.takeout_owed = true).unwrap();
        store.when_all_is_stored(Effect::TakenOut);
        assert!(!store.read().takeout_owed);
    }

    #[test]
    fn each_run_is_later_than_the_one_before_also_in_another_process() {
        let file = Kept::new(Arc::new(Memory::default()), "a.state");
        let store = StateStore::open(file.clone(), 7).unwrap();
        assert_eq!(store.begins_at(100).unwrap(), (100, None));
        assert_eq!(store.begins_at(100).unwrap(), (101, Some(100)));
        let again = StateStore::open(file, 7).unwrap();
        assert_eq!(again.begins_at(100).unwrap(), (102, Some(101)));
        assert_eq!(again.begins_at(200).unwrap(), (200, Some(102)));
    }

    #[test]
    fn without_items_an_effect_is_at_once() {
        let store = StateStore::open(Kept::new(Arc::new(Memory::default()), "a"), 7).unwrap();
        let counters = Counters { pts: 1, qts: 2, date: 3 };
        store.when_all(&[99], Effect::Counters(counters));
        assert_eq!(store.read().counters, Some(counters));
    }
}
