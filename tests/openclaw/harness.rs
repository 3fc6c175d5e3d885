//! What the tests need around a cell: an installation, a scratch directory, the mock model and a sink.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// What the example's files say, where a test has values of its own.
const EXAMPLE_PORT: &str = "18080";
const EXAMPLE_INSTALLATION: &str = "../../.cache/openclaw,";
const EXAMPLE_WORKSPACE: &str = "../../.cache/openclaw-workspace";

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Where OpenClaw is installed, installing it first where it is not. `None`, loudly, where there is no npm, and for an
/// ordinary user, who may have no control group to limit its memory with.
pub fn openclaw() -> Option<PathBuf> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED 1 test: not root, and OpenClaw needs a limit on the memory of the whole cell");
        return None;
    }
    if Command::new("npm").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED 1 test: npm is not installed, so OpenClaw cannot be (Debian: apt-get install npm)");
        return None;
    }
    let dir =
        std::env::var_os("NANOCLAW_OPENCLAW_DIR").map_or_else(|| repository().join(".cache/openclaw"), PathBuf::from);
    let state = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let installed = Command::new(env!("CARGO_BIN_EXE_nanoclaw"))
        .args(["openclaw", "install", "--directory"])
        .arg(&dir)
        .env("NANOCLAW_STATE_DIR", state.path().join("state"))
        .output()
        .unwrap();
    assert!(installed.status.success(), "openclaw install: {}", String::from_utf8_lossy(&installed.stderr));
    Some(fs::canonicalize(dir).unwrap())
}

/// A directory of one test, with a state directory of NanoClaw and a workspace. Removed at the end.
pub struct Scratch(TempDir);

/// What came of one turn.
#[derive(Debug)]
pub struct Turn {
    /// What OpenClaw printed.
    pub envelope: Value,
    /// What it and NanoClaw said besides; for the message of a failed test.
    #[expect(dead_code, reason = "shown by Debug")]
    pub messages: String,
}

impl Turn {
    /// The last words of the model.
    pub fn answer(&self) -> &str {
        self.envelope["final"].as_str().unwrap_or_else(|| panic!("no answer in {self:#?}"))
    }
}

impl Scratch {
    pub fn new() -> Self {
        let scratch = Self(TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        fs::create_dir(scratch.path("workspace")).unwrap();
        scratch
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn nanoclaw(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanoclaw"));
        command.env("NANOCLAW_STATE_DIR", self.path("state")).stdin(Stdio::null());
        command
    }

    /// Copies a file of the example and puts the values of this test in.
    fn copy(&self, name: &str, values: &[(&str, &str)]) -> PathBuf {
        let mut text = fs::read_to_string(repository().join("examples/openclaw").join(name)).unwrap();
        for (example, value) in values {
            assert!(text.contains(example), "`{name}` of the example does not mention {example}");
            text = text.replace(example, value);
        }
        self.write(name, &text)
    }

    /// One turn of OpenClaw in the cell of the example's configuration, in which the model proposes `calls` (tool,
    /// arguments as JSON), one after the other.
    pub fn turn(&self, install: &Path, model: &Model, calls: &[(&str, &str)]) -> Turn {
        let port = model.port.to_string();
        self.copy("openclaw.json", &[(EXAMPLE_PORT, &port)]);
        let config = self.copy(
            "nanoclaw-config.yaml",
            &[
                (EXAMPLE_PORT, &port),
                (EXAMPLE_WORKSPACE, "./workspace"),
                (EXAMPLE_INSTALLATION, &format!("{},", install.display())),
            ],
        );
        let script: String = calls.iter().map(|(tool, arguments)| format!("CALL {tool} {arguments}\n")).collect();
        self.write("workspace/task.md", &script);
        let output = self.nanoclaw().args(["run", "--name", "openclaw", "-c"]).arg(config).output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {stdout}\n{messages}", output.status);
        let envelope = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}\n{messages}"));
        Turn { envelope, messages }
    }

    /// Every record of the audit log, oldest first.
    pub fn audit(&self) -> Vec<Value> {
        let output = self.nanoclaw().args(["audit", "tail", "--json"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The mock model server.
pub struct Model {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    log: PathBuf,
    process: Child,
}

impl Model {
    pub fn start(scratch: &Scratch) -> Self {
        let log = scratch.path("model.jsonl");
        let mut process = Command::new("python3")
            .arg(repository().join("examples/openclaw/model_server.py"))
            .args(["--port", "0", "--seconds", "400", "--log"])
            .arg(&log)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the mock model server needs python3");
        let mut first = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
        Self { port: first.trim().parse().unwrap(), log, process }
    }

    /// How many chat completions it was asked for.
    pub fn requests(&self) -> usize {
        fs::read_to_string(&self.log).unwrap().lines().count()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ended_already = self.process.kill().is_err();
        let _reaped = self.process.wait().is_ok();
    }
}

/// A server of the attacker on the host's loopback, which counts who comes.
pub struct Sink {
    pub port: u16,
    seen: Arc<AtomicUsize>,
}

impl Sink {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                drop(connection);
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, seen }
    }

    pub fn connections(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    /// Whether a connection from the host is counted.
    pub fn works(&self) -> bool {
        let before = self.connections();
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap());
        let begun = Instant::now();
        while self.connections() == before && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.connections() > before
    }
}
