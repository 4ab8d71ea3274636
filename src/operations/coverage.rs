//! What a snapshot says about the completeness of each chat in it.

use std::collections::BTreeMap;

use super::OperationError;
use super::chats::{OpenChats, Unreadable};
use crate::model::chat::ChatInfo;
use crate::model::coverage::{Coverage, MissingPart, Verdict};
use crate::model::peer::Peer;

/// What is known of one chat.
#[derive(Clone, Debug)]
pub struct ChatCoverage {
    /// The chat.
    pub peer: Peer,
    /// Its description, where there is one.
    pub info: Option<ChatInfo>,
    /// Its coverage; `None` for a chat that nothing was accounted for.
    pub coverage: Option<Coverage>,
}

impl ChatCoverage {
    /// What can be said.
    pub fn verdict(&self) -> Verdict {
        self.coverage.as_ref().map_or(Verdict::Unknown, |coverage| coverage.verdict.clone())
    }

    /// Messages that are held.
    pub fn messages(&self) -> u64 {
        self.coverage.iter().flat_map(|coverage| &coverage.ranges).map(|range| range.ours).sum()
    }
}

/// The parts of the account beside its chats that could not be had. What cannot be read is told to `bad`. It blocks.
///
/// # Errors
/// When the store fails.
pub fn missing_parts(chats: &OpenChats, bad: Unreadable<'_>) -> Result<Vec<MissingPart>, OperationError> {
    Ok(chats.account_coverage(bad)?.map_or_else(Vec::new, |coverage| coverage.missing))
}

/// Reads the coverage of all chats of a snapshot, by peer. What cannot be read is told to `bad`. It blocks.
///
/// # Errors
/// When there are no chats, or the store fails.
pub fn coverage(chats: &OpenChats, bad: Unreadable<'_>) -> Result<Vec<ChatCoverage>, OperationError> {
    if !chats.is_telegram() {
        return Err(chats.no_chats());
    }
    let described = chats.descriptions(bad)?.into_iter().map(|chat| (chat.peer, Some(chat.info)));
    let mut all: BTreeMap<Peer, (Option<ChatInfo>, Option<Coverage>)> = described.map(|(peer, info)| (peer, (info, None))).collect();
    for (peer, coverage) in chats.coverage(bad)? {
        all.entry(peer).or_default().1 = Some(coverage);
    }
    Ok(all.into_iter().map(|(peer, (info, coverage))| ChatCoverage { peer, info, coverage }).collect())
}
