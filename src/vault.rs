//! The front door: a vault, and what can be done with it in one line each.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::crypt::signature::VerifyingKey;
use crate::model::entry::EntryPath;
use crate::operations::backup::{BackupOptions, BackupSummary, backup};
use crate::operations::events::{Events, Silent};
use crate::operations::init::{InitOptions, InitReport, init};
use crate::operations::look::{Snapshots, snapshots};
use crate::operations::render::{RenderOptions, RenderSummary, render};
use crate::operations::restore::{RestoreOptions, RestoreSummary, restore};
use crate::operations::snapshot::choice::{Selection, SnapshotChoice};
use crate::operations::verify::{VerifyOptions, VerifyReport, verify};
use crate::operations::{OperationError, Session, Stop, cat};
use crate::repository::Machine;
use crate::repository::keys::Unlock;
use crate::source::Source;
use crate::state::StateFolder;
use crate::storage::Storage;

/// A vault, seen from this machine.
///
/// Making one touches nothing, and clones are cheap: each operation opens the repository, with the key that was given if it needs one.
///
/// ```
/// # use std::sync::Arc;
/// # use tgvault::{Vault, crypt::keys, operations::init::InitOptions, repository::keys::Unlock, source::folder::FolderSource};
/// # #[tokio::main(flavor = "multi_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let here = tempfile::tempdir()?;
/// # let (folder, state) = (here.path().join("photos"), here.path().join("state"));
/// # std::fs::create_dir(&folder)?;
/// # std::fs::write(folder.join("cat.jpg"), "meow")?;
/// let (secret, recipient) = keys::generate();
/// let vault = Vault::open("memory://", &state)?.unlocked_with(Unlock::IdentityFile(secret));
/// vault.init(&InitOptions { recipients: vec![recipient], ..Default::default() }).await?;
/// let made = vault.backup(Arc::new(FolderSource::open(&folder, Default::default())?)).with(|options| options.lanes = 1).await?;
/// assert_eq!(made.counts.problems, 0);
/// assert_eq!(vault.verify().with(|options| options.deep = true).await?.wrong, []);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Vault {
    session: Session,
}

impl Vault {
    /// The vault at an address, such as `file:///…` or `memory://`, with what this machine keeps of vaults in the folder `state`.
    ///
    /// Stores that need settings or credentials are opened with [`Storage::open`] and come in by [`Vault::new`].
    ///
    /// # Errors
    /// When the address cannot be understood, or the folder cannot be used.
    pub fn open(address: &str, state: &Path) -> Result<Self, OperationError> {
        let storage = Storage::open(address, [], Default::default())?;
        Ok(Self::new(storage, StateFolder::open(state.to_owned(), None)?))
    }

    /// The vault in a store.
    pub fn new(storage: Storage, state: StateFolder) -> Self {
        Session::new(storage, state).into()
    }

    /// With what opens it: a passphrase or an identity. Backups of a machine that wrote before need none.
    pub fn unlocked_with(mut self, unlock: Unlock) -> Self {
        self.session.unlock = Some(unlock);
        self
    }

    /// With the root key of its recovery sheet: no other is accepted.
    pub fn with_root_key(mut self, root_key: VerifyingKey) -> Self {
        self.session.root_key = Some(root_key);
        self
    }

    /// With another clock and other randomness than the system's.
    pub fn on(mut self, machine: Machine) -> Self {
        self.session.machine = machine;
        self
    }

    /// What the operations of [`crate::operations`] take, for those that have no method here.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Makes the vault, which must not exist yet.
    ///
    /// # Errors
    /// As [`init`].
    pub async fn init(&self, options: &InitOptions) -> Result<InitReport, OperationError> {
        init(&self.session, options).await
    }

    /// Backs `source` up: see [`backup`].
    pub fn backup(&self, source: Arc<dyn Source>) -> Task<'_, BackupOptions, BackupSummary> {
        Task::new(&self.session, BackupOptions::default(), |session, options, events, stop| {
            Box::pin(backup(session, source, options, events, stop))
        })
    }

    /// Restores a snapshot into the folder `to`, as files: see [`restore`].
    pub fn restore(&self, choice: SnapshotChoice, to: impl Into<PathBuf>) -> Task<'_, RestoreOptions, RestoreSummary> {
        Task::new(&self.session, RestoreOptions::into(to.into()), |session, options, events, stop| {
            Box::pin(async move { restore(session, &choice, options, events, stop).await })
        })
    }

    /// Writes the chats of a snapshot in another form than they are stored in: see [`render`].
    pub fn render(&self, choice: SnapshotChoice, options: RenderOptions) -> Task<'_, RenderOptions, RenderSummary> {
        Task::new(&self.session, options, |session, options, events, stop| {
            Box::pin(async move { render(session, &choice, options, events, stop).await })
        })
    }

    /// Checks what is stored: see [`verify`].
    pub fn verify(&self) -> Task<'_, VerifyOptions, VerifyReport> {
        Task::new(&self.session, VerifyOptions::default(), |session, options, events, stop| {
            Box::pin(verify(session, options, events, stop))
        })
    }

    /// Lists the complete snapshots: see [`snapshots`].
    ///
    /// # Errors
    /// As there.
    pub async fn snapshots(&self, among: &Selection) -> Result<Snapshots, OperationError> {
        snapshots(&self.session, among, false).await
    }

    /// Writes the content of one file of a snapshot to `out`: see [`cat`](cat::cat).
    ///
    /// # Errors
    /// As there.
    pub async fn cat<W: Write + Send + 'static>(&self, choice: &SnapshotChoice, path: EntryPath, out: W) -> Result<(), OperationError> {
        cat::cat(&self.session, choice, path, out).await
    }
}

impl From<Session> for Vault {
    fn from(session: Session) -> Self {
        Self { session }
    }
}

type Run<'v, O, T> = dyn FnOnce(&'v Session, O, Arc<dyn Events>, Stop) -> BoxFuture<'v, Result<T, OperationError>> + Send + 'v;

/// An operation on its way: it begins when it is awaited.
///
/// Its errors are those of the operation.
#[must_use = "it begins when it is awaited"]
pub struct Task<'v, O, T> {
    session: &'v Session,
    options: O,
    events: Arc<dyn Events>,
    stop: Stop,
    run: Box<Run<'v, O, T>>,
}

impl<'v, O, T> Task<'v, O, T> {
    fn new(
        session: &'v Session,
        options: O,
        run: impl FnOnce(&'v Session, O, Arc<dyn Events>, Stop) -> BoxFuture<'v, Result<T, OperationError>> + Send + 'v,
    ) -> Self {
        Self { session, options, events: Arc::new(Silent), stop: Stop::new(), run: Box::new(run) }
    }

    /// With other options than the default ones.
    pub fn with(mut self, change: impl FnOnce(&mut O)) -> Self {
        change(&mut self.options);
        self
    }

    /// With these options.
    pub fn options(self, options: O) -> Self {
        Self { options, ..self }
    }

    /// Reports to `events` what happens.
    pub fn events(self, events: Arc<dyn Events>) -> Self {
        Self { events, ..self }
    }

    /// Ends early when `stop` says so.
    pub fn stop(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }
}

impl<'v, O: Send + 'v, T: 'v> IntoFuture for Task<'v, O, T> {
    type Output = Result<T, OperationError>;
    type IntoFuture = BoxFuture<'v, Result<T, OperationError>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { session, options, events, stop, run } = self;
        run(session, options, events, stop)
    }
}
