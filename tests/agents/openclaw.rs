//! The real OpenClaw, not modified, as a member of a fleet beside NanoClaw's own agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::builtin::{answer, of, turn};
use crate::fleet::{Fleet, children};
use crate::keys::{descendants, holds};
use crate::provider::{KEY, Provider};
use crate::support::{Host, skip};

/// Where it is installed, installing it first where it is not; `None`, loudly, where there is no npm.
pub fn installation(host: &Host) -> Option<PathBuf> {
    if Command::new("npm").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        skip("npm is not installed, so OpenClaw cannot be (Debian: apt-get install npm)");
        return None;
    }
    let chosen = std::env::var_os("NANOCLAW_OPENCLAW_DIR").map(PathBuf::from);
    let directory =
        chosen.unwrap_or_else(|| Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/openclaw")).into());
    let mut install = Command::new(env!("CARGO_BIN_EXE_nanoclaw"));
    install.args(["openclaw", "install", "--directory"]).arg(&directory);
    let installed = install.env("NANOCLAW_STATE_DIR", host.path("install")).output().unwrap();
    assert!(installed.status.success(), "openclaw install: {}", String::from_utf8_lossy(&installed.stderr));
    Some(directory.canonicalize().unwrap())
}

/// A call of `exec`, in each notation of which OpenClaw makes calls.
fn in_text(command: &str) -> [String; 4] {
    let json = json!({ "command": command });
    [
        format!("<function=exec>\n<parameter=command>\n{command}\n</parameter>\n</function>"),
        format!("[exec]\n{json}\n[END_TOOL_REQUEST]"),
        format!("[tool:exec] {json}"),
        format!("<|channel|>commentary to=exec code<|message|>{json}<|call|>"),
    ]
}

/// A script whose first answer is `text`.
fn written(text: &str) -> String {
    text.lines().map(|line| format!("WRITE {line}\n")).collect()
}

#[test]
fn openclaw_and_the_builtin_agent_work_side_by_side() {
    let Some(host) = Host::limited() else { return };
    let Some(directory) = installation(&host) else { return };
    let provider = Provider::start();
    let fleet = provider.fleet(
        host,
        &format!(
            "agents:
  - {{ id: claw, kind: openclaw, openclaw: {}, model: main/some-model, tools: {{ deny: [{{ name: exec, arguments: {{ command: \"*forbidden*\" }} }}] }}, budget: {{ requests_per_minute: 30 }} }}
  - {{ id: own, kind: builtin, model: fast, tools: {{ allow: [shell] }} }}
",
            directory.display()
        ),
    );
    let claw = turn(&fleet, "claw", "CALL exec {\"command\": \"id -u > /workspace/uid && cat /workspace/uid\"}", &[]);
    assert!(answer(&claw).contains("1000"), "{claw:#?}");
    assert_eq!(of(&claw, "tool_call")[0]["name"], "exec", "{claw:#?}");
    assert_eq!(fleet.host.read("state/agents/claw/workspace/uid").trim(), "1000");
    let own = turn(&fleet, "own", "CALL shell {\"command\": \"id -u\"}", &[]);
    assert!(answer(&own).contains("1000"), "{own:#?}");

    // What its rules deny never reaches it.
    let denied =
        turn(&fleet, "claw", "TURN\nCALL exec {\"command\": \"touch /workspace/forbidden\"}", &["--session", "two"]);
    assert_eq!(of(&denied, "refused")[0]["tool"], "exec", "{denied:#?}");
    assert!(!fleet.host.path("state/agents/claw/workspace/forbidden").exists());
    let records = fleet.host.records_of("tool_call");
    let refused = records.iter().find(|record| record["result"] == "denied").expect("a record");
    assert_eq!((&refused["agent_id"], &refused["code"]), (&json!("claw"), &json!("tool-not-allowed")));

    // Nor does it make a call of text that was not decided on.
    for (number, text) in in_text("touch /workspace/forbidden").iter().enumerate() {
        let session = format!("text-{number}");
        let denied = turn(&fleet, "claw", &format!("TURN\n{}", written(text)), &["--session", &session]);
        assert_eq!(of(&denied, "refused")[0]["tool"], "exec", "{text}: {denied:#?}");
        assert!(of(&denied, "tool_call").is_empty(), "{text}: {denied:#?}");
        assert!(!fleet.host.path("state/agents/claw/workspace/forbidden").exists(), "{text}");
    }
    for (number, text) in in_text("touch /workspace/made").iter().enumerate() {
        let session = format!("made-{number}");
        let made = turn(&fleet, "claw", &format!("TURN\n{}", written(text)), &["--session", &session]);
        assert_eq!(of(&made, "tool_call")[0]["name"], "exec", "{text}: {made:#?}");
        fs::remove_file(fleet.host.path("state/agents/claw/workspace/made")).expect(text);
    }
    // One that has an end that the door does not know, and one that OpenClaw finds anywhere in the text of some models.
    for text in [
        "[tool:exec]<parameter=command>touch /workspace/forbidden</parameter>",
        "Well.</think>[tool:exec] {\"command\":\"touch /workspace/forbidden\"}",
        "<|DSML|tool_calls><|DSML|invoke name=\"exec\"><|DSML|parameter name=\"command\" string=\"true\">touch /workspace/forbidden</|DSML|parameter></|DSML|invoke></|DSML|tool_calls>",
    ] {
        let said = turn(&fleet, "claw", &format!("TURN\n{}", written(text)), &["--session", "text-only"]);
        assert!(of(&said, "tool_call").is_empty(), "{text}: {said:#?}");
        assert!(!fleet.host.path("state/agents/claw/workspace/forbidden").exists(), "{text}");
    }

    // It has reached its model door, and nothing else.
    let reached: Vec<Value> = fleet.host.records_of("net_connect");
    assert!(reached.iter().all(|record| record["agent_id"] != "claw" || record["result"] == "denied"), "{reached:#?}");
    for pid in children(fleet.launcher()).into_iter().flat_map(descendants) {
        assert!(!holds(pid, KEY), "process {pid} of a cell holds the key");
    }
    let status = fleet.until("claw", |status| status["phase"] == "running");
    assert!(status["memory_bytes"].as_u64().unwrap() > 0);
}

/// Otherwise OpenClaw calls most of its tools through one, and policies would see only that one's name.
#[test]
fn openclaw_calls_each_tool_by_its_own_name_where_policies_speak_of_tools() {
    let Some(host) = Host::limited() else { return };
    let Some(directory) = installation(&host) else { return };
    let provider = Provider::start();
    let agents = format!(
        "agents: [{{ id: claw, kind: openclaw, openclaw: {}, model: main/some-model }}]\n",
        directory.display()
    );
    let policy =
        "@id(\"no-fetch\") forbid(principal, action == Action::\"tool_call\", resource == Tool::\"web_fetch\");";
    host.write("p.cedar", policy);
    let governed = provider.configure(&host, &format!("policies: [./p.cedar]\n{agents}"));
    let (direct, through) = (
        "CALL web_fetch {\"url\": \"http://a.test/\"}",
        "CALL tool_call {\"id\": \"web_fetch\", \"args\": {\"url\": \"http://a.test/\"}}",
    );

    // Nothing speaks of tools, until a policy comes: then those that came without it may not be gone around.
    let fleet = provider.fleet(host, &agents);
    assert_eq!(of(&turn(&fleet, "claw", through, &[]), "tool_call").len(), 1);
    fleet.host.write("fleet.yaml", &governed);
    let said = fleet.ask(&["reload"]).good();
    assert!(said.contains("tools (by which names they are called)"), "{said}");
    let refused = turn(&fleet, "claw", through, &[]);
    assert!(of(&refused, "tool_call").is_empty(), "{refused:#?}");
    let reason = of(&refused, "refused")[0]["reason"].as_str().unwrap();
    assert!(reason.contains("is denied by agents.claw.tools.each-by-its-own-name"), "{reason}");
    fleet.ask(&["down"]).good();
    let (host, _) = fleet.end();

    // From its next start it calls them so.
    let fleet = Fleet::up_on(host, &governed);
    let refused = turn(&fleet, "claw", direct, &[]);
    let reason = of(&refused, "refused")[0]["reason"].as_str().unwrap();
    assert!(reason.contains("is denied by no-fetch"), "{reason}");
    let refused = turn(&fleet, "claw", through, &[]);
    assert!(of(&refused, "tool_call").is_empty() && of(&refused, "refused").len() == 1, "{refused:#?}");
}
