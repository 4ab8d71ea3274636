//! What `tgvault run` keeps: the `[retention]` table of a profile, and that of a vault.

use std::time::Duration;

use serde::Deserialize;

use super::values::Span;
use crate::commands::keep::Keep;

/// How often old snapshots are forgotten and space is freed, unless the profile says.
const EVERY: Span = Span(Duration::from_hours(24));

/// What is kept, and when the rest goes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Table")]
pub struct RetentionProfile {
    /// What is kept.
    pub keep: Keep,
    /// Whether the space of the rest is freed, too.
    pub prune: bool,
    /// How often this is done at most.
    pub every: Span,
}

impl std::fmt::Display for RetentionProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let prune = if self.prune { "" } else { ", no prune" };
        write!(f, "{}; every {}{prune}", self.keep, self.every)
    }
}

impl TryFrom<toml::Table> for RetentionProfile {
    type Error = String;

    /// The keys of [`Keep`] stand beside the others: taken out of one table, since serde cannot refuse unknown keys of two.
    fn try_from(mut table: toml::Table) -> Result<Self, String> {
        let mut taken = |name: &str| table.remove(name);
        let prune = taken("prune").map_or(Ok(true), toml::Value::try_into).map_err(|error| format!("prune: {}", error.message()))?;
        let every = taken("every").map_or(Ok(EVERY), toml::Value::try_into).map_err(|error| format!("every: {}", error.message()))?;
        let keep: Keep = table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
        if keep.policy().is_empty() {
            return Err("it says nothing to keep: add a key such as keep-daily = 7".to_owned());
        }
        Ok(Self { keep, prune, every })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RetentionProfile, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn what_is_kept_and_when_the_rest_goes_are_keys_of_one_table() {
        let retention = read("keep-daily = 7\nkeep-within = '30d'\nkeep-tag = ['case']\nevery = '1w'\nprune = false").unwrap();
        assert_eq!(retention.to_string(), "keep-daily 7, keep-within 30d, keep-tag case; every 7d, no prune");
        let usual = read("keep-last = 3").unwrap();
        assert_eq!((usual.prune, usual.every), (true, EVERY));
        for (text, why) in [
            ("keep-dayly = 7", "unknown field `keep-dayly`"),
            ("keep-within = 'soon'", "'soon' is not a time span"),
            ("every = 7", "every: "),
            ("prune = false", "it says nothing to keep"),
            ("keep-daily = 0", "it says nothing to keep"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
