//! Backs a folder up into a new vault below a temporary folder, and restores it: `cargo run --example backup_folder -- FOLDER`.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;

use tgvault::crypt::keys;
use tgvault::operations::events::Silent;
use tgvault::operations::snapshot::choice::SnapshotChoice;
use tgvault::operations::{Session, Stop, backup, init, restore};
use tgvault::repository::keys::Unlock;
use tgvault::source::folder::FolderSource;
use tgvault::state::StateFolder;
use tgvault::storage::Storage;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("src"), PathBuf::from);
    let here = tempfile::tempdir()?;
    let vault = here.path().join("vault");
    let (secret, recipient) = keys::generate();
    let session = Session {
        storage: Storage::open(&vault.to_string_lossy(), [], Default::default())?,
        state: StateFolder::open(here.path().join("state"), None)?,
        unlock: Some(Unlock::IdentityFile(secret)),
        root_key: None,
    };
    init::init(&session, &init::InitOptions { recipients: vec![recipient], ..Default::default() }).await?;

    let source = Arc::new(FolderSource::open(&folder, Default::default())?);
    let stored = backup::backup(&session, source, Default::default(), Arc::new(Silent), Stop::new()).await?;
    println!("{} entries, {} bytes, stored as {} bytes", stored.counts.entries, stored.counts.bytes, stored.counts.stored_bytes);

    let options = restore::RestoreOptions::into(here.path().join("restored"));
    let restored = restore::restore(&session, &SnapshotChoice::latest(), options, Arc::new(Silent), Stop::new()).await?;
    println!("{} entries restored, {} problems", restored.entries, restored.problems);
    Ok(())
}
