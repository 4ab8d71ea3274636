//! Statements of format 1: a line of `root/<n>.json`, where whoever created a name had the number. They are read for ever, and no
//! longer written: some stores let two machines have the same name.

use bytes::Bytes;

use super::super::RepositoryError;
use super::super::format::names;
use super::super::format::root::Root;
use super::super::mirrored;
use super::super::pieces::Pieces;
use crate::crypt::signature::{SigningKey, VerifyingKey};
use crate::model::digest::Id;
use crate::storage::{Storage, StorageError};

/// What a program that knows only format 1 shows when it meets a vault that has gone on: it reads this as the kind of a key slot.
const NOTICE: &str = "this vault needs a newer tgvault";

/// What stands under one number.
pub(super) enum Numbered {
    Statement(Box<Root>),
    /// The last number: from here on statements are named by their content.
    Barrier,
    /// Its machine died before it could sign it.
    Unsigned,
}

fn comment(repository: Id, number: u64) -> String {
    format!("tgvault repository={repository} root={number}")
}

/// The text under the last number. It is the same whoever writes it, so it does not matter if two do at once.
fn barrier(repository: Id, number: u64) -> String {
    format!("{{\n  \"slots\": [{{\"kind\": \"{NOTICE}\"}}],\n  \"repository\": \"{repository}\",\n  \"number\": {number}\n}}")
}

/// Ends the line, so that older programs refuse the vault instead of overlooking what is said from now on.
pub(super) async fn put_barrier(storage: &Storage, repository: Id, number: u64, key: &SigningKey) -> Result<(), RepositoryError> {
    let (name, text) = (names::root(number), barrier(repository, number));
    let signature = key.sign(text.as_bytes(), &comment(repository, number))?;
    for copy in [names::mirror(&names::signature(&name)), names::signature(&name)] {
        match storage.put_new(&copy, Bytes::from(signature.clone())).await {
            // Another machine was at it at the same moment: its signature of the same text is as good.
            Ok(()) | Err(StorageError::Exists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    mirrored::put(storage, &name, Bytes::from(text)).await
}

/// Reads what stands under a number; signed by `key`, or where none is known by the key that it names.
pub(super) async fn read(
    (storage, pieces): (&Storage, &Pieces),
    repository: Id,
    number: u64,
    key: Option<&VerifyingKey>,
) -> Result<Numbered, RepositoryError> {
    let name = names::root(number);
    let found = mirrored::get_signed_with(storage, pieces, &name, |bytes, signature| {
        let verify = |key: &VerifyingKey| key.verify(bytes, signature).map_err(|error| RepositoryError::damaged(&name, error));
        let foreign = || RepositoryError::Trust(format!("'{name}' was made for another repository or number"));
        if *bytes == barrier(repository, number).as_bytes() {
            return match key {
                Some(key) if verify(key)? != comment(repository, number) => Err(foreign()),
                _ => Ok(Numbered::Barrier),
            };
        }
        let root: Root = serde_json::from_slice(bytes).map_err(|error| RepositoryError::damaged(&name, error))?;
        if verify(key.unwrap_or(&root.root_key))? != comment(repository, number) || (root.repository, root.number) != (repository, number) {
            return Err(foreign());
        }
        Ok(Numbered::Statement(Box::new(root)))
    })
    .await;
    match found {
        // It counts for nothing, and since each statement says everything again, the next one stands without it.
        Err(RepositoryError::Missing { name }) if number > 1 && name.ends_with(".minisig") => Ok(Numbered::Unsigned),
        other => other,
    }
}

/// Reads the line from `first` to `last`; each statement must be signed by the key that the one before it names, the first by
/// `key` where it is known.
pub(super) async fn walk(
    from: (&Storage, &Pieces),
    repository: Id,
    (first, last): (u64, u64),
    mut key: Option<VerifyingKey>,
) -> Result<Vec<Root>, RepositoryError> {
    let mut line = Vec::new();
    for number in first..=last {
        if let Numbered::Statement(root) = read(from, repository, number, key.as_ref()).await? {
            key = Some(root.root_key.clone());
            line.push(*root);
        }
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_program_says_why_it_cannot_read_on() {
        // The kinds of key slots that format 1 had.
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Kind {
            Passphrase,
            Recipient(#[allow(dead_code)] String),
        }
        #[derive(Debug, serde::Deserialize)]
        struct Slots {
            #[allow(dead_code)]
            slots: Vec<std::collections::BTreeMap<String, Kind>>,
        }
        let text = barrier(Id([7; 16]), 2);
        let told = serde_json::from_str::<Slots>(&text).unwrap_err().to_string();
        assert!(told.contains(NOTICE), "{told}");
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}
