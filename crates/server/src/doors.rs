//! The doors of one cell: open before its command starts, and closed after its last process has ended.

use std::net::UdpSocket;
use std::time::Duration;

use nanoclaw_config::{ModelAccess, SandboxMode};
use nanoclaw_egress::{Door, DoorError, DoorLimits, DoorSockets, Outside};
use nanoclaw_gate::Gate;
use nanoclaw_identity::CellSockets;
use nanoclaw_llm::ModelDoor;
use nanoclaw_request::{CellId, SessionId};
use nanoclaw_sandbox::notify::{CellView, Listener};
use nanoclaw_sandbox::{CellDescriptors, StepError, net};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::kernel_door::Starting;
use crate::packet_door::PacketDoor;
use crate::plane::Plane;
use crate::{kernel_door, model_door, say};

/// How long the doors have to write down what happened last. The network door has a shorter time of its own.
const FINISH: Duration = Duration::from_secs(10);

/// The doors of one cell.
pub(crate) struct Doors {
    tasks: JoinSet<Result<(), DoorError>>,
    gone: watch::Sender<bool>,
}

impl Doors {
    /// Opens them for one run of a cell. `mode` and `host_id` (uid and gid of the cell's user on the host) say what the kernel will refuse.
    pub(crate) fn open(
        plane: &Plane,
        cell: (CellId, SessionId),
        (mode, host_id): (SandboxMode, (u32, u32)),
        descriptors: CellDescriptors,
        starting: &Starting,
        gate: &Gate,
        models: Option<&ModelAccess>,
    ) -> Result<Self, StepError> {
        let CellDescriptors { tcp, proxy, dns, log, seccomp, root } = descriptors;
        let sockets = CellSockets::of(cell.0.clone(), cell.1);
        let dns: Vec<UdpSocket> = dns.into_iter().map(Into::into).collect();
        let failed = |error| StepError::new("open the doors", error, "");
        let inside = dns.first().map(UdpSocket::try_clone).transpose().map_err(failed)?;
        let view = CellView::new(root, mode, host_id.0, host_id.1);
        let listener = Listener::new(seccomp).map_err(|error| StepError::new("listen to system calls", error, ""))?;
        let (gone, _) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let kernel = kernel_door::serve(listener, view, starting.clone(), sockets.clone(), gate.clone());
        tasks.spawn(async { Ok(kernel.await?) });
        let services = match (&plane.models, models) {
            (Some(all), Some(access)) => {
                let door = ModelDoor::new(all, cell.0.clone(), access.clone(), sockets.clone(), gate.clone());
                vec![model_door::service(door).map_err(|error| StepError::new("open the model door", error, ""))?]
            }
            (None, _) | (_, None) => Vec::new(),
        };
        let packets = PacketDoor::new(cell, gate.clone());
        let cell_gone = until(gone.subscribe());
        tasks.spawn(async move { Ok(packets.serve(log, inside, cell_gone).await?) });
        let outside = Outside::system();
        let limits = DoorLimits::default();
        let network = Door::with_services(sockets, gate.clone(), outside, limits, services);
        let network_sockets = DoorSockets {
            tcp: tcp.into_iter().map(Into::into).collect(),
            proxy: proxy.into_iter().map(Into::into).collect(),
            dns,
            original_destination: net::original_destination,
        };
        tasks.spawn(network.serve(network_sockets, until(gone.subscribe())));
        Ok(Self { tasks, gone })
    }

    /// The next door that has closed; `None` when there is none left.
    pub(crate) async fn closed(&mut self) -> Option<Result<(), DoorError>> {
        match self.tasks.join_next().await? {
            Ok(closed) => Some(closed),
            Err(error) => Some(Err(DoorError::Socket(std::io::Error::other(error)))),
        }
    }

    /// Closes them, after the last process of the cell has ended. What it did last is on record then.
    pub(crate) async fn finish(&mut self) -> Result<(), DoorError> {
        self.gone.send_replace(true);
        let all = async {
            while let Some(closed) = self.closed().await {
                closed?;
            }
            Ok(())
        };
        timeout(FINISH, all).await.unwrap_or_else(|_| {
            say(format_args!("a door did not close within {FINISH:?}"));
            Ok(())
        })
    }
}

async fn until(mut gone: watch::Receiver<bool>) {
    // Without a sender the doors are being dropped.
    let _ = gone.wait_for(|gone| *gone).await;
}
