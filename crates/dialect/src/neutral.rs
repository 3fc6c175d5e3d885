//! What all dialects can say, in one form.

use serde_json::Value;

/// A request for an answer of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The model, as the caller names it.
    pub model: String,
    /// The conversation, oldest first; instructions are messages of [`Role::System`].
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether it must.
    pub choice: Option<Choice>,
    /// Whether it may call several at once.
    pub parallel_calls: Option<bool>,
    /// Longest answer in tokens.
    pub max_output: Option<u64>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// The form that the answer must have.
    pub format: Option<Format>,
    /// How long the model may think.
    pub effort: Option<Effort>,
    /// Whether the answer is streamed.
    pub stream: bool,
}

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Whoever set the agent up.
    System,
    /// Whoever talks to the model, and the results of its tool calls.
    User,
    /// The model.
    Assistant,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

impl Message {
    /// A message of one text.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::Text(text.into())] }
    }
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text.
    Text(String),
    /// A picture.
    Image(Image),
    /// The model thinks.
    Reasoning(Reasoning),
    /// The model calls a tool.
    Call(ToolCall),
    /// What a tool call gave; in messages of [`Role::User`].
    Result(ToolResult),
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// At an address that the provider can reach.
    Url(String),
    /// In the message.
    Data {
        /// Such as `image/png`.
        media_type: String,
        /// Base64 (RFC 4648 section 4).
        base64: String,
    },
}

/// What a model thought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// Its text.
    pub text: String,
    /// What proves to the provider that it is its own.
    pub signature: Option<String>,
}

/// A call that a model proposes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCall {
    /// Links the result to it.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// JSON text, as the model wrote it: perhaps not valid.
    pub arguments: String,
}

/// What a call gave.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    /// Which call.
    pub id: String,
    /// Text and pictures.
    pub parts: Vec<Part>,
    /// Whether the call failed.
    pub failed: bool,
}

/// A tool that a model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// Whether a model must call a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// As it likes.
    Auto,
    /// It must not.
    None,
    /// It must call one.
    Required,
    /// It must call this one.
    Named(String),
}

/// The form of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Any JSON object.
    Json,
    /// JSON of this schema.
    Schema {
        /// A name for it.
        name: String,
        /// JSON Schema.
        schema: Value,
        /// Whether the provider must enforce it.
        strict: bool,
    },
}

/// How long a model may think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// As little as it can.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The model was done.
    End,
    /// One of the request's `stop` texts came up.
    Sequence,
    /// It was as long as it may be.
    Length,
    /// The model waits for the results of its calls.
    ToolCalls,
    /// The provider withheld it.
    Filtered,
    /// Something else, in the provider's words.
    Other(String),
}

/// Tokens that a call used. `input` counts all of the request, cached parts too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the request.
    pub input: u64,
    /// Tokens of the answer, thoughts included.
    pub output: u64,
    /// Those of `input` that the provider had in its cache.
    pub cached: u64,
    /// Those of `output` that were thoughts.
    pub reasoning: u64,
    /// Further tokens at the price of `input` that are billed for writing some of it into the provider's cache.
    pub surcharge: u64,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The provider's name for it.
    pub id: String,
    /// The model that gave it.
    pub model: String,
    /// Text, thoughts and tool calls, in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub stop: Stop,
    /// What it used, where the provider says.
    pub usage: Option<Usage>,
}

/// A step of a streamed answer. A whole stream is `Start`, content, at most one `Stop`, any number of `Usage` (a later
/// one replaces an earlier one), `End`. Calls may overlap; text and thoughts belong to the part begun last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// The answer begins.
    Start {
        /// The provider's name for it.
        id: String,
        /// The model that gives it.
        model: String,
    },
    /// More text.
    Text(String),
    /// More thoughts.
    Reasoning(String),
    /// What proves the thoughts so far.
    Signature(String),
    /// A tool call begins.
    CallStart {
        /// Which call of this answer, from 0 without gaps; a later one may begin first.
        index: usize,
        /// Its id.
        id: String,
        /// The tool.
        name: String,
    },
    /// More of a call's arguments.
    CallArguments {
        /// Which call.
        index: usize,
        /// A fragment of JSON text.
        json: String,
    },
    /// What was used so far.
    Usage(Usage),
    /// Why the answer ends.
    Stop(Stop),
    /// Nothing follows.
    End,
}
