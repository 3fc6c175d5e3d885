//! Sessions that are played through the path of the model door, without a door and a model: what was said is observed,
//! calls are traced, and policy decides, by the same functions. Nobody is asked and nothing is recorded.

use nanoclaw_config::{Agent, Label};
use nanoclaw_dialect::{Message, Part, Request, Role, ToolCall, ToolResult};
use nanoclaw_identity::CellSockets;
use nanoclaw_policy::{Engine, Policies, Verdict};
use nanoclaw_request::{Arrived, Door, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::propose;
use crate::inspect::Pipeline;
use crate::models::is_told;
use crate::provenance::Provenance;
use crate::trace::{Conversation, trace};

/// A session as it went.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Played {
    /// Its name.
    pub id: String,
    /// What the user says.
    pub user: String,
    /// What the model does then.
    pub steps: Vec<Step>,
}

/// A call, and what it gave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The call.
    pub call: PlayedCall,
    /// The text of its result.
    #[serde(default)]
    pub result: String,
}

/// A call that a model proposes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlayedCall {
    /// The tool.
    pub name: String,
    /// An object, or the text that the model wrote.
    #[serde(default)]
    pub arguments: Value,
}

/// What would have been decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The session's name.
    pub id: String,
    /// On each call.
    pub decisions: Vec<Decision>,
    /// What the session has read at its end.
    pub labels: Label,
}

/// What would have been decided on a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The tool.
    pub tool: String,
    /// In one word.
    pub decision: Decided,
    /// The ids of the policies that permit, ask or forbid.
    pub policies: Vec<String>,
    /// Why people are asked or it is refused; empty where it is allowed.
    pub reason: String,
}

/// A decision in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decided {
    /// The call passes.
    Allow,
    /// It passes if people agree.
    Ask,
    /// It does not pass.
    Deny,
}

/// Plays sessions of one agent.
pub struct Replay {
    engine: Engine,
    sockets: CellSockets,
    told: bool,
    pipeline: Pipeline,
}

impl Replay {
    /// For `agent`, by the policies in force.
    pub fn new(policies: Policies, agent: &Agent) -> Self {
        Self {
            engine: Engine::of(policies, agent.id.clone(), std::sync::Arc::default()),
            sockets: CellSockets::of(agent.id.clone(), SessionId::from_random([0; 16])),
            told: is_told(&agent.kind),
            pipeline: Pipeline::new([]),
        }
    }

    /// Plays one session, which begins with nothing read. Results are read whatever was decided.
    pub fn play(&self, played: Played) -> Replayed {
        let session = self.engine.session();
        session.reset();
        let provenance = Provenance::new(self.told);
        if self.told {
            session.read(self.engine.hear(self.engine.policies().current().labels().users.operator, &played.user));
        }
        let mut request = Request { messages: vec![Message::text(Role::User, played.user)], ..Request::default() };
        let mut decisions = Vec::new();
        for (number, Step { call, result }) in played.steps.into_iter().enumerate() {
            let arguments = match call.arguments {
                Value::String(text) => text,
                Value::Null => String::new(),
                other => other.to_string(),
            };
            let call = ToolCall { id: format!("call_{number}"), name: call.name, arguments };
            let (decision, conversation) = self.decide(&provenance, request, &call);
            if decision.decision != Decided::Deny {
                session.read(provenance.called(&self.engine, &call));
            }
            decisions.push(decision);
            request = conversation.request;
            let result = ToolResult { id: call.id.clone(), parts: vec![Part::Text(result)], failed: false };
            request.messages.push(Message { role: Role::Assistant, parts: vec![Part::Call(call)] });
            request.messages.push(Message { role: Role::User, parts: vec![Part::Result(result)] });
        }
        session.read(provenance.observe(&request, &self.engine).label);
        Replayed { id: played.id, decisions, labels: session.label() }
    }

    /// Decides on a call that a model proposes in answer to `request`.
    fn decide(&self, provenance: &Provenance, request: Request, call: &ToolCall) -> (Decision, Conversation) {
        let session = self.engine.session();
        let observed = provenance.observe(&request, &self.engine);
        session.read(observed.label);
        let conversation = Conversation::new(request, observed);
        let looked_at = propose(&self.pipeline, call.clone(), true, |arguments| match self.engine.looks_at_values() {
            true => trace(arguments, &session.words(), Some(&conversation)),
            false => Vec::new(),
        });
        let proposal = self.sockets.identify(Arrived::now(Door::Model, looked_at)).propose(|looked_at| looked_at);
        let (decision, policies, reason) = match self.engine.judge(proposal) {
            Ok(Verdict::Allowed(permit)) => (Decided::Allow, permit.rules().to_vec(), String::new()),
            Ok(Verdict::Refused(declined)) => {
                (Decided::Deny, declined.policies().to_vec(), declined.refusal().to_string())
            }
            Err(asked) => (Decided::Ask, asked.policies().to_vec(), asked.why().to_owned()),
        };
        (Decision { tool: call.name.clone(), decision, policies, reason }, conversation)
    }
}
