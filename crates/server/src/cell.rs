//! One run of a cell, from the order to its end.
//!
//! The cell is built while its launch is being written to disk; its command starts when both are done. Then three
//! doors serve it (network, system calls, stray packets), and one task watches over it: exits, limits, orders of the
//! operator. If a door cannot record, the cell ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nanoclaw_audit::{AuditError, Exit, Fact, LimitKind, Note, Outcome, Recorded, Warrant};
use nanoclaw_config::{Limits, MountMode, NetRule, NetTarget, SandboxMode};
use nanoclaw_identity::identify_operator;
use nanoclaw_policy::{Engine, Verdict};
use nanoclaw_request::{Action, Arrived, CellId, Door, Launch, Refusal, RefusalCode, SessionId, Stage};
use nanoclaw_sandbox::cgroup::Usage;
use nanoclaw_sandbox::plan::Program;
use nanoclaw_sandbox::{CellDescriptors, CellSpec, InitEvent, InitHandle, StepError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::doors::Doors;
use crate::kernel_door::Starting;
use crate::launcher::LaunchEvent;
use crate::plane::Plane;
use crate::program::{NotRun, Programs, RunOrder, RunningProgram};
use crate::readiness::watch;
use crate::say;
use crate::{disk, memory};

/// How long a command has to end after its time is up.
const TIMEOUT_GRACE: Duration = Duration::from_secs(2);

/// A cell to run.
#[derive(Clone, Debug)]
pub struct Order {
    /// The cell.
    pub spec: CellSpec,
    /// What it may reach.
    pub networks: Vec<NetRule>,
}

/// Why a cell did not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A step of building it failed.
    #[error("cell `{cell}` was not started: {error}")]
    Step {
        /// Which cell.
        cell: CellId,
        /// Which step.
        error: StepError,
    },
    /// The launch could not be recorded.
    #[error("cell `{cell}` was not started, because its launch cannot be recorded: {error}")]
    Audit {
        /// Which cell.
        cell: CellId,
        /// Why.
        error: AuditError,
    },
    /// The policy does not allow it.
    #[error("cell `{cell}` was not started: {refusal}")]
    Refused {
        /// Which cell.
        cell: CellId,
        /// Why.
        refusal: Refusal,
    },
    /// The command is not there or cannot be run.
    #[error("cell `{cell}` was not started: cannot run `{program}` in it: {}", std::io::Error::from_raw_os_error(*.errno))]
    Command {
        /// Which cell.
        cell: CellId,
        /// Which command.
        program: String,
        /// Why.
        errno: i32,
    },
    /// The directory to start in is not there.
    #[error("cell `{cell}` was not started: `{}` is no directory in it; choose another with `workdir`", .directory.display())]
    Directory {
        /// Which cell.
        cell: CellId,
        /// Which directory.
        directory: PathBuf,
    },
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
        answer.await.unwrap_or(Err(NotRun::CellGone))
    }

    /// What the cell uses now.
    pub async fn usage(&self) -> Usage {
        self.plane.launcher.usage(self.number).await
    }
}

/// Starts a cell with these standard descriptors (none where the spec asks for a terminal).
pub async fn launch(plane: &Plane, order: Order, stdio: Vec<OwnedFd>) -> Result<Cell, LaunchError> {
    let id = order.spec.id.clone();
    let step = |error| LaunchError::Step { cell: id.clone(), error };
    let session = new_session().map_err(|error| step(StepError::new("draw random bytes", error, "")))?;
    let plan = plane.launcher.plan(&order.spec).map_err(step)?;
    let (number, events) =
        plane.launcher.prepare(&plan).map_err(|error| step(StepError::new("ask the launcher", error, "")))?;
    let engine = Arc::new(Engine::new(id.clone(), order.networks.clone()));
    let mut launch = Launching { plane, id: &id, number, events };
    let outcome = tokio::try_join!(warrant(plane, &id, session, &order, &engine), launch.built());
    let (warrant, (init, descriptors)) = match outcome {
        Ok(both) => both,
        Err(error) => {
            // Whatever was built so far goes away.
            let _gone_already = plane.launcher.kill(number).is_err();
            return Err(error);
        }
    };
    let starting = Starting::of(init.get_ref().pid);
    starting.set(order.spec.command.first().cloned());
    let view = (order.spec.mode, init.get_ref().host_id);
    let doors = Doors::open(plane, (id.clone(), session), view, descriptors, &starting, &engine).map_err(step)?;
    let borrowed: Vec<BorrowedFd<'_>> = stdio.iter().map(AsFd::as_fd).collect();
    let ticket = init
        .get_ref()
        .start(warrant, &plan.program, &borrowed)
        .map_err(|error| step(StepError::new("start the command", error, "")))?;
    drop(stdio);
    let terminal = match next(&init).await {
        Some(InitEvent::Started { terminal, .. }) => terminal,
        other => {
            let errno = if let Some(InitEvent::NotStarted { errno, .. }) = other {
                errno
            } else {
                rustix::io::Errno::IO.raw_os_error()
            };
            let program = order.spec.command.first().cloned().unwrap_or_default();
            let error = if errno == rustix::io::Errno::NOTDIR.raw_os_error() {
                LaunchError::Directory { cell: id.clone(), directory: plan.program.workdir.clone() }
            } else {
                LaunchError::Command { cell: id.clone(), program, errno }
            };
            let refusal = Refusal {
                stage: Stage::Act,
                code: RefusalCode::ExecNotAllowed,
                reason: error.to_string(),
                help: String::new(),
            };
            plane
                .recorder
                .outcome(ticket, Outcome::failed(refusal))
                .await
                .map_err(|error| LaunchError::Audit { cell: id.clone(), error })?;
            let _gone_already = plane.launcher.kill(number).is_err();
            return Err(error);
        }
    };
    starting.set(None);
    let (orders, directives) = mpsc::unbounded_channel();
    let (ended, end) = oneshot::channel();
    let pid = init.get_ref().pid;
    let watch = Watch {
        plane: plane.clone(),
        id: id.clone(),
        session,
        number,
        init,
        doors,
        starting_program: starting,
        directives,
        programs: Programs::default(),
        limits: order.spec.limits.or(Limits::DEFAULT),
        limit: None,
    };
    let places = order.spec.mounts.iter().filter(|m| m.mode == MountMode::Rw).map(|m| m.source.clone()).collect();
    tokio::spawn(watch.run(launch.events, ticket, places, ended));
    Ok(Cell { id, session, pid, terminal, number, base: plan.program, orders, end })
}

fn new_session() -> std::io::Result<SessionId> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(SessionId::from_random(bytes))
}

/// Walks the path for the launch itself: identified, authorised, and on disk.
async fn warrant(
    plane: &Plane,
    id: &CellId,
    session: SessionId,
    order: &Order,
    engine: &Engine,
) -> Result<Warrant, LaunchError> {
    let launch = Launch { cell: id.clone(), session, command: order.spec.command.clone(), summary: summary(order) };
    launch_warrant(plane, engine, launch).await
}

/// A warrant to start `launch` in its cell, asked for by whoever runs this control plane.
pub(crate) async fn launch_warrant(plane: &Plane, engine: &Engine, launch: Launch) -> Result<Warrant, LaunchError> {
    let cell = launch.cell.clone();
    let uid = rustix::process::getuid().as_raw();
    let verdict = identify_operator(Arrived::now(Door::Launcher, launch), uid, uid)
        .map_err(|refusal| LaunchError::Refused { cell: cell.clone(), refusal })?
        .propose(|launch| Ok(Action::Launch(launch)))
        .map_or_else(Verdict::Refused, |proposal| engine.authorise(proposal));
    match plane.recorder.record(verdict).await {
        Ok(Recorded::Proceed(warrant)) => Ok(warrant),
        Ok(Recorded::Stop(declined)) => Err(LaunchError::Refused { cell, refusal: declined.refusal().clone() }),
        Err(error) => Err(LaunchError::Audit { cell, error }),
    }
}

/// What was asked for, in one line for the log.
fn summary(order: &Order) -> String {
    let spec = &order.spec;
    let mode = match spec.mode {
        SandboxMode::Restricted => "restricted",
        SandboxMode::Standard => "standard",
    };
    let mounts: Vec<String> = spec
        .mounts
        .iter()
        .map(|m| {
            format!(
                "{}:{}:{}",
                m.source.display(),
                m.target.display(),
                if m.mode == MountMode::Rw { "rw" } else { "ro" }
            )
        })
        .collect();
    let networks: Vec<&str> = order.networks.iter().map(|rule| rule.text.as_str()).collect();
    format!("mode={mode} rootfs={:?} mounts=[{}] networks=[{}]", spec.rootfs, mounts.join(" "), networks.join(" "))
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

struct Launching<'a> {
    plane: &'a Plane,
    id: &'a CellId,
    number: u64,
    events: mpsc::UnboundedReceiver<LaunchEvent>,
}

impl Launching<'_> {
    /// Waits until the cell stands.
    async fn built(&mut self) -> Result<(AsyncFd<InitHandle>, CellDescriptors), LaunchError> {
        let failed = |error| LaunchError::Step { cell: self.id.clone(), error };
        let init = match self.events.recv().await {
            Some(LaunchEvent::Launched(init)) => init,
            Some(LaunchEvent::Failed(error)) => return Err(failed(error)),
            Some(LaunchEvent::Gone { .. }) | None => {
                return Err(failed(StepError::new("ask the launcher", "it ended", "")));
            }
        };
        let init = watch(init).map_err(|error| failed(StepError::new("watch the cell's init", error, "")))?;
        match next(&init).await {
            Some(InitEvent::Ready(descriptors)) => Ok((init, *descriptors)),
            Some(InitEvent::Failed(error)) => Err(failed(error)),
            Some(InitEvent::Started { .. } | InitEvent::NotStarted { .. } | InitEvent::Exited { .. }) | None => {
                let _gone = self.plane.launcher.kill(self.number).is_err();
                Err(failed(StepError::new(
                    "build the cell",
                    "its init ended early",
                    "`nanoclaw doctor` says what this host lacks",
                )))
            }
        }
    }
}

/// The next word of a cell's init; `None` when it is gone or speaks nonsense.
async fn next(init: &AsyncFd<InitHandle>) -> Option<InitEvent> {
    init.async_io(Interest::READABLE, InitHandle::event).await.ok().flatten()
}

struct Watch {
    plane: Plane,
    id: CellId,
    session: SessionId,
    number: u64,
    init: AsyncFd<InitHandle>,
    doors: Doors,
    starting_program: Starting,
    directives: mpsc::UnboundedReceiver<Directive>,
    programs: Programs,
    limits: Limits,
    limit: Option<LimitKind>,
}

impl Watch {
    async fn run(
        mut self,
        mut launcher: mpsc::UnboundedReceiver<LaunchEvent>,
        ticket: nanoclaw_audit::Ticket,
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
                    Some(event) => audit = self.program_event(event).await,
                    // Init is gone without a word: it was killed, and the kernel has ended the rest.
                    None => status = Some(128 + SIGKILL),
                },
                event = launcher.recv() => match event {
                    Some(LaunchEvent::Gone { usage }) => break usage,
                    Some(LaunchEvent::Launched(_) | LaunchEvent::Failed(_)) => {}
                    None => break Usage::default(),
                },
                directive = self.directives.recv(), if directed => match directive {
                    Some(directive) => self.direct(directive),
                    None => directed = false,
                },
                () = &mut timeout, if self.limit.is_none() => {
                    let time = time.unwrap_or_default().as_secs_f64();
                    audit = self.reached(LimitKind::Timeout, format!("{time} s of wall time")).await;
                    self.signal(0, SIGTERM);
                    deadline.set(Some(tokio::time::sleep(TIMEOUT_GRACE)));
                }
                (place, grown) = &mut full, if self.limit.is_none() => {
                    audit = self.reached(LimitKind::Disk, format!("`{}` grew by {grown} of {disk_limit} bytes", place.display())).await;
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
        let end = End { status: status.unwrap_or(128 + SIGKILL), limit: self.limit, usage };
        if let Err(error) = self.close(&end, ticket).await {
            say(format_args!("the end of cell `{}` cannot be recorded: {error}", self.id));
        }
        let _nobody_waits = ended.send(end).is_err();
    }

    async fn program_event(&mut self, event: InitEvent) -> Result<(), AuditError> {
        let ended = match event {
            InitEvent::Started { n, terminal } => {
                self.starting_program.set(None);
                self.programs.started(n, terminal);
                None
            }
            InitEvent::NotStarted { n, errno } => {
                self.starting_program.set(None);
                self.programs.not_started(n, errno)
            }
            InitEvent::Exited { n, status } => self.programs.exited(n, status),
            InitEvent::Ready(_) | InitEvent::Failed(_) => None,
        };
        match ended {
            Some((ticket, outcome)) => self.plane.recorder.outcome(ticket, outcome).await,
            None => Ok(()),
        }
    }

    fn direct(&mut self, directive: Directive) {
        match directive {
            Directive::Signal(n, signal) => self.signal(n, signal),
            Directive::Kill => self.kill(),
            Directive::Run(order) => {
                self.starting_program.set(order.program.command.first().cloned());
                self.programs.start(self.init.get_ref(), *order);
            }
        }
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
    async fn close(&mut self, end: &End, ticket: nanoclaw_audit::Ticket) -> Result<(), AuditError> {
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

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// 128 + n is how a shell, and our init, tell of signal n; a program that itself exits so is recorded as killed.
pub(crate) fn exit_of(status: i32) -> Exit {
    if (129..=192).contains(&status) { Exit::Signal(status - 128) } else { Exit::Code(status) }
}
