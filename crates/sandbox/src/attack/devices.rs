//! The kernel's own files: /proc, /sys, /dev, control groups.

use std::fs;

use rustix::fs::{CWD, FileType, Mode as Bits};

use super::Stopped::{Absent, Errno};
use super::attempt::{Attempt, absent_unless, each, given, open_for_read, open_for_write};
use super::{Attack, Context, Control, Outcome, Scope, Seen};

/// Kernel settings that hold for the whole machine or that run a program of the attacker's choice.
const SETTINGS: [&str; 7] = [
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/memfd_noexec",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv4/ip_unprivileged_port_start",
    "/proc/irq/default_smp_affinity",
];

const DEVICES: [&str; 14] = [
    "/dev/mem",
    "/dev/kmem",
    "/dev/port",
    "/dev/kmsg",
    "/dev/kvm",
    "/dev/fuse",
    "/dev/console",
    "/dev/tty0",
    "/dev/sda",
    "/dev/vda",
    "/dev/nvme0n1",
    "/dev/loop-control",
    "/dev/net/tun",
    "/dev/vhost-vsock",
];

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "open-core-pattern",
        what: "set the program that the host runs, as root, for every crash",
        reference: "srt as root: the write was accepted",
        expect: &[Errno(libc::EROFS)],
        layer: "masked /proc",
        scope: Scope::Everywhere,
        run: |_| open_for_write("/proc/sys/kernel/core_pattern"),
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    Attack {
        name: "open-module-loader-path",
        what: "set the program that the host runs, as root, to load a module",
        reference: "inspect_evals PR 754",
        // A kernel without modules has no such file.
        expect: &[Errno(libc::EROFS), Errno(libc::ENOENT)],
        layer: "masked /proc",
        scope: Scope::Everywhere,
        run: |_| open_for_write("/proc/sys/kernel/modprobe"),
        control: Control::Inside(proc_is_readable),
    },
    Attack {
        name: "open-kernel-settings",
        what: "open kernel settings for writing",
        reference: "",
        expect: &[Errno(libc::EROFS)],
        layer: "masked /proc",
        scope: Scope::Everywhere,
        run: |_| each(SETTINGS, open_for_write),
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    Attack {
        name: "open-sysrq-trigger",
        what: "open the file that crashes or restarts the host",
        reference: "CVE-2025-31133 class",
        // A kernel without the key has no such file.
        expect: &[Errno(libc::EROFS), Errno(libc::ENOENT)],
        layer: "masked /proc",
        scope: Scope::Everywhere,
        run: |_| open_for_write("/proc/sysrq-trigger"),
        control: Control::Inside(proc_is_readable),
    },
    Attack {
        name: "read-kernel-memory",
        what: "read the kernel's memory through /proc/kcore",
        reference: "",
        expect: &[Absent],
        layer: "masked /proc",
        scope: Scope::Everywhere,
        run: |_| nothing_to_read("/proc/kcore"),
        control: Control::Inside(proc_is_readable),
    },
    Attack {
        name: "read-kernel-log",
        what: "read the host's kernel log through /proc/kmsg",
        reference: "",
        expect: &[Absent],
        layer: "masked /proc",
        scope: Scope::Everywhere,
        run: |_| nothing_to_read("/proc/kmsg"),
        control: Control::Inside(proc_is_readable),
    },
    Attack {
        name: "read-kernel-addresses",
        what: "read the kernel's symbol table with addresses",
        reference: "",
        expect: &[Absent],
        layer: "masked /proc",
        scope: Scope::Everywhere,
        run: |_| match fs::read_to_string("/proc/kallsyms") {
            Ok(table) => {
                let real = table.lines().find(|line| !line.starts_with("0000000000000000"));
                absent_unless(real.map(ToOwned::to_owned).into_iter().collect())
            }
            Err(_) => Outcome::Stopped(Absent),
        },
        control: Control::Inside(proc_is_readable),
    },
    Attack {
        name: "read-masked-proc-files",
        what: "read keys, timers, memory maps and interrupt counts of the host",
        reference: "CVE-2025-31133 (masked paths)",
        expect: &[Absent],
        layer: "masked /proc",
        scope: Scope::Everywhere,
        run: |_| {
            let files =
                ["keys", "timer_list", "sched_debug", "latency_stats", "kpagecount", "kpageflags", "kpagecgroup"];
            each(files, |name| nothing_to_read(&format!("/proc/{name}")))
        },
        control: Control::Inside(proc_is_readable),
    },
    Attack {
        name: "list-masked-proc-directories",
        what: "list hardware and drivers of the host through /proc",
        reference: "CVE-2025-52565 (masked paths)",
        expect: &[Absent],
        layer: "masked /proc",
        scope: Scope::Everywhere,
        run: |_| {
            each(["acpi", "scsi", "asound"], |name| match fs::read_dir(format!("/proc/{name}")) {
                Ok(listing) => absent_unless(listing.flatten().map(|e| e.path().display().to_string()).collect()),
                Err(_) => Outcome::Stopped(Absent),
            })
        },
        control: Control::Inside(proc_is_readable),
    },
    Attack {
        name: "see-sysfs",
        what: "read and write devices and kernel objects through /sys",
        reference: "inspect_evals PR 754 (uevent_helper)",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |_| each(["/sys/kernel/uevent_helper", "/sys/class/net", "/sys/firmware", "/sys/module"], open_for_read),
        control: Control::Inside(proc_is_readable),
    },
    Attack {
        name: "register-binary-format",
        what: "register an interpreter that the host would run",
        reference: "inspect_evals PR 754 (binfmt_misc)",
        expect: &[Errno(libc::ENOENT)],
        layer: "masked /proc",
        scope: Scope::Everywhere,
        run: |_| open_for_write("/proc/sys/fs/binfmt_misc/register"),
        control: Control::Inside(proc_is_readable),
    },
    Attack {
        name: "control-group-release-agent",
        what: "set the program that the host runs when a control group becomes empty, or leave one's own group",
        reference: "CVE-2022-0492; inspect_evals PR 754",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |_| {
            let places = ["", "/memory", "/pids", "/unified"];
            let files = ["release_agent", "cgroup.procs", "cgroup.subtree_control"];
            let all = places.into_iter().flat_map(|p| files.map(|f| format!("/sys/fs/cgroup{p}/{f}")));
            each(all, open_for_write)
        },
        control: Control::Inside(proc_is_readable),
    },
    Attack {
        name: "read-control-group-path",
        what: "learn the host's names of containers from /proc/self/cgroup",
        reference: "",
        expect: &[Absent],
        layer: "cgroup namespace",
        scope: Scope::Everywhere,
        run: |_| {
            given("read /proc/self/cgroup", fs::read_to_string("/proc/self/cgroup"), |table| {
                // hierarchy:controllers:path (cgroups(7)); in a namespace of its own the path is the root.
                let named = table.lines().filter(|line| !line.ends_with(":/"));
                absent_unless(named.map(ToOwned::to_owned).collect())
            })
        },
        control: Control::Inside(proc_is_readable),
    },
    Attack {
        name: "make-character-device",
        what: "make a device node for the kernel's memory",
        reference: "",
        expect: &[Errno(libc::EPERM)],
        layer: "capabilities",
        scope: Scope::Everywhere,
        run: |c| make_node(c, FileType::CharacterDevice),
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    Attack {
        name: "make-block-device",
        what: "make a device node for the host's disk",
        reference: "",
        expect: &[Errno(libc::EPERM)],
        layer: "capabilities",
        scope: Scope::Everywhere,
        run: |c| make_node(c, FileType::BlockDevice),
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    Attack {
        name: "open-host-devices",
        what: "open memory, disks, terminals and virtual machines of the host",
        reference: "",
        expect: &[Errno(libc::ENOENT)],
        layer: "minimal /dev",
        scope: Scope::Everywhere,
        run: |_| each(DEVICES, open_for_read),
        control: Control::Inside(|_| super::attempt::must_succeed(&open_for_read("/dev/zero"))),
    },
    Attack {
        name: "extra-device-nodes",
        what: "find a device in /dev beyond the harmless ones",
        reference: "",
        expect: &[Absent],
        layer: "minimal /dev",
        scope: Scope::Everywhere,
        run: |_| {
            use std::os::unix::fs::FileTypeExt;
            given("list /dev", fs::read_dir("/dev"), |listing| {
                let devices = listing.flatten().filter(|entry| {
                    entry.file_type().is_ok_and(|kind| kind.is_char_device() || kind.is_block_device())
                });
                let extra = devices.map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| {
                    !["null", "zero", "full", "random", "urandom", "tty", "ptmx"].contains(&name.as_str())
                });
                absent_unless(extra.collect())
            })
        },
        control: Control::Inside(|_| super::attempt::must_succeed(&open_for_read("/dev/urandom"))),
    },
    Attack {
        name: "create-in-dev",
        what: "plant a file in /dev",
        reference: "CVE-2025-52881 class",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |_| fs::File::create("/dev/nanoclaw-attack").outcome(),
        control: Control::Inside(super::attempt::workspace_is_writable),
    },
    Attack {
        name: "replace-null-device",
        what: "replace /dev/null, which hides files when it is mounted over them",
        reference: "CVE-2025-31133",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |_| fs::remove_file("/dev/null").outcome(),
        control: Control::Inside(super::attempt::workspace_is_writable),
    },
];

/// `Absent` where a file is missing, refused or empty.
fn nothing_to_read(path: &str) -> Outcome {
    use std::io::Read;
    let mut first = [0; 64];
    // O_NONBLOCK: the kernel log blocks its reader where there is nothing new.
    let opened = {
        use std::os::unix::fs::OpenOptionsExt;
        fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
    };
    match opened.and_then(|mut file| file.read(&mut first)) {
        Ok(0) | Err(_) => Outcome::Stopped(Absent),
        Ok(count) => Outcome::Succeeded(format!("read {count} bytes of {path}")),
    }
}

fn proc_is_readable(_: &Context) -> Result<(), String> {
    match fs::read_to_string("/proc/self/status") {
        Ok(status) if status.contains("Pid:") => Ok(()),
        Ok(_) => Err("/proc/self/status is not what it should be".to_owned()),
        Err(error) => Err(format!("/proc/self/status: {error}")),
    }
}

fn make_node(context: &Context, kind: FileType) -> Outcome {
    let path = context.scratch("node");
    // 1:1 is /dev/mem, 7:0 the first loop device; a node that was made is not opened.
    let device = if kind == FileType::BlockDevice { rustix::fs::makedev(7, 0) } else { rustix::fs::makedev(1, 1) };
    let outcome = rustix::fs::mknodat(CWD, &path, kind, Bits::from_raw_mode(0o600), device).outcome();
    let _ = fs::remove_file(path);
    outcome
}
