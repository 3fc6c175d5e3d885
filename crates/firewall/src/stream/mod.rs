//! Texts that come in pieces: what can no longer become a hit, or part of one, is let go.
//!
//! A text is looked at in windows, at places that depend on nothing but the text itself: however it is cut into pieces, the
//! same is found in it. What leaves is judged whole in the same way ([`crate::Firewall::judge`] with
//! [`Channel::Output`]), so that the pieces that are let go, one after the other, are [`redact`] of the whole.
//!
//! A hit is found wherever it lies, if it is not longer than its detector or filter says ([`crate::loss::LONGEST`],
//! [`crate::loss::LONGEST_RUN`], and a pattern's own longest match), also in a run of base64, hexadecimal digits or URL
//! escapes of [`LONGEST_RUN`] bytes or less; in a longer run where what is hidden takes [`OVERLAP`] bytes of it or less. Other
//! forms (such as text that is reversed, or shifted by 13 letters) are read within one window. No more than [`MOST_HELD`]
//! bytes wait.

mod redact;
#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;

use crate::firewall::Firewall;
use crate::verdict::{Channel, Judgement, LossHit, RuleHit, Verdict};

pub use redact::{Edit, redact};
pub use window::{LONGEST_RUN, MOST_HELD, OVERLAP};

use redact::{Names, edits};
use window::{Decided, Windows};

/// A text that comes in pieces.
#[derive(Debug)]
pub struct Stream {
    firewall: Arc<Firewall>,
    channel: Channel,
    /// Whether anything that is found changes what is let go; otherwise nothing waits.
    holds: bool,
    windows: Windows,
    names: Names,
    /// Text that has not been let go.
    waiting: String,
    /// Bytes of the text that have.
    released: usize,
}

/// What is let go of a text, and what was found in that. All places are bytes of the whole text as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// It, without what must not leave.
    pub text: String,
    /// Up to where the text was let go, all pieces together.
    pub upto: usize,
    /// What was done to it, in order.
    pub edits: Vec<Edit>,
    /// What must not leave, in the order of their spans; they do not overlap.
    pub losses: Vec<LossHit>,
    /// The rules that it meets, in the order of their spans.
    pub rules: Vec<RuleHit>,
    /// The worst that is to be done because of these. After [`Verdict::Ask`] or [`Verdict::Deny`] nothing of the text should go on;
    /// what was found is not in `text` in any case.
    pub verdict: Verdict,
}

impl Stream {
    pub(crate) fn new(firewall: Arc<Firewall>, channel: Channel) -> Self {
        let holds = firewall.acts_on(channel);
        Self {
            firewall,
            channel,
            holds,
            windows: Windows::default(),
            names: Names::default(),
            waiting: String::new(),
            released: 0,
        }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &str) -> Released {
        let mut released = Released::default();
        self.waiting.push_str(piece);
        let mut rest = piece;
        while let Some(decided) = self.windows.take(&mut rest, &self.firewall, self.channel) {
            self.release(decided, &mut released);
        }
        if !self.holds {
            self.let_go(self.waiting.len(), &[], &mut released.text);
        }
        released.upto = self.released;
        released
    }

    /// There is no further piece: lets the rest go.
    pub fn finish(mut self) -> Released {
        let mut released = Released::default();
        let decided = self.windows.finish(&self.firewall, self.channel);
        self.release(decided, &mut released);
        released.upto = self.released;
        released
    }

    /// Bytes that wait.
    pub fn held(&self) -> usize {
        self.waiting.len()
    }

    fn release(&mut self, decided: Decided, released: &mut Released) {
        let Decided { losses, rules, upto, complete: _ } = decided;
        released.verdict = released.verdict.max(worst(&losses, &rules));
        if self.holds {
            let value = |start: usize, end: usize| {
                self.waiting.get(start.checked_sub(self.released)?..end.checked_sub(self.released)?)
            };
            let edits = edits(&losses, &rules, value, &mut self.names);
            self.let_go(upto.saturating_sub(self.released), &edits, &mut released.text);
            released.edits.extend(edits);
        }
        released.losses.extend(losses);
        released.rules.extend(rules);
    }

    /// Lets the first `length` bytes of what waits go.
    fn let_go(&mut self, length: usize, edits: &[Edit], out: &mut String) {
        let text: String = self.waiting.drain(..self.waiting.floor_char_boundary(length)).collect();
        redact::apply(&text, self.released, edits, out);
        self.released += text.len();
    }
}

/// Judges a whole text in the way of a stream.
pub(crate) fn whole(firewall: &Firewall, channel: Channel, text: &str) -> Judgement {
    let mut judgement = Judgement { complete: true, ..Judgement::default() };
    let mut windows = Windows::default();
    let mut rest = text;
    let mut last = false;
    while !last {
        let decided = match windows.take(&mut rest, firewall, channel) {
            Some(decided) => decided,
            None => {
                last = true;
                windows.finish(firewall, channel)
            }
        };
        judgement.complete &= decided.complete;
        judgement.losses.extend(decided.losses);
        judgement.rules.extend(decided.rules);
    }
    judgement
}

fn worst(losses: &[LossHit], rules: &[RuleHit]) -> Verdict {
    let of_rules = rules.iter().map(|hit| hit.verdict);
    losses.iter().map(|hit| hit.verdict).chain(of_rules).max().unwrap_or_default()
}
