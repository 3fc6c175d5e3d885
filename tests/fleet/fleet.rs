//! A running fleet.

use std::path::Path;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Background, Finished, Host, eventually, marked};

/// `nanoclaw up`, in the background. Dropped, it is killed, which is an end that its cells must not survive.
pub struct Fleet {
    pub host: Host,
    control: Background,
}

impl Fleet {
    /// Starts the fleet of this configuration.
    pub fn up(agents: &str) -> Self {
        Self::up_on(Host::new(), agents)
    }

    /// Starts it on this host.
    pub fn up_on(host: Host, agents: &str) -> Self {
        host.write("fleet.yaml", agents);
        host.directory("work");
        let control = Background::start(host.prepare(["up", "-c", "fleet.yaml"]), Stdio::null());
        control.says("from `fleet.yaml`");
        // The control socket stands before that is said.
        Self { host, control }
    }

    /// A command for it.
    pub fn ask(&self, arguments: &[&str]) -> Finished {
        self.host.nanoclaw(arguments)
    }

    /// What `ps --json` says of one agent.
    pub fn status(&self, agent: &str) -> Value {
        let list = self.ask(&["ps", "--json"]).good();
        let lines = list.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.into_iter().find(|status| status["id"] == agent).unwrap_or_else(|| panic!("no {agent} in {list}"))
    }

    /// Waits until `ps --json` says this of an agent, and gives it.
    #[track_caller]
    pub fn until(&self, agent: &str, what: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let came = crate::support::appears(|| {
            last = self.status(agent);
            what(&last)
        });
        assert!(came, "it does not become so: {last}\n{}", self.control.errors());
        last
    }

    /// Waits until an agent is in this phase.
    #[track_caller]
    pub fn phase(&self, agent: &str, phase: &str) -> Value {
        self.until(agent, |status| status["phase"] == phase)
    }

    /// Waits until an agent's log holds this.
    #[track_caller]
    pub fn logs(&self, agent: &str, text: &str) {
        eventually(&format!("`{text}` in the log of {agent}"), || {
            self.ask(&["logs", agent]).text().contains(text).then_some(())
        });
    }

    /// The pid of the control plane.
    pub fn pid(&self) -> i32 {
        self.control.pid()
    }

    /// Its launcher: the one child of the control plane.
    pub fn launcher(&self) -> i32 {
        let children = children(self.pid());
        assert_eq!(children.len(), 1, "{children:?}");
        children[0]
    }

    /// Waits until it has said this.
    #[track_caller]
    pub fn says(&self, text: &str) {
        self.control.says(text);
    }

    /// Sends a signal to the control plane.
    pub fn signal(&self, signal: Signal) {
        self.control.signal(signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(self) -> (Host, Finished) {
        let finished = self.control.finish();
        (self.host, finished)
    }
}

/// The children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect()
}

/// A word that only processes of one test have among their arguments.
pub fn marker(test: &str) -> String {
    format!("marker-{test}-{}", std::process::id())
}

/// Waits until so many processes with this marker run.
#[track_caller]
pub fn wait_for(marker: &str, count: usize) -> Vec<i32> {
    eventually(&format!("{count} processes with {marker}"), || {
        let found = marked(marker);
        (found.len() >= count).then_some(found)
    })
}

/// The control groups of an agent's cells that exist now.
pub fn control_groups(agent: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut look = |parent: &Path| {
        for entry in std::fs::read_dir(parent.join("nanoclaw")).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&format!("{agent}-")) {
                found.push(entry.path());
            }
        }
    };
    let base = Path::new("/sys/fs/cgroup");
    look(base);
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        look(&entry.path());
    }
    found
}
