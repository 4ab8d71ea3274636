//! Small objects whose loss would cost everything: written twice, read from whichever copy is sound.

use bytes::Bytes;

use super::RepositoryError;
use super::format::names;
use crate::storage::Storage;

/// Writes an object and its second copy; the object itself last, because its presence is what counts.
///
/// # Errors
/// When the store fails, or either name holds other bytes.
pub async fn put(storage: &Storage, name: &str, bytes: Bytes) -> Result<(), RepositoryError> {
    storage.put_new(&names::mirror(name), bytes.clone()).await?;
    storage.put_new(name, bytes).await?;
    Ok(())
}

/// Reads an object, or its second copy where the first is missing or `check` refuses it.
///
/// # Errors
/// What is wrong with the first copy, when the second is no better; [`RepositoryError::Missing`] when there is neither.
pub async fn get<T>(
    storage: &Storage,
    name: &str,
    limit_bytes: u64,
    check: impl Fn(&Bytes) -> Result<T, RepositoryError>,
) -> Result<T, RepositoryError> {
    let mut first_error = None;
    for copy in [name.to_owned(), names::mirror(name)] {
        let checked = match storage.get(&copy, limit_bytes).await {
            Ok(Some(bytes)) => check(&bytes),
            Ok(None) => continue,
            Err(error) => Err(error.into()),
        };
        match checked {
            Ok(value) => {
                if copy != name {
                    tracing::warn!(name, "read from its second copy: the first is missing or damaged");
                }
                return Ok(value);
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| RepositoryError::Missing { name: name.to_owned() }))
}

/// Lists the names below `folder`, in either copy, sorted.
///
/// # Errors
/// When the store fails.
pub async fn list(storage: &Storage, folder: &str) -> Result<Vec<String>, RepositoryError> {
    let mut found: Vec<String> = storage.list(folder).await?.into_iter().map(|object| object.name).collect();
    for object in storage.list(&names::mirror(folder)).await? {
        found.extend(object.name.strip_prefix(names::MIRROR).map(str::to_owned));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
