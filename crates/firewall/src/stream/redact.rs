//! What stands in the place of what must not leave.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::verdict::{Judgement, LossHit, RuleHit, Verdict};
use crate::view::Span;

/// Most values of one text that are told apart; those that come then have a number each, also where they are the same.
const MOST_NAMED: usize = 4096;

/// A part of a text that something else takes the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The part.
    pub span: Span,
    /// What takes its place, such as `[card-1]`.
    pub with: String,
}

/// The names of what was found in one text: the kind, and a number. The same value has the same name.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// How many there are of a kind.
    counts: HashMap<Arc<str>, usize>,
    /// The numbers of values, by their hashes: no value is kept.
    known: HashMap<u64, usize>,
}

impl Names {
    fn name(&mut self, kind: &Arc<str>, value: &str) -> String {
        let mut hasher = DefaultHasher::new();
        (kind, value).hash(&mut hasher);
        let hash = hasher.finish();
        let number = self.known.get(&hash).copied().unwrap_or_else(|| {
            let count = self.counts.entry(Arc::clone(kind)).or_default();
            *count += 1;
            if self.known.len() < MOST_NAMED {
                self.known.insert(hash, *count);
            }
            *count
        });
        // A filter's name is whatever people call it.
        let kind: String = kind.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        format!("[{kind}-{number}]")
    }
}

/// `text` without what must not leave. In the place of each value stands its kind and a number, such as `[card-1]`: the same
/// for the same value, so that a reader can still tell one from another. What is only listed stays.
pub fn redact(text: &str, judgement: &Judgement) -> String {
    let mut out = String::with_capacity(text.len());
    let edits = edits(&judgement.losses, &judgement.rules, |start, end| text.get(start..end), &mut Names::default());
    apply(text, 0, &edits, &mut out);
    out
}

/// What is to be done to a text of which this was found; `value` gives the text of a span. What overlaps is one.
pub(super) fn edits<'t>(
    losses: &[LossHit],
    rules: &[RuleHit],
    value: impl Fn(usize, usize) -> Option<&'t str>,
    names: &mut Names,
) -> Vec<Edit> {
    let losses = losses.iter().map(|hit| (hit.span, hit.verdict, &hit.kind));
    let rules = rules.iter().map(|hit| (hit.span, hit.verdict, &hit.id));
    let mut hits: Vec<_> = losses.chain(rules).filter(|(_, verdict, _)| *verdict >= Verdict::Redact).collect();
    // Stable: of two at one place, the loss names it.
    hits.sort_by_key(|(span, ..)| (span.start, std::cmp::Reverse(span.end)));
    let mut merged: Vec<(Span, &Arc<str>)> = Vec::new();
    for (span, _, kind) in hits {
        match merged.last_mut() {
            Some((last, _)) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push((span, kind)),
        }
    }
    let name = |(span, kind): (Span, &Arc<str>)| {
        let with = names.name(kind, value(span.start, span.end).unwrap_or_default());
        Edit { span, with }
    };
    merged.into_iter().map(name).collect()
}

/// Appends `text`, which begins at `from`, with `edits` to it, which are in order and lie within it.
pub(super) fn apply(text: &str, from: usize, edits: &[Edit], out: &mut String) {
    let mut done = 0;
    for Edit { span, with } in edits {
        let (start, end) = (span.start.saturating_sub(from), span.end.saturating_sub(from));
        out.push_str(text.get(done..start).unwrap_or_default());
        out.push_str(with);
        done = end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
}
