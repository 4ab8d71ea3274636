//! The root of trust: statements that name their parents, and what they say together.
//!
//! Two machines may make a statement at the same moment, and a store may ignore any condition: so no name can collide, nothing is
//! ever decided by who was first, and readers merge. `docs/format.md` has the rules with examples.
//!
//! - [`merge()`]: what several statements say together.
//! - `numbered`: the line of statements that format 1 had.

mod merge;
mod numbered;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};

pub use merge::merge;

use super::RepositoryError;
use super::format::names;
use super::format::root::Root;
use super::format::version::{CURRENT, NAMED_BY_CONTENT};
use super::mirrored;
use super::pieces::Pieces;
use crate::crypt::digest::sha256;
use crate::crypt::signature::{SigningKey, VerifyingKey};
use crate::model::digest::{Digest, Id};
use crate::storage::Storage;
use numbered::Numbered;

/// The most statements that are read.
const MAX_STATEMENTS: u64 = 100_000;

/// How many statements are read at a time.
const PARALLEL: usize = 16;

/// What the statements must fit.
#[derive(Clone, Debug)]
pub enum Anchor {
    /// This machine saw statements before.
    Pinned {
        /// The root key.
        root_key: VerifyingKey,
        /// The last number of format 1; 0 where there is none.
        number: u64,
        /// The statements that nothing stood on yet.
        heads: Vec<Known>,
    },
    /// This machine saw statements elsewhere, of which this place is a mirror: what it does not have yet counts all the same.
    Mirror {
        /// The root key.
        root_key: VerifyingKey,
        /// The statements that nothing stood on yet.
        heads: Vec<Known>,
    },
    /// The statements have this root key: from the identity, or from the recovery sheet.
    Last(VerifyingKey),
    /// Nothing is known: only that the statements are sound in themselves can be said.
    AsFound,
}

/// A statement that was read and checked: it is not asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The object.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// What the statements of a repository say.
#[derive(Clone, Debug)]
pub struct Trust {
    /// All of it together.
    pub root: Root,
    /// The statements that no other one stands on.
    pub heads: Vec<Known>,
    /// The objects that count: heads, and those of format 1 that no head stands on. What is not here is history.
    pub names: Vec<String>,
    /// The last number of format 1.
    pub last_number: u64,
    /// What is damaged, in words, where it was asked for all the same.
    pub lost: Vec<String>,
    ancestors: BTreeSet<Digest>,
    is_closed: bool,
    lost_number: u64,
}

struct Statement {
    name: String,
    text: String,
    root: Root,
}

/// Reads the statements and checks them.
///
/// # Errors
/// [`RepositoryError::Trust`] when they do not fit the anchor, or the store shows an older state than this machine has seen;
/// when one that counts is damaged or its signature does not hold.
pub async fn load(storage: &Storage, repository: Id, anchor: &Anchor) -> Result<Trust, RepositoryError> {
    load_with(storage, &Pieces::default(), repository, anchor).await
}

/// As [`load`]; statements are taken from what is at hand, checked like those of the store, and kept. Which there are says the store.
///
/// # Errors
/// As [`load`].
pub async fn load_with(storage: &Storage, pieces: &Pieces, repository: Id, anchor: &Anchor) -> Result<Trust, RepositoryError> {
    read_all(storage, pieces, repository, anchor, false).await
}

/// Brings the newest statements to hand, unchecked, for one who opens key slots meanwhile. What does not come is asked for by
/// [`load_with`].
pub async fn fetch(storage: &Storage, pieces: &Pieces) {
    /// Further ones are asked for when it is known which count.
    const FEW: usize = 4;
    let Ok(listed) = mirrored::list(storage, names::ROOT).await else { return };
    let mut statements: Vec<(u64, &String)> =
        listed.iter().filter_map(|name| Some((names::parse_statement(name).filter(|(_, sha256)| sha256.is_some())?.0, name))).collect();
    statements.sort_unstable();
    let newest = statements.iter().rev().take(FEW).take_while(|(number, _)| Some(number) == statements.last().map(|(last, _)| last));
    let wanted = newest.flat_map(|(_, name)| [(*name).clone(), names::signature(name)]).filter(|name| !pieces.has(name));
    let fetched = wanted.map(|name| {
        async move {
            if let Ok(Some(bytes)) = storage.get(&name, names::MAX_SMALL_BYTES).await {
                pieces.offer(&name, bytes);
            }
        }
        .boxed()
    });
    futures::future::join_all(fetched.collect::<Vec<_>>()).await;
}

/// As [`load`], passing over what is damaged: it is in [`Trust::lost`].
///
/// # Errors
/// As [`load`], for all but damage.
pub async fn salvage(storage: &Storage, repository: Id, root_key: &VerifyingKey) -> Result<Trust, RepositoryError> {
    read_all(storage, &Pieces::default(), repository, &Anchor::Last(root_key.clone()), true).await
}

/// Makes a statement that stands on all that `trust` has, and says what `change` makes of it; gives what holds then. Where nothing
/// would be new, nothing is written. `now` is when it is made.
///
/// # Errors
/// When the store fails.
pub async fn amend(
    storage: &Storage,
    trust: &Trust,
    key: &SigningKey,
    now: jiff::Timestamp,
    change: impl FnOnce(&mut Root),
) -> Result<Trust, RepositoryError> {
    let mut root = trust.root.clone();
    change(&mut root);
    if root == trust.root && trust.heads.len() == 1 && trust.names.len() == 1 && trust.lost.is_empty() {
        return Ok(trust.clone());
    }
    let parents: BTreeSet<Digest> = trust.heads.iter().filter_map(|head| names::parse_statement(&head.name)?.1).collect();
    // What a machine writes later follows from this: older programs go on reading a repository that they made.
    root.format = root.format.max(NAMED_BY_CONTENT);
    root.number = root.number.max(trust.lost_number).saturating_add(1);
    root.time = now.max(root.time);
    root.ancestors = trust.ancestors.difference(&parents).copied().collect();
    root.parents = parents.into_iter().collect();
    root.numbered = trust.last_number;
    if root.numbered > 0 && !trust.is_closed {
        root.numbered += 1;
        numbered::put_barrier(storage, root.repository, root.numbered, key).await?;
    }
    put(storage, root, key).await
}

/// Signs a statement and stores it; gives what holds where no other does.
///
/// # Errors
/// When the store fails.
pub async fn put(storage: &Storage, root: Root, key: &SigningKey) -> Result<Trust, RepositoryError> {
    let text = serde_json::to_string_pretty(&root).map_err(|error| RepositoryError::damaged(names::ROOT, error))?;
    let sha256 = sha256(text.as_bytes());
    let name = names::statement(root.number, sha256);
    let signature = key.sign(text.as_bytes(), &comment(root.repository, &name))?;
    // The signature goes first: where the statement is, its signature is, or was taken away.
    mirrored::put(storage, &names::signature(&name), Bytes::from(signature)).await?;
    mirrored::put(storage, &name, Bytes::from(text.clone())).await?;
    Ok(Trust {
        heads: vec![Known { name: name.clone(), text }],
        names: vec![name],
        last_number: root.numbered,
        lost: Vec::new(),
        ancestors: root.parents.iter().chain(&root.ancestors).copied().chain([sha256]).collect(),
        is_closed: root.numbered > 0,
        lost_number: 0,
        root,
    })
}

/// The trusted comment of a statement's signature.
fn comment(repository: Id, name: &str) -> String {
    let stem = name.strip_prefix(names::ROOT).unwrap_or(name);
    format!("tgvault repository={repository} root={}", stem.strip_suffix(".json").unwrap_or(stem))
}

/// The statements there are, by their names.
struct Listing {
    numbered: BTreeSet<u64>,
    hashed: BTreeMap<u64, BTreeSet<Digest>>,
}

async fn list(storage: &Storage, known: &[Known]) -> Result<Listing, RepositoryError> {
    let mut names: Vec<String> = Vec::new();
    if !known.is_empty() {
        names = storage.list(names::ROOT).await?.into_iter().map(|object| object.name).collect();
    }
    // The second copies are looked through unless all that this machine knows is in its place.
    if known.is_empty() || !known.iter().all(|known| names.contains(&known.name)) {
        names = mirrored::list(storage, names::ROOT).await?;
    }
    let mut listing = Listing { numbered: BTreeSet::new(), hashed: BTreeMap::new() };
    for (number, sha256) in names.iter().filter_map(|name| names::parse_statement(name)) {
        match sha256 {
            Some(sha256) => drop(listing.hashed.entry(number).or_default().insert(sha256)),
            None => drop(listing.numbered.insert(number)),
        }
    }
    Ok(listing)
}

async fn read_all(
    storage: &Storage,
    pieces: &Pieces,
    repository: Id,
    anchor: &Anchor,
    passes_damage: bool,
) -> Result<Trust, RepositoryError> {
    let known = match anchor {
        Anchor::Pinned { heads, .. } | Anchor::Mirror { heads, .. } => heads.as_slice(),
        Anchor::Last(_) | Anchor::AsFound => &[],
    };
    let mut listing = list(storage, known).await?;
    if let Anchor::Mirror { heads, .. } = anchor {
        // A revocation that the mirror does not have yet, or no longer shows, holds there too.
        for (number, sha256) in heads.iter().filter_map(|head| names::parse_statement(&head.name)) {
            listing.hashed.entry(number).or_default().extend(sha256);
        }
    }
    let last_number = listing.numbered.last().copied().unwrap_or(0);
    if last_number > MAX_STATEMENTS || listing.hashed.values().map(BTreeSet::len).sum::<usize>() as u64 > MAX_STATEMENTS {
        return Err(RepositoryError::Trust("there are more statements of trust than any vault has".into()));
    }
    let mut reading = Reading {
        storage,
        pieces,
        repository,
        known,
        passes_damage,
        key: None,
        heads: Vec::new(),
        ancestors: BTreeSet::new(),
        lost: Vec::new(),
        lost_number: 0,
    };
    reading.key = reading.key_of(anchor, last_number).await?;
    // The newest first: what a statement stands on need not be read.
    for (&number, found) in listing.hashed.iter().rev() {
        reading.wave(number, found).await?;
    }
    let covered = reading.heads.iter().map(|head| head.root.numbered).max().unwrap_or(0);
    let (line, is_closed) = reading.line(anchor, &listing.numbered, covered).await?;
    reading.fit(anchor, covered.max(last_number))?;
    let Reading { heads, ancestors, lost, lost_number, .. } = reading;
    let root = merge(heads.iter().map(|head| &head.root).chain(&line));
    let root = root.ok_or_else(|| RepositoryError::Missing { name: format!("{}*", names::ROOT) })?;
    if let Anchor::Last(expected) | Anchor::Mirror { root_key: expected, .. } = anchor
        && root.root_key != *expected
    {
        return Err(RepositoryError::Trust(format!(
            "its root key is {}, not {} as the identity or the recovery sheet says",
            root.root_key.as_str(),
            expected.as_str()
        )));
    }
    let counting = listing.numbered.range(covered + 1..).map(|&number| names::root(number));
    Ok(Trust {
        names: heads.iter().map(|head| head.name.clone()).chain(counting).collect(),
        heads: heads.into_iter().map(|head| Known { name: head.name, text: head.text }).collect(),
        is_closed: is_closed || covered > 0,
        last_number,
        ancestors,
        lost,
        lost_number,
        root,
    })
}

/// The statements, as far as they are read.
struct Reading<'a> {
    storage: &'a Storage,
    pieces: &'a Pieces,
    repository: Id,
    known: &'a [Known],
    passes_damage: bool,
    key: Option<VerifyingKey>,
    heads: Vec<Statement>,
    /// All that the heads stand on, and they themselves.
    ancestors: BTreeSet<Digest>,
    lost: Vec<String>,
    /// The highest number of a statement that is lost.
    lost_number: u64,
}

impl Reading<'_> {
    /// The key that statements must be signed with; `None` where nothing says it.
    async fn key_of(&self, anchor: &Anchor, last_number: u64) -> Result<Option<VerifyingKey>, RepositoryError> {
        match anchor {
            Anchor::Last(key) | Anchor::Mirror { root_key: key, .. } => Ok(Some(key.clone())),
            Anchor::AsFound => Ok(None),
            // In format 1, a statement could hand over to another key.
            Anchor::Pinned { root_key, number, .. } if (1..last_number).contains(number) => {
                let line =
                    numbered::walk((self.storage, self.pieces), self.repository, (*number, last_number), Some(root_key.clone())).await?;
                Ok(line.into_iter().last().map(|root| root.root_key).or_else(|| Some(root_key.clone())))
            }
            Anchor::Pinned { root_key, .. } => Ok(Some(root_key.clone())),
        }
    }

    /// Reads the statements of one number, except those that a later one stands on.
    async fn wave(&mut self, number: u64, found: &BTreeSet<Digest>) -> Result<(), RepositoryError> {
        let wanted: Vec<Digest> = found.iter().filter(|sha256| !self.ancestors.contains(sha256)).copied().collect();
        let this = &*self;
        let read: Vec<_> =
            futures::stream::iter(wanted.clone()).map(|sha256| this.statement(number, sha256)).buffered(PARALLEL).collect().await;
        for (sha256, read) in wanted.into_iter().zip(read) {
            let statement = match read {
                Ok(Some(statement)) => statement,
                Ok(None) => continue,
                Err(error) if self.passes_damage && error.is_integrity() => {
                    self.lost.push(error.to_string());
                    self.lost_number = self.lost_number.max(number);
                    self.ancestors.insert(sha256);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if self.key.get_or_insert_with(|| statement.root.root_key.clone()) != &statement.root.root_key {
                return Err(RepositoryError::Trust(format!("'{}' names another root key than the others", statement.name)));
            }
            self.ancestors.extend(statement.root.parents.iter().chain(&statement.root.ancestors).copied().chain([sha256]));
            self.heads.push(statement);
        }
        Ok(())
    }

    /// Reads one statement; `None` when it belongs to another repository.
    async fn statement(&self, number: u64, sha256_named: Digest) -> Result<Option<Statement>, RepositoryError> {
        let name = names::statement(number, sha256_named);
        let parse = |bytes: &[u8]| -> Result<Root, RepositoryError> {
            if sha256(bytes) != sha256_named {
                return Err(RepositoryError::damaged(&name, "it does not have the SHA-256 in its name"));
            }
            let root: Root = serde_json::from_slice(bytes).map_err(|error| RepositoryError::damaged(&name, error))?;
            if root.format.is_readable() {
                Ok(root)
            } else {
                Err(RepositoryError::Newer { found: root.format.to_string(), readable: CURRENT.to_string() })
            }
        };
        if let Some(known) = self.known.iter().find(|known| known.name == name)
            && let Ok(root) = parse(known.text.as_bytes())
        {
            return Ok(Some(Statement { text: known.text.clone(), name, root }));
        }
        let (text, root) = mirrored::get_signed_with(self.storage, self.pieces, &name, |bytes, signature| {
            let root = parse(bytes)?;
            // Somebody made another vault in this place at the same moment.
            if root.repository != self.repository {
                return Ok((String::new(), None));
            }
            let key = self.key.as_ref().unwrap_or(&root.root_key);
            let said = key.verify(bytes, signature).map_err(|error| RepositoryError::damaged(&name, error))?;
            if said != comment(self.repository, &name) || root.number != number {
                return Err(RepositoryError::Trust(format!("'{name}' was made for another repository or number")));
            }
            let text = std::str::from_utf8(bytes).map_err(|error| RepositoryError::damaged(&name, error))?;
            Ok((text.to_owned(), Some(root)))
        })
        .await?;
        Ok(root.map(|root| Statement { name, text, root }))
    }

    /// Reads the statements of format 1 that nothing stands on; gives whether their line has ended, too.
    async fn line(&mut self, anchor: &Anchor, numbers: &BTreeSet<u64>, covered: u64) -> Result<(Vec<Root>, bool), RepositoryError> {
        let (first, last) = (numbers.first().copied().unwrap_or(0), numbers.last().copied().unwrap_or(0));
        let (mut line, mut is_closed) = (Vec::new(), false);
        if covered >= last {
            return Ok((line, is_closed));
        }
        let is_only = self.heads.is_empty() && !self.passes_damage;
        if is_only && (numbers.len() as u64 != last || first != 1) {
            return Err(RepositoryError::Trust(format!("statements of trust are missing: {} of {last} are there", numbers.len())));
        }
        let (from, mut key) = match anchor {
            Anchor::Pinned { root_key, number, .. } if is_only && *number > 0 => (*number, Some(root_key.clone())),
            Anchor::Last(_) | Anchor::Mirror { .. } | Anchor::AsFound if is_only => (1, None),
            _ => (covered + 1, self.key.clone()),
        };
        for &number in numbers.range(from..) {
            match numbered::read((self.storage, self.pieces), self.repository, number, key.as_ref()).await {
                Ok(Numbered::Statement(root)) => {
                    if is_only {
                        key = Some(root.root_key.clone());
                    }
                    line.push(*root);
                }
                Ok(Numbered::Barrier) => is_closed = true,
                Ok(Numbered::Unsigned) => {}
                Err(error) if self.passes_damage && error.is_integrity() => self.lost.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        // Only the last one's key counts.
        if let Some(last) = line.last().map(|root| root.root_key.clone()) {
            line.iter_mut().for_each(|root| root.root_key = last.clone());
        }
        Ok((line, is_closed))
    }

    /// Compares with what this machine has seen.
    fn fit(&self, anchor: &Anchor, last_number: u64) -> Result<(), RepositoryError> {
        let Anchor::Pinned { number, heads, .. } = anchor else { return Ok(()) };
        let set_back = |what: String| RepositoryError::Trust(format!("this machine has seen {what}: it was set back to an older state"));
        if *number > last_number {
            return Err(set_back(format!("statement {number}, the store shows {last_number} at most")));
        }
        let is_there =
            |known: &&Known| matches!(names::parse_statement(&known.name), Some((_, Some(sha256))) if self.ancestors.contains(&sha256));
        match heads.iter().find(|known| !is_there(known)) {
            Some(gone) => Err(set_back(format!("'{}', which the store no longer shows", gone.name))),
            None => Ok(()),
        }
    }
}
