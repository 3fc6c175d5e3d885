//! What operators do about a fleet through the API.

use std::io::Write as _;

use serde_json::json;

use crate::support::{appears, eventually};
use crate::world::World;

const SLEEPER: &str =
    "agents: [{ id: one, command: [sh, -c, 'echo ready; echo set; exec sleep 1000'], restart: always }]\n";

#[test]
fn agents_are_seen_with_what_ps_says_and_their_identity() {
    let world = World::up(SLEEPER);
    let owner = world.owner();
    let running = || owner.get("/v1/agents/one").good();
    assert!(appears(|| running()["phase"] == "running"));
    let agents = owner.get("/v1/agents").good();
    let one = running();
    assert_eq!(agents.as_array().unwrap().len(), 1);
    assert_eq!((&one["id"], &one["kind"], &one["generation"]), (&json!("one"), &json!("command"), &json!(1)));
    assert_eq!(one["labels"], json!({"trust": "trusted", "data": "public", "suspicion": "clean"}));
    assert_eq!(one["identity"]["spiffe_id"], "spiffe://nanoclaw/agent/one");
    let serial = one["identity"]["serial"].as_str().unwrap().to_owned();
    let issued = world.records(|record| record["action"] == "identity_issued");
    assert_eq!(issued.len(), 1);
    assert!(issued[0]["detail"].as_str().unwrap().starts_with(&format!("serial {serial}, until ")), "{issued:?}");
    assert_eq!(owner.get("/v1/agents/two").refused(), (404, "no-such-cell".to_owned()));
    assert!(appears(|| owner.get("/v1/agents/one/logs").text() == "ready\nset\n"));
    assert_eq!(owner.get("/v1/agents/one/logs?tail=1").text(), "set\n");
    assert_eq!(owner.order("/v1/agents/one/stop").status, 202);
    assert!(appears(|| world.host.records().iter().any(|record| record["action"] == "identity_revoked")));
}

#[test]
fn the_identity_of_a_cell_ends_with_its_run() {
    let world = World::up("agents:\n  - { id: one, command: ['true'] }\n  - { id: two, command: [sleep, '1000'] }\n");
    let owner = world.owner();
    let over = || owner.get("/v1/agents/one").good();
    assert!(appears(|| over()["phase"] == "stopped"));
    assert_eq!(over()["identity"], json!(null));
    let of_one = |action: &str| world.records(|record| record["action"] == action && record["agent_id"] == "one");
    assert_eq!((of_one("identity_issued").len(), of_one("identity_revoked").len()), (1, 1));
}

#[test]
fn a_fleet_is_stopped_through_the_api() {
    let world = World::up(SLEEPER);
    assert_eq!(world.owner().order("/v1/down").status, 202);
    let finished = world.control.finish();
    assert_eq!(finished.code(), Some(0), "{finished:?}");
}

#[test]
fn pages_of_the_log_follow_one_another() {
    let world = World::up(SLEEPER);
    let owner = world.owner();
    for _ in 0..4 {
        owner.get("/v1/me").good();
    }
    let mut path = "/v1/audit?limit=3".to_owned();
    let mut seen = Vec::new();
    while seen.len() < 9 {
        let page = owner.get(&path);
        assert_eq!((page.status, page.field("content-type")), (200, Some("application/x-ndjson")));
        let lines: Vec<serde_json::Value> =
            page.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        seen.extend(lines.iter().map(|line| line["seq"].as_u64().unwrap()));
        let link = page.field("link").expect("a next page").to_owned();
        path = link.strip_prefix('<').unwrap().split_once('>').unwrap().0.to_owned();
    }
    assert_eq!(seen, (1..=9).collect::<Vec<_>>());
    let mine = owner.get("/v1/audit?agent=one&result=allowed&limit=1").text();
    let mine: serde_json::Value = serde_json::from_str(&mine).unwrap();
    assert_eq!((&mine["agent_id"], &mine["action"]), (&json!("one"), &json!("cell_launch")));
    for wrong in ["limit=0", "limit=1001", "from=0", "from=x", "result=deny", "other=1", "agent=", "limit=1&limit=2"] {
        assert_eq!(owner.get(&format!("/v1/audit?{wrong}")).refused().0, 400, "{wrong}");
    }
}

#[test]
fn events_come_as_they_are_written_and_go_on_where_they_ended() {
    let world = World::up(SLEEPER);
    let owner = world.owner();
    let mine = format!("/v1/events?agent=operator:{}", world.host.uid());
    let mut events = owner.follow("GET", &mine, &[], b"");
    owner.get("/v1/me").good();
    let (id, first) = events.next().expect("an event");
    assert_eq!((first["action"].as_str(), first["detail"].as_str()), (Some("agent_manage"), Some("list")));
    assert_eq!(id, first["seq"].as_u64());
    drop(events);
    owner.get("/v1/operators").good();
    let last = id.unwrap().to_string();
    let mut again = owner.follow("GET", "/v1/events", &[("last-event-id", &last)], b"");
    let (next, _) = again.next().expect("an event");
    assert_eq!(next, Some(id.unwrap() + 1), "nothing is left out");
    let read = world.records(|record| record["action"] == "audit_read" && record["result"] == "allowed");
    let what = |record: &serde_json::Value| record["detail"].as_str().unwrap().to_owned();
    assert_eq!(what(&read[0]), format!("what is written from now on of `operator:{}`", world.host.uid()));
    assert_eq!(what(&read[1]), format!("what is written after {last}"), "the field counts as what it is");
    let never = owner.send("GET", "/v1/events", &[("last-event-id", "18446744073709551615")], b"");
    assert_eq!(never.refused().0, 400);
    let mut of_one = owner.follow("GET", "/v1/events?agent=one&after=0", &[], b"");
    for _ in 0..2 {
        assert_eq!(of_one.next().expect("an event").1["agent_id"], "one");
    }
}

#[test]
fn a_stream_of_events_ends_when_its_reader_may_read_no_more() {
    let world = World::up(SLEEPER);
    let identity = world.identity("dora", &["auditor"]);
    let mut events = world.with(&identity).follow("GET", "/v1/events", &[], b"");
    let certificates = world.owner().get("/v1/certificates").good();
    let serial = certificates[0]["serial"].as_str().unwrap();
    assert_eq!(world.owner().delete(&format!("/v1/certificates/{serial}")).status, 204);
    while events.next().is_some() {
        // What was written before.
    }
}

#[test]
fn policies_are_shown_and_explained() {
    let world =
        World::up("agents: [{ id: one, command: [sleep, '1000'], allowed_networks: ['api.example.com:443'] }]\n");
    let owner = world.owner();
    let policies = owner.get("/v1/policy").good();
    let of_agent =
        policies["policies"].as_array().unwrap().iter().find(|policy| policy["origin"] == "agent one").unwrap();
    assert!(of_agent["text"].as_str().unwrap().contains("api.example.com"), "{of_agent}");
    let ask = |question: &str| owner.post("/v1/policy/explain", &json!({ "question": question }));
    let allowed = ask("one net_connect api.example.com:443").good();
    assert_eq!(
        (&allowed["decision"], &allowed["policies"]),
        (&json!("allow"), &json!(["agents.one.allowed_networks[0]"]))
    );
    let denied = ask("one net_connect other.example.com:443").good();
    assert_eq!((&denied["decision"], &denied["code"]), (&json!("deny"), &json!("host-not-allowed")));
    assert_eq!(ask("two net_connect x:1").refused().0, 404);
    assert_eq!(ask("nonsense").refused().0, 400);
}

#[test]
fn a_configuration_is_read_again_through_the_api() {
    let world = World::up(SLEEPER);
    let owner = world.owner();
    let head = format!("api: {{ listen: '{}' }}\n", world.address);
    world.host.write("fleet.yaml", format!("{head}allowed_networks: ['api.example.com:443']\n{SLEEPER}"));
    assert_eq!(owner.order("/v1/reload").good()["generation"], 2);
    let explained =
        owner.post("/v1/policy/explain", &json!({"question": "one net_connect api.example.com:443"})).good();
    assert_eq!(explained["decision"], "allow");
    world.host.write("fleet.yaml", format!("{head}agents: 7\n"));
    let refused = owner.order("/v1/reload");
    assert_eq!(refused.refused(), (422, "malformed".to_owned()));
    assert_eq!(owner.get("/v1/agents/one").good()["generation"], 2);
    assert_eq!(owner.order("/v1/agents/one/labels/reset").good()["labels"]["trust"], "trusted");
}

#[test]
fn a_program_that_cannot_be_spoken_to_says_so() {
    let world = World::up(SLEEPER);
    let owner = world.owner();
    eventually("it runs", || (owner.get("/v1/agents/one").good()["phase"] == "running").then_some(()));
    let mut events = owner.follow("POST", "/v1/agents/one/turns", &[], br#"{"prompt":"hello"}"#);
    assert_eq!(events.next().expect("an event").1["event"], "failed");
    assert!(events.next().is_none());
    assert_eq!(owner.get("/v1/agents/one/sessions").refused().0, 409);
    let turns = world.records(|record| {
        record["action"] == "agent_manage" && record["detail"].as_str().is_some_and(|detail| detail.starts_with("turn"))
    });
    assert_eq!(turns.len(), 1);
    assert_eq!(turns[0]["door"], "api");
}

#[test]
fn what_was_begun_is_done_and_recorded_though_its_client_leaves() {
    let world = World::up(SLEEPER);
    let leave = |path: &str, body: &str| {
        let mut connection = world.owner().connect();
        let fields = format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        write!(connection, "POST {path} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n{body}").unwrap();
        let begun = || {
            let records = world.host.records();
            records.iter().rev().find(|record| record["result"] == "allowed" && record["door"] == "api").cloned()
        };
        let what = if path.ends_with("reload") { "reload" } else { "operator-create" };
        let starts = |record: &serde_json::Value| record["detail"].as_str().unwrap_or_default().starts_with(what);
        // It is allowed, and takes a while longer.
        let seq = eventually("it begins", || begun().filter(starts))["seq"].as_u64();
        drop(connection);
        eventually("its end", || world.host.records().into_iter().find(|record| record["request_seq"].as_u64() == seq))
    };
    let password = json!({"name": "bob", "roles": ["auditor"], "password": "correct horse battery staple"});
    assert_eq!(leave("/v1/operators", &password.to_string())["result"], "done");
    assert_eq!(world.owner().get("/v1/operators").good()[0]["name"], "bob");
    assert_eq!(leave("/v1/reload", "")["result"], "done");
    assert_eq!(world.owner().get("/v1/policy").good()["generation"], 2);
}
