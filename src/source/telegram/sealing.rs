//! Files that hold secrets: sealed before they are written, replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

/// Encrypts what this source keeps on the local disk: the login, and the state of its backups.
///
/// The source never sees a key. Whoever implements this authenticates as well as encrypts: `open` refuses what `seal` did not make.
pub trait Sealer: Send + Sync {
    /// Encrypts what `fill` writes, into `out`.
    ///
    /// # Errors
    /// When the key cannot be had, and those of `out` and `fill`.
    fn seal(&self, out: &mut dyn Write, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()>;

    /// Decrypts what [`Sealer::seal`] wrote. Reading fails where the bytes were changed, and at the end where it is not the end.
    ///
    /// # Errors
    /// When the key is not the one it was sealed with.
    fn open(&self, sealed: File) -> io::Result<Box<dyn Read>>;
}

/// A sealed file, 0600 in a folder 0700.
#[derive(Clone)]
pub(crate) struct SealedFile {
    path: PathBuf,
    sealer: Arc<dyn Sealer>,
}

impl SealedFile {
    pub(crate) fn new(path: PathBuf, sealer: Arc<dyn Sealer>) -> Self {
        Self { path, sealer }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's content; `None` where there is no file.
    pub(crate) fn load(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(mut reader) = self.reader()? else { return Ok(None) };
        let mut plain = Zeroizing::new(Vec::new());
        reader.read_to_end(&mut plain)?;
        Ok(Some(plain))
    }

    /// The file's content as a stream; `None` where there is no file. Only what is read to its end is known to be whole.
    pub(crate) fn reader(&self) -> io::Result<Option<Box<dyn Read>>> {
        match File::open(&self.path) {
            Ok(sealed) => self.sealer.open(sealed).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the content.
    pub(crate) fn save(&self, plain: &[u8]) -> io::Result<()> {
        self.replace(&mut |out| out.write_all(plain))
    }

    /// Replaces the content by what `fill` writes: beside, synced, renamed, the folder synced, so that a power cut leaves the old or
    /// the new.
    pub(crate) fn replace(&self, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let folder = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut unique = [0; 8];
        getrandom::fill(&mut unique).map_err(io::Error::other)?;
        let beside = folder.join(format!(".{:016x}.new", u64::from_le_bytes(unique)));
        let written = (|| {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            let mut out = BufWriter::new(&file);
            self.sealer.seal(&mut out, fill)?;
            out.flush()?;
            drop(out);
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            File::open(folder)?.sync_all()
        })();
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Stands in for the real one, with a check that it was used: the bytes are inverted behind a mark.
    pub(crate) struct Inverted;

    impl Sealer for Inverted {
        fn seal(&self, out: &mut dyn Write, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
            let mut plain = Vec::new();
            fill(&mut plain)?;
            let sealed: Vec<u8> = b"sealed:".iter().copied().chain(plain.iter().map(|byte| !byte)).collect();
            out.write_all(&sealed)
        }

        fn open(&self, mut sealed: File) -> io::Result<Box<dyn Read>> {
            let mut bytes = Vec::new();
            sealed.read_to_end(&mut bytes)?;
            let body = bytes.strip_prefix(b"sealed:").ok_or(io::ErrorKind::InvalidData)?;
            Ok(Box::new(io::Cursor::new(body.iter().map(|byte| !byte).collect::<Vec<u8>>())))
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
