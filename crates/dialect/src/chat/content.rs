//! What messages say: `content`, `refusal` and where servers put thoughts.

use serde_json::{Map, Value, json};

use crate::{Image, Malformed, Part};

/// What a message of an answer, or a delta of one, says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub thoughts: String,
    pub text: String,
}

impl Said {
    /// Reads the texts of `message`. Fields that are no text say nothing.
    pub fn of(message: &Map<String, Value>) -> Self {
        let mut said = Self::default();
        let field = |key| message.get(key).and_then(Value::as_str).unwrap_or_default();
        // `reasoning_content` is DeepSeek's and vLLM's, `reasoning` OpenRouter's and newer vLLM's; some send both.
        let (first, second) = (field("reasoning_content"), field("reasoning"));
        said.thoughts.push_str(first);
        if first != second {
            said.thoughts.push_str(second);
        }
        if said.thoughts.is_empty()
            && let Some(details) = message.get("reasoning_details")
        {
            add_strings(details, &["text", "summary"], &mut said.thoughts);
        }
        match message.get("content") {
            Some(Value::String(text)) => said.text.push_str(text),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| said.add_part(part)),
            _ => {}
        }
        said.text.push_str(field("refusal"));
        if let Some(Value::String(transcript)) = message.get("audio").and_then(|audio| audio.get("transcript")) {
            said.text.push_str(transcript);
        }
        said
    }

    fn add_part(&mut self, part: &Value) {
        match part {
            Value::String(text) => self.text.push_str(text),
            Value::Object(fields) => {
                add_strings(part, &["text", "refusal"], &mut self.text);
                // Mistral's: `{"type": "thinking", "thinking": [{"type": "text", "text": "…"}]}`.
                match fields.get("thinking") {
                    Some(Value::String(text)) => self.thoughts.push_str(text),
                    Some(inner) => add_strings(inner, &["text"], &mut self.thoughts),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// All of it.
    pub fn joined(self) -> String {
        if self.thoughts.is_empty() { self.text } else { self.thoughts + &self.text }
    }
}

/// Adds the strings under `keys` of an object, or of each object of a list.
fn add_strings(value: &Value, keys: &[&str], out: &mut String) {
    match value {
        Value::Array(items) => {
            items.iter().filter(|item| item.is_object()).for_each(|item| add_strings(item, keys, out))
        }
        Value::Object(fields) => {
            keys.iter().filter_map(|key| fields.get(*key)?.as_str()).for_each(|text| out.push_str(text))
        }
        _ => {}
    }
}

/// Whether `content` has a part that could be taken for a tool call.
pub(super) fn holds_call(content: &Value) -> bool {
    let mut kinds = content.as_array().into_iter().flatten().filter_map(|part| part.get("type")?.as_str());
    kinds.any(|kind| kind.contains("call") || kind.contains("tool_use"))
}

/// Reads `content` of a request's message, which stands at `at`. Parts of kinds that have no neutral form are empty
/// texts, so that their places stay.
pub(super) fn read(content: &Value, at: &str) -> Result<Vec<Part>, Malformed> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::Text(text.clone())]),
        Value::Array(parts) => parts.iter().enumerate().map(|(n, part)| read_part(part, at, n)).collect(),
        _ => Err(Malformed::new(at, "is neither text nor a list of parts")),
    }
}

/// Whether a part holds what is not read here. What somebody says or shows is theirs, read or not.
pub(super) fn is_unread(part: &Value) -> bool {
    const KNOWN: [&str; 7] = ["text", "input_text", "output_text", "refusal", "image_url", "input_audio", "thinking"];
    part.get("type").and_then(Value::as_str).is_some_and(|kind| !KNOWN.contains(&kind)) || part.get("file").is_some()
}

fn read_part(part: &Value, at: &str, number: usize) -> Result<Part, Malformed> {
    let fields = match part {
        Value::String(text) => return Ok(Part::Text(text.clone())),
        Value::Object(fields) => fields,
        _ => return Err(Malformed::new(format!("{at}[{number}]"), "is not an object")),
    };
    let image = fields.get("image_url");
    let image = image.and_then(|image| image.as_str().or_else(|| image.get("url")?.as_str()));
    if let Some(url) = image {
        return Ok(Part::Image(read_image(url)));
    }
    let text = fields.get("text").or_else(|| fields.get("refusal")).and_then(Value::as_str);
    Ok(Part::Text(text.unwrap_or_default().to_owned()))
}

/// An address, or the picture itself where the address is a `data:` URL of base64 (RFC 2397).
fn read_image(url: &str) -> Image {
    let data = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).and_then(|_| url.get(5..));
    match data.and_then(|data| data.split_once(";base64,")) {
        Some((media_type, base64)) => Image::Data { media_type: media_type.to_owned(), base64: base64.to_owned() },
        None => Image::Url(url.to_owned()),
    }
}

/// Writes texts and pictures as `content`. Texts alone are one text, joined by `between`: not every server takes a
/// list.
pub(super) fn write<'a>(parts: &[&'a Part], between: &str) -> Value {
    if parts.iter().any(|part| matches!(part, Part::Image(_))) {
        return Value::Array(parts.iter().filter_map(|part| write_part(part)).collect());
    }
    let text = |part: &'a Part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    };
    Value::String(parts.iter().copied().filter_map(text).collect::<Vec<_>>().join(between))
}

fn write_part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) => Some(json!({"type": "text", "text": text})),
        Part::Image(Image::Url(url)) => Some(json!({"type": "image_url", "image_url": {"url": url}})),
        Part::Image(Image::Data { media_type, base64 }) => {
            let url = format!("data:{media_type};base64,{base64}");
            Some(json!({"type": "image_url", "image_url": {"url": url}}))
        }
        Part::Reasoning(_) | Part::Call(_) | Part::Result(_) => None,
    }
}
