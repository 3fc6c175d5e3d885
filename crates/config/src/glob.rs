//! Patterns in which only `*` is special: it stands for any characters, also for none.
//!
//! The texts come from models and cells, so the time is linear in the length of both, whatever the pattern is.

/// Whether `pattern` describes the whole of `text`.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else { return pattern == text };
    let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
    let inner = text.strip_prefix(prefix).and_then(|text| text.strip_suffix(suffix));
    let Some(mut left) = inner else { return false };
    // The leftmost place of each piece leaves the most for those behind it, so there is nothing to go back to.
    for piece in middle.split('*') {
        match left.split_once(piece) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "anything/at all\nand more"),
            ("**", "x"),
            ("main/*", "main/"),
            ("main/*", "main/some-model"),
            ("*/some", "main/some"),
            ("a*b*c", "abc"),
            ("a*b*c", "a1b2b3c"),
            ("a*b*c", "abcbc"),
            ("*ab*ba*", "abba"),
            ("银*行", "银行"),
            ("银*行", "银一二行"),
            ("file_read", "file_read"),
        ] {
            assert!(matches(pattern, text), "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn the_whole_text_must_fit() {
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("main/*", "mains/x"),
            ("main/*", "xmain/x"),
            ("*/some", "main/some-model"),
            ("file_read", "file_read2"),
            ("file_read", "FILE_READ"),
            ("*ab*ba*", "aba"),
            ("a*a", "a"),
            ("ab*bc", "abc"),
            ("a*b*c", "acb"),
            ("https://docs.example.com/*", "https://docs.example.com.evil.example/"),
        ] {
            assert!(!matches(pattern, text), "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn nothing_but_the_star_is_special() {
        for special in ["?", "[a]", "a|b", ".", "\\", "{a,b}", "^a$", "+"] {
            assert!(matches(special, special), "{special}");
            assert!(!matches(special, "a"), "{special}");
        }
        assert!(matches("\\*", "\\anything"));
    }

    /// What a pattern means, tried in every way.
    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
            Some((c, rest)) => text.first() == Some(c) && slow(rest, &text[1..]),
        }
    }

    #[test]
    fn every_short_pattern_means_what_trying_everything_says() {
        let words = |letters: &[u8], longest: u32| {
            let base = letters.len();
            let mut words = vec![Vec::new()];
            for length in 1..=longest {
                for number in 0..base.pow(length) {
                    words.push((0..length).map(|n| letters[number / base.pow(n) % base]).collect::<Vec<u8>>());
                }
            }
            words
        };
        let texts = words(b"ab", 6);
        for pattern in words(b"ab*", 5) {
            for text in &texts {
                let (p, t) = (str::from_utf8(&pattern).unwrap(), str::from_utf8(text).unwrap());
                assert_eq!(matches(p, t), slow(&pattern, text), "{p:?} {t:?}");
            }
        }
    }

    /// Going back and forth, one of these alone takes longer than the universe has been there.
    #[test]
    fn patterns_made_to_be_slow_are_not() {
        let text = "a".repeat(1 << 20);
        assert!(!matches(&format!("{}b", "a*".repeat(1 << 12)), &text));
        assert!(!matches(&format!("{}b*", "*a".repeat(1 << 12)), &text));
        assert!(matches(&"*a".repeat(1 << 12), &text));
        assert!(!matches(&format!("*{}b*", "a".repeat(1 << 19)), &text));
        assert!(matches(&"*".repeat(1 << 20), &text));
    }
}
