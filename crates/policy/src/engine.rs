//! The decision.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use nanoclaw_config::{Label, ModelAccess, NetRule, Trust};
use nanoclaw_firewall::Firewall;
use nanoclaw_identity::{Caller, Declined, Proposal};
use nanoclaw_request::{Action, CellId, Connect, Destination, Evidence, Launch, Refusal, RefusalCode, Via};

use crate::ask::{Question, steered};
use crate::explain;
use crate::generation::{CellRules, Generation, Policies};
use crate::language::Language;
use crate::made::Made;
use crate::session::Session;
use crate::slice::Answer;
use crate::tools::{self, ToolFacts};
use crate::{Asked, hosts, refuse};

/// The answer. It never fails: what cannot be decided is refused.
#[must_use]
#[derive(Debug)]
pub enum Verdict {
    /// Go on, once.
    Allowed(Permit),
    /// Do not.
    Refused(Declined),
}

/// Permission for one action. Only [`Engine`] makes one; it cannot be copied.
#[derive(Debug)]
pub struct Permit {
    proposal: Proposal,
    rules: Vec<String>,
    approved: Vec<String>,
}

impl Permit {
    /// What is permitted, by whom it was proposed.
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// The ids of the policies that permit it, and of those that asked people.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }

    /// The people who agreed, where policy asked for some.
    pub fn approved(&self) -> &[String] {
        &self.approved
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

/// The policies of one cell, as the generation in force has them.
#[derive(Debug)]
pub struct Engine {
    policies: Policies,
    cell: CellId,
    session: Arc<Session>,
    made: Mutex<Option<Arc<Made>>>,
}

impl Engine {
    /// The policies of `cell`: it may reach `networks` and nothing else.
    pub fn new(cell: CellId, networks: Vec<NetRule>) -> Self {
        let rules = CellRules { networks, ..CellRules::default() };
        Self::of(Policies::new(Generation::default().with_cell(cell.clone(), rules)), cell, Arc::default())
    }

    /// What `policies` say about `cell`, whose session is `session`.
    pub fn of(policies: Policies, cell: CellId, session: Arc<Session>) -> Self {
        Self { policies, cell, session, made: Mutex::new(None) }
    }

    /// The same, and it may ask models as `access` says.
    pub fn with_models(self, access: ModelAccess) -> Self {
        let current = self.policies.current();
        let rules = CellRules { models: Some(access), ..current.rules(&self.cell) };
        let generation = Generation::clone(&current).with_cell(self.cell.clone(), rules);
        Self::of(Policies::new(generation), self.cell, self.session)
    }

    /// What its cell has read and been told.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// A user with this label says something. Gives the label, with which it is to be read.
    #[must_use = "what a user says is read too"]
    pub fn hear(&self, user: Label, words: &str) -> Label {
        if user.trust == Trust::Trusted {
            self.session.told(words);
        }
        user
    }

    /// The generations that it decides by.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// What judges the texts that go into models and out of them, as the generation in force has it.
    pub fn firewall(&self) -> Arc<Firewall> {
        Arc::clone(self.policies.current().firewall())
    }

    /// What is known of a tool.
    pub fn tool(&self, name: &str) -> ToolFacts {
        tools::facts(self.policies.current().labels(), name)
    }

    /// The label of what a tool of this cell gives.
    pub fn label_of_result(&self, tool: &str) -> Label {
        let made = self.made();
        let facts = tools::facts(made.generation.labels(), tool);
        match made.visible {
            Some(visible) if facts.reads_files => facts.label.join(visible),
            Some(_) | None => facts.label,
        }
    }

    /// The label of all labelled places that the cell sees; `None` where it sees none.
    pub fn label_of_places(&self) -> Option<Label> {
        self.made().visible
    }

    /// Whether a policy looks at where the texts in the arguments of a call come from, so that it is worth finding out.
    pub fn looks_at_values(&self) -> bool {
        self.made().mentions.values
    }

    /// The label of what a host gives.
    pub fn label_of_host(&self, destination: &Destination) -> Label {
        hosts::host(self.policies.current().labels(), &destination.host, &[])
    }

    /// The label of what comes over a connection.
    pub fn label_of_connection(&self, connect: &Connect) -> Label {
        hosts::host(self.policies.current().labels(), &connect.destination.host, &connect.addresses)
    }

    pub(crate) fn made(&self) -> Arc<Made> {
        let generation = self.policies.current();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some(made) if Arc::ptr_eq(&made.generation, &generation) => Arc::clone(made),
            _ => Arc::clone(made.insert(Arc::new(Made::new(generation, &self.cell)))),
        }
    }

    /// The verdict on what a door's parser made of a request: what it could not read is refused already, and what people
    /// would have to agree to is refused too. For doors that cannot wait.
    pub fn decide(&self, proposed: Result<Proposal, Declined>) -> Verdict {
        self.judge(proposed).unwrap_or_else(|asked| asked.refuse("nobody can be asked while this waits"))
    }

    /// The verdict on what a door's parser made of a request.
    ///
    /// # Errors
    /// People decide.
    pub fn judge(&self, proposed: Result<Proposal, Declined>) -> Result<Verdict, Box<Asked>> {
        let proposal = match proposed {
            Ok(proposal) => proposal,
            Err(declined) => return Ok(Verdict::Refused(declined)),
        };
        // Seen first: what is read while this is asked, nobody has agreed to.
        let held = self.session.label();
        match self.decided(&proposal) {
            Ok(Would { asking: Some(Asking { policies, why }), .. }) => {
                Err(Box::new(Asked { proposal, policies, why, held }))
            }
            Ok(Would { policies, .. }) => {
                Ok(Verdict::Allowed(Permit { proposal, rules: policies, approved: Vec::new() }))
            }
            Err(refused) => Ok(refused.verdict(proposal)),
        }
    }

    /// The verdict on what people were asked about and these agree to. Policies may have changed since, and what the agent
    /// has read, so they are asked again. Those that leave it to people have their word if they asked then, and the session
    /// has read nothing more.
    pub fn agreed(&self, asked: Asked, people: Vec<String>) -> Verdict {
        match self.decided(&asked.proposal) {
            Ok(Would { asking: Some(asking), .. }) if self.asks_more(&asked, &asking) => {
                let reason = format!("{}; by now another policy asks too, or the agent has read more", asked.why);
                asked.decline(refuse(RefusalCode::NotApproved, reason, "the next try asks again".to_owned()))
            }
            Ok(would) => {
                let asking = would.asking.map(|asking| asking.policies).unwrap_or_default();
                let rules = would.policies.into_iter().chain(asking).collect();
                Verdict::Allowed(Permit { proposal: asked.proposal, rules, approved: people })
            }
            Err(refused) => refused.verdict(asked.proposal),
        }
    }

    fn asks_more(&self, asked: &Asked, now: &Asking) -> bool {
        let reads = match asked.proposal.action() {
            Action::Connect(connect) => self.label_of_connection(connect),
            _ => asked.held,
        };
        let (known, held) = (asked.held.join(reads), self.session.label());
        known.join(held) != known || !now.policies.iter().all(|id| asked.policies.contains(id))
    }

    fn decided(&self, proposal: &Proposal) -> Result<Would, Refused> {
        match self.misdirected(proposal.caller(), proposal.action()) {
            None => self.permitting(Some(proposal.caller()), proposal.action(), Timestamp::now()),
            Some(refusal) => Err(refusal.into()),
        }
    }

    /// What would be decided about an action of this cell. Permits nothing.
    ///
    /// # Errors
    /// It would be refused, and why.
    pub fn would(&self, action: &Action) -> Result<Would, Refusal> {
        self.would_at(action, Timestamp::now())
    }

    /// The same at another time.
    ///
    /// # Errors
    /// As of [`Engine::would`].
    pub fn would_at(&self, action: &Action, now: Timestamp) -> Result<Would, Refusal> {
        self.permitting(None, action, now).map_err(|refused| refused.refusal)
    }

    /// Whether a policy looks at what time it is, so that what is allowed now may not be in a minute.
    pub fn looks_at_time(&self) -> bool {
        self.made().mentions.now
    }

    /// What a door should wait for before it asks for a decision on a connection to `destination`, which has these
    /// addresses. Only a hint: the decision is made by [`Engine::judge`].
    pub fn inspection(&self, destination: &Destination, addresses: &[IpAddr]) -> Inspection {
        let permitted = |evidence| {
            let (destination, addresses) = (destination.clone(), addresses.to_vec());
            let connect = Connect { destination, via: Via::Transparent, evidence, addresses };
            self.would(&Action::Connect(connect)).is_ok()
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
        let steers = matches!(action, Action::Manage(_) | Action::Approve(_) | Action::AuditRead(_));
        match (caller, action) {
            (Caller::Cell { id, .. }, _) if *id != self.cell => Some(not_for_caller(action)),
            (Caller::Cell { .. }, Action::Launch(_)) => Some(self.made().rules.explain(action)),
            (Caller::Cell { .. }, _) => steers.then(|| self.made().rules.explain(action)),
            // Identification let only the owner and root in.
            (Caller::Operator(_), Action::Launch(Launch { cell, .. })) if *cell == self.cell => None,
            (Caller::Operator(_), _) if steers => None,
            (Caller::Schedule { .. } | Caller::Webhook { .. }, Action::Manage(_)) => None,
            (Caller::Operator(_) | Caller::Schedule { .. } | Caller::Webhook { .. }, _) => Some(not_for_caller(action)),
        }
    }

    /// What the policies say about it for a caller; for this cell, if there is none.
    fn permitting(&self, caller: Option<&Caller>, action: &Action, now: Timestamp) -> Result<Would, Refused> {
        if let Action::Http(http) = action
            && http.host != http.connection
        {
            return Err(explain::network::host_mismatch(&http.connection, &http.host).into());
        }
        let (made, label) = (self.made(), self.session.label());
        let repeats = matches!(caller, None | Some(Caller::Cell { .. })) && !made.mentions.now && !made.mentions.said;
        if repeats {
            made.remembered.or_ask(label, action, || self.ask(&made, label, caller, action, now))
        } else {
            self.ask(&made, label, caller, action, now)
        }
    }

    /// Asks Cedar.
    fn ask(
        &self,
        made: &Made,
        label: Label,
        caller: Option<&Caller>,
        action: &Action,
        now: Timestamp,
    ) -> Result<Would, Refused> {
        let language = Language::get().map_err(|error| undecided(&error))?;
        let slices = made.slices.as_ref().map_err(|error| undecided(error))?;
        let asker = made.asker(language, &self.session, label, now);
        let principal = asker.principal(caller).map_err(|error| undecided(&error.to_string()))?;
        let questions = asker.questions(action).map_err(|error| undecided(&error.to_string()))?;
        let answers: Vec<(String, Answer)> = questions
            .into_iter()
            .map(|question: Question| (question.name.clone(), slices.ask(&principal, question)))
            .collect();
        for (name, answer) in &answers {
            match answer {
                Answer::Forbidden(policies) => {
                    let refusal = made.forbidden(action, name, policies);
                    return Err(Refused { refusal, policies: policies.clone() });
                }
                Answer::Failed(error) => return Err(undecided(error).into()),
                Answer::Permitted { .. } | Answer::Nothing => {}
            }
        }
        let decided = match (action, answers.as_slice()) {
            // An alias is permitted by its own name, or by the names of all that it stands for.
            (Action::CallModel(_), [asked, candidates @ ..]) => {
                permitted(std::slice::from_ref(asked)).or_else(|| permitted(candidates))
            }
            (_, answers) => permitted(answers),
        };
        let asking: BTreeSet<&String> = answers.iter().flat_map(|(_, answer)| answer.asking()).collect();
        match decided {
            Some(policies) => {
                let asking = (!asking.is_empty()).then(|| Asking {
                    why: asking.iter().find_map(|id| slices.why(id)).unwrap_or_default().to_owned(),
                    policies: asking.into_iter().cloned().collect(),
                });
                Ok(Would { policies, asking })
            }
            None => Err(match caller {
                None | Some(Caller::Cell { .. }) => made.rules.explain(action).into(),
                Some(Caller::Operator(_) | Caller::Schedule { .. } | Caller::Webhook { .. }) => {
                    not_for_caller(action).into()
                }
            }),
        }
    }
}

/// The ids of the policies that permit all of it.
fn permitted(answers: &[(String, Answer)]) -> Option<Vec<String>> {
    let ids: Option<BTreeSet<&String>> = answers.iter().try_fold(BTreeSet::new(), |mut ids, (_, answer)| {
        let Answer::Permitted { by, .. } = answer else { return None };
        ids.extend(by);
        Some(ids)
    });
    ids.filter(|ids| !ids.is_empty()).map(|ids| ids.into_iter().cloned().collect())
}

/// What would be decided about something that is not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Would {
    /// The ids of the policies that permit it.
    pub policies: Vec<String>,
    /// Who else must agree.
    pub asking: Option<Asking>,
}

/// People must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The ids of the policies that say so.
    pub policies: Vec<String>,
    /// Why they do.
    pub why: String,
}

/// A refusal, and the policies that forbid; none where the action only is not permitted.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    refusal: Refusal,
    policies: Vec<String>,
}

impl Refused {
    fn verdict(self, proposal: Proposal) -> Verdict {
        Verdict::Refused(proposal.decline(self.refusal).forbidden_by(self.policies))
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, policies: Vec::new() }
    }
}

fn not_for_caller(action: &Action) -> Refusal {
    let what = match action {
        Action::Manage(manage) => steered(manage).0,
        _ => action.name(),
    };
    let help = "people do what their roles allow: ask an admin for one that may".to_owned();
    refuse(RefusalCode::NotYou, format!("`{what}` is not for this caller"), help)
}

/// What cannot be decided is refused.
fn undecided(error: &str) -> Refusal {
    refuse(
        RefusalCode::Undecided,
        format!("a policy cannot be evaluated: {error}"),
        "correct the policy; until then what it is about is refused".to_owned(),
    )
}
