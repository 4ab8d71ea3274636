//! How many files this process may have open.

use rustix::process::{Resource, getrlimit};

/// At most `wanted` descriptors for one purpose, and an eighth of what the process may have.
pub(crate) fn descriptors(wanted: usize) -> usize {
    wanted.min((most() / 8).max(2))
}

/// At most `wanted` threads that each have some files of their own open, beside what the process holds anyhow.
pub(crate) fn threads(wanted: usize) -> usize {
    const HELD_ANYHOW: usize = 36;
    const EACH: usize = 4;
    wanted.min(most().saturating_sub(HELD_ANYHOW) / EACH).max(1)
}

fn most() -> usize {
    getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX)
}
