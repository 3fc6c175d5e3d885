//! What is suspicious whatever it says: characters that nobody sees.

use super::engine::Hits;
use super::{Levels, Rule};
use crate::verdict::{Level, RuleHit, Verdict};
use crate::view::{Readings, Span};

/// Tag characters from which on they are a message.
const FEW_TAGS: usize = 4;
/// Variation selectors from which on they are a message.
const FEW_SELECTORS: usize = 4;
/// Invisible characters within words from which on they are there to keep words from being found.
const FEW_ZERO_WIDTH: usize = 3;
/// Words of two scripts from which on they are no slip.
const FEW_MIXED: usize = 3;

/// In the order in which [`find`] looks.
pub(super) const RULES: &[Rule] = &[
    sign("sign-tags", "it holds tag characters, which nobody sees and models read", Levels::all(Level::Certain)),
    sign(
        "sign-selectors",
        "it holds variation selectors that spell bytes, which nobody sees",
        Levels::all(Level::Certain),
    ),
    sign("sign-zero-width", "it holds invisible characters within words", Levels::all(Level::Suspect)),
    sign(
        "sign-bidi",
        "it overrules the direction of writing, so that people read something else than models",
        Levels::all(Level::Suspect),
    ),
    sign(
        "sign-mixed-script",
        "it holds words whose letters are of two scripts and look alike",
        Levels::all(Level::Suspect),
    ),
];

const fn sign(id: &'static str, reason: &'static str, levels: Levels) -> Rule {
    Rule { id, reason, levels, anchors: &[], pattern: "" }
}

/// Looks for them all.
pub(super) fn find(readings: &Readings, hits: &mut Hits) {
    let signs = &readings.invisible;
    let counts = [
        signs.tags >= FEW_TAGS,
        signs.selectors >= FEW_SELECTORS,
        signs.zero_width >= FEW_ZERO_WIDTH,
        signs.bidi > 0,
        signs.mixed_script >= FEW_MIXED,
    ];
    let whole = readings
        .all
        .first()
        .map_or(Span { start: 0, end: 0 }, |first| first.folded.source(0..first.folded.text().len()));
    for (rule, seen) in RULES.iter().zip(counts) {
        let level = rule.levels.of(hits.channel());
        if seen {
            let (id, reason) = (rule.id.into(), rule.reason.into());
            hits.take(rule, RuleHit { id, reason, level, verdict: Verdict::Allow, span: whole, forms: Vec::new() });
        }
    }
}
