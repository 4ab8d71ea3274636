//! Which two places may be copied between. Copying the wrong way round, or into something else, must not begin.

use std::collections::BTreeMap;

use crate::model::digest::Id;
use crate::operations::OperationError;
use crate::repository::format::names;
use crate::repository::{self, RepositoryError};
use crate::state::{Mirror, SealedFolder, mirrors};
use crate::storage::Storage;

/// Every object of a place, with its length in bytes.
pub(super) type Listing = BTreeMap<String, u64>;

/// Lists every object of a place.
pub(super) async fn list(storage: &Storage) -> Result<Listing, OperationError> {
    let found = storage.without_listing().list("").await?;
    Ok(found.into_iter().map(|object| (object.name, object.size_bytes)).collect())
}

fn refused(from: &Storage, to: &Storage, why: &str) -> OperationError {
    OperationError::NoCopy { from: from.address().to_owned(), to: to.address().to_owned(), why: why.to_owned() }
}

/// Refuses two places of which one is the other, or lies inside of it.
pub(super) fn check_apart(from: &Storage, to: &Storage) -> Result<(), OperationError> {
    let place = |storage: &Storage| format!("{}/", storage.address().trim_end_matches('/'));
    let (source, target) = (place(from), place(to));
    if source == target {
        return Err(refused(from, to, "these are the same place"));
    }
    if source.starts_with(&target) || target.starts_with(&source) {
        return Err(refused(from, to, "one of them lies inside the other"));
    }
    Ok(())
}

/// Refuses a target that is no mirror of the source, and cannot become one; gives what is there.
pub(super) async fn check_mirror(
    (from, listed): (&Storage, &Listing),
    to: &Storage,
    id: Id,
    folder: &SealedFolder,
) -> Result<Listing, OperationError> {
    let is_known = Mirror::find(folder, to.address())?.is_some();
    if mirrors::is_written(folder, to.address())? {
        return Err(refused(from, to, "backups of this machine go there, so it is no mirror"));
    }
    // A mirror that is gone is most often a disk that is not mounted.
    if is_known {
        to.check().await?
    } else {
        to.prepare().await?
    }
    let there = list(to).await?;
    match repository::find(to).await {
        Ok(found) if found == id => {}
        Ok(_) => return Err(refused(from, to, "another vault is there")),
        // An earlier copy may not have come so far.
        Err(RepositoryError::Absent { .. }) => match there.keys().find(|name| !listed.contains_key(*name)) {
            None => {}
            Some(other) => return Err(refused(from, to, &format!("something else is there, such as '{other}'"))),
        },
        Err(error) => return Err(error.into()),
    }
    let is_foreign = |name: &&String| name.starts_with(names::SNAPSHOTS) && name.ends_with(".json.zst.age") && !has(listed, name);
    match there.keys().find(is_foreign) {
        Some(other) if !is_known => {
            let why = format!("the target has '{other}', which the source does not have: are the two the wrong way round?");
            Err(refused(from, to, &why))
        }
        _ => Ok(there),
    }
}

/// Whether a place has an object, in either copy.
fn has(listed: &Listing, name: &str) -> bool {
    listed.contains_key(name) || listed.contains_key(&names::mirror(name))
}
