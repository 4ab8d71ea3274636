//! Messages inside a packet: taking a client's apart, and numbering and packing the server's.

use std::io::{Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use grammers_tl_types::{Deserializable, Serializable};

use super::crypto::{AuthKey, encrypt};

const CONTAINER: u32 = 0x73f1_f8dc;
const GZIP: u32 = 0x3072_cfa1;
const RPC_RESULT: u32 = 0xf35c_6d01;

/// Longest body that a packed message may unfold to, in bytes.
const LONGEST_UNPACKED: u64 = 1 << 26;

/// Seconds since 1970 by the system's clock.
pub(crate) fn unix_time() -> i32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i32)
}

/// The plain part of a client's packet.
pub(crate) struct Inbound {
    pub(crate) salt: i64,
    pub(crate) session: i64,
    /// Every message, those of containers one by one, unpacked.
    pub(crate) messages: Vec<Message>,
    /// Id and sequence number of the outermost message, which notifications about the packet name.
    pub(crate) outer: (i64, i32),
}

/// One message of a client.
pub(crate) struct Message {
    pub(crate) id: i64,
    pub(crate) body: Vec<u8>,
}

impl Inbound {
    /// Takes the decrypted part of a packet apart; `None` when it is not built as the protocol says.
    pub(crate) fn read(plain: &[u8]) -> Option<Self> {
        let salt = i64::from_le_bytes(*plain.first_chunk()?);
        let session = i64::from_le_bytes(*plain.get(8..)?.first_chunk()?);
        let mut rest = plain.get(16..)?;
        let (id, seqno, body) = take_message(&mut rest)?;
        let mut messages = Vec::new();
        flatten(id, body, &mut messages)?;
        Some(Self { salt, session, messages, outer: (id, seqno) })
    }
}

fn take_message<'b>(input: &mut &'b [u8]) -> Option<(i64, i32, &'b [u8])> {
    let (id, rest) = input.split_first_chunk::<8>()?;
    let (seqno, rest) = rest.split_first_chunk::<4>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (body, rest) = rest.split_at_checked(usize::try_from(i32::from_le_bytes(*len)).ok()?)?;
    *input = rest;
    Some((i64::from_le_bytes(*id), i32::from_le_bytes(*seqno), body))
}

fn flatten(id: i64, body: &[u8], out: &mut Vec<Message>) -> Option<()> {
    match constructor(body)? {
        CONTAINER => {
            let count = constructor(body.get(4..)?)?;
            let mut rest = body.get(8..)?;
            for _ in 0..count {
                let (id, _, body) = take_message(&mut rest)?;
                // A container holds no container.
                if constructor(body)? == CONTAINER {
                    return None;
                }
                flatten(id, body, out)?;
            }
        }
        GZIP => out.push(Message { id, body: unpack(body.get(4..)?)? }),
        _ => out.push(Message { id, body: body.to_vec() }),
    }
    Some(())
}

/// The first four bytes: a constructor's number.
pub(crate) fn constructor(body: &[u8]) -> Option<u32> {
    body.first_chunk().map(|id| u32::from_le_bytes(*id))
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let packed = Vec::<u8>::from_bytes(packed).ok()?;
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).take(LONGEST_UNPACKED).read_to_end(&mut body).ok()?;
    Some(body)
}

/// The body of an answer to the request with id `request`; with `gzip`, packed when that is worth it.
pub(crate) fn rpc_result(request: i64, result: &[u8], gzip: bool) -> Vec<u8> {
    let mut body = Vec::with_capacity(result.len() + 16);
    body.extend(RPC_RESULT.to_le_bytes());
    body.extend(request.to_le_bytes());
    match gzip.then(|| pack(result)).flatten() {
        Some(packed) if packed.len() + 8 < result.len() => {
            body.extend(GZIP.to_le_bytes());
            packed.serialize(&mut body);
        }
        _ => body.extend_from_slice(result),
    }
    body
}

fn pack(result: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(result.len() / 2), flate2::Compression::fast());
    encoder.write_all(result).ok()?;
    encoder.finish().ok()
}

/// A message on its way to the client.
pub(crate) struct Outbound {
    pub(crate) body: Vec<u8>,
    /// Counts in the sequence numbers and wants an acknowledgement.
    pub(crate) content: bool,
    /// Answers something; other messages have ids of another residue.
    pub(crate) reply: bool,
}

impl Outbound {
    /// An answer to a request.
    pub(crate) fn answer(body: Vec<u8>) -> Self {
        Self { body, content: true, reply: true }
    }

    /// A service message such as a pong.
    pub(crate) fn service(body: Vec<u8>) -> Self {
        Self { body, content: false, reply: true }
    }

    /// Something the client did not ask for.
    pub(crate) fn push(body: Vec<u8>) -> Self {
        Self { body, content: true, reply: false }
    }
}

/// Numbers what goes to one client.
#[derive(Default)]
pub(crate) struct Numbering {
    last_id: i64,
    content: i32,
    /// Seconds by which the server's clock is ahead.
    ahead: i64,
}

impl Numbering {
    /// For a server whose clock is so many seconds ahead.
    pub(crate) fn ahead_by(seconds: i32) -> Self {
        Self { ahead: seconds.into(), ..Self::default() }
    }

    /// Encrypts `messages` into one packet, in a container when there are several.
    pub(crate) fn packet(&mut self, key: &AuthKey, salt: i64, session: i64, messages: &[Outbound]) -> Vec<u8> {
        let size: usize = messages.iter().map(|m| m.body.len() + 16).sum();
        let mut packet = Vec::with_capacity(size + 24 + 16 + 24 + 32);
        packet.extend([0; 24]);
        packet.extend(salt.to_le_bytes());
        packet.extend(session.to_le_bytes());
        if let [only] = messages {
            self.number(only, &mut packet);
        } else {
            let mut container = Vec::with_capacity(size + 8);
            container.extend(CONTAINER.to_le_bytes());
            container.extend((messages.len() as u32).to_le_bytes());
            messages.iter().for_each(|message| self.number(message, &mut container));
            self.number(&Outbound { body: container, content: false, reply: false }, &mut packet);
        }
        encrypt(key, &mut packet);
        packet
    }

    fn number(&mut self, message: &Outbound, out: &mut Vec<u8>) {
        out.extend(self.message_id(message.reply).to_le_bytes());
        let seqno = self.content * 2 + i32::from(message.content);
        self.content += i32::from(message.content);
        out.extend(seqno.to_le_bytes());
        out.extend((message.body.len() as i32).to_le_bytes());
        out.extend_from_slice(&message.body);
    }

    /// Unix time in units of 2^-32 s, with 1 for answers and 3 for the rest in the lowest bits; always growing.
    pub(crate) fn message_id(&mut self, reply: bool) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let id = ((now.as_secs() as i64 + self.ahead) << 32 | i64::from(now.subsec_nanos()) << 2) & !3;
        self.last_id = id.max((self.last_id & !3) + 4) | if reply { 1 } else { 3 };
        self.last_id
    }
}
