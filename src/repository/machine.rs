//! What a run asks of the machine that it runs on: the time, and randomness for names. Both are handed in, so that a run can be
//! repeated from a seed.
//!
//! Keys, nonces and passphrases are not made from this: what keeps a secret comes from the system, whoever hands in what.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::RepositoryError;
use crate::model::digest::Id;

/// Says what time it is.
pub trait Clock: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;
}

/// Gives randomness for names and samples.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// When there is none.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;
}

/// A clock and a source of randomness; the system's, unless others are handed in. Cheap to clone.
#[derive(Clone)]
pub struct Machine {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Machine {
    /// With this clock and this source of randomness.
    pub fn new(clock: impl Clock + 'static, random: impl Random + 'static) -> Self {
        Self { clock: Arc::new(clock), random: Arc::new(random) }
    }

    /// One that gives the same names and times again for the same seed: for tests. Its clock goes on by a second whenever it is
    /// asked.
    pub fn seeded(seed: u64) -> Self {
        let start = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 60);
        Self::new(Ticking(Mutex::new(start)), Seeded(Mutex::new(seed)))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A fresh random name.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn id(&self) -> Result<Id, RepositoryError> {
        let mut id = Id([0; 16]);
        self.fill(&mut id.0)?;
        Ok(id)
    }

    /// A random number below `end`, or 0.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn below(&self, end: u64) -> Result<u64, RepositoryError> {
        let mut random = [0; 8];
        self.fill(&mut random)?;
        Ok(u64::from_le_bytes(random).checked_rem(end).unwrap_or(0))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), RepositoryError> {
        self.random.fill(bytes).map_err(|error| RepositoryError::Crypt(error.into()))
    }
}

impl Default for Machine {
    /// The system's.
    fn default() -> Self {
        Self::new(System, System)
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").finish_non_exhaustive()
    }
}

struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Random for System {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(io::Error::other)
    }
}

struct Ticking(Mutex<Timestamp>);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += SignedDuration::from_secs(1);
        *now
    }
}

/// SplitMix64.
struct Seeded(Mutex<u64>);

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let word = (mixed ^ (mixed >> 31)).to_le_bytes();
            piece.copy_from_slice(word.get(..piece.len()).unwrap_or_default());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_names_and_times_again() {
        let said = |seed| {
            let machine = Machine::seeded(seed);
            (machine.id().unwrap(), machine.now(), machine.id().unwrap(), machine.now(), machine.below(1000).unwrap())
        };
        assert_eq!(said(1), said(1));
        assert_ne!(said(1).0, said(2).0);
        assert_ne!(said(1).0, said(1).2);
        assert!(said(1).1 < said(1).3);
        assert_eq!(Machine::seeded(1).below(0).unwrap(), 0);
    }
}
