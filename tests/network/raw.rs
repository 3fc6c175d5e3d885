//! What is neither TLS nor HTTP: raw TCP by its own rules only, one's own services, and nothing that is not TCP.

use serde_json::{Value, json};

use crate::world::World;

fn connections(world: &World, server: &str) -> usize {
    world.seen_by(server).iter().filter(|event| event["event"] == "connection").count()
}

#[test]
fn raw_bytes_are_refused_and_the_rule_that_is_named_allows_them() {
    let Some(world) = World::new() else { return };
    let script = r#"
with connect("api.bank.test", 7000) as connection:
    connection.sendall(b"\x00\x01 any bytes")
    # The refusal may have come before.
    tell(lambda: connection.shutdown(socket.SHUT_WR))
    say(rest(connection))
"#;
    let said = world.python(r#"["api.bank.test:7000"]"#, script);
    assert_eq!(said, [json!(["", "ConnectionResetError"])]);
    world.only_looked_up(&["api.bank.test"]);
    assert_eq!(world.refusals(), ["net_connect denied protocol-not-allowed api.bank.test:7000"]);
    let refused = world.door().into_iter().find(|record| record["result"] == "denied").unwrap();
    let rule = refused["help"].as_str().unwrap().split('"').nth(1).unwrap().to_owned();
    assert_eq!(rule, "tcp://api.bank.test:7000");
    let said = world.python(&format!("[{rule:?}]"), script);
    assert_eq!(said, [json!(["\u{0}\u{1} any bytes", "end"])]);
    assert_eq!(connections(&world, "echo"), 1);
}

#[test]
fn a_server_that_speaks_first_is_heard_under_a_raw_rule() {
    let Some(world) = World::new() else { return };
    let script = r#"
def talk(connection):
    reader = connection.makefile("rb")
    said = [reader.readline().decode()]
    connection.sendall(b"QUIT\r\n")
    return said + [reader.readline().decode()]
say(talk(connect("api.bank.test", 2525)))
connection, head = through_proxy("CONNECT api.bank.test:2525 HTTP/1.1\r\n\r\n")
say(head.splitlines()[0])
say(talk(connection))
"#;
    let said = world.python(r#"[{ host: "api.bank.test", ports: [2525], protocol: tcp }]"#, script);
    let talk = json!(["220 mail.test ready\r\n", "250 QUIT\r\n"]);
    assert_eq!(said, [talk.clone(), json!("HTTP/1.1 200 Connection established"), talk]);
    assert_eq!(connections(&world, "mail"), 2);

    // Without it the door waits for the client, and neither hears the other.
    let waits = r#"say(rest(connect("api.bank.test", 2525)))"#;
    assert_eq!(world.python(r#"["api.bank.test:2525"]"#, waits), [json!(["", "ConnectionResetError"])]);
    assert_eq!(connections(&world, "mail"), 2);
    assert_eq!(world.refusals(), ["net_connect denied protocol-not-allowed api.bank.test:2525"]);
}

#[test]
fn a_client_that_has_said_all_still_hears_the_answer() {
    let Some(world) = World::new() else { return };
    let script = r#"
for size in 0, 5, 3 << 20:
    data = b"".join(blocks(size))
    with connect("api.bank.test", 7001) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        text, end = rest(connection)
        say([text == f"{size} {hashlib.sha256(data).hexdigest()}\n", end])
"#;
    assert_eq!(world.python(r#"["tcp://api.bank.test:7001"]"#, script), vec![json!([true, "end"]); 3]);
}

#[test]
fn a_service_of_the_host_is_reached_at_its_own_address_and_port_only() {
    let Some(world) = World::new() else { return };
    let script = r#"
say(exchange("127.0.0.1", 8080, get("127.0.0.1:8080"))[0].splitlines()[-1])
say(exchange("localhost", 8080, get("localhost:8080"))[0].splitlines()[-1])
say(exchange(*PROXY, "GET http://127.0.0.1:8080/ HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: close\r\n\r\n")[0].splitlines()[-1])
connection, head = through_proxy("CONNECT 127.0.0.1:8080 HTTP/1.1\r\n\r\n")
connection.sendall(get("127.0.0.1:8080").encode())
say(rest(connection)[0].splitlines()[-1])
say(tell(lambda: exchange("127.0.0.1", 8081, get("127.0.0.1:8081"))))
say(tell(lambda: exchange("127.0.0.2", 8080, get("127.0.0.2:8080"))))
say(tell(lambda: exchange("::1", 8080, get("[::1]:8080"))))
say(exchange(*PROXY, "GET http://127.0.0.1:8081/ HTTP/1.1\r\nHost: 127.0.0.1:8081\r\n\r\n")[0].splitlines()[0])
say(exchange(*PROXY, "GET http://[::1]:8080/ HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n")[0].splitlines()[0])
"#;
    let said = world.python(r#"["host-service:127.0.0.1:8080"]"#, script);
    let hello = |host: &str| format!("here says hello to {host}");
    let (there, gone, no) = (hello("127.0.0.1:8080"), "ConnectionRefusedError", "HTTP/1.1 403 Forbidden");
    let expected = [&there, &hello("localhost:8080"), &there, &there, gone, gone, gone, no, no];
    assert_eq!(said, expected.map(Value::from));
    assert_eq!(connections(&world, "here"), 4);
    assert_eq!(connections(&world, "here-not-allowed") + connections(&world, "here6"), 0);
    let allowed = world.door().into_iter().find(|r| r["action"] == "net_connect" && r["result"] == "allowed").unwrap();
    assert_eq!(
        (&allowed["resource"], &allowed["policy_ids"]),
        (&"127.0.0.1:8080".into(), &json!(["allowed_networks[0]"]))
    );

    let v6 = r#"
say(exchange("::1", 8080, get("[::1]:8080"))[0].splitlines()[-1])
say(tell(lambda: exchange("127.0.0.1", 8080, get("127.0.0.1:8080"))))
"#;
    let said = world.python(r#"["host-service:[::1]:8080"]"#, v6);
    assert_eq!(said, ["here6 says hello to [::1]:8080", "ConnectionRefusedError"]);
}

#[test]
fn datagrams_are_refused_and_recorded_wherever_they_go() {
    let Some(world) = World::new() else { return };
    let script = r#"
def send(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as one:
        return tell(lambda: one.sendto(b"stolen", address))
for family, address in [(socket.AF_INET, ("93.184.216.34", 443)), (socket.AF_INET6, ("2606:2800:220:1::1", 443)),
                        (socket.AF_INET, ("8.8.8.8", 123)), (socket.AF_INET, ("169.254.169.254", 123)),
                        (socket.AF_INET, ("239.255.255.250", 1900))]:
    say(send(family, address))
name = socket.getaddrinfo("api.bank.test", 443, socket.AF_INET)[0][4]
say(send(socket.AF_INET, name))
"#;
    let said = world.python(r#"["api.bank.test", "93.184.216.34:443"]"#, script);
    assert_eq!(said, ["PermissionError"; 6]);
    world.nothing_left();
    let refused = |to: &str| format!("net_datagram denied datagram-not-allowed {to}");
    let expected = [
        "93.184.216.34:443",
        "[2606:2800:220:1::1]:443",
        "8.8.8.8:123",
        "169.254.169.254:123",
        "239.255.255.250:1900",
        "198.18.0.1:443",
    ];
    assert_eq!(world.refusals(), expected.map(refused));
}

#[test]
fn sockets_of_other_kinds_are_refused_and_recorded() {
    let Some(world) = World::new() else { return };
    let script = r#"
for family, kind, protocol in [(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP), (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
                               (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP), (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
                               (socket.AF_NETLINK, socket.SOCK_RAW, 0), (socket.AF_PACKET, socket.SOCK_RAW, 0), (socket.AF_VSOCK, socket.SOCK_STREAM, 0)]:
    say(tell(lambda: socket.socket(family, kind, protocol).close()))
"#;
    assert_eq!(world.python(r#"["93.184.216.34:443"]"#, script), ["PermissionError"; 7]);
    let records = world.host.records();
    let refused: Vec<&Value> =
        records.iter().filter(|r| r["action"] == "syscall" && r["resource"] == "socket").collect();
    assert_eq!(refused.len(), 7, "{refused:#?}");
    assert!(refused.iter().all(|r| r["result"] == "denied" && r["code"] == "syscall-not-allowed"), "{refused:#?}");
    world.nothing_left();
}

#[test]
fn a_connection_to_a_denied_address_is_on_record_though_nothing_was_said_on_it() {
    let Some(world) = World::new() else { return };
    let script = r#"
import struct
for port in 22, 23, 25:
    connect("93.184.216.34", port).close()
with connect("10.1.2.3", 22) as connection:
    # Ends with a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
# Once more with all said, so that what came before has been seen.
say(exchange("10.1.2.4", 22, "x"))
"#;
    assert_eq!(world.python("[]", script), [json!(["", "ConnectionResetError"])]);
    let mut refusals = world.refusals();
    refusals.sort();
    let refused = |to: &str| format!("net_connect denied host-not-allowed {to}");
    assert_eq!(
        refusals,
        ["10.1.2.3:22", "10.1.2.4:22", "93.184.216.34:22", "93.184.216.34:23", "93.184.216.34:25"].map(refused)
    );
}

#[test]
fn the_last_act_of_a_cell_is_on_record() {
    let Some(world) = World::new() else { return };
    let script = r#"
datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
held = [connect("93.184.216.34", 22) for _ in range(150)]
for connection in held:
    tell(lambda: connection.sendall(b"stolen"))
for _ in range(150):
    tell(lambda: datagram.sendto(b"stolen", ("8.8.8.8", 123)))
os._exit(0)
"#;
    for _ in 0..5 {
        assert!(world.python("[]", script).is_empty());
    }
    let count = |line: &str| world.refusals().iter().filter(|one| *one == line).count();
    assert_eq!(count("net_connect denied host-not-allowed 93.184.216.34:22"), 750, "{:?}", world.refusals());
    assert_eq!(count("net_datagram denied datagram-not-allowed 8.8.8.8:123"), 750, "{:?}", world.refusals());
    world.nothing_left();
}

#[test]
fn what_a_cell_sent_last_arrives() {
    let Some(world) = World::new() else { return };
    let script = r#"
connection = connect("api.bank.test", 7001)
connection.sendall(b"".join(blocks(3 << 20)))
os._exit(0)
"#;
    assert!(world.python(r#"["tcp://api.bank.test:7001"]"#, script).is_empty());
    let end = world.seen_by("total").into_iter().find(|event| event["event"] == "end");
    let end = end.unwrap_or_else(|| panic!("{:?}", world.seen_by("total")));
    assert_eq!(end["count"], 3 << 20);
    let done = world.door().into_iter().find(|r| r["action"] == "net_connect" && r["result"] == "done").unwrap();
    assert_eq!(done["bytes_sent"], 3 << 20);
}

#[test]
fn a_cell_that_has_ended_does_not_wait_for_an_answer() {
    let Some(world) = World::new() else { return };
    let script = r#"
waiting = [connect("api.bank.test", 80), connect("api.bank.test", 7000)]
waiting[0].sendall(get("api.bank.test", "/never").encode())
waiting[1].sendall(b"x")
waiting[1].recv(1)
"#;
    assert!(world.python(r#"["api.bank.test", "tcp://api.bank.test:7000"]"#, script).is_empty());
    let ends = ["http_request failed malformed api.bank.test:80", "net_connect done api.bank.test:7000"];
    let story = world.story();
    assert!(ends.iter().all(|end| story.iter().any(|line| line == end)), "{story:?}");
}

#[test]
fn a_connection_that_is_open_when_the_cell_ends_has_an_outcome() {
    let Some(world) = World::new() else { return };
    let script = r#"
connection = connect("api.bank.test", 7000)
connection.sendall(b"echo")
say(connection.recv(4).decode())
os._exit(0)
"#;
    assert_eq!(world.python(r#"["tcp://api.bank.test:7000"]"#, script), ["echo"]);
    let done = world.door().into_iter().find(|r| r["action"] == "net_connect" && r["result"] == "done");
    let done = done.unwrap_or_else(|| panic!("{:#?}", world.story()));
    assert_eq!((&done["bytes_sent"], &done["bytes_received"]), (&4.into(), &4.into()));
}
