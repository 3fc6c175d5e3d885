//! The stub DNS: synthetic addresses for allowed names, NXDOMAIN for all others, nothing else. It never asks anyone.
//!
//! Record types other than addresses of an allowed name are answered with no record, so that clients find no HTTPS
//! records and with them no keys for an encrypted hello.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, PoisonError};

use nanoclaw_audit::{AuditError, Outcome};
use nanoclaw_request::{Action, Datagram, DnsName, Resolve, Stage};

use crate::inspect::dns::{Answer, MAX_QUERY, Query, Rcode, TYPE_A, TYPE_AAAA, TYPE_PTR, parse_query, reverse_address};
use crate::names::SyntheticPair;
use crate::path::{Stop, malformed, over_limit};
use crate::{DoorError, Inner};

/// Seconds for which an answer may be kept. It stays true as long as the cell runs, but caches should not outlive it.
const TTL: u32 = 60;

const PROTOCOL_UDP: u8 = 17;

/// Answers queries until the socket fails or the cell is gone.
pub(crate) async fn serve(door: Arc<Inner>, socket: UdpSocket) -> Result<(), DoorError> {
    let socket = tokio::net::UdpSocket::from_std(socket)?;
    let own_address = socket.local_addr()?;
    // One byte more than the longest query, so that a longer one shows.
    let mut buffer = [0; MAX_QUERY + 1];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = door.gone() => break,
        };
        let (length, client) = match received {
            Ok(received) => received,
            // An ICMP error for an earlier answer: that client is gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error.into()),
        };
        if let Some(answer) = door.answer(buffer.get(..length).unwrap_or_default(), own_address).await? {
            // A client that cannot be answered asks again.
            let _ = socket.send_to(&answer, client).await;
        }
    }
    // Nobody waits for these answers, but the questions were asked.
    let socket = socket.into_std()?;
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, _)) => drop(door.answer(buffer.get(..length).unwrap_or_default(), own_address).await?),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(_) => return Ok(()),
        }
    }
}

impl Inner {
    /// The answer to one datagram, if it gets one.
    async fn answer(&self, datagram: &[u8], to: SocketAddr) -> Result<Option<Vec<u8>>, AuditError> {
        let query = match parse_query(datagram) {
            Ok(query) => query,
            Err(error) => {
                self.refuse_datagram(to, error.to_string()).await?;
                return Ok(error.answer);
            }
        };
        let answer = match &query.name {
            Ok(name) => self.look_up(&query, name).await?,
            Err(error) => {
                self.refuse_datagram(to, format!("the name in the DNS query is malformed: {error}")).await?;
                Answer::Nothing(Rcode::NameError)
            }
        };
        Ok(Some(query.answer(&answer, TTL)))
    }

    async fn look_up(&self, query: &Query, name: &DnsName) -> Result<Answer, AuditError> {
        // RFC 6761 section 6.3.
        if name.as_str() == "localhost" || name.as_str().ends_with(".localhost") {
            return Ok(address(query, SyntheticPair { v4: Ipv4Addr::LOCALHOST, v6: Ipv6Addr::LOCALHOST }));
        }
        if query.kind == TYPE_PTR
            && let Some(name) = reverse_address(name).and_then(|address| self.name_behind(address))
        {
            return Ok(Answer::Name(name));
        }
        let resolve = Resolve { name: name.clone(), port: None };
        if !self.services.has(name)
            && let Some((shown, refusal)) = self.leaving().and_then(|leaving| leaving.lookup(&resolve))
        {
            let refused = self.path.walk(shown, |shown| Err((Action::Resolve(shown), refusal)));
            return match refused.await {
                Err(Stop::Closed(error)) => Err(error),
                Ok(_) | Err(_) => Ok(Answer::Nothing(Rcode::NameError)),
            };
        }
        // The warrant for a name was spent on giving it addresses; repeating them is no new act, as long as it would still
        // be allowed.
        let known = self.names.lock().unwrap_or_else(PoisonError::into_inner).get(name);
        if let Some(pair) = known
            && (self.services.has(name) || self.path.would(&Action::Resolve(resolve.clone())))
        {
            return Ok(address(query, pair));
        }
        match self.path.walk(resolve, |resolve| Ok(Action::Resolve(resolve))).await {
            Ok(warrant) => {
                let (_, ticket) = warrant.spend();
                let assigned = self.names.lock().unwrap_or_else(PoisonError::into_inner).assign(name);
                if let Some(pair) = assigned {
                    return Ok(address(query, pair));
                }
                let reason = format!("{} names were looked up already, {name} is one more", self.limits.names);
                self.path.outcome(ticket, Outcome::failed(over_limit(Stage::Act, reason))).await?;
                Ok(Answer::Nothing(Rcode::Refused))
            }
            Err(Stop::Closed(error)) => Err(error),
            Err(Stop::Refused(_) | Stop::Failed(_) | Stop::Gone) => Ok(Answer::Nothing(Rcode::NameError)),
        }
    }

    fn name_behind(&self, address: IpAddr) -> Option<DnsName> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).name_of(address).cloned()
    }

    async fn refuse_datagram(&self, to: SocketAddr, reason: String) -> Result<(), AuditError> {
        let attempted = Datagram { protocol: PROTOCOL_UDP, to };
        let refused = self.path.walk(attempted, |datagram| Err((Action::Datagram(datagram), malformed(reason, ""))));
        match refused.await {
            Err(Stop::Closed(error)) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn address(query: &Query, pair: SyntheticPair) -> Answer {
    match query.kind {
        TYPE_A => Answer::Address(pair.v4.into()),
        TYPE_AAAA => Answer::Address(pair.v6.into()),
        _ => Answer::Nothing(Rcode::NoError),
    }
}
