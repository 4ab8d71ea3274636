//! tgvault: automatic, encrypted, verifiable backups of Telegram that belong to the user alone.
//!
//! A run takes what a [`source`] lists, leaves out what the last snapshot has, and sends the rest as one stream through
//! tar → zstd → age → SHA-256 ([`archive`], [`crypt`]) to a [`storage`]; the [`repository`] says what the stored objects mean.
//! [`operations`] joins these; [`commands`] is the command line. `docs/architecture.md` is the map.
//!
//! ```
//! # use std::sync::Arc;
//! # use tgvault::operations::{Session, Stop, backup, init, restore, snapshot::choice::SnapshotChoice, events::Silent};
//! # use tgvault::{crypt::keys, repository::keys::Unlock, source::folder::FolderSource, state::StateFolder, storage::Storage};
//! # #[tokio::main(flavor = "multi_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let here = tempfile::tempdir()?;
//! std::fs::create_dir(here.path().join("photos"))?;
//! std::fs::write(here.path().join("photos/cat.jpg"), "meow")?;
//!
//! // A new repository that one age identity can read.
//! let (secret, recipient) = keys::generate();
//! let session = Session {
//!     storage: Storage::open("memory://", [], Default::default())?,
//!     state: StateFolder::open(here.path().join("state"), None)?,
//!     unlock: Some(Unlock::IdentityFile(secret)),
//!     root_key: None,
//! };
//! init::init(&session, &init::InitOptions { recipients: vec![recipient], ..Default::default() }).await?;
//!
//! // A folder goes in …
//! let source = Arc::new(FolderSource::open(&here.path().join("photos"), Default::default())?);
//! backup::backup(&session, source, Default::default(), Arc::new(Silent), Stop::new()).await?;
//!
//! // … and comes back.
//! let options = restore::RestoreOptions::into(here.path().join("restored"));
//! let summary = restore::restore(&session, &SnapshotChoice::latest(), options, Arc::new(Silent), Stop::new()).await?;
//! assert_eq!(summary.problems, 0);
//! assert_eq!(std::fs::read_to_string(here.path().join("restored/cat.jpg"))?, "meow");
//! # Ok(())
//! # }
//! ```

pub mod archive;
pub mod commands;
pub mod crypt;
mod fs;
pub mod model;
pub mod operations;
pub mod render;
pub mod repository;
pub mod source;
pub mod state;
pub mod storage;
pub mod target;
