//! What policy leaves to people, from the outside: an agent waits, and somebody else answers. The fleet belongs to an
//! ordinary user, so that root is a second person.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::provider::Provider;
use crate::support::{Background, Finished, Host, NOBODY, Terminal, eventually, finish, skip};

const POLICIES: &str = "@id(\"pay-asks\")
@ask(\"payments need a person\")
forbid(principal, action == Action::\"tool_call\", resource == Tool::\"pay\");
@id(\"shell-asks\")
@ask(\"programs need a person\")
forbid(principal, action == Action::\"tool_call\", resource == Tool::\"shell\");
@id(\"never\")
forbid(principal, action == Action::\"tool_call\", resource == Tool::\"pay\")
when { resource.hasTag(\"to\") && resource.getTag(\"to\") == \"thief\" };
";

const AGENTS: &str = "agents:
  - { id: clerk, command: [sleep, '10000'], model: fast, tools: { allow: [pay] }, stop_grace: 1s }
  - { id: other, command: [sleep, '10000'], model: fast, tools: { allow: [pay] } }
";

/// Asks about one call with these arguments, and prints the decision.
const ASK: &str = "import json, os, sys, urllib.request
body = json.dumps({'calls': [{'name': 'pay', 'arguments': sys.argv[1]}]}).encode()
url = os.environ['OPENAI_BASE_URL'] + '/nanoclaw/tool-calls'
print(json.dumps(json.load(urllib.request.urlopen(url, body))['decisions'][0]), flush=True)";

const ARGUMENTS: &str = r#"{"to": "DE02", "amount": 10}"#;

/// A fleet of an ordinary user whose policies ask.
struct Desk {
    fleet: Fleet,
    provider: Provider,
}

impl Desk {
    /// `None`, loudly, where there are no two people to be.
    fn new(approvals: &str, agents: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("needs root: one of two people answers as root");
            return None;
        }
        let (host, provider) = (Host::rootless(), Provider::start());
        host.write("asks.cedar", POLICIES);
        let fleet = provider.fleet(host, &format!("policies: [./asks.cedar]\napprovals: {approvals}\n{agents}"));
        for agent in agents.lines().filter_map(|line| line.split("id: ").nth(1)?.split([',', ' ']).next()) {
            fleet.phase(agent, "running");
        }
        Some(Self { fleet, provider })
    }

    /// An agent tries to pay.
    fn pays(&self, agent: &str, arguments: &str) -> Background {
        let command = self.fleet.host.prepare(["exec", agent, "--", "python3", "-c", ASK, arguments]);
        Background::start(command, Stdio::null())
    }

    /// A command of root, who does not own the fleet.
    fn prepare_root(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanoclaw"));
        command.arg("approvals").args(arguments).env("NANOCLAW_STATE_DIR", self.fleet.host.path("state"));
        command
    }

    fn root(&self, arguments: &[&str]) -> Finished {
        finish(self.prepare_root(arguments), b"")
    }

    /// A command of whoever owns the fleet.
    fn owner(&self, arguments: &[&str]) -> Finished {
        self.fleet.ask(&[&["approvals"], arguments].concat())
    }

    /// No argument is in the log, but for the commands that the tests themselves run in the cell.
    #[track_caller]
    fn logs_nothing_of(&self, argument: &str) {
        let held = |record: &Value| record.to_string().contains(argument);
        let ours = |record: &Value| record["action"] == "agent_manage" || record["action"] == "exec";
        let others: Vec<_> =
            self.fleet.host.records().into_iter().filter(|record| !ours(record) && held(record)).collect();
        assert!(others.is_empty(), "{others:#?}");
    }

    /// Waits until so many questions are there.
    #[track_caller]
    fn questions(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} questions"), || {
            let list = self.root(&["--json"]).good();
            let list: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            (list.len() == count).then_some(list)
        })
    }

    /// Waits until one agent has one.
    #[track_caller]
    fn question(&self) -> (String, String) {
        let question = self.questions(1).remove(0);
        (text(&question, "id"), text(&question, "digest"))
    }

    /// The records of one action, when there are so many.
    #[track_caller]
    fn records(&self, action: &str, count: usize) -> Vec<Value> {
        eventually(&format!("{count} records of {action}"), || {
            let records = self.fleet.host.records_of(action);
            (records.len() >= count).then_some(records)
        })
    }
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value}")).to_owned()
}

/// What the agent was told.
#[track_caller]
fn decided(waiting: Background) -> Value {
    serde_json::from_str(&waiting.finish().good()).unwrap()
}

#[track_caller]
fn fails(finished: &Finished, why: &str) {
    assert_eq!(finished.code(), Some(125), "{finished:?}");
    assert!(finished.stderr.contains(why), "{}", finished.stderr);
}

#[test]
fn a_call_waits_until_somebody_approves_of_it_and_all_of_that_is_on_record() {
    let Some(desk) = Desk::new("{ wait: 5m }", AGENTS) else { return };
    assert_eq!(desk.root(&[]).good(), "");
    let waiting = desk.pays("clerk", ARGUMENTS);
    let (id, digest) = desk.question();
    desk.fleet.says(&format!("agent `clerk` waits for a person: tool_call pay; `nanoclaw approvals show {id}`"));
    let list = desk.owner(&[]).good();
    assert!(list.starts_with("ID ") && list.contains(&id) && list.contains("payments need a person"), "{list}");
    let shown = desk.root(&["show", &id]).good();
    for part in ["clerk\n", "tool_call pay\n", "\"amount\": 10\n", "\"to\": \"DE02\"\n", "pay-asks", &digest] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(waiting.text(), "", "it waits");
    fails(&desk.root(&["approve", &id]), "nobody is there to be shown what question");
    fails(&desk.root(&["approve", &id, "--digest", &"0".repeat(64)]), "is not about the request with that digest");
    assert_eq!(desk.root(&["approve", &id, "--digest", &digest]).good(), "approved\n");
    assert_eq!(decided(waiting), json!({ "allowed": true }));
    fails(&desk.root(&["approve", &id, "--digest", &digest]), "was approved; an answer is good for one try");
    fails(&desk.root(&["deny", "00000000"]), "no question `00000000` waits for an answer");

    let call = &desk.records("tool_call", 1)[0];
    assert_eq!(call["approved_by"], json!(["operator:0"]));
    assert_eq!(call["policy_ids"], json!(["agents.clerk.tools.allow[0]", "pay-asks"]));
    let asked = &desk.records("approval_asked", 1)[0];
    assert_eq!((&asked["agent_id"], &asked["resource"]), (&json!("clerk"), &json!("pay")));
    assert!(text(asked, "detail").starts_with(&format!("question {id}, sha256 {digest}: tool_call")), "{asked}");
    let answers = desk.records("approve", 6);
    let results: Vec<_> = answers.iter().map(|record| (text(record, "result"), record["code"].clone())).collect();
    let allowed = || ("allowed".to_owned(), Value::Null);
    let failed = || ("failed".to_owned(), json!("not-approved"));
    assert_eq!(results, [allowed(), failed(), allowed(), ("done".to_owned(), Value::Null), allowed(), failed()]);
    assert!(answers.iter().all(|record| record["agent_id"] == "operator:0" && record["resource"] == "clerk"));
    let order = [&asked["seq"], &answers[2]["seq"], &call["seq"]].map(|seq| seq.as_u64().unwrap());
    assert!(order.is_sorted(), "{order:?}");
    desk.logs_nothing_of("DE02");
}

#[test]
fn what_is_denied_or_not_answered_in_time_is_not_done_and_the_agent_hears_why() {
    let Some(desk) = Desk::new("{ wait: 1s }", AGENTS) else { return };
    let told = decided(desk.pays("clerk", ARGUMENTS));
    assert_eq!(told["allowed"], false);
    assert!(text(&told, "reason").starts_with("payments need a person; nobody answered within 1 s"), "{told}");
    let records = desk.records("tool_call", 1);
    assert_eq!((&records[0]["result"], &records[0]["code"]), (&json!("denied"), &json!("not-approved")));
    assert_eq!(records[0]["policy_ids"], json!(["pay-asks"]));
    // What another policy forbids is not asked about.
    let told = decided(desk.pays("clerk", r#"{"to": "thief"}"#));
    assert!(text(&told, "reason").contains("denied by never"), "{told}");
    assert_eq!(desk.records("approval_asked", 1).len(), 1);

    let Some(desk) = Desk::new("{ wait: 5m }", AGENTS) else { return };
    let waiting = desk.pays("clerk", ARGUMENTS);
    let (id, digest) = desk.question();
    assert_eq!(desk.owner(&["deny", &id, "--reason", "wrong account"]).good(), "denied\n");
    let reason = text(&decided(waiting), "reason");
    assert_eq!(reason, format!("payments need a person; `uid:{NOBODY}` denied it: wrong account"));
    fails(&desk.root(&["approve", &id, "--digest", &digest]), "was denied");
}

#[test]
fn four_eyes_are_those_of_two_people() {
    // It asks by itself: whoever has it ask is none of them.
    let command = json!(["python3", "-c", ASK, ARGUMENTS]);
    let clerk = format!("agents: [{{ id: clerk, command: {command}, model: fast, tools: {{ allow: [pay] }} }}]\n");
    let Some(desk) = Desk::new("{ wait: 5m, people: 2 }", &clerk) else { return };
    let (id, digest) = desk.question();
    let approve = ["approve", &id, "--digest", &digest];
    assert_eq!(desk.owner(&approve).good(), "counted; 1 more must approve\n");
    fails(&desk.owner(&approve), &format!("`uid:{NOBODY}` has approved question `{id}` already"));
    assert_eq!(desk.root(&approve).good(), "approved\n");
    let call = &desk.records("tool_call", 1)[0];
    assert_eq!(call["approved_by"], json!([format!("operator:{NOBODY}"), "operator:0"]));
}

#[test]
fn whoever_asked_for_a_turn_approves_nothing_in_it() {
    let worker = "agents: [{ id: worker, kind: builtin, model: fast, tools: { allow: [shell] } }]\n";
    let Some(desk) = Desk::new("{ wait: 5m }", worker) else { return };
    let prompt = "CALL shell {\"command\": \"echo forty-two\"}";
    let asking = Background::start(desk.fleet.host.prepare(["ask", "worker", prompt]), Stdio::null());
    let (id, digest) = desk.question();
    let approve = ["approve", &id, "--digest", &digest];
    fails(&desk.owner(&approve), "nobody approves what they asked for themselves; somebody else must");
    let failed = &desk.records("approve", 2)[1];
    assert_eq!((&failed["result"], &failed["code"]), (&json!("failed"), &json!("not-you")));
    assert_eq!(desk.root(&approve).good(), "approved\n");
    assert!(asking.finish().good().contains("forty-two"));
    assert!(desk.provider.requests().len() >= 2, "the model heard what came of it");
}

#[test]
fn whoever_runs_a_program_in_an_agent_approves_nothing_that_it_asks_for() {
    let Some(desk) = Desk::new("{ wait: 5m }", AGENTS) else { return };
    let waiting = desk.pays("clerk", ARGUMENTS);
    let (id, digest) = desk.question();
    let approve = ["approve", &id, "--digest", &digest];
    fails(&desk.owner(&approve), "nobody approves what they asked for themselves; somebody else must");
    assert_eq!(desk.root(&approve).good(), "approved\n");
    assert_eq!(decided(waiting), json!({ "allowed": true }));
    // Whoever sets something going and leaves has asked for it too.
    let left = ["exec", "clerk", "--", "sh", "-c", "python3 -c \"$0\" \"$1\" > /tmp/said 2>&1 &", ASK, ARGUMENTS];
    desk.fleet.ask(&left).good();
    let (id, digest) = desk.question();
    fails(&desk.owner(&["approve", &id, "--digest", &digest]), "nobody approves what they asked for themselves");
    desk.root(&["deny", &id]).good();
}

#[test]
fn a_person_alone_approves_what_they_asked_for_where_the_configuration_says_so() {
    let Some(desk) = Desk::new("{ wait: 5m, own: true }", AGENTS) else { return };
    let waiting = desk.pays("clerk", ARGUMENTS);
    let (id, digest) = desk.question();
    assert_eq!(desk.owner(&["approve", &id, "--digest", &digest]).good(), "approved\n");
    assert_eq!(decided(waiting), json!({ "allowed": true }));
    let asked = &desk.records("approval_asked", 1)[0];
    assert!(text(asked, "detail").ends_with(&format!("for uid:{NOBODY}")), "{asked}");
}

#[test]
fn what_was_denied_is_not_asked_again_at_once() {
    let Some(desk) = Desk::new("{ wait: 5m }", AGENTS) else { return };
    let waiting = desk.pays("clerk", ARGUMENTS);
    let (id, _) = desk.question();
    desk.root(&["deny", &id]).good();
    assert_eq!(decided(waiting)["allowed"], false);
    let reason = text(&decided(desk.pays("clerk", r#"{ "amount": 10, "to": "DE02" }"#)), "reason");
    assert_eq!(reason, "payments need a person; `uid:0` has denied the same, and nobody is asked again so soon");
    for amount in 1..5 {
        let waiting = desk.pays("clerk", &format!("{{\"amount\": {amount}}}"));
        let (id, _) = desk.question();
        desk.root(&["deny", &id]).good();
        assert_eq!(decided(waiting)["allowed"], false);
    }
    let told = decided(desk.pays("clerk", r#"{"amount": 5}"#));
    assert!(text(&told, "reason").contains("5 questions of agent clerk in a row were denied"), "{told}");
    assert_eq!(desk.records("approval_asked", 5).len(), 5);
    let other = desk.pays("other", ARGUMENTS);
    let (id, digest) = desk.question();
    desk.root(&["approve", &id, "--digest", &digest]).good();
    assert_eq!(decided(other), json!({ "allowed": true }));
}

#[test]
fn an_approval_covers_no_other_agent_and_no_other_call() {
    let Some(desk) = Desk::new("{ wait: 5m }", AGENTS) else { return };
    let one = desk.pays("clerk", ARGUMENTS);
    desk.questions(1);
    let two = desk.pays("clerk", ARGUMENTS);
    desk.questions(2);
    let other = desk.pays("other", ARGUMENTS);
    let questions = desk.questions(3);
    let of_other = questions.iter().find(|question| question["cell"] == "other").unwrap();
    desk.root(&["approve", &text(of_other, "id"), "--digest", &text(of_other, "digest")]).good();
    assert_eq!(decided(other), json!({ "allowed": true }));
    let left = desk.questions(2);
    assert!(left.iter().all(|question| question["cell"] == "clerk"), "{left:?}");
    for question in &left {
        desk.root(&["deny", &text(question, "id")]).good();
    }
    for waiting in [one, two] {
        assert_eq!(decided(waiting)["allowed"], false);
    }
}

#[test]
fn a_changed_call_may_be_made_once_and_only_as_it_was_changed() {
    let Some(desk) = Desk::new("{ wait: 5m }", AGENTS) else { return };
    let waiting = desk.pays("clerk", ARGUMENTS);
    let (id, _) = desk.question();
    fails(&desk.root(&["edit", &id, "--arguments", "[1]"]), "the new arguments are no JSON object");
    desk.fleet.host.write("new.json", "{\"amount\": 5, \"to\": \"DE99\"}\n");
    let file = format!("@{}", desk.fleet.host.at("new.json"));
    let said = desk.root(&["edit", &id, "--arguments", &file]).good();
    assert_eq!(said, "changed; the agent was told, and may make the call so once\n");
    let reason = text(&decided(waiting), "reason");
    assert!(reason.ends_with(r#"with exactly these arguments: {"amount":5,"to":"DE99"}"#), "{reason}");
    let almost = desk.pays("clerk", r#"{"to": "DE99", "amount": 6}"#);
    let (id, _) = desk.question();
    desk.root(&["deny", &id]).good();
    assert_eq!(decided(almost)["allowed"], false);
    assert_eq!(decided(desk.pays("clerk", "{ \"to\":\"DE99\",\n \"amount\":5 }")), json!({ "allowed": true }));
    let again = desk.pays("clerk", r#"{"to": "DE99", "amount": 5}"#);
    let (id, _) = desk.question();
    desk.root(&["deny", &id]).good();
    assert_eq!(decided(again)["allowed"], false);
    let calls = desk.records("tool_call", 4);
    let allowed: Vec<_> = calls.iter().filter(|record| record["result"] == "allowed").collect();
    assert_eq!(allowed.len(), 1);
    assert_eq!(allowed[0]["approved_by"], json!(["operator:0"]));
    desk.logs_nothing_of("DE99");
}

#[test]
fn an_answer_comes_too_late_for_a_cell_that_has_ended() {
    let Some(desk) = Desk::new("{ wait: 5m }", AGENTS) else { return };
    let waiting = desk.pays("clerk", ARGUMENTS);
    let (id, digest) = desk.question();
    desk.fleet.ask(&["stop", "clerk"]).good();
    desk.fleet.phase("clerk", "stopped");
    desk.questions(0);
    fails(&desk.root(&["approve", &id, "--digest", &digest]), "was withdrawn: what waited for it has ended");
    assert_ne!(waiting.finish().code(), Some(0));
    let withdrawn = &desk.records("approval_withdrawn", 1)[0];
    assert_eq!((&withdrawn["agent_id"], &withdrawn["detail"]), (&json!("clerk"), &json!(format!("question {id}"))));
    assert!(desk.fleet.host.records_of("tool_call").iter().all(|record| record["result"] != "allowed"));
}

/// Sends so many requests at once, and says how many were refused for their number until 16 are left.
const FLOOD: &str = "import json, os, select, socket, sys, urllib.parse
host = urllib.parse.urlsplit(os.environ['OPENAI_BASE_URL']).hostname
body = json.dumps({'calls': [{'name': 'pay', 'arguments': {}}]})
head = 'POST /v1/nanoclaw/tool-calls HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n'
def ask():
    one = socket.create_connection((host, 80))
    one.sendall((head % (host, len(body)) + body).encode())
    return one
def refused(one):
    text = b''
    while b'decisions' not in text:
        text += one.recv(65536)
    return b'questions of agent clerk wait for people already' in text
waiting, count = [ask() for _ in range(100)], 0
for _ in range(3):
    while len(waiting) > 16:
        ready = select.select(waiting, [], [])[0]
        for one in ready:
            assert refused(one)
            count += 1
            waiting.remove(one)
            one.close()
    if _ < 2:
        waiting += [ask() for _ in range(100)]
print(count, flush=True)
sys.stdin.read()";

#[test]
fn a_flood_of_questions_hides_nobody_elses() {
    let Some(desk) = Desk::new("{ wait: 5m }", AGENTS) else { return };
    let command = desk.fleet.host.prepare(["exec", "clerk", "--", "python3", "-c", FLOOD]);
    let flood = Background::start(command, Stdio::piped());
    flood.writes("284");
    let waiting = desk.pays("other", ARGUMENTS);
    let questions = desk.questions(17);
    let mine = questions.iter().find(|question| question["cell"] == "other").unwrap();
    desk.root(&["approve", &text(mine, "id"), "--digest", &text(mine, "digest")]).good();
    assert_eq!(decided(waiting), json!({ "allowed": true }));
    drop(flood);
}

#[test]
fn on_a_terminal_the_question_is_shown_before_it_is_approved() {
    let Some(desk) = Desk::new("{ wait: 5m }", AGENTS) else { return };
    let waiting = desk.pays("clerk", r#"{"to": "\u001b[2J\u202eDE02"}"#);
    let (id, _) = desk.question();
    for (key, shown, status) in [("n\r", "not answered", 1), ("y\r", "approved", 0)] {
        let terminal = Terminal::new(40, 120);
        let child = terminal.start(&desk.prepare_root(&["approve", &id]));
        terminal.shows("approve? [y/N]");
        let screen = terminal.text();
        assert!(screen.contains(r#""to": "\u001b[2J\u202eDE02""#), "{screen}");
        terminal.type_keys(key);
        terminal.shows(shown);
        assert_eq!(terminal.wait(child), Some(status), "{}", terminal.text());
    }
    assert_eq!(decided(waiting), json!({ "allowed": true }));
}

#[test]
fn all_that_waits_is_answered_one_after_the_other() {
    let Some(desk) = Desk::new("{ wait: 5m }", AGENTS) else { return };
    fails(&desk.root(&["answer"]), "nobody is there to be asked");
    let first = desk.pays("clerk", &json!({ "note": "x".repeat(200), "to": "DE02" }).to_string());
    desk.questions(1);
    let second = desk.pays("other", ARGUMENTS);
    desk.questions(2);
    let terminal = Terminal::new(60, 80);
    let child = terminal.start(&desk.prepare_root(&["answer"]));
    terminal.shows("anything else leaves it");
    let screen = terminal.text();
    assert!(screen.contains("          … xxx"), "what is broken is marked: {screen}");
    terminal.type_keys("d\r");
    terminal.shows("why, for the agent and the log");
    terminal.type_keys("not today\r");
    terminal.shows("denied");
    terminal.shows("tool_call pay\r\n            \"amount\": 10");
    terminal.type_keys("y\r");
    terminal.shows("nothing else waits");
    assert_eq!(terminal.wait(child), Some(0), "{}", terminal.text());
    assert_eq!(text(&decided(first), "reason"), "payments need a person; `uid:0` denied it: not today");
    assert_eq!(decided(second), json!({ "allowed": true }));
}

#[test]
fn whoever_watches_sees_each_question_as_it_comes() {
    let Some(desk) = Desk::new("{ wait: 5m }", AGENTS) else { return };
    let first = desk.pays("clerk", ARGUMENTS);
    desk.question();
    let watching = Background::start(desk.prepare_root(&["--watch", "--json"]), Stdio::null());
    watching.writes("\"clerk\"");
    let others: Vec<_> = (1..16).map(|_| Background::start(desk.prepare_root(&["--watch"]), Stdio::null())).collect();
    for other in &others {
        other.writes("clerk");
    }
    fails(&desk.root(&["--watch"]), "16 operators watch for questions, and there can be no more");
    drop(others);
    let second = desk.pays("other", ARGUMENTS);
    watching.writes("\"other\"");
    for question in desk.questions(2) {
        desk.owner(&["deny", &text(&question, "id")]).good();
    }
    for waiting in [first, second] {
        assert_eq!(decided(waiting)["allowed"], false);
    }
    assert_eq!(watching.text().lines().count(), 2);
    desk.fleet.ask(&["down"]).good();
    assert_eq!(watching.finish().code(), Some(0));
}

#[test]
fn a_cell_that_belongs_to_no_fleet_is_refused_at_once() {
    let (host, provider) = (Host::new(), Provider::start());
    host.write("asks.cedar", POLICIES);
    let config = provider.configure(&host, &format!("policies: [./asks.cedar]\n{AGENTS}"));
    host.write("c.yaml", config);
    let done = host.nanoclaw(["run", "-c", "c.yaml", "--name", "clerk", "--", "python3", "-c", ASK, ARGUMENTS]);
    let told: Value = serde_json::from_str(&done.good()).unwrap();
    assert!(text(&told, "reason").starts_with("payments need a person; nobody can be asked here"), "{told}");
}
