//! Control groups v1 on this host, for real: limits that bite, usage that is counted, groups that go away.
//!
//! These need root and v1 hierarchies; without them each test says loudly that it was skipped.

#![expect(clippy::unwrap_used, reason = "a failed test is a panic")]

#[path = "support/child.rs"]
mod child;

use child::{Child, become_plain, signal, wait};
use nanoclaw_sandbox::cgroup::{Cgroup, Limits, Support, detect, sweep};
use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::Path;

/// This host's support, if it is v1 and all limits can be enforced.
fn v1(test: &str) -> Option<Support> {
    let support = here(|_| true);
    let enforced = support.enforced();
    if matches!(support, Support::V1(_)) && enforced.memory && enforced.cpu && enforced.pids {
        return Some(support);
    }
    eprintln!("SKIPPED {test}: this needs root and cgroup v1; here: {support}");
    None
}

/// This host's support by those lines of mountinfo that are wanted.
fn here(wanted: impl Fn(&str) -> bool) -> Support {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mountinfo: String = mountinfo.lines().filter(|line| wanted(line)).map(|line| format!("{line}\n")).collect();
    detect(&mountinfo, &fs::read_to_string("/proc/self/cgroup").unwrap(), Path::new("/"))
}

/// A name that no other process uses.
fn name(test: &str) -> String {
    format!("test-{test}-{}", std::process::id())
}

/// Forks a child that waits until it is in the group, and then runs `inside`.
fn child_in(group: &Cgroup, inside: impl FnOnce()) -> Child {
    let mut child = Child::start(|stream| {
        wait(stream);
        inside();
    });
    group.add(child.pid).unwrap();
    signal(&mut child.stream);
    child
}

fn killed(status: i32) -> bool {
    libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL
}

#[test]
fn more_memory_than_the_limit_ends_in_a_kill() {
    let Some(support) = v1("more_memory_than_the_limit_ends_in_a_kill") else { return };
    let limits = Limits { memory_bytes: Some(32 << 20), ..Limits::default() };
    let group = Cgroup::create(&support, &name("memory"), &limits).unwrap();
    let allocate = |bytes: usize| std::hint::black_box(vec![1_u8; bytes]).len();
    let mut modest = child_in(&group, || {
        allocate(8 << 20);
    });
    modest.end();
    assert_eq!(group.usage().oom_kills, Some(0));
    let mut greedy = child_in(&group, || {
        allocate(256 << 20);
    });
    assert!(killed(greedy.wait()));
    let usage = group.usage();
    assert_eq!(usage.oom_kills, Some(1));
    let peak = usage.memory_peak_bytes.unwrap();
    assert!((8 << 20..=32 << 20).contains(&peak), "{peak}");
    group.remove().unwrap();
}

#[test]
fn more_processes_than_the_limit_are_refused() {
    let Some(support) = v1("more_processes_than_the_limit_are_refused") else { return };
    let limits = Limits { pids: Some(4), ..Limits::default() };
    let group = Cgroup::create(&support, &name("pids"), &limits).unwrap();
    let mut child = child_in(&group, || {
        let spawn = || std::process::Command::new("sleep").arg("60").spawn();
        let mut three: Vec<_> = (0..3).map(|_| spawn().unwrap()).collect();
        assert_eq!(spawn().unwrap_err().raw_os_error(), Some(libc::EAGAIN));
        for sleeper in &mut three {
            sleeper.kill().unwrap();
            sleeper.wait().unwrap();
        }
        spawn().unwrap().kill().unwrap();
    });
    child.end();
    assert_eq!(group.usage().pids_refused, Some(1));
    group.kill_all().unwrap();
    group.remove().unwrap();
}

#[test]
fn cpu_time_is_counted_and_rationed() {
    let Some(support) = v1("cpu_time_is_counted_and_rationed") else { return };
    let limits = Limits { cpu_millis: Some(100), ..Limits::default() };
    let name = name("cpu");
    let group = Cgroup::create(&support, &name, &limits).unwrap();
    assert_eq!(group.usage().cpu_us, Some(0));
    let mut busy = child_in(&group, || {
        let cpu = || rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        while cpu().tv_nsec < 300_000_000 && cpu().tv_sec == 0 {}
    });
    busy.end();
    let used = group.usage().cpu_us.unwrap();
    assert!((250_000..3_000_000).contains(&used), "{used}");
    let stat = fs::read_to_string(format!("/sys/fs/cgroup/cpu/nanoclaw/{name}/cpu.stat")).unwrap();
    let throttled = stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")).unwrap();
    assert!(throttled.parse::<u32>().unwrap() >= 1, "300 ms of CPU time cannot be had in one period: {stat}");
    group.remove().unwrap();
}

#[test]
fn bytes_written_to_the_disk_are_counted() {
    let Some(support) = v1("bytes_written_to_the_disk_are_counted") else { return };
    if !support.enforced().io {
        eprintln!("SKIPPED bytes_written_to_the_disk_are_counted: this kernel counts no I/O of v1 groups");
        return;
    }
    let group = Cgroup::create(&support, &name("io"), &Limits::default()).unwrap();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("file");
    let mut writer = child_in(&group, || {
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        // The group is charged for what its own process writes back.
        file.sync_all().unwrap();
    });
    writer.end();
    let written = group.usage().io_write_bytes.unwrap();
    assert!(written >= 1 << 20, "{written}");
    group.remove().unwrap();
}

/// A child in the group with two children of its own, all of which would stay for a minute.
fn family(group: &Cgroup) -> Child {
    let mut child = Child::start(|stream| {
        wait(stream);
        let spawn = || std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let sleepers = [spawn(), spawn()];
        signal(stream);
        for mut sleeper in sleepers {
            sleeper.wait().unwrap();
        }
    });
    group.add(child.pid).unwrap();
    signal(&mut child.stream);
    wait(&mut child.stream);
    child
}

#[test]
fn everything_in_a_group_is_killed_by_the_unified_hierarchy_the_freezer_or_one_by_one() {
    if v1("everything_in_a_group_is_killed").is_none() {
        return;
    }
    let everything: fn(&str) -> bool = |_| true;
    let ways = [
        ("unified", everything),
        ("freezer", |line| !line.contains(" - cgroup2 ")),
        ("pids", |line| line.ends_with(",pids")),
    ];
    for (way, wanted) in ways {
        let support = here(wanted);
        let name = format!("{}-{way}", name("kill"));
        let group = Cgroup::create(&support, &name, &Limits::default()).unwrap();
        let mut child = family(&group);
        assert_eq!(group.usage().pids_now, Some(3), "{way}");
        group.kill_all().unwrap();
        assert!(killed(child.wait()), "{way}");
        group.remove().unwrap();
        assert!(!Path::new("/sys/fs/cgroup/pids/nanoclaw").join(&name).exists(), "{way}");
    }
}

#[test]
fn what_a_killed_control_plane_left_is_swept_with_its_processes() {
    let Some(support) = v1("what_a_killed_control_plane_left_is_swept_with_its_processes") else { return };
    let name = name("left");
    let group = Cgroup::create(&support, &name, &Limits::default()).unwrap();
    let mut child = family(&group);
    std::mem::forget(group);
    assert_eq!(sweep(&support, |other| other != name).unwrap(), std::slice::from_ref(&name));
    assert!(killed(child.wait()));
    for controller in ["memory", "pids", "cpu", "blkio", "unified"] {
        assert!(!Path::new("/sys/fs/cgroup").join(controller).join("nanoclaw").join(&name).exists(), "{controller}");
    }
}

#[test]
fn a_plain_user_finds_what_was_given_to_it_and_nothing_else() {
    if v1("a_plain_user_finds_what_was_given_to_it_and_nothing_else").is_none() {
        return;
    }
    let given = Path::new("/sys/fs/cgroup/pids").join(format!("given-{}", std::process::id()));
    fs::create_dir(&given).unwrap();
    chown(&given, Some(1000), Some(1000)).unwrap();
    let mut child = Child::start(|stream| {
        wait(stream);
        become_plain();
        let support = here(|_| true);
        let enforced = support.enforced();
        assert!(enforced.pids && !enforced.memory && !enforced.cpu && !enforced.io, "{support}");
        let limits = Limits { pids: Some(1), ..Limits::default() };
        let group = Cgroup::create(&support, "own", &limits).unwrap();
        group.add(std::process::id() as i32).unwrap();
        let error = std::process::Command::new("true").spawn().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
        assert_eq!(group.usage().pids_refused, Some(1));
        let memory = Limits { memory_bytes: Some(1 << 30), ..Limits::default() };
        assert!(Cgroup::create(&support, "own2", &memory).is_err());
        std::mem::forget(group);
    });
    fs::write(given.join("cgroup.procs"), child.pid.to_string()).unwrap();
    signal(&mut child.stream);
    let (failure, status) = (child.failure(), child.wait());
    for directory in ["nanoclaw/own", "nanoclaw", ""] {
        // Without the child in it, each is empty; on a failed test some are not there.
        let _not_there = fs::remove_dir(given.join(directory)).is_err();
    }
    assert_eq!((failure.as_str(), status), ("", 0));
}

#[test]
fn a_plain_user_without_delegation_finds_nothing() {
    if v1("a_plain_user_without_delegation_finds_nothing").is_none() {
        return;
    }
    let mut child = Child::start(|_| {
        become_plain();
        assert!(matches!(here(|_| true), Support::None { .. }));
    });
    child.end();
}
