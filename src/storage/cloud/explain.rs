//! What a failed request means, in the store's words.

use std::error::Error as StdError;
use std::time::Duration;

use crate::storage::error::{Cause, StorageError};

/// Failures that the connector tells from others; they travel inside the crate's errors and are found again here.
#[derive(Debug, thiserror::Error)]
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
    /// The certificate or the TLS settings: trying again does not help.
    #[error("no trusted connection: {0}")]
    Untrusted(String),
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
        return explain_line(container, operation, name, fault, error);
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

enum Fault {
    Again(Option<Duration>),
    NoRole,
    Final,
}

fn explain_line(container: &str, operation: &'static str, name: &str, fault: Fault, error: object_store::Error) -> StorageError {
    let source: Cause = Box::new(error);
    match fault {
        Fault::NoRole => StorageError::NoCredentials { container: container.into(), source },
        Fault::Final => StorageError::Failed { operation, name: name.into(), source },
        Fault::Again(retry_after) => {
            StorageError::Unavailable { operation, name: name.into(), attempts: 1, elapsed: Duration::ZERO, retry_after, source }
        }
    }
}

fn line_fault(error: &object_store::Error) -> Option<Fault> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref::<LineFault>() {
            return Some(match fault {
                LineFault::Busy { retry_after, .. } => Fault::Again(*retry_after),
                LineFault::Silent(_) | LineFault::Line(_) => Fault::Again(None),
                LineFault::NoRole(_) => Fault::NoRole,
                LineFault::Untrusted(_) => Fault::Final,
            });
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
