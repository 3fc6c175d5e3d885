mod models;
mod oracle;
mod people;
mod property;
mod reload;
mod sessions;
mod slicing;
mod written;

use std::net::IpAddr;
use std::sync::Arc;

use nanoclaw_config::{Labels, ModelAccess, NetRule, parse_net_rule};
use nanoclaw_identity::CellSockets;
use nanoclaw_request::{Action, Arrived, CellId, Door, ProposedCall, SessionId};

use crate::{CellRules, Engine, Generation, Policies, Refusal, Verdict, Written};

fn cell() -> CellId {
    CellId::parse("a").unwrap()
}

fn rules(texts: &[&str]) -> Vec<NetRule> {
    let rule =
        |(index, text): (usize, &&str)| parse_net_rule(&format!("agents.a.allowed_networks[{index}]"), text).unwrap();
    texts.iter().enumerate().map(rule).collect()
}

/// The engine of the cell, to which these files with policies and these labels apply.
fn engine_of(written: Arc<Written>, labels: Labels, rules: CellRules) -> Engine {
    let generation = Generation::new(written, labels, Vec::new()).with_cell(cell(), rules);
    Engine::of(Policies::new(generation), cell(), Arc::default())
}

fn engine(access: ModelAccess) -> Engine {
    Engine::new(cell(), Vec::new()).with_models(access)
}

/// The decision on an action of the cell itself.
fn decide(engine: &Engine, action: Action) -> Result<Vec<String>, Refusal> {
    let sockets = CellSockets::of(cell(), SessionId::from_random([0; 16]));
    let identified = sockets.identify(Arrived::now(Door::Egress, ()));
    match engine.decide(identified.propose(|()| Ok(action))) {
        Verdict::Allowed(permit) => Ok(permit.rules().to_vec()),
        Verdict::Refused(declined) => Err(declined.refusal().clone()),
    }
}

fn tool(name: &str, arguments: Option<&[(&str, &str)]>) -> ProposedCall {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    ProposedCall {
        tool: name.to_owned(),
        call: "call-1".to_owned(),
        arguments: arguments.map(|pairs| pairs.iter().map(pair).collect()),
        written: String::new(),
        digest: String::new(),
        at_provider: false,
        traced: Vec::new(),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn every_kind_of_action_is_in_the_schema() {
    use nanoclaw_identity::Caller;

    use crate::NOTHING_READ;
    use nanoclaw_request::{Approve, AuditRead, Datagram, Exec, FileWrite, Launch, Manage, Syscall};

    let engine = Engine::new(cell(), Vec::new());
    let text = || "x".to_owned();
    for action in [
        Action::Datagram(Datagram { protocol: 17, to: "10.0.0.1:53".parse().unwrap() }),
        Action::FileWrite(FileWrite { operation: "open", path: text(), obstacle: None }),
        Action::Exec(Exec { path: text(), command: vec![text()], obstacle: Some(13) }),
        Action::Syscall(Syscall { name: text(), detail: text() }),
    ] {
        property::fits_schema(&engine, &action);
    }
    let language = crate::language::Language::get().unwrap();
    let made = engine.made();
    let asker = made.asker(language, engine.session(), NOTHING_READ, jiff::Timestamp::UNIX_EPOCH);
    let asker = crate::ask::Asker { mentions: crate::made::Mentions::of("now"), ..asker };
    let roles = nanoclaw_identity::Role::ALL.into_iter().collect();
    let operator = Caller::Operator(nanoclaw_identity::Operator { name: "uid:0".to_owned(), roles });
    let trigger = Caller::Webhook { rule: "agents.a.webhook".to_owned() };
    let launch =
        Launch { cell: cell(), session: SessionId::from_random([0; 16]), command: vec![text()], summary: text() };
    let approve = Approve { question: text(), digest: text(), cell: text(), answer: "approve" };
    for (caller, action) in [
        (&operator, Action::Launch(launch)),
        (&operator, Action::Manage(Manage::List)),
        (&operator, Action::Approve(approve)),
        (&operator, Action::AuditRead(AuditRead { what: text() })),
        (&trigger, Action::Manage(Manage::Turn { cell: "a".to_owned(), digest: text() })),
    ] {
        let principal = asker.principal(Some(caller)).unwrap();
        for question in asker.questions(&action).unwrap() {
            let uid = language.action.of(question.action);
            let schema = Some(crate::language::schema().unwrap());
            cedar_policy::Request::new(principal.uid.clone(), uid, question.resource, question.context, schema)
                .unwrap();
            cedar_policy::Entities::from_entities([principal.entity.clone(), question.entity], schema).unwrap();
        }
    }
}

/// What NanoClaw itself says in Cedar suits the schema, whatever the configuration.
#[test]
fn own_policies_suit_the_schema() {
    let tools = nanoclaw_config::ToolRules {
        allow: Some(vec![models::rule("allow", 0, "a*", &[]), models::rule("allow", 1, "b", &[("k", "*\"v")])]),
        deny: vec![models::rule("deny", 0, "c", &[("k", "v"), ("l", "w")])],
    };
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let access = ModelAccess {
        model: Some("m".to_owned()),
        allow: texts(&["*"]),
        deny: texts(&["x\\*"]),
        tools,
        ..ModelAccess::default()
    };
    let networks = rules(&property::NET_RULES);
    let compiled = crate::compile(&cell(), &networks, Some(&access));
    let sets: String = nanoclaw_config::RuleSet::ALL.into_iter().flat_map(crate::rule_set_texts).collect();
    let mut policies: cedar_policy::PolicySet = format!("{}{sets}", crate::BASE).parse().unwrap();
    for (number, policy) in compiled.iter().enumerate() {
        let id = cedar_policy::PolicyId::new(format!("compiled{number}"));
        policies.add(cedar_policy::Policy::parse(Some(id), &policy.text).unwrap()).unwrap();
    }
    let validator = cedar_policy::Validator::new(crate::language::schema().unwrap().clone());
    let checked = validator.validate(&policies, cedar_policy::ValidationMode::Strict);
    let errors: Vec<String> = checked.validation_errors().map(ToString::to_string).collect();
    assert_eq!(errors, Vec::<String>::new());
    let warnings: Vec<String> = checked.validation_warnings().map(ToString::to_string).collect();
    assert!(warnings.iter().all(|warning| !warning.contains("impossible")), "{warnings:#?}");
}
