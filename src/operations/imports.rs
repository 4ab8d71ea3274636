//! What imports of exports need of this machine: a place, sealed, for what earlier ones stored.

use std::sync::Arc;

use super::{OperationError, Session};
use crate::crypt::digest::sha256;
use crate::model::keep::Kept;
use crate::source::desktop::import::DesktopExport;
use crate::source::desktop::known::Remembered;

/// The file that holds the table of stored messages.
const TABLE: &str = "imported.age";

/// What this machine remembers of the imports of an account into this repository.
///
/// # Errors
/// When there is no repository, or the state folder cannot be used.
pub async fn remembered(session: &Session, account: &str) -> Result<Arc<Remembered>, OperationError> {
    let opened = session.open_locked().await?;
    let source = DesktopExport::source_name(account);
    let name = sha256(format!("{}\0{}", source.kind, source.name).as_bytes()).to_string();
    let folder = opened.folder.folder(&format!("imports-{}", name.get(..32).unwrap_or(&name)))?;
    let known = Remembered::kept(Kept::new(Arc::new(folder), TABLE));
    known.map(Arc::new).map_err(|error| OperationError::Internal(format!("no randomness: {error}")))
}
