//! Where the parts of a conversation come from. The wire says only `user` for what a person typed, and links the result
//! of a tool by the id of its call; what a session has read decides what it may do.
//!
//! A request is observed on the thread that reads it, before policy has allowed it: every byte is hashed, and requests
//! that are refused were in the agent's hands all the same. So what is remembered has an end, whatever an agent sends:
//! a digest and a pointer for each part, some prints of what cannot be trusted ([`prints`]), and each name of a tool
//! once, cut. Behind that end nothing counts as said by anybody who is trusted.

mod prints;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use nanoclaw_config::{DataClass, Label, Trust};
use nanoclaw_dialect::{Message, Part, Request, Role, ToolResult};
use nanoclaw_policy::{Engine, Generation, NOTHING_READ};
use nanoclaw_vault::digest::{Sha256, sha256};

use prints::Prints;

/// Most parts that one run of a cell remembers; what comes after them counts as a tool's.
const CAPACITY: usize = 16_384;
/// Most names of tools that one run of a cell remembers; the results of others count as some tool's.
const MOST_TOOLS: usize = 1_024;
/// Longest name of a tool that is remembered, in characters. Records cut names at the same length.
const MAX_TOOL_CHARS: usize = 128;
/// Most calls whose tools are remembered by their ids, for requests that hold results alone. With one more all are forgotten.
const MOST_CALLS: usize = 4_096;

/// What is said at least of what comes from nowhere.
const UNKNOWN: Label = Label { trust: Trust::Untrusted, data: DataClass::Public };

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
}

/// What one run of a cell has read, and from where.
#[derive(Debug)]
pub(crate) struct Provenance {
    memory: Mutex<Memory>,
    prints: RwLock<Prints>,
    /// Whether the control plane tells the agent what its users say, so that nothing on the wire counts as theirs.
    told: bool,
}

#[derive(Debug, Default)]
struct Memory {
    /// By digest. A text keeps its first source: an agent that hands on a tool's result as its user's words is not believed.
    seen: HashMap<[u8; 32], Seen>,
    tools: HashSet<Arc<str>>,
    /// What was called, by the digests of the ids of calls.
    calls: HashMap<[u8; 32], Source>,
    /// What was called since the last conversation. Its results are read next, in whatever form the agent hands them on.
    called: BTreeSet<Source>,
    /// What sources give, in the generation for which that was found.
    given: (Option<Arc<Generation>>, HashMap<Source, Given>),
}

/// What a source gives.
#[derive(Clone, Debug)]
struct Given {
    label: Label,
    /// Fields that vouch though the rest is not trusted.
    fields: Arc<[String]>,
}

/// What is known of a part.
#[derive(Clone, Debug)]
struct Seen {
    source: Source,
    /// Whether it came from a tool that could be trusted to say where things go.
    vouches: bool,
}

impl Provenance {
    /// Of an agent that the control plane tells what its users say, or of another one.
    pub(crate) fn new(told: bool) -> Self {
        Self { memory: Mutex::default(), prints: RwLock::default(), told }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call has gone to the agent: what it gives is read with the next request.
    pub(crate) fn called(&self, tool: &str, id: &str) {
        let mut memory = self.memory();
        let source = memory.tool(tool);
        if memory.calls.len() >= MOST_CALLS {
            memory.calls.clear();
        }
        memory.calls.insert(sha256(id.as_bytes()), source.clone());
        memory.called.insert(source);
    }

    /// Takes note of a conversation, and says what it brings into the session of the cell that `engine` decides about.
    pub(crate) fn observe(&self, request: &Request, engine: &Engine) -> Observed {
        let called = {
            let mut memory = self.memory();
            let called = std::mem::take(&mut memory.called);
            called.iter().fold(NOTHING_READ, |label, source| label.join(memory.given(engine, source).label))
        };
        let mut look = Look {
            provenance: self,
            engine,
            tools: HashMap::new(),
            counts: BTreeMap::new(),
            label: called,
            standings: Vec::new(),
            fields: BTreeMap::new(),
        };
        for Message { role, parts } in &request.messages {
            for part in parts {
                let standing = look.at(*role, part);
                look.standings.push(standing);
            }
        }
        let sources = look.counts.into_iter().map(|(source, count)| (source.name(), count)).collect();
        Observed { sources, label: look.label, standings: look.standings, fields: look.fields }
    }
}

/// One look at a conversation.
struct Look<'a> {
    provenance: &'a Provenance,
    engine: &'a Engine,
    /// Names of tools by the ids of their calls.
    tools: HashMap<&'a str, &'a str>,
    counts: BTreeMap<Source, u64>,
    label: Label,
    standings: Vec<Standing>,
    fields: BTreeMap<usize, Arc<[String]>>,
}

impl<'a> Look<'a> {
    fn at(&mut self, role: Role, part: &'a Part) -> Standing {
        match part {
            Part::Call(call) => {
                self.tools.insert(&call.id, &call.name);
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

    /// What a tool gave.
    fn result(&mut self, result: &ToolResult) -> Standing {
        let name = self.tools.get(result.id.as_str()).copied();
        let (by, Given { label, fields }) = {
            let mut memory = self.provenance.memory();
            let by = match name {
                Some(name) => memory.tool(name),
                None => memory.calls.get(&sha256(result.id.as_bytes())).cloned().unwrap_or(Source::UnknownTool),
            };
            let given = memory.given(self.engine, &by);
            (by, given)
        };
        if !fields.is_empty() {
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
            Trust::Trusted if first.vouches => Standing::Trusted,
            Trust::Trusted => Standing::Nothing,
        }
    }

    /// What somebody said, or so the agent says; `text` is what there is to read of it.
    fn said(&mut self, role: Role, digest: [u8; 32], text: &str) -> Standing {
        let Seen { source, .. } = self.note(digest, |look| {
            let source = look.sayer(role, text);
            if source == Source::User && !look.provenance.told {
                // Read below, with its label.
                let _label = look.engine.hear(look.brings(&source), text);
            }
            Seen { source, vouches: false }
        });
        let label = self.brings(&source);
        self.label = self.label.join(label);
        match (source, label.trust) {
            (_, Trust::Untrusted) => Standing::Untrusted,
            (Source::User, Trust::Trusted) if role == Role::User && !self.provenance.told => Standing::User,
            (_, Trust::Trusted) => Standing::Nothing,
        }
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
        let count = self.counts.entry(seen.source.clone()).or_default();
        *count = count.saturating_add(1);
        seen
    }

    /// Who says something that was not said before.
    fn sayer(&self, role: Role, text: &str) -> Source {
        let prints = self.provenance.prints.read().unwrap_or_else(PoisonError::into_inner);
        // It may be a tool's result that was forgotten.
        let forgotten = || self.provenance.memory().seen.len() >= CAPACITY;
        match role {
            _ if forgotten() => Source::UnknownTool,
            Role::Assistant => Source::Model,
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

impl Memory {
    /// What was known first of the part with this digest.
    fn first(&mut self, digest: [u8; 32], new: Seen) -> Seen {
        if let Some(first) = self.seen.get(&digest) {
            return first.clone();
        }
        if self.seen.len() < CAPACITY {
            self.seen.insert(digest, new.clone());
        }
        new
    }

    fn tool(&mut self, name: &str) -> Source {
        let end = name.char_indices().nth(MAX_TOOL_CHARS).map_or(name.len(), |(end, _)| end);
        let name = name.get(..end).unwrap_or_default();
        if let Some(known) = self.tools.get(name) {
            return Source::Tool(Arc::clone(known));
        }
        if self.tools.len() >= MOST_TOOLS {
            return Source::UnknownTool;
        }
        let name: Arc<str> = name.into();
        self.tools.insert(Arc::clone(&name));
        Source::Tool(name)
    }

    /// What a source gives; of users nothing is known here.
    fn given(&mut self, engine: &Engine, source: &Source) -> Given {
        let generation = engine.policies().current();
        if !self.given.0.as_ref().is_some_and(|known| Arc::ptr_eq(known, &generation)) {
            self.given = (Some(generation), HashMap::new());
        }
        if let Some(given) = self.given.1.get(source) {
            return given.clone();
        }
        let nothing = || Arc::from([]);
        let given = match source {
            Source::Operator | Source::User | Source::Model => Given { label: NOTHING_READ, fields: nothing() },
            Source::Tool(name) if name.len() < MAX_TOOL_CHARS => {
                Given { label: engine.label_of_result(name), fields: engine.tool(name).vouches.into() }
            }
            // A name that was cut may be another one's.
            Source::Tool(name) => Given { label: engine.label_of_result(name).join(UNKNOWN), fields: nothing() },
            Source::UnknownTool => Given { label: engine.label_of_result("").join(UNKNOWN), fields: nothing() },
        };
        self.given.1.insert(source.clone(), given.clone());
        given
    }
}

fn digest_of_result(result: &ToolResult) -> [u8; 32] {
    match result.parts.as_slice() {
        [part] => digest_of_part(part),
        parts => digest_of(format_args!("{parts:?}")),
    }
}

fn digest_of_part(part: &Part) -> [u8; 32] {
    match part {
        Part::Text(text) => sha256(text.as_bytes()),
        Part::Image(image) => digest_of(format_args!("{image:?}")),
        other => digest_of(format_args!("{other:?}")),
    }
}

/// The digest of a text that is never in memory as a whole.
fn digest_of(text: fmt::Arguments<'_>) -> [u8; 32] {
    struct Hashing(Sha256);
    impl fmt::Write for Hashing {
        fn write_str(&mut self, piece: &str) -> fmt::Result {
            self.0.update(piece.as_bytes());
            Ok(())
        }
    }
    let mut hashing = Hashing(Sha256::default());
    // Hashing does not fail.
    let _ = hashing.write_fmt(text);
    hashing.0.finish()
}
