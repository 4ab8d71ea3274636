//! Which files are fetched, each once however many messages show it.

use std::collections::HashMap;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::budget::Budget;
use super::content::{Part, PartMemory, RemoteContent, Shared, Stream};
use super::download::{Download, FileError, PART_BYTES};
use super::outbox::{Out, Outbox, metadata};
use super::unread::{Unread, Unsettled};
use crate::model::entry::{Kind, Stamp, Timestamp};
use crate::model::media::{MediaStatus, SkipReason};
use crate::model::peer::Peer;
use crate::source::Item;
use crate::source::telegram::account::Api;
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::events::Event;
use crate::source::telegram::options::ExportOptions;
use crate::source::telegram::stored::{Effect, Seen, StateStore};
use crate::source::telegram::tl::{FileKey, Fingerprints, Origin, PeerBook, Want};

type Outcome = watch::Receiver<Option<MediaStatus>>;

/// A file of this run. There may be hundreds of thousands: what is known needs no channel.
enum Begun {
    /// Somebody sees to it.
    Awaited(Outcome),
    Stored,
    Otherwise(Box<MediaStatus>),
}

/// What somebody finds who asks for a file.
enum Found {
    /// Nobody did before.
    Mine(watch::Sender<Option<MediaStatus>>),
    Awaited(Outcome),
    Known(MediaStatus),
}

/// Decides about files and fetches them.
pub(crate) struct Fetcher {
    api: Arc<Api>,
    peers: Arc<PeerBook>,
    prints: Arc<Fingerprints>,
    outbox: Outbox,
    shared: Arc<Shared>,
    options: Arc<ExportOptions>,
    /// Files of this run.
    files: Mutex<HashMap<u64, Begun>>,
    failed: AtomicU64,
    unread: Arc<Unread>,
    /// The turns of data centres to have a file read.
    turns: Mutex<HashMap<i32, Arc<Semaphore>>>,
}

impl Fetcher {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        api: Arc<Api>,
        peers: Arc<PeerBook>,
        prints: Arc<Fingerprints>,
        outbox: Outbox,
        state: Arc<StateStore>,
        options: Arc<ExportOptions>,
        runtime: Handle,
    ) -> Self {
        let parts = options.prefetch_bytes / usize::try_from(PART_BYTES).unwrap_or(usize::MAX);
        let parts = parts.max(4);
        let shared = Shared { runtime, budget: Budget::new(parts), observer: api.observer.clone(), state };
        Self {
            api,
            peers,
            prints,
            outbox,
            shared: Arc::new(shared),
            options,
            files: Mutex::default(),
            failed: AtomicU64::new(0),
            unread: Unread::new(),
            turns: Mutex::default(),
        }
    }

    fn files(&self) -> MutexGuard<'_, HashMap<u64, Begun>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Files that could not be had so far.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits until all files that were handed over are read to their end, those of one chat or all: then it is known which are whole.
    pub(crate) async fn all_read(&self, of: Option<Peer>) {
        self.unread.none_of(of).await;
    }

    /// Takes note of a file that is known by its key only, so that the next run tries again.
    pub(crate) fn missing(&self, key: &FileKey, seen: Seen, reason: &str) {
        let digest = self.digest(key);
        let is_stored = {
            let state = self.shared.state.read();
            state.media.0.contains(&digest) || state.nameless_media.0.contains(&digest)
        };
        if !is_stored {
            self.shared.state.read().fail(digest, Some(seen), reason.to_owned());
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes note that there is no such file after all.
    pub(crate) fn not_there(&self, key: &FileKey) {
        self.shared.state.read().missing.remove(&self.digest(key));
    }

    /// Whether an earlier run wanted the file, could not have it, and did not count it as stored.
    pub(crate) fn was_missing(&self, key: &FileKey) -> bool {
        let state = self.shared.state.read();
        self.digests(key).iter().filter_map(|digest| state.missing.get(digest)).any(|missing| missing.reason.is_some() && !missing.late)
    }

    /// Whether the file could not be had in an earlier run, so that a record may say that it is missing. Of one that was only on its way
    /// when a run ended, the record says where it will be.
    pub(crate) fn failed_before(&self, key: &FileKey) -> bool {
        let state = self.shared.state.read();
        self.digests(key).iter().filter_map(|digest| state.missing.get(digest)).any(|missing| missing.tries > 0)
    }

    /// Takes note that a message says of a file that it is stored; gives what became of it when it failed meanwhile.
    pub(crate) fn promise(&self, key: &FileKey, chat: Peer, id: i32) -> Option<MediaStatus> {
        let digest = self.digest(key);
        self.shared.state.read().promise(digest, chat, id).map(MediaStatus::Failed)
    }

    /// What became of a file after it had been promised.
    fn failed_late(&self, digest: u64) -> Option<MediaStatus> {
        let state = self.shared.state.read();
        state.missing.get(&digest).filter(|missing| missing.late)?.reason.clone().map(MediaStatus::Failed)
    }

    /// By what the state knows a file.
    pub(crate) fn digest(&self, key: &FileKey) -> u64 {
        let dot = if key.extension.is_empty() { "" } else { "." };
        let kind = if key.photo { "photo" } else { "document" };
        self.prints.of_bytes(format!("{kind}{}-{}{dot}{}", key.id, key.variant, key.extension).as_bytes())
    }

    /// The same, and by what earlier versions knew it, whatever its name.
    fn digests(&self, key: &FileKey) -> [u64; 2] {
        let nameless = FileKey { extension: String::new(), ..key.clone() };
        [self.digest(key), self.digest(&nameless)]
    }

    /// Why the user does not want the file.
    fn unwanted(&self, want: &Want) -> Option<SkipReason> {
        if matches!(want.origin, Origin::Inline(_)) {
            return None;
        }
        self.options.leave_out(want.kind, want.judged_size)
    }

    /// Sees to it that a file is stored, and says what became of it as soon as that is known.
    ///
    /// # Errors
    /// When the run has to end.
    pub(crate) async fn fetch(&self, want: &Want, seen: Seen) -> Result<MediaStatus, TelegramError> {
        let [digest, nameless] = self.digests(&want.key);
        {
            let mut state = self.shared.state.read();
            state.rename_missing(nameless, digest);
            if state.media.0.contains(&digest) || state.nameless_media.0.contains(&nameless) {
                return Ok(MediaStatus::Stored);
            }
        }
        if let Origin::Never(reason) = want.origin {
            return Ok(MediaStatus::Skipped(reason));
        }
        if let Some(reason) = self.unwanted(want) {
            return Ok(MediaStatus::Skipped(reason));
        }
        let sender = match self.begin(digest) {
            Found::Mine(sender) => sender,
            Found::Awaited(mut awaited) => {
                // The sender is gone without a word only when the run is ending.
                let outcome = awaited.wait_for(Option::is_some).await.map_err(|_| TelegramError::Stopped)?;
                return Ok(self.by_now(digest, outcome.clone().ok_or(TelegramError::Stopped)?));
            }
            Found::Known(outcome) => return Ok(self.by_now(digest, outcome)),
        };
        let outcome = self.obtain(want, &seen, digest).await?;
        if let MediaStatus::Failed(reason) = &outcome {
            self.shared.state.read().fail(digest, Some(seen), reason.clone());
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        let known = if outcome == MediaStatus::Stored { Begun::Stored } else { Begun::Otherwise(Box::new(outcome.clone())) };
        self.files().insert(digest, known);
        let _ = sender.send(Some(outcome.clone()));
        Ok(outcome)
    }

    /// Takes a file on, unless somebody did.
    fn begin(&self, digest: u64) -> Found {
        let mut files = self.files();
        match files.get(&digest) {
            Some(Begun::Awaited(awaited)) => Found::Awaited(awaited.clone()),
            Some(Begun::Stored) => Found::Known(MediaStatus::Stored),
            Some(Begun::Otherwise(outcome)) => Found::Known(outcome.as_ref().clone()),
            None => {
                let (sender, receiver) = watch::channel(None);
                files.insert(digest, Begun::Awaited(receiver));
                Found::Mine(sender)
            }
        }
    }

    /// What became of a file whose outcome was known: one that counted as stored may have failed on its way.
    fn by_now(&self, digest: u64, outcome: MediaStatus) -> MediaStatus {
        self.failed_late(digest).filter(|_| outcome == MediaStatus::Stored).unwrap_or(outcome)
    }

    async fn obtain(&self, want: &Want, seen: &Seen, digest: u64) -> Result<MediaStatus, TelegramError> {
        let location = match &want.origin {
            Origin::Inline(bytes) => {
                self.shared.state.read().expect(digest, seen.clone());
                let mark = self.shared.state.mark(Effect::Media(digest));
                let content: Arc<dyn crate::source::Content> = Arc::new(self.outbox.in_memory(bytes.clone()).await?);
                self.outbox.push(Out::Item(item(want, bytes.len() as u64, content, mark))).await?;
                return Ok(MediaStatus::Stored);
            }
            Origin::Remote(location) => location.clone(),
            Origin::Never(reason) => return Ok(MediaStatus::Skipped(*reason)),
        };
        self.shared.observer.event(Event::MediaFound { bytes: want.size });
        if want.size == 0 {
            return Ok(MediaStatus::Failed("Telegram says that it has no bytes".into()));
        }
        let download = Arc::new(Download::new(self.api.clone(), self.peers.clone(), want.key.clone(), want.size, seen.clone(), location));
        // Whether the first part can be had decides about the file; a long one's other parts do not wait for that.
        let begun = if want.size <= PART_BYTES {
            let granted = self.shared.budget.part(download.dc(), self.shared.budget.place()).await.ok_or(TelegramError::Stopped)?;
            download.part(0).await.map(|bytes| {
                self.shared.observer.event(Event::MediaBytes { count: bytes.len() as u64 });
                let length = bytes.len() as u64;
                (Stream::of_one_part(&self.shared, Part { bytes, _memory: Some(PartMemory::Shared { _memory: granted }) }), length)
            })
        } else {
            let (stream, first) = Stream::from_start(&self.shared, &download);
            let first = first.await.map_err(|_| TelegramError::Stopped)?;
            first.map(|length| (stream, length))
        };
        let (stream, length) = match begun {
            Ok(begun) => begun,
            Err(FileError::Gone(reason)) => return Ok(MediaStatus::Failed(reason)),
            Err(FileError::Fatal(fatal)) => return Err(fatal),
        };
        if length == 0 {
            return Ok(MediaStatus::Failed("Telegram sends no bytes for it".into()));
        }
        // The sizes of pictures are not always what they say; a document that comes short is reported as such by its reader, and one
        // that is longer than it says is taken as it is.
        let whole = length < PART_BYTES && (want.key.variant != "full" || length > want.size);
        let size = if whole { length } else { want.size };
        self.shared.state.read().expect(digest, seen.clone());
        let mark = self.shared.state.mark(Effect::Media(digest));
        let download = if size == want.size {
            download
        } else {
            let location = match &want.origin {
                Origin::Remote(location) => location.clone(),
                _ => return Ok(MediaStatus::Failed("it has no place".into())),
            };
            Arc::new(Download::new(self.api.clone(), self.peers.clone(), want.key.clone(), size, seen.clone(), location))
        };
        let dc = download.dc();
        let file = match seen {
            Seen::Message(peer, _) => Some(self.unread.file(*peer)),
            Seen::Story(_) | Seen::Userpic(_) | Seen::Emoji(_) | Seen::Section(..) | Seen::Part(..) => None,
        };
        let make = {
            let (shared, want) = (self.shared.clone(), want.clone());
            move |turn| {
                let unread = Unsettled { _file: file, _turn: turn };
                item(&want, size, Arc::new(RemoteContent::new(shared, download, stream, mark, unread)), mark)
            }
        };
        if size > PART_BYTES && self.shared.budget.is_shared() {
            self.offer_in_turn(dc, make);
        } else {
            self.outbox.push(Out::Item(make(None))).await?;
        }
        Ok(MediaStatus::Stored)
    }

    /// Hands over a file when the one before from its data centre is read: what reads several at once reads from several data centres.
    fn offer_in_turn(&self, dc: i32, make: impl FnOnce(Option<OwnedSemaphorePermit>) -> Item + Send + 'static) {
        let turns = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.entry(dc).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
        };
        let outbox = self.outbox.clone();
        self.shared.runtime.spawn(async move {
            let turn = turns.acquire_owned().await.ok();
            // It fails only when the run is ending.
            let _ = outbox.push(Out::Item(make(turn))).await;
        });
    }
}

fn item(want: &Want, size: u64, content: Arc<dyn crate::source::Content>, mark: u64) -> Item {
    Item {
        path: want.path.clone(),
        kind: Kind::File,
        meta: metadata(want.date),
        size,
        sparse: false,
        // A file of Telegram's never changes: a part of it that is stored stays good.
        stamp: Some(Stamp { ctime: Timestamp { seconds: want.date, nanos: 0 }, inode: want.key.id.cast_unsigned() }),
        content: Some(content),
        mark,
    }
}
