//! The two forms in which a text is read: as it stands but for variants of one character, and the one form in which texts are
//! compared.

use super::invisible::Unseen;
use super::letters::{Kind, Letter, Out, letter};
use super::{Span, View};

/// The plain and the folded form of a text, and what could not be seen in it.
pub(super) fn fold(text: &str) -> (View, View, Unseen) {
    if text.is_ascii() {
        let plain = View::of(text);
        let mut folded = plain.clone();
        folded.lower_last(text.len());
        return (plain, folded, Unseen::default());
    }
    let mut fold = Fold { text, ..Fold::default() };
    fold.run();
    (fold.plain.view, fold.folded.view, fold.unseen)
}

#[derive(Default)]
struct Fold<'a> {
    text: &'a str,
    plain: Half,
    folded: Half,
    unseen: Unseen,
    /// The last character that can be seen is a letter or digit beside which nothing invisible has any business.
    word: bool,
    /// It is an ASCII letter.
    latin: bool,
    /// It is a letter that looks like a Latin one.
    alike: bool,
    /// This word has been counted.
    counted: bool,
}

/// One of the two forms, and from where on the text has not been copied to it yet.
#[derive(Default)]
struct Half {
    view: View,
    from: usize,
}

impl Half {
    /// Takes over the text up to `at` as it is.
    fn flush(&mut self, text: &str, at: usize) {
        if let Some(piece) = text.get(self.from..at) {
            self.view.copy(piece, self.from);
        }
    }

    fn put(&mut self, out: &Out, text: &str, source: Span) {
        match out {
            Out::Same => return,
            Out::Swap(other) => {
                self.flush(text, source.start);
                self.view.copy(other.encode_utf8(&mut [0; 4]), source.start);
            }
            Out::Text(other) => {
                self.flush(text, source.start);
                self.view.put(other, source);
            }
        }
        self.from = source.end;
    }
}

impl Fold<'_> {
    fn run(&mut self) {
        self.plain.view.reserve(self.text.len());
        self.folded.view.reserve(self.text.len());
        let mut at = 0;
        while let Some(rest) = self.text.get(at..) {
            let ascii = rest.bytes().take_while(u8::is_ascii).count();
            if let Some(piece) = rest.get(..ascii).filter(|piece| !piece.is_empty()) {
                self.ascii(piece, at);
                at += ascii;
            }
            let Some(c) = self.text.get(at..).and_then(|rest| rest.chars().next()) else { break };
            let source = Span { start: at, end: at + c.len_utf8() };
            self.other(c, source);
            at = source.end;
        }
        self.plain.flush(self.text, at);
        self.folded.flush(self.text, at);
    }

    fn ascii(&mut self, piece: &str, at: usize) {
        if piece.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.folded.flush(self.text, at);
            self.folded.view.copy(piece, at);
            self.folded.view.lower_last(piece.len());
            self.folded.from = at + piece.len();
        }
        let (Some(first), Some(last)) = (piece.bytes().next(), piece.bytes().last()) else { return };
        if first.is_ascii_alphabetic() && self.alike {
            self.mixed();
        }
        self.unseen.pass(char::from(first), first.is_ascii_alphanumeric());
        if piece.bytes().any(|byte| !byte.is_ascii_alphanumeric()) {
            self.counted = false;
        }
        self.word = last.is_ascii_alphanumeric();
        self.latin = last.is_ascii_alphabetic();
        self.alike = false;
    }

    fn other(&mut self, c: char, source: Span) {
        // What has no table has no other forms; the invisible ones of the highest planes are looked at here.
        let found = letter(c);
        let kind = match found {
            Some(letter) => letter.kind,
            None if super::invisible::is_invisible(c) => Kind::Invisible,
            None => Kind::Other,
        };
        if kind == Kind::Invisible {
            self.unseen.take(c, source, self.word);
            self.drop(source);
            return;
        }
        if kind == Kind::Alike && self.latin {
            self.mixed();
        }
        self.unseen.pass(c, kind != Kind::Other);
        self.counted &= kind == Kind::Alike;
        self.word = kind != Kind::Other;
        self.latin = false;
        self.alike = kind == Kind::Alike;
        if let Some(Letter { plain, folded, .. }) = found {
            self.plain.put(plain, self.text, source);
            self.folded.put(folded, self.text, source);
        }
    }

    fn drop(&mut self, source: Span) {
        for half in [&mut self.plain, &mut self.folded] {
            half.flush(self.text, source.start);
            half.from = source.end;
        }
    }

    fn mixed(&mut self) {
        if !self.counted {
            self.unseen.signs.mixed_script += 1;
        }
        self.counted = true;
    }
}
