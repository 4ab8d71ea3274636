//! Files that hold secrets: sealed before they are written, replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

/// Encrypts what this source keeps on the local disk: the login, and the state of its backups.
///
/// The source never sees a key. Whoever implements this authenticates as well as encrypts: `open` refuses what `seal` did not make.
pub trait Sealer: Send + Sync {
    /// Encrypts `plain`.
    ///
    /// # Errors
    /// When the key cannot be had.
    fn seal(&self, plain: &[u8]) -> io::Result<Vec<u8>>;

    /// Decrypts what [`Sealer::seal`] gave.
    ///
    /// # Errors
    /// When the key is not the one it was sealed with, or the bytes were changed.
    fn open(&self, sealed: &[u8]) -> io::Result<Zeroizing<Vec<u8>>>;
}

/// A sealed file, 0600 in a folder 0700.
#[derive(Clone)]
pub(super) struct SealedFile {
    path: PathBuf,
    sealer: Arc<dyn Sealer>,
}

impl SealedFile {
    pub(super) fn new(path: PathBuf, sealer: Arc<dyn Sealer>) -> Self {
        Self { path, sealer }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's content; `None` where there is no file.
    pub(super) fn load(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        match fs::read(&self.path) {
            Ok(sealed) => self.sealer.open(&sealed).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the content: written beside, synced, renamed, the folder synced, so that a power cut leaves the old or the new.
    pub(super) fn save(&self, plain: &[u8]) -> io::Result<()> {
        let sealed = self.sealer.seal(plain)?;
        let folder = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut unique = [0; 8];
        getrandom::fill(&mut unique).map_err(io::Error::other)?;
        let beside = folder.join(format!(".{:016x}.new", u64::from_le_bytes(unique)));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(&sealed)?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            File::open(folder)?.sync_all()
        })();
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Stands in for the real one, with a check that it was used: the bytes are inverted behind a mark.
    pub(crate) struct Inverted;

    impl Sealer for Inverted {
        fn seal(&self, plain: &[u8]) -> io::Result<Vec<u8>> {
            Ok(b"sealed:".iter().copied().chain(plain.iter().map(|byte| !byte)).collect())
        }

        fn open(&self, sealed: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
            let body = sealed.strip_prefix(b"sealed:").ok_or(io::ErrorKind::InvalidData)?;
            Ok(Zeroizing::new(body.iter().map(|byte| !byte).collect()))
        }
    }

    #[test]
    fn what_is_saved_is_sealed_private_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts/main.session");
        let file = SealedFile::new(path.clone(), Arc::new(Inverted));
        assert!(file.load().unwrap().is_none());
        for content in [&b"the first secret"[..], b"the second"] {
            file.save(content).unwrap();
            assert_eq!(file.load().unwrap().unwrap().as_slice(), content);
        }
        assert!(!fs::read(&path).unwrap().windows(6).any(|window| window == b"second"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::write(&path, b"forged").unwrap();
        assert!(file.load().is_err());
        file.remove().unwrap();
        assert!(file.load().unwrap().is_none());
    }
}
