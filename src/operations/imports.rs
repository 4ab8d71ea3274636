//! What imports of exports need of this machine: a place, sealed, for what earlier ones stored.

use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;

use super::{OperationError, Session};
use crate::crypt::digest::sha256;
use crate::source::desktop::import::DesktopExport;
use crate::source::desktop::known::{Keeper, Remembered};
use crate::state::SealedFolder;

/// The file that holds the table of stored messages.
const TABLE: &str = "imported.age";

struct Sealed(SealedFolder);

impl Keeper for Sealed {
    fn load(&self) -> io::Result<Option<Box<dyn Read>>> {
        let reader = self.0.reader(TABLE).map_err(io::Error::other)?;
        Ok(reader.map(|reader| Box::new(reader) as Box<dyn Read>))
    }

    fn save(&self, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut out = BufWriter::new(self.0.writer(TABLE).map_err(io::Error::other)?);
        write(&mut out)?;
        let writer = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        writer.finish().map_err(io::Error::other)
    }
}

/// What this machine remembers of the imports of an account into this repository.
///
/// # Errors
/// When there is no repository, or the state folder cannot be used.
pub async fn remembered(session: &Session, account: &str) -> Result<Arc<Remembered>, OperationError> {
    let opened = session.open_locked().await?;
    let source = DesktopExport::source_name(account);
    let name = sha256(format!("{}\0{}", source.kind, source.name).as_bytes()).to_string();
    let folder = opened.folder.folder(&format!("imports-{}", name.get(..32).unwrap_or(&name)))?;
    let known = Remembered::kept(Box::new(Sealed(folder)));
    known.map(Arc::new).map_err(|error| OperationError::Internal(format!("no randomness: {error}")))
}
