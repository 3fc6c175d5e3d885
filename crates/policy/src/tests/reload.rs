//! Policies that change while they decide.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nanoclaw_config::{DataClass, IpNet, Label, Labels, NetTarget, Trust};
use nanoclaw_request::{Connect, Destination, DnsName, Evidence, Host, Via};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::Session;

fn rules_of(texts: &[&str]) -> CellRules {
    CellRules { networks: rules(texts), ..CellRules::default() }
}

fn generation(rules: CellRules) -> Generation {
    Generation::new(Arc::default(), Labels::default(), Vec::new()).with_cell(cell(), rules)
}

fn connect(name: &str, addresses: &[&str]) -> Action {
    let destination = Destination { host: Host::Name(DnsName::parse(name).unwrap()), port: 443 };
    let evidence = Evidence::Http { host: destination.clone() };
    let addresses = addresses.iter().map(|text| ip(text)).collect();
    Action::Connect(Connect { destination, via: Via::Transparent, evidence, addresses })
}

fn public(name: &str) -> Action {
    connect(name, &["93.184.216.34"])
}

/// The name may lead into this network.
fn into(rule: &str, net: &str) -> CellRules {
    let mut rules = rules_of(&[rule, "both.example.com"]);
    let (address, prefix) = net.split_once('/').unwrap();
    let net = IpNet::new(ip(address), prefix.parse().unwrap()).unwrap();
    if let NetTarget::Host { addresses, .. } = &mut rules.networks[0].target {
        addresses.push(net);
    }
    rules
}

const RELOADS: u64 = 1_000;

/// Has the other threads end, however this one does.
struct Ends<'d>(&'d AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// While two generations take turns: what both allow passes always, what neither allows never, and no decision is made half
/// by one and half by the other.
#[test]
fn no_reload_opens_a_window() {
    let one = generation(into("one.example.com", "10.0.0.0/8"));
    let mut other = into("one.example.com", "192.168.0.0/16");
    other.networks.extend(rules(&["other.example.com"]));
    let other = generation(other);
    let policies = Policies::new(one.clone());
    let session = Arc::new(Session::default());
    let engine = Arc::new(Engine::of(policies.clone(), cell(), Arc::clone(&session)));
    let read = Label::new(Trust::Untrusted, DataClass::Secret);
    session.read(read);
    let (done, decisions) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // One that the main thread uses too, and one that notices a reload by itself.
        let late = Arc::new(Engine::of(policies.clone(), cell(), Arc::clone(&session)));
        for engine in [Arc::clone(&engine), late] {
            let (done, decisions, session) = (&done, &decisions, &session);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    assert!(decide(&engine, public("both.example.com")).is_ok(), "a window was shut");
                    assert!(decide(&engine, public("neither.example.com")).is_err(), "a window was open");
                    let half = connect("one.example.com", &["10.1.1.1", "192.168.1.1"]);
                    assert!(decide(&engine, half).is_err(), "one half was decided by another generation");
                    let _either = decide(&engine, public("other.example.com")).is_ok();
                    assert_eq!(session.label(), read, "a reload forgot what was read");
                    decisions.fetch_add(4, Ordering::Relaxed);
                }
            });
        }
        let _ends = Ends(&done);
        for number in 0..RELOADS {
            let next = if number % 2 == 0 { &other } else { &one };
            assert_eq!(policies.replace(next.clone()), number + 2);
            // What is in force is what decides, from the next decision on.
            assert_eq!(decide(&engine, public("other.example.com")).is_ok(), number % 2 == 0);
        }
    });
    assert!(decisions.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_cell_that_is_gone_from_the_configuration_has_no_rules_and_gets_none_with_its_next_run() {
    let policies = Policies::new(generation(rules_of(&["api.example.com"])));
    let engine = Engine::of(policies.clone(), cell(), Arc::default());
    assert!(decide(&engine, public("api.example.com")).is_ok());
    policies.replace(Generation::default());
    assert!(decide(&engine, public("api.example.com")).is_err());
    policies.admit(&cell(), &rules_of(&["api.example.com"]));
    assert!(decide(&engine, public("api.example.com")).is_err(), "its next run brought its old rules back");
    policies.replace(generation(rules_of(&["api.example.com"])));
    assert!(decide(&engine, public("api.example.com")).is_ok(), "it is back");
}

#[test]
fn a_cell_that_no_configuration_has_keeps_its_rules() {
    let policies = Policies::new(Generation::default());
    policies.admit(&cell(), &rules_of(&["api.example.com"]));
    policies.replace(Generation::default());
    let engine = Engine::of(policies, cell(), Arc::default());
    assert!(decide(&engine, public("api.example.com")).is_ok());
}

#[test]
fn what_a_running_cell_sees_keeps_its_label() {
    let place = nanoclaw_config::PathLabel {
        id: "labels.paths[0]".to_owned(),
        path: "/data/patients".into(),
        trust: None,
        data: Some(DataClass::Secret),
    };
    let labels = || Labels { paths: vec![place.clone()], ..Labels::default() };
    let with = |mounts: &[&str]| {
        let mounts = mounts.iter().map(Into::into).collect();
        let rules = CellRules { mounts, ..CellRules::default() };
        Generation::new(Arc::default(), labels(), Vec::new()).with_cell(cell(), rules)
    };
    let policies = Policies::new(with(&["/data"]));
    let engine = Engine::of(policies.clone(), cell(), Arc::default());
    assert_eq!(engine.label_of_result("shell").data, DataClass::Secret);
    policies.replace(with(&["/other"]));
    assert_eq!(engine.label_of_result("shell").data, DataClass::Secret, "the cell still sees it");
    policies.replace(Generation::new(Arc::default(), labels(), Vec::new()));
    assert_eq!(engine.label_of_result("shell").data, DataClass::Secret);
}

#[test]
fn a_cell_cannot_have_what_it_read_forgotten_nor_policies_changed() {
    use nanoclaw_request::Manage;

    let engine = Engine::new(cell(), Vec::new());
    for manage in [Manage::ResetLabels { cell: "a".to_owned() }, Manage::Reload] {
        let refusal = decide(&engine, Action::Manage(manage)).unwrap_err();
        assert_eq!(refusal.code, crate::RefusalCode::NotYou);
    }
}

const NAMES: [&str; 4] = ["a.example.com", "b.example.com", "c.example.com", "d.example.com"];

fn some_rules() -> impl Strategy<Value = Vec<&'static str>> {
    vec(proptest::sample::select(&NAMES[..]), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// After each reload, every engine that was there before decides as one that is new, and nobody forgets.
    #[test]
    fn what_is_in_force_is_all_that_decides(steps in vec(some_rules(), 1..6), reads in vec(0..4_usize, 6)) {
        let policies = Policies::new(Generation::default());
        let session = Arc::new(Session::default());
        let engine = Engine::of(policies.clone(), cell(), Arc::clone(&session));
        let mut label = session.label();
        for (rules, read) in steps.iter().zip(reads) {
            session.read(Label::new(Trust::ALL[read % 2], DataClass::ALL[read]));
            prop_assert_eq!(session.label(), session.label().join(label));
            label = session.label();
            policies.replace(generation(rules_of(rules)));
            let fresh = Engine::new(cell(), super::rules(rules));
            for name in NAMES {
                prop_assert_eq!(decide(&engine, public(name)).is_ok(), decide(&fresh, public(name)).is_ok());
            }
            prop_assert_eq!(session.label(), label);
        }
    }
}
