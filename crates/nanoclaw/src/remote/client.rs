//! Requests to the API: one connection each, HTTP/1.1.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, LINK};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use nanoclaw_identity::ca::ClientConfig;
use nanoclaw_vault::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::error::RemoteError;
use super::stream::Stream;

/// How long a connection may take to come about.
const LONGEST_CONNECT: Duration = Duration::from_secs(15);
/// How long an answer may take to begin.
const LONGEST_ANSWER: Duration = Duration::from_secs(120);
/// Longest answer in bytes.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// Longest part of a path that names something, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// A server of the API by its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: u16,
}

impl Server {
    /// Reads `https://HOST[:PORT]`.
    pub fn parse(url: &str) -> Result<Self, RemoteError> {
        let wrong = || RemoteError::NotAServer(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
        let plain = uri.scheme_str() == Some("https") && matches!(uri.path(), "" | "/") && uri.query().is_none();
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => 443,
            rest => rest.and_then(|rest| rest.strip_prefix(':')?.parse().ok()).ok_or_else(wrong)?,
        };
        if !plain || port == 0 || authority.host().is_empty() {
            return Err(wrong());
        }
        Ok(Self { host: authority.host().to_owned(), port })
    }

    /// Its name, as a certificate has it.
    fn name(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "https://{}:{}", self.host, self.port)
    }
}

enum Way {
    Unix(PathBuf),
    Tls(Server, Arc<ClientConfig>),
}

/// Asks the API of one control plane.
pub struct Client {
    runtime: Runtime,
    way: Way,
    bearer: Option<Secret>,
}

/// An answer that is a text, and where the next page is.
pub struct Page {
    pub text: String,
    pub next: Option<String>,
}

impl Client {
    /// Of a fleet on this machine, by its state directory.
    ///
    /// # Errors
    /// This process can have no runtime.
    pub fn local(state: &Path) -> Result<Self, RemoteError> {
        Ok(Self { runtime: runtime()?, way: Way::Unix(state.to_owned()), bearer: None })
    }

    /// Of a server somewhere else.
    ///
    /// # Errors
    /// This process can have no runtime.
    pub fn tls(server: Server, config: ClientConfig, bearer: Option<Secret>) -> Result<Self, RemoteError> {
        Ok(Self { runtime: runtime()?, way: Way::Tls(server, Arc::new(config)), bearer })
    }

    /// How it is called in messages.
    pub fn title(&self) -> String {
        match &self.way {
            Way::Unix(state) => state.display().to_string(),
            Way::Tls(server, _) => server.to_string(),
        }
    }

    /// What is at `path`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RemoteError> {
        self.read(&self.runtime.block_on(self.whole(Method::GET, path, None))?.text)
    }

    /// The text at `path`.
    pub fn text(&self, path: &str) -> Result<Page, RemoteError> {
        self.runtime.block_on(self.whole(Method::GET, path, None))
    }

    /// Sends `body` to `path`.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, RemoteError> {
        let body = serde_json::to_vec(body).map_err(std::io::Error::from)?;
        self.read(&self.runtime.block_on(self.whole(Method::POST, path, Some(body)))?.text)
    }

    /// Has something done that needs no more words.
    pub fn order(&self, path: &str) -> Result<Page, RemoteError> {
        self.runtime.block_on(self.whole(Method::POST, path, None))
    }

    /// Takes something away.
    pub fn delete(&self, path: &str) -> Result<(), RemoteError> {
        self.runtime.block_on(self.whole(Method::DELETE, path, None)).map(drop)
    }

    /// Does asynchronous work with this client.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Events that come of a request. Dropped, the connection is closed.
    pub async fn stream(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Stream, RemoteError> {
        let answer = self.send(method, path, body).await?;
        if answer.status().is_success() {
            return Ok(Stream::of(answer.into_body(), self.title()));
        }
        let status = answer.status().as_u16();
        let body = self.body(answer.into_body()).await?;
        Err(RemoteError::refusal(status, &body))
    }

    /// Reads what the server says.
    fn read<T: DeserializeOwned>(&self, text: &str) -> Result<T, RemoteError> {
        serde_json::from_str(text).map_err(|error| self.unreadable(error))
    }

    /// What is said of an answer that makes no sense.
    pub fn unreadable(&self, why: impl std::fmt::Display) -> RemoteError {
        RemoteError::Unreadable { server: self.title(), why: why.to_string() }
    }

    async fn whole(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Page, RemoteError> {
        let answer = self.send(method, path, body).await?;
        let status = answer.status();
        let next = answer.headers().get(LINK).and_then(|link| next(link.to_str().ok()?)).map(str::to_owned);
        let body = self.body(answer.into_body()).await?;
        if !status.is_success() {
            return Err(RemoteError::refusal(status.as_u16(), &body));
        }
        let text = String::from_utf8(body.into()).map_err(|error| self.unreadable(error))?;
        Ok(Page { text, next })
    }

    async fn body(&self, body: Incoming) -> Result<Bytes, RemoteError> {
        match timeout(LONGEST_ANSWER, Limited::new(body, MAX_ANSWER_BYTES).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(self.unreadable(format_args!("it is longer than {MAX_ANSWER_BYTES} bytes")))
            }
            Ok(Err(error)) => Err(RemoteError::broken(&self.title(), &*error)),
            Err(_) => Err(RemoteError::Late(self.title())),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Response<Incoming>, RemoteError> {
        let connect = async {
            match &self.way {
                Way::Unix(state) => match UnixStream::connect(state.join("api.sock")).await {
                    Ok(stream) => self.exchange(stream, "localhost", method, path, body).await,
                    Err(_) => Err(RemoteError::NoFleet(state.clone())),
                },
                Way::Tls(server, tls) => {
                    let unreachable = |source| RemoteError::Unreachable { server: server.to_string(), source };
                    let connecting = TcpStream::connect((server.name(), server.port));
                    let stream = match timeout(LONGEST_CONNECT, connecting).await {
                        Ok(stream) => stream.map_err(unreachable)?,
                        Err(_) => return Err(unreachable(std::io::ErrorKind::TimedOut.into())),
                    };
                    let name = ServerName::try_from(server.name().to_owned())
                        .map_err(|_| RemoteError::NotAServer(server.to_string()))?;
                    let shaking = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
                    let stream = match timeout(LONGEST_CONNECT, shaking).await {
                        Ok(stream) => stream.map_err(|error| RemoteError::broken(&server.to_string(), &error))?,
                        Err(_) => return Err(unreachable(std::io::ErrorKind::TimedOut.into())),
                    };
                    self.exchange(stream, &format!("{}:{}", server.host, server.port), method, path, body).await
                }
            }
        };
        timeout(LONGEST_ANSWER, connect).await.unwrap_or_else(|_| Err(RemoteError::Late(self.title())))
    }

    async fn exchange<S>(
        &self,
        stream: S,
        host: &str,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, RemoteError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let title = self.title();
        let broken = |error: hyper::Error| RemoteError::broken(&title, &error);
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(bearer) = &self.bearer {
            let mut value = HeaderValue::try_from(format!("Bearer {}", bearer.dangerously_expose()))
                .map_err(|error| self.unreadable(error))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let request = request.body(body).map_err(|_| RemoteError::Name(path.to_owned()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let connection = tokio::spawn(connection);
        match sender.send_request(request).await {
            Ok(answer) => Ok(answer),
            // Why the server hung up is what the connection knows.
            Err(error) => match connection.await {
                Ok(Err(why)) => Err(broken(why)),
                _ => Err(broken(error)),
            },
        }
    }
}

fn runtime() -> Result<Runtime, RemoteError> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The path of the next page, if the field `Link` names one of this API.
fn next(link: &str) -> Option<&str> {
    let (path, rest) = link.strip_prefix('<')?.split_once('>')?;
    (path.starts_with("/v1/") && rest.contains("rel=\"next\"")).then_some(path)
}

/// `name` as a part of a path.
///
/// # Errors
/// It cannot be one, so nothing is called so.
pub fn part(name: &str) -> Result<&str, RemoteError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain) && name.contains(|c| c != '.');
    if fits { Ok(name) } else { Err(RemoteError::Name(name.to_owned())) }
}

/// `text` as it can stand in a query.
pub fn query(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_names_a_server() {
        let read = |url: &str| Server::parse(url).map(|server| server.to_string()).ok();
        assert_eq!(read("https://a.example:7443").as_deref(), Some("https://a.example:7443"));
        assert_eq!(read("https://a.example/").as_deref(), Some("https://a.example:443"));
        assert_eq!(read("https://[::1]:7443").as_deref(), Some("https://[::1]:7443"));
        for wrong in [
            "http://a.example",
            "a.example:7443",
            "https://",
            "https://u@a.example",
            "https://a/b",
            "https://a?b",
            "https://a:0",
            "https://a:99999",
            "",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(Server::parse("https://[::1]:7443").unwrap().name(), "::1");
    }

    #[test]
    fn names_do_not_leave_their_place_in_a_path() {
        for good in ["analyst", "3f2a", "a.b-c_d"] {
            assert_eq!(part(good).unwrap(), good);
        }
        for wrong in ["", ".", "..", "a/b", "a?b", "a%2f", "a b", "é", &"a".repeat(200)] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
        assert_eq!(query("operator:a b"), "operator%3Aa%20b");
    }

    #[test]
    fn the_next_page_is_one_of_this_api() {
        assert_eq!(next("</v1/audit?from=4>; rel=\"next\""), Some("/v1/audit?from=4"));
        assert_eq!(next("<https://evil.example/>; rel=\"next\""), None);
        assert_eq!(next("</v1/audit>; rel=\"prev\""), None);
    }
}
