//! Connections to data centres, directly or through a proxy, and the keys that they are encrypted under.

use std::io;
use std::net::SocketAddr;

use grammers_mtproto::mtp::Encrypted;
use grammers_mtproto::transport::Full;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Client;
use crate::centres::AuthorizationKey;
use crate::error::CallError;
use crate::framing::Framing;
use crate::key_exchange::{ExchangeError, exchange};
use crate::pool::Centre;
use crate::proxy::Proxy;

impl Client {
    /// A connection to a data centre, with what encrypts on it: under the key that is known, or a new one.
    pub(super) async fn dial(&self, centre: &Centre, dc: i32) -> Result<(TcpStream, Framing, Encrypted), CallError> {
        let known = || {
            let known = self.0.session.centre(dc).filter(|known| !known.addresses.is_empty()).ok_or(CallError::UnknownDc(dc))?;
            Ok::<_, CallError>((known.addresses, known.key))
        };
        let (mut addresses, mut key) = known()?;
        if self.0.options.proxy.as_ref().is_some_and(Proxy::knows_centres) {
            // Each of them would be the same connection.
            addresses.truncate(1);
        }
        let guard;
        if key.is_none() {
            guard = centre.setup.lock().await;
            key = known()?.1;
            if key.is_none() {
                let key = self.make_key(centre, dc, &addresses).await;
                drop(guard);
                return key;
            }
        }
        let mut last = CallError::UnknownDc(dc);
        for address in addresses {
            match self.reach(dc, address).await {
                Ok((stream, framing)) => {
                    let key = key.ok_or(CallError::UnknownDc(dc))?;
                    // Our requests are short: packed ones would only ask more of a server.
                    let mtp = Encrypted::build()
                        .compression_threshold(None)
                        .time_offset(centre.clock.offset())
                        .first_salt(centre.clock.salt())
                        .finish(*key.bytes());
                    return Ok((stream, framing, mtp));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A connection to a data centre, directly or through the proxy; never around it.
    async fn reach(&self, dc: i32, address: SocketAddr) -> Result<(TcpStream, Framing), CallError> {
        let limit = self.0.options.limits.connect;
        let Some(proxy) = &self.0.options.proxy else {
            let stream = timeout(limit, TcpStream::connect(address)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let stream = stream.map_err(CallError::Io)?;
            stream.set_nodelay(true).map_err(CallError::Io)?;
            return Ok((stream, Framing::Full(Full::new())));
        };
        let reached = timeout(limit, proxy.connect(dc, address)).await;
        reached.unwrap_or_else(|_| Err(proxy.unreachable(io::ErrorKind::TimedOut.into()))).map_err(CallError::Proxy)
    }

    /// What the end of a connection means on which Telegram has not said anything yet: an MTProxy has no other way to refuse.
    pub(super) fn of_proxy(&self, error: CallError) -> CallError {
        match &self.0.options.proxy {
            Some(proxy) if proxy.knows_centres() && (error.is_lost() || matches!(error, CallError::Exchange(ExchangeError::Io(_)))) => {
                CallError::Proxy(proxy.closed())
            }
            _ => error,
        }
    }

    async fn make_key(&self, centre: &Centre, dc: i32, addresses: &[SocketAddr]) -> Result<(TcpStream, Framing, Encrypted), CallError> {
        let limits = self.0.options.limits;
        let mut last = CallError::UnknownDc(dc);
        for &address in addresses {
            let keys = self.0.options.keys.clone();
            let (stream, framing) = match self.reach(dc, address).await {
                Ok(reached) => reached,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            // In a task of its own, so that a panic in the mathematics of a hostile server is an error here.
            let task = tokio::spawn(async move { timeout(limits.exchange, exchange(stream, framing, &keys)).await });
            match task.await {
                Ok(Ok(Ok(new))) => {
                    let stored = AuthorizationKey::new(new.auth_key.clone());
                    self.0.session.set_key(dc, Some(stored)).map_err(CallError::Io)?;
                    centre.clock.set_offset(new.time_offset);
                    centre.clock.set_salt(new.first_salt);
                    let mtp = Encrypted::build()
                        .compression_threshold(None)
                        .time_offset(new.time_offset)
                        .first_salt(new.first_salt)
                        .finish(*new.auth_key);
                    return Ok((new.stream, new.framing, mtp));
                }
                Ok(Ok(Err(error @ (ExchangeError::UnknownKey(_) | ExchangeError::Check(_))))) => return Err(CallError::Exchange(error)),
                Ok(Ok(Err(error))) => last = self.of_proxy(CallError::Exchange(error)),
                Ok(Err(_)) => last = CallError::TimedOut(limits.exchange),
                Err(_) => last = CallError::Exchange(ExchangeError::Protocol("the exchange broke down".into())),
            }
        }
        Err(last)
    }
}
