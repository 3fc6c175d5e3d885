//! Summarising the older part of a conversation that has become too long.
//!
//! The cut is between steps, never between a call and its result. The entries stay in the database; only what the model
//! is told changes.

use nanoclaw_dialect::{Stop, ToolCall};

use super::{Turn, TurnError, ask};
use crate::conversation::{self, entry_tokens, session_tokens};
use crate::prompt;
use crate::protocol::{Entry, Event};
use crate::settings::SHORTEST_CONTEXT;
use crate::store::Session;

/// What share of the context stays as it is: the newest steps of at most so much.
const KEPT_SHARE: u64 = 4;

/// What is summarised must be at least this share of the context, or the summary would save nothing.
const WORTHWHILE_SHARE: u64 = 8;

/// Longest text of one entry that is summarised, in bytes.
const LONGEST_EXCERPT: usize = 4000;

impl Turn<'_> {
    /// Summarises the older part of the session where it is longer than the settings want.
    pub(super) async fn compact(&mut self) -> Result<(), TurnError> {
        let context = self.agent.settings.context_tokens;
        if self.fixed + session_tokens(&self.session) <= context {
            return Ok(());
        }
        let Some(cut) = cut(&self.session, context / KEPT_SHARE) else { return Ok(()) };
        let old = self.session.recent.iter().take(cut).map(|(_, entry)| entry_tokens(entry)).sum::<u64>();
        if old < context / WORTHWHILE_SHARE {
            return Ok(());
        }
        match self.summarise(cut, context).await {
            Err(TurnError::Door(error)) if error.too_long() => {
                self.too_long = true;
                self.squeeze().await?;
                self.too_long = false;
                Ok(())
            }
            done => done,
        }
    }

    /// Summarises more of the session than the settings want, because the model takes less. Where it does not take what is
    /// to be summarised either, less of that. Says whether anything was summarised.
    pub(super) async fn squeeze(&mut self) -> Result<bool, TurnError> {
        let before = self.fixed + session_tokens(&self.session);
        let mut context = before.min(self.agent.settings.context_tokens) / 2;
        loop {
            let Some(cut) = cut(&self.session, context / KEPT_SHARE) else { return Ok(false) };
            match self.summarise(cut, context).await {
                Err(TurnError::Door(error)) if error.too_long() && context > SHORTEST_CONTEXT => context /= 2,
                done => return done.map(|()| true),
            }
        }
    }

    /// Has the first `cut` recent entries summarised by a model that takes about `context` tokens.
    async fn summarise(&mut self, cut: usize, context: u64) -> Result<(), TurnError> {
        let before = self.fixed + session_tokens(&self.session);
        let (told, replaces) = tell(&self.session, cut, context);
        let request = ask::plain(self, prompt::SUMMARISE, prompt::marked("The conversation", &told));
        let answer = self.answer(&request, true).await?;
        let longest = usize::try_from(context / KEPT_SHARE).unwrap_or(usize::MAX).saturating_mul(3);
        let mut text = shortened(&conversation::text(&answer.parts), longest);
        if text.trim().is_empty() || answer.stop == Some(Stop::Filtered) {
            return Err(TurnError::NoSummary);
        }
        let (number, asked) = &self.asked;
        if *number <= replaces {
            text.push_str(&format!("\n\nThe request that is being worked on, word for word:\n{asked}"));
        }
        let entries = replaces - self.session.replaced;
        self.store(Entry::Summary { text, replaces })?;
        self.events.tell(Event::Compacted { entries, before, after: self.fixed + session_tokens(&self.session) }).await;
        Ok(())
    }
}

/// How many of the recent entries are summarised: all but the newest steps of at most `kept` tokens, and at least the
/// last step. `None` where nothing can be.
fn cut(session: &Session, kept: u64) -> Option<usize> {
    let mut tokens = 0_u64;
    let mut cut = None;
    for (at, (_, entry)) in session.recent.iter().enumerate().rev() {
        tokens += entry_tokens(entry);
        if tokens > kept && cut.is_some() {
            break;
        }
        // Before a result stands its call, and before that everything that belongs to an earlier step.
        if !matches!(entry, Entry::Result { .. }) {
            cut = Some(at);
        }
    }
    cut.filter(|at| *at > 0)
}

/// The first `cut` recent entries in words, at most half of the context, and the number of the last of them.
fn tell(session: &Session, cut: usize, context: u64) -> (String, u64) {
    let old = session.recent.get(..cut).unwrap_or_default();
    let most = usize::try_from(context).unwrap_or(usize::MAX).saturating_mul(3) / 2;
    let excerpt = (most / (cut + 1)).min(LONGEST_EXCERPT);
    let mut told = String::new();
    if let Some(summary) = &session.summary {
        told.push_str(&format!("Summary of what came before: {}\n", shortened(summary, most)));
    }
    for (_, entry) in old {
        let (who, text) = match entry {
            Entry::Prompt { text, untrusted } => ("User", prompt::prompt(text, untrusted.as_deref())),
            Entry::Note { text } => ("NanoClaw", text.clone()),
            Entry::Answer { parts } => {
                let calls = conversation::calls(parts)
                    .map(|ToolCall { name, arguments, .. }| format!("\ncalls {name}({arguments})"));
                ("Agent", conversation::text(parts) + &calls.collect::<String>())
            }
            Entry::Result { name, output, failed, .. } => {
                (if *failed { "Tool, failed" } else { "Tool" }, format!("{name}: {output}"))
            }
            Entry::Summary { .. } => continue,
        };
        told.push_str(&format!("{who}: {}\n", shortened(&text, excerpt)));
    }
    (told, old.last().map_or(session.replaced, |(seq, _)| *seq))
}

/// The beginning and the end of a text.
fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let floor = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (head, tail) = (floor(most / 2), floor(text.len() - most / 2));
    format!("{} […] {}", text.get(..head).unwrap_or_default(), text.get(tail..).unwrap_or_default())
}
