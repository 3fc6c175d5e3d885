//! Providers that misbehave: each request gets the next reply, whatever it asks for.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A provider that answers with bytes.
#[derive(Clone)]
pub struct Raw {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

/// An answer with a length.
pub fn answer(kind: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A stream of events that ends properly.
pub fn stream(body: &str) -> String {
    answer("text/event-stream", body)
}

impl Raw {
    /// Answers the n-th request with the n-th reply, all later ones with the last. After a reply that ends with a `…` the
    /// connection stays open and silent; otherwise it is closed.
    pub async fn new(replies: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let raw = Self { address: listener.local_addr().unwrap(), requests: Arc::default() };
        let (this, replies) = (raw.clone(), replies.into_iter().collect::<Vec<_>>());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(this.clone().serve(stream, replies.clone()));
            }
        });
        raw
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    async fn serve(self, mut stream: TcpStream, replies: Vec<String>) {
        let Some(request) = read(&mut stream).await else { return };
        let number = {
            let mut requests = self.requests.lock().unwrap();
            requests.push(request);
            requests.len() - 1
        };
        let reply = &replies[number.min(replies.len() - 1)];
        let (text, stays) = reply.strip_suffix('…').map_or((reply.as_str(), false), |text| (text, true));
        // The door may leave in the middle, which is what some tests are about.
        let _ = stream.write_all(text.as_bytes()).await;
        if stays {
            let _ = stream.read(&mut [0; 1]).await;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        let mut piece = [0; 4096];
        let count = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut piece)).await.ok()?.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}
