//! The policies that can matter to one agent, by action, and the asking itself.
//!
//! Cedar looks at every policy of the set that it is given. So each question is put to those only that can hold: of the
//! configuration's rules, the ones whose pattern describes the resource; of all others, the ones for this action and
//! this agent. Leaving out what cannot hold changes no answer; a property test compares with asking everything.

use std::collections::HashMap;

use cedar_policy::{
    ActionConstraint, Authorizer, Decision, Entities, EntityUid, Policy, PolicySet, PrincipalConstraint, Request,
    Response,
};
use nanoclaw_config::glob;

use crate::ask::{Principal, Question};
use crate::compile::Compiled;
use crate::language::Language;

/// The annotation of a policy that forbids unless people agree. Its value says why, for them.
pub(crate) const ASK: &str = "ask";

/// What Cedar answers to one question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Permitted by these policies, if people agree where these others ask for it.
    Permitted {
        /// Who permits.
        by: Vec<String>,
        /// Who asks.
        asking: Vec<String>,
    },
    /// Forbidden, by these policies.
    Forbidden(Vec<String>),
    /// No policy permits it.
    Nothing,
    /// A policy could not be evaluated, so nobody knows what it would have said.
    Failed(String),
}

impl Answer {
    /// The policies that ask people.
    pub(crate) fn asking(&self) -> &[String] {
        match self {
            Answer::Permitted { asking, .. } => asking,
            Answer::Forbidden(_) | Answer::Nothing | Answer::Failed(_) => &[],
        }
    }
}

/// The policies for one action.
#[derive(Clone, Debug, Default)]
struct Slice {
    /// Looked at for every resource.
    always: PolicySet,
    /// Those that forbid unless people agree; looked at for what all others permit.
    asking: PolicySet,
    /// Looked at for the resources whose name the pattern describes.
    named: Vec<(String, PolicySet)>,
}

/// The policies that can matter to one agent.
#[derive(Clone, Debug)]
pub(crate) struct Slices {
    by_action: HashMap<&'static str, (EntityUid, Slice)>,
    /// Why policies ask people, by id.
    why: HashMap<String, String>,
}

/// What agents do.
pub const AGENT_ACTIONS: [&str; 9] = [
    "net_resolve",
    "net_connect",
    "http_request",
    "net_datagram",
    "file_write",
    "exec",
    "syscall",
    "model_call",
    "tool_call",
];

/// What people and triggers do: all other actions of the schema.
pub(crate) const PEOPLES_ACTIONS: [&str; 4] = ["cell_launch", "agent_manage", "approve", "audit_read"];

/// Whether agents do it.
pub(crate) fn is_of_agents(action: &str) -> bool {
    AGENT_ACTIONS.contains(&action)
}

impl Slices {
    /// Those of `compiled`, which are one agent's, and those of `others` that can be about `agent`, a member of
    /// `groups`, or about an operator or trigger.
    pub(crate) fn new(
        language: &'static Language,
        compiled: &[Compiled],
        others: &[&Policy],
        agent: &EntityUid,
        groups: &[EntityUid],
    ) -> Result<Self, String> {
        let (mut by_action, mut why) = (HashMap::new(), HashMap::new());
        for action in AGENT_ACTIONS.into_iter().chain(PEOPLES_ACTIONS) {
            let uid = language.action.of(action);
            let mut slice = Slice::default();
            for policy in others {
                let mine = !is_of_agents(action) || concerns(&policy.principal_constraint(), agent, groups);
                if mine && covers(&policy.action_constraint(), &uid) {
                    let set = match policy.annotation(ASK) {
                        Some(reason) => {
                            why.insert(policy.id().to_string(), reason.to_owned());
                            &mut slice.asking
                        }
                        None => &mut slice.always,
                    };
                    set.add((*policy).clone()).map_err(|error| error.to_string())?;
                }
            }
            for rule in compiled.iter().filter(|rule| rule.action == action) {
                let id = cedar_policy::PolicyId::new(&rule.id);
                let policy = Policy::parse(Some(id), &rule.text).map_err(|error| format!("{}: {error}", rule.id))?;
                let alone = PolicySet::from_policies([policy]).map_err(|error| format!("{}: {error}", rule.id))?;
                slice.named.push((rule.names.clone(), alone));
            }
            by_action.insert(action, (uid, slice));
        }
        Ok(Self { by_action, why })
    }

    /// Why a policy asks people.
    pub(crate) fn why(&self, id: &str) -> Option<&str> {
        self.why.get(id).map(String::as_str)
    }

    /// Asks.
    pub(crate) fn ask(&self, principal: &Principal, question: Question) -> Answer {
        self.answer(principal, question).unwrap_or_else(Answer::Failed)
    }

    fn answer(&self, principal: &Principal, question: Question) -> Result<Answer, String> {
        let (action, slice) = self.by_action.get(question.action).ok_or("the schema has no such action")?;
        let entities = Entities::from_entities([principal.entity.clone(), question.entity], None)
            .map_err(|error| error.to_string())?;
        // Questions are built in one place, after the schema; a test checks each kind of them against it.
        let request = Request::new(principal.uid.clone(), action.clone(), question.resource, question.context, None)
            .map_err(|error| error.to_string())?;
        let fitting =
            slice.named.iter().filter(|(names, _)| glob::matches(names, &question.name)).map(|(_, alone)| alone);
        let authorizer = Authorizer::new();
        let mut heard = Heard::default();
        for policies in std::iter::once(&slice.always).filter(|always| !always.is_empty()).chain(fitting) {
            heard.hear(&authorizer.is_authorized(&request, policies, &entities));
        }
        let mut answer = heard.answer();
        if let Answer::Permitted { asking, .. } = &mut answer
            && !slice.asking.is_empty()
        {
            let mut heard = Heard::default();
            heard.hear(&authorizer.is_authorized(&request, &slice.asking, &entities));
            // People would not be told what a policy that fails has to say.
            if let Some(error) = heard.failed {
                return Err(error);
            }
            heard.forbidding.sort_unstable();
            *asking = heard.forbidding;
        }
        Ok(answer)
    }
}

/// The answers of several sets of policies, as if they were one: forbid wins.
#[derive(Default)]
struct Heard {
    permitting: Vec<String>,
    forbidding: Vec<String>,
    failed: Option<String>,
}

impl Heard {
    fn hear(&mut self, response: &Response) {
        let diagnostics = response.diagnostics();
        // Cedar leaves out a policy that fails; one that forbids must not be left out.
        if let Some(error) = diagnostics.errors().next() {
            self.failed.get_or_insert_with(|| error.to_string());
        }
        let ids = diagnostics.reason().map(|id| AsRef::<str>::as_ref(id).to_owned());
        match response.decision() {
            Decision::Allow => self.permitting.extend(ids),
            Decision::Deny => self.forbidding.extend(ids),
        }
    }

    fn answer(mut self) -> Answer {
        self.permitting.sort_unstable();
        self.forbidding.sort_unstable();
        match (self.forbidding.is_empty(), self.failed, self.permitting.is_empty()) {
            (false, _, _) => Answer::Forbidden(self.forbidding),
            (true, Some(error), _) => Answer::Failed(error),
            (true, None, false) => Answer::Permitted { by: self.permitting, asking: Vec::new() },
            (true, None, true) => Answer::Nothing,
        }
    }
}

/// Whether a policy with this scope can be about the agent.
fn concerns(scope: &PrincipalConstraint, agent: &EntityUid, groups: &[EntityUid]) -> bool {
    let is_in = |uid: &EntityUid| uid == agent || groups.contains(uid);
    match scope {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::Eq(uid) => uid == agent,
        PrincipalConstraint::In(uid) => is_in(uid),
        PrincipalConstraint::Is(kind) => kind == agent.type_name(),
        PrincipalConstraint::IsIn(kind, uid) => kind == agent.type_name() && is_in(uid),
    }
}

/// Whether a policy with this scope can be about the action. The schema has no groups of actions.
pub(crate) fn covers(scope: &ActionConstraint, action: &EntityUid) -> bool {
    match scope {
        ActionConstraint::Any => true,
        ActionConstraint::In(actions) => actions.contains(action),
        ActionConstraint::Eq(uid) => uid == action,
    }
}
