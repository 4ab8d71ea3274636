//! What a chat says of itself, and who is in it.

use grammers_tl_types::{enums, types};
use serde_json::value::RawValue;

use super::PeerBook;
use super::json::{Object, list, put_date, raw};
use super::peers::peer_of;
use crate::model::peer::Peer;

/// A chat as it describes itself.
pub(crate) struct Described {
    /// As a JSON object, without numbers that change by themselves.
    steady: String,
    /// How many members it counts.
    pub(crate) counted: Option<u64>,
    /// The members that came with the description; `None` where they are asked for apart.
    pub(crate) members: Option<Vec<Member>>,
    /// Whether the account may ask who is in it.
    pub(crate) shows_members: bool,
    /// Whether messages wait to be sent there.
    pub(crate) has_scheduled: bool,
    /// Whether its page has stories.
    pub(crate) has_stories: bool,
    /// Its picture.
    pub(crate) photo: Option<types::Photo>,
}

/// Somebody in a group or channel.
pub(crate) struct Member {
    pub(crate) peer: Peer,
    pub(super) role: &'static str,
    date: Option<i32>,
    invited_by: Option<i64>,
    rank: Option<String>,
}

impl Described {
    /// The text that tells a changed description from an unchanged one.
    pub(crate) fn steady(&self) -> &str {
        &self.steady
    }

    /// All of it.
    pub(crate) fn value(&self) -> Box<RawValue> {
        let Some((counted, open)) = self.counted.zip(self.steady.strip_suffix('}')) else { return raw(self.steady.clone()) };
        let comma = if open == "{" { "" } else { "," };
        raw(format!("{open}{comma}\"members_count\":{counted}}}"))
    }

    /// Of a basic group, a supergroup or a channel.
    pub(crate) fn of_chat(full: &enums::ChatFull, names: &PeerBook) -> Option<Self> {
        match full {
            enums::ChatFull::Full(group) => Some(Self::of_group(group)),
            enums::ChatFull::ChannelFull(channel) => Some(Self::of_channel(channel, names)),
            enums::ChatFull::CommunityFull(_) => None,
        }
    }

    fn of_group(full: &types::ChatFull) -> Self {
        let mut object = Object::new();
        object.put_text("description", &full.about);
        put_number(&mut object, "pinned_message_id", full.pinned_msg_id);
        put_invite(&mut object, full.exported_invite.as_ref());
        put_number(&mut object, "ttl_period_seconds", full.ttl_period);
        let members: Option<Vec<Member>> = match &full.participants {
            enums::ChatParticipants::Participants(all) => Some(all.participants.iter().map(Member::of_group).collect()),
            enums::ChatParticipants::Forbidden(_) => None,
        };
        Self {
            steady: object.end(),
            counted: members.as_ref().map(|members| members.len() as u64),
            members,
            shows_members: false,
            has_scheduled: full.has_scheduled,
            has_stories: false,
            photo: full.chat_photo.as_ref().and_then(photo),
        }
    }

    fn of_channel(full: &types::ChannelFull, names: &PeerBook) -> Self {
        let mut object = Object::new();
        object.put_text("description", &full.about);
        put_number(&mut object, "pinned_message_id", full.pinned_msg_id);
        if let Some(linked) = full.linked_chat_id.map(Peer::channel) {
            object.put("linked_chat", &names.name(linked)).put("linked_chat_id", &linked);
        }
        put_number(&mut object, "admins_count", full.admins_count);
        put_invite(&mut object, full.exported_invite.as_ref());
        put_number(&mut object, "slow_mode_seconds", full.slowmode_seconds);
        put_number(&mut object, "ttl_period_seconds", full.ttl_period);
        if let Some(enums::ChannelLocation::Location(location)) = &full.location {
            object.put("address", &location.address);
        }
        object.put_flag("hidden_history", full.hidden_prehistory);
        Self {
            steady: object.end(),
            counted: full.participants_count.and_then(|count| u64::try_from(count).ok()),
            members: None,
            shows_members: full.can_view_participants && !full.participants_hidden,
            has_scheduled: full.has_scheduled,
            has_stories: full.stories_pinned_available,
            photo: photo(&full.chat_photo),
        }
    }

    /// Of a person or a bot.
    pub(crate) fn of_user(full: &types::UserFull, names: &PeerBook) -> Self {
        let mut object = Object::new();
        object.put_text("description", full.about.as_deref().unwrap_or_default());
        put_number(&mut object, "pinned_message_id", full.pinned_msg_id);
        if let Some(enums::Birthday::Birthday(birthday)) = &full.birthday {
            let year = birthday.year.map(|year| format!("{year:04}-")).unwrap_or_default();
            object.put("birthday", &format!("{year}{:02}-{:02}", birthday.month, birthday.day));
        }
        if let Some(channel) = full.personal_channel_id.map(Peer::channel) {
            object.put("personal_channel", &names.name(channel)).put("personal_channel_id", &channel);
        }
        if let Some(enums::BusinessLocation::Location(location)) = &full.business_location {
            object.put("address", &location.address);
        }
        if let Some(enums::TextWithEntities::Entities(note)) = &full.note {
            object.put_text("note", &note.text);
        }
        put_number(&mut object, "ttl_period_seconds", full.ttl_period);
        Self {
            steady: object.end(),
            counted: None,
            members: None,
            shows_members: false,
            has_scheduled: full.has_scheduled,
            has_stories: full.stories_pinned_available,
            photo: full.profile_photo.as_ref().and_then(photo),
        }
    }
}

fn put_number(object: &mut Object, key: &str, number: Option<i32>) {
    object.put_number(key, number.unwrap_or_default().into());
}

fn put_invite(object: &mut Object, invite: Option<&enums::ExportedChatInvite>) {
    if let Some(enums::ExportedChatInvite::ChatInviteExported(invite)) = invite {
        object.put("invite_link", &invite.link);
    }
}

fn photo(photo: &enums::Photo) -> Option<types::Photo> {
    match photo {
        enums::Photo::Photo(photo) => Some(photo.clone()),
        enums::Photo::Empty(_) => None,
    }
}

impl Member {
    fn new(peer: Peer, role: &'static str, date: Option<i32>, invited_by: Option<i64>, rank: Option<&String>) -> Self {
        Self { peer, role, date, invited_by, rank: rank.cloned() }
    }

    fn of_group(member: &enums::ChatParticipant) -> Self {
        use enums::ChatParticipant;
        match member {
            ChatParticipant::Participant(m) => {
                Self::new(Peer::user(m.user_id), "member", Some(m.date), Some(m.inviter_id), m.rank.as_ref())
            }
            ChatParticipant::Creator(m) => Self::new(Peer::user(m.user_id), "creator", None, None, m.rank.as_ref()),
            ChatParticipant::Admin(m) => Self::new(Peer::user(m.user_id), "admin", Some(m.date), Some(m.inviter_id), m.rank.as_ref()),
        }
    }

    /// Of a supergroup or channel.
    pub(crate) fn of_channel(member: &enums::ChannelParticipant) -> Self {
        use enums::ChannelParticipant;
        match member {
            ChannelParticipant::Participant(m) => Self::new(Peer::user(m.user_id), "member", Some(m.date), None, m.rank.as_ref()),
            ChannelParticipant::ParticipantSelf(m) => {
                Self::new(Peer::user(m.user_id), "member", Some(m.date), Some(m.inviter_id), m.rank.as_ref())
            }
            ChannelParticipant::Creator(m) => Self::new(Peer::user(m.user_id), "creator", None, None, m.rank.as_ref()),
            ChannelParticipant::Admin(m) => Self::new(Peer::user(m.user_id), "admin", Some(m.date), m.inviter_id, m.rank.as_ref()),
            ChannelParticipant::Banned(m) => Self::new(peer_of(&m.peer), "banned", Some(m.date), None, m.rank.as_ref()),
            ChannelParticipant::Left(m) => Self::new(peer_of(&m.peer), "left", None, None, None),
        }
    }
}

/// The list of members in the order of their numbers, and how many there are.
pub(crate) fn member_list(mut members: Vec<&Member>, names: &PeerBook) -> (String, usize) {
    members.sort_by_key(|member| member.peer);
    members.dedup_by_key(|member| member.peer);
    let list = list(members.iter().map(|member| {
        let mut object = Object::new();
        object.put("id", &member.peer).put("name", &names.name(member.peer));
        if let Some(username) = names.username(member.peer) {
            object.put("username", &username);
        }
        object.put("role", member.role);
        if let Some(date) = member.date {
            put_date(&mut object, "date", date.into());
        }
        if let Some(inviter) = member.invited_by {
            object.put("invited_by", &Peer::user(inviter));
        }
        object.put_text("rank", member.rank.as_deref().unwrap_or_default());
        object.end()
    }));
    (list, members.len())
}
