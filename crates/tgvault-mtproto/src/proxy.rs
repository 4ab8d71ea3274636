//! Ways to Telegram through somebody else's server: SOCKS5, HTTP CONNECT, and Telegram's own MTProxy.
//!
//! A data centre is named to the proxy by its address, and looked up nowhere. Where there is a proxy, nothing goes around it.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use grammers_mtproto::transport::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use zeroize::Zeroizing;

use super::framing::{Framing, Obfuscated};
use super::proxy_secret::ProxySecret;

/// The longest head of an HTTP proxy's answer.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// A proxy, and what it wants to know.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it speaks.
    pub kind: ProxyKind,
}

/// What a proxy speaks.
#[derive(Clone, Debug)]
pub enum ProxyKind {
    /// SOCKS version 5.
    Socks5(Option<ProxyLogin>),
    /// HTTP, with CONNECT.
    Http(Option<ProxyLogin>),
    /// Telegram's own.
    MtProxy(ProxySecret),
}

/// Who asks.
#[derive(Clone)]
pub struct ProxyLogin {
    /// The user's name.
    pub user: String,
    /// The password; never shown.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for ProxyLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Why there is no connection through the proxy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The proxy itself does not answer.
    #[error("the proxy {proxy} cannot be reached")]
    Unreachable {
        /// Its address.
        proxy: String,
        /// Why.
        source: io::Error,
    },
    /// It wants a name and a password.
    #[error("the proxy {proxy} requires a user name and password")]
    LoginNeeded {
        /// Its address.
        proxy: String,
    },
    /// It does not like the name or the password.
    #[error("the proxy {proxy} rejects the user name or password")]
    WrongLogin {
        /// Its address.
        proxy: String,
    },
    /// Its rules forbid the connection.
    #[error("the proxy {proxy} does not allow connections to Telegram ({why})")]
    Refused {
        /// Its address.
        proxy: String,
        /// In the words of its protocol.
        why: String,
    },
    /// It tried, and could not reach Telegram.
    #[error("the proxy {proxy} cannot reach Telegram ({why})")]
    Beyond {
        /// Its address.
        proxy: String,
        /// In the words of its protocol.
        why: String,
    },
    /// It speaks something else.
    #[error("the server at {proxy} is not a {kind} proxy")]
    OtherKind {
        /// Its address.
        proxy: String,
        /// What it should be.
        kind: &'static str,
    },
    /// An MTProxy closed the connection: that is how it answers a secret that it does not know, and all other trouble too.
    #[error("the MTProxy {proxy} closed the connection before Telegram answered: its secret is wrong, or it cannot reach Telegram")]
    Closed {
        /// Its address.
        proxy: String,
    },
}

impl ProxyError {
    /// Whether the same proxy may well serve later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Beyond { .. } | Self::Closed { .. })
    }

    /// The same error for one more request.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Unreachable { proxy, source } => {
                Self::Unreachable { proxy: proxy.clone(), source: io::Error::new(source.kind(), source.to_string()) }
            }
            Self::LoginNeeded { proxy } => Self::LoginNeeded { proxy: proxy.clone() },
            Self::WrongLogin { proxy } => Self::WrongLogin { proxy: proxy.clone() },
            Self::Refused { proxy, why } => Self::Refused { proxy: proxy.clone(), why: why.clone() },
            Self::Beyond { proxy, why } => Self::Beyond { proxy: proxy.clone(), why: why.clone() },
            Self::OtherKind { proxy, kind } => Self::OtherKind { proxy: proxy.clone(), kind },
            Self::Closed { proxy } => Self::Closed { proxy: proxy.clone() },
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Proxy {
    /// Whether it goes to data centres by their numbers, wherever they are.
    pub(super) fn knows_centres(&self) -> bool {
        matches!(self.kind, ProxyKind::MtProxy(_))
    }

    /// That the connection ended before Telegram said anything.
    pub(super) fn closed(&self) -> ProxyError {
        ProxyError::Closed { proxy: self.to_string() }
    }

    pub(super) fn unreachable(&self, source: io::Error) -> ProxyError {
        ProxyError::Unreachable { proxy: self.to_string(), source }
    }

    /// Connects to a data centre.
    pub(super) async fn connect(&self, dc: i32, address: SocketAddr) -> Result<(TcpStream, Framing), ProxyError> {
        let failed = |source| self.unreachable(source);
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        match &self.kind {
            ProxyKind::Socks5(login) => Ok((self.socks5(stream, login.as_ref(), address).await?, Framing::Full(Full::new()))),
            ProxyKind::Http(login) => {
                self.http(&mut stream, login.as_ref(), address).await?;
                Ok((stream, Framing::Full(Full::new())))
            }
            ProxyKind::MtProxy(secret) => {
                let (start, obfuscated) = Obfuscated::begin(secret, dc).map_err(failed)?;
                stream.write_all(&start).await.map_err(failed)?;
                Ok((stream, Framing::Obfuscated(Box::new(obfuscated))))
            }
        }
    }

    async fn socks5(&self, stream: TcpStream, login: Option<&ProxyLogin>, address: SocketAddr) -> Result<TcpStream, ProxyError> {
        use tokio_socks::Error;
        let connected = match login {
            Some(login) => Socks5Stream::connect_with_password_and_socket(stream, address, &login.user, &login.password).await,
            None => Socks5Stream::connect_with_socket(stream, address).await,
        };
        let proxy = self.to_string();
        connected.map(Socks5Stream::into_inner).map_err(|error| match error {
            Error::Io(source) => ProxyError::Unreachable { proxy, source },
            Error::NoAcceptableAuthMethods if login.is_none() => ProxyError::LoginNeeded { proxy },
            Error::NoAcceptableAuthMethods | Error::PasswordAuthFailure(_) | Error::InvalidAuthValues(_) => {
                ProxyError::WrongLogin { proxy }
            }
            Error::ConnectionNotAllowedByRuleset => ProxyError::Refused { proxy, why: "connection not allowed by ruleset".into() },
            Error::CommandNotSupported => ProxyError::Refused { proxy, why: "command not supported".into() },
            Error::InvalidResponseVersion | Error::InvalidReservedByte | Error::UnknownAddressType | Error::UnknownAuthMethod => {
                ProxyError::OtherKind { proxy, kind: "SOCKS5" }
            }
            other => ProxyError::Beyond { proxy, why: other.to_string() },
        })
    }

    async fn http(&self, stream: &mut TcpStream, login: Option<&ProxyLogin>, address: SocketAddr) -> Result<(), ProxyError> {
        let failed = |source| self.unreachable(source);
        let mut request = Zeroizing::new(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n"));
        if let Some(login) = login {
            let pair = Zeroizing::new(format!("{}:{}", login.user, login.password.as_str()));
            let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
            request.push_str("Proxy-Authorization: Basic ");
            request.push_str(&encoded);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut head = Vec::new();
        // Byte by byte: what follows the head belongs to the connection.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= MAX_HEAD_BYTES || (head.len() >= 5 && !head.starts_with(b"HTTP/")) {
                return Err(ProxyError::OtherKind { proxy: self.to_string(), kind: "HTTP" });
            }
            head.push(stream.read_u8().await.map_err(failed)?);
        }
        let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let status = line.split(|&byte| byte == b' ').nth(1).and_then(|code| std::str::from_utf8(code).ok()?.parse::<u16>().ok());
        let proxy = self.to_string();
        match status {
            Some(200..=299) => Ok(()),
            Some(407) if login.is_none() => Err(ProxyError::LoginNeeded { proxy }),
            Some(407) => Err(ProxyError::WrongLogin { proxy }),
            // Too slow, and too many at once: another attempt may succeed.
            Some(code @ (408 | 429)) => Err(ProxyError::Beyond { proxy, why: format!("HTTP status {code}") }),
            Some(code @ (400..=499)) => Err(ProxyError::Refused { proxy, why: format!("HTTP status {code}") }),
            Some(code) => Err(ProxyError::Beyond { proxy, why: format!("HTTP status {code}") }),
            None => Err(ProxyError::OtherKind { proxy, kind: "HTTP" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_and_what_is_secret_is_not() {
        let proxy = Proxy { host: "::1".into(), port: 9, kind: ProxyKind::MtProxy(ProxySecret::new(&[113; 16]).unwrap()) };
        assert_eq!(proxy.to_string(), "[::1]:9");
        assert!(!format!("{proxy:?}").contains("113"));
        let login = ProxyLogin { user: "anna".into(), password: Zeroizing::new("hunter2".into()) };
        assert!(!format!("{:?}", ProxyKind::Http(Some(login))).contains("hunter2"));
    }
}
