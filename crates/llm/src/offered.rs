//! The tools that a request offers. A call for the agent must have the name of one of them, byte for byte: agents take
//! other names for those that they know (`EXEC`, ` exec `, `functions.exec`), and rules do not.

use std::collections::{HashMap, HashSet};

use nanoclaw_dialect::{Dialect, Request};
use nanoclaw_request::{Refusal, RefusalCode, Stage};
use serde_json::Value;

use crate::call::malformed;

/// The names that calls may have.
#[derive(Debug)]
pub(crate) struct Offered(HashSet<String>);

impl Offered {
    /// Those of a request, whose body is `body`. No two may be one for an agent that trims names or ignores case: then
    /// rules would speak of one, and the agent run the other.
    pub(crate) fn read(dialect: Dialect, body: &Value, request: &Request) -> Result<Self, Refusal> {
        let names = dialect.offered(body, request);
        let mut folded = HashMap::new();
        for name in &names {
            if let Some(other) = folded.insert(name.trim().to_lowercase(), name) {
                let (first, second) = (name.min(other), name.max(other));
                let what = "differ only in case or in white space; give one of them another name";
                return Err(malformed(format!("the tools `{first}` and `{second}` {what}")));
            }
        }
        Ok(Self(names))
    }

    /// Whether a call may have this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// Why a call of `name` does not pass.
pub(crate) fn not_offered(name: &str) -> Refusal {
    Refusal {
        stage: Stage::Inspect,
        code: RefusalCode::ToolNotAllowed,
        reason: format!("the request offers no tool of exactly the name `{name}`"),
        help: "call a tool by the name under which it is offered".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn offered(dialect: Dialect, tools: &Value) -> Result<Offered, Refusal> {
        let said = json!([{ "role": "user", "content": "x" }]);
        let body = json!({ "model": "m", "max_tokens": 9, "messages": said, "input": said, "tools": tools });
        Offered::read(dialect, &body, &dialect.read_request(&body).unwrap())
    }

    #[test]
    fn a_name_that_an_agent_would_take_for_another_is_not_offered() {
        let chat = json!([
            { "type": "function", "function": { "name": "exec" } },
            { "type": "custom", "custom": { "name": "patch" } },
        ]);
        let responses = json!([
            { "type": "function", "name": "exec" }, { "type": "custom", "name": "patch" }, { "type": "local_shell" },
            { "type": "namespace", "name": "n", "tools": [{ "type": "function", "name": "inner" }] },
        ]);
        let messages = json!([{ "name": "exec" }, { "type": "custom", "name": "patch" }]);
        for (dialect, tools) in
            [(Dialect::Chat, &chat), (Dialect::Responses, &responses), (Dialect::Messages, &messages)]
        {
            let offered = offered(dialect, tools).unwrap();
            assert!(offered.has("exec") && offered.has("patch"), "{dialect:?}");
            for name in ["EXEC", " exec ", "functions.exec", "tools.exec", "functions/exec", "", "local_shell", "n"] {
                assert!(!offered.has(name), "{dialect:?}: {name}");
            }
        }
        let own = offered(Dialect::Responses, &responses).unwrap();
        assert!(own.has("local_shell_call") && own.has("inner") && !own.has("shell_call"));
        assert!(!offered(Dialect::Chat, &json!([])).unwrap().has("exec"));
    }

    #[test]
    fn two_names_that_an_agent_would_take_for_one_are_refused() {
        for other in ["EXEC", " exec", "Exec\u{a0}"] {
            let refusal = offered(Dialect::Messages, &json!([{ "name": "exec" }, { "name": other }])).unwrap_err();
            assert!(refusal.reason.contains("differ only in case"), "{refusal}");
        }
        assert!(offered(Dialect::Messages, &json!([{ "name": "exec" }, { "name": "exec2" }])).is_ok());
    }
}
