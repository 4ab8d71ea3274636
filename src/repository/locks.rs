//! Locks of those who delete: a second one keeps out as long as one holds.
//!
//! A lock is the object with the next free number, made under the condition that nobody else has made it. It is never renewed: its holder
//! stops before it expires. Where a store ignores conditions, two that begin in the same moment see each other when they look again.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::format::lock::Lock;
use super::format::names;
use super::{Repository, RepositoryError};
use crate::storage::{ObjectInfo, StorageError};

/// How long a lock counts.
pub const LOCK_HOURS: i64 = 6;

/// A lock in the store.
#[derive(Clone, Debug)]
pub struct Held {
    /// The object.
    pub object: String,
    /// When the store got it, by the store's clock.
    pub modified: Timestamp,
    /// What it says; `None` when it cannot be read.
    pub lock: Option<Lock>,
}

impl Held {
    /// Who holds it, for people.
    pub fn holder(&self) -> String {
        match &self.lock {
            Some(lock) => format!("`{}` on {}, since {}", lock.command, lock.host, lock.time.strftime("%Y-%m-%d %H:%M:%S UTC")),
            None => format!("somebody ('{}' cannot be read), since {}", self.object, self.modified.strftime("%Y-%m-%d %H:%M:%S UTC")),
        }
    }

    /// Whether it still counts at this time of the store's clock.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now.duration_since(self.modified) < SignedDuration::from_hours(LOCK_HOURS)
    }
}

impl Repository {
    /// The locks that there are.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn locks(&self) -> Result<Vec<Held>, RepositoryError> {
        self.locks_in(&self.storage.without_listing().list(names::LOCKS).await?).await
    }

    async fn locks_in(&self, listed: &[ObjectInfo]) -> Result<Vec<Held>, RepositoryError> {
        let mut held = Vec::new();
        for object in listed.iter().filter(|object| names::parse_lock(&object.name).is_some()) {
            // One that was released meanwhile is none.
            if let Some(bytes) = self.storage.get(&object.name, names::MAX_SMALL_BYTES).await? {
                held.push(Held { object: object.name.clone(), modified: object.modified, lock: serde_json::from_slice(&bytes).ok() });
            }
        }
        Ok(held)
    }

    /// Takes the lock of those who delete; gives its object, and the time by the store's clock.
    ///
    /// # Errors
    /// [`RepositoryError::Locked`] when another holds it; [`RepositoryError::Stale`] when the store does not show what was just written;
    /// when the store fails.
    pub async fn take_lock(&self, command: &str, host: &str) -> Result<(String, Timestamp), RepositoryError> {
        let storage = self.storage.without_listing();
        let before = self.locks().await?;
        let number = before.iter().filter_map(|held| names::parse_lock(&held.object)).max().unwrap_or(0).saturating_add(1);
        let (owner, time) = (self.machine.id()?, self.machine.now());
        let expires = time.checked_add(SignedDuration::from_hours(LOCK_HOURS)).unwrap_or(time);
        let lock = Lock { format: self.root.format, owner, command: command.into(), host: host.into(), time, expires };
        let object = names::lock(number);
        let json = serde_json::to_vec(&lock).map_err(|error| RepositoryError::damaged(&object, error))?;
        match storage.put_new(&object, Bytes::from(json)).await {
            Ok(()) => {}
            Err(StorageError::Exists { .. }) => {
                let holder = self.locks().await?.into_iter().find(|held| held.object == object).map(|held| held.holder());
                return Err(RepositoryError::Locked { holder: holder.unwrap_or_else(|| "somebody who was faster".into()), object });
            }
            Err(error) => return Err(error.into()),
        }
        // Only now is the store's own time known, and who else holds one.
        let held = self.locks().await?;
        let own = held.iter().find(|held| held.object == object && held.lock.as_ref().is_some_and(|lock| lock.owner == owner));
        let Some(now) = own.map(|own| own.modified) else {
            // The store shows an older state, or another has overwritten it.
            return Err(RepositoryError::Stale { name: object });
        };
        if let Some(other) = held.iter().find(|held| held.object != object && held.is_live(now)) {
            let (holder, other) = (other.holder(), other.object.clone());
            storage.delete(&object).await?;
            return Err(RepositoryError::Locked { holder, object: other });
        }
        for expired in held.iter().filter(|held| held.object != object) {
            storage.delete(&expired.object).await?;
        }
        Ok((object, now))
    }

    /// Gives a lock back.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn release_lock(&self, object: &str) -> Result<(), RepositoryError> {
        Ok(self.storage.delete(object).await?)
    }
}
