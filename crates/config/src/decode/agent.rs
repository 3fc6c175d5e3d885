//! One agent of the fleet.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use nanoclaw_request::CellId;

use super::access::access;
use super::keys::{AGENT, HEALTH, LIMITS, MOUNT};
use super::kind::kind;
use super::labels::rule_sets;
use super::names::{Names, Naming, name};
use super::network::networks;
use super::reader::{Field, Fields, Reader};
use super::together::together;
use super::turns::{schedule, webhook};
use super::{HostPlace, Wants};
use crate::display::shown;
use crate::tree::Kind;
use crate::value::{cell_path, env_name, host_path, mount_target, nested, no_nul, size};
use crate::{Agent, Health, Limits, Models, Mount, MountMode, NetRule, Restart, Rootfs, parse_cpus, parse_rootfs};

/// Most elements of a command.
const MAX_ARGUMENTS: usize = 1024;
/// Most mounts of one agent.
const MAX_MOUNTS: usize = 64;
/// Most variables of one agent.
const MAX_VARIABLES: usize = 256;
/// Bounds of `health.interval`, in milliseconds.
const INTERVAL: std::ops::RangeInclusive<u64> = 100..=86_400_000;
/// Bounds of `health.timeout`, in milliseconds.
const CHECK_TIME: std::ops::RangeInclusive<u64> = 100..=3_600_000;
/// Bounds of `stop_grace`, in milliseconds; 0 kills at once.
const GRACE: std::ops::RangeInclusive<u64> = 0..=3_600_000;
/// Bounds of `health.retries`.
const RETRIES: std::ops::RangeInclusive<u32> = 1..=100;

pub(super) const COMMAND_HELP: &str =
    "write program and arguments as a list: `command: [\"python3\", \"/workspace/agent.py\"]`";

/// What agents take over from the top level, and may refer to there.
pub(super) struct Fleet<'f> {
    pub(super) networks: &'f [NetRule],
    pub(super) limits: Limits,
    pub(super) names: &'f Names,
    pub(super) models: &'f Models,
    /// Whether anything is served over HTTP.
    pub(super) listens: bool,
}

/// Reads one agent; nothing where its `id` or what it runs is missing or wrong.
pub(super) fn agent(
    r: &mut Reader<'_>,
    item: &Field<'_>,
    index: usize,
    seen: &mut HashMap<CellId, usize>,
    fleet: &Fleet<'_>,
) -> Option<Agent> {
    let fields = r.fields(item, &AGENT, "write the agent as `- id: nano-001`, and `command` below it")?;
    let id = name(r, &fields, &Naming::AGENT, seen);
    let who = id.as_ref().map_or_else(|| "an agent".to_owned(), |id| format!("agent `{id}`"));
    let path = id.as_ref().map_or_else(|| format!("agents[{index}]"), |id| format!("agents.{id}"));
    let (runs, kind) = kind(r, &fields, &who, fleet.models);
    let models = access(r, &fields, runs, &who, &path, fleet.names);
    let turns = |key: &str| fields.get(key).filter(|_| runs.takes_turns());
    let schedule = turns("schedule").map(|field| schedule(r, &field));
    let webhook = turns("webhook").and_then(|field| webhook(r, &field, fleet.listens));
    let rootfs = fields.get("rootfs").and_then(|field| rootfs(r, &field)).unwrap_or_default();
    let mounts = fields.get("mounts").map(|field| mounts(r, &field)).unwrap_or_default();
    let env = fields.get("env").map(|field| env(r, &field)).unwrap_or_default();
    let workdir = fields.get("workdir").and_then(|field| {
        let text = r.text(&field, "write a path inside the cell such as `/workspace`")?;
        r.check(field.place(), cell_path(text))
    });
    let limits = fields.get("limits").map(|field| limits(r, &field)).unwrap_or_default().or(fleet.limits);
    let allowed_networks = match fields.get("allowed_networks") {
        Some(field) => networks(r, &field, &format!("{path}.allowed_networks")),
        None => fleet.networks.to_vec(),
    };
    let rule_sets = fields.get("rule_sets").map(|field| rule_sets(r, &field));
    let words = [("never", Restart::Never), ("on-failure", Restart::OnFailure), ("always", Restart::Always)];
    // Somebody expects an agent that is spoken to to be there.
    let usual = if runs.takes_turns() { Restart::OnFailure } else { Restart::Never };
    let restart = fields.get("restart").and_then(|field| r.choice(&field, &words)).unwrap_or(usual);
    let health = fields.get("health").and_then(|field| health(r, &field));
    let stop_grace = fields.get("stop_grace").and_then(|field| r.time(&field, &GRACE));
    let kind = kind?;
    together(r, &fields, &who, &kind, &rootfs, models.as_ref(), fleet.models);
    Some(Agent {
        id: id?,
        kind,
        models,
        schedule: schedule.unwrap_or_default(),
        webhook,
        rootfs,
        mounts,
        env,
        workdir,
        limits,
        allowed_networks,
        rule_sets,
        restart,
        health,
        stop_grace: stop_grace.unwrap_or(Duration::from_secs(10)),
    })
}

/// Reads a program and its arguments.
pub(super) fn command(r: &mut Reader<'_>, field: &Field<'_>) -> Option<Vec<String>> {
    if let Kind::Plain(text) | Kind::Quoted(text) = &field.node.kind {
        let simple = !text.contains(['"', '\'', '\\', '$', '|', '&', ';', '<', '>', '*', '(', '`']);
        let words: Vec<String> = text.split_whitespace().map(|word| format!("\"{}\"", shown(word))).collect();
        let help = if simple && !words.is_empty() {
            format!("write `{}: [{}]`", field.name, words.join(", "))
        } else {
            format!("write program and arguments one by one, or `{}: [\"sh\", \"-c\", …]`", field.name)
        };
        r.mismatch(field, "a list", &help);
        return None;
    }
    let items = r.list(field, MAX_ARGUMENTS, COMMAND_HELP)?;
    let mut command = Vec::new();
    let mut whole = true;
    for node in items {
        let item = field.element(node);
        let text = r.verbatim(&item, "a text", "write each argument as a text; an empty one as `\"\"`");
        let text = text.and_then(|text| r.check(item.place(), no_nul("the argument", text).map(|()| text)));
        whole &= text.is_some();
        command.extend(text.map(str::to_owned));
    }
    if command.first().is_none_or(String::is_empty) && whole {
        r.error(field.place(), format!("`{}` names no program", field.name), COMMAND_HELP);
        return None;
    }
    whole.then_some(command)
}

fn rootfs(r: &mut Reader<'_>, field: &Field<'_>) -> Option<Rootfs> {
    let help = "write `host`, `minimal` or a directory such as `./rootfs`";
    let text = r.text(field, help)?;
    let rootfs = r.check(field.place(), parse_rootfs(text, r.base))?;
    if let Rootfs::Directory(path) = &rootfs {
        r.host_places.push(HostPlace { place: field.place(), path: path.clone(), wants: Wants::Root });
    }
    Some(rootfs)
}

fn mounts(r: &mut Reader<'_>, field: &Field<'_>) -> Vec<Mount> {
    let help = "write a list such as `[{ source: ./work, target: /workspace, mode: rw }]`";
    let Some(items) = r.list(field, MAX_MOUNTS, help) else { return Vec::new() };
    let mut mounts: Vec<Mount> = Vec::new();
    for node in items {
        let item = field.element(node);
        let Some(fields) = r.fields(&item, &MOUNT, "write `{ source: ./work, target: /workspace, mode: rw }`") else {
            continue;
        };
        let modes = [("ro", MountMode::Ro), ("rw", MountMode::Rw)];
        let mode = fields.get("mode").and_then(|field| r.choice(&field, &modes)).unwrap_or_default();
        let source = part(r, &fields, "source", "./work").and_then(|(field, text)| {
            let path = r.check(field.place(), host_path(text, r.base))?;
            r.host_places.push(HostPlace { place: field.place(), path: path.clone(), wants: Wants::Anything });
            Some(path)
        });
        let target = part(r, &fields, "target", "/workspace").and_then(|(field, text)| {
            let path = r.check(field.place(), mount_target(text))?;
            free(r, &field, path, &mounts)
        });
        if let (Some(source), Some(target)) = (source, target) {
            mounts.push(Mount { source, target, mode });
        }
    }
    mounts
}

/// A required path of a mount.
fn part<'n>(r: &mut Reader<'_>, fields: &Fields<'n>, key: &str, example: &str) -> Option<(Field<'n>, &'n str)> {
    let Some(field) = fields.get(key) else {
        r.error(fields.place, format!("a mount has no `{key}`"), format!("add `{key}: {example}`"));
        return None;
    };
    let text = r.text(&field, &format!("write a path such as `{example}`"))?;
    Some((field, text))
}

/// The target, if no earlier mount is in its way.
fn free(r: &mut Reader<'_>, field: &Field<'_>, target: PathBuf, mounts: &[Mount]) -> Option<PathBuf> {
    match mounts.iter().find_map(|mount| nested(&target, &mount.target)) {
        Some(error) => r.check(field.place(), Err(error)),
        None => Some(target),
    }
}

/// Reads environment variables.
pub(super) fn env(r: &mut Reader<'_>, field: &Field<'_>) -> BTreeMap<String, String> {
    let help = "write a mapping such as `{ LANG: C.UTF-8 }`";
    let mut env = BTreeMap::new();
    let Kind::Map(entries) = &field.node.kind else {
        r.mismatch(field, "a mapping", help);
        return env;
    };
    if let Some(extra) = entries.get(MAX_VARIABLES) {
        r.error(
            extra.place,
            format!("`env` has {} variables, and at most {MAX_VARIABLES} are allowed", entries.len()),
            "remove the rest",
        );
        return env;
    }
    for entry in entries {
        let item = Field::new(&entry.key, entry.place, &entry.value);
        let name = r.check(entry.place, env_name(&entry.key));
        let help = format!("write a text, such as `{}: \"\"` for an empty one", shown(&entry.key));
        let value = r.verbatim(&item, "a text", &help);
        let value = value.and_then(|value| r.check(item.place(), no_nul("the value", value).map(|()| value)));
        if let (Some(()), Some(value)) = (name, value) {
            env.insert(entry.key.clone(), value.to_owned());
        }
    }
    env
}

/// Reads `limits`, of the fleet or of an agent.
pub(super) fn limits(r: &mut Reader<'_>, field: &Field<'_>) -> Limits {
    let help = "write a mapping such as `{ cpu: 1, memory: 512Mi }`";
    let Some(fields) = r.fields(field, &LIMITS, help) else { return Limits::default() };
    let bytes = |r: &mut Reader<'_>, key: &str, range| {
        let field = fields.get(key)?;
        let text = r.verbatim(&field, "a size", "write a size such as `512Mi`")?;
        r.check(field.place(), size(key, text, &range))
    };
    Limits {
        cpu_millis: fields.get("cpu").and_then(|field| {
            let text = r.verbatim(&field, "a number of cores", "write cores such as `1`, `0.5` or `500m`")?;
            r.check(field.place(), parse_cpus(text))
        }),
        memory: bytes(r, "memory", Limits::MEMORY),
        pids: fields.get("pids").and_then(|field| r.number(&field, &Limits::PIDS)),
        disk: bytes(r, "disk", Limits::DISK),
        files: fields.get("files").and_then(|field| r.number(&field, &Limits::FILES)),
        timeout: fields.get("timeout").and_then(|field| r.time(&field, &Limits::TIMEOUT_MILLIS)),
    }
}

fn health(r: &mut Reader<'_>, field: &Field<'_>) -> Option<Health> {
    let fields =
        r.fields(field, &HEALTH, "write a mapping such as `{ command: [\"test\", \"-e\", \"/tmp/ready\"] }`")?;
    let command = match fields.get("command") {
        Some(field) => command(r, &field),
        None => {
            r.error(fields.place, "`health` has no `command`", "add `command: [\"test\", \"-e\", \"/tmp/ready\"]`");
            None
        }
    };
    let interval = fields.get("interval").and_then(|field| r.time(&field, &INTERVAL));
    let timeout = fields.get("timeout").and_then(|field| r.time(&field, &CHECK_TIME));
    let retries = fields.get("retries").and_then(|field| r.number(&field, &RETRIES));
    Some(Health {
        command: command?,
        interval: interval.unwrap_or(Duration::from_secs(10)),
        timeout: timeout.unwrap_or(Duration::from_secs(5)),
        retries: retries.unwrap_or(3),
    })
}
