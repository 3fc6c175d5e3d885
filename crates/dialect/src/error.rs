//! What can be wrong with a message, and how NanoClaw tells an agent that something did not work.

/// A body or event that is not of its dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", if .at.is_empty() { String::new() } else { format!("`{}` ", .at) })]
pub struct Malformed {
    /// Where in the JSON, such as `messages[2].content`; empty for the whole.
    pub at: String,
    /// What is wrong there.
    pub what: String,
}

impl Malformed {
    /// `at` is wrong because of `what`, such as `is not a list`.
    pub fn new(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self { at: at.into(), what: what.into() }
    }
}

/// An error for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// A stable code for programs, such as `budget-exhausted`.
    pub code: String,
    /// What happened and what to do, for people and models.
    pub message: String,
}

/// Kinds of errors, as far as the dialects tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The request cannot be read or contradicts itself: 400.
    Invalid,
    /// The policy does not allow it: 403.
    Forbidden,
    /// There is no such model or address: 404.
    NotFound,
    /// The method does not fit: 405.
    Method,
    /// The request took too long to come: 408.
    Slow,
    /// The body is too long: 413.
    TooLarge,
    /// A budget or limit is exhausted: 429.
    Exhausted,
    /// NanoClaw failed: 500.
    Internal,
    /// The provider failed: 502.
    Provider,
    /// Nothing can be recorded, or no provider is there: 503.
    Unavailable,
    /// The provider did not answer in time: 504.
    Timeout,
}

impl FaultKind {
    /// HTTP status (RFC 9110).
    pub const fn status(self) -> u16 {
        match self {
            FaultKind::Invalid => 400,
            FaultKind::Forbidden => 403,
            FaultKind::NotFound => 404,
            FaultKind::Method => 405,
            FaultKind::Slow => 408,
            FaultKind::TooLarge => 413,
            FaultKind::Exhausted => 429,
            FaultKind::Internal => 500,
            FaultKind::Provider => 502,
            FaultKind::Unavailable => 503,
            FaultKind::Timeout => 504,
        }
    }
}
