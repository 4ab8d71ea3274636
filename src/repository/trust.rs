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
    walk(storage, repository, anchor, |_| ()).await
}

/// Reads and checks the whole chain, as from a machine that knows nothing but the root key; gives its last statement, completed
/// by every writer and revocation that any statement before it names, and whether there were any to complete it by.
///
/// Of two machines that make a statement at once, one may not have seen the other's. Neither writers nor revocations ever leave
/// the list otherwise, so what all statements say together is what holds.
///
/// # Errors
/// As [`load`].
pub async fn complete(storage: &Storage, repository: Id, root_key: &VerifyingKey) -> Result<(Root, bool), RepositoryError> {
    let (mut writers, mut revoked) = (Vec::new(), Vec::new());
    let mut root = walk(storage, repository, &Anchor::Last(root_key.clone()), |statement| {
        add_missing(&mut writers, &statement.writers);
        add_missing(&mut revoked, &statement.revoked);
    })
    .await?;
    let is_behind = add_missing(&mut root.writers, &writers) | add_missing(&mut root.revoked, &revoked);
    Ok((root, is_behind))
}

/// Appends what `to` does not have yet; says whether there was anything.
fn add_missing<T: Clone + PartialEq>(to: &mut Vec<T>, from: &[T]) -> bool {
    let before = to.len();
    for item in from {
        if !to.contains(item) {
            to.push(item.clone());
        }
    }
    to.len() > before
}

/// Reads and checks the chain, and hands each signed statement to `each`; gives the last.
async fn walk(storage: &Storage, repository: Id, anchor: &Anchor, mut each: impl FnMut(&Root)) -> Result<Root, RepositoryError> {
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
                each(&statement);
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
    mirrored::get_signed(storage, &name, |bytes, signature| {
        let root: Root = serde_json::from_slice(bytes).map_err(|error| RepositoryError::damaged(&name, error))?;
        let said = key.unwrap_or(&root.root_key).verify(bytes, signature).map_err(|error| RepositoryError::damaged(&name, error))?;
        if said != comment(repository, number) || (root.repository, root.number) != (repository, number) {
            return Err(RepositoryError::Trust(format!("'{name}' was made for another repository or number")));
        }
        Ok(root)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::super::format::root::Writer;
    use super::super::keys::Identity;
    use super::super::{Machine, Repository};
    use super::*;

    fn writer(number: u8) -> Writer {
        Writer { id: Id([number; 16]), key: SigningKey::generate().unwrap().public().clone() }
    }

    async fn repository() -> (Identity, Repository) {
        let identity = Identity::generate(Id([9; 16])).unwrap();
        let storage = Storage::open("memory://", [], Default::default()).unwrap();
        let repository = Repository::init(storage, &identity, Vec::new(), writer(1), &Machine::default()).await.unwrap();
        (identity, repository)
    }

    async fn writers(repository: &Repository) -> Vec<u8> {
        let root = load(&repository.storage, repository.id, &Anchor::AsFound).await.unwrap();
        let mut writers: Vec<u8> = root.writers.iter().map(|writer| writer.id.0[0]).collect();
        writers.sort_unstable();
        writers
    }

    #[tokio::test]
    async fn machines_that_opened_the_repository_together_are_all_let_in() {
        let (identity, mut second) = repository().await;
        let mut third = second.clone();
        second.enroll(&identity, writer(2)).await.unwrap();
        third.enroll(&identity, writer(3)).await.unwrap();
        assert_eq!(writers(&third).await, [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_statement_that_is_signed_late_is_not_lost() {
        let (identity, mut third) = repository().await;
        // The second machine has created its statement, and comes to sign it only after the third has passed it.
        let mut late = third.root.clone();
        late.number = 2;
        late.writers.push(writer(2));
        let text = serde_json::to_string_pretty(&late).unwrap();
        let signature = identity.root_key.sign(text.as_bytes(), &comment(late.repository, 2)).unwrap();
        mirrored::put(&third.storage, &names::root(2), text.into()).await.unwrap();
        let mut second = third.clone();
        third.enroll(&identity, writer(3)).await.unwrap();
        assert_eq!(writers(&third).await, [1, 3]);
        mirrored::put(&third.storage, &names::signature(&names::root(2)), signature.into()).await.unwrap();
        // It looks again, as every machine does.
        second.enroll(&identity, late.writers[1].clone()).await.unwrap();
        assert_eq!(writers(&second).await, [1, 2, 3]);
    }
}
