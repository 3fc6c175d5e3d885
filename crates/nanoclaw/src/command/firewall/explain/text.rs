//! What the firewall makes of one text.

use nanoclaw_firewall::{Channel, Firewall, Form, Judgement, Readings, Span, Verdict};

use super::super::answer::Positions;
use crate::cli::Offsets;
use crate::output;
use crate::terminal::visible;

/// Characters of a text that are shown of one place.
const SHOWN: usize = 100;
/// Most readings and most places that are listed; the rest is counted.
const MOST_LISTED: usize = 20;

/// Says how a text is read, what that shows, and what would be done with it in each channel.
pub(super) fn explain(firewall: &Firewall, text: &str) {
    let readings = Readings::of(text);
    output::line(format_args!("{} bytes, {} characters", text.len(), text.chars().count()));
    if !readings.complete {
        output::line("not all of it is looked at: it is too large, or hides too much in too many ways");
    }
    output::line("readings:");
    for reading in readings.all.iter().take(MOST_LISTED) {
        output::line(format_args!("  {}: {}", way(&reading.forms), quoted(reading.plain.text())));
    }
    more(readings.all.len());
    // Channels that say the same are told together.
    let mut told: Vec<(Judgement, Vec<Channel>)> = Vec::new();
    for channel in Channel::ALL {
        let judgement = firewall.judge(channel, text);
        match told.iter_mut().find(|(other, _)| *other == judgement) {
            Some((_, channels)) => channels.push(channel),
            None => told.push((judgement, vec![channel])),
        }
    }
    for (judgement, channels) in told {
        judged(text, &judgement, &channels);
    }
}

fn judged(text: &str, judgement: &Judgement, channels: &[Channel]) {
    let names: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
    let done = done(judgement.verdict);
    output::line(format_args!("as {}: {}: it {done}", names.join(", "), judgement.verdict.name()));
    output::line(format_args!(
        "  score {:.3} ({}); instructions of any kind {:.3}",
        judgement.score,
        judgement.level.name(),
        judgement.instructs
    ));
    let at = Positions::of(text, judgement, Offsets::Chars);
    let place = |span: Span| format!("characters {} to {}", at.of_byte(span.start), at.of_byte(span.end));
    let shown = |span: Span| quoted(text.get(span.start..span.end).unwrap_or_default());
    for hit in judgement.rules.iter().take(MOST_LISTED) {
        let (id, reason) = (visible(&hit.id), visible(&hit.reason));
        let by_itself = match hit.verdict {
            Verdict::Allow => String::new(),
            verdict => format!(", {}", verdict.name()),
        };
        output::line(format_args!("  {id} ({}{by_itself}): {reason}", hit.level.name()));
        output::line(format_args!("    {}, {}: {}", place(hit.span), way(&hit.forms), shown(hit.span)));
    }
    more(judgement.rules.len());
    if let Some(window) = judgement.window {
        output::line(format_args!("  the model, most of all in {}: {}", place(window), shown(window)));
    }
    for hit in judgement.losses.iter().take(MOST_LISTED) {
        // What it is may be a secret, and stays unsaid.
        let (kind, way) = (visible(&hit.kind), way(&hit.forms));
        output::line(format_args!("  {kind} in {}, {way}: {}", place(hit.span), hit.verdict.name()));
    }
    more(judgement.losses.len());
}

fn more(count: usize) {
    if count > MOST_LISTED {
        output::line(format_args!("  and {} more", count - MOST_LISTED));
    }
}

/// What becomes of a text.
pub(super) const fn done(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "goes on as it is",
        Verdict::Annotate => "goes on with a mark that it is suspicious",
        Verdict::Redact => "goes on without what must not leave",
        Verdict::Ask => "is withheld until a person decides",
        Verdict::Deny => "does not go on",
    }
}

/// How a text was read.
fn way(forms: &[Form]) -> String {
    let name = |form: &Form| serde_json::to_value(form).ok().and_then(|name| name.as_str().map(str::to_owned));
    match forms {
        [] => "as it stands".to_owned(),
        forms => format!("as {}", forms.iter().filter_map(name).collect::<Vec<_>>().join(", then ")),
    }
}

/// The beginning of a text, on one line.
fn quoted(text: &str) -> String {
    let mut beginning: String = text.chars().take(SHOWN).collect();
    if beginning.len() < text.len() {
        beginning.push('…');
    }
    format!("`{}`", visible(&beginning.replace(['\n', '\t'], " ")))
}
