//! What the server saw: every request, how many at once, and over how many connections.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// One request as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Time since the server started.
    pub at: Duration,
    /// The DC that was asked.
    pub dc: i32,
    /// Number of the connection, counted from 1 over all DCs.
    pub connection: u64,
    /// The method without its wrappers, for example `messages.getHistory`.
    pub method: String,
    /// Whether it came inside `invokeWithTakeout`.
    pub takeout: bool,
    /// The bare id of the user, group or channel asked about, or of the file.
    pub peer: Option<i64>,
    /// Where reading begins: a message id for pages of messages, bytes for files.
    pub offset: Option<i64>,
    /// How much was asked for: messages, or bytes of a file.
    pub limit: Option<i64>,
    /// The error it was answered with, for example `FLOOD_WAIT_3`; `None` when it succeeded or had no answer.
    pub error: Option<String>,
}

/// Load of one DC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Connections open now.
    pub connections: usize,
    /// Most connections that were open at one time.
    pub most_connections: usize,
    /// Connections accepted so far.
    pub accepted: usize,
    /// Requests received whose answer is not sent yet.
    pub in_flight: usize,
    /// Most requests that were in flight at one time.
    pub most_in_flight: usize,
    /// Bytes of packets sent.
    pub bytes_sent: u64,
}

/// The record, shared by all connections.
#[derive(Debug)]
pub(crate) struct Counters {
    started: Instant,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    requests: Vec<Request>,
    loads: BTreeMap<i32, Load>,
    connections: u64,
    /// Connections to all DCs: open now, and most at one time.
    open: usize,
    most_open: usize,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), record: Mutex::default() }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a connection and gives its number.
    pub(crate) fn connected(&self, dc: i32) -> u64 {
        let mut record = self.record();
        record.connections += 1;
        record.open += 1;
        record.most_open = record.most_open.max(record.open);
        let load = record.loads.entry(dc).or_default();
        load.accepted += 1;
        load.connections += 1;
        load.most_connections = load.most_connections.max(load.connections);
        record.connections
    }

    /// Notes the end of a connection and of what was in flight on it.
    pub(crate) fn disconnected(&self, dc: i32, in_flight: usize) {
        let mut record = self.record();
        record.open = record.open.saturating_sub(1);
        let load = record.loads.entry(dc).or_default();
        load.connections = load.connections.saturating_sub(1);
        load.in_flight = load.in_flight.saturating_sub(in_flight);
    }

    pub(crate) fn received(&self, request: Request) -> usize {
        let mut record = self.record();
        let load = record.loads.entry(request.dc).or_default();
        load.in_flight += 1;
        load.most_in_flight = load.most_in_flight.max(load.in_flight);
        record.requests.push(request);
        record.requests.len() - 1
    }

    pub(crate) fn refused(&self, request: usize, error: &str) {
        if let Some(request) = self.record().requests.get_mut(request) {
            request.error = Some(error.to_owned());
        }
    }

    pub(crate) fn sent(&self, dc: i32, answers: usize, bytes: usize) {
        let mut record = self.record();
        let load = record.loads.entry(dc).or_default();
        load.in_flight = load.in_flight.saturating_sub(answers);
        load.bytes_sent += bytes as u64;
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.record().requests.clone()
    }

    pub(crate) fn loads(&self) -> BTreeMap<i32, Load> {
        self.record().loads.clone()
    }

    /// Most connections to all DCs that were open at one time.
    pub(crate) fn most_connections(&self) -> usize {
        self.record().most_open
    }

    /// Number of requests per method.
    pub(crate) fn methods(&self) -> BTreeMap<String, usize> {
        self.record().requests.iter().fold(BTreeMap::new(), |mut counts, request| {
            *counts.entry(request.method.clone()).or_default() += 1;
            counts
        })
    }

    /// Forgets requests and peaks; what is open or in flight now goes on counting.
    pub(crate) fn clear(&self) {
        let mut record = self.record();
        record.requests.clear();
        record.most_open = record.open;
        for load in record.loads.values_mut() {
            let (connections, in_flight) = (load.connections, load.in_flight);
            *load = Load { connections, in_flight, most_connections: connections, most_in_flight: in_flight, ..Load::default() };
        }
    }
}
