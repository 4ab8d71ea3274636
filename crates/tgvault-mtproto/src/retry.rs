//! What to do about a failed request: one pure decision.

use std::time::Duration;

use super::error::{CallError, RpcError};

/// What is known about a request that failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// Failures so far without waits that the server asked for, this one included: 1 the first time.
    pub(super) failures: u32,
    /// How often a key was made or the login carried over for it.
    pub(super) repairs: u32,
    /// Whether the request went to the account's home data centre.
    pub(super) home: bool,
    /// The pause after the first failure; doubled after each further one.
    pub(super) pause: Duration,
    /// The longest wait that is accepted.
    pub(super) max_wait: Duration,
    /// Whether asking twice does no harm; false for requests that send a code or redeem one.
    pub(super) repeatable: bool,
    /// How often in a row the server answered that it, or all of its kind, have to wait; this time included.
    pub(super) refusals: u32,
    /// How long that was so far.
    pub(super) waited: Duration,
    /// Whether others of its kind were given up one after the other: what the server refuses then is hardly asked again.
    pub(super) hopeless: bool,
    /// Failures after which it is given up; [`MAX_FAILURES`] for most.
    pub(super) tries: u32,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Ask again after this time; the connection is good.
    After(Duration),
    /// The server said: too fast. Ask again after this time, and slow down.
    SlowDown(Duration),
    /// Ask again on a new connection after this time.
    Reconnect(Duration),
    /// Ask this data centre instead.
    Migrate(i32),
    /// This data centre does not know the account yet: carry the login over, then ask again.
    Authorize,
    /// The authorization key is void there: make a new one, carry the login over, then ask again.
    NewKey,
    /// Give up: the answer says no.
    Fail,
    /// Give up: the server says "not now" without end.
    GiveUp,
}

/// Failures after which a request is given up: with the waits below, after about 3 minutes.
pub(super) const MAX_FAILURES: u32 = 8;

/// Repairs after which a request is given up: what three did not mend, more will not.
const MAX_REPAIRS: u32 = 3;

/// Refusals in a row after which a request is given up that the server only wants to have later. While they last, its kind is asked
/// for ever more slowly: after one at a time, so many are a matter of minutes.
const MAX_REFUSALS: u32 = 30;

/// Where others were given up before, fewer are enough; and where the waits are long: when they add up to so many times the longest one
/// that is accepted.
const FEW_REFUSALS: u32 = 5;
const LONGEST_WAITS: u32 = 4;

/// How often a request is made that the server refuses without saying what is wrong with it.
const UNCLEAR_TRIES: u32 = 2;

/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(60);

fn backoff(attempt: Attempt) -> Duration {
    attempt.pause.saturating_mul(1 << attempt.failures.saturating_sub(1).min(7)).min(MAX_PAUSE)
}

/// Whether a refusal says what is wrong with the request, so that the same one would be refused again.
fn is_clear(refusal: &RpcError) -> bool {
    const LAST_WORDS: [&str; 24] = [
        "BANNED",
        "CHANNEL",
        "DEACTIVATED",
        "DELAY",
        "DISABLED",
        "DUPLICATED",
        "EMPTY",
        "EXPIRED",
        "FAILED",
        "FORBIDDEN",
        "INVALID",
        "LONG",
        "MIGRATE",
        "MISSING",
        "MODIFIED",
        "NA",
        "NEEDED",
        "PRIVATE",
        "REQUIRED",
        "RESTRICTED",
        "REVOKED",
        "UNREGISTERED",
        "UNSUPPORTED",
        "WAIT",
    ];
    refusal.code == 401 || refusal.name.rsplit('_').next().is_some_and(|word| LAST_WORDS.contains(&word))
}

/// Decides about a failed request.
pub(super) fn decide(error: &CallError, attempt: Attempt) -> Decision {
    let again = |decision: fn(Duration) -> Decision| {
        if attempt.failures < attempt.tries && attempt.repeatable { decision(backoff(attempt)) } else { Decision::Fail }
    };
    let later = || match again(Decision::After) {
        Decision::After(_) if attempt.hopeless => Decision::GiveUp,
        Decision::Fail if attempt.repeatable => Decision::GiveUp,
        decision => decision,
    };
    match error {
        CallError::Rpc(rpc) => match (rpc.code, rpc.name.as_str(), rpc.value) {
            (303, "FILE_MIGRATE" | "PHONE_MIGRATE" | "NETWORK_MIGRATE" | "USER_MIGRATE" | "STATS_MIGRATE", Some(dc)) => {
                match i32::try_from(dc) {
                    Ok(dc) if attempt.failures < attempt.tries => Decision::Migrate(dc),
                    _ => Decision::Fail,
                }
            }
            // A request for a takeout is decided by whoever asked for it.
            (420, "TAKEOUT_INIT_DELAY", _) => Decision::Fail,
            (420, _, _) => match rpc.wait() {
                Some(wait) if wait > attempt.max_wait => Decision::Fail,
                Some(wait) => {
                    let long = attempt.refusals >= FEW_REFUSALS && attempt.waited >= attempt.max_wait * LONGEST_WAITS;
                    // What failed before may have failed for another reason: a wait that is asked for now may well be meant.
                    let most = if attempt.hopeless { FEW_REFUSALS } else { MAX_REFUSALS };
                    let enough = attempt.refusals >= most || long;
                    if enough { Decision::GiveUp } else { Decision::SlowDown(wait.max(attempt.pause * 2)) }
                }
                None => later(),
            },
            (401, "AUTH_KEY_UNREGISTERED" | "SESSION_EXPIRED", _) if !attempt.home && attempt.repairs < MAX_REPAIRS => Decision::Authorize,
            (401, "AUTH_KEY_INVALID" | "AUTH_KEY_PERM_EMPTY", _) if !attempt.home && attempt.repairs < MAX_REPAIRS => Decision::NewKey,
            (400, "CONNECTION_NOT_INITED" | "CONNECTION_LAYER_INVALID", _) => again(Decision::Reconnect),
            (400 | 500, "MSG_WAIT_FAILED" | "MSG_WAIT_TIMEOUT", _) => later(),
            // What was sent is there already: an answer got lost.
            (_, "RANDOM_ID_DUPLICATE", _) => Decision::Fail,
            (500.., _, _) | (..=-1, _, _) => later(),
            _ if attempt.failures < UNCLEAR_TRIES && attempt.repeatable && !is_clear(rpc) => Decision::After(backoff(attempt)),
            _ => Decision::Fail,
        },
        CallError::Status(404) if !attempt.home && attempt.repairs < MAX_REPAIRS => Decision::NewKey,
        CallError::Status(404) => Decision::Fail,
        // 429: too many connections to this data centre; anything else is as good as a cut line.
        CallError::Status(429) if attempt.failures < attempt.tries => Decision::Reconnect(backoff(attempt).saturating_mul(4)),
        CallError::Status(_) | CallError::Io(_) | CallError::TimedOut(_) | CallError::Closed => again(Decision::Reconnect),
        CallError::Exchange(super::ExchangeError::Io(_)) => again(Decision::Reconnect),
        CallError::Proxy(error) if error.may_pass() => again(Decision::Reconnect),
        CallError::Proxy(_)
        | CallError::Exchange(_)
        | CallError::Unusable(_)
        | CallError::Unreadable(_)
        | CallError::UnknownDc(_)
        | CallError::InVain(_) => Decision::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::RpcError;
    use super::*;

    fn rpc(code: i32, name: &str, value: Option<u32>) -> CallError {
        CallError::Rpc(RpcError { code, name: name.into(), value })
    }

    #[test]
    fn the_table() {
        let at = |failures, home| Attempt {
            failures,
            repairs: 0,
            home,
            pause: Duration::from_millis(500),
            max_wait: Duration::from_secs(600),
            repeatable: true,
            refusals: 1,
            waited: Duration::ZERO,
            hopeless: false,
            tries: MAX_FAILURES,
        };
        let refused = |refusals, waited| Attempt { refusals, waited: Duration::from_secs(waited), ..at(1, true) };
        let hopeless = Attempt { hopeless: true, ..at(1, true) };
        let repaired = |repairs| Attempt { repairs, ..at(9, false) };
        let seconds = Duration::from_secs;
        let half = Duration::from_millis(500);
        let table = [
            (rpc(303, "FILE_MIGRATE", Some(4)), at(1, true), Decision::Migrate(4)),
            (rpc(303, "FILE_MIGRATE", Some(4)), at(MAX_FAILURES, true), Decision::Fail),
            (rpc(500, "RANDOM_ID_DUPLICATE", None), at(1, true), Decision::Fail),
            (rpc(420, "FLOOD_WAIT", Some(31)), at(1, true), Decision::SlowDown(seconds(31))),
            (rpc(420, "FLOOD_WAIT", Some(31)), at(99, true), Decision::SlowDown(seconds(31))),
            (rpc(420, "FLOOD_WAIT", Some(601)), at(1, true), Decision::Fail),
            (rpc(420, "FLOOD_PREMIUM_WAIT", Some(3)), at(1, false), Decision::SlowDown(seconds(3))),
            (rpc(420, "FLOOD_WAIT", Some(0)), at(1, true), Decision::SlowDown(seconds(1))),
            (rpc(420, "FLOOD_WAIT", Some(0)), refused(29, 60), Decision::SlowDown(seconds(1))),
            (rpc(420, "FLOOD_WAIT", Some(0)), refused(30, 60), Decision::GiveUp),
            (rpc(420, "FLOOD_WAIT", Some(600)), refused(4, 2400), Decision::SlowDown(seconds(600))),
            (rpc(420, "FLOOD_WAIT", Some(600)), refused(5, 2399), Decision::SlowDown(seconds(600))),
            (rpc(420, "FLOOD_WAIT", Some(600)), refused(5, 2400), Decision::GiveUp),
            (rpc(420, "FLOOD_WAIT", Some(1)), hopeless, Decision::SlowDown(seconds(1))),
            (rpc(420, "FLOOD_WAIT", Some(1)), Attempt { refusals: FEW_REFUSALS, ..hopeless }, Decision::GiveUp),
            (rpc(420, "PREMIUM_SUB_WAIT", Some(3)), at(1, true), Decision::SlowDown(seconds(3))),
            (rpc(420, "P0", None), at(1, true), Decision::After(half)),
            (rpc(420, "P0", None), at(MAX_FAILURES, true), Decision::GiveUp),
            (rpc(420, "TAKEOUT_INIT_DELAY", Some(5)), at(1, true), Decision::Fail),
            (rpc(401, "AUTH_KEY_UNREGISTERED", None), at(1, false), Decision::Authorize),
            (rpc(401, "AUTH_KEY_UNREGISTERED", None), repaired(2), Decision::Authorize),
            (rpc(401, "AUTH_KEY_UNREGISTERED", None), repaired(3), Decision::Fail),
            (rpc(401, "AUTH_KEY_UNREGISTERED", None), at(1, true), Decision::Fail),
            (rpc(401, "SESSION_REVOKED", None), at(1, false), Decision::Fail),
            (rpc(500, "INTERNAL", None), at(1, true), Decision::After(half)),
            (rpc(-503, "Timeout", None), at(2, true), Decision::After(seconds(1))),
            (rpc(-503, "Timeout", None), hopeless, Decision::GiveUp),
            (rpc(500, "INTERNAL", None), at(MAX_FAILURES, true), Decision::GiveUp),
            (rpc(500, "INTERNAL", None), Attempt { tries: 3, ..at(2, true) }, Decision::After(seconds(1))),
            (rpc(500, "INTERNAL", None), Attempt { tries: 3, ..at(3, true) }, Decision::GiveUp),
            (rpc(406, "SOMETHING", None), at(1, true), Decision::After(half)),
            (rpc(406, "SOMETHING", None), at(2, true), Decision::Fail),
            (rpc(0, "", None), at(1, true), Decision::After(half)),
            (rpc(303, "ELSEWHERE", None), at(1, true), Decision::After(half)),
            (rpc(400, "CHANNEL_PRIVATE", None), at(1, true), Decision::Fail),
            (rpc(400, "FILE_REFERENCE_EXPIRED", None), at(1, true), Decision::Fail),
            (rpc(400, "CONNECTION_NOT_INITED", None), at(1, true), Decision::Reconnect(half)),
            (CallError::Status(404), at(1, false), Decision::NewKey),
            (CallError::Status(404), at(1, true), Decision::Fail),
            (CallError::Status(429), at(1, true), Decision::Reconnect(seconds(2))),
            (CallError::Closed, at(1, true), Decision::Reconnect(half)),
            (CallError::TimedOut(seconds(1)), at(7, true), Decision::Reconnect(seconds(32))),
            (CallError::TimedOut(seconds(1)), at(MAX_FAILURES, true), Decision::Fail),
            (CallError::Unusable("?".into()), at(1, true), Decision::Fail),
        ];
        for (error, attempt, expected) in table {
            assert_eq!(decide(&error, attempt), expected, "{error:?} {attempt:?}");
        }
    }

    #[test]
    fn what_must_not_be_sent_twice_is_not() {
        let once = Attempt {
            failures: 1,
            repairs: 0,
            home: true,
            pause: Duration::from_millis(500),
            max_wait: Duration::from_secs(600),
            repeatable: false,
            refusals: 0,
            waited: Duration::ZERO,
            hopeless: false,
            tries: MAX_FAILURES,
        };
        assert_eq!(decide(&CallError::Closed, once), Decision::Fail);
        assert_eq!(decide(&rpc(500, "INTERNAL", None), once), Decision::Fail);
    }
}
