//! The tests, each run in a process that has forked its launcher first.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use nanoclaw_audit::{Filter, Options, Reader, Recorder};
use nanoclaw_config::{Limits, NetRule, NetTarget, Rootfs, SandboxMode};
use nanoclaw_policy::{CellRules, Generation, Policies};
use nanoclaw_request::CellId;
use nanoclaw_sandbox::net::PROXY_PORT;
use nanoclaw_sandbox::{CellSpec, LauncherHandle};
use nanoclaw_server::Launcher;
use nanoclaw_server::cell::{Cell, Order, Steering, host_services, launch};
use nanoclaw_server::plane::Plane;
use nanoclaw_server::state::State;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Every test.
pub const TESTS: [&str; 7] = [
    "server_inside_is_reached_and_none_outside",
    "closed_port_is_refused",
    "cell_that_has_ended_is_told_of",
    "full_backlog_holds_up_nobody_else",
    "server_that_never_accepts_is_given_up",
    "door_is_not_taken_for_a_server",
    "many_at_once_each_get_their_own",
];

/// Runs one of them.
pub fn run(test: &str, directory: &Path) {
    let state = State::open(Some(&directory.join("state"))).unwrap();
    let handle = LauncherHandle::fork(state.directory().to_path_buf()).unwrap();
    let recorder = Recorder::open(Options::new(state.audit())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let plane = Plane {
            policies: Policies::new(Generation::default()),
            desk: Default::default(),
            sessions: Default::default(),
            identities: Default::default(),
            sinks: Default::default(),
            launcher: Launcher::new(handle).unwrap(),
            recorder,
            state: Arc::new(state),
            models: None,
            providers: Default::default(),
        };
        match test {
            "server_inside_is_reached_and_none_outside" => server_inside_is_reached_and_none_outside(&plane).await,
            "closed_port_is_refused" => closed_port_is_refused(&plane).await,
            "cell_that_has_ended_is_told_of" => cell_that_has_ended_is_told_of(&plane).await,
            "full_backlog_holds_up_nobody_else" => full_backlog_holds_up_nobody_else(&plane).await,
            "server_that_never_accepts_is_given_up" => server_that_never_accepts_is_given_up(&plane).await,
            "door_is_not_taken_for_a_server" => door_is_not_taken_for_a_server(&plane).await,
            "many_at_once_each_get_their_own" => many_at_once_each_get_their_own(&plane).await,
            other => panic!("no test is called `{other}`"),
        }
    });
}

/// A server that sends back what it gets, in capitals.
const SERVER: &str = "
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())
class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 128
server = Server(('127.0.0.1', int(sys.argv[1])), Handler)
print('ready', flush=True)
server.serve_forever()
";

/// Two listeners: nobody accepts at the first, which is full at once; the second sends back what it gets.
const FULL: &str = "
import signal, socket, sys
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(42))
full = socket.create_server(('127.0.0.1', int(sys.argv[1])), backlog=0)
good = socket.create_server(('127.0.0.1', int(sys.argv[2])))
print('ready', flush=True)
while True:
    connection, _ = good.accept()
    with connection:
        connection.sendall(connection.recv(100))
";

const PORT: u16 = 7373;
const OTHER: u16 = 7374;

/// A running cell, whose command has said that it is ready.
async fn start(plane: &Plane, networks: Vec<NetRule>, script: &str, ports: &[u16]) -> (Cell, Steering) {
    let mut command: Vec<String> = ["python3", "-c", script].map(str::to_owned).to_vec();
    command.extend(ports.iter().map(u16::to_string));
    let spec = CellSpec {
        id: CellId::parse("server").unwrap(),
        mode: SandboxMode::Restricted,
        command,
        rootfs: Rootfs::Host,
        mounts: Vec::new(),
        env: Default::default(),
        workdir: None,
        limits: Limits::default(),
        host_services: host_services(&networks),
        terminal: None,
        fittings: nanoclaw_sandbox::Fittings::default(),
    };
    let (reader, writer) = io::pipe().unwrap();
    let (mut errors, error_writer) = io::pipe().unwrap();
    std::thread::spawn(move || io::copy(&mut errors, &mut io::stderr()));
    let stdio: Vec<OwnedFd> = vec![File::open("/dev/null").unwrap().into(), writer.into(), error_writer.into()];
    let cell =
        launch(plane, Order { spec, rules: CellRules { networks, ..CellRules::default() } }, stdio).await.unwrap();
    let said = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(reader).read_line(&mut line).map(|_| line)
    });
    assert_eq!(said.await.unwrap().unwrap(), "ready\n");
    let steering = cell.steering(plane);
    (cell, steering)
}

/// Says a line, and gives what is answered to all of it.
async fn say(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Why a connection cannot be made.
async fn refused(steering: &Steering, port: u16) -> (ErrorKind, String) {
    let error = steering.dial(port).await.expect_err("no connection");
    (error.kind(), error.to_string())
}

/// Ends a cell.
async fn end(mut cell: Cell, steering: &Steering) {
    steering.kill();
    assert_eq!(cell.wait().await.status, 137);
}

async fn server_inside_is_reached_and_none_outside(plane: &Plane) {
    // The same port of the host is somebody else's.
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    outside.set_nonblocking(true).unwrap();
    let port = outside.local_addr().unwrap().port();
    let (cell, steering) = start(plane, Vec::new(), SERVER, &[port]).await;
    for _ in 0..3 {
        let mut stream = steering.dial(port).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        assert_eq!(say(&mut stream, "hello\nagain\n").await, "HELLO\nAGAIN\n");
    }
    assert_eq!(outside.accept().err().map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    end(cell, &steering).await;
    // The cell has asked for none of this, and nothing of it was taken for its doing.
    plane.recorder.flush().await.unwrap();
    let records: Vec<String> =
        Reader::open(&plane.state.audit(), Filter::default()).unwrap().map(|line| line.unwrap()).collect();
    assert!(records.iter().any(|record| record.contains("\"action\":\"exec\"")), "{records:?}");
    assert!(!records.iter().any(|record| record.contains("\"action\":\"net_")), "{records:?}");
}

async fn closed_port_is_refused(plane: &Plane) {
    let (cell, steering) = start(plane, Vec::new(), SERVER, &[PORT]).await;
    let why = "cannot connect to `127.0.0.1:7374` in the cell: nothing listens there".to_owned();
    assert_eq!(refused(&steering, OTHER).await, (ErrorKind::ConnectionRefused, why));
    // Nothing of the host is reached in its place.
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = outside.local_addr().unwrap().port();
    assert_eq!(refused(&steering, port).await.0, ErrorKind::ConnectionRefused);
    assert!(steering.dial(0).await.is_err());
    assert_eq!(say(&mut steering.dial(PORT).await.unwrap(), "still\n").await, "STILL\n");
    end(cell, &steering).await;
}

async fn cell_that_has_ended_is_told_of(plane: &Plane) {
    let (cell, steering) = start(plane, Vec::new(), SERVER, &[PORT]).await;
    let mut open = steering.dial(PORT).await.unwrap();
    end(cell, &steering).await;
    let why = "cannot connect to `127.0.0.1:7373` in the cell: the cell has ended".to_owned();
    assert_eq!(refused(&steering, PORT).await, (ErrorKind::NotConnected, why));
    // What was open ends with the cell.
    let mut buffer = [0; 1];
    assert!(matches!(open.read(&mut buffer).await, Ok(0) | Err(_)));
}

/// More connections at once to the full listener than it has places for.
fn crowd(steering: &Steering) -> Vec<JoinHandle<io::Result<TcpStream>>> {
    let dial = |steering: Steering| async move { steering.dial(PORT).await };
    (0..20).map(|_| tokio::spawn(dial(steering.clone()))).collect()
}

async fn full_backlog_holds_up_nobody_else(plane: &Plane) {
    let (mut cell, steering) = start(plane, Vec::new(), FULL, &[PORT, OTHER]).await;
    let crowd = crowd(&steering);
    // Their orders go first.
    tokio::task::yield_now().await;
    assert_eq!(say(&mut steering.dial(OTHER).await.unwrap(), "hello").await, "hello");
    assert!(crowd.iter().any(|dial| !dial.is_finished()), "none of them had to wait");
    steering.signal(0, rustix::process::Signal::USR1.as_raw());
    assert_eq!(cell.wait().await.status, 42);
    let mut failed = 0;
    for dial in crowd {
        failed += usize::from(dial.await.unwrap().is_err());
    }
    assert!(failed > 0, "none of them had to wait");
}

async fn server_that_never_accepts_is_given_up(plane: &Plane) {
    let (cell, steering) = start(plane, Vec::new(), FULL, &[PORT, OTHER]).await;
    let mut failures = Vec::new();
    for dial in crowd(&steering) {
        failures.extend(dial.await.unwrap().err().map(|error| (error.kind(), error.to_string())));
    }
    let why =
        "cannot connect to `127.0.0.1:7373` in the cell: what listens there accepts no connection within 5s".to_owned();
    assert!(!failures.is_empty(), "none of them had to wait");
    assert!(failures.iter().all(|failure| *failure == (ErrorKind::TimedOut, why.clone())), "{failures:?}");
    end(cell, &steering).await;
}

async fn door_is_not_taken_for_a_server(plane: &Plane) {
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    outside.set_nonblocking(true).unwrap();
    let address = outside.local_addr().unwrap();
    let rule = NetRule {
        id: "service".to_owned(),
        text: format!("host-service:{address}"),
        target: NetTarget::HostService { address },
    };
    let (cell, steering) = start(plane, vec![rule], SERVER, &[PORT]).await;
    for port in [address.port(), PROXY_PORT] {
        let why = format!(
            "cannot connect to `127.0.0.1:{port}` in the cell: a door of the cell answers there; let the server use another port"
        );
        assert_eq!(refused(&steering, port).await, (ErrorKind::AddrInUse, why));
    }
    assert_eq!(outside.accept().err().map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    end(cell, &steering).await;
}

async fn many_at_once_each_get_their_own(plane: &Plane) {
    let (cell, steering) = start(plane, Vec::new(), SERVER, &[PORT]).await;
    let dials = (0..100).map(|n| {
        let steering = steering.clone();
        tokio::spawn(async move {
            // Every fourth goes where nobody listens.
            if n % 4 == 0 {
                return assert_eq!(refused(&steering, OTHER).await.0, ErrorKind::ConnectionRefused);
            }
            let mut stream = steering.dial(PORT).await.unwrap();
            assert_eq!(say(&mut stream, &format!("number {n}\n")).await, format!("NUMBER {n}\n"));
        })
    });
    for dial in dials.collect::<Vec<_>>() {
        dial.await.unwrap();
    }
    end(cell, &steering).await;
}
