//! Why a model may not be asked, or a tool not be called.

use nanoclaw_config::{ToolRule, glob};
use nanoclaw_request::{ModelCall, ProposedCall, Refusal, RefusalCode};

use super::Rules;
use crate::refuse;

impl Rules {
    pub(super) fn call_model(&self, call: &ModelCall) -> Refusal {
        if self.models.is_none() {
            return refuse(
                RefusalCode::ModelNotAllowed,
                "this agent may ask no model".to_owned(),
                format!("to allow it, add `model: MODEL` to agent {}", self.cell),
            );
        }
        refuse(
            RefusalCode::ModelNotAllowed,
            format!("no rule allows model `{}`", call.asked),
            format!("to allow it, add `models: {{ allow: [\"{}\"] }}` to agent {}", call.asked, self.cell),
        )
    }

    pub(super) fn tool_call(&self, call: &ProposedCall) -> Refusal {
        let refused = |reason: String, help: String| refuse(RefusalCode::ToolNotAllowed, reason, help);
        let Some(access) = &self.models else {
            return refused("this agent may ask no model".to_owned(), String::new());
        };
        let to_allow = format!("to allow it, add `{}` to `tools: {{ allow: […] }}` of agent {}", call.tool, self.cell);
        if call.at_provider {
            return refused(format!("`{}` makes the provider reach out, which no rule allows", call.tool), to_allow);
        }
        let by_name = |rule: &ToolRule| glob::matches(&rule.name, &call.tool);
        if access.tools.allow.iter().flatten().any(by_name) {
            return refused(
                format!("no rule allows tool `{}` with these arguments", call.tool),
                format!("see the `arguments` of the rules for it at agent {}", self.cell),
            );
        }
        refused(format!("no rule allows tool `{}`", call.tool), to_allow)
    }
}
