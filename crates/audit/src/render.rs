//! One record as one line for people.

use std::borrow::Cow;

use serde::Deserialize;

use crate::text::printable;

#[derive(Deserialize)]
struct Shown<'a> {
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    agent_id: Cow<'a, str>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    result: Cow<'a, str>,
    #[serde(borrow, default)]
    path: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    resource: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    detail: Option<Cow<'a, str>>,
    #[serde(default)]
    exit_code: Option<i32>,
    #[serde(default)]
    signal: Option<i32>,
    #[serde(default)]
    folded: Option<u64>,
    #[serde(borrow, default)]
    model: Option<Model<'a>>,
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(borrow, default)]
    provider: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(borrow, default)]
    cost_usd: Option<Cow<'a, str>>,
}

/// Turns a line of the log into a line for a terminal: time, agent, action, path or resource, result, and why. The
/// result has no line end and no character that a terminal acts on. A text that is not a record is shown as it is, made
/// safe in the same way.
pub fn render(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let Ok(record) = serde_json::from_str::<Shown<'_>>(line) else {
        printable(line.trim_end_matches('\n'), &mut out);
        return out;
    };
    let Shown { timestamp, agent_id, action, result, path, resource, reason, detail, exit_code, signal, folded, model } =
        record;
    printable(&format!("{timestamp}  {agent_id:<12}  {action:<13}  "), &mut out);
    for subject in [path, resource].into_iter().flatten() {
        printable(&subject, &mut out);
        out.push_str("  ");
    }
    printable(&result, &mut out);
    if let Some(count) = folded {
        out.push_str(&format!(" ×{count}"));
    }
    // A refusal explains itself; for the rest, the detail is the news.
    if let Some(why) = reason.or(detail) {
        out.push_str(": ");
        printable(&why, &mut out);
    }
    if let Some(Model { provider, name, input_tokens, output_tokens, cost_usd }) = model {
        let tokens = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let cost = cost_usd.map(|cost| format!(", {cost} USD")).unwrap_or_default();
        let used = format!(" ({provider}/{name}: {} + {} tokens{cost})", tokens(input_tokens), tokens(output_tokens));
        printable(&used, &mut out);
    }
    if let Some(code) = exit_code {
        out.push_str(&format!(" (exit status {code})"));
    }
    if let Some(signal) = signal {
        out.push_str(&format!(" (ended by signal {signal})"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line() {
        let line = r#"{"timestamp":"2026-03-21T20:15:30.123Z","agent_id":"nano-001","action":"file_write","path":"/tmp/test.txt","result":"denied","reason":"Security policy violation: no","seq":7,"severity":"medium"}"#;
        assert_eq!(
            render(line),
            "2026-03-21T20:15:30.123Z  nano-001      file_write     /tmp/test.txt  denied: Security policy violation: no"
        );
    }

    #[test]
    fn counts_and_ends_are_shown() {
        let line = r#"{"timestamp":"t","agent_id":"a","action":"exec","result":"denied","reason":"r","folded":12}"#;
        assert_eq!(render(line), "t  a             exec           denied ×12: r");
        let line = r#"{"timestamp":"t","agent_id":"a","action":"cell_exited","result":"noted","signal":9}"#;
        assert_eq!(render(line), "t  a             cell_exited    noted (ended by signal 9)");
    }

    #[test]
    fn what_a_model_call_used_is_shown() {
        let line = r#"{"timestamp":"t","agent_id":"a","action":"model_call","resource":"fast","result":"done","model":{"provider":"main","name":"small","input_tokens":10,"output_tokens":3,"cost_usd":"0.01"}}"#;
        assert_eq!(render(line), "t  a             model_call     fast  done (main/small: 10 + 3 tokens, 0.01 USD)");
    }

    #[test]
    fn escape_sequences_in_a_path_do_not_reach_the_terminal() {
        let line =
            r#"{"timestamp":"t","agent_id":"a","action":"exec","path":"/x\u001b[2J\n\u202e\u009b","result":"denied"}"#;
        assert_eq!(render(line), r"t  a             exec           /x\u{1b}[2J\u{a}\u{202e}\u{9b}  denied");
        assert_eq!(render("not \u{1b}c json\n"), r"not \u{1b}c json");
    }
}
