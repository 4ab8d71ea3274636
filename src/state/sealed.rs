//! Sealed files: age files for the machine's key, mode 0600, replaced whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::folder::{MachineKey, make_private};
use super::{Lock, StateError};
use crate::crypt::payload::PayloadWriter;
use crate::model::json;
use crate::model::keep::Keep;

/// A folder of sealed files.
#[derive(Clone)]
pub struct SealedFolder {
    path: PathBuf,
    key: Arc<MachineKey>,
}

/// Writes a file and gives it its name only when it is whole and on the disk.
pub(super) struct Replacement {
    pub(super) file: File,
    temporary: PathBuf,
    path: PathBuf,
}

impl Replacement {
    pub(super) fn create(path: &Path) -> Result<Self, StateError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| StateError::file("write", path)(io::Error::other(error)))?;
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{:016x}.tmp", u64::from_ne_bytes(random)));
        let temporary = PathBuf::from(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        Ok(Self { file: file.map_err(StateError::file("write", path))?, temporary, path: path.to_owned() })
    }

    /// Gives the file its name without waiting for the disk.
    pub(super) fn rename(self) -> Result<(), StateError> {
        fs::rename(&self.temporary, &self.path).map_err(StateError::file("write", &self.path))
    }

    fn finish(self) -> Result<(), StateError> {
        let done = self.file.sync_all().and_then(|()| fs::rename(&self.temporary, &self.path)).and_then(|()| sync_folder_of(&self.path));
        done.map_err(StateError::file("write", &self.path))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // After a rename there is nothing of this name.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The name that a file has or, while it is being written, is going to have.
fn wanted_name(name: &str) -> &str {
    let of_temporary = |name: &str| Some(name.strip_suffix(".tmp")?.rsplit_once('.')?.0.len());
    of_temporary(name).and_then(|length| name.get(..length)).unwrap_or(name)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Writes a new private file; `false` when there is one of this name already.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<bool, StateError> {
    let mut replacement = Replacement::create(path)?;
    let written = replacement.file.write_all(bytes).and_then(|()| replacement.file.sync_all());
    written.map_err(StateError::file("write", path))?;
    match fs::hard_link(&replacement.temporary, path) {
        Ok(()) => sync_folder_of(path).map(|()| true).map_err(StateError::file("write", path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // No hard links here (vfat): a race of two first runs is left to chance.
        Err(_) => replacement.finish().map(|()| true),
    }
}

/// Replaces a private file that is no secret.
pub(super) fn replace_plain(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let mut replacement = Replacement::create(path)?;
    replacement.file.write_all(bytes).map_err(StateError::file("write", path))?;
    replacement.finish()
}

impl SealedFolder {
    /// A folder that is made with its first file.
    pub(super) fn at(path: PathBuf, key: Arc<MachineKey>) -> Self {
        Self { path, key }
    }

    pub(super) fn open(path: PathBuf, key: Arc<MachineKey>) -> Result<Self, StateError> {
        make_private(&path)?;
        Ok(Self { path, key })
    }

    /// A folder below this one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Result<Self, StateError> {
        Self::open(self.path.join(name), Arc::clone(&self.key))
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn key(&self) -> Arc<MachineKey> {
        Arc::clone(&self.key)
    }

    /// Takes the lock `name`.
    ///
    /// # Errors
    /// [`StateError::Locked`] when another run holds it.
    pub fn lock(&self, name: &str) -> Result<Lock, StateError> {
        Lock::take(&self.path.join(name))
    }

    /// Takes the lock `name` as one of several that may hold it at a time.
    ///
    /// # Errors
    /// [`StateError::Locked`] when a run holds it for itself.
    pub fn share(&self, name: &str) -> Result<Lock, StateError> {
        Lock::share(&self.path.join(name))
    }

    /// Begins to replace file `name`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn writer(&self, name: &str) -> Result<SealedWriter, StateError> {
        let path = self.path.join(name);
        let replacement = Replacement::create(&path)?;
        let out = BufWriter::with_capacity(1 << 18, replacement.file.try_clone().map_err(StateError::file("write", &path))?);
        let payload = self.key.seal(out).map_err(|source| StateError::Sealed { path, source })?;
        Ok(SealedWriter { payload, replacement })
    }

    /// Opens file `name`; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or not with this machine's key.
    pub fn reader(&self, name: &str) -> Result<Option<impl BufRead + use<>>, StateError> {
        let path = self.path.join(name);
        let failed = |error| StateError::file("read", &path)(error);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let payload = self.key.open(file).map_err(|source| StateError::Sealed { path: path.clone(), source })?;
        Ok(Some(BufReader::with_capacity(1 << 17, payload)))
    }

    /// Replaces file `name`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let mut writer = self.writer(name)?;
        writer.write_all(bytes).map_err(StateError::file("write", &self.path.join(name)))?;
        writer.finish()
    }

    /// Reads file `name` whole; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or was changed.
    pub fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        let Some(mut reader) = self.reader(name)? else { return Ok(None) };
        let mut bytes = Zeroizing::new(Vec::new());
        reader.read_to_end(&mut bytes).map_err(StateError::file("read", &self.path.join(name)))?;
        Ok(Some(bytes))
    }

    /// Reads JSON from file `name`; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, was changed, or is something else.
    pub fn read_json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        let damaged = |error: serde_json::Error| StateError::Damaged { path: self.path.join(name), why: json::place(&error) };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// Replaces file `name` with JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_json<T: serde::Serialize>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let damaged = |error: serde_json::Error| StateError::Damaged { path: self.path.join(name), why: error.to_string() };
        self.write(name, &Zeroizing::new(serde_json::to_vec(value).map_err(damaged)?))
    }

    /// Removes the files that `keep` refuses; locks always stay.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file not removed.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) -> Result<(), StateError> {
        // A file that is being replaced by another thread lives under another name until it is whole.
        for name in self.names()?.iter().filter(|name| !name.ends_with(".lock") && !keep(wanted_name(name))) {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StateError::file("remove", &path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The names of the folders below this one.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn folders(&self) -> Result<Vec<String>, StateError> {
        let entries = fs::read_dir(&self.path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(StateError::file("read", &self.path))?;
        let folders = entries.into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        Ok(folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }

    /// Takes over all files of another folder that is sealed with the same key; `last` comes last, so that it is here only when
    /// everything is, and leaves the other folder first.
    ///
    /// # Errors
    /// When a file cannot be moved; then both folders are as good as before.
    pub fn take_over(&self, other: &Self, last: &str) -> Result<(), StateError> {
        let names: Vec<String> = other.names()?.into_iter().filter(|name| !name.ends_with(".lock") && name != last).collect();
        for name in names.iter().map(String::as_str).chain([last]) {
            let (from, to) = (other.path.join(name), self.path.join(name));
            match fs::hard_link(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                // No hard links here (vfat).
                Err(_) => fs::copy(&from, &to).and_then(|_| File::open(&to)?.sync_all()),
                Ok(()) => Ok(()),
            }
            .map_err(StateError::file("write", &to))?;
        }
        sync_folder_of(&self.path.join(last)).map_err(StateError::file("write", &self.path))?;
        let last_path = other.path.join(last);
        fs::remove_file(&last_path).map_err(StateError::file("remove", &last_path))?;
        other.retain(|_| false)
    }

    /// The names of the files.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, StateError> {
        let entries = fs::read_dir(&self.path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(StateError::file("read", &self.path))?;
        let files = entries.into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        Ok(files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }
}

impl Keep for SealedFolder {
    fn load(&self, name: &str) -> io::Result<Option<Box<dyn Read>>> {
        let reader = self.reader(name).map_err(plainly)?;
        Ok(reader.map(|reader| Box::new(reader) as Box<dyn Read>))
    }

    fn replace(&self, name: &str, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        // The folder is made with its first file.
        make_private(&self.path).map_err(plainly)?;
        let mut out = BufWriter::new(self.writer(name).map_err(plainly)?);
        fill(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.finish().map_err(plainly)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        if self.path.try_exists()? { self.names().map_err(plainly) } else { Ok(vec![]) }
    }

    fn place(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

/// The error below: those who keep something name the file themselves.
fn plainly(error: StateError) -> io::Error {
    match error {
        StateError::File { source, .. } => source,
        StateError::Sealed { source, .. } => io::Error::other(source),
        error @ (StateError::Locked { .. } | StateError::Damaged { .. } | StateError::Newer { .. }) => io::Error::other(error),
    }
}

/// A sealed file on its way; without [`Self::finish`] the old one stays.
pub struct SealedWriter {
    payload: PayloadWriter<BufWriter<File>>,
    replacement: Replacement,
}

impl SealedWriter {
    /// Seals the end, and gives the file its name.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(self) -> Result<(), StateError> {
        let flushed = self.payload.finish().and_then(|mut out| out.flush());
        flushed.map_err(StateError::file("write", &self.replacement.path))?;
        self.replacement.finish()
    }
}

impl Write for SealedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.payload.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.payload.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::keep::Kept;
    use std::os::unix::fs::PermissionsExt;

    fn folder(root: &Path) -> SealedFolder {
        super::super::StateFolder::open(root.join("state"), None).unwrap().sealed("x").unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_and_is_private_and_sealed() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        assert!(folder.read("a").unwrap().is_none());
        let secret = b"some path names".repeat(30_000);
        folder.write("a", &secret).unwrap();
        assert_eq!(*self::folder(root.path()).read("a").unwrap().unwrap(), secret);
        let stored = fs::read(folder.path().join("a")).unwrap();
        assert!(!stored.windows(9).any(|window| window == b"some path"));
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(root.path().join("state/machine.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_writer_that_is_dropped_changes_nothing_and_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        folder.write("a", b"old").unwrap();
        let mut writer = folder.writer("a").unwrap();
        writer.write_all(b"new").unwrap();
        drop(writer);
        assert_eq!(*folder.read("a").unwrap().unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn every_change_of_a_sealed_file_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        folder.write("a", b"content").unwrap();
        let path = folder.path().join("a");
        let stored = fs::read(&path).unwrap();
        for position in 0..stored.len() {
            let mut changed = stored.clone();
            changed[position] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(folder.read("a").is_err(), "byte {position}");
        }
    }

    #[test]
    fn what_is_kept_is_replaced_whole_and_can_be_removed() {
        let root = tempfile::tempdir().unwrap();
        let state = super::super::StateFolder::open(root.path().join("state"), None).unwrap();
        let folder: Arc<dyn Keep> = Arc::new(state.kept("accounts", None));
        assert_eq!(folder.names().unwrap(), Vec::<String>::new());
        assert!(!state.path().join("accounts").exists());
        let file = Kept::new(folder.clone(), "main.session");
        assert!(file.load().unwrap().is_none());
        for content in [&b"the first secret"[..], b"the second"] {
            file.save(content).unwrap();
            assert_eq!(file.load().unwrap().unwrap().as_slice(), content);
        }
        assert!(file.replace(&mut |out| out.write_all(b"half").and(Err(io::ErrorKind::Other.into()))).is_err());
        assert_eq!(file.load().unwrap().unwrap().as_slice(), b"the second");
        assert_eq!(folder.names().unwrap(), ["main.session"]);
        let path = PathBuf::from(file.place());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(!fs::read(&path).unwrap().windows(6).any(|window| window == b"second"));
        fs::write(&path, b"forged").unwrap();
        assert!(file.load().is_err());
        file.remove().unwrap();
        file.remove().unwrap();
        assert!(file.load().unwrap().is_none());
    }

    #[test]
    fn a_lock_is_for_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path());
        let lock = folder.lock("run.lock").unwrap();
        assert!(matches!(folder.lock("run.lock"), Err(StateError::Locked { .. })));
        drop(lock);
        folder.lock("run.lock").unwrap();
    }
}
