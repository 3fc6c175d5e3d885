//! Budgets stop exactly at their limit, also when everybody asks at once.

use serde_json::Value;

use crate::fleet::Fleet;
use crate::provider::Provider;
use crate::support::Host;

/// Asks fifty times at once and prints how each went.
const FIFTY: &str = r#"
import json, threading, urllib.error, urllib.request
results, lock = [], threading.Lock()
gate = threading.Barrier(50)
def ask():
    body = json.dumps({"model": "default", "max_tokens": 50,
                       "messages": [{"role": "user", "content": "TOKENS 20 30\nLATENCY 300\nSAY x"}]}).encode()
    request = urllib.request.Request("http://llm.nanoclaw.internal/v1/chat/completions", body,
                                     {"content-type": "application/json"})
    gate.wait()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            json.load(answer)
            line = "ok"
    except urllib.error.HTTPError as error:
        line = f"{error.code} {error.headers.get('retry-after')} {json.load(error)['error']['message']}"
    with lock:
        results.append(line)
threads = [threading.Thread(target=ask) for _ in range(50)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("\n".join(sorted(results)))
"#;

fn fifty(host: &Host, provider: &Provider, budget: &str, more: &str) -> Vec<String> {
    host.write("fifty.py", FIFTY);
    let config = provider.configure(
        host,
        &format!(
            "{more}agents:
  - {{ id: asker, command: [python3, /opt/fifty.py], model: main/some-model, budget: {budget}, group: g, mounts: [{{ source: ./fifty.py, target: /opt/fifty.py }}] }}
"
        ),
    );
    host.write("c.yaml", config);
    let finished = host.nanoclaw(["run", "-c", "c.yaml", "--name", "asker"]);
    finished.good().lines().map(str::to_owned).collect()
}

const GROUP: &str = "groups: [{ name: g, budget: {} }]\n";

fn passed(results: &[String]) -> usize {
    results.iter().filter(|line| *line == "ok").count()
}

/// The first of fifty calls and the last must fall into one minute.
fn early_in_a_minute() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() % 60;
    if now > 40 {
        std::thread::sleep(std::time::Duration::from_secs(61 - now));
    }
}

#[test]
fn fifty_calls_at_once_pass_exactly_the_limit() {
    early_in_a_minute();
    let (host, provider) = (Host::new(), Provider::start());
    let results = fifty(&host, &provider, "{ requests_per_minute: 20 }", GROUP);
    assert_eq!((results.len(), passed(&results)), (50, 20), "{results:#?}");
    let refused = results.iter().find(|line| *line != "ok").unwrap();
    assert!(refused.starts_with("429 "), "{refused}");
    assert!(refused.contains("requests_per_minute of agent `asker` is used up: 20 of 20"), "{refused}");
    assert!(refused.contains("it returns at "), "{refused}");
    assert_eq!(provider.requests().len(), 20, "what is refused is never sent");
    let denied: Vec<Value> =
        host.records_of("model_call").into_iter().filter(|record| record["code"] == "budget-exhausted").collect();
    assert_eq!(denied.len(), 30);
}

#[test]
fn a_groups_budget_binds_its_agents_and_the_fleets_binds_all() {
    early_in_a_minute();
    let (host, provider) = (Host::new(), Provider::start());
    let group = "groups: [{ name: g, budget: { requests_per_minute: 7 } }]\n";
    let results = fifty(&host, &provider, "{}", group);
    assert_eq!(passed(&results), 7);
    assert!(results.iter().any(|line| line.contains("group `g`")), "{results:#?}");
    early_in_a_minute();
    let host = Host::new();
    let fleet = format!("budget: {{ requests_per_minute: 5 }}\n{GROUP}");
    let results = fifty(&host, &provider, "{}", &fleet);
    assert_eq!(passed(&results), 5);
    assert!(results.iter().any(|line| line.contains("of the fleet")), "{results:#?}");
}

#[test]
fn tokens_are_never_used_beyond_the_limit_and_a_restart_gives_none_back() {
    let (host, provider) = (Host::new(), Provider::start());
    // Each call uses 50 tokens, and a little more is reserved for it.
    let budget = "{ tokens_per_month: 1000 }";
    let first = fifty(&host, &provider, budget, GROUP);
    let used = 50 * passed(&first);
    assert!(used <= 1000 && used > 500, "{used} tokens were used");
    let again = fifty(&host, &provider, budget, GROUP);
    let used = used + 50 * passed(&again);
    assert!(used <= 1000, "{used} tokens were used");
    let last = fifty(&host, &provider, budget, GROUP);
    assert!(used + 50 * passed(&last) <= 1000);
}

#[test]
fn an_agent_is_told_in_words_what_ran_out() {
    let provider = Provider::start();
    let agents = "agents: [{ id: worker, kind: builtin, tools: { allow: [] }, budget: { tokens_per_month: 10 } }]\n";
    let fleet: Fleet = provider.fleet(Host::new(), agents);
    let events = crate::builtin::turn(&fleet, "worker", "SAY hello", &[]);
    let failed = crate::builtin::of(&events, "failed");
    let error = failed[0]["error"].as_str().unwrap();
    assert!(error.contains("tokens_per_month of agent `worker` is used up"), "{events:#?}");
    assert!(provider.requests().is_empty());
}

#[test]
fn a_policy_sees_what_is_left_of_a_budget() {
    let (host, provider) = (Host::new(), Provider::start());
    host.write(
        "p.cedar",
        r#"@id("frugal") @help("wait for tomorrow")
        forbid(principal, action == Action::"model_call", resource) when { context.budget_left < 70 };"#,
    );
    host.write("three.py", THREE);
    let config = provider.configure(
        &host,
        "policies: [./p.cedar]
agents:
  - { id: asker, command: [python3, /opt/three.py], model: main/some-model, budget: { tokens_per_month: 1000 }, mounts: [{ source: ./three.py, target: /opt/three.py }] }
",
    );
    host.write("c.yaml", config);
    let finished = host.nanoclaw(["run", "-c", "c.yaml", "--name", "asker"]);
    let output = finished.good();
    let results: Vec<&str> = output.lines().collect();
    // Each uses 150; what it reserves for its own answer counts too.
    assert_eq!(results.len(), 3, "{results:#?}");
    assert_eq!(results[..2], ["ok", "ok"], "{results:#?}");
    assert!(results[2].starts_with("403 ") && results[2].contains("wait for tomorrow"), "{results:#?}");
    assert_eq!(provider.requests().len(), 2, "what is refused is never sent");
    let refused = host.records_of("model_call").into_iter().rfind(|record| record["result"] == "denied").unwrap();
    assert_eq!(refused["policy_ids"], serde_json::json!(["frugal"]), "{refused:#}");
}

/// Asks three times, one after another, and prints how each went.
const THREE: &str = r#"
import json, urllib.error, urllib.request
for _ in range(3):
    body = json.dumps({"model": "default", "max_tokens": 50,
                       "messages": [{"role": "user", "content": "TOKENS 100 50\nSAY x"}]}).encode()
    request = urllib.request.Request("http://llm.nanoclaw.internal/v1/chat/completions", body,
                                     {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            json.load(answer)
            print("ok")
    except urllib.error.HTTPError as error:
        print(error.code, json.load(error)["error"]["message"])
"#;
