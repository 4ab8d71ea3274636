//! Uploads whose id nobody knows, because the answer to their beginning was lost: S3 and Google list them by the object's name.

use std::sync::Arc;
use std::time::Duration;

use object_store::client::{HttpClient, HttpRequest, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};

/// How long a signature counts.
const VALID: Duration = Duration::from_secs(300);

/// Lists the unfinished uploads of a bucket.
#[derive(Debug)]
pub(crate) struct LostUploads {
    signer: Arc<dyn Signer>,
    client: HttpClient,
}

impl LostUploads {
    pub(crate) fn new(signer: Arc<dyn Signer>, client: HttpClient) -> Self {
        Self { signer, client }
    }

    /// The ids of all unfinished uploads of the object at `path`.
    pub(crate) async fn of(&self, path: &Path) -> Result<Vec<String>, object_store::Error> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic { store: "uploads", source };
        let options = SignedUrlOptions::new().with_query([("uploads", ""), ("prefix", path.as_ref())]);
        let url = self.signer.signed_url_opts(Method::GET, &Path::default(), VALID, &options).await?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().map_err(|error| failed(Box::new(error)))?;
        let answer = self.client.execute(request).await.map_err(|error| failed(Box::new(error)))?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(|error| failed(Box::new(error)))?;
        if !status.is_success() {
            return Err(failed(format!("the store does not list unfinished uploads: {status}").into()));
        }
        Ok(ids(&String::from_utf8_lossy(&body), path.as_ref()))
    }
}

/// The ids in an answer's XML that belong to this key.
fn ids(answer: &str, key: &str) -> Vec<String> {
    let upload = |text: &str| (field(text, "Key")? == key).then(|| field(text, "UploadId")).flatten();
    answer.split("<Upload>").skip(1).filter_map(upload).collect()
}

fn field(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(value.to_owned(), |value, (from, to)| value.replace(from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_key_are_taken_and_no_others() {
        let answer = "<?xml version=\"1.0\"?><ListMultipartUploadsResult><Prefix>a/b</Prefix><Upload><Key>a/b</Key><UploadId>one&amp;</UploadId>\
            </Upload><Upload><Key>a/bc</Key><UploadId>other</UploadId></Upload><Upload>\n<UploadId>two</UploadId><Key>a/b</Key></Upload>\
            <Upload><Key>a/b</Key></Upload></ListMultipartUploadsResult>";
        assert_eq!(ids(answer, "a/b"), ["one&", "two"]);
        assert!(ids("no xml", "a/b").is_empty());
    }
}
