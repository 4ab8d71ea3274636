//! S3 by moto, as AWS's own Python library is tested on. It knows conditional puts and limits of parts; it does not check
//! signatures.

use std::io;

use super::program::{Program, install};
use super::{Bucket, client, fresh_name, s3_env};
use crate::background::BoxError;

/// A running moto.
#[derive(Debug)]
pub struct Moto(Program);

impl Moto {
    /// Installs it if need be, and starts it.
    pub fn start() -> io::Result<Self> {
        let folder = install("moto")?;
        Ok(Self(Program::start(&folder.join("venv/bin/moto_server"), &["-H", "127.0.0.1", "-p", "0"])?))
    }

    /// Makes a new bucket.
    pub async fn bucket(&self) -> Result<Bucket, BoxError> {
        let (name, address) = (fresh_name(), self.0.address());
        client()?.put(format!("http://{address}/{name}")).send().await?.error_for_status()?;
        Ok(Bucket { url: format!("s3://{name}"), env: s3_env(address), address, name })
    }

    /// How many uploads in parts were begun and neither completed nor aborted.
    pub async fn open_uploads(&self, bucket: &Bucket) -> Result<usize, BoxError> {
        let answer = client()?.get(format!("http://{}/{}?uploads", bucket.address, bucket.name)).send().await?.error_for_status()?;
        Ok(answer.text().await?.matches("<UploadId>").count())
    }
}
