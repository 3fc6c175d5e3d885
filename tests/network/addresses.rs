//! Addresses: what a name may turn out to be, and what an address may be reached for.

use serde_json::{Value, json};

use crate::world::{World, queried};

const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden";
const OK: &str = "HTTP/1.1 200 OK";

/// What the servers at private and other special addresses saw of connections.
fn reached(world: &World) -> Vec<Value> {
    let seen = world.seen_by("special");
    seen.iter().filter(|event| event["event"] == "connection").map(|event| event["to"].clone()).collect()
}

#[test]
fn an_allowed_name_does_not_lead_to_a_special_address() {
    let Some(world) = World::new() else { return };
    let names =
        ["internal", "mixed", "loopback", "aws", "alibaba", "azure", "nat64"].map(|name| format!("{name}.bank.test"));
    let script = format!(
        r#"
for name in {names:?}:
    direct = exchange(name, 80, get(name))[0]
    proxy = exchange(*PROXY, f"GET http://{{name}}/ HTTP/1.1\r\nHost: {{name}}\r\n\r\n")[0].splitlines()[0]
    tunnel = through_proxy(f"CONNECT {{name}}:443 HTTP/1.1\r\n\r\n")[1].splitlines()[0]
    say([direct.splitlines()[0], proxy, tunnel, https(name, name), direct.splitlines()[6]])
"#
    );
    let said = world.python(r#"["*.bank.test"]"#, &script);
    let leads = [
        "10.1.2.3, a private or special-purpose address",
        "10.1.2.3, a private or special-purpose address",
        "127.0.0.1, a loopback address",
        "169.254.169.254, a cloud metadata address",
        "100.100.100.200, a cloud metadata address",
        "168.63.129.16, a cloud metadata address",
        "64:ff9b::a9fe:a9fe, a cloud metadata address",
    ];
    for ((said, name), leads) in said.iter().zip(&names).zip(leads) {
        let text = format!("NanoClaw refused this request: {name} leads to {leads}");
        let alert = "SSLError TLSV1_ALERT_ACCESS_DENIED";
        assert_eq!(*said, json!([FORBIDDEN, FORBIDDEN, FORBIDDEN, alert, text]));
    }
    world.only_looked_up(&names.each_ref().map(String::as_str));
    let refusals = world.refusals();
    assert!(refusals.iter().all(|line| line.starts_with("net_connect denied address-forbidden ")), "{refusals:?}");
    assert_eq!(refusals.len(), 4 * names.len());
    let high = world.door().into_iter().filter(|r| r["result"] == "denied").all(|r| r["severity"] == "high");
    assert!(high, "reaching for such an address is no accident");
}

#[test]
fn a_name_that_changes_its_address_is_refused_from_then_on() {
    let Some(world) = World::new() else { return };
    let script = r#"
for _ in range(3):
    say(exchange("rebind.bank.test", 80, get("rebind.bank.test"))[0].splitlines()[0])
"#;
    assert_eq!(world.python(r#"["rebind.bank.test"]"#, script), [OK, FORBIDDEN, FORBIDDEN]);
    assert_eq!(reached(&world), Vec::<Value>::new());
    // Once for each connection, in both families.
    let queries = world.seen_by("resolver").iter().filter(|event| event["kind"] == 1).count();
    assert_eq!(queries, 3);
    assert_eq!(world.refusals(), ["net_connect denied address-forbidden rebind.bank.test:80"; 2]);
}

#[test]
fn the_addresses_that_a_rule_names_are_reached() {
    let Some(world) = World::new() else { return };
    let ask = |name: &str, port: u16| {
        format!(
            "say(exchange({name:?}, {port}, get(\"{name}\" if {port} == 80 else \"{name}:{port}\"))[0].splitlines()[0])\n"
        )
    };
    let script =
        ["internal", "mixed", "aws", "alibaba", "nat64"].map(|name| ask(&format!("{name}.bank.test"), 80)).concat();
    let rules = r#"
  - { host: "internal.bank.test", ports: [80], addresses: ["10.1.2.0/24"] }
  - { host: "mixed.bank.test", addresses: ["10.1.2.3"] }
  - { host: "aws.bank.test", ports: [80], addresses: ["169.254.0.0/16"] }
  - { host: "alibaba.bank.test", ports: [80], addresses: ["100.100.100.200"] }
  - { host: "nat64.bank.test", ports: [80], addresses: ["64:ff9b::a9fe:a9fe"] }"#;
    let said = world.python(rules, &script);
    assert_eq!(said, [OK, OK, FORBIDDEN, OK, OK], "a metadata service must be named as a single address");
    assert_eq!(reached(&world), ["10.1.2.3:80", "100.100.100.200:80", "64:ff9b::a9fe:a9fe:80"]);
    assert_eq!(world.refusals(), ["net_connect denied address-forbidden aws.bank.test:80"]);
    let door = world.door();
    let allowed =
        |resource: &str| door.iter().rfind(|r| r["result"] == "allowed" && r["resource"] == resource).unwrap();
    assert_eq!(allowed("internal.bank.test:80")["policy_ids"], json!(["allowed_networks[0]"]));
    assert_eq!(allowed("nat64.bank.test:80")["policy_ids"], json!(["allowed_networks[4]"]));
}

#[test]
fn the_rule_that_an_address_refusal_names_allows_it() {
    let Some(world) = World::new() else { return };
    for name in ["internal.bank.test", "aws.bank.test", "nat64.bank.test"] {
        let ask = format!("say(exchange({name:?}, 80, get({name:?}))[0])");
        let refused = world.python(&format!("[{name:?}]"), &ask);
        let text = refused[0].as_str().unwrap();
        let rule = &text[text.find('{').unwrap()..=text.find('}').unwrap()];
        let said = world.python(&format!("[{rule:?}, {rule}]").replacen(&format!("{rule:?}, "), "", 1), &ask);
        assert!(said[0].as_str().unwrap().starts_with(OK), "{rule}: {said:?}");
    }
}

#[test]
fn a_network_rule_is_for_addresses_and_for_no_name() {
    let Some(world) = World::new() else { return };
    let script = r#"
say(exchange("10.1.2.3", 80, get("10.1.2.3"))[0].splitlines()[0])
say(exchange(*PROXY, "GET http://10.1.2.3/ HTTP/1.1\r\nHost: 10.1.2.3\r\nConnection: close\r\n\r\n")[0].splitlines()[0])
say(exchange("10.1.2.3", 80, get("internal.bank.test"))[0].splitlines()[0])
say(exchange("10.1.3.1", 80, get("10.1.3.1"))[0].splitlines()[0])
say(exchange("10.1.2.3", 8080, get("10.1.2.3:8080"))[0].splitlines()[0])
say(tell(lambda: exchange("internal.bank.test", 80, get("internal.bank.test"))))
say(exchange("169.254.169.254", 80, get("169.254.169.254"))[0].splitlines()[0])
say(exchange("100.100.100.200", 80, get("100.100.100.200"))[0].splitlines()[0])
say(exchange("::ffff:10.1.2.3", 80, get("10.1.2.3"))[0].splitlines()[0])
# Python always sends a server name when it is given a host, and addresses take none.
context = ssl.create_default_context(cafile=CA)
with connect("93.184.216.34", 443) as connection:
    secure = context.wrap_socket(connection, server_hostname="93.184.216.34")
    secure.sendall(get("93.184.216.34").encode())
    say(rest(secure)[0].splitlines()[0])
say(https("93.184.216.34", "api.bank.test"))
"#;
    let rules = r#"["10.1.2.0/24:80", "169.254.0.0/16:80", "100.100.100.200:80", "93.184.216.34:443"]"#;
    let said = world.python(rules, script);
    let denied = "SSLError TLSV1_ALERT_ACCESS_DENIED";
    assert_eq!(
        said,
        [OK, OK, FORBIDDEN, FORBIDDEN, FORBIDDEN, "gaierror", FORBIDDEN, OK, OK, OK, denied],
        "{:#?}",
        world.refusals()
    );
    assert_eq!(reached(&world), ["10.1.2.3:80", "10.1.2.3:80", "100.100.100.200:80", "10.1.2.3:80"]);
    assert_eq!(queried(&world.seen()), Vec::<String>::new());
    assert_eq!(
        world.refusals(),
        [
            "net_connect denied http-host-mismatch 10.1.2.3:80",
            "net_connect denied host-not-allowed 10.1.3.1:80",
            "net_connect denied host-not-allowed 10.1.2.3:8080",
            "net_resolve denied host-not-allowed internal.bank.test",
            "net_resolve denied host-not-allowed internal.bank.test",
            "net_connect denied address-forbidden 169.254.169.254:80",
            "net_connect denied sni-mismatch 93.184.216.34:443",
        ]
    );
}

#[test]
fn the_addresses_of_the_machine_itself_are_not_reached() {
    let Some(world) = World::new() else { return };
    // Nothing listens at these ports of the cell's own loopback; the proxy refuses to go to the host's.
    let script = r#"
for host in "127.0.0.1", "localhost", "::1", "127.1.2.3":
    say(tell(lambda: exchange(host, 8080, get("x"))))
for host in "127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]", "127.1.2.3":
    say(exchange(*PROXY, f"GET http://{host}:8080/ HTTP/1.1\r\nHost: {host}:8080\r\n\r\n")[0].splitlines()[0])
"#;
    let said = world.python(r#"["**.bank.test"]"#, script);
    assert_eq!(said[..4], ["ConnectionRefusedError"; 4]);
    assert_eq!(said[4..], [FORBIDDEN; 7]);
    world.nothing_left();
}
