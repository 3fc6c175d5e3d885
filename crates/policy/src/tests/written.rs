use std::path::Path;
use std::sync::Arc;

use nanoclaw_config::{Labels, ModelAccess, ToolRules};
use nanoclaw_request::{Action, Exec, FileWrite};

use super::{decide, engine_of, tool};
use crate::{CellRules, Engine, Written};

fn written(text: &str) -> Result<Arc<Written>, Vec<String>> {
    let read = Written::read([(Path::new("p.cedar"), text)]);
    read.map(Arc::new).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn all_tools() -> CellRules {
    let access =
        ModelAccess { tools: ToolRules::default(), group: Some("tellers".to_owned()), ..ModelAccess::default() };
    CellRules { models: Some(access), ..CellRules::default() }
}

/// The engine of a cell with these rules and policies.
fn with(rules: CellRules, text: &str) -> Engine {
    engine_of(written(text).unwrap(), Labels::default(), rules)
}

#[test]
fn a_policy_of_a_file_takes_away_and_says_how_to_get_it() {
    let text = "@id(\"no-wire\")\n@help(\"ask the treasury\")\n\
        forbid(principal in Group::\"tellers\", action == Action::\"tool_call\", resource == Tool::\"wire\")\n\
        when { resource.hasTag(\"amount\") && resource.getTag(\"amount\") like \"*000\" };";
    let engine = with(all_tools(), text);
    let ask = |amount: &str| decide(&engine, Action::ToolCall(tool("wire", Some(&[("amount", amount)]))));
    assert_eq!(ask("12").unwrap(), ["agents.a.tools"]);
    let refusal = ask("9000").unwrap_err();
    assert_eq!(refusal.to_string(), "tool `wire` is denied by no-wire; ask the treasury");
}

#[test]
fn a_policy_of_a_file_permits_what_no_rule_does_and_no_wall_forbids() {
    let text = "permit(principal == Agent::\"a\", action in [Action::\"exec\", Action::\"file_write\"], resource);";
    let engine = with(CellRules::default(), text);
    let run = |obstacle| Action::Exec(Exec { path: "/bin/x".to_owned(), command: Vec::new(), obstacle });
    assert_eq!(decide(&engine, run(None)).unwrap(), ["cell.executable", "p.cedar#1"]);
    let write = |obstacle| Action::FileWrite(FileWrite { operation: "open", path: "/x".to_owned(), obstacle });
    assert!(decide(&engine, write(None)).is_ok());
    let other = "permit(principal == Agent::\"b\", action, resource);";
    let engine = with(CellRules::default(), other);
    assert!(decide(&engine, write(Some(30))).is_err(), "another agent's policy is not this one's");
}

#[test]
fn mistakes_have_a_place_and_all_are_told() {
    let errors =
        written("permit(principal, action, resource) when { 1 };\npermit(principal == Agnt::\"a\", action, resource);")
            .unwrap_err();
    assert!(errors.len() >= 2, "{errors:#?}");
    assert!(errors.iter().any(|error| error.starts_with("p.cedar:2:")), "{errors:#?}");
    let errors = written("permit(principal, action, resource").unwrap_err();
    assert!(errors[0].starts_with("p.cedar:1:"), "{errors:#?}");
    let errors = written("permit(principal == ?principal, action, resource);").unwrap_err();
    assert!(errors[0].contains("a template is nothing"), "{errors:#?}");
    for id in ["cell.writable", "agents.a.tools", "allowed_networks[0]"] {
        let errors = written(&format!("@id(\"{id}\")\npermit(principal, action, resource);")).unwrap_err();
        assert!(errors[0].contains("NanoClaw's own"), "{errors:#?}");
    }
    let twice = "@id(\"x\")\npermit(principal, action, resource);\n".repeat(2);
    assert!(written(&twice).unwrap_err()[0].contains("two policies have the id"));
}
