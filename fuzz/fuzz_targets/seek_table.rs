//! The end of an archive: trailer and seek table, of a plain archive of any claimed length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault_archive::archive::seek::{Frame, Layout, length_from_footer, read, write};
use tgvault_fuzz::ID;

fuzz_target!(|input: (u64, u32, Vec<(u32, u32)>, Vec<(u16, u8)>, &[u8])| {
    let (plain_bytes, own_frame, frames, edits, raw) = input;
    let _ = (length_from_footer(raw), read(raw, plain_bytes));
    // A table as the writer makes it, of the right length or not, with some bytes changed.
    let frames: Vec<Frame> = frames.into_iter().map(|(coded, plain)| Frame { coded, plain }).collect();
    let layout = Layout { id: ID, own_frame, frames };
    let mut end = write(&layout);
    let right = layout.frames.iter().map(|frame| u64::from(frame.coded)).sum::<u64>() + end.len() as u64;
    if let Ok(again) = read(&end, right) {
        assert_eq!(again, layout);
    }
    for (at, byte) in edits {
        let length = end.len();
        end[usize::from(at) % length] = byte;
    }
    let _ = (read(&end, right), read(&end, plain_bytes));
});
