//! Where a growing text is looked at, and up to where each look decides.

use crate::firewall::Firewall;
use crate::loss::{self, LOOK_BEHIND};
use crate::verdict::{Channel, LossHit, RuleHit};
use crate::view::{Readings, Span};

pub use crate::loss::LONGEST_RUN;

/// Bytes of a text before the first look at it, and the least between two looks.
const SHORTEST_STEP: usize = 128;
/// Most bytes between two looks, unless more than that waits already.
const LONGEST_STEP: usize = 1024;
/// A look comes when the text has grown by one part of so many.
const STEPS: usize = 8;
/// Most bytes of a text that wait. What they end with is decided as if nothing came after them, but for [`OVERLAP`].
pub const MOST_HELD: usize = LONGEST_RUN + 4 * 1024;
/// Bytes by which two windows overlap where one had to end within something. A multiple of four, so that base64 is read on
/// where it was left.
pub const OVERLAP: usize = 1024;
/// Shortest line in bytes that counts as one of a run that goes on in the next.
const SHORTEST_LINE: usize = 60;

const _: () = assert!(OVERLAP >= 2 * loss::LONGEST && OVERLAP.is_multiple_of(4) && OVERLAP >= LOOK_BEHIND);

/// What one look decides.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub(super) losses: Vec<LossHit>,
    pub(super) rules: Vec<RuleHit>,
    /// Up to where.
    pub(super) upto: usize,
    /// Whether all of the window was read.
    pub(super) complete: bool,
}

/// A text that is looked at as it grows.
#[derive(Debug)]
pub(super) struct Windows {
    /// What is not decided, behind some of what is.
    buffer: String,
    /// Where that begins in the text.
    from: usize,
    /// Up to where the text is decided.
    decided: usize,
    /// How long the text is at the next look.
    next: usize,
}

impl Default for Windows {
    fn default() -> Self {
        Self { buffer: String::new(), from: 0, decided: 0, next: SHORTEST_STEP }
    }
}

impl Windows {
    /// Takes from `text` what is missing for the next look, and looks; `None` when all of it is taken and more is missing.
    pub(super) fn take(&mut self, text: &mut &str, firewall: &Firewall, channel: Channel) -> Option<Decided> {
        let missing = self.next.saturating_sub(self.from + self.buffer.len());
        let (taken, rest) = text.split_at(text.ceil_char_boundary(missing));
        self.buffer.push_str(taken);
        *text = rest;
        (taken.len() >= missing).then(|| self.look(firewall, channel, false))
    }

    /// Looks at what is left.
    pub(super) fn finish(&mut self, firewall: &Firewall, channel: Channel) -> Decided {
        self.look(firewall, channel, true)
    }

    fn look(&mut self, firewall: &Firewall, channel: Channel, last: bool) -> Decided {
        let end = self.from + self.buffer.len();
        let known = self.decided - self.from;
        let readings = Readings::of(&self.buffer);
        let mut losses = firewall.detectors.find(channel, &readings);
        let mut rules = firewall.filters.find(channel, &readings);
        rules.sort_by_key(|hit| hit.span);
        let mut spans: Vec<Span> = losses.iter().map(|hit| hit.span).chain(rules.iter().map(|hit| hit.span)).collect();
        spans.sort_unstable();
        let (upto, behind) = match last {
            true => (self.buffer.len(), 0),
            false => {
                let open = self.open(firewall, channel, &readings);
                match before(open, &spans) {
                    upto if upto > known || self.buffer.len() - known < MOST_HELD => (upto.max(known), LOOK_BEHIND),
                    _ => (self.force(known, &spans), OVERLAP),
                }
            }
        };
        // What begins in the context was found before, or is an end of it.
        let inside = |span: &mut Span| {
            let (start, end) = (span.start.max(known), span.end.min(upto));
            *span = Span { start: start + self.from, end: end + self.from };
            start < end
        };
        losses.retain_mut(|hit| inside(&mut hit.span));
        rules.retain_mut(|hit| inside(&mut hit.span));
        let decided = Decided { losses, rules, upto: self.from + upto, complete: readings.complete };
        self.advance(upto, end, behind);
        decided
    }

    /// Up to where nothing that comes changes what is found.
    fn open(&self, firewall: &Firewall, channel: Channel, readings: &Readings) -> usize {
        let length = self.buffer.len();
        let of_losses = readings.all.first().map_or(length, |reading| {
            let open = firewall.detectors.unfinished(reading.plain.text());
            reading.plain.source(open..open).start
        });
        let of_filters = length.saturating_sub(firewall.filters.longest(channel));
        self.buffer.floor_char_boundary(of_losses.min(of_filters).min(run(&self.buffer)))
    }

    /// Up to where a window is decided that cannot grow: all of it but for the overlap, and what ends in that.
    fn force(&self, known: usize, spans: &[Span]) -> usize {
        let most = self.buffer.len().saturating_sub(OVERLAP);
        let most = self.buffer.floor_char_boundary(most);
        match before(most, spans) {
            upto if upto > known => upto,
            _ => behind(most, spans),
        }
    }

    fn advance(&mut self, upto: usize, end: usize, behind: usize) {
        self.decided = self.from + upto;
        let gone = aligned(&self.buffer, self.buffer.floor_char_boundary(upto.saturating_sub(behind)));
        self.buffer.drain(..gone);
        self.from += gone;
        let held = end - self.decided;
        let step = (self.decided / STEPS).clamp(SHORTEST_STEP, LONGEST_STEP);
        // Twice of what waits: however long that is, it is not looked at again and again.
        let more = (held + step).max(2 * held).min(MOST_HELD);
        self.next = (self.decided + more).max(end + 1);
    }
}

/// The last place up to `at` that lies within none of `spans`, which are in order.
fn before(at: usize, spans: &[Span]) -> usize {
    spans.iter().rev().fold(at, |at, span| if span.start < at && at < span.end { span.start } else { at })
}

/// The first place from `at` on that lies within none of `spans`, which are in order.
fn behind(at: usize, spans: &[Span]) -> usize {
    spans.iter().fold(at, |at, span| if span.start < at && at < span.end { span.end } else { at })
}

/// Where the run of letters begins that a text ends in, if something encoded may stand in that: letters of base64, of
/// hexadecimal numbers and of URLs, with the lines above that are full of them.
pub(super) fn run(text: &str) -> usize {
    let bytes = text.as_bytes();
    let start_of = |end: usize| {
        let letters = bytes.iter().take(end).rev().take_while(|byte| is_of_run(**byte)).count();
        end - letters
    };
    let mut start = start_of(bytes.len());
    while let Some(newline) = start.checked_sub(1).filter(|at| bytes.get(*at) == Some(&b'\n')) {
        let end = newline - usize::from(newline > 0 && bytes.get(newline - 1) == Some(&b'\r'));
        let line = start_of(end);
        if end - line < SHORTEST_LINE {
            break;
        }
        start = line;
    }
    start
}

const fn is_of_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'%')
}

/// `at`, or somewhat before it: within the run that the text ends in, a whole number of groups of four letters after its
/// beginning, so that base64 that is read from there is read as it was written.
pub(super) fn aligned(text: &str, at: usize) -> usize {
    let run = run(text);
    let letters = text.as_bytes().get(run..at).unwrap_or_default();
    let over = letters.iter().filter(|byte| is_of_run(**byte)).count() % 4;
    let back = letters.iter().rev().scan(over, |over, byte| {
        let goes_on = *over > 0;
        *over -= usize::from(goes_on && is_of_run(*byte));
        goes_on.then_some(())
    });
    at - back.count()
}
