//! Characters that nobody sees and every model reads.

use crate::decode::{Stretches, readable};

use super::{Form, Span, View};

/// A flag that is made of a black flag and tags (England, Scotland, Wales) has so many at most.
const MOST_FLAG_TAGS: usize = 6;

/// What was invisible in a text, and what was made to look like something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invisible {
    /// Characters without width between two letters or digits of a script that has no use for them.
    pub zero_width: usize,
    /// Characters that overrule the direction of writing: embeddings, overrides and isolates. Plain marks do not count.
    pub bidi: usize,
    /// Tag characters (U+E0000 and on) that are not part of a flag.
    pub tags: usize,
    /// Variation selectors that have nothing to vary, which can spell bytes.
    pub selectors: usize,
    /// Words in which Latin letters stand beside letters of another script that look like some.
    pub mixed_script: usize,
}

/// What goes by without being seen, while a text is folded.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    pub signs: Invisible,
    /// What tag characters spell.
    pub tags: View,
    /// The bytes that variation selectors spell, and where each of them stands.
    pub bytes: Vec<(u8, Span)>,
    /// How many tags stand in a row now, and whether they are behind a flag.
    row: usize,
    flag: bool,
    /// How many zero-width characters follow a letter or digit now.
    pending: usize,
    selected: bool,
}

impl Unseen {
    /// Takes a character that is invisible. `word` is whether a letter or digit that has no use for such is before it.
    pub fn take(&mut self, c: char, source: Span, word: bool) {
        match c {
            '\u{e0000}'..='\u{e007f}' => {
                self.row += 1;
                if !self.flag || self.row > MOST_FLAG_TAGS + 1 {
                    self.signs.tags += 1;
                }
                if let Some(letter) =
                    char::from_u32(u32::from(c) - 0xe0000).filter(|letter| *letter >= ' ' && *letter <= '~')
                {
                    self.tags.put(letter.encode_utf8(&mut [0; 4]), source);
                }
            }
            '\u{fe00}'..='\u{fe0f}' => self.selector(u32::from(c) - 0xfe00, source),
            '\u{e0100}'..='\u{e01ef}' => self.selector(u32::from(c) - 0xe0100 + 16, source),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => self.signs.bidi += 1,
            '\u{ad}' | '\u{200e}' | '\u{200f}' | '\u{61c}' => {}
            _ if word => self.pending += 1,
            _ => {}
        }
    }

    /// What tags and selectors spell, with where they stand in the text.
    pub fn spelled(self, text: &str) -> Vec<(Form, View)> {
        let mut found = Vec::new();
        if self.signs.tags > 0 && !self.tags.text().trim().is_empty() {
            found.push((Form::Tags, self.tags));
        }
        if self.signs.selectors > 0 {
            let bytes: Vec<u8> = self.bytes.iter().map(|(byte, _)| *byte).collect();
            let mut spelled = Stretches::new(text.len());
            for view in readable(&bytes, |at| self.bytes.get(at).map_or(Span { start: 0, end: 0 }, |(_, span)| *span)) {
                spelled.add(&view);
            }
            let (view, _) = spelled.into_view();
            if !view.text().is_empty() {
                found.push((Form::Selectors, view));
            }
        }
        found
    }

    fn selector(&mut self, value: u32, source: Span) {
        // The first one behind a character varies it.
        if self.selected {
            self.signs.selectors += 1;
        }
        self.selected = true;
        if let Ok(byte) = u8::try_from(value) {
            self.bytes.push((byte, source));
        }
    }

    /// Takes a character that can be seen. `word` is whether it is a letter or digit that has no use for invisible ones.
    pub fn pass(&mut self, c: char, word: bool) {
        if word {
            self.signs.zero_width += self.pending;
        }
        self.pending = 0;
        self.row = 0;
        self.selected = false;
        self.flag = c == '\u{1f3f4}';
    }
}

/// Whether a character has no width of its own.
pub(super) const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}
