//! Writing requests, and changing those that pass in their own dialect.

use serde_json::{Map, Value, json};

use super::response::write_call;
use super::thinking::{self, Plan};
use crate::{Choice, Format, Image, Message, Part, Request, Role, Tool};

/// Stands in the system prompt where an answer must be JSON of no particular schema, which this dialect cannot enforce.
const JSON_INSTRUCTION: &str = "Answer with one JSON object and nothing else.";

/// Writes a request, in an order and shape that the API takes: instructions in `system`, no two messages of one role in
/// a row, results before other content, thoughts only where they are signed.
pub fn write_request(request: &Request) -> Value {
    let mut system = Vec::new();
    let mut turns: Vec<(Role, Vec<Value>)> = Vec::new();
    for message in &request.messages {
        for part in &message.parts {
            match write_part(message, part) {
                Some((Role::System, block)) => system.push(block),
                Some((role, block)) => match turns.last_mut() {
                    Some((last, blocks)) if *last == role => blocks.push(block),
                    _ => turns.push((role, vec![block])),
                },
                None => {}
            }
        }
    }
    if request.format == Some(Format::Json) {
        system.push(text_block(JSON_INSTRUCTION));
    }
    let messages: Vec<Value> = turns.into_iter().map(write_turn).collect();
    let Plan { thinking, effort, max_tokens, samples } = thinking::plan(request, &messages);

    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("model", request.model.as_str().into());
    put("max_tokens", max_tokens.into());
    if !system.is_empty() {
        put("system", content(system));
    }
    put("messages", messages.into());
    if !request.tools.is_empty() {
        put("tools", request.tools.iter().map(write_tool).collect());
        if let Some(choice) = write_choice(request) {
            put("tool_choice", choice);
        }
    }
    // Other dialects have temperatures up to 2.
    if let Some(temperature) = request.temperature.filter(|_| samples) {
        put("temperature", temperature.min(1.0).into());
    }
    if let Some(top_p) = request.top_p.filter(|_| samples) {
        put("top_p", top_p.into());
    }
    let stop: Vec<&String> = request.stop.iter().filter(|text| !text.trim().is_empty()).collect();
    if !stop.is_empty() {
        put("stop_sequences", json!(stop));
    }
    if let Some(thinking) = thinking {
        put("thinking", thinking);
    }
    let mut config = Map::new();
    config.extend(effort.map(|word| ("effort".to_owned(), word.into())));
    if let Some(Format::Schema { schema, .. }) = &request.format {
        config.insert("format".into(), json!({"type": "json_schema", "schema": schema}));
    }
    if !config.is_empty() {
        put("output_config", config.into());
    }
    if request.stream {
        put("stream", true.into());
    }
    body.into()
}

/// A part as a block, and whose turn it belongs to; `None` for what this dialect cannot say there.
fn write_part(message: &Message, part: &Part) -> Option<(Role, Value)> {
    match part {
        Part::Text(text) if text.is_empty() => None,
        Part::Text(text) => Some((message.role, text_block(text))),
        Part::Image(image) if message.role == Role::User => Some((Role::User, write_image(image))),
        Part::Image(_) => None,
        Part::Reasoning(thoughts) => {
            let signature = thoughts.signature.as_deref().filter(|signature| is_own(signature))?;
            let block = json!({"type": "thinking", "thinking": thoughts.text, "signature": signature});
            Some((Role::Assistant, block))
        }
        Part::Call(call) => {
            let mut call = call.clone();
            call.id = plain_id(&call.id);
            Some((Role::Assistant, write_call(&call)))
        }
        Part::Result(result) => {
            let blocks: Vec<Value> = result.parts.iter().filter_map(write_inner).collect();
            let mut block = json!({"type": "tool_result", "tool_use_id": plain_id(&result.id)});
            let map = block.as_object_mut()?;
            if !blocks.is_empty() {
                map.insert("content".into(), content(blocks));
            }
            if result.failed {
                map.insert("is_error".into(), true.into());
            }
            Some((Role::User, block))
        }
    }
}

/// What a result of a tool may hold.
fn write_inner(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) if text.is_empty() => None,
        Part::Text(text) => Some(text_block(text)),
        Part::Image(image) => Some(write_image(image)),
        Part::Reasoning(_) | Part::Call(_) | Part::Result(_) => None,
    }
}

fn write_turn((role, mut blocks): (Role, Vec<Value>)) -> Value {
    if role == Role::User {
        blocks.sort_by_key(|block| block.get("type").and_then(Value::as_str) != Some("tool_result"));
    }
    let role = if role == Role::Assistant { "assistant" } else { "user" };
    json!({"role": role, "content": content(blocks)})
}

/// One text is written as such, anything else as a list.
fn content(blocks: Vec<Value>) -> Value {
    match blocks.as_slice() {
        [only] if only.get("type").and_then(Value::as_str) == Some("text") => {
            only.get("text").cloned().unwrap_or_default()
        }
        _ => blocks.into(),
    }
}

fn text_block(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn write_image(image: &Image) -> Value {
    let source = match image {
        Image::Url(url) => json!({"type": "url", "url": url}),
        Image::Data { media_type, base64 } => json!({"type": "base64", "media_type": media_type, "data": base64}),
    };
    json!({"type": "image", "source": source})
}

/// An id of the letters that the API takes; other makers use more.
fn plain_id(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// Whether a signature can be of this dialect's provider. Those of Gemini are marked; its API would refuse them.
fn is_own(signature: &str) -> bool {
    !signature.is_empty() && !signature.starts_with(crate::gemini::SIGNATURE_MARK)
}

fn write_tool(tool: &Tool) -> Value {
    let mut map = Map::new();
    map.insert("name".into(), tool.name.as_str().into());
    if !tool.description.is_empty() {
        map.insert("description".into(), tool.description.as_str().into());
    }
    let mut schema = tool.parameters.as_object().cloned().unwrap_or_default();
    schema.entry("type").or_insert_with(|| "object".into());
    map.insert("input_schema".into(), schema.into());
    map.into()
}

fn write_choice(request: &Request) -> Option<Value> {
    let mut choice = match &request.choice {
        Some(Choice::None) => return Some(json!({"type": "none"})),
        Some(Choice::Auto) => json!({"type": "auto"}),
        Some(Choice::Required) => json!({"type": "any"}),
        Some(Choice::Named(name)) => json!({"type": "tool", "name": name}),
        // Parallel calls are what happens when nothing is said.
        None if request.parallel_calls == Some(false) => json!({"type": "auto"}),
        None => return None,
    };
    if let (Some(map), Some(parallel)) = (choice.as_object_mut(), request.parallel_calls) {
        map.insert("disable_parallel_tool_use".into(), (!parallel).into());
    }
    Some(choice)
}

/// Changes a request that is passed on in this dialect: the model's name and the longest output in tokens. Thoughts of
/// other providers, which stand in the history without a valid signature after a fallback, are taken out, as the API
/// would refuse the whole request.
pub fn retarget(body: &mut Value, model: &str, max_output: Option<u64>) {
    let Some(map) = body.as_object_mut() else { return };
    map.insert("model".into(), model.into());
    if let Some(Value::Array(messages)) = map.get_mut("messages") {
        messages.retain_mut(keep_own_thoughts);
    }
    if let Some(most) = max_output {
        map.insert("max_tokens".into(), most.into());
        thinking::fit_budget(body, most);
    }
}

/// Whether anything is left of the message.
fn keep_own_thoughts(message: &mut Value) -> bool {
    let Some(Value::Array(blocks)) = message.get_mut("content") else { return true };
    let before = blocks.len();
    blocks.retain(|block| {
        let text = |name| block.get(name).and_then(Value::as_str);
        text("type") != Some("thinking") || text("signature").is_some_and(is_own)
    });
    before == 0 || !blocks.is_empty()
}
