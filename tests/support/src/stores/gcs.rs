//! As much of Google's XML API as a client of objects needs: conditional puts, uploads in parts, ranges, paged listings.
//! See <https://cloud.google.com/storage/docs/xml-api/overview>.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;

use super::{Bucket, fresh_name};
use crate::background::{Background, Body, BoxError, Port};
use crate::gate::{full, plain};

/// Small, so that every listing of some objects has several pages.
const PAGE: usize = 5;

/// A running server with its objects in memory.
#[derive(Debug)]
pub struct Gcs {
    server: Background,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    buckets: HashMap<String, BTreeMap<String, Object>>,
    uploads: HashMap<String, BTreeMap<usize, Bytes>>,
    /// Counts versions of objects and uploads.
    next: u64,
}

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    generation: u64,
    modified: Timestamp,
}

impl Gcs {
    /// Starts it on a free port.
    pub fn start() -> io::Result<Self> {
        Self::start_on(Port::reserve()?)
    }

    /// Starts it on this port.
    pub fn start_on(port: Port) -> io::Result<Self> {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        let server = Background::http(port.listen()?, move |request| answer(Arc::clone(&shared), request))?;
        Ok(Self { server, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Makes a new bucket.
    pub fn bucket(&self) -> Bucket {
        let name = fresh_name();
        self.make_bucket(&name);
        Bucket { url: format!("gs://{name}"), env: env(self.address()), address: self.address(), name }
    }

    /// Makes a new bucket of this name.
    pub fn make_bucket(&self, name: &str) {
        lock(&self.state).buckets.insert(name.to_owned(), BTreeMap::new());
    }

    /// How many uploads in parts were begun and neither completed nor aborted, in any bucket.
    pub fn open_uploads(&self) -> usize {
        lock(&self.state).uploads.len()
    }
}

/// The variables that lead a client to a server at `address`, with credentials that need no other server.
pub fn env(address: SocketAddr) -> Vec<(String, String)> {
    let key =
        format!(r#"{{"gcs_base_url":"http://{address}","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}}"#);
    vec![("GOOGLE_SERVICE_ACCOUNT_KEY".to_owned(), key)]
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let url: url::Url = format!("http://localhost{}", parts.uri).parse()?;
    let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8()?;
    let (bucket, name) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    Ok(lock(&state).answer(&parts.method, bucket, name, &query, &parts.headers, body))
}

fn fault(status: StatusCode, code: &str) -> Response<Body> {
    plain(status, format!("<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>as a test wants it</Message></Error>"))
}

fn with_tag(mut response: Response<Body>, generation: u64) -> Response<Body> {
    if let (Ok(tag), Ok(generation)) = (format!("\"{generation}\"").parse(), generation.to_string().parse()) {
        response.headers_mut().insert("etag", tag);
        response.headers_mut().insert("x-goog-generation", generation);
    }
    response
}

impl State {
    fn answer(
        &mut self,
        method: &Method,
        bucket: &str,
        name: &str,
        query: &HashMap<String, String>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response<Body> {
        self.next += 1;
        let generation = self.next;
        let Some(objects) = self.buckets.get_mut(bucket) else { return fault(StatusCode::NOT_FOUND, "NoSuchBucket") };
        let upload = query.get("uploadId");
        match (method.as_str(), upload) {
            ("GET", None) if name.is_empty() => list(objects, query),
            ("POST", None) if query.contains_key("uploads") => {
                let id = format!("{bucket}-{name}-{generation}");
                self.uploads.insert(id.clone(), BTreeMap::new());
                let xml = format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>");
                plain(StatusCode::OK, xml)
            }
            (_, Some(id)) if !self.uploads.contains_key(id) => fault(StatusCode::NOT_FOUND, "NoSuchUpload"),
            ("PUT", Some(id)) => {
                let number = query.get("partNumber").and_then(|number| number.parse().ok()).unwrap_or(0);
                if let Some(parts) = self.uploads.get_mut(id) {
                    parts.insert(number, body);
                }
                with_tag(plain(StatusCode::OK, ""), generation)
            }
            ("DELETE", Some(id)) => {
                self.uploads.remove(id);
                plain(StatusCode::NO_CONTENT, "")
            }
            ("POST", Some(id)) => {
                let parts = self.uploads.remove(id).unwrap_or_default();
                let whole: Vec<u8> = parts.into_values().flatten().collect();
                objects.insert(name.to_owned(), Object { bytes: whole.into(), generation, modified: Timestamp::now() });
                let xml = format!("<CompleteMultipartUploadResult><ETag>\"{generation}\"</ETag></CompleteMultipartUploadResult>");
                plain(StatusCode::OK, xml)
            }
            ("PUT", None) => {
                let only_new = headers.get("x-goog-if-generation-match").is_some_and(|value| value == "0");
                if only_new && objects.contains_key(name) {
                    return fault(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
                }
                objects.insert(name.to_owned(), Object { bytes: body, generation, modified: Timestamp::now() });
                with_tag(plain(StatusCode::OK, ""), generation)
            }
            ("GET" | "HEAD", None) => match objects.get(name) {
                Some(object) => get(object, headers),
                None => fault(StatusCode::NOT_FOUND, "NoSuchKey"),
            },
            ("DELETE", None) => match objects.remove(name) {
                Some(_) => plain(StatusCode::NO_CONTENT, ""),
                None => fault(StatusCode::NOT_FOUND, "NoSuchKey"),
            },
            _ => fault(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }
}

fn list(objects: &BTreeMap<String, Object>, query: &HashMap<String, String>) -> Response<Body> {
    let prefix = query.get("prefix").map_or("", String::as_str);
    let after = query.get("continuation-token").or(query.get("start-after")).map_or("", String::as_str);
    let found: Vec<_> = objects.iter().filter(|(name, _)| name.starts_with(prefix) && name.as_str() > after).collect();
    let mut xml = String::from("<ListBucketResult>");
    for (name, object) in found.iter().take(PAGE) {
        let (modified, size, tag) = (object.modified, object.bytes.len(), object.generation);
        xml += &format!(
            "<Contents><Key>{name}</Key><LastModified>{modified}</LastModified><ETag>\"{tag}\"</ETag><Size>{size}</Size></Contents>"
        );
    }
    if let (Some((last, _)), true) = (found.get(PAGE - 1), found.len() > PAGE) {
        xml += &format!("<NextContinuationToken>{last}</NextContinuationToken>");
    }
    xml += "</ListBucketResult>";
    plain(StatusCode::OK, xml)
}

fn get(object: &Object, headers: &HeaderMap) -> Response<Body> {
    let size = object.bytes.len();
    let range = headers.get("range").and_then(|value| value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
    let (status, bytes, content_range) = match range {
        None => (StatusCode::OK, object.bytes.clone(), None),
        Some((from, to)) => {
            let from = from.parse().unwrap_or(0);
            let to = to.parse().map_or(size, |last: usize| (last + 1).min(size));
            if from >= size || from >= to {
                return fault(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange");
            }
            let declared = format!("bytes {from}-{}/{size}", to - 1);
            (StatusCode::PARTIAL_CONTENT, object.bytes.slice(from..to), Some(declared))
        }
    };
    let modified = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&object.modified).unwrap_or_default();
    // Said aloud, since the answer to a HEAD has no body to measure.
    let length = bytes.len();
    let mut response = Response::builder().status(status).header("last-modified", modified).header("content-length", length);
    if let Some(range) = content_range {
        response = response.header("content-range", range);
    }
    with_tag(response.body(full(bytes)).unwrap_or_else(|_| fault(StatusCode::INTERNAL_SERVER_ERROR, "InternalError")), object.generation)
}
