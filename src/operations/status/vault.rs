//! How the backups of all machines stand, as the vault itself shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::causes::with_causes;
use crate::model::digest::Id;
use crate::operations::OperationError;
use crate::operations::look;
use crate::operations::session::Session;
use crate::operations::snapshot::choice::Selection;
use crate::repository::format::names;
use crate::repository::format::snapshot::Snapshot;

/// The last complete snapshot of a source on a machine.
#[derive(Clone, Debug)]
pub struct Newest {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// How many complete ones there are.
    pub count: u64,
}

/// A chain of snapshots as everybody can see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub chain: Id,
    /// Who writes it.
    pub writer: Id,
    /// The last number.
    pub sequence: u64,
    /// When the last snapshot was made, by its name.
    pub at: Option<Timestamp>,
}

/// The last complete snapshot of every source on every machine, in the order of machines and sources; and what is wrong with others.
///
/// # Errors
/// When no key fits, or the store fails.
pub async fn machines(session: &Session) -> Result<(Vec<Newest>, Vec<String>), OperationError> {
    let found = look::snapshots(session, &Selection::default(), false).await?;
    let mut newest: BTreeMap<(String, String), Newest> = BTreeMap::new();
    // Oldest first: the last one stays.
    for look::Row { snapshot, .. } in found.snapshots {
        let key = (snapshot.host.clone(), snapshot.source.to_string());
        let count = newest.get(&key).map_or(0, |known| known.count) + 1;
        newest.insert(key, Newest { snapshot, count });
    }
    Ok((newest.into_values().collect(), found.broken))
}

/// The last number of every chain, without a key; and what is wrong with some.
///
/// # Errors
/// When there is no vault, or the store fails.
pub async fn chains(session: &Session) -> Result<(Vec<Chain>, Vec<String>), OperationError> {
    let opened = session.open_locked().await?;
    let found = opened.repository.snapshot_refs().await?;
    let stems: Vec<String> = found.iter().map(|(stem, _)| stem.clone()).collect();
    // What this machine saw and the store no longer shows is missed here as everywhere.
    let gone = opened.compare(&stems, found.iter().filter_map(|(_, found)| found.as_ref().ok())).await?;
    let (mut chains, mut broken): (BTreeMap<Id, Chain>, Vec<String>) = Default::default();
    broken.extend(gone.iter().map(|error| with_causes(error)));
    for (stem, found) in found {
        match found {
            Ok(found) => {
                let signed = found.signed;
                let last = Chain { chain: signed.chain, writer: signed.writer, sequence: signed.sequence, at: names::stem_time(&stem) };
                let known = chains.entry(signed.chain).or_insert_with(|| last.clone());
                if known.sequence < last.sequence {
                    *known = last;
                }
            }
            Err(error) => broken.push(with_causes(&error)),
        }
    }
    Ok((chains.into_values().collect(), broken))
}
