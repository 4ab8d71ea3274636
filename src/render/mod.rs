//! From stored records to what people and programs read: pure functions that know the model only.
//!
//! - [`log`] reads a chat's log in the order in which it is shown.
//! - [`desktop_json`] writes Telegram Desktop's `result.json`; [`json_text`] is its hand.
//! - [`html`] writes pages.
//! - [`shown`] is a message as all of them take it; [`earlier`] says which earlier versions of a message there are.
//! - [`terminal`] prints a conversation, [`search`] finds messages by words, [`letters`] compares them in any script.
//! - [`media_names`] gives media files their folders and names; JSON and HTML share one [`media_names::MediaNamer`].

pub mod desktop_json;
pub mod earlier;
pub mod html;
pub mod json_text;
pub mod letters;
pub mod log;
pub mod media_names;
pub mod search;
pub mod shown;
pub mod terminal;
