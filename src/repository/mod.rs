//! What the objects of a repository mean.
//!
//! - [`mod@format`]: the types on disk and the names of objects.
//! - [`keys`] and [`trust`]: who may read, who may write.
//! - [`snapshots`] reads snapshots, [`commit`] writes them; [`archives`] opens what they name, [`contents`] reads from it.
//! - [`inventory`]: what snapshots name, and what the store has of it; [`listed`]: the same by a listing alone.
//! - [`pieces`]: bytes that need not be asked for again; `packs`: many small objects in one.
//! - [`records`]: what was forgotten or replaced, as the root key signed it; [`standing`]: which archives stand for replaced ones.
//! - [`marks`]: what prune will delete, and [`locks`], which keep a second one out.
//! - [`recovery`]: page and script for recovery without this program, kept in the vault.
//! - [`tree`]: the state of a snapshot, laid together from its archives' indexes, or from their copies in [`index_copies`].

pub mod archives;
pub mod commit;
pub mod contents;
pub mod copies;
mod error;
pub mod format;
mod healed;
pub mod index_copies;
pub mod inventory;
pub mod keys;
pub mod listed;
pub mod locks;
mod machine;
pub mod marks;
mod mirrored;
mod packs;
pub mod pieces;
pub mod records;
pub mod recovery;
mod small_objects;
pub mod snapshots;
pub mod standing;
pub mod tree;
pub mod trust;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OnceCell;

pub use error::RepositoryError;
pub use machine::{Clock, Machine, Random};

use crate::crypt::digest::sha256;
use crate::model::digest::Id;
use crate::storage::{Conditions, Storage};
use format::descriptor::{Descriptor, StoreFinding};
use format::names;
use format::root::{Later, Root, RootRecipient, Slot};
use format::version::CURRENT;
use keys::Identity;
use pieces::Pieces;
use records::Records;
use trust::{Anchor, Trust};

/// An opened repository, whose statement of trust has been checked.
#[derive(Clone, Debug)]
pub struct Repository {
    /// The store it lies in.
    pub storage: Storage,
    /// Its name.
    pub id: Id,
    /// What its statements of trust say.
    pub root: Root,
    /// The statements themselves.
    pub trust: Trust,
    /// What of it is at hand already.
    pub pieces: Pieces,
    /// The time, and randomness for names.
    pub machine: Machine,
    /// The archives, as they were listed once.
    listed: Arc<OnceCell<Arc<HashMap<String, u64>>>>,
    /// The archives that have a second copy, as they were listed once.
    healed: Arc<OnceCell<Arc<HashMap<String, u64>>>>,
    /// What was forgotten or replaced, as it was read once.
    records: Arc<OnceCell<Arc<Records>>>,
}

/// Reads which repository lies at a place.
///
/// # Errors
/// [`RepositoryError::Absent`] when none does, [`RepositoryError::Newer`] when this program cannot read it.
pub async fn find(storage: &Storage) -> Result<Id, RepositoryError> {
    find_known(storage, true, |_| false).await
}

/// As [`find`], on a machine that knows some repositories: where it finds one of them, the second copy is not asked for. One that
/// `is_new` asks for both at once.
///
/// # Errors
/// As [`find`].
pub async fn find_known(storage: &Storage, is_new: bool, is_known: impl Fn(Id) -> bool) -> Result<Id, RepositoryError> {
    if !is_new
        && let Ok(Some(bytes)) = storage.get(names::DESCRIPTOR, names::MAX_SMALL_BYTES).await
        && let Ok(found) = read_descriptor(&bytes)
        && is_known(found.repository)
    {
        take_finding(storage, found.store);
        return Ok(found.repository);
    }
    let read = async |name: &str| match storage.get(name, names::MAX_SMALL_BYTES).await? {
        Some(bytes) => read_descriptor(&bytes).map(|found| {
            take_finding(storage, found.store);
            Some(found.repository)
        }),
        None => Ok(None),
    };
    let second_name = names::mirror(names::DESCRIPTOR);
    match futures::join!(read(names::DESCRIPTOR), read(&second_name)) {
        // Nothing signs the descriptor; the statements of trust, which are checked next, say which copy is right.
        (Ok(Some(first)), Ok(Some(second))) if first != second => {
            for id in [first, second] {
                if trust::load(storage, id, &Anchor::AsFound).await.is_ok() {
                    return Ok(id);
                }
            }
            Err(RepositoryError::Trust("the two copies of its descriptor name different repositories".into()))
        }
        (Ok(Some(id)), _) | (_, Ok(Some(id))) => Ok(id),
        (Ok(None), Ok(None)) => Err(RepositoryError::Absent { address: storage.address().to_owned() }),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn read_descriptor(bytes: &[u8]) -> Result<Descriptor, RepositoryError> {
    // The version is read alone first: what else a later format says is not this program's to judge.
    #[derive(serde::Deserialize)]
    struct Version {
        format: format::version::FormatVersion,
    }
    let damaged = |error: serde_json::Error| RepositoryError::damaged(names::DESCRIPTOR, error);
    let version: Version = serde_json::from_slice(bytes).map_err(damaged)?;
    if !version.format.is_readable() {
        return Err(RepositoryError::Newer { found: version.format.to_string(), readable: CURRENT.to_string() });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

/// What is known now of the store that the repository lies in.
pub fn finding(storage: &Storage) -> Option<StoreFinding> {
    let known = Some(storage.conditions()).filter(|conditions| *conditions != Conditions::Unknown)?;
    Some(StoreFinding { place: sha256(storage.place()?.as_bytes()), conditional_puts: known })
}

/// Takes what was found out earlier as known, if it was about this store.
pub fn take_finding(storage: &Storage, found: Option<StoreFinding>) {
    if let (Some(found), Some(place)) = (found, storage.place())
        && storage.conditions() == Conditions::Unknown
        && found.place == sha256(place.as_bytes())
    {
        storage.assume(found.conditional_puts);
    }
}

impl Repository {
    /// Opens the repository `id`, which was found at a place, with the pieces of it that are at hand.
    ///
    /// # Errors
    /// As [`trust::load`].
    pub async fn open(storage: Storage, id: Id, pieces: Pieces, anchor: &Anchor, machine: &Machine) -> Result<Self, RepositoryError> {
        let trust = trust::load_with(&storage, &pieces, id, anchor).await?;
        Ok(Self::trusted(storage, id, trust, machine).with_pieces(pieces))
    }

    /// The repository with these statements of trust, and nothing of it at hand.
    pub fn trusted(storage: Storage, id: Id, trust: Trust, machine: &Machine) -> Self {
        let (pieces, listed, healed, records) = (Pieces::default(), Arc::default(), Arc::default(), Arc::default());
        Self { storage, id, root: trust.root.clone(), trust, pieces, machine: machine.clone(), listed, healed, records }
    }

    /// The same repository with what is at hand of it.
    pub fn with_pieces(self, pieces: Pieces) -> Self {
        Self { pieces, ..self }
    }

    /// Makes a new repository: slots, first statement of trust with `writer`, and last the object that says it is one.
    ///
    /// `slots` makes the key slots for the identity.
    ///
    /// # Errors
    /// [`RepositoryError::Occupied`] when there is one, or parts of one; otherwise when the store fails.
    pub async fn init(
        storage: Storage,
        identity: &Identity,
        slots: Vec<Slot>,
        writer: format::root::Writer,
        machine: &Machine,
    ) -> Result<Self, RepositoryError> {
        let root = Root {
            format: CURRENT,
            repository: identity.repository(),
            number: 1,
            time: machine.now(),
            parents: Vec::new(),
            ancestors: Vec::new(),
            numbered: 0,
            root_key: identity.root_key.public().clone(),
            recipients: vec![RootRecipient::current(&identity.recipient)],
            slots,
            removed_slots: Vec::new(),
            writers: vec![writer],
            revoked: Vec::new(),
            later: Later::new(),
        };
        let trust = trust::put(&storage, root, &identity.root_key).await?;
        let id = trust.root.repository;
        let descriptor = Descriptor { format: CURRENT, repository: id, store: finding(&storage) };
        let json = serde_json::to_vec(&descriptor).map_err(|error| RepositoryError::damaged(names::DESCRIPTOR, error))?;
        mirrored::put(&storage, names::DESCRIPTOR, Bytes::from(json)).await?;
        // Where a store lets two machines make a vault in one place at once, one of them finds the other's name here.
        match find(&storage).await {
            Ok(found) if found == id => Ok(Self::trusted(storage, id, trust, machine)),
            Ok(_) | Err(RepositoryError::Trust(_)) => Err(RepositoryError::Occupied { address: storage.address().to_owned() }),
            Err(error) => Err(error),
        }
    }

    /// Refuses a place that a new repository would share with another, or with what is left of one.
    ///
    /// # Errors
    /// [`RepositoryError::Occupied`] when something of a repository is there.
    pub async fn ensure_vacant(storage: &Storage) -> Result<(), RepositoryError> {
        let occupied = || RepositoryError::Occupied { address: storage.address().to_owned() };
        for name in [names::DESCRIPTOR.to_owned(), names::mirror(names::DESCRIPTOR)] {
            if storage.head(&name).await?.is_some() {
                return Err(occupied());
            }
        }
        for folder in [names::ROOT, names::KEYS, names::SNAPSHOTS, names::ARCHIVES, names::MIRROR] {
            if !storage.list(folder).await?.is_empty() {
                return Err(occupied());
            }
        }
        Ok(())
    }

    /// The objects of a new repository with these slots, before anything is backed up into it; what ends with `-` or `/` is the
    /// beginning of names that are not known yet.
    pub fn first_objects(slots: &[keys::NewSlot]) -> Vec<String> {
        let mut objects: Vec<String> = slots.iter().map(keys::NewSlot::object).collect();
        objects.extend([format!("{}1-", names::ROOT), names::DESCRIPTOR.to_owned()]);
        let mut objects: Vec<String> = objects.iter().flat_map(|name| [names::mirror(name), name.clone()]).collect();
        objects.push(recovery::folder());
        objects
    }

    /// Removes what is left of a repository that was never finished, if there is nothing at the place but some of `objects`.
    ///
    /// # Errors
    /// When the store fails, or does not let anybody delete.
    pub async fn remove_unfinished(storage: &Storage, objects: &[String]) -> Result<(), RepositoryError> {
        let names_it =
            |object: &String, name: &String| object == name || (object.ends_with(['-', '/']) && name.starts_with(object.as_str()));
        let place = |name: &String| objects.iter().position(|object| names_it(object, name));
        let mut found: Vec<String> = storage.list("").await?.into_iter().map(|object| object.name).collect();
        if found.iter().any(|name| place(name).is_none()) {
            return Ok(());
        }
        // What makes it a repository goes first.
        found.sort_by_key(|name| std::cmp::Reverse(place(name)));
        for name in found {
            storage.delete(&name).await?;
        }
        Ok(())
    }

    /// Makes a further statement of trust that lets `writer` write.
    ///
    /// # Errors
    /// When the store fails, or what is there is damaged.
    pub async fn enroll(&mut self, identity: &Identity, writer: format::root::Writer) -> Result<(), RepositoryError> {
        self.amend(identity, |root| {
            if root.writer(writer.id).is_none() {
                root.writers.push(writer);
            }
        })
        .await
    }

    /// Makes a further statement of trust: what `change` makes of all that there are. What other machines say at the same moment stays
    /// beside it.
    ///
    /// # Errors
    /// When the store fails, or what is there is damaged.
    pub async fn amend(&mut self, identity: &Identity, change: impl FnOnce(&mut Root)) -> Result<(), RepositoryError> {
        let anchor = Anchor::Last(identity.root_key.public().clone());
        // What other machines do at this moment is the point: a listing of a moment ago will not do.
        let trust = trust::load_with(&self.storage.without_listing(), &self.pieces, self.id, &anchor).await?;
        self.trust = trust::amend(&self.storage, &trust, &identity.root_key, self.machine.now(), change).await?;
        self.root = self.trust.root.clone();
        Ok(())
    }
}
