//! Refusals of the model door in the text of an answer: `[NanoClaw refused the tool call NAME: REASON]` stands where the
//! call stood.
//!
//! A model can write the same words itself. It gains nothing: nothing is executed because of them.

/// How a refusal begins.
const BEGIN: &str = "[NanoClaw refused the tool call ";

/// Longest refusal in bytes; what is longer is text.
pub(crate) const LONGEST_REFUSAL: usize = 4096;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The model's own words.
    Text(String),
    /// A refusal.
    Refused {
        /// The tool.
        tool: String,
        /// Why, and what to do.
        reason: String,
    },
}

/// Takes refusals out of a text that comes in pieces. What could become one is held back.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    held: String,
}

impl Sieve {
    /// More of the text.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Piece> {
        self.held.push_str(text);
        self.take(false)
    }

    /// The end of the text.
    pub(crate) fn finish(&mut self) -> Vec<Piece> {
        self.take(true)
    }

    fn take(&mut self, last: bool) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut rest = self.held.as_str();
        let mut plain = String::new();
        while let Some(at) = rest.find('[') {
            let (before, bracket) = rest.split_at(at);
            plain.push_str(before);
            rest = bracket;
            match refusal(bracket) {
                Found::Refusal(tool, reason, after) => {
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Refused { tool, reason });
                    rest = after;
                }
                Found::Perhaps if !last => break,
                Found::Perhaps | Found::Nothing => {
                    plain.push('[');
                    rest = bracket.strip_prefix('[').unwrap_or_default();
                }
            }
        }
        // A bracket that stands here waits for what follows it.
        if last || !rest.starts_with('[') {
            plain.push_str(rest);
            rest = "";
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        self.held = rest.to_owned();
        pieces
    }
}

enum Found<'a> {
    /// Tool, reason, and what follows.
    Refusal(String, String, &'a str),
    /// More must come before it is known.
    Perhaps,
    Nothing,
}

/// Whether a refusal stands at the beginning of `text`. It ends at the bracket that closes its first one.
fn refusal(text: &str) -> Found<'_> {
    let Some(inner) = text.strip_prefix(BEGIN) else {
        return if BEGIN.starts_with(text) { Found::Perhaps } else { Found::Nothing };
    };
    let mut depth = 1_u32;
    for (at, c) in inner.char_indices() {
        if at > LONGEST_REFUSAL {
            return Found::Nothing;
        }
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            let (said, after) = inner.split_at(at);
            let Some((tool, reason)) = said.split_once(": ") else { return Found::Nothing };
            return Found::Refusal(tool.to_owned(), reason.to_owned(), after.strip_prefix(']').unwrap_or_default());
        }
    }
    Found::Perhaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    fn refused(tool: &str, reason: &str) -> Piece {
        Piece::Refused { tool: tool.into(), reason: reason.into() }
    }

    /// What comes out, texts that follow each other joined.
    fn sieved(pieces: &[&str]) -> Vec<Piece> {
        let mut sieve = Sieve::default();
        let mut out: Vec<Piece> = Vec::new();
        let mut all: Vec<Piece> = pieces.iter().flat_map(|piece| sieve.push(piece)).collect();
        all.extend(sieve.finish());
        for piece in all {
            match (out.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(more)) => before.push_str(&more),
                (_, piece) => out.push(piece),
            }
        }
        out
    }

    const SAMPLE: &str =
        "I look. [NanoClaw refused the tool call shell: no rule allows `a[0]`; ask [somebody]] Then [1] done.";

    #[test]
    fn a_refusal_is_found_however_the_text_is_cut() {
        let expected =
            vec![text("I look. "), refused("shell", "no rule allows `a[0]`; ask [somebody]"), text(" Then [1] done.")];
        assert_eq!(sieved(&[SAMPLE]), expected);
        for at in 0..SAMPLE.len() {
            let (a, b) = SAMPLE.split_at(at);
            assert_eq!(sieved(&[a, b]), expected, "{at}");
        }
        let single: Vec<String> = SAMPLE.chars().map(String::from).collect();
        assert_eq!(sieved(&single.iter().map(String::as_str).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn several_refusals_are_several() {
        let one = "[NanoClaw refused the tool call a: x]";
        assert_eq!(sieved(&[one, one]), [refused("a", "x"), refused("a", "x")]);
    }

    #[test]
    fn what_is_no_refusal_is_text() {
        for sample in [
            "[",
            "[NanoClaw",
            "[[[]]",
            "[NanoClaw refused the tool call shell]",
            "[NanoClaw refused the tool call x: y",
        ] {
            assert_eq!(sieved(&[sample]), [text(sample)]);
        }
        let long = format!("{BEGIN}x: {}]", "y".repeat(LONGEST_REFUSAL));
        assert_eq!(sieved(&[&long]), [text(&long)]);
    }

    #[test]
    fn text_without_brackets_is_not_held_back() {
        let mut sieve = Sieve::default();
        assert_eq!(sieve.push("hello"), [text("hello")]);
        assert_eq!(sieve.push("a [b] c"), [text("a [b] c")]);
        assert_eq!(sieve.push("d ["), [text("d ")]);
    }
}
