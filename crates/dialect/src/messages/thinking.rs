//! How long a model thinks. Models up to Claude 4.5, and other makers' models behind this dialect, take a budget of tokens
//! (`thinking: {type: enabled, budget_tokens}`); later Claude models weigh it themselves by a word (`thinking: {type:
//! adaptive}` with `output_config.effort`) and from 4.7 on refuse budgets.
//!
//! | effort | budget in tokens | read from budgets |
//! |---|---|---|
//! | minimal | `type: disabled` | |
//! | low | 2,048 | below 4,096 |
//! | medium | 8,192 | below 16,384 |
//! | high | 24,576 | from 16,384; also the efforts `xhigh` and `max` |

use serde_json::{Value, json};

use super::DEFAULT_MAX_TOKENS;
use crate::fields::{At, Fields};
use crate::{Choice, Effort, Malformed, Request};

/// The least budget that the API takes, in tokens.
const LEAST_BUDGET: u64 = 1024;

pub(super) fn read_effort(body: Fields<'_, '_>, root: &At<'_>) -> Result<Option<Effort>, Malformed> {
    let mut effort = None;
    if let Some(config) = body.get("output_config") {
        let at = At::Field(root, "output_config");
        let config = Fields::of(config, &at)?;
        effort = match config.text("effort")? {
            None => None,
            Some("low") => Some(Effort::Low),
            Some("medium") => Some(Effort::Medium),
            Some("high" | "xhigh" | "max") => Some(Effort::High),
            Some(_) => return Err(config.wrong("effort", "is none of low, medium, high, xhigh, max")),
        };
    }
    let Some(thinking) = body.get("thinking") else { return Ok(effort) };
    let at = At::Field(root, "thinking");
    let thinking = Fields::of(thinking, &at)?;
    match thinking.need_text("type")? {
        "disabled" => Ok(Some(Effort::Minimal)),
        "adaptive" => Ok(effort.or(Some(Effort::High))),
        "enabled" => {
            let budget =
                thinking.count("budget_tokens")?.ok_or_else(|| thinking.wrong("budget_tokens", "is missing"))?;
            Ok(Some(match budget {
                ..4_096 => Effort::Low,
                4_096..16_384 => Effort::Medium,
                16_384.. => Effort::High,
            }))
        }
        _ => Err(thinking.wrong("type", "is none of enabled, adaptive, disabled")),
    }
}

/// What a request says about thinking, and what goes with it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The field `thinking`.
    pub(super) thinking: Option<Value>,
    /// The field `output_config.effort`.
    pub(super) effort: Option<&'static str>,
    /// The field `max_tokens`, which thoughts count towards.
    pub(super) max_tokens: u64,
    /// Whether the model takes `temperature` and `top_p` with it.
    pub(super) samples: bool,
}

/// Plans it. `messages` are the written ones.
pub(super) fn plan(request: &Request, messages: &[Value]) -> Plan {
    let max_tokens = request.max_output.unwrap_or(DEFAULT_MAX_TOKENS);
    let plan = Plan { max_tokens, samples: !refuses_sampling(&request.model), ..Plan::default() };
    let (word, budget) = match request.effort {
        None => return plan,
        Some(Effort::Minimal) => return Plan { thinking: Some(json!({"type": "disabled"})), ..plan },
        Some(Effort::Low) => ("low", 2_048),
        Some(Effort::Medium) => ("medium", 8_192),
        Some(Effort::High) => ("high", 24_576),
    };
    let adaptive = weighs_itself(&request.model);
    let effort = adaptive.then_some(word);
    // A forced call leaves no room for thoughts: the API refuses both together.
    let forced = matches!(request.choice, Some(Choice::Required | Choice::Named(_))) && !request.tools.is_empty();
    // With a budget, the answer that the last results belong to must begin with signed thoughts.
    if forced || !adaptive && continues_without_thoughts(messages) {
        return Plan { effort, ..plan };
    }
    let max_tokens = request.max_output.unwrap_or(DEFAULT_MAX_TOKENS + budget);
    if adaptive {
        let thinking = Some(json!({"type": "adaptive", "display": "summarized"}));
        return Plan { thinking, effort, max_tokens, samples: false };
    }
    // Half of what may be written is left for the answer itself.
    let budget = budget.min(max_tokens / 2);
    if budget < LEAST_BUDGET {
        return plan;
    }
    Plan { thinking: Some(json!({"type": "enabled", "budget_tokens": budget})), effort, max_tokens, samples: false }
}

/// Makes a budget fit below `max_tokens`, as the API wants, or takes it away.
pub(super) fn fit_budget(body: &mut Value, max_tokens: u64) {
    let Some(thinking) = body.get_mut("thinking") else { return };
    let Some(budget) = thinking.get_mut("budget_tokens") else { return };
    if budget.as_u64().is_none_or(|budget| budget < max_tokens) {
        return;
    }
    if max_tokens > LEAST_BUDGET {
        *budget = (max_tokens - 1).into();
    } else {
        *thinking = json!({"type": "disabled"});
    }
}

fn continues_without_thoughts(messages: &[Value]) -> bool {
    let first_type =
        |message: &Value| -> Option<String> { Some(message.get("content")?.get(0)?.get("type")?.as_str()?.to_owned()) };
    let [.., answer, results] = messages else { return false };
    first_type(results).as_deref() == Some("tool_result") && first_type(answer).as_deref() != Some("thinking")
}

/// Claude models after 4.5. The older names are a closed list; what is not on it is newer.
fn weighs_itself(model: &str) -> bool {
    const OLDER: [&str; 9] =
        ["claude-1", "claude-2", "claude-instant", "claude-3", "-4-0", "-4-1", "-4-2025", "-4-5", "-4@2025"];
    model.contains("claude") && !OLDER.iter().any(|name| model.contains(name))
}

/// Claude models after 4.6.
fn refuses_sampling(model: &str) -> bool {
    weighs_itself(model) && !model.contains("-4-6")
}
