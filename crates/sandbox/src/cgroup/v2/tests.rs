use super::super::detect::detect_in;
use super::super::fake::Fake;
use super::super::{Cgroup, Support, sweep};
use super::*;

const MOUNTINFO: &str = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
const LIMITS: Limits = Limits { memory_bytes: Some(512 << 20), cpu_millis: Some(1500), pids: Some(128) };

fn root() -> (Arc<Fake>, Support) {
    let (fake, files) = Fake::default().unified("/sys/fs/cgroup", "cpuset cpu io memory pids", "memory pids").shared();
    (fake, detect_in(&files, MOUNTINFO, "0::/\n"))
}

/// A container, whose top group has processes and a parent that is not to be seen.
fn container() -> (Arc<Fake>, Support) {
    let fake = Fake::default().unified("/sys/fs/cgroup", "cpu memory pids", "");
    let (fake, files) = fake.group("/sys/fs/cgroup", &[("cgroup.type", "domain\n")]).shared();
    (fake, detect_in(&files, MOUNTINFO, "0::/\n"))
}

#[test]
fn the_first_group_passes_controllers_on_and_every_group_gets_its_limits() {
    let (fake, support) = root();
    let first = Cgroup::create(&support, "first", &LIMITS).unwrap();
    assert_eq!(
        fake.done(),
        [
            "mkdir /sys/fs/cgroup/nanoclaw",
            "write /sys/fs/cgroup/cgroup.subtree_control +cpu +io",
            "write /sys/fs/cgroup/nanoclaw/cgroup.subtree_control +memory +cpu +pids +io",
            "mkdir /sys/fs/cgroup/nanoclaw/first",
            "write /sys/fs/cgroup/nanoclaw/first/memory.max 536870912",
            "write /sys/fs/cgroup/nanoclaw/first/memory.swap.max 0",
            "write /sys/fs/cgroup/nanoclaw/first/memory.oom.group 1",
            "write /sys/fs/cgroup/nanoclaw/first/cpu.max 150000 100000",
            "write /sys/fs/cgroup/nanoclaw/first/pids.max 128",
        ]
    );
    first.add(77).unwrap();
    first.kill_all().unwrap();
    first.remove().unwrap();
    assert_eq!(
        fake.done(),
        [
            "write /sys/fs/cgroup/nanoclaw/first/cgroup.procs 77",
            "write /sys/fs/cgroup/nanoclaw/first/cgroup.kill 1",
            "rmdir /sys/fs/cgroup/nanoclaw/first",
        ]
    );
    let _second = Cgroup::create(&support, "second", &Limits::default()).unwrap();
    assert_eq!(fake.done(), ["mkdir /sys/fs/cgroup/nanoclaw/second"]);
}

#[test]
fn processes_of_the_place_move_to_a_leaf_before_it_passes_controllers_on() {
    let (fake, support) = container();
    let _group = Cgroup::create(&support, "a", &Limits::default()).unwrap();
    assert_eq!(
        fake.done(),
        [
            "mkdir /sys/fs/cgroup/nanoclaw",
            "mkdir /sys/fs/cgroup/nanoclaw-supervisor",
            "write /sys/fs/cgroup/nanoclaw-supervisor/cgroup.procs 1",
            "write /sys/fs/cgroup/nanoclaw-supervisor/cgroup.procs 2",
            "write /sys/fs/cgroup/cgroup.subtree_control +memory +cpu +pids",
            "write /sys/fs/cgroup/nanoclaw/cgroup.subtree_control +memory +cpu +pids",
            "mkdir /sys/fs/cgroup/nanoclaw/a",
        ]
    );
}

#[test]
fn a_limit_without_its_controller_is_an_error_and_nothing_is_made() {
    let (fake, files) = Fake::default().unified("/sys/fs/cgroup", "memory", "").shared();
    let support = detect_in(&files, MOUNTINFO, "0::/\n");
    let error = Cgroup::create(&support, "a", &LIMITS).unwrap_err();
    assert_eq!(
        error.to_string(),
        "this host enforces no limit of cpu; delegate the `cpu` controller to this user, or run as root"
    );
    assert_eq!(fake.done(), Vec::<String>::new());
}

#[test]
fn a_group_whose_limits_cannot_be_set_is_removed() {
    let (fake, support) = root();
    drop(Cgroup::create(&support, "first", &Limits::default()).unwrap());
    // As if somebody else had taken the controllers back, but for what was read of it.
    fake.forget_controllers("/sys/fs/cgroup/nanoclaw");
    fake.done();
    assert!(Cgroup::create(&support, "a", &LIMITS).is_err());
    assert_eq!(fake.done(), ["mkdir /sys/fs/cgroup/nanoclaw/a", "rmdir /sys/fs/cgroup/nanoclaw/a"]);
}

#[test]
fn a_name_that_is_taken_is_an_error_and_the_other_group_stays() {
    let (fake, support) = root();
    let _first = Cgroup::create(&support, "a", &Limits::default()).unwrap();
    fake.done();
    assert_eq!(
        Cgroup::create(&support, "a", &Limits::default()).unwrap_err().to_string(),
        "cannot create `/sys/fs/cgroup/nanoclaw/a`: entity already exists; a cell of this name is running, or its \
         group is to be swept"
    );
    assert_eq!(fake.done(), Vec::<String>::new());
}

#[test]
fn a_kernel_without_swap_accounting_still_limits_memory() {
    let (fake, support) = root();
    let group = Cgroup::create(&support, "a", &Limits::default()).unwrap();
    fake.lose("/sys/fs/cgroup/nanoclaw/a/memory.swap.max");
    let Support::V2(place) = &support else { panic!("not v2") };
    fake.done();
    place.limit("a", &Limits { memory_bytes: Some(4096), ..Limits::default() }).unwrap();
    assert_eq!(
        fake.done(),
        ["write /sys/fs/cgroup/nanoclaw/a/memory.max 4096", "write /sys/fs/cgroup/nanoclaw/a/memory.oom.group 1",]
    );
    drop(group);
}

#[test]
fn usage_is_read_from_the_kernels_formats() {
    let (fake, support) = root();
    let group = Cgroup::create(&support, "a", &LIMITS).unwrap();
    assert_eq!(group.usage().cpu_us, None, "what is not there is not zero");
    for (file, text) in [
        ("cpu.stat", "usage_usec 1234567\nuser_usec 1\nsystem_usec 2\n"),
        ("memory.peak", "2000\n"),
        ("memory.current", "1000\n"),
        ("memory.events", "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 1\n"),
        ("pids.current", "5\n"),
        ("pids.events", "max 6\n"),
        ("io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n259:0 rbytes=1 wbytes=2\n"),
    ] {
        fake.set(&format!("/sys/fs/cgroup/nanoclaw/a/{file}"), text);
    }
    let expected = Usage {
        cpu_us: Some(1_234_567),
        memory_peak_bytes: Some(2000),
        memory_now_bytes: Some(1000),
        pids_now: Some(5),
        io_read_bytes: Some(11),
        io_write_bytes: Some(22),
        oom_kills: Some(3),
        pids_refused: Some(6),
    };
    assert_eq!(group.usage(), expected);
}

#[test]
fn sweeping_kills_and_removes_what_nobody_looks_after() {
    let (fake, support) = root();
    for name in ["dead", "alive"] {
        std::mem::forget(Cgroup::create(&support, name, &Limits::default()).unwrap());
    }
    fake.done();
    assert_eq!(sweep(&support, |name| name == "alive").unwrap(), ["dead"]);
    assert_eq!(fake.done(), ["write /sys/fs/cgroup/nanoclaw/dead/cgroup.kill 1", "rmdir /sys/fs/cgroup/nanoclaw/dead"]);
}

#[test]
fn sweeping_where_there_never_was_a_cell_does_nothing() {
    let (fake, support) = root();
    assert_eq!(sweep(&support, |_| false).unwrap(), Vec::<String>::new());
    assert_eq!(fake.done(), Vec::<String>::new());
}
