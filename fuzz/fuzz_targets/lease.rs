//! Leases of runs in progress.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault::repository::format::lease::Lease;

fuzz_target!(|bytes: &[u8]| {
    let Ok(lease) = serde_json::from_slice::<Lease>(bytes) else { return };
    let again = serde_json::to_vec(&lease).expect("a lease that was read can be written");
    assert_eq!(serde_json::from_slice::<Lease>(&again).expect("and read again"), lease);
});
