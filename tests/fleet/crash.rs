//! What is left when a part of it is killed.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::fleet::{Fleet, children, control_groups, marker, wait_for};
use crate::support::{Host, appears, gone, marked};

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// Three agents whose processes also leave their session, their group and their parent.
fn stubborn(marker: &str, agent: &str) -> String {
    let script = "trap \"\" TERM HUP INT; (setsid sh -c \"trap : TERM HUP; while :; do sleep 1; done\" $0 &) ; while :; do sleep 1; done";
    let agent =
        |n: u32| format!("  - {{ id: {agent}-{n}, command: [sh, -c, '{script}', {marker}], restart: always }}\n");
    format!("agents:\n{}{}{}", agent(1), agent(2), agent(3))
}

#[test]
fn nothing_survives_the_killed_control_plane_and_the_next_starts_clean() {
    let marker = marker("control");
    let name = format!("crash{}", std::process::id());
    let fleet = Fleet::up(&stubborn(&marker, &name));
    let cells = wait_for(&marker, 6);
    let launcher = fleet.launcher();
    let inits = children(launcher);
    assert_eq!(inits.len(), 3);
    fleet.signal(Signal::KILL);
    let killed = Instant::now();
    let mut seconds = None;
    appears(|| {
        let over = marked(&marker).is_empty() && gone(launcher) && inits.iter().all(|init| gone(*init));
        if over {
            seconds = Some(killed.elapsed());
        }
        over
    });
    let took = seconds.unwrap_or_else(|| panic!("of {cells:?}, {:?} live on", marked(&marker)));
    assert!(took < Duration::from_secs(10), "they lived on for {took:?}");
    eprintln!("everything was gone after {} ms", took.as_millis());
    let (host, done) = fleet.end();
    assert_eq!(done.code(), None);
    assert!(appears(|| control_groups(&name).is_empty()), "{:?}", control_groups(&name));
    assert!(host.path("state/control.sock").exists(), "a leftover that the next start must cope with");

    let fleet = Fleet::up_on(host, &stubborn(&marker, &name));
    for n in 1..=3 {
        fleet.phase(&format!("{name}-{n}"), "running");
    }
    let records = fleet.host.records();
    let seq: Vec<u64> = records.iter().map(|record| record["seq"].as_u64().unwrap()).collect();
    assert!(seq.windows(2).all(|pair| pair[1] == pair[0] + 1), "one log without a gap: {seq:?}");
}

#[test]
fn nothing_survives_the_killed_launcher_and_the_control_plane_says_so() {
    let marker = marker("launcher");
    let name = format!("launcher{}", std::process::id());
    let fleet = Fleet::up(&stubborn(&marker, &name));
    wait_for(&marker, 6);
    // One whose start is not over has no end to be recorded.
    for n in 1..=3 {
        fleet.phase(&format!("{name}-{n}"), "running");
    }
    let launcher = fleet.launcher();
    kill(launcher);
    assert!(appears(|| marked(&marker).is_empty()), "{:?} live on", marked(&marker));
    fleet.says("launcher");
    let (host, done) = fleet.end();
    assert_eq!(done.code(), Some(125), "it can start no cells any more, and ends: {done:?}");
    let exits: Vec<_> = host.records_of("cell_exited");
    assert_eq!(exits.len(), 3, "{exits:#?}");
    // The killed launcher could not clean up; whoever starts next does.
    let other = Host::new();
    assert_eq!(other.sh(&[], "true").code(), Some(0));
    assert!(appears(|| control_groups(&name).is_empty()), "{:?}", control_groups(&name));
    let fleet = Fleet::up_on(host, &stubborn(&marker, &name));
    fleet.phase(&format!("{name}-1"), "running");
}

#[test]
fn a_run_whose_launcher_is_killed_ends() {
    let host = Host::new();
    let script = "echo ready; exec sleep 1000";
    let run =
        crate::support::Background::start(host.prepare(["run", "--", "sh", "-c", script]), std::process::Stdio::null());
    run.writes("ready");
    let launchers = children(run.pid());
    assert_eq!(launchers.len(), 1);
    kill(launchers[0]);
    let done = run.finish();
    assert_eq!(done.code(), Some(137), "{done:?}");
}

#[test]
fn an_agent_whose_init_is_killed_is_restarted_by_its_policy() {
    let marker = marker("init");
    let name = format!("init{}", std::process::id());
    let fleet = Fleet::up(&format!(
        "agents:
  - {{ id: {name}-1, command: [sh, -c, 'while :; do sleep 1; done', {marker}-1], restart: on-failure }}
  - {{ id: {name}-2, command: [sh, -c, 'while :; do sleep 1; done', {marker}-2], restart: never }}
"
    ));
    let first = wait_for(&format!("{marker}-1"), 1);
    wait_for(&format!("{marker}-2"), 1);
    // A command can be seen before its init has told of it; an init killed in between is a start that failed, with no exit.
    fleet.phase(&format!("{name}-1"), "running");
    fleet.phase(&format!("{name}-2"), "running");
    for init in children(fleet.launcher()) {
        kill(init);
    }
    assert!(appears(|| first.iter().all(|pid| gone(*pid))), "the kernel ends the cell with its init");
    let again = fleet.until(&format!("{name}-1"), |status| status["restarts"] == 1 && status["phase"] == "running");
    assert_eq!(again["last_exit"], 137, "{again}");
    wait_for(&format!("{marker}-1"), 1);
    let never = fleet.phase(&format!("{name}-2"), "stopped");
    assert_eq!((&never["last_exit"], &never["restarts"]), (&137.into(), &0.into()));
    assert!(marked(&format!("{marker}-2")).is_empty());
}

#[test]
fn the_rootless_fleet_leaves_nothing_behind_either() {
    let marker = marker("rootless");
    let fleet = Fleet::up_on(Host::rootless(), &stubborn(&marker, "user"));
    wait_for(&marker, 6);
    // `setpriv` becomes the control plane, so its pid is the one to kill.
    fleet.signal(Signal::KILL);
    assert!(appears(|| marked(&marker).is_empty()), "{:?} live on", marked(&marker));
    let (host, _) = fleet.end();
    let fleet = Fleet::up_on(host, &stubborn(&marker, "user"));
    fleet.phase("user-1", "running");
}
