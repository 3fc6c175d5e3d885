//! What must not leave does not leave by an answer: not in its words, not in a call, not in pieces.

use serde_json::{Value, json};

use crate::agent::{Agent, Content};
use crate::world::{Open, Setting, World};

const PROVIDERS: [&str; 4] = ["chat", "responses", "messages", "gemini"];
/// A card that tests are made with.
const CARD: &str = "4111 1111 1111 1111";
/// The key of the provider's own documentation, in two parts, so that no search for keys finds it here.
const KEY: [&str; 2] = ["AKIAIOSF", "ODNN7EXAMPLE"];

/// What the seed's own words switch on.
fn enforced() -> Setting {
    Setting { top: "prompt_filters: [\"禁止敏感信息輸出\"]".to_owned(), ..Setting::default() }
}

async fn asked(open: &Open, agent: Agent, body: &Value) -> (Content, String) {
    let reply = open.post(agent.path(), body).await;
    assert_eq!((reply.status, reply.whole), (200, true), "{agent:?}: {}", reply.body);
    (agent.read(&reply.body, body["stream"] == true), reply.body)
}

/// Calls `check` for each agent, provider, and whether the answer is streamed.
async fn everywhere(setting: &Setting, check: impl AsyncFn(&Open, Agent, &str, bool, String)) {
    let world = World::with_mocks().await;
    let open = world.open(setting);
    for agent in Agent::ALL {
        for provider in PROVIDERS {
            for stream in [false, true] {
                let what = format!("{agent:?} at {provider}, streamed: {stream}");
                check(&open, agent, &format!("{provider}/m"), stream, what).await;
            }
        }
    }
}

/// What was found in the answer of the last call, as its record has it.
async fn found(open: &Open) -> Vec<Value> {
    let done = open.last().await;
    let all = done["model"]["screened"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|found| found["channel"] == "output").collect()
}

#[tokio::test]
async fn card_and_key_in_pieces_do_not_leave_in_any_dialect() {
    let key = KEY.concat();
    everywhere(&enforced(), async |open, agent, model, stream, what| {
        let script = format!("SAY The card {CARD} pays.\nSAY And the key is {key}, they say.\nTOKENS 9 8 3\nSPLIT 3");
        let (content, body) = asked(open, agent, &agent.ask(model, &script, stream)).await;
        let expected = Content {
            text: "The card [card-1] pays.\nAnd the key is [aws-access-key-1], they say.".to_owned(),
            stop: agent.stops().0.to_owned(),
            usage: Some((9, 8)),
            ended: true,
            ..Content::default()
        };
        assert_eq!(content, expected, "{what}: {body}");
        assert!(!body.contains("1111") && !body.contains("ODNN7"), "{what}: {body}");
        let found = found(open).await;
        let [one] = found.as_slice() else { panic!("{what}: {found:?}") };
        assert_eq!((&one["done"], &one["losses"]), (&json!("redacted"), &json!(["card", "aws-access-key"])), "{what}");
        assert_eq!(one["spans"][0], json!([9, 9 + CARD.len()]), "{what}");
    })
    .await;
}

#[tokio::test]
async fn clean_words_pass_as_they_are() {
    everywhere(&enforced(), async |open, agent, model, stream, what| {
        let script = "SAY The order 4711 of 2026-11-23 comes to 1,234.50 EUR. 北京 is fine.\nTOKENS 9 8 3\nSPLIT 5";
        let (content, _) = asked(open, agent, &agent.ask(model, script, stream)).await;
        assert_eq!(content.text, "The order 4711 of 2026-11-23 comes to 1,234.50 EUR. 北京 is fine.", "{what}");
        assert_eq!((content.usage, content.ended, found(open).await), (Some((9, 8)), true, vec![]), "{what}");
    })
    .await;
}

#[tokio::test]
async fn where_nothing_is_to_be_done_it_is_noted() {
    everywhere(&Setting::default(), async |open, agent, model, stream, what| {
        let (content, _) = asked(open, agent, &agent.ask(model, &format!("SAY Card {CARD}.\nSPLIT 3"), stream)).await;
        assert_eq!(content.text, format!("Card {CARD}."), "{what}");
        let found = found(open).await;
        let [one] = found.as_slice() else { panic!("{what}: {found:?}") };
        assert_eq!((&one["done"], &one["losses"]), (&json!("noted"), &json!(["card"])), "{what}");
    })
    .await;
}

#[tokio::test]
async fn thoughts_are_words_too() {
    let world = World::with_mocks().await;
    let open = world.open(&enforced());
    for agent in Agent::ALL {
        for stream in [false, true] {
            let script = format!("THINK They pay with {CARD} here.\nSAY Done.\nSPLIT 4");
            let model = format!("{}/m", agent.name());
            let (content, body) = asked(&open, agent, &agent.ask(&model, &script, stream)).await;
            assert!(!body.contains("1111"), "{agent:?}, streamed: {stream}: {body}");
            assert_eq!((content.text.as_str(), content.ended), ("Done.", true), "{agent:?}, streamed: {stream}");
            assert!(body.contains("[card-1]"), "{agent:?}, streamed: {stream}: {body}");
        }
    }
}

#[tokio::test]
async fn call_that_would_carry_it_out_is_refused() {
    everywhere(&enforced(), async |open, agent, model, stream, what| {
        let before = open.records(0).await.len();
        let bad = format!("{{\"city\": \"x\", \"note\": \"pay {CARD}\"}}");
        let script = format!("CALL weather {{\"city\": \"a\"}}\nAND\nCALL shell {bad}\nSPLIT 3");
        let (content, body) = asked(open, agent, &agent.ask(model, &script, stream)).await;
        assert_eq!(content.called(), [("weather", &json!({"city": "a"}))], "{what}");
        assert!(content.text.contains("NanoClaw refused the tool call shell"), "{what}: {}", content.text);
        assert!(content.text.contains("`card`") && !body.contains("1111"), "{what}: {body}");
        let records = open.records(before).await;
        assert!(!json!(records).to_string().contains("1111 1111"), "{what}: the log holds it: {records:?}");
        let denied = records.iter().find(|record| record["action"] == "tool_call" && record["result"] == "denied");
        assert_eq!(denied.unwrap()["code"], "content-refused", "{what}");
        let found = found(open).await;
        assert_eq!((&found[0]["done"], &found[0]["losses"]), (&json!("refused"), &json!(["card"])), "{what}");
    })
    .await;
}

#[tokio::test]
async fn escapes_and_numbers_hide_nothing_in_a_call() {
    let world = World::with_mocks().await;
    let open = world.open(&enforced());
    for arguments in [
        r#"{"city": "card 4111\u0020111\u0031 1111 1111"}"#,
        r#"{"card": 4111111111111111}"#,
        r#"{"city": ["a", {"b": "card 4111-1111-1111-1111"}]}"#,
    ] {
        let script = format!("CALL shell {arguments}");
        let (content, _) = asked(&open, Agent::Chat, &Agent::Chat.ask("chat/m", &script, true)).await;
        assert!(content.calls.is_empty(), "{arguments}");
    }
}

#[tokio::test]
async fn canary_ends_the_answer_cleanly() {
    let top = "prompt_filters: [{ name: bait, canary: canary-7f3a91c2, action: deny, channels: [output] }]".to_owned();
    everywhere(&Setting { top, ..Setting::default() }, async |open, agent, model, stream, what| {
        let long = "All is well so far, and the town is quiet. ".repeat(20);
        let script = format!("SAY {long}\nSAY It is canary-7f3a91c2 and more.\nSPLIT 4");
        let (content, body) = asked(open, agent, &agent.ask(model, &script, stream)).await;
        assert!(!body.contains("7f3a91c2") && !body.contains("and more"), "{what}: {body}");
        assert!(content.text.contains("NanoClaw refused this: ") && content.text.contains("`bait`"), "{what}: {body}");
        assert_eq!((content.ended, content.calls.len()), (true, 0), "{what}: {body}");
        let done = open.last().await;
        assert_eq!((&done["result"], &done["code"]), (&json!("failed"), &json!("content-refused")), "{what}");
        assert_eq!(found(open).await[0]["rules"], json!(["bait"]), "{what}");
    })
    .await;
}
