//! Asking the model once.

use std::time::Duration;

use nanoclaw_dialect::{Choice, Format, Message, Request, Role};

use super::{Turn, TurnError, schema};
use crate::answer::Answer;
use crate::door::{DoorError, Stream};
use crate::protocol::Event;
use crate::settings::ToolMode;
use crate::{conversation, prompt};

/// The longest that a turn waits because the door asks it to. It does so once.
pub(crate) const LONGEST_WAIT: u64 = 20;

/// What kind of answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Calls or an answer.
    Step,
    /// The final answer, of the order's schema.
    Final,
}

impl Turn<'_> {
    /// Asks the model for its next step. What it says is told as it comes. A conversation that is longer than the model
    /// takes is shortened, and the model asked once more.
    pub(super) async fn ask(&mut self, form: Form) -> Result<Answer, TurnError> {
        // In schema mode the text is JSON for the loop, not words for people.
        let silent = self.agent.settings.tool_mode == ToolMode::Schema;
        match self.answer(&self.request(form), silent).await {
            Err(TurnError::Door(error)) if error.too_long() => {
                self.too_long = true;
                if !self.squeeze().await? {
                    return Err(error.into());
                }
                let answer = self.answer(&self.request(form), silent).await?;
                self.too_long = false;
                Ok(answer)
            }
            answer => answer,
        }
    }

    /// Asks the model and waits for the whole answer.
    pub(super) async fn answer(&mut self, request: &Request, silent: bool) -> Result<Answer, TurnError> {
        let mut stream = self.open(request).await?;
        let mut answer = Answer::default();
        while let Some(delta) = stream.next().await? {
            for event in answer.take(delta) {
                self.say(event, silent).await;
            }
        }
        for event in answer.finish() {
            self.say(event, silent).await;
        }
        self.usage.input = self.usage.input.saturating_add(answer.usage.input);
        self.usage.output = self.usage.output.saturating_add(answer.usage.output);
        self.events.tell(Event::Usage { input: self.usage.input, output: self.usage.output }).await;
        Ok(answer)
    }

    async fn say(&self, event: Event, silent: bool) {
        if !(silent && matches!(event, Event::Text { .. })) {
            self.events.tell(event).await;
        }
    }

    /// The beginning of the answer. A door that asks for a little patience gets it once in a turn.
    async fn open(&self, request: &Request) -> Result<Stream<'_>, TurnError> {
        match self.agent.door.ask(request).await {
            Err(DoorError::Refused { status: 429, message, retry_after: Some(seconds), .. })
                if seconds <= LONGEST_WAIT && !self.waited.replace(true) =>
            {
                self.events.tell(Event::Waiting { seconds, reason: message }).await;
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok(self.agent.door.ask(request).await?)
            }
            answer => Ok(answer?),
        }
    }

    fn request(&self, form: Form) -> Request {
        let settings = &self.agent.settings;
        let current = self.agent.tools.current();
        let tools = || current.tools();
        let mut messages = vec![Message::text(Role::System, prompt::system(settings, tools(), current.about()))];
        messages.extend(conversation::messages(&self.session, settings.tool_mode));
        let mut request = Request {
            model: settings.model.clone(),
            messages,
            max_output: settings.max_output_tokens,
            stream: true,
            ..Request::default()
        };
        let bare = tools().next().is_none();
        match (settings.tool_mode, form) {
            (ToolMode::Schema, Form::Step) if !bare => {
                request.format = Some(schema::step_format(tools(), self.schema.as_ref()));
            }
            (ToolMode::Schema, _) => request.format = self.schema.as_ref().map(schema::final_format),
            (ToolMode::Native, Form::Step) => {
                request.tools = tools().cloned().collect();
                request.format = self.schema.as_ref().filter(|_| bare).map(schema::final_format);
            }
            (ToolMode::Native, Form::Final) => {
                // The conversation has calls in it, so some providers want to see the tools.
                request.tools = tools().cloned().collect();
                request.choice = Some(Choice::None);
                request.format = self.schema.as_ref().map(schema::final_format);
            }
        }
        request
    }
}

/// A request for words about a text, without tools.
pub(super) fn plain(turn: &Turn<'_>, instructions: &str, text: String) -> Request {
    Request {
        model: turn.agent.settings.model.clone(),
        messages: vec![Message::text(Role::System, instructions), Message::text(Role::User, text)],
        max_output: turn.agent.settings.max_output_tokens,
        format: None::<Format>,
        stream: true,
        ..Request::default()
    }
}
