//! Calls that wait until people have answered.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Method;
use nanoclaw_config::{DataClass, Label, Trust};
use nanoclaw_gate::{Answer, Desk, Question};
use serde_json::json;

use crate::agent::{Agent, Content};
use crate::world::{Open, Setting, World, request};

const UNTRUSTED: Label = Label::new(Trust::Untrusted, DataClass::Public);
const SIGN: &str = ": waiting for approval\n\n";

/// Answers the next question.
pub async fn answer_next(desk: &Desk, answer: Answer) -> Question {
    let question = next(desk).await;
    desk.answer("uid:0", &question.id, &question.digest, answer).unwrap();
    question
}

async fn next(desk: &Desk) -> Question {
    loop {
        match desk.waiting().pop() {
            Some(question) => return question,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Whether an answer says that its only call was refused.
pub fn refused(content: &Content) -> bool {
    content.calls.is_empty() && content.text.contains("[NanoClaw refused the tool call ")
}

/// An agent that has read what is not trusted, so that people are asked before it does anything.
async fn tainted(world: &World) -> Open {
    let open =
        world.open_again(&Setting { top: "rule_sets: [trusted-action]\n".to_owned(), ..Setting::default() }).await;
    open.engine.session().read(UNTRUSTED);
    open
}

#[tokio::test]
async fn a_call_passes_when_people_agree_and_is_text_when_they_do_not() {
    let world = World::with_mocks().await;
    for agent in Agent::ALL {
        for streamed in [false, true] {
            let what = format!("{agent:?}, streamed: {streamed}");
            let open = tainted(&world).await;
            let body = agent.ask("chat/m", "REMARK Well.\nCALL shell {\"city\": \"Bern\"}", streamed);
            let yes = answer_next(&open.desk, Answer::Approve);
            let (reply, question) = tokio::join!(open.post(agent.path(), &body), yes);
            let content = agent.read(&reply.body, streamed);
            assert_eq!(content.called(), [("shell", &json!({ "city": "Bern" }))], "{what}: {}", reply.body);
            assert!(question.detail.contains("Bern"), "{what}: {question:?}");

            let no = answer_next(&open.desk, Answer::Deny { reason: "not today".to_owned() });
            let (reply, _) = tokio::join!(open.post(agent.path(), &body), no);
            let content = agent.read(&reply.body, streamed);
            assert!(refused(&content) && content.text.contains("not today"), "{what}: {}", reply.body);
            assert_eq!((content.stop.as_str(), content.ended), (agent.stops().0, true), "{what}");
        }
    }
}

#[tokio::test]
async fn a_stream_gives_signs_of_life_while_people_are_asked() {
    let world = World::with_mocks().await;
    for agent in Agent::ALL {
        let open = tainted(&world).await;
        let body = agent.ask("chat/m", "REMARK Well.\nCALL shell {}", true).to_string();
        let mut client = open.client().await;
        let mut response = client.send_request(request(Method::POST, agent.path(), body)).await.unwrap();
        let mut seen = String::new();
        while !seen.contains(SIGN) {
            let frame = response.body_mut().frame().await.unwrap().unwrap();
            seen.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        assert!(seen.contains("Well."), "{agent:?}: what came before it is there already: {seen}");
        assert_eq!(agent.read(&seen.replace(SIGN, ""), true).calls, [], "{agent:?}");
        answer_next(&open.desk, Answer::Approve).await;
        while let Some(frame) = response.body_mut().frame().await {
            seen.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap_or_default()).unwrap());
        }
        let content = agent.read(&seen.replace(SIGN, ""), true);
        assert_eq!(content.called(), [("shell", &json!({}))], "{agent:?}: {seen}");
        assert!(content.ended && content.error.is_none(), "{agent:?}: {seen}");
    }
}

#[tokio::test]
async fn a_question_is_withdrawn_when_the_agent_leaves() {
    let world = World::with_mocks().await;
    for agent in Agent::ALL {
        for streamed in [false, true] {
            let what = format!("{agent:?}, streamed: {streamed}");
            let open = tainted(&world).await;
            let before = open.records(0).await.len();
            let body = agent.ask("chat/m", "CALL shell {}", streamed).to_string();
            let mut client = open.client().await;
            let asking = tokio::spawn(async move {
                let response = client.send_request(request(Method::POST, agent.path(), body)).await.unwrap();
                // Nothing more comes of it; the connection lives with the body.
                response.into_body().collect().await.map(|_| client)
            });
            let question = next(&open.desk).await;
            asking.abort();
            while !open.desk.waiting().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let late = open.desk.answer("uid:0", &question.id, &question.digest, Answer::Approve);
            assert!(late.is_err(), "{what}: {late:?}");
            // Model call, question, its end, and how the call ended.
            let records = open.until(before + 4).await;
            let results: Vec<&str> = records[before..].iter().map(|r| r["action"].as_str().unwrap()).collect();
            assert_eq!(results.iter().filter(|action| **action == "tool_call").count(), 0, "{what}: {results:?}");
            let last = records.iter().rfind(|record| record["action"] == "model_call").unwrap();
            assert_eq!((&last["result"], &last["code"]), (&json!("failed"), &json!("unreachable")), "{what}: {last}");
        }
    }
}

#[tokio::test]
async fn calls_that_an_agent_found_itself_wait_too() {
    let world = World::with_mocks().await;
    let open = tainted(&world).await;
    let question = json!({ "calls": [{ "name": "shell", "arguments": {} }] });
    for (answer, allowed) in [(Answer::Approve, true), (Answer::Deny { reason: String::new() }, false)] {
        let (reply, _) = tokio::join!(open.post("/v1/nanoclaw/tool-calls", &question), answer_next(&open.desk, answer));
        assert_eq!(reply.json()["decisions"][0]["allowed"], allowed, "{}", reply.body);
    }
}
