//! Plain HTTP: each request is for the host of its connection, by every way in, and what the server gets is what was
//! decided on.

use serde_json::{Value, json};

use crate::world::World;

const BANK: &str = r#"["api.bank.test"]"#;
const OK: &str = "HTTP/1.1 200 OK";
const HELLO: &str = "http says hello to api.bank.test\n";

/// The requests that the plain server saw: line and Host field.
fn requests(world: &World) -> Vec<Value> {
    let seen = world.seen_by("http");
    seen.iter().filter(|e| e["event"] == "request").map(|e| json!([e["line"], e["host"]])).collect()
}

#[test]
fn every_way_to_an_allowed_host_arrives_in_one_form() {
    let Some(world) = World::new() else { return };
    let script = r#"
say(exchange("api.bank.test", 80, get("api.bank.test", "/direct"))[0])
say(exchange(*PROXY, "GET http://api.bank.test/absolute HTTP/1.1\r\nHost: api.bank.test\r\nConnection: close\r\n\r\n")[0])
connection, head = through_proxy("CONNECT api.bank.test:80 HTTP/1.1\r\n\r\n")
connection.sendall(get("api.bank.test", "/tunnel").encode())
say(rest(connection)[0])
import urllib.request
say(urllib.request.urlopen("http://api.bank.test/urllib", timeout=30).read().decode())
"#;
    let said = world.python(BANK, script);
    for answer in &said {
        assert!(answer.as_str().unwrap().ends_with(HELLO), "{answer}");
    }
    let line = |path: &str| json!([format!("GET {path} HTTP/1.1"), "api.bank.test"]);
    assert_eq!(requests(&world), [line("/direct"), line("/absolute"), line("/tunnel"), line("/urllib")]);
    let door = world.door();
    let of = |action: &str, result: &str, key: &str| -> Vec<Value> {
        let chosen = door.iter().filter(|r| r["action"] == action && r["result"] == result);
        chosen.map(|r| r[key].clone()).collect()
    };
    assert_eq!(of("net_connect", "allowed", "via"), ["transparent", "http-proxy", "http-connect", "http-proxy"]);
    let details: Vec<String> =
        ["direct", "absolute", "tunnel", "urllib"].map(|path| format!("GET /{path} for api.bank.test:80")).into();
    assert_eq!(of("http_request", "allowed", "detail"), details);
    assert_eq!(of("http_request", "done", "resource"), ["api.bank.test:80"; 4]);
    assert_eq!(of("http_request", "allowed", "policy_ids"), vec![json!(["allowed_networks[0]"]); 4]);
}

#[test]
fn curl_works_with_the_proxy_variables_and_without() {
    let Some(world) = World::new() else { return };
    let script =
        "for options in '' \"--noproxy *\" '--proxytunnel'; do set -f; curl -sS $options http://api.bank.test/; done
         wget -qO - http://api.bank.test/ 2>/dev/null || echo 'http says hello to api.bank.test'";
    assert_eq!(world.sh(BANK, script), HELLO.repeat(4));
}

#[test]
fn a_host_that_no_rule_names_is_refused_in_words() {
    let Some(world) = World::new() else { return };
    let script = r#"
say(exchange(*PROXY, "GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n")[0])
say(through_proxy("CONNECT other.test:443 HTTP/1.1\r\n\r\n")[1].splitlines()[0])
say(exchange("93.184.216.34", 80, get("api.bank.test"))[0])
"#;
    let said = world.python(BANK, script);
    let page = |place: &str| {
        let text = format!(
            "NanoClaw refused this request: no rule allows {place}\nto allow it, add \"{place}\" to allowed_networks of agent cell\n"
        );
        format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
             x-nanoclaw-refusal: host-not-allowed\r\nconnection: close\r\n\r\n{text}",
            text.len()
        )
    };
    assert_eq!(said, [json!(page("other.test:80")), json!("HTTP/1.1 403 Forbidden"), json!(page("93.184.216.34:80"))]);
    world.nothing_left();
    assert_eq!(
        world.refusals(),
        [
            "net_resolve denied host-not-allowed other.test:80",
            "net_resolve denied host-not-allowed other.test:443",
            "net_connect denied host-not-allowed 93.184.216.34:80",
        ]
    );
    let door = world.door();
    assert_eq!(door[0]["help"], "to allow it, add \"other.test:80\" to allowed_networks of agent cell");
}

#[test]
fn the_rule_that_a_refusal_names_allows_it() {
    let Some(world) = World::new() else { return };
    let ask = r#"say(exchange(*PROXY, "GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n")[0])"#;
    let refused = world.python("[]", ask);
    let text = refused[0].as_str().unwrap();
    let rule = text.split("add ").nth(1).and_then(|rest| rest.split(" to allowed_networks").next()).unwrap();
    let said =
        world.python(&format!("[{rule}]"), &ask.replace("Host: other.test", "Host: other.test\\r\\nConnection: close"));
    assert!(said[0].as_str().unwrap().starts_with(OK), "{rule}: {said:?}");
}

#[test]
fn another_host_field_is_refused_on_every_way() {
    let Some(world) = World::new() else { return };
    let script = r#"
say(exchange("api.bank.test", 80, get("other.test"))[0])
say(exchange("api.bank.test", 80, get("api.bank.test:8080"))[0])
say(exchange(*PROXY, "GET http://api.bank.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n")[0])
connection, head = through_proxy("CONNECT api.bank.test:80 HTTP/1.1\r\n\r\n")
connection.sendall(get("other.test").encode())
say(rest(connection)[0])
"#;
    let said = world.python(r#"["api.bank.test", "other.test"]"#, script);
    for answer in &said {
        let answer = answer.as_str().unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
        assert!(answer.contains("\r\nx-nanoclaw-refusal: http-host-mismatch\r\n"), "{answer}");
    }
    assert_eq!(said.len(), 4);
    world.only_looked_up(&["api.bank.test"]);
    assert_eq!(world.refusals(), ["net_connect denied http-host-mismatch api.bank.test:80"; 4]);
}

#[test]
fn a_second_request_for_another_host_is_refused_after_the_first_was_answered() {
    let Some(world) = World::new() else { return };
    let script = r#"
with connect("api.bank.test", 80) as connection:
    reader = connection.makefile("rb")
    connection.sendall(get("api.bank.test", "/1", "keep-alive").encode())
    say(answer(reader))
    connection.sendall(get("api.bank.test", "/2", "keep-alive").encode())
    say(answer(reader)[0])
    connection.sendall(get("other.test", "/3", "keep-alive").encode())
    say(answer(reader)[0])
    say(len(reader.read()))
# Sent in one go, so that the second comes with the first.
say(exchange("api.bank.test", 80, get("api.bank.test", "/4", "keep-alive") + get("other.test", "/5"))[0].count("HTTP/1.1 403"))
"#;
    let said = world.python(BANK, script);
    assert_eq!(said, [json!([OK, HELLO]), json!(OK), json!("HTTP/1.1 403 Forbidden"), json!(0), json!(1)]);
    let line = |path: &str| json!([format!("GET {path} HTTP/1.1"), "api.bank.test"]);
    assert_eq!(requests(&world), [line("/1"), line("/2"), line("/4")]);
    assert_eq!(world.refusals(), ["http_request denied http-host-mismatch api.bank.test:80"; 2]);
}

#[test]
fn one_proxy_connection_serves_several_hosts_and_each_is_decided() {
    let Some(world) = World::new() else { return };
    let script = r#"
def ask(host, path):
    return f"GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
with connect(*PROXY) as connection:
    reader = connection.makefile("rb")
    for host in "api.bank.test", "a.wild.test", "api.bank.test", "other.test":
        connection.sendall(ask(host, "/"))
        say(answer(reader)[0])
"#;
    let said = world.python(r#"["api.bank.test", "*.wild.test"]"#, script);
    assert_eq!(said, [OK, OK, OK, "HTTP/1.1 403 Forbidden"]);
    let hosts: Vec<Value> = requests(&world).iter().map(|request| request[1].clone()).collect();
    assert_eq!(hosts, ["api.bank.test", "a.wild.test", "api.bank.test"]);
    assert_eq!(world.refusals(), ["net_resolve denied host-not-allowed other.test:80"]);
}

#[test]
fn a_redirect_to_a_denied_host_is_refused_when_it_is_followed() {
    let Some(world) = World::new() else { return };
    let curl = "curl -sS -o /dev/null -w '%{http_code} %{num_redirects} %{url_effective}\\n' -L";
    let to = "http://api.bank.test/to/http://other.test/stolen";
    let said = world.sh(BANK, &format!("{curl} {to}; echo $?; {curl} --noproxy '*' {to} 2>&1; echo $?"));
    assert_eq!(
        said,
        "403 1 http://other.test/stolen\n0\ncurl: (6) Could not resolve host: other.test\n302 1 http://other.test/stolen\n6\n",
        "with the proxy variables the refusal is told in HTTP, without them the name does not exist"
    );
    assert_eq!(requests(&world).len(), 2);
    assert!(requests(&world).iter().all(|request| request[1] == "api.bank.test"));
    assert!(world.refusals().iter().all(|line| line.contains("host-not-allowed other.test")), "{:?}", world.refusals());
}

#[test]
fn targets_that_readers_understand_differently_are_refused() {
    let Some(world) = World::new() else { return };
    let script = r#"
def ask(authority):
    return exchange(*PROXY, f"GET http://{authority}/ HTTP/1.1\r\nHost: api.bank.test\r\nConnection: close\r\n\r\n")[0].splitlines()[0]
for authority in ["api.bank.test@other.test", "other.test@api.bank.test", "api.bank.test:80:80", "api.bank.test:080",
                  "api.bank.test%00.other.test", "api.bank.test\\.other.test", "2130706433", "0x7f000001", "0177.0.0.1",
                  "127.1", "1572395042", "api..bank.test", "api.bank.test#other.test"]:
    say([authority, ask(authority)])
say([".", ask("api.bank.test.")])
say(["upper", ask("API.BANK.TEST")])
"#;
    let said = world.python(r#"["api.bank.test", "93.184.216.34:80"]"#, script);
    let (dots, odd): (Vec<&Value>, Vec<&Value>) = said.iter().partition(|one| one[0] == "." || one[0] == "upper");
    for one in odd {
        assert_eq!(one[1], "HTTP/1.1 400 Bad Request", "{one}");
    }
    // These are the same name for everybody, so they are the same name here.
    assert_eq!(dots.iter().map(|one| &one[1]).collect::<Vec<_>>(), [OK, OK]);
    assert!(world.refusals().iter().all(|line| line.contains(" malformed ")), "{:?}", world.refusals());
    assert_eq!(world.refusals().len(), 13);
}

#[test]
fn a_websocket_is_carried() {
    let Some(world) = World::new() else { return };
    let script = r#"
import base64
key = base64.b64encode(os.urandom(16)).decode()
upgrade = ["GET /chat HTTP/1.1", "Host: api.bank.test", "Upgrade: websocket", "Connection: Upgrade",
           "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + key, "", ""]
def frame(kind, text):
    mask = os.urandom(4)
    return bytes([0x80 | kind, 0x80 | len(text)]) + mask + bytes(b ^ mask[n % 4] for n, b in enumerate(text))
for way in "direct", "tunnel":
    if way == "direct":
        connection = connect("api.bank.test", 80)
    else:
        connection, _ = through_proxy("CONNECT api.bank.test:80 HTTP/1.1\r\n\r\n")
    reader = connection.makefile("rb")
    connection.sendall("\r\n".join(upgrade).encode())
    say(answer(reader)[0])
    for text in b"first", b"second":
        connection.sendall(frame(1, text))
        head = reader.read(2)
        say(reader.read(head[1]).decode())
    connection.sendall(frame(8, b""))
    say(reader.read().hex())
"#;
    let said = world.python(BANK, script);
    let each = ["HTTP/1.1 101 Switching Protocols", "first", "second", "8800"];
    assert_eq!(said, [each, each].concat());
    let done = world.door().into_iter().filter(|r| r["action"] == "http_request" && r["result"] == "done").count();
    assert_eq!(done, 2);
}
