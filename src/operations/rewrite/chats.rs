//! Which entries of all snapshots a chat consists of: its folder, the files that only its messages show, and what would put imported
//! files with its messages together again.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

use crate::crypt::digest::sha256;
use crate::model::digest::{Digest, Id};
use crate::model::entry::{EntryPath, Kind};
use crate::model::peer::Peer;
use crate::operations::OperationError;
use crate::operations::chats::{Chat, OpenChats};
use crate::operations::session::{Opened, Session};
use crate::operations::snapshot::OpenSnapshot;
use crate::operations::snapshot::choice::{Selection, SnapshotChoice, holds_chats};
use crate::operations::stop::Stop;

/// What goes with some chats.
#[derive(Default)]
pub(super) struct Taken {
    /// The chats, with what they are called.
    pub chats: BTreeMap<Peer, Option<String>>,
    /// Files that no other chat and nothing of the account shows.
    pub files: HashSet<EntryPath>,
    /// Of imports: which layouts name messages of the chats, see [`layout_of`].
    pub imports: BTreeSet<String>,
}

/// The chat whose folder this path lies in, or is.
pub(super) fn peer_of(path: &EntryPath) -> Option<Peer> {
    let mut parts = path.components();
    if parts.next()? != b"chats" {
        return None;
    }
    std::str::from_utf8(parts.next()?).ok()?.parse().ok()
}

/// The run and number of the layout that this path is a part of: `imports/<run>/layout/<number>-<seq>.jsonl`.
pub(super) fn layout_of(path: &EntryPath) -> Option<String> {
    let parts: Vec<&str> = path.components().map(std::str::from_utf8).collect::<Result<_, _>>().ok()?;
    match parts.as_slice() {
        ["imports", run, "layout", file] => Some(format!("{run}/{}", file.rsplit_once('-')?.0)),
        _ => None,
    }
}

impl Taken {
    /// Looks for the chats that go by these names, and through every snapshot for what only they show.
    ///
    /// # Errors
    /// When a name fits no chat or several, something cannot be read, or the run is stopped.
    pub async fn of(session: &Session, names: &[String], stop: &Stop) -> Result<Self, OperationError> {
        let opened = session.open().await?;
        let identity = opened.identity()?;
        let mut snapshots: Vec<(Id, Timestamp, u64, Id)> = Vec::new();
        opened
            .repository
            .each_snapshot(&identity.identities, |_, snapshot| {
                if holds_chats(&snapshot) {
                    snapshots.push((snapshot.chain, snapshot.time, snapshot.sequence, snapshot.id));
                }
            })
            .await?;
        snapshots.sort_unstable_by_key(|(chain, _, sequence, _)| (*chain, *sequence));
        let last = snapshots.chunk_by(|a, b| a.0 == b.0).filter_map(|chain| chain.last().copied());
        let mut heads: Vec<(Timestamp, Id)> = last.map(|(_, time, _, id)| (time, id)).collect();
        heads.sort_unstable();
        let chats = Self::named(&opened, &heads, names).await?;
        let mut looking = Looking { peers: chats.keys().copied().collect(), ..Looking::default() };
        for (_, _, _, id) in snapshots.iter().rev() {
            if stop.is_wanted() {
                return Err(OperationError::Interrupted);
            }
            let snapshot = open(&opened, *id).await?;
            if let Some(lost) = snapshot.lost().first() {
                return Err(OperationError::Lost { wanted: "messages that show the same files".into(), lost: lost.clone() });
            }
            looking = tokio::task::spawn_blocking(move || looking.through(&snapshot)).await??;
        }
        let files = looking.own.difference(&looking.others).filter_map(|path| EntryPath::new(path.as_str()).ok()).collect();
        Ok(Self { chats, files, imports: looking.imports })
    }

    /// The chats that go by these names in the last snapshot of any chain, each with the group that it was before, or became.
    async fn named(opened: &Opened, heads: &[(Timestamp, Id)], names: &[String]) -> Result<BTreeMap<Peer, Option<String>>, OperationError> {
        let mut found: BTreeMap<Peer, Option<String>> = BTreeMap::new();
        let mut met = vec![false; names.len()];
        let mut missing = None;
        for (_, id) in heads.iter().rev() {
            let chats = OpenChats::of(open(opened, *id).await?);
            let names = names.to_vec();
            let looked = move || {
                let all = chats.descriptions(&mut |_, _| {})?;
                let called = names.iter().map(|name| called(&chats, &all, name)).collect::<Vec<_>>();
                Ok::<_, OperationError>(called)
            };
            for (met, called) in met.iter_mut().zip(tokio::task::spawn_blocking(looked).await??) {
                match called {
                    Ok(chats) => {
                        found.extend(chats);
                        *met = true;
                    }
                    Err(error @ OperationError::NoSuchChat { .. }) => drop(missing.get_or_insert(error)),
                    Err(error) => return Err(error),
                }
            }
        }
        match met.iter().position(|met| !met) {
            None => Ok(found),
            Some(at) => Err(missing.unwrap_or_else(|| OperationError::NoSuchChat {
                near: Vec::new(),
                of: Vec::new(),
                chat: names.get(at).cloned().unwrap_or_default(),
                snapshot: heads.last().map(|(_, id)| id.to_string()).unwrap_or_default(),
            })),
        }
    }
}

async fn open(opened: &Opened, id: Id) -> Result<OpenSnapshot, OperationError> {
    OpenSnapshot::open_in(opened, &SnapshotChoice { wanted: id.to_string(), among: Selection::default() }).await
}

/// The one chat of this name, with the group that it was before or became. Nothing goes because of a name that is only like it.
fn called(chats: &OpenChats, all: &[Chat], name: &str) -> Result<Vec<(Peer, Option<String>)>, OperationError> {
    let is_before = |chat: &Chat, other: &Chat| chat.info.migrated_from == Some(other.peer) || other.info.migrated_to == Some(chat.peer);
    let fits: Vec<&Chat> = all.iter().filter(|chat| chat.is_called(name)).collect();
    let one = match fits.as_slice() {
        [] => {
            // The error that has names like it; where a name is so like it that others would take it, that one.
            let like = chats.called(all, &[name.to_owned()])?;
            let near =
                all.iter().filter(|chat| like.contains(&chat.peer)).filter_map(|chat| chat.info.title().map(str::to_owned)).collect();
            let snapshot = chats.opened().snapshot().id.to_string();
            return Err(OperationError::NoSuchChat { near, of: Vec::new(), chat: name.to_owned(), snapshot });
        }
        [one] => *one,
        [a, b] if is_before(a, b) => *a,
        [b, a] if is_before(a, b) => *a,
        several => {
            let peers = several.iter().map(|chat| chat.peer.to_string()).collect();
            return Err(OperationError::SeveralChats { chat: name.to_owned(), peers });
        }
    };
    let related = all.iter().filter(|chat| is_before(one, chat) || is_before(chat, one));
    Ok(related.chain([one]).map(|chat| (chat.peer, chat.info.title().map(str::to_owned))).collect())
}

/// What was found so far.
#[derive(Default)]
struct Looking {
    peers: HashSet<Peer>,
    /// Files that were looked into: the same stands in many snapshots.
    met: HashSet<Digest>,
    /// Media that the chats show.
    own: HashSet<String>,
    /// Media that anything else shows.
    others: HashSet<String>,
    imports: BTreeSet<String>,
}

impl Looking {
    /// Looks through one snapshot. It blocks.
    fn through(mut self, snapshot: &OpenSnapshot) -> Result<Self, OperationError> {
        let mut paths = Vec::new();
        for (path, entry) in snapshot.tree().iter().filter(|(_, entry)| entry.kind == Kind::File) {
            let first = path.components().next().unwrap_or_default();
            let tells = [&b"chats"[..], b"account"].contains(&first) || layout_of(&path).is_some();
            // A part of a chat that differs in nothing else may stand for two of them.
            let name = entry.place().map(|place| sha256(&[&place.sha256.0[..], path.as_bytes()].concat()));
            if tells && name.is_none_or(|name| self.met.insert(name)) {
                paths.push(path);
            }
        }
        let mut failed = None;
        snapshot.sweep(&paths, &mut |path, read| match read {
            Ok(bytes) => self.look(path, bytes),
            Err(error) => drop(failed.get_or_insert(error)),
        })?;
        // What is not known may show the same files.
        failed.map_or(Ok(self), Err)
    }

    fn look(&mut self, path: &EntryPath, bytes: &[u8]) {
        if let Some(layout) = layout_of(path) {
            let names = |peer: &Peer| memchr::memmem::find(bytes, format!("\"{peer}\"").as_bytes()).is_some();
            if self.peers.iter().any(names) {
                self.imports.insert(layout);
            }
            return;
        }
        let is_own = peer_of(path).is_some_and(|peer| self.peers.contains(&peer));
        let shown = if is_own { &mut self.own } else { &mut self.others };
        for at in memchr::memmem::find_iter(bytes, b"\"media/") {
            let rest = bytes.get(at + 1..).unwrap_or_default();
            // Paths of media need no escapes.
            let end = rest.iter().position(|&byte| byte == b'"').unwrap_or(rest.len());
            if let Some(Ok(path)) = rest.get(..end).map(std::str::from_utf8)
                && !shown.contains(path)
            {
                shown.insert(path.to_owned());
            }
        }
    }
}
