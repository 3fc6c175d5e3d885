//! A fleet with a model of its own.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::{Background, Finished, Host, appears, skip};

/// The provider's name, and that of its only model.
const MODEL: &str = "local/small";

/// Where the model is; `None`, loudly, where it is not.
pub fn model() -> Option<PathBuf> {
    let chosen = std::env::var_os("NANOCLAW_MODEL_DIR").map(PathBuf::from);
    let directory =
        chosen.unwrap_or_else(|| Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/model")).into());
    match directory.canonicalize() {
        Ok(directory) if ["bin/llama-server", "model.gguf"].iter().all(|file| directory.join(file).is_file()) => {
            Some(directory)
        }
        Ok(_) | Err(_) => {
            skip("there is no real model here; `scripts/model.sh` fetches one");
            None
        }
    }
}

/// `nanoclaw up`, in the background, with the model as the provider `local`.
pub struct Fleet {
    pub host: Host,
    control: Background,
}

impl Fleet {
    /// Starts these agents, and waits for nothing. `context` is that of the model, in tokens.
    pub fn up(host: Host, model: &Path, context: u32, agents: &str) -> Self {
        let directory = model.display();
        // One thread: two that other programs of the machine interrupt spend their time waiting for each other.
        let config = format!(
            "models:
  default: {MODEL}
  providers:
    - name: local
      kind: llama-server
      program: {directory}/bin/llama-server
      model_file: {directory}/model.gguf
      context: {context}
      idle_timeout: 15m
      timeout: 30m
{}agents:
{agents}",
            if rustix::process::geteuid().is_root() { "      limits: { cpu: 1 }\n" } else { "" }
        );
        host.write("fleet.yaml", config);
        host.directory("work");
        let control = Background::start(host.prepare(["up", "-c", "fleet.yaml"]), Stdio::null());
        control.says("from `fleet.yaml`");
        Self { host, control }
    }

    /// A command for it that is quick.
    pub fn ask(&self, arguments: &[&str]) -> Finished {
        self.host.nanoclaw(arguments)
    }

    /// One turn of an agent, for which the model takes its time.
    pub fn turn(&self, agent: &str, prompt: &str) -> Output {
        self.host.prepare(["ask", agent, prompt]).stdin(Stdio::null()).output().expect("the binary")
    }

    /// What `ps --json` says of one member.
    pub fn status(&self, id: &str) -> Value {
        let list = self.ask(&["ps", "--json"]).good();
        let lines = list.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.into_iter().find(|status| status["id"] == id).unwrap_or_else(|| panic!("no {id} in {list}"))
    }

    /// Waits until `ps --json` says this of a member, and gives it.
    #[track_caller]
    pub fn until(&self, id: &str, what: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let came = appears(|| {
            last = self.status(id);
            what(&last)
        });
        assert!(came, "it does not become so: {last}\n{}\n{}", self.control.errors(), self.log(id));
        last
    }

    /// What a member wrote.
    pub fn log(&self, id: &str) -> String {
        self.ask(&["logs", id]).text()
    }

    /// Waits until a member's log holds this.
    #[track_caller]
    pub fn logs(&self, id: &str, text: &str) {
        let came = appears(|| self.log(id).contains(text));
        assert!(came, "no `{text}` in the log of {id}:\n{}", self.log(id));
    }

    /// The records of what an agent did, of one action.
    pub fn records(&self, agent: &str, action: &str) -> Vec<Value> {
        self.host.records_of(action).into_iter().filter(|record| record["agent_id"] == agent).collect()
    }

    /// The tools whose calls the model proposed and the agent was given.
    pub fn called(&self, agent: &str) -> Vec<String> {
        let calls = self.records(agent, "tool_call");
        let allowed = calls.iter().filter(|record| record["result"] == "allowed");
        allowed.map(|record| record["resource"].as_str().expect("a tool").to_owned()).collect()
    }

    /// The outcomes of the calls of the model.
    pub fn model_calls(&self, agent: &str) -> Vec<Value> {
        self.records(agent, "model_call").into_iter().filter(|record| record["result"] == "done").collect()
    }
}
