//! The payload behind a sound header: any bytes, whole or at any chunk, and any claimed length.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use tgvault_archive::crypt::header;
use tgvault_archive::crypt::payload::{PayloadReader, open_chunks, plain_length};
use tgvault_fuzz::{identities, sealed};

fuzz_target!(|input: (u64, u32, bool, &[u8], &[u8])| {
    let (length, first, ends, plain, sealed_bytes) = input;
    let _ = plain_length(length);
    let (stored, _) = sealed(plain);
    let open = || header::open(&stored, identities()).expect("its own header");
    let (head, key) = open();
    let mut out = Vec::new();
    PayloadReader::new(key, &stored[head..]).read_to_end(&mut out).expect("its own payload");
    assert_eq!(out, plain);
    assert!(PayloadReader::new(open().1, sealed_bytes).read_to_end(&mut out).is_err());
    out.clear();
    let _ = open_chunks(&open().1, first.into(), ends, &mut sealed_bytes.to_vec(), &mut out);
    assert!(out.is_empty(), "nothing that was not sealed may be opened");
});
