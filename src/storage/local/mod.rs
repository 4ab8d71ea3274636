//! A store in a folder of the local machine, a mounted disk or a network share.
//!
//! - `file`: one object on its way to the disk: hidden until it is whole and synced, then made visible without overwriting.
//! - `folder`: folders that are made, synced and walked.
//! - `pieces`: files that are read, piece by piece.
//!
//! Objects are files of mode 0600 below folders of mode 0700, under their own names.

mod file;
mod folder;
mod pieces;

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};

use super::backend::{Backend, Body, ObjectInfo, PartSink};
use super::error::{Result, StorageError};
use super::traffic::Meter;
use super::upload::PART_BYTES;
use file::{Features, Partial};
use folder::Folders;
use pieces::{Pieces, READ_BYTES, ReadFile};

/// A folder as a store.
#[derive(Debug)]
pub(crate) struct LocalBackend {
    disk: Arc<Disk>,
    meter: Arc<Meter>,
}

/// What the blocking threads work on.
#[derive(Debug)]
struct Disk {
    root: PathBuf,
    features: Features,
    folders: Folders,
    pieces: Pieces,
}

impl LocalBackend {
    pub(crate) fn new(root: PathBuf, meter: Arc<Meter>) -> Self {
        Self::with_features(root, meter, Features::all())
    }

    /// `features` says what may be tried of the file system; tests take some away.
    fn with_features(root: PathBuf, meter: Arc<Meter>, features: Features) -> Self {
        let folders = Folders::new(root.clone());
        Self { disk: Arc::new(Disk { root, features, folders, pieces: Pieces::default() }), meter }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        name: &str,
        work: impl FnOnce(&Disk, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        self.meter.count_request();
        blocking(Arc::clone(&self.disk), operation, name, work).await
    }
}

async fn blocking<T: Send + 'static>(
    disk: Arc<Disk>,
    operation: &'static str,
    name: &str,
    work: impl FnOnce(&Disk, &Path) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let path = disk.root.join(name);
    let name = name.to_owned();
    let outcome = tokio::task::spawn_blocking(move || work(&disk, &path).map_err(|error| disk.explain(operation, name, error))).await;
    outcome.unwrap_or_else(|error| Err(StorageError::Failed { operation, name: "a file".into(), source: Box::new(error) }))
}

impl Disk {
    /// Puts a failure of the system into the store's words. A missing root is told from a missing object here.
    fn explain(&self, operation: &'static str, name: String, error: io::Error) -> StorageError {
        let source = Box::new(error);
        // What the user has to change is on the disk.
        let path = if name.is_empty() { self.root.display().to_string() } else { self.root.join(&name).display().to_string() };
        let name = if name.is_empty() { path.clone() } else { name };
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::AlreadyExists if self.file_in_the_way().is_some() => {
                let file = self.file_in_the_way().unwrap_or(&self.root).display().to_string();
                StorageError::NotAFolder { container: self.root.display().to_string(), file, source }
            }
            ErrorKind::NotFound | ErrorKind::NotADirectory if !self.root.is_dir() => {
                StorageError::NoContainer { container: self.root.display().to_string(), source: Some(source) }
            }
            ErrorKind::NotFound => StorageError::NotFound { name },
            ErrorKind::AlreadyExists => StorageError::Exists { name },
            ErrorKind::PermissionDenied => StorageError::PermissionDenied { operation, name: path, source },
            ErrorKind::ReadOnlyFilesystem => StorageError::ReadOnly { operation, name: path, source },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StorageError::Full { operation, name, source },
            ErrorKind::Interrupted | ErrorKind::TimedOut | ErrorKind::StaleNetworkFileHandle | ErrorKind::ResourceBusy => {
                StorageError::transient(operation, &name, source)
            }
            _ => StorageError::Failed { operation, name, source },
        }
    }

    /// What stands where the root or a folder above it should be.
    fn file_in_the_way(&self) -> Option<&Path> {
        self.root.ancestors().find(|path| path.exists()).filter(|path| !path.is_dir())
    }

    fn begin(&self, path: &Path) -> io::Result<Partial> {
        let folder = path.parent().unwrap_or(&self.root);
        self.folders.make(folder)?;
        Partial::create(folder, &self.features)
    }
}

impl Backend for LocalBackend {
    fn abandon<'a>(&'a self, _name: &'a str, _id: &'a str) -> BoxFuture<'a, Result<()>> {
        std::future::ready(Ok(())).boxed()
    }

    fn create<'a>(&'a self, name: &'a str, body: Bytes) -> BoxFuture<'a, Result<()>> {
        async move {
            self.meter.upload(body.len()).await;
            self.blocking("write", name, move |disk, path| {
                let partial = disk.begin(path)?;
                partial.write_at(&body, 0)?;
                partial.commit(path, &disk.features)
            })
            .await
        }
        .boxed()
    }

    fn begin<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<dyn PartSink>>> {
        async move {
            let partial = self.blocking("write", name, |disk, path| disk.begin(path)).await?;
            let sink = LocalSink {
                disk: Arc::clone(&self.disk),
                meter: Arc::clone(&self.meter),
                name: name.to_owned(),
                partial: Arc::new(Mutex::new(Some(Arc::new(partial)))),
            };
            Ok(Arc::new(sink) as Arc<dyn PartSink>)
        }
        .boxed()
    }

    fn read<'a>(&'a self, name: &'a str, range: Option<Range<u64>>) -> BoxFuture<'a, Result<Body>> {
        async move {
            let (file, size_bytes, range) = self
                .blocking("read", name, move |_, path| {
                    let (file, size) = ReadFile::open(path, range.as_ref().map(|range| range.end.saturating_sub(range.start)))?;
                    Ok((Arc::new(file), size, range.unwrap_or(0..size)))
                })
                .await?;
            let stream =
                FileStream { disk: Arc::clone(&self.disk), meter: Arc::clone(&self.meter), name: name.to_owned(), file, left: range };
            let stream = stream::try_unfold(stream, FileStream::next).boxed();
            Ok(Body { size_bytes, stream })
        }
        .boxed()
    }

    fn head<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<ObjectInfo>>> {
        async move {
            match self.blocking("read", name, |_, path| std::fs::symlink_metadata(path)).await {
                Ok(metadata) if metadata.is_file() => folder::object_info(name.to_owned(), &metadata)
                    .map(Some)
                    .map_err(|error| self.disk.explain("read", name.to_owned(), error)),
                Ok(_) | Err(StorageError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    fn list<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<Vec<ObjectInfo>>> {
        async move {
            let name = folder.to_owned();
            self.blocking("list", folder, move |disk, path| {
                // An absent root is an error, an absent folder below it is empty.
                disk.root.read_dir()?;
                folder::walk(path, &name)
            })
            .await
        }
        .boxed()
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        async move {
            let deleted = self.blocking("delete", name, |disk, path| {
                std::fs::remove_file(path)?;
                folder::sync(path.parent().unwrap_or(&disk.root))
            });
            match deleted.await {
                Err(StorageError::NotFound { .. }) => Ok(()),
                other => other,
            }
        }
        .boxed()
    }

    fn remove_empty<'a>(&'a self, folder: &'a str) -> BoxFuture<'a, Result<()>> {
        async move { self.blocking("delete", folder, |_, path| folder::remove_empty(path)).await }.boxed()
    }

    fn check<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        async move { self.blocking("list", "", |disk, _| disk.root.read_dir().map(drop)).await }.boxed()
    }

    fn prepare<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        async move { self.blocking("write", "", |disk, _| folder::make_root(&disk.root)).await }.boxed()
    }
}

/// A file being read in large pieces.
struct FileStream {
    disk: Arc<Disk>,
    meter: Arc<Meter>,
    name: String,
    file: Arc<ReadFile>,
    left: Range<u64>,
}

impl FileStream {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        let Range { start, end } = self.left;
        let want = usize::try_from(end.saturating_sub(start)).unwrap_or(READ_BYTES).min(READ_BYTES);
        if want == 0 {
            return Ok(None);
        }
        let file = Arc::clone(&self.file);
        let piece = blocking(Arc::clone(&self.disk), "read", &self.name, move |disk, _| disk.pieces.read(&file, start, want)).await?;
        if piece.is_empty() {
            return Ok(None);
        }
        self.left.start += piece.len() as u64;
        self.meter.download(piece.len()).await;
        Ok(Some((piece, self)))
    }
}

/// An object of several parts on its way to the disk.
#[derive(Debug)]
struct LocalSink {
    disk: Arc<Disk>,
    meter: Arc<Meter>,
    name: String,
    /// Gone once it is finished or aborted.
    partial: Arc<Mutex<Option<Arc<Partial>>>>,
}

impl LocalSink {
    fn partial(&self) -> Option<Arc<Partial>> {
        self.partial.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn over(&self) -> StorageError {
        StorageError::NotFound { name: self.name.clone() }
    }
}

impl PartSink for LocalSink {
    fn id(&self) -> Option<&str> {
        // Its file has no name: a killed process leaves nothing.
        None
    }

    fn put<'a>(&'a self, index: usize, body: Bytes) -> BoxFuture<'a, Result<()>> {
        async move {
            let partial = self.partial().ok_or_else(|| self.over())?;
            self.meter.count_request();
            self.meter.upload(body.len()).await;
            let offset = index as u64 * PART_BYTES as u64;
            blocking(Arc::clone(&self.disk), "write", &self.name, move |_, _| partial.write_at(&body, offset)).await
        }
        .boxed()
    }

    fn finish<'a>(&'a self, len_bytes: u64) -> BoxFuture<'a, Result<()>> {
        async move {
            let partial = self.partial().ok_or_else(|| self.over())?;
            self.meter.count_request();
            blocking(Arc::clone(&self.disk), "write", &self.name, move |disk, path| {
                partial.check_len(len_bytes)?;
                partial.commit(path, &disk.features)
            })
            .await?;
            self.abort().await
        }
        .boxed()
    }

    fn abort<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        async move {
            let partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Closing a file that was never named frees its blocks, which may take a moment.
            blocking(Arc::clone(&self.disk), "write", &self.name, move |_, _| {
                drop(partial);
                Ok(())
            })
            .await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
