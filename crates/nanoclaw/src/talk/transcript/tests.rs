use super::*;

/// What stands on both streams after these events; they are one terminal, or two files.
fn shown(look: Look, detail: Detail, only_final: bool, events: &[Event]) -> (String, String) {
    let (mut answer, mut notes) = (Vec::new(), Vec::new());
    let mut transcript = Transcript::new((&mut answer, look), (&mut notes, look), detail);
    if only_final {
        transcript = transcript.only_final();
    }
    for event in events {
        transcript.event(event).unwrap();
    }
    drop(transcript);
    (String::from_utf8(answer).unwrap(), String::from_utf8(notes).unwrap())
}

fn text(text: &str) -> Event {
    Event::Text { text: text.to_owned() }
}

fn call(id: &str, arguments: &str) -> Event {
    Event::ToolCall { id: id.to_owned(), name: "shell".to_owned(), arguments: arguments.to_owned() }
}

fn result(id: &str, output: &str, failed: bool) -> Event {
    Event::ToolResult { id: id.to_owned(), name: "shell".to_owned(), output: output.to_owned(), failed }
}

fn done(text: &str) -> Event {
    Event::Done { stop: Ending::Answered, text: text.to_owned() }
}

#[test]
fn text_goes_to_one_stream_and_what_happens_to_the_other() {
    let events = [
        Event::Session { id: "s1".into(), title: "t".into(), new: true },
        text("Let me "),
        text("look."),
        call("c1", r#"{"command": "ls"}"#),
        result("c1", "a\nb\n\nc\nd\ne\n", false),
        text("\n\nThere are five."),
        Event::Usage { input: 1200, output: 7 },
        done("There are five."),
    ];
    let (answer, notes) = shown(Look::plain(80), Detail::Results, false, &events);
    assert_eq!(answer, "Let me look.\nThere are five.\n");
    assert_eq!(
        notes,
        "session s1\n→ shell {\"command\": \"ls\"}\n  a\n  b\n  c\n  … 2 more lines\n1200 tokens in, 7 out\n"
    );
    let (answer, notes) = shown(Look::plain(80), Detail::Short, false, &events);
    assert_eq!(answer, "Let me look.\nThere are five.\n");
    assert_eq!(notes, "session s1\n→ shell {\"command\": \"ls\"}\n");
}

#[test]
fn only_the_final_answer_is_printed_where_it_must_follow_a_schema() {
    let events = [text("Thinking… "), call("c", "{}"), text("{\"n\": 5}"), done("{\"n\": 5}")];
    assert_eq!(shown(Look::plain(80), Detail::Short, true, &events).0, "{\"n\": 5}\n");
}

#[test]
fn an_agent_that_does_not_stream_is_heard() {
    assert_eq!(shown(Look::plain(80), Detail::Short, false, &[done("All.")]).0, "All.\n");
}

#[test]
fn a_terminal_obeys_nothing_that_comes_from_an_agent() {
    let evil = "\u{1b}]0;owned\u{7}\u{202e}x";
    let events = [
        text(evil),
        Event::ToolCall { id: evil.into(), name: evil.into(), arguments: evil.into() },
        Event::ToolResult { id: "other".into(), name: evil.into(), output: evil.into(), failed: true },
        Event::Refused { tool: evil.into(), reason: evil.into() },
        Event::Waiting { seconds: 1, reason: evil.into() },
        Event::Reasoning { text: evil.into() },
        Event::Session { id: evil.into(), title: evil.into(), new: true },
        Event::Listed { id: evil.into(), title: evil.into(), updated: i64::MAX, entries: 1 },
        Event::Entry { at: 0, entry: Entry::Prompt { text: evil.into(), untrusted: Some(evil.into()) } },
        Event::Entry { at: 0, entry: Entry::Note { text: evil.into() } },
        Event::Entry { at: 0, entry: Entry::Summary { text: evil.into(), replaces: 1 } },
        Event::Failed { error: evil.into(), help: evil.into() },
    ];
    for detail in [Detail::Short, Detail::Results, Detail::Whole] {
        let mut look = Look::plain(80);
        look.terminal = true;
        let (answer, notes) = shown(look, detail, false, &events);
        for c in answer.chars().chain(notes.chars()) {
            assert!(!c.is_control() || c == '\n', "{answer}{notes}");
            assert_ne!(c, '\u{202e}');
        }
        assert!(answer.contains("\\u{1b}]0;owned\\u{7}\\u{202e}x"), "{answer}");
    }
}

#[test]
fn text_for_a_file_is_written_as_it_is() {
    assert_eq!(shown(Look::plain(80), Detail::Short, false, &[text("a\u{1b}[1m")]).0, "a\u{1b}[1m");
}

#[test]
fn a_refusal_is_explained_in_its_own_colour() {
    let refused =
        Event::Refused { tool: "shell".into(), reason: "no rule allows `shell`\nadd it to `tools.allow`".into() };
    let (_, notes) = shown(Look::coloured(80), Detail::Short, false, &[refused]);
    assert_eq!(
        notes,
        "\u{1b}[33m✗ NanoClaw refused shell\u{1b}[0m\n\u{1b}[33m  no rule allows `shell`\u{1b}[0m\n\u{1b}[33m  add it to `tools.allow`\u{1b}[0m\n"
    );
}

#[test]
fn long_calls_are_cut_to_the_width_and_shown_whole_on_demand() {
    let long = format!(r#"{{"command":"{}"}}"#, "x".repeat(100));
    let (_, notes) = shown(Look::plain(40), Detail::Results, false, &[call("c", &long)]);
    assert_eq!(notes.trim_end().chars().count(), 40, "{notes}");
    assert!(notes.ends_with("…\n"), "{notes}");
    let (_, notes) =
        shown(Look::plain(40), Detail::Whole, false, &[call("c", &long), result("c", "1\n2\n3\n4\n5", false)]);
    assert!(notes.contains(&"x".repeat(100)), "{notes}");
    assert!(notes.ends_with("  1\n  2\n  3\n  4\n  5\n"), "{notes}");
}

#[test]
fn results_that_come_in_another_order_are_named() {
    let events = [call("a", "{}"), call("b", "{}"), result("a", "1", false), result("b", "2", false)];
    let (_, notes) = shown(Look::plain(80), Detail::Results, false, &events);
    assert_eq!(notes, "→ shell {}\n→ shell {}\n← shell\n  1\n← shell\n  2\n");
}

#[test]
fn an_early_end_is_said() {
    let events = [Event::Done { stop: Ending::MaxSteps, text: "so far".into() }];
    let (answer, notes) = shown(Look::plain(80), Detail::Short, false, &events);
    assert_eq!(answer, "so far\n");
    assert_eq!(notes, "the turn ended early: it made as many steps as it may (`max_steps`)\n");
}

#[test]
fn a_session_is_told_again() {
    let events = [
        Event::Entry { at: 0, entry: Entry::Prompt { text: "count\nthem".into(), untrusted: None } },
        Event::Entry {
            at: 1,
            entry: Entry::Answer {
                parts: vec![
                    AnswerPart::Text { text: "Yes.".into() },
                    AnswerPart::Call { id: "c".into(), name: "shell".into(), arguments: "{}".into() },
                ],
            },
        },
        Event::Entry {
            at: 2,
            entry: Entry::Result { id: "c".into(), name: "shell".into(), output: "5".into(), failed: false },
        },
        Event::End,
    ];
    let (answer, notes) = shown(Look::plain(80), Detail::Results, false, &events);
    assert_eq!(answer, "> count\n> them\nYes.\n");
    assert_eq!(notes, "→ shell {}\n  5\n");
    let listed = Event::Listed { id: "s1".into(), title: "count".into(), updated: 0, entries: 4 };
    let (answer, _) = shown(Look::plain(80), Detail::Results, false, &[listed]);
    assert_eq!(answer, "s1                        1970-01-01 00:00      4  count\n");
}
