//! S3 by s3s-fs, in process: it checks signatures and check sums. It has no limit on the size of parts, and of several
//! writers of one name under `If-None-Match` more than one may win.

use std::io;
use std::net::SocketAddr;

use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;

use super::{ACCESS_KEY, Bucket, SECRET_KEY, fresh_name, s3_env};
use crate::background::{self, Background, BoxError};

/// A running s3s-fs over a temporary folder.
#[derive(Debug)]
pub struct S3s {
    server: Background,
    folder: TempDir,
}

impl S3s {
    /// Starts it.
    pub fn start() -> Result<Self, BoxError> {
        let folder = tempfile::tempdir()?;
        let files = s3s_fs::FileSystem::new(folder.path()).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let server = Background::run(background::bind()?, move |socket| {
            let service = service.clone();
            async move {
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
            }
        })?;
        Ok(Self { server, folder })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Makes a new bucket.
    pub fn bucket(&self) -> io::Result<Bucket> {
        let (name, address) = (fresh_name(), self.address());
        std::fs::create_dir(self.folder.path().join(&name))?;
        Ok(Bucket { url: format!("s3://{name}"), env: s3_env(address), address, name })
    }

    /// How many files of unfinished uploads lie about, of any bucket.
    pub fn open_uploads(&self) -> io::Result<usize> {
        let names = std::fs::read_dir(self.folder.path())?.map(|entry| Ok(entry?.file_name()));
        let names = names.collect::<io::Result<Vec<_>>>()?;
        Ok(names.iter().filter(|name| name.to_string_lossy().starts_with(".upload")).count())
    }
}
