use nanoclaw_dialect::{Dialect, Message, Role};
use serde_json::json;

use super::*;
use crate::testing::{Mock, Reply, answer, decides, local, says};

fn settings(base_url: &str) -> Settings {
    let mut settings = Settings::new("a", "m");
    settings.base_url = base_url.to_owned();
    settings
}

fn request() -> Request {
    Request {
        model: "m".into(),
        messages: vec![Message::text(Role::User, "hello")],
        stream: true,
        ..Request::default()
    }
}

async fn ask(door: &Door) -> Result<String, DoorError> {
    let mut stream = door.ask(&request()).await?;
    let mut text = String::new();
    while let Some(delta) = stream.next().await? {
        if let Delta::Text(more) = delta {
            text.push_str(&more);
        }
    }
    Ok(text)
}

#[test]
fn only_plain_http_without_a_path_is_a_door() {
    assert_eq!(authority("http://llm.nanoclaw.internal").unwrap(), "llm.nanoclaw.internal:80");
    assert_eq!(authority("http://127.0.0.1:8080").unwrap(), "127.0.0.1:8080");
    for wrong in [
        "",
        "llm.nanoclaw.internal",
        "https://door",
        "http://",
        "http://door/",
        "http://door/v1",
        "http://user@door",
        "http://door:",
        "http://door:0",
        "http://door:99999",
        "http://do or",
    ] {
        assert_eq!(authority(wrong).unwrap_err(), format!("`{wrong}` must be `http://HOST` or `http://HOST:PORT`"));
    }
}

#[test]
fn one_connection_serves_many_answers_and_decisions() {
    local(async {
        let mock = Mock::start(Dialect::Chat).await;
        mock.will([says("one"), decides(&[true]), says("two")]);
        let door = Door::new(&settings(&mock.base_url));
        assert_eq!(ask(&door).await.unwrap(), "one");
        let call = AskedCall { name: "t".into(), arguments: "{}".into() };
        assert_eq!(door.decide(&[call]).await.unwrap(), [Decision { allowed: true, reason: String::new() }]);
        assert_eq!(ask(&door).await.unwrap(), "two");
        assert_eq!(mock.script.borrow().connections, 1);
    });
}

#[test]
fn an_idle_connection_that_the_door_has_closed_is_replaced() {
    local(async {
        let mock = Mock::start(Dialect::Chat).await;
        mock.will([says("one"), Reply::Close, says("two")]);
        let door = Door::new(&settings(&mock.base_url));
        assert_eq!(ask(&door).await.unwrap(), "one");
        assert_eq!(ask(&door).await.unwrap(), "two");
        // On a new connection nothing is repeated.
        mock.will([Reply::Close, says("three")]);
        let door = Door::new(&settings(&mock.base_url));
        assert!(matches!(ask(&door).await, Err(DoorError::Unreachable(_))));
    });
}

#[test]
fn an_answer_that_is_no_stream_is_not_read() {
    local(async {
        let mock = Mock::start(Dialect::Chat).await;
        mock.will([Reply::Json(200, Vec::new(), json!({"choices": []}))]);
        let error = ask(&Door::new(&settings(&mock.base_url))).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the answer of the model door cannot be read: it is `application/json`, not a stream of events"
        );
    });
}

#[test]
fn an_answer_without_an_end_has_broken_off() {
    local(async {
        let mock = Mock::start(Dialect::Chat).await;
        mock.will([Reply::Broken(vec![
            Delta::Start { id: "x".into(), model: "m".into() },
            Delta::Text("so f".into()),
        ])]);
        assert!(matches!(ask(&Door::new(&settings(&mock.base_url))).await, Err(DoorError::BrokeOff(_))));
    });
}

#[test]
fn an_answer_over_the_limit_is_not_read_to_its_end() {
    local(async {
        let mock = Mock::start(Dialect::Chat).await;
        let piece = "x".repeat(1024 * 1024);
        let long = (0..=MAX_ANSWER / piece.len()).map(|_| Delta::Text(piece.clone())).collect();
        mock.will([Reply::Stream(answer(long, nanoclaw_dialect::Stop::End))]);
        let error = ask(&Door::new(&settings(&mock.base_url))).await.unwrap_err();
        assert!(error.to_string().ends_with(&format!("it is longer than {MAX_ANSWER} bytes")), "{error}");
    });
}
