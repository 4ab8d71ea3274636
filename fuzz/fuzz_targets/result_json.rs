//! A `result.json`: its pieces are the file whatever it is, every record that comes of it can be written and read again, and what is
//! rendered of it is valid JSON, and pages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault::model::record::Record;
use tgvault::source::desktop::read::read_json;
use tgvault_fuzz::import::{Everything, NoFiles, circumstances, render};

fuzz_target!(|file: &[u8]| {
    let mut all = Everything::default();
    let summary = read_json(file, circumstances(), &mut NoFiles, &mut all).expect("nothing fails in memory");
    assert!(all.file == file, "the pieces are the file");
    assert_eq!((summary.bytes, summary.messages), (file.len() as u64, all.messages.len() as u64));
    render(&all.messages);
    for message in all.messages {
        let raw = message.raw.clone();
        let mut line = Vec::new();
        Record::Message(message).write_line(&mut line).expect("what was read can be written");
        let Ok(Record::Message(read)) = Record::from_line(&line) else { panic!("what was written can be read") };
        assert_eq!(read.raw, raw);
    }
});
