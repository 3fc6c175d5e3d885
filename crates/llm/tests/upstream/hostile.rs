//! Providers that are slow, endless or broken cost a bounded time and a bounded memory.

use std::time::Duration;

use nanoclaw_config::Provider;
use nanoclaw_dialect::FaultKind;
use nanoclaw_llm::upstream::{Answer, Failure, MAX_ANSWER_BYTES, Upstream};

use crate::server::{Reply, Server, good};
use crate::world::{World, chat, whole};

const TICK: Duration = Duration::from_millis(20);
const LATE: &str = "provider `main` took longer for its answer than its `timeout` allows";

fn silent(idle: &str) -> String {
    format!("provider `main` said nothing for {idle}; its `idle_timeout` says how long it may")
}

/// Head of an answer in chunks (RFC 9112, section 7.1).
fn chunked(status: u16) -> String {
    format!("HTTP/1.1 {status} Whatever\r\ntransfer-encoding: chunked\r\n\r\n")
}

fn chunk(length: usize) -> Vec<u8> {
    [format!("{length:x}\r\n").into_bytes(), vec![b'x'; length], b"\r\n".to_vec()].concat()
}

/// What a provider answers that may be silent for `idle` and speak for `timeout`, in milliseconds. It is tried again,
/// if that were done.
async fn ask(reply: Reply, idle: u64, timeout: u64) -> (Server, Result<Answer, Failure>) {
    let server = Server::new([reply]).await;
    let world = World::new();
    let provider = Provider {
        idle_timeout: Duration::from_millis(idle),
        timeout: Duration::from_millis(timeout),
        connect_timeout: Duration::from_millis(100),
        retries: 2,
        ..world.openai(&server)
    };
    let answer = Upstream::new(&[provider], None).unwrap().send(&chat(), || true).await;
    (server, answer)
}

#[tokio::test]
async fn a_provider_that_never_answers_is_given_up() {
    let (server, answer) = ask(Reply::Say(String::new()), 200, 60_000).await;
    let failure = answer.unwrap_err();
    assert_eq!((failure.kind, failure.message, failure.retryable), (FaultKind::Timeout, silent("200ms"), true));
    assert_eq!(server.requests().len(), 1, "it may be at work, so it is not asked twice");
}

#[tokio::test]
async fn a_head_that_drips_is_given_up() {
    let (_, answer) = ask(Reply::Repeat("HTTP/1.1 200 OK\r\nx: ".to_owned(), b"x".to_vec(), TICK), 200, 60_000).await;
    assert_eq!(answer.unwrap_err().message, silent("200ms"));
}

#[tokio::test]
async fn a_head_without_end_is_given_up() {
    let fields = "x: y\r\n".repeat(200);
    for (piece, pause) in [(fields.clone(), TICK), ("x".repeat(1024), Duration::ZERO), (format!("{fields}\r\n"), TICK)]
    {
        let endless = Reply::Repeat("HTTP/1.1 200 OK\r\n".to_owned(), piece.into_bytes(), pause);
        let (server, answer) = ask(endless, 60_000, 60_000).await;
        let failure = answer.unwrap_err();
        assert_eq!(failure.kind, FaultKind::Provider);
        assert!(failure.message.starts_with("provider `main` answered with something that is not HTTP: "), "{failure}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn endless_interim_answers_are_given_up() {
    let interim = Reply::Repeat(String::new(), b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(), TICK);
    let (_, answer) = ask(interim, 200, 60_000).await;
    assert_eq!(answer.unwrap_err().message, silent("200ms"));
}

#[tokio::test]
async fn what_is_not_http_is_not_tried_again() {
    let (server, answer) = ask(Reply::Close("SSH-2.0-OpenSSH_9.2\r\n".to_owned()), 60_000, 60_000).await;
    let failure = answer.unwrap_err();
    assert!(failure.message.starts_with("provider `main` answered with something that is not HTTP: "), "{failure}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_body_that_stops_is_given_up() {
    let stops = Reply::Say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun".to_owned());
    let (_, answer) = ask(stops, 200, 60_000).await;
    let mut answer = answer.unwrap();
    assert_eq!(answer.body.chunk().await.unwrap().unwrap(), "begun");
    let failure = answer.body.chunk().await.unwrap_err();
    assert_eq!((failure.kind, failure.message, failure.retryable), (FaultKind::Timeout, silent("200ms"), false));
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let (_, answer) = ask(Reply::Repeat(chunked(200), chunk(1), TICK), 60_000, 500).await;
    let failure = whole(answer.unwrap()).await.unwrap_err();
    assert_eq!((failure.kind, &*failure.message), (FaultKind::Timeout, LATE));
}

#[tokio::test]
async fn a_body_without_end_is_given_up() {
    let (_, answer) = ask(Reply::Repeat(chunked(200), chunk(1 << 20), Duration::ZERO), 60_000, 60_000).await;
    let (mut answer, mut length) = (answer.unwrap(), 0);
    let failure = loop {
        match answer.body.chunk().await {
            Ok(piece) => length += piece.unwrap().len(),
            Err(failure) => break failure,
        }
    };
    assert_eq!(failure.message, "provider `main` answered with more than 67108864 bytes");
    assert!(length <= MAX_ANSWER_BYTES);
}

#[tokio::test]
async fn a_body_that_breaks_its_own_form_is_given_up() {
    let (_, answer) = ask(Reply::Say(format!("{}zz\r\n", chunked(200))), 60_000, 60_000).await;
    let failure = whole(answer.unwrap()).await.unwrap_err();
    assert!(failure.message.starts_with("provider `main` broke its answer off: "), "{failure}");
}

#[tokio::test]
async fn an_error_without_end_loses_its_words() {
    for reply in [
        Reply::Repeat(chunked(501), chunk(1 << 10), Duration::ZERO),
        Reply::Repeat(chunked(501), chunk(1), TICK),
        Reply::Say("HTTP/1.1 501 Whatever\r\ncontent-length: 9\r\n\r\nbegun".to_owned()),
        Reply::Close("HTTP/1.1 501 Whatever\r\ncontent-length: 9\r\n\r\nbegun".to_owned()),
    ] {
        let (_, answer) = ask(reply, 60_000, 300).await;
        assert_eq!(answer.unwrap_err().message, "provider `main` failed (501)");
    }
}

#[tokio::test]
async fn an_answer_that_is_left_closes_its_connection() {
    let world = World::new();
    let server = Server::new([Reply::Repeat(chunked(200), chunk(1), TICK), good()]).await;
    let upstream = world.upstream(&server);
    drop(upstream.send(&chat(), || true).await.unwrap());
    whole(upstream.send(&chat(), || true).await.unwrap()).await.unwrap();
    assert_eq!(server.accepted(), 2);
}
