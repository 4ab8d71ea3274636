//! tgvault: automatic, encrypted, verifiable backups of Telegram that belong to the user alone.

pub mod archive;
pub mod crypt;
mod fs;
pub mod model;
pub mod operations;
pub mod repository;
pub mod source;
pub mod state;
pub mod storage;
pub mod target;
