//! Recovery without tgvault: the shell lines of `docs/recovery.md`, run with the system's own age, zstd, tar, minisign and jq.

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "shared with the tests of whole operations, which use the rest")]
mod support;

/// Ends the test, as skipped, where the tools are missing that the page calls.
macro_rules! needs_tools {
    () => {
        tgvault_test_support::needs_programs!("bash", "age", "zstd", "tar", "minisign", "sha256sum", "jq")
    };
}

mod bounds;
mod changes;
mod made;
mod sums;
mod vault;
mod whole;
