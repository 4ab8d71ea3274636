//! What is kept on this machine from run to run, as those see it who have something to keep.
//!
//! Whoever implements [`Keep`] seals what is written; those who use it never see a key or a path.

use std::io::{self, Read, Write};
use std::sync::Arc;

use zeroize::Zeroizing;

/// Files by name, each replaced whole or not at all.
pub trait Keep: Send + Sync {
    /// Opens a file; `None` where there is none. Only what is read to its end is known to be whole.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was kept.
    fn load(&self, name: &str) -> io::Result<Option<Box<dyn Read>>>;

    /// Replaces a file by what `fill` writes: a power cut leaves the old one or the new one.
    ///
    /// # Errors
    /// When it cannot be written, and those of `fill`.
    fn replace(&self, name: &str, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()>;

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// When it stays.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// The names of all files.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn names(&self) -> io::Result<Vec<String>>;

    /// How an error names a file to people.
    fn place(&self, name: &str) -> String;
}

/// One of the files of a [`Keep`].
#[derive(Clone)]
pub struct Kept {
    keep: Arc<dyn Keep>,
    name: String,
}

impl Kept {
    /// The file of this name.
    pub fn new(keep: Arc<dyn Keep>, name: impl Into<String>) -> Self {
        Self { keep, name: name.into() }
    }

    /// How an error names it to people.
    pub fn place(&self) -> String {
        self.keep.place(&self.name)
    }

    /// Opens it, as [`Keep::load`].
    ///
    /// # Errors
    /// When it cannot be read, or is not what was kept.
    pub fn reader(&self) -> io::Result<Option<Box<dyn Read>>> {
        self.keep.load(&self.name)
    }

    /// Reads all of it; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was kept.
    pub fn load(&self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(mut reader) = self.reader()? else { return Ok(None) };
        let mut plain = Zeroizing::new(Vec::new());
        reader.read_to_end(&mut plain)?;
        Ok(Some(plain))
    }

    /// Replaces it by what `fill` writes.
    ///
    /// # Errors
    /// When it cannot be written, and those of `fill`.
    pub fn replace(&self, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        self.keep.replace(&self.name, fill)
    }

    /// Replaces it by these bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, plain: &[u8]) -> io::Result<()> {
        self.replace(&mut |out| out.write_all(plain))
    }

    /// Removes it.
    ///
    /// # Errors
    /// When it stays.
    pub fn remove(&self) -> io::Result<()> {
        self.keep.remove(&self.name)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, MutexGuard};

    use super::*;

    /// Keeps in memory, for tests of those who keep something.
    #[derive(Default)]
    pub(crate) struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

    impl Memory {
        pub(crate) fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
            self.0.lock().unwrap()
        }
    }

    impl Keep for Memory {
        fn load(&self, name: &str) -> io::Result<Option<Box<dyn Read>>> {
            Ok(self.files().get(name).cloned().map(|bytes| Box::new(io::Cursor::new(bytes)) as Box<dyn Read>))
        }

        fn replace(&self, name: &str, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
            let mut bytes = Vec::new();
            fill(&mut bytes)?;
            self.files().insert(name.to_owned(), bytes);
            Ok(())
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.files().remove(name);
            Ok(())
        }

        fn names(&self) -> io::Result<Vec<String>> {
            Ok(self.files().keys().cloned().collect())
        }

        fn place(&self, name: &str) -> String {
            name.to_owned()
        }
    }
}
