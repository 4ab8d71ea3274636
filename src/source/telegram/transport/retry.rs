//! What to do about a failed request: one pure decision.

use std::time::Duration;

use super::error::CallError;

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
    /// Give up.
    Fail,
}

/// Failures after which a request is given up: with the waits below, after about 3 minutes.
const MAX_FAILURES: u32 = 8;

/// Repairs after which a request is given up: what three did not mend, more will not.
const MAX_REPAIRS: u32 = 3;

/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_secs(60);

fn backoff(attempt: Attempt) -> Duration {
    attempt.pause.saturating_mul(1 << attempt.failures.saturating_sub(1).min(7)).min(MAX_PAUSE)
}

/// Decides about a failed request.
pub(super) fn decide(error: &CallError, attempt: Attempt) -> Decision {
    let again = |decision: fn(Duration) -> Decision| {
        if attempt.failures < MAX_FAILURES && attempt.repeatable { decision(backoff(attempt)) } else { Decision::Fail }
    };
    match error {
        CallError::Rpc(rpc) => match (rpc.code, rpc.name.as_str(), rpc.value) {
            (303, "FILE_MIGRATE" | "PHONE_MIGRATE" | "NETWORK_MIGRATE" | "USER_MIGRATE" | "STATS_MIGRATE", Some(dc)) => {
                match i32::try_from(dc) {
                    Ok(dc) if attempt.failures < MAX_FAILURES => Decision::Migrate(dc),
                    _ => Decision::Fail,
                }
            }
            // The server's own figure; a request for a takeout is decided by whoever asked for it.
            (420, "FLOOD_WAIT" | "FLOOD_PREMIUM_WAIT" | "FLOOD_TEST_PHONE_WAIT", Some(seconds)) => {
                let wait = Duration::from_secs(u64::from(seconds));
                if wait <= attempt.max_wait { Decision::SlowDown(wait.max(Duration::from_millis(200))) } else { Decision::Fail }
            }
            (401, "AUTH_KEY_UNREGISTERED" | "SESSION_EXPIRED", _) if !attempt.home && attempt.repairs < MAX_REPAIRS => Decision::Authorize,
            (401, "AUTH_KEY_INVALID" | "AUTH_KEY_PERM_EMPTY", _) if !attempt.home && attempt.repairs < MAX_REPAIRS => Decision::NewKey,
            (400, "CONNECTION_NOT_INITED" | "CONNECTION_LAYER_INVALID", _) => again(Decision::Reconnect),
            (400 | 500, "MSG_WAIT_FAILED" | "MSG_WAIT_TIMEOUT", _) => again(Decision::After),
            (500.., _, _) | (..=-1, _, _) => again(Decision::After),
            _ => Decision::Fail,
        },
        CallError::Status(404) if !attempt.home && attempt.repairs < MAX_REPAIRS => Decision::NewKey,
        CallError::Status(404) => Decision::Fail,
        // 429: too many connections to this data centre; anything else is as good as a cut line.
        CallError::Status(429) if attempt.failures < MAX_FAILURES => Decision::Reconnect(backoff(attempt).saturating_mul(4)),
        CallError::Status(_) | CallError::Io(_) | CallError::TimedOut(_) | CallError::Closed => again(Decision::Reconnect),
        CallError::Exchange(super::ExchangeError::Io(_)) => again(Decision::Reconnect),
        CallError::Exchange(_) | CallError::Unusable(_) | CallError::Unreadable(_) | CallError::UnknownDc(_) => Decision::Fail,
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
        };
        let repaired = |repairs| Attempt { repairs, ..at(9, false) };
        let seconds = Duration::from_secs;
        let half = Duration::from_millis(500);
        let table = [
            (rpc(303, "FILE_MIGRATE", Some(4)), at(1, true), Decision::Migrate(4)),
            (rpc(303, "FILE_MIGRATE", Some(4)), at(MAX_FAILURES, true), Decision::Fail),
            (rpc(420, "FLOOD_WAIT", Some(31)), at(1, true), Decision::SlowDown(seconds(31))),
            (rpc(420, "FLOOD_WAIT", Some(31)), at(99, true), Decision::SlowDown(seconds(31))),
            (rpc(420, "FLOOD_WAIT", Some(601)), at(1, true), Decision::Fail),
            (rpc(420, "FLOOD_PREMIUM_WAIT", Some(3)), at(1, false), Decision::SlowDown(seconds(3))),
            (rpc(420, "TAKEOUT_INIT_DELAY", Some(5)), at(1, true), Decision::Fail),
            (rpc(401, "AUTH_KEY_UNREGISTERED", None), at(1, false), Decision::Authorize),
            (rpc(401, "AUTH_KEY_UNREGISTERED", None), repaired(2), Decision::Authorize),
            (rpc(401, "AUTH_KEY_UNREGISTERED", None), repaired(3), Decision::Fail),
            (rpc(401, "AUTH_KEY_UNREGISTERED", None), at(1, true), Decision::Fail),
            (rpc(401, "SESSION_REVOKED", None), at(1, false), Decision::Fail),
            (rpc(500, "INTERNAL", None), at(1, true), Decision::After(half)),
            (rpc(-503, "Timeout", None), at(2, true), Decision::After(seconds(1))),
            (rpc(500, "INTERNAL", None), at(MAX_FAILURES, true), Decision::Fail),
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
        };
        assert_eq!(decide(&CallError::Closed, once), Decision::Fail);
        assert_eq!(decide(&rpc(500, "INTERNAL", None), once), Decision::Fail);
    }
}
