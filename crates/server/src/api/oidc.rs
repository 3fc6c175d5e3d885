//! The keys of the OpenID Connect issuer: fetched when a token needs them, kept for a while, fetched again when a token
//! names one that is not among them.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use nanoclaw_config::Oidc;
use nanoclaw_identity::Operator;
use nanoclaw_identity::oidc::{Discovery, Jwks, MAX_DOCUMENT_BYTES, OidcError, SignedIn, verify};
use nanoclaw_vault::tls::{ClientConfig, TlsError, client_config_with};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// How long keys are believed to be the issuer's.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// Shortest time between two attempts to fetch them.
const PAUSE: Duration = Duration::from_secs(30);
/// Longest time for one document of the issuer.
const FETCH_TIME: Duration = Duration::from_secs(10);

/// The issuer of the configuration.
pub(super) struct Issuer {
    settings: Oidc,
    tls: Arc<ClientConfig>,
    /// The keys, and since when.
    keys: RwLock<Option<(Arc<Jwks>, Instant)>>,
    /// One fetches, and those whose key is there do not wait for it.
    fetching: Mutex<Fetching>,
}

#[derive(Default)]
struct Fetching {
    tried: Option<Instant>,
    /// Why the last attempt failed.
    failure: String,
}

/// What the issuer says about a token.
pub(super) enum Vouched {
    /// It is this person's.
    For(Operator),
    /// It is not valid.
    Not(OidcError),
    /// Nobody can say.
    Unreachable(String),
}

impl From<Result<SignedIn, OidcError>> for Vouched {
    fn from(result: Result<SignedIn, OidcError>) -> Self {
        match result {
            Ok(signed_in) => Vouched::For(signed_in.operator),
            Err(error) => Vouched::Not(error),
        }
    }
}

impl Issuer {
    pub(super) fn new(settings: Oidc) -> Result<Self, TlsError> {
        Ok(Self {
            tls: Arc::new(client_config_with(settings.ca.as_deref())?),
            settings,
            keys: RwLock::default(),
            fetching: Mutex::default(),
        })
    }

    /// Whom it vouches for with this token.
    pub(super) async fn operator(&self, token: &str) -> Vouched {
        let unknown = |result: &Result<_, OidcError>| matches!(result, Err(OidcError::UnknownKey(_)));
        if let Some(result) = self.verified(token).filter(|result| !unknown(result)) {
            return result.into();
        }
        let mut fetching = self.fetching.lock().await;
        // Whoever was first may have fetched it.
        if let Some(result) = self.verified(token).filter(|result| !unknown(result)) {
            return result.into();
        }
        if fetching.tried.is_none_or(|tried| tried.elapsed() >= PAUSE) {
            fetching.tried = Some(Instant::now());
            match self.fetch().await {
                Ok(found) => {
                    let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
                    *keys = Some((Arc::new(found), Instant::now()));
                }
                Err(error) => fetching.failure = error,
            }
        }
        self.verified(token).map_or_else(|| Vouched::Unreachable(fetching.failure.clone()), Vouched::from)
    }

    /// What the keys that are there say; `None` if there are none that are still believed.
    fn verified(&self, token: &str) -> Option<Result<SignedIn, OidcError>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (keys, _) = keys.filter(|(_, since)| since.elapsed() < FRESH)?;
        Some(verify(token, &keys, &self.settings, Timestamp::now()))
    }

    async fn fetch(&self) -> Result<Jwks, String> {
        let issuer = &self.settings.issuer;
        let document = self.get(&Discovery::url(issuer)).await?;
        let wrong = |what: &str, error: OidcError| format!("its {what}: {error}");
        let discovery = Discovery::parse(&document, issuer).map_err(|error| wrong("configuration", error))?;
        Jwks::parse(&self.get(&discovery.jwks_uri).await?).map_err(|error| wrong("keys", error))
    }

    async fn get(&self, url: &str) -> Result<Bytes, String> {
        let fetched = timeout(FETCH_TIME, self.fetch_one(url)).await;
        fetched
            .unwrap_or_else(|_| Err(format!("no answer within {FETCH_TIME:?}")))
            .map_err(|why| format!("`{url}`: {why}"))
    }

    async fn fetch_one(&self, url: &str) -> Result<Bytes, String> {
        let uri: Uri = url.parse().map_err(|_| "it is no URL".to_owned())?;
        let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
            return Err("it has no host".to_owned());
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let plain = uri.scheme_str() == Some("http");
        if plain && !bare.parse::<IpAddr>().map_or(bare == "localhost", |address| address.is_loopback()) {
            return Err("`http` is for this machine's loopback only; use `https`".to_owned());
        }
        let port = uri.port_u16().unwrap_or(if plain { 80 } else { 443 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path).header(HOST, authority.as_str()).header(ACCEPT, "application/json");
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let stream = TcpStream::connect((bare.as_str(), port)).await.map_err(|error| error.to_string())?;
        if plain {
            return ask(stream, request).await;
        }
        let name = ServerName::try_from(bare).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        ask(connector.connect(name, stream).await.map_err(|error| error.to_string())?, request).await
    }
}

/// Sends one request and reads the answer to its end. Redirects are not followed.
async fn ask(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<Bytes, String> {
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    // It ends with this function, as both halves do.
    let answer = async {
        let response = sender.send_request(request).await.map_err(text)?;
        if response.status() != StatusCode::OK {
            return Err(format!("the answer has status {}", response.status().as_u16()));
        }
        let body = Limited::new(response.into_body(), MAX_DOCUMENT_BYTES).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| error.to_string())
    };
    tokio::pin!(answer, connection);
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => {
            // What it had read is still to be had.
            let answer = answer.await;
            ended.map_err(text).and(answer)
        }
    }
}
