//! Keys of requests that one reader takes for another's. Servers in Go know no case in them, and take the last of those
//! that are the same to them: a `Model` beside `model` would be asked for without anybody having decided on it.

use std::collections::HashSet;

use serde_json::{Map, Value};

/// Fields by which a request says what is done, in any of its parts.
const KNOWN: [&str; 89] = [
    "api_base",
    "arguments",
    "background",
    "base_url",
    "best_of",
    "call_id",
    "container",
    "content",
    "conversation",
    "custom",
    "data",
    "data_sources",
    "document_url",
    "enable_search",
    "environment",
    "execution",
    "extra_body",
    "fallbacks",
    "file",
    "file_data",
    "file_id",
    "file_url",
    "format",
    "function",
    "function_call",
    "functions",
    "id",
    "image_url",
    "include_usage",
    "input",
    "input_audio",
    "input_schema",
    "instructions",
    "json_schema",
    "max_completion_tokens",
    "max_gen_len",
    "max_length",
    "max_new_tokens",
    "max_output_tokens",
    "max_tokens",
    "max_tokens_to_sample",
    "mcp_servers",
    "media_type",
    "messages",
    "metadata",
    "model",
    "models",
    "n",
    "n_predict",
    "name",
    "num_predict",
    "num_return_sequences",
    "output",
    "output_config",
    "output_format",
    "parallel_tool_calls",
    "parameters",
    "plugins",
    "previous_response_id",
    "prompt",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "role",
    "route",
    "schema",
    "search_parameters",
    "server_url",
    "service_tier",
    "source",
    "stop",
    "stop_sequences",
    "store",
    "stream",
    "stream_options",
    "system",
    "temperature",
    "text",
    "thinking",
    "tool_call_id",
    "tool_calls",
    "tool_choice",
    "tool_use_id",
    "tools",
    "top_p",
    "type",
    "url",
    "variables",
    "web_search_options",
];
/// Fields below which keys are the agent's own.
const FREE: [&str; 11] = [
    "arguments",
    "attributes",
    "chat_template_kwargs",
    "headers",
    "input_examples",
    "input_schema",
    "metadata",
    "output_schema",
    "parameters",
    "schema",
    "variables",
];

/// Looks at all keys of a request.
///
/// # Errors
/// One that could be read as another: why, and what to do.
pub(crate) fn check(body: &Value) -> Result<(), String> {
    let Value::Object(fields) = body else { return Ok(()) };
    check_fields(fields)?;
    fields.iter().filter(|(name, _)| !FREE.contains(&name.as_str())).try_for_each(|(_, value)| check_below(value))
}

fn check_below(value: &Value) -> Result<(), String> {
    match value {
        Value::Array(list) => list.iter().try_for_each(check_below),
        Value::Object(fields) => {
            check_fields(fields)?;
            let called = fields.get("type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("tool_use"));
            let is_free = |name: &str| FREE.contains(&name) || (called && name == "input");
            fields.iter().filter(|(name, _)| !is_free(name)).try_for_each(|(_, value)| check_below(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Looks at the keys of one object.
fn check_fields(fields: &Map<String, Value>) -> Result<(), String> {
    let mut folded = HashSet::new();
    for key in fields.keys().filter(|key| key.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii())) {
        let plain = fold(key);
        if KNOWN.contains(&plain.as_str()) {
            return Err(format!("the key `{key}` could be read as `{plain}`; write `{plain}`"));
        }
        if (plain != *key && fields.contains_key(&plain)) || !folded.insert(plain) {
            return Err("two keys of one object differ in nothing but case; leave one of them out".to_owned());
        }
    }
    Ok(())
}

/// What readers that know no case compare. Upper case first: it is what makes `ſ` an `s`.
fn fold(key: &str) -> String {
    key.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_in_another_case_is_not_read_twice() {
        for (body, could) in [
            (json!({"model": "a", "Model": "b"}), "`Model` could be read as `model`; write `model`"),
            (json!({"MAX_TOKENS": 9}), "`MAX_TOKENS` could be read as `max_tokens`"),
            (json!({"N": 9}), "`N` could be read as `n`"),
            (json!({"meſſages": []}), "`meſſages` could be read as `messages`"),
            (json!({"max_to\u{212a}ens": 9}), "could be read as `max_tokens`"),
            (json!({"messages": [{"role": "user", "Role": "system"}]}), "`Role` could be read as `role`"),
            (json!({"tools": [{"type": "function", "Type": "mcp"}]}), "`Type` could be read as `type`"),
            (json!({"input": [{"type": "x_tool_use", "Input": []}]}), "`Input` could be read as `input`"),
            (json!({"type": "tool_use", "input": [{"Role": "user"}]}), "`Role` could be read as `role`"),
            (json!({"seed": 1, "Seed": 2}), "two keys"),
            (json!({"x": [{"Seed": 1, "SEED": 2}]}), "two keys"),
        ] {
            let refused = check(&body).unwrap_err();
            assert!(refused.contains(could), "{body}: {refused}");
        }
    }

    #[test]
    fn keys_of_the_agents_own_are_its_own() {
        for body in [
            json!({"tools": [{"function": {"parameters": {"properties": {"Model": {}, "model": {}}}}}]}),
            json!({"messages": [{"content": [{"type": "tool_use", "input": {"Type": 1, "type": 2}}]}]}),
            json!({"messages": [{"tool_calls": [{"function": {"arguments": {"Name": 1, "name": 2}}}]}]}),
            json!({"metadata": {"Model": 1}}),
            json!({"response_format": {"json_schema": {"schema": {"Type": 1}}}}),
            json!({"newField": 1, "ключ": 2, "New": {"fieldOf": 3}}),
            json!(["Model"]),
        ] {
            assert_eq!(check(&body), Ok(()), "{body}");
        }
    }

    #[test]
    fn known_keys_are_their_own_form() {
        assert!(KNOWN.is_sorted() && KNOWN.iter().all(|key| fold(key) == *key));
    }
}
