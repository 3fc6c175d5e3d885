//! The command line as a client of the API: people enrol, and steer a fleet that runs elsewhere.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use nanoclaw_identity::operators::Operators;
use nanoclaw_identity::{OperatorName, Role};
use serde_json::{Value, json};

use crate::client::Client;
use crate::provider::Provider;
use crate::support::{Background, Finished, Host, Terminal, appears, eventually, finish};
use crate::world::World;

const SLEEPER: &str = "agents: [{ id: one, command: [sh, -c, 'echo ready; exec sleep 1000'], stop_grace: 1s }]\n";

const POLICY: &str = "@id(\"shell-asks\")
@ask(\"programs need a person\")
forbid(principal, action == Action::\"tool_call\", resource == Tool::\"shell\");
";

/// A command of somebody's, whose contexts lie in the home of the host.
fn prepare(host: &Host, arguments: &[&str]) -> Command {
    let mut command = host.prepare(arguments);
    command.env_remove("XDG_CONFIG_HOME").env_remove("NANOCLAW_CONTEXT").env_remove("NANOCLAW_STATE_DIR");
    command
}

/// Runs it to its end.
fn cli(host: &Host, arguments: &[&str]) -> Finished {
    finish(prepare(host, arguments), b"")
}

/// A command about the fleet of a context.
fn there(world: &World, context: &str, arguments: &[&str]) -> Finished {
    cli(&world.host, &[&["--context", context], arguments].concat())
}

/// A command of whoever started the fleet.
fn here(world: &World, arguments: &[&str]) -> Finished {
    world.host.nanoclaw(arguments)
}

#[track_caller]
fn fails(finished: &Finished, why: &str) {
    assert_eq!(finished.code(), Some(125), "{finished:?}");
    assert!(finished.stderr.contains(why), "{}", finished.stderr);
}

/// What `operator invite` says somebody has to run, as words, with the invitation among them.
fn invitation(world: &World, name: &str, roles: &[&str]) -> Vec<String> {
    let url = format!("https://{}", world.address);
    let mut arguments = vec!["operator", "invite", name, "--server", &url];
    arguments.extend(roles.iter().flat_map(|role| ["--role", role]));
    let said = here(world, &arguments).good();
    let line = said.lines().find(|line| line.contains("context add")).unwrap_or_else(|| panic!("{said}"));
    let token = said.lines().next().unwrap().split_whitespace().nth(1).unwrap();
    let mut words: Vec<String> = line.split_whitespace().skip(1).map(|word| word.replace("NAME", name)).collect();
    assert!(!words.iter().any(|word| word == token), "others on the machine see what is run: {said}");
    words.splice(4..4, ["--token".to_owned(), token.to_owned()]);
    words
}

/// Enrols, in a context of the operator's name.
fn enrolled(world: &World, name: &str, roles: &[&str]) {
    let mut words = invitation(world, name, roles);
    let token: String = words.drain(4..6).nth(1).unwrap();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = finish(prepare(&world.host, &words), format!("{token}\n").as_bytes()).good();
    assert!(said.starts_with(&format!("enrolled as {name} until ")), "{said}");
}

#[test]
fn whoever_is_invited_enrols_and_steers_the_fleet() {
    let world = World::up(SLEEPER);
    enrolled(&world, "anna", &["admin"]);
    let place = world.host.path(".config/nanoclaw/contexts/anna");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place), 0o700);
    for file in ["key.pem", "certificate.pem", "ca.pem", "context.json"] {
        assert_eq!(mode(&place.join(file)), 0o600, "{file}");
    }
    let running = || there(&world, "anna", &["ps"]).good().lines().nth(1).unwrap().contains("running");
    assert!(appears(running));
    assert_eq!(there(&world, "anna", &["logs", "one"]).good(), "ready\n");
    assert!(there(&world, "anna", &["labels"]).good().contains("trusted"));
    there(&world, "anna", &["labels", "reset", "one"]).good();
    assert!(there(&world, "anna", &["reload"]).good().starts_with("generation 2 is in force"));
    let log = there(&world, "anna", &["audit", "tail", "--json", "--agent", "operator:anna"]).good();
    let actions: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(actions.iter().any(|record| record["detail"] == "reload" && record["door"] == "api"), "{log}");
    let last = there(&world, "anna", &["audit", "tail", "--json", "-n", "2"]).good();
    assert_eq!(last.lines().count(), 2);
    // As the variable says, and not where a state directory is named.
    let mut command = prepare(&world.host, &["ps"]);
    command.env("NANOCLAW_CONTEXT", "anna");
    assert!(finish(command, b"").good().contains("one"));
    let mut command = prepare(&world.host, &["--state-dir", &world.host.at("state"), "ps"]);
    command.env("NANOCLAW_CONTEXT", "no-such-context");
    assert!(finish(command, b"").good().contains("one"));
    fails(&there(&world, "anna", &["stop", "two"]), "there is no agent `two` in this fleet");
    fails(&there(&world, "anna", &["stop", "../down"]), "there is nothing of the name `../down`");
    there(&world, "anna", &["stop", "one"]).good();
    // With its last agent the fleet ends.
    let World { control, .. } = world;
    assert_eq!(control.finish().code(), Some(0));
}

#[test]
fn the_fleet_ends_when_somebody_elsewhere_says_so() {
    let world = World::up(SLEEPER);
    enrolled(&world, "anna", &["admin"]);
    there(&world, "anna", &["down"]).good();
    let World { host, control, .. } = world;
    assert_eq!(control.finish().code(), Some(0));
    fails(&cli(&host, &["--context", "anna", "ps"]), "cannot be reached: Connection refused");
}

#[test]
fn what_needs_the_host_itself_says_so() {
    let world = World::up(SLEEPER);
    enrolled(&world, "anna", &["admin"]);
    for command in [
        &["run", "--", "true"][..],
        &["up"],
        &["exec", "one", "true"],
        &["chat", "one"],
        &["doctor"],
        &["policy", "explain", "--seq", "1"],
    ] {
        fails(&there(&world, "anna", command), "needs the host itself, and context `anna` is a server elsewhere");
    }
    fails(&there(&world, "anna", &["logs", "-f", "one"]), "`logs --follow` needs the host itself");
    fails(&there(&world, "bert", &["ps"]), "there is no context `bert`");
    fails(&there(&world, "../../state", &["ps"]), "cannot be the name of a context");
    let both = cli(&world.host, &["--context", "anna", "--state-dir", "/tmp", "ps"]);
    assert_eq!(both.code(), Some(125));
    // What is only about files is the same everywhere.
    there(&world, "anna", &["api", "schema"]).good();
}

#[test]
fn an_invitation_is_sent_to_no_server_but_the_one_that_was_meant() {
    let (world, other) = (World::up(SLEEPER), World::up(SLEEPER));
    let words = invitation(&world, "anna", &["viewer"]);
    let url = format!("https://{}", other.address);
    let mut astray: Vec<&str> = words.iter().map(String::as_str).collect();
    astray[3] = &url;
    fails(&cli(&world.host, &astray), "and not the one that was given; the invitation was not sent");
    // Nobody looks, so nothing is believed.
    fails(&cli(&world.host, &astray[..6]), "nobody is there to compare the fingerprint");
    assert!(!world.host.path(".config/nanoclaw/contexts/anna").exists(), "nothing is left behind");
    let attempts = other.records(|record| record["action"] == "sign_in");
    assert!(attempts.is_empty(), "{attempts:?}");
    // It is still good, and then good no more.
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    cli(&world.host, &words).good();
    fails(&cli(&world.host, &words), "there is a context `anna` already");
    cli(&world.host, &["context", "rm", "anna"]).good();
    fails(&cli(&world.host, &words), "the invitation is not valid");
    assert!(!world.host.path(".config/nanoclaw/contexts/anna").exists());
    fails(&cli(&world.host, &["context", "rm", "anna"]), "there is no context `anna`");
    fails(
        &cli(&world.host, &["context", "add", "x", "http://a.example", "--token", "nci_x"]),
        "is no server; write `https://HOST:PORT`",
    );
    fails(&cli(&world.host, &["context", "add", "../x", &url, "--token", "nci_x"]), "cannot be the name of a context");
}

#[test]
fn on_a_terminal_the_fingerprint_is_compared_by_whoever_enrols() {
    let world = World::up(SLEEPER);
    let words = invitation(&world, "anna", &["viewer"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let print = words[7].to_owned();
    for (key, shown, status) in
        [("n\r", "not enrolled; the invitation was not sent", 125), ("y\r", "enrolled as anna", 0)]
    {
        let terminal = Terminal::new(40, 160);
        let child = terminal.start(&prepare(&world.host, &words[..6]));
        terminal.shows("is it the one that came with the invitation?");
        assert!(terminal.text().contains(&print), "{}", terminal.text());
        terminal.type_keys(key);
        terminal.shows(shown);
        assert_eq!(terminal.wait(child), Some(status), "{}", terminal.text());
    }
    let listed = cli(&world.host, &["context", "ls"]).good();
    assert!(listed.contains("anna") && listed.contains(&format!("https://{}", world.address)), "{listed}");
    assert!(cli(&world.host, &["context", "show", "anna"]).good().contains(&print));
}

#[test]
fn another_server_in_the_place_of_the_first_is_noticed() {
    let world = World::up(SLEEPER);
    enrolled(&world, "anna", &["viewer"]);
    let (host, _) = world.end();
    fs::remove_dir_all(host.path("state")).unwrap();
    let configuration = host.read("fleet.yaml");
    let control = Background::start(host.prepare(["up", "-c", "fleet.yaml"]), Stdio::null());
    control.says("from `fleet.yaml`");
    assert!(configuration.contains("api:"));
    fails(&cli(&host, &["--context", "anna", "ps"]), "is not the server that it was when you enrolled");
}

#[test]
fn a_certificate_that_is_revoked_or_over_is_said_to_be() {
    let world = World::up(SLEEPER);
    enrolled(&world, "anna", &["viewer"]);
    there(&world, "anna", &["ps"]).good();
    let listed = here(&world, &["certificate", "ls", "--json"]).good();
    let serial = serde_json::from_str::<Value>(&listed).unwrap()["serial"].as_str().unwrap().to_owned();
    here(&world, &["certificate", "revoke", &serial]).good();
    fails(
        &there(&world, "anna", &["ps"]),
        "does not take your certificate: it is revoked; ask an admin for an invitation",
    );
    assert!(!here(&world, &["certificate", "ls"]).good().lines().nth(1).unwrap().ends_with(" -"));
    fails(&here(&world, &["certificate", "revoke", "nonsense"]), "there is no certificate `nonsense`");
    let path = world.host.path(".config/nanoclaw/contexts/anna/context.json");
    let mut facts: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    facts["not_after"] = json!("2020-01-01T00:00:00Z");
    fs::write(&path, facts.to_string()).unwrap();
    fails(&there(&world, "anna", &["ps"]), "was valid until 2020-01-01T00:00:00Z; ask an admin for an invitation");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(there(&world, "anna", &["ps"]).code(), Some(125), "others could have read the key beside it");
}

#[test]
fn a_certificate_is_renewed_before_it_is_over_and_revoked_with_the_one_before() {
    let host = Host::new();
    let state = host.directory("state");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    let then = Timestamp::now() - SignedDuration::from_hours(24 * 61);
    let (old, key) = {
        let operators = Operators::open(&state, then).unwrap();
        let anna = OperatorName::parse("anna").unwrap();
        operators.accounts().add(&anna, &[Role::Viewer].into(), None, then).unwrap();
        operators.authority().operator_with_key(&anna, then).unwrap()
    };
    let world = World::up_on(host, SLEEPER);
    let serial = old.serial.to_string();
    let server = format!("https://{}", world.address);
    let facts = json!({"server": server, "operator": "anna", "serial": serial, "not_after": old.not_after});
    let place = |file: &str| format!(".config/nanoclaw/contexts/anna/{file}");
    for (file, text) in [
        ("ca.pem", world.authority.as_str()),
        ("certificate.pem", &old.pem),
        ("key.pem", &key.dangerously_expose_pem()),
        ("context.json", &facts.to_string()),
    ] {
        fs::create_dir_all(world.host.path(&place(""))).unwrap();
        let path = world.host.write(&place(file), text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let known = || -> Value { serde_json::from_str(&world.host.read(&place("context.json"))).unwrap() };
    let said = there(&world, "anna", &["ps"]);
    assert_eq!(said.stderr, "", "{said:?}");
    said.good();
    let next = known();
    assert_ne!(next["serial"], serial);
    let until: Timestamp = next["not_after"].as_str().unwrap().parse().unwrap();
    assert!(until > Timestamp::now() + SignedDuration::from_hours(24 * 89));
    assert_ne!(world.host.read(&place("certificate.pem")), old.pem);
    there(&world, "anna", &["ps"]).good();
    assert_eq!(known(), next, "it is renewed when it is time, and not before");
    let got = world.records(|record| record["action"] == "sign_in" && record["agent_id"] == "operator:anna");
    assert_eq!(got.len(), 1, "{got:?}");
    assert!(got[0]["detail"].as_str().unwrap().contains("in the place of the one before"), "{got:?}");
    // Whoever had the old one may have got the next with it.
    here(&world, &["certificate", "revoke", &serial]).good();
    fails(&there(&world, "anna", &["ps"]), "does not take your certificate: it is revoked");
}

#[test]
fn accounts_are_changed_and_invitations_seen_from_the_command_line() {
    let world = World::up(SLEEPER);
    enrolled(&world, "anna", &["admin"]);
    enrolled(&world, "dora", &["viewer"]);
    fails(&there(&world, "dora", &["operator", "ls"]), "people do what their roles allow: ask an admin");
    there(&world, "anna", &["operator", "set", "dora", "--role", "viewer", "--role", "admin"]).good();
    let listed = there(&world, "dora", &["operator", "ls"]).good();
    assert!(listed.lines().any(|line| line.starts_with("dora ") && line.contains("viewer,admin")), "{listed}");
    let set = ["operator", "set", "dora", "--password-stdin", "--disable"];
    finish(world.host.prepare(set), b"correct horse battery staple\n").good();
    let listed = here(&world, &["operator", "ls"]).good();
    assert!(listed.lines().any(|line| line.starts_with("dora ") && line.contains(" yes ")), "{listed}");
    assert!(listed.contains(" disabled "), "{listed}");
    assert_eq!(there(&world, "dora", &["ps"]).code(), Some(125));
    here(&world, &["operator", "set", "dora", "--enable"]).good();
    there(&world, "dora", &["ps"]).good();
    for wrong in [&["operator", "set", "dora"][..], &["operator", "set", "dora", "--enable", "--disable"]] {
        assert_eq!(here(&world, wrong).code(), Some(125), "{wrong:?}");
    }
    fails(&here(&world, &["operator", "set", "eve", "--disable"]), "there is no account `eve`");
    there(&world, "anna", &["operator", "invite", "eve", "--role", "viewer"]).good();
    let invitations = here(&world, &["operator", "invitations", "--json"]).good();
    let of_eve = invitations.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_eve = of_eve.filter(|one| one["operator"] == "eve").collect::<Vec<_>>();
    assert_eq!((of_eve.len(), &of_eve[0]["maker"]), (1, &json!("anna")));
    here(&world, &["token", "rm", of_eve[0]["id"].as_str().unwrap()]).good();
    assert!(!here(&world, &["operator", "invitations"]).good().contains("eve "));
}

#[test]
fn operators_tokens_and_certificates_are_kept_from_the_command_line() {
    let world = World::up(SLEEPER);
    let password = b"correct horse battery staple\n";
    let add = ["operator", "add", "eve", "--role", "auditor", "--role", "viewer", "--password-stdin"];
    finish(world.host.prepare(add), password).good();
    let signed_in = world
        .stranger()
        .post("/v1/sign-in", &json!({"name": "eve", "password": "correct horse battery staple"}))
        .good();
    assert_eq!(signed_in["roles"], json!(["viewer", "auditor"]));
    let listed = here(&world, &["operator", "ls", "--json"]).good();
    let eve: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&eve["name"], &eve["has_password"]), (&json!("eve"), &json!(true)));
    assert!(here(&world, &["operator", "ls"]).good().lines().nth(1).unwrap().starts_with("eve "));
    let token = here(&world, &["token", "create", "--role", "viewer", "--for", "2h"]).good();
    let tokens = here(&world, &["token", "ls", "--json"]).good();
    assert!(!tokens.contains(token.trim()), "{tokens}");
    // A context uses it on top of its certificate.
    enrolled(&world, "anna", &["admin"]);
    finish(prepare(&world.host, &["context", "token", "anna"]), token.as_bytes()).good();
    there(&world, "anna", &["ps"]).good();
    let refused = "`operators` is not for this caller; people do what their roles allow: ask an admin for one that may";
    fails(&there(&world, "anna", &["operator", "ls"]), refused);
    cli(&world.host, &["context", "token", "anna", "--remove"]).good();
    let id = tokens
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|token| token["operator"] == format!("uid:{}", world.host.uid()));
    let id = id.unwrap()["id"].as_str().unwrap().to_owned();
    there(&world, "anna", &["token", "rm", &id]).good();
    fails(&there(&world, "anna", &["token", "rm", &id]), &format!("there is no token `{id}`"));
    fails(&there(&world, "anna", &["token", "rm", token.trim()]), "that is not the id of a token");
    assert!(!world.host.read("state/audit/audit.jsonl").contains(token.trim()), "it may be one, and is not in the log");
    let invited = there(&world, "anna", &["operator", "invite", "dora", "--role", "viewer", "--for", "15m"]).good();
    assert!(
        invited.contains(&format!("nanoclaw context add NAME https://{} --ca-fingerprint sha256:", world.address)),
        "{invited}"
    );
    fails(
        &there(&world, "anna", &["operator", "invite", "dora", "--role", "viewer", "--for", "5m"]),
        "an invitation of 5 minutes: `minutes` is 15 to 1440",
    );
    assert_eq!(here(&world, &["operator", "invite", "dora", "--role", "root"]).code(), Some(125));
    here(&world, &["operator", "rm", "eve"]).good();
    fails(&here(&world, &["operator", "rm", "eve"]), "there is no");
    // Nobody but whoever started it, or root, comes in by the socket; without a fleet there is none.
    let host = Host::new();
    fs::set_permissions(host.directory("state"), fs::Permissions::from_mode(0o700)).unwrap();
    fails(&host.nanoclaw(["operator", "ls"]), "no fleet is running from state directory");
}

#[test]
fn the_log_is_followed_from_elsewhere_and_across_a_break() {
    let world = World::up(SLEEPER);
    enrolled(&world, "anna", &["auditor"]);
    let following =
        Background::start(prepare(&world.host, &["--context", "anna", "audit", "tail", "-f", "--json"]), Stdio::null());
    following.writes("control_started");
    here(&world, &["reload"]).good();
    following.writes("policy_reloaded");
    let World { host, control, .. } = world;
    control.signal(rustix::process::Signal::TERM);
    control.finish();
    let control = Background::start(host.prepare(["up", "-c", "fleet.yaml"]), Stdio::null());
    control.says("from `fleet.yaml`");
    let seqs = || -> Vec<u64> {
        let text = following.text();
        let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        whole.filter_map(|record| record["seq"].as_u64()).collect()
    };
    let started = || following.text().matches("control_started").count();
    assert!(appears(|| started() == 2), "{}", following.errors());
    let seqs = seqs();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "nothing twice, nothing left out");
}

/// A fleet with an agent that can be spoken to, whose programs need a person.
fn talking() -> (World, Provider) {
    let (host, provider) = (Host::new(), Provider::start());
    host.write("asks.cedar", POLICY);
    let worker = "agents: [{ id: worker, kind: builtin, model: fast, tools: { allow: [shell] } }]\n";
    let configuration = provider.configure(&host, &format!("policies: [./asks.cedar]\n{worker}"));
    let world = World::up_on(host, &configuration);
    let running = || world.owner().get("/v1/agents/worker").good()["phase"] == "running";
    assert!(appears(running));
    (world, provider)
}

fn waiting(client: &Client) -> Value {
    eventually("a question", || client.get("/v1/approvals").good().get(0).cloned())
}

#[test]
fn a_turn_from_elsewhere_waits_for_somebody_else_elsewhere() {
    let (world, _provider) = talking();
    enrolled(&world, "dora", &["operator", "approver"]);
    enrolled(&world, "paul", &["approver"]);
    let ask = ["--context", "dora", "ask", "worker", "CALL shell {\"command\": \"echo forty-two\"}"];
    let asking = Background::start(prepare(&world.host, &ask), Stdio::null());
    let question = waiting(&world.owner());
    let text = |name: &str| question[name].as_str().unwrap().to_owned();
    let (id, digest) = (text("id"), text("digest"));
    assert_eq!(question["requesters"], json!(["dora"]));
    assert!(there(&world, "paul", &["approvals"]).good().contains(&id));
    assert!(there(&world, "paul", &["approvals", "show", &id]).good().contains("echo forty-two"));
    let approve = ["approvals", "approve", &id, "--digest", &digest];
    fails(&there(&world, "dora", &approve), "nobody approves what they asked for themselves; somebody else must");
    let other = "0".repeat(64);
    fails(
        &there(&world, "paul", &["approvals", "approve", &id, "--digest", &other]),
        "is not about the request with that digest",
    );
    assert_eq!(there(&world, "paul", &approve).good(), "approved\n");
    assert!(asking.finish().good().contains("forty-two"));
    fails(&there(&world, "paul", &approve), "an answer is good for one try");
    let calls = world.records(|record| record["action"] == "tool_call");
    assert_eq!(calls[0]["approved_by"], json!(["operator:paul"]));
    fails(&there(&world, "paul", &["ask", "worker", "hello"]), "people do what their roles allow: ask an admin");
    assert!(!there(&world, "dora", &["ask", "worker", "hello"]).good().trim().is_empty());
}

#[test]
fn an_approval_is_not_stolen() {
    let (world, _provider) = talking();
    let begin = || {
        let body = json!({"prompt": "CALL shell {\"command\": \"echo forty-two\"}"}).to_string();
        world.owner().follow("POST", "/v1/agents/worker/turns", &[], body.as_bytes())
    };
    let first = begin();
    let question = waiting(&world.owner());
    let (id, digest) = (question["id"].as_str().unwrap(), question["digest"].as_str().unwrap());
    let path = format!("/v1/approvals/{id}");
    let approve = |digest: &str| json!({"digest": digest, "answer": "approve"});
    let (paul, viewer) =
        (world.operator("paul", &["approver"]), world.operator("val", &["viewer", "operator", "auditor"]));
    let (status, code) = world.stranger().post(&path, &approve(digest)).refused();
    assert_eq!((status, code.as_str()), (401, "not-you"));
    assert_eq!(viewer.post(&path, &approve(digest)).refused(), (403, "not-you".to_owned()));
    // Whoever asked for it.
    assert_eq!(world.owner().post(&path, &approve(digest)).refused(), (403, "not-you".to_owned()));
    assert_eq!(paul.post(&path, &approve(&"0".repeat(64))).refused().0, 409);
    for wrong in ["", "ABC", &digest.to_uppercase(), &digest[..63]] {
        assert_eq!(paul.post(&path, &approve(wrong)).refused().0, 400, "{wrong}");
    }
    for body in [
        json!({"answer": "approve"}),
        json!({"digest": digest}),
        json!({"digest": digest, "answer": "yes"}),
        json!({"digest": digest, "answer": "approve", "arguments": {}}),
    ] {
        assert_eq!(paul.post(&path, &body).refused().0, 400, "{body}");
    }
    assert_eq!(paul.post("/v1/approvals/00000000", &approve(digest)).refused().0, 404);
    // A turn that its asker has left waits for nobody, and its question cannot be answered for the next one.
    drop(first);
    assert!(appears(|| world.owner().get("/v1/approvals").good() == json!([])));
    let _second = begin();
    let next = waiting(&world.owner());
    assert_ne!((&next["id"], &next["digest"]), (&question["id"], &question["digest"]));
    assert_eq!(paul.post(&path, &approve(digest)).refused().0, 409);
    let crossed = format!("/v1/approvals/{}", next["id"].as_str().unwrap());
    assert_eq!(paul.post(&crossed, &approve(digest)).refused().0, 409);
    let done = world.records(|record| record["action"] == "tool_call" && record["result"] == "allowed");
    assert!(done.is_empty(), "{done:?}");
    let tried = world.records(|record| record["action"] == "approve");
    assert!(tried.iter().all(|record| record["door"] == "api" && record["result"] != "done"), "{tried:?}");
}
