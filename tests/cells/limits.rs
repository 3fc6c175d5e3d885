//! Hard limits: what happens at each.

use serde_json::Value;

use crate::support::Host;

/// The one record of a limit that was reached.
#[track_caller]
fn reached(host: &Host, limit: &str) -> Value {
    let records = host.records_of("limit_reached");
    let found: Vec<_> = records.iter().filter(|record| record["resource"] == limit).collect();
    assert_eq!(found.len(), 1, "{records:#?}");
    assert_eq!(found[0]["result"], "noted");
    assert_eq!(found[0]["agent_id"], "c");
    found[0].clone()
}

#[test]
fn a_memory_bomb_is_killed_with_137_and_recorded() {
    let Some(host) = Host::limited() else { return };
    let bomb = "tail /dev/zero";
    let done =
        host.nanoclaw(["run", "--name", "c", "--memory", "32Mi", "--json", "--", "sh", "-c", &format!("exec {bomb}")]);
    assert_eq!(done.code(), Some(137), "{done:?}");
    let summary = done.summary();
    assert_eq!(summary["exit"], 137);
    assert!(summary["usage"]["oom_kills"].as_u64() >= Some(1), "{summary}");
    assert!(done.stderr.contains("the memory limit of cell `c` killed 1 of its processes"), "{done:?}");
    let peak = summary["usage"]["memory_peak_bytes"].as_u64().unwrap();
    assert!((16 << 20..=33 << 20).contains(&peak), "{peak}");
    let record = reached(&host, "memory");
    assert_eq!(record["detail"], "1 processes killed at 33554432 bytes", "{record}");
}

#[test]
fn tmp_takes_half_of_the_memory_at_most() {
    let Some(host) = Host::limited() else { return };
    let done =
        host.sh(&["--memory", "32Mi", "--disk", "64Mi"], "head -c 48M /dev/zero > /tmp/big; stat -c %s /tmp/big");
    assert_eq!(done.text().trim(), (16 << 20).to_string(), "{done:?}");
    assert!(done.stderr.contains("No space left on device"), "{}", done.stderr);
}

#[test]
fn a_fork_bomb_stops_at_the_limit_and_is_recorded() {
    let Some(host) = Host::limited() else { return };
    let script = "python3 - <<'E'
import os, time
children = 0
try:
    for _ in range(100):
        if os.fork() == 0:
            time.sleep(1000)
        children += 1
except BlockingIOError:
    print('refused after', children)
E";
    let done = host.sh(&["--name", "c", "--pids", "12"], script);
    let text = done.good();
    let children: u32 =
        text.trim().strip_prefix("refused after ").unwrap_or_else(|| panic!("{done:?}")).parse().unwrap();
    assert!((6..12).contains(&children), "{children}");
    let record = reached(&host, "pids");
    assert!(record["detail"].as_str().unwrap().ends_with("forks refused at 12 processes"), "{record}");
}

#[test]
fn tmp_is_full_at_its_limit() {
    let host = Host::new();
    let script =
        "for i in 1 2 3 4; do head -c 600000 /dev/zero > /tmp/$i && echo $i; done; wc -c /tmp/[1-4] | tail -n 1";
    let done = host.sh(&["--disk", "1Mi"], script);
    assert!(done.stderr.contains("No space left on device"), "{}", done.stderr);
    let text = done.text();
    assert!(text.starts_with("1\n") && !text.contains("\n2\n"), "{text}");
    let total: u64 = text.lines().last().and_then(|line| line.split_whitespace().next()).unwrap().parse().unwrap();
    assert!((500_000..=1 << 20).contains(&total), "{total}");
}

#[test]
fn no_file_grows_beyond_the_disk_limit() {
    let host = Host::new();
    host.directory("work");
    let options = ["--disk", "1Mi", "--rw", &format!("{}:/workspace", host.at("work"))];
    let done = host.sh(&options, "trap 'echo told' XFSZ; head -c 3000000 /dev/zero > big; echo $?");
    assert_eq!(done.code(), Some(0), "{done:?}");
    assert_eq!(std::fs::metadata(host.path("work/big")).unwrap().len(), 1 << 20);
}

#[test]
fn a_writable_place_that_grows_beyond_the_limit_ends_the_cell() {
    let host = Host::new();
    host.directory("work");
    let arguments =
        ["run", "--name", "c", "--json", "--disk", "2Mi", "--rw", &format!("{}:/workspace", host.at("work"))];
    let fill = "i=0; while :; do i=$((i+1)); head -c 500000 /dev/zero > file$i; sleep 0.1; done";
    let done = host.nanoclaw(arguments.iter().chain(&["--", "sh", "-c", fill]));
    assert_eq!(done.code(), Some(137), "{done:?}");
    assert!(done.stderr.contains("nanoclaw: cell `c` was ended by its disk limit"), "{}", done.stderr);
    assert_eq!(done.summary()["limit"], "disk");
    let record = reached(&host, "disk");
    let detail = record["detail"].as_str().unwrap();
    assert!(
        detail.starts_with(&format!("`{}` grew by ", host.at("work"))) && detail.ends_with("of 2097152 bytes"),
        "{detail}"
    );
}

#[test]
fn what_was_there_before_does_not_count_as_growth() {
    let host = Host::new();
    host.write("work/old", vec![1; 4 << 20]);
    host.directory("work");
    let done = host.sh(
        &["--disk", "1Mi", "--rw", &format!("{}:/workspace", host.at("work"))],
        "echo small > new; sleep 1; cat new",
    );
    assert_eq!(done.good(), "small\n");
}

#[test]
fn open_files_end_at_the_limit() {
    let host = Host::new();
    let script = "ulimit -n; ulimit -Hn; python3 -c '
import errno
held = []
try:
    while True: held.append(open(\"/dev/null\"))
except OSError as e:
    print(e.errno == errno.EMFILE, held[-1].fileno())
'; ulimit -n 40 2>/dev/null || echo fixed";
    assert_eq!(host.sh(&["--files", "32"], script).good(), "32\n32\nTrue 31\nfixed\n");
}

#[test]
fn cpu_time_is_bounded() {
    let Some(host) = Host::limited() else { return };
    let spin = "end=$(($(date +%s)+3)); while [ $(date +%s) -lt $end ]; do i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done; done";
    let done = host.nanoclaw(["run", "--cpus", "0.1", "--json", "--", "sh", "-c", spin]);
    let summary = done.summary();
    let (cpu, wall) = (summary["usage"]["cpu_ms"].as_f64().unwrap(), summary["wall_ms"].as_f64().unwrap());
    // A tenth, and generously more for building the cell, which is counted too.
    assert!(cpu > 0.0 && cpu < wall * 0.3, "{cpu} of {wall} ms: {summary}");
}

#[test]
fn limits_of_a_configuration_hold_and_options_win_over_them() {
    let host = Host::new();
    host.write(
        "c.yaml",
        "limits: { files: 64 }\nagents: [{ id: small, command: [sh, -c, ulimit -n], limits: { files: 32 } }]\n",
    );
    assert_eq!(host.sh(&["-c", "c.yaml"], "ulimit -n").good(), "64\n");
    assert_eq!(host.nanoclaw(["run", "-c", "c.yaml", "--name", "small"]).good(), "32\n");
    assert_eq!(host.nanoclaw(["run", "-c", "c.yaml", "--name", "small", "--files", "48"]).good(), "48\n");
}
