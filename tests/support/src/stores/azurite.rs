//! Azure Blob Storage by azurite, Microsoft's own emulator.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Zoned;
use jiff::tz::TimeZone;
use sha2::Sha256;

use super::program::{Program, install};
use super::{Bucket, client, fresh_name};
use crate::background::BoxError;

/// The account that every azurite has, documented by Microsoft.
pub const ACCOUNT: &str = "devstoreaccount1";

/// Its key, documented too.
pub const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running azurite, in memory.
#[derive(Debug)]
pub struct Azurite(Program);

impl Azurite {
    /// Installs it if need be, and starts it.
    pub fn start() -> io::Result<Self> {
        let folder = install("azurite")?;
        let program = folder.join("node_modules/.bin/azurite-blob");
        let port = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--blobKeepAliveTimeout", "120"];
        let rest = ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"];
        let arguments = [&port[..], &rest[..]].concat();
        Ok(Self(Program::start(&program, &arguments)?))
    }

    /// Makes a new container.
    pub async fn bucket(&self) -> Result<Bucket, BoxError> {
        let (name, address) = (fresh_name(), self.0.address());
        self.request(reqwest::Method::PUT, &format!("/{ACCOUNT}/{name}"), &[("restype", "container")]).await?.error_for_status()?;
        let env = [
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned()),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY.to_owned()),
            ("AZURE_STORAGE_ENDPOINT", format!("http://{address}/{ACCOUNT}")),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Bucket { url: format!("az://{name}"), env, address, name })
    }

    /// How many blobs with blocks that were sent but not committed there are.
    pub async fn open_uploads(&self, bucket: &Bucket) -> Result<usize, BoxError> {
        let query = [("comp", "list"), ("include", "uncommittedblobs"), ("restype", "container")];
        let listed = self.request(reqwest::Method::GET, &format!("/{ACCOUNT}/{}", bucket.name), &query).await?.error_for_status()?;
        // A blob that is only blocks so far is listed without content.
        Ok(listed.text().await?.matches("<Content-Length>0</Content-Length>").count())
    }

    /// Sends a request signed with the shared key. `query` is sorted by name.
    async fn request(&self, method: reqwest::Method, path: &str, query: &[(&str, &str)]) -> Result<reqwest::Response, BoxError> {
        let now = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&Zoned::now().with_time_zone(TimeZone::UTC).timestamp())?;
        let version = "2021-08-06";
        let canonical: String = query.iter().map(|(name, value)| format!("\n{name}:{value}")).collect();
        // Twelve lines of standard headers, all empty here, then the x-ms ones and the resource.
        let text = format!("{method}\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{now}\nx-ms-version:{version}\n/{ACCOUNT}{path}{canonical}");
        let mut mac = Hmac::<Sha256>::new_from_slice(&BASE64_STANDARD.decode(KEY)?)?;
        mac.update(text.as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let mut url: url::Url = format!("http://{}{path}", self.0.address()).parse()?;
        url.query_pairs_mut().extend_pairs(query);
        let request = client()?.request(method, url).header("x-ms-date", now).header("x-ms-version", version);
        Ok(request.header("authorization", format!("SharedKey {ACCOUNT}:{signature}")).header("content-length", "0").send().await?)
    }
}
