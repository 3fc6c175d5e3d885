//! Searching the log and writing it in other forms.

use serde_json::Value;

use crate::host;
use crate::support::Host;

fn lines(host: &Host, arguments: &[&str]) -> Vec<String> {
    host.nanoclaw(["audit"].iter().chain(arguments)).good().lines().map(str::to_owned).collect()
}

fn records(host: &Host, arguments: &[&str]) -> Vec<Value> {
    let lines = lines(host, &[&["query", "--json"], arguments].concat());
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn records_are_found_by_what_stands_in_them() {
    let host = host();
    let all = host.records();
    assert_eq!(records(&host, &[]), all);
    let like =
        |wanted: &dyn Fn(&Value) -> bool| all.iter().filter(|record| wanted(record)).cloned().collect::<Vec<_>>();
    let denied = like(&|record| record["result"] == "denied");
    assert!(!denied.is_empty());
    assert_eq!(records(&host, &["--result", "denied"]), denied);
    assert_eq!(records(&host, &["--action", "cell_launch"]), like(&|record| record["action"] == "cell_launch"));
    let agent = all.iter().find(|record| record["action"] == "cell_launch").unwrap()["agent_id"].as_str().unwrap();
    assert_eq!(records(&host, &["--agent", agent]), like(&|record| record["agent_id"] == agent));
    assert_eq!(records(&host, &["--text", "/etc/passwd"]), like(&|record| record.to_string().contains("/etc/passwd")));
    assert_eq!(
        records(&host, &["--text", "/etc/passwd", "--result", "allowed", "--agent", "nobody"]),
        Vec::<Value>::new()
    );
    assert_eq!(records(&host, &["-n", "2"]), all[..2]);
    // Times: all is younger than an hour and older than the year 2100.
    assert_eq!(records(&host, &["--from", "1h", "--to", "2100-01-01"]), all);
    assert_eq!(records(&host, &["--to", "1h"]), Vec::<Value>::new());
    let third = all[2]["timestamp"].as_str().unwrap();
    let since = records(&host, &["--from", third]);
    assert!(since.iter().all(|record| record["timestamp"].as_str().unwrap() >= third) && !since.is_empty());
    // For people, on one line each.
    assert_eq!(lines(&host, &["query", "--result", "denied"]).len(), denied.len());
}

#[test]
fn records_are_written_in_other_forms() {
    let host = host();
    let all = host.records();
    let ocsf: Vec<Value> =
        lines(&host, &["export", "--format", "ocsf"]).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ocsf.iter().map(|event| event["unmapped"].clone()).collect::<Vec<_>>(), all);
    assert!(ocsf.iter().any(|event| event["class_uid"] == 6002 && event["action_id"] == 1));
    host.nanoclaw(["audit", "export", "--format", "csv", "--result", "denied", "-o", &host.at("out.csv")]).good();
    let csv = host.read("out.csv");
    let denied = all.iter().filter(|record| record["result"] == "denied").count();
    assert_eq!(csv.split_terminator("\r\n").count(), denied + 1);
    assert!(csv.starts_with("seq,timestamp,agent_id,") && !host.path("out.csv.new").exists());
    assert_eq!(host.nanoclaw(["audit", "export"]).good(), host.read("state/audit/audit.jsonl"));
}

#[test]
fn a_report_says_what_was_refused_and_whether_the_log_was_changed() {
    let host = host();
    host.nanoclaw(["audit", "report", "--from", "1h", "-o", &host.at("report.html")]).good();
    let page = host.read("report.html");
    for part in [
        "About all agents, from ",
        "Verified: nothing in the log was changed",
        "/etc/passwd",
        "Security policy violation",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let log = host.path("state/audit/audit.jsonl");
    let changed = std::fs::read_to_string(&log).unwrap().replace("/etc/passwd", "/etc/hidden");
    std::fs::write(&log, changed).unwrap();
    let done = host.nanoclaw(["audit", "report", "-o", &host.at("report.html")]);
    assert_eq!(done.code(), Some(1), "{done:?}");
    assert!(host.read("report.html").contains("The log was changed"));
    let nowhere = host.nanoclaw(["audit", "report", "-o", "/nonexistent/report.html"]);
    assert_eq!(nowhere.code(), Some(125), "{nowhere:?}");
}

#[test]
fn what_cannot_be_asked_is_said() {
    let host = Host::new();
    let none = host.nanoclaw(["audit", "query"]);
    assert_eq!(none.code(), Some(125));
    assert!(none.stderr.contains("there is no audit log in"), "{none:?}");
    let when = host.nanoclaw(["audit", "query", "--from", "yesterday"]);
    assert_eq!(when.code(), Some(125));
    assert!(when.stderr.contains("write a day"), "{when:?}");
    let form = host.nanoclaw(["audit", "export", "--format", "parquet"]);
    assert!(form.stderr.contains("use jsonl, ocsf or csv"), "{form:?}");
}
