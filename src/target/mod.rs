//! A folder that a restore writes into.
//!
//! [`TargetFolder`] makes folders, links and files below one root and nowhere else: every component of every path is opened
//! relative to its parent's descriptor, without following links (`folders`). A file is written under a temporary name
//! (`staging`, `writer`; a large one past the page cache, `direct`), gets its attributes (`attributes`), reaches the disk and only
//! then its final name (`commit`): after a crash a name holds the old file or the whole new one.

mod attributes;
mod commit;
mod direct;
mod error;
mod folder;
mod folders;
mod staging;
mod writer;

#[cfg(test)]
mod tests;

pub use commit::Failure;
pub use error::TargetError;
pub use folder::{FileAt, Overwrite, Restored, TargetFolder, TargetOptions};
pub use writer::FileWriter;
