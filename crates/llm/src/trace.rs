//! Where the texts in the arguments of a proposed call come from.
//!
//! A text comes from where it stands as a whole, without case: in the words of users who are trusted; in what a trusted
//! tool gave, unless a model had written it into a call before, as tools give back what they are told; in what came
//! from elsewhere. What stands nowhere, the model made. So a model that is deceived cannot pass off `bank.example.evil.com`
//! as the `bank.example` of its user, nor put a value together from pieces that are known.
//!
//! The time for a call is bounded: what is not looked at for want of it counts as from the worst that the conversation has.

mod fields;
mod search;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use nanoclaw_dialect::{Message, Part, Request};
use nanoclaw_request::{Origin, Traced};
use serde_json::Value;

use crate::provenance::{Observed, Standing};
use search::{Wanted, comparable, unescaped};
use values::{Leaf, leaves, pieces};

/// Most texts of one call that are looked for.
const MOST_VALUES: usize = 256;
/// Most bytes that are searched for the texts of one call, all searches together.
const MOST_SEARCHED: usize = 256 * 1024 * 1024;

/// A request, and what its parts say of texts that stand in them.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) request: Request,
    standings: Vec<Standing>,
    fields: BTreeMap<usize, Arc<[String]>>,
    /// Whether there is more of it elsewhere.
    elsewhere: bool,
    texts: OnceLock<Vec<Text>>,
}

/// A text that says something of others, as it is compared.
#[derive(Debug)]
struct Text {
    standing: Standing,
    text: String,
    /// Values that it vouches for though it is not trusted.
    vouched: HashSet<String>,
}

impl Conversation {
    /// A request, and what was found in it.
    pub(crate) fn new(request: Request, observed: Observed) -> Self {
        let Observed { standings, fields, elsewhere, .. } = observed;
        Self { request, standings, fields, elsewhere, texts: OnceLock::new() }
    }

    /// Bytes of text, about.
    pub(crate) fn length(&self) -> usize {
        let parts = self.request.messages.iter().flat_map(|message| &message.parts);
        parts.flat_map(texts_of).map(str::len).sum()
    }

    fn texts(&self) -> &[Text] {
        self.texts.get_or_init(|| {
            let parts = self.request.messages.iter().flat_map(|Message { parts, .. }| parts);
            let mut texts = Vec::new();
            for (number, (part, standing)) in parts.zip(&self.standings).enumerate() {
                if *standing == Standing::Nothing {
                    continue;
                }
                let fields = self.fields.get(&number);
                for text in texts_of(part) {
                    let vouched = fields.map(|names| fields::values(text, names)).unwrap_or_default();
                    texts.push(Text { standing: *standing, text: comparable(text), vouched });
                    // Results are often JSON, arguments always.
                    if *standing != Standing::User && text.contains('\\') {
                        let text = comparable(&unescaped(text));
                        texts.push(Text { standing: *standing, text, vouched: HashSet::new() });
                    }
                }
            }
            texts
        })
    }
}

fn texts_of(part: &Part) -> Vec<&str> {
    match part {
        Part::Text(text) => vec![text],
        Part::Call(call) => vec![&call.arguments],
        Part::Result(result) => result.parts.iter().flat_map(texts_of).collect(),
        Part::Reasoning(_) | Part::Image(_) => Vec::new(),
    }
}

/// Says of every text in `arguments` where it comes from: `words` are those of users who are trusted, besides the ones
/// that stand in the conversation.
pub(crate) fn trace(
    arguments: &[(String, Value)],
    words: &[Arc<str>],
    conversation: Option<&Conversation>,
) -> Vec<Traced> {
    let words = words.iter().map(|words| comparable(words)).collect();
    let texts = conversation.map(Conversation::texts).unwrap_or_default();
    let elsewhere = conversation.is_some_and(|conversation| conversation.elsewhere);
    let mut tracing =
        Tracing { words, texts, elsewhere, known: HashMap::new(), searched: 0, full: None, traced: Vec::new() };
    for (argument, value) in arguments {
        let leaves = leaves(value);
        if leaves.is_empty() {
            // It says nothing, so nobody told it to go anywhere.
            tracing.push(argument, String::new(), Origin::Trusted);
        }
        leaves.into_iter().for_each(|leaf| tracing.leaf(argument, leaf));
    }
    tracing.traced
}

struct Tracing<'a> {
    words: Vec<String>,
    texts: &'a [Text],
    elsewhere: bool,
    known: HashMap<String, Origin>,
    /// Bytes so far.
    searched: usize,
    /// The argument for which there was no place last.
    full: Option<String>,
    traced: Vec<Traced>,
}

impl Tracing<'_> {
    fn leaf(&mut self, argument: &str, leaf: Leaf) {
        if self.traced.len() >= MOST_VALUES {
            // One for all of them.
            if self.full.as_deref() != Some(argument) {
                self.full = Some(argument.to_owned());
                self.push(argument, String::new(), self.worst());
            }
            return;
        }
        let text = match leaf {
            // Nobody needs to have said yes or no.
            Leaf::Truth => return self.push(argument, String::new(), Origin::Trusted),
            Leaf::Text(text) => text,
        };
        let origin = self.origin(&text);
        let pieces = if origin == Origin::Unknown { pieces(&text) } else { Vec::new() };
        if pieces.is_empty() {
            return self.push(argument, text, origin);
        }
        pieces.into_iter().for_each(|piece| self.leaf(argument, Leaf::Text(piece)));
    }

    fn push(&mut self, argument: &str, value: String, origin: Origin) {
        self.traced.push(Traced { argument: argument.to_owned(), value, origin });
    }

    /// What counts for a text that is not looked for.
    fn worst(&self) -> Origin {
        let untrusted = self.texts.iter().any(|text| text.standing == Standing::Untrusted);
        if untrusted || self.elsewhere { Origin::Untrusted } else { Origin::Unknown }
    }

    fn origin(&mut self, text: &str) -> Origin {
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        let origin = self.search(&Wanted::new(text));
        self.known.insert(text.to_owned(), origin);
        origin
    }

    fn search(&mut self, wanted: &Wanted) -> Origin {
        let (words, texts) = (&self.words, self.texts);
        let length: usize = words.iter().chain(texts.iter().map(|text| &text.text)).map(String::len).sum();
        self.searched = self.searched.saturating_add(length.saturating_mul(wanted.searches()));
        if self.searched > MOST_SEARCHED {
            return self.worst();
        }
        let stands = |standing: Standing| move |text: &&Text| text.standing == standing && wanted.stands_in(&text.text);
        if words.iter().any(|words| wanted.stands_in(words)) || texts.iter().any(|text| stands(Standing::User)(&text)) {
            return Origin::User;
        }
        let vouches = |text: &Text| wanted.is_one_of(&text.vouched) || stands(Standing::Trusted)(&text);
        let by_tool = texts.iter().position(vouches);
        let is_echo = |by_tool: &usize| texts.iter().take(*by_tool).any(|text| stands(Standing::Called)(&text));
        if by_tool.is_some_and(|by_tool| !is_echo(&by_tool)) {
            return Origin::Trusted;
        }
        let untrusted = texts.iter().any(|text| stands(Standing::Untrusted)(&text));
        // What is not seen may be what it comes from.
        if untrusted || self.elsewhere { Origin::Untrusted } else { Origin::Unknown }
    }
}
