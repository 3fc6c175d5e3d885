//! The parser of server-sent events on arbitrary bytes: however they are cut, the same events come out, and what is
//! written of them reads back as as many, is written again as the same, and ends no line where only some readers end one.
//!
//! Input: one byte that says how to cut, then the stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanoclaw_dialect::sse::{Event, Parser};

fn parse(wire: &[u8], size: usize) -> Vec<Event> {
    let mut parser = Parser::default();
    let mut events = Vec::new();
    for piece in wire.chunks(size.max(1)) {
        parser.push(piece).unwrap();
        events.extend(&mut parser);
    }
    events
}

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, wire)) = bytes.split_first() else { return };
    let whole = parse(wire, wire.len());
    assert_eq!(parse(wire, usize::from(*cut)), whole);

    let mut written = Vec::new();
    whole.iter().for_each(|event| event.write(&mut written));
    let again = parse(&written, usize::from(*cut));
    assert_eq!(again.len(), whole.len());
    let mut twice = Vec::new();
    again.iter().for_each(|event| event.write(&mut twice));
    assert_eq!(String::from_utf8(twice).unwrap(), String::from_utf8(written.clone()).unwrap());
    let text = String::from_utf8(written).unwrap();
    assert!(!text.contains(['\u{85}', '\u{2028}', '\u{2029}']), "{text:?}");
});
