//! What has to be right before backups can be trusted: this machine, the store, the vault in it.
//!
//! - [`store`]: what the store really does, tried on objects that are removed again.
//! - [`vault`]: the vault's keys, and whether this machine may write.
//! - [`machine`]: this machine's state.

pub mod machine;
pub mod store;
pub mod vault;

use crate::model::causes::with_causes;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// Backups work, with a risk that should be known.
    Warned,
    /// Backups do not work, or cannot be trusted.
    Failed,
}

/// One line of what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// What it came to.
    pub verdict: Verdict,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

impl Check {
    /// All is well.
    pub fn passed(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Passed, text: text.into(), hint: None }
    }

    /// A risk.
    pub fn warned(name: &'static str, text: impl Into<String>, hint: &'static str) -> Self {
        Self { name, verdict: Verdict::Warned, text: text.into(), hint: Some(hint) }
    }

    /// Something that must be put right.
    pub fn failed(name: &'static str, text: impl Into<String>, hint: Option<&'static str>) -> Self {
        Self { name, verdict: Verdict::Failed, text: text.into(), hint }
    }

    /// Something that could not be done.
    pub fn of_error(name: &'static str, error: &dyn std::error::Error, hint: Option<&'static str>) -> Self {
        Self::failed(name, with_causes(error), hint)
    }
}

/// Hears of each check as it is done.
pub trait Report {
    /// Takes one.
    fn check(&mut self, check: Check);
}
