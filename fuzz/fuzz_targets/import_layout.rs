//! A layout of an imported file: whatever it says, putting the file together ends, with the file or an error.
#![no_main]

use std::io::{self, Write};

use libfuzzer_sys::fuzz_target;
use tgvault::source::desktop::layout::rebuild;

/// Takes a bounded number of bytes: a layout may ask for the same record a million times.
struct Bounded(usize);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|layout: &[u8]| {
    let _ = rebuild(layout, |_, _, id| (id % 7 != 3).then(|| vec![b'x'; 3]), &mut Bounded(1 << 20));
});
