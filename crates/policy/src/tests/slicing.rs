//! Whatever stands in files: asking the policies that can matter, with what they look at, gives the answer that asking all of
//! them with everything gives.

use std::path::Path;

use cedar_policy::{Authorizer, Decision, Entities, Policy, PolicyId, PolicySet, Request};
use nanoclaw_config::{DataClass, Label, Labels, ModelAccess, Trust};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::property::{NET_RULES, action};
use super::*;
use crate::ask::Asker;
use crate::language::Language;
use crate::made::Mentions;
use crate::{RefusalCode, Session, compile};

const PRINCIPALS: [&str; 9] = [
    "principal",
    "principal == Agent::\"a\"",
    "principal == Agent::\"b\"",
    "principal in Agent::\"a\"",
    "principal in Group::\"g\"",
    "principal in Group::\"h\"",
    "principal is Agent",
    "principal is Agent in Group::\"g\"",
    "principal is Operator",
];
const ACTIONS: [&str; 5] = [
    "action",
    "action == Action::\"tool_call\"",
    "action in [Action::\"net_resolve\", Action::\"http_request\"]",
    "action == Action::\"http_request\"",
    "action == Action::\"agent_manage\"",
];
const RESOURCES: [&str; 5] = [
    "resource",
    "resource is Tool",
    "resource == Tool::\"shell\"",
    "resource == Host::\"api.example.com\"",
    "resource is Host",
];
const CONDITIONS: [&str; 12] = [
    "",
    "when { context.now.hour < 25 }",
    "unless { context.now.weekday > 7 }",
    "when { principal == Agent::\"a\" && context.session.untrusted }",
    "when { principal is Agent && context.session.data + 9223372036854775806 > 0 }",
    "when { context has session && context[\"\\u{73}ession\"].data >= 2 }",
    "when { resource is Host && resource has port && resource.port == 443 }",
    "when { resource is Host && resource.name like \"*.example.com\" && !resource.trusted }",
    "unless { resource is Tool && resource.hasTag(\"k\") && resource.getTag(\"k\") like \"*a*\" }",
    "when { resource is Tool && (resource.sends || context.vouched) }",
    "when { context has address && context.address.isInRange(ip(\"10.0.0.0/8\")) }",
    "when { [1, 2].contains(context.now.minute) }",
];

fn policy() -> impl Strategy<Value = String> {
    let parts = (select(&PRINCIPALS[..]), select(&ACTIONS[..]), select(&RESOURCES[..]), select(&CONDITIONS[..]));
    (any::<bool>(), parts).prop_map(|(permits, (principal, action, resource, condition))| {
        let effect = if permits { "permit" } else { "forbid" };
        format!("{effect}({principal}, {action}, {resource}) {condition};\n")
    })
}

/// Those of the policies that the validator takes.
fn valid(policies: Vec<String>) -> String {
    policies.into_iter().filter(|text| Written::read([(Path::new("p.cedar"), text.as_str())]).is_ok()).collect()
}

/// The ids that permit; the error is that something forbids, fails or nothing permits.
fn all_of_it(
    engine: &Engine,
    text: &str,
    rules: &CellRules,
    action: &Action,
) -> Option<Result<Vec<String>, RefusalCode>> {
    let language = Language::get().unwrap();
    let made = engine.made();
    let label = engine.session().label();
    let asker = made.asker(language, engine.session(), label, jiff::Timestamp::now());
    let asker = Asker { mentions: Mentions::of("address session now said vouched budget_left"), ..asker };
    let principal = asker.principal(None).unwrap();
    let mut questions = asker.questions(action).unwrap();
    let question = questions.pop().filter(|_| questions.is_empty())?;
    let mut policies = PolicySet::new();
    let compiled = compile(&cell(), &rules.networks, rules.models.as_ref());
    let compiled = compiled.into_iter().map(|policy| (policy.id, policy.text));
    let read: PolicySet = text.parse().unwrap();
    let number = |policy: &Policy| policy.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap() + 1;
    let written = read.policies().map(|policy| (format!("p.cedar#{}", number(policy)), policy.to_string()));
    let base = language.base.policies().map(|policy| (policy.id().to_string(), policy.to_string()));
    let mut ids = Vec::new();
    for (index, (id, text)) in base.chain(compiled).chain(written).enumerate() {
        // One rule is several policies.
        let policy = Policy::parse(Some(PolicyId::new(index.to_string())), text).unwrap();
        policies.add(policy).unwrap();
        ids.push(id);
    }
    let uid = language.action.of(question.action);
    let request = Request::new(principal.uid, uid, question.resource, question.context, None).unwrap();
    let entities = Entities::from_entities([principal.entity, question.entity], None).unwrap();
    let response = Authorizer::new().is_authorized(&request, &policies, &entities);
    let by = response.diagnostics().reason().map(|id| ids[id.to_string().parse::<usize>().unwrap()].clone());
    let mut by: Vec<String> = by.collect();
    by.sort_unstable();
    by.dedup();
    Some(match (response.decision(), response.diagnostics().errors().next()) {
        (Decision::Deny, _) if !by.is_empty() => Err(RefusalCode::HostNotAllowed),
        (_, Some(_)) => Err(RefusalCode::Undecided),
        (Decision::Deny, None) => Err(RefusalCode::HostNotAllowed),
        (Decision::Allow, None) => Ok(by),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn policies_that_are_not_asked_would_have_changed_nothing(
        policies in vec(policy(), 0..6),
        networks in vec(select(&NET_RULES[..]), 0..3),
        untrusted in any::<bool>(),
        data in select(&DataClass::ALL[..]),
        actions in vec(action(), 1..4),
    ) {
        let text = valid(policies);
        let models = Some(ModelAccess { group: Some("g".to_owned()), ..ModelAccess::default() });
        let rules = CellRules { networks: rules(&networks), models, ..CellRules::default() };
        let written = Arc::new(Written::read([(Path::new("p.cedar"), text.as_str())]).unwrap());
        let generation = Generation::new(written, Labels::default(), Vec::new()).with_cell(cell(), rules.clone());
        let trust = if untrusted { Trust::Untrusted } else { Trust::Trusted };
        let engine = Engine::of(Policies::new(generation), cell(), Arc::new(Session::resumed(Label::new(trust, data))));
        for action in actions {
            if matches!(&action, Action::Http(http) if http.host != http.connection) {
                continue;
            }
            let Some(expected) = all_of_it(&engine, &text, &rules, &action) else { continue };
            // Twice: what is remembered is the same.
            for _ in 0..2 {
                let found = engine.would(&action).map(|would| would.policies);
                let same = match (&found, &expected) {
                    (Ok(found), Ok(expected)) => found == expected,
                    (Err(found), Err(expected)) => {
                        (found.code == RefusalCode::Undecided) == (*expected == RefusalCode::Undecided)
                    }
                    _ => false,
                };
                prop_assert!(same, "{:?}\n{}\n{:?}\n{:?}", action, text, found, expected);
            }
        }
    }
}
