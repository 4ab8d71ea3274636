//! Archives and snapshots as a writer could make them that the repository accepts, and that means harm.

use std::io::Write;

use tgvault::archive::frame::FrameCoder;
use tgvault::archive::index::{IndexEntry, Located};
use tgvault::archive::parts::PartPool;
use tgvault::archive::writer::{ArchiveWriter, Sealed, own_name};
use tgvault::archive::{member, seek};
use tgvault::crypt::digest::sha256;
use tgvault::crypt::header;
use tgvault::crypt::keys::Recipients;
use tgvault::crypt::payload::PayloadWriter;
use tgvault::model::digest::{Digest, Id};
use tgvault::model::entry::{EntryPath, Kind, Metadata};
use tgvault::operations::session::Opened;
use tgvault::repository::Machine;
use tgvault::repository::commit::Writer;
use tgvault::repository::format::names;
use tgvault::repository::format::snapshot::{ArchiveRecord, Counts, Snapshot};
use tgvault::repository::format::version::CURRENT;
use tgvault::source::SourceName;

use crate::support::World;

/// The recipients that everybody knows.
pub fn recipients(opened: &Opened) -> Recipients {
    Recipients::parse(opened.repository.root.current_recipients()).unwrap()
}

pub fn path(text: &str) -> EntryPath {
    EntryPath::new(text).unwrap()
}

/// An archive of any tar, any index and any seek table, sealed soundly.
#[derive(Clone, Default)]
pub struct Forged {
    /// The tar without the archive's own members.
    pub tar: Vec<u8>,
    /// The text of `index.jsonl`.
    pub index: Vec<u8>,
    /// The content of `remove`.
    pub remove: Vec<u8>,
    /// Frames in place of those of `tar`, each with the length that the table claims.
    pub frames: Vec<(Vec<u8>, u32)>,
}

fn append_member(tar: &mut Vec<u8>, name: &[u8], content: &[u8]) {
    member::write_header(name, &Kind::File, &Metadata::default(), content.len() as u64, tar);
    tar.extend_from_slice(content);
    tar.resize(tar.len() + member::padding(content.len() as u64), 0);
}

impl Forged {
    /// Adds a file to the tar under any name; gives where its content is.
    pub fn file(&mut self, name: &[u8], content: &[u8]) -> Located {
        member::write_header(name, &Kind::File, &Metadata::default(), content.len() as u64, &mut self.tar);
        let offset = self.tar.len() as u64;
        self.tar.extend_from_slice(content);
        self.tar.resize(self.tar.len() + member::padding(content.len() as u64), 0);
        let length = content.len() as u64;
        Located { sha256: sha256(content), archive: None, frame: 0, offset, length, short: false, part: None }
    }

    /// Adds a line to the index.
    pub fn line(&mut self, entry: &IndexEntry) {
        entry.write_line(&mut self.index).unwrap();
    }

    /// Adds any text as a line to the index.
    pub fn raw_line(&mut self, line: &str) {
        self.index.extend_from_slice(line.as_bytes());
        self.index.push(b'\n');
    }

    /// Seals the archive.
    pub fn seal(&self, id: Id, recipients: &Recipients) -> (Vec<u8>, Sealed) {
        let mut coder = FrameCoder::new().unwrap();
        let mut coded = Vec::new();
        let mut table = Vec::new();
        let mut frame = |plain: &[u8], coded: &mut Vec<u8>| {
            let bytes = coder.code(plain).unwrap();
            coded.extend_from_slice(bytes);
            seek::Frame { coded: bytes.len() as u32, plain: plain.len() as u32 }
        };
        for (bytes, claimed) in &self.frames {
            coded.extend_from_slice(bytes);
            table.push(seek::Frame { coded: bytes.len() as u32, plain: *claimed });
        }
        for piece in self.tar.chunks(2 << 20) {
            table.push(frame(piece, &mut coded));
        }
        let own_frame = table.len() as u32;
        let mut own = Vec::new();
        append_member(&mut own, own_name(id, "index.jsonl").as_bytes(), &self.index);
        if !self.remove.is_empty() {
            append_member(&mut own, own_name(id, "remove").as_bytes(), &self.remove);
        }
        own.extend_from_slice(&member::END);
        for piece in own.chunks(2 << 20) {
            table.push(frame(piece, &mut coded));
        }
        coded.extend_from_slice(&seek::write(&seek::Layout { id, own_frame, frames: table }));
        let (mut stored, key) = header::seal(recipients).unwrap();
        let header_sha256 = sha256(&stored);
        let mut payload = PayloadWriter::new(key, &mut stored);
        payload.write_all(&coded).unwrap();
        payload.finish().unwrap();
        let sealed = Sealed {
            id,
            length: stored.len() as u64,
            sha256: sha256(&stored),
            header_sha256,
            tar_bytes: self.tar.len() as u64,
            entries: 0,
            header_bytes: 0,
            own_from: 0,
        };
        (stored, sealed)
    }
}

/// An index line of a file.
pub fn file_entry(name: &str, size: u64, content: Located) -> IndexEntry {
    let (kind, meta) = (Kind::File, Metadata { mode: 0o644, ..Metadata::default() });
    IndexEntry { path: path(name), kind, meta, stamp: None, size, sparse: false, content: Some(content) }
}

/// An index line of something without content.
pub fn plain_entry(name: &str, kind: Kind) -> IndexEntry {
    let meta = Metadata { mode: 0o755, ..Metadata::default() };
    IndexEntry { path: path(name), kind, meta, stamp: None, size: 0, sparse: false, content: None }
}

/// A sound archive of these files, made by the library's own writer.
pub fn honest(id: Id, recipients: &Recipients, files: &[(&str, &[u8])]) -> (Vec<u8>, Sealed) {
    let mut writer = ArchiveWriter::new(id, recipients, Vec::new(), PartPool::new(2)).unwrap();
    for (name, content) in files {
        let (path, meta, length) = (path(name), Metadata { mode: 0o644, ..Metadata::default() }, content.len() as u64);
        let file =
            tgvault::archive::writer::NewFile { path: &path, meta: &meta, stamp: None, size: length, sparse: false, length, part: None };
        writer.append_file(&file, &mut &content[..]).unwrap();
    }
    let (sealed, stored) = writer.finish().unwrap();
    (stored, sealed)
}

pub fn record(sealed: &Sealed) -> ArchiveRecord {
    ArchiveRecord {
        id: sealed.id,
        object: names::archive(jiff::Timestamp::now(), sealed.id),
        length: sealed.length,
        sha256: sealed.sha256,
        header_sha256: sealed.header_sha256,
        merged: false,
        own: None,
    }
}

/// A snapshot of these archives, not stored yet.
pub fn snapshot(writer: &Writer, archives: Vec<ArchiveRecord>) -> Snapshot {
    Snapshot {
        format: CURRENT,
        id: Machine::default().id().unwrap(),
        time: jiff::Timestamp::now(),
        host: "host".into(),
        program: "a forger".into(),
        source: SourceName { kind: "folder".into(), name: "/forged".into() },
        top: None,
        tags: Vec::new(),
        options: Vec::new(),
        writer: writer.id,
        chain: Machine::default().id().unwrap(),
        sequence: 1,
        parent: None,
        complete: true,
        counts: Counts::default(),
        archives,
        borrowed: Vec::new(),
        lists: Vec::new(),
        packs: Vec::new(),
        stand_ins: Vec::new(),
    }
}

/// Stores archives and a snapshot of them, as a writer that is accepted.
pub async fn commit(world: &World, archives: &[(Vec<u8>, Sealed)]) -> Snapshot {
    let mut opened = world.session(&world.storage, Some(world.unlock())).open().await.unwrap();
    let writer = opened.writer().await.unwrap();
    let records: Vec<ArchiveRecord> = archives.iter().map(|(_, sealed)| record(sealed)).collect();
    for ((bytes, _), record) in archives.iter().zip(&records) {
        world.storage.put_new(&record.object, bytes.clone().into()).await.unwrap();
    }
    let mut snapshot = snapshot(&writer, records);
    opened.repository.commit(&mut snapshot, &writer).await.unwrap();
    snapshot
}

/// A digest that nothing has.
pub const NOBODYS: Digest = Digest([0xee; 32]);
