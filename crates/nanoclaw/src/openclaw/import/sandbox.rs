//! OpenClaw's own sandbox, which was around its tools, where there was one. Now everything is in a cell.

use super::node::Node;
use super::report::Report;

/// What is not carried over of a sandbox.
const LEFT: [(&str, &str); 9] = [
    ("backend", "the cell is NanoClaw's own"),
    ("scope", "each agent has one cell"),
    ("workspaceAccess", "the agent may write to its `/workspace`, as its own files are there"),
    ("workspaceRoot", "workspaces are in NanoClaw's state directory"),
    ("sessionToolsVisibility", "all of an agent's sessions are in its cell"),
    ("ssh", "cells are on this machine"),
    ("browser", "there is no browser in the cell"),
    ("prune", "a cell is gone when it ends"),
    ("perSession", "each agent has one cell"),
];

/// What is not carried over of `docker`.
const DOCKER: [(&str, &str); 12] = [
    ("image", "the cell sees the host's programs, read-only; `rootfs: DIR` gives it others"),
    ("network", "the cell reaches the model door and nothing else; `allowed_networks` adds to it"),
    ("binds", "the cell sees no files of the host; `mounts` adds some"),
    ("env", "nothing of it goes into the cell, as it may hold keys; `env` adds what is no secret"),
    ("memory", "`limits: { memory: … }`; all of OpenClaw is in the cell, which takes 2Gi"),
    ("memorySwap", "`limits: { memory: … }` counts swap too"),
    ("cpus", "`limits: { cpu: … }`"),
    ("pidsLimit", "`limits: { pids: … }`; OpenClaw itself takes some 30"),
    ("ulimits", "`limits: { files: …, pids: … }`"),
    ("gpus", "there are no devices in the cell"),
    ("setupCommand", "nothing can be installed in a cell; prepare a directory and name it with `rootfs`"),
    ("readOnlyRoot", "the root of a cell is always read-only"),
];

/// What was in OpenClaw's sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    All,
    NonMain,
    Off,
}

impl Mode {
    /// Whether every session was in it.
    pub(super) fn all(self) -> bool {
        self == Mode::All
    }
}

/// What holds for agents that say nothing themselves.
pub(super) fn read(root: &Node<'_>, defaults: Option<&Node<'_>>, report: &mut Report) -> Mode {
    let said = defaults.and_then(|defaults| defaults.get("sandbox")).or_else(|| root.get("sandbox"));
    match said {
        Some(node) => mode(&node, report),
        None => {
            report.changed(
                "agents.defaults.sandbox",
                "not set, which is `off` in OpenClaw; stricter now: everything runs in a cell",
            );
            Mode::Off
        }
    }
}

/// What holds for one agent, if it says something itself.
pub(super) fn own(agent: &Node<'_>, report: &mut Report) -> Option<Mode> {
    agent.get("sandbox").map(|node| mode(&node, report))
}

fn mode(node: &Node<'_>, report: &mut Report) -> Mode {
    node.leave(report, &["mode", "docker"], &LEFT, "the cell is NanoClaw's own");
    if let Some(docker) = node.get("docker") {
        docker.leave(report, &[], &DOCKER, "the cell is NanoClaw's own: no privileges, no network, a read-only root");
    }
    // Some write it short: `sandbox: "all"`.
    let node = node.get("mode").unwrap_or_else(|| node.clone());
    match node.text() {
        Some("all") => {
            report.carried(&node.path, "satisfied: the whole of OpenClaw runs in a cell, not only its tools");
            Mode::All
        }
        Some("non-main") => {
            report.changed(&node.path, "stricter now: the main session runs in the cell too");
            Mode::NonMain
        }
        Some("off") | None => {
            report.changed(&node.path, "stricter now: everything runs in a cell, and nothing is beside it");
            Mode::Off
        }
        Some(_) => {
            report.changed(&node.path, "not a mode that is known; everything runs in a cell");
            Mode::Off
        }
    }
}
