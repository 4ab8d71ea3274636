//! What a verification finds, collected from its threads and reported as it is found.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::operations::events::{Event, Events, Progress};
use crate::repository::inventory::{Broken, Looked};

/// Collects findings from several threads.
pub(super) struct Findings {
    events: Arc<dyn Events>,
    pub wrong: Mutex<Vec<Broken>>,
    pub objects: AtomicU64,
    pub bytes: AtomicU64,
    pub total_objects: AtomicU64,
    pub total_bytes: AtomicU64,
}

impl Findings {
    pub fn new(events: Arc<dyn Events>) -> Self {
        let zero = || AtomicU64::new(0);
        Self { events, wrong: Mutex::default(), objects: zero(), bytes: zero(), total_objects: zero(), total_bytes: zero() }
    }

    /// Counts an object that was looked at.
    pub fn looked(&self, looked: Looked<'_>) {
        self.bytes.fetch_add(looked.bytes, Ordering::Relaxed);
        self.check(looked.object, looked.wrong.map(str::to_owned));
    }

    /// Says something that is no damage.
    pub fn note(&self, text: &str) {
        self.events.event(&Event::Note(text));
    }

    pub fn sound(&self, name: &str) {
        self.events.event(&Event::Checked { name, wrong: None });
    }

    /// Notes something that is wrong, of which there may be several with one object.
    pub fn wrong(&self, name: &str, what: impl Into<String>) {
        let what = what.into();
        self.events.event(&Event::Checked { name, wrong: Some(&what) });
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(Broken { object: name.to_owned(), what });
    }

    /// Counts an object that was looked at, with what is wrong with it.
    pub fn check(&self, name: &str, what: Option<String>) {
        self.objects.fetch_add(1, Ordering::Relaxed);
        match what {
            None => self.sound(name),
            Some(what) => self.wrong(name, what),
        }
    }

    pub fn nothing_wrong(&self) -> bool {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub fn progress(&self) {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        self.events.event(&Event::Progress(Progress {
            entries_done: get(&self.objects),
            entries_total: Some(get(&self.total_objects)),
            bytes_done: get(&self.bytes),
            bytes_total: Some(get(&self.total_bytes)),
            stored_bytes: get(&self.bytes),
        }));
    }
}
