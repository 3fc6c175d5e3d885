//! Showing text of programs that nobody trusts to a person: nothing in it is obeyed by the terminal, and nothing in it
//! is there without being seen.

use std::borrow::Cow;
use std::io::IsTerminal;
use std::os::fd::AsFd;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use unicode_width::UnicodeWidthChar;

/// Columns of a line where nobody says how wide the terminal is.
const COLUMNS: usize = 100;

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Beside the matter.
    Dim,
    /// A tool call.
    Call,
    /// A refusal.
    Refusal,
    /// A failure.
    Failure,
}

impl Ink {
    /// Its parameters for "select graphic rendition" (ECMA-48, section 8.3.117).
    const fn rendition(self) -> &'static str {
        match self {
            Ink::Dim => "2",
            Ink::Call => "36",
            Ink::Refusal => "33",
            Ink::Failure => "31",
        }
    }
}

/// How text may look where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether a terminal shows it, so that control characters would be obeyed.
    pub terminal: bool,
    /// Whether there may be colours.
    colours: bool,
    /// Width in columns.
    pub columns: usize,
}

impl Look {
    /// Of what stands behind a stream. `NO_COLOR` (set, and not empty) and `TERM=dumb` mean no colours.
    pub fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let terminal = stream.is_terminal();
        let said = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let plain = said("NO_COLOR").is_some() || said("TERM").is_some_and(|term| term == "dumb");
        let columns = rustix::termios::tcgetwinsize(stream.as_fd())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| terminal && *columns > 0)
            .unwrap_or(COLUMNS);
        Self { terminal, colours: terminal && !plain, columns }
    }

    /// Of something that is no terminal.
    #[cfg(test)]
    pub const fn plain(columns: usize) -> Self {
        Self { terminal: false, colours: false, columns }
    }

    /// Of a terminal.
    #[cfg(test)]
    pub const fn coloured(columns: usize) -> Self {
        Self { terminal: true, colours: true, columns }
    }

    /// `text`, which holds no control characters, in a colour.
    pub fn paint(&self, ink: Ink, text: &str) -> String {
        if self.colours { format!("\u{1b}[{}m{text}\u{1b}[0m", ink.rendition()) } else { text.to_owned() }
    }
}

/// Whether a terminal obeys a character instead of showing it, or shows other characters in another order for it, or
/// nothing at all. Joiners are left alone: scripts and emoji need them, and they do no more than join.
fn obeyed(c: char) -> bool {
    match CodePointMapData::<GeneralCategory>::new().get(c) {
        GeneralCategory::Control => !matches!(c, '\n' | '\t'),
        GeneralCategory::Format => !matches!(c, '\u{200c}' | '\u{200d}'),
        GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator => true,
        _ => false,
    }
}

/// `text` with everything that a terminal would obey written out, newlines and tabs apart.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if obeyed(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// JSON text with what a terminal would obey written as JSON writes it. Outside of its strings there is no such thing, as
/// long as it is on one line.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if obeyed(c) {
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// `text` on one line of at most `columns`: what is obeyed written out, white space made single spaces, the rest cut.
pub fn line(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for (n, word) in text.split_whitespace().enumerate() {
        let word = visible(word);
        for c in (n > 0).then_some(' ').into_iter().chain(word.chars()) {
            let width = c.width().unwrap_or(0);
            // The last column is kept for the mark, as it is not known yet whether more comes.
            if used + width >= columns {
                out.push('…');
                return out;
            }
            used += width;
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_bidi_controls_and_hidden_text_are_shown_not_obeyed() {
        assert_eq!(visible("a\u{1b}]52;c;AAAA\u{7}\u{9b}31m\r\u{8}"), "a\\u{1b}]52;c;AAAA\\u{7}\\u{9b}31m\\r\\u{8}");
        assert_eq!(visible("\u{202e}txt.exe\u{2066}\u{200f}"), "\\u{202e}txt.exe\\u{2066}\\u{200f}");
        assert_eq!(visible("\u{e0041}\u{200b}\u{feff}\u{2028}\u{ad}"), "\\u{e0041}\\u{200b}\\u{feff}\\u{2028}\\u{ad}");
    }

    #[test]
    fn json_stays_the_same_json_and_is_not_obeyed() {
        let value = serde_json::json!({"text": "a\u{1b}\u{7f}\u{9b}31m\u{202e}\u{e0041}é漢\n"});
        let text = value.to_string();
        let shown = json(&text);
        assert_eq!(shown, "{\"text\":\"a\\u001b\\u007f\\u009b31m\\u202e\\udb40\\udc41é漢\\n\"}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        let text = "Grüße\t漢字 👩\u{200d}💻 می\u{200c}خواهم\n";
        assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn a_line_is_one_line_and_fits() {
        assert_eq!(line("a\n  b\tc", 10), "a b c");
        assert_eq!(line("abcdefghij", 5), "abcd…");
        assert_eq!(line("漢字漢字", 5), "漢字…");
        assert_eq!(line("\u{1b}[2J\nx", 20), "\\u{1b}[2J x");
        assert_eq!(line("", 5), "");
    }

    #[test]
    fn there_are_colours_only_where_they_are_wanted() {
        assert_eq!(Look::plain(80).paint(Ink::Refusal, "no"), "no");
        assert_eq!(Look::coloured(80).paint(Ink::Refusal, "no"), "\u{1b}[33mno\u{1b}[0m");
    }
}
