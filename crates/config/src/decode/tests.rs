use std::path::Path;

use super::keys::{
    AGENT, ALL, API, APPROVALS, AUDIT, BUDGET, FIREWALL, GROUP, HEALTH, HOST_LABEL, LABELS, LIMITS, Level, MCP,
    MODEL_RULES, MODELS, MOUNT, NET_RULE, OIDC, OPERATORS, PATH_LABEL, PROMPT_FILTER, PROVIDER, SCHEDULE, SECRET, SINK,
    TOOL_LABEL, TOOL_RULE, TOOLS, TOP, USER_LABEL, USERS, WEBHOOK,
};

/// Files in which the mapping of `level` has `entry`, otherwise valid; several where the keys depend on the kind.
fn files(level: &Level, entry: &str) -> Vec<String> {
    let agent = |entry: &str| vec![format!("agents: [{{ id: a, command: [x], {entry} }}]")];
    let builtin = |entry: &str| vec![format!("agents: [{{ id: a, kind: builtin, model: m/x, {entry} }}]")];
    let kinds = |list: &str, words: &[&str]| {
        words
            .iter()
            .map(|word| format!("{list}: [{{ {word}{entry} }}]{}", if list == "agents" { "" } else { " }" }))
            .collect()
    };
    match level.name {
        name if name == TOP.name => vec![entry.to_owned()],
        name if name == AGENT.name => kinds("agents", &["", "kind: builtin, ", "kind: openclaw, "]),
        name if name == PROMPT_FILTER.name => ["", "regex: abc, ", "topic: x, ", "words: [abc], topic: x, "]
            .map(|other| format!("prompt_filters: [{{ {other}{entry} }}]"))
            .to_vec(),
        name if name == FIREWALL.name => vec![format!("firewall: {{ {entry} }}")],
        name if name == LIMITS.name => vec![format!("limits: {{ {entry} }}")],
        name if name == MOUNT.name => agent(&format!("mounts: [{{ {entry} }}]")),
        name if name == NET_RULE.name => vec![format!("allowed_networks: [{{ {entry} }}]")],
        name if name == HEALTH.name => agent(&format!("health: {{ {entry} }}")),
        name if name == MODELS.name => vec![format!("models: {{ {entry} }}")],
        name if name == PROVIDER.name => kinds("models: { providers", &["", "kind: openai, ", "kind: llama-server, "]),
        name if name == SECRET.name => builtin(&format!("webhook: {{ token: {{ {entry} }} }}")),
        name if name == BUDGET.name => vec![format!("budget: {{ {entry} }}")],
        name if name == GROUP.name => vec![format!("groups: [{{ {entry} }}]")],
        name if name == MODEL_RULES.name => builtin(&format!("models: {{ {entry} }}")),
        name if name == TOOLS.name => builtin(&format!("tools: {{ {entry} }}")),
        name if name == TOOL_RULE.name => builtin(&format!("tools: {{ allow: [{{ {entry} }}] }}")),
        name if name == MCP.name => builtin(&format!("mcp: [{{ {entry} }}]")),
        name if name == SCHEDULE.name => builtin(&format!("schedule: [{{ {entry} }}]")),
        name if name == WEBHOOK.name => builtin(&format!("webhook: {{ {entry} }}")),
        name if name == LABELS.name => vec![format!("labels: {{ {entry} }}")],
        name if name == TOOL_LABEL.name => vec![format!("labels: {{ tools: [{{ {entry} }}] }}")],
        name if name == HOST_LABEL.name => vec![format!("labels: {{ hosts: [{{ {entry} }}] }}")],
        name if name == PATH_LABEL.name => vec![format!("labels: {{ paths: [{{ {entry} }}] }}")],
        name if name == USERS.name => vec![format!("labels: {{ users: {{ {entry} }} }}")],
        name if name == USER_LABEL.name => vec![format!("labels: {{ users: {{ operator: {{ {entry} }} }} }}")],
        name if name == APPROVALS.name => vec![format!("approvals: {{ {entry} }}")],
        name if name == AUDIT.name => vec![format!("audit: {{ {entry} }}")],
        name if name == SINK.name => {
            ["", "kind: file, ", "kind: syslog, ", "kind: elasticsearch, ", "kind: loki, user: u, ", "kind: otlp, "]
                .map(|other| format!("audit: {{ sinks: [{{ {other}{entry} }}] }}"))
                .to_vec()
        }
        name if name == API.name => vec![format!("api: {{ {entry} }}")],
        name if name == OPERATORS.name => vec![format!("operators: {{ {entry} }}")],
        name if name == OIDC.name => vec![format!("operators: {{ oidc: {{ {entry} }} }}")],
        name => panic!("no example for {name}"),
    }
}

fn report(text: &str) -> crate::Report {
    crate::parse(text, Path::new("f"), Path::new("/")).unwrap_err()
}

/// No value may be a list of lists, so a key that is read complains at its value.
#[test]
fn every_key_of_the_tables_is_read() {
    for level in ALL {
        for key in level.keys {
            let read = |text: &String| {
                let report = report(text);
                let column = text.find("[[[").unwrap() + 1;
                assert!(!report.mistakes().iter().any(|m| m.message.contains("unknown")), "{report}");
                report.mistakes().iter().any(|m| m.column >= column)
            };
            let files = files(level, &format!("{key}: [[[]]]"));
            assert!(files.iter().any(read), "`{key}` of {} is not read: {}", level.name, report(&files[0]));
        }
    }
}

#[test]
fn keys_of_later_versions_are_refused_as_such() {
    for level in ALL {
        for (key, _) in level.later {
            let report = report(&files(level, &format!("{key}: x"))[0]);
            let message = format!("`{key}` is not supported by this version");
            assert!(report.mistakes().iter().any(|m| m.message == message), "{report}");
        }
    }
}

const REFERENCE: &str = include_str!("../../../../docs/reference/nanoclaw-config.md");

#[test]
fn the_reference_has_a_row_for_every_key() {
    for level in ALL {
        for key in level.keys {
            assert!(REFERENCE.contains(&format!("\n| `{key}` | ")), "`{key}` of {} is not documented", level.name);
        }
    }
}

#[test]
fn the_reference_says_what_every_intent_and_kind_of_data_is() {
    use nanoclaw_firewall::{filter::Intent, loss};
    for intent in Intent::ALL {
        assert!(REFERENCE.contains(&format!("\n| `{}` | ", intent.name())), "{intent:?}");
        for alias in intent.aliases() {
            assert!(REFERENCE.contains(alias), "{alias}");
        }
    }
    for kind in loss::kinds() {
        assert!(REFERENCE.contains(&format!("`{}`", kind.id)), "{}", kind.id);
    }
}

#[test]
fn the_examples_of_the_reference_are_valid() {
    let examples: Vec<&str> =
        REFERENCE.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 6);
    for example in examples {
        if let Err(report) = crate::parse(example, Path::new("f"), Path::new("/")) {
            panic!("{report}");
        }
    }
}

#[test]
fn the_rules_of_the_reference_are_valid() {
    let rows = REFERENCE.split("| text | allows |").nth(1).unwrap().split("\n\n").next().unwrap();
    let rules: Vec<&str> = rows
        .lines()
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert_eq!(rules.len(), 10);
    for rule in rules {
        crate::parse_net_rule("r", rule.trim_matches('"')).unwrap();
    }
}
