//! Sums files: what is read is written back to the same lines, and names nothing outside of the repository.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault::repository::format::sums::{read, write};

fuzz_target!(|text: &str| {
    if let Ok(lines) = read(text) {
        assert!(lines.iter().all(|line| !line.name.starts_with('/') && !line.name.contains("..")));
        assert_eq!(read(&write(&lines)).expect("its own lines"), lines);
    }
});
