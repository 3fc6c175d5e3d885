//! Connections of the control plane to servers inside a cell.
//!
//! The cell's init begins each one in its own network and passes the socket out; waiting for it is done here, so that a
//! server that does not accept holds up nobody else.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream as Socket;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nanoclaw_sandbox::InitHandle;
use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::program::NotRun;

/// Longest wait for a server inside a cell to take a connection.
const LONGEST_DIAL: Duration = Duration::from_secs(5);

/// What became of a connection: its socket, or the errno of what failed.
type Begun = Result<OwnedFd, i32>;

/// Whoever waits for a connection. Gone without a word, the cell has ended.
pub(super) type Asker = oneshot::Sender<Begun>;

/// The connections of one cell that its init was asked for.
#[derive(Default)]
pub(super) struct Dials {
    last: u64,
    waiting: HashMap<u64, Asker>,
}

impl Dials {
    /// Tells the cell's init to begin one.
    pub(super) fn start(&mut self, init: &InitHandle, port: u16, asker: Asker) {
        self.last += 1;
        // Where this fails, init is gone, and with it the asker.
        if init.dial(self.last, port).is_ok() {
            self.waiting.insert(self.last, asker);
        }
    }

    /// What became of connection `n`.
    pub(super) fn answered(&mut self, n: u64, begun: Begun) {
        if let Some(asker) = self.waiting.remove(&n) {
            let _asker_left = asker.send(begun).is_err();
        }
    }
}

/// Waits until the connection to `port` stands.
pub(super) async fn connection(port: u16, begun: oneshot::Receiver<Begun>) -> io::Result<TcpStream> {
    let connected = async {
        let socket = begun.await.map_err(|_| io::Error::new(io::ErrorKind::NotConnected, NotRun::CellGone))?;
        connected(socket.map_err(io::Error::from_raw_os_error)?).await
    };
    let result = timeout(LONGEST_DIAL, connected).await.unwrap_or_else(|_| Err(Errno::TIMEDOUT.into()));
    result.map_err(|error| explained(port, error))
}

async fn connected(socket: OwnedFd) -> io::Result<TcpStream> {
    let stream = TcpStream::from_std(Socket::from(socket))?;
    stream.writable().await?;
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    // A port that nobody listens on can become the connection's own, and then it is connected to itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(Errno::CONNREFUSED.into());
    }
    // Only a matter of latency; a connection that refuses the option still works.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// The same error, in words that name the place.
fn explained(port: u16, error: io::Error) -> io::Error {
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::AddrInUse => "a door of the cell answers there; let the server use another port".to_owned(),
        io::ErrorKind::TimedOut => format!("what listens there accepts no connection within {LONGEST_DIAL:?}"),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot connect to `127.0.0.1:{port}` in the cell: {what}"))
}
