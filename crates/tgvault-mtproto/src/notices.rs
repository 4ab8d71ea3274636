//! What the protocol library keeps to itself: notices of the server about salts, sessions and clocks, read from decrypted packets.
//! And packets made in the server's place, by which the library is told what no server said.

use grammers_crypto::aes;
use grammers_tl_types::{Identifiable, Serializable, enums, functions, types};
use sha2::{Digest, Sha256};

/// Where a decrypted packet's message begins: after key, digest, salt and session.
pub(super) const MESSAGE: usize = 40;
/// A message's number, sequence number and length.
const HEADER: usize = 16;
pub(super) const CONTAINER: u32 = 0x73f1_f8dc;
pub(super) const RPC_RESULT: u32 = 0xf35c_6d01;
/// The library panics on messages that are as long or longer.
const LONGEST: usize = 1_044_448;

/// The server's refusals of messages whose number lies in the past or in the future.
const TOO_EARLY: i32 = 16;
pub(super) const TOO_LATE: i32 = 17;

/// What a server says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The number of a message is not of the server's time; with the code.
    WrongTime(i32),
    /// From now on this salt.
    Salt(i64),
    /// The session is new to the server, which knows nothing of messages with smaller numbers than `first`.
    NewSession { first: i64, salt: i64 },
    /// So many salts for the time to come.
    FutureSalts(u32),
}

/// One message of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) number: i64,
    pub(super) sequence: i32,
    pub(super) body: &'a [u8],
}

pub(super) fn int(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<i64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(i64::from_le_bytes)
}

/// The message at the beginning of `bytes`.
fn message(bytes: &[u8]) -> Option<Message<'_>> {
    let length = usize::try_from(int(bytes, 12)?).ok()?;
    Some(Message {
        number: long(bytes, 0)?,
        sequence: i32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?),
        body: bytes.get(HEADER..HEADER.checked_add(length)?)?,
    })
}

/// The messages of a decrypted packet: one, or those of a container up to the first that is not whole.
pub(super) fn messages(packet: &[u8]) -> Vec<Message<'_>> {
    let Some(outer) = packet.get(MESSAGE..).and_then(message) else { return vec![] };
    if int(outer.body, 0) != Some(CONTAINER) {
        return vec![outer];
    }
    let mut rest = outer.body.get(8..).unwrap_or_default();
    let mut found = Vec::new();
    for _ in 0..int(outer.body, 4).unwrap_or_default() {
        let Some(inner) = message(rest) else { break };
        found.push(inner);
        rest = rest.get(HEADER + inner.body.len()..).unwrap_or_default();
    }
    found
}

impl Message<'_> {
    /// What it says about the connection, if that is what it is about.
    pub(super) fn notice(&self) -> Option<Notice> {
        let body = self.body;
        match int(body, 0)? {
            types::BadMsgNotification::CONSTRUCTOR_ID => {
                i32::try_from(int(body, 16)?).ok().filter(|code| matches!(*code, TOO_EARLY | TOO_LATE)).map(Notice::WrongTime)
            }
            types::BadServerSalt::CONSTRUCTOR_ID => long(body, 20).map(Notice::Salt),
            types::NewSessionCreated::CONSTRUCTOR_ID => Some(Notice::NewSession { first: long(body, 4)?, salt: long(body, 20)? }),
            types::FutureSalts::CONSTRUCTOR_ID => int(body, 16).map(Notice::FutureSalts),
            _ => None,
        }
    }

    /// Whether the library can read it.
    pub(super) fn is_short_enough(&self) -> bool {
        self.body.len() < LONGEST
    }

    /// The request that it answers, and the answer as it stands.
    pub(super) fn answer(&self) -> Option<(i64, &[u8])> {
        (int(self.body, 0)? == RPC_RESULT).then_some(())?;
        Some((long(self.body, 4)?, self.body.get(12..)?))
    }
}

/// The number of a request for salts at the end of what is about to be sent, before it is encrypted.
pub(super) fn asks_for_salts(unsent: &[u8]) -> Option<i64> {
    const LENGTH: usize = HEADER + 8;
    let last = message(unsent.get(unsent.len().checked_sub(LENGTH)?..)?)?;
    (last.body.len() + HEADER == LENGTH && int(last.body, 0)? == functions::GetFutureSalts::CONSTRUCTOR_ID).then_some(last.number)
}

/// The name of a session, by which packets can be made in the server's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    key_id: [u8; 8],
    number: i64,
}

/// Which way a packet goes, as it enters the encryption.
#[derive(Clone, Copy)]
pub(super) enum Way {
    ToServer = 0,
    FromServer = 8,
}

pub(super) fn cipher(key: &[u8; 256], digest: &[u8; 16], way: Way) -> ([u8; 32], [u8; 32]) {
    let at = way as usize;
    let part = |from: usize| key.get(from..from + 36).unwrap_or_default();
    let a: [u8; 32] = Sha256::new().chain_update(digest).chain_update(part(at)).finalize().into();
    let b: [u8; 32] = Sha256::new().chain_update(part(40 + at)).chain_update(digest).finalize().into();
    let mix = |outer: &[u8; 32], inner: &[u8; 32]| {
        let mut mixed = *outer;
        if let (Some(to), Some(from)) = (mixed.get_mut(8..24), inner.get(8..24)) {
            to.copy_from_slice(from);
        }
        mixed
    };
    (mix(&a, &b), mix(&b, &a))
}

impl Session {
    /// Reads the session and its salt from an encrypted packet of our own.
    pub(super) fn of_packet(key: &[u8; 256], packet: &[u8]) -> Option<(Self, i64)> {
        let key_id = *packet.first_chunk()?;
        let digest = packet.get(8..24)?.try_into().ok()?;
        let (aes_key, iv) = cipher(key, &digest, Way::ToServer);
        // Each block needs only those before it.
        let mut begin: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
        aes::ige_decrypt(&mut begin, &aes_key, &iv);
        Some((Self { key_id, number: long(&begin, 8)? }, long(&begin, 0)?))
    }

    /// The same from a decrypted packet of the server.
    pub(super) fn of_answer(packet: &[u8]) -> Option<Self> {
        Some(Self { key_id: *packet.first_chunk()?, number: long(packet, MESSAGE - 8)? })
    }

    /// A packet as the server would send it, with one message.
    pub(super) fn packet(&self, key: &[u8; 256], number: i64, sequence: i32, body: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(64 + body.len());
        0_i64.serialize(&mut plain);
        self.number.serialize(&mut plain);
        number.serialize(&mut plain);
        sequence.serialize(&mut plain);
        u32::try_from(body.len()).unwrap_or_default().serialize(&mut plain);
        plain.extend_from_slice(body);
        // At least 12 bytes, and whole blocks. Nobody sees this packet: it needs no randomness.
        plain.resize((plain.len() + 12).next_multiple_of(16), 0);
        let digest = Sha256::new().chain_update(key.get(96..128).unwrap_or_default()).chain_update(&plain).finalize();
        let digest: [u8; 16] = digest.get(8..24).and_then(|part| part.try_into().ok()).unwrap_or_default();
        let (aes_key, iv) = cipher(key, &digest, Way::FromServer);
        aes::ige_encrypt(&mut plain, &aes_key, &iv);
        [&self.key_id[..], &digest, &plain].concat()
    }
}

/// An answer to a request for salts that keeps to the one that is known: the server says when it does not hold any more.
pub(super) fn same_salt(request: i64, salt: i64) -> Vec<u8> {
    const SOON: i32 = 1_000;
    /// Later than any connection lasts, and early enough to be counted on with.
    const NEVER: i32 = i32::MAX / 2;
    let until = |valid_since, salt| types::FutureSalt { valid_since, valid_until: i32::MAX, salt };
    let salts = grammers_tl_types::RawVec(vec![until(0, salt), until(NEVER, salt)]);
    enums::FutureSalts::Salts(types::FutureSalts { req_msg_id: request, now: SOON, salts }).to_bytes()
}

/// A sign of life as if it answered `request`: the library names messages by a type of its own, which only it can make.
pub(super) fn pong(request: i64) -> Vec<u8> {
    enums::Pong::Pong(types::Pong { msg_id: request, ping_id: 0 }).to_bytes()
}

#[cfg(test)]
mod tests {
    use grammers_crypto::DequeBuffer;
    use grammers_mtproto::mtp::{Deserialization, Encrypted, Mtp};

    use super::*;

    const KEY: [u8; 256] = {
        let mut key = [0; 256];
        let mut at = 0;
        while at < 256 {
            key[at] = (at as u8).wrapping_mul(37);
            at += 1;
        }
        key
    };

    fn packet(mtp: &mut Encrypted, body: &[u8]) -> (bool, Option<i64>, Vec<u8>) {
        let mut buffer = DequeBuffer::with_capacity(1024, 256);
        let pushed = mtp.push(&mut buffer, body).is_some();
        let asked = asks_for_salts(buffer.as_ref());
        mtp.finalize(&mut buffer);
        (pushed, asked, buffer.as_ref().to_vec())
    }

    #[test]
    fn the_library_goes_on_with_the_salt_that_it_has() {
        let mut mtp = Encrypted::build().first_salt(77).finish(KEY);
        let (pushed, asked, sent) = packet(&mut mtp, b"Hey!");
        assert!(!pushed, "the salts come first");
        let (session, salt) = Session::of_packet(&KEY, &sent).unwrap();
        assert_eq!(salt, 77);
        let told = mtp.deserialize(&mut session.packet(&KEY, 1, 0, &same_salt(asked.unwrap(), salt))).unwrap();
        assert!(told.is_empty());
        let (pushed, asked, sent) = packet(&mut mtp, b"Hey!");
        assert!(pushed && asked.is_none());
        assert_eq!(Session::of_packet(&KEY, &sent).unwrap().1, 77);
        // A message is named as the library names it.
        let named = mtp.deserialize(&mut session.packet(&KEY, 5, 0, &pong(9))).unwrap();
        assert!(matches!(named.as_slice(), [Deserialization::RpcResult(result)] if format!("{:?}", result.msg_id) == "MsgId(9)"));
    }

    #[test]
    fn packets_are_read_as_far_as_they_are_whole() {
        let salt = enums::BadMsgNotification::BadServerSalt(types::BadServerSalt {
            bad_msg_id: 1,
            bad_msg_seqno: 2,
            error_code: 48,
            new_server_salt: 5,
        });
        let early = types::BadMsgNotification { bad_msg_id: 1, bad_msg_seqno: 2, error_code: 16 };
        let bodies = [salt.to_bytes(), enums::BadMsgNotification::Notification(early).to_bytes(), b"????".to_vec()];
        let mut container = [CONTAINER.to_le_bytes(), 3_u32.to_le_bytes()].concat();
        for (number, body) in (7_i64..).zip(&bodies) {
            container.extend(number.to_le_bytes());
            container.extend([0; 4]);
            container.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
            container.extend(body);
        }
        let mut packet = vec![0; MESSAGE + 12];
        packet.extend(u32::try_from(container.len()).unwrap().to_le_bytes());
        packet.extend(&container);
        let notices = |packet: &[u8]| messages(packet).iter().filter_map(Message::notice).collect::<Vec<_>>();
        assert_eq!(notices(&packet), [Notice::Salt(5), Notice::WrongTime(16)]);
        assert_eq!(messages(&packet).len(), 3);
        for length in 0..packet.len() {
            assert!(messages(&packet[..length]).is_empty(), "{length}: the container is not whole");
        }
    }
}
