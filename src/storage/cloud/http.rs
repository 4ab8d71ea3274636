//! The HTTP side of the clouds.
//!
//! The usual limits of HTTP clients do not fit backups: a limit on a whole request kills every part on a slow line, and a
//! read limit does so too, since it runs while the request's body still goes out. Here a request lives as long as bytes move,
//! either way; it ends when none has for [`StorageOptions::stall_timeout`].

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use tokio::time::{Instant, Sleep};
use url::{Host, Url};

use super::explain::{LineFault, chain};
use super::refusal;
use crate::storage::options::StorageOptions;
use crate::storage::traffic::{Meter, PIECE_BYTES};

/// The most of an error's body that is read; real ones have a few hundred bytes.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;

/// A body goes out in pieces of this size when there is no limit: each shows that the line is alive.
const UNLIMITED_PIECE_BYTES: usize = 64 * 1024;

/// How many times longer than otherwise the answer may take once the whole body has been handed to the system: some of it still
/// waits in the system's buffers, and a large upload is put together before the answer.
const ANSWER_PATIENCE: u32 = 4;

/// How long the machine's own credential service may take: it is next door or does not exist.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// Makes the HTTP clients of one store.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    meter: Arc<Meter>,
    connect_timeout: Duration,
    stall_timeout: Duration,
    /// Whether the server has answered at all: until then a name that is not known is a mistake rather than a bad line.
    answered: Arc<AtomicBool>,
    /// With certificates that the user names.
    tls: Option<rustls::ClientConfig>,
}

impl Connector {
    pub(super) fn new(options: &StorageOptions, meter: Arc<Meter>, tls: Option<rustls::ClientConfig>) -> Self {
        Self { meter, connect_timeout: options.connect_timeout, stall_timeout: options.stall_timeout, answered: Arc::default(), tls }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let set = |key| options.get_config_value(&key);
        let is_set = |key| set(key).is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "on" | "yes" | "y"));
        // The store's own client has no such limit here: the crate sets it where it asks the machine for credentials.
        let for_metadata = set(ClientConfigKey::ConnectTimeout).is_some();
        let builder = || self.builder(for_metadata, is_set(ClientConfigKey::AllowHttp), is_set(ClientConfigKey::AllowInvalidCertificates));
        let mut proxied = builder();
        if let Some(url) = set(ClientConfigKey::ProxyUrl) {
            let proxy = reqwest::Proxy::all(url).map_err(unusable)?;
            let excludes = set(ClientConfigKey::ProxyExcludes).and_then(|list| reqwest::NoProxy::from_string(&list));
            proxied = proxied.proxy(proxy.no_proxy(excludes));
        }
        let direct = builder().no_proxy().build().map_err(unusable)?;
        let client = if for_metadata { direct.clone() } else { proxied.build().map_err(unusable)? };
        Ok(HttpClient::new(Service { client, direct, for_metadata, connector: self.clone() }))
    }
}

impl Connector {
    fn builder(&self, for_metadata: bool, allow_http: bool, any_certificate: bool) -> reqwest::ClientBuilder {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("tgvault/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(if for_metadata { METADATA_TIMEOUT } else { self.connect_timeout })
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .http1_only()
            .https_only(!allow_http)
            .tls_danger_accept_invalid_certs(any_certificate);
        let builder = match &self.tls {
            Some(tls) if !any_certificate => builder.tls_backend_preconfigured(tls.clone()),
            _ => builder,
        };
        // Notices a line that is cut while data is on it, also after all of it was handed to the system.
        #[cfg(target_os = "linux")]
        let builder = builder.tcp_user_timeout(self.stall_timeout);
        builder
    }
}

fn unusable(error: reqwest::Error) -> object_store::Error {
    object_store::Error::Generic { store: "HTTP client", source: Box::new(error) }
}

/// One connection pool.
#[derive(Debug)]
struct Service {
    client: reqwest::Client,
    /// For servers on this machine, where a proxy for the world outside has no business.
    direct: reqwest::Client,
    for_metadata: bool,
    connector: Connector,
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>;

impl HttpService for Service {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> Answer<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            match self.answer(request).await {
                Err(fault) if self.for_metadata => Err(LineFault::NoRole(fault.to_string())),
                other => other,
            }
            // The crate's own retries are off, so its kinds of errors make no difference.
            .map_err(|fault| HttpError::new(HttpErrorKind::Unknown, fault))
        })
    }
}

impl Service {
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, LineFault> {
        let meter = &self.connector.meter;
        let patience = if self.for_metadata { METADATA_TIMEOUT } else { self.connector.stall_timeout };
        meter.count_request();
        let (parts, body) = request.into_parts();
        let url: Url = parts.uri.to_string().parse().map_err(|error| LineFault::Unusable(format!("not a URL: {error}")))?;
        let is_encrypted = url.scheme() == "https";
        let client = if is_loopback(&url) { &self.direct } else { &self.client };
        let activity = Arc::new(Activity::new());
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        if body.content_length() > 0 {
            let body =
                PacedBody { inner: body, piece: Bytes::new(), pause: None, meter: Arc::clone(meter), activity: Arc::clone(&activity) };
            *request.body_mut() = Some(reqwest::Body::wrap(body));
        } else {
            // Known to be empty, so that the length is announced and not left out.
            *request.body_mut() = Some(Bytes::new().into());
        }
        let response = tokio::select! {
            response = client.execute(request) => response.map_err(|error| {
                line_fault(error, is_encrypted, self.connector.answered.load(Ordering::Relaxed))
            })?,
            () = activity.silence(patience) => return Err(LineFault::Silent(patience)),
        };
        self.connector.answered.store(true, Ordering::Relaxed);
        let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let body = MeteredBody { inner: body, waiting: None, silence: None, patience, meter: Arc::clone(meter) };
        if parts.status.is_success() {
            return Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)));
        }
        let answer = read_answer(body).await?;
        if let Some(fault) = refusal::understand(parts.status, &parts.headers, &answer, jiff::Timestamp::now()) {
            return Err(fault);
        }
        if passes(parts.status, &answer) {
            let retry_after = parts.headers.get("retry-after").and_then(|value| value.to_str().ok()).and_then(|s| s.trim().parse().ok());
            return Err(LineFault::Busy {
                status: parts.status.as_u16(),
                retry_after: retry_after.map(Duration::from_secs),
                answer: String::from_utf8_lossy(&answer).chars().filter(|c| !c.is_control()).take(300).collect(),
            });
        }
        Ok(HttpResponse::from_parts(parts, Bytes::from(answer).into()))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether the same request may succeed later. 501 says that it never will.
fn passes(status: http::StatusCode, answer: &[u8]) -> bool {
    match status.as_u16() {
        408 | 429 => true,
        501 | 505 => false,
        // S3 answers so when the body was too slow for its taste.
        400 => answer.windows(b"RequestTimeout<".len()).any(|part| part == b"RequestTimeout<"),
        other => other >= 500,
    }
}

async fn read_answer(mut body: MeteredBody) -> Result<Vec<u8>, LineFault> {
    let mut answer = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| LineFault::Line(chain(&error)))?;
        if let Ok(piece) = frame.into_data() {
            let room = ANSWER_LIMIT_BYTES - answer.len();
            answer.extend(piece.iter().take(room));
            if answer.len() == ANSWER_LIMIT_BYTES {
                break;
            }
        }
    }
    Ok(answer)
}

/// What a failed connection means; `answered` says whether the server has ever answered in this run.
fn line_fault(error: reqwest::Error, is_encrypted: bool, answered: bool) -> LineFault {
    let is_builder = error.is_builder();
    // The address is left out: it is in the error around this one where it holds no secret.
    let text = chain(&error.without_url());
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["certificate", "Certificate", "UnknownIssuer"]) {
        LineFault::Untrusted(text)
    } else if is_builder {
        LineFault::Unusable(text)
    } else if is_encrypted && says(&["InvalidContentType", "wrong version number"]) {
        LineFault::Scheme { wants: "http" }
    } else if !is_encrypted && says(&["invalid HTTP version"]) {
        LineFault::Scheme { wants: "https" }
    } else if !answered && says(&["dns error", "failed to lookup address"]) {
        LineFault::Unresolved(text)
    } else {
        LineFault::Line(text)
    }
}

/// When a byte last went out.
#[derive(Debug)]
struct Activity {
    started: Instant,
    /// Milliseconds after `started`.
    last_ms: AtomicU64,
    /// The whole body of the request is with the system.
    sent: AtomicBool,
}

impl Activity {
    fn new() -> Self {
        Self { started: Instant::now(), last_ms: AtomicU64::new(0), sent: AtomicBool::new(false) }
    }

    /// A byte moves at `when`: now, or once a limit lets it.
    fn note(&self, when: Instant) {
        let ms = when.saturating_duration_since(self.started).as_millis();
        self.last_ms.fetch_max(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Waits until nothing has moved for `patience`.
    async fn silence(&self, patience: Duration) {
        loop {
            let patience = if self.sent.load(Ordering::Relaxed) { patience * ANSWER_PATIENCE } else { patience };
            let last = self.started + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            if last + patience <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(last + patience).await;
        }
    }
}

/// The body of a request, cut into pieces that go out as the limit lets them.
struct PacedBody {
    inner: HttpRequestBody,
    /// What is left of the chunk in hand.
    piece: Bytes,
    /// Until when the next piece has to wait; the piece has been granted already.
    pause: Option<(Pin<Box<Sleep>>, usize)>,
    meter: Arc<Meter>,
    activity: Arc<Activity>,
}

impl PacedBody {
    fn hand_over(&mut self, len: usize) -> Frame<Bytes> {
        let piece = self.piece.split_to(len);
        self.activity.note(Instant::now());
        if self.is_end_stream() {
            self.activity.sent.store(true, Ordering::Relaxed);
        }
        Frame::data(piece)
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if let Some((pause, len)) = &mut this.pause {
            ready!(pause.as_mut().poll(cx));
            let len = *len;
            this.pause = None;
            return Poll::Ready(Some(Ok(this.hand_over(len))));
        }
        while this.piece.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => this.piece = frame.into_data().unwrap_or_default(),
                other => return Poll::Ready(other),
            }
        }
        let most = if this.meter.limits_uploads() { PIECE_BYTES } else { UNLIMITED_PIECE_BYTES };
        let len = this.piece.len().min(most);
        let now = Instant::now();
        match this.meter.reserve_upload(len) {
            Some(at) if at > now => {
                this.activity.note(at);
                this.pause = Some((Box::pin(tokio::time::sleep_until(at)), len));
                self.poll_frame(cx)
            }
            _ => Poll::Ready(Some(Ok(this.hand_over(len)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.inner.is_end_stream()
    }

    /// Exact, which makes it the announced length.
    fn size_hint(&self) -> SizeHint {
        let left = self.inner.size_hint().exact().unwrap_or(0) + self.piece.len() as u64;
        SizeHint::with_exact(left)
    }
}

impl fmt::Debug for PacedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PacedBody").finish_non_exhaustive()
    }
}

/// The body of a response: counted, slowed down to the limit, and given up when the server falls silent.
struct MeteredBody {
    inner: reqwest::Body,
    /// A frame that has come and may not be passed on yet.
    waiting: Option<(Pin<Box<Sleep>>, Frame<Bytes>)>,
    silence: Option<Pin<Box<Sleep>>>,
    patience: Duration,
    meter: Arc<Meter>,
}

impl Body for MeteredBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if this.waiting.is_none() {
            let frame = match Pin::new(&mut this.inner).poll_frame(cx) {
                Poll::Pending => {
                    let patience = this.patience;
                    let silence = this.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
                    ready!(silence.as_mut().poll(cx));
                    return Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Unknown, LineFault::Silent(patience)))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Unknown, line_fault(error, true, true)))));
                }
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            this.silence = None;
            let len = frame.data_ref().map_or(0, Bytes::len);
            match this.meter.reserve_download(len) {
                Some(at) if at > Instant::now() => this.waiting = Some((Box::pin(tokio::time::sleep_until(at)), frame)),
                _ => return Poll::Ready(Some(Ok(frame))),
            }
        }
        if let Some((pause, _)) = &mut this.waiting {
            ready!(pause.as_mut().poll(cx));
        }
        Poll::Ready(this.waiting.take().map(|(_, frame)| Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let waiting = self.waiting.as_ref().and_then(|(_, frame)| frame.data_ref()).map_or(0, Bytes::len) as u64;
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + waiting);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + waiting);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next_len(body: &mut PacedBody) -> Option<usize> {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        Some(frame.unwrap().into_data().unwrap().len())
    }

    fn paced(bytes: usize, limit: Option<u64>) -> PacedBody {
        let options = StorageOptions { limit_upload_bytes_per_s: limit, ..StorageOptions::default() };
        PacedBody {
            inner: Bytes::from(vec![0; bytes]).into(),
            piece: Bytes::new(),
            pause: None,
            meter: Arc::new(Meter::new(&options)),
            activity: Arc::new(Activity::new()),
        }
    }

    /// The clock stands still but for what the body waits, so the bytes of each second are exact.
    #[tokio::test(start_paused = true)]
    async fn a_limited_body_flows_evenly() {
        let (size, limit) = (8 * 1024 * 1024, 100_000);
        let mut body = paced(size, Some(limit));
        let started = Instant::now();
        let mut sent = 0;
        while let Some(len) = next_len(&mut body).await {
            let allowed = started.elapsed().as_secs_f64() * limit as f64 + 0.1 * limit as f64;
            assert!((sent as f64) <= allowed + 1.0, "{sent} bytes when {allowed} are allowed");
            assert!(len <= PIECE_BYTES);
            sent += len;
            let left = body.size_hint().exact().unwrap();
            assert_eq!(left, (size - sent) as u64, "the announced length is exact at every moment");
        }
        assert_eq!(sent, size);
        assert!(body.is_end_stream());
    }

    /// Waiting for the limit is not silence; waiting for the line is.
    #[tokio::test(start_paused = true)]
    async fn silence_is_told_from_slowness() {
        let patience = Duration::from_secs(10);
        let mut body = paced(3 * PIECE_BYTES, Some(100));
        let activity = Arc::clone(&body.activity);
        let all = async { while next_len(&mut body).await.is_some() {} };
        tokio::select! {
            biased;
            () = activity.silence(patience) => panic!("waiting for our own limit was taken for silence"),
            () = all => {}
        }

        let stuck = paced(3 * PIECE_BYTES, None);
        let started = Instant::now();
        stuck.activity.silence(patience).await;
        assert_eq!(started.elapsed(), patience);
    }

    #[test]
    fn what_passes_and_what_does_not() {
        let status = |code| http::StatusCode::from_u16(code).unwrap();
        for code in [408, 429, 500, 502, 503, 504] {
            assert!(passes(status(code), b""), "{code}");
        }
        for code in [400, 401, 403, 404, 409, 412, 416, 501] {
            assert!(!passes(status(code), b"<Code>AccessDenied</Code>"), "{code}");
        }
        assert!(passes(status(400), b"<Error><Code>RequestTimeout</Code></Error>"));
    }
}
