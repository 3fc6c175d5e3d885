use super::super::detect::detect_in;
use super::super::fake::Fake;
use super::super::{Cgroup, Support, sweep};
use super::*;

const MOUNTINFO: &str = "\
32 31 0:29 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory
38 31 0:35 / /cg/blkio rw - cgroup cgroup rw,blkio
39 31 0:36 / /cg/pids rw - cgroup cgroup rw,pids
";
const UNIFIED: &str = "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n";
const LIMITS: Limits = Limits { memory_bytes: Some(1 << 20), cpu_millis: Some(5), pids: Some(16) };

fn host(mountinfo: &str) -> (Arc<Fake>, Support) {
    let (fake, files) = ["cpu,cpuacct", "memory", "blkio", "pids"]
        .iter()
        .fold(Fake::default(), |fake, name| fake.group(&format!("/cg/{name}"), &[]))
        .group("/cg/blkio", &[("blkio.throttle.io_service_bytes", "8:0 Read 1\n8:0 Write 0\n8:0 Total 1\nTotal 1\n")])
        .unified("/cg/unified", "", "")
        .shared();
    (fake, detect_in(&files, mountinfo, "0::/\n"))
}

#[test]
fn a_group_is_one_directory_per_hierarchy() {
    let (fake, support) = host(&format!("{MOUNTINFO}{UNIFIED}"));
    let group = Cgroup::create(&support, "a", &LIMITS).unwrap();
    assert_eq!(
        fake.done(),
        [
            "mkdir /cg/cpu,cpuacct/nanoclaw",
            "mkdir /cg/cpu,cpuacct/nanoclaw/a",
            "mkdir /cg/memory/nanoclaw",
            "mkdir /cg/memory/nanoclaw/a",
            "mkdir /cg/blkio/nanoclaw",
            "mkdir /cg/blkio/nanoclaw/a",
            "mkdir /cg/pids/nanoclaw",
            "mkdir /cg/pids/nanoclaw/a",
            "mkdir /cg/unified/nanoclaw",
            "mkdir /cg/unified/nanoclaw/a",
            "write /cg/memory/nanoclaw/a/memory.limit_in_bytes 1048576",
            "write /cg/memory/nanoclaw/a/memory.memsw.limit_in_bytes 1048576",
            "write /cg/cpu,cpuacct/nanoclaw/a/cpu.cfs_period_us 100000",
            "write /cg/cpu,cpuacct/nanoclaw/a/cpu.cfs_quota_us 1000",
            "write /cg/pids/nanoclaw/a/pids.max 16",
        ]
    );
    group.add(9).unwrap();
    let joined: Vec<_> = fake.done();
    assert_eq!(joined.len(), 5, "{joined:?}");
    group.kill_all().unwrap();
    assert_eq!(fake.done(), ["write /cg/unified/nanoclaw/a/cgroup.kill 1"]);
    drop(group);
    assert_eq!(
        fake.done(),
        [
            "rmdir /cg/unified/nanoclaw/a",
            "rmdir /cg/pids/nanoclaw/a",
            "rmdir /cg/blkio/nanoclaw/a",
            "rmdir /cg/memory/nanoclaw/a",
            "rmdir /cg/cpu,cpuacct/nanoclaw/a",
        ]
    );
}

#[test]
fn where_swap_is_not_counted_it_is_not_used() {
    let (fake, support) = host(MOUNTINFO);
    let group = Cgroup::create(&support, "a", &Limits::default()).unwrap();
    fake.lose("/cg/memory/nanoclaw/a/memory.memsw.limit_in_bytes");
    fake.done();
    let Support::V1(places) = &support else { panic!("not v1") };
    places.limit("a", &Limits { memory_bytes: Some(4096), ..Limits::default() }).unwrap();
    assert_eq!(
        fake.done(),
        ["write /cg/memory/nanoclaw/a/memory.limit_in_bytes 4096", "write /cg/memory/nanoclaw/a/memory.swappiness 0",]
    );
    drop(group);
}

#[test]
fn usage_is_read_from_the_kernels_formats() {
    let (fake, support) = host(MOUNTINFO);
    let group = Cgroup::create(&support, "a", &LIMITS).unwrap();
    for (file, text) in [
        ("cpu,cpuacct/nanoclaw/a/cpuacct.usage", "1234567999\n"),
        ("memory/nanoclaw/a/memory.max_usage_in_bytes", "2000\n"),
        ("memory/nanoclaw/a/memory.usage_in_bytes", "1000\n"),
        ("memory/nanoclaw/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        ("pids/nanoclaw/a/pids.current", "5\n"),
        ("pids/nanoclaw/a/pids.events", "max 6\n"),
        (
            "blkio/nanoclaw/a/blkio.throttle.io_service_bytes",
            "8:0 Read 10\n8:0 Write 20\n8:0 Sync 30\n8:0 Total 30\n259:0 Read 1\n259:0 Write 2\nTotal 33\n",
        ),
    ] {
        fake.set(&format!("/cg/{file}"), text);
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
fn a_group_that_was_made_in_some_hierarchies_only_is_swept() {
    let (fake, support) = host(MOUNTINFO);
    std::mem::forget(Cgroup::create(&support, "half", &Limits::default()).unwrap());
    let Support::V1(places) = &support else { panic!("not v1") };
    places.files.remove(Path::new("/cg/memory/nanoclaw/half")).unwrap();
    fake.done();
    assert_eq!(sweep(&support, |_| false).unwrap(), ["half"]);
    assert_eq!(
        fake.done(),
        ["rmdir /cg/pids/nanoclaw/half", "rmdir /cg/blkio/nanoclaw/half", "rmdir /cg/cpu,cpuacct/nanoclaw/half",]
    );
}

#[test]
fn where_the_kernel_counts_no_io_none_is_reported() {
    let (fake, files) = Fake::default()
        .group("/cg/memory", &[])
        .group("/cg/blkio", &[("blkio.throttle.io_service_bytes", "Total 0\n")])
        .shared();
    let support = detect_in(&files, MOUNTINFO, "0::/\n");
    assert!(!support.enforced().io);
    let group = Cgroup::create(&support, "a", &Limits::default()).unwrap();
    assert_eq!(fake.done(), ["mkdir /cg/memory/nanoclaw", "mkdir /cg/memory/nanoclaw/a"]);
    assert_eq!((group.usage().io_read_bytes, group.usage().io_write_bytes), (None, None));
}
