//! What a person states about policies.
//!
//! ```text
//! never-errors
//! never analyst net_connect when !(resource.name like "*.bank.example")
//! never group:night tool_call unasked when resource.pays
//! ```

use std::path::Path;
use std::str::FromStr as _;

use cedar_policy::Expression;
use nanoclaw_policy::AGENT_ACTIONS;
use nanoclaw_policy::{Generation, Written, too_deep};
use nanoclaw_request::CellId;

use crate::real::always;

/// Longest statement in bytes.
pub const MAX_STATEMENT: usize = 16 * 1024;

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// No policy fails while it is evaluated.
    NeverErrors,
    /// No such request is allowed.
    Never(Never),
}

/// That something is never allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Never {
    /// To whom.
    pub who: Who,
    /// What: one of [`AGENT_ACTIONS`].
    pub action: &'static str,
    /// Whether it may be allowed where people agree.
    pub unasked: bool,
    /// Which requests, in Cedar; `None` means all.
    pub when: Option<String>,
}

/// Whom a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// One agent.
    Agent(CellId),
    /// The agents of a group.
    Group(String),
    /// All agents.
    Any,
}

/// Why a text is no statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct StatementError {
    message: String,
    help: String,
}

fn wrong(message: impl Into<String>, help: impl Into<String>) -> StatementError {
    StatementError { message: message.into(), help: help.into() }
}

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(char::is_whitespace).unwrap_or((text, ""))
}

impl Statement {
    /// Whether a text is meant to be a statement.
    pub fn begins(text: &str) -> bool {
        matches!(word(text).0, "never" | "never-errors")
    }

    /// Reads `never-errors` or `never AGENT|group:GROUP|any ACTION [unasked] [when EXPRESSION]`.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let form = "write `never AGENT|group:GROUP|any ACTION [unasked] [when EXPRESSION]` or `never-errors`";
        if text.len() > MAX_STATEMENT {
            return Err(wrong(format!("it is longer than {MAX_STATEMENT} bytes"), "state less at once"));
        }
        let (first, rest) = word(text.trim_end());
        match (first, rest.trim()) {
            ("never-errors", "") => return Ok(Self::NeverErrors),
            ("never", rest) if !rest.is_empty() => {}
            _ => return Err(wrong(format!("`{first}` begins no statement"), form)),
        }
        let (who, rest) = word(rest);
        let who = match (who, who.strip_prefix("group:")) {
            ("any", _) => Who::Any,
            (_, Some(group)) => Who::Group(group.to_owned()),
            (agent, None) => {
                let agent = CellId::parse(agent);
                Who::Agent(agent.map_err(|error| wrong(format!("`{who}`: {error}"), "write an agent's id"))?)
            }
        };
        let (action, rest) = word(rest);
        let Some(action) = AGENT_ACTIONS.into_iter().find(|known| *known == action) else {
            return Err(wrong(
                format!("`{action}` is no action of an agent"),
                format!("actions are {}", AGENT_ACTIONS.join(", ")),
            ));
        };
        let (unasked, rest) = match word(rest) {
            ("unasked", rest) => (true, rest),
            _ => (false, rest),
        };
        let when = match word(rest) {
            ("", _) => None,
            ("when", expression) => Some(expression.trim().to_owned()),
            (other, _) => return Err(wrong(format!("`{other}` is unexpected"), form)),
        };
        // One expression and nothing else: it is put into a policy.
        if let Some(when) = &when {
            let place = Path::new("statement");
            if let Some(error) = too_deep(place, when) {
                return Err(wrong(error.message, "state less at once"));
            }
            Expression::from_str(when).map_err(|error| {
                wrong(format!("`{when}`: {error}"), "write what stands between the braces of `when { }` in Cedar")
            })?;
            // What holds for every such request is known, such as that a connection has a port.
            let known = always(action).join(") && (");
            let policy = format!(
                "permit(principal is Agent, action == Action::\"{action}\", resource) when {{ ({known}) && ({when}\n) }};"
            );
            Written::read([(place, policy.as_str())]).map_err(|errors| {
                let said: Vec<String> = errors.into_iter().map(|error| error.message).collect();
                let help = "`nanoclaw policy schema` says what policies can speak about";
                wrong(format!("`{when}`: {}", said.join("; ")), help)
            })?;
        }
        Ok(Self::Never(Never { who, action, unasked, when }))
    }
}

impl Never {
    /// The agents that it is about.
    ///
    /// # Errors
    /// There is none.
    pub fn agents(&self, generation: &Generation) -> Result<Vec<CellId>, StatementError> {
        let is = |id: &CellId| match &self.who {
            Who::Agent(agent) => id == agent,
            Who::Group(group) => generation.rules(id).models.and_then(|models| models.group).as_ref() == Some(group),
            Who::Any => true,
        };
        let agents: Vec<CellId> = generation.cells().filter(|id| is(id)).cloned().collect();
        if !agents.is_empty() {
            return Ok(agents);
        }
        Err(match &self.who {
            Who::Agent(agent) => wrong(format!("the configuration has no agent `{agent}`"), "write an agent's id"),
            Who::Group(group) => {
                wrong(format!("no agent of the configuration is in group `{group}`"), "write the name of another")
            }
            Who::Any => wrong("the configuration has no agents", "add one"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Statement, String> {
        Statement::parse(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_statement_is_read_whole_or_not_at_all() {
        assert_eq!(parse(" never-errors "), Ok(Statement::NeverErrors));
        let when = "!(resource.name like \"*.bank.example\")";
        let expected = Never {
            who: Who::Group("night".to_owned()),
            action: "net_connect",
            unasked: true,
            when: Some(when.to_owned()),
        };
        assert_eq!(
            parse(&format!("never group:night  net_connect unasked when {when}")),
            Ok(Statement::Never(expected))
        );
        for (text, expected) in [
            ("always", "`always` begins no statement"),
            ("never", "`never` begins no statement"),
            ("never-errors today", "`never-errors` begins no statement"),
            ("never A! exec", "`A!`"),
            ("never a fly", "`fly` is no action"),
            ("never a agent_manage", "`agent_manage` is no action"),
            ("never a exec where true", "`where` is unexpected"),
            ("never a exec when", "``"),
            ("never a exec when resource.pth == \"x\"", "`pth`"),
            ("never a exec when resource.path == 1", "types"),
            (&format!("never a exec when {}true{}", "(".repeat(3000), ")".repeat(3000)), "nests deeper"),
            ("never a exec when true }; permit(principal, action, resource) when { true", "`true };"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(
            parse(&format!("never a exec when {}", "!".repeat(MAX_STATEMENT))).unwrap_err().contains("16384 bytes")
        );
    }
}
