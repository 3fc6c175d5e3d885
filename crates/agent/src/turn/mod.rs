//! One turn: the model is asked, what it calls is executed, and so on until it is done.
//!
//! A turn is one future. Dropping it interrupts the turn wherever it waits: the connection to the door closes, commands
//! are killed with their processes, and the session stays at the last entry that was stored. What the loop does is
//! stored before it goes on: an answer before its calls are made, each result when it is there. So a call that was under
//! way when the turn ended is known as such to the next one, and is never silently made again.

mod ask;
mod compact;
mod execute;
mod schema;

use std::cell::Cell;
use std::rc::Rc;

use nanoclaw_dialect::{Stop, ToolCall, Usage};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::answer::Answer;
use crate::door::{Door, DoorError};
use crate::protocol::{AnswerPart, Ending, Entry, Event};
use crate::settings::{Settings, ToolMode};
use crate::store::{Session, Store, StoreError};
use crate::tools::Toolbox;
use crate::{conversation, prompt, text_calls};

use execute::Repeats;

/// Most answers of one turn whose calls were all refused.
pub(crate) const MOST_REFUSED_ANSWERS: u32 = 3;

/// Most answers of one turn that are not of the form of [`ToolMode::Schema`].
pub(crate) const MOST_BAD_STEPS: u32 = 3;

/// What turns work with.
#[derive(Debug)]
pub(crate) struct Agent {
    /// What the control plane said.
    pub settings: Settings,
    /// The way to the model.
    pub door: Door,
    /// Sessions and memories.
    pub store: Rc<Store>,
    /// What the model can call.
    pub tools: Rc<Toolbox>,
}

/// Where the events of a turn go.
#[derive(Clone, Debug)]
pub(crate) struct Events(mpsc::Sender<Event>);

impl Events {
    pub(crate) fn new(sender: mpsc::Sender<Event>) -> Self {
        Self(sender)
    }

    /// Tells whoever waits for the turn; waits while it does not listen.
    pub(crate) async fn tell(&self, event: Event) {
        // If nobody listens, the turn is about to be dropped.
        let _ = self.0.send(event).await;
    }
}

/// What a turn is about.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// See [`crate::protocol::Order::Turn`].
    pub prompt: String,
    /// See there.
    pub untrusted: Option<String>,
    /// See there.
    pub schema: Option<Value>,
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    /// There is no answer of the model.
    #[error("{0}")]
    Door(#[from] DoorError),
    /// Nothing can be stored.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The prompt does not fit.
    #[error("the prompt is about {0} tokens long, and this agent takes {1}")]
    LongPrompt(u64, u64),
    /// There is no summary, so the conversation cannot go on.
    #[error("the conversation is too long, and the model gave no summary of it")]
    NoSummary,
    /// The answers are not of the form that they must have.
    #[error("the answers of the model are not JSON of the schema that was asked for")]
    NotOfSchema,
}

impl TurnError {
    /// What to do about it.
    pub(crate) fn help(&self) -> String {
        match self {
            TurnError::Door(error) => error.help(),
            TurnError::Store(_) => "see whether the agent's /data has space left".to_owned(),
            TurnError::LongPrompt(..) => {
                "send less, put it into a file in the workspace, or set `context_tokens` of this agent to what its model takes"
                    .to_owned()
            },
            TurnError::NoSummary => "begin a new session, or ask again".to_owned(),
            TurnError::NotOfSchema => "use a provider that enforces schemas, or a stronger model".to_owned(),
        }
    }
}

/// A turn under way.
pub(crate) struct Turn<'a> {
    agent: &'a Agent,
    events: &'a Events,
    session: Session,
    schema: Option<Value>,
    usage: Usage,
    repeats: Repeats,
    refused_answers: u32,
    bad_steps: u32,
    /// What the turn was asked, as the model got it, and the number of that entry.
    asked: (u64, String),
    /// The words of the last answer.
    last: String,
    /// Tokens of what stands before the conversation in each request.
    fixed: u64,
    /// Whether the door was waited for already.
    waited: Cell<bool>,
    /// Whether the model did not take the conversation, because it is too long.
    too_long: bool,
}

/// How a step of the turn ended.
enum Step {
    /// The model goes on.
    On,
    /// The turn is over; its answer is the last one.
    Over(Ending),
}

impl<'a> Turn<'a> {
    /// Does a task in a session that exists.
    pub(crate) async fn run(
        agent: &'a Agent,
        events: &'a Events,
        session: &str,
        task: Task,
    ) -> Result<(Ending, String), TurnError> {
        let session = agent.store.session(session)?;
        agent.tools.begin(&session.id, events).await;
        let mut turn = Self {
            agent,
            events,
            session,
            schema: task.schema,
            usage: Usage::default(),
            repeats: Repeats::default(),
            refused_answers: 0,
            bad_steps: 0,
            asked: (0, prompt::prompt(&task.prompt, task.untrusted.as_deref())),
            last: String::new(),
            fixed: fixed_tokens(agent),
            waited: Cell::new(false),
            too_long: false,
        };
        turn.begin(task.prompt, task.untrusted)?;
        match turn.steps().await {
            Ok(ending) => Ok((ending, turn.last)),
            Err(error) => {
                if turn.too_long || matches!(error, TurnError::NoSummary) {
                    turn.withdraw()?;
                }
                Err(error)
            }
        }
    }

    async fn steps(&mut self) -> Result<Ending, TurnError> {
        let agent = self.agent;
        for _ in 0..agent.settings.max_steps {
            if agent.tools.refresh().await {
                self.fixed = fixed_tokens(agent);
            }
            self.compact().await?;
            let answer = self.ask(ask::Form::Step).await?;
            let step = match agent.settings.tool_mode {
                ToolMode::Native => self.native(answer).await?,
                ToolMode::Schema => self.schema_step(&answer).await?,
            };
            if let Step::Over(ending) = step {
                return Ok(ending);
            }
        }
        Ok(Ending::MaxSteps)
    }

    /// Takes a prompt back that was not answered: a session that is too long must not grow by every attempt.
    fn withdraw(&mut self) -> Result<(), TurnError> {
        let asked = self.asked.0;
        let answered = self.session.recent.iter().any(|(number, _)| *number > asked);
        let there = self.session.recent.iter().any(|(number, _)| *number == asked);
        if there && !answered {
            self.agent.store.withdraw(&mut self.session, asked)?;
        }
        Ok(())
    }

    fn begin(&mut self, text: String, untrusted: Option<String>) -> Result<(), TurnError> {
        for call in conversation::open_calls(&self.session) {
            self.store_result(call, prompt::INTERRUPTED.to_owned(), true)?;
        }
        let asked = Entry::Prompt { text, untrusted };
        let (long, most) = (conversation::entry_tokens(&asked), self.agent.settings.context_tokens / 2);
        if long > most {
            return Err(TurnError::LongPrompt(long, most));
        }
        self.store(asked)?;
        self.asked.0 = self.session.count;
        Ok(())
    }

    /// What follows from an answer in the dialect's own form.
    async fn native(&mut self, answer: Answer) -> Result<Step, TurnError> {
        let Answer { mut parts, stop, refused, .. } = answer;
        let mut calls: Vec<ToolCall> = conversation::calls(&parts).collect();
        let mut unseen = false;
        let find = |text: &str| text_calls::find(text, |name| self.agent.tools.offers(name));
        if calls.is_empty()
            && refused.is_empty()
            && let Some((words, found)) = find(&conversation::text(&parts))
        {
            // From here on they are calls like others, so that the model sees how calls are made.
            parts.retain(|part| matches!(part, AnswerPart::Reasoning { .. }));
            if !words.is_empty() {
                parts.push(AnswerPart::Text { text: words });
            }
            for (number, call) in found.into_iter().enumerate() {
                let id = format!("text_{}_{number}", self.session.count);
                parts.push(AnswerPart::Call { id, name: call.name, arguments: call.arguments });
            }
            calls = conversation::calls(&parts).collect();
            unseen = true;
        }
        self.store_answer(parts)?;
        if calls.is_empty() {
            return if refused.is_empty() { self.answered(stop).await } else { self.all_refused() };
        }
        let calls = if unseen { self.let_decide(calls).await? } else { calls };
        if calls.is_empty() { self.all_refused() } else { self.execute(calls).await }
    }

    /// The model is done; where the answer must have a form, it is asked for that.
    async fn answered(&mut self, stop: Option<Stop>) -> Result<Step, TurnError> {
        if let Some(ending) = cut_short(stop) {
            return Ok(Step::Over(ending));
        }
        if self.schema.is_none() {
            return Ok(Step::Over(Ending::Answered));
        }
        if self.agent.tools.current().tools().next().is_some() {
            self.store(Entry::Note { text: prompt::FINAL.to_owned() })?;
            let answer = self.ask(ask::Form::Final).await?;
            let words = conversation::text(&answer.parts);
            self.store_answer(vec![AnswerPart::Text { text: words }])?;
        }
        self.of_schema()
    }

    /// Every call of an answer was refused, and none was made.
    fn all_refused(&mut self) -> Result<Step, TurnError> {
        self.refused_answers += 1;
        if self.refused_answers > MOST_REFUSED_ANSWERS {
            return Ok(Step::Over(Ending::Refused));
        }
        self.store(Entry::Note { text: prompt::GO_ON.to_owned() })?;
        Ok(Step::On)
    }

    fn store_answer(&mut self, parts: Vec<AnswerPart>) -> Result<(), TurnError> {
        self.last = conversation::text(&parts);
        self.store(Entry::Answer { parts })
    }

    fn store(&mut self, entry: Entry) -> Result<(), TurnError> {
        Ok(self.agent.store.append(&mut self.session, entry)?)
    }

    fn store_result(&mut self, call: ToolCall, output: String, failed: bool) -> Result<(), TurnError> {
        self.store(Entry::Result { id: call.id, name: call.name, output, failed })
    }
}

/// How an answer ends a turn that the model did not end itself.
fn cut_short(stop: Option<Stop>) -> Option<Ending> {
    match stop {
        Some(Stop::Length) => Some(Ending::Length),
        Some(Stop::Filtered) => Some(Ending::Filtered),
        Some(Stop::End | Stop::Sequence | Stop::ToolCalls | Stop::Other(_)) | None => None,
    }
}

/// About how many tokens the system prompt and the tools have.
fn fixed_tokens(agent: &Agent) -> u64 {
    let tool = |tool: &nanoclaw_dialect::Tool| {
        conversation::tokens(&tool.description) + conversation::tokens(&tool.parameters.to_string())
    };
    let current = agent.tools.current();
    let tools: u64 = match agent.settings.tool_mode {
        ToolMode::Native => current.tools().map(tool).sum(),
        // They stand in the system prompt.
        ToolMode::Schema => 0,
    };
    conversation::tokens(&prompt::system(&agent.settings, current.tools(), current.about())) + tools
}

#[cfg(test)]
mod tests;
