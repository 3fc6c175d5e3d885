//! Reading requests, and changing those that are passed on as they are.

use serde_json::{Map, Value, json};

use super::calls::Fragment;
use super::content;
use crate::{Attached, Choice, Effort, Format, Malformed, Message, Part, Reasoning, Request, Role, Tool, ToolResult};

/// Reads a request. Words that it does not know, such as a new kind of tool choice, are left out: the provider that
/// they were written for gets them as they came.
///
/// # Errors
/// The body has no model or messages, or a field is not of the type that it must have.
pub fn read_request(body: &Value) -> Result<Request, Malformed> {
    let Value::Object(body) = body else {
        return Err(Malformed::new("", "the body is not an object"));
    };
    let model = match body.get("model") {
        Some(Value::String(model)) => model.clone(),
        Some(_) => return Err(Malformed::new("model", "is not text")),
        None => return Err(Malformed::new("model", "is missing")),
    };
    Ok(Request {
        model,
        messages: read_messages(body)?,
        tools: read_tools(body)?,
        choice: read_choice(body)?,
        parallel_calls: optional(body, "parallel_tool_calls", Value::as_bool, "is neither true nor false")?,
        max_output: max_output(body)?,
        temperature: optional(body, "temperature", Value::as_f64, "is not a number")?,
        top_p: optional(body, "top_p", Value::as_f64, "is not a number")?,
        stop: read_stop(body)?,
        format: read_format(body)?,
        effort: read_effort(body)?,
        stream: optional(body, "stream", Value::as_bool, "is neither true nor false")?.unwrap_or_default(),
    })
}

/// What comes with a request besides what somebody says in it: files.
pub fn attached(body: &Value) -> Attached {
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    let mut parts = messages.filter_map(|message| message.get("content")?.as_array()).flatten();
    Attached { unread: parts.any(content::is_unread), ..Attached::default() }
}

/// Changes a request on its way to a provider of this dialect. The longest output goes under the name that the agent
/// used for it.
pub fn retarget(body: &mut Value, model: &str, max_output: Option<u64>) {
    let Value::Object(body) = body else { return };
    body.insert("model".to_owned(), model.into());
    if let Some(tokens) = max_output {
        let used: Vec<&str> =
            LIMITS.into_iter().filter(|key| body.get(*key).is_some_and(|old| !old.is_null())).collect();
        for key in if used.is_empty() { vec![limit_name(model)] } else { used } {
            body.insert(key.to_owned(), tokens.into());
        }
    }
    if body.get("stream") == Some(&Value::Bool(true)) {
        match body.get_mut("stream_options") {
            Some(Value::Object(options)) => {
                options.insert("include_usage".to_owned(), true.into());
            }
            _ => {
                body.insert("stream_options".to_owned(), json!({"include_usage": true}));
            }
        }
    }
}

const LIMITS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// Under what name a model wants its longest output. Everyone knows the old name, but OpenAI's reasoning models refuse
/// it.
pub(super) fn limit_name(model: &str) -> &'static str {
    let name = model.rsplit('/').next().unwrap_or(model);
    let series_o = name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    let [old, new] = LIMITS;
    if series_o || name.starts_with("gpt-5") { new } else { old }
}

/// `None` for a field that is missing or null.
fn optional<'a, T>(
    body: &'a Map<String, Value>,
    key: &str,
    read: impl Fn(&'a Value) -> Option<T>,
    wrong: &str,
) -> Result<Option<T>, Malformed> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| Malformed::new(key, wrong)),
    }
}

/// Where both names are used, the larger counts: a server may know only one of them.
fn max_output(body: &Map<String, Value>) -> Result<Option<u64>, Malformed> {
    let [old, new] = LIMITS;
    let wrong = "is not a number of tokens";
    Ok(optional(body, old, Value::as_u64, wrong)?.max(optional(body, new, Value::as_u64, wrong)?))
}

fn read_stop(body: &Map<String, Value>) -> Result<Vec<String>, Malformed> {
    let wrong = || Malformed::new("stop", "is neither text nor a list of texts");
    match body.get("stop") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(texts)) => {
            texts.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

fn read_format(body: &Map<String, Value>) -> Result<Option<Format>, Malformed> {
    let Some(format) = optional(body, "response_format", Value::as_object, "is not an object")? else {
        return Ok(None);
    };
    match format.get("type").and_then(Value::as_str) {
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => {
            let Some(Value::Object(schema)) = format.get("json_schema") else {
                return Err(Malformed::new("response_format.json_schema", "is not an object"));
            };
            Ok(Some(Format::Schema {
                name: schema.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
                schema: schema.get("schema").cloned().unwrap_or_else(|| json!({})),
                strict: schema.get("strict").and_then(Value::as_bool).unwrap_or_default(),
            }))
        }
        _ => Ok(None),
    }
}

fn read_effort(body: &Map<String, Value>) -> Result<Option<Effort>, Malformed> {
    let word = optional(body, "reasoning_effort", Value::as_str, "is not text")?;
    Ok(match word {
        Some("none" | "minimal") => Some(Effort::Minimal),
        Some("low") => Some(Effort::Low),
        Some("medium") => Some(Effort::Medium),
        Some("high" | "xhigh") => Some(Effort::High),
        _ => None,
    })
}

fn read_choice(body: &Map<String, Value>) -> Result<Option<Choice>, Malformed> {
    let named = |choice: &Value| {
        let name = ["function", "custom"].iter().find_map(|kind| choice.get(kind)?.get("name")?.as_str());
        name.or_else(|| choice.get("name")?.as_str()).map(|name| Choice::Named(name.to_owned()))
    };
    let word = |word: &str| match word {
        "auto" => Some(Choice::Auto),
        "none" => Some(Choice::None),
        "required" | "any" => Some(Choice::Required),
        _ => None,
    };
    let (key, choice) = match (body.get("tool_choice"), body.get("function_call")) {
        (Some(choice), _) if !choice.is_null() => ("tool_choice", choice),
        (_, Some(choice)) => ("function_call", choice),
        _ => return Ok(None),
    };
    match choice {
        Value::Null => Ok(None),
        Value::String(text) => Ok(word(text)),
        Value::Object(_) => {
            let mode = choice.get("allowed_tools").and_then(|allowed| allowed.get("mode")?.as_str());
            Ok(mode.and_then(word).or_else(|| named(choice)))
        }
        _ => Err(Malformed::new(key, "is neither text nor an object")),
    }
}

fn read_tools(body: &Map<String, Value>) -> Result<Vec<Tool>, Malformed> {
    let list = |key| optional(body, key, Value::as_array, "is not a list");
    let mut tools = Vec::new();
    for (number, tool) in list("tools")?.into_iter().flatten().enumerate() {
        let at = format!("tools[{number}]");
        if !tool.is_object() {
            return Err(Malformed::new(at, "is not an object"));
        }
        if let Some(function) = tool.get("function") {
            tools.push(read_tool(function, format!("{at}.function"))?);
        } else if let Some(custom) = tool.get("custom") {
            tools.push(Tool { parameters: no_parameters(), ..read_tool(custom, format!("{at}.custom"))? });
        } else {
            // A tool of the provider's own, such as a search.
            let name = tool.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
            tools.push(Tool { name, description: String::new(), parameters: no_parameters() });
        }
    }
    for (number, function) in list("functions")?.into_iter().flatten().enumerate() {
        tools.push(read_tool(function, format!("functions[{number}]"))?);
    }
    Ok(tools)
}

fn read_tool(tool: &Value, at: String) -> Result<Tool, Malformed> {
    let Some(name) = tool.get("name").and_then(Value::as_str) else {
        return Err(Malformed::new(at, "has no name"));
    };
    let parameters = match tool.get("parameters") {
        None | Some(Value::Null) => no_parameters(),
        Some(parameters @ Value::Object(_)) => parameters.clone(),
        Some(_) => return Err(Malformed::new(format!("{at}.parameters"), "is not an object")),
    };
    let description = tool.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Tool { name: name.to_owned(), description, parameters })
}

fn no_parameters() -> Value {
    json!({"type": "object", "properties": {}})
}

fn read_messages(body: &Map<String, Value>) -> Result<Vec<Message>, Malformed> {
    let messages = match body.get("messages") {
        Some(Value::Array(messages)) => messages,
        Some(_) => return Err(Malformed::new("messages", "is not a list")),
        None => return Err(Malformed::new("messages", "is missing")),
    };
    let mut read: Vec<Message> = Vec::with_capacity(messages.len());
    let mut after_result = false;
    for (number, message) in messages.iter().enumerate() {
        let at = format!("messages[{number}]");
        let Value::Object(message) = message else {
            return Err(Malformed::new(at, "is not an object"));
        };
        let (role, parts) = read_message(message, &at)?;
        let is_result = matches!(parts.as_slice(), [Part::Result(_)]);
        // Results of parallel calls are one message in the neutral form.
        match read.last_mut().filter(|_| is_result && after_result) {
            Some(last) => last.parts.extend(parts),
            None => read.push(Message { role, parts }),
        }
        after_result = is_result;
    }
    Ok(read)
}

fn read_message(message: &Map<String, Value>, at: &str) -> Result<(Role, Vec<Part>), Malformed> {
    let content = content::read(message.get("content").unwrap_or(&Value::Null), &format!("{at}.content"))?;
    let result = |key, parts| {
        let id = message.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        (Role::User, vec![Part::Result(ToolResult { id, parts, failed: false })])
    };
    match message.get("role").and_then(Value::as_str) {
        Some("system" | "developer") => Ok((Role::System, content)),
        Some("user") => Ok((Role::User, content)),
        Some("assistant") => Ok((Role::Assistant, read_assistant(message, content, at)?)),
        Some("tool") => Ok(result("tool_call_id", content)),
        Some("function") => Ok(result("name", content)),
        Some(role) => Err(Malformed::new(format!("{at}.role"), format!("is `{role}`, which is no role"))),
        None => Err(Malformed::new(format!("{at}.role"), "is not text")),
    }
}

fn read_assistant(message: &Map<String, Value>, content: Vec<Part>, at: &str) -> Result<Vec<Part>, Malformed> {
    let field = |key| message.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut parts = Vec::new();
    if let Some(thoughts) = field("reasoning_content").or_else(|| field("reasoning")) {
        parts.push(Part::Reasoning(Reasoning { text: thoughts.to_owned(), signature: None }));
    }
    parts.extend(content);
    parts.extend(field("refusal").map(|text| Part::Text(text.to_owned())));
    match message.get("tool_calls") {
        None | Some(Value::Null) => {}
        Some(Value::Array(calls)) => {
            for (number, call) in calls.iter().enumerate() {
                let at = format!("{at}.tool_calls[{number}]");
                parts.push(Part::Call(Fragment::of_entry(call, &at)?.whole(&at)?));
            }
        }
        Some(_) => return Err(Malformed::new(format!("{at}.tool_calls"), "is not a list")),
    }
    if let Some(call) = message.get("function_call").filter(|call| !call.is_null()) {
        let at = format!("{at}.function_call");
        parts.push(Part::Call(Fragment::of_function_call(call, &at)?.whole(&at)?));
    }
    Ok(parts)
}
