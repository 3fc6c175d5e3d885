//! Places that the control plane itself serves to a cell.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use nanoclaw_audit::{AuditError, Fact, Note, Recorder};
use nanoclaw_config::NetRule;
use nanoclaw_egress::{DoorError, DoorLimits, HandedOver, Pending, Serve, Service};
use nanoclaw_request::{DnsName, Via};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::origin::{OK, Origin, Script};
use crate::tls::{hello, sni};
use crate::world::{End, World, host, quick, raw, refused, rest, say, until};

const NAME: &str = "llm.nanoclaw.internal";
const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// Sends back what it gets, until its client has ended or it is told to leave.
struct Echo {
    seen: Mutex<Vec<(Via, usize)>>,
    recorder: Recorder,
}

impl Echo {
    /// How each connection came, and how much of it the door had read.
    fn seen(&self) -> Vec<(Via, usize)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Serve for Echo {
    fn serve(&self, connection: HandedOver) -> Pending<'_, Result<(), AuditError>> {
        let HandedOver { mut stream, ahead, via } = connection;
        self.seen.lock().unwrap().push((via, ahead.len()));
        Box::pin(async move {
            let mut bytes = ahead;
            while !bytes.is_empty() || stream.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {
                if bytes == b"record" {
                    self.recorder.note(Note::of_control(Fact::Notice("a request".to_owned()))).await?;
                    self.recorder.flush().await?;
                }
                if stream.write_all(&bytes).await.is_err() {
                    break;
                }
                bytes.clear();
            }
            Ok(())
        })
    }
}

/// A world with an echo at port 80 of [`NAME`].
fn world(rules: impl Into<Vec<NetRule>>, limits: DoorLimits) -> (World, Arc<Echo>) {
    let mut echo = None;
    let world = World::with_services(rules, limits, |recorder| {
        let server = echo.insert(Arc::new(Echo { seen: Mutex::default(), recorder: recorder.clone() })).clone();
        vec![Service { host: DnsName::parse(NAME).unwrap(), port: 80, server }]
    });
    (world, echo.unwrap())
}

/// Nothing was asked of policy and nothing went outside.
async fn stayed_inside(world: &World) {
    assert!(world.records().await.is_empty(), "{:?}", world.story().await);
    assert_eq!((world.lookups(), world.dials()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn name_of_a_service_has_addresses_without_a_rule_or_a_record() {
    let (world, _) = world([], quick());
    for name in [NAME, "LLM.nanoclaw.INTERNAL"] {
        assert!(world.ask(name, 1).await.ends_with(&[198, 18, 0, 1]), "{name}");
        let v6 = world.ask(name, 28).await;
        assert!(v6.ends_with(b"\xfd\x6en\x6fcl\0\0\0\0\0\0\0\0\0\x01"), "{name}: {}", v6.escape_ascii());
    }
    let reverse = world.ask("1.0.18.198.in-addr.arpa", 12).await;
    assert!(reverse.ends_with(b"\x03llm\x08nanoclaw\x08internal\0"), "{}", reverse.escape_ascii());
    stayed_inside(&world).await;
    assert_eq!(world.ask("x.llm.nanoclaw.internal", 1).await[3] & 0xf, 3, "names below it are not it");
    world.refusal("net_resolve", "host-not-allowed").await;
}

#[tokio::test]
async fn ordinary_connection_is_handed_over_unread() {
    let (world, echo) = world([], quick());
    let mut stream = world.connect_to(NAME, 80).await;
    // Neither HTTP nor TLS, and long enough to fill the sockets' buffers.
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (mut from, mut to) = stream.split();
    let sent = async {
        to.write_all(&bytes).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let (read, ()) = tokio::join!(from.read_to_end(&mut back), sent);
    read.unwrap();
    assert!(back == bytes);
    assert_eq!(echo.seen(), [(Via::Transparent, 0)]);
    stayed_inside(&world).await;
    assert_eq!(world.door.usage().connections, 1);
}

#[tokio::test]
async fn tunnel_to_a_service_loses_nothing_that_came_with_its_request() {
    let (world, echo) = world([], quick());
    let mut stream = world.connect_to_proxy().await;
    stream.write_all(b"CONNECT LLM.nanoclaw.internal:80 HTTP/1.1\r\n\r\nfirst ").await.unwrap();
    assert_eq!(until(&mut stream, "first ").await, format!("{OPEN}first "));
    stream.write_all(b"second").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, (b"second".to_vec(), End::Closed));
    assert_eq!(echo.seen(), [(Via::HttpConnect, 6)]);
    stayed_inside(&world).await;
}

#[tokio::test]
async fn absolute_request_reaches_a_service_to_the_last_byte() {
    let (world, echo) = world([], quick());
    let head = format!("POST http://{NAME}/v1/messages?x=%20 HTTP/1.1\r\nhOsT: {NAME}\r\nContent-Length: 7\r\n\r\n");
    // In one piece with its body, and in the smallest ones.
    for pieces in [head.len() + 7, 1] {
        let mut stream = world.connect_to_proxy().await;
        let request = format!("{head}content");
        for piece in request.as_bytes().chunks(pieces) {
            stream.write_all(piece).await.unwrap();
        }
        stream.shutdown().await.unwrap();
        assert_eq!(String::from_utf8(rest(&mut stream).await.0).unwrap(), request);
    }
    assert!(
        echo.seen().iter().all(|(via, ahead)| *via == Via::HttpAbsolute && *ahead >= head.len()),
        "{:?}",
        echo.seen()
    );
    stayed_inside(&world).await;
}

#[tokio::test]
async fn service_is_reached_on_a_proxy_connection_that_served_others_before() {
    let (world, echo) = world([host("api.bank.com")], quick());
    let origin = Origin::new(Script::Reply(OK)).await;
    world.publish("api.bank.com", 80, origin.address);
    let mut stream = world.connect_to_proxy().await;
    let first = "GET http://api.bank.com/ HTTP/1.1\r\nHost: api.bank.com\r\n\r\n";
    let second = format!("GET http://{NAME}:80/ HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
    // Both at once, as a client that pipelines sends them.
    stream.write_all(format!("{first}{second}").as_bytes()).await.unwrap();
    assert_eq!(until(&mut stream, &second).await, format!("{OK}{second}"));
    assert_eq!(echo.seen(), [(Via::HttpAbsolute, second.len())]);
    assert_eq!(
        world.story().await,
        ["net_resolve allowed", "net_connect allowed", "http_request allowed", "http_request done", "net_connect done"]
    );
    assert_eq!(origin.seen().len(), 1);
}

#[tokio::test]
async fn malformed_absolute_request_never_reaches_a_service() {
    let (world, echo) = world([], quick());
    for head in [
        format!("GET http://{NAME}/ HTTP/1.1\r\n\r\n"),
        format!(
            "GET http://{NAME}/ HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        format!("GET http://{NAME}/ HTTP/1.1\nHost: {NAME}\n\n"),
    ] {
        let answer = say(&mut world.connect_to_proxy().await, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}: {answer}");
    }
    assert!(echo.seen().is_empty());
    assert_eq!(world.story().await, ["net_connect denied malformed"; 3]);
}

#[tokio::test]
async fn other_ports_of_a_service_are_refused_even_where_a_rule_allows_them() {
    for rules in [vec![], vec![host("**.internal"), host(NAME), raw(NAME, 5432)]] {
        let (world, echo) = world(rules, quick());
        world.publish(NAME, 443, "127.0.0.1:9".parse().unwrap());
        let mut stream = world.connect_to(NAME, 443).await;
        stream.write_all(&hello(&[sni(NAME)])).await.unwrap();
        assert_eq!(rest(&mut stream).await.0, [21, 3, 3, 0, 2, 2, 49]);
        let record = world.refusal("net_resolve", "host-not-allowed").await;
        assert_eq!(record["resource"], format!("{NAME}:443"));

        let page = |port: u16| {
            let help = format!("{NAME} is NanoClaw itself, and serves on port 80 only");
            refused("403 Forbidden", "host-not-allowed", &format!("nothing is served at {NAME}:{port}"), &help)
        };
        let connect = format!("CONNECT {NAME}:5432 HTTP/1.1\r\n\r\n");
        assert_eq!(say(&mut world.connect_to_proxy().await, connect.as_bytes()).await, page(5432));
        let absolute = format!("GET http://{NAME}:443/ HTTP/1.1\r\nHost: {NAME}:443\r\n\r\n");
        assert_eq!(say(&mut world.connect_to_proxy().await, absolute.as_bytes()).await, page(443));
        assert_eq!(world.story().await, ["net_resolve denied host-not-allowed"; 3]);
        assert_eq!((world.lookups(), world.dials(), echo.seen()), (Vec::new(), Vec::new(), Vec::new()));
    }
}

#[tokio::test]
async fn service_goes_before_a_rule_for_its_name() {
    let (world, echo) = world([host("**.internal")], quick());
    let origin = Origin::new(Script::Echo).await;
    world.publish(NAME, 80, origin.address);
    let mut stream = world.connect_to(NAME, 80).await;
    stream.write_all(b"END").await.unwrap();
    until(&mut stream, "END").await;
    assert_eq!(echo.seen().len(), 1);
    stayed_inside(&world).await;
}

#[tokio::test]
async fn without_the_service_its_name_is_like_any_other() {
    let denying = World::new([host("api.bank.com")]);
    assert_eq!(denying.ask(NAME, 1).await[3] & 0xf, 3);
    let record = denying.refusal("net_resolve", "host-not-allowed").await;
    assert_eq!(record["resource"], NAME);
    let connect = format!("CONNECT {NAME}:80 HTTP/1.1\r\n\r\n");
    let answer = say(&mut denying.connect_to_proxy().await, connect.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(denying.lookups().is_empty());

    let allowing = World::new([host("**.internal")]);
    let origin = Origin::new(Script::Reply(OK)).await;
    allowing.publish(NAME, 80, origin.address);
    let mut stream = allowing.connect_to(NAME, 80).await;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(until(&mut stream, "ok").await, OK);
    assert_eq!(allowing.lookups(), [NAME]);
}

#[tokio::test]
async fn connections_to_services_count_against_the_limit() {
    let (world, _) = world([], DoorLimits { connections: 1, ..quick() });
    let mut first = world.connect_to(NAME, 80).await;
    first.write_all(b"END").await.unwrap();
    until(&mut first, "END").await;
    let mut second = world.connect_to(NAME, 80).await;
    assert_eq!(rest(&mut second).await, (Vec::new(), End::Reset));
    let record = world.refusal("net_connect", "limit").await;
    assert_eq!(record["resource"], format!("{NAME}:80"));
}

#[tokio::test]
async fn connection_to_a_service_ends_when_the_cell_is_gone() {
    let (world, _) = world([], DoorLimits { leave: Duration::from_millis(100), ..quick() });
    let mut stuck = world.connect_to(NAME, 80).await;
    stuck.write_all(b"END").await.unwrap();
    until(&mut stuck, "END").await;
    world.leave();
    assert_eq!(rest(&mut stuck).await.0, b"");
    world.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn connection_that_waits_when_the_cell_is_gone_is_still_served() {
    let (mut world, echo) = world([], quick());
    let mut last = world.connect_to(NAME, 80).await;
    last.write_all(b"record").await.unwrap();
    last.shutdown().await.unwrap();
    world.leave();
    (&mut world.serving).await.unwrap().unwrap();
    assert_eq!(echo.seen().len(), 1);
    assert_eq!(world.records().await.len(), 1);
}

#[tokio::test]
async fn service_that_cannot_record_closes_the_door() {
    let (world, _) = world([], quick());
    let mut open = world.connect_to(NAME, 80).await;
    open.write_all(b"END").await.unwrap();
    until(&mut open, "END").await;
    world.break_log();
    let mut next = world.connect_to(NAME, 80).await;
    next.write_all(b"record").await.unwrap();
    assert_eq!(rest(&mut next).await.0, b"");
    assert_eq!(rest(&mut open).await.0, b"", "connections that were open end with it");
    assert!(matches!(world.serving.await.unwrap(), Err(DoorError::Audit(_))));
}
