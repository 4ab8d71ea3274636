//! Answers of which a part cannot be read: a constructor of a later layer costs what it stands in, not the whole answer.
//!
//! TL has no lengths: behind what cannot be read nobody knows where the next thing begins. So the rest of the answer is looked through
//! for objects of the kinds that are wanted, each recognised by its constructor and by being whole. What is found this way serves for
//! names, access hashes and the order of the list; messages are stored only from answers that could be read from their beginning on.

use grammers_tl_types::{Cursor, Deserializable, Identifiable, RemoteCall, Serializable, deserialize, enums, types};

/// A request whose answer is read as far as it goes.
pub(crate) struct Loosely<'a, R>(pub(crate) &'a R);

impl<R: Serializable> Serializable for Loosely<'_, R> {
    fn serialize(&self, buffer: &mut impl Extend<u8>) {
        self.0.serialize(buffer);
    }
}

impl<R: RemoteCall<Return: Loose>> RemoteCall for Loosely<'_, R> {
    type Return = <R::Return as Loose>::Found;
}

/// Answers that can be read in part.
pub(crate) trait Loose: Deserializable {
    type Found: Deserializable;
}

/// What an unreadable answer has in it all the same.
#[derive(Default)]
struct Harvest {
    dialogs: Vec<enums::Dialog>,
    messages: Vec<enums::Message>,
    chats: Vec<enums::Chat>,
    users: Vec<enums::User>,
}

impl Harvest {
    /// Looks through what is left for objects that are whole.
    fn gather(&mut self, rest: &[u8]) {
        let mut at = 0;
        while let Some(here) = rest.get(at..).filter(|here| here.len() >= 4) {
            at += taken(here, &mut self.dialogs)
                .or_else(|| taken(here, &mut self.messages))
                .or_else(|| taken(here, &mut self.users))
                .or_else(|| taken(here, &mut self.chats))
                .unwrap_or(4);
        }
    }
}

/// Takes one object from the beginning of `bytes`; gives its length.
fn taken<T: Deserializable>(bytes: &[u8], into: &mut Vec<T>) -> Option<usize> {
    let mut cursor = Cursor::from_slice(bytes);
    let object = T::deserialize(&mut cursor).ok()?;
    into.push(object);
    Some(cursor.pos())
}

fn rest(buffer: &mut Cursor<'_>) -> deserialize::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    buffer.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn constructor(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_le_bytes)
}

/// A page of the list of chats.
pub(crate) struct LooseDialogs {
    pub(crate) dialogs: Vec<enums::Dialog>,
    pub(crate) messages: Vec<enums::Message>,
    pub(crate) chats: Vec<enums::Chat>,
    pub(crate) users: Vec<enums::User>,
    /// How many chats there are in all, where this is only a part of them.
    pub(crate) count: Option<i32>,
    /// Chats that were announced and could not be read.
    pub(crate) lost: u64,
}

impl Loose for enums::messages::Dialogs {
    type Found = LooseDialogs;
}

impl Deserializable for LooseDialogs {
    fn deserialize(buffer: &mut Cursor<'_>) -> deserialize::Result<Self> {
        use enums::messages::Dialogs;
        let bytes = rest(buffer)?;
        let whole = match Dialogs::from_bytes(&bytes) {
            Ok(Dialogs::Dialogs(d)) => (d.dialogs, d.messages, d.chats, d.users, None),
            Ok(Dialogs::Slice(d)) => (d.dialogs, d.messages, d.chats, d.users, Some(d.count)),
            // Nothing was asked that it could be the same as: whoever reads it finds that all of them are missing.
            Ok(Dialogs::NotModified(d)) => (vec![], vec![], vec![], vec![], Some(d.count)),
            Err(error) => {
                let (start, count) = match constructor(&bytes) {
                    Some(types::messages::Dialogs::CONSTRUCTOR_ID) => (4, None),
                    Some(types::messages::DialogsSlice::CONSTRUCTOR_ID) => {
                        (8, bytes.get(4..8).and_then(|count| count.try_into().ok()).map(i32::from_le_bytes))
                    }
                    _ => return Err(error),
                };
                let mut harvest = Harvest::default();
                harvest.gather(bytes.get(start..).unwrap_or_default());
                let Harvest { dialogs, messages, chats, users } = harvest;
                // The vector's length stands behind its constructor. Without it nobody knows what is missing.
                let Some(announced) = bytes.get(start + 4..start + 8).and_then(constructor) else { return Err(error) };
                let announced = u64::from(announced).min(bytes.len() as u64 / 4);
                let lost = announced.saturating_sub(dialogs.len() as u64);
                return Ok(Self { dialogs, messages, chats, users, count, lost });
            }
        };
        let (dialogs, messages, chats, users, count) = whole;
        Ok(Self { dialogs, messages, chats, users, count, lost: 0 })
    }
}

/// A page of messages whose people may be known only in part.
pub(crate) struct LooseMessages(pub(crate) enums::messages::Messages);

impl Loose for enums::messages::Messages {
    type Found = LooseMessages;
}

impl Deserializable for LooseMessages {
    fn deserialize(buffer: &mut Cursor<'_>) -> deserialize::Result<Self> {
        use enums::messages::Messages;
        let bytes = rest(buffer)?;
        let error = match Messages::from_bytes(&bytes) {
            Ok(whole) => return Ok(Self(whole)),
            Err(error) => error,
        };
        // The messages and the topics must be whole; users and chats are described by other answers too.
        let mut cursor = Cursor::from_slice(bytes.get(4..).unwrap_or_default());
        let found = match constructor(&bytes) {
            Some(types::messages::Messages::CONSTRUCTOR_ID) => {
                let Tail { messages, topics, chats, users } = Tail::read(&bytes, cursor)?;
                Messages::Messages(types::messages::Messages { messages, topics, chats, users })
            }
            Some(types::messages::ChannelMessages::CONSTRUCTOR_ID) => {
                let flags = u32::deserialize(&mut cursor)?;
                let (pts, count) = (i32::deserialize(&mut cursor)?, i32::deserialize(&mut cursor)?);
                let offset_id_offset = if flags & 4 == 0 { None } else { Some(i32::deserialize(&mut cursor)?) };
                let Tail { messages, topics, chats, users } = Tail::read(&bytes, cursor)?;
                let inexact = flags & 2 != 0;
                Messages::ChannelMessages(types::messages::ChannelMessages {
                    inexact,
                    pts,
                    count,
                    offset_id_offset,
                    messages,
                    topics,
                    chats,
                    users,
                })
            }
            Some(types::messages::MessagesSlice::CONSTRUCTOR_ID) => {
                let flags = u32::deserialize(&mut cursor)?;
                let count = i32::deserialize(&mut cursor)?;
                let next_rate = if flags & 1 == 0 { None } else { Some(i32::deserialize(&mut cursor)?) };
                let offset_id_offset = if flags & 4 == 0 { None } else { Some(i32::deserialize(&mut cursor)?) };
                if flags & 8 != 0 {
                    return Err(error);
                }
                let Tail { messages, topics, chats, users } = Tail::read(&bytes, cursor)?;
                let inexact = flags & 2 != 0;
                Messages::Slice(types::messages::MessagesSlice {
                    inexact,
                    count,
                    next_rate,
                    offset_id_offset,
                    search_flood: None,
                    messages,
                    topics,
                    chats,
                    users,
                })
            }
            _ => return Err(error),
        };
        Ok(Self(found))
    }
}

/// How all forms of a page end: messages and topics that must be whole, and whoever can be found behind them.
struct Tail {
    messages: Vec<enums::Message>,
    topics: Vec<enums::ForumTopic>,
    chats: Vec<enums::Chat>,
    users: Vec<enums::User>,
}

impl Tail {
    fn read(bytes: &[u8], mut cursor: Cursor<'_>) -> deserialize::Result<Self> {
        let (messages, topics) = (Vec::deserialize(&mut cursor)?, Vec::deserialize(&mut cursor)?);
        let mut harvest = Harvest::default();
        harvest.gather(bytes.get(4 + cursor.pos()..).unwrap_or_default());
        let Harvest { chats, users, .. } = harvest;
        Ok(Self { messages, topics, chats, users })
    }
}
