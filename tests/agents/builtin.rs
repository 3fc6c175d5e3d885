//! NanoClaw's own agent.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::fleet::{Fleet, children};
use crate::provider::Provider;
use crate::support::{Background, Host, appears, eventually, gone, marked};

/// The events of one turn.
pub fn turn(fleet: &Fleet, agent: &str, prompt: &str, options: &[&str]) -> Vec<Value> {
    fleet.phase(agent, "running");
    let finished = fleet.ask(&[&["ask", agent, prompt, "--json"], options].concat());
    finished.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The events of one kind.
pub fn of<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

/// The last words of a turn.
#[track_caller]
pub fn answer(events: &[Value]) -> String {
    let done = of(events, "done");
    assert_eq!(done.len(), 1, "{events:#?}");
    done[0]["text"].as_str().unwrap().to_owned()
}

const TASK: &str = "CALL file_write {\"path\": \"note.txt\", \"content\": \"forty-two\\n\"}
CALL shell {\"command\": \"id -u; cat note.txt\"}";

fn a_task_is_done_in(host: Host, dialect: &str) {
    let provider = Provider::start();
    let fleet = provider.fleet(
        host,
        &format!(
            "agents:
  - {{ id: worker, kind: builtin, model: fast, dialect: {dialect}, instructions: \"be brief\", tools: {{ allow: [\"file_*\", shell] }} }}
"
        ),
    );
    let events = turn(&fleet, "worker", TASK, &[]);
    let said = answer(&events);
    assert!(said.contains("1000") && said.contains("forty-two"), "{said}");
    let called: Vec<&str> = of(&events, "tool_call").iter().map(|call| call["name"].as_str().unwrap()).collect();
    assert_eq!(called, ["file_write", "shell"]);
    assert_eq!(of(&events, "tool_result").len(), 2);
    assert_eq!(fleet.host.read("state/agents/worker/workspace/note.txt"), "forty-two\n");
    let asked = provider.requests();
    assert_eq!(asked.len(), 3, "two tool calls and an answer");
    assert!(asked[0]["body"].to_string().contains("be brief"));
    assert!(!asked[0]["body"].to_string().contains("http_fetch"), "a tool without a rule is not offered");
    // Outcomes reach the disk with the next batch.
    let done = eventually("three outcomes", || {
        let calls = fleet.host.records_of("model_call");
        let done: Vec<Value> = calls.into_iter().filter(|record| record["result"] == "done").collect();
        (done.len() == 3).then_some(done)
    });
    assert_eq!(done[0]["model"]["provider"], "claude");
    assert_eq!(done[1]["model"]["tools_proposed"], json!(["shell"]));
    assert_eq!(done[2]["model"]["sources"]["tool:shell"], 1, "{:#?}", done[2]);
    let tools = fleet.host.records_of("tool_call");
    let allowed: Vec<&Value> = tools.iter().filter(|record| record["result"] == "allowed").collect();
    assert_eq!(allowed.len(), 2, "{tools:#?}");
    assert_eq!(allowed[1]["policy_ids"], json!(["agents.worker.tools.allow[1]"]));
    let turns = fleet.host.records_of("agent_manage");
    assert!(turns.iter().any(|record| record["detail"].as_str().is_some_and(|d| d.starts_with("turn, sha256 "))));
}

#[test]
fn a_task_is_done_with_tools_in_chat() {
    a_task_is_done_in(Host::new(), "chat");
}

#[test]
fn a_task_is_done_with_tools_in_responses() {
    a_task_is_done_in(Host::new(), "responses");
}

#[test]
fn a_task_is_done_with_tools_in_messages() {
    a_task_is_done_in(Host::new(), "messages");
}

#[test]
fn an_ordinary_user_has_agents_too() {
    a_task_is_done_in(Host::rootless(), "chat");
}

#[test]
fn a_call_outside_the_rules_is_refused_before_the_agent_sees_it() {
    let provider = Provider::start();
    let fleet = provider.fleet(
        Host::new(),
        "agents:
  - id: worker
    kind: builtin
    tools:
      allow: [file_read, { name: shell, arguments: { command: \"echo *\" } }]
",
    );
    let events = turn(&fleet, "worker", "CALL shell {\"command\": \"touch /workspace/escaped\"}", &[]);
    let refused = of(&events, "refused");
    assert_eq!(refused[0]["tool"], "shell", "{events:#?}");
    assert!(refused[0]["reason"].as_str().unwrap().contains("no rule allows tool `shell` with these arguments"));
    assert!(of(&events, "tool_call").is_empty(), "{events:#?}");
    assert!(!fleet.host.path("state/agents/worker/workspace/escaped").exists());
    let denied = fleet.host.records_of("tool_call");
    assert_eq!((&denied[0]["result"], &denied[0]["code"]), (&json!("denied"), &json!("tool-not-allowed")));
    assert!(!fleet.host.records_of("exec").iter().any(|record| record["path"] == "/usr/bin/touch"));
    // What the rule allows is done.
    let events = turn(&fleet, "worker", "CALL shell {\"command\": \"echo fine\"}", &[]);
    assert!(answer(&events).contains("fine"), "{events:#?}");
}

#[test]
fn a_session_goes_on_after_its_cell_was_killed() {
    let provider = Provider::start();
    let fleet =
        provider.fleet(Host::new(), "agents: [{ id: worker, kind: builtin, tools: { allow: [file_write] } }]\n");
    let prompt = "CALL file_write {\"path\": \"one\", \"content\": \"first\"}\nSAY the first is written";
    let events = turn(&fleet, "worker", prompt, &["--session", "long"]);
    assert_eq!(answer(&events), "the first is written");
    for init in children(fleet.launcher()) {
        rustix::process::kill_process(rustix::process::Pid::from_raw(init).unwrap(), Signal::KILL).unwrap();
        eventually("the cell is gone", || gone(init).then_some(()));
    }
    fleet.until("worker", |status| status["restarts"] == 1 && status["phase"] == "running");
    let events = turn(&fleet, "worker", "TURN\nSAY and so it goes on", &["--session", "long"]);
    assert_eq!(answer(&events), "and so it goes on");
    let last = provider.requests().pop().unwrap()["body"].to_string();
    assert!(last.contains("the first is written"), "the model sees what was said before: {last}");
}

#[test]
fn how_ask_ends_says_how_the_turn_did() {
    let provider = Provider::start();
    let fleet = provider.fleet(
        Host::new(),
        "agents:
  - { id: worker, kind: builtin, max_steps: 1, tools: { allow: [shell] } }
  - { id: program, command: [sleep, '10000'] }
",
    );
    fleet.phase("worker", "running");
    fleet.phase("program", "running");
    let schema = |text: &str| {
        let path = fleet.host.path("answer.schema.json");
        std::fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    assert_eq!(fleet.ask(&["ask", "worker", "SAY hello"]).code(), Some(0));
    let early = fleet.ask(&["ask", "worker", "CALL shell {\"command\": \"true\"}"]);
    assert_eq!(early.code(), Some(3), "{early:?}");
    assert!(early.stderr.contains("the turn ended early"), "{early:?}");
    let program = fleet.ask(&["ask", "program", "SAY hello"]);
    assert_eq!(program.code(), Some(125), "{program:?}");
    assert!(program.stderr.contains("`program` is a command, which cannot be spoken to"), "{program:?}");
    assert_eq!(fleet.ask(&["ask", "nobody", "SAY hello"]).code(), Some(125));
    let nonsense = fleet.ask(&["ask", "worker", "SAY hello", "--schema", &schema("{\"type\": \"nonsense\"}")]);
    assert_eq!(nonsense.code(), Some(125), "{nonsense:?}");
    assert!(nonsense.stderr.contains("`#/type` is none of the types"), "{nonsense:?}");
}

#[test]
fn whoever_asks_can_leave_while_nobody_reads() {
    let provider = Provider::start();
    let fleet = provider.fleet(Host::new(), "agents: [{ id: worker, kind: builtin, tools: { allow: [] } }]\n");
    fleet.phase("worker", "running");
    for (number, (signal, status)) in [(Signal::INT, 130), (Signal::TERM, 143)].into_iter().enumerate() {
        let (reader, writer) = std::io::pipe().unwrap();
        let usual = rustix::fs::fcntl_getfl(&writer).unwrap();
        rustix::fs::fcntl_setfl(&writer, usual | rustix::fs::OFlags::NONBLOCK).unwrap();
        while rustix::io::write(&writer, b"x").is_ok() {}
        rustix::fs::fcntl_setfl(&writer, usual).unwrap();
        let mut asking = fleet.host.prepare(["ask", "worker", "SAY hello", "--json"]);
        let mut asking = asking.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null()).spawn().unwrap();
        // The first event is written before the agent asks its model, so it waits for a reader now.
        eventually("the turn asks the model", || (provider.requests().len() > number).then_some(()));
        let pid = rustix::process::Pid::from_raw(i32::try_from(asking.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(eventually("it leaves", || asking.try_wait().unwrap()).code(), Some(status));
        drop(reader);
    }
}

#[test]
fn a_page_that_no_rule_allows_is_refused_in_the_words_of_the_network_door() {
    let provider = Provider::start();
    let fleet =
        provider.fleet(Host::new(), "agents: [{ id: worker, kind: builtin, tools: { allow: [http_fetch] } }]\n");
    let events = turn(&fleet, "worker", "CALL http_fetch {\"url\": \"https://docs.example.org/\"}", &[]);
    let output = of(&events, "tool_result")[0]["output"].as_str().unwrap();
    assert!(output.contains("docs.example.org") && output.contains("allowed_networks"), "{output}");
}

#[test]
fn an_interrupted_turn_ends_what_it_started() {
    let provider = Provider::start();
    let fleet = provider.fleet(Host::new(), "agents: [{ id: worker, kind: builtin, tools: { allow: [shell] } }]\n");
    let marker = format!("marker-interrupted-{}", std::process::id());
    turn(&fleet, "worker", "SAY hello", &[]);
    let prompt = format!("CALL shell {{\"command\": \"sleep 300; : {marker}\"}}");
    let asking = Background::start(fleet.host.prepare(["ask", "worker", &prompt]), Stdio::null());
    eventually("the command runs", || (!in_cell(&marker).is_empty()).then_some(()));
    asking.signal(Signal::INT);
    assert_eq!(asking.finish().code(), Some(130));
    assert!(appears(|| in_cell(&marker).is_empty()), "{:?} runs on", in_cell(&marker));
    assert_eq!(answer(&turn(&fleet, "worker", "SAY still here", &[])), "still here");
}

/// Processes of a shell with this marker; the asking command has it among its arguments too.
fn in_cell(marker: &str) -> Vec<i32> {
    let shell = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "sh");
    marked(marker).into_iter().filter(shell).collect()
}

#[test]
fn an_agent_whose_model_is_missing_is_a_mistake_of_the_configuration() {
    let host = Host::new();
    host.write("c.yaml", "agents: [{ id: worker, kind: builtin }]\n");
    let checked = host.nanoclaw(["config", "check", "c.yaml"]);
    assert_eq!(checked.code(), Some(125), "{}", checked.text());
    assert!(checked.stderr.contains("agent `worker` has no model"), "{:?}", checked.stderr);
}

#[test]
fn without_its_provider_s_key_no_cell_starts() {
    let host = Host::new();
    let config = "models: { providers: [{ name: main, kind: openai, base_url: \"https://api.example.com/v1\", api_key: { env: NANOCLAW_TEST_NO_SUCH_KEY } }], default: main/x }
agents: [{ id: worker, kind: builtin }]
";
    host.write("c.yaml", config);
    let up = host.nanoclaw(["up", "-c", "c.yaml"]);
    assert_eq!(up.code(), Some(125), "{up:?}");
    assert!(up.stderr.contains("NANOCLAW_TEST_NO_SUCH_KEY"), "{up:?}");
    assert!(host.records_of("cell_launch").is_empty());
}
