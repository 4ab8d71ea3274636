//! A page of an HTML export: its pieces are the page whatever it is, every record that comes of it can be written and read again, and
//! what is rendered of it is valid JSON, and pages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tgvault::model::record::Record;
use tgvault::source::desktop::html::{ChatPages, is_chat_page};
use tgvault_fuzz::import::{Everything, NoFiles, circumstances, render};

fuzz_target!(|page: &[u8]| {
    let _ = is_chat_page(page);
    let mut all = Everything::default();
    let mut pages = ChatPages::new(circumstances(), "chats/chat_1/", None, None);
    pages.page(page, &mut NoFiles, &mut all).expect("nothing fails in memory");
    assert!(all.file == page, "the pieces are the page");
    render(&all.messages);
    for message in all.messages {
        let mut line = Vec::new();
        Record::Message(message).write_line(&mut line).expect("what was read can be written");
        assert!(Record::from_line(&line).is_ok());
    }
});
