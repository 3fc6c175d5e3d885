//! What a fleet says must not leave does not leave by a model's answer, whatever the dialect, and not in a call of a tool.

use serde_json::json;

use crate::builtin::{answer, turn};
use crate::fleet::Fleet;
use crate::provider::Provider;
use crate::support::{Host, eventually};

/// A card that tests are made with.
const CARD: &str = "4111 1111 1111 1111";
/// The key of the provider's own documentation, in two parts, so that no search for keys finds it here.
const KEY: [&str; 2] = ["AKIAIOSF", "ODNN7EXAMPLE"];

/// Asks in each dialect, streamed and not, and prints what the door answers.
const ASK: &str = r#"
import json, urllib.request
door = "http://llm.nanoclaw.internal/v1/"
parameters = {"type": "object", "properties": {}}
def post(path, body):
    request = urllib.request.Request(door + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        print(path, answer.read().decode(), flush=True)
for model in ["main/m", "claude/m", "gem/m"]:
    for stream in [True, False]:
        content = [{"role": "user", "content": script}]
        post("chat/completions", {"model": model, "stream": stream, "messages": content,
            "tools": [{"type": "function", "function": {"name": "pay", "parameters": parameters}}]})
        post("messages", {"model": model, "stream": stream, "max_tokens": 99, "messages": content,
            "tools": [{"name": "pay", "input_schema": parameters}]})
        post("responses", {"model": model, "stream": stream, "input": content,
            "tools": [{"type": "function", "name": "pay", "parameters": parameters}]})
"#;

/// What an agent of a fleet with `top` in its configuration is answered, where the model does what `script` says.
fn answers(top: &str, script: &str) -> (Host, String) {
    answers_on(Host::new(), top, script)
}

fn answers_on(host: Host, top: &str, script: &str) -> (Host, String) {
    let provider = Provider::start();
    // Not as an argument: those of a command are on record.
    host.write("ask.py", format!("script = {}\n{ASK}", json!(script)));
    let agents = "agents:
  - { id: a, command: [\"true\"], model: main/m, models: { allow: [\"*\"] }, mounts: [{ source: ./ask.py, target: /opt/ask.py }] }
";
    let config = provider.configure(&host, agents);
    host.write("c.yaml", format!("{config}{top}\n"));
    let run = host.nanoclaw(["run", "-c", "c.yaml", "--name", "a", "--", "python3", "/opt/ask.py"]);
    let text = run.good().to_owned();
    (host, text)
}

const SEED: &str = "prompt_filters: [\"禁止敏感信息輸出\"]";

#[test]
fn card_and_key_do_not_leave_in_an_answer() {
    let script = format!("SAY Pay with {CARD} and {} now.\nSPLIT 3", KEY.concat());
    let (_host, text) = answers("", &script);
    assert!(text.contains(CARD), "without filters it is passed on: {text}");
    let (host, text) = answers(SEED, &script);
    assert!(!text.contains("1111") && !text.contains("ODNN7"), "{text}");
    assert!(text.matches("[card-1] and [aws-access-key-1] now.").count() >= 9, "{text}");
    let done: Vec<_> = host.records_of("model_call").into_iter().filter(|record| record["result"] == "done").collect();
    assert_eq!(done.len(), 18);
    for record in &done {
        let found = record["model"]["screened"].as_array().cloned().unwrap_or_default();
        let found = found.iter().find(|found| found["channel"] == "output");
        let found = found.unwrap_or_else(|| panic!("{record:#}"));
        assert_eq!((&found["done"], &found["losses"]), (&json!("redacted"), &json!(["card", "aws-access-key"])));
    }
    let log = json!(host.records()).to_string();
    assert!(!log.contains(CARD) && !log.contains(&KEY.concat()), "{log}");
}

#[test]
fn call_that_carries_a_card_is_refused_and_on_record() {
    let script = format!("CALL pay {{\"card\": \"{CARD}\"}}\nSPLIT 3");
    let (host, text) = answers(SEED, &script);
    assert!(!text.contains("1111 1111"), "{text}");
    assert!(text.matches("NanoClaw refused the tool call pay").count() >= 18, "{text}");
    let calls = host.records_of("tool_call");
    assert_eq!(calls.len(), 18);
    assert!(calls.iter().all(|call| call["result"] == "denied" && call["code"] == "content-refused"), "{calls:#?}");
    assert!(!json!(host.records()).to_string().contains(CARD));
}

#[test]
fn canary_ends_the_answer() {
    let top = "prompt_filters: [{ name: bait, canary: canary-7f3a91c2, action: deny, channels: [output] }]";
    let (_host, text) = answers(top, "SAY It is canary-7f3a91c2 and more.\nSPLIT 3");
    assert!(!text.contains("7f3a91c2") && !text.contains("and more"), "{text}");
    assert!(text.matches("NanoClaw refused this: ").count() >= 18, "{text}");
}

#[test]
fn value_of_ones_own_list_does_not_leave_and_stands_in_no_record() {
    let host = Host::new();
    host.write("clients", "QX-7744-1009-3255\nQX-1209-5530-8871\n");
    let list = host.nanoclaw(["firewall", "hash", "clients"]).good();
    assert!(!list.contains("7744"), "{list}");
    host.write("clients.hashed", list);
    let top = "prompt_filters: [{ name: clients, exact: ./clients.hashed, action: redact }]";
    let script = "SAY It is QX 7744 1009 3255, and not QX 7744 1009 3256.\nSPLIT 3";
    let (host, text) = answers_on(host, top, script);
    assert!(!text.contains("3255"), "{text}");
    assert!(text.matches("[clients-1], and not QX 7744 1009 3256.").count() >= 9, "{text}");
    assert!(!json!(host.records()).to_string().contains("3255"));
}

#[test]
fn card_in_what_a_tool_gives_reaches_no_model() {
    let (host, provider) = (Host::new(), Provider::start());
    std::fs::write(host.directory("papers").join("bill.txt"), format!("Paid with {CARD} on Monday.")).unwrap();
    let fleet = provider.fleet(
        host,
        "prompt_filters: [redact-tool-results]
agents: [{ id: own, kind: builtin, tools: { allow: [\"file_*\"] }, mounts: [{ source: ./papers, target: /papers, mode: ro }] }]
",
    );
    let events = turn(&fleet, "own", "CALL file_read {\"path\": \"/papers/bill.txt\"}", &[]);
    answer(&events);
    let sent: String = provider.requests().iter().map(|request| request["body"].to_string()).collect();
    assert!(sent.contains("[card-1] on Monday") && !sent.contains("1111 1111"), "{sent}");
    let found = eventually("what was redacted, on record", || {
        let calls = fleet.host.records_of("model_call");
        calls.into_iter().find_map(|record| Some(record["model"]["screened"].as_array()?.first()?.clone()))
    });
    assert_eq!((&found["channel"], &found["done"]), (&json!("tool"), &json!("redacted")), "{found:#}");
    assert_eq!(found["losses"], json!(["card"]), "{found:#}");
}

#[test]
fn filter_holds_from_the_reload_on_that_brings_it() {
    let (host, provider) = (Host::new(), Provider::start());
    let plain = provider.configure(&host, "agents: [{ id: own, kind: builtin, tools: { allow: [] } }]\n");
    let fleet = Fleet::up_on(host, &plain);
    let reload = |config: &str| {
        fleet.host.write("fleet.yaml", config);
        fleet.ask(&["reload"])
    };
    let before = fleet.phase("own", "running");
    let said = || answer(&turn(&fleet, "own", &format!("TURN\nSAY The card {CARD} pays."), &[]));
    assert!(said().contains(CARD));
    reload(&format!("{SEED}\n{plain}")).good();
    let redacted = said();
    assert!(redacted.contains("[card-1] pays") && !redacted.contains("1111"), "{redacted}");
    let done = reload(&format!("prompt_filters: [no sensitive output at all please]\n{plain}"));
    assert_eq!(done.code(), Some(125), "{done:?}");
    assert!(!said().contains("1111"), "what is not understood changes nothing");
    reload(&plain).good();
    assert!(said().contains(CARD));
    assert_eq!(fleet.status("own")["restarts"], before["restarts"], "nothing was restarted");
}
