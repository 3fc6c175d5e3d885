//! All the ways in which a model may read a text.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use crate::decode::decode;
use crate::markup::{html, markdown};

use super::View;
use super::fold::fold;
use super::invisible::Invisible;

/// Longest text that is read, in bytes. Of a longer one the beginning is read.
pub const LONGEST_TEXT: usize = 32 << 20;
/// Most readings of one text, with the first.
pub const MAX_READINGS: usize = 64;
/// How often what was decoded may be decoded again.
pub const MAX_DEPTH: usize = 3;
/// All readings together are no longer than twice the text and so many bytes.
pub const SPARE: usize = 64 << 10;

/// How a text had to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Form {
    /// Tag characters (U+E0000 and on), which nobody sees.
    Tags,
    /// Bytes spelled with variation selectors, which nobody sees.
    Selectors,
    /// Base64, also its form for URLs.
    Base64,
    /// Hexadecimal digits.
    Hex,
    /// Percent signs, as in URLs.
    Percent,
    /// Character references, as in HTML.
    Entities,
    /// Backslashes, as in the strings of JSON, YAML and programs.
    Escapes,
    /// Each letter 13 places on.
    Rot13,
    /// Back to front.
    Reversed,
    /// Digits and signs for letters.
    Leet,
    /// Letters set apart, by spaces or dashes.
    Spaced,
    /// Words whose inner letters changed places.
    Scrambled,
    /// What is left of HTML without its tags.
    Markup,
    /// Comments of HTML.
    Comment,
    /// Parts of HTML that are not shown.
    Hidden,
    /// Texts in attributes of HTML: titles, alternatives to images, descriptions.
    Attribute,
    /// Parts of Markdown that are not shown: titles, alternatives to images, unused references.
    Markdown,
}

impl Form {
    /// Whether it only picks a part of a text, as it stands there.
    const fn is_part(self) -> bool {
        matches!(self, Self::Comment | Self::Attribute | Self::Markdown)
    }
}

/// One way to read a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// How, outermost first; empty for the text as it stands.
    pub forms: Vec<Form>,
    /// With its case, for what depends on it: one form of each character (NFKC), without invisible ones.
    pub plain: View,
    /// The one form in which texts are compared: lower case, no accents, one letter for all that look alike, simplified.
    pub folded: View,
}

/// All the ways in which a model may read a text.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// The first is the text as it stands. Of a decoded one only what was decoded is there, in lines.
    pub all: Vec<Reading>,
    /// What was invisible in it.
    pub invisible: Invisible,
    /// Whether all of it was read. Not so where it is too large, or says too much in too many ways. What is coded more often
    /// than [`MAX_DEPTH`] times is not looked for, and is no matter here: nobody reads it without being told how.
    pub complete: bool,
}

impl Readings {
    /// Reads a text.
    pub fn of(text: &str) -> Self {
        Self::of_first(text, LONGEST_TEXT)
    }

    /// Reads the beginning of a text, `longest` bytes at most.
    pub(super) fn of_first(text: &str, longest: usize) -> Self {
        let whole = text.get(..text.floor_char_boundary(longest)).unwrap_or(text);
        let (plain, folded, unseen) = fold(whole);
        let mut reader = Reader {
            all: Vec::new(),
            seen: HashSet::new(),
            room: 2 * whole.len() + SPARE,
            complete: whole.len() == text.len(),
        };
        let first = Reading { forms: Vec::new(), plain, folded };
        let invisible = unseen.signs.clone();
        let unseen = unseen.spelled(whole);
        let mut found = Vec::new();
        reader.find(&first, unseen, &mut found);
        if !found.is_empty() {
            reader.seen.insert(digest(first.plain.text()));
        }
        reader.all.push(first);
        // Each round reads what the last one found.
        for depth in 1..=MAX_DEPTH {
            let mut next = Vec::new();
            for (forms, view) in found {
                reader.add(forms, view, (depth < MAX_DEPTH).then_some(&mut next));
            }
            found = next;
        }
        Self { all: reader.all, invisible, complete: reader.complete }
    }
}

/// What is yet to be read: how, and of what part of the original.
type Found = Vec<(Vec<Form>, View)>;

struct Reader {
    all: Vec<Reading>,
    seen: HashSet<u64>,
    /// How many bytes there may still be.
    room: usize,
    complete: bool,
}

impl Reader {
    /// Makes a reading of something found, unless it is known, and adds what is found in it.
    fn add(&mut self, forms: Vec<Form>, view: View, next: Option<&mut Found>) {
        if !self.seen.insert(digest(view.text())) {
            return;
        }
        if self.all.len() >= MAX_READINGS || self.room == 0 {
            self.complete = false;
            return;
        }
        let view = if view.text().len() > self.room {
            self.complete = false;
            view.prefix(self.room)
        } else {
            view
        };
        let (plain, folded, unseen) = fold(view.text());
        // No form grows what is read more than a fold does, and that is bounded by the table of letters.
        self.room = self.room.saturating_sub(plain.text().len().max(folded.text().len()).max(view.text().len()));
        let spelled =
            unseen.spelled(view.text()).into_iter().map(|(form, hidden)| (form, hidden.within(&view))).collect();
        let reading = Reading { forms, plain: plain.within(&view), folded: folded.within(&view) };
        if let Some(next) = next {
            self.find(&reading, spelled, next);
        }
        self.all.push(reading);
    }

    /// What can be read in a reading: what its characters spell unseen, what is coded, what is marked up.
    fn find(&mut self, reading: &Reading, unseen: Vec<(Form, View)>, found: &mut Found) {
        let text = reading.plain.text();
        let last = reading.forms.last().copied();
        let mut put = |form: Form, view: View| {
            let forms = reading.forms.iter().copied().chain([form]).collect();
            found.push((forms, view));
        };
        for (form, view) in unseen {
            put(form, view);
        }
        // A part of a text says nothing that was not found in the whole.
        if last.is_some_and(Form::is_part) {
            return;
        }
        let (decoded, cut) = decode(text, last, self.room);
        self.complete &= !cut;
        for (form, view) in decoded {
            put(form, view.within(&reading.plain));
        }
        if last == Some(Form::Markup) {
            return;
        }
        let page = html(text, self.room);
        let parts = [
            (Form::Comment, page.comments),
            (Form::Hidden, page.hidden),
            (Form::Attribute, page.attributes),
            (Form::Markdown, markdown(text, self.room)),
            (Form::Markup, page.text),
        ];
        for (form, part) in parts {
            let (view, cut) = part.into_view();
            self.complete &= !cut;
            if !view.text().is_empty() {
                put(form, view.within(&reading.plain));
            }
        }
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
