//! Signatures and keys in minisign's form. Nothing that a fuzzer writes may hold.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tgvault_archive::crypt::signature::{SigningKey, VerifyingKey};

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().expect("randomness"));

fuzz_target!(|text: &str| {
    assert!(KEY.public().verify(b"bytes", text).is_err());
    let _ = SigningKey::parse(text);
    if let Ok(key) = VerifyingKey::parse(text) {
        let _ = key.verify(b"bytes", include_str!("../seeds/signature/sound"));
    }
});
