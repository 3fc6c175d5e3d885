//! Taking connections and datagrams from the sockets of the door.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use nanoclaw_audit::AuditError;
use nanoclaw_request::{Action, Connect, Destination, Evidence, Stage, Via};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::path::{Stop, over_limit};
use crate::wire::Wire;
use crate::{DoorError, DoorSockets, Inner, OriginalDestination, connection, respond, stub};

/// What a listener is for.
#[derive(Clone, Copy)]
enum Entrance {
    Transparent(OriginalDestination),
    Proxy,
}

/// Serves all sockets until one fails or the cell is gone.
pub(crate) async fn serve(
    door: Arc<Inner>,
    sockets: DoorSockets,
    gone: impl Future<Output = ()> + Send,
) -> Result<(), DoorError> {
    let mut tasks = JoinSet::new();
    for listener in sockets.tcp {
        tasks.spawn(listen(Arc::clone(&door), listener, Entrance::Transparent(sockets.original_destination)));
    }
    for listener in sockets.proxy {
        tasks.spawn(listen(Arc::clone(&door), listener, Entrance::Proxy));
    }
    for socket in sockets.dns {
        tasks.spawn(stub::serve(Arc::clone(&door), socket));
    }
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(io::Error::other)??;
        }
        Ok(())
    };
    tokio::pin!(all);
    tokio::select! {
        ended = &mut all => return ended,
        () = gone => {}
    }
    door.gone.send_replace(true);
    // What takes longer is cut off.
    timeout(door.limits.leave, all).await.unwrap_or(Ok(()))
}

async fn listen(door: Arc<Inner>, listener: TcpListener, entrance: Entrance) -> Result<(), DoorError> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let own_address = listener.local_addr()?;
    let mut connections = JoinSet::new();
    let mut pause = Pause::default();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    pause.reset();
                    admit(&door, &mut connections, stream, entrance, own_address).await?;
                }
                Err(error) => pause.after(&error).await,
            },
            // A connection whose record failed closes the door; one that panicked is only itself gone.
            Some(Ok(ended)) = connections.join_next() => ended?,
            () = door.gone() => break,
        }
    }
    // What was not accepted yet happened while the cell lived.
    let listener = listener.into_std()?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                admit(&door, &mut connections, TcpStream::from_std(stream)?, entrance, own_address).await?;
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => break,
        }
    }
    while let Some(ended) = connections.join_next().await {
        ended.unwrap_or(Ok(()))?;
    }
    Ok(())
}

/// Whether an error of accept(2) concerns one connection that is gone, and not the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// Starts serving a connection, or refuses it when there are too many.
async fn admit(
    door: &Arc<Inner>,
    connections: &mut JoinSet<Result<(), AuditError>>,
    stream: TcpStream,
    entrance: Entrance,
    own_address: SocketAddr,
) -> Result<(), AuditError> {
    door.meter.connection();
    let (to, via) = match entrance {
        Entrance::Proxy => (own_address, Via::HttpConnect),
        // A connection that the kernel knows no other destination of was made to this listener itself, and is decided
        // on as such.
        Entrance::Transparent(original_destination) => {
            (original_destination(stream.as_fd()).unwrap_or(own_address), Via::Transparent)
        }
    };
    let Ok(permit) = Arc::clone(&door.connections).try_acquire_owned() else {
        return too_many(door, stream, door.intended(to), via).await;
    };
    let door = Arc::clone(door);
    connections.spawn(async move {
        let _permit = permit;
        match entrance {
            Entrance::Transparent(_) => connection::transparent(door, stream, to).await,
            Entrance::Proxy => connection::proxied(door, stream, to).await,
        }
    });
    Ok(())
}

/// Records and resets. While this waits for the recorder nothing is accepted, so a flood slows itself down.
async fn too_many(door: &Inner, stream: TcpStream, destination: Destination, via: Via) -> Result<(), AuditError> {
    respond::reset(&Wire::new(stream));
    let reason =
        format!("{} connections are open already, for {destination} there is none left", door.limits.connections);
    let attempted = Connect { destination, via, evidence: Evidence::Silent, addresses: Vec::new() };
    let refused =
        door.path.walk(attempted, |connect| Err((Action::Connect(connect), over_limit(Stage::Inspect, reason))));
    match refused.await {
        Err(Stop::Closed(error)) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The growing pause after errors of accept(2) that come back at once, such as a full descriptor table.
#[derive(Default)]
struct Pause {
    next: Duration,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);

    fn reset(&mut self) {
        self.next = Duration::ZERO;
    }

    async fn after(&mut self, error: &io::Error) {
        if is_of_one_connection(error) {
            return;
        }
        self.next = (self.next * 2).clamp(Self::FIRST, Self::LONGEST);
        tokio::time::sleep(self.next).await;
    }
}
