//! What every lane of a backup needs, and what lanes report.

use tokio::sync::mpsc;

use super::journal::{Intent, Intents, Order};
use super::planner::Removals;
use crate::archive::index::IndexEntry;
use crate::archive::writer::Timings;
use crate::operations::OperationError;
use crate::operations::archiving::{Archiving, Note};
use crate::repository::format::snapshot::ArchiveRecord;

/// The number of no lane: the run's own archives.
pub(super) const OWN_LANE: u32 = u32::MAX;

/// An archive that is stored for good.
pub(super) struct Finished {
    pub record: ArchiveRecord,
    pub marks: Vec<u64>,
    pub timings: Timings,
}

/// What lanes report.
pub(super) enum Report {
    /// An archive is stored.
    Archive(Box<Finished>),
    /// A known content has a new name or new metadata; noted when the run ends.
    Reference(Box<IndexEntry>, u64),
    /// The item with this mark is stored already, just as it is.
    Unchanged(u64),
}

/// What every lane needs.
#[derive(Clone)]
pub(super) struct LaneSetup {
    pub archiving: Archiving,
    pub reports: mpsc::UnboundedSender<Result<Report, OperationError>>,
    pub removals: Removals,
    pub intents: Intents,
}

impl LaneSetup {
    /// Notes an archive of lane `lane` in the journal: where it stands, and what is to be removed before it.
    pub fn note(&self, order: Order, lane: u32) -> impl Note + Send + use<> {
        let (intents, removals) = (self.intents.clone(), self.removals.clone());
        move |record: &ArchiveRecord, entries: &[IndexEntry], remove: &[_]| {
            intents.note(Intent::new(record.clone(), order, lane, removals.noted()), entries, remove)
        }
    }
}
