//! How a run ends: exit statuses, signals, wall time.

use std::process::Stdio;

use rustix::process::Signal;

use crate::support::{Background, Host, appears, marked};

#[test]
fn the_exit_status_of_the_program_is_ours() {
    let host = Host::new();
    for status in [0, 1, 7, 124, 125, 200, 255] {
        assert_eq!(host.sh(&[], &format!("exit {status}")).code(), Some(status));
    }
}

#[test]
fn a_program_that_is_not_there_is_127() {
    let host = Host::new();
    for program in ["no-such-program", "/no/such/program", "./no-such-program"] {
        let done = host.nanoclaw(["run", "--name", "c", "--", program]);
        assert_eq!((done.code(), done.text().as_str()), (Some(127), ""), "{program}");
        let message =
            format!("nanoclaw: cell `c` was not started: cannot run `{program}` in it: No such file or directory");
        assert!(done.stderr.contains(&message), "{}", done.stderr);
    }
}

#[test]
fn a_program_that_cannot_be_run_is_126() {
    let host = Host::new();
    let text = host.write("text", "no program\n");
    for program in ["/etc/passwd", "/tmp", "/shown"] {
        let done = host.nanoclaw(["run", "--name", "c", "--ro", &format!("{}:/shown", text.display()), "--", program]);
        assert_eq!((done.code(), done.text().as_str()), (Some(126), ""), "{program}");
        let message = format!("nanoclaw: cell `c` was not started: cannot run `{program}` in it: Permission denied");
        assert!(done.stderr.contains(&message), "{}", done.stderr);
    }
}

#[test]
fn a_launch_that_failed_is_on_record() {
    let host = Host::new();
    assert_eq!(host.nanoclaw(["run", "--name", "c", "--", "no-such-program"]).code(), Some(127));
    let launches = host.records_of("cell_launch");
    let results: Vec<&str> = launches.iter().filter_map(|record| record["result"].as_str()).collect();
    assert_eq!(results, ["allowed", "failed"]);
    assert_eq!(launches[1]["request_seq"], launches[0]["seq"]);
    assert_eq!(launches[1]["agent_id"], "c");
}

#[test]
fn a_launch_is_recorded_with_all_that_was_asked_for() {
    let host = Host::new();
    let options = ["--rootfs", "minimal", "--files", "64", "--timeout", "9s", "--allow-net", "a.example:443"];
    let mut command = vec!["run", "--name", "c"];
    command.extend(options.iter().chain(&["--", "/nanoclaw", "--version"]));
    assert_eq!(host.nanoclaw(command).code(), Some(0));
    let launches = host.records_of("cell_launch");
    assert_eq!(
        launches[0]["detail"],
        "mode=restricted rootfs=minimal mounts=[] limits=[files=64 timeout=9000ms] networks=[a.example:443]"
    );
}

#[test]
fn what_nanoclaw_itself_refuses_is_125() {
    let host = Host::new();
    for (arguments, message) in [
        (&["run"][..], "no command; write it after `--`, as in `nanoclaw run -- python3 agent.py`"),
        (&["run", "--no-such-option", "--", "true"], "unexpected argument '--no-such-option'"),
        (&["run", "--memory", "1Ki", "--", "true"], "--memory"),
        (&["run", "--timeout", "0s", "--", "true"], "--timeout"),
        (&["run", "--env", "NOVALUE", "--", "true"], "--env"),
        (&["run", "--name", "UPPER CASE", "--", "true"], "--name"),
        (&["run", "--rootfs", "/no/such/root", "--", "true"], "`/no/such/root`"),
        (&["run", "-c", "no-such.yaml", "--", "true"], "no-such.yaml"),
        (&["no-such-command"], "unrecognized subcommand 'no-such-command'"),
    ] {
        let done = host.nanoclaw(arguments);
        assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(message), "{arguments:?}: {}", done.stderr);
    }
}

#[test]
fn a_program_that_a_signal_ended_is_128_and_the_signal() {
    let host = Host::new();
    for (signal, status) in [("KILL", 137), ("TERM", 143), ("INT", 130), ("SEGV", 139)] {
        assert_eq!(host.sh(&[], &format!("kill -{signal} $$")).code(), Some(status), "{signal}");
    }
    let exits = host.records_of("cell_exited");
    let signals: Vec<u64> = exits.iter().filter_map(|record| record["signal"].as_u64()).collect();
    assert_eq!(signals, [9, 15, 2, 11]);
}

#[test]
fn signals_are_passed_on_to_the_program() {
    let host = Host::new();
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
    ] {
        let script = format!("trap 'echo caught {name}; exit 42' {name}; echo ready; while :; do sleep 0.05; done");
        let running = start(&host, &script);
        running.writes("ready");
        running.signal(signal);
        let done = running.finish();
        assert_eq!(done.code(), Some(42), "{name}: {done:?}");
        assert!(done.text().contains(&format!("caught {name}")), "{name}: {done:?}");
    }
}

#[test]
fn signals_that_the_program_does_not_catch_end_it() {
    let host = Host::new();
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::USR1, 138)] {
        let running = start(&host, "echo ready; exec sleep 1000");
        running.writes("ready");
        running.signal(signal);
        assert_eq!(running.finish().code(), Some(status));
    }
}

#[test]
fn the_end_of_the_program_is_the_end_of_the_cell() {
    let host = Host::new();
    let marker = format!("left-behind-{}", std::process::id());
    let script = format!("setsid sh -c 'echo here; sleep 1000' {marker} & sleep 0.3; exit 3");
    let done = host.sh(&[], &script);
    assert_eq!((done.code(), done.text().as_str()), (Some(3), "here\n"));
    assert!(appears(|| marked(&marker).is_empty()), "{:?} of the cell live on", marked(&marker));
}

#[test]
fn a_killed_run_takes_its_cell_along() {
    let host = Host::new();
    let marker = format!("killed-run-{}", std::process::id());
    let running = start(&host, &format!("setsid sh -c 'echo here; sleep 1000' {marker}; echo {marker}"));
    running.writes("here");
    let run = running.pid();
    assert!(marked(&marker).iter().any(|pid| *pid != run), "the cell runs");
    running.signal(Signal::KILL);
    assert_eq!(running.finish().code(), None);
    assert!(appears(|| marked(&marker).is_empty()), "{:?} of the cell live on", marked(&marker));
}

#[test]
fn wall_time_ends_a_cell_with_124() {
    let host = Host::new();
    let done = host
        .sh(&["--name", "slow", "--timeout", "300ms"], "trap 'echo asked; exit 0' TERM; while :; do sleep 0.05; done");
    assert_eq!(done.code(), Some(124), "{done:?}");
    assert_eq!(done.text(), "asked\n", "it is asked to end before it is ended");
    assert!(done.stderr.contains("nanoclaw: cell `slow` was ended by its timeout limit"), "{}", done.stderr);
    let limits = host.records_of("limit_reached");
    assert_eq!(limits.len(), 1, "{limits:?}");
    assert_eq!(limits[0]["resource"], "timeout");
    assert_eq!(limits[0]["agent_id"], "slow");
}

#[test]
fn a_program_that_ignores_the_end_of_its_time_is_killed() {
    let host = Host::new();
    let done = host.sh(&["--timeout", "300ms"], "trap '' TERM; echo deaf; while :; do sleep 0.05; done");
    assert_eq!((done.code(), done.text().as_str()), (Some(124), "deaf\n"), "{done:?}");
    assert_eq!(host.records_of("cell_exited")[0]["signal"], 9);
}

#[test]
fn a_program_that_is_done_in_time_is_not_disturbed() {
    let host = Host::new();
    let done = host.sh(&["--timeout", "1h"], "echo done; exit 5");
    assert_eq!((done.code(), done.text().as_str()), (Some(5), "done\n"));
    assert!(host.records_of("limit_reached").is_empty());
}

fn start(host: &Host, script: &str) -> Background {
    Background::start(host.prepare(["run", "--", "sh", "-c", script]), Stdio::null())
}
