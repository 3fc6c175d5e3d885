//! What an identified caller may do. One function decides, for every door and for the launcher.
//!
//! The decision is Cedar's: the configuration's rules are policies ([`compile`]), those of [`BASE`] hold always, and files
//! with further ones may be added ([`Written`]). What no policy permits is refused, and a policy that forbids wins.
#![forbid(unsafe_code)]

mod address;
mod ask;
mod case;
mod compile;
mod explain;
mod language;
mod slice;
mod written;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use nanoclaw_config::{ModelAccess, NetRule};
use nanoclaw_identity::{Caller, Declined, Proposal};
use nanoclaw_request::{Action, CellId, Connect, Destination, Evidence, Launch, Refusal, RefusalCode, Stage, Via};

pub use address::{AddressClass, classify};
pub use case::{Case, CaseError, words};
pub use compile::{Compiled, compile};
pub use language::{BASE, SCHEMA, base_texts};
pub use written::{Written, WrittenError};

use ask::{Asker, Question};
use explain::Rules;
use language::Language;
use slice::{Answer, Slices};

/// The answer. It never fails: what cannot be decided is refused.
#[must_use]
#[derive(Debug)]
pub enum Verdict {
    /// Go on, once.
    Allowed(Permit),
    /// Do not.
    Refused(Declined),
}

/// Permission for one action. Only [`Engine::authorise`] makes one; it cannot be copied.
#[derive(Debug)]
pub struct Permit {
    proposal: Proposal,
    rules: Vec<String>,
}

impl Permit {
    /// What is permitted, by whom it was proposed.
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// The ids of the policies that permit it.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }
}

/// What the first bytes of a connection can change about its decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// Nothing: whatever they are, it is refused.
    Pointless,
    /// Nothing: whatever they are, it is allowed, so protocols in which the server speaks first work.
    Unneeded,
    /// They decide.
    Required,
}

/// The policies of one cell.
#[derive(Clone, Debug)]
pub struct Engine {
    rules: Rules,
    written: Arc<Written>,
    /// Made when the first question comes, from all that was added by then. The error is a defect of this program;
    /// everything is refused then.
    slices: OnceLock<Result<Slices, String>>,
}

impl Engine {
    /// The policies of `cell`: it may reach `networks` and nothing else.
    pub fn new(cell: CellId, networks: Vec<NetRule>) -> Self {
        Self::of(Rules { cell, networks, models: None }, Arc::default())
    }

    /// The same, and it may ask models as `access` says.
    pub fn with_models(self, access: ModelAccess) -> Self {
        Self::of(Rules { models: Some(access), ..self.rules }, self.written)
    }

    /// The same, and what files with policies say.
    pub fn with_policies(self, written: Arc<Written>) -> Self {
        Self::of(self.rules, written)
    }

    fn of(rules: Rules, written: Arc<Written>) -> Self {
        Self { rules, written, slices: OnceLock::new() }
    }

    fn slices(&self, language: &'static Language) -> Result<&Slices, String> {
        let Self { rules, written, slices } = self;
        let made = slices.get_or_init(|| {
            let agent = language.agent.of(rules.cell.as_str());
            let group = rules.models.as_ref().and_then(|access| access.group.as_deref());
            let groups: Vec<_> = group.map(|group| language.group.of(group)).into_iter().collect();
            let compiled = compile(&rules.cell, &rules.networks, rules.models.as_ref());
            let others: Vec<_> = language.base.policies().chain(written.policies()).collect();
            Slices::new(language, &compiled, &others, &agent, &groups)
        });
        made.as_ref().map_err(String::clone)
    }

    /// The verdict on what a door's parser made of a request: what it could not read is refused already.
    pub fn decide(&self, proposed: Result<Proposal, Declined>) -> Verdict {
        proposed.map_or_else(Verdict::Refused, |proposal| self.authorise(proposal))
    }

    /// Decides.
    pub fn authorise(&self, proposal: Proposal) -> Verdict {
        let decided = self
            .misdirected(proposal.caller(), proposal.action())
            .map_or_else(|| self.permitting(Some(proposal.caller()), proposal.action()), |refusal| Err(refusal.into()));
        match decided {
            Ok(rules) => Verdict::Allowed(Permit { proposal, rules }),
            Err(Refused { refusal, policies }) => Verdict::Refused(proposal.decline(refusal).forbidden_by(policies)),
        }
    }

    /// What would be decided about an action of this cell: the ids of the policies that permit it. Permits nothing.
    ///
    /// # Errors
    /// It would be refused, and why.
    pub fn would(&self, action: &Action) -> Result<Vec<String>, Refusal> {
        self.permitting(None, action).map_err(|refused| refused.refusal)
    }

    /// What a door should wait for before it asks for a decision on a connection to `destination`, which has these
    /// addresses. Only a hint: the decision is made by [`Engine::authorise`].
    pub fn inspection(&self, destination: &Destination, addresses: &[IpAddr]) -> Inspection {
        let permitted = |evidence| {
            let (destination, addresses) = (destination.clone(), addresses.to_vec());
            let connect = Connect { destination, via: Via::Transparent, evidence, addresses };
            self.permitting(None, &Action::Connect(connect)).is_ok()
        };
        if permitted(Evidence::Silent) {
            Inspection::Unneeded
        } else if permitted(Evidence::Http { host: destination.clone() }) {
            Inspection::Required
        } else {
            Inspection::Pointless
        }
    }

    /// What no policy is asked about: a caller who is not this cell's, or an action that such a caller does not have.
    fn misdirected(&self, caller: &Caller, action: &Action) -> Option<Refusal> {
        let cell = &self.rules.cell;
        let theirs = match (caller, action) {
            (Caller::Cell { id, .. }, _) => id == cell,
            // Identification let only the owner and root in.
            (Caller::Operator { .. }, Action::Launch(Launch { cell: launched, .. })) => launched == cell,
            (Caller::Operator { .. } | Caller::Schedule { .. } | Caller::Webhook { .. }, Action::Manage(_)) => true,
            (Caller::Operator { .. } | Caller::Schedule { .. } | Caller::Webhook { .. }, _) => false,
        };
        let own = !matches!((caller, action), (Caller::Cell { .. }, Action::Launch(_) | Action::Manage(_)));
        match (theirs, own) {
            (true, true) => None,
            (true, false) => Some(self.rules.explain(action)),
            (false, _) => Some(not_for_caller(action)),
        }
    }

    /// The ids of the policies that permit it to a caller; to this cell, if there is none.
    fn permitting(&self, caller: Option<&Caller>, action: &Action) -> Result<Vec<String>, Refused> {
        if let Action::Http(http) = action
            && http.host != http.connection
        {
            return Err(explain::network::host_mismatch(&http.connection, &http.host).into());
        }
        let language = Language::get().map_err(|error| undecided(&error))?;
        let slices = self.slices(language).map_err(|error| undecided(&error))?;
        let asker = Asker {
            language,
            agent: &self.rules.cell,
            group: self.rules.models.as_ref().and_then(|access| access.group.as_deref()),
            addresses: self.written.mentions_addresses(),
        };
        let principal = asker.principal(caller).map_err(|error| undecided(&error.to_string()))?;
        let questions = asker.questions(action).map_err(|error| undecided(&error.to_string()))?;
        let answers: Vec<(String, Answer)> = questions
            .into_iter()
            .map(|question: Question| (question.name.clone(), slices.ask(&principal, question)))
            .collect();
        for (name, answer) in &answers {
            match answer {
                Answer::Forbidden(policies) => {
                    let refusal = self.forbidden(action, name, policies);
                    return Err(Refused { refusal, policies: policies.clone() });
                }
                Answer::Failed(error) => return Err(undecided(error).into()),
                Answer::Permitted(_) | Answer::Nothing => {}
            }
        }
        let permitted = |answers: &[(String, Answer)]| -> Option<Vec<String>> {
            let ids: Option<BTreeSet<&String>> = answers.iter().try_fold(BTreeSet::new(), |mut ids, (_, answer)| {
                let Answer::Permitted(policies) = answer else { return None };
                ids.extend(policies);
                Some(ids)
            });
            ids.filter(|ids| !ids.is_empty()).map(|ids| ids.into_iter().cloned().collect())
        };
        let decided = match (action, answers.as_slice()) {
            // An alias is permitted by its own name, or by the names of all that it stands for.
            (Action::CallModel(_), [asked, candidates @ ..]) => {
                permitted(std::slice::from_ref(asked)).or_else(|| permitted(candidates))
            }
            (_, answers) => permitted(answers),
        };
        decided.ok_or_else(|| match caller {
            None | Some(Caller::Cell { .. }) => self.rules.explain(action).into(),
            Some(Caller::Operator { .. } | Caller::Schedule { .. } | Caller::Webhook { .. }) => {
                not_for_caller(action).into()
            }
        })
    }

    fn forbidden(&self, action: &Action, name: &str, policies: &[String]) -> Refusal {
        if let Action::Connect(connect) = action
            && policies.iter().all(|id| id == NO_LOOPBACK)
            && let Some(refusal) = self.rules.loopback(connect)
        {
            return refusal;
        }
        let what = match action {
            Action::CallModel(_) => format!("model `{name}`"),
            Action::ToolCall(call) => format!("tool `{}`", call.tool),
            Action::Connect(connect) => connect.destination.to_string(),
            Action::Http(http) => http.connection.to_string(),
            _ => format!("{} `{name}`", action.name()),
        };
        let refusal = self.rules.forbidden(action, &what, policies);
        match policies.iter().find_map(|id| self.written.help(id)) {
            Some(help) => Refusal { help: help.to_owned(), ..refusal },
            None => refusal,
        }
    }
}

/// A refusal, and the policies that forbid; none where the action only is not permitted.
struct Refused {
    refusal: Refusal,
    policies: Vec<String>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, policies: Vec::new() }
    }
}

/// The policy of [`BASE`] that has words of its own.
const NO_LOOPBACK: &str = "net.no-loopback-by-name";

fn refuse(code: RefusalCode, reason: String, help: String) -> Refusal {
    Refusal { stage: Stage::Authorise, code, reason, help }
}

fn not_for_caller(action: &Action) -> Refusal {
    refuse(RefusalCode::NotYou, format!("{} is not for this caller", action.name()), String::new())
}

/// What cannot be decided is refused.
fn undecided(error: &str) -> Refusal {
    refuse(
        RefusalCode::Undecided,
        format!("a policy cannot be evaluated: {error}"),
        "correct the policy; until then what it is about is refused".to_owned(),
    )
}

#[cfg(test)]
mod tests;
