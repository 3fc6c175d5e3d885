//! What of a configuration a running fleet cannot take on.

use std::collections::BTreeSet;

use nanoclaw_config::{Agent, AgentKind, Config, ModelAccess};
use serde::{Deserialize, Serialize};

use crate::agents::openclaw::OWN_NAMES;
use crate::cell::host_services;
use crate::policies::access;

/// What waits for the next start of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Later {
    /// Which agent; the fleet as a whole where there is none.
    pub agent: Option<String>,
    /// The keys of the configuration.
    pub keys: Vec<String>,
}

/// What of `config` a fleet that runs as `started` says does not take on, and the agents that are gone and that are new.
pub fn of(started: &Config, config: &Config) -> (Vec<Later>, Vec<String>, Vec<String>) {
    let find = |config: &Config, agent: &Agent| config.agents.iter().find(|other| other.id == agent.id).cloned();
    let without = |these: &Config, others: &Config| {
        let missing = these.agents.iter().filter(|agent| find(others, agent).is_none());
        missing.map(|agent| agent.id.to_string()).collect::<Vec<_>>()
    };
    let agents = started.agents.iter().filter_map(|old| {
        let keys = of_agent((started, old), (config, &find(config, old)?));
        (!keys.is_empty()).then(|| Later { agent: Some(old.id.to_string()), keys })
    });
    let fleet = of_fleet(started, config);
    let fleet = (!fleet.is_empty()).then_some(Later { agent: None, keys: fleet });
    (agents.chain(fleet).collect(), without(started, config), without(config, started))
}

/// The keys that differ.
fn differing(keys: &[(&str, bool)]) -> Vec<String> {
    keys.iter().filter(|(_, differs)| *differs).map(|(key, _)| (*key).to_owned()).collect()
}

fn of_agent((started, old): (&Config, &Agent), (config, new): (&Config, &Agent)) -> Vec<String> {
    // Taken apart, so that whoever adds a field must say what becomes of it here.
    let Agent {
        id: _,
        kind,
        models: _,
        schedule,
        webhook,
        rootfs,
        mounts,
        env,
        workdir,
        limits,
        allowed_networks,
        rule_sets: _,
        restart,
        health,
        stop_grace,
    } = new;
    let is_builtin = matches!(kind, AgentKind::Builtin(_));
    let (before, after) = (access(started, old), access(config, new));
    let new_services = {
        let served: BTreeSet<_> = host_services(&old.allowed_networks).into_iter().collect();
        host_services(allowed_networks).iter().any(|service| !served.contains(service))
    };
    let mut keys = differing(&[
        ("kind, command or what belongs to it", *kind != old.kind),
        ("schedule", *schedule != old.schedule),
        ("webhook", *webhook != old.webhook),
        ("rootfs", *rootfs != old.rootfs),
        ("mounts", *mounts != old.mounts),
        ("env", *env != old.env),
        ("workdir", *workdir != old.workdir),
        ("limits", *limits != old.limits),
        ("restart", *restart != old.restart),
        ("health", *health != old.health),
        ("stop_grace", *stop_grace != old.stop_grace),
        ("allowed_networks (a new `host-service`)", new_services),
    ]);
    match (before, after) {
        (None, Some(_)) => keys.push("models".to_owned()),
        (Some(before), Some(after)) => keys.extend(of_models(&before, &after, is_builtin)),
        (Some(_) | None, None) => {}
    }
    keys
}

fn of_models(old: &ModelAccess, new: &ModelAccess, is_builtin: bool) -> Vec<String> {
    let ModelAccess { model, allow: _, deny: _, tools, budget, group, text_calls: _, told: _ } = new;
    differing(&[
        ("model", *model != old.model),
        ("tools (which ones it is told of)", is_builtin && *tools != old.tools),
        ("tools (by which names they are called)", own_names(old) != own_names(new)),
        ("budget", *budget != old.budget),
        ("group (its budget)", *group != old.group),
    ])
}

/// Whether the tools of an OpenClaw are called each by its own name.
fn own_names(access: &ModelAccess) -> bool {
    access.tools.deny.iter().any(|rule| rule.id.ends_with(OWN_NAMES))
}

fn of_fleet(old: &Config, new: &Config) -> Vec<String> {
    let Config {
        sandbox_mode,
        audit_enabled,
        audit,
        firewall: _,
        policies: _,
        rule_sets: _,
        labels: _,
        approvals: _,
        // Agents without their own have these.
        allowed_networks: _,
        limits: _,
        models,
        budget,
        groups,
        listen,
        api,
        oidc,
        agents: _,
    } = new;
    differing(&[
        ("sandbox_mode", *sandbox_mode != old.sandbox_mode),
        ("audit_enabled", *audit_enabled != old.audit_enabled),
        ("audit", *audit != old.audit),
        ("models.providers", models.providers != old.models.providers),
        ("models.default", models.default != old.models.default),
        ("models.aliases", models.aliases != old.models.aliases),
        ("models.prices", models.prices != old.models.prices),
        ("models.keep_bodies", models.keep_bodies != old.models.keep_bodies),
        ("budget", *budget != old.budget),
        ("groups", *groups != old.groups),
        ("listen", *listen != old.listen),
        ("api", *api != old.api),
        ("operators", *oidc != old.oidc),
    ])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        nanoclaw_config::parse(text, Path::new("f"), Path::new("/base")).unwrap().config
    }

    const MODELS: &str = "models: { providers: [{ name: p, kind: openai, base_url: 'http://127.0.0.1:1/v1' }] }\n";

    #[test]
    fn what_policy_decides_by_waits_for_nothing() {
        let old = config(&format!("{MODELS}agents: [{{ id: a, command: [x], model: p/m }}]\n"));
        let new = config(&format!(
            "{MODELS}rule_sets: [rule-of-two]\nprompt_filters: [no-sensitive-output]\nfirewall: {{ prompts: annotate }}\nallowed_networks: [api.example.com]\napprovals: {{ people: 2 }}\n\
             agents: [{{ id: a, command: [x], model: p/m, models: {{ allow: ['p/*'] }}, tools: {{ deny: [shell] }}, rule_sets: [] }}]\n"
        ));
        assert_eq!(of(&old, &new), (Vec::new(), Vec::new(), Vec::new()));
    }

    #[test]
    fn an_openclaw_calls_tools_by_their_names_wherever_something_tells_them_apart() {
        let of = |fleet: &str, agent: &str, kind: &str| {
            let agents = format!("agents: [{{ id: a, {kind}, model: p/m{agent} }}]");
            let config = config(&format!("{MODELS}{fleet}\n{agents}\n"));
            let denied = access(&config, &config.agents[0]).unwrap().tools.deny;
            let named = denied.iter().filter(|rule| rule.id == "agents.a.tools.each-by-its-own-name");
            named.map(|rule| rule.name.clone()).collect::<Vec<_>>()
        };
        let openclaw = "kind: openclaw";
        for (fleet, agent) in [
            ("policies: [./p.cedar]", ""),
            ("rule_sets: [rule-of-two]", ""),
            ("", ", rule_sets: [rule-of-two]"),
            ("labels: { tools: [{ name: x, trust: untrusted }] }", ""),
            ("", ", tools: { deny: [browser] }"),
        ] {
            assert_eq!(of(fleet, agent, openclaw), ["tool_call", "tool_search_code"], "{fleet}{agent}");
            assert!(of(fleet, agent, "command: [x]").is_empty(), "{fleet}{agent}");
        }
        for (fleet, agent) in [("", ""), ("rule_sets: [rule-of-two]", ", rule_sets: []")] {
            assert!(of(fleet, agent, openclaw).is_empty(), "{fleet}{agent}");
        }
    }

    #[test]
    fn what_a_cell_is_made_of_waits_and_is_named() {
        let old = config("agents: [{ id: a, command: [x] }, { id: old, command: [x] }]\n");
        let new = config(
            "sandbox_mode: standard\nlimits: { pids: 9 }\nagents:\n  - { id: a, command: [y], env: { K: v }, allowed_networks: ['host-service:127.0.0.1:1'] }\n  - { id: new, command: [x] }\n",
        );
        let (later, removed, added) = of(&old, &new);
        assert_eq!((removed, added), (vec!["old".to_owned()], vec!["new".to_owned()]));
        let [agent, fleet] = later.as_slice() else { panic!("{later:?}") };
        assert_eq!(agent.agent.as_deref(), Some("a"));
        let expected =
            ["kind, command or what belongs to it", "env", "limits", "allowed_networks (a new `host-service`)"];
        assert_eq!(agent.keys, expected);
        assert_eq!((fleet.agent.as_deref(), fleet.keys.as_slice()), (None, &["sandbox_mode".to_owned()][..]));
    }

    #[test]
    fn the_model_of_an_agent_waits_and_the_fleets_default_counts_for_it() {
        let old = config(&format!("{}agents: [{{ id: a, command: [x], models: {{ allow: [p/m] }} }}]\n", MODELS));
        let with_default = MODELS.replace(" }\n", ", default: p/n }\n");
        let new = config(&format!("{with_default}agents: [{{ id: a, command: [x], models: {{ allow: [p/m] }} }}]\n"));
        let (later, ..) = of(&old, &new);
        let keys: Vec<&str> = later.iter().flat_map(|later| &later.keys).map(String::as_str).collect();
        assert_eq!(keys, ["model", "models.default"]);
    }
}
