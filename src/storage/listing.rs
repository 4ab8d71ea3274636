//! A listing of everything that a run holds on to, so that it is asked for once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::backend::ObjectInfo;

/// A listing counts for so long: what other machines did meanwhile is seen by the next one.
const VALID: Duration = Duration::from_secs(60);

/// The objects below some folders of a store at some time, with what this process has written and deleted since.
#[derive(Debug)]
pub(crate) struct Listing {
    taken: Instant,
    /// The same by the wall clock: the other one stands still while a machine sleeps.
    taken_at: Timestamp,
    /// Each ends with a slash, but for `""`, which is everything.
    folders: Vec<String>,
    objects: Mutex<BTreeMap<String, ObjectInfo>>,
}

impl Listing {
    pub(crate) fn new(taken: Instant, folders: &[&str], objects: Vec<ObjectInfo>) -> Self {
        let folders = folders.iter().map(|folder| prefix_of(folder.trim_end_matches('/'))).collect();
        let objects = objects.into_iter().map(|object| (object.name.clone(), object)).collect();
        Self { taken, taken_at: Timestamp::now(), folders, objects: Mutex::new(objects) }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, ObjectInfo>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the listing is new enough to say something about names that begin so, and has them.
    fn covers(&self, prefix: &str) -> bool {
        let slept = Timestamp::now().duration_since(self.taken_at);
        let is_new = self.taken.elapsed() <= VALID && slept.unsigned_abs() <= 2 * VALID;
        is_new && self.folders.iter().any(|folder| prefix.starts_with(folder))
    }

    /// What is below a folder, sorted by name; `None` when the listing does not say.
    pub(crate) fn below(&self, folder: &str) -> Option<Vec<ObjectInfo>> {
        let prefix = prefix_of(folder);
        if !self.covers(&prefix) {
            return None;
        }
        let objects = self.objects();
        let below = objects.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        Some(below.map(|(_, object)| object.clone()).collect())
    }

    /// Whether there is an object of this name; `None` when the listing does not say.
    pub(crate) fn has(&self, name: &str) -> Option<bool> {
        self.covers(name).then(|| self.objects().contains_key(name))
    }

    pub(crate) fn put(&self, name: &str, size_bytes: u64) {
        let object = ObjectInfo { name: name.to_owned(), size_bytes, modified: Timestamp::now() };
        self.objects().insert(name.to_owned(), object);
    }

    pub(crate) fn delete(&self, name: &str) {
        self.objects().remove(name);
    }
}

fn prefix_of(folder: &str) -> String {
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Counts, Storage};

    #[tokio::test(start_paused = true)]
    async fn one_listing_answers_for_a_minute_and_has_what_was_written() {
        let counts = Counts::default();
        let store = Storage::open("memory://", [], Default::default()).unwrap();
        for name in ["a/b", "a/c", "a-d"] {
            store.put_new(name, "x".into()).await.unwrap();
        }
        let storage = store.with_counts(&counts).with_listing().await.unwrap();
        storage.put_new("a/e", "four".into()).await.unwrap();
        storage.delete("a/b").await.unwrap();
        // Another machine.
        store.put_new("a/f", "x".into()).await.unwrap();
        let names = async |storage: &Storage| storage.list("a").await.unwrap().into_iter().map(|object| object.name).collect::<Vec<_>>();
        counts.take();
        assert_eq!(names(&storage).await, ["a/c", "a/e"]);
        assert_eq!(storage.list("").await.unwrap().len(), 3);
        assert!(counts.take().is_empty());
        assert_eq!(names(&storage.without_listing()).await, ["a/c", "a/e", "a/f"]);
        let part = store.with_counts(&counts).with_listing_of(&["a/"]).await.unwrap();
        counts.take();
        assert_eq!((names(&part).await.len(), counts.take().len()), (3, 0));
        assert_eq!((part.list("").await.unwrap().len(), counts.take().len()), (4, 1));
        tokio::time::advance(VALID * 2).await;
        assert_eq!(names(&storage).await, ["a/c", "a/e", "a/f"]);
    }
}
