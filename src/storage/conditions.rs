//! What a store makes of a condition on a put.

use std::sync::atomic::{AtomicU8, Ordering};

use serde::{Deserialize, Serialize};

/// What a store makes of "only if it does not exist yet". Nothing that is trusted depends on it: names are random or say the content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conditions {
    /// A name that is taken is refused.
    Honoured,
    /// The object is overwritten: whether the name is taken is asked beforehand.
    Ignored,
    /// The request is answered with 501, also where the name is free: it is sent without the condition.
    Refused,
    /// Nobody knows yet.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The same, learned while the store is in use.
#[derive(Debug)]
pub(crate) struct Learned(AtomicU8);

impl Learned {
    pub(crate) fn new(conditions: Conditions) -> Self {
        Self(AtomicU8::new(conditions as u8))
    }

    pub(crate) fn get(&self) -> Conditions {
        let known = self.0.load(Ordering::Relaxed);
        let all = [Conditions::Honoured, Conditions::Ignored, Conditions::Refused];
        all.into_iter().find(|conditions| *conditions as u8 == known).unwrap_or_default()
    }

    pub(crate) fn set(&self, conditions: Conditions) {
        self.0.store(conditions as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learned_is_what_is_known() {
        for conditions in [Conditions::Unknown, Conditions::Honoured, Conditions::Ignored, Conditions::Refused] {
            let learned = Learned::new(Conditions::Unknown);
            learned.set(conditions);
            assert_eq!(learned.get(), conditions);
            let text = serde_json::to_string(&conditions).unwrap();
            assert_eq!(serde_json::from_str::<Conditions>(&text).unwrap(), conditions);
        }
        assert_eq!(serde_json::from_str::<Conditions>("\"something later\"").unwrap(), Conditions::Unknown);
    }
}
