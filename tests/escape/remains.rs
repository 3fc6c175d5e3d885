//! What is left of an attack when the cell is gone: nothing.

use std::fs;
use std::process::Output;

use nanoclaw_sandbox::attack::{HostUser, Mode};

use crate::range::Range;

/// Whether a process of this machine has this text in its command line.
fn runs(marker: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok()).any(|line| {
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.trim_end().ends_with(marker)
    })
}

/// Runs a shell script in a cell.
fn script(range: &Range, text: &str) -> Output {
    range.run("remains", &["/bin/sh", "-c", text])
}

fn no_process_outlives_its_cell(user: HostUser, seconds: &str) {
    let Some(range) = Range::new(user, Mode::Restricted) else { return };
    let marker = format!("sleep {seconds}");
    // Two in the background, one in a session of its own, one that ignores the polite signals; that they run is said
    // from inside before the cell ends.
    let text = format!(
        "{marker} & setsid {marker} & (trap '' TERM HUP INT; setsid {marker}) & \
         while [ \"$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o '{marker}' | wc -l)\" -lt 3 ]; do :; done; \
         echo started"
    );
    let output = script(&range, &text);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "started\n", "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!runs(&marker), "a process of the cell is still there");
}

#[test]
fn no_process_outlives_its_cell_as_root() {
    no_process_outlives_its_cell(HostUser::Root, "7313");
}

#[test]
fn no_process_outlives_its_cell_rootless() {
    no_process_outlives_its_cell(HostUser::Rootless, "7317");
}

fn filling_the_workspace_ends_the_cell(user: HostUser) {
    let Some(range) = Range::new(user, Mode::Restricted) else { return };
    // Files of 1 MiB, each below every limit, up to sixteen times what the cell may write; then it would say so.
    let text = "n=0; while [ $n -lt 256 ]; do head -c 1048576 /dev/zero > /workspace/f$n; n=$((n+1)); \
                [ $((n % 32)) = 0 ] && sleep 0.3; done; echo filled";
    let output = script(&range, text);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "the cell wrote 256 MiB");
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("disk limit"), "{told}");
    let log = fs::read_to_string(range.path("state/audit/audit.jsonl")).expect("an audit log");
    assert!(log.lines().any(|line| line.contains("\"disk\"") || line.contains("disk limit")), "{log}");
}

#[test]
fn filling_the_workspace_ends_the_cell_as_root() {
    filling_the_workspace_ends_the_cell(HostUser::Root);
}

#[test]
fn filling_the_workspace_ends_the_cell_rootless() {
    filling_the_workspace_ends_the_cell(HostUser::Rootless);
}

/// Nothing but the workspace has changed on the host.
#[test]
fn the_host_is_as_it_was() {
    let Some(range) = Range::new(HostUser::Root, Mode::Restricted) else { return };
    let before =
        (fs::read("/etc/hosts").ok(), fs::read(range.path("ro/known")).ok(), fs::read(range.path("canary")).ok());
    let shots = range.attack(&["files"]);
    assert!(shots.summary.failed.is_empty(), "{:?}", shots.summary.failed);
    let after =
        (fs::read("/etc/hosts").ok(), fs::read(range.path("ro/known")).ok(), fs::read(range.path("canary")).ok());
    assert_eq!(before, after);
    let left: Vec<_> =
        fs::read_dir(range.path("workspace")).expect("the workspace").flatten().map(|e| e.file_name()).collect();
    assert!(left.is_empty(), "left behind in the workspace: {left:?}");
    assert!(!fs::exists("/etc/nanoclaw-attack").expect("a look"));
}
