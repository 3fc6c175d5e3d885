//! Open connections of running agents when policy changes, and connections that people are asked about.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::support::{Background, Host, eventually};

/// Says hello to the service at a port, and what comes back until the end.
const HELLO: &str = "import socket, sys
one = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
one.sendall(b'hello')
try:
    while part := one.recv(100):
        print(part.decode(), flush=True)
    print('closed', flush=True)
except OSError as error:
    print(type(error).__name__, flush=True)";

/// Does that twice at once, and when both have ended once more.
const THRICE: &str = "import subprocess, sys, time
hello = [sys.executable, '-c', *sys.argv[1:]]
for one in [subprocess.Popen(hello) for _ in range(2)]:
    one.wait()
subprocess.run(hello)
time.sleep(1000)";

/// A service on this machine.
fn service() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

fn fleet_of(port: u16) -> String {
    format!("agents: [{{ id: one, command: [sleep, '1000'], allowed_networks: ['host-service:127.0.0.1:{port}'] }}]\n")
}

/// The agent says hello to the service.
fn says_hello(fleet: &Fleet, port: u16) -> Background {
    let command = fleet.host.prepare(["exec", "one", "--", "python3", "-c", HELLO, &port.to_string()]);
    Background::start(command, Stdio::null())
}

fn hears_hello(connection: &mut TcpStream) {
    let mut said = [0; 5];
    connection.read_exact(&mut said).expect("a greeting");
    assert_eq!(&said, b"hello");
    connection.write_all(b"welcome").expect("an answer");
}

#[test]
fn an_open_connection_ends_with_the_rule_for_it_and_stays_with_it() {
    let (listener, port) = service();
    let fleet = Fleet::up(&fleet_of(port));
    fleet.phase("one", "running");
    let talking = says_hello(&fleet, port);
    let mut connection = listener.accept().expect("a connection").0;
    hears_hello(&mut connection);
    talking.writes("welcome");
    fleet.host.write("fleet.yaml", fleet_of(port).replace("]\n", ", { id: two, command: ['true'] }]\n"));
    fleet.ask(&["reload"]).good();
    connection.write_all(b"still here").expect("an open connection");
    talking.writes("still here");
    fleet.host.write("fleet.yaml", fleet_of(port).replace(&format!("'host-service:127.0.0.1:{port}'"), ""));
    fleet.ask(&["reload"]).good();
    assert!(talking.finish().good().ends_with("ConnectionResetError\n"));
    let end = connection.read(&mut [0]);
    assert!(matches!(&end, Err(error) if error.kind() == ErrorKind::ConnectionReset), "{end:?}");
    let ended = eventually("the record of the end", || {
        fleet.host.records_of("net_connect").into_iter().find(|record| record["result"] == "failed")
    });
    assert_eq!(ended["code"], "no-longer-allowed", "{ended:#}");
    assert!(ended["reason"].as_str().unwrap().contains("no longer allowed since policy generation 3: "), "{ended:#}");
    assert_eq!((&ended["bytes_sent"], &ended["bytes_received"]), (&5.into(), &17.into()), "{ended:#}");
}

#[test]
fn a_connection_waits_for_people_and_whoever_gives_up_asks_no_more() {
    let (listener, port) = service();
    let host = Host::new();
    host.write("p.cedar", "@id(\"first\") @ask(\"services need a person\") forbid(principal, action == Action::\"net_connect\", resource);");
    // Whoever has a program run in the agent cannot approve what it does, so the agent begins by itself.
    let command = json!(["python3", "-c", THRICE, HELLO, port.to_string()]).to_string();
    let fleet = fleet_of(port).replace("[sleep, '1000']", &command);
    let fleet = Fleet::up_on(host, &format!("policies: [./p.cedar]\n{fleet}"));
    fleet.phase("one", "running");
    let questions = |count: usize| {
        eventually(&format!("{count} questions"), || {
            let list = fleet.ask(&["approvals", "--json"]).good();
            let list: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            (list.len() == count).then_some(list)
        })
    };
    let asked = questions(2);
    for question in &asked {
        assert_eq!(
            (&question["action"], &question["resource"]),
            (&"net_connect".into(), &format!("127.0.0.1:{port}").into())
        );
    }
    listener.set_nonblocking(true).expect("non-blocking");
    assert!(listener.accept().is_err(), "nothing is dialled yet");
    listener.set_nonblocking(false).expect("blocking");
    let field = |question: &Value, name: &str| question[name].as_str().unwrap().to_owned();
    fleet.ask(&["approvals", "deny", &field(&asked[0], "id")]).good();
    fleet.ask(&["approvals", "approve", &field(&asked[1], "id"), "--digest", &field(&asked[1], "digest")]).good();
    let mut connection = listener.accept().expect("a connection").0;
    hears_hello(&mut connection);
    eventually("one reset and one answer", || {
        let said = fleet.ask(&["logs", "one"]).good();
        (said.contains("ConnectionResetError\n") && said.contains("welcome\n")).then_some(())
    });
    let allowed =
        fleet.host.records_of("net_connect").into_iter().find(|record| record["result"] == "allowed").unwrap();
    assert_eq!(allowed["policy_ids"], json!(["agents.one.allowed_networks[0]", "first"]), "{allowed:#}");
    assert!(allowed["approved_by"][0].as_str().is_some_and(|who| who.starts_with("operator:")), "{allowed:#}");

    drop(connection);
    questions(1);
    let script = "for p in /proc/[0-9]*; do
        if grep -q create_connectio[n] $p/cmdline && ! grep -q Pope[n] $p/cmdline; then kill -KILL ${p#/proc/}; fi
    done";
    fleet.ask(&["exec", "one", "--", "sh", "-c", script]);
    questions(0);
    eventually("the record of the withdrawal", || {
        (!fleet.host.records_of("approval_withdrawn").is_empty()).then_some(())
    });
}

#[test]
fn what_the_disk_does_not_take_is_read_by_no_later_run_either() {
    let (listener, port) = service();
    let fleet = Fleet::up(&fleet_of(port).replace("command:", "restart: always, command:"));
    fleet.phase("one", "running");
    std::fs::create_dir(fleet.host.path("state/labels/one.new")).expect("a directory in the way");
    for run in 1..=2 {
        says_hello(&fleet, port).finish();
        eventually("the next run", || {
            let ended = fleet.host.records_of("cell_exited").len() == run;
            (ended && fleet.ask(&["ps"]).good().lines().any(|line| line.contains("running"))).then_some(())
        });
    }
    listener.set_nonblocking(true).expect("non-blocking");
    assert!(listener.accept().is_err(), "nothing was dialled");
    listener.set_nonblocking(false).expect("blocking");
    std::fs::remove_dir(fleet.host.path("state/labels/one.new")).expect("an empty directory");
    let talking = says_hello(&fleet, port);
    hears_hello(&mut listener.accept().expect("a connection").0);
    assert!(talking.finish().good().contains("welcome"));
    assert!(fleet.host.read("state/labels/one.json").contains("untrusted"));
    assert_eq!(fleet.host.records_of("labels_rose").len(), 1);
}
