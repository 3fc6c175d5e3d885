//! One text of an answer, as it grows.

use std::sync::Arc;

use nanoclaw_firewall::stream::{Edit, Released, Stream};
use nanoclaw_firewall::{Channel, Firewall, Judgement, Span, Verdict};
use nanoclaw_vault::digest::{Sha256, hex};

/// Most hits of one text that are kept for the record, of losses and of filters each.
const MOST_HITS: usize = 64;

/// One text.
#[derive(Default)]
pub(super) struct Growing {
    /// The part of it that goes on; none where it was complete, perhaps before its end.
    stream: Option<Stream>,
    /// Where that part begins.
    from: usize,
    length: usize,
    decided: usize,
    /// What is to be done to parts that have not passed.
    edits: Vec<Edit>,
    sha256: Sha256,
    judgement: Judgement,
}

impl Growing {
    pub(super) const fn length(&self) -> usize {
        self.length
    }

    /// Up to where it is decided.
    pub(super) const fn decided(&self) -> usize {
        self.decided
    }

    /// What was found in it so far, and what is to be done because of that.
    pub(super) const fn hits(&self) -> &Judgement {
        &self.judgement
    }

    /// What was found in all of it, and its SHA-256 in hex.
    pub(super) fn judged(self) -> (Judgement, String) {
        (self.judgement, hex(&self.sha256.finish()))
    }

    /// It goes on with `text`; gives what is to be done because of what is decided by that.
    pub(super) fn push(&mut self, firewall: &Arc<Firewall>, text: &str) -> Verdict {
        self.sha256.update(text.as_bytes());
        self.length += text.len();
        let length = self.length - text.len();
        let stream = self.stream.get_or_insert_with(|| {
            self.from = length;
            firewall.stream(Channel::Output)
        });
        let released = stream.push(text);
        self.learn(released)
    }

    /// It is complete.
    pub(super) fn finish(&mut self) -> Verdict {
        match self.stream.take() {
            Some(stream) => {
                let released = stream.finish();
                self.learn(released)
            }
            None => Verdict::Allow,
        }
    }

    fn learn(&mut self, released: Released) -> Verdict {
        let from = self.from;
        let moved = |span: Span| Span { start: span.start + from, end: span.end + from };
        self.decided = from + released.upto;
        self.edits.extend(released.edits.into_iter().map(|edit| Edit { span: moved(edit.span), ..edit }));
        let Judgement { losses, rules, verdict, .. } = &mut self.judgement;
        let more = released.losses.into_iter().map(|hit| nanoclaw_firewall::LossHit { span: moved(hit.span), ..hit });
        losses.extend(more.take(MOST_HITS.saturating_sub(losses.len())));
        let more = released.rules.into_iter().map(|hit| nanoclaw_firewall::RuleHit { span: moved(hit.span), ..hit });
        rules.extend(more.take(MOST_HITS.saturating_sub(rules.len())));
        *verdict = (*verdict).max(released.verdict);
        self.judgement.complete = true;
        released.verdict
    }

    /// Whether something is to be done to this part.
    pub(super) fn touches(&self, start: usize, end: usize) -> bool {
        self.edits.iter().any(|edit| edit.span.start < end && start < edit.span.end)
    }

    /// A part of it that passes, as it may: what takes the place of something stands where that began.
    pub(super) fn edited(&mut self, text: &str, start: usize) -> String {
        let end = start + text.len();
        let (mut out, mut done) = (String::with_capacity(text.len()), start);
        let copy = |out: &mut String, from: usize, to: usize| {
            out.push_str(text.get(from - start..to - start).unwrap_or_default());
        };
        for Edit { span, with } in &self.edits {
            if span.start >= end || span.end <= done {
                continue;
            }
            if span.start >= start {
                copy(&mut out, done, span.start.max(done));
                out.push_str(with);
            }
            done = span.end.min(end);
        }
        copy(&mut out, done, end);
        self.edits.retain(|edit| edit.span.end > end);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholder_stands_where_the_value_began() {
        let edit = |start, end| Edit { span: Span { start, end }, with: "[x]".to_owned() };
        let mut growing = Growing { edits: vec![edit(2, 8), edit(8, 9)], ..Growing::default() };
        let passed: Vec<String> =
            [("abc", 0), ("def", 3), ("ghijk", 6)]
                .into_iter()
                .map(|(text, start)| {
                    if growing.touches(start, start + text.len()) {
                        growing.edited(text, start)
                    } else {
                        text.to_owned()
                    }
                })
                .collect();
        assert_eq!(passed, ["ab[x]", "", "[x]jk"]);
        assert!(growing.edits.is_empty());
    }
}
