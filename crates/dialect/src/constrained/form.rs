//! The form that an answer is held to, read piece by piece.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Malformed;

/// An answer on its way.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// What is not understood yet, or all of what may be a call.
    rest: String,
    state: State,
    /// How many bytes of `rest` are understood as how many tokens of the beginning of an answer, while it is open.
    understood: usize,
    tokens: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It could still be either.
    #[default]
    Open,
    /// In the text of `{"answer": "…"}`.
    Answer,
    /// Behind that text.
    Closed,
    /// A call, or nothing that is known.
    Call,
}

/// A call as it must stand there: nothing beside it, nothing twice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    tool: String,
    arguments: Map<String, Value>,
}

impl Form {
    /// Takes a piece, and gives the text that the agent may have.
    ///
    /// # Errors
    /// It is text with something wrong in it.
    pub(super) fn feed(&mut self, piece: &str) -> Result<String, Malformed> {
        self.rest.push_str(piece);
        if self.state == State::Open {
            self.state = self.begin();
            if self.state == State::Answer {
                self.rest.drain(..self.understood);
            }
        }
        if self.state == State::Answer { self.text() } else { Ok(String::new()) }
    }

    /// The answer is over; `cut` says that it may be incomplete. Gives the tool and the arguments, if it is a call.
    ///
    /// # Errors
    /// It is in no form.
    pub(super) fn finish(self, cut: bool) -> Result<Option<(String, String)>, Malformed> {
        match self.state {
            State::Open | State::Answer if cut => Ok(None),
            State::Closed if cut || self.rest.trim_matches(WHITE) == "}" => Ok(None),
            State::Answer | State::Closed => Err(malformed("the answer is not the JSON that was asked for")),
            State::Open | State::Call => match serde_json::from_str::<Written>(&self.rest) {
                Ok(Written { tool, arguments }) => Ok(Some((tool, Value::Object(arguments).to_string()))),
                Err(error) if cut && error.is_eof() => Ok(None),
                Err(error) => Err(malformed(&format!("the answer is not the JSON that was asked for: {error}"))),
            },
        }
    }

    /// Reads on to where the text of an answer begins. No byte is looked at again.
    fn begin(&mut self) -> State {
        while let Some(token) = ANSWER.get(self.tokens) {
            let rest = self.rest.get(self.understood..).unwrap_or_default().trim_start_matches(WHITE);
            self.understood = self.rest.len() - rest.len();
            match rest.strip_prefix(token) {
                Some(_) => self.understood += token.len(),
                None if token.starts_with(rest) => return State::Open,
                None => return State::Call,
            }
            self.tokens += 1;
        }
        State::Answer
    }

    /// Takes the text that is complete out of what is there.
    fn text(&mut self) -> Result<String, Malformed> {
        let mut text = String::new();
        let mut done = 0;
        while let Some(first) = self.rest.get(done..).and_then(|rest| rest.chars().next()) {
            let length = match first {
                '"' => {
                    self.state = State::Closed;
                    done += 1;
                    break;
                }
                '\\' => match escape(self.rest.get(done..).unwrap_or_default())? {
                    Some((meant, length)) => {
                        text.push(meant);
                        length
                    }
                    None => break,
                },
                plain => {
                    text.push(plain);
                    plain.len_utf8()
                }
            };
            done += length;
        }
        self.rest.drain(..done);
        Ok(text)
    }
}

/// What stands before the text of an answer.
const ANSWER: [&str; 4] = ["{", "\"answer\"", ":", "\""];

/// JSON's white space (RFC 8259, section 2).
const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

/// What an escape at the beginning of `text` means, and how many bytes it has; `None` where it is not complete. Half of a
/// pair of surrogates means U+FFFD, as the schema does not keep a model from writing one.
fn escape(text: &str) -> Result<Option<(char, usize)>, Malformed> {
    let Some(kind) = text.as_bytes().get(1) else { return Ok(None) };
    let meant = match kind {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text),
        _ => return Err(malformed("the answer has an escape that JSON does not have")),
    };
    Ok(Some((meant, 2)))
}

fn unicode(text: &str) -> Result<Option<(char, usize)>, Malformed> {
    let Some(first) = unit(text)? else { return Ok(None) };
    if !(0xD800..0xDC00).contains(&first) {
        return Ok(Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)));
    }
    let after = text.get(6..).unwrap_or_default();
    if !after.starts_with("\\u") {
        return Ok(if "\\u".starts_with(after) { None } else { Some((char::REPLACEMENT_CHARACTER, 6)) });
    }
    let Some(second) = unit(after)? else { return Ok(None) };
    if !(0xDC00..0xE000).contains(&second) {
        return Ok(Some((char::REPLACEMENT_CHARACTER, 6)));
    }
    let both = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    Ok(Some((char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER), 12)))
}

/// The four digits of `\uXXXX`; `None` where they are not all there.
fn unit(text: &str) -> Result<Option<u32>, Malformed> {
    let digits = text.as_bytes().get(2..).unwrap_or_default();
    let digits = digits.get(..4).unwrap_or(digits);
    let mut value = 0;
    for digit in digits {
        let digit = char::from(*digit).to_digit(16);
        value = value * 16 + digit.ok_or_else(|| malformed("the answer has an escape that JSON does not have"))?;
    }
    Ok((digits.len() == 4).then_some(value))
}

fn malformed(what: &str) -> Malformed {
    Malformed::new("", what)
}
