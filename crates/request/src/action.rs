//! Everything that a cell or an operator can ask for.

use std::net::{IpAddr, SocketAddr};

use crate::{CellId, Destination, DnsName, SessionId};

/// A request in canonical form. Closed: a new kind must be handled in every stage.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Start a cell.
    Launch(Launch),
    /// Look a name up.
    Resolve(Resolve),
    /// Open a TCP connection to the outside.
    Connect(Connect),
    /// Send one HTTP request over a connection that NanoClaw reads.
    Http(HttpRequest),
    /// Send a packet that is neither TCP nor DNS.
    Datagram(Datagram),
    /// Open a file for writing, or change a directory.
    FileWrite(FileWrite),
    /// Run a program.
    Exec(Exec),
    /// Make a system call that no cell may make.
    Syscall(Syscall),
    /// Ask a model.
    CallModel(ModelCall),
    /// Carry out a tool call that a model proposed to its agent.
    ToolCall(ProposedCall),
    /// Steer the fleet.
    Manage(Manage),
    /// Answer a question that policy puts to people.
    Approve(Approve),
    /// Read the audit log.
    AuditRead(AuditRead),
}

/// Start a cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Launch {
    /// The cell to be.
    pub cell: CellId,
    /// This run of it.
    pub session: SessionId,
    /// Program and arguments.
    pub command: Vec<String>,
    /// What was asked for, as one line of text: who asked, mode, root, mounts, limits, network rules.
    pub summary: String,
}

/// Look a name up, in order to connect to `port` on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resolve {
    /// The name.
    pub name: DnsName,
    /// The port of the connection that needs it; `None` when the cell only asked the stub DNS.
    pub port: Option<u16>,
}

/// Open a TCP connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Connect {
    /// Where the client meant to go.
    pub destination: Destination,
    /// How the client asked for it.
    pub via: Via,
    /// What its first bytes say about where it meant to go.
    pub evidence: Evidence,
    /// The addresses that the name resolved to, or the one that was dialled. The door dials one of these
    /// and never looks the name up again.
    pub addresses: Vec<IpAddr>,
}

/// How a connection reached the network door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// An ordinary `connect`, redirected.
    Transparent,
    /// HTTP `CONNECT`.
    HttpConnect,
    /// An absolute-form HTTP request.
    HttpAbsolute,
}

impl Via {
    /// The stable name, as it stands in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            Via::Transparent => "transparent",
            Via::HttpConnect => "http-connect",
            Via::HttpAbsolute => "http-proxy",
        }
    }
}

/// What the first bytes of a connection are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// A TLS ClientHello.
    Tls {
        /// The server name of the hello, verbatim.
        sni: Option<String>,
        /// Whether it carries an encrypted ClientHello (RFC 9849), which can hide another name.
        encrypted_hello: bool,
    },
    /// An HTTP/1 request.
    Http {
        /// The authority of the request: Host header or absolute form.
        host: Destination,
    },
    /// Neither.
    Opaque,
    /// The client sent nothing before its time was up, or the rule does not ask for inspection.
    Silent,
}

/// One HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpRequest {
    /// The destination of the connection that carries it, already permitted.
    pub connection: Destination,
    /// The authority that the request names.
    pub host: Destination,
    /// Method.
    pub method: String,
    /// Path without query: queries hold personal data and stay out of the log.
    pub path: String,
    /// What follows its `?`, for people who are asked about the request. No policy and no log has it.
    pub query: Option<String>,
}

/// A packet that is neither TCP nor DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Datagram {
    /// IP protocol number (IANA), 17 for UDP.
    pub protocol: u8,
    /// Where to; port 0 where the protocol has none.
    pub to: SocketAddr,
}

/// A change to the file tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileWrite {
    /// The system call: `open`, `mkdir`, `unlink`, `rename`…
    pub operation: &'static str,
    /// The path inside the cell, lossy where it is not UTF-8.
    pub path: String,
    /// The errno that the kernel would give, or `None` where the place is writable.
    pub obstacle: Option<i32>,
}

/// Run a program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exec {
    /// The path inside the cell.
    pub path: String,
    /// Its arguments, the program's name as given first; as many and as much of each as a record needs, lossy where
    /// they are not UTF-8, and empty where they cannot be read.
    pub command: Vec<String>,
    /// The errno that the kernel would give, or `None` where it can run.
    pub obstacle: Option<i32>,
}

/// A system call that no cell may make.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Syscall {
    /// Its name, or its number where it has none that we know.
    pub name: String,
    /// What of its arguments is worth writing down, such as a socket family.
    pub detail: String,
}

/// Ask a model something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelCall {
    /// What is asked for.
    pub operation: ModelOperation,
    /// The model as the agent names it: an alias, `provider/model`, or what stands for the agent's own.
    pub asked: String,
    /// The models that this stands for, as `provider/model`, in the order in which they are tried.
    pub candidates: Vec<String>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Messages in the request.
    pub messages: usize,
    /// Length of the request in bytes.
    pub bytes: usize,
    /// SHA-256 of the request, in hex.
    pub digest: String,
    /// Tokens that are reserved for it until it is known how many it used.
    pub reserved_tokens: u64,
}

/// What a model is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelOperation {
    /// An answer, in the dialect of OpenAI chat completions.
    Chat,
    /// An answer, in the dialect of OpenAI responses.
    Responses,
    /// An answer, in the dialect of Anthropic messages.
    Messages,
    /// Vectors for texts.
    Embeddings,
    /// How many tokens a request has.
    CountTokens,
    /// Which models there are.
    List,
}

impl ModelOperation {
    /// The stable name, as it stands in the audit log.
    pub const fn name(self) -> &'static str {
        match self {
            ModelOperation::Chat => "chat",
            ModelOperation::Responses => "responses",
            ModelOperation::Messages => "messages",
            ModelOperation::Embeddings => "embeddings",
            ModelOperation::CountTokens => "count-tokens",
            ModelOperation::List => "list",
        }
    }
}

/// A tool call that a model proposes, before its agent has seen it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProposedCall {
    /// The tool.
    pub tool: String,
    /// The call's id in its conversation.
    pub call: String,
    /// Its arguments as key and value, texts as they are and all else as JSON; `None` where they cannot be read in one way only:
    /// no object, or the same key twice.
    pub arguments: Option<Vec<(String, String)>>,
    /// The arguments as the model wrote them, for people who are asked about it; empty where nobody may see them.
    pub written: String,
    /// SHA-256 of the arguments as the model wrote them, in hex.
    pub digest: String,
    /// Whether it runs at the provider, outside of every cell: nobody sees its calls before they are made, so that the
    /// question is whether it may be offered at all.
    pub at_provider: bool,
    /// Where the texts in its arguments were first seen; empty where nobody looked.
    pub traced: Vec<Traced>,
}

/// A text in an argument of a call, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Traced {
    /// The argument that it stands in, at any depth.
    pub argument: String,
    /// The text.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a text comes from, the best evidence first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// It stands in the words of a user who is trusted.
    User,
    /// It stands in what a trusted tool gave.
    Trusted,
    /// Nobody knows: the model made it, or it was forgotten.
    Unknown,
    /// It stands only in what an untrusted source gave.
    Untrusted,
}

/// Steer the fleet through the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Manage {
    /// List cells and their state.
    List,
    /// Read a cell's output.
    Logs {
        /// Which cell.
        cell: String,
    },
    /// Run one more program in a cell.
    Exec {
        /// Which cell.
        cell: String,
        /// Program and arguments.
        command: Vec<String>,
    },
    /// Tell an agent something, and hear what it does.
    Turn {
        /// Which cell.
        cell: String,
        /// SHA-256 of what it is told, in hex.
        digest: String,
    },
    /// Read what was said in an agent's sessions.
    Sessions {
        /// Which cell.
        cell: String,
    },
    /// Stop one cell.
    Stop {
        /// Which cell.
        cell: String,
    },
    /// Stop the fleet.
    Down,
    /// Read the configuration again, and put its policies in force.
    Reload,
    /// List what waits for people's answers.
    Approvals,
    /// List or read what is withheld from models.
    Quarantine,
    /// Decide on a text that is withheld from an agent's model.
    QuarantineDecide {
        /// Which cell.
        cell: String,
        /// The text's id.
        id: String,
        /// `release` or `drop`.
        answer: &'static str,
    },
    /// Read the policies in force, and ask what they would say.
    Policy,
    /// Forget what an agent has read, as if it were new.
    ResetLabels {
        /// Which cell.
        cell: String,
    },
    /// Get the next certificate, before one's own is over.
    Renew,
    /// Make, list or take away accounts, tokens and certificates.
    Operators {
        /// What is done, such as `token-create`, and what is given or taken by it.
        what: String,
        /// To whose.
        name: String,
    },
}

/// An answer to a question that policy puts to people.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Approve {
    /// The question's id.
    pub question: String,
    /// SHA-256 of the request that it is about, in hex: what the person has seen.
    pub digest: String,
    /// The agent that waits.
    pub cell: String,
    /// `approve`, `deny` or `edit`.
    pub answer: &'static str,
}

/// Reading of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuditRead {
    /// What of it, in words: from which record on, which agent.
    pub what: String,
}

impl Action {
    /// The stable name, as it stands in the audit log's `action`.
    pub const fn name(&self) -> &'static str {
        match self {
            Action::Launch(_) => "cell_launch",
            Action::Resolve(_) => "net_resolve",
            Action::Connect(_) => "net_connect",
            Action::Http(_) => "http_request",
            Action::Datagram(_) => "net_datagram",
            Action::FileWrite(_) => "file_write",
            Action::Exec(_) => "exec",
            Action::Syscall(_) => "syscall",
            Action::CallModel(_) => "model_call",
            Action::ToolCall(_) => "tool_call",
            Action::Manage(_) => "agent_manage",
            Action::Approve(_) => "approve",
            Action::AuditRead(_) => "audit_read",
        }
    }

    /// Whether the record must be on disk before the act: what cannot be taken back, or reaches outside the
    /// cell. The rest is queued in order and reaches the disk with the next batch.
    pub const fn is_consequential(&self) -> bool {
        match self {
            Action::Launch(_) | Action::Connect(_) | Action::Manage(_) | Action::Approve(_) => true,
            Action::CallModel(call) => !matches!(call.operation, ModelOperation::List),
            Action::Resolve(_)
            | Action::Http(_)
            | Action::Datagram(_)
            | Action::FileWrite(_)
            | Action::Exec(_)
            | Action::Syscall(_)
            // The cell that carries it out is held by its own walls and doors.
            | Action::ToolCall(_)
            | Action::AuditRead(_) => false,
        }
    }
}
