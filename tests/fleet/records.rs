//! What operators do is on record.

use serde_json::Value;

use crate::fleet::Fleet;

fn managed(fleet: &Fleet, detail: &str) -> Vec<Value> {
    let records = fleet.host.records_of("agent_manage");
    records.into_iter().filter(|record| record["detail"] == detail || record["detail"].is_null()).collect()
}

#[test]
fn every_order_of_an_operator_is_recorded_with_the_operator() {
    let fleet = Fleet::up("agents: [{ id: one, command: [sleep, '1000'] }, { id: two, command: [sleep, '1000'] }]\n");
    fleet.phase("one", "running");
    fleet.phase("two", "running");
    assert_eq!(fleet.ask(&["exec", "one", "--", "sh", "-c", "exit 9"]).code(), Some(9));
    assert_eq!(fleet.ask(&["exec", "one", "--", "no-such-program"]).code(), Some(127));
    assert_eq!(fleet.ask(&["logs", "one"]).code(), Some(0));
    assert_eq!(fleet.ask(&["stop", "two"]).code(), Some(0));
    assert_eq!(fleet.ask(&["stop", "nobody"]).code(), Some(125));
    fleet.phase("two", "stopped");
    let operator = format!("operator:{}", fleet.host.uid());
    let allowed = |detail: &str| {
        let found: Vec<Value> =
            managed(&fleet, detail).into_iter().filter(|r| r["result"] == "allowed" && r["detail"] == detail).collect();
        assert!(!found.is_empty(), "{detail}: {:#?}", fleet.host.records_of("agent_manage"));
        assert_eq!(found[0]["agent_id"], operator, "{}", found[0]);
        assert_eq!(found[0]["door"], "control", "{}", found[0]);
        found[0].clone()
    };
    let outcome = |request: &Value| {
        let records = fleet.host.records();
        let found: Vec<&Value> = records.iter().filter(|record| record["request_seq"] == request["seq"]).collect();
        assert_eq!(found.len(), 1, "what came of {request}: {found:#?}");
        found[0].clone()
    };
    allowed("list");
    let exec = outcome(&allowed("exec sh -c 'exit 9'"));
    assert_eq!((&exec["result"], &exec["exit_code"]), (&"done".into(), &9.into()), "{exec}");
    let exec = outcome(&allowed("exec no-such-program"));
    assert_eq!(exec["result"], "failed", "{exec}");
    assert!(exec["reason"].as_str().unwrap().contains("No such file or directory"), "{exec}");
    assert_eq!(outcome(&allowed("logs"))["result"], "done");
    let stop = allowed("stop");
    assert_eq!(stop["resource"], "two");
    assert_eq!(outcome(&stop)["result"], "done");
    let denied: Vec<Value> =
        fleet.host.records_of("agent_manage").into_iter().filter(|r| r["result"] == "denied").collect();
    assert_eq!(denied.len(), 1, "{denied:#?}");
    assert_eq!((&denied[0]["resource"], &denied[0]["code"]), (&"nobody".into(), &"no-such-cell".into()));
    assert_eq!(denied[0]["agent_id"], operator);
}

#[test]
fn the_life_of_a_fleet_is_recorded() {
    let fleet = Fleet::up("agents: [{ id: one, command: [sh, -c, 'touch /etc/x; exit 2'] }]\n");
    let (host, done) = fleet.end();
    assert_eq!(done.code(), Some(0), "{done:?}");
    let of_one: Vec<(String, String)> = host
        .records()
        .iter()
        .filter(|record| record["agent_id"] == "one")
        .map(|record| (record["action"].as_str().unwrap().to_owned(), record["result"].as_str().unwrap().to_owned()))
        .collect();
    let has = |action: &str, result: &str| of_one.contains(&(action.to_owned(), result.to_owned()));
    assert!(has("cell_launch", "allowed") && has("exec", "allowed") && has("file_write", "denied"), "{of_one:?}");
    assert!(has("cell_exited", "noted") && has("cell_launch", "done"), "{of_one:?}");
    let text = host.nanoclaw(["audit", "tail", "--agent", "one", "--result", "denied"]).good();
    assert!(text.contains("/etc/x"), "{text}");
}
