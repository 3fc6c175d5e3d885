//! Turns and questions through the API, with NanoClaw's own agent and a scripted model (a mock, see `tests/scripted-model`).

use serde_json::{Value, json};

use crate::client::{Client, Events};
use crate::provider::Provider;
use crate::support::{Host, appears, eventually, marked};
use crate::world::World;

const WORKER: &str = "agents:
  - { id: worker, kind: builtin, model: fast, tools: { allow: [\"file_*\", shell] } }
";

struct Talk {
    world: World,
    _provider: Provider,
}

impl Talk {
    fn new(more: &str) -> Self {
        let (host, provider) = (Host::new(), Provider::start());
        host.write("asks.cedar", ASKS);
        let configuration = provider.configure(&host, &format!("{more}{WORKER}"));
        let talk = Self { world: World::up_on(host, &configuration), _provider: provider };
        let owner = talk.world.owner();
        assert!(appears(|| owner.get("/v1/agents/worker").good()["phase"] == "running"));
        talk
    }

    fn turn(&self, who: &Client, prompt: &str) -> Events {
        let body = json!({ "prompt": prompt }).to_string();
        who.follow("POST", "/v1/agents/worker/turns", &[], body.as_bytes())
    }

    /// How the turns ended that have.
    fn ends(&self) -> Vec<Value> {
        let turns = self.world.records(|record| record["action"] == "agent_manage" && record["resource"] == "worker");
        turns.into_iter().filter(|record| record["request_seq"].is_u64()).collect()
    }
}

const ASKS: &str = "@id(\"shell-asks\")
@ask(\"programs need a person\")
forbid(principal, action == Action::\"tool_call\", resource == Tool::\"shell\");
";

fn of<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

#[test]
fn a_turn_is_told_as_it_happens_and_its_end_is_on_record() {
    let talk = Talk::new("");
    let alice = talk.world.operator("alice", &["operator"]);
    let mut events = talk.turn(&alice, "CALL file_write {\"path\": \"note.txt\", \"content\": \"forty-two\\n\"}");
    let all: Vec<Value> = std::iter::from_fn(|| events.next().map(|(_, event)| event)).collect();
    assert_eq!(of(&all, "tool_call").len(), 1, "{all:#?}");
    assert_eq!(all.last().unwrap()["event"], "done");
    assert_eq!(talk.world.host.read("state/agents/worker/workspace/note.txt"), "forty-two\n");
    let end = eventually("its end", || talk.ends().into_iter().next());
    assert_eq!(
        (&end["agent_id"], &end["result"], &end["door"]),
        (&json!("operator:alice"), &json!("done"), &json!("api"))
    );
    let sessions = alice.get("/v1/agents/worker/sessions").good();
    assert_eq!(sessions.as_array().unwrap().len(), 1);
    assert_eq!(sessions[0]["id"], of(&all, "session")[0]["id"]);
    let viewer = talk.world.operator("vera", &["viewer"]);
    assert_eq!(viewer.post("/v1/agents/worker/turns", &json!({"prompt": "x"})).refused().0, 403);
}

#[test]
fn whoever_closes_the_connection_interrupts_the_turn() {
    let marker = format!("marker-api-turn-{}", std::process::id());
    let talk = Talk::new("");
    let owner = talk.world.owner();
    let mut events = talk.turn(&owner, &format!("CALL shell {{\"command\": \"sh -c 'sleep 1000; true' {marker}\"}}"));
    while events.next().expect("an event").1["event"] != "tool_call" {}
    assert!(appears(|| !marked(&marker).is_empty()));
    drop(events);
    assert!(appears(|| marked(&marker).is_empty()), "{:?}", marked(&marker));
    let end = eventually("its end", || talk.ends().into_iter().next());
    assert_eq!(end["result"], "failed");
    assert!(end["reason"].as_str().unwrap().starts_with("interrupted"), "{end}");
}

#[test]
fn a_question_is_answered_by_somebody_else_than_who_asked() {
    let talk = Talk::new("policies: [./asks.cedar]\n");
    let requester = talk.world.operator("rita", &["operator", "approver"]);
    let approver = talk.world.operator("alan", &["approver"]);
    let mut events = talk.turn(&requester, "CALL shell {\"command\": \"echo forty-two > /workspace/done\"}");
    let question = eventually("a question", || approver.get("/v1/approvals").good().get(0).cloned());
    let path = format!("/v1/approvals/{}", question["id"].as_str().unwrap());
    assert_eq!(approver.get(&path).good()["digest"], question["digest"]);
    assert_eq!((&question["cell"], &question["requesters"]), (&json!("worker"), &json!(["rita"])));
    let answer = |digest: &str| json!({ "digest": digest, "answer": "approve" });
    let digest = question["digest"].as_str().unwrap();
    assert_eq!(requester.post(&path, &answer(digest)).refused(), (403, "not-you".to_owned()));
    assert_eq!(approver.post(&path, &answer(&"0".repeat(64))).refused(), (409, "not-approved".to_owned()));
    assert_eq!(approver.post(&path, &json!({"digest": digest, "answer": "edit"})).refused().0, 400);
    assert_eq!(approver.post(&path, &answer(digest)).good(), json!({"outcome": "approved"}));
    assert!(approver.post(&path, &answer(digest)).refused().0 >= 404, "an answer is good once");
    while events.next().is_some() {}
    assert_eq!(talk.world.host.read("state/agents/worker/workspace/done"), "forty-two\n");
    let allowed = talk.world.records(|record| record["action"] == "tool_call" && record["result"] == "allowed");
    assert_eq!(allowed[0]["approved_by"], json!(["operator:alan"]));
    assert_eq!(approver.get("/v1/approvals").good(), json!([]));
    assert_eq!(approver.post("/v1/approvals/00000000", &answer(digest)).refused().0, 404);
}

#[test]
fn a_turn_ends_when_its_asker_may_ask_no_more() {
    let talk = Talk::new("");
    let owner = talk.world.owner();
    for (number, change) in [json!({"disabled": true}), json!({"roles": ["viewer"]})].iter().enumerate() {
        let name = format!("alice-{number}");
        let alice = talk.world.operator(&name, &["operator"]);
        let mut events = talk.turn(&alice, &format!("LATENCY 600000\nSAY {number}"));
        events.next().expect("an event");
        owner.post(&format!("/v1/operators/{name}"), change).good();
        while let Some((_, event)) = events.next() {
            assert_ne!(event["event"], "done", "{event}");
        }
        let ended = || talk.ends().into_iter().find(|end| end["agent_id"] == format!("operator:{name}"));
        let end = eventually("its end", ended);
        assert_eq!(end["result"], "failed", "{end}");
    }
}
