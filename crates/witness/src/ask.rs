//! Asking a witness to vouch for the newest checkpoint of a log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request as HttpRequest, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use nanoclaw_audit::{AuditError, add_cosignatures};
use nanoclaw_tlog::checkpoint::{Checkpoint, NotACheckpoint};
use nanoclaw_tlog::note::{MAX_NOTE, NoteError, Signature, SignedNote, VerifierKey};
use nanoclaw_tlog::tree::{TreeError, consistency_proof};
use nanoclaw_tlog::verify::{Snapshot, SnapshotError};
use nanoclaw_tlog::witness::Request;
use nanoclaw_vault::tls::{TlsError, client_config_with, failure};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A witness has not vouched.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is nothing to vouch for.
    #[error("`checkpoint`: {0}")]
    Snapshot(#[from] SnapshotError),
    /// What is there is no checkpoint.
    #[error("`checkpoint`: {0}")]
    Checkpoint(#[from] NotACheckpoint),
    /// No proof can be made.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The address cannot be one.
    #[error("`{0}` is not the address of a witness, such as `https://witness.example`")]
    Address(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No answer.
    #[error("the witness at `{url}` does not answer: {why}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        why: String,
    },
    /// It has vouched for more than there is.
    #[error(
        "the witness at `{url}` has vouched for {theirs} records of this log, and the log has {ours}: it was rolled back, or is a copy of an old one"
    )]
    RolledBack {
        /// Where.
        url: String,
        /// In entries.
        theirs: u64,
        /// In entries.
        ours: u64,
    },
    /// It refuses.
    #[error("the witness at `{url}` refuses with status {status}: {answer}")]
    Refused {
        /// Where.
        url: String,
        /// Of HTTP.
        status: u16,
        /// What it says, without control characters.
        answer: String,
    },
    /// What it answers is not signed by it.
    #[error("the witness at `{url}` does not vouch with its keys: {source}")]
    Unsigned {
        /// Where.
        url: String,
        /// Why.
        source: NoteError,
    },
    /// What it answers cannot be kept.
    #[error(transparent)]
    Log(#[from] AuditError),
}

/// Has the witness at `url`, which has all of `keys`, vouch for the newest checkpoint of the log in `directory`, and puts
/// its lines beside it. `old` is the size of the checkpoint that it vouched for last, where that is known, or 0. Gives the
/// size of the new one. `ca` holds certificates of further authorities for TLS.
///
/// # Errors
/// It does not vouch, and why.
pub async fn cosign(
    directory: &Path,
    url: &str,
    ca: Option<&Path>,
    keys: &[VerifierKey],
    old: u64,
) -> Result<u64, AskError> {
    let snapshot = Snapshot::take(directory)?;
    let checkpoint: Checkpoint = snapshot.note.text.parse()?;
    let address: Uri = format!("{}/add-checkpoint", url.trim_end_matches('/'))
        .parse()
        .ok()
        .filter(|address: &Uri| matches!(address.scheme_str(), Some("http" | "https")) && address.host().is_some())
        .ok_or_else(|| AskError::Address(url.to_owned()))?;
    let tls = (address.scheme_str() == Some("https")).then(|| client_config_with(ca)).transpose()?;
    let tls = tls.map(|config| TlsConnector::from(Arc::new(config)));
    let unreachable = |why: String| AskError::Unreachable { url: url.to_owned(), why };
    let mut old = old.min(checkpoint.size);
    // The first answer may be that it remembers another size.
    for _ in 0..2 {
        let proof = consistency_proof(&snapshot, old, checkpoint.size)?;
        let request = Request { old, proof, note: snapshot.note.clone() };
        let asked = timeout(PATIENCE, post(tls.as_ref(), &address, &request)).await;
        let asked = asked.unwrap_or_else(|_| Err(format!("nothing within {PATIENCE:?}")));
        let (status, answer) = asked.map_err(unreachable)?;
        match status {
            StatusCode::OK => {
                let lines = lines(&snapshot.note, &answer, keys)
                    .map_err(|source| AskError::Unsigned { url: url.to_owned(), source })?;
                add_cosignatures(directory, &snapshot.note, &lines)?;
                return Ok(checkpoint.size);
            }
            StatusCode::CONFLICT => match answer.trim_end().parse::<u64>() {
                Ok(theirs) if theirs > checkpoint.size => {
                    return Err(AskError::RolledBack { url: url.to_owned(), theirs, ours: checkpoint.size });
                }
                Ok(theirs) if theirs != old => old = theirs,
                _ => return Err(refused(url, status, &answer)),
            },
            _ => return Err(refused(url, status, &answer)),
        }
    }
    Err(refused(url, StatusCode::CONFLICT, "it remembers another checkpoint each time"))
}

/// The lines of an answer that are the witness's own: of each of its keys one.
fn lines(note: &SignedNote, answer: &str, keys: &[VerifierKey]) -> Result<Vec<Signature>, NoteError> {
    let lines = answer.lines().map(str::parse).collect::<Result<Vec<Signature>, _>>()?;
    let vouched = SignedNote { text: note.text.clone(), signatures: lines };
    vouched.verify_all(keys)?;
    let own = |line: &Signature| keys.iter().any(|key| key.id() == line.id && key.name() == line.name);
    Ok(vouched.signatures.into_iter().filter(own).collect())
}

fn refused(url: &str, status: StatusCode, answer: &str) -> AskError {
    let answer = answer.chars().filter(|c| !c.is_control()).take(200).collect();
    AskError::Refused { url: url.to_owned(), status: status.as_u16(), answer }
}

/// Asks once, on a connection of its own. `Err` says why there is no answer.
async fn post(tls: Option<&TlsConnector>, address: &Uri, request: &Request) -> Result<(StatusCode, String), String> {
    let host = address.host().unwrap_or_default();
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let port = address.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let stream = TcpStream::connect((name, port)).await.map_err(|error| error.to_string())?;
    let request = HttpRequest::post(address.path())
        .header(HOST, address.authority().map_or(host, |authority| authority.as_str()))
        .body(Full::new(Bytes::from(request.to_string())))
        .map_err(|error| error.to_string())?;
    match tls {
        Some(tls) => {
            let server = name.to_owned().try_into().map_err(|_| format!("`{name}` is no name of a server"))?;
            let stream = tls.connect(server, stream).await;
            send(stream.map_err(|error| failure(&error).unwrap_or_else(|| error.to_string()))?, request).await
        }
        None => send(stream, request).await,
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: HttpRequest<Full<Bytes>>,
) -> Result<(StatusCode, String), String> {
    let ended = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(ended)?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(ended)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_NOTE).collect().await.map_err(|error| error.to_string())?;
    connection.abort();
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
}
