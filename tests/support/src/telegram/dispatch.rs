//! From a request's bytes to its answer: wrappers off, faults looked up, rights checked, method called.

use std::time::Duration;

use grammers_tl_types::{self as tl, Cursor, Deserializable, Identifiable, RemoteCall, Serializable, enums, functions, types};

use super::connection::Client;
use super::counters::Request;
use super::faults::{Effect, Struck};
use super::methods;
use super::protocol::crypto::AuthKeyId;
use super::protocol::session::{constructor, unix_time};
use super::state::{Access, Shared};
use super::target::Target;

/// How a request ends.
pub(crate) enum Reply {
    /// With this object.
    Result(Vec<u8>),
    /// With nothing.
    Withheld,
    /// With the end of the connection.
    Cut,
    /// With this object, and the end of the connection after so many bytes.
    CutAfter(usize, Vec<u8>),
    /// With a transport error.
    Transport(i32),
}

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Code 400, what is wrong with the request.
    pub(crate) fn bad(message: &str) -> Self {
        Self::new(400, message)
    }
}

/// One request while it is answered.
pub(crate) struct Call<'c> {
    pub(crate) client: &'c Client,
    pub(crate) shared: &'c Shared,
    pub(crate) dc: i32,
    pub(crate) key: AuthKeyId,
    pub(crate) access: Access,
    /// Inside `invokeWithTakeout`, with an id that is good.
    pub(crate) takeout: bool,
    /// Inside `invokeWithMessagesRange`.
    pub(crate) range: Option<(i32, i32)>,
    /// What a fault does to a part of a file.
    pub(crate) part: Option<Effect>,
    /// Whether rich messages come in part.
    pub(crate) in_part: bool,
    /// So many of the newest messages are not shown.
    pub(crate) hidden: usize,
    /// So many messages more are counted than there are.
    pub(crate) counted_off: i32,
    pub(crate) now: i32,
}

/// The wrappers around a request.
#[derive(Default)]
struct Wrappers {
    updates: bool,
    takeout: Option<i64>,
    range: Option<(i32, i32)>,
}

/// The rest of a request, which is the request inside a wrapper.
struct Rest(Vec<u8>);

impl Deserializable for Rest {
    fn deserialize(cursor: &mut Cursor) -> tl::deserialize::Result<Self> {
        let mut rest = Vec::new();
        cursor.read_to_end(&mut rest)?;
        Ok(Self(rest))
    }
}

impl<'c> Call<'c> {
    /// Answers a request, and says how much later than others.
    pub(crate) fn answer(client: &'c Client, key: AuthKeyId, body: &[u8]) -> (Reply, Duration) {
        let shared = &*client.shared;
        let mut wrappers = Wrappers { updates: true, ..Wrappers::default() };
        let Some(body) = unwrap(body.to_vec(), &mut wrappers) else {
            return (Reply::Result(error(&Refusal::bad("INPUT_REQUEST_INVALID"))), Duration::ZERO);
        };
        let id = constructor(&body).unwrap_or_default();
        let arguments = body.get(4..).unwrap_or_default();
        let method = tl::name_for_id(id);
        let target = Target::of(id, arguments);
        let takeout = wrappers.takeout.is_some();
        let entry = shared.counters.received(Request {
            at: shared.counters.elapsed(),
            dc: client.dc,
            connection: client.number,
            method: method.to_owned(),
            takeout,
            peer: target.peer,
            offset: target.offset,
            limit: target.limit,
            error: None,
        });
        let effects = shared.faults().strike(&Struck { method, dc: client.dc, peer: target.peer, takeout });
        let access = shared.login().keys.get(&key).map_or(Access::None, |record| record.access);
        let mut call = Call {
            client,
            shared,
            dc: client.dc,
            key,
            access,
            takeout,
            range: wrappers.range,
            part: None,
            in_part: false,
            hidden: 0,
            counted_off: 0,
            now: unix_time(),
        };
        let mut delay = Duration::ZERO;
        let mut cut_after = None;
        let mut refusal = None;
        let mut garbled: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut length = usize::MAX;
        let mut instead = None;
        for effect in effects {
            match effect {
                Effect::Cut => return (Reply::Cut, delay),
                Effect::Silent => return (Reply::Withheld, delay),
                Effect::Transport(code) => return (Reply::Transport(code), delay),
                Effect::CutAfter(bytes) => cut_after = Some(bytes),
                Effect::Delay(millis) => delay = Duration::from_millis(millis),
                Effect::Rpc { code, message } => refusal = Some(Refusal { code, message }),
                Effect::PartLength(_) | Effect::CdnRedirect => call.part = Some(effect),
                Effect::InPart => call.in_part = true,
                Effect::HideNewest(messages) => call.hidden = messages,
                Effect::CountOff(messages) => call.counted_off = messages,
                Effect::LogOut => call.log_out(),
                Effect::Garble(bytes) => {
                    let instead = [0xEE; 4].into_iter().chain(bytes.iter().skip(4).copied()).collect();
                    garbled.push((bytes, instead));
                }
                Effect::Replace(bytes, instead) => garbled.push((bytes, instead)),
                Effect::Truncate(bytes) => length = bytes,
                Effect::Answer(bytes) => instead = Some(bytes),
                Effect::EndTakeout => shared.login().takeout = None,
                Effect::ExpireReferences => shared.world().files.expire_references(),
                Effect::NewSalt => call.new_salt(),
                Effect::Mutate(mutation) => {
                    if let Err(error) = shared.mutate(&mutation) {
                        refusal = Some(Refusal::new(500, format!("SCRIPT_FAILED: {error}")));
                    }
                }
            }
        }
        let result = match (refusal, instead) {
            (Some(refusal), _) => Err(refusal),
            (None, Some(bytes)) => Ok(bytes),
            (None, None) => call.check(id, wrappers.takeout).and_then(|()| methods::call(&mut call, id, arguments)),
        };
        let result = result.map(|mut answer| {
            for (bytes, instead) in garbled.iter().filter(|(bytes, instead)| bytes.len() >= 4 && bytes != instead) {
                while let Some(at) = answer.windows(bytes.len()).position(|window| window == bytes.as_slice()) {
                    answer.iter_mut().skip(at).zip(instead).for_each(|(byte, instead)| *byte = *instead);
                }
            }
            answer.truncate(length);
            answer
        });
        if wrappers.updates && call.access != Access::None {
            client.listen(key);
        }
        let result = result.unwrap_or_else(|refusal| {
            shared.counters.refused(entry, &refusal.message);
            error(&refusal)
        });
        match cut_after {
            Some(bytes) => (Reply::CutAfter(bytes, result), delay),
            None => (Reply::Result(result), delay),
        }
    }

    /// Whether the client may call this at all.
    fn check(&self, id: u32, takeout: Option<i64>) -> Result<(), Refusal> {
        if !methods::open_to_all(id) {
            match self.access {
                Access::None => return Err(Refusal::new(401, "AUTH_KEY_UNREGISTERED")),
                Access::Password => return Err(Refusal::new(401, "SESSION_PASSWORD_NEEDED")),
                Access::Bot if methods::users_only(id) => return Err(Refusal::bad("BOT_METHOD_INVALID")),
                Access::Bot | Access::User => {}
            }
        }
        if takeout.is_some() && takeout != self.shared.login().takeout {
            return Err(Refusal::bad("TAKEOUT_INVALID"));
        }
        Ok(())
    }

    /// Takes the login away from the key that asks.
    pub(crate) fn log_out(&mut self) {
        if let Some(record) = self.shared.login().keys.get_mut(&self.key) {
            record.access = Access::None;
        }
        self.access = Access::None;
    }

    /// Gives the key that asks a login.
    pub(crate) fn log_in(&mut self, access: Access) {
        if let Some(record) = self.shared.login().keys.get_mut(&self.key) {
            record.access = access;
        }
        self.access = access;
    }

    fn new_salt(&self) {
        if let Some(record) = self.shared.login().keys.get_mut(&self.key) {
            record.salt = i64::from_le_bytes(super::protocol::crypto::random());
        }
    }
}

/// Takes wrappers off until the request itself is there.
fn unwrap(mut body: Vec<u8>, wrappers: &mut Wrappers) -> Option<Vec<u8>> {
    loop {
        let id = constructor(&body)?;
        let inner = body.get(4..)?;
        body = match id {
            functions::InvokeWithLayer::<Rest>::CONSTRUCTOR_ID => functions::InvokeWithLayer::<Rest>::from_bytes(inner).ok()?.query.0,
            functions::InitConnection::<Rest>::CONSTRUCTOR_ID => functions::InitConnection::<Rest>::from_bytes(inner).ok()?.query.0,
            functions::InvokeAfterMsg::<Rest>::CONSTRUCTOR_ID => functions::InvokeAfterMsg::<Rest>::from_bytes(inner).ok()?.query.0,
            functions::InvokeAfterMsgs::<Rest>::CONSTRUCTOR_ID => functions::InvokeAfterMsgs::<Rest>::from_bytes(inner).ok()?.query.0,
            functions::InvokeWithoutUpdates::<Rest>::CONSTRUCTOR_ID => {
                wrappers.updates = false;
                functions::InvokeWithoutUpdates::<Rest>::from_bytes(inner).ok()?.query.0
            }
            functions::InvokeWithTakeout::<Rest>::CONSTRUCTOR_ID => {
                let wrapper = functions::InvokeWithTakeout::<Rest>::from_bytes(inner).ok()?;
                wrappers.takeout = Some(wrapper.takeout_id);
                wrapper.query.0
            }
            functions::InvokeWithMessagesRange::<Rest>::CONSTRUCTOR_ID => {
                let wrapper = functions::InvokeWithMessagesRange::<Rest>::from_bytes(inner).ok()?;
                let enums::MessageRange::Range(range) = wrapper.range;
                wrappers.range = Some((range.min_id, range.max_id));
                wrapper.query.0
            }
            _ => return Some(body),
        };
    }
}

fn error(refusal: &Refusal) -> Vec<u8> {
    enums::RpcError::Error(types::RpcError { error_code: refusal.code, error_message: refusal.message.clone() }).to_bytes()
}

/// Reads a request's arguments, calls its method and writes down the answer.
pub(crate) fn run<'c, F>(
    call: &mut Call<'c>,
    arguments: &[u8],
    method: fn(&mut Call<'c>, F) -> Result<F::Return, Refusal>,
) -> Result<Vec<u8>, Refusal>
where
    F: RemoteCall + Deserializable,
    F::Return: Serializable,
{
    let request = F::from_bytes(arguments).map_err(|_| Refusal::bad("INPUT_REQUEST_INVALID"))?;
    Ok(method(call, request)?.to_bytes())
}
