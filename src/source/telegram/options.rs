//! What the user wants of an account.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::chat::ChatType;
use crate::model::kinds::{FileKind, KindChoice};
use crate::model::media::SkipReason;
use crate::model::peer::PeerKind;

/// A type of chat that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChatClass {
    /// Chats with people, Saved Messages included.
    Personal,
    /// Chats with bots.
    Bots,
    /// Basic groups, and supergroups without a public name.
    PrivateGroups,
    /// Supergroups with a public name.
    PublicGroups,
    /// Channels without a public name.
    PrivateChannels,
    /// Channels with a public name.
    PublicChannels,
}

impl ChatClass {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Personal, Self::Bots, Self::PrivateGroups, Self::PublicGroups, Self::PrivateChannels, Self::PublicChannels];

    /// The class of a chat.
    pub fn of(kind: ChatType) -> Self {
        match kind {
            ChatType::SavedMessages | ChatType::Replies | ChatType::VerificationCodes | ChatType::PersonalChat => Self::Personal,
            ChatType::BotChat => Self::Bots,
            ChatType::PrivateGroup | ChatType::PrivateSupergroup => Self::PrivateGroups,
            ChatType::PublicSupergroup => Self::PublicGroups,
            ChatType::PrivateChannel => Self::PrivateChannels,
            ChatType::PublicChannel => Self::PublicChannels,
        }
    }

    /// The classes that a chat of this kind may belong to.
    pub fn possible(kind: PeerKind) -> &'static [Self] {
        match kind {
            PeerKind::User => &[Self::Personal, Self::Bots],
            PeerKind::Chat => &[Self::PrivateGroups],
            PeerKind::Channel => &[Self::PrivateGroups, Self::PublicGroups, Self::PrivateChannels, Self::PublicChannels],
        }
    }
}

/// When to use a takeout, Telegram's own way for exports: gentler limits, but the user's devices are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TakeoutUse {
    /// For every run.
    Always,
    /// For the first run, for chats seen for the first time, and where more than [`AUTO_TAKEOUT_MESSAGES`] messages are expected.
    #[default]
    Auto,
    /// Not at all.
    Never,
}

/// What an account has beside messages, their files and the sections that every export has: `--details`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// What a chat says of itself: description, pinned message, linked chat.
    About,
    /// The members of groups, and of channels where the account may see them.
    Members,
    /// Profile pictures of people and chats.
    Pictures,
    /// Stories on the pages of chats, and albums of the account's own.
    Stories,
    /// Messages that are to be sent later.
    Scheduled,
    /// What was written and not sent.
    Drafts,
    /// The music of the account's profile.
    Music,
    /// Gifts that the account got.
    Gifts,
    /// Answers that a business account has ready.
    QuickReplies,
    /// Who reacted to a message, where Telegram shows more than the latest: a request for each such message.
    Reactions,
    /// Who voted in a poll, where that is public: a request for each poll.
    Votes,
    /// What administrators did.
    AdminLog,
    /// All that takes few requests: not reactions, votes and the administrators' log.
    Usual,
    /// All of them.
    All,
    /// None.
    None,
}

impl Detail {
    /// Whether a list takes this one; an empty list means [`Self::Usual`].
    pub fn take(list: &[Self], one: Self) -> bool {
        let list = if list.is_empty() { &[Self::Usual] } else { list };
        let is_usual = !matches!(one, Self::Reactions | Self::Votes | Self::AdminLog);
        list.contains(&one) || list.contains(&Self::All) || (is_usual && list.contains(&Self::Usual))
    }
}

/// Above so many expected messages a run uses a takeout by itself.
pub const AUTO_TAKEOUT_MESSAGES: u64 = 20_000;

/// The largest file that Telegram keeps: 4000 MiB.
pub const LARGEST_FILE_BYTES: u64 = 4000 << 20;

/// What to export, and how.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The types of chats; used where `chats` is empty.
    pub classes: Vec<ChatClass>,
    /// Single chats by title, `@username`, id (`user1`, `-100…`, …) or link; empty for all of `classes`.
    pub chats: Vec<String>,
    /// Chats to leave out, in the same forms.
    pub exclude_chats: Vec<String>,
    /// Folders (chat lists) of Telegram by title or number; empty for no such filter.
    pub folders: Vec<String>,
    /// Whether groups and channels are exported with the account's own messages only.
    pub only_my_messages: bool,
    /// Kinds of media to fetch; all when empty.
    pub media: Vec<KindChoice>,
    /// The largest file to fetch, in bytes.
    pub max_file_size: u64,
    /// The first moment, Unix seconds, inclusive.
    pub from: Option<i64>,
    /// The moment after the last, Unix seconds, exclusive.
    pub till: Option<i64>,
    /// Whether left channels and groups are looked for (it takes a takeout).
    pub left: bool,
    /// Whether the account's own sections are exported.
    pub account: bool,
    /// What else is asked for, as [`Detail::take`] reads it.
    pub details: Vec<Detail>,
    /// When to use a takeout.
    pub takeout: TakeoutUse,
    /// Whether to wait until Telegram allows the takeout, up to a day.
    pub wait_for_takeout: bool,
    /// How far back edits and deletions are looked for.
    pub recheck: Duration,
    /// Requests per run for looking at old messages again in rotation, reactions above all.
    pub recheck_budget: u32,
    /// Whether the run only looks: nothing of it is remembered.
    pub dry_run: bool,
    /// Bytes of files to hold in memory while nobody takes them.
    pub prefetch_bytes: usize,
}

impl ExportOptions {
    /// Whether any kind of media is wanted.
    pub(super) fn takes_media(&self) -> bool {
        FileKind::ALL.into_iter().any(|kind| KindChoice::take(&self.media, kind))
    }

    /// Whether this is asked for.
    pub(super) fn takes(&self, detail: Detail) -> bool {
        Detail::take(&self.details, detail)
    }

    /// Why the user does not want a file of this kind and length; `None` as kind is for what every choice of kinds takes.
    pub(super) fn leave_out(&self, kind: Option<FileKind>, bytes: u64) -> Option<SkipReason> {
        if kind.is_some_and(|kind| !KindChoice::take(&self.media, kind)) {
            return Some(SkipReason::TypeNotChosen);
        }
        (bytes > self.max_file_size).then_some(SkipReason::TooLarge)
    }
}

impl Default for ExportOptions {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            classes: ChatClass::ALL.to_vec(),
            chats: vec![],
            exclude_chats: vec![],
            folders: vec![],
            only_my_messages: false,
            media: vec![],
            max_file_size: LARGEST_FILE_BYTES,
            from: None,
            till: None,
            left: true,
            account: true,
            details: vec![],
            takeout: TakeoutUse::Auto,
            wait_for_takeout: false,
            recheck: Duration::from_secs(30 * DAY),
            recheck_budget: 50,
            dry_run: false,
            prefetch_bytes: 40 << 20,
        }
    }
}
