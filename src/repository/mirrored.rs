//! Small objects whose loss would cost everything: written twice, read from whichever copy is sound.

use bytes::Bytes;

use super::RepositoryError;
use super::format::names;
use super::pieces::Pieces;
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

/// Reads a signed object: any of its two copies that `check` accepts together with any of its signature's.
///
/// # Errors
/// What is wrong with the first pair, when no other is better; [`RepositoryError::Missing`] when either has no copy at all.
pub async fn get_signed<T>(
    storage: &Storage,
    name: &str,
    check: impl Fn(&Bytes, &str) -> Result<T, RepositoryError>,
) -> Result<T, RepositoryError> {
    let signature_name = names::signature(name);
    // As a rule both first copies are sound: then it is one round of questions.
    let read = |name| storage.get(name, names::MAX_SMALL_BYTES);
    if let (Ok(Some(bytes)), Ok(Some(signature))) = futures::join!(read(name), read(&signature_name))
        && let Ok(signature) = std::str::from_utf8(&signature)
        && let Ok(value) = check(&bytes, signature)
    {
        return Ok(value);
    }
    let mut first_error = None;
    for copy in [signature_name.clone(), names::mirror(&signature_name)] {
        let checked = match storage.get(&copy, names::MAX_SMALL_BYTES).await {
            Ok(None) => continue,
            Ok(Some(bytes)) => match std::str::from_utf8(&bytes) {
                Ok(signature) => get(storage, name, names::MAX_SMALL_BYTES, |bytes| check(bytes, signature)).await,
                Err(_) => Err(RepositoryError::damaged(&copy, "it is not text")),
            },
            Err(error) => Err(error.into()),
        };
        match checked {
            Ok(value) => return Ok(value),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or(RepositoryError::Missing { name: signature_name }))
}

/// As [`get_signed`]; what is at hand goes first if `check` accepts it, and what the store gave is kept.
///
/// # Errors
/// As [`get_signed`].
pub async fn get_signed_with<T>(
    storage: &Storage,
    pieces: &Pieces,
    name: &str,
    check: impl Fn(&Bytes, &str) -> Result<T, RepositoryError>,
) -> Result<T, RepositoryError> {
    let signature_name = names::signature(name);
    let keep = |bytes: &Bytes, signature: &str| {
        pieces.keep(name, bytes);
        pieces.keep(&signature_name, &Bytes::copy_from_slice(signature.as_bytes()));
    };
    if let (Some(bytes), Some(signature)) = (pieces.get(name), pieces.get(&signature_name)) {
        if let Ok(signature) = std::str::from_utf8(&signature)
            && let Ok(value) = check(&bytes, signature)
        {
            keep(&bytes, signature);
            return Ok(value);
        }
        [name, signature_name.as_str()].into_iter().for_each(|name| pieces.refuse(name));
    }
    get_signed(storage, name, |bytes, signature| {
        let value = check(bytes, signature)?;
        keep(bytes, signature);
        Ok(value)
    })
    .await
}

/// Lists the names below `folder`, in either copy, sorted.
///
/// # Errors
/// When the store fails.
pub async fn list(storage: &Storage, folder: &str) -> Result<Vec<String>, RepositoryError> {
    let second = names::mirror(folder);
    let (first, second) = futures::try_join!(storage.list(folder), storage.list(&second))?;
    let mut found: Vec<String> = first.into_iter().map(|object| object.name).collect();
    found.extend(second.iter().filter_map(|object| object.name.strip_prefix(names::MIRROR).map(str::to_owned)));
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
