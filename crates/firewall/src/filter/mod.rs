//! What this fleet's own filters name.

mod intent;
mod known;
mod pattern;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use intent::{Intent, Meaning};
pub use known::{Keyed, KnownError, KnownValues, LEAST_VALUE, LONGEST_VALUE, MOST_VALUES, SALT, known_values};
pub use pattern::PatternError;

use self::pattern::Pattern;
use self::words::{Dictionary, Word};
use crate::firewall::SettingsError;
use crate::verdict::{Channel, Level, RuleHit, Verdict};
use crate::view::{Form, Reading, Readings, Span};

/// Most words of one filter.
pub const MOST_WORDS: usize = 4096;
/// Longest word or phrase, in bytes.
pub const LONGEST_WORD: usize = 256;
/// Shortest word or phrase, in characters.
pub const LEAST_WORD: usize = 2;
/// Shortest canary, in characters: less may stand anywhere.
pub const LEAST_CANARY: usize = 8;
/// Most places of one reading that one filter names; the last one goes on to the end of the text where there are more.
const MOST_HITS: usize = 256;
/// Most bytes between two words of a phrase, or two parts of a value.
const LONGEST_GAP: usize = 8;

/// One filter of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What people call it, and records.
    pub name: String,
    /// What is done about a text that it fits.
    pub action: Verdict,
    /// Whose texts are held against it.
    pub channels: Vec<Channel>,
    /// What it fits.
    pub finds: Finds,
}

/// What a filter fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finds {
    /// What this regular expression fits, at most [`pattern::LONGEST_FIT`] bytes where it has no end of its own.
    Pattern(String),
    /// Any of these words or phrases.
    Words(Vec<String>),
    /// A value of the list that this file holds the digests of.
    Known(PathBuf),
    /// Several of these words or phrases, each at any place.
    Topic {
        /// The words.
        words: Vec<String>,
        /// How many different ones it takes.
        at_least: usize,
    },
    /// A text that stands nowhere else.
    Canary(String),
}

/// Why a filter is not understood.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// No regular expression.
    #[error("{0}")]
    Pattern(#[from] PatternError),
    /// There are no words.
    #[error("there are no words in it")]
    NoWords,
    /// Too many words.
    #[error("{0} words are more than {MOST_WORDS}")]
    ManyWords(usize),
    /// A word says too little.
    #[error("`{word}` has fewer than {least} letters and digits")]
    ShortWord {
        /// The word.
        word: String,
        /// Fewest characters.
        least: usize,
    },
    /// A word is too long.
    #[error("a text of {0} bytes is longer than {LONGEST_WORD}")]
    LongWord(usize),
    /// More words are asked for than there are.
    #[error("it takes {at_least} of {words} words")]
    Unreachable {
        /// How many it takes.
        at_least: usize,
        /// How many there are.
        words: usize,
    },
    /// The words are more than one dictionary can hold.
    #[error("the words cannot be searched for: {0}")]
    Dictionary(String),
    /// The list of values was not read.
    #[error("the values of `{}` were not read", .0.display())]
    NoList(PathBuf),
}

impl Filter {
    /// Whether it is understood, as far as that can be told without other files.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self) -> Result<(), FilterError> {
        match &self.finds {
            Finds::Pattern(pattern) => Pattern::new(pattern).map(drop).map_err(FilterError::from),
            Finds::Words(words) => words::check(words, LEAST_WORD),
            Finds::Topic { words, at_least } => {
                words::check(words, LEAST_WORD)?;
                match *at_least > words.len() || *at_least == 0 {
                    true => Err(FilterError::Unreachable { at_least: *at_least, words: words.len() }),
                    false => Ok(()),
                }
            }
            Finds::Canary(text) => words::check(std::slice::from_ref(text), LEAST_CANARY),
            Finds::Known(_) => Ok(()),
        }
    }

    /// Whether a pattern has no longest fit of its own.
    pub fn is_endless(&self) -> bool {
        matches!(&self.finds, Finds::Pattern(pattern) if Pattern::new(pattern).is_ok_and(|pattern| pattern.is_endless()))
    }
}

/// The filters, made ready.
#[derive(Debug, Default)]
pub struct Filters {
    ready: Vec<Ready>,
    dictionary: Dictionary,
}

/// One of them.
#[derive(Debug)]
struct Ready {
    id: Arc<str>,
    reason: Arc<str>,
    action: Verdict,
    channels: Vec<Channel>,
    looks: Looks,
    /// Most bytes of a text that it names at once.
    longest: usize,
}

/// How it looks.
#[derive(Debug)]
enum Looks {
    Pattern(Pattern),
    /// The dictionary of all does; this many different words make a hit.
    Words {
        at_least: Option<usize>,
    },
    Known(KnownValues),
}

impl Filters {
    pub(crate) fn new(filters: &[Filter], mut lists: BTreeMap<PathBuf, KnownValues>) -> Result<Self, SettingsError> {
        let mut ready = Vec::with_capacity(filters.len());
        let mut words = Vec::new();
        for (number, filter) in filters.iter().enumerate() {
            let made = Ready::new(filter, &mut lists).map_err(|error| SettingsError::Filter { number, error })?;
            match &filter.finds {
                Finds::Words(these) | Finds::Topic { words: these, .. } => {
                    words.extend(these.iter().map(|text| Word { filter: number, text, within: false }));
                }
                Finds::Canary(text) => words.push(Word { filter: number, text, within: true }),
                Finds::Pattern(_) | Finds::Known(_) => {}
            }
            ready.push(made);
        }
        let dictionary = Dictionary::new(words).map_err(|error| SettingsError::Filter { number: 0, error })?;
        Ok(Self { ready, dictionary })
    }

    /// Whether a filter does more about a text of this channel than mark it.
    pub(crate) fn acts_on(&self, channel: Channel) -> bool {
        self.of(channel).any(|(_, filter)| filter.action >= Verdict::Redact)
    }

    /// Most bytes of a text of this channel that a filter names at once; 0 without filters.
    pub(crate) fn longest(&self, channel: Channel) -> usize {
        self.of(channel).map(|(_, filter)| filter.longest).max().unwrap_or_default()
    }

    /// What stands for the values that are known by their digests, so that two lists can be told apart.
    pub(crate) fn fingerprints(&self) -> impl Iterator<Item = String> {
        self.ready.iter().filter_map(|filter| match &filter.looks {
            Looks::Known(values) => Some(format!("{} {values:?}", filter.id)),
            Looks::Pattern(_) | Looks::Words { .. } => None,
        })
    }

    fn of(&self, channel: Channel) -> impl Iterator<Item = (usize, &Ready)> {
        self.ready.iter().enumerate().filter(move |(_, filter)| filter.channels.contains(&channel))
    }

    /// What the filters of this channel say of a text. Hits of one filter do not overlap.
    pub(crate) fn find(&self, channel: Channel, readings: &Readings) -> Vec<RuleHit> {
        if self.of(channel).next().is_none() {
            return Vec::new();
        }
        let mut found: Vec<(usize, Span, &[Form])> = Vec::new();
        for reading in &readings.all {
            self.find_in(channel, reading, |filter, span| found.push((filter, span, reading.forms.as_slice())));
        }
        found.sort_by_key(|(filter, span, _)| (*filter, *span));
        let mut hits: Vec<(usize, RuleHit)> = Vec::new();
        for (number, span, forms) in found {
            let Some(filter) = self.ready.get(number) else { continue };
            match hits.last_mut() {
                Some((last, hit)) if *last == number && span.start < hit.span.end => {
                    hit.span.end = hit.span.end.max(span.end);
                }
                _ => hits.push((number, filter.hit(span, forms))),
            }
        }
        hits.into_iter().map(|(_, hit)| hit).collect()
    }

    fn find_in(&self, channel: Channel, reading: &Reading, mut found: impl FnMut(usize, Span)) {
        let words = self.dictionary.find(reading.folded.text());
        for (number, filter) in self.of(channel) {
            match &filter.looks {
                Looks::Pattern(pattern) => {
                    for range in pattern.find(reading.plain.text()) {
                        found(number, reading.plain.source(range));
                    }
                }
                Looks::Known(values) => {
                    for range in values.find(reading.folded.text()) {
                        found(number, reading.folded.source(range));
                    }
                }
                Looks::Words { at_least: None } => {
                    for range in words.places(number) {
                        found(number, reading.folded.source(range));
                    }
                }
                Looks::Words { at_least: Some(least) } => {
                    if let Some(range) = words.topic(number, *least) {
                        found(number, reading.folded.source(range));
                    }
                }
            }
        }
    }
}

impl Ready {
    fn new(filter: &Filter, lists: &mut BTreeMap<PathBuf, KnownValues>) -> Result<Self, FilterError> {
        filter.check()?;
        let longest_of = |words: &[String]| words.iter().map(|word| word.len() + LONGEST_GAP).max().unwrap_or_default();
        let (looks, longest, reason) = match &filter.finds {
            Finds::Pattern(text) => {
                let pattern = Pattern::new(text)?;
                let longest = pattern.longest();
                (Looks::Pattern(pattern), longest, "fits the pattern of the filter")
            }
            Finds::Words(words) => (Looks::Words { at_least: None }, longest_of(words), "has a word of the filter"),
            Finds::Topic { words, at_least } => {
                (Looks::Words { at_least: Some(*at_least) }, longest_of(words), "is about the topic of the filter")
            }
            Finds::Canary(text) => {
                (Looks::Words { at_least: None }, text.len() + LONGEST_GAP, "has a text that must never appear: filter")
            }
            Finds::Known(path) => {
                let values = lists.get(path).cloned().ok_or_else(|| FilterError::NoList(path.clone()))?;
                (Looks::Known(values), known::LONGEST_PLACE, "has a value of the list of the filter")
            }
        };
        Ok(Self {
            id: filter.name.as_str().into(),
            reason: format!("{reason} `{}`", filter.name).into(),
            action: filter.action,
            channels: filter.channels.clone(),
            looks,
            longest,
        })
    }

    fn hit(&self, span: Span, forms: &[Form]) -> RuleHit {
        RuleHit {
            id: Arc::clone(&self.id),
            reason: Arc::clone(&self.reason),
            level: Level::Clean,
            verdict: self.action,
            span,
            forms: forms.to_vec(),
        }
    }
}

/// A text as filters compare it.
fn folded(text: &str) -> String {
    Readings::of(text).all.first().map(|reading| reading.folded.text().to_owned()).unwrap_or_default()
}

/// Whether a character is of a script that is written without spaces between words.
const fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether a character goes on with the word beside it.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() && !is_unspaced(c)
}

#[cfg(test)]
mod tests;
