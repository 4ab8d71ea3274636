//! Index lines: what is read is written back to the same entry.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault_archive::archive::index::{IndexEntry, is_part_name, read_lines};

fuzz_target!(|bytes: &[u8]| {
    is_part_name(bytes);
    let _ = read_lines(bytes, &mut |entry| {
        let mut line = Vec::new();
        entry.write_line(&mut line).expect("an entry that was read can be written");
        assert_eq!(IndexEntry::parse_line(&line).expect("and read again"), entry);
        Ok(())
    });
});
