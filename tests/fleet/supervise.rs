//! Restarts, health, stopping, log rotation.

use crate::fleet::{Fleet, children};
use crate::support::{Host, eventually};

#[test]
fn an_agent_that_fails_is_started_again_with_growing_pauses() {
    let fleet = Fleet::up(
        "agents: [{ id: one, command: [sh, -c, 'date +%s%N >> /workspace/starts; exit 3'], restart: on-failure, mounts: [{ source: work, target: /workspace, mode: rw }] }]\n",
    );
    let one = fleet.until("one", |status| status["restarts"].as_u64() >= Some(3));
    assert_eq!(one["last_exit"], 3);
    let starts: Vec<u64> = eventually("four starts", || {
        let text = std::fs::read_to_string(fleet.host.path("work/starts")).unwrap_or_default();
        let starts: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        (starts.len() >= 4).then_some(starts)
    });
    let pauses: Vec<u64> = starts.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
    // Half a second, one, two: a busy machine makes them longer, never shorter.
    for (pause, least) in pauses.iter().zip([500, 1000, 2000]) {
        assert!(*pause >= least, "{pauses:?}");
    }
}

#[test]
fn an_agent_that_is_done_is_not_started_again() {
    let fleet = Fleet::up(
        "agents:
  - { id: done, command: ['true'], restart: on-failure }
  - { id: failed, command: ['false'], restart: never }
  - { id: other, command: [sleep, '1000'] }
",
    );
    for (agent, exit) in [("done", 0), ("failed", 1)] {
        let status = fleet.phase(agent, "stopped");
        assert_eq!((&status["restarts"], &status["last_exit"]), (&0.into(), &exit.into()), "{status}");
    }
}

#[test]
fn an_agent_that_shall_always_run_is_started_again() {
    let fleet = Fleet::up("agents: [{ id: one, command: ['true'], restart: always }]\n");
    let one = fleet.until("one", |status| status["restarts"].as_u64() >= Some(2));
    assert_eq!(one["last_exit"], 0);
}

#[test]
fn a_program_that_is_not_there_is_tried_again_and_shown() {
    let fleet = Fleet::up("agents: [{ id: one, command: [no-such-program], restart: on-failure }]\n");
    let one = fleet.until("one", |status| status["restarts"].as_u64() >= Some(1) && status["phase"] == "waiting");
    assert!(one["problem"].as_str().unwrap().contains("cannot run `no-such-program`"), "{one}");
    assert!(fleet.ask(&["ps"]).good().contains("cannot run `no-such-program`"));
}

#[test]
fn an_agent_that_waits_for_its_restart_can_be_stopped() {
    let fleet = Fleet::up(
        "agents: [{ id: one, command: ['false'], restart: always }, { id: two, command: [sleep, '1000'] }]\n",
    );
    fleet.phase("one", "waiting");
    assert_eq!(fleet.ask(&["stop", "one"]).code(), Some(0));
    fleet.phase("one", "stopped");
}

#[test]
fn an_unwell_agent_is_restarted() {
    let fleet = Fleet::up(
        "agents:
  - id: one
    command: [sh, -c, 'echo started; sleep 1000']
    restart: on-failure
    health: { command: [sh, -c, 'test -e /workspace/well'], interval: 1s, timeout: 1s, retries: 2 }
    mounts: [{ source: work, target: /workspace, mode: rw }]
",
    );
    fleet.phase("one", "unwell");
    fleet.until("one", |status| status["restarts"] == 1);
    fleet.host.write("work/well", "");
    let well =
        fleet.until("one", |status| status["phase"] == "running" && status["uptime_seconds"].as_u64() >= Some(4));
    let restarts = well["restarts"].as_u64().unwrap();
    assert!(restarts >= 1, "{well}");
    assert_eq!(fleet.ask(&["logs", "one"]).good().matches("started").count() as u64, restarts + 1);
}

#[test]
fn a_health_check_that_hangs_counts_as_failed_and_is_ended() {
    let marker = crate::fleet::marker("hanging-check");
    let fleet = Fleet::up(&format!(
        "agents:
  - id: one
    command: [sleep, '1000']
    restart: always
    health: {{ command: [sh, -c, 'sleep 1000', {marker}], interval: 1s, timeout: 1s, retries: 3 }}
"
    ));
    fleet.phase("one", "unwell");
    fleet.until("one", |status| status["restarts"].as_u64() >= Some(1));
    assert!(crate::support::marked(&marker).len() <= 1, "{:?}", crate::support::marked(&marker));
}

#[test]
fn a_stopped_agent_was_asked_first_and_killed_then() {
    let fleet = Fleet::up(
        "agents:
  - { id: one, command: [sh, -c, 'trap \"echo asked\" TERM; echo ready; while :; do sleep 0.05; done'], stop_grace: 1s }
  - { id: two, command: [sleep, '1000'] }
",
    );
    fleet.logs("one", "ready");
    assert_eq!(fleet.ask(&["stop", "one"]).code(), Some(0));
    fleet.until("one", |status| status["phase"] != "running");
    let one = fleet.phase("one", "stopped");
    assert_eq!(one["last_exit"], 137, "{one}");
    assert!(fleet.ask(&["logs", "one"]).good().contains("asked"));
}

#[test]
fn a_limit_that_ended_an_agent_is_shown() {
    let fleet = Fleet::up(
        "agents: [{ id: one, command: [sleep, '1000'], limits: { timeout: 1s } }, { id: two, command: [sleep, '1000'] }]\n",
    );
    let one = fleet.phase("one", "stopped");
    assert_eq!(one["problem"], "ended by its timeout limit");
}

#[test]
fn logs_are_rotated_and_bounded() {
    // 26 MB of output: more than two files of 10 MiB.
    let fleet = Fleet::up(
        "agents: [{ id: one, command: [sh, -c, 'yes 0123456789abcde | head -c 26000000; echo end'] }, { id: two, command: [sleep, '1000'] }]\n",
    );
    fleet.phase("one", "stopped");
    fleet.logs("one", "end");
    let size = |name: &str| std::fs::metadata(fleet.host.path(name)).map_or(0, |metadata| metadata.len());
    let (now, before) = (size("state/logs/one.log"), size("state/logs/one.log.1"));
    let bound = (10 << 20) + (64 << 10);
    assert!(now > 0 && now <= bound, "{now}");
    assert!((10 << 20..=bound).contains(&before), "{before}");
    assert!(now + before < 26_000_000);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(fleet.host.path("state/logs/one.log")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn logs_of_earlier_runs_are_kept() {
    let fleet = Fleet::up("agents: [{ id: one, command: [echo, first] }]\n");
    let (host, done) = fleet.end();
    assert_eq!(done.code(), Some(0));
    let without_fleet = host.nanoclaw(["logs", "one"]);
    assert_eq!(without_fleet.code(), Some(125));
    let place = format!("what `one` wrote before is in `{}`", host.at("state/logs/one.log"));
    assert!(without_fleet.stderr.contains(&place), "{without_fleet:?}");
    let fleet =
        Fleet::up_on(host, "agents: [{ id: one, command: [echo, second] }, { id: two, command: [sleep, '1000'] }]\n");
    fleet.phase("one", "stopped");
    fleet.logs("one", "second");
    assert_eq!(fleet.ask(&["logs", "one"]).good(), "first\nsecond\n");
}

#[test]
fn agents_are_apart() {
    let fleet = Fleet::up(
        "agents:
  - { id: one, command: [sh, -c, 'echo secret-of-one > /tmp/file; exec sleep 1000'] }
  - { id: two, command: [sleep, '1000'] }
",
    );
    fleet.phase("one", "running");
    fleet.phase("two", "running");
    let done = fleet.ask(&["exec", "two", "--", "sh", "-c", "cat /tmp/file; ls /proc | grep -c '^[0-9]'; cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep NANOCLAW_CELL | sort -u"]);
    assert!(done.text().ends_with("NANOCLAW_CELL=two\n") && !done.text().contains("secret"), "{done:?}");
    let launcher = fleet.launcher();
    let users: Vec<u32> = children(launcher)
        .iter()
        .map(|init| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{init}")).unwrap()))
        .collect();
    assert_eq!(users.len(), 2);
    if Host::root().is_some() {
        let status = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let uid = |pid: &i32| status(pid).lines().find(|line| line.starts_with("Uid:")).unwrap().to_owned();
        let inits = children(launcher);
        assert_ne!(uid(&inits[0]), uid(&inits[1]), "each cell is another user on the host");
    }
}
