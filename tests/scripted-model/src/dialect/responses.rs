//! OpenAI responses.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{Head, set};
use crate::answer::{Answer, Call};
use crate::conversation::{Said, Wrong, content, text};

pub fn read(request: &Value) -> Result<Vec<Said<'_>>, Wrong> {
    if request.get("previous_response_id").is_some_and(|id| !id.is_null()) {
        return Err(Wrong::new("the scripted model keeps no responses: `previous_response_id` leads nowhere"));
    }
    let items = match request.get("input") {
        Some(Value::String(text)) => return Ok(vec![Said::User(Cow::Borrowed(text))]),
        Some(Value::Array(items)) if !items.is_empty() => items,
        _ => return Err(Wrong::new("`input` is neither a text nor a list of items")),
    };
    let mut said = Vec::with_capacity(items.len());
    for item in items {
        match item.get("type").and_then(Value::as_str).unwrap_or("message") {
            "message" => match text(item, "role")? {
                "system" | "developer" => {}
                "user" => said.push(Said::User(content(item.get("content")))),
                // Stands beside calls of the same answer, so it ends none.
                "assistant" => {}
                role => return Err(Wrong::new(format!("`{role}` is not a role"))),
            },
            "function_call" => {
                text(item, "name")?;
                text(item, "arguments")?;
                let id = Cow::Borrowed(text(item, "call_id")?);
                match said.last_mut() {
                    Some(Said::Calls(ids)) => ids.push(id),
                    _ => said.push(Said::Calls(vec![id])),
                }
            }
            "function_call_output" => {
                let id = Cow::Borrowed(text(item, "call_id")?);
                said.push(Said::Result { id, text: content(item.get("output")) });
            }
            "reasoning" => {
                text(item, "id")?;
            }
            kind => return Err(Wrong::new(format!("the scripted model knows no item of type `{kind}`"))),
        }
    }
    Ok(said)
}

fn response(head: &Head<'_>, status: &str, output: Vec<Value>, usage: Value) -> Value {
    let given = |key: &str, otherwise: Value| match head.request.get(key) {
        None | Some(Value::Null) => otherwise,
        Some(value) => value.clone(),
    };
    let cut_short = (status == "incomplete").then(|| json!({ "reason": "max_output_tokens" }));
    json!({
        "id": head.id("resp_", 0),
        "object": "response",
        "created_at": head.created,
        "status": status,
        "background": false,
        "error": null,
        "incomplete_details": cut_short,
        "instructions": given("instructions", Value::Null),
        "max_output_tokens": given("max_output_tokens", Value::Null),
        "max_tool_calls": null,
        "model": head.model,
        "output": output,
        "parallel_tool_calls": given("parallel_tool_calls", true.into()),
        "previous_response_id": null,
        "prompt_cache_key": null,
        "reasoning": given("reasoning", json!({ "effort": null, "summary": null })),
        "safety_identifier": null,
        "service_tier": "default",
        "store": given("store", true.into()),
        "temperature": given("temperature", 1.0.into()),
        "text": given("text", json!({ "format": { "type": "text" }, "verbosity": "medium" })),
        "tool_choice": given("tool_choice", "auto".into()),
        "tools": given("tools", json!([])),
        "top_logprobs": 0,
        "top_p": given("top_p", 1.0.into()),
        "truncation": "disabled",
        "usage": usage,
        "user": null,
        "metadata": given("metadata", json!({})),
    })
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": { "cached_tokens": usage.cached, "cache_write_tokens": 0 },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": usage.input + usage.output,
    })
}

/// How the answer ended: the status of the response, and of its last item.
fn status(answer: &Answer) -> &'static str {
    if answer.too_long { "incomplete" } else { "completed" }
}

fn thoughts(head: &Head<'_>, text: Option<&str>) -> Value {
    let summary: Vec<Value> = text.iter().map(|text| json!({ "type": "summary_text", "text": text })).collect();
    json!({ "id": head.id("rs_", 0), "type": "reasoning", "summary": summary })
}

fn message(head: &Head<'_>, status: &str, text: Option<&str>) -> Value {
    let content: Vec<Value> = text.map(part).into_iter().collect();
    json!({ "id": head.id("msg_", 0), "type": "message", "status": status, "content": content, "role": "assistant" })
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": text })
}

fn call(head: &Head<'_>, at: usize, status: &str, call: &Call, arguments: &str) -> Value {
    json!({
        "id": head.id("fc_", at),
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": head.id("call_", at),
        "name": call.name,
    })
}

pub fn whole(head: &Head<'_>, answer: &Answer) -> String {
    let mut output = Vec::new();
    if !answer.thoughts.is_empty() {
        output.push(thoughts(head, Some(&answer.thoughts)));
    }
    if !answer.text.is_empty() {
        output.push(message(head, status(answer), Some(&answer.text)));
    }
    output.extend(answer.calls.iter().enumerate().map(|(at, c)| call(head, at, "completed", c, &c.arguments)));
    response(head, status(answer), output, usage(answer)).to_string()
}

pub fn events(head: &Head<'_>, answer: &Answer) -> Vec<String> {
    let mut stream = Stream { events: Vec::new(), output: Vec::new() };
    let begun = response(head, "in_progress", Vec::new(), Value::Null);
    stream.event("response.created", json!({ "response": begun }));
    stream.event("response.in_progress", json!({ "response": begun }));
    if !answer.thoughts.is_empty() {
        stream.thoughts(head, answer);
    }
    if !answer.text.is_empty() {
        stream.message(head, answer);
    }
    for (at, call) in answer.calls.iter().enumerate() {
        stream.call(head, answer, at, call);
    }
    let output = std::mem::take(&mut stream.output);
    let ended = response(head, status(answer), output, usage(answer));
    stream.event(&format!("response.{}", status(answer)), json!({ "response": ended }));
    stream.events
}

struct Stream {
    events: Vec<String>,
    /// The items that are done.
    output: Vec<Value>,
}

impl Stream {
    fn event(&mut self, kind: &str, fields: Value) {
        let mut event = Map::new();
        event.insert("type".to_owned(), kind.into());
        event.insert("sequence_number".to_owned(), self.events.len().into());
        if let Value::Object(fields) = fields {
            event.extend(fields);
        }
        self.events.push(format!("event: {kind}\ndata: {}\n\n", Value::Object(event)));
    }

    fn added(&mut self, item: Value) {
        let at = self.output.len();
        self.event("response.output_item.added", json!({ "output_index": at, "item": item }));
    }

    fn done(&mut self, item: Value) {
        let at = self.output.len();
        self.event("response.output_item.done", json!({ "output_index": at, "item": item }));
        self.output.push(item);
    }

    fn thoughts(&mut self, head: &Head<'_>, answer: &Answer) {
        let (id, at, text) = (head.id("rs_", 0), self.output.len(), &answer.thoughts);
        let part = |text: &str| json!({ "type": "summary_text", "text": text });
        self.added(thoughts(head, None));
        let place = || json!({ "item_id": id, "output_index": at, "summary_index": 0 });
        let with = |key: &str, value: Value| {
            let mut fields = place();
            set(&mut fields, key, value);
            fields
        };
        self.event("response.reasoning_summary_part.added", with("part", part("")));
        for piece in answer.pieces(text) {
            self.event("response.reasoning_summary_text.delta", with("delta", piece.into()));
        }
        self.event("response.reasoning_summary_text.done", with("text", text.as_str().into()));
        self.event("response.reasoning_summary_part.done", with("part", part(text)));
        self.done(thoughts(head, Some(text)));
    }

    fn message(&mut self, head: &Head<'_>, answer: &Answer) {
        let (id, at, text) = (head.id("msg_", 0), self.output.len(), &answer.text);
        self.added(message(head, "in_progress", None));
        let part_event = |part: Value| json!({ "item_id": id, "output_index": at, "content_index": 0, "part": part });
        let text_event = |key: &str, text: &str| {
            let mut fields = json!({ "item_id": id, "output_index": at, "content_index": 0, "logprobs": [] });
            set(&mut fields, key, text);
            fields
        };
        self.event("response.content_part.added", part_event(part("")));
        for piece in answer.pieces(text) {
            self.event("response.output_text.delta", text_event("delta", piece));
        }
        self.event("response.output_text.done", text_event("text", text));
        self.event("response.content_part.done", part_event(part(text)));
        self.done(message(head, status(answer), Some(text)));
    }

    fn call(&mut self, head: &Head<'_>, answer: &Answer, number: usize, called: &Call) {
        let (id, at) = (head.id("fc_", number), self.output.len());
        self.added(call(head, number, "in_progress", called, ""));
        for piece in answer.pieces(&called.arguments) {
            let fields = json!({ "item_id": id, "output_index": at, "delta": piece });
            self.event("response.function_call_arguments.delta", fields);
        }
        let fields = json!({ "item_id": id, "output_index": at, "arguments": called.arguments });
        self.event("response.function_call_arguments.done", fields);
        self.done(call(head, number, "completed", called, &called.arguments));
    }
}
