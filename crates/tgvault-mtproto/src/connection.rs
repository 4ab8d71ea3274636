//! One TCP connection to one data centre: many requests in flight, answers in any order, updates on the side.
//!
//! A task of its own owns the socket. Whatever kills it, a panic of the protocol library included, ends all its requests with
//! [`CallError::Closed`], and the pool opens a new one.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grammers_crypto::DequeBuffer;
use grammers_mtproto::MsgId;
use grammers_mtproto::mtp::{Deserialization, Encrypted, Mtp, RpcResult};
use grammers_mtproto::transport;
use grammers_tl_types::{Deserializable, Identifiable, Serializable, enums, functions, types};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::error::{CallError, RpcError};
use super::framing::Framing;
use super::nesting::is_too_deep;
use super::notices::{Message, Notice, Session, TOO_LATE, asks_for_salts, messages, pong, same_salt};
use super::packed::{MOST_BYTES, harmful, is_harmless};
use super::pool::Place;

/// A server sends nothing longer; Telegram's own clients draw the line here.
const MAX_FRAME_BYTES: usize = 16 << 20;
/// grammers-mtproto panics on longer requests; ours have a few hundred bytes.
const MAX_REQUEST_BYTES: usize = 1 << 20;
const READ_CHUNK_BYTES: usize = 64 << 10;

/// When a connection is kept alive and when it is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeat {
    /// A ping goes out after so long without one.
    pub(super) ping_every: Duration,
    /// The connection is dead after so long without a byte from the server.
    pub(super) silence: Duration,
}

type Answer = Result<Vec<u8>, CallError>;

/// What comes without being asked for.
#[derive(Clone, Debug)]
pub enum Pushed {
    /// Serialised updates.
    Updates(Arc<Vec<u8>>),
    /// A connection that updates came by is gone, and whatever was on its way with it.
    Lost,
}

/// What the connections of a data centre share of its protocol: by how many seconds its clock is ahead of ours, since the numbers of
/// messages are times, and the salt that it wants.
#[derive(Debug, Default)]
pub(super) struct Clock {
    offset: AtomicI32,
    salt: AtomicI64,
}

impl Clock {
    pub(super) fn offset(&self) -> i32 {
        self.offset.load(Ordering::Relaxed)
    }

    pub(super) fn set_offset(&self, seconds: i32) {
        self.offset.store(seconds, Ordering::Relaxed);
    }

    /// The last salt that the server told; 0 before it told any.
    pub(super) fn salt(&self) -> i64 {
        self.salt.load(Ordering::Relaxed)
    }

    pub(super) fn set_salt(&self, salt: i64) {
        self.salt.store(salt, Ordering::Relaxed);
    }

    /// Learns from the number of a message that the server sent just now.
    fn learn(&self, message: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        self.set_offset(i32::try_from((message >> 32).saturating_sub(now)).unwrap_or_default());
    }
}

struct Waiting {
    body: Vec<u8>,
    /// `None` for pings, which nobody waits for.
    reply: Option<oneshot::Sender<Answer>>,
    /// The packet's own number, by which a server may refuse everything in it.
    container: Option<MsgId>,
    /// Whether the server has forgotten it once.
    forgotten: bool,
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

/// Marks the connection closed when its task ends, in whatever way it ends, and tells those who rely on it for updates.
struct ClosedOnDrop {
    closed: Arc<AtomicBool>,
    updates: Option<broadcast::Sender<Pushed>>,
}

impl Drop for ClosedOnDrop {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        if let Some(updates) = &self.updates {
            // Nobody has to listen.
            let _ = updates.send(Pushed::Lost);
        }
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
        framing: Framing,
        mtp: Encrypted,
        heartbeat: Heartbeat,
        clock: Arc<Clock>,
        updates: broadcast::Sender<Pushed>,
        place: Option<Place>,
    ) -> Self {
        let (requests, receiver) = mpsc::unbounded_channel();
        let closed = Arc::new(AtomicBool::new(false));
        // Connections for files come and go; what is asked there is asked again.
        let guard = ClosedOnDrop { closed: closed.clone(), updates: place.is_none().then(|| updates.clone()) };
        let task = tokio::spawn(async move {
            let guard = guard;
            // Free for another when the socket is closed, not before.
            let _place = place;
            let mut line = Line {
                stream,
                framing,
                mtp,
                read: Vec::with_capacity(READ_CHUNK_BYTES),
                write: DequeBuffer::with_capacity(16 << 10, 256),
                written: 0,
                queue: VecDeque::new(),
                sent: HashMap::new(),
                session: None,
                clock,
                updates,
            };
            let error = line.run(receiver, heartbeat).await;
            // First of all: whoever hears of the failure must not come here again.
            drop(guard);
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
        self.requests.send(Waiting { body, reply: Some(reply), container: None, forgotten: false }).map_err(|_| CallError::Closed)?;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::Closed),
            Err(_) => Err(CallError::TimedOut(limit)),
        }
    }
}

struct Line {
    stream: TcpStream,
    framing: Framing,
    mtp: Encrypted,
    read: Vec<u8>,
    write: DequeBuffer<u8>,
    written: usize,
    queue: VecDeque<Waiting>,
    sent: HashMap<MsgId, Waiting>,
    /// Known since the first packet.
    session: Option<Session>,
    clock: Arc<Clock>,
    updates: broadcast::Sender<Pushed>,
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
                    Ok(count) => {
                        let start = self.read.len().saturating_sub(count);
                        self.framing.clear(self.read.get_mut(start..).unwrap_or_default());
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
                    self.queue.push_back(Waiting { body, reply: None, container: None, forgotten: false });
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
        let salts = asks_for_salts(self.write.as_ref());
        if let Some(container) = self.mtp.finalize(&mut self.write) {
            if let Some(request) = salts
                && let Some((session, salt)) = Session::of_packet(&self.mtp.auth_key(), self.write.as_ref())
            {
                self.session = Some(session);
                // The library would send nothing before the answer, and not every server has one.
                self.tell(&same_salt(request, salt));
            }
            self.framing.pack(&mut self.write);
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
            match self.framing.unpack(rest) {
                Ok(offset) => {
                    let Some(payload) = rest.get_mut(offset.data_range) else { break };
                    let harmful = harmful(&self.mtp.auth_key(), payload);
                    // The library panics on some packets, for example on messages of more than a mebibyte.
                    let read = match &harmful {
                        Some(_) => None,
                        None => catch_unwind(AssertUnwindSafe(|| self.mtp.deserialize(payload))).ok(),
                    };
                    let plain = harmful.as_deref().unwrap_or(payload);
                    let notices: Vec<(i64, Notice)> =
                        messages(plain).iter().filter_map(|message| Some((message.number, message.notice()?))).collect();
                    self.session = self.session.or_else(|| Session::of_answer(plain));
                    let refused = if read.is_none() { plain.to_vec() } else { vec![] };
                    start += offset.next_offset;
                    let answers = match read {
                        Some(answers) => answers.map_err(|error| CallError::Unusable(error.to_string()))?,
                        None => self.read_singly(&refused)?,
                    };
                    for answer in answers {
                        self.deliver(answer);
                    }
                    for (message, notice) in notices {
                        self.heed(message, notice)?;
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

    /// Feeds the library a message as if the server had sent it.
    fn tell(&mut self, body: &[u8]) -> Vec<Deserialization> {
        let Some(session) = self.session else { return vec![] };
        let mut packet = session.packet(&self.mtp.auth_key(), 1, 0, body);
        self.mtp.deserialize(&mut packet).unwrap_or_default()
    }

    /// Reads the messages of a decrypted packet one by one where the library cannot read it as a whole.
    fn read_singly(&mut self, payload: &[u8]) -> Result<Vec<Deserialization>, CallError> {
        let unreadable = || CallError::Unusable("the protocol library cannot read the server's packet".into());
        let session = self.session.ok_or_else(unreadable)?;
        let messages = messages(payload);
        let harmless: Vec<bool> = messages.iter().map(|message| is_harmless(message.body)).collect();
        // Whatever it does not like is not the length of a message.
        if messages.iter().all(Message::is_short_enough) && harmless.iter().all(|&harmless| harmless) && messages.len() < 2 {
            return Err(unreadable());
        }
        let mut answers = Vec::new();
        for (message, harmless) in messages.into_iter().zip(harmless) {
            if !harmless {
                let Some(msg_id) = message.answer().and_then(|(request, _)| self.named(request)) else { continue };
                self.finish(msg_id, Err(CallError::Unreadable(format!("it inflates to more than {} MiB", MOST_BYTES >> 20))));
            } else if message.is_short_enough() {
                let mut packet = session.packet(&self.mtp.auth_key(), message.number, message.sequence, message.body);
                let read = catch_unwind(AssertUnwindSafe(|| self.mtp.deserialize(&mut packet)));
                answers.extend(read.map_err(|_| unreadable())?.map_err(|error| CallError::Unusable(error.to_string()))?);
            } else if let Some((request, answer)) = message.answer() {
                let msg_id = self.named(request).ok_or_else(unreadable)?;
                answers.push(Deserialization::RpcResult(RpcResult { msg_id, body: answer.to_vec() }));
            }
        }
        Ok(answers)
    }

    /// The library's name for a message with this number.
    fn named(&mut self, number: i64) -> Option<MsgId> {
        self.tell(&pong(number)).into_iter().find_map(|answer| match answer {
            Deserialization::RpcResult(result) => Some(result.msg_id),
            _ => None,
        })
    }

    /// Does what a notice of the server asks for.
    fn heed(&mut self, message: i64, notice: Notice) -> Result<(), CallError> {
        match notice {
            Notice::WrongTime(code) => {
                self.clock.learn(message);
                // Within a session numbers only grow: going back to the server's time takes a new one.
                if code == TOO_LATE {
                    return Err(CallError::Closed);
                }
            }
            Notice::Salt(salt) => self.clock.set_salt(salt),
            Notice::NewSession { first, salt } => {
                self.clock.set_salt(salt);
                self.send_again_before(first);
            }
            // With fewer than two the library asks for more without end.
            Notice::FutureSalts(count) if count < 2 => {
                self.tell(&same_salt(0, self.clock.salt()));
            }
            Notice::FutureSalts(_) => {}
        }
        Ok(())
    }

    /// Sends again what went out before a message, once: the server forgot it along with the session.
    fn send_again_before(&mut self, first: i64) {
        let Some(first) = self.named(first) else { return };
        let forgotten = |(_, request): &(&MsgId, &Waiting)| request.container.is_some_and(|packet| packet < first) && !request.forgotten;
        let concerned: Vec<MsgId> = self.sent.iter().filter(forgotten).map(|(id, _)| *id).collect();
        for id in concerned {
            if let Some(request) = self.sent.remove(&id) {
                self.queue.push_back(Waiting { forgotten: true, ..request });
            }
        }
    }

    fn deliver(&mut self, answer: Deserialization) {
        match answer {
            Deserialization::Update(update) | Deserialization::OwnUpdate { update, .. } if is_too_deep(&update) => {}
            Deserialization::RpcResult(result) if is_too_deep(&result.body) => {
                self.finish(result.msg_id, Err(CallError::Unreadable("it is nested too deeply".into())));
            }
            // Some servers pack their refusals too.
            Deserialization::RpcResult(result) if result.body.starts_with(&types::RpcError::CONSTRUCTOR_ID.to_le_bytes()) => {
                let answer = match enums::RpcError::from_bytes(&result.body) {
                    Ok(enums::RpcError::Error(error)) => Err(CallError::Rpc(RpcError::from(error))),
                    Err(error) => Err(CallError::Unusable(error.to_string())),
                };
                self.finish(result.msg_id, answer);
            }
            Deserialization::Update(update) | Deserialization::OwnUpdate { update, .. } => {
                // Nobody has to listen: completeness never rests on the stream of updates.
                let _ = self.updates.send(Pushed::Updates(Arc::new(update)));
            }
            Deserialization::RpcResult(result) => self.finish(result.msg_id, Ok(result.body)),
            Deserialization::RpcError(error) => self.finish(error.msg_id, Err(CallError::Rpc(RpcError::from(error.error)))),
            Deserialization::Failure(failure) => self.finish(failure.msg_id, Err(CallError::Unreadable(failure.error.to_string()))),
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
