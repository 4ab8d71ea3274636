//! tgvault: automatic, encrypted, verifiable backups of Telegram that belong to the user alone.
//!
//! A run takes what a [`source`] lists, leaves out what the last snapshot has, and sends the rest as one stream through
//! tar → zstd → age → SHA-256 ([`archive`], [`crypt`]) to a [`storage`]; the [`repository`] says what the stored objects mean.
//! [`operations`] joins these, and [`Vault`] is the door to them. `docs/architecture.md` is the map.
//!
//! ```
//! # use std::sync::Arc;
//! # use tgvault::operations::{init::InitOptions, snapshot::choice::SnapshotChoice};
//! # use tgvault::{Vault, crypt::keys, repository::keys::Unlock, source::folder::FolderSource};
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let here = tempfile::tempdir()?;
//! std::fs::create_dir(here.path().join("photos"))?;
//! std::fs::write(here.path().join("photos/cat.jpg"), "meow")?;
//!
//! // A new vault that one age identity can read.
//! let (secret, recipient) = keys::generate();
//! let vault = Vault::open("memory://", &here.path().join("state"))?.unlocked_with(Unlock::IdentityFile(secret));
//! vault.init(&InitOptions { recipients: vec![recipient], ..Default::default() }).await?;
//!
//! // A folder goes in …
//! let source = FolderSource::open(&here.path().join("photos"), Default::default())?;
//! vault.backup(Arc::new(source)).await?;
//!
//! // … and comes back.
//! let summary = vault.restore(SnapshotChoice::latest(), here.path().join("restored")).await?;
//! assert_eq!(summary.problems, 0);
//! assert_eq!(std::fs::read_to_string(here.path().join("restored/cat.jpg"))?, "meow");
//! # Ok(())
//! # }
//! ```

mod alerts;
mod commands;
mod fs;
pub mod model;
#[cfg(target_os = "linux")]
mod mount;
pub mod operations;
pub mod render;
pub mod repository;
mod schedule;
pub mod source;
pub mod state;
pub mod storage;
pub mod target;
mod vault;
mod viewer;

pub use tgvault_archive::{archive, crypt};
pub use vault::{Task, Vault};

#[doc(hidden)]
pub use commands::program::run;

/// What fuzz targets need of the command line, which is no part of the library.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::commands::config::profile::{Places, load};
}
