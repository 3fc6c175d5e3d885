//! The acts of this door: looking a name up and opening a connection. Each takes the warrant for it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use nanoclaw_audit::{AuditError, Outcome, Ticket, Warrant};
use nanoclaw_gate::Agreement;
use nanoclaw_request::{Action, Connect, Destination, Evidence, Host, Refusal, RefusalCode, Resolve, Stage, Via};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Inner;
use crate::inspect::tls::Hello;
use crate::leaving::Leaving;
use crate::path::{Parsed, Stop, cause, malformed, unreachable};
use crate::sniff::First;
use crate::standing::Standing;
use crate::traffic::Traffic;
use crate::wire::{Wire, left};

/// A connection that a cell asks for.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) destination: Destination,
    pub(crate) via: Via,
    pub(crate) found: Found,
    pub(crate) first: FirstWords,
}

/// Where a connection would go.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) addresses: Vec<IpAddr>,
    /// What people agreed to before its name was looked up.
    agreed: Option<Agreement>,
}

/// What the client has said on it.
#[derive(Debug)]
pub(crate) enum FirstWords {
    /// Bytes of some protocol.
    Bytes(First),
    /// An HTTP request for this host.
    Http(Destination),
}

impl Opening {
    fn parse(self, leaving: Option<&Leaving>) -> Parsed {
        let Opening { destination, via, found: Found { addresses, .. }, first } = self;
        let connect = |evidence| {
            Action::Connect(Connect { destination: destination.clone(), via, evidence, addresses: addresses.clone() })
        };
        match first {
            FirstWords::Http(host) => Ok(connect(Evidence::Http { host })),
            FirstWords::Bytes(First::Silent) => Ok(connect(Evidence::Silent)),
            FirstWords::Bytes(First::Opaque | First::Http) => Ok(connect(Evidence::Opaque)),
            FirstWords::Bytes(First::Tls(Hello::Complete(hello))) => {
                let kept = hello.server_name.as_ref().and_then(|name| leaving?.server_name(name));
                if let Some((shown, refusal)) = kept {
                    let encrypted_hello = hello.encrypted_hello;
                    return Err((connect(Evidence::Tls { sni: Some(shown), encrypted_hello }), refusal));
                }
                Ok(connect(Evidence::Tls { sni: hello.server_name, encrypted_hello: hello.encrypted_hello }))
            }
            FirstWords::Bytes(First::Tls(broken)) => {
                let why = if let Hello::Malformed(why) = broken { why } else { "it is cut short" };
                let reason = format!("the TLS hello to {destination} cannot be read: {why}");
                Err((connect(Evidence::Opaque), malformed(reason, "")))
            }
        }
    }
}

/// An open connection to the outside.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) destination: Destination,
    pub(crate) wire: Wire,
    pub(crate) traffic: Traffic,
    pub(crate) standing: Standing,
    peer: SocketAddr,
    ticket: Ticket,
}

impl Inner {
    /// Where a connection of `client` to `destination` would go. A name is authorised, then looked up, once. While people are
    /// asked about that, `client` waits.
    pub(crate) async fn find(&self, destination: &Destination, client: &TcpStream) -> Result<Found, Stop> {
        let name = match &destination.host {
            Host::Ip(address) => return Ok(Found { addresses: vec![*address], agreed: None }),
            Host::Name(name) => name.clone(),
        };
        let resolve = Resolve { name, port: Some(destination.port) };
        if let Some((shown, refusal)) = self.leaving().and_then(|leaving| leaving.lookup(&resolve)) {
            let refused = self.path.walk(shown, |shown| Err((Action::Resolve(shown), refusal)));
            return Err(refused.await.err().unwrap_or(Stop::Gone));
        }
        let held = self.path.gate.engine().session().label();
        let left = self.left_by(client);
        let warrant = self.path.walk_and_wait(resolve, |resolve| self.services.lookup(resolve), None, left).await?;
        let agreed = Agreement::of(warrant.permit(), held);
        let (action, ticket) = warrant.spend();
        let Action::Resolve(resolve) = action else { return Err(self.mismatch(ticket).await) };
        let lookup = timeout(self.limits.resolve, self.outside.resolver.resolve(&resolve.name)).await;
        match lookup.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(mut addresses) => {
                addresses.truncate(self.limits.addresses);
                Ok(Found { addresses, agreed })
            }
            Err(error) => {
                let reason = format!("{} could not be looked up: {}", resolve.name, cause(&error));
                let failure =
                    Refusal { stage: Stage::Act, code: RefusalCode::NameNotFound, reason, help: String::new() };
                Err(self.path.failed(ticket, failure).await)
            }
        }
    }

    /// Opens a connection, if it is allowed. While people are asked, `client` waits.
    pub(crate) async fn open(&self, opening: Opening, client: &TcpStream) -> Result<Upstream, Stop> {
        let standing = Standing::new(Arc::clone(self.path.gate.engine()));
        let before = standing.before();
        let (agreed, left) = (opening.found.agreed.clone(), self.left_by(client));
        let leaving = self.leaving();
        let parse = |opening: Opening| opening.parse(leaving.as_ref());
        let warrant = self.path.walk_and_wait(opening, parse, agreed.as_ref(), left).await?;
        standing.allow(before, warrant.permit());
        self.dial(warrant, standing).await
    }

    /// Ends when nobody waits any more: the client has ended its side, or the cell has ended.
    pub(crate) async fn left_by(&self, client: &TcpStream) {
        tokio::select! {
            () = left(client) => {}
            () = self.gone() => {}
        }
    }

    /// Dials the addresses of the warrant, in order, until one answers.
    async fn dial(&self, warrant: Warrant, standing: Standing) -> Result<Upstream, Stop> {
        let (action, ticket) = warrant.spend();
        let Action::Connect(connect) = action else { return Err(self.mismatch(ticket).await) };
        let Connect { destination, addresses, .. } = connect;
        let mut causes = Vec::new();
        for address in addresses {
            let peer = SocketAddr::new(address, destination.port);
            let attempt = timeout(self.limits.dial, self.outside.dialer.dial(peer)).await;
            match attempt.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    let (wire, traffic) = (Wire::new(stream), Traffic::new(Arc::clone(&self.meter)));
                    return Ok(Upstream { destination, wire, traffic, standing, peer, ticket });
                }
                Err(error) => causes.push(format!("{peer}: {}", cause(&error))),
            }
        }
        let failure = unreachable(format!("{destination} did not answer ({})", causes.join(", ")));
        Err(self.path.failed(ticket, failure).await)
    }

    /// Records how a connection to the outside ended. `error` is why it ended early.
    pub(crate) async fn closed(&self, upstream: Upstream, error: Option<Refusal>) -> Result<(), AuditError> {
        let outcome = Outcome {
            error,
            bytes_sent: Some(upstream.traffic.sent()),
            bytes_received: Some(upstream.traffic.received()),
            peer: Some(upstream.peer),
            ..Outcome::default()
        };
        self.path.outcome(upstream.ticket, outcome).await
    }

    /// A warrant that is for another act allows nothing here.
    async fn mismatch(&self, ticket: Ticket) -> Stop {
        let reason = "the warrant is for another act".to_owned();
        self.path
            .failed(ticket, Refusal { stage: Stage::Act, code: RefusalCode::NotYou, reason, help: String::new() })
            .await
    }
}
