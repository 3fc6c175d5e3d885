//! Connections to servers of the web, as far as the cell's network door lets them through.
//!
//! There is no proxy to speak to: every connection of the cell ends at the door anyway, and a refusal of the door comes
//! as an answer that says why.

use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::tools::Location;

/// A connection that bytes go over, with or without TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Connects to the server of `location`. The error is for the model.
pub(crate) async fn connect(location: &Location) -> Result<Box<dyn Wire>, String> {
    let Location { tls, host, port, .. } = location;
    let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::Other || error.raw_os_error().is_none() {
            format!("the name `{host}` is not known here: it does not exist, or the network door does not allow it")
        } else {
            error.to_string()
        }
    })?;
    if !tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(host.clone()).map_err(|_| format!("`{host}` is no name of a server"))?;
    let connector = TlsConnector::from(tls_config()?);
    Ok(Box::new(connector.connect(name, stream).await.map_err(|error| error.to_string())?))
}

/// Made once, when it is needed: reading the authorities takes time and memory.
fn tls_config() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    let make = || nanoclaw_vault::tls::client_config(&[]).map(Arc::new).map_err(|error| error.to_string());
    CONFIG.get_or_init(make).clone()
}
