//! Data that must not leave, by its form, its check digits and the words around it.
//!
//! A text is read three times, each time for another sign of a candidate: digits ([`number`]), marks of secrets and words that
//! announce them ([`secret`]), and `@` ([`mail`]). What is found at a place reaches a bounded number of bytes, so the work grows
//! with the text and not faster. Where hits overlap, the one of the more certain kind stays, then the longer one.
//!
//! The text is that of [`crate::view::Reading::plain`]: digits of full width are digits there. Decoded readings are searched in
//! the same way, and what they hold is reported where its source stands.

pub mod check;
mod context;
mod kinds;
mod mail;
mod number;
mod secret;
mod settings;
mod tail;

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub use self::kinds::Kind;
pub use self::settings::{Group, LossSettings};
use crate::verdict::{Channel, LossHit};
use crate::view::{Reading, Readings, Span};

/// Bytes of the longest hit, except for those of [`LONGEST_RUN`].
pub const LONGEST: usize = 512;
/// Bytes of the longest private key or signed token.
pub const LONGEST_RUN: usize = 16 * 1024;
/// Bytes before a hit on which it may depend.
pub const LOOK_BEHIND: usize = 96;

/// Every kind that is found.
pub const fn kinds() -> &'static [Kind] {
    kinds::KINDS
}

/// A text that is searched.
struct Page<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// Whether what is everywhere is looked for too.
    quiet: bool,
    /// The words that say what a number is, once one asks.
    words: OnceCell<Vec<context::Word>>,
}

impl Page<'_> {
    /// The topics of the words near a range.
    fn near(&self, start: usize, end: usize) -> context::Topics {
        context::near(self.words.get_or_init(|| context::of(self.text)), start, end)
    }
}

/// A hit in the text that is searched.
#[derive(Clone, Copy, Debug)]
struct Found {
    kind: &'static str,
    start: usize,
    end: usize,
    /// How certain it is that it is of this kind: what overlaps it and has less gives way.
    rank: u8,
}

/// The detectors of a configuration.
#[derive(Debug)]
pub struct Detectors {
    settings: LossSettings,
    /// The names, so that hits share them.
    names: HashMap<&'static str, (Arc<str>, Group)>,
    quiet: bool,
}

impl Detectors {
    pub(crate) fn new(settings: &LossSettings) -> Self {
        let named = |kind: &Kind| {
            settings.kinds.contains_key(kind.id) || settings.actions.keys().any(|(_, group)| *group == kind.group)
        };
        Self {
            settings: settings.clone(),
            names: kinds().iter().map(|kind| (kind.id, (Arc::from(kind.id), kind.group))).collect(),
            quiet: kinds().iter().any(|kind| kind.quiet && named(kind)),
        }
    }

    /// Whether anything may be done about what is found in a channel.
    pub(crate) fn acts_on(&self, channel: Channel) -> bool {
        self.settings.acts_on(channel)
    }

    /// What a text holds, in the order of the spans, which do not overlap.
    pub(crate) fn find(&self, channel: Channel, readings: &Readings) -> Vec<LossHit> {
        let mut hits = Vec::new();
        for (order, reading) in readings.all.iter().enumerate() {
            for found in self.search(reading.plain.text()) {
                let span = reading.plain.source(found.start..found.end);
                if span.start < span.end {
                    hits.push((found, span, order));
                }
            }
        }
        apart(hits)
            .into_iter()
            .filter_map(|(found, span, order)| self.hit(channel, found.kind, span, readings.all.get(order)?))
            .collect()
    }

    fn hit(&self, channel: Channel, kind: &'static str, span: Span, reading: &Reading) -> Option<LossHit> {
        let (name, group) = self.names.get(kind)?;
        let verdict = self.settings.verdict(channel, *group, kind);
        Some(LossHit { kind: Arc::clone(name), span, verdict, forms: reading.forms.clone() })
    }

    fn search(&self, text: &str) -> Vec<Found> {
        let page = Page { text, bytes: text.as_bytes(), quiet: self.quiet, words: OnceCell::new() };
        let mut found = Vec::new();
        number::scan(&page, &mut found);
        secret::scan(&page, &mut found);
        mail::scan(&page, &mut found);
        found
    }

    /// From where on the end of a text could still become a hit, whatever follows it: hits that begin before this offset, which
    /// is a boundary of characters, are those that are there now, and depend on no more than [`LOOK_BEHIND`] bytes before them.
    /// The text is that of a [`Reading::plain`]. Who lets go of what is before the offset lowers it to the start of a hit that
    /// crosses it.
    pub fn unfinished(&self, text: &str) -> usize {
        tail::unfinished(text)
    }
}

/// The hits that stay where some overlap, by their place: the more certain kind, then the text as it stands before what was
/// decoded, then the longer one, then the first one.
fn apart(mut hits: Vec<(Found, Span, usize)>) -> Vec<(Found, Span, usize)> {
    hits.sort_by_key(|(found, span, order)| {
        (u8::MAX - found.rank, *order, usize::MAX - (span.end - span.start), span.start)
    });
    let mut taken: BTreeMap<usize, (Found, Span, usize)> = BTreeMap::new();
    for hit in hits {
        let span = hit.1;
        // Those that are taken do not overlap, so only the last one that begins before the end can be in the way.
        let free = taken.range(..span.end).next_back().is_none_or(|(_, (_, other, _))| other.end <= span.start);
        if free {
            taken.insert(span.start, hit);
        }
    }
    taken.into_values().collect()
}

#[cfg(test)]
mod tests;
