//! Values that were made last: each is made once, however many ask for it at the same time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Holds a value, or the thread that makes it.
type Slot<V> = Arc<Mutex<Option<V>>>;

/// The last `most` values by their keys.
pub(super) struct Kept<K, V> {
    most: usize,
    slots: Mutex<VecDeque<(K, Slot<V>)>>,
}

impl<K: Copy + PartialEq, V: Clone> Kept<K, V> {
    /// Keeps up to `most` values.
    pub fn new(most: usize) -> Self {
        Self { most, slots: Mutex::default() }
    }

    /// The value of `key`; where it is not kept, what `make` gives. Others that ask for it meanwhile wait for that.
    ///
    /// # Errors
    /// What `make` says; the next one who asks tries again.
    pub fn get<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let slot = self.slot(key);
        let mut value = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = value.as_ref() {
            return Ok(value.clone());
        }
        let made = make()?;
        *value = Some(made.clone());
        Ok(made)
    }

    fn slot(&self, key: K) -> Slot<V> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let known = slots.iter().position(|(known, _)| *known == key).and_then(|at| slots.remove(at));
        let (_, slot) = known.unwrap_or_else(|| (key, Slot::default()));
        if slots.len() >= self.most {
            slots.pop_front();
        }
        slots.push_back((key, Arc::clone(&slot)));
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_value_is_made_once_and_the_oldest_goes_first() {
        let kept: Kept<u8, u8> = Kept::new(2);
        let made = AtomicUsize::new(0);
        let get = |key: u8| {
            let make = || {
                made.fetch_add(1, Ordering::SeqCst);
                if key == 9 { Err("no") } else { Ok(key) }
            };
            kept.get(key, make)
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(get(1), Ok(1)));
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert_eq!((get(2), get(1), get(3)), (Ok(2), Ok(1), Ok(3)));
        assert_eq!(made.load(Ordering::SeqCst), 3);
        // 2 was asked for before 1.
        assert_eq!((get(1), made.load(Ordering::SeqCst)), (Ok(1), 3));
        assert_eq!((get(2), made.load(Ordering::SeqCst)), (Ok(2), 4));
        assert_eq!((get(9), get(9), made.load(Ordering::SeqCst)), (Err("no"), Err("no"), 6));
    }
}
