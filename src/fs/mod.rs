//! The local file system by descriptor: no path is ever resolved through a symbolic link.
//!
//! A walk or a restore holds a folder's descriptor and names its children one component at a time ([`dir`]), so that nobody can
//! lead it elsewhere by swapping a folder for a link while it runs. [`stat`] turns what the system says into our own words, [`manner`] says how far it can be relied on,
//! [`xattr`] reads and sets extended attributes, [`limit`] says how many files may be open. This is the home of `rustix`' file calls that sources and restores share.

pub(crate) mod dir;
pub(crate) mod limit;
pub(crate) mod manner;
pub(crate) mod stat;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod xattr;
