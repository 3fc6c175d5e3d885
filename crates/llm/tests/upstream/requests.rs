//! What reaches a provider, and on which connection.

use std::sync::{Arc, Mutex};

use http::{HeaderName, HeaderValue};
use nanoclaw_config::{ProviderKind, SecretSource};
use nanoclaw_dialect::{Dialect, FaultKind};
use nanoclaw_llm::upstream::{Call, DialCell, Operation, Upstream};
use tokio::net::TcpStream;

use crate::server::{Reply, Server, answer, good};
use crate::world::{KEY, World, call, chat, llama, provider, whole};

#[tokio::test]
async fn the_key_stands_in_its_header_and_nowhere_else() {
    let world = World::new();
    let server = Server::new([good()]).await;
    let remote = || world.remote(format!("http://{}/v1", server.address));
    let own_header = || nanoclaw_config::Remote { key_header: Some("Api-Key".to_owned()), ..remote() };
    let generate = Operation::Generate;
    for (kind, operation, first, key) in [
        (
            ProviderKind::OpenAi(remote()),
            generate(Dialect::Chat),
            "POST /v1/chat/completions HTTP/1.1",
            format!("authorization: Bearer {KEY}"),
        ),
        (
            ProviderKind::OpenAi(own_header()),
            Operation::Embeddings,
            "POST /v1/embeddings HTTP/1.1",
            format!("api-key: {KEY}"),
        ),
        (
            ProviderKind::Anthropic(remote()),
            generate(Dialect::Messages),
            "POST /v1/messages HTTP/1.1",
            format!("x-api-key: {KEY}"),
        ),
        (
            ProviderKind::Gemini(remote()),
            generate(Dialect::Gemini),
            "POST /v1/v1beta/models/some%2Fmodel:generateContent HTTP/1.1",
            format!("x-goog-api-key: {KEY}"),
        ),
    ] {
        let anthropic = matches!(kind, ProviderKind::Anthropic(_));
        let upstream = Upstream::new(&[provider(kind)], None).unwrap();
        let answer = upstream.send(&call(operation), || true).await.unwrap();
        assert_eq!((answer.status, answer.attempts, answer.events), (200, 1, false));
        assert_eq!(whole(answer).await.unwrap(), b"{}");
        let request = server.requests().pop().unwrap();
        let mut lines: Vec<&str> = request.lines().collect();
        assert_eq!(lines.remove(0), first);
        let host = format!("host: {}", server.address);
        let mut expected = vec![
            &*key,
            &*host,
            "accept: application/json",
            "accept-encoding: identity",
            concat!("user-agent: nanoclaw/", env!("CARGO_PKG_VERSION")),
            "content-type: application/json",
            "content-length: 22",
            "",
            r#"{"model":"some/model"}"#,
        ];
        if anthropic {
            expected.push("anthropic-version: 2023-06-01");
        }
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines, expected);
        assert_eq!(upstream.secrets().iter().filter(|secret| secret.matches(KEY.as_bytes())).count(), 1);
    }
}

#[tokio::test]
async fn an_agent_cannot_set_what_this_client_sets() {
    let world = World::new();
    let server = Server::new([good()]).await;
    let headers = [
        ("authorization", "Bearer of-the-agent"),
        ("authorization", "Basic of-the-agent"),
        ("user-agent", "of-the-agent"),
        ("host", "of-the-agent"),
        ("content-length", "0"),
        ("transfer-encoding", "of-the-agent"),
        ("connection", "of-the-agent"),
        ("openai-beta", "passed-on"),
    ];
    let headers = headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let call = Call { headers: headers.into(), stream: true, ..chat() };
    whole(world.upstream(&server).send(&call, || true).await.unwrap()).await.unwrap();
    let request = server.requests().pop().unwrap();
    assert!(!request.contains("of-the-agent"), "{request}");
    assert_eq!(request.matches("authorization").count(), 1);
    assert!(request.contains("openai-beta: passed-on\r\n") && request.contains("content-length: 22\r\n"), "{request}");
    assert!(request.contains("accept: text/event-stream\r\n"), "{request}");
}

#[tokio::test]
async fn connections_are_kept() {
    let world = World::new();
    let server = Server::new([good(), answer(404, "", "{}"), good()]).await;
    let upstream = world.upstream(&server);
    for _ in 0..10 {
        if let Ok(answer) = upstream.send(&chat(), || true).await {
            whole(answer).await.unwrap();
        }
        // The connection is put back by a task of its own.
        tokio::task::yield_now().await;
    }
    assert_eq!((server.requests().len(), server.accepted()), (10, 1));
}

#[tokio::test]
async fn events_are_told_from_whole_answers() {
    let world = World::new();
    for (kind, events) in [
        ("text/event-stream", true),
        ("Text/Event-Stream; charset=utf-8", true),
        ("application/json", false),
        ("text/event-streams", false),
    ] {
        let body = "data: 1\n\n";
        let server = Server::new([answer(200, &format!("content-type: {kind}\r\n"), body)]).await;
        let answer = world.upstream(&server).send(&chat(), || true).await.unwrap();
        assert_eq!(answer.events, events, "{kind}");
        assert_eq!(whole(answer).await.unwrap(), body.as_bytes());
    }
}

#[tokio::test]
async fn each_provider_is_spoken_to_in_a_dialect_that_it_knows() {
    use Dialect::{Chat, Gemini, Messages, Responses};
    let world = World::new();
    let remote = || world.remote("http://127.0.0.1:9/v1".to_owned());
    let no_responses = nanoclaw_config::Remote { responses: false, ..remote() };
    let dial: DialCell = Arc::new(|_| Box::pin(TcpStream::connect("127.0.0.1:9")));
    for (kind, spoken, embeddings) in [
        (ProviderKind::OpenAi(remote()), [Chat, Responses, Chat, Chat], true),
        (ProviderKind::OpenAi(no_responses), [Chat, Chat, Chat, Chat], true),
        (ProviderKind::Anthropic(remote()), [Messages; 4], false),
        (ProviderKind::Gemini(remote()), [Gemini; 4], false),
        (llama(), [Chat, Responses, Messages, Chat], false),
    ] {
        let upstream = Upstream::new(&[provider(kind)], Some(Arc::clone(&dial))).unwrap();
        assert_eq!(Dialect::ALL.map(|asked| upstream.dialect("main", asked).unwrap()), spoken);
        assert_eq!(upstream.has_embeddings("main"), embeddings);
        assert_eq!(upstream.dialect("other", Chat), None);
        assert!(!upstream.has_embeddings("other"));
    }
}

#[tokio::test]
async fn a_provider_in_a_cell_is_dialled_by_its_name() {
    let server = Server::new([good()]).await;
    let (address, asked) = (server.address, Arc::new(Mutex::new(Vec::new())));
    let seen = Arc::clone(&asked);
    let dial: DialCell = Arc::new(move |name| {
        seen.lock().unwrap().push(name.to_owned());
        Box::pin(TcpStream::connect(address))
    });
    let upstream = Upstream::new(&[provider(llama())], Some(dial)).unwrap();
    for operation in [Operation::Generate(Dialect::Messages), Operation::CountTokens] {
        whole(upstream.send(&call(operation), || true).await.unwrap()).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(*asked.lock().unwrap(), ["main"]);
    let requests = server.requests();
    assert!(requests[0].starts_with("POST /v1/messages HTTP/1.1\r\n"));
    assert!(requests[1].starts_with("POST /v1/messages/count_tokens HTTP/1.1\r\n"));
    assert!(
        requests.iter().all(|request| request.contains("host: localhost\r\n") && !request.contains("authorization"))
    );
    assert!(upstream.secrets().is_empty());
}

#[tokio::test]
async fn what_a_provider_does_not_offer_is_not_sent() {
    let world = World::new();
    let server = Server::new([good()]).await;
    let upstream = world.upstream(&server);
    let failure = upstream.send(&call(Operation::CountTokens), || true).await.unwrap_err();
    assert_eq!(failure.kind, FaultKind::NotFound);
    assert_eq!(failure.message, "provider `main` does not offer this operation; use a model of another provider");
    let failure = upstream.send(&Call { provider: "other".to_owned(), ..chat() }, || true).await.unwrap_err();
    assert_eq!(failure.message, "no provider is called `other`; name it under `models.providers`");
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let world = World::new();
    let other = Server::new([good()]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: http://{}/v1/chat/completions\r\n", other.address);
        let server = Server::new([answer(status, &location, "")]).await;
        let failure = world.upstream(&server).send(&chat(), || true).await.unwrap_err();
        assert_eq!((failure.kind, failure.status), (FaultKind::Provider, Some(status)));
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(other.accepted(), 0);
}

#[tokio::test]
async fn a_compressed_answer_is_refused() {
    let world = World::new();
    let server = Server::new([answer(200, "content-encoding: gzip\r\n", "x")]).await;
    let failure = world.upstream(&server).send(&chat(), || true).await.unwrap_err();
    assert_eq!(failure.message, "provider `main` answered in a compressed form, which nobody asked it for");
    let server = Server::new([answer(200, "content-encoding: identity\r\n", "x")]).await;
    assert_eq!(whole(world.upstream(&server).send(&chat(), || true).await.unwrap()).await.unwrap(), b"x");
}

#[tokio::test]
async fn an_interim_answer_is_not_the_answer() {
    let world = World::new();
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
    let server = Server::new([Reply::Say(interim.to_owned())]).await;
    assert_eq!(whole(world.upstream(&server).send(&chat(), || true).await.unwrap()).await.unwrap(), b"x");
}

#[test]
fn what_cannot_be_set_up_says_why() {
    let world = World::new();
    let remote = || world.remote("https://api.example.com/v1".to_owned());
    let no_key = || nanoclaw_config::Remote { api_key: None, ..remote() };
    let (key, ca) = (world.path("missing"), world.path("missing.pem"));
    for (kind, said) in [
        (
            ProviderKind::OpenAi(nanoclaw_config::Remote { api_key: Some(SecretSource::File(key.clone())), ..remote() }),
            format!(
                "provider `main` has no key: `{}` cannot be read: No such file or directory (os error 2)",
                key.display()
            ),
        ),
        (
            ProviderKind::OpenAi(nanoclaw_config::Remote { key_header: Some("api key".to_owned()), ..remote() }),
            "provider `main`: `key_header` `api key` is not a header's name; write one such as `api-key`".to_owned(),
        ),
        (
            ProviderKind::Gemini(nanoclaw_config::Remote { base_url: "api.example.com".to_owned(), ..no_key() }),
            "provider `main`: `base_url` `api.example.com` cannot be used; write one such as `https://api.example.com/v1`"
                .to_owned(),
        ),
        (
            ProviderKind::Anthropic(nanoclaw_config::Remote { ca: Some(ca.clone()), ..no_key() }),
            format!(
                "provider `main`: the certificates in `{}` cannot be read: No such file or directory (os error 2)",
                ca.display()
            ),
        ),
        (
            llama(),
            "provider `main` runs in a cell, and no cells can be started here; start it with `nanoclaw up`".to_owned(),
        ),
    ] {
        assert_eq!(Upstream::new(&[provider(kind)], None).err().unwrap().to_string(), said);
    }
}
