//! The crate `tgvault-mtproto`, as if it were a room of this house.

pub use tgvault_mtproto::*;
