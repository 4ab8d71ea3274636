//! What happens in the account while the server runs.

use grammers_tl_types::{enums, types};
use serde::{Deserialize, Serialize};

use super::World;
use super::chat::Peer;

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutation {
    /// The chat is taken away: the other side deleted it or threw the account out.
    Remove {
        /// The chat.
        peer: Peer,
    },
}

/// Why something cannot happen.
#[derive(Debug, thiserror::Error)]
pub enum MutateError {
    /// No such chat.
    #[error("the account has no chat with {0:?}")]
    NoChat(Peer),
}

impl World {
    pub(crate) fn mutate(&mut self, mutation: &Mutation, _now: i32) -> Result<Vec<enums::Update>, MutateError> {
        match mutation {
            Mutation::Remove { peer } => {
                let no = *self.by_peer.get(peer).ok_or(MutateError::NoChat(*peer))?;
                if let Some(chat) = self.chats.get_mut(no) {
                    chat.gone = true;
                }
                self.version += 1;
                Ok(match peer {
                    Peer::Channel(channel_id) => vec![types::UpdateChannel { channel_id: *channel_id }.into()],
                    _ => Vec::new(),
                })
            }
        }
    }
}
