//! Budgets at the door: refused before anybody is asked, settled with what was used, and not lost.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::agent::Agent;
use crate::provider::{Raw, answer, stream};
use crate::world::{Open, Setting, World, request};

fn budget(text: &str) -> Setting {
    Setting { agent: format!(", budget: {{ {text} }}"), ..Setting::default() }
}

/// Away from the end of the minute, in which counts begin anew.
async fn early_in_a_minute() {
    let second = Timestamp::now().as_second() % 60;
    if second > 40 {
        tokio::time::sleep(Duration::from_secs((60 - second).unsigned_abs())).await;
    }
}

/// Makes so many calls at the same time, and counts the answers by status.
async fn at_once(open: &Open, count: usize, body: &Value) -> Vec<(u16, usize)> {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let mut client = open.client().await;
        let request = request(Method::POST, "/v1/chat/completions", body.to_string());
        calls.spawn(async move {
            let response = client.send_request(request).await.unwrap();
            let status = response.status().as_u16();
            let _body = response.into_body().collect().await.unwrap();
            status
        });
    }
    let mut counts = std::collections::BTreeMap::<u16, usize>::new();
    for status in calls.join_all().await {
        *counts.entry(status).or_default() += 1;
    }
    counts.into_iter().collect()
}

#[tokio::test]
async fn fifty_calls_at_once_do_not_exceed_a_limit_of_requests() {
    let world = World::with_mocks().await;
    let open = world.open(&budget("requests_per_minute: 7"));
    early_in_a_minute().await;
    let body = Agent::Chat.ask("chat/m", "SAY x\nLATENCY 20", false);
    assert_eq!(at_once(&open, 50, &body).await, [(200, 7), (429, 43)]);
    assert_eq!(world.asked("chat").len(), 7, "what is refused is not sent");
    let results = open.results("model_call").await;
    let count = |result: &str| results.iter().filter(|other| *other == result).count();
    assert_eq!((count("allowed"), count("done"), count("denied")), (7, 7, 43));
}

#[tokio::test]
async fn fifty_calls_at_once_do_not_exceed_a_limit_of_tokens() {
    let world = World::with_mocks().await;
    let open = world.open(&budget("tokens_per_day: 1000"));
    // Each reserves what it may use at most, and uses 100.
    let mut body = Agent::Chat.ask("chat/m", "SAY x\nTOKENS 90 10\nLATENCY 20", false);
    body["max_tokens"] = 50.into();
    for _ in 0..3 {
        at_once(&open, 50, &body).await;
    }
    let answered = world.asked("chat").len();
    assert!((8..=10).contains(&answered), "{answered} calls of 100 tokens passed a limit of 1000");
    let used: u64 = open
        .records(0)
        .await
        .iter()
        .filter_map(|record| {
            let used = &record["model"];
            Some(used["input_tokens"].as_u64()? + used["output_tokens"].as_u64()?)
        })
        .sum();
    assert_eq!(used, answered as u64 * 100);
}

#[tokio::test]
async fn a_refusal_says_what_ran_out_and_when_it_returns() {
    for agent in Agent::ALL {
        let world = World::with_mocks().await;
        let open = world.open(&budget("requests_per_minute: 1, tokens_per_month: 300"));
        early_in_a_minute().await;
        for stream in [false, true] {
            let mut body = agent.ask("chat/m", "SAY x\nTOKENS 1 1", stream);
            body[if agent == Agent::Responses { "max_output_tokens" } else { "max_tokens" }] = 20.into();
            if !stream {
                assert_eq!(open.post(agent.path(), &body).await.status, 200);
            }
            let reply = open.post(agent.path(), &body).await;
            assert_eq!((reply.status, reply.header("x-nanoclaw-refusal")), (429, "budget-exhausted"), "{agent:?}");
            let (kind, message) = agent.error(&reply.json());
            assert_eq!(kind, "rate_limit_error");
            let says = "requests_per_minute of agent `a` is used up: 1 of 1 are used or reserved, and this call needs 1; it returns at ";
            assert!(message.contains(says), "{message}");
            let seconds: u64 = reply.header("retry-after").parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
            let last = open.last().await;
            assert_eq!((&last["result"], &last["code"]), (&json!("denied"), &json!("budget-exhausted")));
        }
        drop(open);
        // Another day of the same month.
        let open = world.open_again(&budget("tokens_per_month: 100")).await;
        let mut body = agent.ask("chat/m", "SAY x", false);
        body[if agent == Agent::Responses { "max_output_tokens" } else { "max_tokens" }] = 95.into();
        let reply = open.post(agent.path(), &body).await;
        let (_, message) = agent.error(&reply.json());
        assert!(
            message.contains("tokens_per_month of agent `a` is used up: 2 of 100 are used or reserved"),
            "{message}"
        );
        assert!(reply.header("retry-after").parse::<u64>().unwrap() < 31 * 86_400 + 1);
    }
}

#[tokio::test]
async fn what_was_used_survives_a_restart() {
    let world = World::with_mocks().await;
    let messages = json!([{"role": "user", "content": "SAY x\nTOKENS 40 10"}]);
    let body = json!({"model": "chat/m", "messages": messages, "max_tokens": 10});
    for expected in [200, 200, 429, 429] {
        let open = world.open_again(&budget("tokens_per_month: 110")).await;
        assert_eq!(open.post(Agent::Chat.path(), &body).await.status, expected);
    }
    assert_eq!(world.asked("chat").len(), 2);
}

#[tokio::test]
async fn the_budgets_of_group_and_fleet_hold_too() {
    for (setting, owner) in [
        (
            Setting {
                agent: ", group: g".to_owned(),
                top: "groups: [{ name: g, budget: { requests_per_minute: 1 } }]".to_owned(),
                ..Setting::default()
            },
            "group `g`",
        ),
        (Setting { top: "budget: { requests_per_minute: 1 }".to_owned(), ..Setting::default() }, "the fleet"),
    ] {
        early_in_a_minute().await;
        let world = World::with_mocks().await;
        let open = world.open(&setting);
        let body = Agent::Chat.ask("chat/m", "SAY x", false);
        assert_eq!(open.post(Agent::Chat.path(), &body).await.status, 200);
        let reply = open.post(Agent::Chat.path(), &body).await;
        assert!(reply.body.contains(&format!("requests_per_minute of {owner} is used up")), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_call_gives_back_what_it_did_not_use_before_its_answer_has_ended() {
    let world = World::with_mocks().await;
    let open = world.open(&budget("tokens_per_day: 10000, concurrent_calls: 1"));
    for agent in Agent::ALL {
        for provider in ["chat", "messages", "gemini"] {
            for stream in [false, true] {
                for _ in 0..5 {
                    let mut body = agent.ask(&format!("{provider}/m"), "SAY x\nTOKENS 1 1", stream);
                    body[if agent == Agent::Responses { "max_output_tokens" } else { "max_tokens" }] = 9000.into();
                    let reply = open.post(agent.path(), &body).await;
                    assert_eq!(reply.status, 200, "{agent:?} at {provider}, streamed: {stream}: {}", reply.body);
                }
            }
        }
    }
}

#[tokio::test]
async fn calls_at_the_same_time_are_counted() {
    let world = World::with_mocks().await;
    let open = world.open(&budget("concurrent_calls: 3"));
    let body = Agent::Chat.ask("chat/m", "SAY x\nLATENCY 500", true);
    assert_eq!(at_once(&open, 20, &body).await, [(200, 3), (429, 17)]);
    assert_eq!(open.records(0).await.iter().filter(|record| record["code"] == "limit").count(), 17);
    assert_eq!(at_once(&open, 3, &Agent::Chat.ask("chat/m", "SAY x", true)).await, [(200, 3)], "they end");
}

#[tokio::test]
async fn a_provider_that_fails_costs_the_request_and_nothing_else() {
    let world = World::with_mocks().await;
    let open = world.open(&budget("tokens_per_day: 300, requests_per_minute: 100"));
    let mut failing = Agent::Chat.ask("chat/m", "FAIL 500", false);
    failing["max_tokens"] = 100.into();
    for _ in 0..5 {
        assert_eq!(open.post(Agent::Chat.path(), &failing).await.status, 502);
    }
    let last = open.last().await;
    assert_eq!((last["model"].get("input_tokens"), last["model"].get("cost_usd")), (None, None));
    let journal = std::fs::read_to_string(world.path("budgets")).unwrap();
    let of_agent = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["account"] == "agent/a");
    let (mut requests, mut tokens) = (0, 0);
    of_agent.for_each(|line| {
        requests += line["count"]["requests"].as_i64().unwrap();
        tokens += line["count"]["tokens"].as_i64().unwrap();
    });
    assert_eq!((requests, tokens), (5, 0));
}

#[tokio::test]
async fn several_choices_are_reserved_for() {
    let world = World::with_mocks().await;
    let open = world.open(&budget("tokens_per_day: 1000"));
    let mut body = Agent::Chat.ask("chat/m", "SAY x", false);
    body["max_tokens"] = 100.into();
    body["n"] = 50.into();
    let reply = open.post(Agent::Chat.path(), &body).await;
    assert_eq!(reply.status, 429, "{}", reply.body);
    body["n"] = u64::MAX.into();
    assert_eq!(open.post(Agent::Chat.path(), &body).await.status, 429);
}

#[tokio::test]
async fn money_needs_a_price_and_is_counted_with_it() {
    let world = World::with_mocks().await;
    std::fs::write(world.path("prices.json"), r#"{"prices": [{"model": "chat/dear", "input": 1000, "output": 5000}]}"#)
        .unwrap();
    let models = format!("  prices: {}\n", world.path("prices.json").display());
    let setting = Setting { models, ..budget("usd_per_day: 1.10, max_output_tokens: 100") };
    let open = world.open(&setting);
    let ask = |model: &str| Agent::Chat.ask(model, "SAY x\nTOKENS 100 20", false);
    let reply = open.post(Agent::Chat.path(), &ask("chat/unpriced")).await;
    assert_eq!(reply.status, 429);
    assert!(reply.body.contains("there is no price for chat/unpriced"), "{}", reply.body);
    assert_eq!(open.post(Agent::Chat.path(), &ask("chat/dear")).await.status, 200);
    assert_eq!(open.last().await["model"]["cost_usd"], "0.20");
    assert!(open.models.metrics().text().contains("nanoclaw_model_cost_usd_total{"));
    assert_eq!(world.asked("chat")[0]["body"]["max_tokens"], 100, "the budget bounds the answer");
    let mut faster = ask("chat/dear");
    faster["service_tier"] = "priority".into();
    let reply = open.post(Agent::Chat.path(), &faster).await;
    assert_eq!(reply.status, 429);
    let says = "there is no price for chat/dear with `service_tier`; leave `service_tier` out";
    assert!(reply.body.contains(says), "{}", reply.body);
    let mut count = 1;
    while open.post(Agent::Chat.path(), &ask("chat/dear")).await.status == 200 {
        count += 1;
    }
    // A call reserves some 0.6 and uses 0.2.
    assert_eq!(count, 3);
}

/// A request for an answer of 400 tokens at most.
fn long(model: &str, streamed: bool) -> Value {
    let mut body = Agent::Chat.ask(model, "SAY x\nTOKENS 7 3", streamed);
    body["max_tokens"] = 400.into();
    body
}

#[tokio::test]
async fn what_a_provider_may_have_done_is_charged() {
    let mut world = World::with_mocks().await;
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"id\"".to_owned();
    let compressed = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n".to_owned();
    let cases = [
        ("silent", "…".to_owned(), 504),
        ("closed", String::new(), 502),
        ("odd", answer("application/json", "{\"choices\": 7}"), 502),
        ("page", answer("text/html", "<html>"), 502),
        ("half", half.clone(), 502),
        ("halfsilent", half + "…", 504),
        ("empty", stream(""), 502),
        ("compressed", compressed, 502),
        ("nothttp", "220 smtp.example.com ESMTP\r\n".to_owned(), 502),
    ];
    for (name, reply, _) in &cases {
        let name = format!("chat-{name}");
        world.provider(&name, Raw::new([reply.clone()]).await.address);
        world.idle(&name, "1s");
    }
    for (name, _, status) in cases {
        for streamed in [false, true] {
            let _fresh = std::fs::remove_file(world.path("budgets"));
            let open = world.open_again(&budget("tokens_per_day: 700")).await;
            let body = long(&format!("chat-{name}/m"), streamed);
            let reply = open.post(Agent::Chat.path(), &body).await;
            let begun = name.starts_with("half") && streamed;
            assert!(begun || reply.status == status, "{name}, {streamed}: {} {}", reply.status, reply.body);
            let used = open.last().await["model"].clone();
            assert_eq!((&used["output_tokens"], &used["estimated"]), (&json!(400), &json!(true)), "{name}: {used}");
            assert_eq!(open.post(Agent::Chat.path(), &body).await.status, 429, "{name}");
        }
    }
}

#[tokio::test]
async fn what_comes_after_a_charged_attempt_is_reserved_for_too() {
    let mut world = World::with_mocks().await;
    let odd = Raw::new([answer("application/json", "{}")]).await;
    world.provider("chat-odd", odd.address);
    let closing = Raw::new([String::new()]).await;
    world.provider("chat-closing", closing.address);
    world.retries("chat-closing", 1);
    let models = "  aliases: { robust: [chat-odd/m, chat/m] }\n".to_owned();
    for (model, tokens, status) in
        [("robust", 700, 429), ("robust", 1100, 200), ("chat-closing/m", 700, 429), ("chat-closing/m", 1100, 502)]
    {
        let _fresh = std::fs::remove_file(world.path("budgets"));
        let before = (world.asked("chat").len(), closing.requests().len());
        let budget = budget(&format!("tokens_per_day: {tokens}"));
        let open = world.open_again(&Setting { models: models.clone(), ..budget }).await;
        let reply = open.post(Agent::Chat.path(), &long(model, false)).await;
        assert_eq!(reply.status, status, "{model}: {}", reply.body);
        let asked = (world.asked("chat").len() - before.0, closing.requests().len() - before.1);
        let last = open.last().await;
        let output = match (model, status) {
            ("robust", 429) => ((0, 0), 400),
            ("robust", _) => ((1, 0), 403),
            (_, 429) => ((0, 1), 400),
            (_, _) => ((0, 2), 800),
        };
        assert_eq!((asked, last["model"]["output_tokens"].as_u64().unwrap()), output, "{model}, {status}: {last}");
        assert_eq!(last["model"]["estimated"], true, "{last}");
        if status == 429 {
            assert!(reply.body.contains("tokens_per_day of agent `a` is used up"), "{}", reply.body);
            assert_eq!((&last["result"], &last["code"]), (&json!("failed"), &json!("budget-exhausted")));
        }
    }
}

#[tokio::test]
async fn an_agent_that_leaves_while_the_model_thinks_is_charged_the_longest_answer() {
    let mut world = World::new();
    let said = "word ".repeat(100);
    let chunk = json!({"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": said}}]});
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99999\r\n\r\n";
    world.provider("chat", Raw::new([format!("{head}data: {chunk}\n\n…")]).await.address);
    let open = world.open(&budget("tokens_per_day: 700"));
    let mut client = open.client().await;
    let body = long("chat/m", true).to_string();
    let mut response = client.send_request(request(Method::POST, Agent::Chat.path(), body)).await.unwrap();
    let _heard = response.frame().await.unwrap().unwrap();
    drop((response, client));
    let last = open.until(2).await.pop().unwrap();
    let used = &last["model"];
    assert_eq!((&used["output_tokens"], &used["estimated"]), (&json!(400), &json!(true)), "{last}");
    assert_eq!(open.post(Agent::Chat.path(), &long("chat/m", true)).await.status, 429);
}

#[tokio::test]
async fn questions_to_the_door_itself_are_requests() {
    let world = World::with_mocks().await;
    let open = world.open(&budget("requests_per_minute: 2"));
    early_in_a_minute().await;
    let count = Agent::Messages.ask("chat/m", "SAY x", false);
    let calls = json!({"calls": [{"name": "weather", "arguments": {}}]});
    let questions = [("/v1/messages/count_tokens", count), ("/v1/nanoclaw/tool-calls", calls)];
    for status in [200, 429] {
        for (path, body) in &questions {
            let reply = open.post(path, body).await;
            assert_eq!(reply.status, status, "{path}: {}", reply.body);
            if status == 429 {
                assert!(reply.body.contains("requests_per_minute of agent `a` is used up"), "{}", reply.body);
                let last = open.last().await;
                assert_eq!((&last["result"], &last["code"]), (&json!("denied"), &json!("budget-exhausted")));
            }
        }
    }
    assert_eq!(open.get("/v1/models").await.status, 200, "a list is none");
}

#[tokio::test]
async fn an_agent_that_leaves_before_the_answer_is_charged_all_that_it_could_have_cost() {
    let mut world = World::with_mocks().await;
    let raw = Raw::new(["…".to_owned()]).await;
    world.provider("chat-silent", raw.address);
    let open = world.open(&budget("tokens_per_day: 1100"));
    for (number, streamed) in [(1, false), (2, true)] {
        let before = open.records(0).await.len();
        let mut body = Agent::Chat.ask("chat-silent/m", "SAY x", streamed);
        body["max_tokens"] = 400.into();
        let mut client = open.client().await;
        let asked = tokio::spawn(async move {
            client.send_request(request(Method::POST, "/v1/chat/completions", body.to_string())).await
        });
        while raw.requests().len() < number {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        asked.abort();
        let last = open.until(before + 2).await.pop().unwrap();
        assert_eq!((&last["result"], &last["code"]), (&json!("failed"), &json!("unreachable")), "{last}");
        assert_eq!(last["reason"], "the agent closed its connection before the answer was complete");
        assert_eq!(
            (&last["model"]["output_tokens"], &last["model"]["estimated"]),
            (&json!(400), &json!(true)),
            "{last}"
        );
    }
    let mut body = Agent::Chat.ask("chat/m", "SAY x", false);
    body["max_tokens"] = 150.into();
    assert_eq!(open.post(Agent::Chat.path(), &body).await.status, 429, "leaving early gives nothing back");
}

#[tokio::test]
async fn an_agent_that_leaves_in_the_middle_is_charged_for_what_it_heard() {
    let mut world = World::with_mocks().await;
    let delta = |text: &str| {
        format!("data: {}\n\n", json!({"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": text}}]}))
    };
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n\
        event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    let grow = format!(
        "event: content_block_delta\ndata: {}\n\n",
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x".repeat(300)}})
    );
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99999\r\n\r\n";
    world.provider(
        "chat-slow",
        Raw::new([format!("{head}{}{}…", delta(&"x".repeat(300)), delta("end. "))]).await.address,
    );
    world.provider(
        "messages-slow",
        Raw::new([format!("{head}{start}{grow}{}…", grow.replace(&"x".repeat(300), "end. "))]).await.address,
    );
    let open = world.open(&Setting::default());
    for agent in Agent::ALL {
        for name in ["chat-slow", "messages-slow"] {
            let what = format!("{agent:?} at {name}");
            let before = open.records(0).await.len();
            let mut client = open.client().await;
            let body = agent.ask(&format!("{name}/m"), "SAY x", true).to_string();
            let mut response = client.send_request(request(Method::POST, agent.path(), body)).await.unwrap();
            let mut heard = String::new();
            while !heard.contains("end.") {
                let frame = response.frame().await.unwrap().unwrap();
                heard += str::from_utf8(&frame.into_data().unwrap()).unwrap();
            }
            drop((response, client));
            let last = open.until(before + 2).await.pop().unwrap();
            assert_eq!((&last["result"], &last["code"]), (&json!("failed"), &json!("unreachable")), "{what}: {last}");
            let used = &last["model"];
            assert_eq!((&used["output_tokens"], &used["estimated"]), (&json!(102), &json!(true)), "{what}: {used}");
            if name == "messages-slow" && agent == Agent::Messages {
                assert_eq!(used["input_tokens"], 25, "{what}: so far the provider has said");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_what_it_used_is_estimated() {
    let mut world = World::with_mocks().await;
    let whole = json!({"id": "1", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "x".repeat(30)}, "finish_reason": "stop"}]});
    let chunk = json!({"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": "x".repeat(30)}, "finish_reason": "stop"}]});
    world.provider("chat-whole", Raw::new([answer("application/json", &whole.to_string())]).await.address);
    world.provider("chat-stream", Raw::new([stream(&format!("data: {chunk}\n\ndata: [DONE]\n\n"))]).await.address);
    let open = world.open(&Setting::default());
    for (name, streamed) in [("chat-whole", false), ("chat-stream", true)] {
        let reply = open.post(Agent::Chat.path(), &Agent::Chat.ask(&format!("{name}/m"), "SAY x", streamed)).await;
        assert_eq!(reply.status, 200);
        let used = open.last().await["model"].clone();
        assert_eq!((&used["output_tokens"], &used["estimated"]), (&json!(10), &json!(true)), "{used}");
        assert!(used["input_tokens"].as_u64().unwrap() > 10);
    }
}
