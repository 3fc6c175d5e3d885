//! The fleet: one supervised cell per agent of the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nanoclaw_config::{Agent, AgentKind, Config, Label, LlamaServer, ProviderKind, Restart, SandboxMode};
use nanoclaw_gate::Gate;
use nanoclaw_policy::Engine;
use nanoclaw_request::{CellId, SessionId};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::agents::{self, Fitted, Speech, llama};
use crate::cell::{Cell, End, Steering, launch};
use crate::log::{self, Log};
use crate::plane::Plane;
use crate::turn::Target;
use crate::{health, say, svid};

/// First pause before a restart; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a model on this machine has to end.
const MODEL_GRACE: Duration = Duration::from_secs(5);
/// A run of this length counts as well, and the pauses start small again.
const WELL_AFTER: Duration = Duration::from_secs(60);

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
    /// What it is: `command`, `builtin`, `openclaw`, or `model` for a model on this machine.
    pub kind: String,
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
    /// What it has read, over all its runs.
    pub labels: Label,
    /// Since when it has read that, in UTC; absent while it has read nothing.
    pub labels_since: Option<String>,
    /// Exit status of the last run that ended.
    pub last_exit: Option<i32>,
    /// Why it is not running, where that is not plain from the exit status.
    pub problem: Option<String>,
}

struct Member {
    id: CellId,
    what: What,
    restart: Restart,
    stop_grace: Duration,
    engine: Engine,
    state: Mutex<State>,
    stop: watch::Sender<bool>,
}

/// What a member's cell is for.
enum What {
    /// An agent of the configuration.
    Agent(Box<Agent>),
    /// A model on this machine.
    Model { provider: String, server: LlamaServer },
}

impl What {
    /// One word for it.
    fn kind(&self) -> &'static str {
        match self {
            What::Agent(agent) => match agent.kind {
                AgentKind::Command(_) => "command",
                AgentKind::Builtin(_) => "builtin",
                AgentKind::OpenClaw { .. } => "openclaw",
            },
            What::Model { .. } => "model",
        }
    }
}

struct State {
    phase: Phase,
    restarts: u32,
    since: Instant,
    running: Option<Running>,
    last_exit: Option<i32>,
    problem: Option<String>,
}

/// A run of a member's cell.
#[derive(Clone)]
struct Running {
    steering: Steering,
    speech: Speech,
    session: SessionId,
    gate: Gate,
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
        let agents = config.agents.iter().map(|agent| {
            let engine = plane.engine(agent.id.clone());
            let what = What::Agent(Box::new(agent.clone()));
            Member::new(agent.id.clone(), what, agent.restart, agent.stop_grace, engine)
        });
        let models = config.models.providers.iter().filter_map(|provider| {
            let ProviderKind::LlamaServer(server) = &provider.kind else { return None };
            let id = llama::id(&provider.name).ok()?;
            let what = What::Model { provider: provider.name.clone(), server: server.clone() };
            let engine = plane.engine(id.clone());
            Some(Member::new(id, what, Restart::Always, MODEL_GRACE, engine))
        });
        let members = agents.chain(models).map(|member| (member.id.clone(), Arc::new(member)));
        let members = Arc::new(members.collect());
        Self { plane, mode: config.sandbox_mode, members }
    }

    /// Runs it until every agent has ended for good.
    pub async fn run(&self) {
        let mut agents = JoinSet::new();
        let mut models = JoinSet::new();
        for member in self.members.values() {
            match &member.what {
                What::Agent(_) => agents.spawn(self.clone().supervise(member.clone())),
                What::Model { .. } => models.spawn(self.clone().supervise(member.clone())),
            };
        }
        while agents.join_next().await.is_some() {}
        // Nobody is left to ask them.
        self.stop_all();
        while models.join_next().await.is_some() {}
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
        self.members.get(id).map(|member| self.plane.state.log(member.id.as_str()))
    }

    /// The running agent, to be spoken to.
    pub fn target(&self, id: &CellId) -> Option<Target> {
        let Running { steering, speech, session, gate } = self.members.get(id)?.state().running.clone()?;
        Some(Target {
            id: id.clone(),
            speech,
            steering,
            models: self.plane.models.clone(),
            session,
            gate,
            desk: self.plane.desk.clone(),
        })
    }

    /// What every agent is doing.
    pub async fn status(&self) -> Vec<Status> {
        let mut all = Vec::new();
        for (id, member) in self.members.iter() {
            let running = member.state().running.as_ref().map(|running| running.steering.clone());
            let usage = match running {
                Some(steering) => steering.usage().await,
                None => nanoclaw_sandbox::cgroup::Usage::default(),
            };
            let state = member.state();
            all.push(Status {
                id: id.to_string(),
                kind: member.what.kind().to_owned(),
                phase: state.phase,
                restarts: state.restarts,
                uptime_seconds: state.since.elapsed().as_secs(),
                cpu_us: usage.cpu_us,
                memory_bytes: usage.memory_now_bytes,
                pids: usage.pids_now,
                refusals: self.plane.recorder.counters(id).refused,
                labels: self.plane.sessions.label(id),
                labels_since: self.plane.sessions.since(id).map(|since| format!("{since:.0}")),
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
                Ok((cell, identity)) => {
                    let (end, unwell) = self.attend(&member, cell, &mut stop).await;
                    if let Some(identity) = identity {
                        identity.end().await;
                    }
                    if let What::Model { provider, .. } = &member.what {
                        self.plane.providers.close(provider);
                    }
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
            let again = match member.restart {
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

    async fn start(&self, member: &Member) -> Result<(Cell, Option<svid::Held>), String> {
        member.enter(Phase::Starting);
        let id = &member.id;
        let log =
            Log::open(self.plane.state.log(id.as_str())).map_err(|error| format!("log of agent `{id}`: {error}"))?;
        let (stdio, output) = log::stdio().map_err(|error| format!("log of agent `{id}`: {error}"))?;
        std::thread::spawn(move || log.copy(output));
        let Fitted { order, speech } = match &member.what {
            What::Agent(agent) => agents::fit(&self.plane, agent, self.mode)
                .map_err(|error| format!("cell `{id}` was not started: {error}"))?,
            What::Model { server, .. } => {
                let order = llama::fit(id.clone(), server, self.mode, self.plane.launcher.cgroups().enforced());
                Fitted { order, speech: Speech::LlamaServer }
            }
        };
        let cell = launch(&self.plane, order, stdio).await.map_err(|error| error.to_string())?;
        let steering = cell.steering(&self.plane);
        let begun = self.plane.identities.begin(&self.plane.recorder, id, cell.session).await;
        let identity = begun.map_err(|error| {
            steering.kill();
            format!("cell `{id}` was ended again: {error}")
        })?;
        if let What::Model { provider, .. } = &member.what {
            self.plane.providers.open(provider, steering.clone());
        }
        // What can be spoken to is asked whether it is ready (see `health`).
        let asked = speech != Speech::None && !matches!(&member.what, What::Agent(agent) if agent.health.is_some());
        let mut state = member.state();
        state.running = Some(Running { steering, speech, session: cell.session, gate: cell.gate.clone() });
        state.problem = None;
        drop(state);
        if !asked {
            member.enter(Phase::Running);
        }
        Ok((cell, identity))
    }

    /// Stays with a running cell until it has ended; also tells whether it was ended because it was unwell.
    async fn attend(&self, member: &Member, mut cell: Cell, stop: &mut watch::Receiver<bool>) -> (End, bool) {
        let steering = cell.steering(&self.plane);
        let session = cell.session;
        let health = match &member.what {
            What::Agent(agent) => agent.health.as_ref(),
            What::Model { .. } => None,
        };
        let unwell = async {
            let told = |well| member.enter(if well { Phase::Running } else { Phase::Unwell });
            match (health, self.target(&member.id)) {
                (Some(health), _) => {
                    let check = health::Check { plane: &self.plane, engine: &member.engine, id: &member.id, session };
                    check.fails(health, &steering, told).await
                }
                (None, Some(target)) => health::goes_silent(&target, told).await,
                (None, None) => std::future::pending().await,
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
        if let Ok(end) = tokio::time::timeout(member.stop_grace, cell.wait()).await {
            return (end, was_unwell);
        }
        steering.kill();
        (cell.wait().await, was_unwell)
    }
}

impl Member {
    fn new(id: CellId, what: What, restart: Restart, stop_grace: Duration, engine: Engine) -> Self {
        let state = State {
            phase: Phase::Starting,
            restarts: 0,
            since: Instant::now(),
            running: None,
            last_exit: None,
            problem: None,
        };
        Self { id, what, restart, stop_grace, engine, state: Mutex::new(state), stop: watch::channel(false).0 }
    }

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
