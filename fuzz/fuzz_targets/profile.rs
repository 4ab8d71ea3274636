//! Profiles, which are read from a file.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tgvault::fuzzing::{Places, load};

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(|bytes: &[u8]| {
    let file = FOLDER.path().join("profile.toml");
    std::fs::write(&file, bytes).expect("a file");
    let places = Places { home: Some("/home/u".into()), ..Places::default() };
    if let Err(error) = load(file.to_str(), &places) {
        let _ = (error.to_string(), error.hint().map(str::len));
    }
});
