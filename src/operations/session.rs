//! Opening a repository as far as the keys at hand allow.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{OperationError, shelf};
use crate::crypt::keys::Recipients;
use crate::crypt::signature::{SigningKey, VerifyingKey};
use crate::model::digest::Id;
use crate::repository::commit::Writer;
use crate::repository::format::descriptor::StoreFinding;
use crate::repository::format::{names, root};
use crate::repository::keys::{self, Identity, Unlock};
use crate::repository::pieces::Pieces;
use crate::repository::snapshots::SnapshotRef;
use crate::repository::trust::{self, Anchor, Known, Trust};
use crate::repository::{self, Machine, Repository, RepositoryError};
use crate::state::pins::{PinnedStatement, PinnedWriter};
use crate::state::{Head, Heads, Mirror, Pins, SealedFolder, StateFolder, mirrors};
use crate::storage::Storage;

/// Where a repository is, and what this user and machine bring along.
#[derive(Clone)]
pub struct Session {
    /// The store.
    pub storage: Storage,
    /// This machine's state.
    pub state: StateFolder,
    /// A passphrase or identity, where one was given.
    pub unlock: Option<Unlock>,
    /// The root key from the recovery sheet, where it was given: no other is accepted.
    pub root_key: Option<VerifyingKey>,
    /// The time, and randomness for names.
    pub machine: Machine,
    /// Whether the user's settings say that this place is a mirror. Those that this machine has filled it knows itself.
    pub is_mirror: bool,
    /// What was found there a moment ago, by [`Session::look`].
    pub found: Option<Arc<Found>>,
}

/// The repository that was found at a place, so that what was asked for once is not asked for again.
pub struct Found {
    id: Id,
    pieces: Pieces,
    /// The store with the listings that a reader begins with. They answer for a minute; then the store is asked again.
    storage: Storage,
}

/// What those who read ask for first, all at the same time. One listing has all second copies.
const FIRST_LISTED: [&str; 4] = [names::ROOT, names::KEYS, names::SNAPSHOTS, names::MIRROR];

/// Where this machine notes which archives it found damaged.
const DAMAGED: &str = "damaged.age";

/// The lock that every backup of this machine shares, and that one who deletes at once takes for itself.
pub(super) const WRITING: &str = "writing.lock";

/// Where this machine notes what the store makes of conditions.
const STORE: &str = "store.age";

/// A repository opened by a session.
#[derive(Clone)]
pub struct Opened {
    /// The repository.
    pub repository: Repository,
    /// What this machine keeps of it.
    pub folder: SealedFolder,
    /// The secrets, where the session could unlock them.
    pub identity: Option<Arc<Identity>>,
    /// Whether anything vouches for the root: a pin, an identity or the recovery sheet.
    pub is_anchored: bool,
    /// Whether this machine became a writer just now: it has no snapshots yet.
    pub(super) is_new_writer: bool,
    /// Where this is a mirror: what this machine keeps of it.
    pub(super) mirror: Option<SealedFolder>,
    pins: Option<Pins>,
}

impl Session {
    /// A repository in `storage` and this machine's `state`, with no key, and with the system's clock and randomness.
    pub fn new(storage: Storage, state: StateFolder) -> Self {
        Self { storage, state, unlock: None, root_key: None, machine: Machine::default(), is_mirror: false, found: None }
    }

    /// The same session, which knows what repository lies there and what it lists: for a command that only reads, and unlocks it
    /// before it opens it.
    ///
    /// # Errors
    /// When there is no repository, or the store fails.
    pub async fn look(self) -> Result<Self, OperationError> {
        let (storage, id, _, pieces) = self.find_and_list().await?;
        Ok(Self { found: Some(Arc::new(Found { id, pieces, storage })), ..self })
    }

    /// Opens the secrets with `unlock`.
    ///
    /// # Errors
    /// When there is no repository, no key fits, or the store fails.
    pub async fn secrets(&self, unlock: &Unlock) -> Result<Arc<Identity>, OperationError> {
        let (storage, id, folder, pieces) = self.find_and_list().await?;
        secrets((&storage, &pieces), id, &folder, unlock).await
    }

    /// Opens the repository; with secrets where a passphrase or an identity was given.
    ///
    /// # Errors
    /// When there is no repository, no key fits, or trust is broken.
    pub async fn open(&self) -> Result<Opened, OperationError> {
        let (storage, id, folder, pieces) = self.find_and_list().await?;
        let identity = match &self.unlock {
            Some(unlock) => Some(secrets((&storage, &pieces), id, &folder, unlock).await?),
            None => None,
        };
        self.open_with(storage, id, identity, folder, pieces).await
    }

    /// Opens the repository without asking for secrets, whatever was given.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_locked(&self) -> Result<Opened, OperationError> {
        let (id, folder) = self.find().await?;
        let pieces = self.pieces(&folder, id);
        self.open_with(self.storage.clone(), id, None, folder, pieces).await
    }

    /// Opens the repository for writing: a passphrase costs a second and much memory, so the secrets are left alone where this
    /// machine is a writer already.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_to_write(&self) -> Result<Opened, OperationError> {
        // A writer needs to know all that is there, many times: it is listed once.
        let (found, storage) = futures::join!(self.find(), self.storage.with_listing());
        let ((id, folder), storage) = (found?, storage?);
        self.refuse_mirror(&folder)?;
        let pieces = self.pieces(&folder, id);
        let is_pinned = Pins::read(&folder)?.is_some_and(|pins| pins.writer.is_some());
        let identity = match &self.unlock {
            Some(unlock) if !is_pinned => Some(secrets((&storage, &pieces), id, &folder, unlock).await?),
            _ => None,
        };
        let mut opened = self.open_with(storage, id, identity, folder, pieces).await?;
        let pinned = opened.pins.as_ref().and_then(|pins| pins.writer.as_ref());
        if pinned.is_some() && !opened.is_writer() {
            opened.unlock(self).await?;
        }
        Ok(opened)
    }

    /// Opens the repository for one who changes what is in it, and no mirror.
    ///
    /// # Errors
    /// As [`Self::open`], and [`OperationError::IsMirror`].
    pub(super) async fn open_to_change(&self) -> Result<Opened, OperationError> {
        let opened = self.open().await?;
        self.refuse_mirror(&opened.folder)?;
        Ok(opened)
    }

    /// What this machine keeps of the mirror at this place; `None` where it is none.
    fn mirror(&self, folder: &SealedFolder) -> Result<Option<SealedFolder>, OperationError> {
        let address = self.storage.address();
        match Mirror::find(folder, address)? {
            Some((_, kept)) => Ok(Some(kept)),
            None if self.is_mirror => Ok(Some(Mirror { address: address.to_owned(), of: None }.note(folder)?)),
            None => Ok(None),
        }
    }

    /// Refuses to write into a mirror: what is written there by itself is in no vault.
    ///
    /// # Errors
    /// [`OperationError::IsMirror`] when this place is one.
    pub(super) fn refuse_mirror(&self, folder: &SealedFolder) -> Result<(), OperationError> {
        if self.mirror(folder)?.is_none() {
            return Ok(());
        }
        let address = self.storage.address();
        let of = Mirror::find(folder, address)?.and_then(|(mirror, _)| mirror.of);
        Err(OperationError::IsMirror { address: address.to_owned(), of })
    }

    /// What this machine keeps of the repository, without opening it.
    ///
    /// # Errors
    /// When there is no repository, or the state cannot be read.
    pub(super) async fn kept(&self) -> Result<SealedFolder, OperationError> {
        Ok(self.find().await?.1)
    }

    /// Which repository it is, and what this machine keeps of it.
    async fn find(&self) -> Result<(Id, SealedFolder), OperationError> {
        let id = match &self.found {
            Some(found) => found.id,
            None => repository::find_known(&self.storage, self.state.is_new(), |id| self.state.knows(id)).await?,
        };
        let folder = self.state.repository(id)?;
        // What was found out before, where the vault does not say it.
        repository::take_finding(&self.storage, folder.read_json(STORE).unwrap_or_default());
        Ok((id, folder))
    }

    /// The same, and at the same time what those who read ask for next.
    async fn find_and_list(&self) -> Result<(Storage, Id, SealedFolder, Pieces), OperationError> {
        if let Some(found) = &self.found {
            return Ok((found.storage.clone(), found.id, self.state.repository(found.id)?, found.pieces.clone()));
        }
        // A machine that has read nothing yet reads packs.
        let packs = self.state.is_new() || !self.is_kept();
        let folders = FIRST_LISTED.into_iter().chain(packs.then_some(names::PACKS_OF_SNAPSHOTS)).collect::<Vec<_>>();
        let (found, storage) = futures::join!(self.find(), self.storage.with_listing_of(&folders));
        let (id, folder) = found?;
        let pieces = self.pieces(&folder, id);
        Ok((storage?, id, folder, pieces))
    }

    /// Whether what is read is kept on this machine.
    fn is_kept(&self) -> bool {
        shelf::is_used(self.state.cache_use(), &self.storage)
    }

    /// What this machine has read of a repository before.
    fn pieces(&self, folder: &SealedFolder, repository: Id) -> Pieces {
        if self.is_kept() { shelf::pieces(folder, repository) } else { Pieces::default() }
    }

    async fn open_with(
        &self,
        storage: Storage,
        id: Id,
        identity: Option<Arc<Identity>>,
        folder: SealedFolder,
        pieces: Pieces,
    ) -> Result<Opened, OperationError> {
        let mut pins = Pins::read(&folder)?;
        let vouched = identity.as_ref().map(|identity| identity.root_key.public().clone()).or_else(|| self.root_key.clone());
        let anchor = match (&pins, &vouched) {
            (Some(pins), _) => pins_anchor(pins),
            (None, Some(root_key)) => Anchor::Last(root_key.clone()),
            (None, None) => Anchor::AsFound,
        };
        let mirror = self.mirror(&folder)?;
        let anchor = match anchor {
            Anchor::Pinned { root_key, heads, .. } if mirror.is_some() => Anchor::Mirror { root_key, heads },
            anchor => anchor,
        };
        let is_anchored = !matches!(anchor, Anchor::AsFound);
        let repository = Repository::open(storage, id, pieces, &anchor, &self.machine).await?;
        for root_key in vouched.iter().chain(&self.root_key) {
            check_root_key(&repository, root_key)?;
        }
        let identity = match identity {
            Some(identity) => Some(settle(&repository, identity).await?),
            None => None,
        };
        // What a mirror shows must not be held against the vault.
        if let Some(pins) = pins.as_mut().filter(|_| mirror.is_none()) {
            raise(pins, &repository, &folder)?;
        }
        Ok(Opened { repository, folder, identity, is_anchored, is_new_writer: false, mirror, pins })
    }
}

/// Opens the secrets, and brings the statements of trust to hand meanwhile, which are asked for next.
async fn secrets(
    (storage, pieces): (&Storage, &Pieces),
    id: Id,
    folder: &SealedFolder,
    unlock: &Unlock,
) -> Result<Arc<Identity>, OperationError> {
    // A writer has pinned them.
    let is_pinned = Pins::read(folder)?.is_some();
    let statements = async {
        if !is_pinned {
            trust::fetch(storage, pieces).await;
        }
    };
    let (identity, ()) = futures::join!(keys::unlock_with(storage, pieces, id, unlock), statements);
    Ok(identity?)
}

fn pins_anchor(pins: &Pins) -> Anchor {
    let known = |pinned: &PinnedStatement| Known { name: pinned.name.clone(), text: pinned.text.clone() };
    Anchor::Pinned { root_key: pins.root_key.clone(), number: pins.root_number, heads: pins.statements.iter().map(known).collect() }
}

fn pinned_statements(trust: &Trust) -> Vec<PinnedStatement> {
    trust.heads.iter().map(|head| PinnedStatement { name: head.name.clone(), text: head.text.clone() }).collect()
}

/// Notes what the store shows now as what it must not show less than.
pub(super) fn raise(pins: &mut Pins, repository: &Repository, folder: &SealedFolder) -> Result<(), OperationError> {
    let statements = pinned_statements(&repository.trust);
    if pins.root_number < repository.trust.last_number || pins.statements != statements {
        pins.root_number = pins.root_number.max(repository.trust.last_number);
        pins.root_key = repository.root.root_key.clone();
        pins.statements = statements;
        pins.write(folder)?;
    }
    Ok(())
}

fn check_root_key(repository: &Repository, wanted: &VerifyingKey) -> Result<(), OperationError> {
    let found = &repository.root.root_key;
    if found == wanted {
        return Ok(());
    }
    Err(RepositoryError::Trust(format!("its root key is {}, not {}", found.as_str(), wanted.as_str())).into())
}

/// Refuses a key whose slot was removed (a store may still have the slot, or show it again), and one of the time before a rotation. Where
/// the same key opens another slot, what that one holds is taken.
async fn settle(repository: &Repository, identity: Arc<Identity>) -> Result<Arc<Identity>, RepositoryError> {
    let refusal = |identity: &Identity| match identity.slot() {
        Some(slot) if repository.root.removed_slots.contains(&slot) => Some(RepositoryError::RemovedSlot { slot }),
        _ if !identity.is_current(&repository.root) => Some(RepositoryError::Rotated),
        _ => None,
    };
    let (mut identity, mut first, mut tried) = (identity, None, BTreeSet::new());
    while let Some(error) = refusal(&identity) {
        let first = first.get_or_insert(error);
        let (Some(slot), Some(given)) = (identity.slot(), identity.given().cloned()) else { break };
        tried.insert(slot);
        let Repository { storage, pieces, id, .. } = repository;
        match keys::unlock_except(storage, pieces, *id, &given, &tried).await {
            Ok(other) => identity = other,
            Err(RepositoryError::Storage(error)) => return Err(error.into()),
            Err(_) => {
                tracing::debug!(%first, "no other key slot fits");
                break;
            }
        }
    }
    match (refusal(&identity), first) {
        (Some(error), first) => Err(first.unwrap_or(error)),
        (None, _) => Ok(identity),
    }
}

impl Opened {
    /// The archives that were found missing or damaged from this machine, by whatever read them.
    ///
    /// # Errors
    /// When what is remembered cannot be read.
    pub fn damaged_archives(&self) -> Result<BTreeSet<String>, OperationError> {
        Ok(self.folder.read_json(DAMAGED)?.unwrap_or_default())
    }

    /// Remembers archives that are missing or damaged, so that the next backup stores again what they held; `all` says that no others
    /// are.
    pub fn note_damaged(&self, archives: impl IntoIterator<Item = String>, all: bool) {
        let found: BTreeSet<String> = archives.into_iter().collect();
        // Of a mirror, that is nothing that the next backup could do anything about.
        if self.mirror.is_some() || (found.is_empty() && !all) {
            return;
        }
        let noted = self.damaged_archives().and_then(|known| {
            let noted = if all { found } else { found.union(&known).cloned().collect() };
            if noted == known { Ok(()) } else { Ok(self.folder.write_json(DAMAGED, &noted)?) }
        });
        if let Err(error) = noted {
            // Reading goes on where this machine's state cannot be written.
            tracing::warn!(%error, "damaged archives are not remembered");
        }
    }

    /// The repository by the statements of trust that this place shows, which are fewer than hold where it is a mirror that lags behind.
    pub(super) async fn as_shown(&self) -> Result<Repository, OperationError> {
        let repository = &self.repository;
        if self.mirror.is_none() {
            return Ok(repository.clone());
        }
        let anchor = Anchor::Last(repository.root.root_key.clone());
        let trust = trust::load(&repository.storage, repository.id, &anchor).await?;
        let shown = Repository::trusted(repository.storage.clone(), repository.id, trust, &repository.machine);
        Ok(shown.with_pieces(repository.pieces.clone()))
    }

    /// Notes that backups of this machine go here.
    pub(super) fn note_written(&self) {
        if let Err(error) = mirrors::note_written(&self.folder, self.repository.storage.address()) {
            tracing::warn!(%error, "where backups go is not remembered");
        }
    }

    /// Remembers what the store makes of puts under a condition, where that had to be found out.
    pub(super) fn note_store(&self) {
        let noted = || -> Result<(), OperationError> {
            let Some(found) = repository::finding(&self.repository.storage) else { return Ok(()) };
            if self.folder.read_json::<StoreFinding>(STORE).unwrap_or_default() != Some(found) {
                self.folder.write_json(STORE, &found)?;
            }
            Ok(())
        };
        if let Err(error) = noted() {
            // It costs a request, and no more.
            tracing::warn!(%error, "what the store does is not remembered");
        }
    }

    /// Remembers the snapshots in `found`, where they are the last of their chains.
    ///
    /// # Errors
    /// When what is remembered cannot be read.
    pub fn remember<'a>(&self, found: impl IntoIterator<Item = &'a SnapshotRef>) -> Result<Heads, OperationError> {
        // What nobody vouches for is nothing to hold against the next who comes.
        if !self.is_anchored {
            return Ok(Heads::default());
        }
        let seen = self.mirror.as_ref().unwrap_or(&self.folder);
        let mut heads = Heads::read(seen)?;
        let mut is_new = false;
        for found in found {
            is_new |= heads.raise(found.signed.chain, found.signed.sequence, &found.stem);
        }
        if is_new && let Err(error) = heads.write(seen) {
            // Reading goes on where this machine's state cannot be written.
            tracing::warn!(%error, "the last snapshots are not remembered");
        }
        Ok(heads)
    }

    /// As [`Self::remember`]; gives which of the last snapshots that this machine saw are not among `stems`, all those that the
    /// store lists: it was set back, or they were deleted. What a record says was forgotten is not missed.
    ///
    /// # Errors
    /// When what is remembered cannot be read, or the store fails.
    pub async fn compare<'a>(
        &self,
        stems: &[String],
        found: impl IntoIterator<Item = &'a SnapshotRef>,
    ) -> Result<Vec<RepositoryError>, OperationError> {
        let gone = self.gone(stems, found).await?;
        Ok(gone.into_iter().map(|(_, head)| RepositoryError::Gone { stem: head.stem, sequence: head.sequence }).collect())
    }

    /// As [`Self::compare`], for who wants to know which.
    ///
    /// # Errors
    /// As there.
    pub async fn gone<'a>(
        &self,
        stems: &[String],
        found: impl IntoIterator<Item = &'a SnapshotRef>,
    ) -> Result<Vec<(Id, Head)>, OperationError> {
        let heads = self.remember(found)?;
        let records = self.repository.records().await?;
        let gone = heads.iter().filter(|(_, head)| !stems.contains(&head.stem) && !records.is_forgotten(&head.stem));
        Ok(gone.map(|(chain, head)| (chain, head.clone())).collect())
    }

    /// Unlocks the secrets, where they are not unlocked yet and `session` has what opens them.
    ///
    /// # Errors
    /// When no key fits, or it belongs to another repository.
    pub async fn unlock(&mut self, session: &Session) -> Result<Option<Arc<Identity>>, OperationError> {
        if let (None, Some(unlock)) = (&self.identity, &session.unlock) {
            let Repository { storage, pieces, id, .. } = &self.repository;
            let identity = keys::unlock_with(storage, pieces, *id, unlock).await?;
            check_root_key(&self.repository, identity.root_key.public())?;
            self.identity = Some(settle(&self.repository, identity).await?);
        }
        Ok(self.identity.clone())
    }

    /// This machine's name as a writer, where it has one.
    pub fn own_writer(&self) -> Option<Id> {
        self.pins.as_ref()?.writer.as_ref().map(|writer| writer.id)
    }

    /// The secrets.
    ///
    /// # Errors
    /// [`OperationError::KeyNeeded`] when none were given.
    pub fn identity(&self) -> Result<Arc<Identity>, OperationError> {
        self.identity.clone().ok_or(OperationError::KeyNeeded)
    }

    /// Whether this machine is a writer of the vault, which needs no key to write.
    pub fn is_writer(&self) -> bool {
        let (root, pinned) = (&self.repository.root, self.pins.as_ref().and_then(|pins| pins.writer.as_ref()));
        pinned.is_some_and(|pinned| root.writer(pinned.id).is_some() && !root.is_revoked(pinned.id))
    }

    /// What this machine writes with. A machine that is no writer yet, or whose key was revoked, becomes one, if the secrets are at hand.
    ///
    /// # Errors
    /// [`RepositoryError::NotAWriter`] inside when they are not, or the writer was revoked.
    pub async fn writer(&mut self) -> Result<Writer, OperationError> {
        let revoked = self.own_writer().filter(|own| self.repository.root.is_revoked(*own));
        if let Some(pins) = &self.pins
            && let Some(pinned) = &pins.writer
            && (revoked.is_none() || self.identity.is_none())
        {
            if let Some(revoked) = revoked {
                return Err(RepositoryError::NotAWriter(format!("its writer key {revoked} was revoked")).into());
            }
            // The statement that named it was lost: it is said again, where the key to do so is given.
            if self.repository.root.writer(pinned.id).is_none() {
                let Some(identity) = self.identity.clone() else {
                    return Err(RepositoryError::NotAWriter(format!("no statement of trust names its writer key {}", pinned.id)).into());
                };
                self.repository.enroll(&identity, root::Writer::new(pinned.id, pinned.key()?.public().clone())).await?;
            }
            let (id, key) = (pinned.id, pinned.key()?);
            let recipient = accepted_recipient(&self.repository.root, &pins.recipients)?.to_owned();
            if let Some(pins) = self.pins.as_mut().filter(|pins| pins.recipients.iter().ne([&recipient])) {
                tracing::info!(recipient, "the vault's keys were rotated: from now on archives are encrypted for the new recipient");
                pins.recipients = vec![recipient.clone()];
                pins.write(&self.folder)?;
            }
            return Ok(Writer { id, key, recipients: Recipients::parse([recipient.as_str()])? });
        }
        let Some(identity) = self.identity.clone() else {
            return Err(RepositoryError::NotAWriter("it has no writer key yet".into()).into());
        };
        let key = SigningKey::generate()?;
        let id = self.repository.machine.id()?;
        self.repository.enroll(&identity, root::Writer::new(id, key.public().clone())).await?;
        self.is_new_writer = true;
        // The root key, which the identity has, signed who that is.
        let recipient = only_recipient(&self.repository.root)?.to_owned();
        pin(&self.repository, &self.folder, &recipient, PinnedWriter::new(id, &key))?;
        Ok(Writer { id, key, recipients: Recipients::parse([recipient.as_str()])? })
    }
}

impl Opened {
    /// How many uploads of this machine are unfinished: killed runs left them, or a run is in progress.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn unfinished_uploads(&self) -> Result<u64, OperationError> {
        super::uploads::count(&self.folder)
    }

    /// Sees that the vault holds page and script for recovery without this program, as this version has them.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn keep_recovery(&self, key: &SigningKey) -> Result<(), OperationError> {
        const FILE: &str = "recovery.age";
        let wanted = repository::recovery::folder();
        if self.folder.read_json::<String>(FILE)? != Some(wanted) {
            let stored = self.repository.put_recovery(key).await?;
            self.folder.write_json(FILE, &stored)?;
        }
        Ok(())
    }
}

/// Whom new archives are encrypted for. Two statements at once may have named different ones: then nobody writes.
///
/// # Errors
/// [`RepositoryError::Divided`] inside when it is not one.
pub(super) fn only_recipient(root: &root::Root) -> Result<&str, OperationError> {
    let recipients: Vec<&str> = root.current_recipients().collect();
    match recipients.as_slice() {
        [only] => Ok(only),
        _ => Err(RepositoryError::Divided { recipients: recipients.into_iter().map(str::to_owned).collect() }.into()),
    }
}

/// Whom a machine encrypts for that has `pinned` recipients: the current one, where the statements still name what it pinned. They are
/// signed by the root key that it pinned, too, and stand on all that it has seen: nobody else can put another recipient there.
///
/// # Errors
/// As [`only_recipient`]; [`RepositoryError::Trust`] inside when a pinned one is no longer named.
pub(super) fn accepted_recipient<'a>(root: &'a root::Root, pinned: &[String]) -> Result<&'a str, OperationError> {
    let current = only_recipient(root)?;
    match pinned.iter().find(|pinned| !root.recipients.iter().any(|named| named.recipient == **pinned)) {
        Some(gone) => Err(RepositoryError::Trust(format!("the root no longer names {gone}, for which this machine encrypts")).into()),
        None => Ok(current),
    }
}

/// Notes on this machine what it may no longer take from the store.
pub(super) fn pin(repository: &Repository, folder: &SealedFolder, recipient: &str, writer: PinnedWriter) -> Result<(), OperationError> {
    let pins = Pins {
        root_key: repository.root.root_key.clone(),
        root_number: repository.trust.last_number,
        statements: pinned_statements(&repository.trust),
        recipients: vec![recipient.to_owned()],
        writer: Some(writer),
    };
    Ok(pins.write(folder)?)
}
