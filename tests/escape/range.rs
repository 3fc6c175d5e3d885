//! A range to shoot on: a host with things worth stealing, and a cell of the shipped binary in the midst of it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nanoclaw_sandbox::attack::{HostUser, Mode, Report, Settings, Summary};

/// Somebody who is neither root nor a user of this machine.
const NOBODY: u32 = 65533;
const SECRET: &str = "the-operators-own-key-73d1";
const PROGRAM: &str = "/opt/nanoclaw";

/// What came of an attack.
pub struct Shots {
    /// One for each attack.
    pub reports: Vec<Report>,
    /// The totals.
    pub summary: Summary,
    /// Exit status of the program, if it was not killed.
    pub status: Option<i32>,
    /// What it said beside.
    pub stderr: String,
}

impl Shots {
    /// Reads the lines that `attack-inside` writes.
    pub fn read(output: &Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let mut reports = Vec::new();
        let mut summary = None;
        for line in stdout.lines() {
            let value: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}\n{stderr}"));
            match value.get("summary") {
                Some(found) => summary = Some(serde_json::from_value(found.clone()).expect("a summary")),
                None => reports.push(serde_json::from_value(value).expect("a report")),
            }
        }
        let summary = summary.unwrap_or_else(|| {
            let last = reports.last().map_or("none", |report: &Report| report.name.as_str());
            panic!("no summary, status {}; the last report is {last}\n{stderr}", output.status)
        });
        Self { reports, summary, status: output.status.code(), stderr }
    }
}

/// Says loudly that something was not tried.
pub fn skip(what: &str) {
    eprintln!("SKIPPED {what}");
}

/// A prepared host.
pub struct Range {
    directory: tempfile::TempDir,
    user: HostUser,
    mode: Mode,
    settings: Settings,
    _listeners: (TcpListener, UnixListener, UnixListener),
}

impl Range {
    /// Prepares one; `None`, loudly, where this test cannot be run by this user.
    pub fn new(user: HostUser, mode: Mode) -> Option<Self> {
        let root = rustix::process::geteuid().is_root();
        if user == HostUser::Root && !root {
            skip("attacks as root: the tests do not run as root");
            return None;
        }
        let directory = tempfile::Builder::new().prefix("nanoclaw-range-").tempdir().expect("a temporary directory");
        let base = directory.path();
        open_to_all(base);
        for place in ["bin", "ro", "workspace", "home"] {
            fs::create_dir(base.join(place)).expect("a directory");
            open_to_all(&base.join(place));
        }
        let program = base.join("bin/nanoclaw");
        fs::copy(env!("CARGO_BIN_EXE_nanoclaw"), &program).expect("a copy of the binary");
        open_to_all(&program);
        fs::write(base.join("ro/known"), "known\n").expect("a file");
        fs::write(base.join("canary"), "canary of the host\n").expect("a file");
        fs::create_dir(base.join("state")).expect("a directory");
        fs::set_permissions(base.join("state"), fs::Permissions::from_mode(0o700)).expect("a private directory");
        let forbidden = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let pathname = UnixListener::bind(base.join("socket")).expect("a local socket");
        fs::set_permissions(base.join("socket"), fs::Permissions::from_mode(0o666)).expect("an open socket");
        let name = base.display().to_string();
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
        let abstract_socket = UnixListener::bind_addr(&address).expect("an abstract socket");
        if root && user == HostUser::Rootless {
            for place in ["bin", "bin/nanoclaw", "ro", "ro/known", "workspace", "home", "state", "canary"] {
                chown(base.join(place), Some(NOBODY), Some(NOBODY)).expect("a new owner");
            }
        }
        let memory = match user {
            HostUser::Root => 128 << 20,
            HostUser::Rootless => nanoclaw_config::Limits::DEFAULT.memory.expect("a default"),
        };
        let settings = Settings {
            mode,
            user,
            memory,
            host_canary: Some(base.join("canary")),
            host_port: Some(forbidden.local_addr().expect("an address").port()),
            host_abstract: Some(name),
            host_unix: Some(base.join("socket")),
            state_dir: Some(base.join("state")),
            secret: Some(SECRET.to_owned()),
            allowed: Some(serve()),
            ..Settings::default()
        };
        Some(Self { directory, user, mode, settings, _listeners: (forbidden, pathname, abstract_socket) })
    }

    /// A place of this range on the host.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The binary, run by the range's user, whose environment holds a secret.
    pub fn nanoclaw(&self, arguments: &[&str]) -> Output {
        let program = self.path("bin/nanoclaw");
        let mut command = if self.user == HostUser::Rootless && rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            let id = NOBODY.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .args(arguments)
            .env("NANOCLAW_STATE_DIR", self.path("state"))
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("home"))
            .env("OPERATORS_KEY", SECRET)
            .stdin(std::process::Stdio::null())
            .current_dir(self.path("home"))
            .output()
            .expect("the binary runs")
    }

    /// `nanoclaw run` with this range's mounts and limits. The cell is called `name`.
    pub fn run(&self, name: &str, command: &[&str]) -> Output {
        let at = |place: &str, target: &str| format!("{}:{target}", self.path(place).display());
        let config = self.path("home/nanoclaw-config.yaml");
        let mode = if self.mode == Mode::Standard { "standard" } else { "restricted" };
        fs::write(&config, format!("sandbox_mode: {mode}\n")).expect("a configuration");
        let mut arguments = vec!["run".to_owned()];
        let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        option("--config", config.display().to_string());
        option("--rootfs", "host".to_owned());
        option("--name", name.to_owned());
        option("--ro", at("bin/nanoclaw", PROGRAM));
        option("--ro", at("ro", "/ro"));
        option("--rw", at("workspace", "/workspace"));
        option("--pids", self.settings.pids.to_string());
        option("--files", self.settings.files.to_string());
        option("--disk", self.settings.tmp.to_string());
        option("--timeout", "5m".to_owned());
        if let Some(allowed) = self.settings.allowed {
            option("--allow-net", format!("host-service:{allowed}"));
        }
        if self.user == HostUser::Root {
            option("--memory", self.settings.memory.to_string());
        }
        arguments.push("--".to_owned());
        arguments.extend(command.iter().map(|&word| word.to_owned()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.nanoclaw(&arguments)
    }

    /// Runs these attacks or groups in a cell.
    pub fn attack(&self, names: &[&str]) -> Shots {
        let settings = self.settings.arguments();
        let mut command = vec![PROGRAM, "attack-inside", "run"];
        command.extend(settings.iter().map(String::as_str));
        command.extend(names);
        Shots::read(&self.run("attacked", &command))
    }

    /// Runs the outside controls, without a cell.
    pub fn outside(&self) -> Shots {
        // The log that a cell would have left.
        let log = self.path("state/audit/audit.jsonl");
        fs::create_dir_all(log.parent().expect("a directory")).expect("a directory");
        fs::write(&log, "").expect("a log");
        if self.user == HostUser::Rootless && rustix::process::geteuid().is_root() {
            for place in [log.as_path(), log.parent().expect("a directory")] {
                chown(place, Some(NOBODY), Some(NOBODY)).expect("a new owner");
            }
        }
        let settings = self.settings.arguments();
        let mut arguments = vec!["attack-inside", "outside"];
        arguments.extend(settings.iter().map(String::as_str));
        Shots::read(&self.nanoclaw(&arguments))
    }
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// The one service that cells of the range may reach: answers every request with 200.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nok\n";
            let _client_left = connection.read(&mut head).and_then(|_| connection.write_all(answer)).is_err();
        }
    });
    address
}
