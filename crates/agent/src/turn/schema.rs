//! Answers of a given form: the final answer of an order with a schema, and the steps of [`ToolMode::Schema`].
//!
//! [`ToolMode::Schema`]: crate::settings::ToolMode::Schema

use nanoclaw_dialect::{Format, Tool, ToolCall};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{MOST_BAD_STEPS, Step, Turn, TurnError, cut_short};
use crate::answer::Answer;
use crate::protocol::{AnswerPart, Ending, Entry, Event};
use crate::{conversation, prompt};

/// What `tool` says when the model is done.
const ANSWER: &str = "answer";

/// The final answer of an order.
pub(super) fn final_format(schema: &Value) -> Format {
    Format::Schema { name: ANSWER.to_owned(), schema: schema.clone(), strict: true }
}

/// A step: a call or the answer, which has the order's schema where there is one.
pub(super) fn step_format<'a>(tools: impl Iterator<Item = &'a Tool>, answer: Option<&Value>) -> Format {
    let names: Vec<&str> = tools.map(|tool| tool.name.as_str()).chain([ANSWER]).collect();
    let schema = json!({
        "type": "object",
        "properties": {
            "tool": {"type": "string", "enum": names},
            "arguments": {"type": "object"},
            "answer": answer.cloned().unwrap_or_else(|| json!({"type": "string"})),
        },
        "required": ["tool", "arguments", "answer"],
        "additionalProperties": false,
    });
    Format::Schema { name: "step".to_owned(), schema, strict: true }
}

/// A step as the model writes it. Where the order's schema is no text, neither is `answer`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    tool: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    #[serde(default)]
    answer: Value,
}

impl Turn<'_> {
    /// The end of a turn whose last answer must be JSON.
    pub(super) fn of_schema(&self) -> Result<Step, TurnError> {
        match serde_json::from_str::<Value>(&self.last) {
            Ok(_) => Ok(Step::Over(Ending::Answered)),
            Err(_) => Err(TurnError::NotOfSchema),
        }
    }

    /// What follows from an answer in schema mode.
    pub(super) async fn schema_step(&mut self, answer: &Answer) -> Result<Step, TurnError> {
        let words = conversation::text(&answer.parts);
        if let Some(ending) = cut_short(answer.stop.clone()) {
            self.tell_and_store(words).await?;
            return Ok(Step::Over(ending));
        }
        if self.agent.tools.current().tools().next().is_none() {
            self.tell_and_store(words).await?;
            return if self.schema.is_some() { self.of_schema() } else { Ok(Step::Over(Ending::Answered)) };
        }
        match serde_json::from_str::<Written>(&words) {
            Ok(written) if written.tool == ANSWER => {
                let text = match written.answer {
                    Value::String(text) if self.schema.is_none() => text,
                    value => value.to_string(),
                };
                self.tell_and_store(text).await?;
                Ok(Step::Over(Ending::Answered))
            }
            Ok(written) if self.agent.tools.offers(&written.tool) => self.schema_call(written).await,
            Ok(_) | Err(_) => {
                self.bad_steps += 1;
                if self.bad_steps > MOST_BAD_STEPS {
                    return Err(TurnError::NotOfSchema);
                }
                self.store_answer(vec![AnswerPart::Text { text: words }])?;
                self.store(Entry::Note { text: prompt::BAD_STEP.to_owned() })?;
                Ok(Step::On)
            }
        }
    }

    async fn schema_call(&mut self, written: Written) -> Result<Step, TurnError> {
        let id = format!("step_{}", self.session.count);
        let call = ToolCall { id, name: written.tool, arguments: Value::Object(written.arguments).to_string() };
        let ToolCall { id, name, arguments } = call.clone();
        self.store_answer(vec![AnswerPart::Call { id, name, arguments }])?;
        let calls = self.let_decide(vec![call]).await?;
        if calls.is_empty() { self.all_refused() } else { self.execute(calls).await }
    }

    async fn tell_and_store(&mut self, text: String) -> Result<(), TurnError> {
        self.events.tell(Event::Text { text: text.clone() }).await;
        self.store_answer(vec![AnswerPart::Text { text }])
    }
}
