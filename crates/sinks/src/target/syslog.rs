//! A receiver of syslog (RFC 5424), over TLS (RFC 5425) or plain TCP (RFC 6587, counted octets).
//!
//! Syslog has no acknowledgement: what was written to a connection may be lost with it. So each delivery has a connection
//! of its own, and is one when the receiver has closed its side after it was told that no more comes: it has read
//! everything by then.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nanoclaw_vault::tls::{client_config_with, failure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Delivery;
use crate::SinkError;
use crate::record::Record;

/// How long a delivery may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The facility "log audit" (RFC 5424, section 6.2.1).
const FACILITY: u8 = 13;
/// Most that a receiver may say, in bytes. It has nothing to say.
const MOST_SAID: u64 = 1 << 16;

pub(crate) struct Syslog {
    receiver: String,
    port: u16,
    tls: Option<TlsConnector>,
    host: String,
}

impl Syslog {
    /// `tls` is there where TLS is spoken, with the file of further authorities, if any.
    pub(crate) fn new(
        sink: &str,
        receiver: &str,
        port: u16,
        tls: Option<Option<&Path>>,
        host: &str,
    ) -> Result<Self, SinkError> {
        let connector = |ca: Option<&Path>| {
            let mut config = client_config_with(ca)?;
            config.alpn_protocols.clear();
            Ok(TlsConnector::from(Arc::new(config)))
        };
        let tls = tls.map(connector).transpose();
        let tls = tls.map_err(|error| SinkError::Tls { sink: sink.to_owned(), error })?;
        Ok(Self { receiver: receiver.to_owned(), port, tls, host: word(host, 255) })
    }

    pub(crate) async fn deliver(&self, records: &[Record]) -> Result<Delivery, String> {
        let mut frames = String::new();
        for record in records {
            let message = message(record, &self.host);
            // Writing to a string does not fail.
            let _ = write!(frames, "{} {message}", message.len());
        }
        let sent = timeout(PATIENCE, self.send(frames.as_bytes())).await;
        let late =
            |_| Err(io::Error::other(format!("it has not closed the connection within {} s", PATIENCE.as_secs())));
        match sent.unwrap_or_else(late) {
            Ok(()) => Ok(Delivery::Done(Vec::new())),
            Err(error) => Err(failure(&error).unwrap_or_else(|| error.to_string())),
        }
    }

    async fn send(&self, frames: &[u8]) -> io::Result<()> {
        let stream = TcpStream::connect((self.receiver.as_str(), self.port)).await?;
        match &self.tls {
            Some(tls) => {
                let name = self.receiver.clone().try_into().map_err(io::Error::other)?;
                let mut stream = tls.connect(name, stream).await?;
                hand_over(&mut stream, frames).await?;
                // One that ends by itself says goodbye as well. What it had not read resets the connection below.
                until_closed(stream.into_inner().0).await
            }
            None => hand_over(stream, frames).await,
        }
    }
}

/// Sends everything, and waits until it was read.
async fn hand_over(mut stream: impl AsyncRead + AsyncWrite + Unpin, frames: &[u8]) -> io::Result<()> {
    stream.write_all(frames).await?;
    stream.flush().await?;
    stream.shutdown().await?;
    until_closed(stream).await
}

/// Reads to the end.
async fn until_closed(stream: impl AsyncRead + Unpin) -> io::Result<()> {
    match tokio::io::copy(&mut stream.take(MOST_SAID), &mut tokio::io::sink()).await? {
        MOST_SAID => Err(io::Error::other("it talks, and so it is no receiver of syslog")),
        _ => Ok(()),
    }
}

fn message(record: &Record, host: &str) -> String {
    let severity = match record.severity.as_str() {
        "high" => 3,
        "medium" => 4,
        "low" => 5,
        _ => 6,
    };
    let priority = FACILITY * 8 + severity;
    let action = word(&record.action, 32);
    format!(
        "<{priority}>1 {:.6} {host} nanoclaw - {action} [meta sequenceId=\"{}\"] {}",
        record.timestamp,
        // From 1 on, and then again (RFC 5424, section 7.3.1).
        (record.seq.saturating_sub(1)) % 0x7fff_ffff + 1,
        record.line
    )
}

/// A text as a word of the header, which has no spaces and is ASCII.
fn word(text: &str, most: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}
