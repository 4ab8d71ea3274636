//! The root of trust: the chain of `root/<n>.json`, each signed by the root key before it.

use bytes::Bytes;

use super::RepositoryError;
use super::format::names;
use super::format::root::Root;
use super::mirrored;
use crate::crypt::signature::{SigningKey, VerifyingKey};
use crate::model::digest::Id;
use crate::storage::Storage;

/// The most statements that are read.
const MAX_STATEMENTS: u64 = 100_000;

/// What the chain must fit.
#[derive(Clone, Debug)]
pub enum Anchor {
    /// This machine saw a statement with this number and key before.
    Pinned {
        /// The root key of that statement.
        root_key: VerifyingKey,
        /// Its number.
        number: u64,
    },
    /// The last statement has this root key: from the identity, or from the recovery sheet.
    Last(VerifyingKey),
    /// Nothing is known: only that the chain is sound in itself can be said.
    AsFound,
}

fn comment(repository: Id, number: u64) -> String {
    format!("tgvault repository={repository} root={number}")
}

/// Signs a statement and stores it.
///
/// # Errors
/// [`StorageError::Exists`](crate::storage::StorageError::Exists) inside when another machine was first with this number.
pub async fn put(storage: &Storage, root: &Root, key: &SigningKey) -> Result<(), RepositoryError> {
    let name = names::root(root.number);
    let text = serde_json::to_string_pretty(root).map_err(|error| RepositoryError::damaged(&name, error))?;
    let signature = key.sign(text.as_bytes(), &comment(root.repository, root.number))?;
    // The statement goes first: creating it decides which of two machines was first with this number.
    mirrored::put(storage, &name, Bytes::from(text)).await?;
    mirrored::put(storage, &names::signature(&name), Bytes::from(signature)).await
}

/// The numbers of all statements there are, signed or not, in order.
async fn numbers(storage: &Storage) -> Result<Vec<u64>, RepositoryError> {
    let found = mirrored::list(storage, names::ROOT).await?;
    let number = |name: &String| name.strip_prefix(names::ROOT)?.strip_suffix(".json")?.parse().ok();
    let mut numbers: Vec<u64> = found.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The number for the next statement.
///
/// # Errors
/// When the store fails.
pub async fn next_number(storage: &Storage) -> Result<u64, RepositoryError> {
    Ok(numbers(storage).await?.last().map_or(1, |last| last + 1))
}

/// Reads and checks the chain; gives its last statement.
///
/// # Errors
/// [`RepositoryError::Trust`] when the chain does not fit the anchor, a signature does not hold, or the store shows an older
/// state than this machine has seen.
pub async fn load(storage: &Storage, repository: Id, anchor: &Anchor) -> Result<Root, RepositoryError> {
    let numbers = numbers(storage).await?;
    let last = numbers.last().copied().ok_or_else(|| RepositoryError::Missing { name: names::root(1) })?;
    if last > MAX_STATEMENTS || numbers.len() as u64 != last || numbers.first() != Some(&1) {
        return Err(RepositoryError::Trust(format!("statements of trust are missing: {} of {last} are there", numbers.len())));
    }
    let (first, mut key) = match anchor {
        Anchor::Pinned { root_key, number } if *number <= last => (*number, Some(root_key.clone())),
        Anchor::Pinned { number, .. } => {
            return Err(RepositoryError::Trust(format!(
                "this machine has seen statement {number}, the store shows {last} at most: it was set back to an older state"
            )));
        }
        Anchor::Last(_) | Anchor::AsFound => (1, None),
    };
    let mut root = None;
    for number in first..=last {
        match read_statement(storage, repository, number, key.as_ref()).await {
            Ok(statement) => {
                key = Some(statement.root_key.clone());
                root = Some(statement);
            }
            // A machine that died between the two puts leaves a statement that nobody signed. It counts for nothing, and since
            // each statement says everything anew, the next one stands without it.
            Err(RepositoryError::Missing { name }) if number > first && name.ends_with(".minisig") => {}
            Err(error) => return Err(error),
        }
    }
    let root = root.ok_or_else(|| RepositoryError::Missing { name: names::root(last) })?;
    if let Anchor::Last(expected) = anchor
        && root.root_key != *expected
    {
        return Err(RepositoryError::Trust(format!(
            "its root key is {}, not {} as the identity or the recovery sheet says",
            root.root_key.as_str(),
            expected.as_str()
        )));
    }
    Ok(root)
}

async fn read_statement(storage: &Storage, repository: Id, number: u64, key: Option<&VerifyingKey>) -> Result<Root, RepositoryError> {
    let name = names::root(number);
    let signature = mirrored::get(storage, &names::signature(&name), names::MAX_SMALL_BYTES, |bytes| {
        String::from_utf8(bytes.to_vec()).map_err(|_| RepositoryError::damaged(&names::signature(&name), "it is not text"))
    })
    .await?;
    mirrored::get(storage, &name, names::MAX_SMALL_BYTES, |bytes| {
        let root: Root = serde_json::from_slice(bytes).map_err(|error| RepositoryError::damaged(&name, error))?;
        let said = key.unwrap_or(&root.root_key).verify(bytes, &signature).map_err(|error| RepositoryError::damaged(&name, error))?;
        if said != comment(repository, number) || (root.repository, root.number) != (repository, number) {
            return Err(RepositoryError::Trust(format!("'{name}' was made for another repository or number")));
        }
        Ok(root)
    })
    .await
}
