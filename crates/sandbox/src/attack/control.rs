//! NanoClaw itself: its state, its sockets, its binary, what it was started with.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::Stopped::{Absent, Errno};
use super::attempt::{
    Attempt, absent_unless, each, given, known_file_is_readable, must_succeed, open_for_read, open_for_write,
    with_setting,
};
use super::context::inherited;
use super::{Attack, Control, Outcome, Scope, Seen};

/// What the environment of a cell's program may hold besides what its configuration adds.
const VARIABLES: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TMPDIR",
    "TERM",
    "PWD",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "NANOCLAW_CELL",
];

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "list-state-directory",
        what: "list NanoClaw's state: keys, logs, other agents",
        reference: "OpenShell debug-rpc IDOR",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| with_setting("state-dir", c.settings.state_dir.clone(), |path| fs::read_dir(path).outcome()),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "rewrite-audit-log",
        what: "open the audit log for writing",
        reference: "OpenShell keeps its log inside the sandbox",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| {
            with_setting("state-dir", c.settings.state_dir.clone(), |path| {
                open_for_write(path.join("audit/audit.jsonl"))
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "reach-control-socket",
        what: "give the control plane orders through its socket",
        reference: "OpenShell PR 128; srt 97",
        expect: &[Errno(libc::ENOENT)],
        layer: "root filesystem",
        scope: Scope::Everywhere,
        run: |c| {
            let state = c.settings.state_dir.clone().unwrap_or_else(|| "/var/lib/nanoclaw".into());
            let places = [
                state.join("control.sock"),
                "/run/nanoclaw/control.sock".into(),
                "/var/lib/nanoclaw/control.sock".into(),
            ];
            each(places, |path| UnixStream::connect(path).outcome())
        },
        control: Control::Inside(known_file_is_readable),
    },
    Attack {
        name: "inherited-descriptors",
        what: "use a file, directory or socket that NanoClaw left open",
        reference: "CVE-2024-21626; navikt/cplt 329; OpenShell leaks its network namespace",
        expect: &[Absent],
        layer: "close_range",
        scope: Scope::Everywhere,
        run: |c| absent_unless(c.inherited.iter().map(|(number, target)| format!("{number} is {target}")).collect()),
        control: Control::Inside(|_| {
            // Not close-on-exec or not, an open file shows up in the list.
            let file = fs::File::open("/dev/null").map_err(|error| error.to_string())?;
            let found = inherited().iter().any(|(_, target)| target == "/dev/null");
            drop(file);
            if found { Ok(()) } else { Err("an open file is not in the list of descriptors".to_owned()) }
        }),
    },
    Attack {
        name: "standard-streams-of-host-terminal",
        what: "get at the operator's terminal through standard input, output or error",
        reference: "CVE-2017-5226",
        expect: &[Absent],
        layer: "own session",
        scope: Scope::Everywhere,
        run: |_| absent_unless([0, 1, 2].into_iter().filter_map(host_terminal).collect()),
        control: Control::Inside(|_| must_succeed(&fs::read_link("/proc/self/fd/1").outcome())),
    },
    Attack {
        name: "open-controlling-terminal",
        what: "open the terminal that NanoClaw was started from",
        reference: "CVE-2017-5226",
        expect: &[Errno(libc::ENXIO)],
        layer: "own session",
        scope: Scope::Everywhere,
        run: |_| open_for_read("/dev/tty"),
        control: Control::Inside(|_| must_succeed(&open_for_read("/dev/null"))),
    },
    Attack {
        name: "overwrite-own-program",
        what: "overwrite the program that runs, which the host runs too",
        reference: "CVE-2019-5736",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |_| open_for_write("/proc/self/exe"),
        control: Control::Inside(|_| must_succeed(&open_for_read("/proc/self/exe"))),
    },
    Attack {
        name: "replace-own-program",
        what: "delete or replace the program that runs",
        reference: "CVE-2019-5736",
        expect: &[Errno(libc::EROFS)],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |_| given("find the own program", fs::read_link("/proc/self/exe"), |path| fs::remove_file(path).outcome()),
        control: Control::Inside(super::attempt::workspace_is_writable),
    },
    Attack {
        name: "read-secret-of-control-plane",
        what: "find a value of NanoClaw's environment in that of any visible process",
        reference: "OpenShell #112; srt: visible",
        expect: &[Absent],
        layer: "cleared environment",
        scope: Scope::Everywhere,
        run: |c| with_setting("secret", c.settings.secret.clone(), |secret| find_in_environments(&secret)),
        control: Control::Inside(|_| match find_in_environments("PATH=") {
            Outcome::Succeeded(_) => Ok(()),
            other => Err(super::attempt::describe(&other)),
        }),
    },
    Attack {
        name: "variables-of-host",
        what: "find variables that came from the host",
        reference: "srt: inherited unless masked",
        expect: &[Absent],
        layer: "cleared environment",
        scope: Scope::Everywhere,
        run: |_| {
            let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
            absent_unless(names.filter(|name| !VARIABLES.contains(&name.as_str())).collect())
        },
        control: Control::Inside(|_| std::env::var_os("PATH").map(drop).ok_or_else(|| "PATH is not set".to_owned())),
    },
    Attack {
        name: "state-directory-in-mount-table",
        what: "learn from the mount table where NanoClaw keeps its state",
        reference: "",
        expect: &[Absent],
        layer: "mount",
        scope: Scope::Everywhere,
        run: |c| {
            with_setting("state-dir", c.settings.state_dir.clone(), |path| {
                lines_with("/proc/self/mountinfo", &path.to_string_lossy())
            })
        },
        control: Control::Inside(|_| must_succeed(&lines_with("/proc/self/mountinfo", "/workspace"))),
    },
    Attack {
        name: "list-host-sockets",
        what: "list the host's local sockets",
        reference: "",
        expect: &[Absent],
        layer: "network namespace",
        scope: Scope::Everywhere,
        run: |c| {
            with_setting("host-unix", c.settings.host_unix.clone(), |path| {
                lines_with("/proc/net/unix", &path.to_string_lossy())
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "list-host-connections",
        what: "list what listens on the host",
        reference: "",
        expect: &[Absent],
        layer: "network namespace",
        scope: Scope::Everywhere,
        run: |c| {
            with_setting("host-port", c.settings.host_port, |port| {
                lines_with("/proc/net/tcp", &format!(":{port:04X} "))
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "see-network-interfaces",
        what: "find a network interface other than the loopback",
        reference: "",
        expect: &[Absent],
        layer: "network namespace",
        scope: Scope::Everywhere,
        run: |_| {
            given("read /proc/net/dev", fs::read_to_string("/proc/net/dev"), |table| {
                // Two lines of headings.
                let names = table.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim);
                absent_unless(names.filter(|name| *name != "lo").map(ToOwned::to_owned).collect())
            })
        },
        control: Control::Inside(|_| must_succeed(&lines_with("/proc/net/dev", "lo:"))),
    },
];

/// A standard stream that is a terminal, unless it is one of the cell's own.
fn host_terminal(number: i32) -> Option<String> {
    let terminal = match number {
        0 => rustix::termios::isatty(std::io::stdin()),
        1 => rustix::termios::isatty(std::io::stdout()),
        _ => rustix::termios::isatty(std::io::stderr()),
    };
    if !terminal {
        return None;
    }
    let link = format!("/proc/self/fd/{number}");
    let target = fs::read_link(&link).ok()?;
    let own = target.starts_with("/dev/pts")
        && match (fs::metadata(&link), fs::metadata(Path::new("/").join(&target))) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
            _ => false,
        };
    (!own).then(|| format!("{number} is {}", target.display()))
}

fn lines_with(path: &str, wanted: &str) -> Outcome {
    given(&format!("read {path}"), fs::read_to_string(path), |table| {
        absent_unless(table.lines().filter(|line| line.contains(wanted)).take(3).map(ToOwned::to_owned).collect())
    })
}

fn find_in_environments(wanted: &str) -> Outcome {
    given("list /proc", fs::read_dir("/proc"), |listing| {
        let processes = listing.flatten().filter_map(|entry| {
            let environment = fs::read(entry.path().join("environ")).ok()?;
            String::from_utf8_lossy(&environment).contains(wanted).then(|| entry.path().display().to_string())
        });
        absent_unless(processes.collect())
    })
}
