//! What is left to people, by what a session has read.

use std::sync::Arc;

use nanoclaw_config::{
    DataClass, HostLabel, HostPattern, HostSet, Label, Labels, ModelAccess, RuleSet, ToolClass, ToolLabel, Trust,
};
use nanoclaw_firewall::Level;
use nanoclaw_identity::CellSockets;
use nanoclaw_request::{
    Action, Arrived, Connect, Destination, DnsName, Door, Evidence, Host, Origin, ProposedCall, RefusalCode, SessionId,
    Traced, Via,
};

use super::{cell, engine_of, tool};
use crate::{CellRules, Engine, Verdict, Would, Written};

const UNTRUSTED: Label = Label::new(Trust::Untrusted, DataClass::Public);
const CONFIDENTIAL: Label = Label::new(Trust::Trusted, DataClass::Confidential);

fn label(index: usize, name: &str, does: &[ToolClass], destinations: &[&str], allow: &[(&str, &str)]) -> ToolLabel {
    let owned = |text: &str| text.to_owned();
    ToolLabel {
        id: format!("labels.tools[{index}]"),
        name: owned(name),
        trust: Some(Trust::Trusted),
        data: Some(DataClass::Internal),
        does: Some(does.iter().copied().collect()),
        destinations: Some(destinations.iter().map(|name| owned(name)).collect()),
        allow: allow.iter().map(|(key, value)| (owned(key), vec![owned(value)])).collect(),
        vouches: Vec::new(),
    }
}

fn under(sets: &[RuleSet]) -> Engine {
    let tools = vec![
        label(0, "mail", &[ToolClass::Sends], &["to"], &[("to", "*@bank.example")]),
        label(1, "note", &[ToolClass::Writes], &[], &[]),
        label(2, "look", &[ToolClass::Reads], &[], &[]),
    ];
    let rules =
        CellRules { models: Some(ModelAccess::default()), rule_sets: Some(sets.to_vec()), ..CellRules::default() };
    engine_of(Arc::new(Written::default()), Labels { tools, ..Labels::default() }, rules)
}

/// The policies that ask people about a call; none where it is simply allowed.
fn asked(engine: &Engine, call: ProposedCall) -> Vec<String> {
    let Would { asking, .. } = engine.would(&Action::ToolCall(call)).unwrap();
    asking.map(|asking| asking.policies).unwrap_or_default()
}

fn mail(to: &str, origin: Origin) -> ProposedCall {
    let traced = vec![Traced { argument: "to".to_owned(), value: to.to_owned(), origin }];
    ProposedCall { traced, ..tool("mail", Some(&[("to", to)])) }
}

#[test]
fn of_three_things_two_may_come_together() {
    let engine = under(&[RuleSet::RuleOfTwo]);
    let send = || mail("x@y.example", Origin::Unknown);
    assert!(asked(&engine, send()).is_empty());
    engine.session().read(UNTRUSTED);
    assert!(asked(&engine, send()).is_empty(), "it holds nothing");
    engine.session().read(CONFIDENTIAL);
    assert_eq!(asked(&engine, send()), ["rule-of-two.tool"]);
    assert!(asked(&engine, tool("note", Some(&[]))).is_empty(), "nothing leaves");
    engine.session().reset();
    engine.session().read(CONFIDENTIAL);
    assert!(asked(&engine, send()).is_empty(), "nobody else had a say");
}

#[test]
fn what_changes_something_is_done_on_trusted_words() {
    let engine = under(&[RuleSet::TrustedAction]);
    assert!(asked(&engine, tool("note", Some(&[]))).is_empty());
    engine.session().read(UNTRUSTED);
    assert_eq!(asked(&engine, tool("note", Some(&[]))), ["trusted-action.tool"]);
    assert!(asked(&engine, tool("look", Some(&[]))).is_empty());
    assert_eq!(asked(&engine, tool("never-heard-of", Some(&[]))), ["trusted-action.tool"], "it may do anything");
}

#[test]
fn what_may_come_from_an_attacker_is_asked_about() {
    let engine = under(&[RuleSet::SuspiciousAsks]);
    engine.session().read(UNTRUSTED.join(CONFIDENTIAL));
    let calls = || [("note", true), ("mail", true), ("never-heard-of", true), ("look", false)];
    for (name, _) in calls() {
        assert!(asked(&engine, tool(name, Some(&[]))).is_empty(), "{name}: nothing suspicious was read");
    }
    for level in [Level::Suspect, Level::Likely, Level::Certain] {
        engine.session().reset();
        engine.session().read(Label::suspect(level));
        for (name, asks) in calls() {
            let expected: &[&str] = if asks { &["suspicious-asks.tool"] } else { &[] };
            assert_eq!(asked(&engine, tool(name, Some(&[]))), expected, "{name}: {level:?}");
        }
    }
    assert_eq!(engine.session().label().trust, Trust::Untrusted);
    let off = under(&[]);
    off.session().read(Label::suspect(Level::Certain));
    assert!(asked(&off, tool("note", Some(&[]))).is_empty());
}

#[test]
fn a_suspicious_session_reaches_alone_only_hosts_that_somebody_vouches_for() {
    let name = |text: &str| DnsName::parse(text).unwrap();
    let hosts = vec![HostLabel {
        id: String::new(),
        target: HostSet::Name(HostPattern::Exact(name("known.example"))),
        trust: Some(Trust::Trusted),
        data: None,
    }];
    let network = |host: &str| nanoclaw_config::parse_net_rule("n", host).unwrap();
    let rules = CellRules {
        networks: vec![network("known.example"), network("news.example")],
        rule_sets: Some(vec![RuleSet::SuspiciousAsks]),
        ..CellRules::default()
    };
    let engine = engine_of(Arc::new(Written::default()), Labels { hosts, ..Labels::default() }, rules);
    let connect = |host: &str| {
        let destination = Destination { host: Host::Name(name(host)), port: 443 };
        let evidence = Evidence::Http { host: destination.clone() };
        let addresses = vec!["93.184.216.34".parse().unwrap()];
        let connect = Connect { destination, via: Via::Transparent, evidence, addresses };
        let Would { asking, .. } = engine.would(&Action::Connect(connect)).unwrap();
        asking.map(|asking| asking.policies).unwrap_or_default()
    };
    assert!(connect("news.example").is_empty());
    engine.session().read(Label::suspect(Level::Suspect));
    assert_eq!(connect("news.example"), ["suspicious-asks.connect"]);
    assert!(connect("known.example").is_empty());
}

#[test]
fn a_destination_needs_somebodys_word() {
    let engine = under(&[RuleSet::ValueProvenance]);
    engine.session().read(UNTRUSTED);
    for (to, origin, asks) in [
        ("x@y.example", Origin::User, false),
        ("x@y.example", Origin::Trusted, false),
        ("x@y.example", Origin::Unknown, true),
        ("x@y.example", Origin::Untrusted, true),
        ("boss@bank.example", Origin::Untrusted, false),
        ("boss@bank.example.evil.example", Origin::Untrusted, true),
    ] {
        assert_eq!(!asked(&engine, mail(to, origin)).is_empty(), asks, "{to} {origin:?}");
    }
    let two = |second| {
        let mut call = mail("x@y.example", Origin::User);
        call.traced.push(Traced { argument: "to".to_owned(), value: "evil@z.example".to_owned(), origin: second });
        call
    };
    assert!(!asked(&engine, two(Origin::Untrusted)).is_empty(), "one of several is enough");
    let untraced = tool("mail", Some(&[("to", "x@y.example")]));
    assert_eq!(asked(&engine, untraced), ["value-provenance.destination"]);
    let unreadable = ProposedCall { arguments: None, ..tool("mail", None) };
    assert_eq!(asked(&engine, unreadable), ["value-provenance.destination"]);
}

#[test]
fn what_is_asked_is_decided_again_and_good_for_one() {
    let engine = under(&[RuleSet::TrustedAction]);
    engine.session().read(UNTRUSTED);
    let sockets = CellSockets::of(cell(), SessionId::from_random([0; 16]));
    let propose =
        || sockets.identify(Arrived::now(Door::Model, ())).propose(|()| Ok(Action::ToolCall(tool("note", Some(&[])))));
    let Verdict::Refused(declined) = engine.decide(propose()) else { panic!("nobody agreed") };
    assert_eq!(declined.refusal().code, RefusalCode::NotApproved);
    assert_eq!(declined.policies(), ["trusted-action.tool"]);
    let asked = engine.judge(propose()).unwrap_err();
    let Verdict::Allowed(permit) = engine.agreed(*asked, vec!["alice".to_owned()]) else { panic!("alice agreed") };
    assert_eq!(permit.rules(), ["agents.a.tools", "trusted-action.tool"]);
    assert_eq!(permit.approved(), ["alice"]);
    let asked = engine.judge(propose()).unwrap_err();
    let nothing = engine.policies().current().as_ref().clone().with_cell(cell(), CellRules::default());
    engine.policies().replace(nothing);
    let Verdict::Refused(declined) = engine.agreed(*asked, vec!["alice".to_owned()]) else {
        panic!("what people agree to must still be permitted")
    };
    assert_eq!(declined.refusal().code, RefusalCode::ToolNotAllowed);
}

#[test]
fn ask_is_for_policies_that_forbid() {
    let read = |text: &str| {
        let written = Written::read([(std::path::Path::new("p.cedar"), text)]);
        written.map(Arc::new).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let errors = read("@id(\"x\")\n@ask(\"sure?\")\npermit(principal, action, resource);").unwrap_err();
    assert!(errors[0].contains("`x` permits, and `@ask` is for policies that forbid"), "{errors:?}");
    let text = "@id(\"x\")\n@ask(\"sure?\")\nforbid(principal, action == Action::\"tool_call\", resource)\n\
                when { context.said like \"*delete*\" };\n\
                @id(\"y\")\nforbid(principal, action == Action::\"tool_call\", resource == Tool::\"note\");";
    let rules = CellRules { models: Some(ModelAccess::default()), ..CellRules::default() };
    let engine = engine_of(read(text).unwrap(), Labels::default(), rules);
    assert!(asked(&engine, tool("look", Some(&[]))).is_empty());
    engine.session().told("Please DELETE it.");
    assert_eq!(asked(&engine, tool("look", Some(&[]))), ["x"]);
    assert!(engine.would(&Action::ToolCall(tool("note", Some(&[])))).is_err(), "what is forbidden is not asked about");
}

#[test]
fn people_are_not_asked_where_another_policy_that_asks_fails() {
    let text = "@id(\"x\")\n@ask(\"sure?\")\nforbid(principal, action == Action::\"tool_call\", resource);\n\
                @id(\"y\")\n@ask(\"sure?\")\nforbid(principal, action == Action::\"tool_call\", resource)\n\
                when { context.session.data * 9223372036854775807 * 2 > 0 };";
    let written = Written::read([(std::path::Path::new("p.cedar"), text)]).unwrap();
    let rules = CellRules { models: Some(ModelAccess::default()), ..CellRules::default() };
    let engine = engine_of(Arc::new(written), Labels::default(), rules);
    assert_eq!(asked(&engine, tool("note", Some(&[]))), ["x"]);
    engine.session().read(CONFIDENTIAL);
    let refusal = engine.would(&Action::ToolCall(tool("note", Some(&[])))).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::Undecided);
}

#[test]
fn what_nobody_traced_may_come_from_anywhere() {
    let text = "@id(\"no-copies\")\nforbid(principal, action == Action::\"tool_call\", resource)\nwhen { context.from_untrusted.contains(\"to\") };";
    let written = Written::read([(std::path::Path::new("p.cedar"), text)]).unwrap();
    let rules = CellRules { models: Some(ModelAccess::default()), ..CellRules::default() };
    let engine = engine_of(Arc::new(written), Labels::default(), rules);
    let untraced = || Action::ToolCall(tool("mail", Some(&[("to", "x@y.example")])));
    assert!(engine.would(&untraced()).is_ok());
    engine.session().read(UNTRUSTED);
    assert!(engine.would(&untraced()).is_err());
    assert!(engine.would(&Action::ToolCall(mail("x@y.example", Origin::Unknown))).is_ok());
}
