//! Looks for all rules at once.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock, OnceLock};

use regex_automata::Input;
use regex_automata::meta::Regex;

use super::anchors::Anchors;
use super::{MAX_HITS, MAX_HITS_OF_A_RULE, Rule, all, context, pattern};
use crate::verdict::{Channel, Level, RuleHit, Verdict};
use crate::view::{Reading, Span};

/// How far around an anchor a match may reach, in bytes.
const REACH: usize = 256;

/// The rules, made ready.
struct Engine {
    rules: Vec<Ready>,
    anchors: Anchors,
}

/// A rule, made ready. Its pattern is compiled when first needed.
struct Ready {
    rule: &'static Rule,
    id: Arc<str>,
    reason: Arc<str>,
    pattern: OnceLock<Option<Regex>>,
}

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::new);

impl Engine {
    fn new() -> Self {
        let rules: Vec<Ready> = all()
            .map(|rule| Ready { rule, id: rule.id.into(), reason: rule.reason.into(), pattern: OnceLock::new() })
            .collect();
        let mut by_anchor = BTreeMap::<&str, Vec<usize>>::new();
        for (number, ready) in rules.iter().enumerate() {
            for anchor in ready.rule.anchors {
                by_anchor.entry(anchor).or_default().push(number);
            }
        }
        Self { rules, anchors: Anchors::new(by_anchor) }
    }
}

impl Ready {
    fn pattern(&self) -> Option<&Regex> {
        self.pattern.get_or_init(|| pattern::compile(self.rule.pattern)).as_ref()
    }
}

/// What was found in a text so far.
pub(super) struct Hits {
    channel: Channel,
    /// The hits of each rule.
    found: BTreeMap<&'static str, Vec<RuleHit>>,
}

impl Hits {
    pub(super) fn new(channel: Channel) -> Self {
        Self { channel, found: BTreeMap::new() }
    }

    /// Which channel the text is of.
    pub(super) fn channel(&self) -> Channel {
        self.channel
    }

    /// Whether a hit of this level would still be taken.
    fn wants(&self, id: &str, level: Level) -> bool {
        self.found
            .get(id)
            .is_none_or(|hits| hits.len() < MAX_HITS_OF_A_RULE || hits.iter().all(|hit| hit.level < level))
    }

    /// Takes a hit. The same place counts once, in the reading that makes surest; of too many the last makes room.
    pub(super) fn take(&mut self, rule: &'static Rule, hit: RuleHit) {
        let hits = self.found.entry(rule.id).or_default();
        if let Some(same) = hits.iter_mut().find(|other| overlap(other.span, hit.span)) {
            if same.level < hit.level {
                *same = hit;
            }
            return;
        }
        if hits.len() >= MAX_HITS_OF_A_RULE {
            if let Some(last) = hits.last_mut()
                && last.level < hit.level
            {
                *last = hit;
            }
            return;
        }
        hits.push(hit);
    }

    /// The surest ones.
    pub(super) fn into_hits(self) -> Vec<RuleHit> {
        let mut hits: Vec<RuleHit> = self.found.into_values().flatten().collect();
        hits.sort_by_key(|hit| (Reverse(hit.level), hit.span));
        hits.truncate(MAX_HITS);
        hits
    }
}

fn overlap(one: Span, other: Span) -> bool {
    one.start < other.end && other.start < one.end || one == other
}

/// Looks for all rules in one reading.
pub(super) fn search(reading: &Reading, hits: &mut Hits) {
    let text = reading.folded.text();
    // For each rule the stretch that is to be searched next: neighbours run together, so that nothing is searched twice.
    let mut open = vec![None::<Range<usize>>; ENGINE.rules.len()];
    ENGINE.anchors.each(text.as_bytes(), |start, end, rules| {
        let near = start.saturating_sub(REACH)..(end + REACH).min(text.len());
        for &number in rules {
            let (Some(stretch), Some(ready)) = (open.get_mut(number), ENGINE.rules.get(number)) else { continue };
            match stretch {
                Some(stretch) if near.start <= stretch.end => stretch.end = stretch.end.max(near.end),
                _ => {
                    if let Some(done) = stretch.replace(near.clone()) {
                        within(ready, reading, done, hits);
                    }
                }
            }
        }
    });
    for (ready, stretch) in ENGINE.rules.iter().zip(open) {
        if let Some(stretch) = stretch {
            within(ready, reading, stretch, hits);
        }
    }
}

/// Looks for one rule in a stretch of a reading.
fn within(ready: &Ready, reading: &Reading, stretch: Range<usize>, hits: &mut Hits) {
    let level = ready.rule.levels.of(hits.channel());
    let most = context::most(level, &reading.forms);
    if level == Level::Clean || !hits.wants(ready.rule.id, most) {
        return;
    }
    let Some(pattern) = ready.pattern() else { return };
    let text = reading.folded.text();
    let stretch = text.ceil_char_boundary(stretch.start)..text.floor_char_boundary(stretch.end);
    for found in pattern.find_iter(Input::new(text).range(stretch)) {
        let level = context::weigh(level, text, &found.range(), &reading.forms);
        let hit = RuleHit {
            id: ready.id.clone(),
            reason: ready.reason.clone(),
            level,
            verdict: Verdict::Allow,
            span: reading.folded.source(found.range()),
            forms: reading.forms.clone(),
        };
        hits.take(ready.rule, hit);
        if !hits.wants(ready.rule.id, most) {
            return;
        }
    }
}
