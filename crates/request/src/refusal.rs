//! Refusals: why something was not done, in a form for programs (the code), people and models (the text).

use std::fmt;

/// The stage that refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The caller is not who may use the door.
    Identify,
    /// The request cannot be read, or contradicts itself.
    Inspect,
    /// The policy does not allow it.
    Authorise,
    /// Allowed, but it could not be done.
    Act,
}

/// What went wrong. The name is stable; the text is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// The request cannot be read.
    Malformed,
    /// The caller may not use this door.
    NotYou,
    /// No rule names the host and port.
    HostNotAllowed,
    /// The address is private, loopback, link-local, metadata or otherwise special, and no rule names it.
    AddressForbidden,
    /// The name does not resolve.
    NameNotFound,
    /// The TLS server name is not the host that the connection is for.
    SniMismatch,
    /// The HTTP host is not the host that the connection is for.
    HttpHostMismatch,
    /// Neither TLS nor HTTP, and no rule allows raw TCP.
    ProtocolNotAllowed,
    /// An encrypted ClientHello hides the name.
    EncryptedHello,
    /// UDP other than DNS, ICMP and everything else that is not TCP.
    DatagramNotAllowed,
    /// The place cannot be written.
    ReadOnly,
    /// The program cannot be run from there.
    ExecNotAllowed,
    /// No cell may make this system call.
    SyscallNotAllowed,
    /// A policy could not be evaluated.
    Undecided,
    /// No rule allows this agent the model.
    ModelNotAllowed,
    /// There is no such model.
    NoSuchModel,
    /// No rule allows this agent's models the tool call.
    ToolNotAllowed,
    /// A budget is used up.
    BudgetExhausted,
    /// Somebody must approve of it, and nobody has.
    NotApproved,
    /// It was allowed when it began, and is not any more.
    NoLongerAllowed,
    /// What was said may not pass.
    ContentRefused,
    /// Too many at once.
    Limit,
    /// There is no such cell.
    NoSuchCell,
    /// There is nothing else of that name or number.
    NotFound,
    /// The far side did not answer.
    Unreachable,
}

impl RefusalCode {
    /// Every code, for tests and documents.
    pub const ALL: [RefusalCode; 25] = {
        use RefusalCode::*;
        [
            Malformed,
            NotYou,
            HostNotAllowed,
            AddressForbidden,
            NameNotFound,
            SniMismatch,
            HttpHostMismatch,
            ProtocolNotAllowed,
            EncryptedHello,
            DatagramNotAllowed,
            ReadOnly,
            ExecNotAllowed,
            SyscallNotAllowed,
            Undecided,
            ModelNotAllowed,
            NoSuchModel,
            ToolNotAllowed,
            BudgetExhausted,
            NotApproved,
            NoLongerAllowed,
            ContentRefused,
            Limit,
            NoSuchCell,
            NotFound,
            Unreachable,
        ]
    };

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            RefusalCode::Malformed => "malformed",
            RefusalCode::NotYou => "not-you",
            RefusalCode::HostNotAllowed => "host-not-allowed",
            RefusalCode::AddressForbidden => "address-forbidden",
            RefusalCode::NameNotFound => "name-not-found",
            RefusalCode::SniMismatch => "sni-mismatch",
            RefusalCode::HttpHostMismatch => "http-host-mismatch",
            RefusalCode::ProtocolNotAllowed => "protocol-not-allowed",
            RefusalCode::EncryptedHello => "encrypted-hello",
            RefusalCode::DatagramNotAllowed => "datagram-not-allowed",
            RefusalCode::ReadOnly => "read-only",
            RefusalCode::ExecNotAllowed => "exec-not-allowed",
            RefusalCode::SyscallNotAllowed => "syscall-not-allowed",
            RefusalCode::Undecided => "undecided",
            RefusalCode::ModelNotAllowed => "model-not-allowed",
            RefusalCode::NoSuchModel => "no-such-model",
            RefusalCode::ToolNotAllowed => "tool-not-allowed",
            RefusalCode::BudgetExhausted => "budget-exhausted",
            RefusalCode::NotApproved => "not-approved",
            RefusalCode::NoLongerAllowed => "no-longer-allowed",
            RefusalCode::ContentRefused => "content-refused",
            RefusalCode::Limit => "limit",
            RefusalCode::NoSuchCell => "no-such-cell",
            RefusalCode::NotFound => "not-found",
            RefusalCode::Unreachable => "unreachable",
        }
    }
}

/// A refusal names the stage, what was refused, and the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where on the path it was refused.
    pub stage: Stage,
    /// Why, for programs.
    pub code: RefusalCode,
    /// Why, for people: one sentence without a full stop that names the thing refused.
    pub reason: String,
    /// What the operator can do about it, such as the one line of configuration that would allow it.
    /// Empty where nothing would.
    pub help: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        if self.help.is_empty() { Ok(()) } else { write!(f, "; {}", self.help) }
    }
}
