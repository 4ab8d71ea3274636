//! Messages of a chat forwarded into Saved Messages, by the account's owner's wish: the one thing that this program writes to Telegram
//! beside logins and takeouts.

use std::collections::BTreeMap;

use grammers_tl_types::{enums, functions};

use super::listing::chosen;
use super::run::BY_ID;
use crate::model::peer::Peer;
use crate::source::telegram::account::{Account, Api};
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::files::messages_by_id;
use crate::source::telegram::options::ExportOptions;
use crate::source::telegram::tl::{PeerBook, peer_of};

/// How far the messages of an album lie apart at most: ten of them, with consecutive ids.
const ALBUM: i32 = 9;

/// What became of messages that were to be forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// How many are in Saved Messages now.
    pub messages: u64,
    /// How many of these were not asked for, and belong to an album of one that was.
    pub with_albums: u64,
    /// Ids under which the chat has no message.
    pub missing: Vec<i32>,
    /// Ids that cannot be forwarded: what happened in the chat, and what its owner protects.
    pub refused: Vec<i32>,
}

impl Account {
    /// Forwards messages of a chat into Saved Messages, in the order of their ids; albums stay whole.
    ///
    /// # Cost
    /// The pages of the list of chats, and two requests per 100 messages.
    ///
    /// # Errors
    /// When `chat` fits none or several of the account's chats, the chat is protected as a whole, or Telegram cannot be asked. Messages
    /// before the one that failed are forwarded.
    pub fn forward_to_saved(&self, chat: &str, ids: &[i32]) -> Result<Forwarded, TelegramError> {
        let options = ExportOptions { chats: vec![chat.to_owned()], ..ExportOptions::default() };
        let (api, peers) = self.asking(&options)?;
        self.threads.runtime().block_on(async {
            let from = one_chat(&api, &peers, chat, &options).await?;
            forward(&api, &peers, from, ids).await
        })
    }
}

/// The one chat that is called so.
async fn one_chat(api: &Api, peers: &PeerBook, chat: &str, options: &ExportOptions) -> Result<Peer, TelegramError> {
    let found: Vec<Peer> = chosen(api, peers, options).await?.iter().map(|dialog| dialog.peer).collect();
    match found[..] {
        [peer] => Ok(peer),
        [] => Err(TelegramError::NoSuchChat { chat: chat.to_owned() }),
        _ => {
            let called: Vec<String> = found.iter().map(Peer::to_string).collect();
            Err(TelegramError::Invalid(format!("{} chats are called '{chat}': {}; name one of these", found.len(), called.join(", "))))
        }
    }
}

/// Whether a message can be forwarded, as far as it says: no service message, none that is protected, and none to be seen once.
fn may_be_forwarded(message: &enums::Message) -> bool {
    let enums::Message::Message(message) = message else { return false };
    let is_passing = match &message.media {
        Some(enums::MessageMedia::Photo(media)) => media.ttl_seconds.is_some(),
        Some(enums::MessageMedia::Document(media)) => media.ttl_seconds.is_some(),
        _ => false,
    };
    !message.noforwards && !is_passing
}

fn album_of(message: &enums::Message) -> Option<i64> {
    if let enums::Message::Message(message) = message { message.grouped_id } else { None }
}

async fn forward(api: &Api, peers: &PeerBook, from: Peer, ids: &[i32]) -> Result<Forwarded, TelegramError> {
    let mut found = read(api, peers, from, ids).await?;
    let mut forwarded = Forwarded { missing: ids.iter().copied().filter(|id| !found.contains_key(id)).collect(), ..Forwarded::default() };
    // The rest of each album, of which one message or several were named.
    let around = |(id, _): (&i32, &enums::Message)| id.saturating_sub(ALBUM).max(1)..=id.saturating_add(ALBUM);
    let of_albums = found.iter().filter(|(_, message)| album_of(message).is_some());
    let mut near: Vec<i32> = of_albums.flat_map(around).filter(|id| !found.contains_key(id)).collect();
    near.sort_unstable();
    near.dedup();
    let albums: Vec<i64> = found.values().filter_map(album_of).collect();
    let mut rest = read(api, peers, from, &near).await?;
    rest.retain(|_, message| album_of(message).is_some_and(|album| albums.contains(&album)));
    forwarded.with_albums = rest.len() as u64;
    found.extend(rest);
    forwarded.refused = found.iter().filter(|(_, message)| !may_be_forwarded(message)).map(|(id, _)| *id).collect();
    found.retain(|_, message| may_be_forwarded(message));
    forwarded.with_albums -= forwarded.refused.iter().filter(|id| !ids.contains(id)).count() as u64;
    for page in pages(found.iter().map(|(id, message)| (*id, album_of(message)))) {
        send(api, peers, from, &page).await?;
        forwarded.messages += page.len() as u64;
    }
    Ok(forwarded)
}

/// Messages of a chat by their ids; those that are not there are not in it.
async fn read(api: &Api, peers: &PeerBook, from: Peer, ids: &[i32]) -> Result<BTreeMap<i32, enums::Message>, TelegramError> {
    let mut found = BTreeMap::new();
    for page in ids.chunks(BY_ID) {
        let messages = messages_by_id(api, peers, from, page).await;
        let messages = messages.map_err(|error| TelegramError::from_call(&api.account, "the messages cannot be read", error))?;
        for message in messages {
            // Ids of private chats and basic groups are those of the account: another chat's message may have this one.
            let peer = match &message {
                enums::Message::Message(message) => peer_of(&message.peer_id),
                enums::Message::Service(message) => peer_of(&message.peer_id),
                enums::Message::Empty(_) => continue,
            };
            if peer == from {
                found.insert(message.id(), message);
            }
        }
    }
    Ok(found)
}

/// Ids, each with its album, in as many pages as they take, none of which ends inside of an album.
fn pages(messages: impl Iterator<Item = (i32, Option<i64>)>) -> Vec<Vec<i32>> {
    let mut together: Vec<(Option<i64>, Vec<i32>)> = Vec::new();
    for (id, album) in messages {
        match together.last_mut().filter(|(last, ids)| album.is_some() && *last == album && ids.len() < BY_ID) {
            Some((_, ids)) => ids.push(id),
            None => together.push((album, vec![id])),
        }
    }
    let mut pages: Vec<Vec<i32>> = Vec::new();
    for (_, ids) in together {
        match pages.last_mut().filter(|page| page.len() + ids.len() <= BY_ID) {
            Some(page) => page.extend(ids),
            None => pages.push(ids),
        }
    }
    pages
}

/// Forwards a page of messages. A request that is repeated after a lost answer forwards nothing twice: Telegram knows its ids.
async fn send(api: &Api, peers: &PeerBook, from: Peer, page: &[i32]) -> Result<(), TelegramError> {
    let unknown = || TelegramError::Invalid(format!("Telegram did not describe the chat {from}"));
    let request = functions::messages::ForwardMessages {
        silent: true,
        background: false,
        with_my_score: false,
        drop_author: false,
        drop_media_captions: false,
        noforwards: false,
        allow_paid_floodskip: false,
        from_ephemeral: false,
        from_peer: peers.input(from).ok_or_else(unknown)?,
        id: page.to_vec(),
        random_id: random_ids(page.len())?,
        to_peer: enums::InputPeer::PeerSelf,
        top_msg_id: None,
        reply_to: None,
        schedule_date: None,
        schedule_repeat_period: None,
        send_as: None,
        quick_reply_shortcut: None,
        effect: None,
        video_timestamp: None,
        allow_paid_stars: None,
        suggested_post: None,
    };
    match api.ask_plainly(&request).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_any(&["RANDOM_ID_DUPLICATE"]) => Ok(()),
        Err(error) if error.is_any(&["CHAT_FORWARDS_RESTRICTED"]) => Err(TelegramError::Invalid(
            "the owner of this chat does not allow forwarding; `tgvault backup telegram` can still save it".into(),
        )),
        Err(error) => Err(TelegramError::from_call(&api.account, "the messages cannot be forwarded", error)),
    }
}

fn random_ids(count: usize) -> Result<Vec<i64>, TelegramError> {
    let mut bytes = vec![0; count * 8];
    getrandom::fill(&mut bytes).map_err(|error| TelegramError::Invalid(format!("no randomness: {error}")))?;
    Ok(bytes.as_chunks::<8>().0.iter().map(|id| i64::from_le_bytes(*id)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_ends_inside_of_an_album() {
        let messages = (1..=98).map(|id| (id, None)).chain((99..=104).map(|id| (id, Some(7))));
        let pages = pages(messages);
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [98, 6]);
        // An album without end, from a server that lies.
        let pages = super::pages((1..=250).map(|id| (id, Some(7))));
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
    }
}
