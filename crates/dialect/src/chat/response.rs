//! Whole answers, and what they have in common with streamed ones: usage and why they end.

use serde_json::{Map, Value, json};

use super::calls::Fragment;
use super::compose::write_call;
use super::content::Said;
use super::read_error;
use crate::guard::{MAX_CALLS, at_most};
use crate::{Malformed, Part, Reasoning, Response, Stop, Usage};

/// Reads a whole answer: its first choice, as requests of this crate ask for one.
///
/// # Errors
/// The body is not an answer; the provider's own words where it is an error.
pub fn read_response(body: &Value) -> Result<Response, Malformed> {
    let message = body.get("choices").and_then(|choices| choices.get(0)?.get("message")?.as_object());
    let Some(message) = message else {
        let what = read_error(body).map_or("is missing".to_owned(), |text| format!("is missing: {text}"));
        return Err(Malformed::new("choices[0].message", what));
    };
    let said = Said::of(message);
    let mut parts = Vec::new();
    if !said.thoughts.is_empty() {
        parts.push(Part::Reasoning(Reasoning { text: said.thoughts, signature: None }));
    }
    if !said.text.is_empty() {
        parts.push(Part::Text(said.text));
    }
    let id = text(body, "id");
    let calls = calls_of(message, "choices[0].message")?;
    for (number, mut call) in calls.into_iter().enumerate() {
        if call.id.is_empty() {
            call.id = made_id(&id, number);
        }
        parts.push(Part::Call(call.whole("choices[0].message")?));
    }
    let called = parts.iter().any(|part| matches!(part, Part::Call(_)));
    let reason = body.get("choices").and_then(|choices| choices.get(0)?.get("finish_reason")?.as_str());
    Ok(Response {
        id,
        model: text(body, "model"),
        parts,
        stop: read_stop(reason.unwrap_or("stop"), called),
        usage: body.get("usage").and_then(read_usage),
    })
}

fn text(body: &Value, key: &str) -> String {
    body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The calls of a message that stands at `at`.
pub(super) fn calls_of(message: &Map<String, Value>, at: &str) -> Result<Vec<Fragment>, Malformed> {
    let mut calls = Vec::new();
    match message.get("tool_calls") {
        None | Some(Value::Null) => {}
        Some(Value::Array(entries)) => {
            at_most(entries.len(), MAX_CALLS, "tool calls")?;
            for (number, entry) in entries.iter().enumerate() {
                calls.push(Fragment::of_entry(entry, &format!("{at}.tool_calls[{number}]"))?);
            }
        }
        Some(_) => return Err(Malformed::new(format!("{at}.tool_calls"), "is not a list")),
    }
    if let Some(call) = message.get("function_call").filter(|call| !call.is_null()) {
        calls.push(Fragment::of_function_call(call, &format!("{at}.function_call"))?);
    }
    Ok(calls)
}

/// An id for a call that came without one, unlike those of other answers.
pub(super) fn made_id(response: &str, number: usize) -> String {
    let plain: String = response.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    format!("call_{plain}_{number}")
}

/// Writes a whole answer. `created` is 0, as this crate reads no clock.
pub fn write_response(response: &Response) -> Value {
    let (mut thoughts, mut said, mut calls) = (String::new(), String::new(), Vec::new());
    for part in &response.parts {
        match part {
            Part::Text(text) => said.push_str(text),
            Part::Reasoning(reasoning) => thoughts.push_str(&reasoning.text),
            Part::Call(call) => calls.push(write_call(call)),
            // No answer has these.
            Part::Image(_) | Part::Result(_) => {}
        }
    }
    let text = if said.is_empty() && !calls.is_empty() { Value::Null } else { said.into() };
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    message.insert("content".to_owned(), text);
    message.insert("refusal".to_owned(), Value::Null);
    if !thoughts.is_empty() {
        message.insert("reasoning_content".to_owned(), thoughts.into());
    }
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": write_stop(&response.stop)});
    let mut body = json!({
        "id": response.id, "object": "chat.completion", "created": 0, "model": response.model, "choices": [choice],
    });
    if let (Some(usage), Value::Object(body)) = (&response.usage, &mut body) {
        body.insert("usage".to_owned(), write_usage(usage));
    }
    body
}

/// Reads `finish_reason`. Some servers say `stop` after calls.
pub(super) fn read_stop(reason: &str, called: bool) -> Stop {
    match reason {
        "stop" if called => Stop::ToolCalls,
        "stop" => Stop::End,
        "length" => Stop::Length,
        "tool_calls" | "function_call" => Stop::ToolCalls,
        "content_filter" => Stop::Filtered,
        other => Stop::Other(other.to_owned()),
    }
}

/// Writes `finish_reason`. Typed clients fail on words that they do not know, so that everything else is `stop`.
pub(super) fn write_stop(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence | Stop::Other(_) => "stop",
        Stop::Length => "length",
        Stop::ToolCalls => "tool_calls",
        Stop::Filtered => "content_filter",
    }
}

/// Reads `usage`; `None` where it is not an object. DeepSeek has a name of its own for what was cached.
pub(super) fn read_usage(usage: &Value) -> Option<Usage> {
    let usage = usage.as_object()?;
    let number = |value: Option<&Value>| value.and_then(Value::as_u64);
    let detail = |group: &str, key: &str| number(usage.get(group).and_then(|details| details.get(key)));
    let cached = detail("prompt_tokens_details", "cached_tokens");
    Some(Usage {
        input: number(usage.get("prompt_tokens")).unwrap_or_default(),
        output: number(usage.get("completion_tokens")).unwrap_or_default(),
        cached: cached.or_else(|| number(usage.get("prompt_cache_hit_tokens"))).unwrap_or_default(),
        reasoning: detail("completion_tokens_details", "reasoning_tokens").unwrap_or_default(),
        surcharge: 0,
    })
}

/// Writes `usage`.
pub(super) fn write_usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}
