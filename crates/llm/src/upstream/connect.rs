//! Connections to providers, each made within the time that the configuration gives.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use nanoclaw_vault::tls::{ClientConfig, TlsError, client_config_with};
use tokio::net::TcpStream;
use tower_service::Service;

/// Connects to the port that a provider listens at inside a cell of its own. It is told the provider's name.
pub type DialCell = Arc<dyn Fn(&str) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>> + Send + Sync>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How TLS connections are made that only the system's authorities vouch for. Read when the first provider needs it:
/// it takes milliseconds and a few hundred kilobytes.
#[derive(Default)]
pub(super) struct SystemTls(Option<Arc<ClientConfig>>);

impl SystemTls {
    fn get(&mut self) -> Result<Arc<ClientConfig>, TlsError> {
        match &self.0 {
            Some(config) => Ok(Arc::clone(config)),
            None => Ok(Arc::clone(self.0.insert(Arc::new(client_config_with(None)?)))),
        }
    }
}

/// Makes the connections of one provider.
#[derive(Clone)]
pub(super) struct Connector {
    way: Way,
    within: Duration,
}

#[derive(Clone)]
enum Way {
    Plain(HttpConnector),
    Tls(HttpsConnector<HttpConnector>),
    Cell { provider: Arc<str>, dial: DialCell },
}

impl Connector {
    /// Without TLS.
    pub(super) fn plain(within: Duration) -> Self {
        Self { way: Way::Plain(tcp()), within }
    }

    /// With TLS; `ca` holds certificates of further authorities.
    pub(super) fn tls(within: Duration, ca: Option<&Path>, system: &mut SystemTls) -> Result<Self, TlsError> {
        let config = match ca {
            None => system.get()?,
            Some(_) => Arc::new(client_config_with(ca)?),
        };
        let mut connector = HttpsConnector::from((tcp(), config));
        connector.enforce_https();
        Ok(Self { way: Way::Tls(connector), within })
    }

    /// Into a cell.
    pub(super) fn cell(within: Duration, provider: &str, dial: &DialCell) -> Self {
        Self { way: Way::Cell { provider: provider.into(), dial: Arc::clone(dial) }, within }
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    tcp
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.way {
            Way::Plain(tcp) => tcp.poll_ready(context).map_err(Into::into),
            Way::Tls(tls) => tls.poll_ready(context),
            Way::Cell { .. } => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let within = self.within;
        let connecting: Self::Future = match &mut self.way {
            Way::Plain(plain) => {
                let connecting = plain.call(uri);
                Box::pin(async move { Ok(MaybeHttpsStream::Http(connecting.await?)) })
            }
            Way::Tls(tls) => tls.call(uri),
            Way::Cell { provider, dial } => {
                let dialling = dial(provider);
                Box::pin(async move {
                    let stream = dialling.await?;
                    stream.set_nodelay(true)?;
                    Ok(MaybeHttpsStream::Http(TokioIo::new(stream)))
                })
            }
        };
        Box::pin(async move {
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {within:?}"));
            tokio::time::timeout(within, connecting).await.map_err(late)?
        })
    }
}
