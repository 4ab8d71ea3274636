//! Sums files: what is read is written back to the same lines, and names nothing outside of the repository.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault::repository::format::sums::{read, write};

fuzz_target!(|text: &str| {
    if let Ok(lines) = read(text) {
        assert!(lines.iter().flat_map(|line| line.name.split('/')).all(|part| !matches!(part, "" | "." | "..")));
        assert_eq!(read(&write(&lines)).expect("its own lines"), lines);
    }
});
