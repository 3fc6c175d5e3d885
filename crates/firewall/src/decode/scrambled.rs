//! Words whose inner letters changed places: people read them without noticing, and models do, too.

use std::ops::Range;

use super::stretches::Around;
use super::tokens::Token;
use super::{Patches, Stretches, words};

const AROUND: Around = Around { before: 80, after: 80 };
/// So many such words in one stretch are no slips of a pen.
const FEWEST_WORDS: usize = 3;
/// Shorter ones are often other words: `form` and `from`.
const SHORTEST: usize = 5;

/// Finds such words.
#[derive(Debug, Default)]
pub(super) struct ScrambledFinder {
    found: Vec<(Range<usize>, &'static str)>,
}

impl ScrambledFinder {
    /// Takes a token of letters only that is no known word.
    #[inline]
    pub fn token(&mut self, token: &Token<'_>) {
        if token.text.len() >= SHORTEST
            && let Some(word) = words::unscrambled(token.text)
        {
            self.found.push((token.start..token.end, word));
        }
    }

    pub fn finish(self) -> Vec<(Range<usize>, &'static str)> {
        self.found
    }
}

pub(super) fn decode(text: &str, found: &[(Range<usize>, &'static str)], room: usize) -> Stretches {
    let mut out = Patches::new(text, AROUND, FEWEST_WORDS, room);
    for (place, word) in found {
        if !out.put(place.clone(), word, 1) {
            break;
        }
    }
    out.finish()
}
