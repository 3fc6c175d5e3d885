//! What is tried again, and what never is.

use std::time::Duration;

use nanoclaw_config::Provider;
use nanoclaw_dialect::FaultKind;
use nanoclaw_llm::upstream::Upstream;

use crate::server::{Reply, Server, answer, good};
use crate::world::{World, chat, whole};

fn trying(world: &World, server: &Server, retries: u32) -> Upstream {
    Upstream::new(&[Provider { retries, ..world.openai(server) }], None).unwrap()
}

#[tokio::test]
async fn a_call_is_made_again_until_it_succeeds() {
    let world = World::new();
    let server = Server::new([answer(503, "", ""), answer(429, "retry-after: 0\r\n", ""), good()]).await;
    let answer = trying(&world, &server, 2).send(&chat(), || true).await.unwrap();
    assert_eq!(answer.attempts, 3);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| *request == requests[0]));
}

#[tokio::test]
async fn a_call_is_made_again_as_often_as_configured() {
    let world = World::new();
    let server = Server::new([answer(500, "", ""), answer(502, "", ""), good()]).await;
    let failure = trying(&world, &server, 1).send(&chat(), || true).await.unwrap_err();
    assert_eq!((failure.status, failure.attempts, failure.retryable), (Some(502), 2, true));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_connection_that_breaks_before_an_answer_is_tried_again() {
    let world = World::new();
    let half_a_head = Reply::Close("HTTP/1.1 200 OK\r\ncontent-le".to_owned());
    let server = Server::new([Reply::Close(String::new()), half_a_head, good()]).await;
    assert_eq!(trying(&world, &server, 2).send(&chat(), || true).await.unwrap().attempts, 3);
}

#[tokio::test]
async fn nothing_is_tried_again_once_an_answer_has_begun() {
    let world = World::new();
    let begun = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 100\r\n\r\ndata: 1\n\n";
    let server = Server::new([Reply::Close(begun.to_owned()), good()]).await;
    let mut answer = trying(&world, &server, 3).send(&chat(), || true).await.unwrap();
    assert_eq!(answer.body.chunk().await.unwrap().unwrap(), "data: 1\n\n");
    let failure = answer.body.chunk().await.unwrap_err();
    assert_eq!((failure.kind, failure.retryable), (FaultKind::Provider, false));
    assert!(failure.message.starts_with("provider `main` broke its answer off: "), "{failure}");
    assert_eq!(answer.body.chunk().await.unwrap(), None, "nothing follows an error");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_would_fail_again_is_not_tried_again() {
    let world = World::new();
    for status in [301, 400, 401, 403, 404, 413, 422, 501] {
        let server = Server::new([answer(status, "", ""), good()]).await;
        let failure = trying(&world, &server, 3).send(&chat(), || true).await.unwrap_err();
        assert_eq!((failure.status, failure.attempts), (Some(status), 1));
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_provider_that_wants_a_long_rest_is_left_alone() {
    let world = World::new();
    let server = Server::new([answer(429, "retry-after: 31\r\n", ""), good()]).await;
    let failure = trying(&world, &server, 3).send(&chat(), || true).await.unwrap_err();
    assert_eq!((failure.kind, failure.retry_after), (FaultKind::Exhausted, Some(Duration::from_secs(31))));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn no_attempt_begins_after_the_time_of_the_whole() {
    let world = World::new();
    let server = Server::new([answer(503, "retry-after: 20\r\n", ""), good()]).await;
    let provider = Provider { retries: 3, timeout: Duration::from_secs(10), ..world.openai(&server) };
    let failure = Upstream::new(&[provider], None).unwrap().send(&chat(), || true).await.unwrap_err();
    assert_eq!((failure.kind, failure.attempts), (FaultKind::Unavailable, 1));
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_named() {
    let world = World::new();
    let server = Server::new([good()]).await;
    let mut provider = Provider { retries: 1, ..world.openai(&server) };
    // A port that is bound and not listened at: nobody else can take it meanwhile.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let base_url = format!("http://{}/v1", nobody.local_addr().unwrap());
    provider.kind = nanoclaw_config::ProviderKind::OpenAi(world.remote(base_url));
    let failure = Upstream::new(&[provider], None).unwrap().send(&chat(), || true).await.unwrap_err();
    assert_eq!((failure.kind, failure.attempts, failure.retryable), (FaultKind::Unavailable, 2, true));
    assert_eq!(
        failure.message,
        "provider `main` cannot be reached: Connection refused (os error 111); check its `base_url` and that it runs"
    );
}

#[tokio::test]
async fn a_kept_connection_that_the_provider_closed_costs_no_attempt() {
    let world = World::new();
    let closing = Reply::Close("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned());
    let server = Server::new([closing]).await;
    let upstream = trying(&world, &server, 0);
    for _ in 0..3 {
        whole(upstream.send(&chat(), || true).await.unwrap()).await.unwrap();
        // The end of the connection arrives a moment after the answer.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.accepted(), 3);
}
