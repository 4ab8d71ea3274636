//! A file's content as the archive reads it: parts in order, from the background to a plain thread.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::AbortHandle;

use super::budget::{Budget, Memory, Place};
use super::download::{Download, FileError, PART_BYTES};
use super::unread::Unsettled;
use crate::source::telegram::events::{Event, Observing};
use crate::source::telegram::stored::StateStore;
use crate::source::{Body, Content};

/// Parts that a file which is being read may hold besides what all files share, so that it goes on when others hold all of that.
const OWN_PARTS: usize = 8;

/// A part, and the memory that it may take.
pub(super) struct Part {
    pub(super) bytes: Vec<u8>,
    pub(super) _memory: Option<PartMemory>,
}

/// Out of what a part's memory is given.
pub(super) enum PartMemory {
    Shared { _memory: Memory },
    Own { _memory: OwnedSemaphorePermit },
}

type Parts = crossbeam_channel::Receiver<io::Result<Part>>;

/// Tells the length of a file's first part, or why it cannot be had.
pub(super) type FirstPart = oneshot::Receiver<Result<u64, FileError>>;

/// What all files share.
pub(super) struct Shared {
    pub(super) runtime: Handle,
    /// Memory for parts of files that nobody reads yet.
    pub(super) budget: Arc<Budget>,
    pub(super) observer: Observing,
    pub(super) state: Arc<StateStore>,
}

/// The background work for one opening of a file.
pub(super) struct Stream {
    parts: Parts,
    /// The allowance of a file that is being read: empty until it is.
    own: Arc<Semaphore>,
    task: AbortHandle,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stream {
    /// Fetches the parts from the beginning, and tells how long the first one is, or why it cannot be had.
    pub(super) fn from_start(shared: &Arc<Shared>, download: &Arc<Download>) -> (Self, FirstPart) {
        let (tell, first) = oneshot::channel();
        (Self::begin(shared, download, 0, shared.budget.place(), Some(tell)), first)
    }

    /// The stream of a file that is here as one part.
    pub(super) fn of_one_part(shared: &Shared, part: Part) -> Self {
        let (sender, parts) = crossbeam_channel::unbounded();
        let _ = sender.send(Ok(part));
        Self { parts, own: Arc::new(Semaphore::new(0)), task: shared.runtime.spawn(async {}).abort_handle() }
    }

    /// Fetches the parts from `start`, a multiple of the part size.
    fn begin(
        shared: &Arc<Shared>,
        download: &Arc<Download>,
        start: u64,
        place: Place,
        mut tell_first: Option<oneshot::Sender<Result<u64, FileError>>>,
    ) -> Self {
        let (sender, parts) = crossbeam_channel::unbounded();
        let own = Arc::new(Semaphore::new(0));
        let (shared, download, allowance) = (shared.clone(), download.clone(), own.clone());
        let runtime = shared.runtime.clone();
        let task = runtime.spawn(async move {
            let offsets = (0..).map(|index: u64| start + index * PART_BYTES).take_while(|&offset| offset < download.size);
            let fetches = stream::iter(offsets).map(|offset| {
                let (shared, download, allowance) = (shared.clone(), download.clone(), allowance.clone());
                async move {
                    let memory = tokio::select! {
                        biased;
                        own = allowance.acquire_owned() => own.ok().map(|own| PartMemory::Own { _memory: own }),
                        shared = shared.budget.part(download.dc(), place) => shared.map(|shared| PartMemory::Shared { _memory: shared }),
                    };
                    let bytes = download.part(offset).await?;
                    shared.observer.event(Event::MediaBytes { count: bytes.len() as u64 });
                    Ok::<_, FileError>((offset, Part { bytes, _memory: memory }))
                }
            });
            let mut fetches = std::pin::pin!(fetches.buffered(download.api.client.file_window()));
            while let Some(fetched) = fetches.next().await {
                let length = fetched.as_ref().map(|(_, part)| part.bytes.len() as u64).unwrap_or_default();
                let (part, end) = match (fetched, tell_first.take()) {
                    (Ok((offset, part)), tell) => {
                        if let Some(tell) = tell {
                            let _ = tell.send(Ok(length));
                        }
                        (Ok(part), length < PART_BYTES.min(download.size - offset))
                    }
                    (Err(error), Some(tell)) => {
                        let _ = tell.send(Err(error));
                        return;
                    }
                    (Err(error), None) => (Err(io::Error::other(error)), true),
                };
                if sender.send(part).is_err() || end {
                    return;
                }
            }
        });
        Self { parts, own, task: task.abort_handle() }
    }
}

/// A file that was offered to the sink.
pub(super) struct RemoteContent {
    shared: Arc<Shared>,
    download: Arc<Download>,
    mark: u64,
    /// The opening that began before anybody asked.
    ahead: Mutex<Option<Stream>>,
    unread: Arc<Mutex<Option<Unsettled>>>,
}

impl RemoteContent {
    /// The content of a file that is being fetched already. It lets go of `unread` when it was read to its end, or failed.
    pub(super) fn new(shared: Arc<Shared>, download: Arc<Download>, ahead: Stream, mark: u64, unread: Unsettled) -> Self {
        Self { shared, download, mark, ahead: Mutex::new(Some(ahead)), unread: Arc::new(Mutex::new(Some(unread))) }
    }
}

impl Content for RemoteContent {
    fn is_near(&self) -> bool {
        false
    }

    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
        let start = from / PART_BYTES * PART_BYTES;
        let stream = match ahead {
            Some(ahead) if start == 0 => ahead,
            _ => Stream::begin(&self.shared, &self.download, start, Place::FIRST, None),
        };
        stream.own.add_permits(OWN_PARTS);
        Ok(Box::new(RemoteBody {
            stream,
            shared: self.shared.clone(),
            part: None,
            position: 0,
            skip: from - start,
            left: self.download.size.saturating_sub(from),
            mark: self.mark,
            failed: false,
            unread: self.unread.clone(),
        }))
    }
}

struct RemoteBody {
    stream: Stream,
    shared: Arc<Shared>,
    part: Option<Part>,
    position: usize,
    skip: u64,
    left: u64,
    mark: u64,
    failed: bool,
    unread: Arc<Mutex<Option<Unsettled>>>,
}

impl Read for RemoteBody {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.left == 0 || out.is_empty() {
                return Ok(0);
            }
            if let Some(part) = &self.part {
                let rest = part.bytes.get(self.position..).unwrap_or_default();
                let skipped = rest.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                let rest = rest.get(skipped..).unwrap_or_default();
                self.skip -= skipped as u64;
                self.position += skipped;
                let count = rest.len().min(out.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                if let (Some(to), Some(from)) = (out.get_mut(..count), rest.get(..count))
                    && count > 0
                {
                    to.copy_from_slice(from);
                    self.position += count;
                    self.left -= count as u64;
                    if self.left == 0 {
                        self.settle();
                    }
                    return Ok(count);
                }
            }
            match self.stream.parts.recv() {
                Ok(Ok(part)) => {
                    self.part = Some(part);
                    self.position = 0;
                }
                Ok(Err(error)) => {
                    self.fail(error.to_string());
                    return Err(error);
                }
                // The file ends before its declared length: whoever reads sees that, and it does not count as stored.
                Err(_) => {
                    self.fail("it ended before its declared length".into());
                    return Ok(0);
                }
            }
        }
    }
}

impl RemoteBody {
    fn fail(&mut self, reason: String) {
        self.part = None;
        if !std::mem::replace(&mut self.failed, true) {
            self.shared.state.revoke(self.mark, reason);
        }
        self.settle();
    }

    fn settle(&self) {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Body for RemoteBody {}
