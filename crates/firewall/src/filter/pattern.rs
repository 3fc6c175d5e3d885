//! Regular expressions of a configuration.

use std::ops::Range;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::MOST_HITS;

/// Longest pattern, in bytes.
pub const LONGEST_PATTERN: usize = 2048;
/// Most bytes of an output within which a pattern is looked for: outputs are read in windows, as they come.
pub const LONGEST_FIT: usize = 512;
/// Largest automaton of a pattern, in bytes.
const LARGEST_AUTOMATON: usize = 1024 * 1024;
/// Deepest nesting of groups.
const DEEPEST: u32 = 64;

/// Why a pattern is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is too long.
    #[error("the pattern is {0} bytes long, more than {LONGEST_PATTERN}")]
    Long(usize),
    /// It is not written right.
    #[error("the pattern is wrong at its character {at} (`{text}`): {what}")]
    Syntax {
        /// Which character, from 1.
        at: usize,
        /// What stands there.
        text: String,
        /// What is wrong.
        what: String,
    },
    /// It fits a text without a character.
    #[error("the pattern fits the empty text, and so every place of every text")]
    Empty,
    /// It takes too much room.
    #[error("the pattern takes more than {LARGEST_AUTOMATON} bytes to search with; make its repetitions smaller")]
    Large,
}

/// A regular expression, searched for in time that grows with the text alone.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    longest: Option<usize>,
}

impl Pattern {
    pub(super) fn new(pattern: &str) -> Result<Self, PatternError> {
        if pattern.len() > LONGEST_PATTERN {
            return Err(PatternError::Long(pattern.len()));
        }
        let config = syntax::Config::new().nest_limit(DEEPEST);
        let hir = syntax::parse_with(pattern, &config).map_err(|error| mistake(pattern, &error))?;
        let properties = hir.properties();
        if properties.minimum_len().is_none_or(|least| least == 0) {
            return Err(PatternError::Empty);
        }
        let config =
            Regex::config().nfa_size_limit(Some(LARGEST_AUTOMATON)).onepass_size_limit(Some(LARGEST_AUTOMATON));
        let regex = Regex::builder().configure(config).build_from_hir(&hir).map_err(|_| PatternError::Large)?;
        Ok(Self { regex, longest: properties.maximum_len() })
    }

    /// Whether it can fit a text of any length.
    pub(super) fn is_endless(&self) -> bool {
        self.longest.is_none_or(|longest| longest > LONGEST_FIT)
    }

    /// Most bytes of an output that it names at once.
    pub(super) fn longest(&self) -> usize {
        self.longest.unwrap_or(LONGEST_FIT).min(LONGEST_FIT)
    }

    /// Where it fits, from left to right.
    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = self.regex.find_iter(text).take(MOST_HITS).map(|fit| fit.range()).collect();
        if places.len() == MOST_HITS
            && let Some(last) = places.last_mut()
        {
            last.end = text.len();
        }
        places
    }
}

/// What is wrong with a pattern, and where.
fn mistake(pattern: &str, error: &regex_syntax::Error) -> PatternError {
    let (span, what) = match error {
        regex_syntax::Error::Parse(error) => (error.span(), error.kind().to_string()),
        regex_syntax::Error::Translate(error) => (error.span(), error.kind().to_string()),
        other => return PatternError::Syntax { at: 1, text: String::new(), what: other.to_string() },
    };
    let before = pattern.get(..span.start.offset).unwrap_or_default();
    let there = pattern.get(span.start.offset..span.end.offset.max(span.start.offset)).unwrap_or_default();
    let text = if there.is_empty() { pattern.get(span.start.offset..).unwrap_or_default() } else { there };
    PatternError::Syntax { at: before.chars().count() + 1, text: text.chars().take(20).collect(), what }
}
