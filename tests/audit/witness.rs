//! A witness that runs elsewhere: it vouches for a log that grows, remembers through a crash, and refuses what was rolled
//! back or rewritten by somebody who has the log's keys.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::{Background, Host, appears};

struct Witness {
    running: Background,
    address: String,
}

impl Witness {
    fn start(host: &Host) -> Self {
        let (directory, key) = (host.at("witness"), host.at("state/audit/log.vkey"));
        let arguments = [
            "audit",
            "witness",
            "--directory",
            &directory,
            "--name",
            "w.example",
            "--listen",
            "127.0.0.1:0",
            "--log",
            &key,
        ];
        let running = Background::start(host.prepare(arguments), Stdio::null());
        running.says("witness w.example on http://");
        let said = running.errors();
        let address = said.split("http://").nth(1).and_then(|rest| rest.split(',').next()).expect("an address");
        Self { running, address: address.to_owned() }
    }

    fn end(self) {
        self.running.signal(Signal::KILL);
        let _ = self.running.finish();
    }

    /// The status and body of a request that is sent as it is.
    fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn post(&self, body: &str) -> String {
        self.raw(&format!(
            "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

fn cosign(host: &Host, witness: &Witness) -> crate::support::Finished {
    let (url, key) = (format!("http://{}", witness.address), host.at("witness/witness.vkey"));
    host.nanoclaw(["audit", "cosign", "--witness", &url, "--key", &key])
}

fn copy(host: &Host, from: &str, to: &str) {
    let status = Command::new("cp").args(["-a", &host.at(from), &host.at(to)]).status();
    assert!(status.unwrap().success());
}

/// Puts an older state in the place of the present one, which is kept under a name.
fn swap(host: &Host, old: &str, keep: &str) {
    std::fs::rename(host.path("state"), host.path(keep)).unwrap();
    std::fs::rename(host.path(old), host.path("state")).unwrap();
}

#[test]
fn a_log_that_grows_is_vouched_for_and_a_rollback_or_a_fork_is_not() {
    let host = Host::new();
    host.nanoclaw(["run", "--", "true"]).good();
    let witness = Witness::start(&host);
    assert!(cosign(&host, &witness).good().contains("vouches for the first"));
    copy(&host, "state", "old");
    host.nanoclaw(["run", "--", "true"]).good();
    cosign(&host, &witness).good();
    // Once more: the same checkpoint again.
    cosign(&host, &witness).good();
    let key = host.at("witness/witness.vkey");
    let verify = |host: &Host| host.nanoclaw(["audit", "verify", "--witness", &key]);
    let verified = verify(&host);
    assert!(verified.good().contains("witness    w.example vouches for the first"), "{verified:?}");

    // It remembers through a crash.
    witness.end();
    let witness = Witness::start(&host);
    cosign(&host, &witness).good();

    // The whole state of before, put back.
    swap(&host, "old", "new");
    let rolled_back = cosign(&host, &witness);
    assert_eq!(rolled_back.code(), Some(125), "{rolled_back:?}");
    assert!(rolled_back.stderr.contains("it was rolled back, or is a copy of an old one"), "{rolled_back:?}");
    // And let grow again, with the log's own keys, into another log.
    for _ in 0..3 {
        host.nanoclaw(["run", "--", "sh", "-c", "true"]).good();
    }
    let forked = cosign(&host, &witness);
    assert_eq!(forked.code(), Some(125), "{forked:?}");
    assert!(forked.stderr.contains("refuses with status 422: the tree of"), "{forked:?}");
    witness.running.says("refused: the tree of");
    // What the witness had vouched for is not what this log has.
    let held = host.at("new/audit/witnessed");
    let verified = host.nanoclaw(["audit", "verify", "--checkpoint", &held]);
    assert_eq!(verified.code(), Some(1), "{verified:?}");
    assert!(verified.text().contains("the log was rewritten between entry 0 and entry"), "{verified:?}");

    // The true one is vouched for as before.
    swap(&host, "new", "fork");
    cosign(&host, &witness).good();
    witness.end();
}

#[test]
fn a_witness_answers_as_the_specification_has_it() {
    let host = Host::new();
    host.nanoclaw(["run", "--", "true"]).good();
    let witness = Witness::start(&host);
    let note = host.read("state/audit/checkpoint");
    let good = format!("old 0\n\n{note}");
    for (body, status) in [
        ("", 400),
        ("old x\n\n", 400),
        (&good.replace("old 0", "old 99999"), 400),
        (&good.replace("old 0", "old 1"), 409),
        (&good.replace("nanoclaw/", "stranger/"), 404),
        (&good.replacen("\n\u{2014} ", "\n\u{2014} x", 1), 403),
        (&format!("old 0\n{}\n\n{note}", "A".repeat(43) + "="), 422),
        (&good, 200),
        (&good, 409),
    ] {
        let answer = witness.post(body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
        if status == 409 {
            assert!(answer.contains("content-type: text/x.tlog.size\r\n"), "{answer}");
        }
    }
    let large = "POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nContent-Length: 9000000\r\n\r\n";
    assert!(witness.raw(&format!("{large}{}", "x".repeat(300_000))).starts_with("HTTP/1.1 413 "));
    let get = |path: &str| witness.raw(&format!("GET {path} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n"));
    assert!(get("/add-checkpoint").starts_with("HTTP/1.1 404 "));
    assert!(get("/../key").starts_with("HTTP/1.1 404 "));
    // The newest checkpoint, for those who hold logs against it.
    let hash = std::fs::read_dir(host.path("witness"))
        .unwrap()
        .find_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".checkpoint").map(str::to_owned));
    let answer = get(&format!("/{}/checkpoint", hash.expect("a memory")));
    assert!(answer.contains("nanoclaw/") && answer.contains("\u{2014} w.example "), "{answer}");
    witness.end();
}

#[test]
fn without_its_memory_a_witness_does_not_vouch() {
    let host = Host::new();
    host.nanoclaw(["run", "--", "true"]).good();
    let witness = Witness::start(&host);
    cosign(&host, &witness).good();
    let memory = std::fs::read_dir(host.path("witness")).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|end| end == "checkpoint").then_some(path)
    });
    let memory = memory.expect("a memory");
    let before = std::fs::read_to_string(&memory).unwrap();
    std::fs::write(&memory, before.replacen("w.example ", "x.example ", 1)).unwrap();
    host.nanoclaw(["run", "--", "true"]).good();
    let refused = cosign(&host, &witness);
    assert!(refused.stderr.contains("status 500: this witness cannot remember"), "{refused:?}");
    std::fs::write(&memory, before).unwrap();
    cosign(&host, &witness).good();
    witness.end();
}

#[test]
fn cosigning_goes_on_while_the_witness_is_away() {
    let host = Host::new();
    host.nanoclaw(["run", "--", "true"]).good();
    let witness = Witness::start(&host);
    let (url, key) = (format!("http://{}", witness.address), host.at("witness/witness.vkey"));
    let cosigning = Background::start(
        host.prepare(["audit", "cosign", "--witness", &url, "--key", &key, "--every", "1s"]),
        Stdio::null(),
    );
    assert!(appears(|| host.path("state/audit/witnessed").exists()));
    witness.end();
    cosigning.says("does not answer");
    assert!(cosigning.errors().contains("notice: the witness at `http://127.0.0.1:"));
    cosigning.signal(Signal::TERM);
    let _ = cosigning.finish();
}
