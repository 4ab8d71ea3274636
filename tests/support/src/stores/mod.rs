//! Servers for stores, over loopback.
//!
//! Three of them are programs that others wrote: [`moto`], [`s3s`] and [`azurite`]. For Google no emulator speaks the XML API
//! that the client uses; [`gcs`] is a small server of our own and shows that the client's requests are consistent, not that
//! Google would accept them.

pub mod azurite;
pub mod gcs;
pub mod moto;
pub mod s3s;

pub(crate) mod program;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::background::BoxError;

/// The region that the S3 servers are told they are in.
pub const REGION: &str = "us-east-1";

/// A key that the servers know.
pub const ACCESS_KEY: &str = "tgvaulttest";

/// Its secret; worth nothing anywhere.
pub const SECRET_KEY: &str = "tgvaulttestsecret";

/// A running store with an empty bucket of its own, for one test.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// The name of the bucket or container.
    pub name: String,
    /// `s3://…`, `gs://…` or `az://…`.
    pub url: String,
    /// The variables by which the clouds' clients find the server and its credentials.
    pub env: Vec<(String, String)>,
    /// `127.0.0.1:port`.
    pub address: std::net::SocketAddr,
}

impl Bucket {
    /// Sets a variable anew.
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.into(), value.into()));
        self
    }

    /// The same bucket, reached by way of `url`: a gate before its server, `http://127.0.0.1:port`.
    pub fn through(mut self, url: &str) -> Self {
        let direct = format!("http://{}", self.address);
        for (_, value) in &mut self.env {
            *value = value.replace(&direct, url);
        }
        self
    }
}

/// A name that no other test of this process uses.
pub fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("bucket-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn s3_env(address: std::net::SocketAddr) -> Vec<(String, String)> {
    [
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// A client that knows no proxy.
fn client() -> Result<reqwest::Client, BoxError> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}
