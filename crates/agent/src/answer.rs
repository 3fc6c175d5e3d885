//! One answer of the model, put together from what is streamed.

use nanoclaw_dialect::{Delta, Stop, Usage};

use crate::protocol::{AnswerPart, Event};
use crate::refusal::{Piece, Sieve};

/// Most calls of one answer that are looked at; further ones are left out.
pub(crate) const MOST_CALLS: usize = 32;

/// An answer while it comes, and when it is there.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Its parts, in order. Refusals stand in the text, as the model must see them.
    pub parts: Vec<AnswerPart>,
    /// Why it ended.
    pub stop: Option<Stop>,
    /// What it used.
    pub usage: Usage,
    /// Refused calls: tool and reason.
    pub refused: Vec<(String, String)>,
    /// Where in `parts` the calls are, by their number in the answer.
    places: Vec<Option<usize>>,
    sieve: Sieve,
}

impl Answer {
    /// Takes a step of the stream; gives what there is to be told of it.
    pub(crate) fn take(&mut self, delta: Delta) -> Vec<Event> {
        match delta {
            Delta::Text(text) => {
                let pieces = self.sieve.push(&text);
                match self.parts.last_mut() {
                    Some(AnswerPart::Text { text: before }) => before.push_str(&text),
                    Some(AnswerPart::Reasoning { .. } | AnswerPart::Call { .. }) | None => {
                        self.parts.push(AnswerPart::Text { text });
                    }
                }
                self.tell(pieces)
            }
            Delta::Reasoning(text) => {
                let event = Event::Reasoning { text: text.clone() };
                match self.parts.last_mut() {
                    Some(AnswerPart::Reasoning { text: before, signature: None }) => before.push_str(&text),
                    _ => self.parts.push(AnswerPart::Reasoning { text, signature: None }),
                }
                vec![event]
            }
            Delta::Signature(proof) => {
                match self.parts.last_mut() {
                    Some(AnswerPart::Reasoning { signature: signature @ None, .. }) => *signature = Some(proof),
                    // Thoughts that the provider keeps to itself have a proof and no text.
                    _ => self.parts.push(AnswerPart::Reasoning { text: String::new(), signature: Some(proof) }),
                }
                Vec::new()
            }
            Delta::CallStart { index, id, name } => {
                self.begin_call(index, id, name);
                Vec::new()
            }
            Delta::CallArguments { index, json } => {
                let place = self.places.get(index).copied().flatten();
                if let Some(AnswerPart::Call { arguments, .. }) = place.and_then(|place| self.parts.get_mut(place)) {
                    arguments.push_str(&json);
                }
                Vec::new()
            }
            Delta::Usage(usage) => {
                self.usage = usage;
                Vec::new()
            }
            Delta::Stop(stop) => {
                self.stop = Some(stop);
                Vec::new()
            }
            Delta::Start { .. } | Delta::End => Vec::new(),
        }
    }

    /// The end of the stream; gives what was held back.
    pub(crate) fn finish(&mut self) -> Vec<Event> {
        let pieces = self.sieve.finish();
        self.tell(pieces)
    }

    fn begin_call(&mut self, index: usize, id: String, name: String) {
        if index >= MOST_CALLS {
            return;
        }
        if self.places.len() <= index {
            self.places.resize(index + 1, None);
        }
        // Small servers leave ids out or give one twice; a result must find its call.
        let known = |part: &AnswerPart| matches!(part, AnswerPart::Call { id: other, .. } if *other == id);
        let id = if id.is_empty() || self.parts.iter().any(known) { format!("call_{index}_{id}") } else { id };
        if let Some(place) = self.places.get_mut(index) {
            *place = Some(self.parts.len());
        }
        self.parts.push(AnswerPart::Call { id, name, arguments: String::new() });
    }

    fn tell(&mut self, pieces: Vec<Piece>) -> Vec<Event> {
        let mut events = Vec::new();
        for piece in pieces {
            events.push(match piece {
                Piece::Text(text) => Event::Text { text },
                Piece::Refused { tool, reason } => {
                    self.refused.push((tool.clone(), reason.clone()));
                    Event::Refused { tool, reason }
                }
            });
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(index: usize, id: &str) -> Delta {
        Delta::CallStart { index, id: id.into(), name: "t".into() }
    }

    fn json(index: usize, json: &str) -> Delta {
        Delta::CallArguments { index, json: json.into() }
    }

    fn call(id: &str, arguments: &str) -> AnswerPart {
        AnswerPart::Call { id: id.into(), name: "t".into(), arguments: arguments.into() }
    }

    fn answer(deltas: Vec<Delta>) -> (Answer, Vec<Event>) {
        let mut answer = Answer::default();
        let mut events: Vec<Event> = deltas.into_iter().flat_map(|delta| answer.take(delta)).collect();
        events.extend(answer.finish());
        (answer, events)
    }

    #[test]
    fn parts_come_in_order_and_calls_may_overlap() {
        let (answer, events) = answer(vec![
            Delta::Start { id: "x".into(), model: "m".into() },
            Delta::Reasoning("th".into()),
            Delta::Reasoning("ink".into()),
            Delta::Signature("sig".into()),
            Delta::Text("I ".into()),
            Delta::Text("look".into()),
            start(0, "a"),
            start(1, "b"),
            json(1, "{\"y\""),
            json(0, "{}"),
            json(1, ":1}"),
            Delta::Stop(Stop::ToolCalls),
            Delta::Usage(Usage { input: 5, output: 6, ..Usage::default() }),
        ]);
        assert_eq!(
            answer.parts,
            [
                AnswerPart::Reasoning { text: "think".into(), signature: Some("sig".into()) },
                AnswerPart::Text { text: "I look".into() },
                call("a", "{}"),
                call("b", "{\"y\":1}"),
            ]
        );
        assert_eq!((answer.stop, answer.usage.output), (Some(Stop::ToolCalls), 6));
        let text = |text: &str| Event::Text { text: text.into() };
        let thought = |text: &str| Event::Reasoning { text: text.into() };
        assert_eq!(events, [thought("th"), thought("ink"), text("I "), text("look")]);
    }

    #[test]
    fn a_refusal_is_told_once_and_stays_in_the_text() {
        let (answer, events) = answer(vec![
            Delta::Text("Well. [NanoClaw refused the".into()),
            Delta::Text(" tool call shell: no rule]".into()),
        ]);
        assert_eq!(answer.refused, [("shell".to_owned(), "no rule".to_owned())]);
        assert_eq!(
            events,
            [Event::Text { text: "Well. ".into() }, Event::Refused { tool: "shell".into(), reason: "no rule".into() }]
        );
        assert_eq!(crate::conversation::text(&answer.parts), "Well. [NanoClaw refused the tool call shell: no rule]");
    }

    #[test]
    fn calls_without_an_id_of_their_own_get_one() {
        let (answer, _) = answer(vec![start(0, ""), start(1, "x"), start(2, "x"), json(2, "2")]);
        assert_eq!(answer.parts, [call("call_0_", ""), call("x", ""), call("call_2_x", "2")]);
    }

    #[test]
    fn calls_beyond_the_most_are_left_out() {
        let (answer, _) = answer((0..MOST_CALLS + 5).map(|index| start(index, &index.to_string())).collect());
        assert_eq!(answer.parts.len(), MOST_CALLS);
    }

    #[test]
    fn arguments_of_no_call_are_nothing() {
        let (answer, _) = answer(vec![json(7, "{}"), start(usize::MAX, "a")]);
        assert!(answer.parts.is_empty());
    }
}
