//! Stores of objects: a folder, S3, Google Cloud Storage, Azure, or memory, behind one type.
//!
//! This is the only place that knows which store it is. Above it there are names, bytes and [`StorageError`].
//!
//! - [`Storage`]: opened from an address; create-only puts, uploads in parts, ranged reads, listing, deletion.
//! - [`Upload`]: an object written in parts of [`PART_BYTES`]; it appears whole at [`Upload::complete`] or not at all.
//! - [`UploadNotes`]: where uploads are noted that are under way, so that a later process can remove them.
//! - [`Conditions`]: what a store makes of a put under a condition.
//! - [`StorageOptions`]: rate limits, the retry budget, the time after which a silent connection counts as dead.
//! - [`Faults`]: a wrapper for tests that makes chosen calls fail; [`Counts`]: one that notes them.
//!
//! **Invariants.** An object is never overwritten: a name that is taken answers [`StorageError::Exists`], unless it holds
//! the very same bytes. What a call reported as written is on the disk, folders included. A listing is complete or it is
//! an error.

mod address;
mod backend;
mod cloud;
mod conditions;
mod counted;
mod error;
mod faulty;
mod listing;
mod local;
mod object;
mod options;
mod probe;
mod reader;
mod retry;
mod store;
mod traffic;
mod unfinished;
mod upload;

pub use address::refuse_foreign;
pub use backend::{ObjectInfo, Taken};
pub use conditions::Conditions;
pub use counted::{Counts, Request};
pub use error::StorageError;
pub use faulty::{FaultKind, Faults};
pub use options::{OnWait, StorageOptions, Waiting};
pub use probe::PROBES;
pub use reader::ObjectReader;
pub use store::Storage;
pub use traffic::Traffic;
pub use unfinished::UploadNotes;
pub use upload::{PART_BYTES, Upload};
