//! Taking keys out of text that others wrote.
//!
//! A provider's error may repeat the request, and with it the key: whole, cut short, or encoded. So not the whole key
//! is looked for but every piece of it that is long enough to be no accident.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::Secret;

/// Shortest piece of a secret that is looked for, in bytes. Shorter ones stand in ordinary text.
const FRAGMENT: usize = 8;

/// What stands in the place of what was taken out.
const MASK: &str = "***";

/// Knows some secrets, and finds pieces of them and of their base64 (RFC 4648) forms.
pub struct Scrubber {
    /// Every piece of every secret, sorted.
    fragments: Zeroizing<Vec<[u8; FRAGMENT]>>,
    /// Secrets that are shorter than a piece.
    short: Vec<Zeroizing<String>>,
}

impl Scrubber {
    /// Finds `secrets`.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s Secret>) -> Self {
        let (mut fragments, mut short) = (Zeroizing::new(Vec::new()), Vec::new());
        for secret in secrets {
            let text = secret.dangerously_expose();
            if text.len() < FRAGMENT {
                short.push(Zeroizing::new(text.to_owned()));
            }
            let forms = std::iter::once(Zeroizing::new(text.to_owned())).chain(encoded(text.as_bytes()));
            for form in forms {
                fragments.extend(form.as_bytes().array_windows::<FRAGMENT>().copied());
            }
        }
        fragments.sort_unstable();
        fragments.dedup();
        Self { fragments, short }
    }

    /// `text` with `***` in place of every piece of a secret.
    pub fn scrub(&self, text: &str) -> String {
        let mut hidden = vec![false; text.len()];
        let mut hide = |at: usize, length: usize| hidden.iter_mut().skip(at).take(length).for_each(|byte| *byte = true);
        for (at, window) in text.as_bytes().array_windows::<FRAGMENT>().enumerate() {
            if self.fragments.binary_search(window).is_ok() {
                hide(at, FRAGMENT);
            }
        }
        for secret in &self.short {
            text.match_indices(secret.as_str()).for_each(|(at, _)| hide(at, secret.len()));
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
            (format!("key={}…", &KEY[..9]), "key=***…"),
            (format!("…{}", &KEY[12..]), "…***"),
            (format!("ключ «{KEY}»"), "ключ «***»"),
            ("use another-key-entirely".into(), "use ***"),
            (KEY[..7].into(), "sk-proj"),
            ("nothing here".into(), "nothing here"),
            (String::new(), ""),
        ] {
            assert_eq!(scrubber.scrub(&text), scrubbed, "{text}");
        }
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
