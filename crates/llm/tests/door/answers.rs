//! Every agent's dialect with every kind of provider.

use serde_json::{Value, json};

use crate::agent::{Agent, Content};
use crate::world::{KEY, Open, PLACEHOLDER, Setting, World};

const PROVIDERS: [&str; 4] = ["chat", "responses", "messages", "gemini"];

async fn asked(open: &Open, agent: Agent, body: &Value) -> Content {
    let stream = body["stream"] == true;
    let reply = open.post(agent.path(), body).await;
    assert_eq!((reply.status, reply.whole), (200, true), "{agent:?}: {}", reply.body);
    let kind = if stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    assert_eq!(reply.header("content-type"), kind);
    agent.read(&reply.body, stream)
}

/// Calls `check` for each agent, provider, and whether the answer is streamed.
async fn everywhere(check: impl AsyncFn(&Open, Agent, &str, bool, String)) {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        for provider in PROVIDERS {
            for stream in [false, true] {
                let what = format!("{agent:?} at {provider}, streamed: {stream}");
                check(&open, agent, &format!("{provider}/m"), stream, what).await;
            }
        }
    }
}

#[tokio::test]
async fn text_and_usage_arrive_from_every_provider() {
    everywhere(async |open, agent, model, stream, what| {
        let before = open.records(0).await.len();
        let content =
            asked(open, agent, &agent.ask(model, "SAY It is 北京\nSAY here.\nTOKENS 9 8 3\nSPLIT 4", stream)).await;
        let expected = Content {
            text: "It is 北京\nhere.".to_owned(),
            stop: agent.stops().0.to_owned(),
            usage: Some((9, 8)),
            ended: true,
            ..Content::default()
        };
        assert_eq!(content, expected, "{what}");
        let records = open.records(before).await;
        let [allowed, done] = records.as_slice() else { panic!("{what}: {records:?}") };
        assert_eq!((&allowed["action"], &allowed["result"]), (&json!("model_call"), &json!("allowed")), "{what}");
        assert_eq!((&allowed["resource"], &allowed["policy_ids"]), (&json!(model), &rule(model)), "{what}");
        let detail = allowed["detail"].as_str().unwrap();
        let beginning = format!("{}{}: 1 messages, ", agent.name(), if stream { ", streamed" } else { "" });
        assert!(detail.starts_with(&beginning) && detail.ends_with(&format!(" for {model}")), "{what}: {detail}");
        assert_eq!((&done["action"], &done["result"]), (&json!("model_call"), &json!("done")), "{what}");
        assert_eq!(done["request_seq"], allowed["seq"], "{what}");
        let used = &done["model"];
        let (provider, name) = model.split_once('/').unwrap();
        assert_eq!((&used["provider"], &used["name"]), (&json!(provider), &json!(name)), "{what}");
        let tokens = ["input_tokens", "cached_tokens", "output_tokens", "attempts"].map(|key| used[key].as_u64());
        assert_eq!(tokens, [Some(9), Some(3), Some(8), Some(1)], "{what}: {used}");
        assert_eq!(
            (&used["stop"], &used["sources"], used.get("estimated")),
            (&json!("end"), &json!({"user": 1}), None)
        );
        assert_eq!(used["answer_sha256"].as_str().map(str::len), Some(64), "{what}");
    })
    .await;
}

/// The rule that allows a model: it is the agent's own, or `*` names it.
fn rule(model: &str) -> Value {
    let allowed = "agents.a.models.allow[0]";
    if model == "chat/m" { json!(["agents.a.model", allowed]) } else { json!([allowed]) }
}

#[tokio::test]
async fn a_tool_round_goes_to_its_end_with_every_provider() {
    everywhere(async |open, agent, model, stream, what| {
        let script =
            "REMARK Looking.\nCALL weather {\"city\": \"Zürich\"}\nCALL shell {\"n\": [1, {\"a\": null}]}\nSPLIT 3";
        let first = agent.ask(model, script, stream);
        let one = asked(open, agent, &first).await;
        assert_eq!(one.called(), [("weather", &json!({"city": "Zürich"}))], "{what}");
        assert_eq!((one.text.as_str(), one.stop.as_str(), one.ended), ("Looking.", agent.stops().1, true), "{what}");
        let second = agent.go_on(&first, &one, &["rain"]);
        let two = asked(open, agent, &second).await;
        assert_eq!(two.called(), [("shell", &json!({"n": [1, {"a": null}]}))], "{what}");
        let three = asked(open, agent, &agent.go_on(&second, &two, &["a\nb"])).await;
        assert_eq!((three.text.as_str(), three.called()), ("SCRIPT DONE\n[1] rain\n[2] a\nb", vec![]), "{what}");
        let done = open.last().await;
        let sources = json!({"tool:shell": 1, "tool:weather": 1, "user": 1});
        assert_eq!(done["model"]["sources"], sources, "{what}");
    })
    .await;
}

#[tokio::test]
async fn parallel_calls_stay_apart_and_in_order() {
    everywhere(async |open, agent, model, stream, what| {
        let before = open.records(0).await.len();
        let script = "CALL weather {\"city\": \"a\"}\nAND\nCALL weather {\"city\": \"b\"}\nAND\nCALL shell {}\nSPLIT 2";
        let first = agent.ask(model, script, stream);
        let content = asked(open, agent, &first).await;
        let (a, b, none) = (json!({"city": "a"}), json!({"city": "b"}), json!({}));
        assert_eq!(content.called(), [("weather", &a), ("weather", &b), ("shell", &none)], "{what}");
        let mut ids: Vec<&str> = content.calls.iter().map(|call| call.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3, "{what}");
        let again = asked(open, agent, &agent.go_on(&first, &content, &["1", "2", "3"])).await;
        assert_eq!(again.text, "SCRIPT DONE\n[1] 1\n[2] 2\n[3] 3", "{what}");
        let records = open.records(before).await;
        let of = |action: &str, result: &str| {
            records.iter().filter(|record| record["action"] == action && record["result"] == result).count()
        };
        assert_eq!((of("tool_call", "allowed"), of("tool_call", "denied")), (3, 0), "{what}");
        let done = records.iter().find(|record| record["model"]["tools_proposed"].is_array()).unwrap();
        assert_eq!(done["model"]["tools_proposed"], json!(["weather", "weather", "shell"]), "{what}");
        assert_eq!((&done["model"]["stop"], done["model"].get("tools_denied")), (&json!("tool-calls"), None), "{what}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_says_so() {
    everywhere(async |open, agent, model, stream, what| {
        let content = asked(open, agent, &agent.ask(model, "SAY cut h\nSTOP length", stream)).await;
        let stop = match agent {
            Agent::Chat => "length",
            Agent::Responses => "incomplete",
            Agent::Messages => "max_tokens",
        };
        assert_eq!((content.text.as_str(), content.stop.as_str()), ("cut h", stop), "{what}");
        assert_eq!(open.last().await["model"]["stop"], "length", "{what}");
    })
    .await;
}

#[tokio::test]
async fn thoughts_arrive_as_thoughts() {
    everywhere(async |open, agent, model, stream, what| {
        let content = asked(open, agent, &agent.ask(model, "THINK Let me see\nSAY yes", stream)).await;
        assert_eq!((content.thoughts.as_str(), content.text.as_str()), ("Let me see", "yes"), "{what}");
    })
    .await;
}

#[tokio::test]
async fn errors_arrive_in_the_agents_own_shape() {
    everywhere(async |open, agent, model, stream, what| {
        for (status, expected, kind) in [(400, 400, "invalid_request_error"), (429, 429, "rate_limit_error")] {
            let reply = open.post(agent.path(), &agent.ask(model, &format!("FAIL {status}"), stream)).await;
            assert_eq!(reply.status, expected, "{what}: {}", reply.body);
            let (name, _) = model.split_once('/').unwrap();
            let (told, message) = agent.error(&reply.json());
            assert_eq!(told, kind, "{what}");
            assert!(message.starts_with(&format!("provider `{name}` ")), "{what}: {message}");
            assert!(message.ends_with(&format!("({status}): the script fails with {status}")), "{what}: {message}");
            assert_eq!(reply.header("x-should-retry"), "false");
            let failed = open.last().await;
            assert_eq!((&failed["result"], &failed["code"]), (&json!("failed"), &json!("unreachable")), "{what}");
            assert_eq!(failed["reason"], message.as_str(), "{what}");
            assert_eq!(failed["model"].get("input_tokens"), None, "{what}: nothing was used");
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_fields_pass_untouched_in_the_same_dialect() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        let mut body = agent.ask(&format!("{}/m", agent.name()), "SAY x", false);
        body["unheard_of"] = json!({"deep": [1, 2.5, "é", null], "": 18446744073709551615_u64});
        body["metadata"] = json!({"user_id": "7"});
        asked(&open, agent, &body).await;
        let log = world.asked(agent.name());
        body["model"] = "m".into();
        assert_eq!(log.last().unwrap()["body"], body, "{agent:?}");
    }
}

#[tokio::test]
async fn the_agents_own_credentials_stay_here() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        for provider in PROVIDERS {
            asked(&open, agent, &agent.ask(&format!("{provider}/m"), "SAY x", false)).await;
        }
    }
    for provider in PROVIDERS {
        let log = world.asked(provider);
        assert_eq!(log.len(), 3);
        for entry in log {
            let headers = entry["headers"].to_string();
            assert!(headers.contains(KEY) && !headers.contains(PLACEHOLDER), "{provider}: {headers}");
            assert_eq!(entry["headers"].as_object().unwrap().len(), 1, "{provider}: {headers}");
        }
    }
}

#[tokio::test]
async fn a_chat_agent_that_did_not_ask_for_usage_is_not_told_and_it_is_recorded_all_the_same() {
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for provider in PROVIDERS {
        let mut body = Agent::Chat.ask(&format!("{provider}/m"), "SAY x\nTOKENS 5 4", true);
        body.as_object_mut().unwrap().remove("stream_options");
        let content = asked(&open, Agent::Chat, &body).await;
        assert_eq!((content.text.as_str(), content.usage, content.ended), ("x", None, true), "{provider}");
        assert_eq!(open.last().await["model"]["output_tokens"], 4, "{provider}");
    }
}

#[tokio::test]
async fn images_reach_every_provider() {
    const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";
    let world = World::with_mocks().await;
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        for provider in PROVIDERS {
            let mut body = agent.ask(&format!("{provider}/m"), "", false);
            let url = format!("data:image/png;base64,{PIXEL}");
            let (text, image) = match agent {
                Agent::Chat => ("text", json!({"type": "image_url", "image_url": {"url": url}})),
                Agent::Responses => ("input_text", json!({"type": "input_image", "image_url": url})),
                Agent::Messages => {
                    let source = json!({"type": "base64", "media_type": "image/png", "data": PIXEL});
                    ("text", json!({"type": "image", "source": source}))
                }
            };
            let list = if agent == Agent::Responses { "input" } else { "messages" };
            body[list][0]["content"] = json!([{"type": text, "text": "SAY seen"}, image]);
            assert_eq!(asked(&open, agent, &body).await.text, "seen", "{agent:?} at {provider}");
            assert!(
                world.asked(provider).pop().unwrap()["body"].to_string().contains(PIXEL),
                "{agent:?} at {provider}"
            );
        }
    }
}
