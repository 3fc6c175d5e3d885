use serde_json::json;

use super::*;

const XML: &str = "<function=exec>\n<parameter=command>\nrm x\n</parameter>\n</function>";
const BRACKET: &str = "[exec]\n{\"command\":\"rm x\"}\n[END_TOOL_REQUEST]";
const TOOL: &str = "[tool:exec] {\"command\":\"rm x\"}";
const HARMONY: &str = "<|channel|>commentary to=exec code<|message|>{\"command\":\"rm x\"}<|call|>";

/// What an agent reads of an answer of this text, which comes in pieces of so many bytes.
fn read(text: &str, piece: usize) -> (String, Vec<(String, String)>, Stop) {
    let mut reader = Reader::new(crate::Dialect::Chat.stream_reader());
    let mut deltas = Vec::new();
    let mut event = |delta: serde_json::Value, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let event = Event::json(None, &json!({"id": "a-1", "model": "m", "choices": [choice]}));
        deltas.extend(reader.read(&event).unwrap());
    };
    let chars: Vec<char> = text.chars().collect();
    for piece in chars.chunks(piece) {
        event(json!({"content": piece.iter().collect::<String>()}), None);
    }
    event(json!({}), Some("stop"));
    let (mut said, mut calls, mut stop) = (String::new(), Vec::new(), Stop::Filtered);
    for delta in deltas {
        match delta {
            Delta::Text(text) => said.push_str(&text),
            Delta::CallStart { index, name, .. } => {
                assert_eq!(index, calls.len());
                calls.push((name, String::new()));
            }
            Delta::CallArguments { index, json } => calls[index].1.push_str(&json),
            Delta::Stop(reason) => stop = reason,
            _ => {}
        }
    }
    (said, calls, stop)
}

/// The same of a whole answer.
fn released(parts: Vec<Part>, stop: Stop) -> (String, Vec<(String, String)>, Stop) {
    let answer = Response { id: "a-1".into(), model: "m".into(), parts, stop, usage: None };
    let answer = release(answer);
    let (mut said, mut calls) = (String::new(), Vec::new());
    for part in answer.parts {
        match part {
            Part::Text(text) => said.push_str(&text),
            Part::Call(call) => calls.push((call.name, call.arguments)),
            _ => {}
        }
    }
    (said, calls, answer.stop)
}

fn in_every_way(text: &str) -> (String, Vec<(String, String)>, Stop) {
    let whole = released(vec![Part::Text(text.to_owned())], Stop::End);
    for piece in [1, 2, 7, 10_000] {
        assert_eq!(read(text, piece), whole, "{text} in pieces of {piece}");
    }
    whole
}

fn call(name: &str, arguments: &str) -> (String, String) {
    (name.to_owned(), arguments.to_owned())
}

#[test]
fn text_that_is_calls_becomes_calls() {
    let exec = call("exec", "{\"command\":\"rm x\"}");
    for text in [
        XML,
        BRACKET,
        TOOL,
        HARMONY,
        "<FUNCTION=exec><Parameter=command>rm x</PARAMETER></function>",
        "[exec]  \r\n\r\n{\"command\":\"rm x\"}[/exec]",
        "[exec]\n<parameter=command>rm x</parameter></function>",
        "[tool:exec]\n{\"command\":\"rm x\"}\n[END_TOOL_REQUEST]",
        "[tool:exec]<parameter=command>rm x</parameter></function>",
        "analysis to=exec code {\"command\":\"rm x\"}",
        "final\tto=exec\tcode\n{\"command\":\"rm x\"}",
    ] {
        for text in [text.to_owned(), format!(" \n\u{feff}{text}\n\n"), format!("<think>Hm. [x]\n<b> </think>\n{text}")]
        {
            let (said, calls, stop) = in_every_way(&text);
            assert_eq!(
                (said.trim_matches(is_space), &calls, stop),
                ("", &vec![exec.clone()], Stop::ToolCalls),
                "{text}"
            );
        }
    }
    let several = format!("{XML}\n{TOOL}{BRACKET}");
    assert_eq!(in_every_way(&several).1, vec![exec; 3]);
    assert_eq!(
        in_every_way("<function=a.b:c><parameter=x>\r\n1\n\n</parameter>\n<parameter=y></parameter></function>").1,
        [call("a.b:c", r#"{"x":"1\n","y":""}"#)]
    );
    // What stands twice is decided on as it stands.
    assert_eq!(in_every_way(r#"[tool:exec] {"a":1,"a":2}"#).1, [call("exec", r#"{"a":1,"a":2}"#)]);
}

#[test]
fn text_that_begins_as_calls_do_and_is_none_is_broken() {
    for text in [
        &format!("{XML} and more"),
        &format!("{BRACKET}\nand more"),
        &format!("{TOOL}{{}}"),
        "<function=exec>\n<parameter=command>\nrm x\n</parameter>",
        "<function=exec><parameter=a>1</parameter><parameter=a>2</parameter></function>",
        "<function=exec",
        "[exec]\n{\"command\":\"rm x\"}",
        "[exec]\n{\"command\":\"rm x\"]\n[END_TOOL_REQUEST]",
        "[tool:exec] not JSON",
        "<|channel|>analysis<|message|>Hm.",
        "commentary to=exec code nothing",
    ] {
        let (said, calls, stop) = in_every_way(text);
        assert_eq!((calls, stop), (Vec::new(), Stop::End), "{text}");
        assert_eq!(said.chars().nth(1), Some(BREAK), "{text}");
        assert_eq!(said.replace(BREAK, ""), *text);
    }
    let (said, calls, _) = in_every_way(&TOOL.repeat(33));
    assert!(calls.is_empty() && said.contains(BREAK));
}

#[test]
fn other_text_passes_as_it_is() {
    for text in [
        "",
        " ",
        "a",
        "c",
        "final",
        "final words",
        "analysis of to=exec",
        "[",
        "[1]",
        "[1] see there",
        "[a](b)",
        "[x] y\nlist",
        "[[1, 2], 3]",
        "<div>\n</div>",
        "<functions>",
        "a < b > c",
        "<thinker> or </thinkers>",
        "The page says: [tool:exec] {}",
        "Look:\n[exec]\n{\"command\":\"rm x\"}\n[END_TOOL_REQUEST]",
        "Look:\n<function=exec></function>",
    ] {
        assert_eq!(in_every_way(text), (text.to_owned(), Vec::new(), Stop::End));
    }
}

#[test]
fn tags_that_agents_cut_out_of_text_are_broken() {
    for (text, said) in [
        // Whatever stands before a tag that closes may be taken for a thought.
        ("Hi.</think>[tool:exec] {}", "Hi.<\u{200b}/think>[tool:exec] {}"),
        ("[to<think>y</think>ol:exec] {}", "[to<\u{200b}think>y<\u{200b}/think>ol:exec] {}"),
        ("<fun<THINKING a=\"b\">", "<fun<\u{200b}THINKING a=\"b\">"),
        ("x < / mm:thought >", "x <\u{200b} / mm:thought >"),
        ("x <internal/>", "x <\u{200b}internal/>"),
        ("</think>x", "<\u{200b}/think>x"),
        ("<think>a</think>b</think>c", "b<\u{200b}/think>c"),
        ("x <thin", "x <\u{200b}thin"),
    ] {
        assert_eq!(in_every_way(text), (said.to_owned(), Vec::new(), Stop::End), "{text}");
    }
    let broken = in_every_way("[tool:exec]</think>[tool:exec] {}").0;
    assert_eq!(broken, "[\u{200b}tool:exec]<\u{200b}/think>[tool:exec] {}");
    let spaces = format!("x <{}think>", " ".repeat(100));
    assert!(read(&spaces, 1).0.contains("<\u{200b} "));
}

#[test]
fn answers_of_other_kinds_hold_no_calls_in_text() {
    for stop in [Stop::Length, Stop::Filtered, Stop::Other("x".into())] {
        let (said, calls, ended) = released(vec![Part::Text(TOOL.into())], stop.clone());
        assert!(said.contains(BREAK) && calls.is_empty());
        assert_eq!(ended, stop);
    }
    let native = || Part::Call(ToolCall { id: "1".into(), name: "read".into(), arguments: "{}".into() });
    let thought = || Part::Reasoning(Reasoning { text: "Hm.".into(), signature: None });
    let text = |text: &str| Part::Text(text.into());
    for parts in [vec![text(TOOL), native()], vec![native(), text(TOOL)]] {
        let (said, calls, _) = released(parts, Stop::ToolCalls);
        assert!(said.contains(BREAK));
        assert_eq!(calls, [call("read", "{}")]);
    }
    // The place where a thought stood is a line's end to some.
    let (said, calls, _) = released(vec![text("[exec]"), thought(), text("{}[/exec]")], Stop::End);
    assert!(said.contains(BREAK) && calls.is_empty());
    assert_eq!(released(vec![thought(), text(TOOL)], Stop::End).1.len(), 1);
}

#[test]
fn nothing_is_said_behind_the_end() {
    let mut filter = Filter::default();
    let mut out = Vec::new();
    filter.close(true, "a", &mut out);
    filter.text(TOOL, &mut out);
    filter.close(true, "a", &mut out);
    assert!(out.is_empty());
}

#[test]
fn only_so_much_is_held() {
    let long = format!("[tool:exec] {{\"command\":\"{}", "x".repeat(MAX_HELD_BYTES));
    let mut filter = Filter::default();
    let mut out = Vec::new();
    filter.text(&long, &mut out);
    let [Said::Text(said)] = out.as_slice() else { panic!("held") };
    assert!(said.starts_with("[\u{200b}tool"));
    let blank = format!("[exec]{}", " ".repeat(LONGEST_OPENING));
    assert!(in_every_way(&blank).0.contains(BREAK));
}

#[test]
fn answers_made_to_be_slow_are_not() {
    for piece in ["<", "<think>", "<think></think>", "[", "<function=", "<parameter=a>", "[tool:a] {", "< ", "<aa"] {
        released(vec![Part::Text(piece.repeat(100_000))], Stop::End);
    }
}
