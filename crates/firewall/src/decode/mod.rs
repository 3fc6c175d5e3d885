//! What a text says in another alphabet: codes of computers, and the games that people play with letters.
//!
//! Each decoder takes a text and gives a view of it in which just the decoded stretches stand, one a line. What does not
//! decode to something readable is left out, so that hashes and pictures cost little. All of them are linear in the text.

mod base64;
mod entities;
mod escapes;
mod hex;
mod leet;
mod percent;
mod readable;
mod scrambled;
mod spaced;
mod stretches;
#[cfg(test)]
mod tests;
mod tokens;
mod turned;
mod words;

use crate::view::{Form, View};

pub(crate) use readable::{is_readable, readable};
pub(crate) use stretches::{Patches, Stretches};

/// What a text says in other alphabets, in the order of how much it tells; `not` is one that is not to be tried, `room` is how
/// many bytes all of it may have. The flag is whether there was more.
pub(crate) fn decode(text: &str, not: Option<Form>, room: usize) -> (Vec<(Form, View)>, bool) {
    let mut found = Vec::new();
    let mut rest = room;
    let mut cut = false;
    let mut take = |form: Form, out: Stretches| {
        let (view, more) = out.into_view();
        cut |= more;
        rest = rest.saturating_sub(view.text().len());
        if !view.text().is_empty() && not != Some(form) {
            found.push((form, view));
        }
        rest
    };
    let tokens = tokens::read(text);
    let rest = take(Form::Base64, base64::decode(text, room));
    let rest = take(Form::Percent, percent::decode(text, rest));
    let rest = take(Form::Entities, entities::decode(text, rest));
    let rest = take(Form::Hex, hex::decode(text, &tokens.codes, rest));
    let rest = take(Form::Rot13, turned::rot13(text, &tokens.rotated, rest));
    let rest = take(Form::Reversed, turned::reversed(text, &tokens.reversed, rest));
    let rest = take(Form::Leet, leet::decode(text, &tokens.leet, rest));
    let rest = take(Form::Spaced, spaced::decode(text, &tokens.singles, rest));
    let rest = take(Form::Scrambled, scrambled::decode(text, &tokens.scrambled, rest));
    take(Form::Escapes, escapes::decode(text, rest));
    (found, cut)
}
