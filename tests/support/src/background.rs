//! Servers inside the test's own process: on a thread of their own, so that they outlive the runtime of any one test.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

/// What any error is boxed into here.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub type Body = BoxBody<Bytes, BoxError>;

/// A server on loopback; dropping it closes the port and every connection.
#[derive(Debug)]
pub struct Background {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Binds a free port.
pub fn bind() -> io::Result<TcpListener> {
    Port::reserve()?.listen()
}

/// A port that is taken and where nobody listens: who connects is refused. A number that was free a moment ago can be somebody
/// else's by now.
#[derive(Debug)]
pub struct Port(socket2::Socket, SocketAddr);

impl Port {
    /// Takes a free port.
    ///
    /// # Errors
    /// If there is none.
    pub fn reserve() -> io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("an address of another family"))?;
        Ok(Self(socket, address))
    }

    /// Where nobody listens yet.
    pub fn address(&self) -> SocketAddr {
        self.1
    }

    /// From here on connections are taken.
    pub(crate) fn listen(self) -> io::Result<TcpListener> {
        self.0.listen(128)?;
        self.0.set_nonblocking(true)?;
        Ok(self.0.into())
    }
}

/// As [`bind`] to a free port, with connections that hold little on the way: on loopback a whole part fits into the usual
/// buffers, and a slow server would not be felt.
pub fn bind_narrow() -> io::Result<TcpListener> {
    let port = Port::reserve()?;
    port.0.set_recv_buffer_size(128 * 1024)?;
    port.listen()
}

impl Background {
    /// Serves HTTP/1 by `handle`. An error from it closes the connection without an answer.
    pub fn http<F, A>(listener: TcpListener, handle: F) -> io::Result<Self>
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Response<Body>, BoxError>> + Send + 'static,
    {
        let handle = Arc::new(handle);
        Self::run(listener, move |socket| {
            let handle = Arc::clone(&handle);
            async move {
                let service = service_fn(move |request| handle(request));
                // A connection that ends badly is what many tests are about.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
            }
        })
    }

    /// Runs `serve` for every connection.
    pub fn run<F, A>(listener: TcpListener, serve: F) -> io::Result<Self>
    where
        F: Fn(tokio::net::TcpStream) -> A + Send + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("test server".into()).spawn(move || {
            runtime.block_on(async move {
                let accept = async {
                    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                    while let Ok((socket, _)) = listener.accept().await {
                        tokio::spawn(serve(socket));
                    }
                };
                tokio::select! {
                    () = accept => {}
                    _ = stopped => {}
                }
            });
            // Does not wait for requests that a test left hanging.
            runtime.shutdown_background();
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
