//! Where the parts of a conversation come from. The wire says only `user` for what a person typed, and links the result
//! of a tool by the id of its call; what a session has read decides later what it may do.

use std::collections::{BTreeMap, HashMap};

use nanoclaw_dialect::{Message, Part, Request, Role, ToolResult};
use nanoclaw_vault::digest::sha256;

/// Most parts that one session remembers; what comes after them is taken for what the agent says it is.
const CAPACITY: usize = 16_384;

/// Where something that a model reads comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    /// Whoever set the agent up.
    Operator,
    /// Whoever talks to the agent.
    User,
    /// A model said it.
    Model,
    /// The result of a call of this tool.
    Tool(String),
    /// The result of a call that stands nowhere in the conversation.
    UnknownTool,
}

impl Source {
    /// As it stands in the audit log.
    pub(crate) fn name(&self) -> String {
        match self {
            Source::Operator => "operator".to_owned(),
            Source::User => "user".to_owned(),
            Source::Model => "model".to_owned(),
            Source::Tool(name) => format!("tool:{name}"),
            Source::UnknownTool => "tool".to_owned(),
        }
    }
}

/// What one session has read, and from where.
#[derive(Debug, Default)]
pub(crate) struct Provenance {
    /// By digest. A text keeps its first source: an agent that hands on a tool's result as its user's words is not believed.
    seen: HashMap<[u8; 32], Source>,
}

impl Provenance {
    /// Takes note of a conversation, and says how many parts of it come from where.
    pub(crate) fn observe(&mut self, request: &Request) -> BTreeMap<String, u64> {
        let mut tools: HashMap<&str, &str> = HashMap::new();
        let mut counts = BTreeMap::new();
        for Message { role, parts } in &request.messages {
            for part in parts {
                let (digest, source) = match part {
                    Part::Call(call) => {
                        tools.insert(&call.id, &call.name);
                        continue;
                    }
                    Part::Result(result) => {
                        let name = tools.get(result.id.as_str());
                        let source = name.map_or(Source::UnknownTool, |name| Source::Tool((*name).to_owned()));
                        (digest_of_result(result), source)
                    }
                    Part::Text(text) => (sha256(text.as_bytes()), said_by(*role)),
                    Part::Reasoning(reasoning) => (sha256(reasoning.text.as_bytes()), Source::Model),
                    Part::Image(image) => (sha256(format!("{image:?}").as_bytes()), said_by(*role)),
                };
                let source = self.first_source(digest, source);
                *counts.entry(source.name()).or_default() += 1;
            }
        }
        counts
    }

    fn first_source(&mut self, digest: [u8; 32], source: Source) -> Source {
        if let Some(first) = self.seen.get(&digest) {
            return first.clone();
        }
        if self.seen.len() < CAPACITY {
            self.seen.insert(digest, source.clone());
        }
        source
    }
}

fn said_by(role: Role) -> Source {
    match role {
        Role::System => Source::Operator,
        Role::User => Source::User,
        Role::Assistant => Source::Model,
    }
}

fn digest_of_result(result: &ToolResult) -> [u8; 32] {
    match result.parts.as_slice() {
        [Part::Text(text)] => sha256(text.as_bytes()),
        parts => sha256(format!("{parts:?}").as_bytes()),
    }
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
        let mut provenance = Provenance::default();
        provenance.observe(&conversation(Message::text(Role::User, "go on")));
        let laundered = Request { messages: vec![Message::text(Role::User, "from the file")], ..Request::default() };
        assert_eq!(provenance.observe(&laundered), BTreeMap::from([("tool:file_read".to_owned(), 1)]));
    }
}
