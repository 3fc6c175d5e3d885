//! The same as an ordinary user, without any privilege and without a delegated control group.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use rustix::process::Signal;

use crate::support::{Background, Host, Terminal, finish, skip};

/// A host whose user has no control group, as far as NanoClaw says; else `None`, loudly.
fn without_control_group() -> Option<Host> {
    let host = Host::rootless();
    if host.sh(&[], "true").stderr.contains(NOTICE) {
        return Some(host);
    }
    skip("this user has a delegated control group");
    None
}

const NOTICE: &str = "notice: this host gives NanoClaw no control group";

#[test]
fn a_cell_of_a_user_is_as_closed_as_one_of_root() {
    let host = Host::rootless();
    host.write("secret", "the-secret\n");
    let script = "id -u; grep -h Cap /proc/self/status | sort -u -k2; ls -A /home /root 2>/dev/null; cat /etc/shadow; cat $1; touch /usr/x; echo over";
    let done = host.nanoclaw(["run", "--", "sh", "-c", script, "sh", &host.at("secret")]);
    assert_eq!(done.good(), "1000\nCapInh:\t0000000000000000\nover\n");
    assert!(done.stderr.contains("Read-only file system"), "{}", done.stderr);
}

#[test]
fn exit_statuses_and_signals_are_the_same() {
    let host = Host::rootless();
    assert_eq!(host.sh(&[], "exit 7").code(), Some(7));
    assert_eq!(host.sh(&[], "kill -KILL $$").code(), Some(137));
    assert_eq!(host.nanoclaw(["run", "--", "no-such-program"]).code(), Some(127));
    assert_eq!(host.nanoclaw(["run", "--", "/etc/passwd"]).code(), Some(126));
    assert_eq!(host.sh(&["--timeout", "300ms"], "sleep 1000").code(), Some(124));
    let script = "trap 'exit 42' USR1; echo ready; while :; do sleep 0.05; done";
    let running = Background::start(host.prepare(["run", "--", "sh", "-c", script]), Stdio::null());
    running.writes("ready");
    running.signal(Signal::USR1);
    assert_eq!(running.finish().code(), Some(42));
}

#[test]
fn data_passes_both_ways() {
    let host = Host::rootless();
    let bytes: Vec<u8> = (0..500_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let done = finish(host.prepare(["run", "--", "cat"]), &bytes);
    assert!(done.stdout == bytes, "{}", done.stderr);
}

#[test]
fn what_is_written_belongs_to_the_user() {
    let host = Host::rootless();
    host.directory("work");
    let done = host.sh(&["--rw", &format!("{}:/workspace", host.at("work"))], "echo new > new; stat -c '%u %g' . new");
    assert_eq!(done.good(), "1000 1000\n1000 1000\n");
    assert_eq!(fs::metadata(host.path("work/new")).unwrap().uid(), host.uid());
    assert_eq!(host.read("work/new"), "new\n");
}

#[test]
fn the_deny_list_holds() {
    let host = Host::rootless();
    host.directory(".ssh");
    for path in ["/etc".to_owned(), host.at(".ssh"), host.at(""), host.at("state")] {
        let done = host.nanoclaw(["run", "--ro", &format!("{path}:/shown"), "--", "ls", "/shown"]);
        assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{path}");
        assert!(
            done.stderr.contains("deny list") || done.stderr.contains("NanoClaw's own state"),
            "{path}: {}",
            done.stderr
        );
    }
}

#[test]
fn a_limit_that_cannot_be_enforced_is_refused() {
    let Some(host) = without_control_group() else { return };
    for (option, value, name) in [("--memory", "64Mi", "memory"), ("--cpus", "1", "cpu")] {
        let done = host.nanoclaw(["run", "--name", "c", option, value, "--", "echo", "ran"]);
        assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{option}");
        let message = format!(
            "nanoclaw: cell `c` was not started: plan the cell: the limit `{name}` was asked for, but no control group of this host can enforce it; run as root, have an administrator delegate a control group (systemd: `Delegate=yes`), or leave the limit out\n"
        );
        assert!(done.stderr.ends_with(&message), "{}", done.stderr);
    }
}

#[test]
fn default_limits_work_without_a_control_group_and_it_is_said() {
    let Some(host) = without_control_group() else { return };
    let done = host.sh(&[], "ulimit -n; ulimit -d; echo ran");
    let text = done.good();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[2]), ("1024", "ran"));
    assert_ne!(lines[1], "unlimited", "memory of each process is limited");
    assert!(
        done.stderr.contains("CPU is not limited, and memory is watched by NanoClaw instead of limited by the kernel"),
        "{}",
        done.stderr
    );
    let noted = host.records().into_iter().filter(|record| record.to_string().contains("no control group"));
    assert!(noted.count() >= 1, "it is on record, too");
}

#[test]
fn processes_and_disk_are_limited_without_a_control_group() {
    let host = Host::rootless();
    let script = "python3 - <<'PY'
import os, time
children = 0
try:
    for _ in range(100):
        if os.fork() == 0:
            time.sleep(1000)
        children += 1
except BlockingIOError:
    print('refused', children < 16)
PY
for i in 1 2 3; do head -c 600000 /dev/zero > /tmp/$i; done; true";
    let done = host.sh(&["--pids", "16", "--disk", "1Mi"], script);
    assert!(done.text().starts_with("refused True\n"), "{done:?}");
}

#[test]
fn tmp_is_full_at_its_limit() {
    let host = Host::rootless();
    let done = host.sh(&["--disk", "1Mi"], "for i in 1 2 3; do head -c 600000 /dev/zero > /tmp/$i; done; true");
    assert!(done.stderr.contains("No space left on device"), "{done:?}");
}

#[test]
fn a_user_has_a_terminal_of_his_own() {
    let host = Host::rootless();
    let terminal = Terminal::new(31, 99);
    let before = format!("{:?}", terminal.modes());
    let child = terminal.start(&host.prepare(["run", "--", "sh", "-c", "tty; stty size; exit 4"]));
    assert_eq!(terminal.wait(child), Some(4), "{}", terminal.text());
    terminal.shows("31 99");
    assert!(terminal.text().contains("/dev/pts/0"), "{}", terminal.text());
    assert_eq!(format!("{:?}", terminal.modes()), before);
}

#[test]
fn a_minimal_root_works() {
    let host = Host::rootless();
    let version = host.nanoclaw(["--version"]).good();
    assert_eq!(host.nanoclaw(["run", "--rootfs", "minimal", "--", "/nanoclaw", "--version"]).good(), version);
}
