//! HTTP on loopback: requests in, pages out. It reads only, answers nobody but its user's browser, and ends when nobody looks any more.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    LOCATION, RANGE, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::access::{Access, Refusal};
use super::media::{Wanted, shown_type, wanted};
use super::pages::{self, SharedShelf, Shelf};
use super::routes::{Route, route};
use crate::model::causes::with_causes;
use crate::model::entry::EntryPath;
use crate::operations::OperationError;
use crate::operations::browse::Browser;
use crate::operations::stop::Stop;

/// What pages may do: show what comes from here, and run no script but ours.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; media-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// How long a client may take to send the head of a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pieces of a file that wait for a slow browser.
const PIECES_WAITING: usize = 4;

type Body = BoxBody<Bytes, std::io::Error>;

/// A server that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    access: Arc<Access>,
}

/// Why the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was stopped.
    Stopped,
    /// Nobody asked for anything in a long time.
    Idle,
}

impl Server {
    /// Listens at a port of loopback; 0 for any that is free.
    ///
    /// # Errors
    /// When the port is taken, or the system gives no randomness.
    pub async fn listen(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let access = Access::new(listener.local_addr()?.port()).map_err(std::io::Error::other)?;
        Ok(Self { listener, access: Arc::new(access) })
    }

    /// The address to open in a browser, good for one time.
    pub fn address(&self) -> String {
        self.access.address()
    }

    /// Answers until `stop`, or until nobody asked for anything in `idle`.
    ///
    /// # Errors
    /// When connections cannot be accepted.
    pub async fn serve(self, browser: Browser, zone: TimeZone, idle: Duration, stop: Stop) -> std::io::Result<Ended> {
        let shelf: SharedShelf = Arc::new(Shelf { browser, zone, stop: stop.clone() });
        let asked = Arc::new(Notify::new());
        let mut until = Instant::now() + idle;
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (stream, _) = accepted?;
                    let (access, shelf, asked) = (self.access.clone(), shelf.clone(), asked.clone());
                    let service = service_fn(move |request| {
                        let (access, shelf, asked) = (access.clone(), shelf.clone(), asked.clone());
                        async move {
                            asked.notify_one();
                            Ok::<_, Infallible>(guarded(answer(&access, &shelf, request).await))
                        }
                    });
                    let connection = http1::Builder::new()
                        .timer(hyper_util::rt::TokioTimer::new())
                        .header_read_timeout(PATIENCE)
                        .serve_connection(TokioIo::new(stream), service);
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a browser's connection ended");
                        }
                    });
                }
                () = asked.notified() => until = Instant::now() + idle,
                _ = tick.tick() => {
                    if stop.is_wanted() {
                        return Ok(Ended::Stopped);
                    }
                    if Instant::now() >= until {
                        return Ok(Ended::Idle);
                    }
                }
            }
        }
    }
}

/// What every answer says to the browser: keep nothing, guess nothing, tell nobody.
fn guarded(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    response
}

async fn answer(access: &Access, shelf: &SharedShelf, request: Request<Incoming>) -> Response<Body> {
    let (headers, uri) = (request.headers(), request.uri());
    if let Err(refusal) = access.check_origin(headers) {
        return refused(refusal);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = said(StatusCode::METHOD_NOT_ALLOWED, "Not allowed", "This page is for reading only.");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    if let Some(cookie) = access.open(uri.path()) {
        let mut response = Response::new(full(Vec::new()));
        *response.status_mut() = StatusCode::SEE_OTHER;
        let to = format!("{}lists/chats.html", access.folder());
        for (name, value) in [(LOCATION, to), (SET_COOKIE, cookie)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        return response;
    }
    let path = match access.inside(uri.path(), headers) {
        Ok(path) => path,
        Err(refusal) => return refused(refusal),
    };
    let is_head = request.method() == Method::HEAD;
    let mut response = match route(path, uri.query()) {
        Route::Asset(name) => {
            let kind = if name.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
            typed(StatusCode::OK, kind, pages::asset(name))
        }
        Route::Chats => page(shelf, |shelf| pages::chats(&shelf.browser, &shelf.zone).map(Some)).await,
        Route::Chat(peer, at) => page(shelf, move |shelf| pages::chat(&shelf.browser, peer, at, &shelf.zone)).await,
        Route::Search(words) => page(shelf, move |shelf| pages::search(&shelf.browser, &words, &shelf.zone, &shelf.stop).map(Some)).await,
        Route::File(path) => file(shelf, path, headers, is_head),
        Route::Unknown => missing(),
    };
    if is_head {
        *response.body_mut() = full(Vec::new());
    }
    response
}

fn refused(refusal: Refusal) -> Response<Body> {
    match refusal {
        Refusal::Host => said(StatusCode::MISDIRECTED_REQUEST, "Refused", "This address is not the one that tgvault printed."),
        Refusal::CrossSite => said(StatusCode::FORBIDDEN, "Refused", "Another site asked for this page."),
        Refusal::Stranger => said(
            StatusCode::FORBIDDEN,
            "Locked",
            "Open the address that tgvault printed; it works once. To get a new one, run tgvault browse again.",
        ),
    }
}

fn missing() -> Response<Body> {
    said(StatusCode::NOT_FOUND, "Not found", "This snapshot has nothing here.")
}

/// Makes a page on a thread that may block.
async fn page<F>(shelf: &SharedShelf, make: F) -> Response<Body>
where
    F: FnOnce(&Shelf) -> Result<Option<String>, OperationError> + Send + 'static,
{
    let shelf = shelf.clone();
    match tokio::task::spawn_blocking(move || make(&shelf)).await {
        Ok(Ok(Some(html))) => typed(StatusCode::OK, "text/html; charset=utf-8", html.into_bytes()),
        Ok(Ok(None)) => missing(),
        Ok(Err(error)) => said(StatusCode::BAD_GATEWAY, "Cannot read the vault", &with_causes(&error)),
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, "Cannot show this page", &error.to_string()),
    }
}

/// A stored file, or the part of it that is asked for.
fn file(shelf: &SharedShelf, path: EntryPath, headers: &HeaderMap, is_head: bool) -> Response<Body> {
    let Some(length) = shelf.browser.file_length(&path) else { return missing() };
    let wanted = wanted(headers.get(RANGE), length);
    let (from, to) = match wanted {
        Wanted::Whole => (0, length),
        Wanted::Part(from, to) => (from, to),
        Wanted::Nothing => {
            let mut response = said(StatusCode::RANGE_NOT_SATISFIABLE, "Not satisfiable", "The file is shorter.");
            insert(response.headers_mut(), CONTENT_RANGE, &format!("bytes */{length}"));
            return response;
        }
    };
    let shown = shown_type(path.file_name());
    let body = if is_head { full(Vec::new()) } else { streamed(shelf.clone(), path, from, to) };
    let mut response = Response::new(body);
    if let Wanted::Part(..) = wanted {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        insert(response.headers_mut(), CONTENT_RANGE, &format!("bytes {from}-{}/{length}", to.saturating_sub(1)));
    }
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(shown.unwrap_or("application/octet-stream")));
    insert(headers, CONTENT_LENGTH, &(to - from).to_string());
    if shown.is_none() {
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    response
}

/// Bytes of a file as they are decrypted. Where the browser takes no more, nothing more is read; where something is wrong with them, the
/// connection breaks, so that the browser knows.
fn streamed(shelf: SharedShelf, path: EntryPath, from: u64, to: u64) -> Body {
    let (pieces, wanted) = mpsc::channel::<Result<Bytes, std::io::Error>>(PIECES_WAITING);
    tokio::task::spawn_blocking(move || {
        let mut hand_over = |piece: &[u8]| {
            pieces.blocking_send(Ok(Bytes::copy_from_slice(piece))).map_err(|_| std::io::Error::from(std::io::ErrorKind::BrokenPipe))
        };
        match shelf.browser.read(&path, from, to, &mut hand_over) {
            Ok(()) | Err(OperationError::Output(_)) => {}
            Err(error) => {
                tracing::warn!(%path, error = %with_causes(&error), "a file cannot be shown");
                // Nobody may listen any more.
                let _ = pieces.blocking_send(Err(std::io::Error::other(with_causes(&error))));
            }
        }
    });
    let frames = futures::stream::unfold(wanted, |mut wanted| async move { Some((wanted.recv().await?, wanted)) });
    BodyExt::boxed(StreamBody::new(frames.map(|piece| piece.map(Frame::data))))
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).map_err(|never| match never {}).boxed()
}

fn typed(status: StatusCode, kind: &'static str, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn said(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    typed(status, "text/html; charset=utf-8", pages::plain(title, text).into_bytes())
}

fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
