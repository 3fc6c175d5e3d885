//! The list of models, in the format of whoever asks.

use serde_json::{Value, json};

/// The one model that the mock lists. It answers for every other name too.
const NAME: &str = "scripted-model";
/// When it came to be, in seconds since 1970.
const CREATED: u64 = 1_750_000_000;

/// Whose list it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lister {
    OpenAi,
    Anthropic,
    Gemini,
}

fn model(lister: Lister) -> Value {
    match lister {
        Lister::OpenAi => json!({ "id": NAME, "object": "model", "created": CREATED, "owned_by": "mock" }),
        Lister::Anthropic => json!({
            "type": "model",
            "id": NAME,
            "display_name": "Scripted Model",
            "created_at": "2025-06-15T15:06:40Z",
            "lifecycle": "active",
        }),
        Lister::Gemini => json!({
            "name": format!("models/{NAME}"),
            "displayName": "Scripted Model",
            "version": "1",
            "inputTokenLimit": 1_000_000,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent"],
        }),
    }
}

/// All models.
pub fn list(lister: Lister) -> Value {
    let models = [model(lister)];
    match lister {
        Lister::OpenAi => json!({ "object": "list", "data": models }),
        Lister::Anthropic => json!({ "data": models, "has_more": false, "first_id": NAME, "last_id": NAME }),
        Lister::Gemini => json!({ "models": models }),
    }
}

/// One model; `None` if it is not there.
pub fn one(lister: Lister, name: &str) -> Option<Value> {
    (name == NAME).then(|| model(lister))
}
