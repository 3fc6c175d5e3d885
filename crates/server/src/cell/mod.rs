//! One run of a cell, from the order to its end.
//!
//! The cell is built while its launch is being written to disk; its command starts when both are done (`launch`). Then
//! three doors serve it (network, system calls, stray packets), and one task watches over it: exits, limits, orders of
//! the operator (`watch`), connections of ours to servers inside (`dial`). If a door cannot record, the cell ends.

mod dial;
mod launch;
mod watch;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use nanoclaw_audit::{Exit, LimitKind, Warrant};
use nanoclaw_config::{NetRule, NetTarget};
use nanoclaw_gate::Gate;
use nanoclaw_policy::CellRules;
use nanoclaw_request::{CellId, SessionId};
use nanoclaw_sandbox::cgroup::Usage;
use nanoclaw_sandbox::plan::Program;
use nanoclaw_sandbox::{CellSpec, InitEvent, InitHandle};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::plane::Plane;
use crate::program::{LONGEST_START, NotRun, RunOrder, RunningProgram};

pub(crate) use launch::launch_warrant;
pub use launch::{LaunchError, launch};

/// A cell to run.
#[derive(Clone, Debug)]
pub struct Order {
    /// The cell.
    pub spec: CellSpec,
    /// What it may do, where the policies in force do not know it.
    pub rules: CellRules,
}

/// How a cell ended.
#[derive(Clone, Debug)]
pub struct End {
    /// Exit status of the command, or 128 + the signal that ended it.
    pub status: i32,
    /// The limit that ended the cell, if one did.
    pub limit: Option<LimitKind>,
    /// What it used in all.
    pub usage: Usage,
}

/// A cell that runs.
pub struct Cell {
    /// Its name.
    pub id: CellId,
    /// This run of it.
    pub session: SessionId,
    /// Its init's pid on the host.
    pub pid: i32,
    /// The master of its command's terminal, where it has one.
    pub terminal: Option<OwnedFd>,
    pub(crate) gate: Gate,
    number: u64,
    base: Program,
    orders: mpsc::UnboundedSender<Directive>,
    end: oneshot::Receiver<End>,
}

/// Steers a running cell from anywhere.
#[derive(Clone)]
pub struct Steering {
    plane: Plane,
    number: u64,
    base: Arc<Program>,
    orders: mpsc::UnboundedSender<Directive>,
}

enum Directive {
    Signal(u64, i32),
    Run(Box<RunOrder>),
    Dial(u16, dial::Asker),
    Kill,
}

impl Cell {
    /// Waits for its end.
    pub async fn wait(&mut self) -> End {
        (&mut self.end).await.unwrap_or(End { status: 125, limit: None, usage: Usage::default() })
    }

    /// A handle to steer it with.
    pub fn steering(&self, plane: &Plane) -> Steering {
        Steering {
            plane: plane.clone(),
            number: self.number,
            base: Arc::new(self.base.clone()),
            orders: self.orders.clone(),
        }
    }
}

impl Steering {
    /// Sends a signal to the process group of program `n` (0 is the command). Nothing happens where it has ended.
    pub fn signal(&self, n: u64, signal: i32) {
        let _ended = self.orders.send(Directive::Signal(n, signal)).is_err();
    }

    /// Waits until the cell has ended.
    pub async fn ended(&self) {
        self.orders.closed().await;
    }

    /// Ends the cell at once.
    pub fn kill(&self) {
        let _ended = self.orders.send(Directive::Kill).is_err();
    }

    /// Runs one more program, with the environment and directory of the command.
    pub async fn run(
        &self,
        warrant: Warrant,
        command: Vec<String>,
        terminal: Option<nanoclaw_sandbox::TerminalSize>,
        stdio: Vec<OwnedFd>,
    ) -> Result<RunningProgram, NotRun> {
        let mut program = Program { command, terminal, ..(*self.base).clone() };
        if terminal.is_some() {
            program.env.insert("TERM".to_owned(), "xterm-256color".to_owned());
        }
        let (started, answer) = oneshot::channel();
        let order = Box::new(RunOrder { warrant, program, stdio, started });
        self.orders.send(Directive::Run(order)).map_err(|_| NotRun::CellGone)?;
        match timeout(LONGEST_START, answer).await {
            Ok(answer) => answer.unwrap_or(Err(NotRun::CellGone)),
            Err(_) => Err(NotRun::Late),
        }
    }

    /// Opens a connection to `port` on 127.0.0.1 inside the cell, to a server that an agent runs there. No port of the
    /// host is involved. This is for the control plane itself, on behalf of somebody whose request was authorised
    /// before; what answers is a program of the cell, and to be believed no more than that.
    ///
    /// # Errors
    /// `NotConnected`: the cell has ended. `ConnectionRefused`: nothing listens there. `AddrInUse`: a door of the cell
    /// listens there. `TimedOut`: what listens there does not accept. Others as of connect(2).
    pub async fn dial(&self, port: u16) -> io::Result<TcpStream> {
        let (asker, answer) = oneshot::channel();
        // Where this fails the asker is gone with it, and the answer says so.
        let _ended = self.orders.send(Directive::Dial(port, asker)).is_err();
        dial::connection(port, answer).await
    }

    /// What the cell uses now.
    pub async fn usage(&self) -> Usage {
        self.plane.launcher.usage(self.number).await
    }
}

/// The services on the host's loopback that rules name.
pub fn host_services(networks: &[NetRule]) -> Vec<std::net::SocketAddr> {
    networks
        .iter()
        .filter_map(|rule| match rule.target {
            NetTarget::HostService { address } => Some(address),
            NetTarget::Host { .. } | NetTarget::Cidr { .. } => None,
        })
        .collect()
}

/// The next word of a cell's init; `None` when it is gone or speaks nonsense.
async fn next(init: &AsyncFd<InitHandle>) -> Option<InitEvent> {
    init.async_io(Interest::READABLE, InitHandle::event).await.ok().flatten()
}

/// 128 + n is how a shell, and our init, tell of signal n; a program that itself exits so is recorded as killed.
pub(crate) fn exit_of(status: i32) -> Exit {
    if (129..=192).contains(&status) { Exit::Signal(status - 128) } else { Exit::Code(status) }
}
