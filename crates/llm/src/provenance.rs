//! Where the parts of a conversation come from. The wire says only `user` for what a person typed, and links the result
//! of a tool by the id of its call; what a session has read decides what it may do.
//!
//! A request is observed on the thread that reads it, before policy has allowed it: every byte is hashed, and requests
//! that are refused were in the agent's hands all the same. So what is remembered has an end, whatever an agent sends:
//! a digest and a pointer for each part, some prints of what cannot be trusted ([`prints`]), and each name of a tool
//! once, cut. Behind that end nothing counts as said by anybody who is trusted.

mod memory;
mod prints;
#[cfg(test)]
pub(crate) mod tests;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use nanoclaw_config::{Label, Trust};
use nanoclaw_dialect::{Attached, Message, Part, Request, Role, ToolCall, ToolResult};
use nanoclaw_policy::{Engine, NOTHING_READ};
use nanoclaw_vault::digest::sha256;
use serde_json::Value;

use memory::{CAPACITY, Given, Memory, Seen, digest_of_part, digest_of_result};
use prints::Prints;

/// Where something that a model reads comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Source {
    /// Whoever set the agent up.
    Operator,
    /// Whoever talks to the agent.
    User,
    /// A model said it.
    Model,
    /// The result of a call of this tool.
    Tool(Arc<str>),
    /// The result of a call that stands nowhere in the conversation; words that hold a piece of a result; or nobody
    /// remembers.
    UnknownTool,
}

impl Source {
    /// As it stands in the audit log.
    fn name(&self) -> String {
        match self {
            Source::Operator => "operator".to_owned(),
            Source::User => "user".to_owned(),
            Source::Model => "model".to_owned(),
            Source::Tool(name) => format!("tool:{name}"),
            Source::UnknownTool => "tool".to_owned(),
        }
    }
}

/// What it says of a text in a call that it stands in a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A user who is trusted said it.
    User,
    /// A tool that is trusted gave it.
    Trusted,
    /// Something that is not trusted gave it.
    Untrusted,
    /// A model wrote it into a call, and tools may give it back.
    Called,
    /// Nothing.
    Nothing,
}

/// What was found in a conversation.
#[derive(Debug)]
pub(crate) struct Observed {
    /// How many parts come from where.
    pub(crate) sources: BTreeMap<String, u64>,
    /// The label of all that it brings into the session.
    pub(crate) label: Label,
    /// What its parts say of texts that stand in them, in their order.
    pub(crate) standings: Vec<Standing>,
    /// The fields of results that vouch for what stands in them, by the number of the part.
    pub(crate) fields: BTreeMap<usize, Arc<[String]>>,
    /// Whether there is more of the conversation than stands in the request.
    pub(crate) elsewhere: bool,
    /// The digests of words that stand as a user's or as instructions, and came from a tool.
    pub(crate) foreign: HashSet<[u8; 32]>,
}

/// What one run of a cell has read, and from where.
#[derive(Debug)]
pub(crate) struct Provenance {
    memory: Mutex<Memory>,
    prints: RwLock<Prints>,
    /// Whether the control plane tells the agent what its users say, so that nothing on the wire counts as theirs.
    told: bool,
}

impl Provenance {
    /// Of an agent that the control plane tells what its users say, or of another one.
    pub(crate) fn new(told: bool) -> Self {
        Self { memory: Mutex::default(), prints: RwLock::default(), told }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call goes to the agent, and what it gives is as good as read: a program can send at once what it reads. Gives the
    /// label of that.
    pub(crate) fn called(&self, engine: &Engine, call: &ToolCall) -> Label {
        let mut memory = self.memory();
        let source = memory.called(&call.name, &call.id);
        memory.given(engine, &source).label
    }

    /// Whether it is worth knowing what models write. Once a session has read what is not trusted, their words may come from
    /// there, and an agent may hand them on as its user's: a summary of the conversation, an order to another model.
    pub(crate) fn listens(&self, engine: &Engine) -> bool {
        !self.told && engine.session().label().trust == Trust::Untrusted
    }

    /// A model says this to somebody whom it [listens](Self::listens) to.
    pub(crate) fn wrote(&self, text: &str) {
        self.prints.write().unwrap_or_else(PoisonError::into_inner).learn(text);
    }

    /// The same of the arguments of a call.
    pub(crate) fn wrote_arguments(&self, arguments: &str) {
        match serde_json::from_str(arguments) {
            Ok(value) => self.wrote_all(&value),
            Err(_) => self.wrote(arguments),
        }
    }

    fn wrote_all(&self, value: &Value) {
        match value {
            Value::String(text) => self.wrote(text),
            Value::Array(items) => items.iter().for_each(|item| self.wrote_all(item)),
            Value::Object(fields) => fields.values().for_each(|value| self.wrote_all(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Takes note of a conversation of which nothing stands outside of its parts.
    pub(crate) fn observe(&self, request: &Request, engine: &Engine) -> Observed {
        self.observe_all(request, &Attached::default(), engine)
    }

    /// Takes note of a conversation, and says what it brings into the session of the cell that `engine` decides about.
    pub(crate) fn observe_all(&self, request: &Request, attached: &Attached, engine: &Engine) -> Observed {
        let (called, unanswered) = {
            let mut memory = self.memory();
            let called = std::mem::take(&mut memory.called);
            let label =
                called.iter().fold(NOTHING_READ, |label, source| label.join(memory.given(engine, source).label));
            let unanswered = if self.told { BTreeSet::new() } else { memory.unanswered(called, request) };
            (label, unanswered)
        };
        let mut look = Look {
            provenance: self,
            engine,
            attached,
            tools: HashMap::new(),
            unanswered: &unanswered,
            answered: Cell::new(false),
            counts: BTreeMap::new(),
            label: called,
            standings: Vec::new(),
            fields: BTreeMap::new(),
            foreign: HashSet::new(),
        };
        if attached.unread {
            look.count(&Source::UnknownTool);
            look.label = look.label.join(look.brings(&Source::UnknownTool));
        }
        for Message { role, parts } in &request.messages {
            for part in parts {
                let standing = look.at(*role, part);
                look.standings.push(standing);
            }
        }
        let Look { counts, label, standings, fields, answered, foreign, .. } = look;
        if !answered.get() {
            self.memory().called.extend(unanswered);
        }
        let sources = counts.into_iter().map(|(source, count)| (source.name(), count)).collect();
        Observed { sources, label, standings, fields, elsewhere: attached.elsewhere, foreign }
    }
}

/// One look at a conversation.
struct Look<'a> {
    provenance: &'a Provenance,
    engine: &'a Engine,
    attached: &'a Attached,
    /// Calls by their ids.
    tools: HashMap<&'a str, Called<'a>>,
    /// Tools that were called, and of which the request has no result in the form of one.
    unanswered: &'a BTreeSet<Source>,
    /// Whether one of them seems to have given what a user says.
    answered: Cell<bool>,
    counts: BTreeMap<Source, u64>,
    label: Label,
    standings: Vec<Standing>,
    fields: BTreeMap<usize, Arc<[String]>>,
    foreign: HashSet<[u8; 32]>,
}

/// A call in a conversation.
struct Called<'a> {
    /// `None` where several tools were called by this id at once: nobody can say whose result is whose.
    tool: Option<&'a str>,
    answered: bool,
}

impl<'a> Look<'a> {
    fn at(&mut self, role: Role, part: &'a Part) -> Standing {
        match part {
            Part::Call(call) => {
                self.call(call);
                Standing::Called
            }
            Part::Result(result) => self.result(result),
            Part::Text(text) => self.said(role, sha256(text.as_bytes()), text),
            Part::Reasoning(reasoning) => {
                self.said(Role::Assistant, sha256(reasoning.text.as_bytes()), &reasoning.text)
            }
            Part::Image(_) => self.said(role, digest_of_part(part), ""),
        }
    }

    fn call(&mut self, call: &'a ToolCall) {
        let waits = self.tools.get(call.id.as_str()).filter(|before| !before.answered);
        let tool = match waits {
            Some(before) if before.tool != Some(call.name.as_str()) => None,
            Some(_) | None => Some(call.name.as_str()),
        };
        self.tools.insert(&call.id, Called { tool, answered: false });
    }

    /// What a tool gave.
    fn result(&mut self, result: &ToolResult) -> Standing {
        let call = self.tools.get_mut(result.id.as_str()).map(|call| {
            call.answered = true;
            call.tool
        });
        let (by, Given { label, fields }) = {
            let mut memory = self.provenance.memory();
            let by = match call {
                Some(Some(name)) => memory.tool(name),
                Some(None) => Source::UnknownTool,
                None => memory.calls.get(&sha256(result.id.as_bytes())).cloned().unwrap_or(Source::UnknownTool),
            };
            let given = memory.given(self.engine, &by);
            (by, given)
        };
        // Tools give back what they are told. Where what was told does not stand there, nobody can see that.
        let may_vouch = call.is_some() && !self.attached.elsewhere;
        if may_vouch && !fields.is_empty() {
            self.fields.insert(self.standings.len(), fields);
        }
        let first = self.note(digest_of_result(result), |look| {
            if label.trust == Trust::Untrusted {
                look.learn(result);
            }
            Seen { vouches: look.vouches(&by), source: by.clone() }
        });
        // One of several parts can be handed on alone.
        if result.parts.len() > 1 {
            for part in &result.parts {
                let seen = Seen { source: by.clone(), vouches: false };
                self.provenance.memory().first(digest_of_part(part), seen);
            }
        }
        let label = label.join(self.brings(&first.source));
        self.label = self.label.join(label);
        match label.trust {
            Trust::Untrusted => Standing::Untrusted,
            Trust::Trusted if first.vouches && may_vouch => Standing::Trusted,
            Trust::Trusted => Standing::Nothing,
        }
    }

    /// What somebody said, or so the agent says; `text` is what there is to read of it.
    fn said(&mut self, role: Role, digest: [u8; 32], text: &str) -> Standing {
        let source = if self.provenance.told {
            self.overheard(role, digest)
        } else {
            let seen = self.note(digest, |look| {
                let source = look.sayer(role, text);
                if source == Source::User {
                    // Read below, with its label.
                    let _label = look.engine.hear(look.brings(&source), text);
                }
                Seen { source, vouches: false }
            });
            seen.source
        };
        if role != Role::Assistant && matches!(source, Source::Tool(_) | Source::UnknownTool) {
            self.foreign.insert(digest);
        }
        let label = self.brings(&source);
        self.label = self.label.join(label);
        match (source, label.trust) {
            (_, Trust::Untrusted) => Standing::Untrusted,
            (Source::User, Trust::Trusted) if role == Role::User && !self.provenance.told => Standing::User,
            (_, Trust::Trusted) => Standing::Nothing,
        }
    }

    /// Who says something to an agent whose users are known from elsewhere. Whoever it is, it vouches for nothing, so it need
    /// not be remembered.
    fn overheard(&mut self, role: Role, digest: [u8; 32]) -> Source {
        let known = self.provenance.memory().seen.get(&digest).map(|seen| seen.source.clone());
        let source = known.unwrap_or(match role {
            Role::System => Source::Operator,
            Role::User => Source::User,
            Role::Assistant => Source::Model,
        });
        self.count(&source);
        source
    }

    fn count(&mut self, source: &Source) {
        let count = self.counts.entry(source.clone()).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts a part, and gives what is known of it; what `new` says, if nothing is.
    fn note(&mut self, digest: [u8; 32], new: impl FnOnce(&Self) -> Seen) -> Seen {
        // Locked for each part by itself: a long request is hashed while others are looked at.
        let known = self.provenance.memory().seen.get(&digest).cloned();
        let seen = match known {
            Some(known) => known,
            None => {
                let new = new(self);
                self.provenance.memory().first(digest, new)
            }
        };
        self.count(&seen.source);
        seen
    }

    /// Who says something that was not said before.
    fn sayer(&self, role: Role, text: &str) -> Source {
        let prints = self.provenance.prints.read().unwrap_or_else(PoisonError::into_inner);
        // It may be a tool's result that was forgotten.
        let forgotten = || self.provenance.memory().seen.len() >= CAPACITY;
        // What a user says where a result was to come is that result: not every agent has another form for it.
        if role == Role::User
            && let Some(tool) = self.unanswered.first()
        {
            self.answered.set(true);
            return tool.clone();
        }
        match role {
            _ if forgotten() => Source::UnknownTool,
            Role::Assistant => Source::Model,
            _ if self.attached.texts.contains(text) => Source::UnknownTool,
            Role::System | Role::User if prints.is_full() || prints.are_in(text) => Source::UnknownTool,
            Role::System => Source::Operator,
            Role::User => Source::User,
        }
    }

    /// Whether what a tool gives says where things may go. What an agent may have written itself does so only while the
    /// session has read nothing that could have told it to.
    fn vouches(&self, by: &Source) -> bool {
        let Source::Tool(name) = by else { return false };
        let facts = self.engine.tool(name);
        let read = || self.engine.session().label().join(self.label).trust;
        facts.label.trust == Trust::Trusted && (facts.trust_configured || read() == Trust::Trusted)
    }

    /// The label of what a source says.
    fn brings(&self, source: &Source) -> Label {
        match source {
            Source::User if !self.provenance.told => self.engine.policies().current().labels().users.operator,
            other => self.provenance.memory().given(self.engine, other).label,
        }
    }

    fn learn(&self, result: &ToolResult) {
        // Where the control plane knows what users said, nothing is to be told from it.
        if self.provenance.told {
            return;
        }
        let mut prints = self.provenance.prints.write().unwrap_or_else(PoisonError::into_inner);
        for part in &result.parts {
            if let Part::Text(text) = part {
                prints.learn(text);
            }
        }
    }
}
