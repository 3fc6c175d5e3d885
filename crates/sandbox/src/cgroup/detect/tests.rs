use super::super::Enforced;
use super::super::fake::Fake;
use super::*;

const V2: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
";
const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer
38 31 0:35 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio
39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

fn hybrid() -> Fake {
    ["cpu,cpuacct", "memory", "freezer", "blkio", "pids"]
        .iter()
        .fold(Fake::default(), |fake, name| fake.group(&format!("/sys/fs/cgroup/{name}"), &[]))
        .group("/sys/fs/cgroup/blkio", &[("blkio.throttle.io_service_bytes", "8:0 Read 1\nTotal 1\n")])
        .unified("/sys/fs/cgroup/unified", "hugetlb", "")
}

fn found(fake: Fake, mountinfo: &str, membership: &str) -> Support {
    detect_in(&fake.shared().1, mountinfo, membership)
}

#[test]
fn root_uses_the_top_of_the_unified_hierarchy() {
    let fake = Fake::default().unified("/sys/fs/cgroup", "cpuset cpu io memory pids", "cpu memory");
    let support = found(fake, V2, "0::/user.slice/user-0.slice/session-1.scope\n");
    assert_eq!(support.to_string(), "cgroup v2: memory, cpu, pids, io in /sys/fs/cgroup");
    assert_eq!(support.enforced(), Enforced { memory: true, cpu: true, pids: true, io: true });
}

#[test]
fn a_plain_user_uses_a_group_that_was_delegated() {
    let own = "/sys/fs/cgroup/user.slice/run.scope";
    let own_files = [("cgroup.controllers", "memory pids"), ("cgroup.subtree_control", ""), ("cgroup.procs", "7\n")];
    let fake =
        Fake::default().unified("/sys/fs/cgroup", "cpu io memory pids", "cpu memory pids").group(own, &own_files);
    let delegated = [own.to_owned(), format!("{own}/cgroup.procs"), format!("{own}/cgroup.subtree_control")];
    let fake = fake.only_writable(&delegated.each_ref().map(String::as_str));
    let support = found(fake, V2, "0::/user.slice/run.scope\n");
    assert_eq!(support.to_string(), format!("cgroup v2: memory, pids in {own}"));
    assert_eq!(support.enforced(), Enforced { memory: true, cpu: false, pids: true, io: false });
}

#[test]
fn a_process_that_was_moved_to_the_leaf_finds_the_place_again() {
    let own = "/sys/fs/cgroup/run.scope";
    let files = [("cgroup.controllers", "memory"), ("cgroup.subtree_control", "memory"), ("cgroup.procs", "")];
    let fake = Fake::default().unified("/sys/fs/cgroup", "memory", "memory").group(own, &files);
    let delegated = [own.to_owned(), format!("{own}/cgroup.procs"), format!("{own}/cgroup.subtree_control")];
    let fake = fake.only_writable(&delegated.each_ref().map(String::as_str));
    let support = found(fake, V2, "0::/run.scope/nanoclaw-supervisor\n");
    assert_eq!(support.to_string(), format!("cgroup v2: memory in {own}"));
}

#[test]
fn a_directory_without_its_control_files_is_not_delegated() {
    let own = "/sys/fs/cgroup/run.scope";
    let files = [("cgroup.controllers", "memory"), ("cgroup.subtree_control", ""), ("cgroup.procs", "7\n")];
    let fake = Fake::default().unified("/sys/fs/cgroup", "memory", "memory").group(own, &files).only_writable(&[own]);
    let Support::None { why } = found(fake, V2, "0::/run.scope\n") else { panic!("found a place") };
    assert_eq!(
        why,
        "this user may not make control groups here; run as root, or under `systemd-run --user --scope -p \
         Delegate=yes`, or let root give the directory of the present group in each hierarchy to this user"
    );
}

#[test]
fn a_hybrid_host_limits_by_v1_and_counts_and_kills_by_v2() {
    let support = found(hybrid(), HYBRID, "0::/\n");
    assert_eq!(
        support.to_string(),
        "cgroup v1: cpu and cpuacct in /sys/fs/cgroup/cpu,cpuacct, memory in /sys/fs/cgroup/memory, blkio in \
         /sys/fs/cgroup/blkio, pids in /sys/fs/cgroup/pids, kill in /sys/fs/cgroup/unified"
    );
    assert_eq!(support.enforced(), Enforced { memory: true, cpu: true, pids: true, io: true });
}

#[test]
fn without_a_unified_hierarchy_the_freezer_is_used() {
    let mountinfo: String =
        HYBRID.lines().filter(|line| !line.contains("cgroup2")).map(|line| format!("{line}\n")).collect();
    let support = found(hybrid(), &mountinfo, "");
    assert_eq!(
        support.to_string(),
        "cgroup v1: cpu and cpuacct in /sys/fs/cgroup/cpu,cpuacct, memory in /sys/fs/cgroup/memory, freezer in \
         /sys/fs/cgroup/freezer, blkio in /sys/fs/cgroup/blkio, pids in /sys/fs/cgroup/pids"
    );
}

#[test]
fn a_plain_user_gets_the_v1_controllers_that_were_given_to_it_and_no_others() {
    let fake = hybrid().group("/sys/fs/cgroup/memory/mine", &[]).group("/sys/fs/cgroup/pids/mine", &[]);
    let fake = fake.only_writable(&["/sys/fs/cgroup/memory/mine"]);
    let support = found(fake, HYBRID, "8:pids:/mine\n4:memory:/mine\n1:cpu,cpuacct:/\n0::/\n");
    assert_eq!(support.to_string(), "cgroup v1: memory in /sys/fs/cgroup/memory/mine");
    assert_eq!(support.enforced(), Enforced { memory: true, cpu: false, pids: false, io: false });
}

#[test]
fn nothing_mounted_is_said() {
    let Support::None { why } = found(Fake::default(), "22 27 0:21 / /proc rw - proc proc rw\n", "0::/\n") else {
        panic!("found a place")
    };
    assert_eq!(why, "no control groups are mounted on this host; mount cgroup2 at /sys/fs/cgroup");
}

#[test]
fn a_mount_shows_only_groups_below_its_top() {
    let line = r"35 31 0:32 /docker/abc /mnt/a\040b rw - cgroup cgroup rw,memory";
    let mount = Mount::parse(line).unwrap();
    assert_eq!(mount.point, Path::new("/mnt/a b"));
    assert_eq!(mount.directory(Path::new("/docker/abc/d")), Some("/mnt/a b/d".into()));
    assert_eq!(mount.directory(Path::new("/docker/abc")), Some("/mnt/a b/".into()));
    assert_eq!(mount.directory(Path::new("/docker/other")), None);
    assert_eq!(mount.directory(Path::new("/docker/abc/../other")), None);
}

#[test]
fn broken_lines_are_passed_over() {
    for line in ["", "1 2 3", "1 2 3 4 5 6 - cgroup", "1 2 3 - cgroup cgroup rw,memory", "x - y"] {
        assert_eq!(Mount::parse(line), None, "{line}");
    }
    assert_eq!(Membership::parse("0"), None);
    assert_eq!(unescaped(r"a\04\999\1"), r"a\04\999\1");
}
