//! The table of what imports have stored, as a machine keeps it: what is read is what is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault::source::desktop::known::table::Table;

fuzz_target!(|bytes: &[u8]| {
    let Ok(table) = Table::read(&mut &bytes[..]) else { return };
    let mut written = Vec::new();
    table.write(&mut written).expect("nothing fails in memory");
    let again = Table::read(&mut &written[..]).expect("what was written can be read");
    let mut once_more = Vec::new();
    again.write(&mut once_more).expect("nothing fails in memory");
    assert!(written == once_more);
});
