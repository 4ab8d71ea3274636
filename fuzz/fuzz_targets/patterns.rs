//! Patterns of `--include` and `--exclude`, and of files with them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault::model::entry::EntryPath;
use tgvault::model::filter::{PathFilter, pattern_lines};

fuzz_target!(|input: (&str, &str, &[u8])| {
    let (include, exclude, path) = input;
    let Ok(filter) = PathFilter::new(pattern_lines(include), pattern_lines(exclude)) else { return };
    let Ok(path) = EntryPath::new(path) else { return };
    let taken = filter.takes(&path);
    assert!(!(taken && filter.excludes(&path)));
});
