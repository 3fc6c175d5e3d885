//! A door as an agent finds it: a real configuration, recorder and rules, and a client on the agent's side of a stream.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nanoclaw_audit::{AuditError, Flood, Options, Recorder};
use nanoclaw_config::{AgentKind, Config, DataClass, Label, RuleSet, Trust};
use nanoclaw_firewall::Firewall;
use nanoclaw_gate::{Desk, Gate, Memory, Quarantine};
use nanoclaw_identity::CellSockets;
use nanoclaw_llm::upstream::DialCell;
use nanoclaw_llm::{ModelDoor, Models, SetUp, SetUpError};
use nanoclaw_policy::{CellRules, Engine, Generation, Policies, Session};
use nanoclaw_request::{CellId, SessionId};
use nanoclaw_scripted_model::serve;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The key of every provider here.
pub const KEY: &str = "sk-test/0123456789+ABCDEFGHIJ_klmnop";
/// What an agent holds in the place of a key.
pub const PLACEHOLDER: &str = "placeholder-held-by-nanoclaw";
/// Bytes that the agent's stream takes before somebody reads.
const STREAM: usize = 64 * 1024;

/// What a configuration says, in parts.
#[derive(Clone, Default)]
pub struct Setting {
    /// More of `models`, as lines of YAML with two spaces before them.
    pub models: String,
    /// More of the agent `a`: fields in the braces of YAML, each with a comma before it.
    pub agent: String,
    /// More at the top level.
    pub top: String,
}

/// A folder, and the mocks of providers whose requests are logged in it.
pub struct World {
    folder: TempDir,
    /// Kind and address of each provider, by its name.
    providers: BTreeMap<String, String>,
    /// Where those are that run in cells.
    cells: BTreeMap<String, SocketAddr>,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self { folder, providers: BTreeMap::new(), cells: BTreeMap::new() };
        fs::write(world.path("key"), KEY).unwrap();
        fs::set_permissions(world.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
        world
    }

    /// With a mock of each kind of provider: `chat`, `responses`, `messages`, `gemini`.
    pub async fn with_mocks() -> Self {
        let mut world = Self::new();
        for name in ["chat", "responses", "messages", "gemini"] {
            world.mock(name).await;
        }
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a mock that wants the key. Its name says its kind: `chat`, `chat-2`…
    pub async fn mock(&mut self, name: &str) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.provider(name, listener.local_addr().unwrap());
        let log = fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        let options = nanoclaw_scripted_model::Options { require_key: Some(KEY.to_owned()), log: Some(log) };
        tokio::spawn(serve(listener, options));
    }

    /// Names a provider at `address`; what stands before a dash in its name says its kind.
    pub fn provider(&mut self, name: &str, address: SocketAddr) {
        let key = self.path("key");
        let kind = match name.split('-').next() {
            Some("responses") => "openai, responses: true",
            Some("messages") => "anthropic",
            Some("gemini") => "gemini",
            _ => "openai",
        };
        let path = if kind.starts_with("openai") { "/v1" } else { "" };
        let text = format!(
            "{{ name: {name}, kind: {kind}, base_url: \"http://{address}{path}\", api_key: {{ file: {} }}, retries: 0 }}",
            key.display()
        );
        self.providers.insert(name.to_owned(), text);
    }

    /// Names a llama-server in a cell, which is dialled at `address`.
    pub fn cell(&mut self, name: &str, address: SocketAddr) {
        fs::write(self.path("file"), "").unwrap();
        let text = format!("{{ name: {name}, kind: llama-server, program: ./file, model_file: ./file, retries: 0 }}");
        self.providers.insert(name.to_owned(), text);
        self.cells.insert(name.to_owned(), address);
    }

    fn set_up(&self) -> SetUp {
        let cells = self.cells.clone();
        let dial: DialCell = Arc::new(move |name| {
            let address = cells[name];
            Box::pin(TcpStream::connect(address))
        });
        SetUp { journal: self.path("budgets"), bodies: self.path("bodies"), dial: Some(dial) }
    }

    /// Lets a provider be asked so many times more.
    pub fn retries(&mut self, name: &str, retries: u32) {
        let provider = self.providers.get_mut(name).unwrap();
        *provider = provider.replace("retries: 0", &format!("retries: {retries}"));
    }

    /// How long a provider may say nothing.
    pub fn idle(&mut self, name: &str, time: &str) {
        let provider = self.providers.get_mut(name).unwrap();
        *provider = provider.replace("retries: 0", &format!("retries: 0, idle_timeout: {time}"));
    }

    /// Requests that the mock called `name` has had, as it logs them.
    pub fn asked(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(&format!("{name}.log"))).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn config(&self, setting: &Setting) -> Config {
        let Setting { models, agent, top } = setting;
        let providers: String = self.providers.values().map(|provider| format!("    - {provider}\n")).collect();
        // The later one of two counts, but there must not be two.
        let access = if agent.contains("models:") { "" } else { ", models: { allow: [\"*\"] }" };
        let text = format!(
            "models:\n  providers:\n{providers}{models}\n\
             agents:\n  - {{ id: a, command: [x], model: chat/m{access}{agent} }}\n\
             \x20\x20- {{ id: b, command: [x], model: chat/m }}\n{top}\n"
        );
        let loaded = nanoclaw_config::parse(&text, Path::new("nanoclaw-config.yaml"), self.folder.path());
        loaded.unwrap_or_else(|report| panic!("{report}")).config
    }

    /// Opens the door of agent `a`.
    pub fn open(&self, setting: &Setting) -> Open {
        let config = self.config(setting);
        self.open_with(&config, Models::new(&config, self.set_up()).unwrap())
    }

    /// Opens the door of an agent of this kind.
    pub fn open_as(&self, kind: AgentKind, setting: &Setting) -> Open {
        let mut config = self.config(setting);
        config.agents[0].kind = kind;
        self.open_with(&config, Models::new(&config, self.set_up()).unwrap())
    }

    /// Opens it again, when all connections of the one before have seen that it is gone.
    pub async fn open_again(&self, setting: &Setting) -> Open {
        let config = self.config(setting);
        self.open_in_the_end(&config).await
    }

    /// The same of an agent of this kind.
    pub async fn open_as_again(&self, kind: AgentKind, setting: &Setting) -> Open {
        let mut config = self.config(setting);
        config.agents[0].kind = kind;
        self.open_in_the_end(&config).await
    }

    async fn open_in_the_end(&self, config: &Config) -> Open {
        loop {
            match Models::new(config, self.set_up()) {
                Ok(models) => return self.open_with(config, models),
                Err(SetUpError::Budget(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn open_with(&self, config: &Config, models: Models) -> Open {
        let audit = self.path("audit");
        let flood = Flood { burst: u32::MAX, per_second: u32::MAX };
        let recorder = Recorder::open(Options { flood, ..Options::new(audit.clone()) }).unwrap();
        let agent = &config.agents[0];
        let access = models.access(agent).unwrap();
        let firewall = Arc::new(Firewall::new(&config.firewall).unwrap());
        let generation =
            Generation::new(Arc::default(), config.labels.clone(), config.rule_sets.clone()).with_firewall(firewall);
        let rules = CellRules { models: Some(access.clone()), ..CellRules::default() };
        let policies = Policies::new(generation.with_cell(agent.id.clone(), rules));
        // Where nothing is decided by labels all of them are there already: records are those of calls alone.
        let everything = Label::new(Trust::Untrusted, DataClass::Secret);
        let begins =
            if config.rule_sets == [RuleSet::SuspiciousAsks] { everything } else { config.labels.users.operator };
        let engine = Arc::new(Engine::of(policies, agent.id.clone(), Arc::new(Session::resumed(begins))));
        let sockets = CellSockets::of(agent.id.clone(), SessionId::from_random([7; 16]));
        let desk = Desk::new(config.approvals);
        let gate = Gate::new(Arc::clone(&engine), recorder.clone(), desk.clone(), Memory::none());
        let quarantine = Quarantine::at(self.path("withheld"));
        let gate = gate.with_quarantine(quarantine.clone());
        let door = ModelDoor::new(&models, agent.id.clone(), access, sockets, gate);
        Open { models, door, recorder, engine, desk, quarantine, audit }
    }
}

pub fn id(cell: &str) -> CellId {
    CellId::parse(cell).unwrap()
}

/// An open door.
pub struct Open {
    pub models: Models,
    pub door: ModelDoor,
    pub recorder: Recorder,
    /// What decides, with the session of the cell.
    pub engine: Arc<Engine>,
    /// Where people answer.
    pub desk: Desk,
    /// What is withheld from the model.
    pub quarantine: Quarantine,
    audit: PathBuf,
}

/// What the door says.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
    /// Whether the body came to its end.
    pub whole: bool,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Reads an answer to its end.
pub async fn read(response: Response<Incoming>) -> Reply {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    let mut whole = true;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => whole = false,
        }
    }
    Reply { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8(bytes).unwrap(), whole }
}

impl Open {
    /// A connection to the door, and its end.
    pub fn connect(&self) -> (DuplexStream, JoinHandle<Result<(), AuditError>>) {
        let (agent, door) = tokio::io::duplex(STREAM);
        let serving = self.door.clone();
        (agent, tokio::spawn(async move { serving.serve(door, true).await }))
    }

    /// A client on a connection of its own. While one lives, the agent is there.
    pub async fn client(&self) -> http1::SendRequest<Full<Bytes>> {
        let (stream, _door) = self.connect();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(request(Method::POST, path, body.to_string())).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(request(Method::GET, path, "")).await
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        let mut client = self.client().await;
        read(client.send_request(request).await.unwrap()).await
    }

    /// What is on record, from number `from` on (0 is the first).
    pub async fn records(&self, from: usize) -> Vec<Value> {
        self.recorder.flush().await.unwrap();
        let text = fs::read_to_string(self.audit.join("audit.jsonl")).unwrap();
        text.lines().skip(from).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The records of one action, as text: `allowed`, `done`…
    pub async fn results(&self, action: &str) -> Vec<String> {
        let records = self.records(0).await;
        let of_action = records.iter().filter(|record| record["action"] == action);
        of_action.map(|record| record["result"].as_str().unwrap().to_owned()).collect()
    }

    /// The last record.
    pub async fn last(&self) -> Value {
        self.records(0).await.pop().unwrap()
    }

    /// Waits until so many records are there.
    pub async fn until(&self, count: usize) -> Vec<Value> {
        loop {
            let records = self.records(0).await;
            if records.len() >= count {
                return records;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A request as client libraries make it.
pub fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "llm.nanoclaw.internal");
    let request =
        request.header("content-type", "application/json").header("authorization", format!("Bearer {PLACEHOLDER}"));
    request.header("x-api-key", PLACEHOLDER).body(Full::new(body.into())).unwrap()
}
