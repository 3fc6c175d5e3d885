//! OpenAI chat completions.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Head, set};
use crate::answer::Answer;
use crate::conversation::{Said, Wrong, content, list, text};

pub fn read(request: &Value) -> Result<Vec<Said<'_>>, Wrong> {
    let messages = list(request, "messages")?;
    if messages.is_empty() {
        return Err(Wrong::new("`messages` is empty"));
    }
    let mut said = Vec::with_capacity(messages.len());
    for message in messages {
        match text(message, "role")? {
            "system" | "developer" => {}
            "user" => said.push(Said::User(content(message.get("content")))),
            "tool" => {
                let id = Cow::Borrowed(text(message, "tool_call_id")?);
                said.push(Said::Result { id, text: content(message.get("content")) });
            }
            "assistant" => said.push(match message.get("tool_calls") {
                None | Some(Value::Null) => Said::Model,
                Some(_) => Said::Calls(ids(list(message, "tool_calls")?)?),
            }),
            role => return Err(Wrong::new(format!("`{role}` is not a role"))),
        }
    }
    Ok(said)
}

fn ids(calls: &[Value]) -> Result<Vec<Cow<'_, str>>, Wrong> {
    if calls.is_empty() {
        return Err(Wrong::new("`tool_calls` is empty"));
    }
    let id = |call| {
        let function = call_function(call)?;
        text(function, "name")?;
        text(function, "arguments")?;
        Ok(Cow::Borrowed(text(call, "id")?))
    };
    calls.iter().map(id).collect()
}

fn call_function(call: &Value) -> Result<&Value, Wrong> {
    call.get("function").ok_or_else(|| Wrong::new("a tool call has no `function`"))
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": { "cached_tokens": usage.cached, "audio_tokens": 0 },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

fn finish(answer: &Answer) -> &'static str {
    match (answer.too_long, answer.calls.is_empty()) {
        (true, _) => "length",
        (false, false) => "tool_calls",
        (false, true) => "stop",
    }
}

pub fn whole(head: &Head<'_>, answer: &Answer) -> Value {
    let text = (!answer.text.is_empty()).then_some(&answer.text);
    let mut message = json!({ "role": "assistant", "content": text, "refusal": null, "annotations": [] });
    if !answer.thoughts.is_empty() {
        set(&mut message, "reasoning_content", answer.thoughts.as_str());
    }
    if !answer.calls.is_empty() {
        let call = |(at, call): (usize, &crate::answer::Call)| {
            let function = json!({ "name": call.name, "arguments": call.arguments });
            json!({ "id": head.id("call_", at), "type": "function", "function": function })
        };
        set(&mut message, "tool_calls", answer.calls.iter().enumerate().map(call).collect::<Vec<_>>());
    }
    json!({
        "id": head.id("chatcmpl-", 0),
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": finish(answer) }],
        "usage": usage(answer),
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    })
}

pub fn events(head: &Head<'_>, answer: &Answer) -> Vec<String> {
    let with_usage = head.request.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let id = head.id("chatcmpl-", 0);
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
            "service_tier": "default",
            "system_fingerprint": "fp_scripted",
            "choices": choices,
        });
        if with_usage {
            set(&mut chunk, "usage", usage);
        }
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value| {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": null });
        chunk(json!([choice]), Value::Null)
    };
    let begun = |at: usize, call: &crate::answer::Call| {
        let function = json!({ "name": call.name, "arguments": "" });
        json!({ "index": at, "id": head.id("call_", at), "type": "function", "function": function })
    };
    let mut events = Vec::new();
    // As OpenAI does: the role comes with the first call if that is all there is, else on its own.
    let only_call = match answer.calls.as_slice() {
        [call] if answer.text.is_empty() && answer.thoughts.is_empty() => Some(call),
        _ => None,
    };
    events.push(match only_call {
        Some(call) => {
            delta(json!({ "role": "assistant", "content": null, "tool_calls": [begun(0, call)], "refusal": null }))
        }
        None if answer.calls.is_empty() => delta(json!({ "role": "assistant", "content": "", "refusal": null })),
        None => delta(json!({ "role": "assistant", "content": null })),
    });
    events.extend(answer.pieces(&answer.thoughts).map(|piece| delta(json!({ "reasoning_content": piece }))));
    events.extend(answer.pieces(&answer.text).map(|piece| delta(json!({ "content": piece }))));
    for (at, call) in answer.calls.iter().enumerate() {
        if only_call.is_none() {
            events.push(delta(json!({ "tool_calls": [begun(at, call)] })));
        }
        let fragment = |piece| json!({ "tool_calls": [{ "index": at, "function": { "arguments": piece } }] });
        events.extend(answer.pieces(&call.arguments).map(|piece| delta(fragment(piece))));
    }
    let last = json!([{ "index": 0, "delta": {}, "logprobs": null, "finish_reason": finish(answer) }]);
    events.push(chunk(last, Value::Null));
    if with_usage {
        events.push(chunk(json!([]), usage(answer)));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}
