//! The audit log of the shipped binary, as an auditor takes it: verified offline, one record proven to somebody who has
//! only the public keys, and what an attacker who owns the disk changes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what a test cannot set up or read is a failed test"
)]

#[path = "../fleet/fleet.rs"]
#[expect(dead_code, reason = "the tests of fleets use more of it")]
mod fleet;
mod query;
mod servers;
mod sinks;
#[path = "../support/mod.rs"]
mod support;
mod witness;

use std::fs;

use nanoclaw_tlog::proof::Proof;
use nanoclaw_tlog::verify::Trust;
use serde_json::Value;
use support::Host;

/// A host on which two cells have run, one of which tried what it may not do.
fn host() -> Host {
    let host = Host::new();
    host.nanoclaw(["run", "--", "true"]).good();
    let _ = host.nanoclaw(["run", "--", "sh", "-c", "echo x > /etc/passwd"]);
    host
}

fn report(host: &Host, arguments: &[&str]) -> (Option<i32>, Value) {
    let done = host.nanoclaw(["audit", "verify", "--json"].iter().chain(arguments));
    (done.code(), serde_json::from_str(done.text().trim()).unwrap_or_else(|error| panic!("{error}: {done:?}")))
}

#[test]
fn what_cells_did_is_sealed_when_they_have_ended_and_verifies_elsewhere() {
    let host = host();
    let (code, all) = report(&host, &[]);
    assert_eq!(code, Some(0), "{all}");
    let records = host.read("state/audit/audit.jsonl").lines().count();
    assert_eq!((all["records"].as_u64(), all["lines"].as_u64()), (Some(records as u64), Some(records as u64)));
    assert_eq!((&all["unsealed"], &all["own_keys"]), (&Value::from(0), &Value::from(true)));
    // What is held elsewhere: the keys and a checkpoint. The log goes on, and must have grown out of it.
    fs::copy(host.path("state/audit/log.vkey"), host.path("keys")).unwrap();
    fs::copy(host.path("state/audit/checkpoint"), host.path("held")).unwrap();
    host.nanoclaw(["run", "--", "true"]).good();
    let held = ["--key", &host.at("keys"), "--checkpoint", &host.at("held")];
    let (code, more) = report(&host, &held);
    assert_eq!((code, &more["own_keys"], &more["held"]), (Some(0), &Value::from(false), &Value::from(1)), "{more}");
    assert!(more["records"].as_u64() > all["records"].as_u64(), "{more}");
    // A copy anywhere.
    let copied = std::process::Command::new("cp").args(["-r", &host.at("state/audit"), &host.at("copy")]).status();
    assert!(copied.unwrap().success());
    let (code, copy) = report(&host, &[&held[..], &[&host.at("copy")]].concat());
    assert_eq!((code, &copy), (Some(0), &more));
}

#[test]
fn a_refusal_that_was_edited_into_a_permission_is_found() {
    let host = host();
    let log = host.path("state/audit/audit.jsonl");
    let before = fs::read_to_string(&log).unwrap();
    let line = before.lines().position(|line| line.contains("\"denied\"")).expect("a refusal") + 1;
    fs::write(&log, before.replace("\"result\":\"denied\"", "\"result\":\"allowed\"")).unwrap();
    let (code, found) = report(&host, &[]);
    assert_eq!(code, Some(1), "{found}");
    let finding = &found["findings"][0];
    assert_eq!(finding["place"], format!("audit.jsonl, line {line}"));
    assert!(finding["problem"].as_str().unwrap().ends_with("is not as it is in the tree: `result`"), "{finding}");
    let text = host.nanoclaw(["audit", "verify"]);
    assert_eq!(text.code(), Some(1));
    assert!(text.text().contains(&format!("CHANGED    audit.jsonl, line {line}: record ")), "{text:?}");
    fs::write(&log, before).unwrap();
    assert_eq!(report(&host, &[]).0, Some(0));
}

/// Where the tree cannot go on from what is on disk, nothing runs.
#[test]
fn a_broken_tree_closes_the_doors() {
    let host = host();
    let checkpoint = host.path("state/audit/checkpoint");
    let before = fs::read_to_string(&checkpoint).unwrap();
    let size = before.lines().nth(1).unwrap();
    fs::write(&checkpoint, before.replacen(&format!("\n{size}\n"), "\n1\n", 1)).unwrap();
    let refused = host.nanoclaw(["run", "--", "sleep", "60"]);
    assert_eq!(refused.code(), Some(125), "{refused:?}");
    assert!(
        refused.stderr.contains("cannot be sealed") && refused.stderr.contains("nanoclaw audit verify"),
        "{refused:?}"
    );
    fs::write(&checkpoint, before).unwrap();
    host.nanoclaw(["run", "--", "true"]).good();
}

#[test]
fn one_record_is_proven_to_somebody_who_has_only_the_keys() {
    let host = host();
    host.nanoclaw(["audit", "prove", "2", "-o", &host.at("proof")]).good();
    let trust = Trust::read(&[host.path("state/audit/log.vkey")], &[], &[]).unwrap();
    let proof: Proof = host.read("proof").parse().unwrap();
    let (checkpoint, _) = proof.verify(&trust.log, &[]).unwrap();
    assert_eq!(checkpoint.origin, trust.log[0].name());
    let proven: Value = serde_json::from_slice(&proof.entry).unwrap();
    let line: Value = serde_json::from_str(host.read("state/audit/audit.jsonl").lines().nth(1).unwrap()).unwrap();
    assert_eq!(proven, line);
    let none = host.nanoclaw(["audit", "prove", "4000"]);
    assert_eq!(none.code(), Some(125));
    assert!(none.stderr.contains("record 4000 is not sealed"), "{none:?}");
}

#[test]
fn what_cannot_be_checked_is_said() {
    let host = Host::new();
    let none = host.nanoclaw(["audit", "verify"]);
    assert_eq!(none.code(), Some(1), "{none:?}");
    assert!(none.text().contains("log.vkey"), "{none:?}");
    host.write("keys", "not a key\n");
    let wrong = host.nanoclaw(["audit", "verify", "--key", &host.at("keys")]);
    assert_eq!(wrong.code(), Some(125));
    assert!(wrong.stderr.contains("line 1: not a key for verifying"), "{wrong:?}");
}
