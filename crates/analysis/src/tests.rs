//! With the solver, where there is one.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nanoclaw_config::ModelRef;
use nanoclaw_policy::{AGENT_ACTIONS, CellRules, Generation, Written, line, words};
use nanoclaw_request::{Action, CellId, ModelOperation, Via};

use super::*;

struct World {
    generation: Generation,
    aliases: BTreeMap<String, Vec<String>>,
    agent: CellId,
}

/// What decides about `agent` of a configuration with a file of policies.
fn world(config: &str, policies: &str, agent: &str) -> World {
    let config = nanoclaw_config::parse(config, Path::new("c.yaml"), Path::new("/")).unwrap().config;
    let written = Arc::new(Written::read([(Path::new("p.cedar"), policies)]).unwrap());
    let empty = Generation::new(written, config.labels.clone(), config.rule_sets.clone());
    let generation = config.agents.iter().fold(empty, |generation, agent| {
        let rules = CellRules {
            networks: agent.allowed_networks.clone(),
            models: agent.models.clone(),
            rule_sets: agent.rule_sets.clone(),
            mounts: Vec::new(),
        };
        generation.with_cell(agent.id.clone(), rules)
    });
    let texts = |targets: &Vec<ModelRef>| targets.iter().map(ModelRef::to_string).collect();
    let aliases = config.models.aliases.iter().map(|(name, targets)| (name.clone(), texts(targets))).collect();
    World { generation, aliases, agent: CellId::parse(agent).unwrap() }
}

impl World {
    fn subject(&self) -> Subject<'_> {
        Subject { generation: &self.generation, agent: &self.agent, aliases: &self.aliases }
    }
}

const CONFIG: &str = r#"
groups: [{ name: night, budget: { tokens_per_day: 1000000 } }, { name: day, budget: { tokens_per_day: 1000000 } }]
models:
  providers: [{ name: main, kind: openai, base_url: "http://127.0.0.1:8080/v1" }]
  aliases: { fast: [main/small], robust: [main/small, main/big] }
agents:
  - id: teller
    command: ["true"]
    group: night
    allowed_networks: [api.bank.example, "*.ops.bank.example", "**.docs.bank.example:443", "10.0.0.0/8:443", "tcp://db.bank.example:5432"]
    model: fast
    models: { allow: ["robust", "main/m*"], deny: ["main/big"] }
    tools: { allow: [ls, send_mail, { name: shell, arguments: { command: "git *" } }, "web.*"], deny: [{ name: shell, arguments: { command: "*push*" } }] }
"#;

/// The solver; nothing, loudly, where there is none.
fn prover() -> Option<Prover> {
    // Longer than any of these takes on a machine that has other work.
    match Prover::new(None, Duration::from_secs(120)) {
        Ok(prover) => Some(prover),
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            None
        }
    }
}

fn never(text: &str) -> Never {
    match Statement::parse(text).unwrap() {
        Statement::Never(never) => never,
        Statement::NeverErrors => panic!("{text}"),
    }
}

/// Each statement, and the question that shows it wrong; `None` where it is proven.
fn decide(world: &World, statements: &[(&str, Option<&str>)]) {
    let Some(mut prover) = prover() else { return };
    for (text, expected) in statements {
        let answer = prover.never(&world.subject(), &never(text));
        match (&answer, expected) {
            (Answer::Proven, None) => {}
            (Answer::Refuted(words), Some(expected)) => {
                let line = line(words);
                assert!(line.starts_with(expected), "{text}: {line}");
                let case = Case::parse(&nanoclaw_policy::words(&line).unwrap()).unwrap();
                assert!(world.subject().decide(&case).is_ok(), "{text}: {line}");
            }
            _ => panic!("{text}: {answer:?}"),
        }
    }
}

#[test]
fn what_rules_exclude_is_proven_and_what_they_allow_is_shown() {
    let policies = r#"
        @id("ops") permit(principal == Agent::"teller", action in [Action::"net_resolve", Action::"net_connect"], resource)
        when { resource.name like "*.ops.example.com" } unless { action == Action::"net_connect" && (context.class != "public" || !context.agrees) };
        @id("no-python") forbid(principal in Group::"night", action == Action::"exec", resource) when { resource.path like "*/python*" };
        @id("day") permit(principal in Group::"day", action == Action::"net_datagram", resource);
    "#;
    decide(
        &world(CONFIG, policies, "teller"),
        &[
            (
                r#"never teller net_connect when !(resource.name like "*.bank.example" || resource.name like "*.ops.example.com" || resource.literal)"#,
                None,
            ),
            (
                r#"never teller net_connect when !(resource.name like "*.bank.example") && !resource.literal"#,
                Some("teller net_connect "),
            ),
            (r#"never teller net_connect when resource.literal"#, Some("teller net_connect 10.")),
            (
                r#"never teller net_connect when resource.literal && context has address && !context.address.isInRange(ip("10.0.0.0/8"))"#,
                None,
            ),
            ("never teller net_connect when context.class == \"loopback\"", None),
            ("never teller net_connect when !context.agrees && resource.port != 5432", None),
            (
                "never teller net_connect when !context.agrees",
                Some("teller net_connect db.bank.example:5432 evidence="),
            ),
            (r#"never teller net_resolve when resource.name like "*.ops.bank.example" && resource.labels > 4"#, None),
            (
                r#"never teller net_resolve when resource.name like "*.docs.bank.example" && resource.labels > 5"#,
                Some("teller net_resolve "),
            ),
            ("never teller http_request when resource.port == 22", None),
            (r#"never teller http_request when context.method == "DELETE""#, Some("teller http_request ")),
            ("never teller net_datagram", None),
            ("never teller syscall", None),
            (r#"never teller exec when resource.path like "*/python*""#, None),
            (
                r#"never teller exec when resource.path like "*python*" && context.command like "*-c*""#,
                Some("teller exec /"),
            ),
            ("never teller file_write when !context.writable", None),
            (r#"never any file_write when resource.path like "/etc/*""#, Some("teller file_write /etc/")),
            (
                r#"never group:night tool_call when resource.name == "shell" && resource.hasTag("command") && resource.getTag("command") like "*push*""#,
                None,
            ),
            (
                r#"never teller tool_call when resource.name == "shell" && resource.hasTag("command") && resource.getTag("command") like "*commit*""#,
                Some("teller tool_call shell 'command=git "),
            ),
            ("never teller tool_call when resource.name like \"web.*\"", Some("teller tool_call web.")),
        ],
    );
}

#[test]
fn a_model_is_not_reached_by_an_alias_either() {
    decide(
        &world(CONFIG, "", "teller"),
        &[
            // Only `fast` is permitted, which leads there.
            (r#"never teller model_call when resource.name == "main/small""#, Some("teller model_call fast")),
            // `robust` leads there as well, but is forbidden with it.
            (r#"never teller model_call when resource.name == "main/big""#, None),
            (r#"never teller model_call when resource.name == "robust""#, None),
            (r#"never teller model_call when resource == Model::"main/mini""#, Some("teller model_call main/mini")),
            (
                r#"never teller model_call when !(resource.name like "main/*" || resource.name == "fast" || resource.name == "")"#,
                None,
            ),
        ],
    );
}

#[test]
fn what_people_must_agree_to_is_never_allowed_unasked() {
    let config = CONFIG.replace("groups:", "rule_sets: [rule-of-two]\ngroups:");
    let leak =
        r#"tool_call {}when resource.name == "send_mail" && context.session.untrusted && context.session.data == 3"#;
    let unasked = format!("never teller {}", leak.replace("{}", "unasked "));
    let ever = format!("never teller {}", leak.replace("{}", ""));
    let world = world(&config, "", "teller");
    decide(&world, &[(&unasked, None), (&ever, Some("'teller[untrusted,secret]' tool_call send_mail"))]);
}

#[test]
fn a_statement_that_says_nothing_or_is_no_cedar_is_not_proven() {
    let Some(mut prover) = prover() else { return };
    let world = world(CONFIG, "", "teller");
    let mut answer = |text: &str| prover.never(&world.subject(), &never(text));
    assert_eq!(answer("never teller net_connect when resource.port > 70000"), Answer::Empty);
    assert_eq!(answer(r#"never teller tool_call when resource.name == "ls" && resource.pays"#), Answer::Empty);
    // Allowed, and nothing that a person can ask.
    let policies = r#"permit(principal, action == Action::"net_connect", resource)
        when { context.via == "http-connect" && resource has port && resource.port == 99 };"#;
    let world = self::world(CONFIG, policies, "teller");
    let Answer::Undecided(why) =
        prover.never(&world.subject(), &never("never teller net_connect when resource.port == 99"))
    else {
        panic!()
    };
    assert!(why.contains("via: \"http-connect\""), "{why}");
}

#[test]
fn a_policy_that_can_fail_is_found() {
    let Some(mut prover) = prover() else { return };
    let policies = r#"
        @id("overflows") forbid(principal, action == Action::"net_connect", resource) when { context.session.data + 9223372036854775806 > 3 };
        @id("fine") forbid(principal, action == Action::"net_connect", resource) when { resource has port && resource.port + 1 > 9223372036854775806 };
    "#;
    let world = world(CONFIG, policies, "teller");
    let answers: BTreeMap<String, Answer> = prover.never_errors(&world.subject()).into_iter().collect();
    let Some(Answer::Refuted(words)) = answers.get("overflows") else { panic!("{answers:?}") };
    assert!(
        words[0] == "teller[confidential]" || words[0] == "teller[secret]" || words[0].contains("untrusted,"),
        "{words:?}"
    );
    for (id, answer) in &answers {
        assert!(id == "overflows" || *answer == Answer::Proven, "{id}: {answer:?}");
    }
    assert!(answers.contains_key("agents.teller.tools.deny[0]"), "{answers:?}");
}

#[test]
fn a_widened_rule_is_found_and_a_narrowed_one_allows_nothing_new() {
    let Some(mut prover) = prover() else { return };
    let old = world(CONFIG, "", "teller");
    let mut compare = |config: &str, policies: &str, action| {
        let new = world(config, policies, "teller");
        prover.allows_nothing_new(&old.subject(), &new.subject(), action)
    };
    for action in AGENT_ACTIONS {
        assert_eq!(compare(CONFIG, "", action), Answer::Proven, "{action}");
    }
    let wider = CONFIG.replace("*.ops.bank.example", "**.ops.bank.example");
    let answer = compare(&wider, "", "net_connect");
    let Answer::Refuted(words) = answer else { panic!("{answer:?}") };
    assert!(words[2].contains(".ops.bank.example:") && words[2].split('.').count() > 4, "{words:?}");
    assert_eq!(compare(&wider, "", "tool_call"), Answer::Proven);
    let narrower = CONFIG.replace("api.bank.example, ", "").replace("**.docs", "*.docs");
    assert_eq!(compare(&narrower, "", "net_connect"), Answer::Proven);
    let moved = CONFIG.replace("group: night", "group: day");
    let night = "forbid(principal in Group::\"day\", action == Action::\"exec\", resource);";
    assert_eq!(compare(&moved, night, "exec"), Answer::Proven);
    let undenied = CONFIG.replace("*push*", "*push --force*");
    let Answer::Refuted(words) = compare(&undenied, "", "tool_call") else { panic!() };
    assert!(words[3].contains("push"), "{words:?}");
    let alias = CONFIG.replace("fast: [main/small]", "fast: [main/mini]");
    assert!(matches!(compare(&alias, "", "model_call"), Answer::Undecided(why) if why.contains("`fast`")));
    let labels = format!("{CONFIG}labels: {{ tools: [{{ name: x, does: [reads] }}] }}\n");
    assert!(matches!(compare(&labels, "", "tool_call"), Answer::Undecided(why) if why.contains("`labels`")));
}

#[test]
fn an_agent_that_leaves_a_group_leaves_what_the_group_was_denied() {
    let Some(mut prover) = prover() else { return };
    let night = "forbid(principal in Group::\"night\", action == Action::\"exec\", resource) when { resource.path like \"*/python*\" };";
    let (old, new) =
        (world(CONFIG, night, "teller"), world(&CONFIG.replace("group: night", "group: day"), night, "teller"));
    let Answer::Refuted(words) = prover.allows_nothing_new(&old.subject(), &new.subject(), "exec") else { panic!() };
    assert!(words[2].contains("/python"), "{words:?}");
    assert_eq!(prover.allows_nothing_new(&new.subject(), &old.subject(), "exec"), Answer::Proven);
}

/// A program that is not the solver.
fn impostor(directory: &Path, script: &str) -> PathBuf {
    let path = directory.join("impostor");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_solver_that_is_missing_silent_or_mad_proves_nothing() {
    let missing = Prover::new(Some(Path::new("/nowhere/cvc5")), LONGEST_PROOF).unwrap_err().to_string();
    assert!(missing.contains("`/nowhere/cvc5`") && missing.contains("install the package `cvc5`"), "{missing}");
    let directory = tempfile::tempdir().unwrap();
    let world = world(CONFIG, "", "teller");
    let statement = never("never teller net_connect when resource.port == 22");
    for script in [
        "exit 0",
        "exec sleep 600",
        "while read x; do echo unknown; done",
        "while read x; do echo sat; done",
        "echo nonsense; cat >/dev/null",
    ] {
        let program = impostor(directory.path(), script);
        let mut prover = Prover::new(Some(&program), Duration::from_millis(100)).unwrap();
        let answer = prover.never(&world.subject(), &statement);
        assert!(matches!(answer, Answer::Undecided(_)), "{script}: {answer:?}");
    }
}

#[test]
fn what_is_taken_for_granted_holds_for_every_question() {
    // Unoptimised, Cedar's parser needs more for long conditions than the thread of a test has.
    let thread = std::thread::Builder::new().stack_size(64 * 1024 * 1024).spawn(every_question_is_within);
    thread.unwrap().join().unwrap();
}

fn every_question_is_within() {
    let labels = "labels: { hosts: [{ name: 10.0.0.0/8, trust: trusted, data: internal }, { name: api.bank.example, trust: trusted, data: secret }], tools: [{ name: ls, does: [sends] }] }\n";
    let policies = r#"
        permit(principal in Group::"night", action, resource == Tool::"ls");
        forbid(principal in Group::"day", action, resource == Host::"api.bank.example");
        forbid(principal, action == Action::"exec", resource == Program::"/bin/true");
    "#;
    let world = world(&format!("{CONFIG}{labels}"), policies, "teller");
    let lines = [
        "teller net_resolve api.bank.example",
        "teller net_resolve localhost",
        "teller net_resolve a.b.c.d.e.f.g.h.example",
        "teller net_connect api.bank.example:443",
        "teller net_connect api.bank.example:443 address=10.0.0.1",
        "teller[untrusted,secret] net_connect a.b.c.d.e.f.g.example:1 evidence=opaque address=10.0.0.1",
        "teller net_connect x.example:80 address=169.254.169.254",
        "teller net_connect x.example:80 address=::ffff:93.184.216.34",
        "teller net_connect x.example:80 address=::ffff:10.1.1.1",
        "teller net_connect x.example:80 address=2606:2800:220:1::1",
        "teller net_connect 127.0.0.1:80",
        "teller net_connect 8.8.8.8:80",
        "teller net_connect [::1]:80",
        "teller net_connect [fd00::1]:80 evidence=opaque",
        "teller http_request api.bank.example:443 method=POST path=/x",
        "teller http_request 10.0.0.1:443",
        "teller http_request [::1]:443",
        "teller file_write /etc/passwd",
        "teller file_write ''",
        "teller exec /bin/true command='true x'",
        "teller model_call main/mini",
        "teller model_call fast",
        "teller tool_call ls to=x",
        "teller[internal] tool_call shell command=ls at_provider=true",
        "teller tool_call whatever",
    ];
    let subject = world.subject();
    let check = |case: &Case, what: &str| {
        let action = case.action.name();
        let action = AGENT_ACTIONS.into_iter().find(|known| *known == action).unwrap();
        let policies = subject.policies(action, true).unwrap();
        let mentioned: Vec<&Policy> = policies.iter().collect();
        let scope = subject.scope(action, &mentioned, &[]);
        assert!(subject.fits(&scope, case), "{what}: {scope}");
        let askable: Vec<String> = real::askable(action).iter().map(|&text| text.to_owned()).collect();
        // All that a person can ask may be looked for.
        let scope = subject.scope(action, &mentioned, &askable);
        let odd = what.contains("''") || what.contains("not asked") || what.contains('[') || what.contains("address=");
        assert!(odd || subject.fits(&scope, case), "{what}: {scope}");
    };
    for line in lines {
        check(&Case::parse(&words(line).unwrap()).unwrap(), line);
    }
    let mut case = Case::parse(&words("teller net_connect api.bank.example:443").unwrap()).unwrap();
    for via in [Via::Transparent, Via::HttpConnect, Via::HttpAbsolute] {
        let Action::Connect(connect) = &mut case.action else { panic!() };
        connect.via = via;
        check(&case, "not asked");
    }
    let mut case = Case::parse(&words("teller model_call x").unwrap()).unwrap();
    for operation in [
        ModelOperation::Chat,
        ModelOperation::Responses,
        ModelOperation::Messages,
        ModelOperation::Embeddings,
        ModelOperation::CountTokens,
        ModelOperation::List,
    ] {
        let Action::CallModel(call) = &mut case.action else { panic!() };
        call.operation = operation;
        check(&case, "not asked");
    }
}

#[test]
fn a_solver_is_bounded_in_its_memory() {
    let directory = tempfile::tempdir().unwrap();
    let said = directory.path().join("limit");
    let program = impostor(directory.path(), &format!("ulimit -v > {}\nexec sleep 600", said.display()));
    let mut prover = Prover::new(Some(&program), Duration::from_millis(100)).unwrap();
    let world = world(CONFIG, "", "teller");
    let answer = prover.never(&world.subject(), &never("never teller net_connect when resource.port == 22"));
    assert!(matches!(answer, Answer::Undecided(_)), "{answer:?}");
    assert_eq!(std::fs::read_to_string(&said).unwrap(), "4194304\n");
}

#[test]
fn what_a_name_leads_to_is_not_known_from_its_label() {
    let labels = "labels: { hosts: [{ name: 10.0.0.0/8, trust: trusted, data: secret }] }\n";
    let policies = r#"@id("inner") permit(principal, action == Action::"net_connect", resource)
        when { resource.name == "db.corp.example" && resource.trusted && context.agrees && context.class == "special" };"#;
    let Some(mut prover) = prover() else { return };
    let world = world(&format!("{CONFIG}{labels}"), policies, "teller");
    let statement = never(r#"never teller net_connect when resource.name == "db.corp.example""#);
    let Answer::Refuted(words) = prover.never(&world.subject(), &statement) else { panic!("it is allowed") };
    assert!(words[2].starts_with("db.corp.example:") && words[3].starts_with("address=10."), "{words:?}");
}
