//! The requests of one client connection.

use std::sync::Arc;

use nanoclaw_audit::{AuditError, Outcome, Ticket, Warrant};
use nanoclaw_request::{Action, Connect, Destination, Evidence, HttpRequest, Refusal, Via};
use tokio::time::{Instant, timeout, timeout_at};

use super::exchange::{Exchange, Exchanged};
use super::held;
use crate::Inner;
use crate::act::{FirstWords, Found, Opening, Upstream};
use crate::connection::Tunnel;
use crate::inspect::head::{HeadScanner, RequestHead, Target};
use crate::path::{Stop, malformed};
use crate::respond::{self, Speech};
use crate::wire::Wire;

/// Where the requests of a connection may be for.
pub(crate) enum Role {
    /// The client believes that it speaks to this server.
    Fixed {
        /// The server.
        destination: Destination,
        /// How the connection came here.
        via: Via,
        /// Where that is, looked up already for the first request.
        found: Option<Found>,
    },
    /// The client knows that it speaks to a proxy, and each request says where it goes.
    Proxy {
        /// Where this proxy listens.
        listener: Destination,
    },
}

struct Session {
    door: Arc<Inner>,
    wire: Wire,
    role: Role,
    upstream: Option<Upstream>,
    speech: Speech,
}

/// What follows on a connection.
enum Next {
    /// Another request.
    Request,
    /// Nothing.
    End,
    /// Something else than requests of ours, to this place.
    Tunnel(Destination, Via),
}

/// Serves the requests of one connection. To the proxy, a `CONNECT` is left to the caller as a tunnel to open, and so is
/// a request to a service, with its head still to be read.
pub(crate) async fn serve(door: Arc<Inner>, wire: Wire, role: Role) -> Result<Option<Tunnel>, AuditError> {
    let speech = Speech::Http { bodiless: false };
    let mut session = Session { door, wire, role, upstream: None, speech };
    let result = loop {
        match session.request().await {
            Ok(Next::Request) => session.speech = speech,
            other => break other,
        }
    };
    session.close_upstream().await?;
    let Session { door, wire, speech, .. } = session;
    match result {
        Ok(Next::Tunnel(destination, via)) => return Ok(Some(Tunnel { door, wire, destination, via })),
        Ok(Next::Request | Next::End) => respond::finish(wire, door.limits.farewell).await,
        Err(stop) => respond::end(wire, speech, stop, door.limits.farewell).await?,
    }
    Ok(None)
}

impl Session {
    /// Reads, decides and carries out one request.
    async fn request(&mut self) -> Result<Next, Stop> {
        let Some((head, length)) = self.read_head().await? else { return Ok(Next::End) };
        if let (Role::Proxy { .. }, Target::Absolute { authority, .. }) = (&self.role, &head.target)
            && self.door.services.at(authority).is_some()
        {
            return Ok(Next::Tunnel(authority.clone(), Via::HttpAbsolute));
        }
        self.wire.reader().consume(length);
        self.speech = Speech::Http { bodiless: head.method == "HEAD" };
        let destination = match (&self.role, &head.target) {
            (Role::Proxy { .. }, Target::Authority(destination)) => {
                return Ok(Next::Tunnel(destination.clone(), Via::HttpConnect));
            }
            (Role::Proxy { .. }, Target::Absolute { authority, .. }) => authority.clone(),
            (Role::Proxy { .. }, Target::Origin(_)) => {
                let help =
                    "ask for `http://host/path` or CONNECT, or unset http_proxy: without it connections work too";
                return Err(self.unreadable(malformed("this is a proxy and not a web server".to_owned(), help)).await);
            }
            (Role::Fixed { destination, .. }, Target::Origin(_)) => destination.clone(),
            (Role::Fixed { .. }, Target::Absolute { .. } | Target::Authority(_)) => {
                let reason = "a request to a proxy came in on a connection to a server".to_owned();
                return Err(self.unreadable(malformed(reason, "")).await);
            }
        };
        let Some(host) = head.host.clone() else { return Err(Stop::Gone) };
        let (connection, method, path) = (destination.clone(), head.method.clone(), head.path().to_owned());
        let query = head.query().map(str::to_owned);
        let request = HttpRequest { connection, host: host.clone(), method, path, query };
        let leaving = self.door.leaving();
        if let Some(leaving) = &leaving
            && let Err((shown, refusal)) = leaving.head(&head, request.clone())
        {
            return Err(self.kept(shown, refusal).await);
        }
        let upstream = self.upstream_for(&destination, &host).await?;
        let before = upstream.standing.before();
        self.upstream = Some(upstream);
        let held = match &leaving {
            Some(leaving) => match held::hold(&self.door, &mut self.wire, &head, leaving).await? {
                Ok(held) => Some(held),
                Err(refusal) => return Err(self.kept(request, refusal).await),
            },
            None => None,
        };
        let left = self.door.left_by(&self.wire.stream);
        let warrant = self.door.path.walk_and_wait(request, |request| Ok(Action::Http(request)), None, left).await?;
        // People take their time, and servers do not always wait for them.
        let mut upstream = match self.upstream_for(&destination, &host).await {
            Ok(upstream) => upstream,
            Err(stop) => return Err(self.not_begun(warrant, stop).await),
        };
        upstream.standing.allow(before, warrant.permit());
        let (_, ticket) = warrant.spend();
        let exchange =
            Exchange { door: &self.door, client: &mut self.wire, upstream: &mut upstream, request: &head, held };
        let exchanged = exchange.run(&mut self.speech).await;
        upstream.standing.over();
        self.upstream = Some(upstream);
        self.finish(exchanged, ticket).await
    }

    /// Records that a request holds what may not leave.
    async fn kept(&self, shown: HttpRequest, refusal: Refusal) -> Stop {
        match self.door.path.walk(shown, |shown| Err((Action::Http(shown), refusal))).await {
            Ok(_) => Stop::Gone,
            Err(stop) => stop,
        }
    }

    /// Records that an allowed request could not begin.
    async fn not_begun(&self, warrant: Warrant, stop: Stop) -> Stop {
        let (Stop::Refused(why) | Stop::Failed(why)) = &stop else { return stop };
        let (_, ticket) = warrant.spend();
        match self.door.path.outcome(ticket, Outcome::failed(why.clone())).await {
            Ok(()) => stop,
            Err(error) => Stop::Closed(error),
        }
    }

    async fn finish(&mut self, exchanged: Exchanged, ticket: Ticket) -> Result<Next, Stop> {
        let Exchanged { outcome, reusable, stop } = exchanged;
        self.door.path.outcome(ticket, outcome).await?;
        match stop {
            Some(stop) => Err(stop),
            None if reusable => Ok(Next::Request),
            None => Ok(Next::End),
        }
    }

    /// The next request head and its length in what was read ahead, of which it is still a part; `None` when the client
    /// has no more.
    async fn read_head(&mut self) -> Result<Option<(RequestHead, usize)>, Stop> {
        let mut scanner = HeadScanner::default();
        if self.wire.ahead.is_empty() && !self.wait_for_more().await? {
            return Ok(None);
        }
        let deadline = Instant::now() + self.door.limits.head;
        loop {
            let parsed = match scanner.scan(&self.wire.ahead) {
                Ok(None) => None,
                Ok(Some(end)) => {
                    Some(RequestHead::parse(self.wire.ahead.get(..end).unwrap_or_default()).map(|head| (head, end)))
                }
                Err(error) => Some(Err(error)),
            };
            match parsed {
                Some(Ok(whole)) => return Ok(Some(whole)),
                Some(Err(error)) => {
                    let reason = format!("the HTTP request cannot be read: {error}");
                    return Err(self.unreadable(malformed(reason, "")).await);
                }
                None => match timeout_at(deadline, self.wire.reader().read_more()).await {
                    Ok(Ok(1..)) => {}
                    Ok(Ok(0) | Err(_)) => return Err(Stop::Gone),
                    Err(_) => {
                        let reason = format!("the HTTP request head did not arrive within {:?}", self.door.limits.head);
                        return Err(self.unreadable(malformed(reason, "")).await);
                    }
                },
            }
        }
    }

    /// Waits for the first byte of the next request; false when there will be none. Meanwhile the server may close
    /// its side, and the next request then gets a new connection.
    async fn wait_for_more(&mut self) -> Result<bool, Stop> {
        let end = Instant::now() + self.door.limits.keep_alive;
        loop {
            let mut reader = self.wire.reader();
            let more = timeout(end.saturating_duration_since(Instant::now()), reader.read_more());
            let Some(upstream) = &self.upstream else { return Ok(matches!(more.await, Ok(Ok(1..)))) };
            tokio::select! {
                more = more => return Ok(matches!(more, Ok(Ok(1..)))),
                // Nothing that a server sends unasked is an answer, so its connection is of no more use either way.
                _ = upstream.wire.stream.readable() => {}
                _ = upstream.standing.lost() => {}
            }
            if is_spent(upstream) {
                self.close_upstream().await?;
            }
        }
    }

    /// The open connection to `destination`, or a new one if that is allowed.
    async fn upstream_for(&mut self, destination: &Destination, host: &Destination) -> Result<Upstream, Stop> {
        match self.upstream.take() {
            Some(upstream) if upstream.destination == *destination && !is_spent(&upstream) => return Ok(upstream),
            other => {
                self.upstream = other;
                self.close_upstream().await?;
            }
        }
        let prepared = match &mut self.role {
            Role::Fixed { found, .. } => found.take(),
            Role::Proxy { .. } => None,
        };
        let found = match prepared {
            Some(found) => found,
            None => self.door.find(destination, &self.wire.stream).await?,
        };
        let (destination, first) = (destination.clone(), FirstWords::Http(host.clone()));
        self.door.open(Opening { destination, via: self.via(), found, first }, &self.wire.stream).await
    }

    async fn close_upstream(&mut self) -> Result<(), AuditError> {
        let Some(upstream) = self.upstream.take() else { return Ok(()) };
        let lost = upstream.standing.check().err();
        if lost.is_some() {
            respond::reset(&upstream.wire);
        }
        self.door.closed(upstream, lost).await
    }

    fn via(&self) -> Via {
        match self.role {
            Role::Fixed { via, .. } => via,
            Role::Proxy { .. } => Via::HttpAbsolute,
        }
    }

    /// Records a request that cannot be read, as an attempt to connect.
    async fn unreadable(&self, refusal: Refusal) -> Stop {
        let (Role::Fixed { destination, .. } | Role::Proxy { listener: destination }) = &self.role;
        let attempted = Connect {
            destination: destination.clone(),
            via: self.via(),
            evidence: Evidence::Opaque,
            addresses: Vec::new(),
        };
        match self.door.path.walk(attempted, |connect| Err((Action::Connect(connect), refusal))).await {
            Ok(_) => Stop::Gone,
            Err(stop) => stop,
        }
    }
}

/// Whether the server has closed its side, or said something unasked, or the connection is not allowed any more.
fn is_spent(upstream: &Upstream) -> bool {
    let mut byte = [0];
    !upstream.wire.ahead.is_empty()
        || upstream.standing.check().is_err()
        || !matches!(upstream.wire.stream.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
