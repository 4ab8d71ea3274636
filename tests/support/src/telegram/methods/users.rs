//! Users.

use grammers_tl_types::{enums, functions as f};

use crate::telegram::dispatch::{Call, Refusal};
use crate::telegram::state::Access;
use crate::telegram::world::{SELF, World};

impl World {
    /// The account as a bot sees itself after logging in with the bot's token.
    pub(crate) fn bot_user(&self) -> enums::User {
        let mut user = self.user(self.bot_id());
        if let enums::User::User(user) = &mut user {
            user.is_self = true;
            user.bot = true;
            user.bot_info_version = Some(1);
        }
        user
    }
}

pub(super) fn get_users(call: &mut Call<'_>, request: f::users::GetUsers) -> Result<Vec<enums::User>, Refusal> {
    let world = call.shared.world();
    request
        .id
        .iter()
        .map(|user| match (world.resolve_user(user)?, call.access) {
            (SELF, Access::Bot) => Ok(world.bot_user()),
            (id, _) => Ok(world.user(id)),
        })
        .collect()
}
