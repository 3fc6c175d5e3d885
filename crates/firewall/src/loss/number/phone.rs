//! Telephone numbers: with the code of a country, in the form of a country that has one of its own, and others where the words
//! near them say so.

use super::LONGEST_NUMBER;
use crate::loss::check::asia::cn_mobile;
use crate::loss::context::PHONE;
use crate::loss::{Found, Page};

/// Digits of a number with the code of its country (E.164).
const MOST_DIGITS: usize = 15;

/// Codes of countries, the longest first where one begins with another.
const CODES: &[u16] = &[
    1, 7, 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60,
    61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98, 211, 212, 213, 216, 218, 220, 221, 222, 223,
    224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239, 240, 241, 242, 243, 244, 245, 246,
    247, 248, 249, 250, 251, 252, 253, 254, 255, 256, 257, 258, 260, 261, 262, 263, 264, 265, 266, 267, 268, 269, 290,
    291, 297, 298, 299, 350, 351, 352, 353, 354, 355, 356, 357, 358, 359, 370, 371, 372, 373, 374, 375, 376, 377, 378,
    380, 381, 382, 383, 385, 386, 387, 389, 420, 421, 423, 500, 501, 502, 503, 504, 505, 506, 507, 508, 509, 590, 591,
    592, 593, 594, 595, 596, 597, 598, 599, 670, 672, 673, 674, 675, 676, 677, 678, 679, 680, 681, 682, 683, 685, 686,
    687, 688, 689, 690, 691, 692, 850, 852, 853, 855, 856, 880, 886, 960, 961, 962, 963, 964, 965, 966, 967, 968, 970,
    971, 972, 973, 974, 975, 976, 977, 992, 993, 994, 995, 996, 998,
];

/// A run of digits with separators such as telephone numbers have.
struct Run {
    digits: [u8; MOST_DIGITS],
    count: usize,
    /// Lengths of the groups.
    groups: [u8; 8],
    parts: usize,
    /// What stands between the groups, at most one of each kind.
    separators: [bool; 5],
    start: usize,
    end: usize,
    plus: bool,
    bracket: bool,
}

impl Run {
    fn digits(&self) -> &[u8] {
        self.digits.get(..self.count).unwrap_or_default()
    }

    fn groups(&self) -> &[u8] {
        self.groups.get(..self.parts).unwrap_or_default()
    }

    /// Only this between the groups.
    fn only(&self, separators: &[u8]) -> bool {
        self.separators.iter().zip(b" -./(").all(|(used, separator)| !used || separators.contains(separator))
    }
}

/// Reads the run that begins at a word, with a `+` or a bracket before it.
fn run(page: &Page<'_>, start: usize) -> Option<Run> {
    let bytes = page.bytes;
    let before = |back: usize| start.checked_sub(back).and_then(|at| bytes.get(at)).copied();
    let (plus, bracket) =
        (before(1) == Some(b'+') || (before(1) == Some(b'(') && before(2) == Some(b'+')), before(1) == Some(b'('));
    let first = start - usize::from(plus) - usize::from(bracket);
    let glue = first.checked_sub(1).and_then(|at| bytes.get(at)).copied();
    if matches!(
        glue,
        Some(
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'_'
            | b'+'
            | b'.'
            | b'-'
            | b'/'
            | b'$'
            | b'#'
            | b'%'
            | b'('
            | b'='
            | b',',
        )
    ) && !plus
        && !(bracket && glue == Some(b'-'))
    {
        // What hangs together with more is no number to call; after `=` and `,` it may be.
        if !matches!(glue, Some(b'=' | b',' | b'/')) || bracket {
            return None;
        }
    }
    let mut run = Run {
        digits: [0; MOST_DIGITS],
        count: 0,
        groups: [0; 8],
        parts: 0,
        separators: [false; 5],
        start: first,
        end: start,
        plus,
        bracket,
    };
    let mut at = start;
    let mut closing = bracket;
    loop {
        let group = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if group == 0 || run.count + group > MOST_DIGITS || run.parts == 8 || at + group - start > LONGEST_NUMBER {
            break;
        }
        for byte in bytes.get(at..at + group)? {
            *run.digits.get_mut(run.count)? = *byte;
            run.count += 1;
        }
        *run.groups.get_mut(run.parts)? = u8::try_from(group).ok()?;
        run.parts += 1;
        at += group;
        run.end = at;
        // A bracket that closes, then at most two separators, then a bracket that opens.
        let mut next = at;
        let mut seen = 0;
        while let Some(byte) = bytes.get(next) {
            match byte {
                b')' if closing => closing = false,
                b'(' if !closing => closing = true,
                b' ' | b'-' | b'.' | b'/' if seen < 1 || (closing && seen < 2) => seen += 1,
                _ => break,
            }
            next += 1;
        }
        if next == at || !bytes.get(next).is_some_and(u8::is_ascii_digit) {
            break;
        }
        for (used, separator) in run.separators.iter_mut().zip(b" -./(") {
            *used |= bytes.get(at..next).is_some_and(|between| between.contains(separator));
        }
        at = next;
    }
    if bracket && closing {
        // What it opened goes on behind the number.
        run.start = start - usize::from(plus);
        run.bracket = false;
    }
    let after = bytes.get(run.end).copied();
    let beyond = bytes.get(run.end + 1).copied();
    let word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    // An extension: `x123`.
    if let (Some(b'x'), Some(digits)) = (after, bytes.get(run.end + 1..)) {
        let length = digits.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
        if (2..=5).contains(&length) && !word(bytes.get(run.end + 1 + length).copied()) {
            run.end += 1 + length;
            return (run.count >= 7).then_some(run);
        }
    }
    let glued = word(after)
        || matches!(after, Some(b'_' | b'%'))
        || (matches!(after, Some(b'-' | b'.' | b'/' | b':' | b'=')) && word(beyond));
    (!glued && run.count >= 7).then_some(run)
}

/// Whether the digits begin with the code of a country.
fn has_country(digits: &[u8]) -> bool {
    (1..=3).any(|length| {
        crate::loss::check::value(digits, 0, length).is_some_and(|code| CODES.binary_search(&(code as u16)).is_ok())
    })
}

/// A number that begins with a word.
pub(super) fn word(page: &Page<'_>, start: usize, found: &mut Vec<Found>) {
    let Some(run) = run(page, start) else { return };
    let digits = run.digits();
    let national = digits
        .strip_prefix(b"0086")
        .or_else(|| digits.strip_prefix(b"86"))
        .filter(|rest| rest.len() == 11)
        .unwrap_or(digits);
    let mobile_groups =
        matches!(run.groups(), [11] | [3, 4, 4] | [2, 11] | [2, 3, 4, 4] | [4, 11] | [4, 3, 4, 4] | [13]);
    if cn_mobile(national) && mobile_groups && run.only(b" -(") {
        found.push(Found { kind: "cn-mobile", start: run.start, end: run.end, rank: 58 });
        return;
    }
    let taiwan = digits.strip_prefix(b"886").map_or(digits.starts_with(b"09") && digits.len() == 10, |rest| {
        (rest.len() == 9 && rest.starts_with(b"9")) || (rest.len() == 10 && rest.starts_with(b"09"))
    });
    if taiwan
        && run.only(b" -(")
        && matches!(
            run.groups(),
            [10] | [4, 3, 3] | [4, 6] | [3, 9] | [3, 3, 3, 3] | [3, 3, 6] | [3, 4, 3, 3] | [3, 1, 3, 3, 3] | [12]
        )
    {
        found.push(Found { kind: "tw-mobile", start: run.start, end: run.end, rank: 57 });
        return;
    }
    let international = run.plus && digits.len() >= 8 && has_country(digits);
    let brackets =
        run.bracket && matches!(run.groups(), [3, 3, 4]) && digits.first().is_some_and(|digit| *digit >= b'2');
    let american =
        matches!(run.groups(), [3, 3, 4]) && run.only(b"-.") && digits.first().is_some_and(|digit| *digit >= b'2');
    let long = matches!(run.groups(), [1, 3, 3, 4]) && digits.first() == Some(&b'1') && run.only(b"-.(");
    let chinese_line = digits.starts_with(b"0") && run.only(b"-") && matches!(run.groups(), [3, 8] | [4, 7] | [4, 8]);
    let plain = international || brackets || american || long || chinese_line;
    let said =
        || (7..=MOST_DIGITS).contains(&digits.len()) && !is_date(&run) && page.near(run.start, run.end) & PHONE != 0;
    if plain || said() {
        found.push(Found { kind: "phone", start: run.start, end: run.end, rank: if plain { 35 } else { 30 } });
    }
}

/// Whether the groups are those of a date, of an address of a machine or of a row of numbers.
fn is_date(run: &Run) -> bool {
    let digits = run.digits();
    let single = run.groups().iter().filter(|group| **group == 1).count();
    single > 1
        || run.parts > 6
        || matches!(run.groups(), [4, 2, 2] | [2, 2, 4] | [4, 2, 2, ..])
        || (run.groups().iter().all(|group| *group <= 3) && run.parts == 4 && run.only(b"."))
        || (run.parts == 1 && digits.len() == 8 && (digits.starts_with(b"19") || digits.starts_with(b"20")))
        || (run.parts == 1
            && matches!(digits.len(), 10 | 13)
            && digits.starts_with(b"1")
            && matches!(digits.get(1), Some(b'4'..=b'9')))
}
