//! Servers and helpers for the tests: everything on loopback, on ports that the system chooses.
//!
//! - [`mounts`]: folders mounted as file systems show them that are unlike a disk.
//! - [`needs`]: what a test needs beside the build, and what becomes of it where that is missing.
//! - [`stores`]: servers for S3, Azure and Google, real ones where there are any.
//! - [`gate`]: an HTTP server that stands before another one, or alone, and misbehaves as a test tells it.
//! - [`proxies`]: proxies that count what goes through them.
//! - [`sandbox`]: the built program in an empty home, with a clean environment.
//! - [`telegram`]: a Telegram server with an account generated from a seed.
//! - [`tls`]: HTTPS before any of them.
//! - [`tree`]: what a folder holds, for comparing.

pub mod gate;
pub mod mounts;
pub mod needs;
pub mod proxies;
pub mod sandbox;
pub mod stores;
pub mod telegram;
pub mod tls;
pub mod tree;

mod background;

pub use background::Port;
