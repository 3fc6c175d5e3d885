//! ps, logs, exec, stop, down.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fleet::{Fleet, children, marker, wait_for};
use crate::support::{Background, Host, Terminal, appears, eventually, finish, marked, skip};

const SLEEPER: &str = "agents: [{ id: one, command: [sh, -c, 'echo ready; exec sleep 1000'] }]\n";

#[test]
fn ps_lists_what_runs_with_live_use() {
    let fleet = Fleet::up(
        "agents:
  - { id: busy, command: [sh, -c, 'touch /etc/x; touch /etc/y; while :; do :; done'], limits: { cpu: 0.2 } }
  - { id: done, command: ['true'] }
  - { id: missing, command: [no-such-program] }
",
    );
    let busy = fleet.until("busy", |status| status["phase"] == "running" && status["refusals"] == 2);
    assert_eq!((&busy["restarts"], &busy["last_exit"], &busy["problem"]), (&0.into(), &().into(), &().into()));
    let done = fleet.phase("done", "stopped");
    assert_eq!(done["last_exit"], 0);
    let missing = fleet.phase("missing", "stopped");
    assert!(missing["problem"].as_str().unwrap().contains("cannot run `no-such-program`"), "{missing}");
    let table = fleet.ask(&["ps"]).good();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..5], ["AGENT", "KIND", "STATE", "UPTIME", "CPU"]);
    assert_eq!(lines[1][..3], ["busy", "command", "running"]);
    assert_eq!(lines[2][..3], ["done", "command", "stopped"]);
    assert_eq!(lines[3][..3], ["missing", "command", "stopped"]);
}

#[test]
fn ps_shows_cpu_and_memory_grow() {
    let Some(host) = Host::limited() else { return };
    let fleet = Fleet::up_on(
        host,
        "agents: [{ id: busy, command: [python3, -c, \"x = bytearray(30 << 20)\\nwhile True: pass\"], limits: { cpu: 0.2 } }]\n",
    );
    let first = fleet.until("busy", |status| status["memory_bytes"].as_u64() > Some(30 << 20));
    let cpu = first["cpu_us"].as_u64().unwrap();
    fleet.until("busy", |status| status["cpu_us"].as_u64() > Some(cpu + 50_000));
    assert!(first["pids"].as_u64() >= Some(1), "{first}");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let fleet = Fleet::up(SLEEPER);
    let done = fleet.host.host_sh(
        r#"("$NANOCLAW" ps; echo "status $?" >&2) | true; ("$NANOCLAW" ps --json; echo "status $?" >&2) | true"#,
    );
    assert_eq!(done.stderr, "status 0\nstatus 0\n");
}

#[test]
fn a_reader_of_a_long_log_may_leave_early_too() {
    let fleet = Fleet::up("agents: [{ id: one, command: [sh, -c, 'seq 1 200000; exec sleep 1000'] }]\n");
    fleet.logs("one", "200000\n");
    for follow in ["", "--follow"] {
        let script = format!(r#"("$NANOCLAW" logs {follow} one; echo "status $?" >&2) | head -n 1"#);
        let done = fleet.host.host_sh(&script);
        assert_eq!((done.text().as_str(), done.stderr.as_str()), ("1\n", "status 0\n"), "{follow}");
    }
}

#[test]
fn logs_hold_output_and_errors() {
    let fleet = Fleet::up(
        "agents: [{ id: one, command: [sh, -c, 'echo out; echo err >&2; echo named > /dev/stderr'] }, { id: two, command: [sleep, '1000'] }]\n",
    );
    fleet.phase("one", "stopped");
    fleet.logs("one", "named");
    assert_eq!(fleet.ask(&["logs", "one"]).good(), "out\nerr\nnamed\n");
}

#[test]
fn logs_can_be_followed_until_interrupted() {
    let fleet = Fleet::up(
        "agents: [{ id: one, command: [sh, -c, 'echo first; while [ ! -e /workspace/go ]; do sleep 0.05; done; echo second; sleep 1000'], mounts: [{ source: work, target: /workspace, mode: rw }] }]\n",
    );
    let follower = Background::start(fleet.host.prepare(["logs", "-f", "one"]), Stdio::null());
    follower.writes("first\n");
    assert!(!follower.text().contains("second"));
    fleet.host.write("work/go", "");
    follower.writes("second\n");
    follower.signal(Signal::INT);
    assert_ne!(follower.finish().code(), Some(0));
}

#[test]
fn exec_runs_one_more_program_in_the_same_cell() {
    let fleet = Fleet::up(
        "agents: [{ id: one, command: [sh, -c, 'echo data > /tmp/file; exec sleep 1000'], env: { MINE: here }, mounts: [{ source: work, target: /workspace, mode: rw }] }]\n",
    );
    fleet.phase("one", "running");
    let done = fleet.ask(&[
        "exec",
        "one",
        "--",
        "sh",
        "-c",
        "until cat /tmp/file 2>/dev/null; do sleep 0.05; done; echo $MINE; pwd; id -u; echo err >&2; exit 9",
    ]);
    assert_eq!((done.code(), done.text().as_str()), (Some(9), "data\nhere\n/workspace\n1000\n"), "{done:?}");
    assert_eq!(done.stderr, "err\n");
    let done = finish(fleet.host.prepare(["exec", "one", "--", "sh", "-c", "tr a-z A-Z"]), b"typed\n");
    assert_eq!(done.good(), "TYPED\n");
    let done = fleet.ask(&["exec", "one", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(done.code(), Some(143));
    assert_eq!(fleet.status("one")["phase"], "running", "the agent is not disturbed");
}

#[test]
fn exec_passes_binary_data_and_much_of_it() {
    let fleet = Fleet::up(SLEEPER);
    fleet.phase("one", "running");
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let done = finish(fleet.host.prepare(["exec", "one", "--", "cat"]), &bytes);
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    assert!(done.stdout == bytes, "{} of {} bytes", done.stdout.len(), bytes.len());
}

#[test]
fn exec_does_not_wait_for_what_the_program_leaves_behind() {
    let fleet = Fleet::up(SLEEPER);
    fleet.phase("one", "running");
    let done = fleet.ask(&["exec", "one", "--", "sh", "-c", "setsid sleep 1000 & echo started; exit 3"]);
    assert_eq!((done.code(), done.text().as_str()), (Some(3), "started\n"));
}

#[test]
fn exec_gets_a_terminal_of_its_own() {
    let fleet = Fleet::up(SLEEPER);
    fleet.phase("one", "running");
    let terminal = Terminal::new(30, 90);
    let before = format!("{:?}", terminal.modes());
    let child = terminal.start(&fleet.host.prepare([
        "exec",
        "one",
        "--",
        "sh",
        "-c",
        "tty; stty size; read x; echo got $x; exit 5",
    ]));
    terminal.shows("30 90");
    terminal.type_keys("word\r");
    terminal.shows("got word");
    assert_eq!(terminal.wait(child), Some(5), "{}", terminal.text());
    assert!(terminal.text().contains("/dev/pts/"), "{}", terminal.text());
    assert_eq!(format!("{:?}", terminal.modes()), before);
}

#[test]
fn exec_follows_the_size_of_the_window() {
    let fleet = Fleet::up(SLEEPER);
    fleet.phase("one", "running");
    let terminal = Terminal::new(24, 80);
    let script = "trap 'stty size; exit 6' WINCH; echo ready; while :; do sleep 0.05; done";
    let child = terminal.start(&fleet.host.prepare(["exec", "one", "--", "sh", "-c", script]));
    terminal.shows("ready");
    terminal.resize(40, 132);
    assert_eq!(terminal.wait(child), Some(6), "{}", terminal.text());
    terminal.shows("40 132");
}

#[test]
fn an_operator_who_leaves_takes_the_program_along() {
    let marker = marker("exec-leaves");
    let fleet = Fleet::up(SLEEPER);
    fleet.phase("one", "running");
    let script = format!("echo here; exec sh -c 'sleep 1000; true' in-{marker}");
    let client = Background::start(fleet.host.prepare(["exec", "one", "--", "sh", "-c", &script]), Stdio::null());
    client.writes("here");
    let inside = format!("in-{marker}");
    let running = || marked(&inside).into_iter().filter(|pid| *pid != client.pid()).count();
    assert!(appears(|| running() > 0));
    client.signal(Signal::KILL);
    assert!(appears(|| running() == 0), "{:?}", marked(&inside));
    assert_eq!(fleet.status("one")["phase"], "running");
}

#[test]
fn an_interrupted_exec_ends_the_program_and_puts_the_terminal_back() {
    let marker = marker("exec-interrupted");
    let fleet = Fleet::up(SLEEPER);
    fleet.phase("one", "running");
    let terminal = Terminal::new(24, 80);
    let before = format!("{:?}", terminal.modes());
    let script = format!("echo here; exec sh -c 'sleep 1000; true' in-{marker}");
    let child = terminal.start(&fleet.host.prepare(["exec", "one", "--", "sh", "-c", &script]));
    terminal.shows("here");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    assert_eq!(terminal.wait(child), Some(143), "{}", terminal.text());
    assert_eq!(format!("{:?}", terminal.modes()), before);
    let inside = format!("in-{marker}");
    assert!(appears(|| marked(&inside).into_iter().all(|found| found == pid)), "{:?}", marked(&inside));
}

#[test]
fn exec_refuses_what_is_not_there() {
    let fleet = Fleet::up("agents:\n  - { id: one, command: [sleep, '1000'] }\n  - { id: over, command: ['true'] }\n");
    fleet.phase("one", "running");
    fleet.phase("over", "stopped");
    for (arguments, status, message) in [
        (
            ["exec", "one", "--", "no-such-program"],
            127,
            "nanoclaw: cannot run `no-such-program` in agent `one`: No such file or directory",
        ),
        (
            ["exec", "one", "--", "/etc/passwd"],
            126,
            "nanoclaw: cannot run `/etc/passwd` in agent `one`: Permission denied",
        ),
        (["exec", "over", "--", "true"], 125, "nanoclaw: agent `over` is not running; `nanoclaw ps` shows its state"),
        (
            ["exec", "other", "--", "true"],
            125,
            "nanoclaw: there is no agent `other` in this fleet; `nanoclaw ps` lists the agents",
        ),
    ] {
        let done = fleet.ask(&arguments);
        assert_eq!((done.code(), done.text().as_str()), (Some(status), ""), "{arguments:?}: {done:?}");
        assert!(done.stderr.starts_with(message), "{arguments:?}: {}", done.stderr);
    }
}

#[test]
fn one_agent_can_be_stopped_for_good() {
    let fleet = Fleet::up(
        "agents:\n  - { id: one, command: [sleep, '1000'], restart: always }\n  - { id: two, command: [sleep, '1000'] }\n",
    );
    fleet.phase("one", "running");
    fleet.phase("two", "running");
    assert_eq!(fleet.ask(&["stop", "one"]).code(), Some(0));
    let one = fleet.phase("one", "stopped");
    assert_eq!((&one["last_exit"], &one["restarts"]), (&143.into(), &0.into()), "{one}");
    assert_eq!(fleet.status("two")["phase"], "running");
    let done = fleet.ask(&["stop", "other"]);
    assert_eq!(done.code(), Some(125));
    assert_eq!(done.stderr, "nanoclaw: there is no agent `other` in this fleet; `nanoclaw ps` lists the agents\n");
}

#[test]
fn down_ends_the_fleet_gracefully() {
    let marker = marker("down");
    let fleet = Fleet::up(&format!(
        "agents:
  - {{ id: one, command: [sh, -c, 'trap \"echo bye > /workspace/bye; exit 0\" TERM; while :; do sleep 0.05; done', {marker}], mounts: [{{ source: work, target: /workspace, mode: rw }}], restart: always }}
  - {{ id: two, command: [sh, -c, 'while :; do sleep 0.05; done', {marker}], restart: on-failure }}
"
    ));
    wait_for(&marker, 2);
    fleet.until("one", |status| status["uptime_seconds"].as_u64() >= Some(1));
    assert_eq!(fleet.ask(&["down"]).code(), Some(0));
    let (host, done) = fleet.end();
    assert_eq!(done.code(), Some(0), "{done:?}");
    assert_eq!(host.read("work/bye"), "bye\n");
    assert!(marked(&marker).is_empty());
    let facts: Vec<String> =
        host.records().iter().filter_map(|record| record["action"].as_str().map(str::to_owned)).collect();
    assert!(
        facts.contains(&"control_started".to_owned()) && facts.contains(&"control_stopped".to_owned()),
        "{facts:?}"
    );
}

#[test]
fn the_signals_of_a_service_manager_end_the_fleet_gracefully() {
    for signal in [Signal::TERM, Signal::INT] {
        let fleet = Fleet::up(
            "agents: [{ id: one, command: [sh, -c, 'trap \"echo bye > /workspace/bye; exit 0\" TERM; echo ready; while :; do sleep 0.05; done'], mounts: [{ source: work, target: /workspace, mode: rw }], restart: always }]\n",
        );
        fleet.logs("one", "ready");
        fleet.signal(signal);
        let (host, done) = fleet.end();
        assert_eq!(done.code(), Some(0), "{done:?}");
        assert!(done.stderr.contains("nanoclaw: stopping; "), "{done:?}");
        assert_eq!(host.read("work/bye"), "bye\n");
    }
}

#[test]
fn up_ends_when_every_agent_has() {
    let host = Host::new();
    host.write("fleet.yaml", "agents:\n  - { id: one, command: ['true'] }\n  - { id: two, command: ['false'] }\n");
    let done = host.nanoclaw(["up", "-c", "fleet.yaml"]);
    assert_eq!(done.code(), Some(0), "{done:?}");
    host.write("fleet.yaml", "agents: [{ id: one, command: [no-such-program] }]\n");
    let done = host.nanoclaw(["up", "-c", "fleet.yaml"]);
    assert_eq!(done.code(), Some(125), "an agent that never started: {done:?}");
    assert!(done.stderr.contains("cannot run `no-such-program`"), "{}", done.stderr);
}

#[test]
fn a_second_fleet_on_the_same_state_is_refused() {
    let fleet = Fleet::up(SLEEPER);
    fleet.phase("one", "running");
    let done = fleet.ask(&["up", "-c", "fleet.yaml"]);
    assert_eq!(done.code(), Some(125));
    let expected = format!(
        "nanoclaw: a fleet is already running from state directory `{}`; `nanoclaw down` ends it, `--state-dir DIR` starts another beside it\n",
        fleet.host.at("state")
    );
    assert_eq!(done.stderr, expected);
    assert_eq!(fleet.status("one")["phase"], "running", "the first is not disturbed");
    let single = fleet.host.sh(&["--name", "beside"], "echo ran");
    assert_eq!(single.good(), "ran\n", "a single run beside it is no second fleet");
}

#[test]
fn without_a_fleet_clients_say_so() {
    let host = Host::new();
    for arguments in [&["ps"][..], &["logs", "one"], &["exec", "one", "--", "true"], &["stop", "one"], &["down"]] {
        let done = host.nanoclaw(arguments);
        assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{arguments:?}");
        let expected = format!(
            "nanoclaw: no fleet is running from state directory `{}`; start one with `nanoclaw up`, or name its directory with `--state-dir DIR`\n",
            host.at("state")
        );
        assert_eq!(done.stderr, expected, "{arguments:?}");
    }
    let tail = host.nanoclaw(["audit", "tail"]);
    assert!(tail.code() == Some(125) && tail.stderr.contains("there is no audit log in"), "{tail:?}");
    assert!(!host.path("state").exists(), "whoever looks makes nothing");
}

#[test]
fn root_steers_the_fleet_of_another_user_and_leaves_nothing_of_his_own_there() {
    if !rustix::process::geteuid().is_root() {
        return skip("needs root: the fleet is another user's");
    }
    let agents = "agents: [{ id: one, command: [sh, -c, 'echo ready; exec sleep 1000'] }, { id: two, command: [sleep, '1000'] }]\n";
    let fleet = Fleet::up_on(Host::rootless(), agents);
    fleet.logs("one", "ready");
    let root = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanoclaw"));
        command.args(arguments).env("NANOCLAW_STATE_DIR", fleet.host.path("state")).current_dir(fleet.host.path(""));
        finish(command, b"")
    };
    assert_eq!(root(&["ps", "--json"]).good().lines().count(), 2);
    assert_eq!(root(&["logs", "one"]).good(), "ready\n");
    assert_eq!(root(&["exec", "one", "echo", "hello"]).good(), "hello\n");
    assert!(root(&["audit", "tail"]).good().contains("control_started"));
    for arguments in [
        &["labels"][..],
        &["labels", "reset", "one"],
        &["reload"],
        &["policy", "explain", "-c", "fleet.yaml", "--seq", "1"],
        &["policy", "learn", "-c", "fleet.yaml", "one"],
        &["approvals"],
        &["operator", "ls"],
        &["stop", "two"],
    ] {
        root(arguments).good();
    }
    let mut of_root = Command::new("find");
    of_root.arg(fleet.host.path("state")).args(["-uid", "0"]);
    assert_eq!(finish(of_root, b"").good(), "");
    root(&["down"]).good();
    // A place of one's own is still needed to start something.
    let (host, _) = fleet.end();
    let mut own = Command::new(env!("CARGO_BIN_EXE_nanoclaw"));
    own.args(["run", "--", "true"]).env("NANOCLAW_STATE_DIR", host.path("state"));
    let done = finish(own, b"");
    assert_eq!(done.code(), Some(125), "{done:?}");
    assert!(done.stderr.contains("belongs to another user; run `nanoclaw` as that user"), "{}", done.stderr);
}

#[test]
fn an_ordinary_user_has_a_fleet_too() {
    let fleet =
        Fleet::up_on(Host::rootless(), "agents: [{ id: one, command: [sh, -c, 'echo ready; exec sleep 1000'] }]\n");
    fleet.logs("one", "ready");
    assert_eq!(fleet.ask(&["exec", "one", "--", "sh", "-c", "id -u; exit 4"]).text(), "1000\n");
    let (_, done) = {
        assert_eq!(fleet.ask(&["down"]).code(), Some(0));
        fleet.end()
    };
    assert_eq!(done.code(), Some(0), "{done:?}");
}

// Without privilege nobody can look into a program on its way to becoming one, so the door must know which one it is.
#[test]
fn programs_that_are_asked_for_at_once_all_run_and_are_on_record_as_themselves() {
    let fleet =
        Fleet::up_on(Host::rootless(), "agents: [{ id: one, command: [sh, -c, 'echo ready; exec sleep 1000'] }]\n");
    fleet.phase("one", "running");
    let done: Vec<_> = std::thread::scope(|scope| {
        let ask = |number: usize| fleet.ask(&["exec", "one", "--", "/bin/echo", &number.to_string()]).good();
        let asked: Vec<_> = (0..12).map(|number| scope.spawn(move || ask(number))).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert_eq!(done, (0..12).map(|number| format!("{number}\n")).collect::<Vec<_>>());
    let log = fleet.ask(&["audit", "tail", "--json"]).good();
    for number in 0..12 {
        let detail = format!("\"detail\":\"/bin/echo {number}\"");
        let started = |line: &&str| line.contains("\"action\":\"exec\"") && line.contains(&detail);
        assert_eq!(log.lines().filter(started).count(), 1, "{number}: {log}");
    }
}

#[test]
fn nobody_else_can_steer_a_fleet() {
    let Some(host) = Host::root() else { return };
    let fleet = Fleet::up_on(host, SLEEPER);
    fleet.phase("one", "running");
    let socket = fleet.host.path("state/control.sock");
    assert!(socket.exists());
    // Even with the socket's path, another user gets past neither the directory nor the check of the peer.
    let other = Host::rootless();
    let script = format!(
        "import socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\ns.connect('{}')",
        socket.display()
    );
    let mut command = other.command("/usr/bin/python3");
    command.args(["-c", &script]);
    let done = finish(command, b"");
    assert!(done.stderr.contains("PermissionError"), "{done:?}");
}

/// A cell can stop the process that is to become the program; here the whole of its init is stopped.
#[test]
fn what_cannot_start_is_not_waited_for_and_does_not_start_later() {
    let fleet = Fleet::up(SLEEPER);
    fleet.logs("one", "ready");
    let init = Pid::from_raw(children(fleet.launcher())[0]).unwrap();
    kill_process(init, Signal::STOP).unwrap();
    let marker = marker("late");
    let order = |program: &[&str]| {
        let arguments = [&["exec", "one", "--"], program].concat();
        Background::start(fleet.host.prepare(arguments), Stdio::null())
    };
    let begun = order(&["sh", "-c", "sleep 1000; true", &marker]);
    let is_asked = |record: &Value| record["detail"].as_str().is_some_and(|detail| detail.contains(&marker));
    eventually("the first order", || fleet.host.records_of("agent_manage").iter().any(is_asked).then_some(()));
    let waits = order(&["id"]);
    for order in [begun, waits] {
        let done = order.finish();
        assert_eq!(done.code(), Some(125), "{done:?}");
        assert!(done.stderr.contains("it did not start within 10 s"), "{}", done.stderr);
    }
    kill_process(init, Signal::CONT).unwrap();
    assert_eq!(fleet.ask(&["exec", "one", "--", "echo", "well"]).good(), "well\n");
    assert!(appears(|| marked(&marker).is_empty()), "nobody is there to see it");
    let programs = fleet.host.records_of("exec");
    assert!(!programs.iter().any(|record| record["path"].as_str().unwrap().ends_with("/id")), "{programs:#?}");
    let manage = fleet.host.records_of("agent_manage");
    let failed = manage.iter().filter(|r| r["reason"].as_str().is_some_and(|why| why.contains("did not start within")));
    assert_eq!(failed.count(), 1, "{manage:#?}");
}
