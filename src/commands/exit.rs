//! Exit codes: what a script can rely on.

use std::process::ExitCode;

/// How a run ended. The numbers are part of the interface and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// The command failed.
    Failed = 1,
    /// The command line, the environment or the profile is wrong; nothing was done.
    Usage = 2,
    /// Finished, but something could not be read or restored; it is listed.
    Incomplete = 3,
    /// There is no repository at the place.
    NoRepository = 10,
    /// Another run holds the lock.
    Locked = 11,
    /// No key, or a wrong one.
    WrongKey = 12,
    /// Telegram wants a login.
    LoginNeeded = 13,
    /// Try again later; the message says when.
    TryLater = 14,
    /// Stored data is missing, changed or forged.
    Integrity = 15,
    /// No backup is as new as was asked for.
    TooOld = 16,
    /// Most of what a source had is gone; no snapshot was made.
    Emptied = 17,
    /// The store's disk is full, or a quota used up.
    StoreFull = 20,
    /// The store refuses requests because of this machine's clock.
    WrongClock = 21,
    /// The bucket is in another region.
    WrongRegion = 22,
    /// HTTP where HTTPS was expected, or the other way round.
    WrongScheme = 23,
    /// The server's name does not resolve.
    UnknownHost = 24,
    /// The server's certificate is not trusted.
    Untrusted = 25,
    /// This machine has no FUSE, or does not let this user mount.
    NoFuse = 26,
    /// Interrupted by the user or the system.
    Interrupted = 130,
}

/// The codes with the words of `--help` and the guide.
pub const MEANINGS: [(Exit, &str); 20] = [
    (Exit::Done, "done"),
    (Exit::Failed, "failed"),
    (Exit::Usage, "wrong usage: command line, environment or profile"),
    (Exit::Incomplete, "finished, but something could not be read or restored; it is listed"),
    (Exit::NoRepository, "no vault at this address"),
    (Exit::Locked, "another run is in progress"),
    (Exit::WrongKey, "no key, or the wrong key"),
    (Exit::LoginNeeded, "login to Telegram needed"),
    (Exit::TryLater, "try again later; the message says when"),
    (Exit::Integrity, "stored data is missing, changed or forged"),
    (Exit::TooOld, "no snapshot is as new as it should be"),
    (Exit::Emptied, "most files are gone from the source, or all are excluded; no snapshot was made"),
    (Exit::StoreFull, "the store is full, or its quota used up"),
    (Exit::WrongClock, "the store refuses requests because this machine's clock is wrong"),
    (Exit::WrongRegion, "the bucket is in another region"),
    (Exit::WrongScheme, "the server expects http instead of https, or https instead of http"),
    (Exit::UnknownHost, "the server's name does not resolve"),
    (Exit::Untrusted, "the server's certificate is not trusted"),
    (Exit::NoFuse, "this machine cannot mount: FUSE is missing or not allowed"),
    (Exit::Interrupted, "interrupted; run the same command again to resume"),
];

impl Exit {
    /// How a run ended that went on past what it could not read: what the vault has lost weighs more than the rest.
    pub fn after(is_damaged: bool, is_incomplete: bool) -> Self {
        match (is_damaged, is_incomplete) {
            (true, _) => Self::Integrity,
            (false, true) => Self::Incomplete,
            (false, false) => Self::Done,
        }
    }

    /// The code for a command that did several things: that of the worst, which is the largest number.
    pub fn worse(self, other: Self) -> Self {
        if other.code() > self.code() { other } else { self }
    }

    /// What it means, in the words of the guide.
    pub fn meaning(self) -> &'static str {
        meaning_of(self.code())
    }

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// What a code means, in the words of the guide.
pub fn meaning_of(code: u8) -> &'static str {
    MEANINGS.iter().find(|(exit, _)| exit.code() == code).map_or("failed", |(_, meaning)| meaning)
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_the_same_table() {
        let guide = include_str!("../../docs/guide/settings.md");
        for (exit, meaning) in MEANINGS {
            assert!(guide.contains(&format!("| {} | {meaning} |\n", exit.code())), "{exit:?}");
        }
    }
}
