//! Bytes arrive as they were sent, and ends stay ends.

use nanoclaw_config::{NetRule, NetTarget};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::origin::{Origin, Script};
use crate::world::{End, World, host, quick, raw, rest, until};

/// Bytes that differ everywhere, so that a lost, doubled or swapped piece shows.
fn pattern(length: usize) -> Vec<u8> {
    let mut state: u32 = 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn long_transfer_both_ways_is_whole() {
    for pipes in [0, 32] {
        let limits = nanoclaw_egress::DoorLimits { pipes, ..quick() };
        let world = World::with_limits([raw("db.bank.com", 5432)], limits);
        let origin = Origin::new(Script::Echo).await;
        world.publish("db.bank.com", 5432, origin.address);
        let sent = pattern(9_000_001);
        let (mut reader, mut writer) = world.connect_to("db.bank.com", 5432).await.into_split();
        let copy = sent.clone();
        let writing = tokio::spawn(async move {
            writer.write_all(&copy).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.unwrap();
        writing.await.unwrap();
        assert!(received == sent, "{} of {} bytes came back, with {pipes} pipes", received.len(), sent.len());
        let usage = world.door.usage();
        assert_eq!((usage.bytes_in, usage.bytes_out), (sent.len() as u64, sent.len() as u64));
    }
}

#[tokio::test]
async fn long_request_body_ends_where_it_should() {
    let world = World::new([host("api.bank.com")]);
    let origin = Origin::new(Script::Reply("HTTP/1.1 204 x\r\n\r\n")).await;
    world.publish("api.bank.com", 80, origin.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let body = "x".repeat(3_000_000);
    let first = format!("PUT / HTTP/1.1\r\nHost: api.bank.com\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let second = "GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n";
    stream.write_all(format!("{first}{second}").as_bytes()).await.unwrap();
    until(&mut stream, "\r\n\r\n").await;
    until(&mut stream, "\r\n\r\n").await;
    assert!(origin.seen().concat().ends_with(&format!("x{second}")));
    assert_eq!(world.story().await.iter().filter(|line| *line == "http_request allowed").count(), 2);
}

#[tokio::test]
async fn client_that_has_ended_still_hears_the_answer() {
    let world = World::new([raw("db.bank.com", 5432)]);
    let origin = Origin::new(Script::AfterEnd("the answer")).await;
    world.publish("db.bank.com", 5432, origin.address);
    let mut stream = world.connect_to("db.bank.com", 5432).await;
    stream.write_all(b"the question").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, (b"the answer".to_vec(), End::Closed));
    assert_eq!(origin.seen(), ["the question"]);
}

#[tokio::test]
async fn server_that_speaks_first_is_heard_under_a_raw_rule() {
    let world = World::new([raw("db.bank.com", 5432)]);
    let origin = Origin::new(Script::Greet("220 ready\r\n")).await;
    world.publish("db.bank.com", 5432, origin.address);
    let mut stream = world.connect_to("db.bank.com", 5432).await;
    assert_eq!(until(&mut stream, "\r\n").await, "220 ready\r\n");
}

#[tokio::test]
async fn host_service_is_reached_at_its_own_address_only() {
    let target = NetTarget::HostService { address: "127.0.0.1:8080".parse().unwrap() };
    let rule = NetRule { id: "service".to_owned(), text: "host-service:127.0.0.1:8080".to_owned(), target };
    let world = World::new([rule]);
    let origin = Origin::new(Script::Greet("hello")).await;
    world.serves("127.0.0.1:8080", origin.address);
    let mut stream = world.connect("127.0.0.1:8080").await;
    assert_eq!(until(&mut stream, "hello").await, "hello");
    for other in ["127.0.0.1:22", "127.0.0.2:8080", "[::1]:8080"] {
        let mut stream = world.connect(other).await;
        assert_eq!(rest(&mut stream).await, (Vec::new(), End::Reset), "{other}");
    }
    assert_eq!(world.dials(), ["127.0.0.1:8080"]);
}

#[tokio::test]
async fn connection_to_the_listener_itself_is_refused_and_recorded() {
    let world = World::new([host("api.bank.com")]);
    let mut stream = world.connect_unredirected().await;
    stream.write_all(b"\0").await.unwrap();
    assert_eq!(rest(&mut stream).await, (Vec::new(), End::Reset));
    world.refusal("net_connect", "host-not-allowed").await;
    assert!(world.dials().is_empty());
}

#[tokio::test]
async fn reset_of_the_server_reaches_the_client_as_one() {
    let world = World::new([raw("db.bank.com", 5432)]);
    let origin = Origin::new(Script::Reset).await;
    world.publish("db.bank.com", 5432, origin.address);
    let mut stream = world.connect_to("db.bank.com", 5432).await;
    stream.write_all(b"x").await.unwrap();
    assert_eq!(rest(&mut stream).await.1, End::Reset);
    assert_eq!(world.story().await.last().unwrap(), "net_connect failed unreachable");
}
