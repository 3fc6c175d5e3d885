//! Whole turns of agents with tools.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::support::{Host, appears, skip};
use crate::world::{Fleet, model};

/// A turn that the agent finished.
#[track_caller]
fn finished(fleet: &Fleet, turn: &Output, agent: &str) {
    let said = String::from_utf8_lossy(&turn.stderr);
    assert!(turn.status.success(), "{said}\n{}\n{}", fleet.log(agent), fleet.log("model-local"));
}

/// Each call of the model came to its end, and the provider counted what it took.
#[track_caller]
fn accounted(fleet: &Fleet, agent: &str) {
    // The last record may come after the end of the turn.
    let came = appears(|| fleet.model_calls(agent).len() >= 2);
    let calls = fleet.model_calls(agent);
    assert!(came, "a tool call and an answer are two: {calls:#?}");
    let answered: Vec<&Value> = calls.iter().filter(|call| call["model"]["output_tokens"].as_u64() > Some(0)).collect();
    assert!(answered.len() >= 2, "{calls:#?}");
    assert!(answered.iter().all(|call| call["model"]["input_tokens"].as_u64() > Some(100)), "{calls:#?}");
    let proposed = calls.iter().filter_map(|call| call["model"]["tools_proposed"].as_array()).flatten().count();
    assert!(proposed >= 1, "{calls:#?}");
}

#[test]
fn the_builtin_agent_uses_a_tool() {
    let Some(model) = model() else { return };
    let fleet = Fleet::up(
        Host::new(),
        &model,
        8192,
        "  - { id: own, kind: builtin, tools: { allow: [file_write, file_read] } }\n",
    );
    fleet.until("own", |status| status["phase"] == "running");
    let turn = fleet.turn("own", "Create the file hello.txt with the content: good morning");
    finished(&fleet, &turn, "own");
    assert!(fleet.called("own").contains(&"file_write".to_owned()), "{:?}", fleet.called("own"));
    let file = fleet.host.read("state/agents/own/workspace/hello.txt");
    assert!(file.contains("good morning"), "{file}");
    accounted(&fleet, "own");
}

/// Where OpenClaw is installed; `None`, loudly, where it is not.
fn openclaw() -> Option<PathBuf> {
    let chosen = std::env::var_os("NANOCLAW_OPENCLAW_DIR").map(PathBuf::from);
    let directory =
        chosen.unwrap_or_else(|| Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/openclaw")).into());
    match directory.canonicalize() {
        Ok(directory) if directory.join("bin/openclaw").exists() => Some(directory),
        Ok(_) | Err(_) => {
            skip("OpenClaw is not installed; `nanoclaw openclaw install --directory .cache/openclaw` does it");
            None
        }
    }
}

#[test]
fn openclaw_uses_a_tool() {
    let (Some(model), Some(directory)) = (model(), openclaw()) else { return };
    let Some(host) = Host::limited() else { return };
    let fleet = Fleet::up(
        host,
        &model,
        16_384,
        &format!(
            "  - {{ id: claw, kind: openclaw, openclaw: {}, tools: {{ allow: [read, write] }} }}\n",
            directory.display()
        ),
    );
    fleet.until("claw", |status| status["phase"] == "running");
    let turn = fleet.turn("claw", "Use the write tool to create the file hello.txt with the content: good morning");
    finished(&fleet, &turn, "claw");
    assert!(fleet.called("claw").contains(&"write".to_owned()), "{:?}", fleet.called("claw"));
    let file = fleet.host.read("state/agents/claw/workspace/hello.txt");
    assert!(file.contains("good morning"), "{file}");
    accounted(&fleet, "claw");
}
