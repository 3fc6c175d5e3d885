//! A log that grows, and a server that does as it is told. The server is a mock: the real ones are in `tests/sinks`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nanoclaw_audit::{Fact, Flood, Note, Options, Recorder, TreeOptions};
use nanoclaw_config::Sink;
use nanoclaw_sinks::{SinkError, Sinks};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    directory: TempDir,
    pub recorder: Recorder,
}

impl World {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let tree = TreeOptions { every: Duration::from_millis(100), ..TreeOptions::new(directory.path().join("key")) };
        let flood = Flood { burst: u32::MAX, per_second: u32::MAX };
        let options = Options { flood, tree: Some(tree), ..Options::new(directory.path().join("audit")) };
        Self { recorder: Recorder::open(options).unwrap(), directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn try_start(&self, sinks: &str) -> Result<Sinks, SinkError> {
        let sinks = read(sinks, self.directory.path());
        Sinks::start(&sinks, &self.recorder, &self.path("audit"), &self.path("sinks"), |_| {})
    }

    pub fn start(&self, sinks: &str) -> Sinks {
        self.try_start(sinks).unwrap()
    }

    /// Adds so many records.
    pub fn grow(&self, count: usize) {
        for n in 0..count {
            self.recorder.note_blocking(Note::of_control(Fact::Notice(format!("number {n}")))).unwrap();
        }
        self.recorder.flush_blocking().unwrap();
    }

    /// Writes how far the sink `a` has come.
    pub fn set_position(&self, text: &str) {
        let path = self.path("sinks/a/position");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// All records of the log.
    pub fn records(&self) -> Vec<Value> {
        lines(&self.path("audit/audit.jsonl"))
    }

    /// Waits until every record is delivered, those that sinks cause included.
    pub fn delivered(&self, sinks: &Sinks) {
        let written = || *self.recorder.written().borrow();
        until("delivery", || sinks.progress().iter().all(|sink| sink.is_reached() && sink.delivered() == written()));
    }
}

/// Sinks as in a configuration.
fn read(sinks: &str, base: &std::path::Path) -> Vec<Sink> {
    let file = format!("audit: {{ sinks: [{sinks}] }}");
    nanoclaw_config::parse(&file, base, base).unwrap().config.audit.sinks
}

pub fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < PATIENCE, "{what}: it does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub head: String,
    pub body: String,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The records in a bulk request, with the ids that they are to have.
    pub fn bulk(&self) -> Vec<(String, Value)> {
        let lines: Vec<Value> = self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let pairs = lines.chunks_exact(2);
        pairs.map(|pair| (pair[0]["create"]["_id"].as_str().unwrap().to_owned(), pair[1].clone())).collect()
    }
}

/// What the server does with a request.
pub enum Act {
    /// Answers.
    Answer(u16, String),
    /// Closes the connection.
    Close,
}

/// Serves until the test ends. Gives its address, and what it was asked.
pub fn serve(act: impl FnMut(usize, &Asked) -> Act + Send + 'static) -> (String, Arc<Mutex<Vec<Asked>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let act = Arc::new(Mutex::new(act));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (all, act) = (Arc::clone(&all), Arc::clone(&act));
            std::thread::spawn(move || {
                while let Some(asked) = read_request(&mut stream) {
                    let mut act = act.lock().unwrap();
                    all.lock().unwrap().push(asked.clone());
                    let count = all.lock().unwrap().len();
                    let Act::Answer(status, body) = act(count, &asked) else { return };
                    let length = body.len();
                    let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}");
                    if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, seen)
}

fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let path = head.split(' ').nth(1).unwrap().to_owned();
    Some(Asked { path, head, body: String::from_utf8(body).unwrap() })
}

/// The answer of a bulk interface.
pub fn items(statuses: impl IntoIterator<Item = u16>) -> String {
    let items: Vec<Value> = statuses
        .into_iter()
        .map(|status| serde_json::json!({ "create": { "status": status, "error": { "reason": "not so" } } }))
        .collect();
    serde_json::json!({ "items": items }).to_string()
}
