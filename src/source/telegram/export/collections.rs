//! What the account has collected: drafts, music, gifts, albums of stories, answers that are ready.

use std::collections::HashSet;

use grammers_tl_types::{enums, functions, types};
use serde_json::value::RawValue;

use super::run::Run;
use super::sections::{Found, short, tl};
use crate::model::account::Section;
use crate::model::media::{Media, MediaStatus};
use crate::model::peer::Peer;
use crate::source::telegram::error::{TelegramError, Trouble};
use crate::source::telegram::stored::Seen;
use crate::source::telegram::tl::json::{Object, list, raw};
use crate::source::telegram::tl::{Outcomes, Want, draft, gift, gift_wants, record, song, song_wants, wants};

const PAGE: i32 = 100;

impl Run {
    /// What was written and not sent, of all chats.
    pub(super) async fn drafts(&self) -> Result<Found, Trouble> {
        let answer = self.api.ask_extra(&functions::messages::GetAllDrafts {}).await?;
        let bytes = tl(&answer);
        let (updates, users, chats) = match answer {
            enums::Updates::Updates(all) => (all.updates, all.users, all.chats),
            enums::Updates::Combined(all) => (all.updates, all.users, all.chats),
            enums::Updates::UpdateShort(one) => (vec![one.update], vec![], vec![]),
            _ => (vec![], vec![], vec![]),
        };
        self.learn(&users, &chats);
        let mut drafts: Vec<types::UpdateDraftMessage> = updates
            .into_iter()
            .filter_map(|update| match update {
                enums::Update::DraftMessage(draft) => Some(draft),
                _ => None,
            })
            .collect();
        drafts.sort_by_key(|update| match &update.draft {
            enums::DraftMessage::Message(draft) => std::cmp::Reverse(draft.date),
            enums::DraftMessage::Empty(_) => std::cmp::Reverse(0),
        });
        let value = raw(list(drafts.iter().filter_map(|update| draft(update, &self.peers))));
        Ok(Found::whole(value, vec![bytes]))
    }

    /// The music of the account's profile, as Telegram Desktop has it: messages without a sender, numbered from 1.
    pub(super) async fn music(&self) -> Result<Found, Trouble> {
        let (mut songs, mut raws): (Vec<types::Document>, Vec<_>) = (vec![], vec![]);
        let mut seen = HashSet::new();
        let mut count;
        loop {
            let offset = i32::try_from(seen.len()).unwrap_or(i32::MAX);
            let request = functions::users::GetSavedMusic { id: enums::InputUser::UserSelf, offset, limit: PAGE, hash: 0 };
            let answer = self.api.ask_extra(&request).await?;
            raws.push(tl(&answer));
            let enums::users::SavedMusic::Music(page) = answer else {
                count = 0;
                break;
            };
            count = page.count;
            let before = seen.len();
            for document in page.documents {
                if seen.insert(document.id())
                    && let enums::Document::Document(document) = document
                {
                    songs.push(document);
                }
            }
            if seen.len() == before || i32::try_from(seen.len()).is_ok_and(|known| known >= count) {
                break;
            }
        }
        let files: Vec<Vec<Want>> = songs.iter().map(song_wants).collect();
        let of = |id: i64| Seen::Section(Section::ProfileMusic, id);
        let pairs = songs.iter().zip(&files);
        let jobs = pairs.flat_map(|(song, wants)| wants.iter().map(|want| (want.clone(), of(song.id)))).collect();
        let (outcomes, media) = self.fetch_all(jobs).await?;
        let told = songs.iter().zip(&files).zip(1..).map(|((one, wants), id)| song(one, id, wants, &outcomes));
        Ok(Found { value: raw(list(told)), media, raw: raws, short: short(count, seen.len()) })
    }

    /// Gifts that the account got.
    pub(super) async fn gifts(&self) -> Result<Found, Trouble> {
        let (mut gifts, mut raws): (Vec<types::SavedStarGift>, Vec<_>) = (vec![], vec![]);
        let (mut offset, mut count) = (String::new(), 0);
        let mut asked = HashSet::new();
        while asked.insert(offset.clone()) {
            let request = functions::payments::GetSavedStarGifts {
                exclude_unsaved: false,
                exclude_saved: false,
                exclude_unlimited: false,
                exclude_unique: false,
                sort_by_value: false,
                exclude_upgradable: false,
                exclude_unupgradable: false,
                peer_color_available: false,
                exclude_hosted: false,
                peer: enums::InputPeer::PeerSelf,
                collection_id: None,
                offset: offset.clone(),
                limit: PAGE,
            };
            let answer = self.api.ask_extra(&request).await?;
            raws.push(tl(&answer));
            let enums::payments::SavedStarGifts::Gifts(page) = answer;
            self.learn(&page.users, &page.chats);
            count = page.count;
            gifts.extend(page.gifts.into_iter().map(|enums::SavedStarGift::Gift(gift)| gift));
            match page.next_offset.filter(|next| !next.is_empty()) {
                Some(next) => offset = next,
                None => break,
            }
        }
        let stickers: Vec<Option<Want>> = gifts.iter().map(gift_wants).collect();
        let mut seen = HashSet::new();
        let jobs = stickers.iter().flatten().filter(|want| seen.insert(want.key.clone()));
        let jobs = jobs.map(|want| (want.clone(), Seen::Section(Section::Gifts, want.key.id))).collect();
        let (outcomes, media) = self.fetch_all(jobs).await?;
        let told = gifts.iter().zip(&stickers).map(|(one, want)| gift(one, want.as_ref(), &self.peers, &outcomes));
        Ok(Found { value: raw(list(told)), media, raw: raws, short: short(count, gifts.len()) })
    }

    /// Albums of the account's stories: the stories themselves are in the archive of all of them.
    pub(super) async fn story_albums(&self) -> Result<Found, Trouble> {
        let answer = self.api.ask_extra(&functions::stories::GetAlbums { peer: enums::InputPeer::PeerSelf, hash: 0 }).await?;
        let mut raws = vec![tl(&answer)];
        let albums = match answer {
            enums::stories::Albums::Albums(albums) => albums.albums,
            enums::stories::Albums::NotModified => vec![],
        };
        let (mut told, mut lacking) = (vec![], 0);
        for enums::StoryAlbum::Album(album) in albums {
            let mut ids: Vec<i32> = vec![];
            let mut count = 0;
            loop {
                let offset = i32::try_from(ids.len()).unwrap_or(i32::MAX);
                let request =
                    functions::stories::GetAlbumStories { peer: enums::InputPeer::PeerSelf, album_id: album.album_id, offset, limit: PAGE };
                let answer = self.api.ask_extra(&request).await?;
                raws.push(tl(&answer));
                let enums::stories::Stories::Stories(page) = answer;
                self.learn(&page.users, &page.chats);
                let before = ids.len();
                ids.extend(page.stories.iter().map(enums::StoryItem::id).filter(|id| !ids.contains(id)).collect::<Vec<_>>());
                count = page.count.max(count);
                if ids.len() == before || i32::try_from(ids.len()).is_ok_and(|known| known >= count) {
                    break;
                }
            }
            lacking += short(count, ids.len());
            let mut object = Object::new();
            object.put("title", &album.title).put("album_id", &album.album_id).put("stories", &ids);
            told.push(object.end());
        }
        Ok(Found { value: raw(list(told)), media: vec![], raw: raws, short: lacking })
    }

    /// Answers that a business account has ready.
    pub(super) async fn quick_replies(&self) -> Result<Found, Trouble> {
        let answer = self.api.ask_extra(&functions::messages::GetQuickReplies { hash: 0 }).await?;
        let mut raws = vec![tl(&answer)];
        let enums::messages::QuickReplies::Replies(replies) = answer else { return Ok(Found::whole(raw("[]".into()), raws)) };
        self.learn(&replies.users, &replies.chats);
        let (mut told, mut media, mut lacking) = (vec![], vec![], 0);
        for enums::QuickReply::Reply(reply) in replies.quick_replies {
            let request = functions::messages::GetQuickReplyMessages { shortcut_id: reply.shortcut_id, id: None, hash: 0 };
            let answer = self.api.ask_extra(&request).await?;
            raws.push(tl(&answer));
            let messages = self.messages_of(answer);
            let (value, files) = self.message_list(Peer::user(0), &messages, |id| Seen::Section(Section::QuickReplies, id)).await?;
            media.extend(files);
            lacking += short(reply.count, messages.len());
            let mut object = Object::new();
            object.put("shortcut", &reply.shortcut).put("id", &reply.shortcut_id).put_raw("messages", value.get());
            told.push(object.end());
        }
        Ok(Found { value: raw(list(told)), media, raw: raws, short: lacking })
    }

    /// The messages of an answer; who is in them is taken note of.
    pub(super) fn messages_of(&self, answer: enums::messages::Messages) -> Vec<enums::Message> {
        use enums::messages::Messages;
        let (messages, users, chats) = match answer {
            Messages::Messages(m) => (m.messages, m.users, m.chats),
            Messages::Slice(m) => (m.messages, m.users, m.chats),
            Messages::ChannelMessages(m) => (m.messages, m.users, m.chats),
            Messages::NotModified(_) => (vec![], vec![], vec![]),
        };
        self.learn(&users, &chats);
        messages.into_iter().filter(|message| !matches!(message, enums::Message::Empty(_))).collect()
    }

    /// Messages that are in no history, as a list, with their files.
    pub(super) async fn message_list(
        &self,
        chat: Peer,
        messages: &[enums::Message],
        seen: impl Fn(i64) -> Seen,
    ) -> Result<(Box<RawValue>, Vec<Media>), TelegramError> {
        let files: Vec<Vec<Want>> = messages.iter().map(wants).collect();
        let pairs = messages.iter().zip(&files);
        let mut jobs: Vec<(Want, Seen)> =
            pairs.flat_map(|(message, wants)| wants.iter().map(|want| (want.clone(), seen(message.id().into())))).collect();
        let emoji = self.resolve_emoji(messages).await?;
        jobs.extend(emoji.iter().map(|(id, want)| (want.clone(), Seen::Emoji(*id))));
        let (outcomes, media): (Outcomes, Vec<Media>) = self.fetch_all(jobs).await?;
        let path = |id: i64| {
            let want = emoji.get(&id).filter(|want| outcomes.get(&want.key) == Some(&MediaStatus::Stored))?;
            Some(want.path.to_string())
        };
        let context = self.context(chat, &path);
        let told = messages.iter().zip(&files).filter_map(|(message, wants)| record(message, &context, wants, &outcomes));
        Ok((raw(list(told.map(|record| record.message.get().to_owned()))), media))
    }
}
