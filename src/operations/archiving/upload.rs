//! The way of an archive's parts from a lane's thread to the store.

use std::io;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::archive::parts::{PartBuffer, PartSink};
use crate::storage::{Storage, StorageError};

/// What the lane tells the upload.
enum Message {
    Part(PartBuffer),
    End,
}

/// The lane's end: takes parts, waits while the store is busy.
pub(in crate::operations) struct UploadSink {
    parts: mpsc::Sender<Message>,
    /// The whole object, as long as it is small.
    pub small: Option<Vec<u8>>,
}

/// An object up to this length is small.
const SMALL_BYTES: usize = 256 * 1024;

/// The result of an upload, once the object is whole in the store.
pub(in crate::operations) type Uploaded = oneshot::Receiver<Result<(), StorageError>>;

impl UploadSink {
    /// Begins an upload on `runtime`. Dropped without [`Self::end`], the upload is given up and leaves nothing.
    ///
    /// # Errors
    /// When the name is not one that the store takes.
    pub fn begin(storage: &Storage, name: &str, runtime: &Handle) -> Result<(Self, Uploaded), StorageError> {
        let _entered = runtime.enter();
        let mut upload = storage.upload(name)?;
        let (parts, mut received) = mpsc::channel(1);
        let (done, uploaded) = oneshot::channel();
        runtime.spawn(async move {
            let result = loop {
                match received.recv().await {
                    Some(Message::Part(part)) => {
                        if let Err(error) = upload.part(Bytes::from_owner(part)).await {
                            // The lane finds its channel closed; the failure reaches the run through `done`.
                            drop(received);
                            let _ = upload.abort().await;
                            break Err(error);
                        }
                    }
                    Some(Message::End) => break upload.complete().await,
                    None => {
                        let _ = upload.abort().await;
                        return;
                    }
                }
            };
            let _ = done.send(result);
        });
        Ok((Self { parts, small: Some(Vec::new()) }, uploaded))
    }

    /// Says that all parts were given.
    pub fn end(self) {
        let _ = self.parts.blocking_send(Message::End);
    }
}

impl PartSink for UploadSink {
    fn part(&mut self, part: PartBuffer) -> io::Result<()> {
        let bytes = part.as_ref();
        self.small = self.small.take().filter(|small| small.len() + bytes.len() <= SMALL_BYTES).map(|small| [&small, bytes].concat());
        self.parts.blocking_send(Message::Part(part)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
