//! Whether an agent is well: by the command that the configuration names, or by whether it can be spoken to.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nanoclaw_audit::Warrant;
use nanoclaw_config::Health;
use nanoclaw_policy::Engine;
use nanoclaw_request::{CellId, Launch, SessionId};
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};

use crate::cell::{Steering, launch_warrant};
use crate::plane::Plane;
use crate::turn::Target;

/// Pause between two looks at whether an agent can be spoken to.
const LOOK: Duration = Duration::from_secs(10);
/// The same, while it starts.
const FIRST_LOOK: Duration = Duration::from_millis(500);
/// How long one look may take.
const LOOK_TIME: Duration = Duration::from_secs(10);
/// How long an agent may take until it can be spoken to for the first time.
const START: Duration = Duration::from_secs(300);
/// Looks in vain, one after the other, until it counts as unwell.
const LOOKS: u32 = 3;

/// Health checks by a command in an agent's cell. A check is the operator's own order, and walks the path like every other.
pub(crate) struct Check<'a> {
    pub(crate) plane: &'a Plane,
    pub(crate) engine: &'a Engine,
    pub(crate) id: &'a CellId,
    pub(crate) session: SessionId,
}

impl Check<'_> {
    /// Returns when the check has failed too often in a row. `told` hears of each.
    pub(crate) async fn fails(&self, health: &Health, steering: &Steering, told: impl Fn(bool)) {
        let mut failures = 0;
        while failures < health.retries {
            sleep(health.interval).await;
            let launch = Launch {
                cell: self.id.clone(),
                session: self.session,
                command: health.command.clone(),
                summary: "health check".to_owned(),
            };
            let well = match launch_warrant(self.plane, self.engine, launch).await {
                Ok(warrant) => timeout(health.timeout, run(steering, warrant, health)).await.unwrap_or(false),
                Err(_) => false,
            };
            failures = if well { 0 } else { failures + 1 };
            told(well);
        }
    }
}

/// Returns when an agent that could be spoken to no longer can, or never could in time. Never for programs that are not
/// spoken to.
pub(crate) async fn goes_silent(target: &Target, told: impl Fn(bool)) {
    let ready = async || timeout(LOOK_TIME, target.is_ready()).await.unwrap_or(Some(false));
    let started = Instant::now();
    loop {
        match ready().await {
            None => return std::future::pending().await,
            Some(true) => break,
            Some(false) if started.elapsed() > START => {
                told(false);
                return;
            }
            Some(false) => sleep(FIRST_LOOK).await,
        }
    }
    told(true);
    let mut failures = 0;
    while failures < LOOKS {
        sleep(LOOK).await;
        let well = ready().await == Some(true);
        failures = if well { 0 } else { failures + 1 };
        told(well);
    }
}

async fn run(steering: &Steering, warrant: Warrant, health: &Health) -> bool {
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
