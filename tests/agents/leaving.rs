//! What a fleet says must not leave does not leave by a model's answer, whatever the dialect, and not in a call of a tool.

use serde_json::json;

use crate::provider::Provider;
use crate::support::Host;

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
    let (host, provider) = (Host::new(), Provider::start());
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
