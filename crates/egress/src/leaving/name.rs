//! What a name says to whoever runs the server that it would be asked of.

/// Fewest characters of labels that are taken for an encoding.
const LEAST_ENCODED: usize = 16;
/// Fewest letters in a row that are taken for text.
const LEAST_TEXT: usize = 8;
/// Most ways to read one name.
const MOST_READINGS: usize = 64;

/// All ways to read a name, one a line: as it stands, its labels as one, and what they are in hex and base32, beginning with
/// any of them.
pub(super) fn readings(name: &str) -> String {
    let labels: Vec<&str> = name.split('.').collect();
    let below = labels.get(..labels.len().saturating_sub(2)).unwrap_or_default();
    let mut readings = vec![name.to_owned(), labels.concat(), labels.join(" "), below.concat(), below.join(" ")];
    for first in 0..below.len().min(MOST_READINGS) {
        let run: String = below.iter().skip(first).map(|label| label.replace(['-', '_'], "")).collect();
        if run.len() < LEAST_ENCODED {
            break;
        }
        // An encoding may end before the labels do.
        let hex: String = run.chars().take_while(char::is_ascii_hexdigit).collect();
        let base32: String = run.chars().take_while(|c| base32_digit(*c).is_some()).collect();
        readings.extend(texts(&bits(hex.chars().filter_map(|c| c.to_digit(16)), 4)));
        readings.extend(texts(&bits(base32.chars().filter_map(base32_digit), 5)));
    }
    readings.join("\n")
}

/// The two last labels, where there are more.
pub(super) fn suffix(name: &str) -> Option<&str> {
    let (before, _) = name.rmatch_indices('.').nth(1)?;
    name.get(before + 1..)
}

/// RFC 4648 section 6.
fn base32_digit(c: char) -> Option<u32> {
    match c.to_ascii_lowercase() {
        c @ 'a'..='z' => Some(u32::from(c) - u32::from('a')),
        c @ '2'..='7' => Some(u32::from(c) - u32::from('2') + 26),
        _ => None,
    }
}

/// The bytes that digits of so many bits make.
fn bits(digits: impl Iterator<Item = u32>, width: u32) -> Vec<u8> {
    let (mut bytes, mut held, mut count) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        held = held << width | digit;
        count += width;
        if count >= 8 {
            count -= 8;
            bytes.extend(u8::try_from(held >> count & 0xff));
            held &= (1 << count) - 1;
        }
    }
    bytes
}

/// What people could read among bytes.
fn texts(bytes: &[u8]) -> Vec<String> {
    let runs = bytes.split(|byte| !(byte.is_ascii_graphic() || *byte == b' '));
    runs.filter(|run| run.len() >= LEAST_TEXT).map(|run| String::from_utf8_lossy(run).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(name: &str, text: &str) {
        assert!(readings(name).contains(text), "{name}: {}", readings(name));
    }

    #[test]
    fn labels_are_read_together_and_decoded() {
        has("4111.1111.1111.1111.evil.com", "4111111111111111\n");
        has("4111-1111-1111-1111.evil.com", "4111-1111-1111-1111");
        // "4111111111111111" in hex and in base32, over several labels and behind a number.
        has("34313131313131.313131313131313131.evil.com", "4111111111111111");
        has("c1.34313131313131.313131313131313131.evil.com", "4111111111111111");
        has("gqytcmjrgeytc.mjrgeytcmjr.evil.com", "411111111111111");
        has("x7.gqytcmjrgeytc.mjrgeytcmjrge.evil.com", "4111111111111111");
    }

    #[test]
    fn a_long_name_is_read_in_bounded_ways() {
        let name = format!("{}evil.com", "aa.".repeat(80));
        assert!(readings(&name).len() < 64 * 1024);
        assert_eq!((suffix("a.b.evil.com"), suffix("evil.com"), suffix("com")), (Some("evil.com"), None, None));
    }
}
