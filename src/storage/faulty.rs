//! Stores that fail on demand, for tests: of this module, and of everything that must survive a failing store.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

use super::backend::{Backend, Body, ObjectInfo, PartSink, Taken};
use super::conditions::Conditions;
use super::error::{Result, StorageError};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The store does nothing and answers with an error.
    Refused,
    /// The store does what it was asked, and the answer is lost.
    AnswerLost,
    /// A read delivers half of what it should and ends, as if that were all; other calls: as `Refused`.
    BodyCut,
    /// A part of an upload is written, and this and all later calls of the upload are refused, its abort too: what a killed
    /// process or a lost network leaves. Other calls: as `Refused`.
    UploadCut,
}

/// Which calls to a store fail, and how. Clones share the count of calls.
///
/// Every request counts as a call: each create, begin, part, complete, abort, read, head, list, delete and check, in the order
/// in which they are made, repetitions included.
#[derive(Debug, Clone)]
pub struct Faults {
    kind: FaultKind,
    first: u64,
    last: u64,
    transient: bool,
    overwrites: bool,
    calls: Arc<AtomicU64>,
}

impl Faults {
    /// Nothing fails; calls are counted.
    pub fn none() -> Self {
        Self { kind: FaultKind::Refused, first: u64::MAX, last: 0, transient: false, overwrites: false, calls: Arc::default() }
    }

    /// Nothing fails, but the store ignores "only if it does not exist yet": the last one who writes a name has it.
    pub fn overwriting() -> Self {
        Self { overwrites: true, ..Self::none() }
    }

    /// Call number `n`, from 0, fails; later ones succeed.
    pub fn once(kind: FaultKind, n: u64) -> Self {
        Self { kind, first: n, last: n, ..Self::none() }
    }

    /// Call number `n`, from 0, and all later ones fail.
    pub fn for_ever(kind: FaultKind, n: u64) -> Self {
        Self { kind, first: n, last: u64::MAX, ..Self::none() }
    }

    /// The errors are of the kind that is tried again, instead of ending the operation.
    pub fn transient(self) -> Self {
        Self { transient: true, ..self }
    }

    /// How many calls were made so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Counts a call and says how it is to fail.
    fn next(&self) -> Option<FaultKind> {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        (self.first..=self.last).contains(&n).then_some(self.kind)
    }

    fn error(&self, operation: &'static str, name: &str) -> StorageError {
        let source = "a fault made for a test";
        if self.transient {
            StorageError::transient(operation, name, source)
        } else {
            StorageError::Failed { operation, name: name.into(), source: source.into() }
        }
    }

    async fn apply<T>(&self, operation: &'static str, name: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        match self.next() {
            None => call.await,
            Some(FaultKind::AnswerLost) => {
                call.await?;
                Err(self.error(operation, name))
            }
            Some(_) => Err(self.error(operation, name)),
        }
    }
}

/// A backend whose calls fail as [`Faults`] says.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn Backend>,
    faults: Faults,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Backend>, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

impl Backend for Faulty {
    fn create<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<()>> {
        let call = async move {
            if !self.faults.overwrites {
                return self.inner.create(name, body).await;
            }
            loop {
                self.inner.delete(name).await?;
                match self.inner.create(name, body.clone()).await {
                    Err(StorageError::Exists { .. }) => {}
                    other => return other,
                }
            }
        };
        self.faults.apply("write", name, call).boxed()
    }

    fn begin<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<dyn PartSink>>> {
        async move {
            let begun = async {
                let inner = self.inner.begin(name).await?;
                Ok(Arc::new(FaultySink { inner, name: name.to_owned(), faults: self.faults.clone(), cut: AtomicU64::new(0) }))
            };
            let sink = self.faults.apply("write", name, begun).await?;
            Ok(sink as Arc<dyn PartSink>)
        }
        .boxed()
    }

    fn abandon<'a>(&'a self, name: &'a str, id: &'a str) -> BoxFuture<'a, Result<()>> {
        self.faults.apply("delete", name, self.inner.abandon(name, id)).boxed()
    }

    fn abandon_lost<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        self.inner.abandon_lost(name)
    }

    fn read<'a>(&'a self, name: &'a str, range: Option<Range<u64>>) -> BoxFuture<'a, Result<Body>> {
        async move {
            match self.faults.next() {
                None => self.inner.read(name, range).await,
                Some(FaultKind::BodyCut) => {
                    let body = self.inner.read(name, range.clone()).await?;
                    let whole = range.map_or(body.size_bytes, |range| range.end.min(body.size_bytes).saturating_sub(range.start));
                    Ok(Body { stream: cut(body.stream, whole / 2).boxed(), ..body })
                }
                Some(_) => Err(self.faults.error("read", name)),
            }
        }
        .boxed()
    }

    fn head<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        self.faults.apply("read", name, self.inner.head(name)).boxed()
    }

    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>> {
        self.faults.apply("list", folder, self.inner.list(folder)).boxed()
    }

    fn conditions(&self) -> Conditions {
        self.inner.conditions()
    }

    fn assume(&self, conditions: Conditions) {
        self.inner.assume(conditions);
    }

    fn place(&self) -> Option<&str> {
        self.inner.place()
    }

    fn create_again<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<Taken>> {
        self.inner.create_again(name, body)
    }

    fn remove_empty<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<()>> {
        self.inner.remove_empty(folder)
    }

    fn overwrite<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<Option<()>>> {
        self.inner.overwrite(name, body)
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        self.faults.apply("delete", name, self.inner.delete(name)).boxed()
    }

    fn check<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        self.faults.apply("list", "", self.inner.check()).boxed()
    }

    fn prepare<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        self.faults.apply("write", "", self.inner.prepare()).boxed()
    }
}

/// The first `left` bytes of a stream.
fn cut(inner: stream::BoxStream<'static, Result<Bytes>>, left: u64) -> impl stream::Stream<Item = Result<Bytes>> + Send + 'static {
    stream::try_unfold((inner, left), |(mut inner, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let Some(mut piece) = inner.next().await.transpose()? else { return Ok(None) };
        piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - piece.len() as u64;
        Ok(Some((piece, (inner, left))))
    })
}

#[derive(Debug)]
struct FaultySink {
    inner: Arc<dyn PartSink>,
    name: String,
    faults: Faults,
    /// Not 0: the upload was cut.
    cut: AtomicU64,
}

impl FaultySink {
    async fn apply<T>(&self, writes_part: bool, call: impl Future<Output = Result<T>>) -> Result<T> {
        if self.cut.load(Ordering::SeqCst) != 0 {
            self.faults.next();
            return Err(self.faults.error("write", &self.name));
        }
        let fault = self.faults.next();
        if fault == Some(FaultKind::UploadCut) {
            self.cut.store(1, Ordering::SeqCst);
        }
        match fault {
            None => call.await,
            Some(FaultKind::AnswerLost) => {
                call.await?;
                Err(self.faults.error("write", &self.name))
            }
            Some(FaultKind::UploadCut) if writes_part => {
                call.await?;
                Err(self.faults.error("write", &self.name))
            }
            Some(_) => Err(self.faults.error("write", &self.name)),
        }
    }
}

impl PartSink for FaultySink {
    fn put<'a>(&'a self, index: usize, body: Bytes) -> BoxFuture<'a, Result<()>> {
        self.apply(true, self.inner.put(index, body)).boxed()
    }

    fn finish<'a>(&'a self, len_bytes: u64) -> BoxFuture<'a, Result<()>> {
        self.apply(false, self.inner.finish(len_bytes)).boxed()
    }

    fn id(&self) -> Option<&str> {
        self.inner.id()
    }

    fn abort<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        self.apply(false, self.inner.abort()).boxed()
    }
}
