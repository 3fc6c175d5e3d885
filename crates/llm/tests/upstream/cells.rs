//! Providers that NanoClaw runs itself, which have to start.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nanoclaw_config::Provider;
use nanoclaw_dialect::FaultKind;
use nanoclaw_llm::upstream::{DialCell, Upstream};
use tokio::net::TcpStream;

use crate::server::{Server, answer, good};
use crate::world::{chat, llama, provider};

const LOADING: &str = r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#;

/// Nothing takes connections before the dial with this number, from 0.
fn starting(server: SocketAddr, first: usize) -> (DialCell, Arc<AtomicUsize>) {
    let dials = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&dials);
    let dial: DialCell = Arc::new(move |_| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if number < first {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            TcpStream::connect(server).await
        })
    });
    (dial, dials)
}

#[tokio::test]
async fn a_model_that_is_still_loading_is_waited_for() {
    let server = Server::new([answer(503, "", LOADING), answer(503, "", LOADING), good()]).await;
    let (dial, dials) = starting(server.address, 2);
    // `retries` is 0: looking whether it has started is no retry.
    let upstream = Upstream::new(&[provider(llama())], Some(dial)).unwrap();
    let answer = upstream.send(&chat(), || true).await.unwrap();
    assert_eq!((answer.status, answer.attempts), (200, 5));
    assert!(dials.load(Ordering::SeqCst) >= 3);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_model_that_does_not_load_is_given_up_when_the_call_has_had_its_time() {
    let server = Server::new([answer(503, "", LOADING)]).await;
    let (dial, _) = starting(server.address, 0);
    let impatient = Provider { timeout: Duration::from_secs(1), ..provider(llama()) };
    let failure = Upstream::new(&[impatient], Some(dial)).unwrap().send(&chat(), || true).await.unwrap_err();
    assert_eq!((failure.kind, failure.status, failure.retryable), (FaultKind::Unavailable, Some(503), true));
    assert_eq!(
        failure.message,
        "provider `main` has not loaded its model; `nanoclaw logs model-main` shows how far it is"
    );
}

#[tokio::test]
async fn a_cell_that_takes_no_connections_is_given_up_after_the_time_for_connecting() {
    let server = Server::new([good()]).await;
    let (dial, _) = starting(server.address, usize::MAX);
    let impatient = Provider { connect_timeout: Duration::from_millis(100), ..provider(llama()) };
    let failure = Upstream::new(&[impatient], Some(dial)).unwrap().send(&chat(), || true).await.unwrap_err();
    assert_eq!((failure.kind, failure.status, failure.retryable), (FaultKind::Unavailable, None, true));
    assert_eq!(
        failure.message,
        "provider `main` cannot be reached: connection refused; `nanoclaw ps` and `nanoclaw logs model-main` tell why"
    );
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn other_failures_of_a_cell_are_failures() {
    let server = Server::new([answer(500, "", ""), good()]).await;
    let (dial, _) = starting(server.address, 0);
    let failure = Upstream::new(&[provider(llama())], Some(dial)).unwrap().send(&chat(), || true).await.unwrap_err();
    assert_eq!((failure.status, failure.attempts), (Some(500), 1));
}
