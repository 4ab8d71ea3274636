//! Recovery without tgvault: the shell lines of `docs/recovery.md`, run with the system's own age, zstd, tar, minisign and jq.

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "shared with the tests of whole operations, which use the rest")]
mod support;

mod changes;
mod made;
mod vault;
mod whole;
