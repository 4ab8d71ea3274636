//! [`Storage`]: an open store, whichever it is.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::address::Address;
use super::backend::{Backend, Body, ObjectInfo, check_folder, check_name};
use super::cloud;
use super::conditions::Conditions;
use super::counted::{Counted, Counts};
use super::error::{Result, StorageError};
use super::faulty::{Faults, Faulty};
use super::listing::Listing;
use super::local::LocalBackend;
use super::object::ObjectBackend;
use super::options::StorageOptions;
use super::reader::ObjectReader;
use super::retry::retry;
use super::traffic::{Meter, Traffic};
use super::unfinished::UploadNotes;
use super::upload::Upload;

/// How many ranges of one object are fetched at a time.
const PARALLEL_RANGES: usize = 8;

/// An open store. Clones share it, its limits and its counters.
///
/// Names of objects are relative to the address, made of letters, digits, `.`, `_`, `-` and `/`. Every call repeats what may
/// pass, within [`StorageOptions::retry_budget`]. Calls need a tokio runtime with time, and I/O for the clouds.
#[derive(Debug, Clone)]
pub struct Storage {
    inner: Arc<Inner>,
    listing: Option<Arc<Listing>>,
}

#[derive(Debug)]
struct Inner {
    backend: Arc<dyn Backend>,
    address: String,
    is_local: bool,
    /// The folder, of a store that is one.
    folder: Option<PathBuf>,
    options: StorageOptions,
    meter: Arc<Meter>,
    notes: Option<Arc<dyn UploadNotes>>,
}

impl Storage {
    /// Opens the store at `address`: a path or `file://`, `s3://bucket/prefix`, `gs://…`, `az://…`, `memory://`.
    ///
    /// `env` is the environment that the clouds' standard variables are taken from. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// An address or settings that cannot be understood.
    pub fn open(address: &str, env: impl IntoIterator<Item = (String, String)>, options: StorageOptions) -> Result<Self> {
        let address = Address::parse(address)?;
        let meter = Arc::new(Meter::new(&options));
        let backend: Arc<dyn Backend> = match &address {
            Address::Local(root) => Arc::new(LocalBackend::new(root.clone(), Arc::clone(&meter))),
            Address::Memory => Arc::new(ObjectBackend::memory(Arc::clone(&meter))),
            Address::Cloud { provider, url, prefix } => {
                Arc::new(cloud::open(*provider, url, prefix.clone(), env, &options, Arc::clone(&meter))?)
            }
        };
        let is_local = !matches!(address, Address::Cloud { .. });
        let shown = address.to_string();
        let folder = if let Address::Local(root) = address { Some(root) } else { None };
        Ok(Self { inner: Arc::new(Inner { backend, address: shown, is_local, folder, options, meter, notes: None }), listing: None })
    }

    /// The form of an address by which an open store is known, without opening it.
    ///
    /// # Errors
    /// An address that cannot be understood.
    pub fn known_as(address: &str) -> Result<String> {
        Ok(Address::parse(address)?.to_string())
    }

    /// The same store with calls that fail as `faults` says. For tests.
    pub fn with_faults(&self, faults: &Faults) -> Self {
        self.wrapped(|inner| Arc::new(Faulty::new(inner, faults.clone())))
    }

    /// The same store, whose uploads are noted as long as they are under way.
    pub fn with_upload_notes(&self, notes: Arc<dyn UploadNotes>) -> Self {
        let Inner { backend, address, is_local, folder, options, meter, .. } = &*self.inner;
        let (backend, address, options, meter) = (Arc::clone(backend), address.clone(), options.clone(), Arc::clone(meter));
        let inner = Inner { backend, address, is_local: *is_local, folder: folder.clone(), options, meter, notes: Some(notes) };
        Self { inner: Arc::new(inner), listing: self.listing.clone() }
    }

    /// Where uploads are noted.
    pub(super) fn upload_notes(&self) -> Option<&dyn UploadNotes> {
        self.inner.notes.as_deref()
    }

    /// Removes what was sent of an upload that another process began and noted. It is tried once: a later run tries again, and no backup
    /// waits for it.
    ///
    /// # Errors
    /// The store's failures; an upload that is gone is no error.
    pub async fn abandon(&self, name: &str, id: &str) -> Result<()> {
        check_name(name)?;
        self.backend().abandon(name, id).await
    }

    /// Removes what was sent of uploads of this name whose ids are not known, because the answers to their beginnings were lost; `false`
    /// where the store does not say which there are. It is tried once, as [`Self::abandon`] is.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn abandon_lost(&self, name: &str) -> Result<bool> {
        check_name(name)?;
        self.backend().abandon_lost(name).await
    }

    /// The address for people and logs: it holds no secret.
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// What went over the line so far, by all clones.
    pub fn traffic(&self) -> Traffic {
        self.inner.meter.traffic()
    }

    /// How the store is used.
    pub fn options(&self) -> &StorageOptions {
        &self.inner.options
    }

    /// Whether this store is a folder or memory: reading it needs no line.
    pub fn is_local(&self) -> bool {
        self.inner.is_local
    }

    /// Bytes that are free for this user on the disk of a store that is a folder; `None` for others, and where the disk does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(self.inner.folder.as_ref()?).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// What is known of how the store takes "only if it does not exist yet". The first small object that is put shows it.
    pub fn conditions(&self) -> Conditions {
        self.backend().conditions()
    }

    /// Takes what an earlier use of the same store has shown as known.
    pub fn assume(&self, conditions: Conditions) {
        if self.place().is_some() && conditions != Conditions::Unknown {
            self.backend().assume(conditions);
        }
    }

    /// Where the store is, in the same words each time, for whoever remembers what [`Self::conditions`] says; `None` where that is known
    /// beforehand.
    pub fn place(&self) -> Option<&str> {
        self.backend().place()
    }

    /// The same store with every request noted in `counts`. For tests.
    pub fn with_counts(&self, counts: &Counts) -> Self {
        self.wrapped(|inner| Arc::new(Counted::new(inner, counts.clone())))
    }

    fn wrapped(&self, wrap: impl FnOnce(Arc<dyn Backend>) -> Arc<dyn Backend>) -> Self {
        let backend = wrap(Arc::clone(&self.inner.backend));
        let Inner { address, is_local, folder, options, meter, notes, .. } = &*self.inner;
        let (address, folder, options) = (address.clone(), folder.clone(), options.clone());
        let (meter, notes) = (Arc::clone(meter), notes.clone());
        Self { inner: Arc::new(Inner { backend, address, is_local: *is_local, folder, options, meter, notes }), listing: None }
    }

    /// The same store with a listing of everything, which answers every [`Self::list`] for a minute: for a run that asks many times.
    /// It has what is written and deleted through this and its clones; what others do meanwhile it does not show.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn with_listing(&self) -> Result<Self> {
        self.with_listing_of(&[""]).await
    }

    /// As [`Self::with_listing`], of some folders, which are asked for together; other listings are asked for as ever.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn with_listing_of(&self, folders: &[&str]) -> Result<Self> {
        let taken = tokio::time::Instant::now();
        let this = self.without_listing();
        let listed = futures::future::try_join_all(folders.iter().map(|folder| this.list(folder))).await?;
        let listing = Listing::new(taken, folders, listed.concat());
        Ok(Self { listing: Some(Arc::new(listing)), ..self.clone() })
    }

    /// The same store, each of whose listings is asked for: for who must see what others have just written.
    pub fn without_listing(&self) -> Self {
        Self { listing: None, ..self.clone() }
    }

    /// Whether there is an object of this name: by the listing, where there is one, or by a question.
    ///
    /// # Errors
    /// As [`Self::head`].
    pub async fn exists(&self, name: &str) -> Result<bool> {
        match self.listing.as_ref().and_then(|listing| listing.has(name)) {
            Some(is_there) => Ok(is_there),
            None => Ok(self.head(name).await?.is_some()),
        }
    }

    /// Notes an object that is stored now.
    pub(super) fn note_put(&self, name: &str, size_bytes: u64) {
        if let Some(listing) = &self.listing {
            listing.put(name, size_bytes);
        }
    }

    pub(super) fn backend(&self) -> &dyn Backend {
        self.inner.backend.as_ref()
    }

    /// Finds out whether the folder, bucket or container exists, answers, and may be listed.
    ///
    /// # Errors
    /// [`StorageError::NoContainer`], [`StorageError::NoCredentials`], [`StorageError::BadCredentials`],
    /// [`StorageError::PermissionDenied`], or that it cannot be reached.
    pub async fn check(&self) -> Result<()> {
        retry(self.options(), || self.backend().check()).await
    }

    /// Makes a folder ready to hold a new repository, by creating it (mode 0700) where it is missing; for a cloud, checks that
    /// the bucket exists. No other call makes the folder: where it is missing, most often a disk is not mounted.
    ///
    /// # Errors
    /// As [`Storage::check`], and those of creating a folder.
    pub async fn prepare(&self) -> Result<()> {
        retry(self.options(), || self.backend().prepare()).await
    }

    /// Creates an object, whole and on the disk when this returns. If the name is taken by the very same bytes, that is
    /// success: the answer to an earlier attempt may have been lost.
    ///
    /// # Errors
    /// [`StorageError::Exists`] if the name is taken by other bytes, and the store's failures.
    pub async fn put_new(&self, name: &str, body: Bytes) -> Result<()> {
        check_name(name)?;
        self.create(name, &body).await?;
        self.note_put(name, body.len() as u64);
        Ok(())
    }

    async fn create(&self, name: &str, body: &Bytes) -> Result<()> {
        retry(self.options(), || async {
            match self.backend().create(name, body.clone()).await {
                Err(StorageError::Exists { .. }) => match self.same_content(name, body).await? {
                    Some(true) => Ok(()),
                    Some(false) => Err(StorageError::Exists { name: name.into() }),
                    // Another writer was at it and gave up, or deleted it.
                    None => Err(StorageError::transient("write", name, "the name is being written by someone else")),
                },
                // Writing never needs an object that is not there: what is missing is the place to put it.
                Err(StorageError::NotFound { .. }) => Err(self.no_container()),
                other => other,
            }
        })
        .await
    }

    async fn same_content(&self, name: &str, body: &Bytes) -> Result<Option<bool>> {
        match self.read_whole(name, body.len() as u64).await {
            Ok(found) => Ok(Some(found == *body)),
            Err(StorageError::TooLarge { .. }) => Ok(Some(false)),
            Err(StorageError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn no_container(&self) -> StorageError {
        StorageError::NoContainer { container: self.address().into(), source: None }
    }

    /// Begins an object whose length is not known yet, see [`Upload`]. The name must be one that was never used; for an
    /// object of one part this is enforced as in [`Storage::put_new`], for larger ones by a look before the last step.
    ///
    /// # Errors
    /// [`StorageError::Name`]. Nothing is asked of the store yet.
    pub fn upload(&self, name: &str) -> Result<Upload> {
        check_name(name)?;
        Ok(Upload::new(self.clone(), name))
    }

    /// Reads a small object; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`] if it is longer than `limit_bytes`: what a store says is not to be trusted with our memory.
    pub async fn get(&self, name: &str, limit_bytes: u64) -> Result<Option<Bytes>> {
        check_name(name)?;
        match retry(self.options(), || self.read_whole(name, limit_bytes)).await {
            Ok(found) => Ok(Some(found)),
            Err(StorageError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read_whole(&self, name: &str, limit_bytes: u64) -> Result<Bytes> {
        let body = self.backend().read(name, None).await?;
        if body.size_bytes > limit_bytes {
            return Err(StorageError::TooLarge { name: name.into(), size_bytes: body.size_bytes, limit_bytes });
        }
        let expected = body.size_bytes;
        collect(name, body, expected).await
    }

    /// Reads the bytes `range` of an object; an empty range asks nothing of the store.
    ///
    /// # Errors
    /// [`StorageError::NotFound`]; [`StorageError::WrongLength`] if the object ends before the range does.
    pub async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        check_name(name)?;
        let expected = range.end.saturating_sub(range.start);
        if expected == 0 {
            return Ok(Bytes::new());
        }
        let too_short = |size_bytes: u64| {
            let got_bytes = size_bytes.saturating_sub(range.start);
            StorageError::WrongLength { name: name.into(), expected_bytes: expected, got_bytes }
        };
        let read = retry(self.options(), || async {
            let body = self.backend().read(name, Some(range.clone())).await?;
            if body.size_bytes < range.end { Err(too_short(body.size_bytes)) } else { collect(name, body, expected).await }
        });
        match read.await {
            // To a range that begins behind the end stores answer with an error of their own (416), not with what there is.
            Err(error @ StorageError::Failed { .. }) => match self.head(name).await {
                Ok(Some(found)) if found.size_bytes < range.end => Err(too_short(found.size_bytes)),
                _ => Err(error),
            },
            other => other,
        }
    }

    /// Reads several ranges of an object, in parallel; ranges that touch or overlap are fetched as one. The answers are in the
    /// order of the questions, and no byte between the ranges is fetched.
    ///
    /// # Errors
    /// As [`Storage::get_range`], if any fails.
    pub async fn get_ranges(&self, name: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let fetched: Vec<(u64, Bytes)> = stream::iter(merged(ranges))
            .map(|range| async move { Ok::<_, StorageError>((range.start, self.get_range(name, range).await?)) })
            .buffered(PARALLEL_RANGES)
            .try_collect()
            .await?;
        let mut answers = Vec::with_capacity(ranges.len());
        for range in ranges {
            if range.is_empty() {
                answers.push(Bytes::new());
                continue;
            }
            let before = fetched.partition_point(|(start, _)| *start <= range.start);
            let piece = before.checked_sub(1).and_then(|i| fetched.get(i)).and_then(|(start, bytes)| {
                let from = usize::try_from(range.start - start).ok()?;
                let to = usize::try_from(range.end - start).ok()?;
                (to <= bytes.len()).then(|| bytes.slice(from..to))
            });
            answers.push(piece.ok_or_else(|| StorageError::WrongLength {
                name: name.into(),
                expected_bytes: range.end - range.start,
                got_bytes: 0,
            })?);
        }
        Ok(answers)
    }

    /// Reads an object from start to end without holding it in memory.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] and the store's failures.
    pub async fn get_stream(&self, name: &str) -> Result<ObjectReader> {
        check_name(name)?;
        let body = retry(self.options(), || self.backend().read(name, None)).await?;
        Ok(ObjectReader::new(self.clone(), name, body))
    }

    /// What is known about an object; `None` if there is none of this name.
    ///
    /// # Errors
    /// The store's failures; an answer that does not come is never taken for "absent".
    pub async fn head(&self, name: &str) -> Result<Option<ObjectInfo>> {
        check_name(name)?;
        retry(self.options(), || self.backend().head(name)).await
    }

    /// Every object below `folder` (`""` for all, otherwise whole segments of names), at any depth, sorted by name. What no
    /// store of ours would name is left out.
    ///
    /// It is one value and not a stream, so that a listing that broke off cannot be taken for a short one; 10,000 archives
    /// are about 1 MiB.
    ///
    /// # Errors
    /// The store's failures, also when they come after the first page.
    pub async fn list(&self, folder: &str) -> Result<Vec<ObjectInfo>> {
        let folder = check_folder(folder)?;
        if let Some(found) = self.listing.as_ref().and_then(|listing| listing.below(folder)) {
            return Ok(found);
        }
        let mut found = retry(self.options(), || self.backend().list(folder)).await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// What a listing that is held says of a folder, as [`Self::list`] would; `None` where the store would have to be asked.
    pub fn listed(&self, folder: &str) -> Option<Vec<ObjectInfo>> {
        self.listing.as_ref()?.below(check_folder(folder).ok()?)
    }

    /// Deletes an object; an absent one is no error.
    ///
    /// # Errors
    /// The store's failures.
    pub async fn delete(&self, name: &str) -> Result<()> {
        check_name(name)?;
        retry(self.options(), || self.backend().delete(name)).await?;
        if let Some(listing) = &self.listing {
            listing.delete(name);
        }
        Ok(())
    }
}

/// Collects a body of which exactly `expected` bytes must come.
async fn collect(name: &str, mut body: Body, expected: u64) -> Result<Bytes> {
    let wrong = |got: usize| StorageError::WrongLength { name: name.into(), expected_bytes: expected, got_bytes: got as u64 };
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(piece) = body.stream.next().await.transpose()? {
        let got = first.len() + all.len() + piece.len();
        if got as u64 > expected {
            return Err(wrong(got));
        }
        // Most objects and ranges come in one piece, which then is not copied.
        if first.is_empty() && all.is_empty() {
            first = piece;
        } else {
            if all.is_empty() {
                all.reserve(usize::try_from(expected).unwrap_or(0));
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&piece);
        }
    }
    let whole = if all.is_empty() { first } else { all.freeze() };
    if whole.len() as u64 == expected { Ok(whole) } else { Err(StorageError::transient("read", name, wrong(whole.len()))) }
}

/// The ranges sorted, without the empty ones, those that touch or overlap made one.
fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(merged(&[10..20, 0..5, 20..30, 3..7, 40..40, 50..51]), [0..7, 10..30, 50..51]);
        assert!(merged(&[]).is_empty());
    }
}
