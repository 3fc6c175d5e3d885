//! What a cell has read decides what it may reach, and what it may keep open.

use serde_json::{Value, json};

use crate::support::finish;
use crate::world::{World, queried};

/// Under rule-of-two; this host's own service is trusted with what is confidential, and nobody vouches for all others.
const CONFIG: &str = r#"
allowed_networks: ["tcp://api.bank.test:7000", "wild.test", "host-service:127.0.0.1:8080"]
rule_sets: [rule-of-two]
labels: { hosts: [{ name: "127.0.0.1", trust: trusted, data: confidential }] }
"#;

#[test]
fn untrusted_confidential_and_out_do_not_come_together() {
    let Some(world) = World::new() else { return };
    let script = r#"
outside = connect("api.bank.test", 7000)
outside.sendall(b"what is new?")
say(outside.recv(100).decode())
say(exchange("127.0.0.1", 8080, get("127.0.0.1:8080"))[0].splitlines()[-1])
say(rest(outside))
say(tell(lambda: exchange("wild.test", 80, get("wild.test"))[0].split("\r\n")[0]))
say(tell(lambda: rest(connect("api.bank.test", 7000))[1]))
say(exchange("127.0.0.1", 8080, get("127.0.0.1:8080"))[0].splitlines()[-1])
"#;
    let said = world.python_in(CONFIG, script);
    let here = json!("here says hello to 127.0.0.1:8080");
    let cut = json!(["", "ConnectionResetError"]);
    let refused = json!("HTTP/1.1 403 Forbidden");
    assert_eq!(said, [json!("what is new?"), here.clone(), cut, refused, json!("ConnectionResetError"), here]);
    // A client that sees the reset while it connects tries the next address of the name.
    let mut refusals = world.refusals();
    refusals.dedup();
    assert_eq!(
        refusals,
        ["net_resolve denied not-approved wild.test:80", "net_resolve denied not-approved api.bank.test:7000"]
    );
    let records = world.host.records();
    let rises: Vec<&Value> = records.iter().filter(|record| record["action"] == "labels_rose").collect();
    let details: Vec<&str> = rises.iter().map(|record| record["detail"].as_str().unwrap()).collect();
    assert_eq!(details, ["untrusted, public", "untrusted, confidential"]);
    let ended = records.iter().find(|record| record["code"] == "no-longer-allowed").unwrap();
    assert_eq!((&ended["result"], &ended["resource"]), (&"failed".into(), &"api.bank.test:7000".into()), "{ended:#}");
    let reason = ended["reason"].as_str().unwrap();
    assert!(
        reason.contains("no longer allowed since the session's labels rose to untrusted, confidential"),
        "{reason}"
    );
    let denied =
        records.iter().find(|record| record["result"] == "denied" && record["action"] == "net_resolve").unwrap();
    assert_eq!(denied["policy_ids"], json!(["rule-of-two.connect"]), "{denied:#}");
    let hellos = world.seen_by("http").into_iter().filter(|event| event["event"] == "request").count();
    assert_eq!(hellos, 0, "wild.test was asked nothing");
}

/// No model and no tool is asked: the label of a place counts for every program that could have read it.
#[test]
fn what_a_program_reads_from_a_labelled_mount_does_not_leave() {
    let Some(world) = World::new() else { return };
    world.host.write("patients/one", "a secret");
    let config = "allowed_networks: [wild.test]
rule_sets: [rule-of-two]
labels: { paths: [{ path: /data/patients, data: secret }] }
";
    let patients = format!("{}:/data/patients", world.host.at("patients"));
    let script = "from client import *
say(tell(lambda: exchange('wild.test', 80, get('wild.test'))[0].split('\\r\\n')[0]))";
    let run = |options: &[&str]| {
        let done = finish(world.prepare(config, options, &["python3", "-c", script]), b"");
        serde_json::from_str::<Value>(&done.good()).unwrap()
    };
    assert_eq!(run(&[]), "HTTP/1.1 200 OK");
    let hellos = || world.seen_by("http").into_iter().filter(|event| event["event"] == "request").count();
    assert_eq!(hellos(), 1);
    assert_ne!(run(&["--ro", &patients]), "HTTP/1.1 200 OK");
    assert_eq!(hellos(), 1, "it was asked nothing more");
}

/// A lookup goes to a server of the name's owner, and the cell chooses names that a pattern describes.
#[test]
fn a_name_carries_nothing_out_of_a_tainted_session() {
    let Some(world) = World::new() else { return };
    let config = CONFIG.replace("\"wild.test\"", "\"**.wild.test\"");
    let script = r#"
say(exchange("a.wild.test", 80, get("a.wild.test"))[0].split("\r\n")[0])
say(exchange("127.0.0.1", 8080, get("127.0.0.1:8080"))[0].split("\r\n")[0])
say(exchange("the-secret.wild.test", 80, get("the-secret.wild.test"))[0].split("\r\n")[0])
say(through_proxy("CONNECT the-secret.wild.test:80 HTTP/1.1\r\n\r\n")[1].split("\r\n")[0])
"#;
    let said = world.python_in(&config, script);
    let (ok, refused) = ("HTTP/1.1 200 OK", "HTTP/1.1 403 Forbidden");
    assert_eq!(said, [ok, ok, refused, refused]);
    assert_eq!(world.refusals(), ["net_resolve denied not-approved the-secret.wild.test:80"; 2]);
    assert_eq!(queried(&world.seen()), ["a.wild.test"]);
    let records = world.host.records();
    let denied = records.iter().find(|r| r["action"] == "net_resolve" && r["result"] == "denied").unwrap();
    assert_eq!(denied["policy_ids"], json!(["rule-of-two.connect"]), "{denied:#}");
}
