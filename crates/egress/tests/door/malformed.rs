//! Requests that two readers would read differently reach no server.

use tokio::io::AsyncWriteExt as _;

use crate::origin::{OK, Origin, Script};
use crate::world::{World, host, impatient, say, until};

/// Sends `request` to api.bank.com:80 and asserts that it is refused as malformed, and why.
async fn is_malformed(request: &[u8], why: &str) {
    let world = World::with_limits([host("api.bank.com")], impatient());
    let origin = Origin::new(Script::Reply(OK)).await;
    world.publish("api.bank.com", 80, origin.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let answer = say(&mut stream, request).await;
    let shown = request[..request.len().min(200)].escape_ascii();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{shown}: {answer}");
    assert!(answer.contains("\r\nx-nanoclaw-refusal: malformed\r\n"), "{shown}: {answer}");
    assert!(answer.contains(why), "{shown}: {answer}");
    let record = world.refusal("net_connect", "malformed").await;
    assert_eq!(record["resource"], "api.bank.com:80");
    assert_eq!((world.dials(), origin.seen()), (Vec::new(), Vec::new()), "{shown}");
}

#[tokio::test]
async fn two_hosts_or_none() {
    is_malformed(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\nHost: evil.com\r\n\r\n", "exactly one Host field").await;
    is_malformed(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\nHost: api.bank.com\r\n\r\n", "exactly one Host field").await;
    is_malformed(b"GET / HTTP/1.1\r\nAccept: x\r\n\r\n", "exactly one Host field").await;
    is_malformed(b"GET / HTTP/1.0\r\n\r\n", "exactly one Host field").await;
    is_malformed(b"GET / HTTP/1.1\r\nHost: api.bank.com@evil.com\r\n\r\n", "`@`").await;
    is_malformed(b"GET / HTTP/1.1\r\nHost: api.bank.com:0\r\n\r\n", "port").await;
    is_malformed(b"GET / HTTP/1.1\r\nHost: api.bank.com\0\r\n\r\n", "header field").await;
}

#[tokio::test]
async fn proxy_request_to_a_server() {
    is_malformed(b"GET http://evil.com/ HTTP/1.1\r\nHost: api.bank.com\r\n\r\n", "a request to a proxy").await;
    is_malformed(b"GET http://api.bank.com/ HTTP/1.1\r\nHost: api.bank.com\r\n\r\n", "a request to a proxy").await;
    is_malformed(b"CONNECT evil.com:443 HTTP/1.1\r\nHost: api.bank.com\r\n\r\n", "a request to a proxy").await;
}

#[tokio::test]
async fn length_beside_coding() {
    const HEAD: &str = "POST / HTTP/1.1\r\nHost: api.bank.com\r\n";
    for (fields, why) in [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "side by side"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "side by side"),
        ("Content-Length: 4\r\nContent-Length: 5\r\n", "not one plain number"),
        ("Content-Length: 4\r\nContent-Length: 4\r\n", "not one plain number"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "transfer coding"),
        ("Transfer-Encoding: xchunked\r\n", "transfer coding"),
        ("Transfer-Encoding: \x0bchunked\r\n", "header field"),
        ("Transfer-Encoding : chunked\r\n", "header field"),
        ("X: y\r\n Transfer-Encoding: chunked\r\n", "folded"),
    ] {
        let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil.com\r\n\r\n";
        is_malformed(format!("{HEAD}{fields}\r\n{smuggled}").as_bytes(), why).await;
    }
}

#[tokio::test]
async fn line_ends() {
    is_malformed(b"GET / HTTP/1.1\nHost: api.bank.com\n\n", "CR LF").await;
    is_malformed(b"GET / HTTP/1.1\r\nHost: api.bank.com\nX: y\r\n\r\n", "CR LF").await;
    is_malformed(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\nX: y\rz\r\n\r\n", "CR LF").await;
    is_malformed(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\tevil.com\r\n\r\n", "folded").await;
}

#[tokio::test]
async fn ten_mebibytes_of_head() {
    let field = format!("X: {}\r\n", "a".repeat(1020));
    let request = format!("GET / HTTP/1.1\r\nHost: api.bank.com\r\n{}\r\n", field.repeat(10 * 1024));
    is_malformed(request.as_bytes(), "the head is longer than 65536 bytes").await;
    let many = format!("GET / HTTP/1.1\r\nHost: api.bank.com\r\n{}\r\n", "X: y\r\n".repeat(100));
    is_malformed(many.as_bytes(), "more than 100 fields").await;
}

#[tokio::test]
async fn head_that_trickles_in() {
    is_malformed(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\nX: ", "did not arrive within 200ms").await;
}

#[tokio::test]
async fn smuggled_chunk_ends_the_exchange() {
    let world = World::new([host("api.bank.com")]);
    let origin = Origin::new(Script::AfterEnd("")).await;
    world.publish("api.bank.com", 80, origin.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let head = "POST / HTTP/1.1\r\nHost: api.bank.com\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = say(&mut stream, b"4\r\nWiki\r\n2;\nGET /smuggled HTTP/1.1\r\nHost: evil.com\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("x-nanoclaw-error: malformed\r\n"), "{answer}");
    assert_eq!(world.story().await[4], "http_request failed malformed");
    for seen in origin.seen() {
        assert!(!seen.contains("smuggled"), "{seen}");
    }
}

#[tokio::test]
async fn malformed_second_request_leaves_the_first_answered() {
    let world = World::new([host("api.bank.com")]);
    let origin = Origin::new(Script::Reply(OK)).await;
    world.publish("api.bank.com", 80, origin.address);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let first = "GET /1 HTTP/1.1\r\nHost: api.bank.com\r\n\r\n";
    stream.write_all(format!("{first}GET /2 HTTP/1.1\nHost: api.bank.com\n\n").as_bytes()).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    assert!(say(&mut stream, b"").await.starts_with("HTTP/1.1 400 "));
    assert_eq!(origin.seen(), [first]);
    world.refusal("net_connect", "malformed").await;
}
