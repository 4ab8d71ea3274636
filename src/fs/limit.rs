//! How many files this process may have open.

use rustix::process::{Resource, getrlimit};

/// At most `wanted` descriptors for one purpose, and an eighth of what the process may have.
pub(crate) fn descriptors(wanted: usize) -> usize {
    let most = getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    wanted.min((most / 8).max(2))
}
