//! A store that notes every request, for tests: how many of them there were, and how many had to wait for others.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::backend::{Backend, Body, ObjectInfo, PartSink, Taken};
use super::conditions::Conditions;
use super::error::Result;

/// Names in one page of a listing, as the clouds give them.
const PAGE: usize = 1000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `PUT`, `GET`, `HEAD`, `LIST` or `DELETE`.
    pub method: &'static str,
    /// The object or folder.
    pub name: String,
}

/// The requests so far. Clones share them.
///
/// With [`Counts::in_rounds`] every request waits until no other comes any more, and all that wait are then answered together: the
/// number of such rounds is the length of the longest chain of requests that depend on each other.
#[derive(Debug, Clone, Default)]
pub struct Counts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requests: Mutex<Vec<Request>>,
    quiet: Option<Duration>,
    rounds: AtomicUsize,
    gate: Mutex<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    arrivals: usize,
    waiting: Vec<tokio::sync::oneshot::Sender<()>>,
}

impl Counts {
    /// Counts, and answers in rounds: a round is over when no request came for `quiet`.
    pub fn in_rounds(quiet: Duration) -> Self {
        Self(Arc::new(Inner { quiet: Some(quiet), ..Inner::default() }))
    }

    /// Takes the requests since the last call, a listing as often as it has pages.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.0.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the number of rounds since the last call.
    pub fn take_rounds(&self) -> usize {
        self.0.rounds.swap(0, Ordering::SeqCst)
    }

    fn note(&self, method: &'static str, name: &str) {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).push(Request { method, name: name.to_owned() });
    }

    async fn round(&self) {
        let Some(quiet) = self.0.quiet else { return };
        let (send, answered) = tokio::sync::oneshot::channel();
        let (is_first, mut seen) = {
            let mut gate = self.0.gate.lock().unwrap_or_else(PoisonError::into_inner);
            gate.arrivals += 1;
            gate.waiting.push(send);
            (gate.waiting.len() == 1, gate.arrivals)
        };
        if is_first {
            let this = self.clone();
            // Not the caller's to wait: it may give up.
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(quiet).await;
                    let mut gate = this.0.gate.lock().unwrap_or_else(PoisonError::into_inner);
                    if gate.arrivals == seen {
                        this.0.rounds.fetch_add(1, Ordering::SeqCst);
                        for waiting in gate.waiting.drain(..) {
                            // Whoever gave up needs no answer.
                            let _ = waiting.send(());
                        }
                        return;
                    }
                    seen = gate.arrivals;
                }
            });
        }
        let _ = answered.await;
    }

    async fn ask(&self, method: &'static str, name: &str) {
        self.note(method, name);
        self.round().await;
    }
}

/// A backend whose requests are noted.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: Arc<dyn Backend>,
    counts: Counts,
}

impl Counted {
    pub(crate) fn new(inner: Arc<dyn Backend>, counts: Counts) -> Self {
        Self { inner, counts }
    }
}

impl Backend for Counted {
    fn create<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<()>> {
        self.counts.ask("PUT", name).then(|()| self.inner.create(name, body)).boxed()
    }

    fn begin<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<dyn PartSink>>> {
        self.counts.ask("PUT", name).then(|()| self.inner.begin(name)).boxed()
    }

    fn abandon<'a>(&'a self, name: &'a str, id: &'a str) -> BoxFuture<'a, Result<()>> {
        self.counts.ask("DELETE", name).then(|()| self.inner.abandon(name, id)).boxed()
    }

    fn abandon_lost<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        self.counts.ask("DELETE", name).then(|()| self.inner.abandon_lost(name)).boxed()
    }

    fn read<'a>(&'a self, name: &'a str, range: Option<Range<u64>>) -> BoxFuture<'a, Result<Body>> {
        self.counts.ask("GET", name).then(|()| self.inner.read(name, range)).boxed()
    }

    fn head<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        self.counts.ask("HEAD", name).then(|()| self.inner.head(name)).boxed()
    }

    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>> {
        async move {
            self.counts.ask("LIST", folder).await;
            let found = self.inner.list(folder).await?;
            // Each page names where the next begins.
            for _ in 1..found.len().div_ceil(PAGE) {
                self.counts.ask("LIST", folder).await;
            }
            Ok(found)
        }
        .boxed()
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
        self.counts.ask("DELETE", name).then(|()| self.inner.delete(name)).boxed()
    }

    fn check<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        self.counts.ask("LIST", "").then(|()| self.inner.check()).boxed()
    }

    fn prepare<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        self.counts.ask("LIST", "").then(|()| self.inner.prepare()).boxed()
    }
}
