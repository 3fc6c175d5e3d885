//! Texts made of others: attacks put together from phrases, attacks put into what tools give, and texts that speak of
//! attacks and are none.

mod chinese;
mod english;

use crate::chance::Chance;
use crate::corpus::{FOLDS, Text};

/// Phrases by their names.
pub type Phrases = &'static [(&'static str, &'static [&'static str])];

/// How often phrases may stand within phrases.
const DEPTH: usize = 8;
/// Longest attack that is put into another text, in bytes.
const LONGEST_PAYLOAD: usize = 600;
/// Longest text that an attack is put into, in bytes; of a longer one the beginning is taken.
const LONGEST_CARRIER: usize = 2500;

struct Tongue {
    chinese: bool,
    phrases: Phrases,
    frames: &'static [&'static [&'static str]],
    quotes: &'static [&'static str],
    harmless: &'static [&'static str],
    harmless_phrases: Phrases,
}

const TONGUES: [Tongue; 2] = [
    Tongue {
        chinese: false,
        phrases: english::PHRASES,
        frames: english::FRAMES,
        quotes: english::QUOTES,
        harmless: english::HARMLESS,
        harmless_phrases: english::HARMLESS_PHRASES,
    },
    Tongue {
        chinese: true,
        phrases: chinese::PHRASES,
        frames: chinese::FRAMES,
        quotes: chinese::QUOTES,
        harmless: chinese::HARMLESS,
        harmless_phrases: chinese::HARMLESS_PHRASES,
    },
];

/// How many texts of each kind are made, in each language.
const DIRECT: usize = 1500;
const FRAMED: usize = 2400;
const PUT_IN: usize = 1500;
const HARMLESS: usize = 600;
const QUOTED: usize = 400;

/// The made texts.
pub fn make(texts: &[Text]) -> Vec<Text> {
    let mut made = Vec::new();
    for tongue in &TONGUES {
        let mut chance = Chance::new(if tongue.chinese { 2 } else { 1 });
        let tool = |text: &&Text| {
            !text.attack
                && !text.user
                && text.chinese == tongue.chinese
                && !text.is_hard()
                && !text.is_for_calibration()
        };
        let carriers: Vec<&Text> = texts.iter().filter(tool).collect();
        let name = if tongue.chinese { "zh" } else { "en" };
        for number in 0..DIRECT {
            let text = tongue.expand("{direct}", tongue.phrases, &mut chance);
            made.push(of(
                tongue,
                format!("made-direct-{name}"),
                text,
                true,
                [Some(true), None, Some(true)],
                number % FOLDS,
            ));
        }
        for _ in 0..FRAMED {
            let family = chance.below(tongue.frames.len());
            let Some(frame) = tongue.frames.get(family).and_then(|family| chance.of(family)) else { continue };
            let text = tongue.expand(frame, tongue.phrases, &mut chance);
            made.push(put(tongue, &carriers, &text, family, format!("made-tool-{name}-{family}"), &mut chance));
        }
        let direct: Vec<&Text> = texts
            .iter()
            .filter(|text| {
                text.attack
                    && text.user
                    && text.chinese == tongue.chinese
                    && text.wants[1] == Some(true)
                    && text.text.len() < LONGEST_PAYLOAD
            })
            .collect();
        for _ in 0..PUT_IN.min(direct.len() * 4) {
            let Some(payload) = direct.get(chance.below(direct.len())) else { break };
            made.push(put(
                tongue,
                &carriers,
                &payload.text,
                payload.fold,
                format!("made-in-{}", payload.source),
                &mut chance,
            ));
        }
        for number in 0..HARMLESS {
            let Some(sentence) = tongue.harmless.get(number % tongue.harmless.len().max(1)) else { break };
            let text = tongue.expand(sentence, tongue.harmless_phrases, &mut chance);
            made.push(of(
                tongue,
                format!("made-harmless-{name}"),
                text,
                true,
                [Some(false), Some(false), None],
                number % FOLDS,
            ));
        }
        for number in 0..QUOTED {
            let attack = match direct.get(chance.below(direct.len())).filter(|_| chance.percent(50)) {
                Some(attack) if attack.text.len() < 200 => attack.text.clone(),
                _ => tongue.expand("{direct}", tongue.phrases, &mut chance),
            };
            let Some(quote) = chance.of(tongue.quotes) else { break };
            let text = quote.replace("{attack}", &attack);
            made.push(of(tongue, format!("made-quote-{name}"), text, false, [None, Some(false), None], number % FOLDS));
        }
    }
    made
}

fn of(tongue: &Tongue, source: String, text: String, user: bool, wants: crate::corpus::Wants, fold: usize) -> Text {
    let attack = wants.contains(&Some(true));
    Text {
        text,
        source,
        user,
        attack,
        chinese: tongue.chinese,
        wants,
        fold,
        made: true,
        at: None,
        licence: "own".to_owned(),
    }
}

/// An attack put into one of these texts, or as it is.
fn put(tongue: &Tongue, carriers: &[&Text], attack: &str, fold: usize, source: String, chance: &mut Chance) -> Text {
    let wants = [None, Some(true), Some(true)];
    // A carrier of another part would be known when that part is left out.
    let ours: Vec<&&Text> = carriers.iter().filter(|text| text.fold == fold).collect();
    let Some(carrier) = ours.get(chance.below(ours.len())).filter(|_| chance.percent(70)) else {
        return of(tongue, source, attack.to_owned(), false, wants, fold);
    };
    let end = carrier.text.floor_char_boundary(LONGEST_CARRIER);
    let body = carrier.text.get(..end).unwrap_or_default();
    let breaks: Vec<usize> =
        body.match_indices(['\n', '.', '。']).map(|(at, mark)| at + mark.len()).chain([0, body.len()]).collect();
    let at = breaks.get(chance.below(breaks.len())).copied().unwrap_or_default();
    let (before, behind) = body.split_at_checked(at).unwrap_or((body, ""));
    let gap = chance.of(&["\n", "\n\n", " ", " ", "\n\n\n"]).unwrap_or(" ");
    let text = format!("{before}{gap}{attack}{gap}{behind}");
    let start = before.len() + gap.len();
    Text { at: Some(start..start + attack.len()), ..of(tongue, source, text, false, wants, fold) }
}

impl Tongue {
    /// A template with all its phrases put in.
    fn expand(&self, template: &str, phrases: Phrases, chance: &mut Chance) -> String {
        let mut text = template.to_owned();
        for _ in 0..DEPTH {
            let mut next = String::with_capacity(text.len() * 2);
            let mut rest = text.as_str();
            while let Some((before, behind)) = rest.split_once('{') {
                next.push_str(before);
                let found = behind.split_once('}').and_then(|(name, after)| {
                    let choices = phrases.iter().find(|(known, _)| *known == name)?.1;
                    Some((chance.of(choices)?, after))
                });
                if let Some((phrase, after)) = found {
                    next.push_str(phrase);
                    rest = after;
                } else {
                    next.push('{');
                    rest = behind;
                }
            }
            next.push_str(rest);
            if next == text {
                break;
            }
            text = next;
        }
        casing(text, chance)
    }
}

/// Sentences begin with great letters, mostly.
fn casing(text: String, chance: &mut Chance) -> String {
    if chance.percent(40) {
        return text;
    }
    if chance.percent(6) {
        return text.to_uppercase();
    }
    let mut start = true;
    let each = text.chars().map(|c| {
        let now = start && c.is_ascii_lowercase();
        start = matches!(c, '.' | '?' | '!' | '\n') || (start && !c.is_alphanumeric());
        if now { c.to_ascii_uppercase() } else { c }
    });
    each.collect()
}
