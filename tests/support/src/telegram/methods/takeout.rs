//! The takeout session, and what only it may read.

use grammers_tl_types::{enums, functions as f, types};

use super::contacts::saved_contacts;
use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::protocol::crypto::random;

/// Most channels in one answer.
const PAGE: usize = 100;

pub(super) fn init(call: &mut Call<'_>, request: f::account::InitTakeoutSession) -> Result<enums::account::Takeout, Refusal> {
    if request.files && request.file_max_size.is_none_or(|size| size < 1) {
        return Err(Refusal::bad("TAKEOUT_FILE_SIZE_INVALID"));
    }
    // An id below 2^53 reads the same in every language; a takeout begun before is over.
    let id = (i64::from_le_bytes(random()) & ((1 << 53) - 1)) | 1;
    let mut login = call.shared.login();
    login.takeout = Some(id);
    login.begun.push(request);
    Ok(types::account::Takeout { id }.into())
}

pub(super) fn finish(call: &mut Call<'_>, _: f::account::FinishTakeoutSession) -> Result<bool, Refusal> {
    require(call)?;
    call.shared.login().takeout = None;
    Ok(true)
}

fn require(call: &Call<'_>) -> Result<(), Refusal> {
    if call.takeout { Ok(()) } else { Err(Refusal::new(403, "TAKEOUT_REQUIRED")) }
}

pub(super) fn get_split_ranges(call: &mut Call<'_>, _: f::messages::GetSplitRanges) -> Result<Vec<enums::MessageRange>, Refusal> {
    let ranges = call.shared.options.split_ranges.max(1) as i32;
    let last = call.shared.world().common_owner.len() as i32;
    let end = |n: i32| if n == ranges { i32::MAX } else { last / ranges * n };
    Ok((0..ranges).map(|n| types::MessageRange { min_id: if n == 0 { 1 } else { end(n) + 1 }, max_id: end(n + 1) }.into()).collect())
}

pub(super) fn get_left_channels(call: &mut Call<'_>, request: f::channels::GetLeftChannels) -> Result<enums::messages::Chats, Refusal> {
    require(call)?;
    let world = call.shared.world();
    let left: Vec<enums::Chat> =
        world.chats.iter().filter(|chat| chat.left && !chat.gone).filter_map(|chat| world.chat_object(chat)).collect();
    let count = left.len();
    let chats: Vec<_> = left.into_iter().skip(request.offset.max(0) as usize).take(PAGE).collect();
    Ok(if chats.len() == count {
        types::messages::Chats { chats }.into()
    } else {
        types::messages::ChatsSlice { count: count as i32, chats }.into()
    })
}

pub(super) fn get_saved(call: &mut Call<'_>, _: f::contacts::GetSaved) -> Result<Vec<enums::SavedContact>, Refusal> {
    require(call)?;
    Ok(saved_contacts(&call.shared.world()))
}
