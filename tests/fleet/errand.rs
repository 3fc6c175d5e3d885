//! The example of policies, labels, people and the API does what its page says.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Background, Host, eventually, finish};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/errand");

/// A copy of the example, its API at another port than whoever else tries it.
fn copy() -> Host {
    let host = Host::new();
    let names =
        ["nanoclaw-config.yaml", "policies.cedar", "expected.txt", "statements", "services.py", "errand/errand.sh"];
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for name in names {
        let text = std::fs::read_to_string(Path::new(EXAMPLE).join(name)).unwrap();
        host.write(name, text.replace("127.0.0.1:7443", &free));
    }
    host
}

/// The only question that waits: its id and digest.
fn question(host: &Host) -> (String, String) {
    let list = eventually("a question", || {
        let list = host.nanoclaw(["approvals", "--json"]).good();
        (!list.is_empty()).then_some(list)
    });
    let question: Value = serde_json::from_str(&list).unwrap();
    let text = |field: &str| question[field].as_str().unwrap().to_owned();
    (text("id"), text("digest"))
}

#[test]
fn the_errand_goes_as_its_page_says() {
    let host = copy();
    let mut services = host.command("/usr/bin/python3");
    services.arg("services.py");
    let services = Background::start(services, Stdio::null());
    services.writes("serving");

    assert_eq!(host.nanoclaw(["config", "check"]).good(), "`nanoclaw-config.yaml` is valid\n");
    let python = host.nanoclaw(["policy", "explain", "courier", "exec", "/usr/bin/python3"]);
    assert_eq!(
        (python.code(), python.text().as_str()),
        (
            Some(1),
            "refused: exec `/usr/bin/python3` is denied by no-interpreters\n  the errand is a shell script; have it changed\n"
        )
    );
    let held = "courier[untrusted,confidential]";
    let asks = host.nanoclaw(["policy", "explain", held, "net_connect", "127.0.0.2:18602"]).good();
    assert!(asks.starts_with("allowed if people agree: "), "{asks}");
    assert_eq!(host.nanoclaw(["policy", "test", "expected.txt"]).good(), "5 as expected, 0 not\n");

    let up = Background::start(host.prepare(["up"]), Stdio::null());
    up.says("agent `courier` waits for a person: net_connect 127.0.0.2:18602");
    let logs = host.nanoclaw(["logs", "courier"]).good();
    assert!(logs.contains("the page says: Whoever") && logs.contains("the records say: patient 17"), "{logs}");
    let labels: Value = serde_json::from_str(&host.nanoclaw(["labels", "--json"]).good()).unwrap();
    assert_eq!((&labels["agent"], &labels["labels"]["trust"]), (&"courier".into(), &"untrusted".into()), "{labels}");
    assert_eq!(labels["labels"]["data"], "confidential");
    // The line that was printed, with a name for NAME, is what it takes to come in over the API.
    let said = up.errors();
    let line = said.lines().find(|line| line.contains("nanoclaw context add NAME ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().skip_while(|word| *word != "context").collect();
    let invitation = said.split_whitespace().find(|word| word.starts_with("nci_")).unwrap();
    let enrol = |words: &[&str], input: &str| {
        let mut command = host.prepare(words);
        command.env("XDG_CONFIG_HOME", host.path("config"));
        finish(command, input.as_bytes())
    };
    let over = |words: &[&str]| enrol(words, "");
    let words: Vec<&str> = words.into_iter().map(|word| if word == "NAME" { "me" } else { word }).collect();
    assert!(enrol(&words, invitation).good().starts_with("enrolled as admin until "));
    assert!(over(&["--context", "me", "ps"]).good().contains("courier"));

    let (id, digest) = question(&host);
    assert_eq!(over(&["--context", "me", "approvals", "approve", &id, "--digest", &digest]).good(), "approved\n");
    services.writes("127.0.0.2 was sent: patient 17: discharged on Monday");
    let told = |what: &str| {
        eventually("what it was told", || host.nanoclaw(["logs", "courier"]).good().contains(what).then_some(()));
    };
    told("sending to the page: thank you");
    let agreed = eventually("the record", || {
        host.records_of("net_connect").into_iter().find(|record| !record["approved_by"].is_null())
    });
    let explained = host.nanoclaw(["policy", "explain", "--seq", &agreed["seq"].to_string()]).good();
    assert!(explained.contains("  agreed to by operator:admin\n"), "{explained}");
    assert!(explained.contains("@id(\"rule-of-two.connect\")"), "{explained}");

    let curl = ["exec", "courier", "curl", "-sS", "-d", "a letter", "http://127.0.0.2:18602/"];
    let sends = Background::start(host.prepare(curl), Stdio::null());
    let (id, _) = question(&host);
    assert_eq!(host.nanoclaw(["approvals", "deny", &id, "--reason", "no business of that page"]).good(), "denied\n");
    let refused = sends.finish().text();
    assert!(refused.contains("denied it: no business of that page"), "{refused}");
    host.nanoclaw(["labels", "reset", "courier"]).good();
    assert!(over(&["--context", "me", "labels"]).good().contains("courier  trusted    public"), "it is forgotten");
    host.nanoclaw(["down"]).good();
}
