//! Proxies on loopback that count what goes through them: SOCKS5, HTTP CONNECT, and MTProxy.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use grammers_crypto::ObfuscatedCipher;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// What a proxy speaks, and whom it serves.
#[derive(Clone, Debug)]
pub enum Kind {
    /// SOCKS5, with a user name and a password or for everybody.
    Socks5(Option<(String, String)>),
    /// HTTP, likewise.
    Http(Option<(String, String)>),
    /// MTProxy: its secret, and where the data centres are.
    MtProxy([u8; 16], BTreeMap<i32, SocketAddr>),
}

/// A proxy; it ends when it is dropped, and its connections with it.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

struct Shared {
    kind: Kind,
    /// Refuses whoever comes, in the words of its protocol.
    refuses: bool,
    accepted: AtomicUsize,
    /// Connections carried, by where they went.
    carried: Mutex<BTreeMap<SocketAddr, usize>>,
    /// Connections that asked for padded packets.
    padded: AtomicUsize,
}

impl Proxy {
    /// Starts one; `refuses` makes it carry nothing.
    ///
    /// # Errors
    /// When no port is free or threads cannot be started.
    pub fn start(kind: Kind, refuses: bool) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { kind, refuses, accepted: AtomicUsize::new(0), carried: Mutex::default(), padded: AtomicUsize::new(0) });
        let serving = Arc::clone(&shared);
        runtime.spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                serving.accepted.fetch_add(1, Ordering::SeqCst);
                let serving = Arc::clone(&serving);
                // A client that goes away is no fault of the proxy.
                tokio::spawn(async move { drop(serving.serve(stream).await) });
            }
        });
        Ok(Self { address, shared, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that came.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Connections carried, by where they went.
    pub fn carried(&self) -> BTreeMap<SocketAddr, usize> {
        self.shared.carried.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections whose packets were padded.
    pub fn padded(&self) -> usize {
        self.shared.padded.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn broken() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        match &self.kind {
            Kind::Socks5(login) => self.socks5(&mut client, login.as_ref()).await,
            Kind::Http(login) => self.http(&mut client, login.as_ref()).await,
            Kind::MtProxy(secret, centres) => self.mtproxy(client, secret, centres).await,
        }
    }

    async fn reach(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        *self.carried.lock().unwrap_or_else(PoisonError::into_inner).entry(address).or_default() += 1;
        Ok(stream)
    }

    async fn socks5(&self, client: &mut TcpStream, login: Option<&(String, String)>) -> io::Result<()> {
        let methods = match [client.read_u8().await?, client.read_u8().await?] {
            [5, count] => bytes(client, count).await?,
            _ => return Err(broken()),
        };
        let wanted = if login.is_some() { 2 } else { 0 };
        if !methods.contains(&wanted) {
            return client.write_all(&[5, 0xff]).await;
        }
        client.write_all(&[5, wanted]).await?;
        if let Some((user, password)) = login {
            client.read_u8().await?;
            let length = client.read_u8().await?;
            let name = bytes(client, length).await?;
            let length = client.read_u8().await?;
            let word = bytes(client, length).await?;
            let good = name == user.as_bytes() && word == password.as_bytes();
            client.write_all(&[1, u8::from(!good)]).await?;
            if !good {
                return Ok(());
            }
        }
        let request = bytes(client, 4).await?;
        // Version, CONNECT, reserved, an address of four bytes: a name would mean that somebody had to look it up.
        if request != [5, 1, 0, 1] {
            return client.write_all(&[5, 8, 0, 1, 0, 0, 0, 0, 0, 0]).await;
        }
        let address: [u8; 4] = bytes(client, 4).await?.try_into().map_err(|_| broken())?;
        let address = SocketAddr::from((address, client.read_u16().await?));
        let code = if self.refuses { 2 } else { 0 };
        let upstream = if self.refuses { None } else { self.reach(address).await.ok() };
        let code = if upstream.is_none() && code == 0 { 5 } else { code };
        client.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        if let Some(mut upstream) = upstream {
            copy_bidirectional(client, &mut upstream).await?;
        }
        Ok(())
    }

    async fn http(&self, client: &mut TcpStream, login: Option<&(String, String)>) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await?);
        }
        let head = String::from_utf8(head).map_err(|_| broken())?;
        let mut words = head.split(' ');
        let target = if words.next() == Some("CONNECT") { words.next().and_then(|word| word.parse().ok()) } else { None };
        let Some(target) = target else { return client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await };
        let known = login.is_none_or(|(user, password)| {
            head.contains(&format!("Proxy-Authorization: Basic {}\r\n", BASE64.encode(format!("{user}:{password}"))))
        });
        if !known {
            return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n").await;
        }
        if self.refuses {
            return client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
        }
        match self.reach(target).await {
            Ok(mut upstream) => {
                client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
                copy_bidirectional(client, &mut upstream).await?;
                Ok(())
            }
            Err(_) => client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await,
        }
    }

    async fn mtproxy(&self, mut client: TcpStream, secret: &[u8; 16], centres: &BTreeMap<i32, SocketAddr>) -> io::Result<()> {
        let mut start = [0; 64];
        client.read_exact(&mut start).await?;
        let turned: Vec<u8> = start.iter().rev().copied().collect();
        let (mut from_client, mut to_client) = (keyed(&start, secret), keyed(&turned, secret));
        let mut clear = start;
        from_client.encrypt(&mut clear);
        let dc = i32::from(i16::from_le_bytes([clear[60], clear[61]]));
        let known = clear[56..60] == [0xdd; 4] || clear[56..60] == [0xee; 4];
        // Whoever does not know the secret gets nothing, not even a word.
        let Some(address) = centres.get(&dc).filter(|_| known && !self.refuses) else { return Ok(()) };
        self.padded.fetch_add(usize::from(clear[56] == 0xdd), Ordering::SeqCst);
        let mut upstream = self.reach(*address).await?;
        // The server takes the same packets under keys without a secret.
        let mut begin: [u8; 64] = std::array::from_fn(|i| (i as u8).wrapping_mul(3) | 1);
        begin[56..60].copy_from_slice(&clear[56..60]);
        let mut server = ObfuscatedCipher::new(&begin);
        let mut sealed = begin;
        server.encrypt(&mut sealed);
        begin[56..].copy_from_slice(&sealed[56..]);
        upstream.write_all(&begin).await?;
        let (mut up, mut down) = ([0; 16 << 10], [0; 16 << 10]);
        loop {
            tokio::select! {
                read = client.read(&mut up) => {
                    let Some(got) = up.get_mut(..read?).filter(|got| !got.is_empty()) else { return Ok(()) };
                    from_client.encrypt(got);
                    server.encrypt(got);
                    upstream.write_all(got).await?;
                }
                read = upstream.read(&mut down) => {
                    let Some(got) = down.get_mut(..read?).filter(|got| !got.is_empty()) else { return Ok(()) };
                    server.decrypt(got);
                    to_client.encrypt(got);
                    client.write_all(got).await?;
                }
            }
        }
    }
}

/// The cipher whose key is what stands at 8, hashed with the secret.
fn keyed(start: &[u8], secret: &[u8; 16]) -> ObfuscatedCipher {
    let mut bytes = [0; 64];
    bytes[8..40].copy_from_slice(&Sha256::digest([&start[8..40], secret].concat()));
    bytes[40..56].copy_from_slice(&start[40..56]);
    ObfuscatedCipher::new(&bytes)
}

async fn bytes(stream: &mut TcpStream, count: u8) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count.into()];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
