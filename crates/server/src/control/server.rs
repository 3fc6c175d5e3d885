//! The control plane's side of the control socket.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nanoclaw_agent::protocol::Order;
use nanoclaw_audit::{Fact, Note, Outcome, Recorded, Warrant};
use nanoclaw_identity::identify_operator;
use nanoclaw_policy::Engine;
use nanoclaw_request::{Action, Arrived, CellId, Door, IdError, Manage, Refusal, RefusalCode, Stage};
use nanoclaw_sandbox::{TerminalSize, wire};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{PidfdFlags, Signal, getpid, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::timeout;

use super::{Answer, Request, approvals, policies, quarantine};
use crate::fleet::Fleet;
use crate::plane::Plane;
use crate::program::{NotRun, failure};
use crate::readiness::watch;
use crate::reload::Reload;
use crate::turn::{self, By, Target};

/// Most connections at once; more wait. Those of turns and programs do not count, as they last.
const CONNECTIONS: usize = 64;
/// Longest time until a request has come.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Most turns, and most further programs, that operators have under way in one agent; more are refused.
const MOST_UNDER_WAY: usize = 16;

/// The listening control socket.
pub struct Control {
    listener: AsyncFd<OwnedFd>,
    plane: Plane,
    fleet: Fleet,
    reload: Reload,
    engine: Engine,
    under_way: Mutex<BTreeMap<CellId, UnderWay>>,
    watchers: Arc<Semaphore>,
}

/// What is free for operators in one agent.
struct UnderWay {
    turns: Arc<Semaphore>,
    programs: Arc<Semaphore>,
}

impl Default for UnderWay {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(MOST_UNDER_WAY)), programs: Arc::new(Semaphore::new(MOST_UNDER_WAY)) }
    }
}

impl Control {
    /// Listens. Call it only while holding the fleet lock: what lies at the path then is a leftover.
    pub fn listen(plane: Plane, fleet: Fleet, reload: Reload) -> io::Result<Self> {
        let path = plane.state.control_socket();
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        // Only the state directory, mode 0700, keeps others out; `identify` is the second check.
        rustix::net::bind(&listener, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&listener, 64)?;
        let id = CellId::parse("control").map_err(|error: IdError| io::Error::other(error))?;
        let engine = plane.engine(id);
        let (under_way, watchers) = (Mutex::default(), Arc::new(Semaphore::new(approvals::MOST_WATCHERS)));
        Ok(Self { listener: watch(listener)?, plane, fleet, reload, engine, under_way, watchers })
    }

    /// Serves until the runtime ends.
    pub async fn serve(self) {
        let control = Arc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let accept = |listener: &OwnedFd| {
                Ok(rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?)
            };
            match control.listener.async_io(Interest::READABLE, accept).await {
                Ok(connection) => {
                    let control = control.clone();
                    tokio::spawn(async move {
                        // An operator who leaves early gets no answer.
                        let _left = control.connection(connection, place).await.is_err();
                    });
                }
                // Out of descriptors, most likely: others will be closed.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    }

    async fn connection(&self, connection: OwnedFd, place: OwnedSemaphorePermit) -> io::Result<()> {
        let peer = rustix::net::sockopt::socket_peercred(&connection)?;
        let uid = peer.uid.as_raw();
        let connection = watch(connection)?;
        let receive = connection.async_io(Interest::READABLE, |socket| wire::receive::<Request>(socket.as_fd()));
        let Some((request, mut fds)) = timeout(REQUEST_TIME, receive).await?? else { return Ok(()) };
        // What a stranger sends beside a request is not even read.
        let known = uid == 0 || uid == rustix::process::geteuid().as_raw();
        let beside = if known { Beside::read(&request, &mut fds) } else { Beside::Nothing };
        match self.decide(&request, &beside, uid).await {
            Ok(warrant) => match (request, beside) {
                (Request::Order { cell }, Beside::Order(Ok(order))) => {
                    self.order(warrant, &cell, order, &connection, place).await
                }
                (Request::Answer { id, digest }, Beside::Answer(Ok(said))) => {
                    approvals::give(&self.plane, warrant, (&id, &digest), said, &connection).await
                }
                (Request::Approvals { watch: true }, _) => {
                    drop(place);
                    approvals::watch(&self.plane, warrant, &self.watchers, &connection).await
                }
                (Request::Exec { cell, command, terminal }, _) => {
                    let order = Exec { command, terminal, stdio: fds };
                    self.exec(warrant, &cell, order, &connection, place).await
                }
                (request, _) => self.act(warrant, request, &connection).await,
            },
            Err(refusal) => answer(&connection, &Answer::Refused(refusal.to_string()), &[]),
        }
    }

    /// Walks the path: who, what, whether, and on record.
    async fn decide(&self, request: &Request, beside: &Beside, uid: u32) -> Result<Warrant, Refusal> {
        let owner = rustix::process::geteuid().as_raw();
        let identified = match identify_operator(Arrived::now(Door::Control, request), uid, owner) {
            Ok(identified) => identified,
            Err(refusal) => {
                let fact = Fact::CallerRefused {
                    door: Door::Control,
                    who: Some(format!("uid:{uid}")),
                    refusal: refusal.clone(),
                };
                self.plane.recorder.note(Note::of_control(fact)).await.map_err(unrecordable)?;
                return Err(refusal);
            }
        };
        let verdict = self.engine.decide(identified.propose(|request| self.parse(request, beside)));
        match self.plane.recorder.record(verdict).await {
            Ok(Recorded::Proceed(warrant)) => Ok(warrant),
            Ok(Recorded::Stop(declined)) => Err(declined.refusal().clone()),
            Err(error) => Err(unrecordable(error)),
        }
    }

    fn parse(&self, request: &Request, beside: &Beside) -> Result<Action, (Action, Refusal)> {
        let (manage, cell) = match request {
            Request::List => (Manage::List, None),
            Request::Down => (Manage::Down, None),
            Request::Reload { dry_run: false } => (Manage::Reload, None),
            Request::Reload { dry_run: true } => (Manage::Policy, None),
            Request::ResetLabels { cell } => (Manage::ResetLabels { cell: cell.clone() }, Some(cell)),
            Request::Logs { cell } => (Manage::Logs { cell: cell.clone() }, Some(cell)),
            Request::Quarantine { cell, .. } => (Manage::Quarantine, Some(cell)),
            Request::QuarantineDecide { cell, id, release } => {
                let (cell_of, id) = (cell.clone(), id.clone());
                let answer = if *release { "release" } else { "drop" };
                (Manage::QuarantineDecide { cell: cell_of, id, answer }, Some(cell))
            }
            Request::Stop { cell } => (Manage::Stop { cell: cell.clone() }, Some(cell)),
            Request::Exec { cell, command, .. } => {
                (Manage::Exec { cell: cell.clone(), command: command.clone() }, Some(cell))
            }
            Request::Order { cell } => (turn::manage(cell, beside.order()), Some(cell)),
            Request::Approvals { .. } => (Manage::Approvals, None),
            Request::Answer { id, digest } => {
                return match beside {
                    Beside::Answer(Ok(said)) => approvals::propose(&self.plane.desk, id, digest, said),
                    Beside::Answer(Err(why)) => Err((Action::Manage(Manage::Approvals), unreadable(why))),
                    Beside::Order(_) | Beside::Nothing => {
                        Err((Action::Manage(Manage::Approvals), unreadable("there is none")))
                    }
                };
            }
        };
        let action = Action::Manage(manage);
        if let Beside::Order(Err(why)) = beside {
            return Err((action, unreadable(why)));
        }
        match cell {
            Some(cell) if CellId::parse(cell).ok().and_then(|id| self.fleet.log(&id)).is_none() => {
                let refusal = refusal(format!("there is no agent `{}` in this fleet", cell.escape_debug()));
                Err((action, refusal))
            }
            _ => Ok(action),
        }
    }

    async fn act(&self, warrant: Warrant, request: Request, connection: &AsyncFd<OwnedFd>) -> io::Result<()> {
        let person = approvals::person(&warrant);
        let (_action, ticket) = warrant.spend();
        let outcome = match request {
            Request::Reload { dry_run } => {
                let (said, beside) = policies::reload(&self.reload, ticket, dry_run).await?;
                let beside: Vec<BorrowedFd<'_>> = beside.iter().map(AsFd::as_fd).collect();
                return answer(connection, &said, &beside);
            }
            Request::ResetLabels { cell } => {
                return answer(connection, &policies::reset_labels(&self.plane, ticket, &cell).await?, &[]);
            }
            Request::Quarantine { cell, id } => {
                let (outcome, said, beside) = quarantine::look(&self.plane, &cell, id).await?;
                self.plane.recorder.outcome(ticket, outcome).await.map_err(io::Error::other)?;
                let beside: Vec<BorrowedFd<'_>> = beside.iter().map(AsFd::as_fd).collect();
                return answer(connection, &said, &beside);
            }
            Request::QuarantineDecide { cell, id, release } => {
                let (outcome, said) = quarantine::decide(&self.plane, &cell, id, release, &person).await?;
                self.plane.recorder.outcome(ticket, outcome).await.map_err(io::Error::other)?;
                return answer(connection, &said, &[]);
            }
            Request::List => {
                let list = wire::to_memory(&self.fleet.status().await)?;
                answer(connection, &Answer::Cells, &[list.as_fd()])
            }
            Request::Logs { cell } => {
                let log = CellId::parse(&cell).ok().and_then(|id| self.fleet.log(&id)).map(File::open);
                match log {
                    Some(Ok(log)) => answer(connection, &Answer::Log, &[log.as_fd()]),
                    Some(Err(error)) => {
                        answer(connection, &Answer::Refused(format!("log of agent `{cell}`: {error}")), &[])
                    }
                    None => answer(connection, &Answer::Refused(format!("agent `{cell}` is gone")), &[]),
                }
            }
            Request::Stop { cell } => {
                let _known = CellId::parse(&cell).is_ok_and(|id| self.fleet.stop(&id));
                answer(connection, &Answer::Done, &[])
            }
            Request::Down => {
                self.fleet.stop_all();
                let ours = pidfd_open(getpid(), PidfdFlags::empty())?;
                answer(connection, &Answer::Ending, &[ours.as_fd()])
            }
            Request::Approvals { .. } => approvals::list(&self.plane.desk, connection),
            Request::Exec { .. } | Request::Order { .. } | Request::Answer { .. } => Ok(()),
        };
        self.plane.recorder.outcome(ticket, Outcome::default()).await.map_err(io::Error::other)?;
        outcome
    }

    async fn exec(
        &self,
        warrant: Warrant,
        cell: &str,
        Exec { command, terminal, stdio }: Exec,
        connection: &AsyncFd<OwnedFd>,
        place: OwnedSemaphorePermit,
    ) -> io::Result<()> {
        let refused = |why: String| answer(connection, &Answer::Refused(why), &[]);
        let found = CellId::parse(cell).ok().and_then(|id| self.fleet.target(&id));
        let Some(Target { id, steering, gate, .. }) = found else {
            return self.not_running(warrant, cell, connection).await;
        };
        let Ok(_own) = self.place(id, |under_way| &under_way.programs) else {
            return self.too_many(warrant, cell, "further programs", connection).await;
        };
        drop(place);
        // Until it ends, and for a while after, what the agent does can be theirs.
        let _requested = gate.engine().session().requested(approvals::person(&warrant).name());
        let name = command.first().cloned().unwrap_or_default();
        let program = match steering.run(warrant, command, terminal, stdio).await {
            Ok(program) => program,
            Err(error) => {
                let why = format!("cannot run `{}` in agent `{cell}`: {error}", name.escape_debug());
                return match error {
                    NotRun::Program { errno } => answer(connection, &Answer::NotRun { errno, why }, &[]),
                    NotRun::CellGone | NotRun::Late => refused(why),
                };
            }
        };
        let beside: Vec<BorrowedFd<'_>> = program.terminal.iter().map(AsFd::as_fd).collect();
        answer(connection, &Answer::Started, &beside)?;
        drop(beside);
        let left = async {
            while let Ok(Some(_)) =
                connection.async_io(Interest::READABLE, |socket| wire::receive::<Request>(socket.as_fd())).await
            {
            }
        };
        tokio::select! {
            status = program.status => answer(connection, &Answer::Exited(status.unwrap_or(137)), &[]),
            // The operator is gone; nobody would see what the program does.
            () = left => {
                steering.signal(program.n, Signal::HUP.as_raw());
                Ok(())
            }
        }
    }
}

impl Control {
    /// Has an agent carry out an order. The record of its end is written when the agent is done, or the operator left.
    async fn order(
        &self,
        warrant: Warrant,
        cell: &str,
        order: Order,
        connection: &AsyncFd<OwnedFd>,
        place: OwnedSemaphorePermit,
    ) -> io::Result<()> {
        let Some(target) = CellId::parse(cell).ok().and_then(|id| self.fleet.target(&id)) else {
            return self.not_running(warrant, cell, connection).await;
        };
        let Ok(_own) = self.place(target.id.clone(), |under_way| &under_way.turns) else {
            return self.too_many(warrant, cell, "turns", connection).await;
        };
        drop(place);
        let asker = approvals::person(&warrant);
        let (_action, ticket) = warrant.spend();
        let (ours, theirs) = tokio::net::UnixStream::pair()?;
        let theirs = theirs.into_std()?;
        // Whoever reads it does so without a runtime.
        theirs.set_nonblocking(false)?;
        answer(connection, &Answer::Events, &[theirs.as_fd()])?;
        drop(theirs);
        let outcome = turn::to_lines(&target, &order, By::Operator(&asker), ours).await;
        self.plane.recorder.outcome(ticket, outcome).await.map_err(io::Error::other)
    }

    /// A place of an agent of the fleet.
    fn place(
        &self,
        id: CellId,
        kind: impl FnOnce(&UnderWay) -> &Arc<Semaphore>,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        let mut all = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        kind(all.entry(id).or_default()).clone().try_acquire_owned()
    }

    async fn not_running(&self, warrant: Warrant, cell: &str, connection: &AsyncFd<OwnedFd>) -> io::Result<()> {
        let why = format!("agent `{cell}` is not running; `nanoclaw ps` shows its state");
        self.not_done(warrant, failure(&NotRun::CellGone), why, connection).await
    }

    async fn too_many(
        &self,
        warrant: Warrant,
        cell: &str,
        what: &str,
        connection: &AsyncFd<OwnedFd>,
    ) -> io::Result<()> {
        let refusal = too_many(MOST_UNDER_WAY, &format!("{what} are under way in agent `{cell}`"));
        let why = refusal.to_string();
        self.not_done(warrant, refusal, why, connection).await
    }

    async fn not_done(
        &self,
        warrant: Warrant,
        refusal: Refusal,
        why: String,
        connection: &AsyncFd<OwnedFd>,
    ) -> io::Result<()> {
        let (_action, ticket) = warrant.spend();
        self.plane.recorder.outcome(ticket, Outcome::failed(refusal)).await.map_err(io::Error::other)?;
        answer(connection, &Answer::Refused(why), &[])
    }
}

/// What is beside a request in a memory file, as it can be long.
enum Beside {
    Nothing,
    Order(Result<Order, String>),
    Answer(Result<nanoclaw_gate::Answer, String>),
}

impl Beside {
    fn read(request: &Request, fds: &mut Vec<OwnedFd>) -> Self {
        match request {
            Request::Order { .. } => Self::Order(from_memory(fds)),
            Request::Answer { .. } => Self::Answer(from_memory(fds)),
            _ => Self::Nothing,
        }
    }

    fn order(&self) -> Option<&Order> {
        if let Self::Order(Ok(order)) = self { Some(order) } else { None }
    }
}

fn from_memory<T: serde::de::DeserializeOwned>(fds: &mut Vec<OwnedFd>) -> Result<T, String> {
    let memory = fds.pop().ok_or("there is none")?;
    wire::from_memory(memory).map_err(|error| error.to_string())
}

/// A further program that is asked for.
struct Exec {
    command: Vec<String>,
    terminal: Option<TerminalSize>,
    stdio: Vec<OwnedFd>,
}

pub(super) fn answer(connection: &AsyncFd<OwnedFd>, answer: &Answer, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    wire::send(connection.get_ref(), answer, descriptors)
}

/// So many do that already.
pub(super) fn too_many(most: usize, what: &str) -> Refusal {
    Refusal {
        stage: Stage::Act,
        code: RefusalCode::Limit,
        reason: format!("{most} {what}, and there can be no more"),
        help: "wait for one to end, or interrupt one".to_owned(),
    }
}

fn refusal(reason: String) -> Refusal {
    Refusal {
        stage: Stage::Inspect,
        code: RefusalCode::NoSuchCell,
        reason,
        help: "`nanoclaw ps` lists the agents".to_owned(),
    }
}

fn unreadable(why: &str) -> Refusal {
    Refusal {
        stage: Stage::Inspect,
        code: RefusalCode::Malformed,
        reason: format!("what is beside the request cannot be read: {why}"),
        help: "use the command of the same version as the fleet's".to_owned(),
    }
}

fn unrecordable(error: nanoclaw_audit::AuditError) -> Refusal {
    Refusal { stage: Stage::Act, code: RefusalCode::Unreachable, reason: error.to_string(), help: String::new() }
}
