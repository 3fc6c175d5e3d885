//! What a request asks a provider to do besides answering: tools that run at the provider, and addresses that it fetches.
//! Through these a cell would reach places that its network door refuses, so each needs a rule of its own.

use std::collections::BTreeSet;

use nanoclaw_dialect::{Dialect, Image, Message, Part, Request};
use serde_json::Value;

/// Kinds of tools whose calls come back to the agent, by how their name begins.
const AT_THE_AGENT: [&str; 13] = [
    "function",
    "custom",
    "local_shell",
    "shell",
    "apply_patch",
    "computer",
    "bash_",
    "text_editor_",
    "memory_",
    "namespace",
    "tool_search",
    "advisor_",
    "code_mode",
];
/// Fields of a request that make a provider reach out, or ask models that no rule was asked about.
const FIELDS: [&str; 6] = ["web_search_options", "mcp_servers", "plugins", "models", "route", "container"];
/// How an address that a provider fetches is called in rules and in the log.
pub(crate) const REMOTE_URL: &str = "remote_url";

/// The names under which rules can allow what `body` asks for, sorted; none where it asks only for an answer.
pub(crate) fn of(dialect: Dialect, body: &Value, request: &Request) -> BTreeSet<String> {
    let mut names: BTreeSet<String> =
        FIELDS.iter().filter(|field| body.get(**field).is_some_and(is_set)).map(|field| (*field).to_owned()).collect();
    let tools = body.get("tools").and_then(Value::as_array).into_iter().flatten();
    for tool in tools {
        // Anthropic's own form of a tool has no type.
        let Some(kind) = tool.get("type").and_then(Value::as_str) else {
            if dialect != Dialect::Messages {
                names.insert("tool".to_owned());
            }
            continue;
        };
        if !AT_THE_AGENT.iter().any(|known| kind.starts_with(known)) {
            names.insert(kind.chars().take(64).collect());
        }
    }
    if request.messages.iter().any(|Message { parts, .. }| parts.iter().any(is_remote)) || holds_url(body) {
        names.insert(REMOTE_URL.to_owned());
    }
    names
}

fn is_set(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value.as_array().is_none_or(|list| !list.is_empty())
}

fn is_remote(part: &Part) -> bool {
    match part {
        Part::Image(Image::Url(url)) => !url.starts_with("data:"),
        Part::Result(result) => result.parts.iter().any(is_remote),
        Part::Image(Image::Data { .. }) | Part::Text(_) | Part::Reasoning(_) | Part::Call(_) => false,
    }
}

/// Whether a part that the neutral form does not carry, such as a document, names an address to fetch.
fn holds_url(body: &Value) -> bool {
    let remote = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| ["http:", "https:", "gs:", "s3:"].iter().any(|scheme| text.starts_with(scheme)))
    };
    let mut waiting: Vec<&Value> =
        ["messages", "input", "system"].iter().filter_map(|field| body.get(*field)).collect();
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(list) => waiting.extend(list),
            Value::Object(map) => {
                let named = ["url", "file_url", "image_url", "file_uri", "fileUri"];
                if named.iter().any(|name| map.get(*name).is_some_and(remote)) {
                    return true;
                }
                // What a tool was called with, and what a text says, is fetched by nobody.
                let inside =
                    map.iter().filter(|(name, _)| !matches!(name.as_str(), "arguments" | "text")).map(|(_, v)| v);
                let is_call = map.get("type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("tool_use"));
                waiting.extend(inside.filter(|_| !is_call));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(dialect: Dialect, body: &Value) -> Vec<String> {
        let request = dialect.read_request(body).unwrap();
        of(dialect, body, &request).into_iter().collect()
    }

    #[test]
    fn what_only_asks_for_an_answer_needs_no_rule() {
        let data = "data:image/png;base64,AA==";
        let chat = json!({"model": "m", "messages": [
            {"role": "user", "content": [{"type": "text", "text": "see https://x"}, {"type": "image_url", "image_url": {"url": data}}]},
            {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"url\": \"https://x\"}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "https://x"}],
            "tools": [{"type": "function", "function": {"name": "f"}}], "models": null, "plugins": []});
        assert_eq!(names(Dialect::Chat, &chat), [""; 0]);
        let messages = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"url": "https://x"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "https://x"}]}],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}, {"type": "bash_20250124", "name": "bash"}]});
        assert_eq!(names(Dialect::Messages, &messages), [""; 0]);
    }

    #[test]
    fn what_makes_a_provider_reach_out_is_named() {
        let responses = json!({"model": "m", "input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x/?secret"}]}],
            "tools": [{"type": "web_search"}, {"type": "mcp", "server_url": "https://x"}, {"type": "local_shell"}]});
        assert_eq!(names(Dialect::Responses, &responses), ["mcp", "remote_url", "web_search"]);
        let chat = json!({"model": "m", "web_search_options": {}, "models": ["other"],
            "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/?secret"}}]}]});
        assert_eq!(names(Dialect::Chat, &chat), ["models", "remote_url", "web_search_options"]);
        let messages = json!({"model": "m", "max_tokens": 9, "mcp_servers": [{"url": "https://x"}],
            "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "https://x"}}]}],
            "tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]});
        assert_eq!(names(Dialect::Messages, &messages), ["mcp_servers", "remote_url", "web_fetch_20250910"]);
    }
}
