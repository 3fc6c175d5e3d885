//! JSON Schema, reduced to what llama-server's converter to grammars understands.
//!
//! What is left out only makes the schema allow more: a tool checks its arguments anyway.

use serde_json::{Map, Value, json};

/// Deepest nesting that is kept; below it anything goes.
const DEEPEST: usize = 12;
/// About how many bytes of schemas are kept, all tools of a request together; behind that anything goes. References are
/// written out, so a short request could ask for very many.
const MOST_BYTES: usize = 256 * 1024;
/// What a schema counts besides the names and values in it, in bytes.
const ONE_SCHEMA: usize = 64;
/// Most types that one schema may name; there are seven.
const MOST_KINDS: usize = 7;
/// Most entries that `minItems` and `maxItems` may ask for: the grammar has a rule for each.
const MOST_COUNTED: u64 = 64;

/// The schemas of the arguments of each tool, which must be objects.
pub(super) fn arguments<'a>(tools: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
    let mut left = MOST_BYTES;
    let one = |root| {
        let mut simplifier = Simplifier { root, left };
        let simple = simplifier.simple(root, 0);
        left = simplifier.left;
        if simple.get("type").is_some_and(|kind| kind == "object") { simple } else { json!({ "type": "object" }) }
    };
    tools.into_iter().map(one).collect()
}

/// The schema of any value. The converter takes an empty one for that of an object.
fn any() -> Value {
    json!({ "type": ["string", "number", "boolean", "object", "array", "null"] })
}

struct Simplifier<'a> {
    root: &'a Value,
    /// Bytes that may still be kept.
    left: usize,
}

impl Simplifier<'_> {
    /// Whether so much may still be kept. If not, nothing more may.
    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or_default();
        left.is_some()
    }

    fn spend_on(&mut self, value: &Value) -> bool {
        self.left > 0 && self.spend(value.to_string().len())
    }

    fn simple(&mut self, schema: &Value, depth: usize) -> Value {
        let Value::Object(schema) = schema else { return any() };
        if depth > DEEPEST || !self.spend(ONE_SCHEMA) {
            return any();
        }
        if let Some(Value::String(reference)) = schema.get("$ref") {
            let root = self.root;
            let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
            return target.map_or_else(any, |target| self.simple(target, depth + 1));
        }
        if let Some(value) = schema.get("const") {
            return if self.spend_on(value) { json!({ "const": value }) } else { any() };
        }
        if let Some(values @ Value::Array(list)) = schema.get("enum")
            && !list.is_empty()
        {
            return if self.spend_on(values) { json!({ "enum": values }) } else { any() };
        }
        match schema.get("type") {
            Some(Value::Array(kinds)) if kinds.len() <= MOST_KINDS => {
                let one = |kind: &Value| match kind.as_str() {
                    Some(kind) if self.spend(ONE_SCHEMA) => self.typed(kind, schema, depth),
                    _ => any(),
                };
                choice(kinds.iter().map(one).collect())
            }
            Some(Value::String(kind)) => self.typed(kind, schema, depth),
            _ if schema.contains_key("properties") => self.object(schema, depth),
            _ if schema.contains_key("items") => self.array(schema, depth),
            _ => self.combined(schema, depth),
        }
    }

    fn typed(&mut self, kind: &str, schema: &Map<String, Value>, depth: usize) -> Value {
        match kind {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" | "number" | "integer" | "boolean" | "null" => json!({ "type": kind }),
            _ => any(),
        }
    }

    fn object(&mut self, schema: &Map<String, Value>, depth: usize) -> Value {
        let mut simple = Map::from_iter([("type".to_owned(), json!("object"))]);
        let further = schema.get("additionalProperties").filter(|further| further.is_object());
        let further = further.map(|further| self.simple(further, depth + 1));
        match schema.get("properties").and_then(Value::as_object) {
            // Where there is no room for all of them, there is none for a part.
            Some(properties)
                if !properties.is_empty() && self.spend(properties.keys().map(|key| key.len() + ONE_SCHEMA).sum()) =>
            {
                let known: Map<String, Value> =
                    properties.iter().map(|(name, value)| (name.clone(), self.simple(value, depth + 1))).collect();
                let required: Vec<&Value> =
                    schema.get("required").and_then(Value::as_array).into_iter().flatten().collect();
                let required =
                    required.into_iter().filter(|name| name.as_str().is_some_and(|name| known.contains_key(name)));
                simple.insert("required".to_owned(), required.cloned().collect());
                simple.insert("properties".to_owned(), Value::Object(known));
                // Small models invent arguments where they may.
                simple.insert("additionalProperties".to_owned(), further.unwrap_or(Value::Bool(false)));
            }
            _ => {
                simple.extend(further.map(|further| ("additionalProperties".to_owned(), further)));
            }
        }
        Value::Object(simple)
    }

    fn array(&mut self, schema: &Map<String, Value>, depth: usize) -> Value {
        let items = match schema.get("items") {
            Some(items @ Value::Object(_)) => self.simple(items, depth + 1),
            _ => any(),
        };
        let mut simple = Map::from_iter([("type".to_owned(), json!("array")), ("items".to_owned(), items)]);
        let count = |key: &str| schema.get(key).and_then(Value::as_u64).filter(|count| *count <= MOST_COUNTED);
        let (least, most) = (count("minItems"), count("maxItems"));
        simple.extend(
            least.filter(|least| most.is_none_or(|most| *least <= most)).map(|n| ("minItems".to_owned(), n.into())),
        );
        simple.extend(most.filter(|most| *most > 0).map(|n| ("maxItems".to_owned(), n.into())));
        Value::Object(simple)
    }

    /// A schema that says its type elsewhere.
    fn combined(&mut self, schema: &Map<String, Value>, depth: usize) -> Value {
        for key in ["anyOf", "oneOf"] {
            if let Some(Value::Array(choices)) = schema.get(key)
                && self.spend(choices.len() * ONE_SCHEMA)
            {
                return choice(choices.iter().map(|one| self.simple(one, depth + 1)).collect());
            }
        }
        match schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            Some([one]) => self.simple(one, depth + 1),
            _ => any(),
        }
    }
}

fn choice(mut choices: Vec<Value>) -> Value {
    match choices.len() {
        0 => any(),
        1 => choices.swap_remove(0),
        _ => json!({ "anyOf": choices }),
    }
}
