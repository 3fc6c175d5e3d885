//! Words and phrases, in any script.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::{FilterError, LONGEST_GAP, LONGEST_WORD, MOST_HITS, MOST_WORDS, folded, is_of_word};

/// Whether these are words to look for.
pub(super) fn check(words: &[String], least: usize) -> Result<(), FilterError> {
    match words.len() {
        0 => return Err(FilterError::NoWords),
        many if many > MOST_WORDS => return Err(FilterError::ManyWords(many)),
        _ => {}
    }
    for word in words {
        if word.len() > LONGEST_WORD {
            return Err(FilterError::LongWord(word.len()));
        }
        if folded(word).chars().filter(|c| c.is_alphanumeric()).count() < least {
            return Err(FilterError::ShortWord { word: word.clone(), least });
        }
    }
    Ok(())
}

/// All words of all filters, searched for at once.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    automaton: Option<AhoCorasick>,
    /// In the order of the automaton's patterns.
    entries: Vec<Entry>,
}

/// One word or phrase of one filter. The automaton looks for its first part.
#[derive(Debug)]
struct Entry {
    filter: usize,
    /// The parts behind the first one.
    rest: Vec<String>,
    begins_as_word: bool,
    ends_as_word: bool,
}

/// Where words stand in one text.
#[derive(Debug, Default)]
pub(super) struct Found {
    by_filter: BTreeMap<usize, OfFilter>,
}

/// Where those of one filter stand.
#[derive(Debug, Default)]
struct OfFilter {
    /// In the order in which they end.
    places: Vec<Range<usize>>,
    /// Which words they are.
    different: BTreeSet<usize>,
}

/// One of the words of a filter, by its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<'w> {
    pub(super) filter: usize,
    pub(super) text: &'w str,
    /// Whether it may be part of a longer word.
    pub(super) within: bool,
}

impl Dictionary {
    pub(super) fn new<'w>(words: impl IntoIterator<Item = Word<'w>>) -> Result<Self, FilterError> {
        let (mut firsts, mut entries) = (Vec::new(), Vec::new());
        for Word { filter, text, within } in words {
            let word = folded(text);
            let mut parts = word.split_whitespace().map(str::to_owned);
            let Some(first) = parts.next() else { continue };
            entries.push(Entry {
                filter,
                rest: parts.collect(),
                begins_as_word: !within && word.trim_start().starts_with(is_of_word),
                ends_as_word: !within && word.trim_end().ends_with(is_of_word),
            });
            firsts.push(first);
        }
        if firsts.is_empty() {
            return Ok(Self::default());
        }
        let automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&firsts);
        let automaton = automaton.map_err(|error| FilterError::Dictionary(error.to_string()))?;
        Ok(Self { automaton: Some(automaton), entries })
    }

    /// Where the words stand in a folded text.
    pub(super) fn find(&self, text: &str) -> Found {
        let mut found = Found::default();
        let Some(automaton) = &self.automaton else { return found };
        for hit in automaton.find_overlapping_iter(text) {
            let number = hit.pattern().as_usize();
            let Some(entry) = self.entries.get(number) else { continue };
            let Some(end) = entry.end(text, hit.range()) else { continue };
            let OfFilter { places, different } = found.by_filter.entry(entry.filter).or_default();
            different.insert(number);
            let is_full = places.len() >= MOST_HITS;
            match places.last_mut() {
                Some(last) if is_full => last.end = last.end.max(end),
                _ => places.push(hit.start()..end),
            }
        }
        found
    }
}

impl Entry {
    /// Where it ends, if all of it stands there.
    fn end(&self, text: &str, first: Range<usize>) -> Option<usize> {
        let before = text.get(..first.start)?;
        if self.begins_as_word && before.ends_with(is_of_word) {
            return None;
        }
        let mut end = first.end;
        for part in &self.rest {
            let behind = text.get(end..)?;
            let next = behind.trim_start();
            let gap = behind.len() - next.len();
            if gap == 0 || gap > LONGEST_GAP || !next.starts_with(part.as_str()) {
                return None;
            }
            end += gap + part.len();
        }
        let goes_on = self.ends_as_word && text.get(end..)?.starts_with(is_of_word);
        (!goes_on).then_some(end)
    }
}

impl Found {
    /// Where words of a filter stand.
    pub(super) fn places(&self, filter: usize) -> impl Iterator<Item = Range<usize>> {
        self.by_filter.get(&filter).into_iter().flat_map(|found| found.places.iter().cloned())
    }

    /// From the first to the last of the words of a filter, if this many different ones stand there.
    pub(super) fn topic(&self, filter: usize, at_least: usize) -> Option<Range<usize>> {
        let OfFilter { places, different } = self.by_filter.get(&filter)?;
        let start = places.iter().map(|place| place.start).min()?;
        let end = places.iter().map(|place| place.end).max()?;
        (different.len() >= at_least).then_some(start..end)
    }
}
