//! A directory of the host with a state directory of its own, and the binary as its user runs it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::process::{Finished, finish};
use super::skip;

/// Somebody who is neither root nor a user of this machine.
pub const NOBODY: u32 = 65533;

/// A prepared host. Everything in it is removed at the end.
pub struct Host {
    directory: tempfile::TempDir,
    rootless: bool,
}

impl Host {
    /// One for whoever runs the tests.
    pub fn new() -> Self {
        Self::of(false)
    }

    /// One for root; `None`, loudly, where the tests do not run as root.
    pub fn root() -> Option<Self> {
        if rustix::process::geteuid().is_root() {
            return Some(Self::of(false));
        }
        skip("needs root");
        None
    }

    /// One for root on a machine whose control groups limit memory, CPU and processes; else `None`, loudly.
    pub fn limited() -> Option<Self> {
        let host = Self::root()?;
        let doctor = host.nanoclaw(["doctor", "--json"]);
        let report: Value = serde_json::from_slice(&doctor.stdout).expect("a report");
        let layers = report["layers"].as_array().expect("layers");
        for name in ["memory limit", "cpu limit", "process limit"] {
            if !layers.iter().any(|layer| layer["name"] == name && layer["present"] == true) {
                skip(&format!("this host has no {name}"));
                return None;
            }
        }
        Some(host)
    }

    /// One for an ordinary user, whoever runs the tests.
    pub fn rootless() -> Self {
        Self::of(true)
    }

    fn of(rootless: bool) -> Self {
        let directory = tempfile::Builder::new().prefix("nanoclaw-e2e-").tempdir().expect("a temporary directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let host = Self { directory, rootless };
        host.own(host.directory.path());
        if host.changes_user() {
            // The build's directory may be closed to others.
            fs::copy(env!("CARGO_BIN_EXE_nanoclaw"), host.path("nanoclaw")).expect("a copy of the binary");
            fs::set_permissions(host.path("nanoclaw"), fs::Permissions::from_mode(0o755)).expect("permissions");
        }
        host
    }

    fn changes_user(&self) -> bool {
        self.rootless && rustix::process::geteuid().is_root()
    }

    /// Gives a place to the user of this host.
    fn own(&self, path: &Path) {
        if self.changes_user() {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("a new owner");
        }
    }

    /// The uid that the binary runs with.
    pub fn uid(&self) -> u32 {
        if self.changes_user() { NOBODY } else { rustix::process::geteuid().as_raw() }
    }

    /// A place of this host.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A place of this host, as text.
    pub fn at(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    /// A new directory that belongs to the user.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("permissions");
        self.own(&path);
        path
    }

    /// A new file that belongs to the user.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, content).expect("a file");
        self.own(&path);
        path
    }

    /// The text of a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A program, run by this host's user in its directory, with an environment that names the state directory.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = if self.changes_user() {
            let mut command = Command::new("setpriv");
            let id = NOBODY.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .current_dir(self.directory.path())
            .env("NANOCLAW_STATE_DIR", self.path("state"))
            .env("NANOCLAW", self.binary())
            .env("HOME", self.directory.path())
            .env_remove("XDG_STATE_HOME")
            .stdin(Stdio::null());
        command
    }

    /// The binary.
    pub fn binary(&self) -> PathBuf {
        if self.changes_user() { self.path("nanoclaw") } else { env!("CARGO_BIN_EXE_nanoclaw").into() }
    }

    /// A command of the binary, not started.
    pub fn prepare(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = self.command(self.binary());
        command.args(arguments);
        command
    }

    /// Runs a command of the binary to its end.
    pub fn nanoclaw(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Finished {
        finish(self.prepare(arguments), b"")
    }

    /// `nanoclaw run OPTIONS -- sh -c SCRIPT`.
    pub fn sh(&self, options: &[&str], script: &str) -> Finished {
        self.nanoclaw(["run"].iter().chain(options).chain(&["--", "sh", "-c", script]))
    }

    /// Runs a shell script on this host, which finds the binary as `$NANOCLAW`.
    pub fn host_sh(&self, script: &str) -> Finished {
        let mut command = self.command("sh");
        command.args(["-c", script]);
        finish(command, b"")
    }

    /// The audit log.
    pub fn records(&self) -> Vec<Value> {
        let log = self.read("state/audit/audit.jsonl");
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// The records of one action.
    pub fn records_of(&self, action: &str) -> Vec<Value> {
        self.records().into_iter().filter(|record| record["action"] == action).collect()
    }
}
