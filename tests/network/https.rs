//! HTTPS to an allowed host, by each way that programs know, and never under another name.

use serde_json::{Value, json};

use crate::world::{World, queried};

const BANK: &str = r#"["api.bank.test"]"#;
const HELLO: &str = "https says hello to api.bank.test\n";

/// Of the HTTPS server: the addresses it was reached at, the server names and the requests.
fn reached(world: &World) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let seen = world.seen_by("https");
    let of = |event: &str, key: &str| -> Vec<Value> {
        seen.iter().filter(|one| one["event"] == event).map(|one| one[key].clone()).collect()
    };
    (of("connection", "to"), of("hello", "name"), of("request", "line"))
}

#[test]
fn a_program_that_knows_no_proxy_is_carried() {
    let Some(world) = World::new() else { return };
    let said = world.python(BANK, r#"say(https("api.bank.test", "api.bank.test"))"#);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{HELLO}", HELLO.len());
    assert_eq!(said, [json!([answer, "end"])]);
    let (to, names, requests) = reached(&world);
    assert_eq!(to, ["93.184.216.34:443"]);
    assert_eq!(names, ["api.bank.test"]);
    assert_eq!(requests, ["GET / HTTP/1.1"]);
    assert_eq!(
        world.story(),
        [
            "net_resolve allowed api.bank.test",
            "net_resolve allowed api.bank.test:443",
            "net_connect allowed api.bank.test:443",
            "net_connect done api.bank.test:443",
        ]
    );
    let door = world.door();
    let (asked, done) = (&door[2], &door[3]);
    assert_eq!(asked["via"], "transparent");
    assert_eq!(asked["detail"], "TLS for api.bank.test");
    assert_eq!(asked["addresses"], json!(["93.184.216.34"]));
    assert_eq!(asked["policy_ids"], json!(["allowed_networks[0]"]));
    assert_eq!((&done["request_seq"], &done["peer"]), (&asked["seq"], &"93.184.216.34:443".into()));
    assert!(done["bytes_received"].as_u64() > Some(HELLO.len() as u64), "{done}");
}

#[test]
fn a_tunnel_through_the_proxy_is_carried() {
    let Some(world) = World::new() else { return };
    let script = r#"
connection, head = through_proxy("CONNECT api.bank.test:443 HTTP/1.1\r\nHost: api.bank.test:443\r\n\r\n")
say(head)
secure = tls(connection, "api.bank.test")
secure.sendall(get("api.bank.test").encode())
say(rest(secure)[0].endswith("https says hello to api.bank.test\n"))
"#;
    let said = world.python(BANK, script);
    assert_eq!(said, [json!("HTTP/1.1 200 Connection established\r\n\r\n"), json!(true)]);
    assert_eq!(reached(&world).1, ["api.bank.test"]);
    assert_eq!(
        world.story(),
        [
            "net_resolve allowed api.bank.test:443",
            "net_connect allowed api.bank.test:443",
            "net_connect done api.bank.test:443"
        ]
    );
    assert_eq!(world.door()[1]["via"], "http-connect");
}

#[test]
fn curl_works_with_the_proxy_variables_and_without() {
    let Some(world) = World::new() else { return };
    let curl = "curl -sS --cacert /client/ca.pem https://api.bank.test/";
    let said = world.sh(BANK, &format!("{curl} && {curl} --noproxy '*' && env -i PATH=/usr/bin {curl}"));
    assert_eq!(said, HELLO.repeat(3));
    let ways: Vec<_> = world.door().iter().filter_map(|record| record["via"].as_str().map(str::to_owned)).collect();
    assert_eq!(ways, ["http-connect", "transparent", "transparent"]);
    assert_eq!(reached(&world).1, ["api.bank.test"; 3]);
}

#[test]
fn urllib_works_with_the_proxy_variables_and_without() {
    let Some(world) = World::new() else { return };
    let script = r#"
import urllib.request
context = ssl.create_default_context(cafile=CA)
for handlers in [], [urllib.request.ProxyHandler({})]:
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), *handlers)
    say(opener.open("https://api.bank.test/", timeout=30).read().decode())
"#;
    assert_eq!(world.python(BANK, script), [HELLO, HELLO]);
    let ways: Vec<_> = world.door().iter().filter_map(|record| record["via"].as_str().map(str::to_owned)).collect();
    assert_eq!(ways, ["http-connect", "transparent"]);
}

#[test]
fn an_ordinary_user_has_the_same_door() {
    let Some(world) = World::rootless() else { return };
    let curl = "curl -sS --cacert /client/ca.pem";
    let script = format!(
        "{curl} https://api.bank.test/; {curl} --noproxy '*' https://api.bank.test/
         {curl} --noproxy '*' -o /dev/null https://other.test/; echo $?
         {curl} -o /dev/null https://other.test/; echo $?"
    );
    assert_eq!(world.sh(BANK, &script), format!("{HELLO}{HELLO}6\n56\n"));
    assert_eq!(queried(&world.seen()), ["api.bank.test"]);
    assert_eq!(
        world.refusals(),
        [
            "net_resolve denied host-not-allowed other.test",
            "net_resolve denied host-not-allowed other.test",
            "net_resolve denied host-not-allowed other.test:443"
        ]
    );
}

#[test]
fn ipv6_is_carried_by_every_way() {
    let Some(world) = World::new() else { return };
    let script = r#"
say(https("v6.bank.test", "v6.bank.test")[0][:15])
connection, _ = through_proxy("CONNECT v6.bank.test:443 HTTP/1.1\r\nHost: v6.bank.test:443\r\n\r\n")
secure = tls(connection, "v6.bank.test")
secure.sendall(get("v6.bank.test").encode())
say(rest(secure)[0][:15])
# The family that the program uses inside need not be the one outside.
for family, name in (socket.AF_INET6, "api.bank.test"), (socket.AF_INET, "v6.bank.test"):
    with socket.socket(family) as connection:
        connection.settimeout(30)
        connection.connect((name, 80))
        connection.sendall(get(name).encode())
        say(rest(connection)[0][:15])
say(exchange("2606:2800:220:1::1", 80, get("[2606:2800:220:1::1]"))[0][:15])
"#;
    let said = world.python(r#"["v6.bank.test", "api.bank.test", "[2606:2800:220:1::1]:80"]"#, script);
    assert_eq!(said, ["HTTP/1.1 200 OK"; 5]);
    assert_eq!(reached(&world).0, ["2606:2800:220:1::1:443"; 2]);
    let plain: Vec<Value> =
        world.seen_by("http").iter().filter(|e| e["event"] == "connection").map(|e| e["to"].clone()).collect();
    assert_eq!(plain, ["93.184.216.34:80", "2606:2800:220:1::1:80", "2606:2800:220:1::1:80"]);
    let last =
        world.door().into_iter().rfind(|record| record["action"] == "net_connect" && record["result"] == "allowed");
    let last = last.unwrap();
    assert_eq!(
        (&last["resource"], &last["policy_ids"]),
        (&"[2606:2800:220:1::1]:80".into(), &json!(["allowed_networks[2]"]))
    );
}

#[test]
fn another_server_name_than_the_host_is_refused_in_tls() {
    let Some(world) = World::new() else { return };
    let script = r#"
say(https("api.bank.test", "other.test"))
say(https("api.bank.test", None))
connection, head = through_proxy("CONNECT api.bank.test:443 HTTP/1.1\r\n\r\n")
say(tell(lambda: tls(connection, "other.test")))
"#;
    let alert = "SSLError TLSV1_ALERT_ACCESS_DENIED";
    assert_eq!(world.python(BANK, script), [alert; 3]);
    world.only_looked_up(&["api.bank.test"]);
    assert_eq!(world.refusals(), ["net_connect denied sni-mismatch api.bank.test:443"; 3]);
    let reasons: Vec<_> =
        world.door().into_iter().filter(|r| r["result"] == "denied").map(|r| r["reason"].clone()).collect();
    let reason = |name: &str| {
        format!(
            "Security policy violation: the TLS server name `{name}` is not api.bank.test, for which the connection was opened"
        )
    };
    assert_eq!(reasons, [reason("other.test"), reason("(none)"), reason("other.test")]);
}

#[test]
fn openssl_cannot_front_and_can_be_itself() {
    let Some(world) = World::new() else { return };
    let client = "echo | openssl s_client -brief -CAfile /client/ca.pem -connect api.bank.test:443";
    let script = format!(
        "{client} -servername other.test 2>&1 | grep -o 'alert access denied' | head -n 1
         {client} -noservername 2>&1 | grep -o 'alert access denied' | head -n 1
         {client} -servername api.bank.test 2>&1 | grep Verification
         {client} -servername API.Bank.Test -tls1_2 2>&1 | grep Verification"
    );
    let said = world.sh(BANK, &script);
    assert_eq!(said, "alert access denied\nalert access denied\nVerification: OK\nVerification: OK\n");
    assert_eq!(reached(&world).1, ["api.bank.test", "API.Bank.Test"]);
    assert_eq!(world.refusals(), ["net_connect denied sni-mismatch api.bank.test:443"; 2]);
}

#[test]
fn a_hello_in_single_bytes_is_read_whole() {
    let Some(world) = World::new() else { return };
    let script = r#"
def trickled(name):
    context = ssl.create_default_context(cafile=CA)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with connect("api.bank.test", 443) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                session.do_handshake()
                connection.sendall(outgoing.read())
                session.write(get("api.bank.test").encode())
                connection.sendall(outgoing.read())
                text = b""
                while not text.endswith(b".test\n"):
                    incoming.write(connection.recv(4096))
                    try:
                        text += session.read(4096)
                    except ssl.SSLWantReadError:
                        pass
                return text.decode().splitlines()[-1]
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    connection.sendall(bytes([byte]))
                part = connection.recv(4096)
                incoming.write(part) if part else incoming.write_eof()
say(tell(lambda: trickled("api.bank.test")))
say(tell(lambda: trickled("other.test")))
"#;
    let said = world.python(BANK, script);
    assert_eq!(said, ["https says hello to api.bank.test", "SSLError TLSV1_ALERT_ACCESS_DENIED"]);
    assert_eq!(reached(&world).1, ["api.bank.test"]);
}

#[test]
fn a_port_or_protocol_that_no_rule_has_is_refused() {
    let Some(world) = World::new() else { return };
    let script = r#"
say(https("api.bank.test", "api.bank.test", port=8443))
say(exchange("api.bank.test", 443, "GET / HTTP/1.1\r\nHost: api.bank.test:443\r\n\r\n")[0].splitlines()[0])
say(exchange("api.bank.test", 443, "SSH-2.0-x\r\n"))
say(through_proxy("CONNECT api.bank.test:8443 HTTP/1.1\r\n\r\n")[1].splitlines()[0])
"#;
    let said = world.python(BANK, script);
    assert_eq!(said[0], "SSLError TLSV1_ALERT_ACCESS_DENIED");
    // Plain HTTP to port 443 is HTTP for an allowed host and port; what the server makes of it is its own affair.
    assert_ne!(said[1], "HTTP/1.1 403 Forbidden");
    assert_eq!(said[2], json!(["", "ConnectionResetError"]));
    assert_eq!(said[3], "HTTP/1.1 403 Forbidden");
    assert!(world.seen_by("odd").is_empty());
    assert_eq!(
        world.refusals(),
        [
            "net_resolve denied host-not-allowed api.bank.test:8443",
            "net_connect denied protocol-not-allowed api.bank.test:443",
            "net_resolve denied host-not-allowed api.bank.test:8443",
        ]
    );
}
