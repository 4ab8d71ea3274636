//! `tgvault.json`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault::repository::format::descriptor::Descriptor;

fuzz_target!(|bytes: &[u8]| {
    let Ok(descriptor) = serde_json::from_slice::<Descriptor>(bytes) else { return };
    descriptor.format.is_readable();
    let again = serde_json::to_vec(&descriptor).expect("a descriptor that was read can be written");
    assert_eq!(serde_json::from_slice::<Descriptor>(&again).expect("and read again"), descriptor);
});
