//! A listing of everything that a run holds on to, so that it is asked for once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::backend::ObjectInfo;

/// A listing counts for so long: what other machines did meanwhile is seen by the next one.
const VALID: Duration = Duration::from_secs(60);

/// Every object of a store at some time, with what this process has written and deleted since.
#[derive(Debug)]
pub(crate) struct Listing {
    taken: Instant,
    objects: Mutex<BTreeMap<String, ObjectInfo>>,
}

impl Listing {
    pub(crate) fn new(taken: Instant, objects: Vec<ObjectInfo>) -> Self {
        let objects = objects.into_iter().map(|object| (object.name.clone(), object)).collect();
        Self { taken, objects: Mutex::new(objects) }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, ObjectInfo>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is below a folder, sorted by name; `None` when the listing is too old to say.
    pub(crate) fn below(&self, folder: &str) -> Option<Vec<ObjectInfo>> {
        if self.taken.elapsed() > VALID {
            return None;
        }
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let objects = self.objects();
        let below = objects.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        Some(below.map(|(_, object)| object.clone()).collect())
    }

    /// Whether there is an object of this name; `None` when the listing is too old to say.
    pub(crate) fn has(&self, name: &str) -> Option<bool> {
        (self.taken.elapsed() <= VALID).then(|| self.objects().contains_key(name))
    }

    pub(crate) fn put(&self, name: &str, size_bytes: u64) {
        let object = ObjectInfo { name: name.to_owned(), size_bytes, modified: Timestamp::now() };
        self.objects().insert(name.to_owned(), object);
    }

    pub(crate) fn delete(&self, name: &str) {
        self.objects().remove(name);
    }
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
        tokio::time::advance(VALID * 2).await;
        assert_eq!(names(&storage).await, ["a/c", "a/e", "a/f"]);
    }
}
