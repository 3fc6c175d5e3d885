mod benign;
mod made;
mod numbers;
mod secrets;
mod whole;

use super::*;

pub(super) fn found(text: &str) -> Vec<(String, String)> {
    let detectors = Detectors::new(&LossSettings::default());
    let hits = detectors.find(Channel::Output, &Readings::of(text));
    hits.iter().map(|hit| (hit.kind.to_string(), text[hit.span.start..hit.span.end].to_owned())).collect()
}

/// Says whether a text holds a value of a kind: the span has all of it.
pub(super) fn holds(text: &str, kind: &str, value: &str) -> bool {
    found(text).iter().any(|(found, span)| {
        found == kind && (span.contains(value) || value.contains(span.as_str()) && span.len() * 2 > value.len())
    })
}
