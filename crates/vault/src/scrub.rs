//! Taking keys out of text that others wrote.
//!
//! A provider's error may repeat the request, and with it the key: whole, cut short, or encoded. So not the whole key
//! is looked for but every long piece of it. Long, because an agent can write guesses into such a text and see which of
//! them are taken out: whoever knows how a key begins must not be able to find it one character after the other.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::Secret;

/// Shortest piece of a secret that is looked for, in bytes, where half of the secret is not longer; of a secret that is
/// shorter than this, all of it. A shorter piece could be guessed.
const SHORTEST_PIECE: usize = 24;
/// Shortest base64 form of a secret that is looked for, in bytes. Shorter ones stand in ordinary text.
const SHORTEST_ENCODED: usize = 8;

/// What stands in the place of what was taken out.
const MASK: &str = "***";

/// Knows some secrets, and finds long pieces of them and of their base64 (RFC 4648) forms.
pub struct Scrubber(Vec<Form>);

/// One way to write a secret.
struct Form {
    text: Zeroizing<String>,
    /// Bytes of a piece; at most all of the text.
    piece: usize,
    /// Where the pieces begin, sorted by what they are.
    starts: Vec<usize>,
}

impl Form {
    fn new(text: Zeroizing<String>, piece: usize) -> Self {
        let piece = piece.min(text.len());
        let mut starts: Vec<usize> = (0..=text.len() - piece).collect();
        starts.sort_unstable_by_key(|start| text.as_bytes().get(*start..start + piece));
        Self { text, piece, starts }
    }

    fn at(&self, start: usize) -> Option<&[u8]> {
        self.text.as_bytes().get(start..start + self.piece)
    }

    /// Where pieces of this form stand in `text`.
    fn find<'s>(&'s self, text: &'s str) -> impl Iterator<Item = usize> + 's {
        let pieces = text.as_bytes().windows(self.piece).enumerate();
        let is_piece = |piece: &[u8]| self.starts.binary_search_by_key(&Some(piece), |start| self.at(*start)).is_ok();
        pieces.filter(move |(_, piece)| is_piece(piece)).map(|(at, _)| at)
    }
}

impl Scrubber {
    /// Finds `secrets`.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s Secret>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets {
            let text = secret.dangerously_expose();
            let piece = SHORTEST_PIECE.max(text.len() / 2);
            let encoded = encoded(text.as_bytes()).filter(|form| form.len() >= SHORTEST_ENCODED);
            forms.extend(encoded.map(|form| Form::new(form, piece.div_ceil(3) * 4)));
            forms.push(Form::new(Zeroizing::new(text.to_owned()), piece));
        }
        Self(forms)
    }

    /// `text` with `***` in place of every long piece of a secret.
    pub fn scrub(&self, text: &str) -> String {
        let mut hidden = vec![false; text.len()];
        for form in &self.0 {
            for at in form.find(text) {
                hidden.iter_mut().skip(at).take(form.piece).for_each(|byte| *byte = true);
            }
        }
        let mut scrubbed = String::with_capacity(text.len());
        let mut inside = false;
        for (at, character) in text.char_indices() {
            let hidden = hidden.get(at).is_some_and(|hidden| *hidden);
            match (hidden, inside) {
                (true, false) => scrubbed.push_str(MASK),
                (true, true) => {}
                (false, _) => scrubbed.push(character),
            }
            inside = hidden;
        }
        scrubbed
    }
}

/// What base64 makes of `bytes` within something longer: as it depends on what stands before, there are three forms
/// for each alphabet. Only those characters that `bytes` alone determine.
fn encoded(bytes: &[u8]) -> impl Iterator<Item = Zeroizing<String>> {
    [STANDARD_NO_PAD, URL_SAFE_NO_PAD].into_iter().flat_map(move |alphabet| {
        (0..3).filter_map(move |before| {
            let longer: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
            let longer = Zeroizing::new(longer);
            let text = Zeroizing::new(alphabet.encode(longer.as_slice()));
            let (first, end) = ((before * 8).div_ceil(6), longer.len() * 8 / 6);
            text.get(first..end).map(|text| Zeroizing::new(text.to_owned()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-proj-0123456789abcdefGHIJ_klm-xyz";

    fn scrubber(keys: &[&str]) -> Scrubber {
        let secrets: Vec<Secret> = keys.iter().map(|key| Secret::new((*key).to_owned()).unwrap()).collect();
        Scrubber::new(&secrets)
    }

    #[test]
    fn a_key_is_found_whole_and_cut_short() {
        let scrubber = scrubber(&["another-key-entirely", KEY]);
        for (text, scrubbed) in [
            (format!("wrong key {KEY}."), "wrong key ***."),
            (format!("{KEY}{KEY}"), "***"),
            (format!("key={}…", &KEY[..24]), "key=***…"),
            (format!("…{}", &KEY[12..]), "…***"),
            (format!("{} …", &KEY[..23]), "sk-proj-0123456789abcde …"),
            (format!("ключ «{KEY}»"), "ключ «***»"),
            ("use another-key-entirely".into(), "use ***"),
            ("another-key-entirel".into(), "another-key-entirel"),
            ("nothing here".into(), "nothing here"),
            (String::new(), ""),
        ] {
            assert_eq!(scrubber.scrub(&text), scrubbed, "{text}");
        }
    }

    #[test]
    fn a_key_is_not_guessed_character_by_character() {
        let long = format!("{KEY}{}", "0aB-".repeat(20));
        for key in [KEY, "sk-proj-short", &long] {
            let scrubber = scrubber(&[key]);
            let form = Zeroizing::new(key.to_owned());
            for form in encoded(key.as_bytes()).chain([form]) {
                // Known: how it begins. Guessed: what comes next, and whatever stands around it.
                for (known, around) in [(8, ""), (10, ""), (8, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")] {
                    for next in (b'!'..=b'~').map(char::from) {
                        let guess = format!("{}{next}{around}", &form[..known]);
                        assert_eq!(scrubber.scrub(&guess), guess, "{key}");
                    }
                }
            }
        }
        let half = &long[..long.len() / 2];
        assert_eq!(scrubber(&[&long]).scrub(half), "***");
        assert_eq!(scrubber(&[&long]).scrub(&half[1..]), half[1..], "the longer the key, the longer its pieces");
    }

    #[test]
    fn base64_of_a_key_is_found_wherever_it_stands() {
        let scrubber = scrubber(&[KEY]);
        for before in ["", "u", "us", "user:"] {
            for after in ["", "x", "xy"] {
                for alphabet in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                    let encoded = alphabet.encode(format!("{before}{KEY}{after}"));
                    let left = scrubber.scrub(&encoded).replace("***", "");
                    assert!(left.len() <= (before.len() + after.len()) * 4 / 3 + 4, "{encoded}: {left}");
                }
            }
        }
    }

    #[test]
    fn a_short_key_is_found_whole() {
        assert_eq!(scrubber(&["abc"]).scrub("abcabc ab abd"), "*** ab abd");
    }
}
