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

#[test]
fn however_a_policy_spells_what_it_looks_at_it_is_told() {
    let run = || Action::Exec(Exec { path: "/bin/x".to_owned(), command: Vec::new(), obstacle: None });
    for condition in [
        r#"context has "\u{6e}ow" && context["\u{6e}ow"].hour >= 0"#,
        r#"context has "\u{73}ession" && context["\u{73}ession"]["d\u{61}ta"] >= 0"#,
    ] {
        let text =
            format!("@id(\"x\")\nforbid(principal, action == Action::\"exec\", resource) when {{ {condition} }};");
        let refusal = decide(&with(CellRules::default(), &text), run()).unwrap_err();
        assert!(refusal.reason.ends_with("is denied by x"), "{condition}: {refusal}");
    }
}

#[test]
fn an_address_within_another_is_that_address() {
    let text = "@id(\"x\")\nforbid(principal, action == Action::\"net_connect\", resource)\n\
        when { context has address && context.address.isInRange(ip(\"8.8.8.0/24\")) };";
    let networks = super::rules(&["dns.example.com", "8.8.0.0/16"]);
    let engine = with(CellRules { networks, ..CellRules::default() }, text);
    let would = |address: &str| {
        let words = ["a", "net_connect", "dns.example.com:443", &format!("address={address}")].map(str::to_owned);
        engine.would(&crate::Case::parse(&words).unwrap().action).is_ok()
    };
    assert!(would("8.8.9.8") && would("::ffff:8.8.9.8"));
    assert!(!would("8.8.8.8") && !would("::ffff:8.8.8.8"));
}

#[test]
fn ids_and_what_people_are_told_are_short_and_of_one_line() {
    let policy = |id: &str, more: &str| format!("@id(\"{id}\"){more}\nforbid(principal, action, resource);");
    for (text, expected) in [
        (policy("x\\ny", ""), r"`x\ny` is no id of 1 to 128 bytes in one line"),
        (policy("", ""), "`` is no id"),
        (policy(&"x".repeat(129), ""), "is no id"),
        (policy("x", &format!("@help(\"{}\")", "h".repeat(1025))), "`@help` of `x` is longer than 1024 bytes"),
        (policy("x", &format!("@ask(\"{}\")", "h".repeat(1025))), "`@ask` of `x` is longer than 1024 bytes"),
    ] {
        let errors = written(&text).unwrap_err();
        assert!(errors[0].contains(expected), "{errors:?}");
    }
}

#[test]
fn what_can_never_hold_and_whom_policies_speak_of_is_told() {
    let read = written(
        "@id(\"x\")\nforbid(principal in Group::\"nite\", action == Action::\"exec\", resource) when { false };\n\
         permit(principal, action == Action::\"audit_read\", resource);",
    )
    .unwrap();
    assert!(
        matches!(read.notices(), [one] if one.starts_with("p.cedar:1:1: ") && one.contains("impossible")),
        "{read:?}"
    );
    assert!(!read.notices()[0].contains("policy0"), "{read:?}");
    let names: Vec<_> = read.names().filter(|(_, kind, _)| kind == "Group").collect();
    assert_eq!(names, [("x".to_owned(), "Group".to_owned(), "nite".to_owned())]);
    assert_eq!(read.of_people().collect::<Vec<_>>().len(), 1);
}

#[test]
fn the_words_of_a_command_are_told_apart() {
    let text = "@id(\"x\")\nforbid(principal, action == Action::\"exec\", resource) when { context.command == \"printf a b\" };";
    let engine = with(CellRules::default(), text);
    let run = |words: &[&str]| {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        decide(&engine, Action::Exec(Exec { path: "/bin/x".to_owned(), command, obstacle: None })).is_ok()
    };
    assert!(!run(&["printf", "a", "b"]));
    assert!(run(&["printf", "a b"]));
}

#[test]
fn permitted_connections_on_which_no_request_is_read_are_told() {
    let bank = |more: &str| {
        format!(
            "@id(\"bank\") permit(principal, action in [Action::\"net_connect\", Action::\"http_request\"], resource)\n\
             when {{ resource.name == \"bank.example\" }} unless {{ action == Action::\"net_connect\" && !({more}) }};\n\
             @id(\"read-only\") forbid(principal, action == Action::\"http_request\", resource) when {{ context.method != \"GET\" }};"
        )
    };
    let notices = |text: &str| written(text).unwrap().notices().to_vec();
    let told = notices(&bank("context.class == \"public\""));
    assert!(matches!(told.as_slice(), [one] if one.contains("`bank`") && one.contains("`read-only`")), "{told:?}");
    assert_eq!(notices(&bank("context.agrees")), Vec::<String>::new());
    assert!(written("@ask forbid(principal, action, resource);").unwrap_err()[0].contains("does not say why"));
}
