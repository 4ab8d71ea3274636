//! One TCP connection to one data centre: many requests in flight, answers in any order, updates on the side.
//!
//! A task of its own owns the socket. Whatever kills it, a panic of the protocol library included, ends all its requests with
//! [`CallError::Closed`], and the pool opens a new one.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grammers_crypto::DequeBuffer;
use grammers_mtproto::MsgId;
use grammers_mtproto::mtp::{Deserialization, Encrypted, Mtp};
use grammers_mtproto::transport::{self, Full, Transport};
use grammers_tl_types::{Identifiable, Serializable, functions, types};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::error::{CallError, RpcError};
use super::pool::Place;

/// A server sends nothing longer: an answer is at most 1 MiB and gzip only shrinks it.
const MAX_FRAME_BYTES: usize = 4 << 20;
/// grammers-mtproto panics on longer requests; ours have a few hundred bytes.
const MAX_REQUEST_BYTES: usize = 1 << 20;
const READ_CHUNK_BYTES: usize = 64 << 10;
/// Where the server's number for a message stands in a decrypted packet: after key, digest, salt and session.
const MESSAGE_NUMBER: std::ops::Range<usize> = 40..48;

/// When a connection is kept alive and when it is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeat {
    /// A ping goes out after so long without one.
    pub(super) ping_every: Duration,
    /// The connection is dead after so long without a byte from the server.
    pub(super) silence: Duration,
}

type Answer = Result<Vec<u8>, CallError>;

/// By how many seconds a data centre's clock is ahead of ours, shared by its connections: the numbers of messages are times.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicI32);

impl Clock {
    pub(super) fn offset(&self) -> i32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set_offset(&self, seconds: i32) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    /// Learns from the number of a message that the server sent just now.
    fn learn(&self, message: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        self.set_offset(i32::try_from((message >> 32).saturating_sub(now)).unwrap_or_default());
    }
}

/// The server's refusals of messages whose number lies in the past or in the future.
const TOO_EARLY: i32 = 16;
const TOO_LATE: i32 = 17;

struct Waiting {
    body: Vec<u8>,
    /// `None` for pings, which nobody waits for.
    reply: Option<oneshot::Sender<Answer>>,
    /// The packet's own number, by which a server may refuse everything in it.
    container: Option<MsgId>,
}

/// A handle to a connection's task; dropping it closes the connection.
pub(super) struct Connection {
    requests: mpsc::UnboundedSender<Waiting>,
    in_flight: Arc<AtomicUsize>,
    closed: Arc<AtomicBool>,
    abort: tokio::task::AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// Marks the connection closed when its task ends, in whatever way it ends.
struct ClosedOnDrop(Arc<AtomicBool>);

impl Drop for ClosedOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Counts a request as in flight as long as it lives.
struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// Takes over a connected socket, with its `place` if it is for files.
    pub(super) fn start(
        stream: TcpStream,
        transport: Full,
        mtp: Encrypted,
        heartbeat: Heartbeat,
        clock: Arc<Clock>,
        updates: broadcast::Sender<Arc<Vec<u8>>>,
        place: Option<Place>,
    ) -> Self {
        let (requests, receiver) = mpsc::unbounded_channel();
        let closed = Arc::new(AtomicBool::new(false));
        let guard = ClosedOnDrop(closed.clone());
        let task = tokio::spawn(async move {
            let _guard = guard;
            // Free for another when the socket is closed, not before.
            let _place = place;
            let mut line = Line {
                stream,
                transport,
                mtp,
                read: Vec::with_capacity(READ_CHUNK_BYTES),
                write: DequeBuffer::with_capacity(16 << 10, 256),
                written: 0,
                queue: VecDeque::new(),
                sent: HashMap::new(),
                clock,
                updates,
            };
            let error = line.run(receiver, heartbeat).await;
            line.fail_all(&error);
        });
        Self { requests, in_flight: Arc::new(AtomicUsize::new(0)), closed, abort: task.abort_handle() }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Ends it; its requests fail.
    pub(super) fn close(&self) {
        self.abort.abort();
    }

    /// Requests that wait for their answers.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for its answer, at most `limit`.
    ///
    /// # Errors
    /// The server's refusal, or why there is no answer.
    pub(super) async fn request(&self, body: Vec<u8>, limit: Duration) -> Answer {
        if body.len() > MAX_REQUEST_BYTES || !body.len().is_multiple_of(4) {
            return Err(CallError::Unusable(format!("a request of {} bytes cannot be sent", body.len())));
        }
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let _counted = InFlight(self.in_flight.clone());
        let (reply, answer) = oneshot::channel();
        self.requests.send(Waiting { body, reply: Some(reply), container: None }).map_err(|_| CallError::Closed)?;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::Closed),
            Err(_) => Err(CallError::TimedOut(limit)),
        }
    }
}

/// The code of a notice in a decrypted message, or in one of a container's, that a message's number is not of the server's time.
///
/// Read here because the library keeps notices about its own requests to itself.
fn refused_time(body: &[u8]) -> Option<i32> {
    const CONTAINER: u32 = 0x73f1_f8dc;
    let int = |at: usize| body.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    match int(0)? {
        types::BadMsgNotification::CONSTRUCTOR_ID => i32::try_from(int(16)?).ok().filter(|code| matches!(*code, TOO_EARLY | TOO_LATE)),
        CONTAINER => {
            let mut at = 8;
            for _ in 0..int(4)? {
                let length = usize::try_from(int(at + 12)?).ok()?;
                let inner = body.get(at + 16..at.checked_add(16)?.checked_add(length)?)?;
                // A container holds no container.
                if !inner.starts_with(&CONTAINER.to_le_bytes())
                    && let Some(code) = refused_time(inner)
                {
                    return Some(code);
                }
                at += 16 + length;
            }
            None
        }
        _ => None,
    }
}

struct Line {
    stream: TcpStream,
    transport: Full,
    mtp: Encrypted,
    read: Vec<u8>,
    write: DequeBuffer<u8>,
    written: usize,
    queue: VecDeque<Waiting>,
    sent: HashMap<MsgId, Waiting>,
    clock: Arc<Clock>,
    updates: broadcast::Sender<Arc<Vec<u8>>>,
}

impl Line {
    async fn run(&mut self, mut requests: mpsc::UnboundedReceiver<Waiting>, heartbeat: Heartbeat) -> CallError {
        let mut next_ping = Instant::now() + heartbeat.ping_every;
        let mut give_up = Instant::now() + heartbeat.silence;
        let mut ping_id = 0_i64;
        loop {
            if self.write.is_empty() {
                self.fill_write();
            }
            let pending = self.write.as_ref().get(self.written..).unwrap_or_default();
            let (mut reader, mut writer) = self.stream.split();
            tokio::select! {
                read = reader.read_buf(&mut self.read) => match read {
                    Ok(0) => return CallError::Io(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => {
                        give_up = Instant::now() + heartbeat.silence;
                        if let Err(error) = self.unpack() {
                            return error;
                        }
                    }
                    Err(error) => return CallError::Io(error),
                },
                written = writer.write(pending), if !pending.is_empty() => match written {
                    Ok(0) => return CallError::Io(io::ErrorKind::WriteZero.into()),
                    Ok(count) => {
                        self.written += count;
                        if self.written >= self.write.len() {
                            self.write.clear();
                            self.written = 0;
                        }
                    }
                    Err(error) => return CallError::Io(error),
                },
                request = requests.recv() => match request {
                    Some(request) => {
                        self.queue.push_back(request);
                        while let Ok(more) = requests.try_recv() {
                            self.queue.push_back(more);
                        }
                    }
                    None => return CallError::Closed,
                },
                () = sleep_until(next_ping) => {
                    next_ping = Instant::now() + heartbeat.ping_every;
                    ping_id += 1;
                    let disconnect_delay = i32::try_from(heartbeat.silence.as_secs()).unwrap_or(i32::MAX).saturating_add(30);
                    let body = functions::PingDelayDisconnect { ping_id, disconnect_delay }.to_bytes();
                    self.queue.push_back(Waiting { body, reply: None, container: None });
                }
                () = sleep_until(give_up) => return CallError::Io(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Serialises what is queued into one packet.
    fn fill_write(&mut self) {
        let mut packed = Vec::new();
        while let Some(request) = self.queue.front() {
            if request.reply.as_ref().is_some_and(oneshot::Sender::is_closed) {
                self.queue.pop_front();
                continue;
            }
            // None: the packet is full, or the salts have to come first; the rest waits for the next turn.
            let Some(id) = self.mtp.push(&mut self.write, &request.body) else { break };
            if let Some(request) = self.queue.pop_front() {
                packed.push((id, request));
            }
        }
        if let Some(container) = self.mtp.finalize(&mut self.write) {
            self.transport.pack(&mut self.write);
            for (id, mut request) in packed {
                request.container = Some(container);
                self.sent.insert(id, request);
            }
        }
    }

    fn unpack(&mut self) -> Result<(), CallError> {
        let mut start = 0;
        loop {
            let rest = self.read.get_mut(start..).unwrap_or_default();
            if let Some(&length) = rest.first_chunk::<4>()
                && usize::try_from(i32::from_le_bytes(length)).is_ok_and(|length| length > MAX_FRAME_BYTES)
            {
                return Err(CallError::Unusable("the server announced a packet that is too long".into()));
            }
            match self.transport.unpack(rest) {
                Ok(offset) => {
                    let Some(payload) = rest.get_mut(offset.data_range) else { break };
                    // The library panics on some packets, for example on containers of more than a mebibyte.
                    let read = catch_unwind(AssertUnwindSafe(|| self.mtp.deserialize(payload)));
                    let answers = read
                        .map_err(|_| CallError::Unusable("the protocol library cannot read the server's packet".into()))?
                        .map_err(|error| CallError::Unusable(error.to_string()))?;
                    let sent = payload.get(MESSAGE_NUMBER).and_then(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes);
                    start += offset.next_offset;
                    let refusal = payload.get(MESSAGE_NUMBER.end + 8..).and_then(refused_time);
                    for answer in answers {
                        self.deliver(answer);
                    }
                    if let (Some(code), Some(sent)) = (refusal, sent) {
                        self.clock.learn(sent);
                        // Within a session numbers only grow: going back to the server's time takes a new one.
                        if code == TOO_LATE {
                            return Err(CallError::Closed);
                        }
                    }
                }
                Err(transport::Error::MissingBytes) => break,
                Err(transport::Error::BadStatus { status }) => return Err(CallError::Status(status)),
                Err(error) => return Err(CallError::Unusable(error.to_string())),
            }
        }
        self.read.drain(..start);
        Ok(())
    }

    fn deliver(&mut self, answer: Deserialization) {
        match answer {
            Deserialization::Update(update) | Deserialization::OwnUpdate { update, .. } => {
                // Nobody has to listen: completeness never rests on the stream of updates.
                let _ = self.updates.send(Arc::new(update));
            }
            Deserialization::RpcResult(result) => self.finish(result.msg_id, Ok(result.body)),
            Deserialization::RpcError(error) => self.finish(error.msg_id, Err(CallError::Rpc(RpcError::from(error.error)))),
            Deserialization::Failure(failure) => self.finish(failure.msg_id, Err(CallError::Unusable(failure.error.to_string()))),
            Deserialization::BadMessage(bad) => {
                let concerned: Vec<MsgId> = self
                    .sent
                    .iter()
                    .filter(|(id, request)| **id == bad.msg_id || request.container == Some(bad.msg_id))
                    .map(|(id, _)| *id)
                    .collect();
                for id in concerned {
                    let Some(request) = self.sent.remove(&id) else { continue };
                    // 32 and 33 are sequence numbers that the protocol state has corrected by now.
                    if bad.retryable() || matches!(bad.code, 32 | 33) {
                        self.queue.push_back(request);
                    } else if let Some(reply) = request.reply {
                        let _ = reply.send(Err(CallError::Unusable(format!("the server refused the message: {}", bad.description()))));
                    }
                }
            }
        }
    }

    fn finish(&mut self, id: MsgId, answer: Answer) {
        if let Some(Waiting { reply: Some(reply), .. }) = self.sent.remove(&id) {
            let _ = reply.send(answer);
        }
    }

    fn fail_all(&mut self, error: &CallError) {
        let sent = self.sent.drain().map(|(_, request)| request);
        for request in sent.chain(self.queue.drain(..)) {
            if let Some(reply) = request.reply {
                let _ = reply.send(Err(error.again()));
            }
        }
    }
}
