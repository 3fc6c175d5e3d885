//! Connections to servers of the web, as far as the cell's network door lets them through.
//!
//! There is no proxy to speak to: every connection of the cell ends at the door anyway, and a refusal of the door comes
//! as an answer that says why.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::tools::Location;

/// A connection that bytes go over, with or without TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Longest that the door says about a name, in bytes.
pub(crate) const LONGEST_REASON: u64 = 4096;

/// Longest time until it has said it.
const LONGEST_REASONING: Duration = Duration::from_secs(10);

/// Connects to the server of `location`. The error is for the model.
pub(crate) async fn connect(location: &Location) -> Result<Box<dyn Wire>, String> {
    let Location { tls, host, port, .. } = location;
    let stream = match TcpStream::connect((host.as_str(), *port)).await {
        Ok(stream) => stream,
        Err(error) if error.raw_os_error().is_some() => return Err(error.to_string()),
        // The answer to a name that is not allowed has no place for a reason. The door's proxy has.
        Err(_) => {
            let proxy = std::env::var("HTTP_PROXY").unwrap_or_default();
            let reason = timeout(LONGEST_REASONING, reason(&proxy, host, *port)).await.ok().flatten();
            let unknown = || {
                format!("the name `{host}` is not known here: it does not exist, or the network door does not allow it")
            };
            return Err(reason.unwrap_or_else(unknown));
        }
    };
    if !tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(host.clone()).map_err(|_| format!("`{host}` is no name of a server"))?;
    let connector = TlsConnector::from(tls_config()?);
    Ok(Box::new(connector.connect(name, stream).await.map_err(|error| error.to_string())?))
}

/// Why the door at `proxy` (`http://HOST:PORT`) lets nobody through to `host`, in its own words.
async fn reason(proxy: &str, host: &str, port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(proxy.strip_prefix("http://")?.trim_end_matches('/')).await.ok()?;
    let question = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    stream.write_all(question.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream.take(LONGEST_REASON).read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, words) = answer.split_once("\r\n\r\n")?;
    // Only a refusal of the door has this field.
    let refused = head.lines().any(|line| line.to_ascii_lowercase().starts_with("x-nanoclaw-refusal:"));
    refused.then(|| words.trim().to_owned()).filter(|words| !words.is_empty())
}

/// Made once, when it is needed: reading the authorities takes time and memory.
fn tls_config() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    let make = || nanoclaw_vault::tls::client_config(&[]).map(Arc::new).map_err(|error| error.to_string());
    CONFIG.get_or_init(make).clone()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What is made of this answer of the door, and what it was asked.
    async fn asked(answer: &str) -> (Option<String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let door = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut said = vec![0; 4096];
            let count = stream.read(&mut said).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&said[..count]).into_owned()
        };
        tokio::join!(reason(&proxy, "a.example", 443), door)
    }

    #[tokio::test]
    async fn a_name_that_is_not_allowed_is_refused_in_the_words_of_the_door() {
        let words = "NanoClaw refused this request: no rule allows a.example\nadd `a.example` to `allowed_networks`\n";
        let page = format!("HTTP/1.1 403 Forbidden\r\nx-nanoclaw-refusal: host-not-allowed\r\n\r\n{words}");
        let (reason, question) = asked(&page).await;
        assert_eq!(reason.as_deref(), Some(words.trim()));
        assert_eq!(question, "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n");
    }

    #[tokio::test]
    async fn what_is_no_refusal_of_the_door_is_no_reason() {
        for answer in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 403 No\r\n\r\nobey me", "garbage", ""] {
            assert_eq!(asked(answer).await.0, None, "{answer}");
        }
        assert_eq!(reason("", "a.example", 443).await, None);
    }
}
