//! A source of one's own: notes that exist only in memory. `cargo run --example own_source`
#![allow(clippy::print_stdout)]

use std::io::{self, Cursor};
use std::sync::Arc;

use tgvault::Vault;
use tgvault::crypt::keys;
use tgvault::model::entry::{EntryPath, Kind, Metadata, Timestamp};
use tgvault::operations::init::InitOptions;
use tgvault::operations::snapshot::choice::SnapshotChoice;
use tgvault::repository::keys::Unlock;
use tgvault::source::{Body, Content, Item, Sink, Source, SourceError, SourceName};

struct Notes(Vec<(&'static str, &'static str)>);

struct Text(&'static str);

struct Reader(Cursor<&'static [u8]>);

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Body for Reader {}

impl Content for Text {
    fn open(&self, from: u64) -> io::Result<Box<dyn Body>> {
        let mut reader = Cursor::new(self.0.as_bytes());
        reader.set_position(from);
        Ok(Box::new(Reader(reader)))
    }
}

impl Source for Notes {
    fn name(&self) -> SourceName {
        SourceName { kind: "notes".into(), name: "example".into() }
    }

    fn lists_everything(&self) -> bool {
        true
    }

    fn list(&self, sink: &mut dyn Sink) -> Result<(), SourceError> {
        for &(name, text) in &self.0 {
            let meta = Metadata { mode: 0o600, mtime: Timestamp { seconds: 1_790_000_000, nanos: 0 }, ..Metadata::default() };
            let path =
                EntryPath::new(name).map_err(|error| SourceError::Unreadable { what: name.into(), source: io::Error::other(error) })?;
            let content: Arc<dyn Content> = Arc::new(Text(text));
            let size = text.len() as u64;
            sink.item(Item { path, kind: Kind::File, meta, size, sparse: false, stamp: None, content: Some(content), mark: 0 })?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = tempfile::tempdir()?;
    let (secret, recipient) = keys::generate();
    let vault = Vault::open("memory://", &here.path().join("state"))?.unlocked_with(Unlock::IdentityFile(secret));
    vault.init(&InitOptions { recipients: vec![recipient], ..Default::default() }).await?;
    let notes = Notes(vec![("monday.txt", "Buy milk.\n"), ("tuesday.txt", "Drink milk.\n")]);
    vault.backup(Arc::new(notes)).await?;
    vault.cat(&SnapshotChoice::latest(), EntryPath::new("tuesday.txt")?, io::stdout()).await?;
    Ok(())
}
