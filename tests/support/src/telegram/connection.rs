//! One client's connection: packets in, packets out, with the delays and breaks that the options and faults ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use grammers_tl_types::{Deserializable, Identifiable, RawVec, Serializable, enums, functions, types};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::dispatch::{Call, Reply};
use super::faults::{Effect, Struck};
use super::protocol::crypto::{self, AuthKey, AuthKeyId};
use super::protocol::handshake::Handshake;
use super::protocol::session::{Inbound, Message, Numbering, Outbound, constructor, rpc_result, unix_time};
use super::protocol::transport::{self, FrameReader, FrameWriter};
use super::state::{Access, KeyRecord, Live, Shared};

/// Answers longer than this are packed, in bytes.
const PACKED_FROM: usize = 1024;

/// Something for the writing side.
enum Order {
    Packet { due: Instant, payload: Vec<u8>, answers: usize },
    Error(i32),
    CutAfter(usize),
}

/// Serves one connection until either side ends it.
pub(crate) async fn serve(shared: Arc<Shared>, dc: i32, stream: TcpStream) {
    let effects = shared.faults().strike(&Struck { method: "connect", dc, peer: None, takeout: false });
    let number = shared.counters.connected(dc);
    let in_flight = Arc::new(InFlight { shared: Arc::clone(&shared), dc, number, count: AtomicUsize::new(0) });
    let (mut reading, writing) = {
        // Small answers must not wait for more to come.
        let _ = stream.set_nodelay(true);
        stream.into_split()
    };
    if effects.contains(&Effect::Cut) {
        return;
    }
    if effects.contains(&Effect::Silent) {
        let mut sink = [0; 4096];
        while reading.read(&mut sink).await.is_ok_and(|n| n > 0) {}
        return;
    }
    let mut buffer = Vec::new();
    let (framed, framer) = loop {
        if let Some(opened) = transport::open(&mut buffer) {
            break opened;
        }
        if !matches!(reading.read_buf(&mut buffer).await, Ok(1..)) {
            return;
        }
    };
    let (orders, due) = unbounded_channel();
    for effect in effects {
        match effect {
            Effect::CutAfter(bytes) => drop(orders.send(Order::CutAfter(bytes))),
            Effect::Transport(code) => drop(orders.send(Order::Error(code))),
            _ => {}
        }
    }
    let (pushes, pushed) = unbounded_channel();
    let numbering = Numbering::ahead_by(shared.options.clock_ahead);
    let handshake = Handshake::with_retries(shared.options.key_retries);
    let mut client = Client { shared, dc, number, orders, pushes, numbering, session: None, handshake };
    let writer = write(writing, framer, due, Arc::clone(&in_flight));
    let reader = client.read(reading, framed, buffer, pushed, &in_flight);
    tokio::select! {
        () = writer => {}
        () = reader => {}
    }
}

/// Counts requests that wait for their answers, and settles the account when the connection ends.
struct InFlight {
    shared: Arc<Shared>,
    dc: i32,
    number: u64,
    count: AtomicUsize,
}

impl InFlight {
    fn received(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn answered(&self, answers: usize, bytes: usize) {
        self.count.fetch_sub(answers, Ordering::Relaxed);
        self.shared.counters.sent(self.dc, answers, bytes);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.shared.live().remove(&self.number);
        self.shared.counters.disconnected(self.dc, self.count.load(Ordering::Relaxed));
    }
}

/// Sends what is due, as fast as the bandwidth allows.
async fn write(mut stream: OwnedWriteHalf, mut framer: FrameWriter, mut orders: UnboundedReceiver<Order>, in_flight: Arc<InFlight>) {
    let bandwidth = in_flight.shared.options.bandwidth;
    let mut line_free = Instant::now();
    let mut left = None;
    let close_after = in_flight.shared.options.close_after;
    let mut packets = 0;
    while let Some(order) = orders.recv().await {
        let (mut bytes, answers, last) = match order {
            Order::CutAfter(bytes) => {
                left = Some(bytes);
                continue;
            }
            Order::Error(code) => (framer.error(code), 0, true),
            Order::Packet { due, payload, answers } => {
                if due > Instant::now() {
                    tokio::time::sleep_until(due).await;
                }
                packets += 1;
                (framer.frame(&payload), answers, packets == close_after)
            }
        };
        if let Some(rate) = bandwidth.filter(|rate| *rate > 0) {
            line_free = line_free.max(Instant::now()) + Duration::from_secs_f64(bytes.len() as f64 / rate as f64);
            tokio::time::sleep_until(line_free).await;
        }
        let cut = left.is_some_and(|left| bytes.len() >= left);
        if let Some(left) = &mut left {
            bytes.truncate(*left);
            *left -= bytes.len();
        }
        // Before the client can have it, so that whoever got an answer finds it counted.
        in_flight.answered(answers, bytes.len());
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
        if cut || last {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

/// What one connection knows of its client.
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) dc: i32,
    /// Number of the connection.
    pub(crate) number: u64,
    orders: UnboundedSender<Order>,
    pub(crate) pushes: UnboundedSender<enums::Updates>,
    numbering: Numbering,
    /// Key, salt and session of the last packet.
    session: Option<(AuthKey, i64, i64)>,
    handshake: Handshake,
}

impl Client {
    async fn read(
        &mut self,
        mut stream: OwnedReadHalf,
        mut framed: FrameReader,
        mut buffer: Vec<u8>,
        mut pushed: UnboundedReceiver<enums::Updates>,
        in_flight: &InFlight,
    ) {
        loop {
            loop {
                match framed.take(&mut buffer) {
                    Ok(Some(packet)) => match self.packet(packet, in_flight) {
                        Flow::On => {}
                        Flow::Cut => return,
                        // The writer ends the connection when it comes to the error.
                        Flow::Ended => return std::future::pending().await,
                    },
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
            let known = buffer.len();
            buffer.reserve(16 << 10);
            tokio::select! {
                read = stream.read_buf(&mut buffer) => match read {
                    Ok(1..) => framed.clear(buffer.get_mut(known..).unwrap_or_default()),
                    _ => return,
                },
                Some(updates) = pushed.recv() => self.push(&updates),
            }
        }
    }

    /// What the server's clock shows.
    fn now(&self) -> i32 {
        unix_time() + self.shared.options.clock_ahead
    }

    /// One packet of the client.
    fn packet(&mut self, mut packet: Vec<u8>, in_flight: &InFlight) -> Flow {
        let Some(key_id) = packet.first_chunk::<8>().copied() else { return Flow::Cut };
        if key_id == [0; 8] {
            return self.plain(&packet);
        }
        let known = self.shared.login().keys.get(&key_id).filter(|record| record.dc == self.dc).map(|record| (record.key, record.salt));
        let plain = known.and_then(|(key, salt)| Some((key, salt, crypto::decrypt(&key, &mut packet)?)));
        let Some((key, salt, inbound)) = plain.and_then(|(key, salt, plain)| Some((key, salt, Inbound::read(plain)?))) else {
            return self.refuse(-404);
        };
        self.session = Some((key, salt, inbound.session));
        self.messages(key_id, salt, inbound, in_flight)
    }

    /// A message of the key exchange: no key, an id, a length, the body.
    fn plain(&mut self, packet: &[u8]) -> Flow {
        let answer = packet.get(20..).and_then(|body| self.handshake.answer(&self.shared.key, body, self.now()));
        let Some((body, agreed)) = answer else { return self.refuse(-404) };
        if let Some(agreed) = agreed {
            let record = KeyRecord { key: agreed.key, dc: self.dc, salt: agreed.salt, access: Access::None, sessions: Default::default() };
            self.shared.login().keys.insert(crypto::auth_key_id(&agreed.key), record);
        }
        let mut payload = vec![0; 8];
        payload.extend(self.numbering.message_id(true).to_le_bytes());
        payload.extend((body.len() as u32).to_le_bytes());
        payload.extend(body);
        self.send(payload, 0, Duration::ZERO);
        Flow::On
    }

    fn messages(&mut self, key_id: AuthKeyId, salt: i64, inbound: Inbound, in_flight: &InFlight) -> Flow {
        let (bad_msg_id, bad_msg_seqno) = inbound.outer;
        if inbound.salt != salt {
            let notice = types::BadServerSalt { bad_msg_id, bad_msg_seqno, error_code: 48, new_server_salt: salt };
            self.answer(&[Outbound::service(enums::BadMsgNotification::BadServerSalt(notice).to_bytes())], Duration::ZERO);
            return Flow::On;
        }
        // Ids carry the client's clock: 300 s back and 30 s ahead are allowed.
        let ahead = (bad_msg_id >> 32) - i64::from(self.now());
        let error_code = match ahead {
            ..-300 => 16,
            31.. => 17,
            _ if bad_msg_id % 4 != 0 => 18,
            _ => 0,
        };
        if error_code != 0 {
            let notice = types::BadMsgNotification { bad_msg_id, bad_msg_seqno, error_code };
            self.answer(&[Outbound::service(enums::BadMsgNotification::Notification(notice).to_bytes())], Duration::ZERO);
            return Flow::On;
        }
        let mut together = Vec::new();
        let new = self.shared.login().keys.get_mut(&key_id).is_some_and(|record| record.sessions.insert(inbound.session));
        if new {
            let created = types::NewSessionCreated { first_msg_id: bad_msg_id, unique_id: crypto_id(), server_salt: salt };
            together.push(Outbound::push(enums::NewSession::Created(created).to_bytes()));
        }
        for message in &inbound.messages {
            if let Some(body) = self.service(message, salt) {
                together.extend(body.map(Outbound::service));
                continue;
            }
            in_flight.received();
            let (reply, delay) = Call::answer(self, key_id, &message.body);
            match reply {
                Reply::Cut => return Flow::Cut,
                Reply::Transport(code) => return self.refuse(code),
                Reply::Withheld => {}
                Reply::CutAfter(bytes, result) => {
                    let _ = self.orders.send(Order::CutAfter(bytes));
                    together.push(self.result(message.id, &result));
                }
                Reply::Result(result) if delay.is_zero() => together.push(self.result(message.id, &result)),
                Reply::Result(result) => {
                    let late = self.result(message.id, &result);
                    self.answer(&[late], delay);
                }
            }
        }
        // Small answers share a packet; a large one has its own, since clients refuse containers of more than 1 MiB.
        let mut rest = together.as_slice();
        while !rest.is_empty() {
            let mut size = 0;
            let fitting = rest.iter().take_while(|message| {
                size += message.body.len();
                size <= self.shared.options.packet_bytes
            });
            let (packet, after) = rest.split_at(fitting.count().max(1));
            self.answer(packet, Duration::ZERO);
            rest = after;
        }
        Flow::On
    }

    fn result(&self, request: i64, result: &[u8]) -> Outbound {
        let options = &self.shared.options;
        let packed = match constructor(result) {
            Some(types::upload::File::CONSTRUCTOR_ID) => false,
            Some(types::RpcError::CONSTRUCTOR_ID) => options.gzip_errors,
            _ => options.gzip && result.len() > PACKED_FROM,
        };
        Outbound::answer(rpc_result(request, result, packed))
    }

    /// Answers a message of the protocol itself; the outer `None` means that it is a request to the API.
    fn service(&self, message: &Message, salt: i64) -> Option<Option<Vec<u8>>> {
        let msg_id = message.id;
        let arguments = message.body.get(4..).unwrap_or_default();
        let pong = |ping_id| enums::Pong::Pong(types::Pong { msg_id, ping_id }).to_bytes();
        Some(match constructor(&message.body)? {
            types::MsgsAck::CONSTRUCTOR_ID | types::HttpWait::CONSTRUCTOR_ID | types::MsgsStateInfo::CONSTRUCTOR_ID => None,
            functions::Ping::CONSTRUCTOR_ID => functions::Ping::from_bytes(arguments).ok().map(|ping| pong(ping.ping_id)),
            functions::PingDelayDisconnect::CONSTRUCTOR_ID => {
                functions::PingDelayDisconnect::from_bytes(arguments).ok().map(|ping| pong(ping.ping_id))
            }
            functions::GetFutureSalts::CONSTRUCTOR_ID => {
                let now = self.now();
                let salt_of = |hour| types::FutureSalt { valid_since: now - 60 + hour * 3600, valid_until: now + (hour + 1) * 3600, salt };
                self.shared.options.future_salts.map(|count| {
                    let salts = RawVec((0..count).map(salt_of).collect());
                    enums::FutureSalts::Salts(types::FutureSalts { req_msg_id: msg_id, now, salts }).to_bytes()
                })
            }
            types::MsgsStateReq::CONSTRUCTOR_ID => types::MsgsStateReq::from_bytes(arguments).ok().map(|request| {
                // 4: received; nothing is kept for later, so that is all there is to say.
                let info = vec![4; request.msg_ids.len()];
                enums::MsgsStateInfo::Info(types::MsgsStateInfo { req_msg_id: msg_id, info }).to_bytes()
            }),
            functions::RpcDropAnswer::CONSTRUCTOR_ID => Some(rpc_result(msg_id, &enums::RpcDropAnswer::RpcAnswerUnknown.to_bytes(), false)),
            functions::DestroySession::CONSTRUCTOR_ID => functions::DestroySession::from_bytes(arguments)
                .ok()
                .map(|r| enums::DestroySessionRes::DestroySessionOk(types::DestroySessionOk { session_id: r.session_id }).to_bytes()),
            _ => return None,
        })
    }

    fn push(&mut self, updates: &enums::Updates) {
        self.answer(&[Outbound::push(updates.to_bytes())], Duration::ZERO);
    }

    /// From now on this connection hears of events.
    pub(crate) fn listen(&self, key: AuthKeyId) {
        self.shared.live().insert(self.number, Live { key, updates: self.pushes.clone() });
    }

    fn refuse(&self, code: i32) -> Flow {
        let _ = self.orders.send(Order::Error(code));
        Flow::Ended
    }

    fn answer(&mut self, messages: &[Outbound], delay: Duration) {
        let Some((key, salt, session)) = self.session else { return };
        let answers = messages.iter().filter(|message| message.content && message.reply).count();
        let payload = self.numbering.packet(&key, salt, session, messages);
        self.send(payload, answers, delay);
    }

    fn send(&self, payload: Vec<u8>, answers: usize, delay: Duration) {
        let due = Instant::now() + self.shared.options.latency + delay;
        let order = Order::Packet { due, payload, answers };
        if delay.is_zero() {
            let _ = self.orders.send(order);
        } else {
            // Not through the queue, where it would hold up the answers behind it.
            let orders = self.orders.clone();
            tokio::spawn(async move {
                tokio::time::sleep_until(due).await;
                let _ = orders.send(order);
            });
        }
    }
}

/// Whether a connection goes on after a packet.
enum Flow {
    On,
    Cut,
    Ended,
}

fn crypto_id() -> i64 {
    i64::from_le_bytes(crypto::random())
}
