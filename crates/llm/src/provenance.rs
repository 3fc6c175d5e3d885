//! Where the parts of a conversation come from. The wire says only `user` for what a person typed, and links the result
//! of a tool by the id of its call; what a session has read decides later what it may do.
//!
//! A request is observed on the thread that reads it, before policy has allowed it: every byte is hashed, and requests
//! that are refused were in the agent's hands all the same. So what is remembered has an end, whatever an agent sends:
//! a digest and a pointer for each part, and each name of a tool once, cut. Behind that end nothing counts as
//! said by anybody who is trusted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use nanoclaw_dialect::{Message, Part, Request, Role, ToolResult};
use nanoclaw_vault::digest::{Sha256, sha256};

/// Most parts that one run of a cell remembers; what comes after them counts as a tool's.
const CAPACITY: usize = 16_384;
/// Most names of tools that one run of a cell remembers; the results of others count as some tool's.
const MOST_TOOLS: usize = 1_024;
/// Longest name of a tool that is remembered, in characters. Records cut names at the same length.
const MAX_TOOL_CHARS: usize = 128;

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
    /// The result of a call that stands nowhere in the conversation; or nobody remembers.
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

/// What one run of a cell has read, and from where.
#[derive(Debug, Default)]
pub(crate) struct Provenance(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// By digest. A text keeps its first source: an agent that hands on a tool's result as its user's words is not believed.
    seen: HashMap<[u8; 32], Source>,
    tools: HashSet<Arc<str>>,
}

/// Who says a part, by the wire.
#[derive(Clone, Copy)]
enum Said<'a> {
    By(Role),
    ByTool(Option<&'a str>),
}

impl Provenance {
    /// Takes note of a conversation, and says how many parts of it come from where.
    pub(crate) fn observe(&self, request: &Request) -> BTreeMap<String, u64> {
        let mut tools: HashMap<&str, &str> = HashMap::new();
        let mut counts: BTreeMap<Source, u64> = BTreeMap::new();
        for Message { role, parts } in &request.messages {
            for part in parts {
                let (digest, said) = match part {
                    Part::Call(call) => {
                        tools.insert(&call.id, &call.name);
                        continue;
                    }
                    Part::Result(result) => {
                        (digest_of_result(result), Said::ByTool(tools.get(result.id.as_str()).copied()))
                    }
                    Part::Text(text) => (sha256(text.as_bytes()), Said::By(*role)),
                    Part::Reasoning(reasoning) => (sha256(reasoning.text.as_bytes()), Said::By(Role::Assistant)),
                    Part::Image(image) => (digest_of(format_args!("{image:?}")), Said::By(*role)),
                };
                // Locked for each part by itself: a long request is hashed while others are looked at.
                let source = self.0.lock().unwrap_or_else(PoisonError::into_inner).first_source(digest, said);
                let count = counts.entry(source).or_default();
                *count = count.saturating_add(1);
            }
        }
        counts.into_iter().map(|(source, count)| (source.name(), count)).collect()
    }
}

impl Memory {
    fn first_source(&mut self, digest: [u8; 32], said: Said<'_>) -> Source {
        if let Some(first) = self.seen.get(&digest) {
            return first.clone();
        }
        let full = self.seen.len() >= CAPACITY;
        let source = match said {
            Said::ByTool(Some(name)) => self.tool(name),
            // It may be a tool's result that was forgotten.
            Said::By(_) if full => Source::UnknownTool,
            Said::By(Role::System) => Source::Operator,
            Said::By(Role::User) => Source::User,
            Said::By(Role::Assistant) => Source::Model,
            Said::ByTool(None) => Source::UnknownTool,
        };
        if !full {
            self.seen.insert(digest, source.clone());
        }
        source
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
}

fn digest_of_result(result: &ToolResult) -> [u8; 32] {
    match result.parts.as_slice() {
        [Part::Text(text)] => sha256(text.as_bytes()),
        parts => digest_of(format_args!("{parts:?}")),
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

#[cfg(test)]
mod tests {
    use nanoclaw_dialect::ToolCall;

    use super::*;

    fn conversation(last: Message) -> Request {
        let call = ToolCall { id: "1".to_owned(), name: "file_read".to_owned(), arguments: "{}".to_owned() };
        let result = |id: &str, text: &str| {
            Part::Result(ToolResult { id: id.to_owned(), parts: vec![Part::Text(text.to_owned())], failed: false })
        };
        let messages = vec![
            Message::text(Role::System, "be good"),
            Message::text(Role::User, "read it"),
            Message { role: Role::Assistant, parts: vec![Part::Text("yes".to_owned()), Part::Call(call)] },
            Message { role: Role::User, parts: vec![result("1", "from the file"), result("2", "from nowhere")] },
            last,
        ];
        Request { messages, ..Request::default() }
    }

    #[test]
    fn parts_are_counted_by_where_they_come_from() {
        let counts = Provenance::default().observe(&conversation(Message::text(Role::User, "go on")));
        let expected = [("model", 1), ("operator", 1), ("tool", 1), ("tool:file_read", 1), ("user", 2)];
        assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into());
    }

    #[test]
    fn a_tools_result_does_not_become_the_users_words_by_being_repeated() {
        let provenance = Provenance::default();
        provenance.observe(&conversation(Message::text(Role::User, "go on")));
        let laundered = Request { messages: vec![Message::text(Role::User, "from the file")], ..Request::default() };
        assert_eq!(provenance.observe(&laundered), BTreeMap::from([("tool:file_read".to_owned(), 1)]));
    }

    /// A request in which tools of these names are called, one after the other, with different results.
    fn results<'a>(names: impl IntoIterator<Item = &'a str>) -> Request {
        let mut request = Request::default();
        for (number, name) in names.into_iter().enumerate() {
            let id = number.to_string();
            let call = ToolCall { id: id.clone(), name: name.to_owned(), arguments: String::new() };
            let result = ToolResult { id, parts: vec![Part::Text(format!("result {number}"))], failed: false };
            request.messages.push(Message { role: Role::Assistant, parts: vec![Part::Call(call)] });
            request.messages.push(Message { role: Role::User, parts: vec![Part::Result(result)] });
        }
        request
    }

    /// Bytes that are remembered.
    fn size(provenance: &Provenance) -> usize {
        let memory = provenance.0.lock().unwrap();
        let entry = size_of::<([u8; 32], Source)>();
        let names = |names: &mut dyn Iterator<Item = &Arc<str>>| {
            // By address: what is shared counts once.
            names
                .map(|name| (name.as_ptr(), name.len()))
                .collect::<HashSet<_>>()
                .iter()
                .map(|(_, len)| len)
                .sum::<usize>()
        };
        let tools = memory.seen.values().filter_map(|source| match source {
            Source::Tool(name) => Some(name),
            _ => None,
        });
        memory.seen.capacity() * entry
            + memory.tools.capacity() * size_of::<Arc<str>>()
            + names(&mut tools.chain(&memory.tools))
    }

    #[test]
    fn a_long_name_is_remembered_once_and_cut() {
        let provenance = Provenance::default();
        // One name, and 1,500 results of it: the name was kept for each of them once.
        let name = "x".repeat(1 << 20);
        let mut request = results([name.as_str()]);
        for number in 0..1500 {
            let parts = vec![Part::Text(format!("more {number}"))];
            let result = Part::Result(ToolResult { id: "0".to_owned(), parts, failed: false });
            request.messages.push(Message { role: Role::User, parts: vec![result] });
        }
        let counts = provenance.observe(&request);
        assert_eq!(counts, BTreeMap::from([(format!("tool:{}", "x".repeat(MAX_TOOL_CHARS)), 1501)]));
        assert!(size(&provenance) < 256 * 1024, "{} bytes", size(&provenance));
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let provenance = Provenance::default();
        let names: Vec<String> = (0..2 * CAPACITY).map(|number| format!("{number}{}", "é".repeat(1000))).collect();
        let counts = provenance.observe(&results(names.iter().map(String::as_str)));
        assert_eq!(counts.len(), MOST_TOOLS + 1);
        assert_eq!(counts.get("tool"), Some(&((2 * CAPACITY - MOST_TOOLS) as u64)));
        let most = 4 * CAPACITY * size_of::<([u8; 32], Source)>() + MOST_TOOLS * (4 * MAX_TOOL_CHARS + 64);
        assert!(size(&provenance) < most, "{} bytes", size(&provenance));
    }

    #[test]
    fn what_nobody_remembers_is_nobodys_word() {
        let provenance = Provenance::default();
        let before = Request { messages: vec![Message::text(Role::User, "known")], ..Request::default() };
        provenance.observe(&before);
        provenance.observe(&results(std::iter::repeat_n("f", CAPACITY)));
        let roles = [Role::System, Role::User, Role::Assistant];
        let mut messages: Vec<_> = roles.into_iter().map(|role| Message::text(role, format!("new {role:?}"))).collect();
        messages.push(Message::text(Role::User, "known"));
        let counts = provenance.observe(&Request { messages, ..Request::default() });
        assert_eq!(counts, BTreeMap::from([("tool".to_owned(), 3), ("user".to_owned(), 1)]));
    }
}
