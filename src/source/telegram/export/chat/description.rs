//! What a chat is: `chat.json`, with a forum's topics.

use std::collections::BTreeSet;

use grammers_tl_types::{LAYER, enums, functions};

use super::Chat;
use crate::model::chat::{ChatInfo, Topic};
use crate::model::paths;
use crate::model::peer::PeerKind;
use crate::model::reason::Reason;
use crate::model::record::{Raw, VERSION};
use crate::source::telegram::error::TelegramError;
use crate::source::telegram::export::history::PAGE;
use crate::source::telegram::export::run::path;
use crate::source::telegram::stored::Effect;
use crate::source::telegram::tl::json::Object;

impl Chat {
    /// Reads a forum's topics.
    pub(super) async fn topics(&self) -> Result<(), TelegramError> {
        if !self.run.peers.is_forum(self.peer()) {
            return Ok(());
        }
        {
            let mut findings = self.findings();
            if findings.closed.is_some() || (findings.own_only && self.dialog.left) {
                findings.topics_unread = true;
                return Ok(());
            }
        }
        let Some(peer) = self.run.peers.input(self.peer()) else { return Ok(()) };
        let is_bot = self.peer().kind == PeerKind::User;
        let mut topics: Vec<Topic> = Vec::new();
        let mut rows = BTreeSet::new();
        let mut count;
        let (mut offset_date, mut offset_id, mut offset_topic) = (0, 0, 0);
        loop {
            let request =
                functions::messages::GetForumTopics { peer: peer.clone(), q: None, offset_date, offset_id, offset_topic, limit: PAGE };
            let enums::messages::ForumTopics::Topics(page) = match self.run.api.ask(&request).await {
                Ok(page) => page,
                // The group counts as a forum still, and has no topics any more: nothing is lost. Of bots not all have some.
                Err(error) if error.is_any(&["CHANNEL_FORUM_MISSING"]) || (is_bot && error.rpc().is_some_and(|rpc| rpc.code == 400)) => {
                    self.note(Reason::NoTopics);
                    return Ok(());
                }
                Err(error) => {
                    let error = self.run.api.or_reason("reading a forum's topics", error)?;
                    self.findings().topics_unread = true;
                    self.findings().missing.push(Reason::TopicsNotRead { error });
                    return Ok(());
                }
            };
            self.run.learn(&page.users, &page.chats);
            let before = topics.len();
            count = page.count;
            rows.extend(page.topics.iter().map(enums::ForumTopic::id));
            for topic in &page.topics {
                if let enums::ForumTopic::Topic(topic) = topic
                    && !topics.iter().any(|known| known.id == i64::from(topic.id))
                {
                    topics.push(Topic {
                        id: topic.id.into(),
                        title: topic.title.clone(),
                        icon_emoji_id: topic.icon_emoji_id,
                        closed: topic.closed,
                    });
                    (offset_date, offset_id, offset_topic) = (topic.date, topic.top_message, topic.id);
                }
            }
            if topics.len() == before || topics.len() >= usize::try_from(page.count).unwrap_or_default() {
                break;
            }
        }
        if let Some(short) = usize::try_from(count).ok().and_then(|count| count.checked_sub(rows.len())).filter(|&short| short > 0) {
            self.findings().missing.push(Reason::TopicsNotRead { error: format!("{short} of {count} are not listed") });
        }
        topics.sort_by_key(|topic| topic.id);
        self.findings().topics = topics;
        Ok(())
    }

    /// Writes `chat.json` when it changed.
    pub(super) async fn describe(&self) -> Result<(), TelegramError> {
        let run = &self.run;
        let peer = self.peer();
        let (topics, own_only, topics_unread) = {
            let findings = self.findings();
            (findings.topics.clone(), findings.own_only, findings.topics_unread)
        };
        // What is stored has the names of the topics; the next run asks again.
        if topics_unread && self.before.info.is_some() {
            return Ok(());
        }
        let migrated_from = run.ledger.former(peer).or(self.before.migrated_from);
        let mut dialog = Object::new();
        dialog.put_flag("pinned", self.dialog.pinned).put_number("folder_id", self.dialog.folder.unwrap_or_default().into());
        dialog.put_number("ttl_period_seconds", self.dialog.ttl.unwrap_or_default().into());
        let steady = dialog.end();
        let mut dialog = Object::new();
        dialog.put_flag("pinned", self.dialog.pinned).put_number("folder_id", self.dialog.folder.unwrap_or_default().into());
        dialog.put_number("ttl_period_seconds", self.dialog.ttl.unwrap_or_default().into());
        dialog.put_number("unread_count", self.dialog.unread.into());
        let info = ChatInfo {
            v: VERSION,
            peer,
            name: run.peers.chat_name(peer),
            kind: run.peers.chat_type(peer),
            full_name: if peer.kind == PeerKind::User { run.peers.name(peer) } else { None },
            username: run.peers.username(peer),
            left: self.dialog.left,
            only_my_messages: own_only,
            migrated_from,
            other_kind: None,
            is_partial: false,
            migrated_to: run.peers.migrated_to(peer),
            topics,
            observed: run.observed,
            run: run.id.clone(),
            dialog: Some(dialog.into_raw()),
            unknown_keys: None,
            raw: self.dialog.raw.clone().map(|bytes| Raw::Tl { layer: LAYER.unsigned_abs(), bytes }),
        };
        let known = (&info.name, &info.kind, &info.full_name, &info.username, info.left, own_only, migrated_from, &info.migrated_to);
        let mut digested = serde_json::to_vec(&known).unwrap_or_default();
        digested.extend(serde_json::to_vec(&info.topics).unwrap_or_default());
        digested.extend(steady.into_bytes());
        let digest = run.prints.of_bytes(&digested);
        if self.before.info == Some(digest) {
            return Ok(());
        }
        let effect = Effect::Info { peer, digest, migrated_from, only_my: own_only };
        run.describe(path(paths::chat_info(peer))?, &info, effect).await?;
        Ok(())
    }
}
