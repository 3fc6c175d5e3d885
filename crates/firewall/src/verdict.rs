//! What the firewall says of a text.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::view::{Form, Span};

/// Whose words a text is, as the model is to take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// What a person asks of the model.
    User,
    /// What a tool gave.
    Tool,
    /// What a person gave to be read: a file, an attachment.
    Document,
    /// What another agent says.
    Agent,
    /// What leaves: an answer, the arguments of a call, the body of a request.
    Output,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::User, Self::Tool, Self::Document, Self::Agent, Self::Output];

    /// Its name, as it is written everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Tool => "tool",
            Self::Document => "document",
            Self::Agent => "agent",
            Self::Output => "output",
        }
    }

    /// Whether its text is content for the model to work on and not to obey.
    pub const fn is_content(self) -> bool {
        matches!(self, Self::Tool | Self::Document | Self::Agent)
    }
}

/// How sure it is that a text is an attack: named for the share of benign texts that reach it (on the calibration split).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to say.
    #[default]
    Clean,
    /// One benign text in a hundred gets here.
    Suspect,
    /// Three in a thousand.
    Likely,
    /// One in a thousand.
    Certain,
}

impl Level {
    /// All of them, the surest last.
    pub const ALL: [Self; 4] = [Self::Clean, Self::Suspect, Self::Likely, Self::Certain];

    /// Its name, as it is written everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Suspect => "suspect",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }

    /// The least score of this level; see [`Judgement::score`].
    pub const fn floor(self) -> f32 {
        match self {
            Self::Clean => 0.0,
            Self::Suspect => 0.5,
            Self::Likely => 0.8,
            Self::Certain => 0.95,
        }
    }
}

/// What is to be done with a text. The worse, the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It goes on as it is.
    #[default]
    Allow,
    /// It goes on with a mark that it is suspicious.
    Annotate,
    /// It goes on without what must not leave.
    Redact,
    /// A person decides.
    Ask,
    /// It does not go on.
    Deny,
}

impl Verdict {
    /// All of them, the worst last.
    pub const ALL: [Self; 5] = [Self::Allow, Self::Annotate, Self::Redact, Self::Ask, Self::Deny];

    /// Its name, as it is written everywhere.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Annotate => "annotate",
            Self::Redact => "redact",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

/// A rule that a text meets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleHit {
    /// Which rule: stable, in kebab case.
    pub id: Arc<str>,
    /// Why, for people: one sentence without a full stop.
    pub reason: Arc<str>,
    /// How sure it makes.
    pub level: Level,
    /// What the rule itself wants done; only filters say so.
    pub verdict: Verdict,
    /// Where in the original.
    pub span: Span,
    /// How the text had to be read to show it, outermost first; empty for the text as it stands.
    pub forms: Vec<Form>,
}

/// Something that must not leave. What it is stays in the text: nothing here holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LossHit {
    /// What it is: stable, in kebab case, such as `card` or `aws-access-key`.
    pub kind: Arc<str>,
    /// Where in the original.
    pub span: Span,
    /// What is to be done about it in this channel.
    pub verdict: Verdict,
    /// How the text had to be read to show it, outermost first; empty for the text as it stands.
    pub forms: Vec<Form>,
}

/// What the firewall says of a text.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Judgement {
    /// What is to be done.
    pub verdict: Verdict,
    /// How likely an attack: 0 to 1; 0.5 is where [`Level::Suspect`] begins, 0.8 [`Level::Likely`], 0.95 [`Level::Certain`].
    pub score: f32,
    /// How sure.
    pub level: Level,
    /// How likely it holds instructions of any kind, on the same scale. That is no offence; it says what a model may be led by.
    pub instructs: f32,
    /// The rules it meets, in the order of their spans.
    pub rules: Vec<RuleHit>,
    /// What must not leave, in the order of their spans; they do not overlap.
    pub losses: Vec<LossHit>,
    /// Where the model's score is highest, if that is [`Level::Suspect`] or more.
    pub window: Option<Span>,
    /// Whether all of it was looked at. What is too large to vouch for is never [`Verdict::Allow`].
    pub complete: bool,
}

impl Judgement {
    /// Whether it is taken for an attack.
    pub fn flagged(&self) -> bool {
        self.level >= Level::Likely
    }
}
