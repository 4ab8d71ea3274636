//! A server that misbehaves on request: alone, or as a proxy before a real one.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::{Request, Response, StatusCode};

use crate::background::{self, Background, Body, BoxError};

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Action {
    /// Pass it to the server behind, and its answer back.
    Forward,
    /// Pass it on without this header.
    ForwardWithout(&'static str),
    /// Pass it on, and close the connection instead of answering: the answer is lost.
    ForwardThenHangUp,
    /// Pass it on, answer with the whole length and break off after this many bytes of the body.
    CutBody(usize),
    /// Pass it on, answer, and fall silent after this many bytes of the body.
    SilentAfter(usize),
    /// Read the body with this pause before each piece of at most 64 KiB, then pass it on.
    ReadSlowly(Duration),
    /// Answer with this status, these headers and this body.
    Answer(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// Close the connection without an answer.
    HangUp,
    /// Read the request and never answer.
    Silent,
}

/// A request as the deciding function sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The number of the request, from 0.
    pub number: usize,
    /// GET, PUT…
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A running gate; dropping it closes the port.
pub struct Gate {
    server: Background,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Gate {
    /// Stands before the server at `behind`, or alone, and treats each request as `decide` says.
    pub fn start(behind: Option<SocketAddr>, decide: impl Fn(&Seen) -> Action + Send + Sync + 'static) -> io::Result<Self> {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let state = Arc::new(State {
            behind,
            decide: Box::new(decide),
            count: AtomicUsize::new(0),
            seen: Arc::clone(&seen),
            client: reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?,
        });
        let server = Background::http(background::bind_narrow()?, move |request| Arc::clone(&state).treat(request))?;
        Ok(Self { server, seen })
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("url", &self.url()).finish_non_exhaustive()
    }
}

struct State {
    behind: Option<SocketAddr>,
    decide: Box<dyn Fn(&Seen) -> Action + Send + Sync>,
    count: AtomicUsize,
    seen: Arc<Mutex<Vec<Seen>>>,
    client: reqwest::Client,
}

impl State {
    async fn treat(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        let seen = Seen {
            number: self.count.fetch_add(1, Ordering::SeqCst),
            method: request.method().to_string(),
            target: request.uri().to_string(),
            headers: (request.headers().iter())
                .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
        match (self.decide)(&seen) {
            Action::Forward => self.forward(request, None).await,
            Action::ForwardWithout(header) => {
                let mut request = request;
                request.headers_mut().remove(header);
                self.forward(request, None).await
            }
            Action::ForwardThenHangUp => {
                let answer = self.forward(request, None).await?;
                answer.into_body().collect().await?;
                Err("the answer is lost".into())
            }
            Action::CutBody(left) => Ok(self.forward(request, None).await?.map(|body| broken(body, left, false))),
            Action::SilentAfter(left) => Ok(self.forward(request, None).await?.map(|body| broken(body, left, true))),
            Action::ReadSlowly(pause) => self.forward(request, Some(pause)).await,
            Action::Answer(status, headers, body) => {
                read(request.into_body(), None).await?;
                let mut answer = Response::builder().status(status);
                for (name, value) in headers {
                    answer = answer.header(name, value);
                }
                Ok(answer.body(full(Bytes::from_static(body.as_bytes())))?)
            }
            Action::HangUp => Err("hung up".into()),
            Action::Silent => {
                read(request.into_body(), None).await?;
                std::future::pending().await
            }
        }
    }

    async fn forward(&self, request: Request<Incoming>, pause: Option<Duration>) -> Result<Response<Body>, BoxError> {
        let behind = self.behind.ok_or("no server behind the gate")?;
        let (parts, body) = request.into_parts();
        let body = read(body, pause).await?;
        let url = format!("http://{behind}{}", parts.uri).parse()?;
        let mut onward = reqwest::Request::new(parts.method, url);
        // The Host header stays the gate's: it is part of what the client signed.
        *onward.headers_mut() = parts.headers;
        *onward.body_mut() = Some(body.into());
        let answer = self.client.execute(onward).await?;
        let mut back = Response::builder().status(answer.status());
        if let Some(headers) = back.headers_mut() {
            headers.extend(answer.headers().clone());
        }
        Ok(back.body(full(answer.bytes().await?))?)
    }
}

pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// An answer of only a status and a text.
pub(crate) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut answer = Response::new(full(text.into()));
    *answer.status_mut() = status;
    answer
}

async fn read(mut body: Incoming, pause: Option<Duration>) -> Result<Bytes, BoxError> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(mut piece) = frame?.into_data() {
            while !piece.is_empty() {
                if let Some(pause) = pause {
                    tokio::time::sleep(pause).await;
                }
                all.extend_from_slice(&piece.split_to(piece.len().min(64 * 1024)));
            }
        }
    }
    Ok(all.into())
}

/// The first `left` bytes of a body that declares its whole length; then an error, or silence.
fn broken(body: Body, left: usize, silent: bool) -> Body {
    Broken { declared: body.size_hint(), inner: body, left, silent }.boxed()
}

struct Broken {
    declared: SizeHint,
    inner: Body,
    left: usize,
    silent: bool,
}

impl hyper::body::Body for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        use std::task::Poll;
        if self.left == 0 {
            return if self.silent { Poll::Pending } else { Poll::Ready(Some(Err("cut".into()))) };
        }
        match std::pin::Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let mut piece = frame.into_data().unwrap_or_default();
                piece.truncate(self.left);
                self.left -= piece.len();
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            other => other,
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.declared
    }
}
