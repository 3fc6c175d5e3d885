//! Which models an agent may ask, and which tools they may call for it.

use nanoclaw_config::{ToolRule, glob};
use nanoclaw_request::{ModelCall, ModelOperation, ProposedCall, Refusal, RefusalCode};

use crate::{Engine, refuse};

impl Engine {
    /// A model is allowed where it is the agent's own, or a rule names it; `deny` wins, and names every model that an
    /// alias stands for.
    pub(crate) fn call_model(&self, call: &ModelCall) -> Result<Vec<String>, Refusal> {
        let Some(access) = &self.models else {
            return Err(refuse(
                RefusalCode::ModelNotAllowed,
                "this agent may ask no model".to_owned(),
                format!("to allow it, add `model: MODEL` to agent {}", self.cell),
            ));
        };
        if call.operation == ModelOperation::List {
            return Ok(vec![format!("agents.{}.models", self.cell)]);
        }
        let names = || std::iter::once(&call.asked).chain(&call.candidates);
        let rule = |list: &str, index: usize| format!("agents.{}.models.{list}[{index}]", self.cell);
        if let Some((index, name)) =
            access.deny.iter().enumerate().find_map(|(index, pattern)| {
                names().find(|name| glob::matches(pattern, name)).map(|name| (index, name))
            })
        {
            return Err(refuse(
                RefusalCode::ModelNotAllowed,
                format!("model `{name}` is denied by {}", rule("deny", index)),
                String::new(),
            ));
        }
        if access.model.as_ref() == Some(&call.asked) {
            return Ok(vec![format!("agents.{}.model", self.cell)]);
        }
        // An alias is allowed by its own name, or by the names of all that it stands for.
        let allowing = |name: &String| access.allow.iter().position(|pattern| glob::matches(pattern, name));
        if let Some(index) = allowing(&call.asked) {
            return Ok(vec![rule("allow", index)]);
        }
        let by_candidate: Option<Vec<usize>> = call.candidates.iter().map(allowing).collect();
        match by_candidate {
            Some(indices) if !indices.is_empty() => {
                let mut rules: Vec<String> = indices.into_iter().map(|index| rule("allow", index)).collect();
                rules.dedup();
                Ok(rules)
            }
            Some(_) | None => Err(refuse(
                RefusalCode::ModelNotAllowed,
                format!("no rule allows model `{}`", call.asked),
                format!("to allow it, add `models: {{ allow: [\"{}\"] }}` to agent {}", call.asked, self.cell),
            )),
        }
    }

    /// A tool call is allowed where no rule denies it and, if there are rules that allow, one of them does.
    pub(crate) fn tool_call(&self, call: &ProposedCall) -> Result<Vec<String>, Refusal> {
        let refused = |reason: String, help: String| Err(refuse(RefusalCode::ToolNotAllowed, reason, help));
        let Some(access) = &self.models else {
            return refused("this agent may ask no model".to_owned(), String::new());
        };
        // What cannot be read in one way only could be read by the agent in the way that is denied.
        let denies = |rule: &&ToolRule| glob::matches(&rule.name, &call.tool) && fits(rule, call).unwrap_or(true);
        if let Some(rule) = access.tools.deny.iter().find(denies) {
            return refused(format!("tool `{}` is denied by {}", call.tool, rule.id), String::new());
        }
        if call.at_provider {
            let named = |rule: &&ToolRule| rule.name == call.tool && rule.arguments.is_empty();
            return match access.tools.allow.iter().flatten().find(named) {
                Some(rule) => Ok(vec![rule.id.clone()]),
                None => refused(
                    format!("`{}` makes the provider reach out, which no rule allows", call.tool),
                    format!("to allow it, add `{}` to `tools: {{ allow: […] }}` of agent {}", call.tool, self.cell),
                ),
            };
        }
        let Some(allow) = &access.tools.allow else { return Ok(vec![format!("agents.{}.tools", self.cell)]) };
        let allows = |rule: &&ToolRule| glob::matches(&rule.name, &call.tool) && fits(rule, call).unwrap_or(false);
        match allow.iter().find(allows) {
            Some(rule) => Ok(vec![rule.id.clone()]),
            None if allow.iter().any(|rule| glob::matches(&rule.name, &call.tool)) => refused(
                format!("no rule allows tool `{}` with these arguments", call.tool),
                format!("see the `arguments` of the rules for it at agent {}", self.cell),
            ),
            None => refused(
                format!("no rule allows tool `{}`", call.tool),
                format!("to allow it, add `{}` to `tools: {{ allow: […] }}` of agent {}", call.tool, self.cell),
            ),
        }
    }
}

/// Whether the arguments are as the rule says; `None` where it asks about arguments that cannot be read.
fn fits(rule: &ToolRule, call: &ProposedCall) -> Option<bool> {
    if rule.arguments.is_empty() {
        return Some(true);
    }
    let arguments = call.arguments.as_ref()?;
    Some(
        rule.arguments
            .iter()
            .all(|(key, pattern)| arguments.iter().any(|(name, value)| name == key && glob::matches(pattern, value))),
    )
}

#[cfg(test)]
mod tests;
