//! What a store really does: tried on objects of its own below `doctor/`, which are removed again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::{Check, Report};
use crate::crypt::digest::sha256;
use crate::model::digest::Id;
use crate::storage::{PART_BYTES, PROBES, Storage, StorageError, Taken};

/// An object of several parts has so many bytes, all of which go both ways.
pub const LARGE_BYTES: usize = PART_BYTES + PART_BYTES / 4;

/// Clocks that differ by more make some stores refuse requests.
const WORRYING_DRIFT: SignedDuration = SignedDuration::from_mins(1);

/// At this difference the clouds refuse every request.
const REFUSED_DRIFT: SignedDuration = SignedDuration::from_mins(5);

/// An answer that takes longer makes backups of many small files slow.
const SLOW_ANSWER: Duration = Duration::from_secs(1);

/// How a store is tried.
#[derive(Clone, Debug)]
pub struct Extent {
    /// A name that nobody has used.
    pub id: Id,
    /// What is sent and read as an object of several parts, [`LARGE_BYTES`] that do not compress; `None` leaves it out, and the speed
    /// with it.
    pub large: Option<Bytes>,
}

/// Tries `storage`, and tells of each thing; gives the objects that could not be removed.
pub async fn store(storage: &Storage, extent: Extent, report: &mut dyn Report) -> Vec<String> {
    match storage.check().await {
        Ok(()) => {}
        Err(error @ StorageError::NoContainer { .. }) if storage.is_local() => {
            report.check(Check::warned("reach", error.to_string(), "`tgvault init` creates it; if it should exist, is the disk mounted?"));
            return Vec::new();
        }
        Err(error) => {
            report.check(Check::of_error("reach", &error, error.hint()));
            return Vec::new();
        }
    }
    report.check(Check::passed("reach", storage.address()));
    let mut trial = Trial { storage, folder: format!("{PROBES}{}", extent.id), made: Vec::new(), wrote: false, report };
    trial.answers().await;
    trial.wrote = trial.first_object().await;
    if trial.wrote {
        trial.listing().await;
        trial.taken_name().await;
        trial.ranges().await;
        trial.names().await;
        if let Some(content) = &extent.large {
            trial.large_object(content).await;
        }
    }
    trial.remove().await
}

/// A store being tried.
struct Trial<'a> {
    storage: &'a Storage,
    folder: String,
    /// What is to be removed.
    made: Vec<String>,
    /// Whether anything could be written.
    wrote: bool,
    report: &'a mut dyn Report,
}

/// The content of the first object.
const FIRST: &[u8] = b"tgvault doctor: this object may be deleted";

impl Trial<'_> {
    fn passed(&mut self, name: &'static str, text: impl Into<String>) {
        self.report.check(Check::passed(name, text));
    }

    fn failed(&mut self, name: &'static str, text: impl Into<String>, hint: &'static str) {
        self.report.check(Check::failed(name, text, Some(hint)));
    }

    fn error(&mut self, name: &'static str, error: &StorageError) {
        self.report.check(Check::of_error(name, error, error.hint()));
    }

    fn name(&self, last: &str) -> String {
        format!("{}/{last}", self.folder)
    }

    async fn put(&mut self, last: &str, content: &[u8]) -> Result<String, StorageError> {
        let name = self.name(last);
        self.made.push(name.clone());
        self.storage.put_new(&name, Bytes::copy_from_slice(content)).await.map(|()| name)
    }

    /// How long the store takes to answer a question.
    async fn answers(&mut self) {
        let mut fastest = Duration::MAX;
        for _ in 0..3 {
            let began = Instant::now();
            if let Err(error) = self.storage.head(&self.name("absent")).await {
                return self.error("round trip", &error);
            }
            fastest = fastest.min(began.elapsed());
        }
        let text = format!("{:.1} ms", fastest.as_secs_f64() * 1000.0);
        self.report.check(if fastest > SLOW_ANSWER {
            Check::warned("round trip", text, "backups work, but take long; check the line, or use a store nearer by")
        } else {
            Check::passed("round trip", text)
        });
    }

    /// Whether something can be written, is there at once, and has a time that agrees with this machine's.
    async fn first_object(&mut self) -> bool {
        let before = Timestamp::now();
        let name = match self.put("first", FIRST).await {
            Ok(name) => name,
            Err(error) => {
                self.error("write", &error);
                return false;
            }
        };
        self.passed("write", format!("{} bytes", FIRST.len()));
        match self.storage.get(&name, FIRST.len() as u64).await {
            Ok(Some(found)) if found == FIRST => self.passed("read after write", "the same bytes at once"),
            Ok(Some(_)) => self.failed("read after write", "other bytes than were written", "do not use this store"),
            Ok(None) => self.failed(
                "read after write",
                "an object that was just written is not there",
                "tgvault needs a store that shows at once what was written; use another one, or take the cache before it away",
            ),
            Err(error) => self.error("read after write", &error),
        }
        match self.storage.head(&name).await {
            Ok(Some(found)) => self.clock(found.modified, before),
            Ok(None) => self.failed("clock", "the store does not say when an object was written", "use another store"),
            Err(error) => self.error("clock", &error),
        }
        true
    }

    /// Compares the store's clock with this machine's, which is somewhere between `before` and now.
    fn clock(&mut self, stored: Timestamp, before: Timestamp) {
        const HINT: &str = "set the clock, best by NTP (`timedatectl set-ntp true`)";
        let now = Timestamp::now();
        // Stores cut times to whole seconds.
        let ahead = stored.duration_since(now).max(SignedDuration::ZERO);
        let behind = (before.duration_since(stored) - SignedDuration::from_secs(1)).max(SignedDuration::ZERO);
        let drift = ahead.max(behind);
        let text = if drift == SignedDuration::ZERO {
            "agrees with the store's".to_owned()
        } else {
            format!("{} s {} the store's", drift.as_secs(), if ahead > behind { "behind" } else { "ahead of" })
        };
        self.report.check(if drift >= REFUSED_DRIFT {
            Check::failed("clock", text, Some(HINT))
        } else if drift >= WORRYING_DRIFT {
            Check::warned("clock", text, HINT)
        } else {
            Check::passed("clock", text)
        });
    }

    async fn listing(&mut self) {
        let first = self.name("first");
        match self.storage.list(&self.folder).await {
            Ok(found) if found.iter().any(|object| object.name == first && object.size_bytes == FIRST.len() as u64) => {
                self.passed("list after write", "the new object is listed at once");
            }
            Ok(_) => self.failed(
                "list after write",
                "an object that was just written is not listed",
                "snapshots would be missed; use a store whose listings are complete at once",
            ),
            Err(error) => self.error("list after write", &error),
        }
    }

    /// What happens to a name that is taken: by a put that should be refused, and by one that should not.
    async fn taken_name(&mut self) {
        const OTHER: &[u8] = b"tgvault doctor: this should not be here";
        let name = self.name("first");
        let taken = self.storage.probe_taken(&name, Bytes::from_static(OTHER)).await;
        let found = self.storage.get(&name, 1024).await.ok().flatten();
        let is_whole = found.as_deref() == Some(FIRST);
        match taken {
            Ok(Taken::Refused) if is_whole => self.passed("conditional put", "a second object of one name is refused"),
            Ok(Taken::Refused) => {
                self.failed(
                    "conditional put",
                    "the store refused to overwrite an object, and changed it all the same",
                    "do not use this store",
                );
            }
            Ok(Taken::Overwritten | Taken::Unknown) => self.report.check(Check::warned(
                "conditional put",
                "the store overwrites objects although it is asked not to",
                "tgvault looks before it writes, which costs a request each time, and no two of its objects share a name; prefer a server \
                 that honours If-None-Match",
            )),
            Err(error) => self.error("conditional put", &error),
        }
        match self.storage.probe_overwrite(&name, Bytes::from_static(FIRST)).await {
            Ok(None) => {}
            Ok(Some(false)) => self.passed("overwrite", "refused: these credentials cannot replace what is stored"),
            Ok(Some(true)) => self.report.check(Check::warned(
                "overwrite",
                "these credentials can replace what is stored",
                "turn on versioning or object lock for the bucket, so that a thief of this machine cannot destroy backups",
            )),
            Err(error) => self.error("overwrite", &error),
        }
    }

    async fn ranges(&mut self) {
        let name = self.name("first");
        let parts = [2..9_u64, 20..25, 7..12];
        let wanted: Vec<&[u8]> = vec![&FIRST[2..9], &FIRST[20..25], &FIRST[7..12]];
        match self.storage.get_ranges(&name, &parts).await {
            Ok(found) if found == wanted => self.passed("ranged reads", "exactly the bytes that were asked for"),
            Ok(_) => self.failed("ranged reads", "other bytes than were asked for", "reading single files would fail; use another store"),
            Err(error) => self.error("ranged reads", &error),
        }
    }

    /// Names that differ in one letter's size, and names with all that tgvault puts into them.
    async fn names(&mut self) {
        const LONG: &str =
            "Long_name-with.all.kinds-of_characters-0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ-abcdefghijklmnopqrstuvwxyz.tar.zst.age";
        let objects = [("Case", &b"large"[..]), ("case", b"small"), (LONG, b"long"), ("a/b/c/d", b"deep")];
        for (last, content) in objects {
            if let Err(error) = self.put(last, content).await {
                return match error {
                    StorageError::Exists { .. } => self.report.check(Check::warned(
                        "names",
                        "the store takes 'Case' and 'case' for one name",
                        "a vault has no two such names; but prefer a store that tells them apart",
                    )),
                    error => self.error("names", &error),
                };
            }
        }
        for (last, content) in objects {
            match self.storage.get(&self.name(last), 1024).await {
                Ok(Some(found)) if found == content => {}
                Ok(_) => return self.failed("names", format!("'{last}' does not come back as it was written"), "use another store"),
                Err(error) => return self.error("names", &error),
            }
        }
        self.passed("names", "capitals, dots, hyphens, long and deep names");
    }

    /// An object of several parts, its check sum, and how fast it goes both ways.
    async fn large_object(&mut self, content: &Bytes) {
        let name = self.name("large");
        self.made.push(name.clone());
        let began = Instant::now();
        if let Err(error) = self.upload(&name, content).await {
            return self.error("multipart", &error);
        }
        let up = began.elapsed();
        self.passed("multipart", format!("{LARGE_BYTES} bytes in two parts"));
        let began = Instant::now();
        match self.storage.get(&name, LARGE_BYTES as u64).await {
            Ok(Some(found)) if sha256(&found) == sha256(content) => self.passed("checksum", "SHA-256 of what came back is the same"),
            Ok(_) => return self.failed("checksum", "what came back is not what was sent", "do not use this store"),
            Err(error) => return self.error("checksum", &error),
        }
        let down = began.elapsed();
        let rate = |took: Duration| format!("{:.1} MiB/s", LARGE_BYTES as f64 / took.as_secs_f64().max(0.001) / f64::from(1 << 20));
        self.passed("speed", format!("up {}, down {}", rate(up), rate(down)));
    }

    async fn upload(&self, name: &str, content: &Bytes) -> Result<(), StorageError> {
        let mut upload = self.storage.upload(name)?;
        for start in (0..content.len()).step_by(PART_BYTES) {
            upload.part(content.slice(start..content.len().min(start + PART_BYTES))).await?;
        }
        upload.complete().await
    }

    /// Removes what was made; gives what is left.
    async fn remove(mut self) -> Vec<String> {
        let mut left = Vec::new();
        let mut denied = None;
        for name in std::mem::take(&mut self.made) {
            match self.storage.delete(&name).await {
                Ok(()) => match self.storage.head(&name).await {
                    Ok(None) => {}
                    _ => left.push(name),
                },
                Err(error) => {
                    denied = Some(error);
                    if !matches!(self.storage.head(&name).await, Ok(None)) {
                        left.push(name);
                    }
                }
            }
        }
        if let Err(error) = self.storage.probe_remove_folders().await {
            tracing::debug!(%error, "empty folders are left");
        }
        // Where nothing could be written, nothing is known of deleting.
        if !self.wrote {
            return left;
        }
        match (denied, left.is_empty()) {
            (Some(StorageError::PermissionDenied { .. }), _) => {
                self.passed("delete", "refused: these credentials cannot delete, or a retention rule protects objects");
            }
            (Some(error), _) => self.error("delete", &error),
            (None, false) => self.passed("object lock", "objects stay although they were deleted: the store protects them"),
            (None, true) if self.storage.is_local() => self.passed("delete", "nothing is left behind"),
            (None, true) => self.report.check(Check::warned(
                "delete",
                "these credentials can delete what is stored",
                "backups need no right to delete: take it away from this machine (docs/guide/stores.md#permissions)",
            )),
        }
        left
    }
}
