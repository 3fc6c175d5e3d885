use std::time::Duration;

use nanoclaw_config::Mount;
use nanoclaw_request::CellId;

use super::*;
use crate::spec::Fittings;

const MIB: u64 = 1024 * 1024;

fn spec(rootfs: Rootfs) -> CellSpec {
    CellSpec {
        id: CellId::parse("nano-001").unwrap(),
        mode: SandboxMode::Restricted,
        command: vec!["sh".to_owned(), "-c".to_owned(), "true".to_owned()],
        rootfs,
        mounts: vec![
            Mount { source: "/srv/in/deep".into(), target: "/in/deep".into(), mode: MountMode::Ro },
            Mount { source: "/srv/work".into(), target: "/workspace".into(), mode: MountMode::Rw },
        ],
        env: [("LANG".to_owned(), "C".to_owned())].into(),
        workdir: None,
        limits: Limits {
            memory: Some(64 * MIB),
            disk: Some(16 * MIB),
            timeout: Some(Duration::from_secs(1)),
            ..Limits::default()
        },
        host_services: vec!["127.0.0.1:8080".parse().unwrap()],
        terminal: None,
        fittings: Fittings::default(),
    }
}

fn host(enforced: bool) -> HostFacts {
    let directory = |name: &str| RootEntry { name: name.to_owned(), link: None };
    HostFacts {
        root_entries: vec![
            RootEntry { name: "bin".to_owned(), link: Some("usr/bin".to_owned()) },
            directory("etc"),
            directory("home"),
            directory("root"),
            directory("usr"),
        ],
        etc_shared: vec!["ssl/certs".to_owned()],
        own_libraries: vec!["/usr/lib/libc.so.6".into()],
        enforced: Enforced { memory: enforced, cpu: enforced, pids: enforced },
        ipv6: true,
    }
}

fn bind(source: &str, target: &str, mode: MountMode, no_exec: bool, kind: BindKind) -> RootStep {
    RootStep::Bind(Bind { source: source.into(), target: target.into(), mode, no_exec, kind })
}

#[test]
fn what_nanoclaw_puts_into_a_cell_lies_beneath_what_was_asked_for() {
    let fittings = Fittings {
        files: [("/etc/nanoclaw/agent.json".into(), "{}".to_owned())].into(),
        places: vec![
            Mount { source: "/var/lib/nanoclaw/agents/a".into(), target: "/data".into(), mode: MountMode::Rw },
            Mount { source: "/var/lib/nanoclaw/inside".into(), target: "/opt/nanoclaw".into(), mode: MountMode::Ro },
        ],
    };
    let plan = plan(&CellSpec { fittings, ..spec(Rootfs::Host) }, &host(true)).unwrap();
    let at = |step: &RootStep| plan.root.iter().position(|each| each == step).unwrap();
    let binary = at(&bind("/var/lib/nanoclaw/inside", "/opt/nanoclaw", MountMode::Ro, false, BindKind::Own));
    let file = at(&RootStep::File { path: "/etc/nanoclaw/agent.json".into(), text: "{}".to_owned() });
    let data = at(&bind("/var/lib/nanoclaw/agents/a", "/data", MountMode::Rw, true, BindKind::Own));
    let work = at(&bind("/srv/work", "/workspace", MountMode::Rw, true, BindKind::Asked));
    assert!(file < data.min(work).min(binary));
    assert!(plan.landlock.write.contains(&"/data".into()));
    assert!(plan.landlock.execute.contains(&"/opt/nanoclaw".into()));
    assert!(!plan.landlock.write.contains(&"/opt/nanoclaw".into()));
}

#[test]
fn a_plan_is_everything_that_will_be_done_and_nothing_else() {
    let plan = plan(&spec(Rootfs::Host), &host(true)).unwrap();
    let (root, rest): (Vec<RootStep>, Vec<RootStep>) =
        plan.root.iter().cloned().partition(|step| !matches!(step, RootStep::File { .. } | RootStep::Link { .. }));
    let device = |name| bind(name, name, MountMode::Rw, true, BindKind::Device);
    assert_eq!(
        root,
        [
            bind("/usr", "/usr", MountMode::Ro, false, BindKind::System),
            bind("/etc/ssl/certs", "/etc/ssl/certs", MountMode::Ro, false, BindKind::System),
            device("/dev/null"),
            device("/dev/zero"),
            device("/dev/full"),
            device("/dev/random"),
            device("/dev/urandom"),
            device("/dev/tty"),
            RootStep::Terminals,
            RootStep::Proc,
            RootStep::Scratch { bytes: 16 * MIB, inodes: 4096, no_exec: true },
            bind("/srv/work", "/workspace", MountMode::Rw, true, BindKind::Asked),
            bind("/srv/in/deep", "/in/deep", MountMode::Ro, false, BindKind::Asked),
        ]
    );
    assert!(rest.contains(&RootStep::Link { path: "/bin".into(), target: "usr/bin".to_owned() }));
    let paths = |places: &[&str]| places.iter().map(PathBuf::from).collect::<Vec<_>>();
    let expected = LaunchPlan {
        id: "nano-001".to_owned(),
        root: plan.root.clone(),
        landlock: LandlockPlan {
            execute: paths(&["/usr", "/etc/ssl/certs", "/in/deep"]),
            write: paths(&["/tmp", "/workspace"]),
            devices: paths(&[
                "/dev/null",
                "/dev/zero",
                "/dev/full",
                "/dev/random",
                "/dev/urandom",
                "/dev/tty",
                "/dev/pts",
            ]),
        },
        process_limits: ProcessLimits { files: 1024, file_size: 16 * MIB, processes: 256 + 16, data: None },
        cgroup: cgroup::Limits { memory_bytes: Some(64 * MIB), cpu_millis: Some(1000), pids: Some(256) },
        net: net::NetPlan { host_services: vec!["127.0.0.1:8080".parse().unwrap()], ipv6: true },
        mode: SandboxMode::Restricted,
        program: Program {
            command: vec!["sh".to_owned(), "-c".to_owned(), "true".to_owned()],
            env: plan.program.env.clone(),
            workdir: "/workspace".into(),
            terminal: None,
        },
    };
    assert_eq!(plan, expected);
    assert_eq!(plan.program.env.get("LANG").map(String::as_str), Some("C"));
    assert_eq!(plan.program.env.get("HTTP_PROXY").map(String::as_str), Some("http://127.0.0.1:3128"));
}

#[test]
fn a_minimal_root_shows_nothing_of_the_hosts() {
    let plan = plan(&CellSpec { mounts: Vec::new(), ..spec(Rootfs::Minimal) }, &host(true)).unwrap();
    let sources: Vec<&Path> = plan
        .root
        .iter()
        .filter_map(|step| match step {
            RootStep::Bind(bind) if bind.kind != BindKind::Device => Some(bind.source.as_path()),
            _ => None,
        })
        .collect();
    assert_eq!(sources, [Path::new("/usr/lib/libc.so.6")]);
    assert!(plan.root.contains(&RootStep::OwnBinary("/nanoclaw".into())));
    assert_eq!(plan.program.workdir, Path::new("/tmp"));
}

#[test]
fn standard_mode_runs_programs_from_writable_places() {
    let plan = plan(&CellSpec { mode: SandboxMode::Standard, ..spec(Rootfs::Host) }, &host(true)).unwrap();
    assert!(plan.root.contains(&bind("/srv/work", "/workspace", MountMode::Rw, false, BindKind::Asked)));
    for place in ["/tmp", "/workspace"] {
        assert!(plan.landlock.execute.contains(&PathBuf::from(place)), "{place}");
    }
}

#[test]
fn a_limit_that_was_asked_for_and_cannot_be_enforced_is_an_error() {
    let error = plan(&spec(Rootfs::Host), &host(false)).unwrap_err();
    assert_eq!(error, PlanError::NotEnforceable { limit: "memory" });
    let unasked = CellSpec { limits: Limits::default(), ..spec(Rootfs::Host) };
    let plan = plan(&unasked, &host(false)).unwrap();
    assert_eq!(plan.cgroup, cgroup::Limits::default());
    assert_eq!((plan.process_limits.processes, plan.process_limits.data), (256, Some(8 * 1024 * MIB)));
}

#[test]
fn a_cell_without_a_command_has_no_plan() {
    let error = plan(&CellSpec { command: Vec::new(), ..spec(Rootfs::Host) }, &host(true)).unwrap_err();
    assert_eq!(error, PlanError::NoCommand);
}
