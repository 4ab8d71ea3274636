//! What the objects of a repository mean.
//!
//! - [`format`]: the types on disk and the names of objects.
//! - [`tree`]: the state of a snapshot, laid together from its archives' indexes.

pub mod format;
pub mod tree;
