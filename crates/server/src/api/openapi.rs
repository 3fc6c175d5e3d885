//! The API's own description (OpenAPI 3.1), made from the table of routes.

use serde_json::{Map, Value, json};

use super::routes::{Gives, ROUTES, Route, Serves};
use super::schema;

/// The document. It says what there is, and holds nothing that is not the same for every installation of this version.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "NanoClaw control plane",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Steers a fleet of agents. A client certificate of the internal authority says who calls; a \
                            bearer token on top of it counts instead, where there is one.",
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": { "Problem": schema::problem().into_json() },
            "securitySchemes": {
                "certificate": { "type": "mutualTLS" },
                "token": { "type": "http", "scheme": "bearer" },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.about,
        "parameters": parameters(route),
        "responses": responses(route),
        "security": match route.serves {
            Serves::Operators(_) => json!([{ "certificate": [] }, { "certificate": [], "token": [] }]),
            Serves::Strangers(_) => json!([]),
        },
    });
    if let (Some(takes), Value::Object(members)) = (route.takes, &mut operation) {
        let content = json!({ "application/json": { "schema": takes().into_json() } });
        members.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let parts = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parts = parts.map(|name| {
        let of = if route.path.starts_with("/v1/tokens") { "token" } else { name };
        json!({ "name": name, "in": "path", "required": true, "schema": schema::part(of).into_json() })
    });
    let query = route.query.iter().map(|parameter| {
        let schema = (parameter.schema)().into_json();
        json!({ "name": parameter.name, "in": "query", "description": parameter.about, "schema": schema })
    });
    parts.chain(query).collect()
}

fn stream(kind: &str, item: Value) -> Value {
    json!({ kind: { "schema": { "type": "string" }, "x-item-schema": item } })
}

fn responses(route: &Route) -> Value {
    let of = |kind: &str, schema: Value| json!({ kind: { "schema": schema } });
    let (status, content) = match &route.gives {
        Gives::Json(status, schema) => (*status, of("application/json", schema().into_json())),
        Gives::Text(kind) => (200, of(kind, json!({ "type": "string" }))),
        // OpenAPI 3.1 has no word for what a stream consists of; 3.2 has `itemSchema`.
        Gives::Lines(schema) => (200, stream("application/x-ndjson", schema().into_json())),
        Gives::Events(schema) => (200, stream("text/event-stream", schema().into_json())),
        Gives::Nothing(status) => (*status, Value::Null),
    };
    let mut done = json!({ "description": "It is done." });
    if let (Value::Object(members), false) = (&mut done, content.is_null()) {
        members.insert("content".to_owned(), content);
    }
    let problem = json!({
        "description": "It is not done, and why.",
        "content": of("application/problem+json", json!({ "$ref": "#/components/schemas/Problem" })),
    });
    let mut responses = Map::new();
    responses.insert(status.to_string(), done);
    responses.insert("4XX".to_owned(), problem.clone());
    responses.insert("5XX".to_owned(), problem);
    Value::Object(responses)
}
