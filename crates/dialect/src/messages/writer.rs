//! Writing streamed answers.

use std::collections::HashMap;

use serde::de::IgnoredAny;
use serde_json::json;

use super::block::{begin_block, begin_message, end_block, end_message, grow_block, write_stop};
use crate::sse::Event;
use crate::{Delta, Stop, StreamWriter, Usage};

/// Writes a streamed answer. In this dialect one block follows another, so what begins while a call's arguments are not
/// complete waits; calls are not acted upon before the end of an answer anyway.
#[derive(Debug, Default)]
pub struct Writer {
    begun: bool,
    ended: bool,
    has_calls: bool,
    /// The block that is being written, the last of those that have begun.
    open: Option<Block>,
    /// How many blocks have begun.
    blocks: u64,
    /// What comes after `open`, in order, while that is a call which is not complete.
    waiting: Vec<Block>,
    /// Place in `waiting` of each call there.
    places: HashMap<usize, usize>,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

#[derive(Debug)]
enum Block {
    Text(String),
    Thinking { text: String, signature: String },
    Call { index: usize, id: String, name: String, json: String },
}

impl StreamWriter for Writer {
    fn write(&mut self, delta: Delta) -> Vec<Event> {
        let mut out = Vec::new();
        if self.ended {
            return out;
        }
        if !self.begun {
            self.begun = true;
            let (id, model) = match &delta {
                Delta::Start { id, model } => (id.as_str(), model.as_str()),
                _ => ("", ""),
            };
            out.push(begin_message(id, model));
        }
        match delta {
            Delta::Start { .. } => {}
            // A block of nothing could not be sent back to the API.
            Delta::Text(text) | Delta::Reasoning(text) | Delta::Signature(text) if text.is_empty() => {}
            Delta::Text(text) => self.add(Block::Text(text), &mut out),
            Delta::Reasoning(text) => self.add(Block::Thinking { text, signature: String::new() }, &mut out),
            Delta::Signature(signature) => self.add(Block::Thinking { text: String::new(), signature }, &mut out),
            Delta::CallStart { index, id, name } => {
                self.has_calls = true;
                self.add(Block::Call { index, id, name, json: String::new() }, &mut out);
            }
            Delta::CallArguments { index, json } => self.argue(index, &json, &mut out),
            Delta::Usage(usage) => self.usage = Some(usage),
            Delta::Stop(stop) => {
                self.flush(&mut out);
                self.stop = Some(stop);
            }
            Delta::End => {
                self.flush(&mut out);
                self.ended = true;
                let stop = self.stop.as_ref().unwrap_or(&Stop::End);
                out.extend(end_message(write_stop(stop, self.has_calls), self.usage.as_ref()));
            }
        }
        out
    }
}

impl Writer {
    /// Writes more of the open block, or a new one, or lets it wait.
    fn add(&mut self, block: Block, out: &mut Vec<Event>) {
        // Once something waits all that follows does, so the arguments of a call are parsed once.
        let must_wait =
            !self.waiting.is_empty() || matches!(&self.open, Some(Block::Call { json, .. }) if !is_complete(json));
        if must_wait {
            match self.waiting.last_mut() {
                Some(last) if last.takes(&block) => last.append(block),
                _ => {
                    if let Block::Call { index, .. } = block {
                        self.places.insert(index, self.waiting.len());
                    }
                    self.waiting.push(block);
                }
            }
            return;
        }
        let index = match &self.open {
            Some(open) if open.takes(&block) => self.blocks.saturating_sub(1),
            _ => self.open_block(&block, out),
        };
        block.content(index, out);
        let block = block.written();
        match &mut self.open {
            Some(open) if open.takes(&block) => open.append(block),
            _ => self.open = Some(block),
        }
    }

    /// Ends the open block and begins another; gives its index.
    fn open_block(&mut self, block: &Block, out: &mut Vec<Event>) -> u64 {
        self.close(out);
        let index = self.blocks;
        self.blocks += 1;
        out.push(begin_block(index, block.empty()));
        index
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if self.open.take().is_some() {
            out.push(end_block(self.blocks.saturating_sub(1)));
        }
    }

    /// More arguments of a call that is open or waits. Those of a call that was complete could not mean anything.
    fn argue(&mut self, of: usize, fragment: &str, out: &mut Vec<Event>) {
        if let Some(Block::Call { index, json, .. }) = &mut self.open
            && *index == of
        {
            json.push_str(fragment);
            if !fragment.is_empty() {
                let delta = json!({"type": "input_json_delta", "partial_json": fragment});
                out.push(grow_block(self.blocks.saturating_sub(1), delta));
            }
            return;
        }
        let place = self.places.get(&of).and_then(|place| self.waiting.get_mut(*place));
        if let Some(Block::Call { json, .. }) = place {
            json.push_str(fragment);
        }
    }

    /// Writes and ends everything: no more fragments come.
    fn flush(&mut self, out: &mut Vec<Event>) {
        for block in std::mem::take(&mut self.waiting) {
            let index = self.open_block(&block, out);
            block.content(index, out);
            self.open = Some(block);
        }
        self.close(out);
    }
}

impl Block {
    /// The block as it begins.
    fn empty(&self) -> serde_json::Value {
        match self {
            Block::Text(_) => json!({"type": "text", "text": ""}),
            Block::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Block::Call { id, name, .. } => json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
        }
    }

    /// The events that say what is in it.
    fn content(&self, index: u64, out: &mut Vec<Event>) {
        let mut say = |kind: &str, field: &str, text: &str| {
            if !text.is_empty() {
                out.push(grow_block(index, json!({"type": kind, field: text})));
            }
        };
        match self {
            Block::Text(text) => say("text_delta", "text", text),
            Block::Thinking { text, signature } => {
                say("thinking_delta", "thinking", text);
                say("signature_delta", "signature", signature);
            }
            Block::Call { json, .. } => say("input_json_delta", "partial_json", json),
        }
    }

    /// What must be known of it once its content is written.
    fn written(self) -> Self {
        match self {
            Block::Text(_) => Block::Text(String::new()),
            Block::Thinking { signature, .. } => Block::Thinking { text: String::new(), signature },
            call @ Block::Call { .. } => call,
        }
    }

    /// Whether `next` goes on with this block. Thoughts that are signed are over, but for more of the signature.
    fn takes(&self, next: &Block) -> bool {
        match (self, next) {
            (Block::Text(_), Block::Text(_)) => true,
            (Block::Thinking { signature, .. }, Block::Thinking { text, .. }) => {
                signature.is_empty() || text.is_empty()
            }
            _ => false,
        }
    }

    fn append(&mut self, next: Block) {
        match (self, next) {
            (Block::Text(text), Block::Text(more)) => text.push_str(&more),
            (Block::Thinking { text, signature }, Block::Thinking { text: more, signature: sign }) => {
                text.push_str(&more);
                signature.push_str(&sign);
            }
            _ => {}
        }
    }
}

fn is_complete(json: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(json).is_ok()
}
