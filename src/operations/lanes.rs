//! How much is done side by side.

/// How many threads work side by side on this machine: its cores, up to a bound that keeps memory small.
pub fn default_lanes() -> usize {
    /// Each lane holds frames and parts of about 30 MiB.
    const MAX_LANES: usize = 3;
    std::thread::available_parallelism().map_or(1, usize::from).min(MAX_LANES)
}

/// How many pieces of the vault a restore or a verification reads side by side: more than there are cores, because each waits
/// for the disk or the store half of the time.
pub fn reading_lanes() -> usize {
    /// Each holds about 12 MiB.
    const MAX_LANES: usize = 6;
    std::thread::available_parallelism().map_or(1, usize::from).saturating_mul(2).min(MAX_LANES)
}
