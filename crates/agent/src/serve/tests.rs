use std::time::Duration;

use serde_json::json;

use super::*;
use crate::protocol::Entry;
use crate::testing::{Bench, Reply, calls, ending, failure, local, says, turn};

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn gone(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn closing_the_connection_interrupts_the_turn_and_kills_its_commands() {
    local(async {
        let bench = Bench::new().await;
        let command = "sleep 1000 & echo $! > pid.new; mv pid.new pid; wait; echo late > late";
        bench.mock.will([calls(&[("c", "shell", json!({"command": command}))])]);
        let mut caller = bench.connect().await;
        caller.send(&turn("go")).await;
        until(|| bench.file("pid").exists()).await;
        drop(caller);
        let pid = std::fs::read_to_string(bench.file("pid")).unwrap();
        until(|| gone(&pid)).await;
        assert!(!bench.file("late").exists());
        // The session goes on at the last completed step.
        bench.mock.will([says("ok")]);
        assert_eq!(ending(&bench.turn("and now?").await).1, "ok");
        assert!(bench.mock.last()["messages"].to_string().contains("interrupted; it is not known"));
    });
}

#[test]
fn closing_the_connection_ends_the_call_to_the_door() {
    local(async {
        let bench = Bench::new().await;
        bench.mock.will([Reply::Hanging(Vec::new())]);
        let mut caller = bench.connect().await;
        caller.send(&turn("go")).await;
        until(|| !bench.mock.bodies().is_empty()).await;
        drop(caller);
        until(|| bench.mock.script.borrow().abandoned == 1).await;
    });
}

#[test]
fn a_session_has_one_turn_at_a_time() {
    local(async {
        let bench = Bench::new().await;
        bench.mock.will([Reply::Hanging(Vec::new())]);
        let mut first = bench.connect().await;
        first.send(&turn("go")).await;
        until(|| !bench.mock.bodies().is_empty()).await;
        assert_eq!(
            failure(&bench.turn("me too").await),
            ("a turn is under way in the session `s`", "wait for it, interrupt it, or use another session")
        );
        // Another session has its own.
        bench.mock.will([says("hello")]);
        let other = Order::Turn { session: Some("t".into()), prompt: "go".into(), untrusted: None, schema: None };
        assert_eq!(ending(&bench.order(&other).await).1, "hello");
        drop(first);
        until(|| bench.mock.script.borrow().abandoned == 1).await;
        bench.mock.will([says("now you")]);
        assert_eq!(ending(&bench.turn("me too").await).1, "now you");
    });
}

#[test]
fn sessions_run_at_the_same_time() {
    local(async {
        let bench = Bench::new().await;
        let wait_for = |other: &str, own: &str| {
            let command = format!("echo > {own}; while [ ! -e {other} ]; do sleep 0.01; done");
            calls(&[("c", "shell", json!({"command": command}))])
        };
        let order = |session: &str| Order::Turn {
            session: Some(session.into()),
            prompt: "go".into(),
            untrusted: None,
            schema: None,
        };
        bench.mock.will([wait_for("a", "b"), wait_for("b", "a"), says("x"), says("x")]);
        let (one, two) = (order("one"), order("two"));
        let (one, two) = tokio::join!(bench.order(&one), bench.order(&two));
        assert_eq!((ending(&one).1, ending(&two).1), ("x", "x"));
    });
}

#[test]
fn sessions_and_transcripts_are_told() {
    local(async {
        let bench = Bench::new().await;
        bench.mock.will([says("hi"), says("ho")]);
        bench.turn("hello there").await;
        let unnamed = Order::Turn { session: None, prompt: "unnamed".into(), untrusted: None, schema: None };
        let events = bench.order(&unnamed).await;
        let Event::Session { id, new: true, .. } = &events[0] else { panic!("{events:?}") };
        let listed = bench.order(&Order::Sessions).await;
        let mut titles: Vec<_> = listed
            .iter()
            .filter_map(|event| match event {
                Event::Listed { id, title, entries: 2, .. } => Some((id.as_str(), title.as_str())),
                _ => None,
            })
            .collect();
        titles.sort_unstable();
        assert_eq!(titles, [(id.as_str(), "unnamed"), ("s", "hello there")]);
        let entries = bench.order(&Order::Transcript { session: "s".into() }).await;
        assert!(matches!(&entries[0], Event::Entry { entry: Entry::Prompt { text, .. }, .. } if text == "hello there"));
        assert!(matches!(&entries[1], Event::Entry { entry: Entry::Answer { .. }, .. }));
        assert_eq!(entries[2], Event::End);
        let missing = bench.order(&Order::Transcript { session: "u".into() }).await;
        assert_eq!(failure(&missing), ("there is no session `u`", "list the sessions to see which there are"));
    });
}

#[test]
fn names_of_sessions_are_plain() {
    local(async {
        let bench = Bench::new().await;
        for name in ["", "a b", "../x", "ä", &"x".repeat(LONGEST_SESSION_NAME + 1)] {
            let order = Order::Turn { session: Some(name.into()), prompt: "p".into(), untrusted: None, schema: None };
            assert!(failure(&bench.order(&order).await).0.ends_with("is no name of a session"));
        }
        assert!(is_session_name(&new_name()) && new_name() != new_name());
        assert!(is_session_name(&"x".repeat(LONGEST_SESSION_NAME)));
    });
}

#[test]
fn what_is_no_order_is_told_so() {
    local(async {
        let bench = Bench::new().await;
        for line in ["", "{}", "hello", r#"{"order":"turn"}"#, r#"{"order":"turn","prompt":"p","extra":1}"#] {
            let mut caller = bench.connect().await;
            caller.line(line).await;
            assert!(failure(&caller.all().await).0.starts_with("the order cannot be read: "), "{line}");
        }
    });
}

#[test]
fn an_order_over_the_limit_is_refused() {
    local(async {
        let bench = Bench::new().await;
        let mut caller = bench.connect().await;
        // The agent answers when it has read one byte too many, which is the last.
        caller.line(&"x".repeat(LONGEST_ORDER)).await;
        assert_eq!(failure(&caller.all().await), ("the order is longer than 4194304 bytes", "send less"));
    });
}

#[test]
fn connections_beyond_the_most_wait_for_others_to_end() {
    local(async {
        let bench = Bench::new().await;
        let mut idle = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            idle.push(bench.connect().await);
        }
        let mut late = bench.connect().await;
        late.send(&Order::Sessions).await;
        tokio::select! {
            event = late.next() => panic!("{event:?}"),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        idle.pop();
        assert_eq!(late.all().await, [Event::End]);
    });
}
