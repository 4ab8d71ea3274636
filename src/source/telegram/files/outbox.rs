//! From many tasks on the network threads to the one thread that calls the sink.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::entry::{EntryPath, Kind, Metadata, Timestamp};
use crate::source::telegram::error::TelegramError;
use crate::source::{Body, Content, Item, Problem};

/// Items that may wait for the sink. Their contents are what memory is spent on: batches of 1 MiB, files by their own budget.
const ROOM: usize = 16;

/// Memory for contents that are here and that nobody has taken to its end, in KiB: behind the sink there is a queue, and what is in
/// it counts too.
const MEMORY_KIB: u32 = 10 * 1024;

/// Something for the sink.
pub(crate) enum Out {
    Item(Item),
    Problem(Problem),
}

/// What the receiving end finds.
pub(crate) enum Next {
    Out(Out),
    /// Nothing came in time.
    Nothing,
    /// The last sender is gone.
    End,
}

/// The sending end.
#[derive(Clone)]
pub(crate) struct Outbox {
    sender: crossbeam_channel::Sender<(Out, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

/// The receiving end; dropping it stops the run.
pub(crate) struct Inbox {
    receiver: crossbeam_channel::Receiver<(Out, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

/// Makes the two ends.
pub(crate) fn outbox() -> (Outbox, Inbox) {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let room = Arc::new(Semaphore::new(ROOM));
    let memory = Arc::new(Semaphore::new(MEMORY_KIB as usize));
    (Outbox { sender, room: room.clone(), memory: memory.clone() }, Inbox { receiver, room, memory })
}

impl Outbox {
    /// Waits for room and hands over.
    pub(crate) async fn push(&self, out: Out) -> Result<(), TelegramError> {
        let permit = self.room.clone().acquire_owned().await.map_err(|_| TelegramError::Stopped)?;
        self.sender.send((out, permit)).map_err(|_| TelegramError::Stopped)
    }

    /// Hands over a small file whose content is here.
    pub(crate) async fn file(&self, path: EntryPath, content: Vec<u8>, modified: i64, mark: u64) -> Result<(), TelegramError> {
        let content = self.in_memory(content).await?;
        self.push(Out::Item(file_item(path, content, modified, mark))).await
    }

    /// A content that is here already, once there is memory for it.
    pub(crate) async fn in_memory(&self, bytes: Vec<u8>) -> Result<InMemory, TelegramError> {
        let kib = u32::try_from(bytes.len() / 1024).unwrap_or(MEMORY_KIB).clamp(1, MEMORY_KIB);
        let memory = self.memory.clone().acquire_many_owned(kib).await.map_err(|_| TelegramError::Stopped)?;
        Ok(InMemory { bytes: bytes.into(), _memory: memory })
    }

    pub(crate) async fn problem(&self, path: EntryPath, what: String) -> Result<(), TelegramError> {
        self.push(Out::Problem(Problem { path, what })).await
    }
}

impl Inbox {
    /// Waits for the next, but not for ever.
    pub(crate) fn next(&self, patience: Duration) -> Next {
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
        self.memory.close();
    }
}

/// Who may read what a backup holds is the archive's affair; a restored file is its owner's.
const MODE: u32 = 0o600;

/// The metadata of everything that comes from Telegram.
pub(crate) fn metadata(modified: i64) -> Metadata {
    Metadata { mode: MODE, mtime: Timestamp { seconds: modified, nanos: 0 }, ..Metadata::default() }
}

fn file_item(path: EntryPath, content: InMemory, modified: i64, mark: u64) -> Item {
    Item {
        path,
        kind: Kind::File,
        meta: metadata(modified),
        size: content.bytes.len() as u64,
        sparse: false,
        stamp: None,
        content: Some(Arc::new(content)),
        mark,
    }
}

/// A content that is here already, and the memory that it takes.
pub(crate) struct InMemory {
    bytes: Arc<[u8]>,
    _memory: OwnedSemaphorePermit,
}

struct MemoryBody(Cursor<Arc<[u8]>>);

impl Content for InMemory {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        let mut cursor = Cursor::new(self.bytes.clone());
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
        let (outbox, inbox) = outbox();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(outbox.file(EntryPath::new("a").unwrap(), b"hello".to_vec(), 5, 1)).unwrap();
        let Next::Out(Out::Item(item)) = inbox.next(Duration::from_secs(1)) else { panic!("nothing came") };
        let content = item.content.unwrap();
        for (from, expected) in [(0, "hello"), (3, "lo"), (5, ""), (9, "")] {
            let mut text = String::new();
            content.open(from).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
        }
    }
    #[test]
    fn contents_that_nobody_reads_hold_the_next_ones_back() {
        let (outbox, inbox) = outbox();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let third = || vec![0; MEMORY_KIB as usize * 1024 / 3];
        let held: Vec<_> = (0..3).map(|_| runtime.block_on(outbox.in_memory(third())).unwrap()).collect();
        let comes_at_once = || async {
            tokio::select! {
                biased;
                content = outbox.in_memory(third()) => content.is_ok(),
                () = tokio::task::yield_now() => false,
            }
        };
        assert!(!runtime.block_on(comes_at_once()));
        drop(held);
        assert!(runtime.block_on(comes_at_once()));
        drop(inbox);
        assert!(matches!(runtime.block_on(outbox.in_memory(vec![1])), Err(TelegramError::Stopped)));
    }
}
