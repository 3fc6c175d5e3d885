//! Servers of the made-up Internet. Each remembers every byte that reached it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a server does with a connection.
#[derive(Clone, Copy)]
pub enum Script {
    /// Sends everything back.
    Echo,
    /// Answers each request head with these bytes.
    Reply(&'static str),
    /// As `Reply`, and closes then.
    ReplyOnce(&'static str),
    /// Speaks first, then sends everything back.
    Greet(&'static str),
    /// Says this much after the client has ended.
    AfterEnd(&'static str),
    /// Resets after the first bytes.
    Reset,
}

pub struct Origin {
    pub address: SocketAddr,
    connections: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A server with a body of two bytes.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl Origin {
    pub async fn new(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let index = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(Vec::new());
                    seen.len() - 1
                };
                tokio::spawn(serve(stream, script, Arc::clone(&seen), index));
            }
        });
        Self { address, connections }
    }

    /// What each connection has sent so far.
    pub fn seen(&self) -> Vec<String> {
        self.connections.lock().unwrap().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }
}

async fn serve(mut stream: TcpStream, script: Script, seen: Arc<Mutex<Vec<Vec<u8>>>>, index: usize) {
    if let Script::Greet(greeting) = script {
        stream.write_all(greeting.as_bytes()).await.unwrap();
    }
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        let new_heads = {
            let mut seen = seen.lock().unwrap();
            let before = seen[index].len().saturating_sub(3);
            seen[index].extend_from_slice(&buffer[..count]);
            seen[index][before..].windows(4).filter(|window| *window == b"\r\n\r\n").count()
        };
        match script {
            Script::AfterEnd(text) if count == 0 => stream.write_all(text.as_bytes()).await.unwrap(),
            Script::Echo | Script::Greet(_) => {
                if stream.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
            Script::Reply(text) | Script::ReplyOnce(text) => {
                for _ in 0..new_heads {
                    let _ = stream.write_all(text.as_bytes()).await;
                }
                if new_heads > 0 && matches!(script, Script::ReplyOnce(_)) {
                    return;
                }
            }
            Script::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Script::AfterEnd(_) => {}
        }
        if count == 0 {
            return;
        }
    }
}
