//! A message as every renderer takes it.

use crate::model::record::MessageRecord;

/// A message on its way into an export.
#[derive(Clone, Copy)]
pub struct Shown<'a> {
    /// The version that counts.
    pub record: &'a MessageRecord,
    /// What is subtracted from ids: [`MIGRATED_ID_OFFSET`](crate::model::peer::MIGRATED_ID_OFFSET) for messages of a basic
    /// group that are shown in the supergroup it became, else 0.
    pub id_shift: i64,
    /// When its deletion was observed, Unix seconds.
    pub deleted: Option<i64>,
    /// Its earlier versions, first to last.
    pub earlier: &'a [MessageRecord],
}

impl<'a> Shown<'a> {
    /// The message alone.
    pub fn plain(record: &'a MessageRecord) -> Self {
        Self { record, id_shift: 0, deleted: None, earlier: &[] }
    }
}
