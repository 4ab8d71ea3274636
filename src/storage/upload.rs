//! An object written in parts: whole at the end, or not there at all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};

use super::backend::PartSink;
use super::error::{Result, StorageError};
use super::retry::retry;
use super::store::Storage;
use super::unfinished::UploadNotes;

/// The length of every part but the last, in bytes: stores want at least 5 MiB, some want all of one size, and 10,000 parts,
/// the most that S3 takes, are then 78 GiB.
pub const PART_BYTES: usize = 8 * 1024 * 1024;

/// How long an abort waits for parts under way.
const ABORT_GRACE: Duration = Duration::from_secs(5);

/// An object on its way into a store.
///
/// At most [`max_in_flight`](super::StorageOptions::max_in_flight) parts are under way at a time, besides the first, which is
/// held back until a second one shows that one put will not do. Dropping an upload that was neither completed nor aborted
/// aborts it in the background, as long as the runtime it was made on is alive; after a killed process, a folder has nothing
/// left over, and at the clouds [`UploadNotes`](super::UploadNotes) say what is to be removed.
#[derive(Debug)]
pub struct Upload {
    work: Work,
    max_in_flight: usize,
    /// For cleaning up after a drop.
    runtime: Option<Handle>,
}

#[derive(Debug)]
struct Work {
    storage: Storage,
    name: String,
    /// Parts that wait for the upload to begin.
    held: VecDeque<Bytes>,
    session: Session,
    under_way: JoinSet<Result<()>>,
    parts: usize,
    len_bytes: u64,
    /// A part shorter than the rest has come: it was the last.
    ended: bool,
}

#[derive(Debug)]
enum Session {
    /// One put may do.
    None,
    /// Asked for in a task of its own: a caller that stops waiting must not lose the handle by which it can be aborted.
    Starting(JoinHandle<Result<(Arc<dyn PartSink>, u32)>>),
    Open(Arc<dyn PartSink>),
    /// Nothing is left to clean up.
    Over,
}

impl Upload {
    pub(super) fn new(storage: Storage, name: &str) -> Self {
        let max_in_flight = storage.options().max_in_flight.max(1);
        let work = Work {
            storage,
            name: name.to_owned(),
            held: VecDeque::new(),
            session: Session::None,
            under_way: JoinSet::new(),
            parts: 0,
            len_bytes: 0,
            ended: false,
        };
        Self { work, max_in_flight, runtime: Handle::try_current().ok() }
    }

    /// Takes the next part, and returns when there is room for another: while as many parts are under way as may be, it waits.
    ///
    /// # Errors
    /// [`StorageError::PartSize`] unless all parts but the last have [`PART_BYTES`]; otherwise the failure of any part so far,
    /// after which the upload can only be aborted or dropped.
    pub async fn part(&mut self, body: Bytes) -> Result<()> {
        let work = &mut self.work;
        if work.ended || body.len() > PART_BYTES {
            return Err(StorageError::PartSize { name: work.name.clone(), index: work.parts, len_bytes: body.len() });
        }
        work.ended = body.len() < PART_BYTES;
        work.parts += 1;
        work.len_bytes += body.len() as u64;
        work.held.push_back(body);
        if work.parts > 1 {
            work.send_held(self.max_in_flight).await?;
        }
        Ok(())
    }

    /// The name of the object.
    pub fn name(&self) -> &str {
        &self.work.name
    }

    /// Waits for all parts and makes the object appear. On a folder this includes the sync, so run it beside the next
    /// upload rather than before it.
    ///
    /// # Errors
    /// The failure of a part or of the store; [`StorageError::Exists`] if another object has the name. The upload has been
    /// aborted then.
    pub async fn complete(mut self) -> Result<()> {
        match self.work.complete(self.max_in_flight).await {
            Ok(()) => {
                self.work.session = Session::Over;
                self.work.note_end();
                Ok(())
            }
            Err(error) => {
                if let Err(abort) = self.work.abort().await {
                    tracing::warn!(name = self.work.name, error = %abort, "an upload that failed could not be aborted");
                }
                Err(error)
            }
        }
    }

    /// Gives the upload up and removes what was sent.
    ///
    /// # Errors
    /// The store's failure to do so; some parts may then still be stored, and billed.
    pub async fn abort(mut self) -> Result<()> {
        self.work.abort().await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if matches!(self.work.session, Session::None | Session::Over) {
            return;
        }
        let Some(runtime) = self.runtime.take() else { return };
        let gone = Work {
            storage: self.work.storage.clone(),
            name: std::mem::take(&mut self.work.name),
            held: VecDeque::new(),
            session: std::mem::replace(&mut self.work.session, Session::Over),
            under_way: std::mem::take(&mut self.work.under_way),
            parts: 0,
            len_bytes: 0,
            ended: true,
        };
        runtime.spawn(async move {
            let mut gone = gone;
            if let Err(error) = gone.abort().await {
                tracing::warn!(name = gone.name, error = %error, "a dropped upload could not be aborted");
            }
        });
    }
}

impl Work {
    async fn send_held(&mut self, max_in_flight: usize) -> Result<()> {
        let sink = self.open().await?;
        while !self.held.is_empty() {
            while self.under_way.len() >= max_in_flight {
                self.join_one().await?;
            }
            let index = self.parts - self.held.len();
            let Some(body) = self.held.pop_front() else { break };
            let (sink, storage) = (Arc::clone(&sink), self.storage.clone());
            self.under_way.spawn(async move { retry(storage.options(), || sink.put(index, body.clone())).await });
        }
        Ok(())
    }

    /// The open session; begins it if there is none.
    async fn open(&mut self) -> Result<Arc<dyn PartSink>> {
        if matches!(self.session, Session::None) {
            if let Some(notes) = self.notes() {
                notes.beginning(&self.name);
            }
            let (storage, name) = (self.storage.clone(), self.name.clone());
            self.session = Session::Starting(tokio::spawn(async move {
                let attempts = AtomicU32::new(0);
                let begun = retry(storage.options(), || {
                    attempts.fetch_add(1, Ordering::Relaxed);
                    storage.backend().begin(&name)
                });
                begun.await.map(|sink| (sink, attempts.load(Ordering::Relaxed)))
            }));
        }
        if let Session::Starting(starting) = &mut self.session {
            let started = joined(&self.name, starting.await);
            self.session = Session::Over;
            let (sink, attempts) = started?;
            if let Some(notes) = self.notes() {
                if let Some(id) = sink.id() {
                    notes.begun(&self.name, id);
                }
                // An attempt that failed may have begun one all the same.
                if attempts == 1 {
                    notes.answered(&self.name);
                }
            }
            self.session = Session::Open(sink);
        }
        match &self.session {
            Session::Open(sink) => Ok(Arc::clone(sink)),
            _ => Err(StorageError::Failed { operation: "write", name: self.name.clone(), source: "the upload is over".into() }),
        }
    }

    async fn join_one(&mut self) -> Result<()> {
        match self.under_way.join_next().await {
            Some(outcome) => joined(&self.name, outcome),
            None => Ok(()),
        }
    }

    async fn complete(&mut self, max_in_flight: usize) -> Result<()> {
        if self.parts <= 1 {
            let body = self.held.pop_front().unwrap_or_default();
            return self.storage.put_new(&self.name, body).await;
        }
        self.send_held(max_in_flight).await?;
        while !self.under_way.is_empty() {
            self.join_one().await?;
        }
        let sink = self.open().await?;
        // No store can make the last step of a large upload conditional on every server, and a name is never given twice:
        // so this look finds a mistake of ours, not a race.
        if self.storage.head(&self.name).await?.is_some() {
            return Err(StorageError::Exists { name: self.name.clone() });
        }
        let (storage, name, len_bytes) = (&self.storage, &self.name, self.len_bytes);
        let finished = retry(storage.options(), || sink.finish(len_bytes)).await;
        let Err(error) = finished else {
            storage.note_put(name, len_bytes);
            return Ok(());
        };
        // The answer to an attempt may have been lost, and the store then no longer knows the upload: what servers say to
        // that differs. The name was free before, so an object of this length under it now is this one.
        match storage.head(name).await {
            Ok(Some(found)) if found.size_bytes == len_bytes => {
                storage.note_put(name, len_bytes);
                Ok(())
            }
            _ => Err(error),
        }
    }

    async fn abort(&mut self) -> Result<()> {
        self.held.clear();
        // A part that lands after the abort would stay, and be billed. Cutting its connection does not stop one that the server
        // has received already, so those under way get a moment to end by themselves.
        let _ = tokio::time::timeout(ABORT_GRACE, async { while self.under_way.join_next().await.is_some() {} }).await;
        self.under_way.shutdown().await;
        let sink = match std::mem::replace(&mut self.session, Session::Over) {
            Session::None | Session::Over => return Ok(()),
            Session::Open(sink) => sink,
            Session::Starting(starting) => match starting.await {
                Ok(Ok((sink, _))) => sink,
                Ok(Err(_)) | Err(_) => return Ok(()),
            },
        };
        retry(self.storage.options(), || sink.abort()).await?;
        self.note_end();
        Ok(())
    }

    /// Where uploads are noted that outlive this process.
    fn notes(&self) -> Option<&dyn UploadNotes> {
        self.storage.upload_notes().filter(|_| !self.storage.is_local())
    }

    fn note_end(&self) {
        if let Some(notes) = self.notes() {
            notes.ended(&self.name);
        }
    }
}

fn joined<T>(name: &str, outcome: Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    outcome.unwrap_or_else(|error| Err(StorageError::Failed { operation: "write", name: name.into(), source: Box::new(error) }))
}
