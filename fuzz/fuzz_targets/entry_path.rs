//! Paths of entries: what is accepted stays below the target, and survives JSON.
#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use tgvault_archive::model::entry::EntryPath;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(path) = serde_json::from_slice::<EntryPath>(bytes) {
        let _ = path.to_string();
    }
    let Ok(path) = EntryPath::new(bytes) else { return };
    use std::os::unix::ffi::OsStrExt;
    let native = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
    assert!(native.components().all(|component| matches!(component, Component::Normal(_))));
    assert_eq!(native.components().count(), path.components().count());
    assert!(!path.to_string().chars().any(char::is_control));
    if let Some(parent) = path.parent() {
        assert_eq!(parent.join(path.file_name()).as_ref(), Ok(&path));
    }
    let json = serde_json::to_vec(&path).expect("a path can be written");
    assert_eq!(serde_json::from_slice::<EntryPath>(&json).expect("and read again"), path);
});
