//! Plain HTTP on redirected connections: every request names the server that was dialled.

use tokio::io::AsyncWriteExt as _;

use crate::origin::{OK, Origin, Script};
use crate::world::{End, PUBLIC, World, host, refused, rest, say, until};

/// A world where api.bank.com:80 is allowed and behaves as `script` says.
async fn bank(script: Script) -> (World, Origin) {
    let world = World::new([host("api.bank.com")]);
    let origin = Origin::new(script).await;
    world.publish("api.bank.com", 80, origin.address);
    (world, origin)
}

fn failed(status: &str, code: &str, reason: &str) -> String {
    let body = format!("NanoClaw allowed this request, but it could not be done: {reason}\n");
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         x-nanoclaw-error: {code}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn requests_on_one_connection_are_each_on_record() {
    let (world, origin) = bank(Script::Reply(OK)).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(b"GET /a?secret=1 HTTP/1.1\r\nHost: API.bank.com\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    let second = "PUT /b HTTP/1.1\r\nHost: api.bank.com:80\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody";
    let answer = say(&mut stream, second.as_bytes()).await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    let seen = format!("GET /a?secret=1 HTTP/1.1\r\nHost: API.bank.com\r\n\r\n{second}");
    assert_eq!(origin.seen(), [seen]);
    let story = world.story().await;
    assert_eq!(
        story,
        [
            "net_resolve allowed",
            "net_resolve allowed",
            "net_connect allowed",
            "http_request allowed",
            "http_request done",
            "http_request allowed",
            "http_request done",
            "net_connect done",
        ]
    );
    let records = world.records().await;
    assert_eq!(records[3]["detail"], "GET /a for api.bank.com:80", "the query stays out of the log");
}

#[tokio::test]
async fn another_host_is_refused() {
    let (world, origin) = bank(Script::Reply(OK)).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let answer = say(&mut stream, b"GET / HTTP/1.1\r\nHost: evil.com\r\n\r\n").await;
    let reason = "the HTTP host evil.com:80 is not api.bank.com:80, for which the connection was opened";
    assert_eq!(answer, refused("403 Forbidden", "http-host-mismatch", reason, ""));
    world.refusal("net_connect", "http-host-mismatch").await;
    assert_eq!((world.dials(), origin.seen()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn second_pipelined_request_is_decided_by_itself() {
    let (world, origin) = bank(Script::Reply(OK)).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let first = "GET /1 HTTP/1.1\r\nHost: api.bank.com\r\n\r\n";
    let answer = say(&mut stream, format!("{first}GET /2 HTTP/1.1\r\nHost: evil.com\r\n\r\n").as_bytes()).await;
    let reason = "the HTTP host evil.com:80 is not api.bank.com:80, for which the connection was opened";
    assert_eq!(answer, format!("{OK}{}", refused("403 Forbidden", "http-host-mismatch", reason, "")));
    world.refusal("http_request", "http-host-mismatch").await;
    assert_eq!(origin.seen(), [first]);
}

#[tokio::test]
async fn denied_address_is_told_in_http() {
    let world = World::new([host("api.bank.com")]);
    let mut stream = world.connect("8.8.8.8:80").await;
    let answer = say(&mut stream, b"GET / HTTP/1.1\r\nHost: 8.8.8.8\r\n\r\n").await;
    let help = "to allow it, add \"8.8.8.8:80\" to allowed_networks of agent nano-001";
    assert_eq!(answer, refused("403 Forbidden", "host-not-allowed", "no rule allows 8.8.8.8:80", help));
    world.refusal("net_connect", "host-not-allowed").await;
    assert!(world.dials().is_empty());
}

#[tokio::test]
async fn refusal_of_head_has_no_body() {
    let world = World::new([]);
    let mut stream = world.connect("8.8.8.8:80").await;
    let answer = say(&mut stream, b"HEAD / HTTP/1.1\r\nHost: 8.8.8.8\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn other_protocols_on_port_80_are_reset() {
    for bytes in
        [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04"[..], b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\x01\x02", b"EHLO x\r\n"]
    {
        let (world, origin) = bank(Script::Echo).await;
        let mut stream = world.connect_to("api.bank.com", 80).await;
        stream.write_all(bytes).await.unwrap();
        assert_eq!(rest(&mut stream).await, (Vec::new(), End::Reset), "{}", bytes.escape_ascii());
        world.refusal("net_connect", "protocol-not-allowed").await;
        assert_eq!((world.dials(), origin.seen()), (Vec::new(), Vec::new()));
    }
}

#[tokio::test]
async fn server_that_does_not_answer_is_an_outcome_and_no_refusal() {
    let world = World::new([host("api.bank.com")]);
    world.resolves("api.bank.com", &[&[PUBLIC]]);
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let answer = say(&mut stream, b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await;
    let reason = format!("api.bank.com:80 did not answer ({PUBLIC}:80: connection refused)");
    assert_eq!(answer, failed("502 Bad Gateway", "unreachable", &reason));
    assert_eq!(world.story().await[2..], ["net_connect allowed", "net_connect failed unreachable"]);
    assert_eq!(world.door.usage().refused, 0);
}

#[tokio::test]
async fn server_that_breaks_its_answer_is_told_so() {
    for (script, why) in [
        (Script::ReplyOnce("HTTP/1.1 200"), "it closed the connection"),
        (Script::ReplyOnce("SSH-2.0-x\r\n\r\n"), "the HTTP version is not 1.0 or 1.1"),
        (
            Script::ReplyOnce("HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n"),
            "it changed to a protocol that was not asked for",
        ),
        (
            Script::ReplyOnce("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            "Content-Length and Transfer-Encoding stand side by side",
        ),
    ] {
        let (world, _origin) = bank(script).await;
        let mut stream = world.connect_to("api.bank.com", 80).await;
        let answer = say(&mut stream, b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await;
        let reason = format!("api.bank.com:80 did not answer in full: {why}");
        assert_eq!(answer, failed("502 Bad Gateway", "unreachable", &reason));
        assert_eq!(world.story().await[4], "http_request failed unreachable");
    }
}

#[tokio::test]
async fn half_an_answer_does_not_look_whole() {
    let (world, _origin) = bank(Script::ReplyOnce("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await.unwrap();
    let (bytes, end) = rest(&mut stream).await;
    assert_eq!((bytes.ends_with(b"half"), end), (true, End::Reset));
}

#[tokio::test]
async fn interim_chunked_and_closing_responses_are_passed_on() {
    for reply in [
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;x=y\r\nabc\r\n0\r\nDigest: z\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    ] {
        let (world, _origin) = bank(Script::ReplyOnce(reply)).await;
        let mut stream = world.connect_to("api.bank.com", 80).await;
        let answer = say(&mut stream, b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await;
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&answer), sorted(reply), "{answer}");
    }
}

#[tokio::test]
async fn server_that_closed_meanwhile_is_dialled_again_after_a_new_decision() {
    let (world, origin) = bank(Script::ReplyOnce(OK)).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n").await.unwrap();
        assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
        // The server's end of the connection arrives before the next request.
        while world.story().await.last().is_some_and(|last| last != "net_connect done") {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!((world.dials().len(), origin.seen().len()), (2, 2));
    assert_eq!(world.story().await.iter().filter(|line| *line == "net_connect allowed").count(), 2);
}

#[tokio::test]
async fn websocket_is_carried_and_no_other_upgrade_is_asked_for() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (world, origin) = bank(Script::Reply(SWITCH)).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let ask = "GET /ws HTTP/1.1\r\nHost: api.bank.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\n").await, SWITCH);
    stream.write_all(b"\x81\x02hi").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, (Vec::new(), End::Closed));
    assert_eq!(origin.seen()[0].as_bytes()[ask.len()..].len(), "\u{fffd}\x02hi".len());

    let (world, origin) = bank(Script::Reply(OK)).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    let ask = "GET / HTTP/1.1\r\nHost: api.bank.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
               HTTP2-Settings: AAMAAABk\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\nok").await, OK);
    assert_eq!(origin.seen(), ["GET / HTTP/1.1\r\nHost: api.bank.com\r\n\r\n"]);
}

#[tokio::test]
async fn early_answer_reaches_a_client_that_is_still_sending() {
    const TOO_LARGE: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (world, _origin) = bank(Script::ReplyOnce(TOO_LARGE)).await;
    let mut stream = world.connect_to("api.bank.com", 80).await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: api.bank.com\r\nContent-Length: 1000\r\n\r\nbeginning").await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\n").await, TOO_LARGE);
}
