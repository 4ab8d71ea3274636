//! What the targets of imports need: a receiver that keeps everything.

use std::io;

use tgvault::model::account::AccountSection;
use tgvault::model::chat::ChatInfo;
use tgvault::model::entry::EntryPath;
use tgvault::model::record::{MessageRecord, Raw};
use tgvault::source::export::convert::Files;
use tgvault::source::export::read::{Circumstances, Receiver};

/// What is known of an export from outside: the same for each input.
pub fn circumstances() -> Circumstances {
    Circumstances { zone: jiff::tz::TimeZone::UTC, observed: 1_700_000_000, run: "r1".parse().expect("a run id") }
}

/// An export without files.
pub struct NoFiles;

impl Files for NoFiles {
    fn find(&mut self, _: &str) -> Option<(EntryPath, u64)> {
        None
    }
}

/// Keeps the file as it was handed out, and its messages.
#[derive(Default)]
pub struct Everything {
    /// The pieces, one after the other.
    pub file: Vec<u8>,
    /// The records.
    pub messages: Vec<MessageRecord>,
}

impl Receiver for Everything {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.extend_from_slice(bytes);
        Ok(())
    }

    fn message(&mut self, record: MessageRecord) -> io::Result<()> {
        if let Some(Raw::Json { bytes, .. } | Raw::Html { bytes }) = &record.raw {
            self.file.extend_from_slice(bytes);
        }
        self.messages.push(record);
        Ok(())
    }

    fn chat(&mut self, _: ChatInfo) -> io::Result<()> {
        Ok(())
    }

    fn section(&mut self, _: AccountSection) -> io::Result<()> {
        Ok(())
    }

    fn problem(&mut self, _: u64, _: &str) {}
}
