//! age headers: of anybody's making, and a sound one with some bytes changed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tgvault_archive::crypt::{blob, header};
use tgvault_fuzz::{identities, sealed};

static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| sealed(b"content").0);

fuzz_target!(|input: (Vec<(u16, u8)>, &[u8])| {
    let (edits, raw) = input;
    let _ = (header::open(raw, identities()), blob::open(raw, identities(), 100));
    let mut changed = SOUND.clone();
    for (at, byte) in edits {
        let length = changed.len();
        changed[usize::from(at) % length] = byte;
    }
    assert!(changed == *SOUND || blob::open(&changed, identities(), 100).is_err());
});
