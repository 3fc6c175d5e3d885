//! Streamed answers in any bytes, as they are and translated into every dialect that agents speak: of what the guard
//! gives out, a reader of that dialect makes no call but those that were allowed, and an answer that is cut has none more.
//!
//! Input: one byte that chooses the provider's dialect, one whose bits say which calls are allowed, one that says after
//! how many pieces the answer is cut (255: never), then server-sent events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanoclaw_dialect::guard::{Piece, StreamGuard};
use nanoclaw_dialect::sse::{Event, Parser};
use nanoclaw_dialect::{Delta, Dialect};

/// What a guard lets pass.
struct Passage {
    guard: Box<dyn StreamGuard>,
    decisions: u8,
    /// Pieces until the answer is cut.
    left: u8,
    calls: usize,
    allowed: Vec<String>,
    out: Vec<Event>,
}

impl Passage {
    /// Takes what the guard gives out; `false` once the answer is cut.
    fn drain(&mut self) -> bool {
        while let Some(piece) = self.guard.next() {
            if self.left == 0 {
                self.out.extend(self.guard.cut("[cut]"));
                return false;
            }
            self.left = if self.left == u8::MAX { self.left } else { self.left - 1 };
            match piece {
                Piece::Event(event) | Piece::Text { event, .. } => self.out.push(event),
                Piece::Call(held) => {
                    let allow = self.decisions >> (self.calls % 8) & 1 == 1;
                    self.calls += 1;
                    let events = if allow {
                        self.allowed.push(held.call.name.clone());
                        self.guard.allow(held)
                    } else {
                        self.guard.refuse(held, "[no]")
                    };
                    self.out.extend(events);
                }
            }
        }
        true
    }

    /// Takes the events of a stream, to its end or until something in it is wrong.
    fn take(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            if self.guard.feed(event).is_err() || !self.drain() {
                return;
            }
        }
        self.guard.finish();
        self.drain();
    }
}

/// Names of the calls that a reader finds; it stops at the first event that it cannot read.
fn called(dialect: Dialect, events: &[Event]) -> Vec<String> {
    let mut reader = dialect.stream_reader();
    let mut names = Vec::new();
    for event in events {
        let Ok(deltas) = reader.read(event) else { break };
        names.extend(deltas.into_iter().filter_map(|delta| match delta {
            Delta::CallStart { name, .. } => Some(name),
            _ => None,
        }));
    }
    names
}

fn translated(from: Dialect, to: Dialect, events: &[Event]) -> Vec<Event> {
    let (mut reader, Some(mut writer)) = (from.stream_reader(), to.stream_writer()) else { return Vec::new() };
    let mut out = Vec::new();
    for event in events {
        let Ok(deltas) = reader.read(event) else { break };
        out.extend(deltas.into_iter().flat_map(|delta| writer.write(delta)));
    }
    out
}

fuzz_target!(|bytes: &[u8]| {
    let [choice, decisions, left, wire @ ..] = bytes else { return };
    let from = Dialect::ALL[usize::from(*choice) % Dialect::ALL.len()];
    let mut parser = Parser::default();
    parser.push(wire).unwrap();
    let events: Vec<Event> = parser.collect();

    for to in Dialect::ALL {
        let Some(guard) = to.stream_guard(choice & 0x80 != 0) else { continue };
        let mut passage =
            Passage { guard, decisions: *decisions, left: *left, calls: 0, allowed: Vec::new(), out: Vec::new() };
        if from == to {
            passage.take(events.iter().cloned());
        } else {
            let written = translated(from, to, &events);
            // What a writer writes, its guard understands.
            let mut plain = to.stream_guard(false).unwrap();
            for event in &written {
                plain.feed(event.clone()).unwrap_or_else(|error| panic!("{from:?} to {to:?}: {error}: {event:?}"));
                while let Some(piece) = plain.next() {
                    if let Piece::Call(held) = piece {
                        plain.allow(held);
                    }
                }
            }
            passage.take(written);
        }
        let mut allowed = passage.allowed;
        for name in called(to, &passage.out) {
            let Some(at) = allowed.iter().position(|allowed| *allowed == name) else {
                panic!("{from:?} to {to:?}: `{name}` came out and was not allowed: {:?}", passage.out);
            };
            allowed.swap_remove(at);
        }
    }
});
