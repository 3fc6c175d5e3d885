use std::path::Path;
use std::sync::Arc;

use nanoclaw_policy::{Answered, Turned};

use super::*;

const MODELS: &str = "models: { providers: [{ name: p, kind: openai, base_url: 'http://127.0.0.1:1/v1' }], aliases: { fast: p/small } }\n";

/// A fleet of one agent with these further keys.
fn config(keys: &str) -> Config {
    let text = format!(
        "{MODELS}allowed_networks: [fleet.example.com]\nagents:\n  - id: a\n    command: [x]\n    model: p/own\n{keys}"
    );
    let loaded = nanoclaw_config::parse(&text, Path::new("f"), Path::new("/base"));
    loaded.unwrap_or_else(|report| panic!("{report}\n{text}")).config
}

fn refusal(seq: u64, action: &str, subject: &str, code: &str, more: &str) -> String {
    let key = if ["exec", "file_write"].contains(&action) { "path" } else { "resource" };
    let subject = serde_json::Value::from(subject);
    format!(
        r#"{{"timestamp":"t","agent_id":"a","action":"{action}","result":"denied","seq":{seq},"code":"{code}","severity":"medium","{key}":{subject}{more}}}"#
    )
}

fn learnt(config: &Config, cedar: &str, kinds: &[Kind], lines: &[String]) -> Proposal {
    let written = Arc::new(Written::read([(Path::new("p.cedar"), cedar)]).unwrap());
    let sources = Sources { config, written, agent: &config.agents[0], kinds };
    learn(&sources, lines.iter().cloned().map(Ok)).unwrap()
}

fn proposed(proposal: &Proposal) -> Vec<&str> {
    proposal.items().iter().map(|item| item.entry.as_str()).collect()
}

/// The configuration that whoever takes the whole proposal has.
fn accepted(proposal: &Proposal) -> Config {
    let text = proposal.to_string();
    let keys: String = text.lines().filter(|line| line.starts_with("    ")).map(|line| format!("{line}\n")).collect();
    config(&keys)
}

#[test]
fn what_was_refused_is_proposed_exactly_and_allows_that_and_nothing_else() {
    let keys = "    tools: { allow: [file_read, { name: http_fetch, arguments: { url: 'https://x.test/*' } }], deny: [shell] }\n    models: { allow: [p/mini] }\n";
    let before = config(keys);
    let lines = [
        refusal(1, "net_connect", "api.example.com:443", "host-not-allowed", ""),
        refusal(2, "net_resolve", "api.example.com", "host-not-allowed", ""),
        refusal(3, "net_resolve", "only-looked-up.example.com", "host-not-allowed", ""),
        refusal(4, "net_connect", "[2606:4700::1]:8443", "host-not-allowed", ""),
        refusal(5, "tool_call", "web_search", "tool-not-allowed", ""),
        refusal(6, "model_call", "fast", "model-not-allowed", ""),
        refusal(7, "net_connect", "api.example.com:443", "host-not-allowed", ""),
    ];
    let proposal = learnt(&before, "", &[], &lines);
    let text = proposal.to_string();
    let after = accepted(&proposal);
    let written = Arc::new(Written::default());
    let (old, new) = (policies::generation(&before, Arc::clone(&written)), policies::generation(&after, written));
    let comparison = policies::compare((&before, &old), (&after, &new));
    assert!(comparison.newly_refused().next().is_none(), "{comparison:?}\n{text}");
    let meant = ["api.example.com", "only-looked-up.example.com:443", "2606:4700", "web_search", "fast", "p/small"];
    let turned: Vec<&str> = comparison.newly_allowed().map(|turned| turned.question.as_str()).collect();
    let unmeant: Vec<&&str> =
        turned.iter().filter(|question| !meant.iter().any(|name| question.contains(name))).collect();
    assert!(unmeant.iter().all(|question| question.contains("net_resolve only-looked-up.example.com")), "{unmeant:?}");
    for question in [
        "a net_connect api.example.com:443",
        "a net_connect only-looked-up.example.com:443",
        "a net_connect '[2606:4700::1]:8443'",
        "a tool_call web_search",
        "a model_call fast",
    ] {
        assert!(turned.contains(&question), "{question}: {turned:?}\n{text}");
    }
    // Sessions that have read what looks like an attack are left to people.
    let suspicious = |question: &str| ["suspect", "likely", "certain"].iter().any(|level| question.contains(level));
    let allowed = |turned: &Turned| turned.after == Answered::Allow || suspicious(&turned.question);
    assert!(comparison.newly_allowed().all(&allowed), "{comparison:?}");
    assert!(text.contains(r#"- "api.example.com:443"  # refused 2 times, records 1 to 7"#), "{text}");
    assert!(text.contains("so 443 is a guess"), "{text}");
}

#[test]
fn attacks_and_what_a_policy_forbids_are_never_proposed() {
    let config = config("    tools: { allow: [file_read], deny: [shell] }\n");
    let high = |line: String| line.replace("\"medium\"", "\"high\"");
    let lines = [
        high(refusal(1, "net_connect", "metadata.example.com:80", "address-forbidden", "")),
        high(refusal(2, "net_connect", "api.example.com:443", "sni-mismatch", "")),
        refusal(3, "tool_call", "shell", "tool-not-allowed", r#","policy_ids":["agents.a.tools.deny[0]"]"#),
        refusal(4, "tool_call", "pay", "not-approved", ""),
        refusal(5, "net_connect", "db.example.com:5432", "protocol-not-allowed", ""),
        refusal(6, "tool_call", "forbidden_by_file", "tool-not-allowed", ""),
        refusal(7, "syscall", "mount", "syscall-not-allowed", ""),
        refusal(8, "exec", "/srv/x", "exec-not-allowed", ""),
        refusal(9, "net_datagram", "8.8.8.8:53", "datagram-not-allowed", ""),
        refusal(10, "model_call", "elsewhere/model", "model-not-allowed", ""),
    ];
    let cedar = r#"forbid(principal, action == Action::"tool_call", resource == Tool::"forbidden_by_file");"#;
    let proposal = learnt(&config, cedar, &[], &lines);
    assert!(proposal.is_empty(), "{proposal}");
    let text = proposal.to_string();
    for (what, why) in [
        ("metadata.example.com:80", "address-forbidden"),
        ("tool_call shell", "a policy forbids it: agents.a.tools.deny[0]"),
        ("tool_call pay", "people decide about it"),
        ("db.example.com:5432", "neither TLS nor HTTP"),
        ("forbidden_by_file", "it would still be refused"),
        ("syscall mount", "no rule of the configuration can allow it"),
        ("elsewhere/model", "no rule can name it"),
    ] {
        assert!(text.lines().any(|line| line.contains(what) && line.contains(why)), "{what}: {text}");
    }
}

#[test]
fn names_that_an_agent_made_up_add_no_lines_and_mean_nothing_more() {
    let config = config("    tools: { allow: [file_read] }\n");
    let names = ["*", "x*", "x\n        - \"*\"", "x # ", "x\u{202e}y", "a b", "'", &"x".repeat(2_000), "{", "- x", ""];
    let lines: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(seq, name)| refusal(seq as u64 + 1, "tool_call", name, "tool-not-allowed", ""))
        .collect();
    let proposal = learnt(&config, "", &[], &lines);
    assert_eq!(proposed(&proposal), Vec::<&str>::new());
    let text = proposal.to_string();
    assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
    assert!(!text.contains('\u{202e}'), "{text}");
    let hosts = [
        "*.example.com:443",
        "**.example.com:443",
        "localhost:80",
        "127.0.0.1:80",
        "x y:1",
        "host-service:127.0.0.1:80",
    ];
    let lines = hosts.map(|host| refusal(1, "net_connect", host, "host-not-allowed", ""));
    let proposal = learnt(&config, "", &[], &lines);
    assert_eq!(proposed(&proposal), Vec::<&str>::new(), "{proposal}");
}

#[test]
fn a_first_list_that_would_take_everything_else_away_is_not_proposed() {
    let config = config("");
    let detail = r#","detail":"offered to the model, to be carried out by the provider""#;
    let proposal = learnt(&config, "", &[], &[refusal(1, "tool_call", "web_search", "tool-not-allowed", detail)]);
    assert!(proposal.is_empty() && proposal.to_string().contains("would take all others away"), "{proposal}");
}

#[test]
fn the_rules_of_the_fleet_stay_where_an_agent_gets_its_own() {
    let config = config("");
    let proposal =
        learnt(&config, "", &[], &[refusal(1, "net_connect", "api.example.com:443", "host-not-allowed", "")]);
    let after = accepted(&proposal);
    let texts: Vec<&str> = after.agents[0].allowed_networks.iter().map(|rule| rule.text.as_str()).collect();
    assert_eq!(texts, ["fleet.example.com", "api.example.com:443"]);
}

#[test]
fn places_are_for_a_person_to_fill_in() {
    let config = config("");
    let lines = ["/data/out/a.txt", "/data/out/b.txt", "/etc/passwd"]
        .map(|path| refusal(1, "file_write", path, "read-only", r#","detail":"open""#));
    let text = learnt(&config, "", &[], &lines).to_string();
    assert!(
        text.contains("#   - { source: HOST_DIRECTORY, target: \"/data/out\", mode: rw }  # refused 2 times"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
}

#[test]
fn only_the_kinds_that_were_chosen_count_and_what_is_allowed_by_now_is_only_counted() {
    let config = config("    tools: { allow: [file_read] }\n");
    let lines = [
        refusal(1, "net_connect", "fleet.example.com:443", "host-not-allowed", ""),
        refusal(2, "net_connect", "api.example.com:443", "host-not-allowed", ""),
        refusal(3, "tool_call", "web_search", "tool-not-allowed", ""),
    ];
    let proposal = learnt(&config, "", &[Kind::Connect], &lines);
    assert_eq!(proposed(&proposal), ["api.example.com:443"]);
    assert!(proposal.to_string().contains("# 1 of the refusals would be allowed already."), "{proposal}");
    assert_eq!("http_request".parse(), Ok(Kind::Request));
    assert!("fly".parse::<Kind>().is_err());
}

#[test]
fn a_flood_of_names_neither_fills_the_memory_nor_the_proposal() {
    let config = config("");
    let count = MOST_TOLD_APART as u64 + 50;
    let mut lines: Vec<String> = (1..=count)
        .map(|seq| refusal(seq, "net_connect", &format!("h{seq}.example.com:443"), "host-not-allowed", ""))
        .collect();
    let folded = refusal(count + 1, "net_connect", "x", "host-not-allowed", r#","folded":900"#);
    lines.push(folded.replace(r#","resource":"x""#, ""));
    let proposal = learnt(&config, "", &[], &lines);
    assert_eq!(proposal.len(), MOST_PROPOSED);
    let text = proposal.to_string();
    assert!(text.contains("too many different refusals to tell apart (950 times"), "{}", &text[..2_000]);
}
