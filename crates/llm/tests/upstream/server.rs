//! A provider that does what it is told, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{NamedGroup, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What it does with a request.
#[derive(Clone)]
pub enum Reply {
    /// Says this, and waits for the next request on the same connection.
    Say(String),
    /// Says this and closes the connection.
    Close(String),
    /// Says the first, then the second over and over, with pauses, until the client leaves.
    Repeat(String, Vec<u8>, Duration),
}

/// A whole answer.
pub fn answer(status: u16, headers: &str, body: &str) -> Reply {
    Reply::Say(format!("HTTP/1.1 {status} Whatever\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
}

/// A good answer.
pub fn good() -> Reply {
    answer(200, "content-type: application/json\r\n", "{}")
}

#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    groups: Arc<Mutex<Vec<NamedGroup>>>,
}

impl Server {
    /// Answers the n-th request with the n-th reply, and all later ones with the last.
    pub async fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::start(replies, None).await
    }

    /// With TLS.
    pub async fn tls(config: ServerConfig) -> Self {
        Self::start([good()], Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start(replies: impl IntoIterator<Item = Reply>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            accepted: Arc::default(),
            requests: Arc::default(),
            groups: Arc::default(),
        };
        let (this, replies) = (server.clone(), Arc::new(replies.into_iter().collect::<Vec<_>>()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                this.accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(this.clone().connection(stream, Arc::clone(&replies), tls.clone()));
            }
        });
        server
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Requests so far, heads and bodies.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// How the keys of TLS connections were exchanged.
    pub fn groups(&self) -> Vec<NamedGroup> {
        self.groups.lock().unwrap().clone()
    }

    async fn connection(self, stream: TcpStream, replies: Arc<Vec<Reply>>, tls: Option<TlsAcceptor>) {
        match tls {
            None => self.serve(stream, &replies).await,
            Some(tls) => {
                // A client that does not believe the server leaves here.
                let Ok(stream) = tls.accept(stream).await else { return };
                let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap().name();
                self.groups.lock().unwrap().push(group);
                self.serve(stream, &replies).await;
            }
        }
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, replies: &[Reply]) {
        let mut buffer = Vec::new();
        while let Some(request) = read_request(&mut stream, &mut buffer).await {
            let number = {
                let mut requests = self.requests.lock().unwrap();
                requests.push(request);
                requests.len() - 1
            };
            match &replies[number.min(replies.len() - 1)] {
                Reply::Say(text) => {
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
                Reply::Close(text) => {
                    let _ = stream.write_all(text.as_bytes()).await;
                    return;
                }
                Reply::Repeat(first, piece, pause) => {
                    let _ = stream.write_all(first.as_bytes()).await;
                    while stream.write_all(piece).await.is_ok() {
                        tokio::time::sleep(*pause).await;
                    }
                    return;
                }
            }
        }
    }
}

/// The next request; `None` when the client has left.
async fn read_request(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        let text = String::from_utf8_lossy(buffer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                let end = head.len() + 4 + length;
                buffer.drain(..end);
                return Some(text[..end].to_owned());
            }
        }
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap_or(0);
        if count == 0 {
            return None;
        }
        buffer.extend_from_slice(&piece[..count]);
    }
}
