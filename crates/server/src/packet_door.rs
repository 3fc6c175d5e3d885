//! Packets that are neither TCP nor DNS. The kernel has refused them already; this writes them down.
//!
//! A cell can send them faster than anybody can read. The kernel then passes some over, but numbers all of them, so the
//! log still says how many there were.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nanoclaw_audit::{AuditError, Fact, Note};
use nanoclaw_gate::Gate;
use nanoclaw_identity::CellSockets;
use nanoclaw_request::{Action, Arrived, CellId, Datagram, Door, SessionId};
use nanoclaw_sandbox::net;
use nanoclaw_sandbox::net::log::Packet;
use tokio::io::Interest;
use tokio::time::sleep;

use crate::readiness::watch;

/// How long a flood must pause for the packets that were passed over to be written down as a number.
const PAUSE: Duration = Duration::from_secs(1);

/// Where our own last packet goes: refused like any other, and nowhere if it were not (TEST-NET-1, RFC 5737).
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// Writes down what one cell was refused.
pub(crate) struct PacketDoor {
    cell: (CellId, SessionId),
    sockets: CellSockets,
    gate: Gate,
    /// The number that the next packet has if none is passed over.
    next: u32,
    /// How many were passed over and are not written down yet.
    passed_over: u64,
}

impl PacketDoor {
    /// For one run of a cell.
    pub(crate) fn new(cell: (CellId, SessionId), gate: Gate) -> Self {
        let sockets = CellSockets::of(cell.0.clone(), cell.1);
        Self { cell, sockets, gate, next: 0, passed_over: 0 }
    }

    /// Reads `log` until it fails or the cell is gone. `inside` is a socket of the cell's network.
    pub(crate) async fn serve(
        mut self,
        log: OwnedFd,
        inside: Option<UdpSocket>,
        gone: impl Future<Output = ()> + Send,
    ) -> Result<(), AuditError> {
        let Ok(log) = watch(log) else { return Ok(()) };
        tokio::pin!(gone);
        loop {
            let packets = tokio::select! {
                packets = log.async_io(Interest::READABLE, |log| net::log::receive(log.as_fd())) => packets,
                () = sleep(PAUSE), if self.passed_over > 0 => {
                    self.tell().await?;
                    continue;
                }
                () = &mut gone => break,
            };
            match packets {
                Ok(packets) => self.record(&packets).await?,
                Err(error) if is_overrun(&error) => {}
                Err(_) => break,
            }
        }
        self.rest(log.get_ref(), inside).await?;
        self.tell().await
    }

    /// What is still in the log of a cell that has ended, to the last packet.
    async fn rest(&mut self, log: &OwnedFd, inside: Option<UdpSocket>) -> Result<(), AuditError> {
        loop {
            match net::log::receive(log.as_fd()) {
                Ok(packets) if packets.is_empty() => break,
                Ok(packets) => self.record(&packets).await?,
                Err(error) if is_overrun(&error) => {}
                Err(_) => return Ok(()),
            }
        }
        // Whether the last ones were passed over is seen by the number of one that comes after them.
        let Some(inside) = inside else { return Ok(()) };
        let _refused = inside.send_to(&[], NOWHERE).is_err();
        let ours = |packet: &Packet| packet.to == NOWHERE;
        if let Some(last) = net::log::receive(log.as_fd()).unwrap_or_default().into_iter().rfind(ours) {
            self.count(&last);
        }
        Ok(())
    }

    async fn record(&mut self, packets: &[Packet]) -> Result<(), AuditError> {
        for packet in packets {
            self.count(packet);
            let datagram = Datagram { protocol: packet.protocol, to: packet.to };
            let arrived = self.sockets.identify(Arrived::now(Door::Egress, datagram));
            let proposed = arrived.propose(|datagram| Ok(Action::Datagram(datagram)));
            drop(self.gate.pass_at_once(proposed).await?);
        }
        Ok(())
    }

    fn count(&mut self, packet: &Packet) {
        self.passed_over += u64::from(packet.number.wrapping_sub(self.next));
        self.next = packet.number.wrapping_add(1);
    }

    /// Writes down how many were passed over.
    async fn tell(&mut self) -> Result<(), AuditError> {
        let count = std::mem::take(&mut self.passed_over);
        if count == 0 {
            return Ok(());
        }
        let text = format!("{count} more packets were refused, faster than they could be written down one by one");
        let (id, session) = self.cell.clone();
        self.gate.recorder().note(Note::of_cell(id, session, Fact::Notice(text))).await
    }
}

/// The cell sends faster than we read.
fn is_overrun(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}
