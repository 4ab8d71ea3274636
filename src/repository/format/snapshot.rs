//! The snapshot: what one run saved, and which archives make up its state.

use serde::{Deserialize, Serialize};

use super::pack::PackRecord;
use super::version::FormatVersion;
use crate::archive::reader::Expected;
use crate::model::digest::{Digest, Id};
use crate::model::entry::Metadata;
use crate::model::source::SourceName;

/// One snapshot, as its encrypted object holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The format's version.
    pub format: FormatVersion,
    /// The snapshot's name.
    pub id: Id,
    /// When the run began.
    pub time: jiff::Timestamp,
    /// The machine.
    pub host: String,
    /// The program and its version.
    pub program: String,
    /// What was backed up.
    pub source: SourceName,
    /// Mode, owner, time and attributes of the folder that was backed up; an entry has no empty path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<Metadata>,
    /// Words that the user gave it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Options and filters of the run, as they were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Who wrote it.
    pub writer: Id,
    /// The line of snapshots of one source by one writer that it belongs to.
    pub chain: Id,
    /// Its number in the chain, from 1.
    pub sequence: u64,
    /// The snapshot before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Id>,
    /// Whether the run went to its end; a partial snapshot is a checkpoint.
    pub complete: bool,
    /// What the run did.
    pub counts: Counts,
    /// The archives, in the order in which they are laid over each other.
    pub archives: Vec<ArchiveRecord>,
    /// Archives of others, whose content entries point at; they are not laid over anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub borrowed: Vec<ArchiveRecord>,
    /// The lists that cover the first of these archives, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListRecord>,
    /// Packs with the ends of the first of these archives, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packs: Vec<PackRecord>,
    /// Archives that entries may still name, though others stand for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stand_ins: Vec<StandIn>,
}

/// An archive that was replaced, and those of the snapshot's archives that hold what was wanted of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    /// The old archive.
    pub old: Id,
    /// Those that stand for it.
    pub by: Vec<Id>,
}

/// One list of archives that snapshots share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRecord {
    /// SHA-256 of the list, which is its name.
    pub sha256: Digest,
    /// Its length in bytes.
    pub length: u64,
    /// How many archives it has.
    pub archives: usize,
    /// Where their lengths are, if they are not in the list itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<LengthsRecord>,
}

/// The lengths of the archives of one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LengthsRecord {
    /// SHA-256 of the object, which is its name.
    pub sha256: Digest,
    /// Its length in bytes.
    pub length: u64,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Entries in the state.
    pub entries: u64,
    /// Bytes of content in the state.
    pub bytes: u64,
    /// Entries that were stored or noted anew.
    pub new_entries: u64,
    /// Bytes of content that were stored.
    pub new_bytes: u64,
    /// Bytes that went to the store for it.
    pub stored_bytes: u64,
    /// Entries that were removed.
    pub removed: u64,
    /// Entries that could not be read.
    pub problems: u64,
}

/// One archive of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveRecord {
    /// The archive's name.
    pub id: Id,
    /// The object below the repository's URL.
    pub object: String,
    /// Stored bytes.
    pub length: u64,
    /// SHA-256 of the stored bytes.
    pub sha256: Digest,
    /// SHA-256 of the stored bytes up to and including the nonce.
    pub header_sha256: Digest,
    /// Whether it holds nothing but the merged index of all archives before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merged: bool,
    /// Where what readers need first lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<OwnPlace>,
}

/// Where, among the stored bytes of an archive, its header ends and the chunks with its own members begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPlace {
    /// Bytes of the header, the nonce included.
    pub header: u64,
    /// The first byte of the chunk in which the archive's own members begin.
    pub from: u64,
}

impl Snapshot {
    /// Every archive that the state needs: those that it is laid together from, and those that hold content for it.
    pub fn all_archives(&self) -> impl Iterator<Item = &ArchiveRecord> {
        self.archives.iter().chain(&self.borrowed)
    }

    /// The archives that others stand for, by their names alone: entries may say that they are in one of them.
    pub fn old_archives(&self) -> impl Iterator<Item = ArchiveRecord> + '_ {
        let none = Digest([0; 32]);
        self.stand_ins.iter().map(move |StandIn { old: id, .. }| ArchiveRecord {
            id: *id,
            object: format!("{}{id}", super::names::ARCHIVES),
            length: 0,
            sha256: none,
            header_sha256: none,
            merged: false,
            own: None,
        })
    }
}

impl ArchiveRecord {
    /// What a reader checks before it believes the archive.
    pub fn expected(&self) -> Expected {
        Expected { id: self.id, length: self.length, header_sha256: self.header_sha256 }
    }
}
