//! What a failed request means, in the store's words.

use std::error::Error as StdError;
use std::time::Duration;

use crate::storage::error::{Cause, StorageError};

/// Failures that the connector tells from others; they travel inside the crate's errors and are found again here.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum LineFault {
    /// The server is there and cannot serve now.
    #[error("the server answered with status {status}: {answer}")]
    Busy {
        status: u16,
        /// What it asked us to wait.
        retry_after: Option<Duration>,
        /// The first line of its answer.
        answer: String,
    },
    /// Nothing came or went for too long.
    #[error("the connection was silent for {0:?}")]
    Silent(Duration),
    /// Resolving, connecting, sending or receiving failed.
    #[error("the connection failed: {0}")]
    Line(String),
    /// The certificate: trying again does not help.
    #[error("{0}")]
    Untrusted(String),
    /// A request that cannot be made: trying again does not help.
    #[error("no such request can be made: {0}")]
    Unusable(String),
    /// The server refuses requests of another time; how far this machine's clock is ahead of its own, where that is known.
    #[error("the server's clock and this machine's differ")]
    Clock(Option<jiff::SignedDuration>),
    /// The bucket is in another region; which, where that is known.
    #[error("the bucket is in another region")]
    Region(Option<String>),
    /// A quota is used up, or the server's disk.
    #[error("the store has no room: {0}")]
    Full(String),
    /// HTTP where HTTPS was expected, or the other way round.
    #[error("the server speaks {wants} there")]
    Scheme { wants: &'static str },
    /// The name of the server is not known, and never was in this run.
    #[error("{0}")]
    Unresolved(String),
    /// The machine has no service that hands out credentials.
    #[error("no key in the environment, and no role of this machine: {0}")]
    NoRole(String),
}

/// Codes in the answers of S3, Google and Azure that name a missing bucket or container.
const NO_CONTAINER: [&str; 4] = ["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist", "ContainerBeingDeleted"];

/// Codes for keys that are unknown, wrong or expired, as opposed to keys that lack a right.
const BAD_CREDENTIALS: [&str; 10] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "TokenRefreshRequired",
    "AuthFailure",
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "NotSignedUp",
    "Server failed to authenticate the request",
];

/// Puts an error of the crate into our words.
pub(in crate::storage) fn explain(container: &str, operation: &'static str, name: &str, error: object_store::Error) -> StorageError {
    use object_store::Error;
    if let Some(fault) = line_fault(&error) {
        return explain_line(container, operation, name, fault, Box::new(error));
    }
    let name = name.to_owned();
    let container = container.to_owned();
    match &error {
        Error::NotFound { source, .. } if mentions(source, &NO_CONTAINER) => {
            StorageError::NoContainer { container, source: Some(Box::new(error)) }
        }
        Error::NotFound { .. } => StorageError::NotFound { name },
        Error::AlreadyExists { .. } | Error::Precondition { .. } => StorageError::Exists { name },
        Error::Unauthenticated { .. } => StorageError::BadCredentials { container, source: Box::new(error) },
        Error::PermissionDenied { source, .. } if mentions(source, &BAD_CREDENTIALS) => {
            StorageError::BadCredentials { container, source: Box::new(error) }
        }
        Error::PermissionDenied { .. } => StorageError::PermissionDenied { operation, name, source: Box::new(error) },
        // Listings and a few other calls pass every status on without telling them apart.
        Error::Generic { .. } => {
            let text = chain(&error);
            if contains_any(&text, &NO_CONTAINER) {
                StorageError::NoContainer { container, source: Some(Box::new(error)) }
            } else if contains_any(&text, &BAD_CREDENTIALS) || text.contains(": 401 ") {
                StorageError::BadCredentials { container, source: Box::new(error) }
            } else if text.contains(": 403 ") {
                StorageError::PermissionDenied { operation, name, source: Box::new(error) }
            } else if ["InternalError", "SlowDown", "ServerBusy"].iter().any(|code| text.contains(code)) {
                // S3 completes an upload with status 200 before it knows, and may say in the body that it failed.
                StorageError::transient(operation, &name, error)
            } else {
                StorageError::Failed { operation, name, source: Box::new(error) }
            }
        }
        _ => StorageError::Failed { operation, name, source: Box::new(error) },
    }
}

fn explain_line(container: &str, operation: &'static str, name: &str, fault: LineFault, source: Cause) -> StorageError {
    let (container, name) = (container.to_owned(), name.to_owned());
    match fault {
        LineFault::NoRole(_) => StorageError::NoCredentials { container, source },
        LineFault::Unusable(_) => StorageError::Failed { operation, name, source },
        LineFault::Untrusted(_) => StorageError::Untrusted { container, source },
        LineFault::Unresolved(_) => StorageError::UnknownHost { container, source },
        LineFault::Scheme { wants } => StorageError::WrongScheme { container, wants, source },
        LineFault::Clock(ahead) => StorageError::WrongClock { container, ahead, source },
        LineFault::Region(expected) => StorageError::WrongRegion { container, expected, source },
        LineFault::Full(_) => StorageError::Full { operation, name, source },
        LineFault::Busy { retry_after, .. } => {
            StorageError::Unavailable { operation, name, attempts: 1, elapsed: Duration::ZERO, retry_after, source }
        }
        LineFault::Silent(_) | LineFault::Line(_) => StorageError::transient(operation, &name, source),
    }
}

fn line_fault(error: &object_store::Error) -> Option<LineFault> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref::<LineFault>() {
            return Some(fault.clone());
        }
        next = error.source();
    }
    None
}

fn mentions(error: &Cause, codes: &[&str]) -> bool {
    contains_any(&chain(error.as_ref()), codes)
}

fn contains_any(text: &str, codes: &[&str]) -> bool {
    codes.iter().any(|code| text.contains(code))
}

/// The error and all below it, as one text.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let line = error.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        next = error.source();
    }
    text
}
