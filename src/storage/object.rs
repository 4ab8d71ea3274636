//! The clouds and memory, through the `object_store` crate.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::backend::{Backend, Body, ObjectInfo, PartSink, Taken, name_fault};
use super::cloud::{LostUploads, explain};
use super::conditions::{Conditions, Learned};
use super::error::{Result, StorageError};
use super::traffic::Meter;

/// A store of the `object_store` crate, whose own retries are off: they are made above, over all kinds of stores alike.
pub(crate) struct ObjectBackend {
    store: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
    prefix: Path,
    /// The bucket or container, for messages.
    container: String,
    /// `Some` where no HTTP client counts and slows the bytes.
    meter: Option<Arc<Meter>>,
    /// What the server makes of "only if it does not exist yet".
    conditions: Learned,
    /// Where that is, for those who remember what was learned; `None` where it is known beforehand.
    place: Option<String>,
    /// Azure keeps the blocks of an upload that was given up until the name is written.
    discard_by_overwrite: bool,
    /// What finds uploads of which nobody knows the id.
    lost_uploads: Option<LostUploads>,
}

impl ObjectBackend {
    /// Wraps a client of a cloud, whose HTTP side counts and limits the traffic.
    pub(crate) fn cloud<S: ObjectStore + MultipartStore>(store: Arc<S>, prefix: Path, container: String) -> Self {
        Self {
            parts: Arc::clone(&store) as Arc<dyn MultipartStore>,
            store,
            prefix,
            container,
            meter: None,
            conditions: Learned::new(Conditions::Honoured),
            place: None,
            discard_by_overwrite: false,
            lost_uploads: None,
        }
    }

    /// An empty store in memory.
    pub(crate) fn memory(meter: Arc<Meter>) -> Self {
        Self { meter: Some(meter), ..Self::cloud(Arc::new(InMemory::new()), Path::default(), "memory://".into()) }
    }

    /// For servers that may ignore the condition on a put: the first small object shows whether the one at `place` does.
    pub(crate) fn may_ignore_conditions(self, place: String) -> Self {
        Self { conditions: Learned::new(Conditions::Unknown), place: Some(place), ..self }
    }

    /// With what lists unfinished uploads.
    pub(crate) fn with_lost_uploads(self, lost_uploads: LostUploads) -> Self {
        Self { lost_uploads: Some(lost_uploads), ..self }
    }

    /// For Azure, see the field.
    pub(crate) fn discard_by_overwrite(self) -> Self {
        Self { discard_by_overwrite: true, ..self }
    }

    fn path(&self, name: &str) -> Result<Path> {
        let path = if self.prefix.as_ref().is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        Path::parse(path).map_err(|error| StorageError::Failed { operation: "name", name: name.into(), source: Box::new(error) })
    }

    fn explain(&self, operation: &'static str, name: &str, error: object_store::Error) -> StorageError {
        explain(&self.container, operation, name, error)
    }

    fn count_request(&self) {
        if let Some(meter) = &self.meter {
            meter.count_request();
        }
    }

    /// The name below the prefix; `None` for what no store of ours would name.
    fn info(&self, meta: ObjectMeta) -> Option<Result<ObjectInfo>> {
        let full = meta.location.as_ref();
        let name = match self.prefix.as_ref() {
            "" => full,
            prefix => full.strip_prefix(prefix)?.strip_prefix('/')?,
        };
        if name_fault(name).is_some() {
            return None;
        }
        let modified = Timestamp::new(meta.last_modified.timestamp(), meta.last_modified.timestamp_subsec_nanos() as i32);
        Some(match modified {
            Ok(modified) => Ok(ObjectInfo { name: name.to_owned(), size_bytes: meta.size, modified }),
            Err(error) => Err(StorageError::Failed { operation: "read", name: name.into(), source: Box::new(error) }),
        })
    }

    async fn find(&self, name: &str) -> Result<Option<ObjectInfo>> {
        self.count_request();
        let path = self.path(name)?;
        match self.store.head(&path).await {
            Ok(meta) => self.info(meta).transpose(),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => match self.explain("read", name, error) {
                error if error.is_transient() => Err(error),
                // The answer to a HEAD has no body, and so no word on what is wrong: one to a GET has.
                _ => match self.read(name, Some(0..1)).await {
                    Err(StorageError::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                    Ok(_) => Err(StorageError::transient("read", name, "the store answered a question for its size with an error")),
                },
            },
        }
    }

    fn sink(&self, name: &str, path: Path, id: String) -> ObjectSink {
        ObjectSink {
            store: Arc::clone(&self.store),
            parts: Arc::clone(&self.parts),
            container: self.container.clone(),
            meter: self.meter.clone(),
            discard_by_overwrite: self.discard_by_overwrite,
            path,
            name: name.to_owned(),
            id,
            sent: Mutex::default(),
        }
    }

    async fn refuse_existing(&self, name: &str) -> Result<()> {
        match self.find(name).await? {
            Some(_) => Err(StorageError::Exists { name: name.into() }),
            None => Ok(()),
        }
    }

    async fn put(&self, name: &str, body: Bytes, mode: PutMode) -> Result<(), object_store::Error> {
        self.count_request();
        if let Some(meter) = &self.meter {
            meter.upload(body.len()).await;
        }
        let path = self.path(name).map_err(|error| object_store::Error::Generic { store: "name", source: Box::new(error) })?;
        let body = if self.meter.is_some() { own_memory(&body) } else { body };
        self.store.put_opts(&path, body.into(), PutOptions::from(mode)).await.map(drop)
    }

    /// Creates an object where nobody knows yet whether the server honours the condition: the name is looked up first, and a small
    /// object is then created once more. A server that refuses that is one whose word counts from then on; one that overwrites has
    /// written the same bytes.
    async fn create_and_learn(&self, name: &str, body: Bytes) -> Result<(), object_store::Error> {
        const MAX_BYTES: usize = 64 * 1024;
        self.put(name, body.clone(), PutMode::Create).await?;
        if body.len() <= MAX_BYTES {
            let learned = match self.put(name, body, PutMode::Create).await {
                Ok(()) => Conditions::Ignored,
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Conditions::Honoured,
                // The object is there; another one will tell.
                Err(_) => Conditions::Unknown,
            };
            self.conditions.set(learned);
        }
        Ok(())
    }
}

impl fmt::Debug for ObjectBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The clients' own output is long and none of our business.
        f.debug_struct("ObjectBackend").field("container", &self.container).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Backend for ObjectBackend {
    fn create<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<()>> {
        async move {
            let known = self.conditions.get();
            if known != Conditions::Honoured {
                self.refuse_existing(name).await?;
            }
            if known != Conditions::Refused {
                let created = if known == Conditions::Unknown {
                    self.create_and_learn(name, body.clone()).await
                } else {
                    self.put(name, body.clone(), PutMode::Create).await
                };
                match created {
                    Err(error) if is_not_implemented(&error) => self.conditions.set(Conditions::Refused),
                    other => return other.map_err(|error| self.explain("write", name, error)),
                }
                self.refuse_existing(name).await?;
            }
            self.put(name, body, PutMode::Overwrite).await.map_err(|error| self.explain("write", name, error))
        }
        .boxed()
    }

    fn create_again<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<Taken>> {
        async move {
            match self.put(name, body, PutMode::Create).await {
                Ok(()) => Ok(Taken::Overwritten),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(Taken::Refused),
                Err(error) if is_not_implemented(&error) => Ok(Taken::Unknown),
                Err(error) => Err(self.explain("write", name, error)),
            }
        }
        .boxed()
    }

    fn overwrite<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<Option<()>>> {
        async move {
            let put = self.put(name, body, PutMode::Overwrite).await;
            put.map(Some).map_err(|error| self.explain("overwrite", name, error))
        }
        .boxed()
    }

    fn begin<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<dyn PartSink>>> {
        async move {
            self.count_request();
            let path = self.path(name)?;
            let id = self.parts.create_multipart(&path).await.map_err(|error| self.explain("write", name, error))?;
            Ok(Arc::new(self.sink(name, path, id)) as Arc<dyn PartSink>)
        }
        .boxed()
    }

    fn abandon<'a>(&'a self, name: &'a str, id: &'a str) -> BoxFuture<'a, Result<()>> {
        async move { self.sink(name, self.path(name)?, id.to_owned()).abort().await }.boxed()
    }

    fn abandon_lost<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        async move {
            let path = self.path(name)?;
            let ids = match &self.lost_uploads {
                Some(lost) => lost.of(&path).await.map_err(|error| self.explain("list", name, error))?,
                // By its name alone.
                None if self.discard_by_overwrite => vec![String::new()],
                None => return Ok(self.meter.is_some()),
            };
            for id in ids {
                self.sink(name, path.clone(), id).abort().await?;
            }
            Ok(true)
        }
        .boxed()
    }

    fn read<'a>(&'a self, name: &'a str, range: Option<Range<u64>>) -> BoxFuture<'a, Result<Body>> {
        async move {
            self.count_request();
            let options = GetOptions { range: range.clone().map(GetRange::Bounded), ..GetOptions::default() };
            let found = self.store.get_opts(&self.path(name)?, options).await.map_err(|error| self.explain("read", name, error))?;
            if let Some(range) = range
                && found.range.start != range.start
            {
                let source = format!("the store answered with bytes {:?} instead of {range:?}", found.range).into();
                return Err(StorageError::Failed { operation: "read", name: name.into(), source });
            }
            let size_bytes = found.meta.size;
            let (container, name, meter) = (self.container.clone(), name.to_owned(), self.meter.clone());
            let stream = found.into_stream().map_err(move |error| explain(&container, "read", &name, error));
            let stream = stream.and_then(move |piece| {
                let meter = meter.clone();
                async move {
                    if let Some(meter) = meter {
                        meter.download(piece.len()).await;
                    }
                    Ok(piece)
                }
            });
            Ok(Body { size_bytes, stream: stream.boxed() })
        }
        .boxed()
    }

    fn head<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        self.find(name).boxed()
    }

    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>> {
        async move {
            let below = if folder.is_empty() { self.prefix.clone() } else { self.path(folder)? };
            let mut found = Vec::new();
            let (mut last, mut is_sorted): (Option<Path>, bool) = (None, true);
            loop {
                self.count_request();
                let mut listed = match &last {
                    None => self.store.list(Some(&below)),
                    Some(last) => self.store.list_with_offset(Some(&below), last),
                };
                let mut has_come_on = false;
                let broken = loop {
                    match listed.next().await {
                        None => return Ok(found),
                        Some(Err(error)) => break error,
                        Some(Ok(meta)) => {
                            has_come_on = true;
                            is_sorted &= last.as_ref().is_none_or(|last| *last < meta.location);
                            last = Some(meta.location.clone());
                            if let Some(info) = self.info(meta) {
                                found.push(info?);
                            }
                        }
                    }
                };
                // On a bad line, a listing of many pages that began again each time would never end. Behind the last name there is the
                // rest only where names come in their order.
                if !has_come_on || !is_sorted {
                    return Err(self.explain("list", folder, broken));
                }
            }
        }
        .boxed()
    }

    fn conditions(&self) -> Conditions {
        self.conditions.get()
    }

    fn assume(&self, conditions: Conditions) {
        self.conditions.set(conditions);
    }

    fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            self.count_request();
            match self.store.delete(&self.path(name)?).await.map_err(|error| self.explain("delete", name, error)) {
                Err(StorageError::NotFound { .. }) => Ok(()),
                other => other,
            }
        }
        .boxed()
    }

    fn check<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        async move {
            self.count_request();
            // A listing, since a HEAD of an object cannot tell a missing bucket from a missing object.
            let mut listed = self.store.list(Some(&self.prefix));
            listed.next().await.transpose().map(drop).map_err(|error| self.explain("list", "", error))
        }
        .boxed()
    }

    fn prepare<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        self.check()
    }
}

/// A copy for the store in memory, which keeps what it is given: the buffers of an upload are wanted back.
fn own_memory(body: &Bytes) -> Bytes {
    Bytes::copy_from_slice(body)
}

/// Whether the crate or the server knows no "only if it does not exist yet".
fn is_not_implemented(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. })
        || (matches!(error, object_store::Error::Generic { .. }) && error.to_string().contains("501 Not Implemented"))
}

/// A multipart upload.
struct ObjectSink {
    store: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
    container: String,
    meter: Option<Arc<Meter>>,
    discard_by_overwrite: bool,
    path: Path,
    name: String,
    id: String,
    /// What the store called each part, by index.
    sent: Mutex<Vec<Option<PartId>>>,
}

impl fmt::Debug for ObjectSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectSink").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ObjectSink {
    fn explain(&self, error: object_store::Error) -> StorageError {
        explain(&self.container, "write", &self.name, error)
    }

    /// Makes Azure forget the blocks that were sent, which it would keep, and bill, for a week: an empty blob takes their place
    /// and is deleted.
    async fn discard_blocks(&self) -> Result<()> {
        let put = async |mode| {
            let put = self.store.put_opts(&self.path, Bytes::new().into(), PutOptions::from(mode)).await;
            put.map(drop).map_err(|error| self.explain(error))
        };
        match put(PutMode::Create).await {
            Ok(()) => {}
            // Blocks alone count as a blob for this condition on some servers; a blob that can be seen stays, since then the
            // upload was completed and the answer to that was lost.
            Err(StorageError::Exists { .. }) => match self.store.head(&self.path).await {
                Ok(_) => return Ok(()),
                Err(object_store::Error::NotFound { .. }) => put(PutMode::Overwrite).await?,
                Err(error) => return Err(self.explain(error)),
            },
            Err(error) => return Err(error),
        }
        self.store.delete(&self.path).await.map_err(|error| self.explain(error))
    }
}

impl PartSink for ObjectSink {
    fn put<'a>(&'a self, index: usize, body: Bytes) -> BoxFuture<'a, Result<()>> {
        async move {
            if let Some(meter) = &self.meter {
                meter.count_request();
                meter.upload(body.len()).await;
            }
            let body = if self.meter.is_some() { own_memory(&body) } else { body };
            let part = self.parts.put_part(&self.path, &self.id, index, body.into()).await.map_err(|error| self.explain(error))?;
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            if sent.len() <= index {
                sent.resize(index + 1, None);
            }
            if let Some(slot) = sent.get_mut(index) {
                *slot = Some(part);
            }
            Ok(())
        }
        .boxed()
    }

    fn finish<'a>(&'a self, _len_bytes: u64) -> BoxFuture<'a, Result<()>> {
        async move {
            let parts: Option<Vec<PartId>> = self.sent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
            let parts = parts.ok_or_else(|| StorageError::Failed {
                operation: "write",
                name: self.name.clone(),
                source: "a part is missing".into(),
            })?;
            if let Some(meter) = &self.meter {
                meter.count_request();
            }
            self.parts.complete_multipart(&self.path, &self.id, parts).await.map(drop).map_err(|error| self.explain(error))
        }
        .boxed()
    }

    fn id(&self) -> Option<&str> {
        // The store in memory ends with this process.
        self.meter.is_none().then_some(self.id.as_str())
    }

    fn abort<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        async move {
            if let Some(meter) = &self.meter {
                meter.count_request();
            }
            let aborted = self.parts.abort_multipart(&self.path, &self.id).await.map_err(|error| self.explain(error));
            match aborted {
                Ok(()) | Err(StorageError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
            if self.discard_by_overwrite { self.discard_blocks().await } else { Ok(()) }
        }
        .boxed()
    }
}
