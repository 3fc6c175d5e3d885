//! What agents ask of models, and people of agents, under policies of files: done where one permits it, refused where none
//! does or one forbids. tests/cells/actions.rs says where the other actions are tested.

use serde_json::{Value, json};

use crate::provider::Provider;
use crate::support::{Finished, Host, finish};

/// Asks a model for a call of the tool `look`, and says the status, the code of a refusal, and the calls.
const TRY: &str = r#"
import json, sys, urllib.error, urllib.request
tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
for model in "main/some-model", "claude/other":
    body = {"model": model, "messages": [{"role": "user", "content": "CALL look {\"at\": \"the sky\"}"}], "tools": [tool]}
    request = urllib.request.Request("http://llm.nanoclaw.internal/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            calls = json.load(answer)["choices"][0]["message"].get("tool_calls") or []
            print(json.dumps([answer.status, [call["function"]["name"] for call in calls]]))
    except urllib.error.HTTPError as error:
        print(json.dumps([error.code, json.load(error)["error"]["code"]]))
"#;

struct World {
    host: Host,
    provider: Provider,
}

impl World {
    /// What the program in the cell says under these policies, and what was refused meanwhile, as action and policies.
    fn run(&self, policies: &str) -> (Vec<Value>, Vec<Value>) {
        self.host.write("p.cedar", policies);
        let before = if self.host.path("state").exists() { self.host.records().len() } else { 0 };
        let done: Finished = self.host.nanoclaw(["run", "-c", "c.yaml", "--name", "client"]);
        let said = done.good().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let denied = self.host.records().into_iter().skip(before);
        // A resolver of the C library also tries a system call that is closed.
        let denied = denied.filter(|record| record["result"] == "denied" && record["action"] != "syscall");
        (said, denied.map(|record| json!([record["action"], record["code"], record["policy_ids"]])).collect())
    }
}

#[test]
fn models_and_tools_are_asked_for_by_themselves() {
    let world = World { host: Host::new(), provider: Provider::start() };
    world.host.write("try.py", TRY);
    let config = world.provider.configure(
        &world.host,
        "policies: [./p.cedar]
agents:
  - id: client
    command: [python3, /opt/try.py]
    model: main/some-model
    tools: { allow: [] }
    mounts: [{ source: ./try.py, target: /opt/try.py }]
",
    );
    world.host.write("c.yaml", config);
    let model = json!(["model_call", "model-not-allowed", null]);
    let tool = json!(["tool_call", "tool-not-allowed", null]);
    assert_eq!(
        world.run(""),
        (vec![json!([200, []]), json!([403, "model-not-allowed"])], vec![tool.clone(), model.clone()])
    );
    let look = "@id(\"look\") permit(principal == Agent::\"client\", action == Action::\"tool_call\", resource == Tool::\"look\");";
    assert_eq!(world.run(look), (vec![json!([200, ["look"]]), json!([403, "model-not-allowed"])], vec![model]));
    let other = "@id(\"other\") permit(principal == Agent::\"client\", action == Action::\"model_call\", resource == Model::\"claude/other\");";
    assert_eq!(world.run(&format!("{look}\n{other}")), (vec![json!([200, ["look"]]), json!([200, ["look"]])], vec![]));
    let sky = "@id(\"no-sky\") forbid(principal, action == Action::\"tool_call\", resource)\n\
        when { resource.hasTag(\"at\") && resource.getTag(\"at\") like \"*sky\" };";
    let closed =
        "@id(\"closed\") forbid(principal, action == Action::\"model_call\", resource == Model::\"main/some-model\");";
    let asked = world.provider.requests().len();
    assert_eq!(
        world.run(&[look, other, sky, closed].join("\n")),
        (
            vec![json!([403, "model-not-allowed"]), json!([200, []])],
            vec![
                json!(["model_call", "model-not-allowed", ["closed"]]),
                json!(["tool_call", "tool-not-allowed", ["no-sky"]])
            ]
        )
    );
    assert_eq!(world.provider.requests().len(), asked + 1, "what is refused is not sent");
}

#[test]
fn people_steer_agents_where_no_policy_forbids_it() {
    let host = Host::new();
    let verbs = ["logs", "exec", "turn", "sessions", "reset-labels", "stop"];
    let forbid = |verb: &str| {
        format!(
            "@id(\"no-{verb}\") forbid(principal, action == Action::\"agent_manage\", resource == Agent::\"one\") when {{ context.operation == \"{verb}\" }};\n"
        )
    };
    host.write("p.cedar", verbs.map(forbid).concat());
    let provider = Provider::start();
    let fleet = provider.fleet(
        host,
        "policies: [./p.cedar]\nagents: [{ id: one, kind: builtin, tools: { allow: [] } }, { id: two, kind: builtin, tools: { allow: [] } }]\n",
    );
    fleet.phase("one", "running");
    fleet.phase("two", "running");
    let steer = |verb: &str, agent: &str| match verb {
        "exec" => fleet.ask(&["exec", agent, "--", "true"]),
        "turn" => fleet.ask(&["ask", agent, "SAY hello"]),
        "sessions" => finish(fleet.host.prepare(["chat", agent]), b"/sessions\n"),
        "reset-labels" => fleet.ask(&["labels", "reset", agent]),
        verb => fleet.ask(&[verb, agent]),
    };
    for verb in verbs {
        let refused = steer(verb, "one");
        assert!(refused.stderr.contains(&format!("is denied by no-{verb}")), "{verb}: {refused:?}");
        steer(verb, "two").good();
    }
    let denied: Vec<Value> =
        fleet.host.records_of("agent_manage").into_iter().filter(|record| record["result"] == "denied").collect();
    let by: Vec<Value> = denied.iter().map(|record| record["policy_ids"].clone()).collect();
    assert_eq!(by, verbs.map(|verb| json!([format!("no-{verb}")])), "{denied:#?}");
}

/// What stands in the configuration to start by itself asks too, and whoever set it up hears what became of it.
#[test]
fn turns_start_by_themselves_where_no_policy_forbids_it() {
    let host = Host::new();
    host.write(
        "p.cedar",
        "@id(\"quiet\") forbid(principal == Trigger::\"agents.one.schedule[0]\", action == Action::\"agent_manage\", resource);",
    );
    let agent = |id: &str| {
        format!("{{ id: {id}, kind: builtin, tools: {{ allow: [] }}, schedule: [{{ every: 1s, prompt: SAY tick }}] }}")
    };
    let provider = Provider::start();
    let fleet = provider.fleet(host, &format!("policies: [./p.cedar]\nagents: [{}, {}]\n", agent("one"), agent("two")));
    fleet.logs("two", "[agents.two.schedule[0]] tick");
    fleet.logs("one", "[agents.one.schedule[0]] refused: ");
    assert!(!fleet.ask(&["logs", "one"]).text().contains("tick"));
    let denied = fleet.host.records_of("agent_manage").into_iter().find(|record| record["result"] == "denied");
    assert_eq!(denied.unwrap()["policy_ids"], json!(["quiet"]));
}
