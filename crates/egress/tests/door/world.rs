//! One door with a made-up Internet behind it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use nanoclaw_audit::{Filter, Options, Reader, Recorder};
use nanoclaw_config::{
    Approvals, DataClass, HostLabel, HostPattern, HostSet, IpNet, Label, Labels, NetRule, NetTarget, RuleSet, Trust,
};
use nanoclaw_egress::{Dialer, Door, DoorError, DoorLimits, DoorSockets, Outside, Pending, Resolver, Service};
use nanoclaw_gate::{Desk, Gate, Memory, Question};
use nanoclaw_identity::CellSockets;
use nanoclaw_policy::{CellRules, Engine, Generation, Policies, Written};
use nanoclaw_request::{CellId, DnsName, SessionId};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The address that names resolve to unless a test says otherwise.
pub const PUBLIC: &str = "93.184.216.34";

/// Where redirected connections were going, by the client's own address. A door's socket knows it from the kernel.
static ORIGINAL: LazyLock<Mutex<HashMap<SocketAddr, SocketAddr>>> = LazyLock::new(Mutex::default);

fn original_destination(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    let client = rustix::net::getpeername(socket)?.ok_or(io::ErrorKind::NotConnected)?;
    let client = SocketAddr::try_from(client)?;
    ORIGINAL.lock().unwrap().get(&client).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Names, addresses and servers, and who was asked for what.
#[derive(Default)]
pub struct Internet {
    names: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    servers: Mutex<HashMap<SocketAddr, SocketAddr>>,
    lookups: Mutex<Vec<String>>,
    dials: Mutex<Vec<SocketAddr>>,
}

impl Resolver for Internet {
    fn resolve<'a>(&'a self, name: &'a DnsName) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        self.lookups.lock().unwrap().push(name.to_string());
        let mut names = self.names.lock().unwrap();
        let answer = match names.get_mut(name.as_str()) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(io::Error::other("no such name")),
        };
        Box::pin(async { answer })
    }
}

impl Dialer for Internet {
    fn dial(&self, address: SocketAddr) -> Pending<'_, io::Result<TcpStream>> {
        self.dials.lock().unwrap().push(address);
        let server = self.servers.lock().unwrap().get(&address).copied();
        Box::pin(async move {
            match server {
                Some(server) => TcpStream::connect(server).await,
                None => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }
}

/// A rule for a name, on ports 80 and 443.
pub fn host(name: &str) -> NetRule {
    let pattern = match name.split_once('.') {
        Some(("**", suffix)) => HostPattern::AnyDepth(DnsName::parse(suffix).unwrap()),
        _ => HostPattern::Exact(DnsName::parse(name).unwrap()),
    };
    let target = NetTarget::Host { pattern, ports: vec![80, 443], addresses: Vec::new(), raw: false };
    NetRule { id: format!("allow {name}"), text: name.to_owned(), target }
}

/// A rule for a name whose bytes may be of any protocol.
pub fn raw(name: &str, port: u16) -> NetRule {
    let pattern = HostPattern::Exact(DnsName::parse(name).unwrap());
    let target = NetTarget::Host { pattern, ports: vec![port], addresses: Vec::new(), raw: true };
    NetRule { id: format!("allow {name} raw"), text: name.to_owned(), target }
}

/// A rule for a name that may lead into a private network.
pub fn private(name: &str, net: &str, prefix: u8) -> NetRule {
    let mut rule = host(name);
    if let NetTarget::Host { addresses, .. } = &mut rule.target {
        addresses.push(IpNet::new(net.parse().unwrap(), prefix).unwrap());
    }
    rule
}

/// A rule for addresses, on ports 80 and 443.
pub fn cidr(net: &str, prefix: u8) -> NetRule {
    let net = IpNet::new(net.parse().unwrap(), prefix).unwrap();
    let target = NetTarget::Cidr { net, ports: vec![80, 443], raw: false };
    NetRule { id: format!("allow {net}"), text: net.to_string(), target }
}

fn cell() -> CellId {
    CellId::parse("nano-001").unwrap()
}

/// A generation in which the cell has these rules and rule sets, policies of a file and labels of hosts.
pub fn generation(
    rules: impl Into<Vec<NetRule>>,
    policies: &str,
    sets: impl Into<Vec<RuleSet>>,
    hosts: impl Into<Vec<HostLabel>>,
) -> Generation {
    let written = Written::read([(Path::new("p.cedar"), policies)]).unwrap();
    let labels = Labels { hosts: hosts.into(), ..Labels::default() };
    let rules = CellRules { networks: rules.into(), ..CellRules::default() };
    Generation::new(Arc::new(written), labels, sets.into()).with_cell(cell(), rules)
}

/// A label of a host, which is a name or an address.
pub fn label(host: &str, trust: Trust, data: DataClass) -> HostLabel {
    let target = match host.parse::<IpAddr>() {
        Ok(address) => HostSet::Net(IpNet::new(address, if address.is_ipv4() { 32 } else { 128 }).unwrap()),
        Err(_) => HostSet::Name(HostPattern::Exact(DnsName::parse(host).unwrap())),
    };
    HostLabel { id: format!("label of {host}"), target, trust: Some(trust), data: Some(data) }
}

const SHORT: Duration = Duration::from_millis(200);

/// Limits under which refusals do not linger. Those that only a failing test would run into stay long.
pub fn quick() -> DoorLimits {
    DoorLimits { refusal_bytes: SHORT, farewell: SHORT, ..DoorLimits::default() }
}

/// Limits for tests in which a client keeps the door waiting.
pub fn impatient() -> DoorLimits {
    DoorLimits { first_bytes: SHORT, head: SHORT, ..quick() }
}

pub struct World {
    pub door: Door,
    pub engine: Arc<Engine>,
    pub desk: Desk,
    pub internet: Arc<Internet>,
    pub recorder: Recorder,
    pub serving: JoinHandle<Result<(), DoorError>>,
    gone: Arc<Notify>,
    transparent: SocketAddr,
    proxy: SocketAddr,
    dns: SocketAddr,
    log: tempfile::TempDir,
}

impl World {
    pub fn new(rules: impl Into<Vec<NetRule>>) -> Self {
        Self::with_limits(rules, quick())
    }

    pub fn with_limits(rules: impl Into<Vec<NetRule>>, limits: DoorLimits) -> Self {
        Self::with_services(rules, limits, |_| Vec::new())
    }

    /// One with the services that `services` makes, which may record as the door does.
    pub fn with_services(
        rules: impl Into<Vec<NetRule>>,
        limits: DoorLimits,
        services: impl FnOnce(&Recorder) -> Vec<Service>,
    ) -> Self {
        let world = Self::at(Policies::new(generation(rules, "", [], [])), Desk::closed(), limits, services);
        // So that nothing that it reads is worth a record.
        world.engine.session().read(Label::new(Trust::Untrusted, DataClass::Public));
        world
    }

    /// One in which this generation is in force, and people can be asked.
    pub fn under(generation: Generation) -> Self {
        let approvals = Approvals { wait: Duration::from_secs(1_000_000), people: 1, own: false };
        Self::at(Policies::new(generation), Desk::new(approvals), quick(), |_| Vec::new())
    }

    fn at(
        policies: Policies,
        desk: Desk,
        limits: DoorLimits,
        services: impl FnOnce(&Recorder) -> Vec<Service>,
    ) -> Self {
        let engine = Arc::new(Engine::of(policies, cell(), Arc::default()));
        let log = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(Options::new(log.path().to_owned())).unwrap();
        let internet = Arc::new(Internet::default());
        let door = Door::with_services(
            CellSockets::of(cell(), SessionId::from_random([7; 16])),
            Gate::new(engine.clone(), recorder.clone(), desk.clone(), Memory::none()),
            Outside { resolver: internet.clone(), dialer: internet.clone() },
            limits,
            services(&recorder),
        );
        let listen = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            (listener.local_addr().unwrap(), listener)
        };
        let ((transparent, tcp), (proxy, proxy_listener)) = (listen(), listen());
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_nonblocking(true).unwrap();
        let dns = udp.local_addr().unwrap();
        let sockets = DoorSockets { tcp: vec![tcp], proxy: vec![proxy_listener], dns: vec![udp], original_destination };
        let gone = Arc::new(Notify::new());
        let serving = tokio::spawn(door.clone().serve(sockets, gone.clone().notified_owned()));
        Self { door, engine, desk, internet, recorder, serving, gone, transparent, proxy, dns, log }
    }

    /// Puts another generation in force.
    pub fn reload(&self, generation: Generation) {
        self.engine.policies().replace(generation);
    }

    /// The one question that waits for people.
    pub async fn question(&self) -> Question {
        let mut changes = self.desk.changes();
        loop {
            if let [question] = &self.desk.waiting()[..] {
                return question.clone();
            }
            changes.changed().await.unwrap();
        }
    }

    /// Tells the door that the cell has ended.
    pub fn leave(&self) {
        self.gone.notify_one();
    }

    /// Lets `name` resolve to these lists of addresses, one after the other, and the last one for ever.
    pub fn resolves(&self, name: &str, answers: &[&[&str]]) {
        let answers = answers.iter().map(|list| list.iter().map(|a| a.parse().unwrap()).collect()).collect();
        self.internet.names.lock().unwrap().insert(name.to_owned(), answers);
    }

    /// Puts a server behind a public address.
    pub fn serves(&self, address: &str, server: SocketAddr) {
        self.internet.servers.lock().unwrap().insert(address.parse().unwrap(), server);
    }

    /// The common case: `name` is at [`PUBLIC`], and `server` answers there on `port`.
    pub fn publish(&self, name: &str, port: u16, server: SocketAddr) {
        self.resolves(name, &[&[PUBLIC]]);
        self.serves(&format!("{PUBLIC}:{port}"), server);
    }

    /// An ordinary connection of the cell to `address`, as the redirect delivers it.
    pub async fn connect(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        ORIGINAL.lock().unwrap().insert(socket.local_addr().unwrap(), address.parse().unwrap());
        socket.connect(self.transparent).await.unwrap()
    }

    /// A connection of the cell to a name: looked up with the stub DNS, like any program does.
    pub async fn connect_to(&self, name: &str, port: u16) -> TcpStream {
        let answer = self.ask(name, 1).await;
        let octets: [u8; 4] = answer[answer.len() - 4..].try_into().unwrap();
        self.connect(&SocketAddr::new(IpAddr::from(octets), port).to_string()).await
    }

    /// A connection that was not redirected.
    pub async fn connect_unredirected(&self) -> TcpStream {
        TcpStream::connect(self.transparent).await.unwrap()
    }

    pub async fn connect_to_proxy(&self) -> TcpStream {
        TcpStream::connect(self.proxy).await.unwrap()
    }

    pub fn proxy_port(&self) -> u16 {
        self.proxy.port()
    }

    /// Sends a DNS query for `name` and gives the answer.
    pub async fn ask(&self, name: &str, kind: u16) -> Vec<u8> {
        self.ask_raw(&query(name, kind)).await.expect("the stub answers")
    }

    /// Sends a datagram to the stub DNS and gives the answer, or `None` where the next query is answered first.
    pub async fn ask_raw(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let marker = query("localhost", 1);
        socket.send_to(datagram, self.dns).await.unwrap();
        socket.send_to(&marker, self.dns).await.unwrap();
        let mut buffer = [0; 2048];
        let length = socket.recv(&mut buffer).await.unwrap();
        let answer = buffer[..length].to_vec();
        (datagram == marker || answer.get(12..marker.len()) != Some(&marker[12..])).then_some(answer)
    }

    pub fn lookups(&self) -> Vec<String> {
        self.internet.lookups.lock().unwrap().clone()
    }

    pub fn dials(&self) -> Vec<String> {
        self.internet.dials.lock().unwrap().iter().map(SocketAddr::to_string).collect()
    }

    /// Puts something in place of the log that the recorder does not trust.
    pub fn break_log(&self) {
        let log = self.log.path().join("audit.jsonl");
        std::fs::remove_file(&log).unwrap();
        std::os::unix::fs::symlink("/dev/null", log).unwrap();
    }

    /// Everything on record so far.
    pub async fn records(&self) -> Vec<Value> {
        self.recorder.flush().await.unwrap();
        let reader = Reader::open(self.log.path(), Filter::default()).unwrap();
        reader.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    }

    /// Each record on one line: action, result, and the code where it has one.
    pub async fn story(&self) -> Vec<String> {
        let field = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let line = |record: &Value| {
            let parts = ["action", "result", "code"].map(|name| field(record, name));
            parts.join(" ").trim_end().to_owned()
        };
        self.records().await.iter().map(line).collect()
    }

    /// The one refusal on record, which must be of this action and code.
    pub async fn refusal(&self, action: &str, code: &str) -> Value {
        let records = self.records().await;
        let denied: Vec<&Value> = records.iter().filter(|record| record["result"] == "denied").collect();
        assert_eq!(denied.len(), 1, "{records:#?}");
        assert_eq!((&denied[0]["action"], &denied[0]["code"]), (&action.into(), &code.into()), "{:#}", denied[0]);
        denied[0].clone()
    }
}

/// A DNS query for `name`, letter for letter.
pub fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut message = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
}

/// Everything that still arrives.
pub async fn rest(stream: &mut TcpStream) -> (Vec<u8>, End) {
    let mut bytes = Vec::new();
    let end = match stream.read_to_end(&mut bytes).await {
        Ok(_) => End::Closed,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => End::Reset,
        Err(error) => panic!("{error}"),
    };
    (bytes, end)
}

/// Sends `bytes`, then gives everything that comes back.
pub async fn say(stream: &mut TcpStream, bytes: &[u8]) -> String {
    // The door may have refused already and read no further.
    let _ = stream.write_all(bytes).await;
    String::from_utf8(rest(stream).await.0).unwrap()
}

/// Reads until what came ends with `end`.
pub async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = stream.read_u8().await;
        bytes.push(byte.unwrap_or_else(|error| panic!("{error} after {}", bytes.escape_ascii())));
    }
    String::from_utf8(bytes).unwrap()
}

/// The page that tells a refusal.
pub fn refused(status: &str, code: &str, reason: &str, help: &str) -> String {
    let help = if help.is_empty() { String::new() } else { format!("{help}\n") };
    let body = format!("NanoClaw refused this request: {reason}\n{help}");
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         x-nanoclaw-refusal: {code}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
