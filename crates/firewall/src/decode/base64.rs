//! Base64, in the usual alphabet and in that for URLs, on one line or on many, with or without padding.

use crate::view::{Span, View};

use super::{Stretches, is_readable, readable};

/// Fewest digits that are looked at.
const FEWEST: usize = 16;
/// Fewest digits on a line that goes on in the next one.
const FEWEST_ON_LINE: usize = 16;
/// How many decoded bytes are looked at to see whether it is a text, in each of three places.
const SAMPLE: usize = 48;

const OUT: u8 = 0xff;

/// The value of each digit.
const DIGITS: [u8; 256] = {
    let mut table = [OUT; 256];
    let mut value = 0_u8;
    while value < 64 {
        let digit = match value {
            0..26 => b'A' + value,
            26..52 => b'a' + value - 26,
            52..62 => b'0' + value - 52,
            62 => b'+',
            _ => b'/',
        };
        #[expect(clippy::indexing_slicing, reason = "a byte is less than 256, and this is evaluated by the compiler")]
        {
            table[digit as usize] = value;
        }
        value += 1;
    }
    let mut other = 0;
    while other < 2 {
        let (digit, value) = if other == 0 { (b'-', 62) } else { (b'_', 63) };
        #[expect(clippy::indexing_slicing, reason = "a byte is less than 256, and this is evaluated by the compiler")]
        {
            table[digit as usize] = value;
        }
        other += 1;
    }
    table
};

fn digit(byte: u8) -> u8 {
    DIGITS.get(usize::from(byte)).copied().unwrap_or(OUT)
}

/// A run of digits, perhaps over several lines.
#[derive(Default)]
struct Run {
    values: Vec<u8>,
    /// Where pieces begin: in the values, and in the text.
    pieces: Vec<(usize, usize)>,
}

impl Run {
    fn push(&mut self, text: &[u8], from: usize) {
        self.pieces.push((self.values.len(), from));
        self.values.extend(text.iter().map(|byte| digit(*byte)));
    }

    /// Where a digit stands in the text; `piece` is a hint that only grows.
    fn place(&self, index: usize, piece: &mut usize) -> usize {
        while self.pieces.get(*piece + 1).is_some_and(|(first, _)| *first <= index) {
            *piece += 1;
        }
        while *piece > 0 && self.pieces.get(*piece).is_some_and(|(first, _)| *first > index) {
            *piece -= 1;
        }
        self.pieces.get(*piece).map_or(0, |(first, from)| from + (index - first))
    }
}

pub(super) fn decode(text: &str, room: usize) -> Stretches {
    let bytes = text.as_bytes();
    let mut out = Stretches::new(room);
    let mut run = Run::default();
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= FEWEST) {
        // A run has no gap, so each FEWEST-th byte tells whether there can be one.
        let Some(probe) = rest.get(FEWEST - 1) else { break };
        if digit(*probe) == OUT {
            at += FEWEST;
            continue;
        }
        let back = rest.iter().take(FEWEST).rev().take_while(|byte| digit(**byte) != OUT).count();
        let start = at + FEWEST - back;
        let mut end = run_end(bytes, start);
        if end - start < FEWEST {
            at = end;
            continue;
        }
        run.values.clear();
        run.pieces.clear();
        run.push(bytes.get(start..end).unwrap_or_default(), start);
        let mut line = end - start;
        while line >= FEWEST_ON_LINE {
            let Some(next) = next_line(bytes, end) else { break };
            let stop = run_end(bytes, next);
            if stop == next {
                break;
            }
            run.push(bytes.get(next..stop).unwrap_or_default(), next);
            (line, end) = (stop - next, stop);
        }
        take(&run, &mut out);
        at = end;
    }
    out
}

fn run_end(bytes: &[u8], from: usize) -> usize {
    from + bytes.get(from..).unwrap_or_default().iter().take_while(|byte| digit(**byte) != OUT).count()
}

/// Where a run may go on behind the end of a line.
fn next_line(bytes: &[u8], end: usize) -> Option<usize> {
    let rest = bytes.get(end..)?;
    let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
    let rest = rest.strip_prefix(b"\n").or_else(|| rest.strip_prefix(b"\\n"))?;
    let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (blank <= 16).then(|| bytes.len() - rest.len() + blank)
}

/// Adds what a run says. What stands in front of it without a gap may have shifted its digits.
fn take(run: &Run, out: &mut Stretches) {
    for phase in 0..4 {
        let Some(values) = run.values.get(phase..) else { break };
        let Some(form) = guess(values) else { continue };
        let bytes = bytes_of(values);
        let mut piece = 0;
        let mut source = |at: usize| {
            let first = phase + at / 3 * 4;
            let last = (first + 3).min(run.values.len().saturating_sub(1));
            let start = run.place(first, &mut piece);
            Span { start, end: run.place(last, &mut piece) + 1 }
        };
        let views = match form {
            Coding::Bytes => readable(&bytes, source),
            Coding::Wide(first) => wide(&bytes, first, &mut source),
        };
        if out.left() == 0 && !views.is_empty() {
            out.cut();
        }
        for view in &views {
            out.add(view);
        }
        if !views.is_empty() {
            return;
        }
    }
}

#[derive(Clone, Copy)]
enum Coding {
    /// UTF-8.
    Bytes,
    /// UTF-16; the number is the place of the low byte of each pair.
    Wide(usize),
}

/// Whether digits seem to be a text, by three samples.
fn guess(values: &[u8]) -> Option<Coding> {
    let groups = SAMPLE / 3 * 4;
    let middle = (values.len() / 2).next_multiple_of(4).saturating_sub(4);
    let last = (values.len() / 4 * 4).saturating_sub(groups);
    for from in [0, middle, last] {
        let Some(sample) = values.get(from..(from + groups).min(values.len())) else { continue };
        if let Some(form) = coding(sample) {
            return Some(form);
        }
        if values.len() <= groups {
            break;
        }
    }
    None
}

fn coding(values: &[u8]) -> Option<Coding> {
    // Most runs are none, which a few bytes tell.
    let odd = |byte: &u8| !(*byte >= 0x20 && *byte != 0x7f || matches!(*byte, 0 | b'\n' | b'\r' | b'\t'));
    let first = values.chunks_exact(4).take(4).flat_map(group);
    if first.filter(odd).take(3).count() > 2 {
        return None;
    }
    let bytes = bytes_of(values);
    let zeros = |place: usize| bytes.iter().skip(place).step_by(2).filter(|byte| **byte == 0).count();
    for place in [1, 0] {
        if bytes.len() >= 12 && zeros(place) * 5 >= bytes.len() * 2 && zeros(1 - place) == 0 {
            return Some(Coding::Wide(1 - place));
        }
    }
    // A sample may begin and end within a character.
    let valid: usize =
        bytes.utf8_chunks().map(|chunk| chunk.valid()).filter(|text| is_readable(text)).map(str::len).sum();
    (valid * 4 >= bytes.len() * 3).then_some(Coding::Bytes)
}

fn bytes_of(values: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() / 4 * 3 + 2);
    let groups = values.chunks_exact(4);
    let last = groups.remainder();
    for digits in groups {
        bytes.extend_from_slice(&group(digits));
    }
    bytes.extend_from_slice(group(last).get(..last.len().saturating_sub(1)).unwrap_or_default());
    bytes
}

/// The bytes of four digits; those that are missing are 0.
fn group(digits: &[u8]) -> [u8; 3] {
    let bits =
        digits.iter().fold(0_u32, |bits, value| bits << 6 | u32::from(*value)) << (6 * (4 - digits.len().min(4)));
    let [_, one, two, three] = bits.to_be_bytes();
    [one, two, three]
}

/// Text in UTF-16, as shells of Windows take it.
fn wide(bytes: &[u8], low: usize, source: &mut impl FnMut(usize) -> Span) -> Vec<View> {
    let units = bytes.chunks_exact(2).map(|pair| match pair {
        [one, two] if low == 0 => u16::from_le_bytes([*one, *two]),
        [one, two] => u16::from_be_bytes([*one, *two]),
        _ => 0,
    });
    let mut view = View::default();
    let mut at = 0;
    for c in char::decode_utf16(units) {
        let c = c.unwrap_or('\u{fffd}');
        let length = 2 * c.len_utf16();
        let (first, last) = (source(at), source(at + length - 1));
        view.put(c.encode_utf8(&mut [0; 4]), Span { start: first.start, end: last.end });
        at += length;
    }
    if is_readable(view.text()) { vec![view] } else { Vec::new() }
}
