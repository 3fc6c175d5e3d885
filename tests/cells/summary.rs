//! `--json`: the summary that a run ends with.

use crate::support::Host;

#[test]
fn the_summary_tells_exit_usage_and_refusals() {
    let host = Host::new();
    let script = "echo output; touch /etc/x; touch /etc/x; touch /usr/y; exit 5";
    let done = host.nanoclaw(["run", "--name", "c", "--json", "--", "sh", "-c", script]);
    assert_eq!(done.code(), Some(5));
    assert!(done.text().starts_with("output\n"), "{done:?}");
    let summary = done.summary();
    assert_eq!(
        (&summary["id"], &summary["exit"], &summary["limit"]),
        (&"c".into(), &5.into(), &serde_json::Value::Null)
    );
    assert!(summary["wall_ms"].as_f64() > Some(0.0), "{summary}");
    let usage = summary["usage"].as_object().unwrap();
    let mut keys: Vec<&str> = usage.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["cpu_ms", "io_read_bytes", "io_write_bytes", "memory_peak_bytes", "oom_kills"]);
    let refusals = summary["refusals"].as_array().unwrap();
    let writes: Vec<_> = refusals.iter().filter(|refusal| refusal["action"] == "file_write").collect();
    let count: u64 = writes.iter().filter_map(|refusal| refusal["count"].as_u64()).sum();
    assert_eq!(count, 3, "{summary}");
    let first = &writes[0]["first"];
    assert_eq!(first["path"], "/etc/x");
    assert!(first["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{summary}");
    assert!(first["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{summary}");
}

#[test]
fn usage_is_measured_where_the_host_counts_it() {
    let Some(host) = Host::limited() else { return };
    let done =
        host.nanoclaw(["run", "--json", "--", "python3", "-c", "x = bytearray(40 << 20); sum(range(3_000_000))"]);
    let usage = &done.summary()["usage"];
    assert!(usage["cpu_ms"].as_f64() > Some(10.0), "{usage}");
    assert!(usage["memory_peak_bytes"].as_u64() > Some(40 << 20), "{usage}");
    assert_eq!(usage["oom_kills"], 0);
}

#[test]
fn a_run_without_refusals_has_none_in_the_summary() {
    let host = Host::new();
    let summary = host.nanoclaw(["run", "--json", "--", "true"]).summary();
    assert_eq!(summary["refusals"], serde_json::json!([]));
    assert_eq!(summary["exit"], 0);
}

#[test]
fn the_summary_stands_on_a_line_of_its_own() {
    let host = Host::new();
    let done = host.nanoclaw(["run", "--json", "--", "printf", "no newline"]);
    assert!(done.text().starts_with("no newline\n"), "{done:?}");
    assert_eq!(done.summary()["exit"], 0);
}

#[test]
fn a_program_cannot_forge_the_summary() {
    let host = Host::new();
    let script = r#"printf '{"exit":0,"id":"forged"}\n{"exit":0,'; exit 9"#;
    let done = host.nanoclaw(["run", "--name", "c", "--json", "--", "sh", "-c", script]);
    assert_eq!((&done.summary()["exit"], &done.summary()["id"]), (&9.into(), &"c".into()), "{done:?}");
}

#[test]
fn a_cell_that_did_not_start_has_a_summary_too() {
    let host = Host::new();
    let done = host.nanoclaw(["run", "--name", "c", "--json", "--", "no-such-program"]);
    assert_eq!(done.code(), Some(127));
    let summary = done.summary();
    assert_eq!(summary["exit"], 127);
    let error = summary["error"].as_str().unwrap();
    assert!(error.contains("cannot run `no-such-program`"), "{error}");
}
