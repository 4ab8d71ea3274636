//! Stories of the account.

use grammers_tl_types::{enums, functions as f, types};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::world::{Kind, Peer, SELF, World};

impl World {
    fn stories(&self, ids: Vec<i32>, count: usize) -> enums::stories::Stories {
        let stories = ids.into_iter().map(|id| self.story(id)).collect();
        let users = self.cast().into_iter().chain([SELF]).map(|id| self.user(id)).collect();
        types::stories::Stories { count: count as i32, stories, pinned_to_top: None, chats: Vec::new(), users }.into()
    }

    /// Whether a user's page has stories: that of the first one with whom the account chats.
    pub(crate) fn has_stories(&self, id: i64) -> bool {
        self.chats.iter().find(|chat| chat.kind == Kind::Private && chat.listed()).is_some_and(|chat| chat.peer == Peer::User(id))
    }

    /// A page from the newest down, below `offset_id` when that is not 0.
    fn story_page(
        &self,
        peer: &enums::InputPeer,
        offset_id: i32,
        limit: i32,
        want: fn(i32) -> bool,
    ) -> Result<enums::stories::Stories, Refusal> {
        let peer = self.resolve(peer)?;
        let has_some = peer == Peer::User(SELF) || matches!(peer, Peer::User(id) if self.has_stories(id));
        let all: Vec<i32> = self.story_ids().rev().filter(|id| has_some && want(*id)).collect();
        let page = all.iter().copied().filter(|id| offset_id == 0 || *id < offset_id).take(limit.clamp(0, 100) as usize).collect();
        Ok(self.stories(page, all.len()))
    }
}

pub(super) fn get_archive(call: &mut Call<'_>, r: f::stories::GetStoriesArchive) -> Result<enums::stories::Stories, Refusal> {
    call.shared.world().story_page(&r.peer, r.offset_id, r.limit, |_| true)
}

pub(super) fn get_pinned(call: &mut Call<'_>, r: f::stories::GetPinnedStories) -> Result<enums::stories::Stories, Refusal> {
    call.shared.world().story_page(&r.peer, r.offset_id, r.limit, |id| id % 3 == 0)
}

pub(super) fn get_by_id(call: &mut Call<'_>, r: f::stories::GetStoriesById) -> Result<enums::stories::Stories, Refusal> {
    let world = call.shared.world();
    let own = world.resolve(&r.peer)? == Peer::User(SELF);
    let known: Vec<i32> = r.id.into_iter().filter(|id| own && world.story_ids().any(|story| story == *id)).collect();
    let count = known.len();
    Ok(world.stories(known, count))
}

/// What is still up: the last story, if any.
pub(super) fn get_peer_stories(call: &mut Call<'_>, r: f::stories::GetPeerStories) -> Result<enums::stories::PeerStories, Refusal> {
    let world = call.shared.world();
    let peer = world.resolve(&r.peer)?;
    let up = world.story_ids().next_back().filter(|_| peer == Peer::User(SELF));
    let stories = up.map(|id| world.story(id)).into_iter().collect();
    let stories = types::PeerStories { peer: peer.to_tl(), max_read_id: None, stories }.into();
    let (chats, users) = world.objects(&[peer].into());
    Ok(types::stories::PeerStories { stories, chats, users }.into())
}
