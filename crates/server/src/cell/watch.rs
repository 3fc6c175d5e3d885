//! Watching over a running cell until it is gone.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use nanoclaw_audit::{AuditError, Fact, LimitKind, Note, Outcome, Ticket};
use nanoclaw_config::Limits;
use nanoclaw_request::{CellId, SessionId};
use nanoclaw_sandbox::cgroup::Usage;
use nanoclaw_sandbox::{InitEvent, InitHandle};
use rustix::process::Signal;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::dial::Dials;
use super::{Directive, End, exit_of, next};
use crate::doors::Doors;
use crate::kernel_door::Starting;
use crate::launcher::LaunchEvent;
use crate::plane::Plane;
use crate::program::{NotRun, Programs, RunOrder, failure};
use crate::{disk, memory, say};

/// How long a command has to end after its time is up.
const TIMEOUT_GRACE: Duration = Duration::from_secs(2);

pub(super) struct Watch {
    pub(super) plane: Plane,
    pub(super) id: CellId,
    pub(super) session: SessionId,
    pub(super) number: u64,
    pub(super) init: AsyncFd<InitHandle>,
    pub(super) doors: Doors,
    pub(super) starting: Starting,
    /// Programs that are to be started when the one before them is.
    pub(super) waiting: VecDeque<RunOrder>,
    pub(super) directives: mpsc::UnboundedReceiver<Directive>,
    pub(super) programs: Programs,
    pub(super) dials: Dials,
    pub(super) limits: Limits,
    pub(super) limit: Option<LimitKind>,
}

impl Watch {
    pub(super) async fn run(
        mut self,
        mut launcher: mpsc::UnboundedReceiver<LaunchEvent>,
        ticket: Ticket,
        places: Vec<PathBuf>,
        ended: oneshot::Sender<End>,
    ) {
        let mut status = None;
        let mut directed = true;
        let time = self.limits.timeout;
        let timeout = async {
            match time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let disk_limit = self.limits.disk.unwrap_or(u64::MAX);
        // Ends with this function.
        let mut guards = JoinSet::new();
        if !self.plane.launcher.cgroups().enforced().memory {
            let limit = self.limits.memory.unwrap_or(u64::MAX);
            let cell = (self.id.clone(), self.session);
            guards.spawn(memory::guard(self.plane.recorder.clone(), cell, self.init.get_ref().pid, limit));
        }
        let full = disk::exceeded(places, disk_limit);
        let mut deadline = std::pin::pin!(None::<tokio::time::Sleep>);
        tokio::pin!(timeout, full);
        let mut audit = Ok(());
        let usage = loop {
            tokio::select! {
                event = next(&self.init), if status.is_none() => match event {
                    Some(InitEvent::Exited { n: 0, status: ended }) => status = Some(ended),
                    Some(event) => audit = audit.and(self.program_event(event).await),
                    // Init is gone without a word: it was killed, and the kernel has ended the rest.
                    None => status = Some(128 + Signal::KILL.as_raw()),
                },
                event = launcher.recv() => match event {
                    Some(LaunchEvent::Gone { usage }) => break usage,
                    Some(LaunchEvent::Launched(_) | LaunchEvent::Failed(_)) => {}
                    None => break Usage::default(),
                },
                directive = self.directives.recv(), if directed => match directive {
                    Some(directive) => audit = audit.and(self.direct(directive).await),
                    None => directed = false,
                },
                () = &mut timeout, if self.limit.is_none() => {
                    let time = time.unwrap_or_default().as_secs_f64();
                    audit = audit.and(self.reached(LimitKind::Timeout, format!("{time} s of wall time")).await);
                    self.signal(0, Signal::TERM.as_raw());
                    deadline.set(Some(tokio::time::sleep(TIMEOUT_GRACE)));
                }
                (place, grown) = &mut full, if self.limit.is_none() => {
                    let detail = format!("`{}` grew by {grown} of {disk_limit} bytes", place.display());
                    audit = audit.and(self.reached(LimitKind::Disk, detail).await);
                    self.kill();
                }
                () = async { if let Some(deadline) = deadline.as_mut().as_pin_mut() { deadline.await } }, if deadline.is_some() => {
                    deadline.set(None);
                    self.kill();
                }
                // A door that cannot record is closed, and a cell without its doors does not run on.
                Some(closed) = self.doors.closed() => if let Err(error) = closed {
                    say(format_args!("cell `{}` is ended, as one of its doors is closed: {error}", self.id));
                    self.kill();
                },
            }
            if audit.is_err() {
                self.kill();
            }
        };
        // Whoever asks for something from now on is told at once that there is nobody.
        self.directives.close();
        while self.directives.try_recv().is_ok() {}
        self.dials = Dials::default();
        self.waiting.clear();
        // Init's last words may still be on their way to us when it is gone already.
        while let Ok(Some(event)) = self.init.get_ref().event() {
            match event {
                InitEvent::Exited { n: 0, status: ended } => status = Some(ended),
                event => audit = audit.and(self.program_event(event).await),
            }
        }
        if let Err(error) = audit {
            say(format_args!("what happened in cell `{}` cannot be recorded: {error}", self.id));
        }
        if let Err(error) = self.doors.finish().await {
            say(format_args!("what cell `{}` did last cannot be recorded: {error}", self.id));
        }
        let end = End { status: status.unwrap_or(128 + Signal::KILL.as_raw()), limit: self.limit, usage };
        if let Err(error) = self.close(&end, ticket).await {
            say(format_args!("the end of cell `{}` cannot be recorded: {error}", self.id));
        }
        let _nobody_waits = ended.send(end).is_err();
    }

    async fn program_event(&mut self, event: InitEvent) -> Result<(), AuditError> {
        let ended = match event {
            InitEvent::Started { n, terminal } => {
                if !self.programs.started(n, terminal) {
                    self.signal(n, Signal::KILL.as_raw());
                }
                self.start_next().await?;
                None
            }
            InitEvent::NotStarted { n, errno } => {
                let ended = self.programs.not_started(n, errno);
                self.start_next().await?;
                ended
            }
            InitEvent::Exited { n, status } => self.programs.exited(n, status),
            InitEvent::Dialled { n, socket } => {
                self.dials.answered(n, Ok(socket));
                None
            }
            InitEvent::NotDialled { n, errno } => {
                self.dials.answered(n, Err(errno));
                None
            }
            InitEvent::Ready(_) | InitEvent::Failed(_) => None,
        };
        match ended {
            Some((ticket, outcome)) => self.plane.recorder.outcome(ticket, outcome).await,
            None => Ok(()),
        }
    }

    async fn direct(&mut self, directive: Directive) -> Result<(), AuditError> {
        match directive {
            Directive::Signal(n, signal) => self.signal(n, signal),
            Directive::Kill => self.kill(),
            Directive::Run(order) => {
                self.waiting.push_back(*order);
                if !self.starting.is_busy() {
                    return self.start_next().await;
                }
            }
            Directive::Dial(port, asker) => self.dials.start(self.init.get_ref(), port, asker),
        }
        Ok(())
    }

    /// Starts the next program that somebody waits for. One at a time: the system call door must know which one it is.
    async fn start_next(&mut self) -> Result<(), AuditError> {
        while let Some(order) = self.waiting.pop_front() {
            let (ticket, outcome) = if order.started.is_closed() {
                let (_action, ticket) = order.warrant.spend();
                (ticket, Outcome::failed(failure(&NotRun::Late)))
            } else {
                self.starting.set(Some(order.program.command.clone()));
                match self.programs.start(self.init.get_ref(), order) {
                    Some(failed) => failed,
                    None => return Ok(()),
                }
            };
            self.plane.recorder.outcome(ticket, outcome).await?;
        }
        self.starting.set(None);
        Ok(())
    }

    fn signal(&self, n: u64, signal: i32) {
        // An init that is gone has nothing left to signal.
        let _gone = self.init.get_ref().signal(n, signal).is_err();
    }

    fn kill(&self) {
        let _gone = self.plane.launcher.kill(self.number).is_err();
    }

    async fn reached(&mut self, limit: LimitKind, detail: String) -> Result<(), AuditError> {
        self.limit = Some(limit);
        self.note(Fact::LimitReached { limit, detail }).await
    }

    async fn note(&self, fact: Fact) -> Result<(), AuditError> {
        self.plane.recorder.note(Note::of_cell(self.id.clone(), self.session, fact)).await
    }

    /// Writes down how it ended.
    async fn close(&mut self, end: &End, ticket: Ticket) -> Result<(), AuditError> {
        let usage = &end.usage;
        if let Some(killed @ 1..) = usage.oom_kills {
            let detail = format!("{killed} processes killed at {} bytes", self.limits.memory.unwrap_or(0));
            self.note(Fact::LimitReached { limit: LimitKind::Memory, detail }).await?;
        }
        if let Some(refused @ 1..) = usage.pids_refused {
            let detail = format!("{refused} forks refused at {} processes", self.limits.pids.unwrap_or(0));
            self.note(Fact::LimitReached { limit: LimitKind::Pids, detail }).await?;
        }
        for (ticket, outcome) in self.programs.over() {
            self.plane.recorder.outcome(ticket, outcome).await?;
        }
        let exit = exit_of(end.status);
        self.note(Fact::CellExited(exit)).await?;
        self.plane.recorder.outcome(ticket, Outcome { exit: Some(exit), ..Outcome::default() }).await?;
        self.plane.recorder.flush().await
    }
}
