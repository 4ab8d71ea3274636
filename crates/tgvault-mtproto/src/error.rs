//! What can go wrong with one request.

use std::fmt;
use std::io;
use std::time::Duration;

use grammers_tl_types::types;

use super::{ExchangeError, ProxyError};

/// A refusal by the server: `420 FLOOD_WAIT_31` has the name `FLOOD_WAIT` and the value 31.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// The class: 303 elsewhere, 400 bad request, 401 not logged in, 420 too fast, 500 the server's fault.
    pub code: i32,
    /// The name without its number.
    pub name: String,
    /// The number at the name's end: seconds, or a data centre.
    pub value: Option<u32>,
}

impl From<types::RpcError> for RpcError {
    fn from(error: types::RpcError) -> Self {
        let parts = error.error_message.rsplit_once('_').and_then(|(name, digits)| Some((name, digits.parse().ok()?)));
        match parts {
            Some((name, value)) => Self { code: error.error_code, name: name.to_owned(), value: Some(value) },
            None => Self { code: error.error_code, name: error.error_message, value: None },
        }
    }
}

impl RpcError {
    /// How long the server asks us to wait, where that is what it says.
    pub fn wait(&self) -> Option<Duration> {
        let says_so = self.code == 420 && (self.name.ends_with("_WAIT") || self.name.ends_with("_DELAY"));
        self.value.filter(|_| says_so).map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Whether it is the error called `name`.
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name comes from the server and goes to a terminal.
        for character in self.name.chars().take(100) {
            write!(f, "{}", if character.is_ascii_graphic() { character } else { '?' })?;
        }
        if let Some(value) = self.value {
            write!(f, "_{value}")?;
        }
        write!(f, " ({})", self.code)
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server refused it.
    #[error("Telegram answers {0}")]
    Rpc(RpcError),
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[source] io::Error),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The connection was closed under the request.
    #[error("the connection was closed")]
    Closed,
    /// The server answered with a transport status: 404 for an authorization key it does not know, 429 for too many connections.
    #[error("the server refuses the connection with status {0}")]
    Status(u32),
    /// An answer that cannot be understood, or a request that cannot be sent.
    #[error("{0}")]
    Unusable(String),
    /// An answer came whole and has something in it that this version does not know.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// The server asks for patience again and again, however long we wait.
    #[error("Telegram answers {0}, however long we wait")]
    InVain(RpcError),
    /// No authorization key could be made.
    #[error("no key could be agreed on")]
    Exchange(#[source] ExchangeError),
    /// The proxy does not carry the connection.
    #[error(transparent)]
    Proxy(ProxyError),
    /// No address is known for the data centre.
    #[error("no address is known for data centre {0}")]
    UnknownDc(i32),
}

impl CallError {
    /// The server's refusal, if that is what it is.
    pub fn rpc(&self) -> Option<&RpcError> {
        match self {
            Self::Rpc(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the server refused with one of these names.
    pub fn is_any(&self, names: &[&str]) -> bool {
        self.rpc().is_some_and(|error| names.contains(&error.name.as_str()))
    }

    /// Whether nothing was heard from the server, as against an answer that says no.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Io(_) | Self::TimedOut(_) | Self::Closed | Self::Status(_) | Self::Exchange(ExchangeError::Io(_)) => true,
            Self::Proxy(error) => error.may_pass(),
            _ => false,
        }
    }

    /// Whether the connection ended before the answer came.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Closed)
    }

    /// Whether the server did not prove itself to be the one whose key is known.
    pub fn is_wrong_server(&self) -> bool {
        matches!(self, Self::Exchange(ExchangeError::UnknownKey(_) | ExchangeError::Check(_)))
    }

    /// Why there was no answer, in a few words that name no address.
    pub(super) fn in_short(&self) -> String {
        let io = |error: &io::Error| match error.kind() {
            io::ErrorKind::ConnectionRefused => "the connection is refused".to_owned(),
            io::ErrorKind::TimedOut => "no answer to the attempt to connect".to_owned(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "the connection was lost".to_owned()
            }
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => "there is no way to it".to_owned(),
            _ => error.to_string(),
        };
        match self {
            Self::Io(error) | Self::Exchange(ExchangeError::Io(error)) => io(error),
            Self::Closed => "the connection was lost".to_owned(),
            other => other.to_string(),
        }
    }

    /// The same error for one more request of a failed connection.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Rpc(error) => Self::Rpc(error.clone()),
            Self::Io(error) => Self::Io(io::Error::new(error.kind(), error.to_string())),
            Self::TimedOut(limit) => Self::TimedOut(*limit),
            Self::Status(status) => Self::Status(*status),
            // The stream is out of step, not this request's answer: it may be asked again on a new connection.
            Self::Unusable(what) => Self::Io(io::Error::new(io::ErrorKind::InvalidData, what.clone())),
            Self::UnknownDc(dc) => Self::UnknownDc(*dc),
            Self::Unreadable(what) => Self::Unreadable(what.clone()),
            Self::InVain(error) => Self::InVain(error.clone()),
            Self::Proxy(error) => Self::Proxy(error.again()),
            Self::Closed | Self::Exchange(_) => Self::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_at_the_end_is_the_value() {
        let parse = |message: &str| RpcError::from(types::RpcError { error_code: 420, error_message: message.into() });
        assert_eq!((parse("FLOOD_WAIT_31").name.as_str(), parse("FLOOD_WAIT_31").value), ("FLOOD_WAIT", Some(31)));
        assert_eq!(parse("TAKEOUT_INIT_DELAY_86400").value, Some(86_400));
        assert_eq!(parse("INTERDC_2_CALL_ERROR").name, "INTERDC_2_CALL_ERROR");
        assert_eq!(parse("CHANNEL_PRIVATE").value, None);
        assert_eq!(parse("X\u{1b}[2J").to_string(), "X?[2J (420)");
    }
}
