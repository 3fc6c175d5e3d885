//! Real servers that records are sent to, and what they have got.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Background, Host, appears, skip};

/// What `scripts/setup.sh test` has installed; `None`, loudly, where it has not.
fn installed(path: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.cache/servers")).join(path);
    if !path.exists() {
        skip("the servers are not installed; `scripts/setup.sh test` does it");
        return None;
    }
    path.canonicalize().ok()
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn listens(port: u16) {
    assert!(appears(|| TcpStream::connect(("127.0.0.1", port)).is_ok()), "nobody listens on port {port}");
}

/// What speaks as OpenSearch does, in memory.
pub struct OpenSearch {
    pub port: u16,
    _server: Background,
}

impl OpenSearch {
    pub fn start() -> Option<Self> {
        let mut command = Command::new(installed("python/lib/python3.11/site-packages/osmem_server/bin/osmem-server")?);
        let port = free_port();
        command.args(["-no-stdin-watch", "-addr", &format!("127.0.0.1:{port}")]);
        let server = Background::start(command, Stdio::null());
        listens(port);
        Some(Self { port, _server: server })
    }

    /// Gives it the template that is shipped, without data streams, which it does not have.
    pub fn set_template(&self) {
        let mut template: Value =
            serde_json::from_str(include_str!("../../deploy/elasticsearch/index-template.json")).unwrap();
        template.as_object_mut().unwrap().remove("data_stream").expect("data streams");
        let set = self.ask("PUT /_index_template/nanoclaw HTTP/1.1", &template.to_string());
        assert_eq!(set["acknowledged"], true, "{set}");
    }

    /// The types of the fields of an index.
    pub fn fields(&self, index: &str) -> Value {
        self.ask(&format!("GET /{index}/_mapping HTTP/1.1"), "")[index]["mappings"]["properties"].clone()
    }

    fn ask(&self, request: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let length = body.len();
        let head = format!(
            "host: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}"
        );
        stream.write_all(format!("{request}\r\n{head}\r\n\r\n{body}").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            body.split("\r\n").skip(1).step_by(2).collect()
        } else {
            body.to_owned()
        };
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// The documents of an index, with their ids.
    pub fn documents(&self, index: &str) -> Vec<(String, Value)> {
        let found = self.ask(&format!("GET /{index}/_search?size=10000 HTTP/1.1"), "");
        let hits = found["hits"]["hits"].as_array().unwrap();
        hits.iter().map(|hit| (hit["_id"].as_str().unwrap().to_owned(), hit["_source"].clone())).collect()
    }
}

/// A collector of OpenTelemetry that prints what it gets.
pub struct Collector {
    pub port: u16,
    server: Background,
}

impl Collector {
    pub fn start() -> Option<Self> {
        let mut command = Command::new(installed("python/lib/python3.11/site-packages/rotel/rotel-agent")?);
        let (port, grpc) = (free_port(), free_port());
        command.args(["start", "--exporter", "blackhole", "--debug-log", "logs", "--debug-log-verbosity", "detailed"]);
        command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{port}")]);
        command.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
        let server = Background::start(command, Stdio::null());
        listens(port);
        Some(Self { port, server })
    }

    /// The numbers of the records that it got, in order.
    pub fn numbers(&self) -> Vec<u64> {
        let lines = self.server.text();
        let numbers = lines.lines().filter_map(|line| line.trim().strip_prefix("-> nanoclaw.seq: Str("));
        numbers.map(|number| number.trim_end_matches(')').parse().unwrap()).collect()
    }
}

/// A receiver of syslog over TLS that writes what it gets into a file. Its authority is `ca.pem` on the host.
pub struct Rsyslog {
    pub port: u16,
    command: Box<dyn Fn() -> Command>,
    server: Background,
    out: PathBuf,
}

impl Rsyslog {
    pub fn start(host: &Host) -> Option<Self> {
        let root = installed("rsyslog")?;
        let port = free_port();
        let made = host.host_sh(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2 && \
             openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost && \
             printf 'subjectAltName=DNS:localhost\\nbasicConstraints=CA:FALSE' >extensions && \
             openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -out server.pem -days 2 -extfile extensions",
        );
        made.good();
        let [ca, certificate, key, out] =
            ["ca.pem", "server.pem", "server.key", "syslog.out"].map(|name| host.at(name));
        let config = format!(
            r#"global(workDirectory="{}" maxMessageSize="128k" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
main_queue(queue.type="LinkedList" queue.timeoutShutdown="20000")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="line" type="string" string="%app-name% %msgid% %structured-data% %syslogfacility%.%syslogseverity% %msg%\n")
action(type="omfile" file="{out}" template="line" flushOnTXEnd="on")
"#,
            host.at(".")
        );
        let (config, pid) = (host.write("rsyslog.conf", config), host.path("rsyslog.pid"));
        let command = Box::new(move || {
            let mut command = Command::new(root.join("usr/sbin/rsyslogd"));
            command.env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
            command.arg("-n").arg("-f").arg(&config).arg("-i").arg(&pid);
            command.arg("-M").arg(root.join("usr/lib/x86_64-linux-gnu/rsyslog"));
            command
        });
        let server = Background::start(command(), Stdio::null());
        listens(port);
        Some(Self { port, command, server, out: out.into() })
    }

    /// Ends it, does something, and starts it again. It writes what it has read before it ends: what a receiver forgets
    /// after it has read it is not to be had back from syslog.
    pub fn while_down(self, what: impl FnOnce()) -> Self {
        let Self { port, command, server, out } = self;
        server.signal(Signal::TERM);
        let _ = server.finish();
        what();
        let server = Background::start(command(), Stdio::null());
        listens(port);
        Self { port, command, server, out }
    }

    /// What it got: the words before each record, and the record.
    pub fn records(&self) -> Vec<(String, Value)> {
        let text = std::fs::read_to_string(&self.out).unwrap_or_default();
        let lines = text.lines().map(|line| line.split_at(line.find('{').unwrap_or_else(|| panic!("{line}"))));
        lines.map(|(words, record)| (words.to_owned(), serde_json::from_str(record).unwrap())).collect()
    }
}
