//! The types on disk, format version 1: what each small object of a repository says. `docs/format.md` explains them.

pub mod descriptor;
pub mod lease;
pub mod lock;
pub mod mark;
pub mod names;
pub mod pack;
pub mod record;
pub mod root;
pub mod snapshot;
pub mod sums;
pub mod version;
