//! Packets that are neither TCP nor DNS. The kernel has refused them already; this writes them down.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nanoclaw_audit::{AuditError, Recorder};
use nanoclaw_identity::CellSockets;
use nanoclaw_policy::{Engine, Verdict};
use nanoclaw_request::{Action, Arrived, Datagram, Door};
use nanoclaw_sandbox::net;
use tokio::io::Interest;

use crate::readiness::watch;

/// Serves until the socket fails, which is when the cell's network is gone.
pub(crate) async fn serve(log: OwnedFd, sockets: CellSockets, engine: Arc<Engine>, recorder: Recorder) -> Result<(), AuditError> {
    let Ok(log) = watch(log) else { return Ok(()) };
    loop {
        let packets = match log.async_io(Interest::READABLE, |log| net::log::receive(log.as_fd())).await {
            Ok(packets) => packets,
            // The cell sends faster than we read: some packets were refused without a record of their own. The ones
            // that are read make the flood visible.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => continue,
            Err(_) => return Ok(()),
        };
        for packet in packets {
            let arrived = sockets.identify(Arrived::now(Door::Egress, packet));
            let proposed = arrived.propose(|packet| Ok(Action::Datagram(Datagram { protocol: packet.protocol, to: packet.to })));
            let verdict = match proposed {
                Ok(proposal) => engine.authorise(proposal),
                Err(declined) => Verdict::Refused(declined),
            };
            drop(recorder.record(verdict).await?);
        }
    }
}
