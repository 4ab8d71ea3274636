//! From many tasks on the network threads to the one thread that calls the sink.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::TelegramError;
use crate::model::entry::{EntryPath, Kind, Metadata, Timestamp};
use crate::source::{Body, Content, Item, Problem};

/// Items that may wait for the sink. Their contents are what memory is spent on: batches of 1 MiB, files by their own budget.
const ROOM: usize = 16;

/// Something for the sink.
pub(super) enum Out {
    Item(Item),
    Problem(Problem),
}

/// What the receiving end finds.
pub(super) enum Next {
    Out(Out),
    /// Nothing came in time.
    Nothing,
    /// The last sender is gone.
    End,
}

/// The sending end.
#[derive(Clone)]
pub(super) struct Outbox {
    sender: crossbeam_channel::Sender<(Out, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
}

/// The receiving end; dropping it stops the run.
pub(super) struct Inbox {
    receiver: crossbeam_channel::Receiver<(Out, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
}

/// Makes the two ends.
pub(super) fn outbox() -> (Outbox, Inbox) {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let room = Arc::new(Semaphore::new(ROOM));
    (Outbox { sender, room: room.clone() }, Inbox { receiver, room })
}

impl Outbox {
    /// Waits for room and hands over.
    pub(super) async fn push(&self, out: Out) -> Result<(), TelegramError> {
        let permit = self.room.clone().acquire_owned().await.map_err(|_| TelegramError::Stopped)?;
        self.sender.send((out, permit)).map_err(|_| TelegramError::Stopped)
    }

    /// Hands over a small file whose content is here.
    pub(super) async fn file(&self, path: EntryPath, content: Vec<u8>, modified: i64, mark: u64) -> Result<(), TelegramError> {
        self.push(Out::Item(file_item(path, content, modified, mark))).await
    }

    pub(super) async fn problem(&self, path: EntryPath, what: String) -> Result<(), TelegramError> {
        self.push(Out::Problem(Problem { path, what })).await
    }
}

impl Inbox {
    /// Waits for the next, but not for ever.
    pub(super) fn next(&self, patience: Duration) -> Next {
        match self.receiver.recv_timeout(patience) {
            Ok((out, _permit)) => Next::Out(out),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.room.close();
    }
}

/// Who may read what a backup holds is the archive's affair; a restored file is its owner's.
const MODE: u32 = 0o600;

/// The metadata of everything that comes from Telegram.
pub(super) fn metadata(modified: i64) -> Metadata {
    Metadata { mode: MODE, mtime: Timestamp { seconds: modified, nanos: 0 }, ..Metadata::default() }
}

fn file_item(path: EntryPath, content: Vec<u8>, modified: i64, mark: u64) -> Item {
    Item {
        path,
        kind: Kind::File,
        meta: metadata(modified),
        size: content.len() as u64,
        sparse: false,
        stamp: None,
        content: Some(Arc::new(InMemory(content.into()))),
        mark,
    }
}

/// A content that is here already.
pub(super) struct InMemory(pub(super) Arc<[u8]>);

struct MemoryBody(Cursor<Arc<[u8]>>);

impl Content for InMemory {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        let mut cursor = Cursor::new(self.0.clone());
        cursor.set_position(from);
        Ok(Box::new(MemoryBody(cursor)))
    }
}

impl Read for MemoryBody {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl Body for MemoryBody {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_from_anywhere_and_again() {
        let item = file_item(EntryPath::new("a").unwrap(), b"hello".to_vec(), 5, 1);
        let content = item.content.unwrap();
        for (from, expected) in [(0, "hello"), (3, "lo"), (5, ""), (9, "")] {
            let mut text = String::new();
            content.open(from).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
        }
    }
}
