//! What one run of a cell remembers.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::sync::Arc;

use nanoclaw_config::{DataClass, Label, Trust};
use nanoclaw_dialect::{Part, Request, ToolResult};
use nanoclaw_policy::{Engine, Generation, NOTHING_READ};
use nanoclaw_vault::digest::{Sha256, sha256};

use super::Source;

/// Most parts that one run of a cell remembers; what comes after them counts as a tool's.
pub(super) const CAPACITY: usize = 16_384;
/// Most names of tools that one run of a cell remembers; the results of others count as some tool's.
pub(super) const MOST_TOOLS: usize = 1_024;
/// Longest name of a tool that is remembered, in characters. Records cut names at the same length.
pub(super) const MAX_TOOL_CHARS: usize = 128;
/// Most calls whose tools are remembered by their ids, for requests that hold results alone. With one more all are forgotten.
pub(super) const MOST_CALLS: usize = 4_096;

/// What is said at least of what comes from nowhere.
const UNKNOWN: Label = Label::new(Trust::Untrusted, DataClass::Public);

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// By digest. A text keeps its first source: an agent that hands on a tool's result as its user's words is not believed.
    pub(super) seen: HashMap<[u8; 32], Seen>,
    pub(super) tools: HashSet<Arc<str>>,
    /// What was called, by the digests of the ids of calls.
    pub(super) calls: HashMap<[u8; 32], Source>,
    /// What was called, and whose results no conversation had yet: they are read next, in whatever form the agent hands them
    /// on.
    pub(super) called: BTreeSet<Source>,
    /// What sources give, in the generation for which that was found.
    given: (Option<Arc<Generation>>, HashMap<Source, Given>),
}

/// What a source gives.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) label: Label,
    /// Fields that vouch though the rest is not trusted.
    pub(super) fields: Arc<[String]>,
}

/// What is known of a part.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) source: Source,
    /// Whether it came from a tool that could be trusted to say where things go.
    pub(super) vouches: bool,
}

impl Memory {
    /// What was known first of the part with this digest.
    pub(super) fn first(&mut self, digest: [u8; 32], new: Seen) -> Seen {
        if let Some(first) = self.seen.get(&digest) {
            return first.clone();
        }
        if self.seen.len() < CAPACITY {
            self.seen.insert(digest, new.clone());
        }
        new
    }

    /// A call of `tool` goes to the agent.
    pub(super) fn called(&mut self, tool: &str, id: &str) -> Source {
        let source = self.tool(tool);
        if self.calls.len() >= MOST_CALLS {
            self.calls.clear();
        }
        self.calls.insert(sha256(id.as_bytes()), source.clone());
        self.called.insert(source.clone());
        source
    }

    /// Those of the tools that were `called` of which the request has no result.
    pub(super) fn unanswered(&mut self, mut called: BTreeSet<Source>, request: &Request) -> BTreeSet<Source> {
        let mut names = HashMap::new();
        for part in request.messages.iter().flat_map(|message| &message.parts) {
            if called.is_empty() {
                break;
            }
            match part {
                Part::Call(call) => drop(names.insert(call.id.as_str(), call.name.as_str())),
                Part::Result(result) => {
                    let by = match names.get(result.id.as_str()) {
                        Some(name) => Some(self.tool(name)),
                        None => self.calls.get(&sha256(result.id.as_bytes())).cloned(),
                    };
                    if let Some(by) = by {
                        called.remove(&by);
                    }
                }
                Part::Text(_) | Part::Image(_) | Part::Reasoning(_) => {}
            }
        }
        called
    }

    pub(super) fn tool(&mut self, name: &str) -> Source {
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
    pub(super) fn given(&mut self, engine: &Engine, source: &Source) -> Given {
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

pub(super) fn digest_of_result(result: &ToolResult) -> [u8; 32] {
    match result.parts.as_slice() {
        [part] => digest_of_part(part),
        parts => digest_of(format_args!("{parts:?}")),
    }
}

pub(super) fn digest_of_part(part: &Part) -> [u8; 32] {
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
