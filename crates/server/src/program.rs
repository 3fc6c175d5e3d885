//! Further programs in a running cell: what `nanoclaw exec` and health checks start.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nanoclaw_audit::{Outcome, Ticket, Warrant};
use nanoclaw_request::{Refusal, RefusalCode, Stage};
use nanoclaw_sandbox::InitHandle;
use nanoclaw_sandbox::plan::Program;
use rustix::io::Errno;
use rustix::process::Signal;
use tokio::sync::oneshot;

use crate::cell::exit_of;

/// Longest wait for a program to start. A cell can stop the process that is to become it.
pub(crate) const LONGEST_START: Duration = Duration::from_secs(10);

/// A further program in a cell.
pub struct RunningProgram {
    /// Its number in the cell, for signals.
    pub n: u64,
    /// The master of its terminal.
    pub terminal: Option<OwnedFd>,
    /// Its exit status, or 128 + signal; closed without a value when the cell ended first.
    pub status: oneshot::Receiver<i32>,
}

/// Why a further program does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRun {
    /// There is no cell any more.
    #[error("the cell has ended")]
    CellGone,
    /// It takes too long. Should it begin all the same, it is ended.
    #[error(
        "it did not start within {} s: processes of the cell may hold it up, and `nanoclaw stop` ends them",
        LONGEST_START.as_secs()
    )]
    Late,
    /// The program is not there or cannot be run.
    #[error("{}", std::io::Error::from_raw_os_error(*.errno))]
    Program {
        /// Why.
        errno: i32,
    },
}

/// An order to run one.
pub(crate) struct RunOrder {
    pub(crate) warrant: Warrant,
    pub(crate) program: Program,
    pub(crate) stdio: Vec<OwnedFd>,
    pub(crate) started: Asker,
}

/// Whoever waits for a program to start.
type Asker = oneshot::Sender<Result<RunningProgram, NotRun>>;

/// The further programs of one cell.
#[derive(Default)]
pub(crate) struct Programs {
    last: u64,
    starting: HashMap<u64, (Asker, oneshot::Receiver<i32>)>,
    running: HashMap<u64, (Ticket, oneshot::Sender<i32>)>,
}

impl Programs {
    /// Tells the cell's init to start one. Where that is not possible, gives what is to be recorded of it.
    pub(crate) fn start(&mut self, init: &InitHandle, order: RunOrder) -> Option<(Ticket, Outcome)> {
        let RunOrder { warrant, program, stdio, started } = order;
        self.last += 1;
        let borrowed: Vec<BorrowedFd<'_>> = stdio.iter().map(AsFd::as_fd).collect();
        let (ticket, told) = init.run(warrant, self.last, &program, &borrowed);
        let Err(error) = told else {
            let (ended, status) = oneshot::channel();
            self.starting.insert(self.last, (started, status));
            self.running.insert(self.last, (ticket, ended));
            return None;
        };
        let why = match error.raw_os_error() {
            Some(errno) if errno != Errno::PIPE.raw_os_error() => NotRun::Program { errno },
            Some(_) | None => NotRun::CellGone,
        };
        let outcome = Outcome::failed(failure(&why));
        let _asker_left = started.send(Err(why)).is_err();
        Some((ticket, outcome))
    }

    /// Program `n` runs. `false`: whoever wanted it has left.
    pub(crate) fn started(&mut self, n: u64, terminal: Option<OwnedFd>) -> bool {
        let asker = self.starting.remove(&n);
        asker.is_none_or(|(answer, status)| answer.send(Ok(RunningProgram { n, terminal, status })).is_ok())
    }

    /// Program `n` could not be started; gives what is to be recorded of it.
    pub(crate) fn not_started(&mut self, n: u64, errno: i32) -> Option<(Ticket, Outcome)> {
        let why = NotRun::Program { errno };
        if let Some((answer, _)) = self.starting.remove(&n) {
            let _asker_left = answer.send(Err(why)).is_err();
        }
        let (ticket, _) = self.running.remove(&n)?;
        Some((ticket, Outcome::failed(failure(&why))))
    }

    /// Program `n` has ended; gives what is to be recorded of it.
    pub(crate) fn exited(&mut self, n: u64, status: i32) -> Option<(Ticket, Outcome)> {
        let (ticket, waiter) = self.running.remove(&n)?;
        let _waiter_left = waiter.send(status).is_err();
        Some((ticket, Outcome { exit: Some(exit_of(status)), ..Outcome::default() }))
    }

    /// The cell has ended, and all programs with it; gives what is to be recorded of them.
    pub(crate) fn over(&mut self) -> Vec<(Ticket, Outcome)> {
        self.starting.clear();
        let killed = || Outcome { exit: Some(exit_of(128 + Signal::KILL.as_raw())), ..Outcome::default() };
        self.running.drain().map(|(_, (ticket, _))| (ticket, killed())).collect()
    }
}

/// How a program that was allowed and could not be started stands in the log.
pub(crate) fn failure(why: &NotRun) -> Refusal {
    Refusal {
        stage: Stage::Act,
        code: RefusalCode::ExecNotAllowed,
        reason: format!("it could not be started: {why}"),
        help: String::new(),
    }
}
