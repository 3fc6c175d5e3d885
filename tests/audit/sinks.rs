//! Records that are sent on by a fleet, to real servers, while it is killed and they are down.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::fleet::Fleet;
use crate::servers::{Collector, OpenSearch, Rsyslog, free_port};
use crate::support::{Host, eventually};

/// An agent that does something all the time.
const BUSY: &str = "agents: [{ id: busy, command: [sh, -c, 'while :; do /bin/true; sleep 0.02; done'] }]\n";

/// One that the template is for.
const INDEX: &str = "logs-nanoclaw.audit-test";

fn records(host: &Host) -> Vec<Value> {
    let log = host.read("state/audit/audit.jsonl");
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn seq(record: &Value) -> u64 {
    record["seq"].as_u64().unwrap()
}

/// Every record at least once, none before one that is older.
fn complete(got: &[u64], records: usize) {
    let mut last = 0;
    for seq in got {
        assert!(*seq <= last + 1, "record {seq} came behind record {last}");
        last = last.max(*seq);
    }
    assert_eq!(last, records as u64);
}

/// Waits until a sink has this record.
fn delivered(host: &Host, sink: &str, last: u64) {
    eventually(&format!("record {last} in sink {sink}"), || {
        let position = std::fs::read_to_string(host.path(&format!("state/sinks/{sink}/position"))).ok()?;
        (position.trim().parse::<u64>().ok()? >= last).then_some(())
    });
}

/// Starts the fleet and ends it in good order until these sinks have every record: one that is slow, or away just then,
/// gets the rest another time.
fn drained(mut host: Host, config: &str, sinks: &[&str]) -> Host {
    for _ in 0..5 {
        let fleet = Fleet::up_on(host, config);
        fleet.phase("busy", "running");
        fleet.signal(Signal::TERM);
        let (ended, finished) = fleet.end();
        assert_eq!(finished.code(), Some(0), "{finished:?}");
        host = ended;
        let last = records(&host).len().to_string();
        if sinks.iter().all(|sink| host.read(&format!("state/sinks/{sink}/position")).trim() == last) {
            return host;
        }
    }
    panic!("sinks are behind after five starts")
}

#[test]
fn a_fleet_that_is_killed_again_and_again_sends_every_record() {
    let host = Host::new();
    let (Some(search), Some(collector), Some(syslog)) =
        (OpenSearch::start(), Collector::start(), Rsyslog::start(&host))
    else {
        return;
    };
    search.set_template();
    let config = format!(
        "audit:
  checkpoint_every: 100ms
  sinks:
    - {{ name: copy, kind: file, path: ./copy.jsonl }}
    - {{ name: search, kind: elasticsearch, url: 'http://127.0.0.1:{}', index: {INDEX} }}
    - {{ name: collector, kind: otlp, url: 'http://127.0.0.1:{}' }}
    - {{ name: siem, kind: syslog, address: 'localhost:{}', ca: ./ca.pem }}
{BUSY}",
        search.port, collector.port, syslog.port
    );
    let mut host = host;
    for round in 0..8 {
        let fleet = Fleet::up_on(host, &config);
        fleet.phase("busy", "running");
        std::thread::sleep(Duration::from_millis(150 + 90 * round));
        fleet.signal(Signal::KILL);
        host = fleet.end().0;
    }
    let sinks = ["copy", "search", "collector", "siem"];
    let host = drained(host, &config, &sinks);
    let records = records(&host);
    assert!(records.len() > 100, "{}", records.len());
    let last = records.last().unwrap();
    assert_eq!(last["action"], "control_stopped", "the end is sent as well");
    for sink in sinks {
        assert!(!host.path(&format!("state/sinks/{sink}/rejected.jsonl")).exists(), "{sink}");
    }
    assert_eq!(host.read("copy.jsonl"), host.read("state/audit/audit.jsonl"), "each once");
    let documents = search.documents(INDEX);
    assert_eq!(documents.len(), records.len(), "each once");
    let by_seq: BTreeMap<u64, Value> = documents.into_iter().map(|(_, document)| (seq(&document), document)).collect();
    for record in &records {
        let document = &by_seq[&seq(record)];
        assert!(record.as_object().unwrap().iter().all(|(name, value)| document[name] == *value), "{document}");
    }
    let fields = search.fields(INDEX);
    for (field, kind) in [("@timestamp", "date"), ("seq", "long"), ("action", "keyword"), ("detail", "text")] {
        assert_eq!(fields[field]["type"], kind, "{field}");
    }
    complete(&collector.numbers(), records.len());
    let sent = syslog.records();
    complete(&sent.iter().map(|(_, record)| seq(record)).collect::<Vec<_>>(), records.len());
    for (words, record) in &sent {
        let (action, seq) = (record["action"].as_str().unwrap(), seq(record));
        assert_eq!(*record, records[seq as usize - 1]);
        assert!(words.starts_with(&format!("nanoclaw {action} [meta sequenceId=\"{seq}\"] 13.")), "{words}");
    }
    host.nanoclaw(["audit", "verify"]).good();
}

#[test]
fn a_sink_that_is_down_loses_nothing_and_holds_up_nobody() {
    let host = Host::new();
    let Some(syslog) = Rsyslog::start(&host) else { return };
    let metrics = free_port();
    let config = format!(
        "listen: 127.0.0.1:{metrics}
audit:
  checkpoint_every: 100ms
  sinks:
    - {{ name: copy, kind: file, path: ./copy.jsonl }}
    - {{ name: siem, kind: syslog, address: 'localhost:{}', ca: ./ca.pem }}
{BUSY}",
        syslog.port
    );
    let fleet = Fleet::up_on(host, &config);
    delivered(&fleet.host, "siem", 20);
    let metric = |line: &str| {
        eventually(line, || {
            let text = fleet.host.host_sh(&format!("curl -s http://127.0.0.1:{metrics}/metrics")).good();
            text.contains(line).then_some(())
        });
    };
    metric("nanoclaw_sink_reached{sink=\"siem\",kind=\"syslog\"} 1\n");
    let syslog = syslog.while_down(|| {
        fleet.says("sink `siem` is not reached, and what it has not got waits in the log");
        metric("nanoclaw_sink_reached{sink=\"siem\",kind=\"syslog\"} 0\n");
        // The others get on, and so does the agent.
        let position = seq(records(&fleet.host).last().unwrap());
        delivered(&fleet.host, "copy", position + 50);
    });
    fleet.says("sink `siem` is reached again");
    metric("nanoclaw_sink_reached{sink=\"siem\",kind=\"syslog\"} 1\n");
    fleet.signal(Signal::TERM);
    let host = drained(fleet.end().0, &config, &["siem"]);
    let records = records(&host);
    complete(&syslog.records().iter().map(|(_, record)| seq(record)).collect::<Vec<_>>(), records.len());
}

#[test]
fn a_receiver_with_another_certificate_gets_nothing() {
    let host = Host::new();
    let Some(syslog) = Rsyslog::start(&host) else { return };
    host.host_sh("openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -subj /CN=other -days 2")
        .good();
    let config = format!(
        "audit: {{ sinks: [{{ name: siem, kind: syslog, address: 'localhost:{}', ca: ./other.pem }}] }}\n{BUSY}",
        syslog.port
    );
    let fleet = Fleet::up_on(host, &config);
    fleet.says("sink `siem` is not reached");
    fleet.says("UnknownIssuer");
    fleet.signal(Signal::TERM);
    fleet.end();
    assert_eq!(syslog.records().len(), 0);
}

#[test]
fn a_log_that_was_rolled_back_is_not_sent_as_if_it_were_the_same() {
    let host = Host::new();
    host.write("fleet.yaml", format!("audit: {{ sinks: [{{ name: copy, kind: file, path: ./copy.jsonl }}] }}\n{BUSY}"));
    host.directory("state/sinks/copy");
    host.write("state/sinks/copy/position", "1000000\n");
    host.host_sh("chmod -R go-rwx state").good();
    let done = host.nanoclaw(["up", "-c", "fleet.yaml"]);
    assert_eq!(done.code(), Some(125), "{done:?}");
    assert!(done.stderr.contains("sink `copy` was sent 1000000 records") && done.stderr.contains("rolled back"));
}
