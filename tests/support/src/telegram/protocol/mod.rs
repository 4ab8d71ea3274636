//! MTProto 2.0 as a server speaks it, with no knowledge of what the messages mean.
//!
//! - `transport`: packets out of bytes and back
//! - `rsa`: the server's key, `handshake`: how an authorisation key is agreed on
//! - `crypto`: encryption of messages
//! - `session`: message ids, sequence numbers, containers and packing of what goes to the client

pub(crate) mod crypto;
pub(crate) mod handshake;
pub(crate) mod rsa;
pub(crate) mod session;
pub(crate) mod transport;
