//! Why a model may not be asked, or a tool not be called.

use nanoclaw_config::{ToolRule, glob};
use nanoclaw_request::{ModelCall, ProposedCall, Refusal, RefusalCode};

use super::{Rules, is_plain};
use crate::refuse;

/// Said instead of a rule for such a name.
const NO_PLAIN_NAME: &str = "its name is no plain one, so that a rule could mean more than it";

impl Rules {
    pub(super) fn call_model(&self, call: &ModelCall) -> Refusal {
        if self.models.is_none() {
            return refuse(
                RefusalCode::ModelNotAllowed,
                "this agent may ask no model".to_owned(),
                format!("to allow it, add `model: MODEL` to agent {}", self.cell),
            );
        }
        let help = if is_plain(&call.asked) {
            format!("to allow it, add `models: {{ allow: [\"{}\"] }}` to agent {}", call.asked, self.cell)
        } else {
            NO_PLAIN_NAME.to_owned()
        };
        refuse(RefusalCode::ModelNotAllowed, format!("no rule allows model `{}`", call.asked), help)
    }

    pub(super) fn tool_call(&self, call: &ProposedCall) -> Refusal {
        let refused = |reason: String, help: String| refuse(RefusalCode::ToolNotAllowed, reason, help);
        let Some(access) = &self.models else {
            return refused("this agent may ask no model".to_owned(), String::new());
        };
        let to_allow = if !is_plain(&call.tool) {
            NO_PLAIN_NAME.to_owned()
        } else if access.tools.allow.is_none() {
            format!(
                "to allow it, name `{}` in `tools: {{ allow: […] }}` of agent {}, and all others that it may call",
                call.tool, self.cell
            )
        } else {
            format!("to allow it, add `{}` to `tools: {{ allow: […] }}` of agent {}", call.tool, self.cell)
        };
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
