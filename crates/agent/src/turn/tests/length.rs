//! Conversations that become too long.

use serde_json::json;

use super::{messages, text};
use crate::prompt;
use crate::protocol::Ending;
use crate::protocol::{Entry, Event, Order};
use crate::testing::{Bench, Reply, calls, ending, failure, local, results, says};

#[test]
fn a_long_conversation_is_summarised_and_the_task_stays_word_for_word() {
    local(async {
        let bench = Bench::with(|settings| {
            settings.context_tokens = 6000;
            settings.tools.allow = Some(vec!["file_read".into()]);
        })
        .await;
        std::fs::write(bench.file("f"), "word ".repeat(1200)).unwrap();
        let read = |id: &str| calls(&[(id, "file_read", json!({"path": "f"}))]);
        bench.mock.will([read("1"), read("2"), read("3"), says("THE SUMMARY"), says("done")]);
        let events = bench.turn("the TASK").await;
        let compacted: Vec<_> = events.iter().filter(|event| matches!(event, Event::Compacted { .. })).collect();
        let &[&Event::Compacted { entries, before, after }] = compacted.as_slice() else { panic!("{events:?}") };
        assert!(entries >= 3 && before > 6000 && after < 6000, "{entries} {before} {after}");
        assert_eq!(ending(&events), (Ending::Answered, "done"));
        // No text of the summary is told as an answer.
        assert!(!events.contains(&text("THE SUMMARY")));
        let asked = messages(&bench.mock.bodies()[3]);
        assert_eq!(asked[0]["content"], prompt::SUMMARISE);
        assert!(asked[1]["content"].as_str().unwrap().contains("calls file_read("));
        let said = messages(&bench.mock.last());
        let first = said[1]["content"].as_str().unwrap();
        assert!(first.contains("THE SUMMARY") && first.ends_with("word for word:\nthe TASK"), "{first}");
        // Every result that is left has its call.
        let called: Vec<_> = said.iter().filter_map(|m| m["tool_calls"][0]["id"].as_str()).map(str::to_owned).collect();
        let answered: Vec<_> = said.iter().filter_map(|m| m["tool_call_id"].as_str()).map(str::to_owned).collect();
        assert_eq!(called, answered);
        assert!(!called.is_empty());
        // The originals are still there.
        let transcript = bench.order(&Order::Transcript { session: "s".into() }).await;
        let kept = transcript.iter().filter(|e| matches!(e, Event::Entry { entry: Entry::Result { .. }, .. })).count();
        assert_eq!(kept, 3);
    });
}

#[test]
fn a_conversation_without_a_summary_does_not_go_on() {
    local(async {
        let bench = Bench::with(|settings| {
            settings.context_tokens = 4096;
            settings.tools.allow = Some(vec!["file_read".into()]);
        })
        .await;
        std::fs::write(bench.file("f"), "word ".repeat(1200)).unwrap();
        let read = |id: &str| calls(&[(id, "file_read", json!({"path": "f"}))]);
        bench.mock.will([read("1"), read("2"), says("")]);
        let events = bench.turn("go").await;
        assert_eq!(failure(&events).0, "the conversation is too long, and the model gave no summary of it");
    });
}

#[test]
fn a_prompt_that_does_not_fit_is_refused() {
    local(async {
        let bench = Bench::with(|settings| settings.context_tokens = 4096).await;
        let events = bench.turn(&"word ".repeat(2000)).await;
        assert!(
            failure(&events).1.starts_with("send less, put it into a file in the workspace, or set `context_tokens`")
        );
        assert!(bench.mock.bodies().is_empty());
    });
}

#[test]
fn all_results_of_one_answer_fit_in_the_context() {
    local(async {
        let bench = Bench::with(|settings| settings.context_tokens = 4096).await;
        let ids: Vec<String> = (0..8).map(|n| n.to_string()).collect();
        for id in &ids {
            std::fs::write(bench.file(id), "word ".repeat(100_000)).unwrap();
        }
        let reads: Vec<_> = ids.iter().map(|id| (id.as_str(), "file_read", json!({"path": id}))).collect();
        bench.mock.will([calls(&reads), says("done")]);
        let events = bench.turn("go").await;
        // There is nothing before these results that would be worth a summary.
        assert_eq!(ending(&events), (Ending::Answered, "done"));
        let together: usize = results(&events).iter().map(|(_, output, _)| output.len()).sum();
        assert!(together <= 4096 * 3 / 2, "{together}");
    });
}

/// What the door says where a provider takes less than the agent thought.
fn full() -> Reply {
    let message = "provider `p` refused the request (400): the request exceeds the available context size";
    Reply::Json(400, Vec::new(), json!({"error": {"message": message, "code": "unreachable"}}))
}

/// The prompts that the session `s` holds.
async fn prompts(bench: &Bench) -> Vec<String> {
    let transcript = bench.order(&Order::Transcript { session: "s".into() }).await;
    let prompt = |event| match event {
        Event::Entry { entry: Entry::Prompt { text, .. }, .. } => Some(text),
        _ => None,
    };
    transcript.into_iter().filter_map(prompt).collect()
}

#[test]
fn a_model_that_takes_less_than_was_thought_is_asked_again_with_less() {
    local(async {
        let bench = Bench::new().await;
        bench.mock.will([says("one"), full(), says("THE SUMMARY"), says("two")]);
        bench.turn(&"first ".repeat(1000)).await;
        let events = bench.turn("second").await;
        assert_eq!(ending(&events), (Ending::Answered, "two"));
        assert!(events.iter().any(|event| matches!(event, Event::Compacted { .. })), "{events:?}");
        let said = messages(&bench.mock.last());
        let said: Vec<_> = said[1..].iter().map(|message| message["content"].as_str().unwrap()).collect();
        assert_eq!(said, [prompt::summary("THE SUMMARY").as_str(), "one", "second"]);
    });
}

#[test]
fn what_is_summarised_shrinks_until_the_model_takes_it() {
    local(async {
        let bench = Bench::new().await;
        bench.mock.will([says("one"), full(), full(), full(), says("THE SUMMARY"), says("two")]);
        bench.turn(&"first ".repeat(10_000)).await;
        assert_eq!(ending(&bench.turn("second").await), (Ending::Answered, "two"));
        let told: Vec<usize> = bench.mock.bodies()[2..5].iter().map(|body| body.to_string().len()).collect();
        assert!(told[0] >= told[1] && told[1] > told[2], "{told:?}");
    });
}

#[test]
fn a_session_that_the_model_does_not_take_does_not_grow_by_asking_again() {
    local(async {
        let bench = Bench::new().await;
        bench.mock.will([says("one")]);
        bench.turn("first").await;
        for _ in 0..3 {
            bench.mock.will([full(), says("SUMMARY"), full()]);
            let events = bench.turn("zebra").await;
            assert!(failure(&events).1.contains("`context_tokens`"), "{events:?}");
            // What the script has left belongs to no turn.
            bench.mock.script.borrow_mut().replies.clear();
        }
        assert_eq!(prompts(&bench).await, ["first"]);
        bench.mock.will([says("two")]);
        assert_eq!(ending(&bench.turn("second").await), (Ending::Answered, "two"));
        assert!(!bench.mock.last().to_string().contains("zebra"));
        // The same where the very first prompt is too long, and where there is no summary.
        let bench = Bench::new().await;
        bench.mock.will([full()]);
        failure(&bench.turn("long").await);
        assert_eq!(prompts(&bench).await, [""; 0]);
    });
}
