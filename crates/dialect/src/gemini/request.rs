//! Reading requests.

use serde_json::{Value, json};

use super::part::{Ids, marked_id, read_part};
use crate::fields::{At, Fields};
use crate::{Choice, Effort, Format, Malformed, Message, Part, Request, Role, Tool, ToolResult};

/// Reads a request. The model and whether the answer is streamed stand in the path, so they are not set here.
///
/// # Errors
/// The body is no request of this dialect.
pub fn read_request(body: &Value) -> Result<Request, Malformed> {
    let root = At::Root;
    let fields = Fields::of(body, &root)?;
    let mut request = Request::default();
    let mut ids = Ids::default();
    if let Some(system) = fields.get("systemInstruction") {
        let at = At::Field(&root, "systemInstruction");
        let mut parts = Vec::new();
        read_parts(Fields::of(system, &at)?, &at, &mut ids, &mut Vec::new(), &mut parts)?;
        request.messages.push(Message { role: Role::System, parts });
    }
    let at = At::Field(&root, "contents");
    // Calls without a result yet, oldest first: results without an id belong to the first of their name.
    let mut waiting = Vec::new();
    for (index, content) in fields.list("contents")?.iter().enumerate() {
        let at = At::Item(&at, index);
        let content = Fields::of(content, &at)?;
        let role = match content.text("role")? {
            Some("user" | "function") | None => Role::User,
            Some("model") => Role::Assistant,
            Some(_) => return Err(content.wrong("role", "is neither user nor model")),
        };
        let mut parts = Vec::new();
        read_parts(content, &at, &mut ids, &mut waiting, &mut parts)?;
        match request.messages.last_mut() {
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => request.messages.push(Message { role, parts }),
        }
    }
    request.tools = read_tools(fields, &root)?;
    request.choice = read_choice(fields, &root)?;
    read_generation(fields, &root, &mut request)?;
    Ok(request)
}

fn read_parts(
    content: Fields<'_, '_>,
    at: &At<'_>,
    ids: &mut Ids,
    waiting: &mut Vec<(String, String)>,
    parts: &mut Vec<Part>,
) -> Result<(), Malformed> {
    let at = At::Field(at, "parts");
    for (index, part) in content.list("parts")?.iter().enumerate() {
        let at = At::Item(&at, index);
        let part = Fields::of(part, &at)?;
        if let Some(result) = part.get("functionResponse") {
            let at = At::Field(&at, "functionResponse");
            parts.push(Part::Result(read_result(Fields::of(result, &at)?, waiting)?));
            continue;
        }
        let before = parts.len();
        read_part(part, &at, ids, parts)?;
        waiting.extend(parts.iter().skip(before).filter_map(|part| match part {
            Part::Call(call) => Some((call.name.clone(), call.id.clone())),
            _ => None,
        }));
    }
    Ok(())
}

fn read_result(result: Fields<'_, '_>, waiting: &mut Vec<(String, String)>) -> Result<ToolResult, Malformed> {
    let name = result.need_text("name")?;
    let given = result.text("id")?.map(marked_id);
    let place = waiting.iter().position(|(of, id)| given.as_ref().map_or(of == name, |given| given == id));
    let found = place.map(|place| waiting.remove(place).1);
    let response = result.get("response");
    let text = |key: &str| response.and_then(|response| response.get(key)).and_then(Value::as_str);
    let (words, failed) = match (text("output"), text("error"), response) {
        (Some(output), _, _) => (output.to_owned(), false),
        (None, Some(error), _) => (error.to_owned(), true),
        (None, None, Some(other)) => (other.to_string(), false),
        (None, None, None) => (String::new(), false),
    };
    let parts = if words.is_empty() { Vec::new() } else { vec![Part::Text(words)] };
    Ok(ToolResult { id: given.or(found).unwrap_or_else(|| name.to_owned()), parts, failed })
}

/// Functions of the agent by name and schema; what the provider itself executes by the name of its field.
fn read_tools(fields: Fields<'_, '_>, root: &At<'_>) -> Result<Vec<Tool>, Malformed> {
    let at = At::Field(root, "tools");
    let mut tools = Vec::new();
    for (index, tool) in fields.list("tools")?.iter().enumerate() {
        let at = At::Item(&at, index);
        let inner = Fields::of(tool, &at)?;
        for name in tool.as_object().into_iter().flatten().map(|(name, _)| name) {
            if name != "functionDeclarations" {
                let parameters = json!({"type": "object"});
                tools.push(Tool { name: name.clone(), description: String::new(), parameters });
            }
        }
        let at = At::Field(&at, "functionDeclarations");
        for (index, function) in inner.list("functionDeclarations")?.iter().enumerate() {
            let at = At::Item(&at, index);
            let function = Fields::of(function, &at)?;
            let given = ["parametersJsonSchema", "parameters"]
                .into_iter()
                .find_map(|name| function.get(name).map(|schema| (name, schema)));
            let parameters = match given {
                None => json!({"type": "object"}),
                Some((_, schema)) if schema.is_object() => schema.clone(),
                Some((name, _)) => return Err(function.wrong(name, "is not an object")),
            };
            tools.push(Tool {
                name: function.need_text("name")?.to_owned(),
                description: function.text("description")?.unwrap_or_default().to_owned(),
                parameters,
            });
        }
    }
    Ok(tools)
}

fn read_choice(fields: Fields<'_, '_>, root: &At<'_>) -> Result<Option<Choice>, Malformed> {
    let Some(config) = fields.get("toolConfig").and_then(|config| config.get("functionCallingConfig")) else {
        return Ok(None);
    };
    let at = At::Field(root, "toolConfig");
    let at = At::Field(&at, "functionCallingConfig");
    let config = Fields::of(config, &at)?;
    let names = config.texts("allowedFunctionNames")?;
    Ok(Some(match (config.text("mode")?, names.as_slice()) {
        (Some("ANY"), [only]) => Choice::Named(only.clone()),
        (Some("ANY"), _) => Choice::Required,
        (Some("NONE"), _) => Choice::None,
        (Some("AUTO" | "VALIDATED" | "MODE_UNSPECIFIED") | None, _) => Choice::Auto,
        (Some(_), _) => return Err(config.wrong("mode", "is none of AUTO, ANY, NONE, VALIDATED")),
    }))
}

fn read_generation(fields: Fields<'_, '_>, root: &At<'_>, request: &mut Request) -> Result<(), Malformed> {
    let Some(config) = fields.get("generationConfig") else { return Ok(()) };
    let at = At::Field(root, "generationConfig");
    let config = Fields::of(config, &at)?;
    request.max_output = config.count("maxOutputTokens")?;
    request.temperature = config.number("temperature")?;
    request.top_p = config.number("topP")?;
    request.stop = config.texts("stopSequences")?;
    let schema = config.get("responseJsonSchema").or(config.get("responseSchema"));
    request.format = match (schema, config.text("responseMimeType")?) {
        (Some(schema), _) => Some(Format::Schema { name: "answer".into(), schema: schema.clone(), strict: true }),
        (None, Some("application/json")) => Some(Format::Json),
        (None, _) => None,
    };
    if let Some(thinking) = config.get("thinkingConfig") {
        let at = At::Field(&at, "thinkingConfig");
        request.effort = read_thinking(Fields::of(thinking, &at)?)?;
    }
    Ok(())
}

fn read_thinking(thinking: Fields<'_, '_>) -> Result<Option<Effort>, Malformed> {
    if let Some(level) = thinking.text("thinkingLevel")? {
        return match level.to_ascii_lowercase().as_str() {
            "minimal" => Ok(Some(Effort::Minimal)),
            "low" => Ok(Some(Effort::Low)),
            "medium" => Ok(Some(Effort::Medium)),
            "high" => Ok(Some(Effort::High)),
            _ => Err(thinking.wrong("thinkingLevel", "is none of minimal, low, medium, high")),
        };
    }
    // A budget of -1 leaves it to the model.
    let budget = thinking.get("thinkingBudget").and_then(Value::as_u64);
    Ok(budget.map(|budget| match budget {
        ..1_024 => Effort::Minimal,
        1_024..4_096 => Effort::Low,
        4_096..16_384 => Effort::Medium,
        16_384.. => Effort::High,
    }))
}
