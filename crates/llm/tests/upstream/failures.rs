//! What an agent is told of a provider's errors.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nanoclaw_config::ProviderKind;
use nanoclaw_dialect::{Dialect, FaultKind};
use nanoclaw_llm::upstream::{Operation, Upstream};

use crate::server::{Server, answer};
use crate::world::{KEY, World, call, chat, provider};

#[tokio::test]
async fn an_error_that_repeats_the_key_is_scrubbed() {
    let world = World::new();
    let words = [
        format!("bad header Authorization: Bearer {KEY}"),
        format!("bad header {}", STANDARD.encode(format!("user:{KEY}"))),
        format!("key {}... is unknown", &KEY[..30]),
    ];
    for said in words {
        let json = serde_json::json!({ "error": { "message": said } }).to_string();
        for (status, body) in [(400, &json), (429, &json), (500, &json), (502, &said)] {
            let server = Server::new([answer(status, "", body)]).await;
            let failure = world.upstream(&server).send(&chat(), || true).await.unwrap_err();
            assert!(failure.message.contains("***"), "{failure}");
            for piece in KEY.as_bytes().windows(8).map(|piece| str::from_utf8(piece).unwrap()) {
                assert!(!failure.message.contains(piece), "{failure}");
            }
            let encoded = STANDARD.encode(KEY);
            for piece in encoded.as_bytes()[4..].windows(12).map(|piece| str::from_utf8(piece).unwrap()) {
                assert!(!failure.message.contains(piece), "{failure}");
            }
        }
    }
}

#[tokio::test]
async fn the_key_of_one_provider_is_scrubbed_from_the_errors_of_another() {
    let world = World::new();
    let server = Server::new([answer(400, "", &format!(r#"{{"error":{{"message":"{KEY}"}}}}"#))]).await;
    let mut keyless = world.remote(format!("http://{}", server.address));
    keyless.api_key = None;
    let mut other = world.openai(&server);
    other.name = "other".to_owned();
    let upstream = Upstream::new(&[provider(ProviderKind::OpenAi(keyless)), other], None).unwrap();
    let failure = upstream.send(&chat(), || true).await.unwrap_err();
    assert_eq!(failure.message, "provider `main` refused the request (400): ***");
}

#[tokio::test]
async fn the_words_of_each_service_are_found() {
    let world = World::new();
    let server = Server::new([
        answer(
            400,
            "",
            r#"{"error":{"message":"too many tokens","type":"invalid_request_error","param":null,"code":null}}"#,
        ),
        answer(404, "", r#"{"type":"error","error":{"type":"not_found_error","message":"model: x"}}"#),
        answer(413, "", r#"{"error":{"code":413,"message":"too big","status":"INVALID_ARGUMENT"}}"#),
        answer(503, "", "upstream connect error"),
        answer(500, "content-type: text/html\r\n", "<html>oops</html>"),
    ])
    .await;
    let remote = || world.remote(format!("http://{}", server.address));
    let openai = || ProviderKind::OpenAi(remote());
    for (kind, dialect, fault, message) in [
        (openai(), Dialect::Chat, FaultKind::Invalid, "provider `main` refused the request (400): too many tokens"),
        (
            ProviderKind::Anthropic(remote()),
            Dialect::Messages,
            FaultKind::NotFound,
            "provider `main` does not have this model, or nothing at `HOST/v1/messages`, which was asked (404): model: x; if that is not where it is, its `base_url` is wrong",
        ),
        (
            ProviderKind::Gemini(remote()),
            Dialect::Gemini,
            FaultKind::TooLarge,
            "provider `main` takes no request of this size (413): too big",
        ),
        (
            openai(),
            Dialect::Chat,
            FaultKind::Unavailable,
            "provider `main` is overloaded or closed (503): upstream connect error",
        ),
        (openai(), Dialect::Chat, FaultKind::Provider, "provider `main` failed (500)"),
    ] {
        let upstream = Upstream::new(&[provider(kind)], None).unwrap();
        let failure = upstream.send(&call(Operation::Generate(dialect)), || true).await.unwrap_err();
        let said = failure.message.replace(&server.address.to_string(), "HOST");
        assert_eq!((failure.kind, &*said), (fault, message));
    }
}
