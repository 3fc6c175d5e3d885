//! The fleet: one supervised cell per agent of the configuration.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nanoclaw_audit::Warrant;
use nanoclaw_config::{Agent, AgentKind, Config, Health, Restart, SandboxMode};
use nanoclaw_policy::Engine;
use nanoclaw_request::{CellId, Launch, SessionId};
use nanoclaw_sandbox::CellSpec;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cell::{Cell, End, Order, Steering, host_services, launch, launch_warrant};
use crate::plane::Plane;
use crate::say;

/// First pause before a restart; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run of this length counts as well, and the pauses start small again.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// Longest log of an agent in bytes; the one before it is kept besides.
const LOG_BYTES: u64 = 10 * 1024 * 1024;

/// What an agent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Being built.
    Starting,
    /// Running.
    Running,
    /// Running, but its health check fails.
    Unwell,
    /// Ended, to be started again after a pause.
    Waiting,
    /// Being ended.
    Stopping,
    /// Ended for good.
    Stopped,
}

/// One line of `nanoclaw ps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The agent.
    pub id: String,
    /// What it is doing.
    pub phase: Phase,
    /// How often it was restarted.
    pub restarts: u32,
    /// Seconds since it was last started.
    pub uptime_seconds: u64,
    /// CPU time used, in microseconds, where the host counts it.
    pub cpu_us: Option<u64>,
    /// Memory used now, in bytes, where the host counts it.
    pub memory_bytes: Option<u64>,
    /// Processes and threads now, where the host counts them.
    pub pids: Option<u64>,
    /// Actions refused, all runs together.
    pub refusals: u64,
    /// Exit status of the last run that ended.
    pub last_exit: Option<i32>,
    /// Why it is not running, where that is not plain from the exit status.
    pub problem: Option<String>,
}

struct Member {
    agent: Agent,
    engine: Engine,
    state: Mutex<State>,
    stop: watch::Sender<bool>,
}

struct State {
    phase: Phase,
    restarts: u32,
    since: Instant,
    running: Option<(Steering, SessionId)>,
    last_exit: Option<i32>,
    problem: Option<String>,
}

/// A running fleet. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    plane: Plane,
    mode: SandboxMode,
    members: Arc<BTreeMap<CellId, Arc<Member>>>,
}

impl Fleet {
    /// The fleet that `config` describes, not started yet.
    pub fn new(plane: Plane, config: &Config) -> Self {
        let members = config.agents.iter().map(|agent| {
            let state = State {
                phase: Phase::Starting,
                restarts: 0,
                since: Instant::now(),
                running: None,
                last_exit: None,
                problem: None,
            };
            let engine = Engine::new(agent.id.clone(), agent.allowed_networks.clone());
            let member =
                Member { agent: agent.clone(), engine, state: Mutex::new(state), stop: watch::channel(false).0 };
            (agent.id.clone(), Arc::new(member))
        });
        Self { plane, mode: config.sandbox_mode, members: Arc::new(members.collect()) }
    }

    /// Runs it until every agent has ended for good.
    pub async fn run(&self) {
        let mut agents = JoinSet::new();
        for member in self.members.values() {
            agents.spawn(self.clone().supervise(member.clone()));
        }
        while agents.join_next().await.is_some() {}
    }

    /// Asks one agent to stop and not to be restarted; `false` where there is none of that name.
    pub fn stop(&self, id: &CellId) -> bool {
        self.members.get(id).map(|member| member.stop.send_replace(true)).is_some()
    }

    /// Asks every agent to stop.
    pub fn stop_all(&self) {
        for member in self.members.values() {
            member.stop.send_replace(true);
        }
    }

    /// The file that holds an agent's output, `None` where there is no such agent.
    pub fn log(&self, id: &CellId) -> Option<PathBuf> {
        self.members.get(id).map(|member| self.plane.state.log(member.agent.id.as_str()))
    }

    /// The running cell of an agent.
    pub fn steering(&self, id: &CellId) -> Option<Steering> {
        self.members.get(id).and_then(|member| member.state().running.as_ref().map(|(steering, _)| steering.clone()))
    }

    /// What every agent is doing.
    pub async fn status(&self) -> Vec<Status> {
        let mut all = Vec::new();
        for (id, member) in self.members.iter() {
            let running = member.state().running.as_ref().map(|(steering, _)| steering.clone());
            let usage = match running {
                Some(steering) => steering.usage().await,
                None => nanoclaw_sandbox::cgroup::Usage::default(),
            };
            let state = member.state();
            all.push(Status {
                id: id.to_string(),
                phase: state.phase,
                restarts: state.restarts,
                uptime_seconds: state.since.elapsed().as_secs(),
                cpu_us: usage.cpu_us,
                memory_bytes: usage.memory_now_bytes,
                pids: usage.pids_now,
                refusals: self.plane.recorder.counters(id).refused,
                last_exit: state.last_exit,
                problem: state.problem.clone(),
            });
        }
        all
    }

    async fn supervise(self, member: Arc<Member>) {
        let mut pause = FIRST_PAUSE;
        let mut stop = member.stop.subscribe();
        while !*stop.borrow_and_update() {
            let started = Instant::now();
            let failed = match self.start(&member).await {
                Ok(cell) => {
                    let (end, unwell) = self.attend(&member, cell, &mut stop).await;
                    let mut state = member.state();
                    state.running = None;
                    state.last_exit = Some(end.status);
                    state.problem = end.limit.map(|limit| format!("ended by its {} limit", limit.name()));
                    end.status != 0 || end.limit.is_some() || unwell
                }
                Err(problem) => {
                    say(&problem);
                    member.state().problem = Some(problem);
                    true
                }
            };
            let again = match member.agent.restart {
                Restart::Never => false,
                Restart::OnFailure => failed,
                Restart::Always => true,
            };
            if !again || *stop.borrow() {
                break;
            }
            member.enter(Phase::Waiting);
            if started.elapsed() >= WELL_AFTER {
                pause = FIRST_PAUSE;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => break,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            member.state().restarts += 1;
        }
        member.enter(Phase::Stopped);
    }

    async fn start(&self, member: &Member) -> Result<Cell, String> {
        member.enter(Phase::Starting);
        let agent = &member.agent;
        let log = Log::open(self.plane.state.log(agent.id.as_str()))
            .map_err(|error| format!("log of agent `{}`: {error}", agent.id))?;
        let (stdio, output) = log_stdio().map_err(|error| format!("log of agent `{}`: {error}", agent.id))?;
        std::thread::spawn(move || log.copy(output));
        let order = Order { spec: spec(agent, self.mode), networks: agent.allowed_networks.clone() };
        let cell = launch(&self.plane, order, stdio).await.map_err(|error| error.to_string())?;
        let mut state = member.state();
        state.running = Some((cell.steering(&self.plane), cell.session));
        state.problem = None;
        drop(state);
        member.enter(Phase::Running);
        Ok(cell)
    }

    /// Stays with a running cell until it has ended; also tells whether it was ended because it was unwell.
    async fn attend(&self, member: &Member, mut cell: Cell, stop: &mut watch::Receiver<bool>) -> (End, bool) {
        let steering = cell.steering(&self.plane);
        let session = cell.session;
        let unwell = async {
            match &member.agent.health {
                Some(health) => self.watch_health(member, health, &steering, session).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(unwell);
        let was_unwell = tokio::select! {
            end = cell.wait() => return (end, false),
            _ = stop.wait_for(|stop| *stop) => false,
            () = &mut unwell => true,
        };
        member.enter(Phase::Stopping);
        steering.signal(0, Signal::TERM.as_raw());
        if let Ok(end) = tokio::time::timeout(member.agent.stop_grace, cell.wait()).await {
            return (end, was_unwell);
        }
        steering.kill();
        (cell.wait().await, was_unwell)
    }

    /// Returns when the health check has failed too often in a row.
    async fn watch_health(&self, member: &Member, health: &Health, steering: &Steering, session: SessionId) {
        let mut failures = 0;
        while failures < health.retries {
            tokio::time::sleep(health.interval).await;
            // A check is the operator's own order, and walks the path like every other.
            let launch = Launch {
                cell: member.agent.id.clone(),
                session,
                command: health.command.clone(),
                summary: "health check".to_owned(),
            };
            let well = match launch_warrant(&self.plane, &member.engine, launch).await {
                Ok(warrant) => {
                    tokio::time::timeout(health.timeout, check(steering, warrant, health)).await.unwrap_or(false)
                }
                Err(_) => false,
            };
            failures = if well { 0 } else { failures + 1 };
            member.enter(if well { Phase::Running } else { Phase::Unwell });
        }
    }
}

async fn check(steering: &Steering, warrant: Warrant, health: &Health) -> bool {
    let Ok(null) = File::options().read(true).write(true).open("/dev/null") else { return false };
    let Ok(stdio) =
        [&null, &null, &null].into_iter().map(|f| f.try_clone().map(OwnedFd::from)).collect::<io::Result<Vec<_>>>()
    else {
        return false;
    };
    match steering.run(warrant, health.command.clone(), None, stdio).await {
        Ok(program) => {
            let n = program.n;
            // A check that outlives its time is ended with it.
            let _kill_on_drop = KillOnDrop { steering, n };
            program.status.await == Ok(0)
        }
        Err(_) => false,
    }
}

struct KillOnDrop<'a> {
    steering: &'a Steering,
    n: u64,
}

impl Drop for KillOnDrop<'_> {
    fn drop(&mut self) {
        self.steering.signal(self.n, Signal::KILL.as_raw());
    }
}

impl Member {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.state();
        if phase == Phase::Starting {
            state.since = Instant::now();
        }
        state.phase = phase;
    }
}

/// The cell that an agent of the configuration asks for.
pub fn spec(agent: &Agent, mode: SandboxMode) -> CellSpec {
    CellSpec {
        id: agent.id.clone(),
        mode,
        command: match &agent.kind {
            AgentKind::Command(command) => command.clone(),
            AgentKind::Builtin(_) | AgentKind::OpenClaw { .. } => Vec::new(),
        },
        rootfs: agent.rootfs.clone(),
        mounts: agent.mounts.clone(),
        env: agent.env.clone(),
        workdir: agent.workdir.clone(),
        limits: agent.limits,
        host_services: host_services(&agent.allowed_networks),
        terminal: None,
    }
}

/// No input, and one pipe for output and error.
fn log_stdio() -> io::Result<(Vec<OwnedFd>, io::PipeReader)> {
    let (reader, writer) = io::pipe()?;
    Ok((vec![File::open("/dev/null")?.into(), writer.try_clone()?.into(), writer.into()], reader))
}

/// The output of an agent on disk, in two files of bounded size.
struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Log {
    fn open(path: PathBuf) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let file = File::options().append(true).create(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes })
    }

    /// Writes down what the cell says until it is gone. A full disk loses output, not the cell.
    fn copy(mut self, mut output: io::PipeReader) {
        use std::io::{Read, Write};
        let mut buffer = [0; 16 * 1024];
        while let Ok(n) = output.read(&mut buffer)
            && n > 0
        {
            let text = buffer.get(..n).unwrap_or_default();
            if self.bytes > LOG_BYTES && self.rotate().is_err() {
                continue;
            }
            if self.file.write_all(text).is_ok() {
                self.bytes += text.len() as u64;
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        std::fs::rename(&self.path, self.path.with_extension("log.1"))?;
        *self = Self::open(std::mem::take(&mut self.path))?;
        Ok(())
    }
}
