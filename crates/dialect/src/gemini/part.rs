//! What requests, answers and streams of this dialect share: parts, ids, stop reasons, usage.

use serde_json::{Map, Value, json};

use super::SIGNATURE_MARK;
use crate::fields::{At, Fields, arguments_object};
use crate::{Image, Malformed, Part, Reasoning, Stop, ToolCall, Usage};

/// Begins the ids that Gemini itself gave to calls.
const ID_MARK: &str = "gem_";

/// Stands for the signature of a call that another model made. Gemini 3 and later refuse calls without any.
pub(super) const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// Names the calls of one answer that have no id.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    /// What the answer is called, in letters that every dialect takes in ids.
    answer: String,
    /// How many calls were read.
    pub(super) calls: usize,
}

impl Ids {
    /// For an answer. Without an id of its own, the length of the conversation so far sets it apart from the others in it.
    pub(super) fn of_answer(body: Fields<'_, '_>) -> Self {
        let id = body.get("responseId").and_then(Value::as_str).unwrap_or_default();
        let mut answer: String =
            id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        if answer.is_empty() {
            let length =
                body.get("usageMetadata").and_then(|usage| usage.get("promptTokenCount")).and_then(Value::as_u64);
            answer = length.unwrap_or_default().to_string();
        }
        Self { answer, calls: 0 }
    }

    fn name(&mut self, given: Option<&str>) -> String {
        let number = self.calls;
        self.calls += 1;
        match given {
            Some(id) => format!("{ID_MARK}{id}"),
            None if self.answer.is_empty() => format!("call_{number}"),
            None => format!("call_{}_{number}", self.answer),
        }
    }
}

/// The id that Gemini gave, where it did.
pub(super) fn own_id(id: &str) -> Option<&str> {
    id.strip_prefix(ID_MARK)
}

/// The neutral form of an id that Gemini gave.
pub(super) fn marked_id(id: &str) -> String {
    format!("{ID_MARK}{id}")
}

/// The signature that Gemini gave, where it did.
pub(super) fn own_signature(thoughts: &Reasoning) -> Option<&str> {
    thoughts.signature.as_deref()?.strip_prefix(SIGNATURE_MARK)
}

/// The signature that stands on a part, in its neutral form.
pub(super) fn read_signature(part: Fields<'_, '_>) -> Result<Option<String>, Malformed> {
    let signature = part.text("thoughtSignature")?.filter(|signature| *signature != NO_SIGNATURE);
    Ok(signature.map(|signature| format!("{SIGNATURE_MARK}{signature}")))
}

/// A call.
pub(super) fn read_call(part: Fields<'_, '_>, at: &At<'_>, ids: &mut Ids) -> Result<Option<ToolCall>, Malformed> {
    let Some(call) = part.get("functionCall") else { return Ok(None) };
    let at = At::Field(at, "functionCall");
    let call = Fields::of(call, &at)?;
    Ok(Some(ToolCall {
        id: ids.name(call.text("id")?),
        name: call.need_text("name")?.to_owned(),
        arguments: call.get("args").map_or_else(|| "{}".to_owned(), Value::to_string),
    }))
}

/// What a part says, added to `parts`. The signature of a call goes to the thoughts before it. Code that the provider
/// executed is left out.
pub(super) fn read_part(
    part: Fields<'_, '_>,
    at: &At<'_>,
    ids: &mut Ids,
    parts: &mut Vec<Part>,
) -> Result<(), Malformed> {
    if let Some(call) = read_call(part, at, ids)? {
        if let Some(signature) = read_signature(part)? {
            match parts.last_mut() {
                Some(Part::Reasoning(thoughts)) if thoughts.signature.is_none() => thoughts.signature = Some(signature),
                _ => parts.push(Part::Reasoning(Reasoning { text: String::new(), signature: Some(signature) })),
            }
        }
        parts.push(Part::Call(call));
    } else if let Some(text) = part.text("text")? {
        parts.push(if part.flag("thought")?.unwrap_or_default() {
            Part::Reasoning(Reasoning { text: text.to_owned(), signature: read_signature(part)? })
        } else {
            Part::Text(text.to_owned())
        });
    } else if let Some(data) = part.get("inlineData") {
        let at = At::Field(at, "inlineData");
        let data = Fields::of(data, &at)?;
        let media_type = data.need_text("mimeType")?;
        if media_type.starts_with("image/") {
            let base64 = data.need_text("data")?.to_owned();
            parts.push(Part::Image(Image::Data { media_type: media_type.to_owned(), base64 }));
        }
    } else if let Some(file) = part.get("fileData") {
        let at = At::Field(at, "fileData");
        let file = Fields::of(file, &at)?;
        parts.push(Part::Image(Image::Url(file.need_text("fileUri")?.to_owned())));
    }
    Ok(())
}

/// What a model says, as parts. Thoughts that are not Gemini's own are written where `foreign_thoughts`.
pub(super) fn write_answer(parts: &[Part], foreign_thoughts: bool) -> Vec<Value> {
    let mut out = Vec::new();
    let mut signature = None;
    let mut rest = parts.iter().peekable();
    while let Some(part) = rest.next() {
        match part {
            Part::Text(text) if text.is_empty() => {}
            Part::Text(text) => out.push(json!({"text": text})),
            Part::Image(image) => out.push(write_image(image)),
            Part::Reasoning(thoughts) => {
                let own = own_signature(thoughts);
                if own.is_none() && !foreign_thoughts {
                    continue;
                }
                if let (Some(own), Some(Part::Call(_))) = (own, rest.peek()) {
                    signature = Some(own);
                    if !thoughts.text.is_empty() {
                        out.push(json!({"text": thoughts.text, "thought": true}));
                    }
                } else {
                    out.push(signed(json!({"text": thoughts.text, "thought": true}), own));
                }
            }
            Part::Call(call) => {
                let mut inner = Map::new();
                inner.extend(own_id(&call.id).map(|id| ("id".to_owned(), id.into())));
                inner.insert("name".into(), call.name.as_str().into());
                inner.insert("args".into(), arguments_object(&call.arguments));
                out.push(signed(json!({"functionCall": inner}), signature.take()));
            }
            Part::Result(_) => {}
        }
    }
    out
}

pub(super) fn signed(mut part: Value, signature: Option<&str>) -> Value {
    if let (Some(map), Some(signature)) = (part.as_object_mut(), signature) {
        map.insert("thoughtSignature".into(), signature.into());
    }
    part
}

pub(super) fn write_image(image: &Image) -> Value {
    match image {
        Image::Data { media_type, base64 } => json!({"inlineData": {"mimeType": media_type, "data": base64}}),
        Image::Url(url) => {
            const KINDS: [(&str, &str); 5] = [
                (".png", "image/png"),
                (".jpg", "image/jpeg"),
                (".jpeg", "image/jpeg"),
                (".webp", "image/webp"),
                (".gif", "image/gif"),
            ];
            let path = url.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
            match KINDS.iter().find(|(end, _)| path.ends_with(end)) {
                Some((_, kind)) => json!({"fileData": {"mimeType": kind, "fileUri": url}}),
                None => json!({"fileData": {"fileUri": url}}),
            }
        }
    }
}

/// Why an answer ended. Gemini ends answers with calls like any other.
pub(super) fn read_stop(reason: &str, has_calls: bool) -> Stop {
    match reason {
        "STOP" if has_calls => Stop::ToolCalls,
        "STOP" => Stop::End,
        "MAX_TOKENS" => Stop::Length,
        "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" => Stop::Filtered,
        other => Stop::Other(other.to_owned()),
    }
}

pub(super) fn write_stop(stop: &Stop) -> &str {
    match stop {
        Stop::End | Stop::ToolCalls | Stop::Sequence => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Filtered => "SAFETY",
        Stop::Other(word) => word,
    }
}

/// Tokens; `None` for all zeros.
pub(super) fn read_usage(body: Fields<'_, '_>) -> Option<Usage> {
    let metadata = body.get("usageMetadata")?;
    let count = |name: &str| metadata.get(name).and_then(Value::as_u64).unwrap_or_default();
    let reasoning = count("thoughtsTokenCount");
    let usage = Usage {
        input: count("promptTokenCount").saturating_add(count("toolUsePromptTokenCount")),
        output: count("candidatesTokenCount").saturating_add(reasoning),
        cached: count("cachedContentTokenCount"),
        reasoning,
        surcharge: 0,
    };
    (usage != Usage::default()).then_some(usage)
}

pub(super) fn write_usage(usage: &Usage) -> Value {
    json!({
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output.saturating_sub(usage.reasoning),
        "thoughtsTokenCount": usage.reasoning,
        "cachedContentTokenCount": usage.cached,
        "totalTokenCount": usage.input.saturating_add(usage.output),
    })
}
