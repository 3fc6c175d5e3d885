//! The policies in force, and what they would say.

use hyper::StatusCode;
use nanoclaw_config::{ModelRef, RuleSet};
use nanoclaw_policy::{Case, Engine, Session, Would, base_texts, compile, rule_set_texts};
use nanoclaw_request::Action;
use serde_json::{Value, json};
use std::sync::Arc;

use super::Api;
use super::answer::{self, Answer, Fault};
use super::call::no_such_cell;

impl Api {
    /// All of them, as `nanoclaw policy show` prints them.
    pub(super) fn policies(&self) -> Answer {
        let generation = self.plane.policies.current();
        let mut all: Vec<Value> = Vec::new();
        let mut add = |origin: &str, texts: Vec<String>| {
            all.extend(texts.into_iter().map(|text| json!({ "origin": origin, "text": text })));
        };
        add("nanoclaw", base_texts());
        for cell in generation.cells() {
            let rules = generation.rules(cell);
            let compiled = compile(cell, &rules.networks, rules.models.as_ref());
            add(&format!("agent {cell}"), compiled.into_iter().map(|policy| policy.text).collect());
        }
        for set in RuleSet::ALL {
            let cells: Vec<&str> = generation
                .cells()
                .filter(|cell| generation.rule_sets(cell).contains(&set))
                .map(|cell| cell.as_str())
                .collect();
            if !cells.is_empty() {
                add(&format!("rule set {} for {}", set.name(), cells.join(", ")), rule_set_texts(set));
            }
        }
        add("files", generation.written().texts().collect());
        answer::json(StatusCode::OK, &json!({ "generation": generation.number(), "policies": all }))
    }

    /// What they would say to a question.
    pub(super) fn explain(&self, case: Case) -> Result<Answer, Fault> {
        let generation = self.plane.policies.current();
        if !generation.cells().any(|cell| *cell == case.agent) {
            return Err(no_such_cell(case.agent.as_str()));
        }
        let mut action = case.action;
        if let Action::CallModel(call) = &mut action {
            // As the model door finds them.
            let own = generation.rules(&case.agent).models.and_then(|access| access.model);
            if let ("default", Some(own)) = (call.asked.as_str(), own) {
                call.asked = own;
            }
            let aliased = self.aliases.get(&call.asked).cloned();
            let candidates = aliased.unwrap_or_else(|| ModelRef::parse(&call.asked).into_iter().collect());
            call.candidates = candidates.iter().map(ModelRef::to_string).collect();
        }
        let session = Arc::new(Session::resumed(case.session));
        let would = Engine::of(self.plane.policies.clone(), case.agent, session).would(&action);
        let shown = match would {
            Ok(Would { policies, asking: None }) => {
                json!({ "decision": "allow", "policies": policies, "reason": "", "code": "", "help": "" })
            }
            Ok(Would { asking: Some(asking), .. }) => {
                json!({ "decision": "ask", "policies": asking.policies, "reason": asking.why, "code": "", "help": "" })
            }
            Err(refusal) => json!({
                "decision": "deny",
                "policies": [],
                "reason": refusal.reason,
                "code": refusal.code.name(),
                "help": refusal.help,
            }),
        };
        Ok(answer::json(StatusCode::OK, &shown))
    }
}
