//! Uploads that are under way, noted outside of this process: what a killed run leaves at a cloud is billed, and only whoever knows
//! its id can remove it.

use std::fmt::Debug;

/// Where uploads are noted.
pub trait UploadNotes: Debug + Send + Sync + 'static {
    /// An upload is about to begin: until it has, nobody knows its id.
    fn beginning(&self, name: &str);

    /// The upload has begun, and every attempt to do so was answered.
    fn answered(&self, name: &str);

    /// An upload has begun; `id` is the store's name for it.
    fn begun(&self, name: &str, id: &str);

    /// An upload is whole, or was removed.
    fn ended(&self, name: &str);
}
