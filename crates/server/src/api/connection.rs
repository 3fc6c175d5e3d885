//! Connections: how many there may be, how long each has, and who is at the other end.
//!
//! Whoever has not shown who they are is a stranger. Strangers have half a minute, one request, and a bounded number of
//! places. For one more, the oldest is given away of those from where most come; so nobody who opens connections and says
//! little on them keeps others out. Nor does anybody who is known: each person has some of the places, and this machine has
//! its own.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nanoclaw_request::{RefusalCode, Stage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;

use super::Api;
use super::answer::Fault;
use super::patience::{LONGEST_STALL, Patience};
use super::peer::{Peer, Way};
use super::places::{Place, Places};
use super::strikes::network;

/// Most connections at once on which nobody has shown who they are; for one more the oldest is closed of those from where
/// most come.
const MOST_STRANGERS: usize = 64;
/// Most connections at once of those who have, and as many on the unix socket; more are refused.
const MOST_CONNECTIONS: usize = 256;
/// Most of them of one person.
const MOST_OF_ONE: usize = 64;
/// How long a stranger's connection may last.
const STRANGER_TIME: Duration = Duration::from_secs(30);
/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Most handshakes that begin within [`PACE`]; more wait. Each takes about a millisecond of the thread that all doors share.
const MOST_HANDSHAKES: usize = 40;
/// See [`MOST_HANDSHAKES`].
const PACE: Duration = Duration::from_millis(200);
/// How long the head of a request may take to come, from when the connection is free for it.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes.
pub(super) const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Most fields in it.
const MAX_FIELDS: usize = 64;

/// All connections.
pub(super) struct Connections {
    next: AtomicU64,
    strangers: Mutex<BTreeMap<u64, Stranger>>,
    known: Places,
}

/// A connection on which nobody has shown who they are.
struct Stranger {
    /// Where it comes from; `None` for the unix socket.
    source: Option<IpAddr>,
    task: AbortHandle,
}

impl Default for Connections {
    fn default() -> Self {
        Self { next: AtomicU64::new(0), strangers: Mutex::default(), known: Places::new(MOST_CONNECTIONS, MOST_OF_ONE) }
    }
}

impl Connections {
    fn strangers(&self) -> MutexGuard<'_, BTreeMap<u64, Stranger>> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody on it has shown who they are: it is a stranger's no more.
    pub(super) fn know(&self, peer: &Peer) -> Result<(), Fault> {
        if peer.place.get().is_some() {
            return Ok(());
        }
        let Some(place) = self.known.take(peer.person().as_deref()) else {
            let reason =
                format!("{MOST_CONNECTIONS} connections are open, or {MOST_OF_ONE} of yours, and there can be no more");
            let status = hyper::StatusCode::SERVICE_UNAVAILABLE;
            return Err(Fault::of(status, Stage::Act, RefusalCode::Limit, reason, "close one, or try again"));
        };
        let _another_request_was_faster: Result<(), Place> = peer.place.set(place);
        self.strangers().remove(&peer.number);
        Ok(())
    }
}

impl Api {
    /// Serves the unix socket until the runtime ends.
    pub(super) async fn serve_unix(self: Arc<Self>, listener: UnixListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of descriptors, most likely: others will be closed.
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(peer) = stream.peer_cred() else { continue };
            let way = Way::Local { uid: peer.uid() };
            self.admit(None, move |api, number| async move { api.serve(stream, Peer::new(number, way), true).await });
        }
    }

    /// Serves TLS until the runtime ends.
    pub(super) async fn serve_tls(self: Arc<Self>, listener: TcpListener, tls: TlsAcceptor) {
        let (mut since, mut count) = (Instant::now(), 0);
        loop {
            if since.elapsed() >= PACE {
                (since, count) = (Instant::now(), 0);
            } else if count >= MOST_HANDSHAKES {
                sleep(PACE.saturating_sub(since.elapsed())).await;
                continue;
            }
            let Ok((stream, from)) = listener.accept().await else {
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            count += 1;
            // Only a matter of latency; a connection that refuses the option still works.
            let _ = stream.set_nodelay(true);
            let tls = tls.clone();
            let source = from.ip();
            let serve = move |api: Arc<Self>, number| async move { api.handshake(stream, source, tls, number).await };
            self.admit(Some(network(source)), serve);
        }
    }

    /// Gives a connection a place among the strangers.
    fn admit<F>(self: &Arc<Self>, source: Option<IpAddr>, serve: impl FnOnce(Arc<Self>, u64) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let number = self.connections.next.fetch_add(1, Ordering::Relaxed);
        let serving = serve(Arc::clone(self), number);
        let api = Arc::clone(self);
        // Held until it is on the list, from which it removes itself.
        let mut strangers = self.connections.strangers();
        let task = tokio::spawn(async move {
            serving.await;
            api.connections.strangers().remove(&number);
        });
        strangers.insert(number, Stranger { source, task: task.abort_handle() });
        if strangers.len() > MOST_STRANGERS
            && let Some(number) = given_up(strangers.iter().map(|(number, stranger)| (*number, stranger.source)))
            && let Some(stranger) = strangers.remove(&number)
        {
            stranger.task.abort();
        }
    }

    async fn handshake(self: Arc<Self>, stream: TcpStream, source: IpAddr, tls: TlsAcceptor, number: u64) {
        let stream = match timeout(HANDSHAKE_TIME, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                // A certificate that is not good is an attempt to be somebody; everything else is noise of the network.
                let inner = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
                if let Some(rustls::Error::InvalidCertificate(why)) = inner {
                    let reason = format!("the client certificate is not valid: {why:?}");
                    let peer = Peer::new(number, Way::Remote { source, certificate: None });
                    let status = hyper::StatusCode::FORBIDDEN;
                    let fault = Fault::of(status, Stage::Identify, RefusalCode::NotYou, reason, "");
                    let _nobody_is_left_to_tell = self.turned_away(&peer, None, fault).await;
                }
                return;
            }
            Err(_) => return,
        };
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate: Option<Arc<[u8]>> = shown.map(|der| der.as_ref().into());
        let lasting = certificate.is_some();
        self.serve(stream, Peer::new(number, Way::Remote { source, certificate }), lasting).await;
    }

    /// Answers the requests on a connection. `lasting`: more than one may come.
    async fn serve<S>(self: Arc<Self>, stream: S, peer: Peer, lasting: bool)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let peer = Arc::new(peer);
        let service = service_fn(|request: Request<Incoming>| {
            let (api, peer) = (Arc::clone(&self), Arc::clone(&peer));
            async move {
                let mut answer = api.answer(&peer, request).await;
                // Whoever is not known yet comes again from the beginning; [`Fault::answer`] says so to those who are not
                // any more.
                if peer.place.get().is_none() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .keep_alive(lasting)
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_FIELDS)
            .serve_connection(TokioIo::new(Patience::new(stream, LONGEST_STALL)), service);
        tokio::pin!(connection);
        // However it ended, there is nobody left to tell.
        let ended = timeout(STRANGER_TIME, &mut connection).await.is_ok();
        if !ended && peer.place.get().is_some() {
            let _ended = connection.await.is_ok();
        }
    }
}

/// The oldest of the strangers from where most come. `strangers` are in the order in which they came.
fn given_up(strangers: impl Iterator<Item = (u64, Option<IpAddr>)>) -> Option<u64> {
    let mut sources: BTreeMap<Option<IpAddr>, (usize, Reverse<u64>)> = BTreeMap::new();
    for (number, source) in strangers {
        sources.entry(source).or_insert((0, Reverse(number))).0 += 1;
    }
    sources.into_values().max().map(|(_, Reverse(oldest))| oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_of_those_from_where_most_come() {
        let at = |text: &str| Some(text.parse().unwrap());
        let (one, other) = (at("192.0.2.1"), at("192.0.2.2"));
        assert_eq!(given_up([(1, None), (2, one), (3, other), (4, one)].into_iter()), Some(2));
        assert_eq!(given_up([(1, one), (2, other), (3, None)].into_iter()), Some(1));
        assert_eq!(given_up(std::iter::empty()), None);
    }
}
