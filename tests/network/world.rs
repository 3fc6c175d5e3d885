//! A machine whose whole Internet is in one network namespace: names, servers, and a log of what each of them saw.

use std::io::{PipeWriter, Write, pipe};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use crate::support::{Background, Finished, Host, eventually, finish, skip};

/// Addresses that the namespace has besides loopback. `outside.py` says what listens at them.
const ADDRESSES: [&str; 9] = [
    "93.184.216.34/32",
    "93.184.216.53/32",
    "8.8.8.8/32",
    "10.1.2.3/32",
    "169.254.169.254/32",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "2606:2800:220:1::1/128",
    "64:ff9b::a9fe:a9fe/128",
];

/// Files of `/etc` that say where names are looked up: at the name server in the namespace and nowhere else.
const ETC: [(&str, &str); 3] = [
    ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("resolv.conf", "nameserver 93.184.216.53\nsearch corp.test\noptions timeout:2 attempts:1 ndots:5\n"),
    ("nsswitch.conf", "hosts: files dns\n"),
];

/// The interpreter that both sides use: the cell sees the host's `/usr` only.
const PYTHON: &str = "/usr/bin/python3";

/// What a cell does in its own world, which ends with the test.
pub struct World {
    /// The host of the control plane.
    pub host: Host,
    outside: Background,
    orders: Mutex<PipeWriter>,
}

impl World {
    /// One in which root runs cells. `None`, loudly, where that cannot be.
    pub fn new() -> Option<Self> {
        Host::root().and_then(Self::around)
    }

    /// One in which an ordinary user runs cells.
    pub fn rootless() -> Option<Self> {
        Host::root()?;
        Self::around(Host::rootless())
    }

    fn around(host: Host) -> Option<Self> {
        for tool in [PYTHON, "/usr/bin/openssl", "/usr/bin/curl", "ip", "unshare", "nsenter"] {
            if Command::new(tool).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
                skip(&format!("`{tool}` is not installed"));
                return None;
            }
        }
        host.write("outside.py", include_str!("outside.py"));
        host.write("client/client.py", include_str!("client.py"));
        for (name, content) in ETC {
            host.write(name, content);
        }
        certify(&host);
        let mut setup = "set -e; ip link set lo up\n".to_owned();
        for address in ADDRESSES {
            setup.push_str(&format!("ip address add {address} dev lo\n"));
        }
        for (name, _) in ETC {
            setup.push_str(&format!("mount --bind {} /etc/{name}\n", host.at(name)));
        }
        let files = ["outside.jsonl", "client/ca.pem", "key.pem"].map(|name| host.at(name)).join(" ");
        setup.push_str(&format!("exec {PYTHON} {} {files}", host.at("outside.py")));
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--", "sh", "-c", &setup]);
        let (orders, for_us) = pipe().expect("a pipe");
        let outside = Background::start(command, orders.into());
        outside.writes("ready");
        Some(Self { host, outside, orders: Mutex::new(for_us) })
    }

    /// A program of the host's user in the namespace, not started.
    fn inside(&self, command: &Command) -> Command {
        let pid = self.outside.pid();
        let mut entering = Command::new("nsenter");
        entering.arg(format!("--net=/proc/{pid}/ns/net")).arg(format!("--mount=/proc/{pid}/ns/mnt"));
        if let Some(directory) = command.get_current_dir() {
            entering.arg(format!("--wd={}", directory.display())).current_dir("/");
        }
        entering.arg("--").arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => entering.env(key, value),
                None => entering.env_remove(key),
            };
        }
        entering
    }

    /// A cell called `cell` under this configuration, with these options, which runs `command`; not started.
    pub fn prepare(&self, config: &str, options: &[&str], command: &[&str]) -> Command {
        let file = self.host.write("nanoclaw-config.yaml", config);
        let file = file.to_str().expect("UTF-8");
        let client = format!("{}:/client", self.host.at("client"));
        let usual = ["run", "-c", file, "--name", "cell", "--ro", &client, "--env", "PYTHONPATH=/client"];
        self.inside(&self.host.prepare(usual.iter().chain(options).chain(&["--"]).chain(command)))
    }

    /// Runs a cell to its end.
    pub fn run(&self, config: &str, command: &[&str]) -> Finished {
        finish(self.prepare(config, &[], command), b"")
    }

    /// Runs a shell script in a cell whose `allowed_networks` is this list, and gives what it wrote.
    #[track_caller]
    pub fn sh(&self, rules: &str, script: &str) -> String {
        self.run(&networks(rules), &["sh", "-c", script]).good()
    }

    /// Runs a Python program in a cell whose `allowed_networks` is this list. Gives what it said, value by value.
    #[track_caller]
    pub fn python(&self, rules: &str, script: &str) -> Vec<Value> {
        self.python_in(&networks(rules), script)
    }

    /// The same, under a whole configuration.
    #[track_caller]
    pub fn python_in(&self, config: &str, script: &str) -> Vec<Value> {
        let script = format!("from client import *\n{script}");
        let said = self.run(config, &[PYTHON, "-c", &script]).good();
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// Runs a Python program outside of any cell.
    #[track_caller]
    pub fn outside_python(&self, script: &str) -> String {
        let mut command = self.host.command(PYTHON);
        command.args(["-c", script]);
        finish(self.inside(&command), b"").good()
    }

    /// All that the servers outside saw, in order. Each of them has answered since.
    #[track_caller]
    pub fn seen(&self) -> Vec<Value> {
        let synced = || self.outside.text().matches("synced").count();
        let before = synced();
        self.orders.lock().expect("the lock").write_all(b"sync\n").expect("the outside lives");
        eventually("the outside answers", || (synced() > before).then_some(()));
        let log = self.host.read("outside.jsonl");
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// What one server saw.
    #[track_caller]
    pub fn seen_by(&self, server: &str) -> Vec<Value> {
        self.seen().into_iter().filter(|event| event["server"] == server).collect()
    }

    /// Nothing that the cell did reached any server, not even the name server.
    #[track_caller]
    pub fn nothing_left(&self) {
        assert_eq!(self.seen(), Vec::<Value>::new());
    }

    /// Only names were looked up, these.
    #[track_caller]
    pub fn only_looked_up(&self, names: &[&str]) {
        let seen = self.seen();
        let others: Vec<_> = seen.iter().filter(|event| event["server"] != "resolver").collect();
        assert!(others.is_empty(), "{others:?}");
        assert_eq!(queried(&seen), names);
    }

    /// What the network door did and refused, one line each: action, result, code, resource.
    pub fn story(&self) -> Vec<String> {
        self.door().iter().map(line).collect()
    }

    /// The records of the network door.
    pub fn door(&self) -> Vec<Value> {
        self.host.records().into_iter().filter(|record| record["door"] == "egress").collect()
    }

    /// The refusals of the network door, one line each as in [`World::story`].
    pub fn refusals(&self) -> Vec<String> {
        self.door().iter().filter(|record| record["result"] == "denied").map(line).collect()
    }
}

/// A configuration that allows these networks and nothing else.
pub fn networks(rules: &str) -> String {
    format!("allowed_networks: {rules}\n")
}

/// The names that the name server was asked for, each once, in order.
pub fn queried(seen: &[Value]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for event in seen.iter().filter(|event| event["event"] == "query") {
        let name = event["name"].as_str().expect("a name").to_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn line(record: &Value) -> String {
    let words = ["action", "result", "code", "resource"].iter().filter_map(|key| record[key].as_str());
    words.collect::<Vec<_>>().join(" ")
}

/// A certificate for the bank, which signs itself.
fn certify(host: &Host) {
    let names = "subjectAltName=DNS:api.bank.test,DNS:*.bank.test,DNS:*.wild.test,DNS:*.b.wild.test,IP:93.184.216.34";
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-subj", "/CN=bank.test", "-addext", names]);
    command.arg("-keyout").arg(host.path("key.pem")).arg("-out").arg(host.path("client/ca.pem"));
    let done = finish(command, b"");
    assert_eq!(done.code(), Some(0), "{done:?}");
}
