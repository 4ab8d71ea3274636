//! Reads Telegram Desktop's exports, of every age, into records.
//!
//! - [`scan`] cuts a `result.json` into pieces that are the file, one after the other.
//! - [`repair`] makes valid JSON of a piece, for real files are not always.
//! - [`rich`] gives rich messages a text, in [`parts`].
//! - [`convert`] makes a record of a message, [`age`] tells which version of Telegram Desktop wrote it.
//! - [`read`] does all that for a whole file.
//! - [`html`] reads the pages of HTML exports.
//! - [`content`] says when a message is the same in two exports, [`layout`] how the original file is put together again.
//! - [`import`] takes a whole folder in, as a source; [`known`] remembers what earlier imports stored.

pub mod age;
pub mod content;
pub mod convert;
pub mod html;
pub mod import;
pub mod known;
pub mod layout;
pub mod parts;
pub mod read;
pub mod repair;
pub mod rich;
pub mod scan;
