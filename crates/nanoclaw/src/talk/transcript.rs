//! What a person sees of a turn: the agent's text on one stream, everything else on another.

use std::io::{self, Write};

use nanoclaw_agent::protocol::{AnswerPart, Ending, Entry, Event};

use crate::terminal::{Ink, Look, line, visible};

/// Most lines of a result that are shown unless everything is.
const RESULT_LINES: usize = 3;

/// How much is shown besides the agent's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What the agent does, a line each, and what went wrong.
    Short,
    /// Also the beginning of each result, and what was used.
    Results,
    /// Everything, whole.
    Whole,
}

/// Shows events as they come.
pub struct Transcript<A, N> {
    answer: A,
    answer_look: Look,
    notes: N,
    notes_look: Look,
    /// How much is shown. May change between turns.
    pub detail: Detail,
    /// Whether only the final answer is shown, when it is there.
    only_final: bool,
    /// Whether the answer's last line is not ended yet.
    open: bool,
    /// Whether any text of this turn was shown.
    spoke: bool,
    /// The call that was shown last, as its result needs no name then.
    last_call: Option<String>,
    /// Tokens in and out.
    used: Option<(u64, u64)>,
}

impl<A: Write, N: Write> Transcript<A, N> {
    /// One that writes the agent's text to `answer`, and everything else to `notes`.
    pub fn new(answer: (A, Look), notes: (N, Look), detail: Detail) -> Self {
        Self {
            answer: answer.0,
            answer_look: answer.1,
            notes: notes.0,
            notes_look: notes.1,
            detail,
            only_final: false,
            open: false,
            spoke: false,
            last_call: None,
            used: None,
        }
    }

    /// Shows nothing of the answer until it is complete, and then only what the turn ends with.
    #[must_use]
    pub fn only_final(mut self) -> Self {
        self.only_final = true;
        self
    }

    /// Shows one event of a turn.
    ///
    /// # Errors
    /// The answer cannot be written. Nobody waits for the notes.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Session { id, title: _, new } => {
                if *new {
                    self.note(Ink::Dim, &format!("session {}", line(id, 64)))?;
                }
            }
            Event::Text { .. } if self.only_final => {}
            Event::Text { text } => self.text(text)?,
            Event::Reasoning { text } => {
                if self.detail == Detail::Whole {
                    self.block(Ink::Dim, text)?;
                }
            }
            Event::ToolCall { id, name, arguments } => self.call(id, name, arguments)?,
            Event::ToolResult { id, name, output, failed } => self.result(id, name, output, *failed)?,
            Event::Refused { tool, reason } => {
                self.note(Ink::Refusal, &format!("✗ NanoClaw refused {}", line(tool, 64)))?;
                self.block(Ink::Refusal, reason)?;
            }
            Event::Waiting { seconds, reason } => {
                let time = if *seconds == 0 { String::new() } else { format!(" up to {seconds} s") };
                self.note(Ink::Dim, &format!("waiting{time}: {}", line(reason, self.notes_look.columns)))?;
            }
            Event::Compacted { entries, before, after } => {
                let what = format!("{entries} earlier entries were summarised: {before} tokens became {after}");
                self.note(Ink::Dim, &what)?;
            }
            Event::Usage { input, output } => self.used = Some((*input, *output)),
            Event::Done { stop, text } => self.done(*stop, text)?,
            Event::Failed { error, help } => {
                self.note(Ink::Failure, &format!("the turn failed: {}", visible(error)))?;
                if !help.is_empty() {
                    self.block(Ink::Dim, help)?;
                }
                self.finish();
            }
            Event::Listed { id, title, updated, entries } => {
                let columns = self.answer_look.columns.saturating_sub(50).max(20);
                self.plain(&format!(
                    "{:24}  {}  {entries:>5}  {}",
                    line(id, 64),
                    when(*updated),
                    line(title, columns)
                ))?;
            }
            Event::Entry { at: _, entry } => self.entry(entry)?,
            Event::End => {}
        }
        Ok(())
    }

    /// Says something in NanoClaw's own words, on a line of its own.
    pub fn note(&mut self, ink: Ink, text: &str) -> io::Result<()> {
        self.end_line()?;
        let text = self.notes_look.paint(ink, text);
        // Where nobody reads notes, the turn goes on all the same.
        let _nobody_reads = writeln!(self.notes, "{text}").and_then(|()| self.notes.flush()).is_err();
        Ok(())
    }

    /// Something of a session's past.
    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        match entry {
            Entry::Prompt { text, untrusted } => {
                for part in std::iter::once(text).chain(untrusted) {
                    self.end_line()?;
                    for one in self.shown_answer(part).lines() {
                        writeln!(self.answer, "> {one}")?;
                    }
                }
            }
            Entry::Note { text } | Entry::Summary { text, .. } => self.block(Ink::Dim, text)?,
            Entry::Answer { parts } => {
                for part in parts {
                    match part {
                        AnswerPart::Text { text } => self.text(text)?,
                        AnswerPart::Reasoning { text, .. } if self.detail == Detail::Whole => {
                            self.block(Ink::Dim, text)?;
                        }
                        AnswerPart::Reasoning { .. } => {}
                        AnswerPart::Call { id, name, arguments } => self.call(id, name, arguments)?,
                    }
                }
                self.end_line()?;
            }
            Entry::Result { id, name, output, failed } => self.result(id, name, output, *failed)?,
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        // Many models begin with empty lines after a call.
        let text = if self.open { text } else { text.trim_start_matches('\n') };
        let Some(last) = text.chars().last() else { return Ok(()) };
        let shown = self.shown_answer(text);
        self.answer.write_all(shown.as_bytes())?;
        self.answer.flush()?;
        self.open = last != '\n';
        self.spoke = true;
        Ok(())
    }

    fn call(&mut self, id: &str, name: &str, arguments: &str) -> io::Result<()> {
        let name = line(name, 64);
        if self.detail == Detail::Whole {
            self.note(Ink::Call, &format!("→ {name}"))?;
            let pretty = serde_json::from_str::<serde_json::Value>(arguments)
                .and_then(|value| serde_json::to_string_pretty(&value))
                .unwrap_or_else(|_| arguments.to_owned());
            self.block(Ink::Dim, &pretty)?;
        } else {
            self.note(Ink::Call, &line(&format!("→ {name} {arguments}"), self.notes_look.columns))?;
        }
        self.last_call = Some(id.to_owned());
        Ok(())
    }

    fn result(&mut self, id: &str, name: &str, output: &str, failed: bool) -> io::Result<()> {
        if self.detail == Detail::Short && !failed {
            return Ok(());
        }
        let (mark, ink) = if failed { ("✗", Ink::Failure) } else { ("←", Ink::Dim) };
        if failed || self.last_call.as_deref() != Some(id) {
            self.note(ink, &format!("{mark} {}", line(name, 64)))?;
        }
        self.last_call = None;
        if self.detail == Detail::Whole {
            return self.block(Ink::Dim, output);
        }
        let columns = self.notes_look.columns.saturating_sub(2);
        let mut lines = output.lines().filter(|one| !one.trim().is_empty());
        for one in lines.by_ref().take(RESULT_LINES) {
            self.note(Ink::Dim, &format!("  {}", line(one, columns)))?;
        }
        match lines.count() {
            0 => Ok(()),
            more => self.note(Ink::Dim, &format!("  … {more} more {}", if more == 1 { "line" } else { "lines" })),
        }
    }

    fn done(&mut self, stop: Ending, text: &str) -> io::Result<()> {
        if self.only_final || !self.spoke {
            self.text(text)?;
        }
        self.end_line()?;
        let why = match stop {
            Ending::Answered => None,
            Ending::MaxSteps => Some("it made as many steps as it may (`max_steps`)"),
            Ending::Repeating => Some("it made the same call again and again"),
            Ending::Refused => Some("it proposed refused calls again and again"),
            Ending::Length => Some("its answer is as long as it may be; what follows is missing"),
            Ending::Filtered => Some("the provider withheld the answer"),
        };
        if let Some(why) = why {
            self.note(Ink::Refusal, &format!("the turn ended early: {why}"))?;
        }
        if let (Some((input, output)), true) = (self.used, self.detail != Detail::Short) {
            self.note(Ink::Dim, &format!("{input} tokens in, {output} out"))?;
        }
        self.finish();
        Ok(())
    }

    /// Forgets what belongs to a turn that is over.
    pub fn finish(&mut self) {
        self.spoke = false;
        self.last_call = None;
        self.used = None;
    }

    /// A text of several lines, indented.
    fn block(&mut self, ink: Ink, text: &str) -> io::Result<()> {
        for one in text.trim_end().lines() {
            self.note(ink, &format!("  {}", visible(one)))?;
        }
        Ok(())
    }

    /// A line of an answer to an order that is no turn.
    fn plain(&mut self, text: &str) -> io::Result<()> {
        self.end_line()?;
        writeln!(self.answer, "{text}")
    }

    fn end_line(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.open) {
            writeln!(self.answer)?;
            self.answer.flush()?;
        }
        Ok(())
    }

    /// The agent's text as it may be written: as it is, unless a terminal would obey it.
    fn shown_answer<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        if self.answer_look.terminal { visible(text) } else { text.into() }
    }
}

/// A time in seconds since 1970, for people.
fn when(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_else(|_| "-".to_owned())
}

#[cfg(test)]
mod tests;
