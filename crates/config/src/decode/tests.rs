use std::path::Path;

use super::keys::{AGENT, ALL, HEALTH, LIMITS, Level, MOUNT, NET_RULE, TOP};

/// A file in which the mapping of `level` is `body`, otherwise valid.
fn file(level: &Level, body: &str) -> String {
    let agent = |key: &str| format!("agents: [{{ id: a, command: [x], {key} }}]");
    match level.name {
        name if name == TOP.name => body.to_owned(),
        name if name == AGENT.name => format!("agents: [{body}]"),
        name if name == LIMITS.name => format!("limits: {body}"),
        name if name == MOUNT.name => agent(&format!("mounts: [{body}]")),
        name if name == NET_RULE.name => format!("allowed_networks: [{body}]"),
        name if name == HEALTH.name => agent(&format!("health: {body}")),
        name => panic!("no example for {name}"),
    }
}

/// No value may be a list of lists, so a key that is read complains at its value.
#[test]
fn every_key_of_the_tables_is_read() {
    for level in ALL {
        for key in level.keys {
            let text = file(level, &format!("{{ {key}: [[[]]] }}"));
            let report = crate::parse(&text, Path::new("f"), Path::new("/")).unwrap_err();
            let column = text.find("[[[").unwrap() + 1;
            assert!(
                report.mistakes().iter().any(|m| m.column >= column),
                "`{key}` of {} is not read: {report}",
                level.name
            );
            assert!(!report.mistakes().iter().any(|m| m.message.contains("unknown")), "{report}");
        }
    }
}

#[test]
fn keys_of_later_versions_are_refused_as_such() {
    for level in ALL {
        for (key, _) in level.later {
            let text = file(level, &format!("{{ {key}: x }}"));
            let report = crate::parse(&text, Path::new("f"), Path::new("/")).unwrap_err();
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
fn the_examples_of_the_reference_are_valid() {
    let examples: Vec<&str> =
        REFERENCE.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 3);
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
