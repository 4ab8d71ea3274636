//! Looking around in a snapshot with a browser on the same machine, straight on the vault: nothing unencrypted on disk, read-only.
//!
//! - [`server`]: HTTP on loopback; [`access`]: who may ask; `routes`: what is asked for; `pages`: the answers.

pub mod access;
mod media;
mod pages;
mod routes;
pub mod server;
