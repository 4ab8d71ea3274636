//! The root of trust: its JSON, and what is done with the keys that it names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault::crypt::keys::Recipients;
use tgvault::repository::format::root::Root;

const SIGNATURE: &str = include_str!("../seeds/signature/sound");

fuzz_target!(|bytes: &[u8]| {
    let Ok(root) = serde_json::from_slice::<Root>(bytes) else { return };
    let _ = Recipients::parse(root.current_recipients());
    let _ = root.root_key.verify(bytes, SIGNATURE);
    for writer in &root.writers {
        let _ = writer.key.verify(bytes, SIGNATURE);
        root.accepts(writer.id, root.repository, root.number);
    }
    let again = serde_json::to_vec(&root).expect("a root that was read can be written");
    assert_eq!(serde_json::from_slice::<Root>(&again).expect("and read again"), root);
});
