//! Items of an answer: which of them are calls for the agent, and what text they hold.

use serde_json::{Map, Value, json};

use crate::fields::exact_keys;
use crate::guard::{MAX_ITEMS, at_most};
use crate::{Malformed, ToolCall, chat};

/// Items that the provider has dealt with itself; their events begin with `response.` and the same word.
const AT_PROVIDER: [&str; 9] = [
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "mcp_call",
    "mcp_list_tools",
    "program",
    "compaction",
    "additional_tools",
];

/// Words in the type of an item or event that make it a call until somebody has looked.
const CALL_WORDS: [&str; 5] = ["call", "tool", "function", "request", "approval"];

/// Fields of an item that only a call has.
const CALL_FIELDS: [&str; 7] = ["call_id", "name", "arguments", "input", "action", "actions", "operation"];

/// Fields of items, and of what holds them, that readers go by.
pub(super) const ITEM_KEYS: [&str; 11] =
    ["type", "id", "call_id", "name", "arguments", "input", "action", "actions", "operation", "content", "execution"];

/// Fields of an item, done at the provider, in which anything may stand: what it gave.
const RESULTS: [&str; 6] = ["tools", "output", "outputs", "result", "results", "error"];

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What the model says.
    Message,
    /// What the model thinks.
    Reasoning,
    /// Work for the agent.
    Call,
    /// Work that the provider has done, and whatever else is not for the agent to do.
    Other,
}

/// Which text of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// An entry of its `content`.
    Content(u64),
    /// An entry of its `summary`.
    Summary(u64),
}

/// The string at `key`.
pub(super) fn text_at<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The list at `key`; none is an empty one.
pub(super) fn list_at<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Sets the field at `key` of an object.
pub(super) fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.into(), value.into());
    }
}

/// Takes the field at `key` away from an object.
pub(super) fn unset(object: &mut Value, key: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.shift_remove(key);
    }
}

/// What `item` is.
///
/// # Errors
/// It has no type.
pub(super) fn kind(item: &Value) -> Result<Kind, Malformed> {
    let Some(name) = text_at(item, "type") else { return Err(Malformed::new("item.type", "is not text")) };
    Ok(match name {
        "message" => Kind::Message,
        "reasoning" => Kind::Reasoning,
        "mcp_approval_response" => Kind::Other,
        "tool_search_call" if text_at(item, "execution") == Some("server") => Kind::Other,
        name if AT_PROVIDER.contains(&name) || name.ends_with("_output") => Kind::Other,
        name if names_call(name) || CALL_FIELDS.iter().any(|field| item.get(field).is_some()) => Kind::Call,
        _ => Kind::Other,
    })
}

fn names_call(name: &str) -> bool {
    CALL_WORDS.iter().any(|word| name.contains(word))
}

/// What an item of an answer is, where it is nothing else beside that.
///
/// # Errors
/// It has no type, or says something that its type does not have and that could be read as a call.
pub(super) fn visible_kind(item: &Value) -> Result<Kind, Malformed> {
    let kind = kind(item)?;
    let fields = item.as_object().into_iter().flatten();
    if let Some(item) = item.as_object() {
        exact_keys(item, &ITEM_KEYS, "item")?;
    }
    at_most(
        list_at(item, "content").len().saturating_add(list_at(item, "summary").len()),
        MAX_ITEMS,
        "texts in an item",
    )?;
    let hides = match kind {
        Kind::Message | Kind::Reasoning => hides_call(item),
        Kind::Call => {
            own_fields(item)?;
            false
        }
        Kind::Other => {
            own_fields(item)?;
            fields.into_iter().any(|(key, value)| !RESULTS.contains(&key.as_str()) && hides_call(value))
        }
    };
    if hides { Err(Malformed::new("item", "has a call in a place where none can be")) } else { Ok(kind) }
}

/// Refuses an item that has a field beside those by which its kind says what is to be done.
fn own_fields(item: &Value) -> Result<(), Malformed> {
    let own: &[&str] = match text_at(item, "type").unwrap_or_default() {
        "function_call" => &["name", "arguments"],
        "custom_tool_call" => &["name", "input"],
        "local_shell_call" | "shell_call" | "web_search_call" | "image_generation_call" => &["action"],
        "computer_call" => &["action", "actions"],
        "apply_patch_call" => &["operation"],
        "tool_search_call" => &["arguments"],
        "mcp_call" => &["name", "arguments"],
        name if AT_PROVIDER.contains(&name) || name.ends_with("_output") => &[],
        // All of it is what is decided on.
        _ => &CALL_FIELDS,
    };
    let other =
        |key: &&&str| **key != "call_id" && !own.contains(key) && item.get(key).is_some_and(|value| !value.is_null());
    match CALL_FIELDS.iter().find(other) {
        Some(key) => Err(Malformed::new(format!("item.{key}"), "is not a field of such an item")),
        None => Ok(()),
    }
}

/// Sees to it that no call stands in a field of an answer other than its `output`.
///
/// # Errors
/// One could be read there.
pub(super) fn none_beside_output(response: &Value) -> Result<(), Malformed> {
    /// The request, said again.
    const ECHO: [&str; 7] = ["tools", "tool_choice", "instructions", "input", "prompt", "text", "metadata"];
    let Some(fields) = response.as_object() else { return Ok(()) };
    exact_keys(fields, &["output", "status", "type"], "response")?;
    let hides = |(key, value): &(&String, &Value)| {
        let known = key.as_str() == "output" || ECHO.contains(&key.as_str());
        !known && (hides_call(value) || chat::hides_call(key, value))
    };
    match fields.iter().find(hides) {
        Some((key, _)) => Err(Malformed::new(key, "has a call in a place where none can be")),
        None => Ok(()),
    }
}

/// Whether events of type `name` tell of work at the provider.
pub(super) fn is_at_provider(name: &str) -> bool {
    let Some(name) = name.strip_prefix("response.") else { return false };
    AT_PROVIDER.iter().any(|item| name.strip_prefix(item).is_some_and(|rest| rest.starts_with(['.', '_'])))
}

/// Whether an event of type `name` could be about a call.
pub(super) fn could_tell_of_call(name: &str) -> bool {
    names_call(name) && !is_at_provider(name)
}

/// Whether there is a call anywhere in `value`, in whatever shape.
pub(super) fn hides_call(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(hides_call),
        Value::Object(fields) => {
            // Some readers do not tell capital letters from small ones.
            let under = |name: &'static str| fields.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name));
            under("type").any(|(_, kind)| kind.as_str().is_some_and(is_call_shape))
                || (under("name").next().is_some() && under("arguments").next().is_some())
                || fields.iter().any(|(_, value)| hides_call(value))
        }
        _ => false,
    }
}

/// Types of parts of other dialects, and of this one, that are calls.
fn is_call_shape(name: &str) -> bool {
    name == "function" || ["call", "tool_use", "approval_request"].iter().any(|end| name.ends_with(end))
}

/// The call that `item` is, of [`Kind::Call`]. Calls of the provider's own tools are named by their type, and their
/// arguments are what the item asks for.
///
/// # Errors
/// Part of it is missing or of another type.
pub(super) fn call(item: &Value) -> Result<ToolCall, Malformed> {
    let name = text_at(item, "type").unwrap_or_default();
    let id = match (item.get("call_id"), item.get("id")) {
        (Some(Value::String(id)), _) | (None | Some(Value::Null), Some(Value::String(id))) => id.clone(),
        (None | Some(Value::Null), None | Some(Value::Null)) => String::new(),
        _ => return Err(Malformed::new("item.call_id", "is not text")),
    };
    match name {
        "function_call" => Ok(ToolCall { id, name: named(item)?, arguments: said(item, "arguments")? }),
        "custom_tool_call" => Ok(ToolCall { id, name: named(item)?, arguments: said(item, "input")? }),
        _ => Ok(ToolCall { id, name: name.into(), arguments: wanted(item, name).to_string() }),
    }
}

fn named(item: &Value) -> Result<String, Malformed> {
    match text_at(item, "name") {
        Some(name) if !name.is_empty() => Ok(name.into()),
        _ => Err(Malformed::new("item.name", "is not a name")),
    }
}

fn said(item: &Value, key: &str) -> Result<String, Malformed> {
    let text = text_at(item, key).ok_or_else(|| Malformed::new(format!("item.{key}"), "is not text"))?;
    Ok(text.into())
}

/// What a call of a provider's own tool asks for: the one field that says it, or else all that is not bookkeeping.
fn wanted(item: &Value, name: &str) -> Value {
    let field = match name {
        "local_shell_call" | "shell_call" => Some("action"),
        "apply_patch_call" => Some("operation"),
        "tool_search_call" => Some("arguments"),
        "computer_call" if item.get("actions").is_none_or(Value::is_null) => Some("action"),
        "computer_call" if item.get("action").is_none_or(Value::is_null) => Some("actions"),
        _ => None,
    };
    if let Some(value) = field.and_then(|field| item.get(field)) {
        return value.clone();
    }
    let all = item.as_object().into_iter().flatten();
    let rest = all.filter(|(key, _)| !["id", "call_id", "type", "status"].contains(&key.as_str()));
    Value::Object(rest.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<_, _>>())
}

/// The texts of a message or of thoughts, in order. Work at the provider has none.
pub(super) fn texts(item: &Value) -> Vec<(Place, &str)> {
    match text_at(item, "type") {
        Some("message" | "reasoning") => {}
        _ => return Vec::new(),
    }
    if let Some(text) = text_at(item, "content") {
        return vec![(Place::Content(0), text)];
    }
    let summary = (0..).map(Place::Summary).zip(list_at(item, "summary"));
    let content = (0..).map(Place::Content).zip(list_at(item, "content"));
    summary.chain(content).filter_map(|(place, part)| Some((place, part_text(part)?))).collect()
}

/// The text of a content part.
pub(super) fn part_text(part: &Value) -> Option<&str> {
    text_at(part, "text").or_else(|| text_at(part, "refusal"))
}

/// A part of a message that says `text`.
pub(super) fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

/// A message of the model that says `text`.
pub(super) fn message(id: &str, text: &str) -> Value {
    json!({"id": id, "type": "message", "status": "completed", "role": "assistant", "content": [text_part(text)]})
}

/// Most characters of an id that are kept in an id made from it: providers take ids of at most 64.
const MAX_ID_STEM: usize = 40;

/// An id of the form that providers take back: `prefix`, letters and digits of `stem`, and `number`.
pub(super) fn id(prefix: &str, stem: &str, number: usize) -> String {
    let kept: String = stem.chars().filter(char::is_ascii_alphanumeric).take(MAX_ID_STEM).collect();
    format!("{prefix}_{kept}_{number}")
}
