//! Calls written as text, and answers of a schema.

use serde_json::{Value, json};

use super::{messages, text, write};
use crate::protocol::{Ending, Event, Order};
use crate::settings::ToolMode;
use crate::testing::{Bench, Reply, calls, decides, ending, failure, local, says};
use crate::turn::MOST_BAD_STEPS;

#[test]
fn a_call_written_as_text_is_made_when_the_door_allows_it() {
    local(async {
        let bench = Bench::new().await;
        let call = json!({"name": "file_write", "arguments": write("f")}).to_string();
        bench.mock.will([says(&call), decides(&[true]), says("written")]);
        let events = bench.turn("go").await;
        assert_eq!(ending(&events), (Ending::Answered, "written"));
        assert!(bench.file("f").exists());
        let (path, asked) = bench.mock.script.borrow().requests[1].clone();
        assert_eq!(path, "/v1/nanoclaw/tool-calls");
        assert_eq!(asked, json!({"calls": [{"name": "file_write", "arguments": write("f").to_string()}]}));
        // To the model it is a call like others.
        assert_eq!(messages(&bench.mock.last())[2]["tool_calls"][0]["function"]["name"], "file_write");
    });
}

#[test]
fn a_call_written_as_text_is_not_made_unless_the_door_says_so() {
    local(async {
        let bench = Bench::new().await;
        let call = json!({"name": "file_write", "arguments": write("f")}).to_string();
        let unknown = Reply::Json(404, Vec::new(), json!({"error": {"message": "no such address"}}));
        let no_list = Reply::Json(200, Vec::new(), json!({"decisions": []}));
        for (decision, why) in [
            (vec![decides(&[false])], "no rule"),
            (vec![unknown], "no such address"),
            (vec![no_list], "0 decisions on 1 calls"),
            // A connection that was idle is replaced, a new one is not.
            (vec![Reply::Close, Reply::Close], "nobody could decide on it: the model door cannot be reached"),
        ] {
            bench.mock.will([says(&call)]);
            bench.mock.will(decision);
            bench.mock.will([says("well")]);
            let events = bench.turn("go").await;
            let refused = events.iter().any(|e| matches!(e, Event::Refused { reason, .. } if reason.contains(why)));
            assert!(refused, "{why}: {events:?}");
            assert_eq!(ending(&events), (Ending::Answered, "well"));
            assert!(!bench.file("f").exists());
        }
    });
}

#[test]
fn of_several_calls_written_as_text_only_the_allowed_ones_are_made() {
    local(async {
        let bench = Bench::new().await;
        let call = |path: &str| json!({"name": "file_write", "arguments": write(path)}).to_string();
        bench.mock.will([says(&format!("{}\n{}", call("a"), call("b"))), decides(&[false, true]), says("done")]);
        bench.turn("go").await;
        assert!(!bench.file("a").exists() && bench.file("b").exists());
    });
}

#[test]
fn a_quoted_call_is_an_answer() {
    local(async {
        let bench = Bench::new().await;
        let quoted = format!("The page says: {}", json!({"name": "file_write", "arguments": write("f")}));
        bench.mock.will([says(&quoted)]);
        assert_eq!(ending(&bench.turn("go").await), (Ending::Answered, quoted.as_str()));
        assert_eq!(bench.mock.bodies().len(), 1);
    });
}

fn with_schema(schema: &Value) -> Order {
    Order::Turn { session: Some("s".into()), prompt: "go".into(), untrusted: None, schema: Some(schema.clone()) }
}

#[test]
fn the_final_answer_has_the_schema_of_the_order() {
    local(async {
        let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}});
        let bench = Bench::new().await;
        bench.mock.will([calls(&[("c", "file_write", write("f"))]), says("It is five."), says("{\"n\":5}")]);
        let events = bench.order(&with_schema(&schema)).await;
        assert_eq!(ending(&events), (Ending::Answered, "{\"n\":5}"));
        let bodies = bench.mock.bodies();
        assert!(bodies[1].get("response_format").is_none());
        assert_eq!(bodies[2]["response_format"]["json_schema"]["schema"], schema);
        assert_eq!(bodies[2]["tool_choice"], "none");
        bench.mock.will([says("It is five."), says("Five, I said.")]);
        assert_eq!(
            failure(&bench.order(&with_schema(&schema)).await).0,
            "the answers of the model are not JSON of the schema that was asked for"
        );
    });
}

#[test]
fn without_tools_the_first_answer_has_the_schema() {
    local(async {
        let bench = Bench::with(|settings| settings.tools.allow = Some(Vec::new())).await;
        bench.mock.will([says("{}")]);
        assert_eq!(ending(&bench.order(&with_schema(&json!({"type": "object"}))).await).1, "{}");
        assert_eq!(bench.mock.last()["response_format"]["json_schema"]["schema"], json!({"type": "object"}));
        assert!(bench.mock.last().get("tools").is_none_or(|tools| tools.as_array().is_some_and(Vec::is_empty)));
    });
}

fn step(tool: &str, arguments: &Value, answer: &str) -> Reply {
    says(&json!({"tool": tool, "arguments": arguments, "answer": answer}).to_string())
}

#[test]
fn in_schema_mode_steps_are_json_and_calls_are_decided_on() {
    local(async {
        let bench = Bench::with(|settings| settings.tool_mode = ToolMode::Schema).await;
        bench.mock.will([
            step("file_write", &write("f"), ""),
            decides(&[true]),
            step("file_write", &write("g"), ""),
            decides(&[false]),
            step("answer", &json!({}), "all done"),
        ]);
        let events = bench.turn("go").await;
        assert_eq!(ending(&events), (Ending::Answered, "all done"));
        let texts: Vec<_> = events.iter().filter(|event| matches!(event, Event::Text { .. })).collect();
        assert_eq!(texts, [&text("all done")]);
        assert!(bench.file("f").exists() && !bench.file("g").exists());
        let body = &bench.mock.bodies()[0];
        assert!(body.get("tools").is_none_or(|tools| tools.as_array().is_some_and(Vec::is_empty)));
        let properties = &body["response_format"]["json_schema"]["schema"]["properties"];
        let names = properties["tool"]["enum"].as_array().unwrap();
        assert!(names.contains(&json!("shell")) && names.last() == Some(&json!("answer")));
        // And the conversation is told in the same form.
        let said = messages(&bench.mock.last());
        let first = json!({"tool": "file_write", "arguments": write("f"), "answer": ""});
        assert_eq!(said[2]["content"], first.to_string());
        assert!(said[3]["content"].to_string().contains("Result of the call of file_write"));
    });
}

#[test]
fn in_schema_mode_wrong_steps_are_asked_for_again_and_then_fail() {
    local(async {
        let bench = Bench::with(|settings| settings.tool_mode = ToolMode::Schema).await;
        bench.mock.will([says("Hello!"), step("rm", &json!({}), ""), step("answer", &json!({}), "ok")]);
        assert_eq!(ending(&bench.turn("go").await), (Ending::Answered, "ok"));
        bench.mock.will((0..10).map(|_| says("Hello!")));
        let before = bench.mock.bodies().len();
        failure(&bench.turn("go").await);
        assert_eq!(bench.mock.bodies().len() - before, usize::try_from(MOST_BAD_STEPS).unwrap() + 1);
    });
}
