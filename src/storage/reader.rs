//! Reading an object from its start to its end, over interruptions.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt};

use super::backend::Body;
use super::error::{Result, StorageError};
use super::retry::Attempts;
use super::store::Storage;

/// The bytes of an object, in order, as a stream.
///
/// A connection that breaks is made anew at the byte where it broke. The stream ends with `Ok` bytes only after
/// [`size_bytes`](Self::size_bytes) of them.
pub struct ObjectReader {
    size_bytes: u64,
    stream: BoxStream<'static, Result<Bytes>>,
}

impl ObjectReader {
    pub(super) fn new(storage: Storage, name: &str, body: Body) -> Self {
        let size_bytes = body.size_bytes;
        let name = name.to_owned();
        let state = Progress { storage, name, size_bytes, at: 0, stream: Some(body.stream), attempts: None };
        Self { size_bytes, stream: stream::try_unfold(state, Progress::next).boxed() }
    }

    /// The length of the whole object.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

impl Stream for ObjectReader {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(cx)
    }
}

impl fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectReader").field("size_bytes", &self.size_bytes).finish_non_exhaustive()
    }
}

struct Progress {
    storage: Storage,
    name: String,
    size_bytes: u64,
    at: u64,
    /// `None` while the connection is to be made anew.
    stream: Option<BoxStream<'static, Result<Bytes>>>,
    /// The attempts since the last byte came.
    attempts: Option<Attempts>,
}

impl Progress {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        loop {
            match self.attempt().await {
                Ok(Some(piece)) => {
                    self.attempts = None;
                    self.at += piece.len() as u64;
                    if self.at > self.size_bytes {
                        return Err(self.wrong_length());
                    }
                    return Ok(Some((piece, self)));
                }
                Ok(None) if self.at == self.size_bytes => return Ok(None),
                Ok(None) => {
                    let error = StorageError::transient("read", &self.name, self.wrong_length());
                    self.pause_after(error).await?;
                }
                Err(error) => self.pause_after(error).await?,
            }
        }
    }

    async fn attempt(&mut self) -> Result<Option<Bytes>> {
        if self.at == self.size_bytes && self.stream.is_none() {
            return Ok(None);
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let body = self.storage.backend().read(&self.name, Some(self.at..self.size_bytes)).await?;
                if body.size_bytes != self.size_bytes {
                    return Err(StorageError::Failed {
                        operation: "read",
                        name: self.name.clone(),
                        source: "its length changed while it was read".into(),
                    });
                }
                self.stream.insert(body.stream)
            }
        };
        stream.next().await.transpose()
    }

    async fn pause_after(&mut self, error: StorageError) -> Result<()> {
        self.stream = None;
        let options = self.storage.options();
        self.attempts.get_or_insert_with(|| Attempts::new(options)).pause_after(error).await
    }

    fn wrong_length(&self) -> StorageError {
        StorageError::WrongLength { name: self.name.clone(), expected_bytes: self.size_bytes, got_bytes: self.at }
    }
}
