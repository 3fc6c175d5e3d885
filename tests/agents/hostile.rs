//! Agents that hang, end, or do not answer as they should, and operators who must get through all the same.

use std::os::fd::AsFd;
use std::process::Stdio;

use nanoclaw_sandbox::wire;
use nanoclaw_server::control::{Client, ClientError, Request};
use nanoclaw_server::state::State;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::builtin::{answer, turn};
use crate::fleet::{Fleet, children};
use crate::provider::Provider;
use crate::support::{Background, Host, eventually};

const WORKER: &str = "agents: [{ id: worker, kind: builtin, tools: { allow: [] }, stop_grace: 1s }]\n";

fn ask(fleet: &Fleet, arguments: &[&str]) -> Background {
    Background::start(fleet.host.prepare([&["ask", "worker"], arguments].concat()), Stdio::null())
}

/// Stops the agent's process in its cell: the kernel still takes connections to it, and nobody reads them.
fn freeze(fleet: &Fleet) {
    let script =
        "for p in /proc/[0-9]*; do if grep -q agent-insid[e] $p/cmdline; then kill -STOP ${p#/proc/}; fi; done";
    fleet.ask(&["exec", "worker", "--", "sh", "-c", script]).good();
}

/// What was recorded of the end of turns, when there are so many.
fn ends_of_turns(fleet: &Fleet, count: usize) -> Vec<Value> {
    eventually("the ends of turns on record", || {
        let records = fleet.host.records_of("agent_manage");
        let is_turn = |record: &&Value| record["detail"].as_str().is_some_and(|detail| detail.starts_with("turn"));
        let turns: Vec<&Value> = records.iter().filter(is_turn).map(|record| &record["seq"]).collect();
        let ends = records.iter().filter(|record| turns.contains(&&record["request_seq"])).cloned();
        let ends: Vec<Value> = ends.collect();
        (ends.len() >= count).then_some(ends)
    })
}

#[test]
fn a_cell_that_does_not_read_holds_up_no_operator_and_down_waits_for_the_end() {
    let provider = Provider::start();
    let fleet = provider.fleet(Host::new(), WORKER);
    assert_eq!(answer(&turn(&fleet, "worker", "SAY hello", &[])), "hello");
    freeze(&fleet);
    let prompt = "p".repeat(100_000);
    let mut asking: Vec<Background> = (0..80).map(|_| ask(&fleet, &[&prompt])).collect();
    // There is a place for 16 of them. The others are told at once.
    eventually("the refusals", || {
        let refused = |ask: &&Background| ask.errors().contains("16 turns are under way in agent `worker`");
        (asking.iter().filter(refused).count() == 64).then_some(())
    });
    for command in [&["ps"][..], &["logs", "worker"], &["exec", "worker", "--", "true"]] {
        fleet.ask(command).good();
    }
    // Whoever leaves makes room.
    for ask in asking.drain(..) {
        if ask.errors().is_empty() {
            ask.signal(Signal::INT);
        }
        ask.finish();
    }
    let waiting = ask(&fleet, &["SAY hello"]);
    fleet.ask(&["down"]).good();
    assert_ne!(waiting.finish().code(), Some(0));
    // The directory is free at once.
    let again = Background::start(fleet.host.prepare(["up", "-c", "fleet.yaml"]), Stdio::null());
    again.says("from `fleet.yaml`");
    again.signal(Signal::TERM);
    again.finish();
}

#[test]
fn an_agent_that_hangs_is_unwell() {
    let provider = Provider::start();
    let fleet = provider.fleet(Host::new(), WORKER);
    fleet.phase("worker", "running");
    freeze(&fleet);
    fleet.phase("worker", "unwell");
}

#[test]
fn whoever_waits_for_an_agent_that_is_killed_is_told_how_to_go_on() {
    let provider = Provider::start();
    let fleet = provider.fleet(Host::new(), WORKER);
    fleet.phase("worker", "running");
    let asking = ask(&fleet, &["LATENCY 600000", "--session", "long"]);
    eventually("the turn", || (!provider.requests().is_empty()).then_some(()));
    for init in children(fleet.launcher()) {
        rustix::process::kill_process(rustix::process::Pid::from_raw(init).unwrap(), Signal::KILL).unwrap();
    }
    let asked = asking.finish();
    assert_eq!(asked.code(), Some(1), "{asked:?}");
    assert!(asked.stderr.contains("the agent ended before it was done"), "{asked:?}");
    assert!(asked.stderr.contains("nanoclaw ask worker --session long 'go on'"), "{asked:?}");
    let ends = ends_of_turns(&fleet, 1);
    assert_eq!(ends[0]["result"], "failed", "{ends:#?}");
}

#[test]
fn a_turn_that_was_interrupted_is_not_recorded_as_done() {
    let provider = Provider::start();
    let fleet = provider.fleet(Host::new(), WORKER);
    fleet.phase("worker", "running");
    let asking = ask(&fleet, &["LATENCY 600000"]);
    eventually("the turn", || (!provider.requests().is_empty()).then_some(()));
    asking.signal(Signal::INT);
    assert_eq!(asking.finish().code(), Some(130));
    let ends = ends_of_turns(&fleet, 1);
    assert_eq!(ends[0]["result"], "failed", "{ends:#?}");
    assert!(ends[0]["reason"].as_str().unwrap().contains("interrupted"), "{ends:#?}");
}

#[test]
fn an_order_that_makes_no_sense_is_answered() {
    let provider = Provider::start();
    let fleet = provider.fleet(Host::new(), WORKER);
    let state = State::open(Some(&fleet.host.path("state"))).unwrap();
    let request = Request::Order { cell: "worker".to_owned() };
    let memory = wire::to_memory(&json!({ "order": "dance" })).unwrap();
    for beside in [&[memory.as_fd()][..], &[]] {
        let refused = Client::connect(&state).unwrap().ask(&request, beside).unwrap_err();
        assert!(matches!(&refused, ClientError::Refused(why) if why.contains("cannot be read")), "{refused:?}");
    }
}
