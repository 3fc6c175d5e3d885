//! A verdict as one line of JSON.

use nanoclaw_firewall::{Channel, Firewall, Form, Judgement, Level, Span, Verdict, stream};
use serde::Serialize;
use serde_json::Value;

use crate::cli::Offsets;

/// A verdict, as it is printed.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    /// What the question calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a Value>,
    verdict: Verdict,
    score: f32,
    flagged: bool,
    level: Level,
    instructs: f32,
    dlp: Vec<Loss<'a>>,
    /// Each rule once, in the order of where they are met first.
    rules: Vec<&'a str>,
    spans: Vec<Place<'a>>,
    /// The text without what must not leave, where there is such a thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    complete: bool,
    offsets: &'static str,
}

/// Something that must not leave.
#[derive(Debug, Serialize)]
struct Loss<'a> {
    r#type: &'a str,
    start: usize,
    end: usize,
    action: Verdict,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    forms: &'a [Form],
}

/// Why it is suspicious, and where.
#[derive(Debug, Serialize)]
struct Place<'a> {
    start: usize,
    end: usize,
    by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    level: Level,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    forms: &'a [Form],
}

impl<'a> Answer<'a> {
    pub(super) fn of(text: &str, judgement: &'a Judgement, offsets: Offsets) -> Self {
        let at = Positions::of(text, judgement, offsets);
        let mut rules: Vec<&str> = Vec::new();
        let mut spans: Vec<Place<'_>> = Vec::new();
        for hit in &judgement.rules {
            if !rules.contains(&&*hit.id) {
                rules.push(&hit.id);
            }
            spans.push(Place {
                start: at.of_byte(hit.span.start),
                end: at.of_byte(hit.span.end),
                by: &hit.id,
                reason: Some(&hit.reason),
                level: hit.level,
                forms: &hit.forms,
            });
        }
        spans.extend(judgement.window.map(|window| Place {
            start: at.of_byte(window.start),
            end: at.of_byte(window.end),
            by: "model",
            reason: None,
            level: judgement.level,
            forms: &[],
        }));
        let loss = |hit: &'a nanoclaw_firewall::LossHit| Loss {
            r#type: &hit.kind,
            start: at.of_byte(hit.span.start),
            end: at.of_byte(hit.span.end),
            action: hit.verdict,
            forms: &hit.forms,
        };
        Self {
            id: None,
            verdict: judgement.verdict,
            score: judgement.score,
            flagged: judgement.flagged(),
            level: judgement.level,
            instructs: judgement.instructs,
            dlp: judgement.losses.iter().map(loss).collect(),
            rules,
            spans,
            text: redacted(text, judgement),
            complete: judgement.complete,
            offsets: match offsets {
                Offsets::Chars => "chars",
                Offsets::Bytes => "bytes",
            },
        }
    }
}

/// The text without what must not leave, if anything in it must not.
pub(super) fn redacted(text: &str, judgement: &Judgement) -> Option<String> {
    let mut hits = judgement.losses.iter().map(|hit| hit.verdict).chain(judgement.rules.iter().map(|hit| hit.verdict));
    hits.any(|verdict| verdict >= Verdict::Redact).then(|| stream::redact(text, judgement))
}

/// What the positions of a judgement are in code points, in one pass over the text.
pub(super) struct Positions {
    /// Bytes, and the code points before them, in order. Empty where both are the same.
    known: Vec<(usize, usize)>,
}

impl Positions {
    pub(super) fn of(text: &str, judgement: &Judgement, offsets: Offsets) -> Self {
        if offsets == Offsets::Bytes || text.is_ascii() {
            return Self { known: Vec::new() };
        }
        let spans = judgement.rules.iter().map(|hit| hit.span);
        let spans = spans.chain(judgement.losses.iter().map(|hit| hit.span)).chain(judgement.window);
        let mut bytes: Vec<usize> = spans.flat_map(|Span { start, end }| [start, end]).collect();
        bytes.sort_unstable();
        bytes.dedup();
        let (mut from, mut count) = (0, 0);
        let known = bytes.into_iter().map(|byte| {
            count += text.get(from..byte).map_or(0, |piece| piece.chars().count());
            from = byte;
            (byte, count)
        });
        Self { known: known.collect() }
    }

    pub(super) fn of_byte(&self, byte: usize) -> usize {
        let found = self.known.binary_search_by_key(&byte, |(byte, _)| *byte).ok();
        found.and_then(|index| self.known.get(index)).map_or(byte, |(_, count)| *count)
    }
}

/// Judges a text and adds the verdict, as a line.
pub(super) fn write(
    out: &mut Vec<u8>,
    firewall: &Firewall,
    (channel, offsets): (Channel, Offsets),
    text: &str,
    id: Option<&Value>,
) -> serde_json::Result<Verdict> {
    let judgement = firewall.judge(channel, text);
    let answer = Answer { id, ..Answer::of(text, &judgement, offsets) };
    serde_json::to_writer(&mut *out, &answer)?;
    out.push(b'\n');
    Ok(judgement.verdict)
}

#[cfg(test)]
mod tests {
    use nanoclaw_firewall::LossHit;

    use super::*;

    #[test]
    fn positions_count_code_points_or_bytes_of_the_text_as_given() {
        let text = "卡号 4111😀x";
        let span = Span { start: text.find('4').unwrap(), end: text.find('x').unwrap() };
        let hit = LossHit { kind: "card".into(), span, verdict: Verdict::Allow, forms: Vec::new() };
        let judgement = Judgement { losses: vec![hit], ..Judgement::default() };
        let found = |offsets| {
            let answer = Answer::of(text, &judgement, offsets);
            let loss = answer.dlp.first().unwrap();
            (loss.start, loss.end)
        };
        assert_eq!(found(Offsets::Chars), (3, 8));
        assert_eq!(found(Offsets::Bytes), (7, 15));
    }
}
