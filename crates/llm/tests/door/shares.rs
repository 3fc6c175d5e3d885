//! The share that one cell has of the memory for requests.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt as _, Channel};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::oneshot;

use crate::agent::Agent;
use crate::world::{Setting, World, read, request};

const LENGTH: usize = 29 << 20;
const FIRST: usize = 20 << 20;

/// A request of `LENGTH` bytes on the wire, and how long its head is.
fn long() -> (Vec<u8>, usize) {
    let mut body =
        json!({"model": "chat/m", "max_tokens": 1, "messages": [{"role": "user", "content": ""}]}).to_string();
    let text = "x".repeat(LENGTH - body.len());
    body.insert_str(body.find("\"\"").unwrap() + 1, &text);
    let head = format!("POST /v1/messages/count_tokens HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    let length = head.len();
    ((head + &body).into_bytes(), length)
}

async fn status(stream: &mut DuplexStream) -> String {
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}

#[tokio::test]
async fn long_bodies_that_come_at_once_do_not_wait_for_each_other() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    let (wire, head) = long();
    let (first, rest) = wire.split_at(head + FIRST);
    let ((mut a, _), (mut b, _), (mut c, _)) = (open.connect(), open.connect(), open.connect());
    a.write_all(first).await.unwrap();
    b.write_all(first).await.unwrap();
    let (begun, beginning) = oneshot::channel();
    let third = wire.clone();
    let third = tokio::spawn(async move {
        c.write_all(&third[..head + FIRST]).await.unwrap();
        let _waited = begun.send(()).is_err();
        c.write_all(&third[head + FIRST..]).await.unwrap();
        status(&mut c).await
    });
    // It has no share before one of the others has ended; were it read all the same, all three would have a part.
    let _ = tokio::time::timeout(Duration::from_secs(1), beginning).await;
    let finish = async |stream: &mut DuplexStream| {
        stream.write_all(rest).await.unwrap();
        status(stream).await
    };
    let (a, b) = tokio::join!(finish(&mut a), finish(&mut b));
    assert_eq!(
        (a.as_str(), b.as_str(), third.await.unwrap().as_str()),
        ("HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 200")
    );
}

#[tokio::test]
async fn a_body_of_unknown_length_is_refused_where_the_share_is_used_up() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    let (wire, head) = long();
    let ((mut a, _), (mut b, _)) = (open.connect(), open.connect());
    for stream in [&mut a, &mut b] {
        stream.write_all(&wire[..head + FIRST]).await.unwrap();
    }
    for agent in Agent::ALL {
        let (stream, _) = open.connect();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let (mut feed, body) = Channel::<Bytes, std::io::Error>::new(1);
        let mebibyte = Bytes::from(vec![b' '; 1 << 20]);
        let feeding = async { while feed.send_data(mebibyte.clone()).await.is_ok() {} };
        let answering = sender.send_request(request(Method::POST, agent.path(), "").map(|_| body));
        let (response, ()) = tokio::join!(answering, feeding);
        let reply = read(response.unwrap()).await;
        assert_eq!((reply.status, reply.header("x-nanoclaw-refusal")), (429, "limit"), "{}", reply.body);
        assert_eq!(agent.error(&reply.json()).0, "rate_limit_error");
        let last = open.last().await;
        assert_eq!((&last["result"], &last["code"]), (&json!("denied"), &json!("limit")));
    }
    // Those that have their share are read to the end.
    for stream in [&mut a, &mut b] {
        stream.write_all(&wire[head + FIRST..]).await.unwrap();
        assert_eq!(status(stream).await, "HTTP/1.1 200");
    }
    let (mut client, small) = (open.client().await, Agent::Chat.ask("chat/m", "SAY x", false).to_string());
    let response = client.send_request(request(Method::POST, Agent::Chat.path(), small)).await.unwrap();
    assert_eq!(response.status(), 200);
    let _body = response.into_body().collect().await.unwrap();
}
