//! What tools do, and how far their results are to be trusted: the configuration first, then a table of names that are
//! known, and for all others the worst.

use std::collections::{BTreeMap, BTreeSet};

use nanoclaw_config::{DataClass, Label, Labels, ToolClass, Trust, glob};

use ToolClass::{Executes, Reads, Sends, Writes};

/// What is known of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolFacts {
    /// Of its results.
    pub label: Label,
    /// Whether the configuration says that they are trusted, and not only the table.
    pub trust_configured: bool,
    /// What it does.
    pub does: BTreeSet<ToolClass>,
    /// The arguments that say where something goes; `None` where nobody said.
    pub destinations: Option<Vec<String>>,
    /// Values of them that need nobody's word: patterns, by argument.
    pub allow: BTreeMap<String, Vec<String>>,
    /// Fields of its results whose values vouch, though the result as a whole is not trusted.
    pub vouches: Vec<String>,
    /// Whether it may read any file that its cell sees.
    pub reads_files: bool,
}

/// A row of the table.
struct Row {
    names: &'static [&'static str],
    does: &'static [ToolClass],
    trust: Trust,
    data: DataClass,
    /// The arguments that say where something goes.
    destinations: &'static [&'static str],
    reads_files: bool,
}

/// Tools of NanoClaw's own agent, of OpenClaw, Claude Code and Codex. What is trusted here is so because all that comes into a cell comes
/// through a door that labels it, and a cell's labels outlive its disk.
///
/// Names are whole: a pattern would also describe tools that nobody has seen, such as one of an MCP server (`web__fetch`),
/// and every row takes less to be possible than what is said of unknown tools.
const KNOWN: &[Row] = &[
    Row {
        names: &[
            "file_read",
            "file_list",
            "file_search",
            "read",
            "grep",
            "find",
            "ls",
            "glob",
            "Read",
            "Grep",
            "Glob",
            "LS",
            "NotebookRead",
            "view_image",
        ],
        does: &[Reads],
        reads_files: true,
        ..OWN
    },
    Row {
        names: &[
            "file_write",
            "file_edit",
            "write",
            "edit",
            "apply_patch",
            "apply_patch_call",
            "Write",
            "Edit",
            "MultiEdit",
            "NotebookEdit",
        ],
        does: &[Writes],
        reads_files: true,
        ..OWN
    },
    Row {
        names: &[
            "shell",
            "exec",
            "bash",
            "process",
            "exec_command",
            "write_stdin",
            "local_shell_call",
            "shell_call",
            "Bash",
            "BashOutput",
            "KillShell",
        ],
        does: &[Reads, Writes, Executes],
        reads_files: true,
        ..OWN
    },
    Row { names: &["memory_search", "memory_get", "skill_read"], reads_files: true, ..OWN },
    Row { names: &["todo", "session_status", "agents_list", "TodoWrite", "update_plan"], ..OWN },
    Row { names: &["memory_save", "memory_delete"], does: &[Writes], ..OWN },
    // It can also POST.
    Row { names: &["http_fetch"], does: &[Reads, Writes, Sends], destinations: &["url"], ..ELSEWHERE },
    // An address can carry out as much as a body.
    Row { names: &["web_fetch", "fetch", "WebFetch"], does: &[Reads, Sends], destinations: &["url"], ..ELSEWHERE },
    Row { names: &["web_search", "x_search", "WebSearch"], ..ELSEWHERE },
    // It also uploads files, and runs scripts in pages. Where a click leads is what was clicked on.
    Row {
        names: &["browser"],
        does: &[Reads, Writes, Sends, Executes],
        destinations: &[
            "url",
            "targetUrl",
            "request",
            "ref",
            "startRef",
            "endRef",
            "inputRef",
            "selector",
            "element",
            "fields",
            "paths",
            "key",
            "fn",
        ],
        reads_files: true,
        ..ELSEWHERE
    },
    // What others wrote in the chats of the same OpenClaw.
    Row {
        names: &["sessions_list", "sessions_history", "sessions_search"],
        data: DataClass::Confidential,
        ..ELSEWHERE
    },
    Row { names: &["sessions_send"], does: &[Sends], destinations: &["sessionKey", "label", "agentId"], ..OWN },
    // It sends into channels, and also reads, edits and deletes there.
    Row {
        names: &["message"],
        does: &[Reads, Writes, Sends],
        data: DataClass::Confidential,
        destinations: &[
            "to",
            "target",
            "targets",
            "channel",
            "channelId",
            "channelIds",
            "chatId",
            "groupId",
            "guildId",
            "threadId",
            "userId",
            "openId",
            "unionId",
            "memberId",
            "participant",
        ],
        ..ELSEWHERE
    },
];

/// A tool that gives only what the cell has anyway.
const OWN: Row = Row {
    names: &[],
    does: &[Reads],
    trust: Trust::Trusted,
    data: DataClass::Public,
    destinations: &[],
    reads_files: false,
};

/// A tool that gives what others wrote.
const ELSEWHERE: Row = Row { trust: Trust::Untrusted, ..OWN };

/// How arguments that say where something goes are called, as a whole.
const NAMES: &[&str] = &["number", "sessionKey"];

/// Words in their names, such as `reply_to`, `forwardTo`, `callback_url`.
const WORDS: &[&str] = &[
    "recipient",
    "recipients",
    "receiver",
    "to",
    "cc",
    "bcc",
    "target",
    "targets",
    "url",
    "urls",
    "uri",
    "link",
    "links",
    "href",
    "endpoint",
    "webhook",
    "host",
    "ip",
    "site",
    "peer",
    "hostname",
    "domain",
    "address",
    "addresses",
    "email",
    "emails",
    "mail",
    "user",
    "users",
    "username",
    "participant",
    "participants",
    "attendee",
    "attendees",
    "invitee",
    "invitees",
    "guest",
    "guests",
    "member",
    "members",
    "contact",
    "contacts",
    "assignee",
    "assignees",
    "reviewer",
    "reviewers",
    "collaborator",
    "collaborators",
    "subscriber",
    "subscribers",
    "group",
    "groups",
    "room",
    "rooms",
    "channel",
    "channels",
    "chat",
    "phone",
    "account",
    "iban",
    "wallet",
    "payee",
    "beneficiary",
    "owner",
    "repo",
    "repository",
    "remote",
    "bucket",
    "destination",
];

/// What is known of `tool`.
pub(crate) fn facts(labels: &Labels, tool: &str) -> ToolFacts {
    let mut facts = known(tool);
    if let Some(label) = labels.tools.iter().find(|label| glob::matches(&label.name, tool)) {
        facts.label.trust = label.trust.unwrap_or(facts.label.trust);
        facts.trust_configured = label.trust == Some(Trust::Trusted);
        facts.label.data = label.data.unwrap_or(facts.label.data);
        // Whoever says how confidential its results are knows what it reads.
        facts.reads_files &= label.data.is_none();
        facts.does = label.does.clone().unwrap_or(facts.does);
        facts.destinations = label.destinations.clone().or(facts.destinations);
        facts.allow.clone_from(&label.allow);
        facts.vouches.clone_from(&label.vouches);
    }
    facts
}

fn known(tool: &str) -> ToolFacts {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match KNOWN.iter().find(|row| row.names.contains(&tool)) {
        Some(Row { names: _, does, trust, data, destinations, reads_files }) => ToolFacts {
            label: Label::new(*trust, *data),
            trust_configured: false,
            does: does.iter().copied().collect(),
            destinations: Some(owned(destinations)),
            allow: BTreeMap::new(),
            vouches: Vec::new(),
            reads_files: *reads_files,
        },
        // So confidential that `rule-of-two` stops what nobody has said anything about.
        None => ToolFacts {
            label: Label::new(Trust::Untrusted, DataClass::Confidential),
            trust_configured: false,
            does: BTreeSet::from(ToolClass::ALL),
            destinations: None,
            allow: BTreeMap::new(),
            vouches: Vec::new(),
            reads_files: true,
        },
    }
}

impl ToolFacts {
    /// Whether a value of `argument` needs nobody's word.
    pub(crate) fn allows(&self, argument: &str, value: &str) -> bool {
        let fits = |pattern: &String| pattern == "*" || (is_one(pattern, value) && glob::matches(pattern, value));
        self.allow.get(argument).is_some_and(|patterns| patterns.iter().any(fits))
    }

    /// Whether `argument` says where something goes. Where nobody said, the usual names do, and if a call has none of
    /// them, every argument.
    pub(crate) fn is_destination(&self, argument: &str, all: &[&str]) -> bool {
        match &self.destinations {
            Some(named) => named.iter().any(|name| same_argument(name, argument)),
            None => is_usual(argument) || !all.iter().any(|name| is_usual(name)),
        }
    }
}

/// Whether some readers take the names of two arguments for one: those of Go know no case.
pub fn same_argument(one: &str, other: &str) -> bool {
    let folded = |name: &str| name.to_uppercase().to_lowercase();
    one == other || folded(one) == folded(other)
}

/// Whether `value` holds nothing that a `*` of `pattern` must not stand for: several destinations in one text are not one
/// that a pattern describes, however the last of them ends, and neither is a mailbox that another host passes on.
fn is_one(pattern: &str, value: &str) -> bool {
    let is_mailbox = pattern.contains('@') && !pattern.contains("://");
    let parts = |c: char| match c {
        _ if is_mailbox => !(c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '\'')),
        ',' | ';' | '<' | '>' | '"' | '|' => true,
        // Commas and the like of other scripts, and what is not seen.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => true,
        '、' | '，' | '；' | '﹐' | '﹑' | '﹔' | '،' | '؛' => true,
        _ => c.is_whitespace() || c.is_control(),
    };
    let many = |text: &str| text.matches('@').count();
    value.chars().filter(|c| parts(*c)).all(|c| pattern.contains(c)) && (!is_mailbox || many(value) <= many(pattern))
}

/// Whether an argument of this name usually says where something goes.
fn is_usual(argument: &str) -> bool {
    NAMES.iter().any(|name| same_argument(name, argument)) || words(argument).any(|word| WORDS.contains(&word.as_str()))
}

/// The words of a name such as `reply_to` or `replyTo`, in lower case.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for letter in name.chars() {
        if !letter.is_alphabetic() || (lower && letter.is_uppercase()) {
            words.push(String::new());
        }
        lower = letter.is_lowercase();
        if let Some(word) = words.last_mut()
            && letter.is_alphabetic()
        {
            word.extend(letter.to_lowercase());
        }
    }
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use nanoclaw_config::ToolLabel;

    use super::*;

    const WORST: Label = Label::new(Trust::Untrusted, DataClass::Confidential);

    #[test]
    fn a_tool_that_nobody_knows_may_do_anything() {
        for name in [
            "",
            "never-heard-of",
            "web__fetch",
            "mcp__fetch__fetch",
            "file_read2",
            "browser_x__shell",
            "send_money",
            "FILE_READ",
        ] {
            let facts = facts(&Labels::default(), name);
            assert_eq!(facts.label, WORST, "{name}");
            assert!(
                facts.does.len() == ToolClass::ALL.len() && facts.reads_files && facts.destinations.is_none(),
                "{name}"
            );
        }
    }

    #[test]
    fn no_name_is_known_twice_and_none_is_a_pattern() {
        let names: Vec<_> = KNOWN.iter().flat_map(|row| row.names).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(names.iter().all(|name| !name.contains('*')));
    }

    #[test]
    fn a_label_of_the_configuration_says_only_what_it_says() {
        let label = ToolLabel {
            id: "labels.tools[0]".to_owned(),
            name: "mail__*".to_owned(),
            trust: None,
            data: None,
            does: Some(BTreeSet::from([Reads])),
            destinations: None,
            allow: BTreeMap::new(),
            vouches: Vec::new(),
        };
        let labels = Labels { tools: vec![label], ..Labels::default() };
        let facts = facts(&labels, "mail__search");
        assert_eq!((facts.label, facts.does), (WORST, BTreeSet::from([Reads])));
        assert!(!facts.trust_configured && facts.reads_files && facts.destinations.is_none());
    }

    #[test]
    fn a_pattern_describes_one_destination() {
        let allow = |patterns: &[&str]| {
            let patterns = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            ToolFacts { allow: BTreeMap::from([("to".to_owned(), patterns)]), ..known("never-heard-of") }
        };
        let bank = allow(&["*@bank.example"]);
        assert!(bank.allows("to", "bob@bank.example") && !bank.allows("cc", "bob@bank.example"));
        for several in [
            "evil@x.org a@bank.example",
            "evil@x.org,a@bank.example",
            "evil@x.org\n@bank.example",
            "<evil@x.org> @bank.example",
        ] {
            assert!(!bank.allows("to", several), "{several}");
        }
        for elsewhere in [
            "evil@x.org@bank.example",
            "evil%x.org@bank.example",
            "x.org!evil@bank.example",
            "@x.org:evil@bank.example",
            "evil@x.org\u{200b}@bank.example",
            "evil@x.org，@bank.example",
            "(evil@x.org)@bank.example",
            "evil=x.org|@bank.example",
            "evil\\@bank.example",
        ] {
            assert!(!bank.allows("to", elsewhere), "{elsewhere}");
        }
        let named = allow(&["* <*@bank.example>"]);
        assert!(named.allows("to", "Bob B. <bob@bank.example>"));
        assert!(!named.allows("to", "<evil@x.org> Bob <bob@bank.example>"));
        let site = allow(&["https://bank.example/*"]);
        assert!(site.allows("to", "https://bank.example/a?b=(c)%20d@e"));
        assert!(
            !site.allows("to", "https://bank.example/ https://evil.example")
                && !site.allows("to", "https://bank.example/、evil")
        );
        assert!(allow(&["*"]).allows("to", "a b, c") && allow(&["Mr. *"]).allows("to", "Mr. A B"));
        assert!(!allow(&["Mr. *"]).allows("to", "Mr. A, B"));
    }

    #[test]
    fn an_argument_is_a_destination_in_any_case() {
        for tool in ["web_fetch", "message", "never-heard-of"] {
            let facts = known(tool);
            let name = if tool == "web_fetch" { "url" } else { "to" };
            for written in [name.to_owned(), name.to_uppercase()] {
                assert!(facts.is_destination(&written, &[&written, "x"]), "{tool}: {written}");
            }
        }
        for (one, other) in [("To", "to"), ("lin\u{212a}", "link"), ("u\u{17f}er", "user")] {
            assert!(same_argument(one, other), "{one}");
        }
        assert!(!same_argument("to", "too"));
    }

    #[test]
    fn arguments_that_say_where_to_are_known_by_their_usual_names() {
        let unknown = known("never-heard-of");
        let all = [
            "to",
            "body",
            "reply_to",
            "forwardTo",
            "callback-url",
            "to2",
            "number",
            "photo",
            "auto",
            "TOTAL",
            "issue_number",
            "attendee",
            "groupId",
        ];
        let found: Vec<_> = all.into_iter().filter(|name| unknown.is_destination(name, &all)).collect();
        assert_eq!(found, ["to", "reply_to", "forwardTo", "callback-url", "to2", "number", "attendee", "groupId"]);
        assert!(unknown.is_destination("body", &["body", "subject"]), "any may be, where none is usual");
        assert!(!known("shell").is_destination("url", &["url"]));
    }
}
