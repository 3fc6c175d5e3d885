//! Scripts: what a test tells the mock to do.

use std::time::Duration;

use serde::de::IgnoredAny;

use crate::answer::{Call, Usage};

/// Bytes of a piece of text, unless the script says otherwise.
const PIECE: usize = 12;

/// Answers with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fail {
    /// HTTP status.
    pub status: u16,
    /// How often; `None` for always.
    pub times: Option<u32>,
}

/// What to do; the table in the crate's documentation says what each directive means.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    pub steps: Vec<Vec<Call>>,
    pub remark: String,
    pub write: Option<String>,
    pub say: Option<String>,
    pub think: Option<String>,
    pub tokens: Option<Usage>,
    pub latency: Duration,
    pub gap: Option<Duration>,
    pub fail: Option<Fail>,
    pub cut: Option<usize>,
    pub too_long: bool,
    pub echo_key: bool,
    pub split: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            remark: String::new(),
            write: None,
            say: None,
            think: None,
            tokens: None,
            latency: Duration::ZERO,
            gap: None,
            fail: None,
            cut: None,
            too_long: false,
            echo_key: false,
            split: PIECE,
        }
    }
}

/// A directive that cannot be carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{directive}` {why}")]
pub struct Unreadable {
    directive: String,
    why: String,
}

impl Unreadable {
    fn new(directive: &str, why: impl Into<String>) -> Self {
        Self { directive: directive.to_owned(), why: why.into() }
    }
}

/// Whether a message begins a script of its own.
pub fn begins_turn(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "TURN")
}

impl Script {
    /// The script in a message; `None` if it has no directive.
    pub fn read(text: &str) -> Result<Option<Self>, Unreadable> {
        let mut script = Self::default();
        let mut rest = text;
        let mut parallel = false;
        let mut any = false;
        while !rest.is_empty() {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            let trimmed = line.trim();
            let (word, value) = trimmed.split_once(' ').unwrap_or((trimmed, ""));
            let known = match word {
                "TURN" if value.is_empty() => true,
                "AND" if value.is_empty() => {
                    parallel = true;
                    true
                }
                _ => script.directive(word, value)?,
            };
            any |= known;
            let call = if known { None } else { call_in(line) };
            let Some((name, json)) = call else {
                rest = after;
                continue;
            };
            any = true;
            // The JSON may go on behind this line.
            let source = rest.get(json..).unwrap_or_default();
            let length = json_length(source)
                .map_err(|error| Unreadable::new(&format!("CALL {name}"), format!("has no JSON arguments: {error}")))?;
            let (arguments, after) = source.split_at(length);
            let call = Call { name: name.to_owned(), arguments: arguments.to_owned() };
            match script.steps.last_mut() {
                Some(step) if parallel => step.push(call),
                _ => script.steps.push(vec![call]),
            }
            parallel = false;
            rest = after;
        }
        Ok(any.then_some(script))
    }

    /// Takes a directive that is one line; says whether `word` is one.
    fn directive(&mut self, word: &str, value: &str) -> Result<bool, Unreadable> {
        match word {
            "REMARK" => self.remark = value.to_owned(),
            "WRITE" => add_line(&mut self.write, value),
            "SAY" => add_line(&mut self.say, value),
            "THINK" => self.think = Some(value.to_owned()),
            "TOKENS" => self.tokens = Some(usage(word, value)?),
            "LATENCY" => self.latency = Duration::from_millis(number(word, value)?),
            "GAP" => self.gap = Some(Duration::from_millis(number(word, value)?)),
            "FAIL" => {
                let (status, times) = value.split_once(' ').unwrap_or((value, ""));
                let status = number(word, status)?;
                if !(400..600).contains(&status) {
                    return Err(Unreadable::new(word, "takes a status from 400 to 599"));
                }
                let times = if times.is_empty() { None } else { Some(number(word, times)?) };
                self.fail = Some(Fail { status, times });
            }
            "CUT" => self.cut = Some(number(word, value)?),
            "STOP" if value == "length" => self.too_long = true,
            "ECHO-KEY" => self.echo_key = true,
            "SPLIT" => {
                self.split = number(word, value)?;
                if self.split == 0 {
                    return Err(Unreadable::new(word, "takes a number above 0"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn add_line(text: &mut Option<String>, line: &str) {
    match text {
        Some(text) => {
            text.push('\n');
            text.push_str(line);
        }
        None => *text = Some(line.to_owned()),
    }
}

fn number<N: std::str::FromStr>(directive: &str, value: &str) -> Result<N, Unreadable> {
    value.trim().parse().map_err(|_| Unreadable::new(directive, format!("does not take `{value}`")))
}

fn usage(directive: &str, value: &str) -> Result<Usage, Unreadable> {
    let numbers: Vec<u64> = value.split_whitespace().map(|value| number(directive, value)).collect::<Result<_, _>>()?;
    let (input, output, cached, reasoning) = match numbers.as_slice() {
        [input, output] => (*input, *output, 0, 0),
        [input, output, cached] => (*input, *output, *cached, 0),
        [input, output, cached, reasoning] => (*input, *output, *cached, *reasoning),
        _ => return Err(Unreadable::new(directive, "takes two to four numbers")),
    };
    if cached > input || reasoning > output {
        return Err(Unreadable::new(directive, "counts more in a part than in the whole"));
    }
    Ok(Usage { input, output, cached, reasoning })
}

/// The tool of the first call in a line, and where its arguments begin.
fn call_in(line: &str) -> Option<(&str, usize)> {
    const CALL: &str = "CALL ";
    line.match_indices(CALL).find_map(|(at, _)| {
        let before = line.get(..at)?;
        let (name, arguments) = line.get(at + CALL.len()..)?.split_once(' ')?;
        let named = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        let whole = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        (named && whole && arguments.starts_with('{')).then(|| (name, line.len() - arguments.len()))
    })
}

/// How long the JSON value is that `text` begins with.
fn json_length(text: &str) -> Result<usize, serde_json::Error> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Err(error)) => Err(error),
        _ => Ok(values.byte_offset()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, arguments: &str) -> Call {
        Call { name: name.into(), arguments: arguments.into() }
    }

    fn read(text: &str) -> Script {
        Script::read(text).unwrap().unwrap()
    }

    #[test]
    fn prose_is_no_script() {
        assert_eq!(Script::read("Hello.\nPlease CALL me later.\nRECALL x {}\n"), Ok(None));
    }

    #[test]
    fn calls_are_steps_unless_joined() {
        let script =
            read("do this:\nCALL a {\"x\": 1}\nCALL b {}\nAND\n[12:00] CALL c {\"y\":\n  [\"}\"]} CALL d {}\n");
        assert_eq!(
            script.steps,
            [
                vec![call("a", "{\"x\": 1}")],
                vec![call("b", "{}"), call("c", "{\"y\":\n  [\"}\"]}")],
                vec![call("d", "{}")]
            ]
        );
    }

    #[test]
    fn every_directive_is_read() {
        let text = "REMARK first\nWRITE a\nWRITE b\nSAY one\n SAY two\nTHINK hm\nTOKENS 9 8 7 6\nLATENCY 5\nGAP 0\nFAIL 429 2\nCUT 3\n\
                    STOP length\nECHO-KEY\nSPLIT 4\n";
        let script = Script {
            steps: Vec::new(),
            remark: "first".into(),
            write: Some("a\nb".into()),
            say: Some("one\ntwo".into()),
            think: Some("hm".into()),
            tokens: Some(Usage { input: 9, output: 8, cached: 7, reasoning: 6 }),
            latency: Duration::from_millis(5),
            gap: Some(Duration::ZERO),
            fail: Some(Fail { status: 429, times: Some(2) }),
            cut: Some(3),
            too_long: true,
            echo_key: true,
            split: 4,
        };
        assert_eq!(read(text), script);
    }

    #[test]
    fn a_directive_that_cannot_be_read_is_named() {
        for (text, message) in [
            ("SPLIT 0", "`SPLIT` takes a number above 0"),
            ("FAIL 200", "`FAIL` takes a status from 400 to 599"),
            ("TOKENS 5", "`TOKENS` takes two to four numbers"),
            ("TOKENS 5 1 6", "`TOKENS` counts more in a part than in the whole"),
            ("GAP soon", "`GAP` does not take `soon`"),
        ] {
            assert_eq!(Script::read(text).unwrap_err().to_string(), message);
        }
        let broken = Script::read("CALL a {\"x\": }").unwrap_err().to_string();
        assert!(broken.starts_with("`CALL a` has no JSON arguments: "), "{broken}");
    }
}
