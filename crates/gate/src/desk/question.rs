//! What is asked, and what can be answered.

use jiff::Timestamp;
use nanoclaw_request::{Refusal, RefusalCode, Stage};
use serde::{Deserialize, Serialize};

/// Something that policy leaves to people. All texts are bounded, and hold nothing that a terminal obeys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its name: eight hexadecimal digits.
    pub id: String,
    /// SHA-256 of the whole request in hex: who asks, in which run, for what. An answer is for this and nothing else.
    pub digest: String,
    /// The agent that waits.
    pub cell: String,
    /// What it would do, by the action's stable name.
    pub action: String,
    /// To what: a tool, a host.
    pub resource: String,
    /// All of it, such as a tool's arguments, one a line.
    pub detail: String,
    /// Why policy asks.
    pub why: String,
    /// The ids of the policies that ask.
    pub policies: Vec<String>,
    /// Since when it waits.
    pub asked_at: Timestamp,
    /// Until when it waits.
    pub expires_at: Timestamp,
    /// How many different people must approve.
    pub needs: u8,
    /// Who has.
    pub approved_by: Vec<String>,
    /// Who asked the agent for what it does; they cannot approve, unless the configuration lets them.
    pub requesters: Vec<String>,
}

/// What a person says to a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "answer")]
pub enum Answer {
    /// Do it.
    Approve,
    /// Do not.
    Deny {
        /// Why, for the agent and the log.
        #[serde(default)]
        reason: String,
    },
    /// Do this instead. What waits is refused, and the agent is told what it may call once.
    Edit {
        /// The arguments of the tool, a JSON object.
        arguments: String,
    },
}

impl Answer {
    /// The stable name, as it stands in the audit log.
    pub const fn name(&self) -> &'static str {
        match self {
            Answer::Approve => "approve",
            Answer::Deny { .. } => "deny",
            Answer::Edit { .. } => "edit",
        }
    }
}

/// What an answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "outcome")]
pub enum Answered {
    /// Enough people agree: policy is asked once more, and then it is done.
    Approved,
    /// It counts, and others must agree too.
    Counted {
        /// How many.
        missing: u8,
    },
    /// It is refused.
    Denied,
    /// It is refused, and the agent may make the call as it was changed.
    Edited,
}

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Enough people agreed.
    Approved,
    /// Somebody denied it.
    Denied,
    /// Somebody changed it.
    Edited,
    /// Its time was up.
    TimedOut,
    /// Nobody waited any more.
    Withdrawn,
}

impl Ended {
    const fn words(self) -> &'static str {
        match self {
            Ended::Approved => "was approved",
            Ended::Denied => "was denied",
            Ended::Edited => "was answered with other arguments",
            Ended::TimedOut => "was not answered in time",
            Ended::Withdrawn => "was withdrawn: what waited for it has ended",
        }
    }
}

/// Why an answer does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// There is no such question.
    #[error("no question `{}` waits for an answer; `nanoclaw approvals` lists those that do", .0.escape_debug())]
    Unknown(String),
    /// It has ended already. An answer is good once.
    #[error("question `{id}` {}; an answer is good for one try, and the next one is a question of its own", .how.words())]
    Over {
        /// Which.
        id: String,
        /// How.
        how: Ended,
    },
    /// The person saw something else.
    #[error(
        "question `{0}` is not about the request with that digest; look at it again with `nanoclaw approvals show {0}`"
    )]
    OtherDigest(String),
    /// Nobody approves what they asked for themselves.
    #[error(
        "`{by}` asked agent `{cell}` for what it does, and nobody approves what they asked for themselves; \
         somebody else must, such as another account with the role approver; or say `approvals: {{ own: true }}`, and \
         whoever asked may approve too"
    )]
    Requester {
        /// Who answered.
        by: String,
        /// The agent.
        cell: String,
    },
    /// One person counts once.
    #[error("`{by}` has approved question `{id}` already; {missing} more must, and each of them somebody else")]
    Again {
        /// Who.
        by: String,
        /// Which.
        id: String,
        /// How many are missing.
        missing: u8,
    },
    /// Only the arguments of tool calls can be changed.
    #[error(
        "only the arguments of a tool call can be changed, and question `{0}` is about none that can be read; approve or deny it"
    )]
    NotEditable(String),
    /// The new arguments cannot be read.
    #[error(
        "the new arguments are no JSON object that can be read in one way only, of at most {MAX_EDIT_BYTES} bytes: no key \
         twice, no whole number beyond 2^53"
    )]
    Unreadable,
    /// Too many changed calls wait for their agents to make them.
    #[error("{MOST_EDITS} changed calls wait for their agents to make them; deny it, or wait for some to be made")]
    TooManyEdits,
}

/// Longest text of changed arguments in bytes.
pub(super) const MAX_EDIT_BYTES: usize = 64 * 1024;
/// Most changed calls that wait to be made.
pub(super) const MOST_EDITS: usize = 256;

impl DeskError {
    /// What stands in the log, and is told to whoever answered.
    pub fn refusal(&self) -> Refusal {
        let code = match self {
            DeskError::Unknown(_) => RefusalCode::NotFound,
            DeskError::Over { .. }
            | DeskError::OtherDigest(_)
            | DeskError::Again { .. }
            | DeskError::NotEditable(_) => RefusalCode::NotApproved,
            DeskError::Requester { .. } => RefusalCode::NotYou,
            DeskError::Unreadable => RefusalCode::Malformed,
            DeskError::TooManyEdits => RefusalCode::Limit,
        };
        let text = self.to_string();
        let (reason, help) = text.split_once("; ").unwrap_or((&text, ""));
        Refusal { stage: Stage::Act, code, reason: reason.to_owned(), help: help.to_owned() }
    }
}
