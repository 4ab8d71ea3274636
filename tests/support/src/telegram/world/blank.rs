//! Objects with nothing in them. The schema's types have no `Default`, but zeros mean empty, absent or 0 almost everywhere.

use grammers_tl_types::{Deserializable, Serializable, enums, types};

/// The object that so many zero bytes make.
pub(crate) fn blank<T: Deserializable>(zeros: usize) -> T {
    Blank::zeros(zeros).build()
}

/// The bytes of an object to be, for types in which some field may not be zero.
pub(crate) struct Blank(Vec<u8>);

impl Blank {
    /// Begins with so many zero bytes.
    pub(crate) fn zeros(count: usize) -> Self {
        Self(vec![0; count])
    }

    /// Adds so many zero bytes.
    pub(crate) fn more(mut self, count: usize) -> Self {
        self.0.extend(std::iter::repeat_n(0, count));
        self
    }

    /// Adds an object where zeros would not read.
    pub(crate) fn object(mut self, object: &impl Serializable) -> Self {
        object.serialize(&mut self.0);
        self
    }

    /// Reads the object. The bytes are the caller's own, so that only a mistake in the code can make this fail.
    pub(crate) fn build<T: Deserializable>(self) -> T {
        T::from_bytes(&self.0).expect("the bytes make an object of this type")
    }

    /// Notification settings that say nothing.
    pub(crate) fn notify() -> enums::PeerNotifySettings {
        types::PeerNotifySettings::into(blank(4))
    }
}
