//! Scripted misfortune: what goes wrong, where, and at which request.
//!
//! A fault is looked up for every connection (method `connect`) and every request. As JSON, for the program's `--script`:
//!
//! ```json
//! [
//!   {"when": {"method": "messages.getHistory", "from": 3, "times": 1}, "then": {"rpc": {"code": 420, "message": "FLOOD_WAIT_2"}}},
//!   {"when": {"method": "upload.getFile", "dc": 4, "every": 10}, "then": {"cut_after": 100000}},
//!   {"when": {"method": "messages.getHistory", "faster_than": 20}, "then": {"rpc": {"code": 420, "message": "FLOOD_WAIT_3"}}},
//!   {"when": {"method": "connect", "dc": 4, "times": 2}, "then": "silent"}
//! ]
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::world::Mutation;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests it strikes.
    pub when: When,
    /// What happens to them.
    pub then: Effect,
}

/// Which requests a fault strikes. Fields left out match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// The method without its wrappers, for example `upload.getFile`; `connect` for a new connection.
    pub method: Option<String>,
    /// The DC asked.
    pub dc: Option<i32>,
    /// The bare id of the peer or file asked about.
    pub peer: Option<i64>,
    /// Inside `invokeWithTakeout`, or outside.
    pub takeout: Option<bool>,
    /// First of the matching requests that is struck, from 1; 0 means the same as 1.
    pub from: u64,
    /// How many matching requests are struck; `None` for all from there on.
    pub times: Option<u64>,
    /// Strikes only every n-th matching request from `from` on; 0 means each.
    pub every: u64,
    /// Strikes only while more than this many matching requests came within the last second: a limit as a server has it.
    pub faster_than: Option<usize>,
}

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It is answered with this error instead.
    Rpc {
        /// As Telegram's: 303 migrate, 400 bad request, 401 unauthorised, 403 forbidden, 420 flood, 500 internal, -503 timeout.
        code: i32,
        /// For example `FLOOD_WAIT_3`.
        message: String,
    },
    /// It is answered with these bytes instead, whatever they are.
    Answer(Vec<u8>),
    /// The connection is closed without an answer.
    Cut,
    /// The connection is closed when this many bytes more have been sent on it, in the middle of a packet if need be.
    CutAfter(usize),
    /// No answer ever comes. For `connect`: the connection is accepted and never says a word.
    Silent,
    /// A transport error such as -429 or -404 takes the place of the answer, and the connection is closed.
    Transport(i32),
    /// The answer comes so many milliseconds later.
    Delay(u64),
    /// A part of a file is this many bytes shorter (negative) or longer than it must be.
    PartLength(i64),
    /// A part of a file is elsewhere, on a CDN that does not exist.
    CdnRedirect,
    /// The authorisation key is not logged in any more: `AUTH_KEY_UNREGISTERED`, now and from then on.
    LogOut,
    /// The takeout is over: `TAKEOUT_INVALID` until a new one is begun.
    EndTakeout,
    /// All file references given so far are void: `FILE_REFERENCE_EXPIRED`.
    ExpireReferences,
    /// All salts given so far are void; the client is told the new one.
    NewSalt,
    /// Wherever these bytes of a TL object stand in the answer, they begin with a constructor that nobody knows.
    Garble(Vec<u8>),
    /// Wherever the first of these stands in the answer, the second, which is as long, stands instead.
    Replace(Vec<u8>, Vec<u8>),
    /// Only the first so many bytes of the answer come.
    Truncate(usize),
    /// Rich messages come in part: only `messages.getRichMessage` has them whole.
    InPart,
    /// A history comes without its newest messages, so many of them, and the count is as if they were not there.
    HideNewest(usize),
    /// A history counts so many messages more than it ever shows, or, where this is negative, fewer.
    CountOff(i32),
    /// Something happens in the account just before the answer.
    Mutate(Mutation),
}

/// What a fault is looked up by.
pub(crate) struct Struck<'a> {
    pub(crate) method: &'a str,
    pub(crate) dc: i32,
    pub(crate) peer: Option<i64>,
    pub(crate) takeout: bool,
}

/// The script with how far each of its faults has come.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    script: Vec<Line>,
}

/// A fault and how far it has come.
#[derive(Debug)]
struct Line {
    fault: Fault,
    seen: u64,
    struck: u64,
    /// When the requests of the last second came, where that matters.
    recent: VecDeque<Instant>,
}

impl Line {
    fn new(fault: Fault) -> Self {
        Self { fault, seen: 0, struck: 0, recent: VecDeque::new() }
    }

    /// Counts a matching request and tells whether it is struck.
    fn count(&mut self, now: Instant) -> bool {
        let when = &self.fault.when;
        self.seen += 1;
        let mut due = self.seen >= when.from.max(1) && (self.seen - when.from.max(1)).is_multiple_of(when.every.max(1));
        if let Some(limit) = when.faster_than {
            self.recent.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
            self.recent.push_back(now);
            due &= self.recent.len() > limit;
        }
        due &= when.times.is_none_or(|times| self.struck < times);
        self.struck += u64::from(due);
        due
    }
}

impl Faults {
    pub(crate) fn new(script: Vec<Fault>) -> Self {
        Self { script: script.into_iter().map(Line::new).collect() }
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.script.push(Line::new(fault));
    }

    pub(crate) fn clear(&mut self) {
        self.script.clear();
    }

    /// How often each fault struck, in the order of the script.
    pub(crate) fn struck(&self) -> Vec<u64> {
        self.script.iter().map(|line| line.struck).collect()
    }

    /// The effects on this request: every matching fault counts it, and the due ones strike.
    pub(crate) fn strike(&mut self, request: &Struck<'_>) -> Vec<Effect> {
        let now = Instant::now();
        let mut effects = Vec::new();
        for line in &mut self.script {
            if line.fault.when.matches(request) && line.count(now) {
                effects.push(line.fault.then.clone());
            }
        }
        effects
    }
}

impl When {
    /// Every request of a method.
    pub fn method(method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..Self::default() }
    }

    fn matches(&self, request: &Struck<'_>) -> bool {
        // `connect` is no request, so a fault without a method must not strike it.
        let method = self.method.as_deref().map_or(request.method != "connect", |m| m.eq_ignore_ascii_case(request.method));
        method
            && self.dc.is_none_or(|dc| dc == request.dc)
            && self.peer.is_none_or(|peer| Some(peer) == request.peer)
            && self.takeout.is_none_or(|takeout| takeout == request.takeout)
    }
}

impl Effect {
    /// An error answer.
    pub fn rpc(code: i32, message: &str) -> Self {
        Self::Rpc { code, message: message.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(when: When, requests: usize) -> Vec<usize> {
        let mut faults = Faults::new(vec![Fault { when, then: Effect::Cut }]);
        let request = Struck { method: "messages.getHistory", dc: 2, peer: Some(7), takeout: false };
        (1..=requests).filter(|_| !faults.strike(&request).is_empty()).collect()
    }

    #[test]
    fn strikes_when_the_script_says() {
        let history = || When::method("messages.getHistory");
        assert_eq!(strikes(history(), 3), [1, 2, 3]);
        assert_eq!(strikes(When { from: 2, times: Some(1), ..history() }, 4), [2]);
        assert_eq!(strikes(When { from: 2, every: 3, ..history() }, 9), [2, 5, 8]);
        assert_eq!(strikes(When { peer: Some(8), ..history() }, 3), Vec::<usize>::new());
        assert_eq!(strikes(When { dc: Some(2), takeout: Some(false), ..When::default() }, 2), [1, 2]);
        assert_eq!(strikes(When::method("connect"), 3), Vec::<usize>::new());
    }

    #[test]
    fn limits_strike_only_what_comes_too_fast() {
        let mut line = Line::new(Fault { when: When { faster_than: Some(3), ..When::default() }, then: Effect::rpc(420, "FLOOD_WAIT_1") });
        let begin = Instant::now();
        let mut count = |millis| line.count(begin + Duration::from_millis(millis));
        assert_eq!([0, 100, 200, 300, 900].map(&mut count), [false, false, false, true, true]);
        // Of those, only the last two are less than a second ago.
        assert_eq!([1250, 1260].map(&mut count), [false, true]);
        assert!(!count(3000));
    }

    #[test]
    fn the_script_in_the_documentation_reads() {
        let script = r#"[
            {"when": {"method": "messages.getHistory", "from": 3, "times": 1}, "then": {"rpc": {"code": 420, "message": "FLOOD_WAIT_2"}}},
            {"when": {"method": "upload.getFile", "dc": 4, "every": 10}, "then": {"cut_after": 100000}},
            {"when": {"method": "connect", "dc": 4, "times": 2}, "then": "silent"}
        ]"#;
        let faults: Vec<Fault> = serde_json::from_str(script).expect("a script");
        assert_eq!(
            faults.iter().map(|f| &f.then).collect::<Vec<_>>(),
            [&Effect::rpc(420, "FLOOD_WAIT_2"), &Effect::CutAfter(100_000), &Effect::Silent]
        );
    }
}
