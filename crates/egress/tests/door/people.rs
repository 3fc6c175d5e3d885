//! Connections and requests that wait for people.

use nanoclaw_config::{DataClass, Label, RuleSet, Trust};
use nanoclaw_gate::Answer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::origin::{OK, Origin, Script};
use crate::tls::{hello, sni};
use crate::world::{End, World, generation, host, raw, refused, rest, until};

const ASK: &str =
    "@id(\"first\") @ask(\"the bank is closed\")\nforbid(principal, action == Action::\"net_connect\", resource);";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n";

fn answer(world: &World, question: &nanoclaw_gate::Question, answer: Answer) {
    world.desk.answer("uid:1000", &question.id, &question.digest, answer).unwrap();
}

/// A world in which connections to db.bank.com and api.bank.com wait for people.
async fn bank(script: Script) -> (World, Origin) {
    let world = World::under(generation([raw("db.bank.com", 5432), host("api.bank.com")], ASK, [], []));
    let origin = Origin::new(script).await;
    world.publish("db.bank.com", 5432, origin.address);
    world.publish("api.bank.com", 80, origin.address);
    world.publish("api.bank.com", 443, origin.address);
    (world, origin)
}

async fn echo(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, bytes);
}

#[tokio::test]
async fn a_connection_waits_and_nothing_is_dialled_before_people_agree() {
    let (world, origin) = bank(Script::Echo).await;
    let mut stream = world.connect_to("db.bank.com", 5432).await;
    stream.write_all(b"early").await.unwrap();
    let question = world.question().await;
    assert_eq!((question.action.as_str(), question.resource.as_str()), ("net_connect", "db.bank.com:5432"));
    assert!(world.dials().is_empty() && origin.seen().is_empty());
    answer(&world, &question, Answer::Approve);
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"early");
    let records = world.records().await;
    let allowed = records.iter().find(|r| r["action"] == "net_connect" && r["result"] == "allowed").unwrap();
    assert_eq!(allowed["approved_by"], serde_json::json!(["operator:1000"]), "{allowed:#}");

    // Their word holds through changes of policy that leave it to people as before, and for this connection only.
    world.reload(generation([raw("db.bank.com", 5432), host("other.bank.com")], ASK, [], []));
    echo(&mut stream, b"goes on").await;
    let _second = world.connect_to("db.bank.com", 5432).await;
    world.question().await;
    // It does not hold for more than the session held then.
    world.engine.session().read(Label::new(Trust::Trusted, DataClass::Secret));
    assert_eq!(rest(&mut stream).await, (Vec::new(), End::Reset));
}

#[tokio::test]
async fn who_is_denied_is_told_in_the_protocol_at_hand() {
    let (world, origin) = bank(Script::Reply(OK)).await;
    let deny = || Answer::Deny { reason: "not today".to_owned() };
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(REQUEST).await.unwrap();
    answer(&world, &world.question().await, deny());
    let (page, _) = rest(&mut stream).await;
    let why = "the bank is closed; `uid:1000` denied it: not today";
    assert_eq!(String::from_utf8(page).unwrap(), refused("403 Forbidden", "not-approved", why, ""));
    let mut stream = world.connect_to("api.bank.com", 443).await;
    stream.write_all(&hello(&[sni("api.bank.com")])).await.unwrap();
    answer(&world, &world.question().await, deny());
    assert_eq!(rest(&mut stream).await.0, [21, 3, 3, 0, 2, 2, 49]);
    let mut stream = world.connect_to("db.bank.com", 5432).await;
    answer(&world, &world.question().await, deny());
    assert_eq!(rest(&mut stream).await, (Vec::new(), End::Reset));
    assert!(world.dials().is_empty() && origin.seen().is_empty());
}

#[tokio::test]
async fn a_client_that_gives_up_withdraws_its_question() {
    let (world, _) = bank(Script::Reply(OK)).await;
    for (port, bytes) in [
        (5432, b"".as_slice()),
        (443, &hello(&[sni("api.bank.com")])),
        (80, REQUEST),
        // More than the door has read.
        (80, b"PUT / HTTP/1.1\r\nHost: api.bank.com\r\nContent-Length: 100000\r\n\r\n0123456789"),
    ] {
        let name = if port == 5432 { "db.bank.com" } else { "api.bank.com" };
        let mut stream = world.connect_to(name, port).await;
        stream.write_all(bytes).await.unwrap();
        let question = world.question().await;
        stream.write_all(&vec![b'x'; 50_000]).await.unwrap();
        drop(stream);
        let mut changes = world.desk.changes();
        while !world.desk.waiting().is_empty() {
            changes.changed().await.unwrap();
        }
        let late = world.desk.answer("uid:1000", &question.id, &question.digest, Answer::Approve);
        assert!(late.is_err(), "{late:?}");
    }
    assert!(world.dials().is_empty());
    let story = world.story().await;
    assert_eq!(story.iter().filter(|line| line.starts_with("net_connect")).count(), 0, "{story:?}");
}

#[tokio::test]
async fn a_cell_that_ends_withdraws_its_questions() {
    let (mut world, _) = bank(Script::Echo).await;
    let stream = world.connect_to("db.bank.com", 5432).await;
    world.question().await;
    world.leave();
    (&mut world.serving).await.unwrap().unwrap();
    assert!(world.desk.waiting().is_empty());
    drop(stream);
}

#[tokio::test]
async fn requests_on_a_connection_that_people_agreed_to_ask_nobody_again() {
    let world = World::under(generation([host("api.bank.com")], "", [RuleSet::RuleOfTwo], []));
    let origin = Origin::new(Script::Reply(OK)).await;
    world.publish("api.bank.com", 80, origin.address);
    world.engine.session().read(Label::new(Trust::Untrusted, DataClass::Confidential));
    let mut stream = world.connect_to_proxy().await;
    let request = b"GET http://api.bank.com/ HTTP/1.1\r\nHost: api.bank.com\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let question = world.question().await;
    assert_eq!((question.action.as_str(), question.resource.as_str()), ("net_resolve", "api.bank.com"));
    assert!(world.lookups().is_empty(), "a name can carry something out by itself");
    answer(&world, &question, Answer::Approve);
    for _ in 0..2 {
        assert_eq!(until(&mut stream, "ok").await, OK);
        stream.write_all(request).await.unwrap();
    }
    until(&mut stream, "ok").await;
    assert!(world.desk.waiting().is_empty());
    assert_eq!(world.dials().len(), 1);
}

#[tokio::test]
async fn a_request_can_wait_too_and_is_sent_when_people_agree() {
    let ask = "@id(\"put\") @ask(\"a change\") forbid(principal, action == Action::\"http_request\", resource)\n\
               when { context.method == \"PUT\" };";
    let world = World::under(generation([host("api.bank.com")], ask, [], []));
    let origin = Origin::new(Script::Reply(OK)).await;
    world.publish("api.bank.com", 80, origin.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(b"PUT /x HTTP/1.1\r\nHost: api.bank.com\r\nContent-Length: 1\r\n\r\ny").await.unwrap();
    let question = world.question().await;
    assert_eq!(question.action, "http_request");
    assert_eq!(origin.seen().concat(), "", "nothing is sent before");
    answer(&world, &question, Answer::Approve);
    assert_eq!(until(&mut stream, "ok").await, OK);
    stream.write_all(REQUEST).await.unwrap();
    assert_eq!(until(&mut stream, "ok").await, OK, "others need nobody");
}

#[tokio::test]
async fn names_are_not_waited_for() {
    let (world, _) = bank(Script::Echo).await;
    assert_eq!(world.ask("db.bank.com", 1).await[3] & 15, 0, "what may be asked about can be looked up");
    assert!(world.desk.waiting().is_empty());
    let ask =
        "@id(\"names\") @ask(\"names are secret\") forbid(principal, action == Action::\"net_resolve\", resource);";
    let world = World::under(generation([host("api.bank.com")], ask, [], []));
    assert_eq!(world.ask("api.bank.com", 1).await[3] & 15, 3, "NXDOMAIN");
    let refusal = world.refusal("net_resolve", "not-approved").await;
    assert_eq!(refusal["policy_ids"], serde_json::json!(["names"]));
    assert!(world.desk.waiting().is_empty());
}

/// Who agreed to the lookup agreed to the connection that it is for, as far as the same policies ask, and not to more.
#[tokio::test]
async fn people_are_asked_once_for_a_name_and_the_connection_to_it() {
    let address = "@id(\"address\") @ask(\"this network needs a second look\") forbid(principal, action == Action::\"net_connect\", resource)\n\
        when { context has address && context.address.isInRange(ip(\"93.184.216.0/24\")) };";
    for (policies, again) in [("", None), (address, Some("address"))] {
        let world = World::under(generation([raw("db.bank.com", 5432)], policies, [RuleSet::RuleOfTwo], []));
        let origin = Origin::new(Script::Echo).await;
        world.publish("db.bank.com", 5432, origin.address);
        world.engine.session().read(Label::new(Trust::Untrusted, DataClass::Confidential));
        let mut stream = world.connect_to("db.bank.com", 5432).await;
        let first = world.question().await;
        assert_eq!(first.policies, ["rule-of-two.connect"]);
        answer(&world, &first, Answer::Approve);
        if let Some(policy) = again {
            let mut changes = world.desk.changes();
            let second = loop {
                match world.desk.waiting().into_iter().find(|question| question.id != first.id) {
                    Some(question) => break question,
                    None => changes.changed().await.unwrap(),
                }
            };
            assert!(second.action == "net_connect" && second.policies.iter().any(|id| id == policy), "{second:?}");
            assert!(world.dials().is_empty());
            answer(&world, &second, Answer::Approve);
        }
        echo(&mut stream, b"hello").await;
        let records = world.records().await;
        let connected = records.iter().find(|r| r["action"] == "net_connect" && r["result"] == "allowed").unwrap();
        assert_eq!(connected["approved_by"], serde_json::json!(["operator:1000"]), "{connected:#}");
    }
}
