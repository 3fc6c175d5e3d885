//! What is open is allowed by the policies and the labels of now, not by those of the moment it was opened in.

use nanoclaw_config::{DataClass, HostLabel, Label, RuleSet, Trust};
use nanoclaw_policy::Generation;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::origin::{OK, Origin, Script};
use crate::tls::{hello, sni};
use crate::world::{End, World, generation, host, label, raw, refused, rest, until};

const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";
const CUT: &str = "no longer allowed since policy generation 2: no rule allows";

/// What says how the one connection or request that failed has ended.
async fn cut(world: &World, action: &str) -> Value {
    loop {
        let records = world.records().await;
        let failed = records.iter().find(|record| record["action"] == action && record["result"] == "failed");
        if let Some(record) = failed {
            assert_eq!(record["code"], "no-longer-allowed", "{record:#}");
            return record.clone();
        }
        tokio::task::yield_now().await;
    }
}

fn reason(record: &Value) -> &str {
    record["reason"].as_str().unwrap()
}

/// Sends `bytes` and waits until they are back.
async fn echo(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, bytes);
}

/// Waits for the end, which must be a reset without another byte.
async fn is_reset(stream: &mut TcpStream) {
    assert_eq!(rest(stream).await, (Vec::new(), End::Reset));
}

#[tokio::test]
async fn a_connection_that_a_new_generation_bars_is_reset() {
    let world = World::under(generation([raw("db.bank.com", 5432), host("api.bank.com")], "", [], []));
    let origin = Origin::new(Script::Echo).await;
    world.publish("db.bank.com", 5432, origin.address);
    world.publish("api.bank.com", 443, origin.address);
    let mut plain = world.connect_to("db.bank.com", 5432).await;
    echo(&mut plain, b"before").await;
    let mut tunnel = world.connect_to_proxy().await;
    tunnel.write_all(b"CONNECT api.bank.com:443 HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut tunnel, "\r\n\r\n").await, OPEN);
    echo(&mut tunnel, &hello(&[sni("api.bank.com")])).await;

    world.reload(generation([raw("db.bank.com", 5432), host("other.bank.com")], "", [], []));
    is_reset(&mut tunnel).await;
    let record = cut(&world, "net_connect").await;
    assert!(reason(&record).starts_with(&format!("{CUT} api.bank.com:443")), "{record:#}");
    assert!(record["help"].as_str().unwrap().contains("allowed_networks"), "{record:#}");
    assert!(record["bytes_sent"].as_u64().unwrap() > 0, "{record:#}");
    echo(&mut plain, b"what is still allowed goes on").await;

    world.reload(generation([host("other.bank.com")], "", [], []));
    is_reset(&mut plain).await;
}

#[tokio::test]
async fn a_long_transfer_is_cut_in_the_middle() {
    let world = World::under(generation([raw("db.bank.com", 5432)], "", [], []));
    let origin = Origin::new(Script::Echo).await;
    world.publish("db.bank.com", 5432, origin.address);
    let mut stream = world.connect_to("db.bank.com", 5432).await;
    // So long that it goes through a pipe.
    echo(&mut stream, &vec![7; 100_000]).await;
    for _ in 0..30 {
        echo(&mut stream, &vec![8; 100_000]).await;
    }
    world.reload(Generation::default());
    // Whatever the cell still sends stays here.
    let _ = stream.write_all(b"LAST").await;
    is_reset(&mut stream).await;
    assert!(!origin.seen().concat().contains("LAST"));
}

#[tokio::test]
async fn a_policy_of_a_file_cuts_as_well_and_an_invalid_one_would_refuse_too() {
    let world = World::under(generation([raw("db.bank.com", 5432)], "", [], []));
    let origin = Origin::new(Script::Echo).await;
    world.publish("db.bank.com", 5432, origin.address);
    let mut stream = world.connect_to("db.bank.com", 5432).await;
    echo(&mut stream, b"before").await;
    let forbid =
        "@id(\"closed\")\n@help(\"ask the bank\")\nforbid(principal, action == Action::\"net_connect\", resource);";
    world.reload(generation([raw("db.bank.com", 5432)], forbid, [], []));
    is_reset(&mut stream).await;
    let record = cut(&world, "net_connect").await;
    assert_eq!(
        (reason(&record), &record["help"]),
        ("no longer allowed since policy generation 2: db.bank.com:5432 is denied by closed", &"ask the bank".into())
    );
}

#[tokio::test]
async fn a_request_under_way_is_ended_and_told_so_where_nothing_was_answered_yet() {
    let rules = || [host("api.bank.com")];
    let world = World::under(generation(rules(), "", [], []));
    let mute = Origin::new(Script::AfterEnd("")).await;
    world.publish("api.bank.com", 80, mute.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(b"PUT /x HTTP/1.1\r\nHost: api.bank.com\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
    while !mute.seen().concat().ends_with("half") {
        tokio::task::yield_now().await;
    }
    let forbid = "@id(\"no-put\") forbid(principal, action == Action::\"http_request\", resource) when { context.method == \"PUT\" };";
    world.reload(generation(rules(), forbid, [], []));
    let why = "no longer allowed since policy generation 2: api.bank.com:80 is denied by no-put";
    let (answer, _) = rest(&mut stream).await;
    assert_eq!(String::from_utf8(answer).unwrap(), refused("403 Forbidden", "no-longer-allowed", why, ""));
    assert_eq!(reason(&cut(&world, "http_request").await), why);
    assert_eq!(mute.seen().concat().matches("half").count(), 1);
}

#[tokio::test]
async fn half_an_answer_is_cut_off_as_one() {
    let world = World::under(generation([host("api.bank.com")], "", [], []));
    let origin = Origin::new(Script::Reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")).await;
    world.publish("api.bank.com", 80, origin.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await.unwrap();
    until(&mut stream, "half").await;
    world.reload(Generation::default());
    is_reset(&mut stream).await;
    assert!(reason(&cut(&world, "http_request").await).starts_with(CUT));
    assert!(reason(&cut(&world, "net_connect").await).starts_with(CUT));
}

#[tokio::test]
async fn an_unused_connection_to_a_server_is_closed_and_the_next_request_decided_anew() {
    let world = World::under(generation([host("api.bank.com")], "", [], []));
    let origin = Origin::new(Script::Reply(OK)).await;
    world.publish("api.bank.com", 80, origin.address);
    let request = b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n";
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(request).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    world.reload(generation([host("api.bank.com"), host("other.bank.com")], "", [], []));
    stream.write_all(request).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    assert_eq!(world.dials().len(), 1, "what is still allowed stays open");
    world.reload(Generation::default());
    let record = cut(&world, "net_connect").await;
    assert!(reason(&record).starts_with("no longer allowed since policy generation 3"), "{record:#}");
    stream.write_all(request).await.unwrap();
    let (answer, _) = rest(&mut stream).await;
    assert!(answer.starts_with(b"HTTP/1.1 403 "), "{}", answer.escape_ascii());
    world.refusal("net_resolve", "host-not-allowed").await;
    assert_eq!((world.dials().len(), origin.seen().concat().matches("GET").count()), (1, 2));
}

#[tokio::test]
async fn a_websocket_is_cut() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let rules = || [host("api.bank.com")];
    let world = World::under(generation(rules(), "", [], []));
    let origin = Origin::new(Script::Reply(SWITCH)).await;
    world.publish("api.bank.com", 80, origin.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let ask = "GET /ws HTTP/1.1\r\nHost: api.bank.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\n").await, SWITCH);
    let forbid = "@id(\"no-ws\") forbid(principal, action == Action::\"http_request\", resource) when { context.path == \"/ws\" };";
    world.reload(generation(rules(), forbid, [], []));
    is_reset(&mut stream).await;
    assert!(reason(&cut(&world, "http_request").await).ends_with("api.bank.com:80 is denied by no-ws"));
}

const VAULT: &str = "vault.bank.com";
const NEWS: &str = "news.test";

fn two(hosts: Vec<HostLabel>) -> Generation {
    generation([raw(VAULT, 5432), raw(NEWS, 5432)], "", [RuleSet::RuleOfTwo], hosts)
}

fn confidential() -> HostLabel {
    label(VAULT, Trust::Trusted, DataClass::Confidential)
}

/// A world under rule-of-two, with an echo at a trusted host with confidential data and at one that nobody vouches for.
async fn two_hosts() -> (World, Origin, Origin) {
    let world = World::under(two(vec![confidential()]));
    let (vault, news) = (Origin::new(Script::Echo).await, Origin::new(Script::Echo).await);
    for (name, address, origin) in [(VAULT, "9.9.9.1", &vault), (NEWS, "9.9.9.2", &news)] {
        world.resolves(name, &[&[address]]);
        world.serves(&format!("{address}:5432"), origin.address);
    }
    (world, vault, news)
}

#[tokio::test]
async fn an_open_connection_is_cut_when_the_session_holds_what_its_host_may_not_have() {
    let (world, vault, news) = two_hosts().await;
    let mut outside = world.connect_to(NEWS, 5432).await;
    echo(&mut outside, b"what is new?").await;
    let mut inside = world.connect_to(VAULT, 5432).await;
    echo(&mut inside, b"the accounts, please").await;
    is_reset(&mut outside).await;
    let record = cut(&world, "net_connect").await;
    let expected = "no longer allowed since the session's labels rose to untrusted, confidential: \
        this session has read untrusted content and holds confidential data, and the host may not have it, \
        and nobody has agreed to that";
    assert_eq!((reason(&record), record["resource"].as_str().unwrap()), (expected, "news.test:5432"));
    echo(&mut inside, b"goes on").await;
    assert_eq!((vault.seen().len(), news.seen()), (1, vec!["what is new?".to_owned()]));
    assert!(world.desk.waiting().is_empty(), "what is cut asks nobody");
}

#[tokio::test]
async fn what_a_cell_sends_after_its_labels_rose_reaches_nobody() {
    let (world, _, news) = two_hosts().await;
    // Each time another path through the door has to see it first.
    for round in 0..50 {
        world.engine.session().reset();
        let mut outside = world.connect_to(NEWS, 5432).await;
        echo(&mut outside, b"before").await;
        world.engine.session().read(Label::new(Trust::Trusted, DataClass::Secret));
        let _ = outside.write_all(b"SECRET").await;
        is_reset(&mut outside).await;
        assert!(!news.seen().concat().contains("SECRET"), "in round {round}");
    }
}

#[tokio::test]
async fn a_host_that_may_have_it_stays_reachable() {
    let (world, _, _) = two_hosts().await;
    world.engine.session().read(Label::new(Trust::Untrusted, DataClass::Confidential));
    let mut inside = world.connect_to(VAULT, 5432).await;
    echo(&mut inside, b"before").await;
    world.engine.session().read(Label::new(Trust::Trusted, DataClass::Secret));
    is_reset(&mut inside).await;
}

/// A session that holds confidential data and has read nothing untrusted would read it on the very connection.
#[tokio::test]
async fn a_connection_is_not_allowed_only_to_be_cut() {
    let (world, _, news) = two_hosts().await;
    world.engine.session().read(Label::new(Trust::Trusted, DataClass::Confidential));
    let outside = world.connect_to(NEWS, 5432).await;
    let question = world.question().await;
    assert_eq!(
        (question.resource.as_str(), &question.policies[..]),
        ("news.test", &["rule-of-two.connect".to_owned()][..])
    );
    assert_eq!(world.engine.session().label().trust, Trust::Trusted, "nothing was read yet");
    assert!(news.seen().is_empty() && world.lookups().is_empty());
    drop(outside);
}

#[tokio::test]
async fn a_connection_is_cut_when_its_host_is_labelled_anew_or_the_session_made_to_forget() {
    let (world, _, _) = two_hosts().await;
    let mut inside = world.connect_to(VAULT, 5432).await;
    echo(&mut inside, b"before").await;
    world.reload(two(vec![label(VAULT, Trust::Trusted, DataClass::Secret)]));
    is_reset(&mut inside).await;
    let record = cut(&world, "net_connect").await;
    assert_eq!(
        reason(&record),
        "no longer allowed since policy generation 2: what comes is trusted, secret, and the session is not known to hold that"
    );
    let mut again = world.connect_to(VAULT, 5432).await;
    echo(&mut again, b"again").await;
    assert_eq!(world.engine.session().label().data, DataClass::Secret);
    world.engine.session().reset();
    is_reset(&mut again).await;
}

/// Each way to receive bytes from a host, up to the first of them.
#[tokio::test]
async fn labels_rise_before_anything_can_come() {
    let tls = hello(&[sni("api.bank.com")]);
    let service = "127.0.0.1:8080";
    for way in ["raw", "service", "tls", "http", "connect", "connect http", "absolute"] {
        let target = nanoclaw_config::NetTarget::HostService { address: service.parse().unwrap() };
        let rule = nanoclaw_config::NetRule { id: "service".to_owned(), text: service.to_owned(), target };
        let hosts =
            ["db.bank.com", "api.bank.com", "127.0.0.1"].map(|name| label(name, Trust::Untrusted, DataClass::Internal));
        let world = World::under(generation([raw("db.bank.com", 5432), host("api.bank.com"), rule], "", [], hosts));
        let origin =
            Origin::new(if way.contains("http") || way == "absolute" { Script::Reply(OK) } else { Script::Echo }).await;
        for (name, port) in [("db.bank.com", 5432), ("api.bank.com", 80), ("api.bank.com", 443)] {
            world.publish(name, port, origin.address);
        }
        world.serves(service, origin.address);
        let request = b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n";
        let mut stream = match way {
            "raw" => world.connect_to("db.bank.com", 5432).await,
            "service" => world.connect(service).await,
            "tls" => world.connect_to("api.bank.com", 443).await,
            "http" => world.connect_to("api.bank.com", 80).await,
            _ => world.connect_to_proxy().await,
        };
        if let Some(http) = way.strip_prefix("connect") {
            let port = if http.is_empty() { 443 } else { 80 };
            stream.write_all(format!("CONNECT api.bank.com:{port} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
            assert_eq!(until(&mut stream, "\r\n\r\n").await, OPEN);
        }
        match way {
            "raw" | "service" => echo(&mut stream, b"x").await,
            "tls" | "connect" => echo(&mut stream, &tls).await,
            "absolute" => {
                stream.write_all(b"GET http://api.bank.com/ HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await.unwrap();
                until(&mut stream, "ok").await;
            }
            _ => {
                stream.write_all(request).await.unwrap();
                until(&mut stream, "ok").await;
            }
        }
        let label = world.engine.session().label();
        assert_eq!(label, Label::new(Trust::Untrusted, DataClass::Internal), "{way}");
        let story = world.story().await;
        let at = |line: &str| story.iter().position(|found| found.starts_with(line));
        assert!(at("labels_rose").is_some() && at("labels_rose") < at("net_connect allowed"), "{way}: {story:?}");
    }
}

#[tokio::test]
async fn a_name_that_was_looked_up_is_not_known_any_more_when_no_rule_allows_it() {
    let world = World::under(generation([host("api.bank.com")], "", [], []));
    for _ in 0..2 {
        assert_eq!(world.ask("api.bank.com", 1).await[3] & 15, 0);
    }
    assert_eq!(world.story().await, ["net_resolve allowed"], "the second answer is no new act");
    world.reload(Generation::default());
    assert_eq!(world.ask("api.bank.com", 1).await[3] & 15, 3, "NXDOMAIN");
    world.refusal("net_resolve", "host-not-allowed").await;
    world.reload(generation([host("api.bank.com")], "", [], []));
    assert_eq!(world.ask("api.bank.com", 1).await[3] & 15, 0);
}
