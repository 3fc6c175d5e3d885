//! Tool calls from models that write them as text, at a provider that holds an answer to a JSON Schema.
//!
//! Small models miss the syntax of their own chat template for tool calls. llama-server makes any model keep to a
//! schema, so a request with tools becomes one without: a text for the system lists the tools, and the answer is JSON of
//! one of these forms, which becomes a native call or text again.
//!
//! ```json
//! {"tool": "NAME", "arguments": {"…": "…"}}
//! {"answer": "TEXT"}
//! ```
//!
//! What the form costs: one call per answer, and the agent's `stop` texts do not apply, as they could cut the JSON.
//! Arguments are an object, and further than that only as good as the provider keeps to the schema.

mod form;
mod render;
mod schema;

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::sse::Event;
use crate::{Choice, Delta, Format, Malformed, Part, Request, Response, Stop, StreamReader, Tool, ToolCall, chat};
use form::Form;

/// Longest answer in tokens where the agent names no bound: a model can lose itself within a schema.
const DEFAULT_MAX_OUTPUT: u64 = 4_096;
/// Temperature where the agent names none. Small models choose between the forms by chance at their usual ones.
const GREEDY: f64 = 0.0;
/// Longest id of a call that is made here, in bytes. OpenAI's are at most this long.
const LONGEST_ID: usize = 64;

/// Whether a request is one for this form: it has tools, and asks for no other form.
pub fn applies(request: &Request) -> bool {
    !request.tools.is_empty() && request.format.is_none()
}

/// The same request without tools, whose answer [`release`] or [`Reader`] understands.
///
/// # Errors
/// It must call a tool that it does not offer.
pub fn constrain(request: &Request) -> Result<Request, Malformed> {
    let (tools, may_answer) = offered(request)?;
    let arguments = schema::arguments(tools.iter().map(|tool| &tool.parameters));
    let tools: Vec<(&Tool, Value)> = tools.into_iter().zip(arguments).collect();
    let mut forms: Vec<Value> = tools.iter().map(|(tool, arguments)| call_form(tool, arguments)).collect();
    if may_answer {
        forms.push(object(json!({ "answer": { "type": "string" } })));
    }
    let schema = match forms.len() {
        1 => forms.swap_remove(0),
        _ => json!({ "anyOf": forms }),
    };
    Ok(Request {
        messages: render::messages(request, &render::instructions(&tools, may_answer)),
        tools: Vec::new(),
        choice: None,
        parallel_calls: None,
        stop: Vec::new(),
        temperature: request.temperature.or(Some(GREEDY)),
        max_output: Some(request.max_output.unwrap_or(DEFAULT_MAX_OUTPUT)),
        format: Some(Format::Schema { name: "reply".to_owned(), schema, strict: true }),
        ..request.clone()
    })
}

/// The tools that may be called, and whether the model may answer instead.
fn offered(request: &Request) -> Result<(Vec<&Tool>, bool), Malformed> {
    let all: Vec<&Tool> = request.tools.iter().collect();
    Ok(match &request.choice {
        None | Some(Choice::Auto) => (all, true),
        Some(Choice::None) => (Vec::new(), true),
        Some(Choice::Required) => {
            let none = all.is_empty();
            (all, none)
        }
        Some(Choice::Named(name)) => {
            let named: Vec<&Tool> = request.tools.iter().filter(|tool| tool.name == *name).take(1).collect();
            if named.is_empty() {
                return Err(Malformed::new("tool_choice", format!("names `{name}`, which is not among the tools")));
            }
            (named, false)
        }
    })
}

fn call_form(tool: &Tool, arguments: &Value) -> Value {
    object(json!({ "tool": { "const": tool.name }, "arguments": arguments }))
}

/// An object of exactly these properties.
fn object(properties: Value) -> Value {
    let required: Vec<&str> =
        properties.as_object().into_iter().flat_map(|map| map.keys().map(String::as_str)).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// The answer to a request that [`constrain`] made, with a native call or plain text.
///
/// # Errors
/// It is in neither form, or holds native calls. One that ends in the middle because it is as long as it may be is no
/// error: then text is as long as it is, and there is no call.
pub fn release(response: Response) -> Result<Response, Malformed> {
    let mut form = Form::default();
    let mut text = String::new();
    let mut parts = Vec::new();
    for part in response.parts {
        match part {
            Part::Text(piece) => text.push_str(&form.feed(&piece)?),
            Part::Reasoning(_) => parts.push(part),
            Part::Call(_) | Part::Image(_) | Part::Result(_) => return Err(native()),
        }
    }
    let call = form.finish(cut(&response.stop))?;
    let stop = stop(response.stop, call.is_some());
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    parts.extend(call.map(|(name, arguments)| Part::Call(ToolCall { id: call_id(&response.id), name, arguments })));
    Ok(Response { id: response.id, model: response.model, parts, stop, usage: response.usage })
}

fn native() -> Malformed {
    Malformed::new("", "the answer calls a tool, where it should be JSON that does so")
}

/// Whether an answer may end in the middle of its form.
fn cut(stop: &Stop) -> bool {
    matches!(stop, Stop::Length | Stop::Filtered)
}

fn stop(stop: Stop, calls: bool) -> Stop {
    match (stop, calls) {
        (Stop::End | Stop::Sequence | Stop::Length, true) => Stop::ToolCalls,
        (stop, _) => stop,
    }
}

/// There is one call in an answer, so the answer's id is enough for it. Every dialect allows these characters.
fn call_id(answer: &str) -> String {
    let plain = answer.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    "call_".chars().chain(plain).take(LONGEST_ID).collect()
}

/// Reads the streamed answer to a request that [`constrain`] made. Text is given out as it comes, a call when it is
/// complete.
#[derive(Debug, Default)]
pub struct Reader {
    inner: chat::Reader,
    id: String,
    form: Form,
    closed: bool,
}

impl StreamReader for Reader {
    fn read(&mut self, event: &Event) -> Result<Vec<Delta>, Malformed> {
        let mut deltas = Vec::new();
        for delta in self.inner.read(event)? {
            match delta {
                Delta::Start { id, model } => {
                    self.id.clone_from(&id);
                    deltas.push(Delta::Start { id, model });
                }
                Delta::Text(piece) => {
                    let text = self.form.feed(&piece)?;
                    if !text.is_empty() {
                        deltas.push(Delta::Text(text));
                    }
                }
                Delta::CallStart { .. } | Delta::CallArguments { .. } => return Err(native()),
                Delta::Stop(stop) => self.close(stop, &mut deltas)?,
                Delta::End => {
                    if !self.closed {
                        self.close(Stop::End, &mut deltas)?;
                    }
                    deltas.push(Delta::End);
                }
                Delta::Reasoning(_) | Delta::Signature(_) | Delta::Usage(_) => deltas.push(delta),
            }
        }
        Ok(deltas)
    }
}

impl Reader {
    fn close(&mut self, reason: Stop, deltas: &mut Vec<Delta>) -> Result<(), Malformed> {
        self.closed = true;
        let call = std::mem::take(&mut self.form).finish(cut(&reason))?;
        let reason = stop(reason, call.is_some());
        if let Some((name, json)) = call {
            deltas.push(Delta::CallStart { index: 0, id: call_id(&self.id), name });
            deltas.push(Delta::CallArguments { index: 0, json });
        }
        deltas.push(Delta::Stop(reason));
        Ok(())
    }
}

/// `text`, cut behind so many characters.
fn shortened(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests;
