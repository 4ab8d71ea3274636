//! tgvault: automatic, encrypted, verifiable backups of Telegram that belong to the user alone.

mod fs;
pub mod model;
pub mod source;
pub mod target;
