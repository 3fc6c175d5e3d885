//! What a request asks a provider to do besides answering: tools that run at the provider, and addresses that it fetches.
//! Through these a cell would reach places that its network door refuses, so each needs a rule of its own.

use std::collections::BTreeSet;

use nanoclaw_dialect::{Dialect, Image, Message, Part, Request};
use serde_json::{Map, Value};

/// Kinds of tools whose calls come back to the agent.
const AT_THE_AGENT: [&str; 6] =
    ["function", "custom", "local_shell", "apply_patch", "computer", "computer_use_preview"];
/// Anthropic's kinds of such tools: their names end in a day, as in `bash_20250124`.
const DATED_AT_THE_AGENT: [&str; 4] = ["bash_", "text_editor_", "computer_", "memory_"];
/// Fields of a request that make a provider reach out, or ask models that no rule was asked about.
const FIELDS: [&str; 14] = [
    "web_search_options",
    "enable_search",
    "search_parameters",
    "data_sources",
    "mcp_servers",
    "plugins",
    "models",
    "route",
    "fallbacks",
    "api_base",
    "base_url",
    "extra_body",
    "container",
    // One that lies at the provider, with tools of its own.
    "prompt",
];
/// Fields of a request that name no address for anybody to fetch.
const NO_ADDRESS: [&str; 12] = [
    "model",
    "tools",
    "functions",
    "response_format",
    "output_format",
    "output_config",
    "text",
    "metadata",
    "user",
    "safety_identifier",
    "stop",
    "stop_sequences",
];
/// Fields whose texts a model reads, as they are.
const WORDS: [&str; 19] = [
    "text",
    "content",
    "input",
    "output",
    "instructions",
    "system",
    "thinking",
    "reasoning",
    "reasoning_content",
    "refusal",
    "title",
    "context",
    "stdout",
    "stderr",
    "query",
    "queries",
    "code",
    "error",
    "description",
];
/// Fields that hold base64, which may begin with two slashes.
const DATA: [&str; 4] = ["data", "file_data", "signature", "encrypted_content"];
/// What an address that somebody fetches begins with, besides whatever ends in `://`.
const SCHEMES: [&str; 6] = ["http", "https", "ftp", "file", "gs", "s3"];
/// How an address that a provider fetches is called in rules and in the log.
pub(crate) const REMOTE_URL: &str = "remote_url";

/// The names under which rules can allow what `body` asks for, sorted; none where it asks only for an answer.
pub(crate) fn of(dialect: Dialect, body: &Value, request: &Request) -> BTreeSet<String> {
    let mut names = of_body(dialect, body);
    if request.messages.iter().any(|Message { parts, .. }| parts.iter().any(is_remote)) {
        names.insert(REMOTE_URL.to_owned());
    }
    names
}

/// The same for a body whose messages were not read.
pub(crate) fn of_body(dialect: Dialect, body: &Value) -> BTreeSet<String> {
    let mut names: BTreeSet<String> =
        FIELDS.iter().filter(|field| body.get(**field).is_some_and(is_set)).map(|field| (*field).to_owned()).collect();
    name_tools(dialect, body, &mut names);
    // Tools come in the conversation too, where an agent has searched for them.
    for item in body.get("input").and_then(Value::as_array).into_iter().flatten() {
        if item.get("type").and_then(Value::as_str) != Some("mcp_list_tools") {
            name_tools(dialect, item, &mut names);
        }
    }
    let mut fields = body.as_object().into_iter().flatten();
    if fields.any(|(name, value)| !NO_ADDRESS.contains(&name.as_str()) && holds_address(name, value)) {
        names.insert(REMOTE_URL.to_owned());
    }
    names
}

pub(crate) fn is_set(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value.as_array().is_none_or(|list| !list.is_empty())
}

/// Names those of the `tools` of `holder` that run at the provider.
fn name_tools(dialect: Dialect, holder: &Value, names: &mut BTreeSet<String>) {
    for tool in holder.get("tools").and_then(Value::as_array).into_iter().flatten() {
        match tool.get("type").and_then(Value::as_str) {
            Some("namespace") => name_tools(dialect, tool, names),
            Some(kind) if runs_at_agent(kind, tool) => {}
            Some(kind) => {
                names.insert(kind.chars().take(64).collect());
            }
            // Anthropic's own form of a tool has no type.
            None if dialect == Dialect::Messages => {}
            None => {
                names.insert("tool".to_owned());
            }
        }
    }
}

fn runs_at_agent(kind: &str, tool: &Value) -> bool {
    let is_day = |rest: &str| rest.len() == 8 && rest.bytes().all(|byte| byte.is_ascii_digit());
    match kind {
        "shell" => match tool.get("environment") {
            None | Some(Value::Null) => true,
            Some(environment) => environment.get("type").and_then(Value::as_str) == Some("local"),
        },
        "tool_search" => tool.get("execution").and_then(Value::as_str) == Some("client"),
        _ => {
            AT_THE_AGENT.contains(&kind)
                || DATED_AT_THE_AGENT.iter().any(|name| kind.strip_prefix(name).is_some_and(is_day))
        }
    }
}

fn is_remote(part: &Part) -> bool {
    match part {
        Part::Image(Image::Url(url)) => !url.starts_with("data:"),
        Part::Result(result) => result.parts.iter().any(is_remote),
        Part::Image(Image::Data { .. }) | Part::Text(_) | Part::Reasoning(_) | Part::Call(_) => false,
    }
}

/// Whether `value`, which stands under `name`, holds an address where a provider could take it for one to fetch.
/// Providers call these by many names, so that only what is known to be words is let pass.
fn holds_address(name: &str, value: &Value) -> bool {
    match value {
        Value::String(text) => !WORDS.contains(&name) && is_address(text, DATA.contains(&name)),
        Value::Array(list) => list.iter().any(|item| holds_address(name, item)),
        Value::Object(map) => map.iter().any(|(name, value)| !is_said(map, name) && holds_address(name, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether the field `name` of `map` only repeats what was said: what a tool was called with, where a result comes from.
fn is_said(map: &Map<String, Value>, name: &str) -> bool {
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
    match name {
        "arguments" => true,
        "input" => kind.ends_with("tool_use"),
        "action" | "operation" => kind.ends_with("_call"),
        "source" => kind == "search_result" && map.get(name).is_some_and(Value::is_string),
        "data" => kind == "text",
        _ => false,
    }
}

/// Whether a reader of addresses would fetch `text`. Such readers know no case, and drop white space before it and line
/// breaks in it.
fn is_address(text: &str, may_be_data: bool) -> bool {
    let text = text.trim_start_matches(|first: char| first.is_whitespace() || first.is_control());
    let start: String = text.chars().filter(|c| !c.is_control()).take(64).map(|c| c.to_ascii_lowercase()).collect();
    match start.split_once(':') {
        Some((scheme, rest)) if SCHEMES.contains(&scheme) || rest.starts_with("//") => {
            scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        }
        _ => start.starts_with("//") && !may_be_data,
    }
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
            {"role": "tool", "tool_call_id": "1", "content": "https://x"},
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "//uQxAAA", "format": "mp3"}}]}],
            "tools": [{"type": "function", "function": {"name": "f"}}], "models": null, "plugins": []});
        assert_eq!(names(Dialect::Chat, &chat), [""; 0]);
        let messages = json!({"model": "m", "max_tokens": 9, "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"url": "https://x"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "https://x"}]}],
            "tools": [{"name": "f", "input_schema": {"type": "object", "$schema": "http://x"}}, {"type": "bash_20250124", "name": "bash"}]});
        assert_eq!(names(Dialect::Messages, &messages), [""; 0]);
        let responses = json!({"model": "m", "instructions": "https://x", "input": [
            {"role": "user", "content": "https://x"},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "https://x"},
            {"type": "function_call_output", "call_id": "1", "output": "https://x"},
            {"type": "local_shell_call", "call_id": "2", "action": {"type": "exec", "command": ["curl", "https://x"]}},
            {"type": "shell_call_output", "call_id": "3", "output": [{"stdout": "https://x", "stderr": ""}]},
            {"type": "tool_search_output", "call_id": "4", "tools": [{"type": "function", "name": "f"}]}],
            "tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]}, {"type": "shell"},
                {"type": "shell", "environment": {"type": "local"}}, {"type": "tool_search", "execution": "client"}],
            "text": {"format": {"type": "json_schema", "name": "x", "schema": {"$schema": "http://x"}}}, "background": false});
        assert_eq!(names(Dialect::Responses, &responses), [""; 0]);
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

    #[test]
    fn a_tool_that_only_begins_like_one_of_the_agents_needs_a_rule() {
        for tool in [
            json!({"type": "custom_search"}),
            json!({"type": "Function"}),
            json!({"type": "computer_use_hosted"}),
            json!({"type": "bash_code_execution_20250825"}),
            json!({"type": "memory_2025"}),
            json!({"type": "advisor_20260301"}),
            json!({"type": "code_mode"}),
            json!({"type": "tool_search"}),
            json!({"type": "shell", "environment": {"type": "container_auto"}}),
            json!({"type": "shell", "environment": "local"}),
        ] {
            let kind = tool["type"].as_str().unwrap();
            let nested = json!({"type": "namespace", "name": "n", "tools": [{"type": "namespace", "tools": [tool]}]});
            let found = json!({"type": "tool_search_output", "call_id": "1", "tools": [tool]});
            for body in [json!({"tools": [tool]}), json!({"tools": [nested]}), json!({"input": [found]})] {
                let names = of_body(Dialect::Responses, &body);
                assert_eq!(names.into_iter().collect::<Vec<_>>(), [kind], "{body}");
            }
        }
        assert_eq!(of_body(Dialect::Chat, &json!({"tools": [{"googleSearch": {}}]})).len(), 1);
    }

    #[test]
    fn fields_that_make_a_provider_reach_out_need_a_rule() {
        for field in FIELDS {
            let names = of_body(Dialect::Responses, &json!({ field: {"id": "x"} }));
            assert_eq!(names.into_iter().collect::<Vec<_>>(), [field]);
        }
    }

    #[test]
    fn an_address_is_found_however_it_is_written() {
        for address in [
            "https://x",
            "HTTPS://x",
            " http:x",
            "\u{1}\u{a0}ht\ntps://x",
            "FTP://x",
            "gs://x",
            "s3://x",
            "file:///etc/passwd",
            "//x",
            "x-new+1.0://x",
        ] {
            for part in [
                json!({"type": "document_url", "document_url": address}),
                json!({"type": "file", "file": {"file_data": address}}),
                json!({"type": "input_audio", "input_audio": {"data": address}}),
                json!({"type": "image_url", "image_url": {"url": address}}),
                json!({"type": "new", "somewhere": [[{"deep": [address]}]]}),
            ] {
                let is_data = part["type"] == "file" || part["type"] == "input_audio";
                let found = of_body(Dialect::Chat, &json!({"messages": [{"role": "user", "content": [part]}]}));
                assert_eq!(found.contains(REMOTE_URL), !(is_data && address == "//x"), "{part}");
            }
            for body in [
                json!({"images": [address]}),
                json!({"input": [{"image": address}]}),
                json!({"type": "tool_use", "input": [{"url": address}]}),
            ] {
                assert!(of_body(Dialect::Chat, &body).contains(REMOTE_URL), "{body}");
            }
        }
        for innocent in ["data:image/png;base64,AA==", "a: b", "12:30", "/9j/4AAQ", "see https://x", "", "é://x"] {
            assert!(of_body(Dialect::Chat, &json!({"input": [{"image": innocent}]})).is_empty(), "{innocent}");
        }
    }
}
