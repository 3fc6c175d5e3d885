//! From a [`CellSpec`] and what is known of the host to a [`LaunchPlan`]: everything that will be done, as data.
//!
//! Planning is pure. It can be compared whole in tests, printed, and sent to the launcher; applying it is the only
//! part with effects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nanoclaw_config::{Limits, MountMode, Rootfs, SandboxMode};
use serde::{Deserialize, Serialize};

use crate::spec::{CellSpec, TerminalSize};
use crate::{cgroup, net};

/// The user and group inside every cell.
pub const CELL_ID: u32 = 1000;

/// What planning needs to know of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// What stands in the root of the chosen root file system, sorted by name.
    pub root_entries: Vec<RootEntry>,
    /// Which of [`ETC_SHARED`] exist on the host.
    pub etc_shared: Vec<String>,
    /// The shared libraries that NanoClaw's own binary runs with, the loader among them; only for a minimal root.
    pub own_libraries: Vec<PathBuf>,
    /// Which limits a control group can enforce here.
    pub enforced: Enforced,
    /// Whether the kernel has IPv6.
    pub ipv6: bool,
}

/// Which limits a control group can enforce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// Memory and swap.
    pub memory: bool,
    /// CPU time.
    pub cpu: bool,
    /// Processes and threads.
    pub pids: bool,
}

/// One entry of a root directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootEntry {
    /// Its name, without `/`.
    pub name: String,
    /// Where it points, if it is a symbolic link; otherwise it is a directory.
    pub link: Option<String>,
}

/// Files of the host's `/etc` that programs need and that hold no secret, besides the generated ones.
pub const ETC_SHARED: [&str; 7] =
    ["ld.so.cache", "ssl/certs", "ssl/openssl.cnf", "ca-certificates", "pki/tls/certs", "alternatives", "mime.types"];

/// How much later than the control group the limit of processes per user bites.
const SPARE_PROCESSES: u64 = 16;

/// How much private writable memory a process may map, in multiples of the memory limit, where only processes can be
/// limited. Runtimes that compile at run time map far more than they use: V8 needs 5 GiB.
const DATA_PER_MEMORY: u64 = 8;

/// Where the loader stands, by the psABI of the architecture.
#[cfg(target_arch = "x86_64")]
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
#[cfg(target_arch = "aarch64")]
const LOADER: &str = "/lib/ld-linux-aarch64.so.1";

/// Directories of the host that `rootfs: host` shows.
const HOST_ROOT: [&str; 8] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin", "usr", "nix"];
/// Names in a root directory that the cell gets its own of.
const OWN: [&str; 8] = ["proc", "sys", "dev", "tmp", "run", "etc", "workspace", "data"];

/// Everything that starting a cell will do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// The cell's name.
    pub id: String,
    /// How the root is put together, in order.
    pub root: Vec<RootStep>,
    /// What Landlock will allow on top of reading.
    pub landlock: LandlockPlan,
    /// Resource limits of every process (getrlimit(2)).
    pub process_limits: ProcessLimits,
    /// Limits of the whole cell.
    pub cgroup: cgroup::Limits,
    /// The network.
    pub net: net::NetPlan,
    /// Which seccomp profile.
    pub mode: SandboxMode,
    /// The command.
    pub program: Program,
}

/// One step of putting the root together. Paths are absolute, inside the cell unless named `source`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootStep {
    /// Write a file that the root user would own.
    File {
        /// Where.
        path: PathBuf,
        /// Its text.
        text: String,
    },
    /// Make a symbolic link.
    Link {
        /// Where.
        path: PathBuf,
        /// Where it points.
        target: String,
    },
    /// Show something of the host.
    Bind(Bind),
    /// Copy NanoClaw's own binary, read-only and executable, to this path.
    OwnBinary(PathBuf),
    /// The cell's own `/proc`.
    Proc,
    /// The cell's own pseudo-terminals on `/dev/pts`.
    Terminals,
    /// The cell's private writable memory on `/tmp`.
    Scratch {
        /// Its size in bytes.
        bytes: u64,
        /// Most files in it.
        inodes: u64,
        /// Whether programs on it cannot be run.
        no_exec: bool,
    },
}

/// One piece of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// In the cell.
    pub target: PathBuf,
    /// Whether the cell may write.
    pub mode: MountMode,
    /// Whether programs on it cannot be run.
    pub no_exec: bool,
    /// What kind of place it is.
    pub kind: BindKind,
}

/// Why something of the host is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BindKind {
    /// Part of the root file system, as the host's other users see it.
    System,
    /// A device node.
    Device,
    /// Asked for in the configuration: checked against the deny list, and its owner appears as the cell's user.
    Asked,
    /// A place of NanoClaw's own state that belongs to this cell; its owner appears as the cell's user.
    Own,
}

/// What Landlock allows on top of reading everything that is in the cell's root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockPlan {
    /// Places whose programs can be run.
    pub execute: Vec<PathBuf>,
    /// Places that can be written.
    pub write: Vec<PathBuf>,
    /// Devices that can be written and controlled.
    pub devices: Vec<PathBuf>,
}

/// Limits of each process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// Open files.
    pub files: u64,
    /// Largest file, in bytes.
    pub file_size: u64,
    /// Processes and threads of the cell's user.
    pub processes: u64,
    /// Private writable memory in bytes, where no control group limits the cell as a whole.
    pub data: Option<u64>,
}

/// The command of a cell, or one more command run in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whole environment.
    pub env: BTreeMap<String, String>,
    /// Directory to start in.
    pub workdir: PathBuf,
    /// A terminal of its own.
    pub terminal: Option<TerminalSize>,
}

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A limit was asked for that nothing here can enforce.
    #[error(
        "the limit `{limit}` was asked for, but no control group of this host can enforce it{}",
        "; run as root, have an administrator delegate a control group (systemd: `Delegate=yes`), or leave the limit out"
    )]
    NotEnforceable {
        /// Which.
        limit: &'static str,
    },
    /// No command.
    #[error("there is no command to run")]
    NoCommand,
}

/// Makes the plan.
pub fn plan(spec: &CellSpec, host: &HostFacts) -> Result<LaunchPlan, PlanError> {
    if spec.command.is_empty() {
        return Err(PlanError::NoCommand);
    }
    for (asked, enforced, limit) in [
        (spec.limits.memory.is_some(), host.enforced.memory, "memory"),
        (spec.limits.cpu_millis.is_some(), host.enforced.cpu, "cpu"),
    ] {
        if asked && !enforced {
            return Err(PlanError::NotEnforceable { limit });
        }
    }
    let limits = spec.limits.or(Limits::DEFAULT);
    let no_exec = spec.mode == SandboxMode::Restricted;
    let memory = limits.memory.unwrap_or(0);
    let disk = limits.disk.unwrap_or(0);
    let pids = limits.pids.unwrap_or(0);
    let root = root_steps(spec, host, disk.min(memory / 2), no_exec);
    Ok(LaunchPlan {
        id: spec.id.to_string(),
        landlock: landlock_plan(&root),
        root,
        process_limits: ProcessLimits {
            files: u64::from(limits.files.unwrap_or(0)),
            file_size: disk,
            // Where a control group counts, it is the one to say no, so that the refusal is counted.
            processes: u64::from(pids) + if host.enforced.pids { SPARE_PROCESSES } else { 0 },
            data: (!host.enforced.memory).then_some(memory.saturating_mul(DATA_PER_MEMORY)),
        },
        cgroup: cgroup::Limits {
            memory_bytes: host.enforced.memory.then_some(memory),
            cpu_millis: host.enforced.cpu.then_some(limits.cpu_millis).flatten(),
            pids: host.enforced.pids.then_some(pids),
        },
        net: net::NetPlan { host_services: spec.host_services.clone(), ipv6: host.ipv6 },
        mode: spec.mode,
        program: Program {
            command: spec.command.clone(),
            env: environment(spec),
            workdir: workdir(spec),
            terminal: spec.terminal,
        },
    })
}

fn root_steps(spec: &CellSpec, host: &HostFacts, scratch: u64, no_exec: bool) -> Vec<RootStep> {
    let mut steps = Vec::new();
    let system = |source: PathBuf, target: PathBuf| {
        RootStep::Bind(Bind { source, target, mode: MountMode::Ro, no_exec: false, kind: BindKind::System })
    };
    let base = match &spec.rootfs {
        Rootfs::Host => Some(Path::new("/")),
        Rootfs::Directory(directory) => Some(directory.as_path()),
        Rootfs::Minimal => None,
    };
    for entry in &host.root_entries {
        let Some(base) = base else { break };
        let wanted = match spec.rootfs {
            Rootfs::Host => HOST_ROOT.contains(&entry.name.as_str()),
            Rootfs::Directory(_) | Rootfs::Minimal => !OWN.contains(&entry.name.as_str()),
        };
        if wanted {
            let target = Path::new("/").join(&entry.name);
            steps.push(match &entry.link {
                Some(link) => RootStep::Link { path: target, target: link.clone() },
                None => system(base.join(&entry.name), target),
            });
        }
    }
    if let Some(base) = base {
        steps.extend(host.etc_shared.iter().map(|name| {
            let place = Path::new("etc").join(name);
            system(base.join(&place), Path::new("/").join(place))
        }));
    }
    for (name, text) in etc_files(&spec.id.to_string()) {
        steps.push(RootStep::File { path: Path::new("/etc").join(name), text });
    }
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let path = Path::new("/dev").join(name);
        steps.push(RootStep::Bind(Bind {
            source: path.clone(),
            target: path,
            mode: MountMode::Rw,
            no_exec: true,
            kind: BindKind::Device,
        }));
    }
    for (path, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/ptmx", "pts/ptmx"),
        ("/dev/shm", "/tmp/.shm"),
        ("/run", "/tmp/.run"),
        ("/var/run", "/tmp/.run"),
        ("/var/tmp", "/tmp"),
    ] {
        steps.push(RootStep::Link { path: path.into(), target: target.into() });
    }
    steps.push(RootStep::Terminals);
    steps.push(RootStep::Proc);
    steps.push(RootStep::Scratch { bytes: scratch, inodes: scratch / 4096, no_exec });
    if spec.rootfs == Rootfs::Minimal {
        steps.push(RootStep::OwnBinary("/nanoclaw".into()));
        for library in &host.own_libraries {
            // The loader is called by the path that is written into the binary, everything else found by its name.
            let is_loader = library.file_name() == Path::new(LOADER).file_name();
            let target = if is_loader { PathBuf::from(LOADER) } else { library.clone() };
            steps.push(system(library.clone(), target));
        }
    }
    for (path, text) in &spec.fittings.files {
        steps.push(RootStep::File { path: path.clone(), text: text.clone() });
    }
    // Shorter targets first, so that a mount inside another lands on top of it.
    let asked = spec.mounts.iter().map(|mount| (mount, BindKind::Asked));
    let mut asked: Vec<_> = asked.chain(spec.fittings.places.iter().map(|place| (place, BindKind::Own))).collect();
    asked.sort_by_key(|(mount, _)| mount.target.components().count());
    steps.extend(asked.into_iter().map(|(mount, kind)| {
        RootStep::Bind(Bind {
            source: mount.source.clone(),
            target: mount.target.clone(),
            mode: mount.mode,
            no_exec: no_exec && mount.mode == MountMode::Rw,
            kind,
        })
    }));
    steps
}

/// The generated minimum of `/etc`.
fn etc_files(host_name: &str) -> [(&'static str, String); 7] {
    [
        (
            "passwd",
            format!("agent:x:{CELL_ID}:{CELL_ID}:agent:/tmp/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        ),
        ("group", format!("agent:x:{CELL_ID}:\nnogroup:x:65534:\n")),
        ("hosts", format!("127.0.0.1 localhost {host_name}\n::1 localhost\n")),
        ("hostname", format!("{host_name}\n")),
        // The stub of the network door; it answers on every address, this one is as good as any.
        ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n".to_owned()),
        ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ("host.conf", "multi on\n".to_owned()),
    ]
}

fn landlock_plan(root: &[RootStep]) -> LandlockPlan {
    let mut plan = LandlockPlan {
        devices: ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/pts"]
            .map(PathBuf::from)
            .into(),
        ..LandlockPlan::default()
    };
    for step in root {
        match step {
            RootStep::Bind(bind) if bind.kind != BindKind::Device => {
                if bind.mode == MountMode::Rw {
                    plan.write.push(bind.target.clone());
                }
                if !bind.no_exec {
                    plan.execute.push(bind.target.clone());
                }
            }
            RootStep::Scratch { no_exec, .. } => {
                plan.write.push("/tmp".into());
                if !no_exec {
                    plan.execute.push("/tmp".into());
                }
            }
            RootStep::OwnBinary(path) => plan.execute.push(path.clone()),
            RootStep::Bind(_)
            | RootStep::File { .. }
            | RootStep::Link { .. }
            | RootStep::Proc
            | RootStep::Terminals => {}
        }
    }
    plan
}

fn environment(spec: &CellSpec) -> BTreeMap<String, String> {
    let proxy = format!("http://127.0.0.1:{}", net::PROXY_PORT);
    let mut env: BTreeMap<String, String> = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/tmp/home"),
        ("USER", "agent"),
        ("LANG", "C.UTF-8"),
        ("TMPDIR", "/tmp"),
        ("HTTP_PROXY", &proxy),
        ("HTTPS_PROXY", &proxy),
        ("NO_PROXY", "localhost,127.0.0.1,::1"),
        ("http_proxy", &proxy),
        ("https_proxy", &proxy),
        ("no_proxy", "localhost,127.0.0.1,::1"),
        ("NANOCLAW_CELL", spec.id.as_str()),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    if spec.terminal.is_some() {
        env.insert("TERM".to_owned(), "xterm-256color".to_owned());
    }
    env.extend(spec.env.clone());
    env
}

fn workdir(spec: &CellSpec) -> PathBuf {
    let workspace = Path::new("/workspace");
    match &spec.workdir {
        Some(directory) => directory.clone(),
        None if spec.mounts.iter().chain(&spec.fittings.places).any(|mount| mount.target == workspace) => {
            workspace.into()
        }
        None => "/tmp".into(),
    }
}

#[cfg(test)]
mod tests;
