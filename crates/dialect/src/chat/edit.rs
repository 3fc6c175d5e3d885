//! How an answer changes when a call in it is refused; the same in whole and in streamed ones.

use serde_json::{Map, Value, json};

/// Adds `words` to what a message, or a delta of one, says. They begin a new line if something stands before them:
/// in the message itself, or else as `open_line` says.
pub(super) fn say(message: &mut Map<String, Value>, words: &str, open_line: bool) {
    let said = match message.get_mut("content") {
        Some(Value::Array(parts)) => {
            parts.push(json!({"type": "text", "text": words}));
            return;
        }
        Some(Value::String(said)) => std::mem::take(said),
        _ => String::new(),
    };
    let open_line = if said.is_empty() { open_line } else { !said.ends_with('\n') };
    let content = said + if open_line { "\n" } else { "" } + words;
    message.insert("content".to_owned(), content.into());
}

/// Makes a choice that has no call left end without one.
pub(super) fn end_without_calls(choice: &mut Map<String, Value>) {
    if let Some(Value::String(reason)) = choice.get_mut("finish_reason")
        && !["stop", "length", "content_filter"].contains(&reason.as_str())
    {
        "stop".clone_into(reason);
    }
}

/// Goes through the calls of a message, or of a delta of one, in the order in which they are read. Those for which `keep`
/// is false are taken out, and the field with the last of them.
pub(super) fn retain_calls(message: &mut Map<String, Value>, mut keep: impl FnMut(&mut Value) -> bool) {
    if let Some(Value::Array(entries)) = message.get_mut("tool_calls") {
        entries.retain_mut(&mut keep);
        if entries.is_empty() {
            message.shift_remove("tool_calls");
        }
    }
    if let Some(call) = message.get_mut("function_call").filter(|call| !call.is_null())
        && !keep(call)
    {
        message.shift_remove("function_call");
    }
}

/// Writes arguments that stand in a message, or in a delta of one, as a value as the text that was decided on.
pub(super) fn spell_arguments(message: &mut Map<String, Value>) {
    let spell = |call: Option<&mut Value>, key| {
        if let Some(arguments) = call.and_then(|call| call.get_mut(key))
            && (arguments.is_object() || arguments.is_array())
        {
            *arguments = arguments.to_string().into();
        }
    };
    for entry in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
        spell(entry.get_mut("function"), "arguments");
        spell(entry.get_mut("custom"), "input");
    }
    spell(message.get_mut("function_call"), "arguments");
}
