//! Backs a folder up into a new vault below a temporary folder, and restores it: `cargo run --example backup_folder -- FOLDER`.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::sync::Arc;

use tgvault::Vault;
use tgvault::crypt::keys;
use tgvault::operations::init::InitOptions;
use tgvault::operations::snapshot::choice::SnapshotChoice;
use tgvault::repository::keys::Unlock;
use tgvault::source::folder::FolderSource;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("src"), PathBuf::from);
    let here = tempfile::tempdir()?;
    let (secret, recipient) = keys::generate();
    let address = here.path().join("vault");
    let vault = Vault::open(&address.to_string_lossy(), &here.path().join("state"))?.unlocked_with(Unlock::IdentityFile(secret));
    vault.init(&InitOptions { recipients: vec![recipient], ..Default::default() }).await?;

    let stored = vault.backup(Arc::new(FolderSource::open(&folder, Default::default())?)).await?;
    println!("{} entries, {} bytes, stored as {} bytes", stored.counts.entries, stored.counts.bytes, stored.counts.stored_bytes);

    let restored = vault.restore(SnapshotChoice::latest(), here.path().join("restored")).await?;
    println!("{} entries restored, {} problems", restored.entries, restored.problems);
    Ok(())
}
