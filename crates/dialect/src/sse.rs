//! Server-sent events (HTML Living Standard, section 9.2): a byte stream cut into [`Event`]s, and back.
//!
//! [`Parser`] looks at each byte once. Lines that lie whole in what was pushed are read where they are; only the
//! rest of an unfinished line is copied. `id` and `retry` mean nothing without reconnecting and are left out.

use std::collections::VecDeque;

use memchr::memchr2;
use serde_json::Value;

/// Most bytes of one event: its data and type and the line being read.
pub const MAX_EVENT_BYTES: usize = 16 << 20;

/// Characters that some readers take for line breaks, and how JSON can say them.
const BREAKS: [(&[u8], &str); 3] =
    [(b"\xC2\x85", "\\u0085"), (b"\xE2\x80\xA8", "\\u2028"), (b"\xE2\x80\xA9", "\\u2029")];

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type, where it has one.
    pub name: Option<String>,
    /// Its data, lines joined by `\n`.
    pub data: String,
}

impl Event {
    /// An event of one JSON value.
    pub fn json(name: Option<&str>, value: &Value) -> Self {
        Self { name: name.map(str::to_owned), data: value.to_string() }
    }

    /// Appends the event as it stands on the wire. Every line break of the data (CR, LF or CRLF) begins a new `data`
    /// line, and the name keeps only the characters that names of events are made of, so that no event can be mistaken
    /// for two. The characters that other readers take for line breaks (U+0085, U+2028 and U+2029) are written as in JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut name = self.name.iter().flat_map(|name| name.bytes()).filter(|byte| is_of_name(*byte)).peekable();
        if name.peek().is_some() {
            out.extend_from_slice(b"event: ");
            out.extend(name);
            out.push(b'\n');
        }
        let mut rest = self.data.as_bytes();
        while let Some((line, after)) = split_line(rest) {
            write_data(line, out);
            rest = after;
        }
        write_data(rest, out);
        out.push(b'\n');
    }
}

fn write_data(line: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    let mut rest = line;
    // Each begins with one of these two bytes in UTF-8.
    while let Some((before, from)) = memchr2(0xC2, 0xE2, rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(before);
        let found = BREAKS.iter().find_map(|(bytes, written)| Some((from.strip_prefix(*bytes)?, written.as_bytes())));
        let (after, written) = found.unwrap_or((from.get(1..).unwrap_or_default(), from.get(..1).unwrap_or_default()));
        out.extend_from_slice(written);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'\n');
}

/// Whether names of events are made of such bytes.
pub(crate) fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_')
}

/// The first line of `bytes` without its end, and what follows the end. CRLF is one end.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr2(b'\r', b'\n', bytes)?)?;
    let after = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..))?;
    Some((line, after))
}

/// What is wrong with a stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event does not end.
    #[error("an event is longer than {MAX_EVENT_BYTES} bytes")]
    TooLong,
}

/// Cuts a byte stream into events. An event that the stream ends in never comes out, as the standard says.
#[derive(Debug, Default)]
pub struct Parser {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Data lines of the event being read, each with `\n` after it.
    data: Vec<u8>,
    /// Type of the event being read.
    name: Vec<u8>,
    /// Whether the first line has been read, which a byte order mark may stand before.
    begun: bool,
    /// Whether the last byte was a CR, so that an LF belongs to it.
    after_cr: bool,
    failed: bool,
    events: VecDeque<Event>,
}

/// The events that are complete. After `None`, pushing more may give more.
impl Iterator for Parser {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

impl Parser {
    /// Takes the next bytes of the stream, cut anywhere.
    ///
    /// # Errors
    /// An event is longer than [`MAX_EVENT_BYTES`]. Nothing more is read after that, but events before it still come.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        if self.failed {
            return Err(SseError::TooLong);
        }
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some((line, after)) = split_line(rest) {
            self.bound(line.len())?;
            if self.line.is_empty() {
                self.read_line(line);
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.read_line(&whole);
                // Its room is used again.
                whole.clear();
                self.line = whole;
            }
            self.after_cr = after.is_empty() && rest.last() == Some(&b'\r');
            rest = after;
        }
        self.bound(rest.len())?;
        self.line.extend_from_slice(rest);
        Ok(())
    }

    fn bound(&mut self, more: usize) -> Result<(), SseError> {
        let held = self.data.len().saturating_add(self.name.len()).saturating_add(self.line.len());
        if held.saturating_add(more) > MAX_EVENT_BYTES {
            self.failed = true;
            self.line = Vec::new();
            self.data = Vec::new();
            self.name = Vec::new();
            return Err(SseError::TooLong);
        }
        Ok(())
    }

    fn read_line(&mut self, line: &[u8]) {
        let mut line = line;
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch();
            return;
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (field, value) = colon.and_then(|at| line.split_at_checked(at)).unwrap_or((line, b""));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            // A comment (an empty field), `id`, `retry`, or a field that the standard does not know.
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let mut data = std::mem::take(&mut self.data);
        if data.pop().is_none() {
            self.name.clear();
            return;
        }
        let name = if self.name.is_empty() { None } else { Some(text(std::mem::take(&mut self.name))) };
        self.events.push_back(Event { name, data: text(data) });
    }
}

/// `bytes` as text. Wrong bytes become U+FFFD; none of them reaches over a line's end, so it does not matter that the
/// standard decodes the stream before it is cut.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(pieces: &[&[u8]]) -> Vec<Event> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser.push(piece).unwrap();
            events.extend(&mut parser);
        }
        events
    }

    fn event(name: Option<&str>, data: &str) -> Event {
        Event { name: name.map(str::to_owned), data: data.to_owned() }
    }

    #[test]
    fn every_line_end_ends_a_line() {
        for wire in [
            "event: a\ndata: 1\n\n",
            "event: a\r\ndata: 1\r\n\r\n",
            "event: a\rdata: 1\r\r",
            "event: a\r\ndata: 1\r\n\n",
        ] {
            assert_eq!(parse(&[wire.as_bytes()]), [event(Some("a"), "1")], "{wire:?}");
        }
    }

    #[test]
    fn crlf_cut_between_its_bytes_is_one_line_end() {
        assert_eq!(parse(&[b"data: 1\r", b"\ndata: 2\r", b"", b"\n\r", b"\n"]), [event(None, "1\n2")]);
    }

    #[test]
    fn cr_cut_from_the_next_line_ends_its_own() {
        assert_eq!(parse(&[b"data: 1\r", b"data: 2\r", b"\r"]), [event(None, "1\n2")]);
    }

    #[test]
    fn byte_order_mark_stands_before_the_first_line_only() {
        assert_eq!(parse(&[b"\xEF", b"\xBB", b"\xBFdata: 1\n\n"]), [event(None, "1")]);
        assert_eq!(parse(&[b"data: 1\n\n\xEF\xBB\xBFdata: 2\n\n"]), [event(None, "1")]);
    }

    #[test]
    fn comments_ids_and_retries_are_left_out() {
        let wire = b": keep-alive\nid: 7\nretry: 10\nunknown: x\nnonsense\ndata: 1\n\n: ping\n\n";
        assert_eq!(parse(&[wire]), [event(None, "1")]);
    }

    #[test]
    fn one_space_after_the_colon_is_not_part_of_the_value() {
        assert_eq!(parse(&[b"data:1\ndata:  2\ndata\ndata: 3: 4\n\n"]), [event(None, "1\n 2\n\n3: 4")]);
    }

    #[test]
    fn event_without_data_is_none() {
        assert_eq!(parse(&[b"event: lost\n\ndata:\n\n"]), [event(None, "")]);
    }

    #[test]
    fn last_type_counts() {
        assert_eq!(parse(&[b"event: a\nevent: b\ndata: 1\n\ndata: 2\n\n"]), [event(Some("b"), "1"), event(None, "2")]);
    }

    #[test]
    fn unfinished_event_never_comes() {
        assert_eq!(parse(&[b"data: 1\n\ndata: [DONE]\n"]), [event(None, "1")]);
    }

    #[test]
    fn letter_cut_in_the_middle_comes_whole() {
        assert_eq!(parse(&[b"data: \xE4\xBD", b"\xA0\n\n"]), [event(None, "\u{4F60}")]);
    }

    #[test]
    fn wrong_bytes_become_replacement_characters() {
        assert_eq!(parse(&[b"data: a\xFFb\xE4\xBD\ndata: c\n\n"]), [event(None, "a\u{FFFD}b\u{FFFD}\nc")]);
    }

    #[test]
    fn endless_line_is_refused_and_events_before_it_come() {
        let mut parser = Parser::default();
        parser.push(b"data: 1\n\ndata: ").unwrap();
        let block = vec![b'x'; 1 << 20];
        let failure = (0..17).find_map(|_| parser.push(&block).err());
        assert_eq!(failure, Some(SseError::TooLong));
        assert_eq!(parser.push(b"\n\n"), Err(SseError::TooLong));
        assert_eq!(parser.next(), Some(event(None, "1")));
        assert_eq!(parser.next(), None);
    }

    #[test]
    fn endless_data_lines_are_refused() {
        let mut parser = Parser::default();
        let block = [b"data: ".as_slice(), &[b'x'; 1000], b"\n"].concat().repeat(1 << 10);
        assert_eq!((0..18).find_map(|_| parser.push(&block).err()), Some(SseError::TooLong));
    }

    #[test]
    fn event_of_the_longest_size_passes() {
        let mut wire = b"data: ".to_vec();
        wire.resize(MAX_EVENT_BYTES, b'x');
        wire.extend_from_slice(b"\n\n");
        let events = parse(&wire.chunks(1 << 16).collect::<Vec<_>>());
        assert_eq!(events.first().map(|event| event.data.len()), Some(MAX_EVENT_BYTES - 6));
    }

    #[test]
    fn line_breaks_in_data_and_name_cannot_forge_an_event() {
        let forged = Event {
            name: Some("a\ndata: x\u{2028}\r\n\r\n".to_owned()),
            data: "1\r\revent: b\n\r\n\ndata: 2".to_owned(),
        };
        let mut wire = Vec::new();
        forged.write(&mut wire);
        assert_eq!(parse(&[&wire]), [event(Some("adatax"), "1\n\nevent: b\n\n\ndata: 2")]);
    }

    #[test]
    fn json_event_is_one_line() {
        let mut wire = Vec::new();
        Event::json(Some("ping"), &serde_json::json!({"a": "1\n2"})).write(&mut wire);
        assert_eq!(wire, b"event: ping\ndata: {\"a\":\"1\\n2\"}\n\n");
    }

    #[test]
    fn characters_that_end_a_line_for_some_readers_are_escaped() {
        let value = serde_json::json!({"a": "1\u{85}2\u{2028}3\u{2029}\u{4f60}\u{e2}\u{c2}"});
        let mut wire = Vec::new();
        Event::json(None, &value).write(&mut wire);
        let text = String::from_utf8(wire.clone()).unwrap();
        assert_eq!(text, "data: {\"a\":\"1\\u00852\\u20283\\u2029\u{4f60}\u{e2}\u{c2}\"}\n\n");
        let read: serde_json::Value = serde_json::from_str(&parse(&[&wire])[0].data).unwrap();
        assert_eq!(read, value);
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let name = proptest::option::of("[a-z0-9_.]{0,12}[a-z]");
        let data = "([ :a-z{}\"\u{e9}\u{4f60}\u{1f600}]|\n){0,40}";
        proptest::collection::vec((name, data).prop_map(|(name, data)| Event { name, data }), 0..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn events_written_and_cut_anywhere_come_back(events in events(), cuts in proptest::collection::vec(0usize..16, 1..32)) {
            let mut wire = Vec::new();
            for event in &events {
                event.write(&mut wire);
            }
            let mut pieces: Vec<&[u8]> = Vec::new();
            let mut rest = wire.as_slice();
            for cut in cuts.iter().cycle().take(wire.len()) {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(parse(&pieces), events);
        }

        #[test]
        fn any_bytes_give_the_same_events_however_they_are_cut(
            wire in "(data|event|id|:|: |\r|\n|\r\n|\u{feff}|\u{4f60}|x){0,60}",
            size in 1usize..9,
        ) {
            let whole = parse(&[wire.as_bytes()]);
            prop_assert_eq!(parse(&wire.as_bytes().chunks(size).collect::<Vec<_>>()), whole);
        }
    }
}
