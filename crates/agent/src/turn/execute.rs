//! Making the calls of an answer.
//!
//! Calls that only read are made at the same time as long as they follow each other; each other call waits for those
//! before it and is waited for. So the order in which the model wrote them holds wherever it can matter.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::rc::Rc;

use nanoclaw_dialect::ToolCall;
use tokio::task::JoinSet;

use super::{Step, Turn, TurnError};
use crate::door::AskedCall;
use crate::prompt;
use crate::protocol::{Ending, Event};
use crate::tools::{Job, Output};

/// After so many failures of the same call the model is told; when it makes it once more, the turn ends.
pub(crate) const MOST_FAILURES: u32 = 3;

/// Most bytes of one result.
pub(crate) const LONGEST_RESULT: usize = 32 * 1024;

/// Fewest bytes that a result may have, however short the context is.
const SHORTEST_RESULT: usize = 512;

/// After so many times that the same call gave the same, with nothing new in between, the turn ends; before the last one
/// the model is told.
pub(crate) const MOST_SAME: u32 = 8;

/// Calls that lead nowhere.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// How often which call, by tool and arguments, has failed since it last worked.
    failures: HashMap<(String, String), u32>,
    /// How often a call gave what it had given before, since one last gave something new. By digest of call and result.
    same: HashMap<u64, u32>,
}

/// What follows from a call that was made before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// Nothing.
    Fine,
    /// The model is told this.
    Told(&'static str),
    /// The turn ends.
    Over,
}

impl Repeats {
    /// Counts the outcome of a call.
    fn count(&mut self, call: &ToolCall, output: &Output) -> Again {
        let key = (call.name.clone(), call.arguments.clone());
        if output.failed {
            let count = self.failures.entry(key).or_default();
            *count += 1;
            return match *count {
                MOST_FAILURES => Again::Told(prompt::REPEATED),
                count if count > MOST_FAILURES => Again::Over,
                _ => Again::Fine,
            };
        }
        self.failures.remove(&key);
        let mut digest = DefaultHasher::new();
        (key, &output.text).hash(&mut digest);
        let digest = digest.finish();
        if !self.same.contains_key(&digest) {
            self.same.values_mut().for_each(|count| *count = 0);
        }
        let count = self.same.entry(digest).or_default();
        *count += 1;
        match *count {
            count if count >= MOST_SAME => Again::Over,
            count if count == MOST_SAME - 1 => Again::Told(prompt::SAME),
            _ => Again::Fine,
        }
    }
}

impl Turn<'_> {
    /// Asks the door about calls that it has not seen as such, and gives those that may be made. The others have their
    /// result; all of them, if the door does not decide.
    pub(super) async fn let_decide(&mut self, calls: Vec<ToolCall>) -> Result<Vec<ToolCall>, TurnError> {
        let asked: Vec<AskedCall> =
            calls.iter().map(|call| AskedCall { name: call.name.clone(), arguments: call.arguments.clone() }).collect();
        let decisions = match self.agent.door.decide(&asked).await {
            Ok(decisions) => decisions.into_iter().map(|d| (!d.allowed).then_some(d.reason)).collect(),
            Err(error) => vec![Some(format!("nobody could decide on it: {error}")); calls.len()],
        };
        let mut allowed = Vec::new();
        for (call, refusal) in calls.into_iter().zip(decisions) {
            match refusal {
                None => allowed.push(call),
                Some(reason) => {
                    self.events.tell(Event::Refused { tool: call.name.clone(), reason: reason.clone() }).await;
                    self.store_result(call, format!("NanoClaw refused this call, it was not made: {reason}"), true)?;
                }
            }
        }
        Ok(allowed)
    }

    /// Makes calls and stores what they give.
    pub(super) async fn execute(&mut self, calls: Vec<ToolCall>) -> Result<Step, TurnError> {
        // All results of an answer together may take half of the context, at three bytes for a token.
        let together = usize::try_from(self.agent.settings.context_tokens).unwrap_or(usize::MAX).saturating_mul(3) / 2;
        let most = (together / calls.len().max(1)).clamp(SHORTEST_RESULT, LONGEST_RESULT);
        let mut repeating = false;
        let mut waiting = calls.into_iter().peekable();
        while let Some(first) = waiting.next() {
            let reads = |call: &ToolCall| self.agent.tools.only_reads(&call.name, &call.arguments);
            let mut group = vec![first];
            if group.iter().all(reads) {
                while let Some(next) = waiting.next_if(reads) {
                    group.push(next);
                }
            }
            repeating |= self.together(group, most).await?;
        }
        Ok(if repeating { Step::Over(Ending::Repeating) } else { Step::On })
    }

    /// Makes calls at the same time; says whether one of them was made too often.
    async fn together(&mut self, calls: Vec<ToolCall>, most: usize) -> Result<bool, TurnError> {
        // Dropping the set, as everything is when the turn is interrupted, ends what is under way.
        let mut running = JoinSet::new();
        for call in calls {
            let ToolCall { id, name, arguments } = call.clone();
            self.events.tell(Event::ToolCall { id, name, arguments }).await;
            let tools = Rc::clone(&self.agent.tools);
            let job = Job { arguments: call.arguments.clone(), session: self.session.id.clone(), most };
            running.spawn_local(async move {
                let output = tools.call(&call.name, &job).await;
                (call, output)
            });
        }
        let mut repeating = false;
        while let Some(done) = running.join_next().await {
            // A task fails only by a panic, which there should be none of; the call then has no result and is found as
            // interrupted.
            let Ok((call, output)) = done else { continue };
            repeating |= self.made(call, output).await?;
        }
        Ok(repeating)
    }

    async fn made(&mut self, call: ToolCall, output: Output) -> Result<bool, TurnError> {
        let again = self.repeats.count(&call, &output);
        let Output { mut text, failed } = output;
        if let Again::Told(words) = again {
            text.push_str(words);
        }
        let ToolCall { id, name, .. } = call.clone();
        self.store_result(call, text.clone(), failed)?;
        self.events.tell(Event::ToolResult { id, name, output: text, failed }).await;
        Ok(again == Again::Over)
    }
}
