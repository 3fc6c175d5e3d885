//! Whole answers.

use serde_json::{Value, json};

use super::items::{self, Kind, list_at, text_at};
use crate::{Malformed, Part, Reasoning, Response, Stop, ToolCall, Usage};

/// What stands between the parts of one thought.
pub(super) const BETWEEN_THOUGHTS: &str = "\n\n";

/// Reads an answer.
///
/// # Errors
/// The body is not an answer, is one that has not ended, or tells of an error of the provider.
pub fn read_response(body: &Value) -> Result<Response, Malformed> {
    let output = body.get("output").and_then(Value::as_array);
    let status = text_at(body, "status").unwrap_or("completed");
    if !matches!(status, "completed" | "incomplete") {
        return Err(failure(body, status));
    }
    let Some(output) = output else { return Err(Malformed::new("output", "is not a list")) };
    let mut parts = Vec::new();
    for item in output {
        match items::kind(item)? {
            Kind::Message => parts.extend(items::texts(item).into_iter().map(|(_, text)| Part::Text(text.into()))),
            Kind::Reasoning => parts.extend(reasoning(item).map(Part::Reasoning)),
            Kind::Call => parts.push(Part::Call(items::call(item)?)),
            Kind::Other => {}
        }
    }
    let calls = parts.iter().any(|part| matches!(part, Part::Call(_)));
    Ok(Response {
        id: text_at(body, "id").unwrap_or_default().into(),
        model: text_at(body, "model").unwrap_or_default().into(),
        parts,
        stop: stop(body, calls),
        usage: read_usage(body.get("usage")),
    })
}

/// What the provider says about an answer that it did not give.
pub(super) fn failure(response: &Value, status: &str) -> Malformed {
    match response.get("error").and_then(|error| text_at(error, "message")) {
        Some(message) => Malformed::new("", format!("the provider failed: {message}")),
        None => Malformed::new("status", format!("is `{status}`, so there is no answer")),
    }
}

/// The thoughts of an item; `None` where the provider keeps all of them to itself.
pub(super) fn reasoning(item: &Value) -> Option<Reasoning> {
    let texts: Vec<&str> = items::texts(item).into_iter().map(|(_, text)| text).collect();
    let signature = text_at(item, "encrypted_content").filter(|text| !text.is_empty()).map(String::from);
    let text = texts.join(BETWEEN_THOUGHTS);
    (!text.is_empty() || signature.is_some()).then_some(Reasoning { text, signature })
}

/// Why an answer ended; `calls` says whether it has calls for the agent.
pub(super) fn stop(response: &Value, calls: bool) -> Stop {
    match text_at(response, "status") {
        None | Some("completed") if calls => Stop::ToolCalls,
        None | Some("completed") => Stop::End,
        Some("incomplete") => {
            let reason = response.get("incomplete_details").and_then(|details| text_at(details, "reason"));
            match reason.unwrap_or("incomplete") {
                "max_output_tokens" => Stop::Length,
                "content_filter" => Stop::Filtered,
                other => Stop::Other(other.into()),
            }
        }
        Some(other) => Stop::Other(other.into()),
    }
}

/// What was used; `None` where the provider does not say.
pub(super) fn read_usage(usage: Option<&Value>) -> Option<Usage> {
    let usage = usage?.as_object()?;
    let count = |key: &str| usage.get(key).and_then(Value::as_u64).unwrap_or_default();
    let detail = |key: &str, inner: &str| {
        usage.get(key).and_then(|details| details.get(inner)).and_then(Value::as_u64).unwrap_or_default()
    };
    Some(Usage {
        input: count("input_tokens"),
        output: count("output_tokens"),
        cached: detail("input_tokens_details", "cached_tokens"),
        reasoning: detail("output_tokens_details", "reasoning_tokens"),
        surcharge: 0,
    })
}

/// What was used, `null` where nobody knows.
pub(super) fn write_usage(usage: Option<&Usage>) -> Value {
    let Some(usage) = usage else { return Value::Null };
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input.saturating_add(usage.output),
    })
}

/// Writes an answer.
pub fn write_response(response: &Response) -> Value {
    let mut output: Vec<Value> = Vec::new();
    let mut in_message = false;
    for part in &response.parts {
        let number = output.len();
        match part {
            Part::Text(text) => match output.last_mut().filter(|_| in_message).and_then(|item| item.get_mut("content"))
            {
                Some(Value::Array(content)) => content.push(items::text_part(text)),
                _ => output.push(items::message(&items::id("msg", &response.id, number), text)),
            },
            Part::Reasoning(thought) => output.push(reasoning_item(&items::id("rs", &response.id, number), thought)),
            Part::Call(call) => output.push(call_item(&items::id("fc", &response.id, number), call)),
            // Answers have neither.
            Part::Image(_) | Part::Result(_) => continue,
        }
        in_message = matches!(part, Part::Text(_));
    }
    let mut body = envelope(&response.id, &response.model);
    close(&mut body, &response.stop, output, response.usage.as_ref());
    body
}

/// A complete item of thoughts.
pub(super) fn reasoning_item(id: &str, thought: &Reasoning) -> Value {
    let summary = match thought.text.as_str() {
        "" => json!([]),
        text => json!([{"type": "summary_text", "text": text}]),
    };
    let mut item = json!({"id": id, "type": "reasoning", "summary": summary});
    if let Some(signature) = &thought.signature {
        items::set(&mut item, "encrypted_content", signature.as_str());
    }
    item
}

/// A complete call.
pub(super) fn call_item(id: &str, call: &ToolCall) -> Value {
    json!({
        "id": id,
        "type": "function_call",
        "status": "completed",
        "arguments": call.arguments,
        "call_id": call.id,
        "name": call.name,
    })
}

/// An answer that has just begun. It has all fields that the official clients promise to their users; the neutral form
/// knows neither the time nor the request's settings.
pub(super) fn envelope(id: &str, model: &str) -> Value {
    json!({
        "id": id,
        "object": "response",
        "created_at": 0,
        "status": "in_progress",
        "background": false,
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "max_output_tokens": null,
        "model": model,
        "output": [],
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null},
        "store": false,
        "temperature": null,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": null,
        "truncation": "disabled",
        "usage": null,
        "metadata": {},
    })
}

/// Ends `response`, and returns the type of the event that says so.
pub(super) fn close(response: &mut Value, stop: &Stop, output: Vec<Value>, usage: Option<&Usage>) -> &'static str {
    let reason = match stop {
        Stop::End | Stop::ToolCalls | Stop::Sequence => None,
        Stop::Length => Some("max_output_tokens"),
        Stop::Filtered => Some("content_filter"),
        Stop::Other(reason) => Some(reason.as_str()),
    };
    items::set(response, "status", if reason.is_some() { "incomplete" } else { "completed" });
    items::set(response, "error", Value::Null);
    items::set(response, "incomplete_details", reason.map_or(Value::Null, |reason| json!({"reason": reason})));
    items::set(response, "output", output);
    items::set(response, "usage", write_usage(usage));
    if reason.is_some() { "response.incomplete" } else { "response.completed" }
}

/// The items of an answer.
///
/// # Errors
/// They are not a list.
pub(super) fn output(response: &Value) -> Result<&[Value], Malformed> {
    match response.get("output") {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(_)) => Ok(list_at(response, "output")),
        Some(_) => Err(Malformed::new("output", "is not a list")),
    }
}
