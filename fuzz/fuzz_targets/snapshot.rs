//! The snapshot's JSON, as it is inside its seal, and the compressed form around it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault::archive::frame::decompress_small;
use tgvault::repository::format::snapshot::Snapshot;

fuzz_target!(|bytes: &[u8]| {
    let _ = decompress_small(bytes, 1 << 20);
    let Ok(snapshot) = serde_json::from_slice::<Snapshot>(bytes) else { return };
    for record in &snapshot.archives {
        record.expected();
    }
    let again = serde_json::to_vec(&snapshot).expect("a snapshot that was read can be written");
    assert_eq!(serde_json::from_slice::<Snapshot>(&again).expect("and read again"), snapshot);
});
