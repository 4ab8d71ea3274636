//! tgvault: automatic, encrypted, verifiable backups of Telegram that belong to the user alone.

pub mod model;
pub mod render;
pub mod source;
