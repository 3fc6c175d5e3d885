//! From an order to a running command.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use nanoclaw_audit::{AuditError, Outcome, Recorded, Ticket, Warrant};
use nanoclaw_config::{Limits, MountMode, Rootfs, SandboxMode};
use nanoclaw_gate::Gate;
use nanoclaw_identity::identify_operator;
use nanoclaw_policy::Engine;
use nanoclaw_request::{Action, Arrived, CellId, Door, Launch, Refusal, RefusalCode, SessionId, Stage};
use nanoclaw_sandbox::plan::LaunchPlan;
use nanoclaw_sandbox::{CellDescriptors, CellSpec, InitEvent, InitHandle, StepError};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use super::dial::Dials;
use super::watch::Watch;
use super::{Cell, Order, next};
use crate::doors::Doors;
use crate::kernel_door::Starting;
use crate::launcher::LaunchEvent;
use crate::plane::Plane;
use crate::program::Programs;
use crate::readiness::watch;

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

/// A cell that stands, with nothing running in it.
struct Built {
    plan: LaunchPlan,
    number: u64,
    events: mpsc::UnboundedReceiver<LaunchEvent>,
    init: AsyncFd<InitHandle>,
    descriptors: CellDescriptors,
}

/// Starts a cell with these standard descriptors (none where the spec asks for a terminal).
pub async fn launch(plane: &Plane, order: Order, stdio: Vec<OwnedFd>) -> Result<Cell, LaunchError> {
    let id = order.spec.id.clone();
    let drawn = new_session().map_err(|error| StepError::new("draw random bytes", error, ""));
    let session = drawn.map_err(|error| LaunchError::Step { cell: id.clone(), error })?;
    plane.policies.admit(&id, &order.rules);
    let session_of_cell = plane.sessions.of(&id).map_err(|error| {
        let help = "look what is wrong with the file; `nanoclaw labels reset` says that the agent has read nothing";
        StepError::new("read the labels of its session", error, help)
    });
    let session_of_cell = session_of_cell.map_err(|error| LaunchError::Step { cell: id.clone(), error })?;
    let engine = Arc::new(Engine::of(plane.policies.clone(), id.clone(), session_of_cell));
    let gate = Gate::new(Arc::clone(&engine), plane.recorder.clone(), plane.desk.clone(), plane.sessions.memory(&id));
    let gate = gate.with_quarantine(plane.sessions.quarantine(&id));
    let asked = Launch { cell: id.clone(), session, command: order.spec.command.clone(), summary: summary(&order) };
    let (warrant, built) = tokio::join!(launch_warrant(plane, &engine, asked), build(plane, &order.spec));
    let started = match (warrant, built) {
        (Ok(warrant), Ok(built)) => start(plane, &order, session, &gate, warrant, built, stdio).await,
        (Ok(warrant), Err(error)) => Err((LaunchError::Step { cell: id.clone(), error }, Some(warrant.spend().1))),
        (Err(error), Ok(built)) => {
            end(plane, built.number);
            Err((error, None))
        }
        (Err(error), Err(_)) => Err((error, None)),
    };
    match started {
        Ok(cell) => Ok(cell),
        Err((error, ticket)) => {
            if let Some(ticket) = ticket {
                let reason = error.to_string();
                let code = RefusalCode::ExecNotAllowed;
                let refusal = Refusal { stage: Stage::Act, code, reason, help: String::new() };
                let recorded = plane.recorder.outcome(ticket, Outcome::failed(refusal)).await;
                recorded.map_err(|error| LaunchError::Audit { cell: id, error })?;
            }
            Err(error)
        }
    }
}

/// Has the cell made, and waits until it stands.
async fn build(plane: &Plane, spec: &CellSpec) -> Result<Built, StepError> {
    let plan = plane.launcher.plan(spec)?;
    let asked = plane.launcher.prepare(&plan);
    let (number, mut events) = asked.map_err(|error| StepError::new("ask the launcher", error, ""))?;
    let init = match events.recv().await {
        Some(LaunchEvent::Launched(init)) => init,
        Some(LaunchEvent::Failed(error)) => return Err(error),
        Some(LaunchEvent::Gone { .. }) | None => return Err(StepError::new("ask the launcher", "it ended", "")),
    };
    let init = watch(init).map_err(|error| StepError::new("watch the cell's init", error, ""))?;
    match next(&init).await {
        Some(InitEvent::Ready(descriptors)) => Ok(Built { plan, number, events, init, descriptors: *descriptors }),
        // Its init ends by itself.
        Some(InitEvent::Failed(error)) => Err(error),
        Some(
            InitEvent::Started { .. }
            | InitEvent::NotStarted { .. }
            | InitEvent::Exited { .. }
            | InitEvent::Dialled { .. }
            | InitEvent::NotDialled { .. },
        )
        | None => {
            end(plane, number);
            let help = "`nanoclaw doctor` says what this host lacks";
            Err(StepError::new("build the cell", "its init ended early", help))
        }
    }
}

/// Opens the doors of a cell that stands and runs its command. With an error comes the claim to record it.
async fn start(
    plane: &Plane,
    order: &Order,
    session: SessionId,
    gate: &Gate,
    warrant: Warrant,
    built: Built,
    stdio: Vec<OwnedFd>,
) -> Result<Cell, (LaunchError, Option<Ticket>)> {
    let Built { plan, number, events, init, descriptors } = built;
    let id = order.spec.id.clone();
    let failed = |error| LaunchError::Step { cell: id.clone(), error };
    let starting = Starting::of(init.get_ref().pid);
    starting.set(Some(order.spec.command.clone()));
    let view = (order.spec.mode, init.get_ref().host_id);
    let models = order.rules.models.as_ref();
    let doors = match Doors::open(plane, (id.clone(), session), view, descriptors, &starting, gate, models) {
        Ok(doors) => doors,
        Err(error) => {
            end(plane, number);
            return Err((failed(error), Some(warrant.spend().1)));
        }
    };
    let borrowed: Vec<BorrowedFd<'_>> = stdio.iter().map(AsFd::as_fd).collect();
    let ticket = match init.get_ref().start(warrant, &plan.program, &borrowed) {
        Ok(ticket) => ticket,
        Err(error) => {
            end(plane, number);
            return Err((failed(StepError::new("start the command", error, "")), None));
        }
    };
    drop(stdio);
    let terminal = match next(&init).await {
        Some(InitEvent::Started { terminal, .. }) => terminal,
        other => {
            end(plane, number);
            let errno = match other {
                Some(InitEvent::NotStarted { errno, .. }) => Errno::from_raw_os_error(errno),
                _ => Errno::IO,
            };
            let error = if errno == Errno::NOTDIR {
                LaunchError::Directory { cell: id.clone(), directory: plan.program.workdir }
            } else {
                let program = order.spec.command.first().cloned().unwrap_or_default();
                LaunchError::Command { cell: id.clone(), program, errno: errno.raw_os_error() }
            };
            return Err((error, Some(ticket)));
        }
    };
    starting.set(None);
    let (orders, directives) = mpsc::unbounded_channel();
    let (ended, waits) = oneshot::channel();
    let pid = init.get_ref().pid;
    let watch = Watch {
        plane: plane.clone(),
        id: id.clone(),
        session,
        number,
        init,
        doors,
        starting,
        waiting: VecDeque::new(),
        directives,
        programs: Programs::default(),
        dials: Dials::default(),
        limits: order.spec.limits.or(Limits::DEFAULT),
        limit: None,
    };
    let places = order.spec.mounts.iter().filter(|m| m.mode == MountMode::Rw).map(|m| m.source.clone()).collect();
    tokio::spawn(watch.run(events, ticket, places, ended));
    let gate = gate.clone();
    Ok(Cell { id, session, pid, terminal, gate, number, base: plan.program, orders, end: waits })
}

/// Ends a cell that will not be used; it may have ended by itself.
fn end(plane: &Plane, number: u64) {
    let _gone = plane.launcher.kill(number).is_err();
}

fn new_session() -> std::io::Result<SessionId> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(SessionId::from_random(bytes))
}

/// A warrant to start `launch` in its cell, asked for by whoever runs this control plane.
pub(crate) async fn launch_warrant(plane: &Plane, engine: &Engine, launch: Launch) -> Result<Warrant, LaunchError> {
    let cell = launch.cell.clone();
    let uid = rustix::process::getuid().as_raw();
    let identified = identify_operator(Arrived::now(Door::Launcher, launch), uid, uid)
        .map_err(|refusal| LaunchError::Refused { cell: cell.clone(), refusal })?;
    let verdict = engine.decide(identified.propose(|launch| Ok(Action::Launch(launch))));
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
    let networks: Vec<&str> = order.rules.networks.iter().map(|rule| rule.text.as_str()).collect();
    let rootfs = match &spec.rootfs {
        Rootfs::Host => "host".into(),
        Rootfs::Minimal => "minimal".into(),
        Rootfs::Directory(directory) => directory.to_string_lossy(),
    };
    let models = order.rules.models.as_ref().map(|access| {
        let own = access.model.as_deref().unwrap_or_default();
        format!(
            " models=[{}]",
            std::iter::once(own).chain(access.allow.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
        )
    });
    format!(
        "mode={mode} rootfs={rootfs} mounts=[{}] limits=[{}] networks=[{}]{}",
        mounts.join(" "),
        limits(&spec.limits).join(" "),
        networks.join(" "),
        models.unwrap_or_default()
    )
}

/// The limits that were asked for; the others have their defaults.
fn limits(limits: &Limits) -> Vec<String> {
    [
        limits.cpu_millis.map(|millis| format!("cpu={millis}m")),
        limits.memory.map(|bytes| format!("memory={bytes}")),
        limits.pids.map(|pids| format!("pids={pids}")),
        limits.disk.map(|bytes| format!("disk={bytes}")),
        limits.files.map(|files| format!("files={files}")),
        limits.timeout.map(|time| format!("timeout={}ms", time.as_millis())),
    ]
    .into_iter()
    .flatten()
    .collect()
}
