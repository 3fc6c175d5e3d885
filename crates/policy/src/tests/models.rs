use std::collections::BTreeMap;

use nanoclaw_config::{ModelAccess, ToolRule, ToolRules};
use nanoclaw_request::{Action, ModelCall, ModelOperation, ProposedCall, RefusalCode};

use super::{cell, decide, engine, tool as proposed};
use crate::{Engine, Refusal};

trait Ask {
    fn call_model(&self, call: &ModelCall) -> Result<Vec<String>, Refusal>;
    fn tool_call(&self, call: &ProposedCall) -> Result<Vec<String>, Refusal>;
}

impl Ask for Engine {
    fn call_model(&self, call: &ModelCall) -> Result<Vec<String>, Refusal> {
        decide(self, Action::CallModel(call.clone()))
    }

    fn tool_call(&self, call: &ProposedCall) -> Result<Vec<String>, Refusal> {
        decide(self, Action::ToolCall(call.clone()))
    }
}

fn call(asked: &str, candidates: &[&str]) -> ModelCall {
    ModelCall {
        operation: ModelOperation::Chat,
        asked: asked.to_owned(),
        candidates: candidates.iter().map(|c| (*c).to_owned()).collect(),
        stream: false,
        messages: 1,
        bytes: 10,
        digest: String::new(),
        reserved_tokens: 0,
    }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn without_access_no_model_answers() {
    let engine = Engine::new(cell(), Vec::new());
    let refusal = engine.call_model(&call("main/x", &["main/x"])).unwrap_err();
    assert_eq!((refusal.code, refusal.reason.as_str()), (RefusalCode::ModelNotAllowed, "this agent may ask no model"));
    assert_eq!(refusal.help, "to allow it, add `model: MODEL` to agent a");
}

#[test]
fn the_own_model_is_allowed_and_others_only_by_rule() {
    let access = ModelAccess { model: Some("fast".to_owned()), allow: texts(&["main/*"]), ..ModelAccess::default() };
    let engine = engine(access);
    assert_eq!(engine.call_model(&call("fast", &["other/y"])).unwrap(), ["agents.a.model"]);
    assert_eq!(engine.call_model(&call("main/z", &["main/z"])).unwrap(), ["agents.a.models.allow[0]"]);
    assert_eq!(engine.call_model(&call("robust", &["main/z", "main/y"])).unwrap(), ["agents.a.models.allow[0]"]);
    let refusal = engine.call_model(&call("robust", &["main/z", "other/y"])).unwrap_err();
    assert_eq!(refusal.help, "to allow it, add `models: { allow: [\"robust\"] }` to agent a");
    assert!(engine.call_model(&call("nothing", &[])).is_err(), "an empty list of candidates allows nothing");
}

#[test]
fn an_alias_does_not_lead_around_a_denial() {
    let access = ModelAccess {
        model: Some("fast".to_owned()),
        allow: texts(&["*"]),
        deny: texts(&["main/large*"]),
        ..ModelAccess::default()
    };
    let refusal = engine(access).call_model(&call("fast", &["main/small", "main/large-2"])).unwrap_err();
    assert_eq!(refusal.reason, "model `main/large-2` is denied by agents.a.models.deny[0]");
}

pub fn rule(list: &str, index: usize, name: &str, arguments: &[(&str, &str)]) -> ToolRule {
    let arguments = arguments.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>();
    ToolRule { id: format!("agents.a.tools.{list}[{index}]"), name: name.to_owned(), arguments }
}

#[test]
fn tools_need_a_rule_where_there_are_rules_and_deny_wins() {
    let tools = ToolRules {
        allow: Some(vec![rule("allow", 0, "file_*", &[]), rule("allow", 1, "shell", &[("command", "git *")])]),
        deny: vec![rule("deny", 0, "file_write", &[("path", "/data/*")])],
    };
    let engine = engine(ModelAccess { tools, ..ModelAccess::default() });
    let ok = |tool, arguments| engine.tool_call(&proposed(tool, arguments)).map_err(|refusal| refusal.reason);
    assert_eq!(ok("file_read", Some(&[])).unwrap(), ["agents.a.tools.allow[0]"]);
    assert_eq!(ok("shell", Some(&[("command", "git status")])).unwrap(), ["agents.a.tools.allow[1]"]);
    assert_eq!(
        ok("shell", Some(&[("command", "curl x")])).unwrap_err(),
        "no rule allows tool `shell` with these arguments"
    );
    assert_eq!(ok("http_fetch", Some(&[])).unwrap_err(), "no rule allows tool `http_fetch`");
    assert_eq!(
        ok("file_write", Some(&[("path", "/data/x")])).unwrap_err(),
        "tool `file_write` is denied by agents.a.tools.deny[0]"
    );
    assert!(ok("file_write", Some(&[("path", "/tmp/x")])).is_ok());
}

#[test]
fn what_runs_at_a_provider_needs_a_rule_with_its_own_name() {
    let at_provider = || ProposedCall { at_provider: true, ..proposed("web_search", None) };
    let asked = |allow: Option<&str>| {
        let allow = allow.map(|name| vec![rule("allow", 0, name, &[])]);
        let tools = ToolRules { allow, deny: Vec::new() };
        engine(ModelAccess { tools, ..ModelAccess::default() }).tool_call(&at_provider())
    };
    let refusal = asked(None).unwrap_err();
    assert_eq!(refusal.reason, "`web_search` makes the provider reach out, which no rule allows");
    let help = "to allow it, name `web_search` in `tools: { allow: […] }` of agent a, and all others that it may call";
    assert_eq!(refusal.help, help);
    let refusal = asked(Some("ls")).unwrap_err();
    assert_eq!(refusal.help, "to allow it, add `web_search` to `tools: { allow: […] }` of agent a");
    assert!(asked(Some("*")).is_err(), "all tools are those of the agent");
    assert_eq!(asked(Some("web_search")).unwrap(), ["agents.a.tools.allow[0]"]);
}

#[test]
fn arguments_that_can_be_read_in_two_ways_pass_no_rule_about_arguments() {
    let tools = ToolRules {
        allow: Some(vec![rule("allow", 0, "shell", &[("command", "*")])]),
        deny: vec![rule("deny", 0, "file_write", &[("path", "/data/*")])],
    };
    let engine = engine(ModelAccess { tools, ..ModelAccess::default() });
    assert!(engine.tool_call(&proposed("shell", None)).is_err());
    assert!(engine.tool_call(&proposed("file_write", None)).is_err());
}
