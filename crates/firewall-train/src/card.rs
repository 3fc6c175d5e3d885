//! The model card.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use nanoclaw_firewall::model::features;
use nanoclaw_firewall::model::weights::HEADS;

use crate::corpus::Text;
use crate::measure::{Rate, is_for, mean, rates};

/// What stands in the card of these texts, their logits by models that had not seen their sources, and the levels.
pub fn card(texts: &[Text], logits: &[[f32; HEADS]], levels: &[[f32; 3]; HEADS], digest: u64) -> String {
    let mut card = INTRODUCTION.to_owned();
    let _ = writeln!(card, "\nVersion {}, digest `{digest:016x}`.\n", features::VERSION);
    card.push_str(HOW);
    for (head, name) in [(0, "What users ask (head `user`)"), (1, "What tools give (head `tool`)")] {
        let Some(levels) = levels.get(head) else { continue };
        let attacks = rates(texts, logits, head, *levels, true);
        let benign = rates(texts, logits, head, *levels, false);
        let of_channel = |source: &str, chinese: bool| {
            texts.iter().any(|text| text.source == source && text.chinese == chinese && is_for(text, head))
        };
        let _ = writeln!(
            card,
            "\n### {name}\n\nRecall on attacks of sources that the model had not seen, with 95 % intervals.\n"
        );
        table(&mut card, attacks.iter().filter(|((source, chinese), _)| of_channel(source, *chinese)));
        card.push_str("\nMean over sources of 30 texts or more, each counting alike:\n\n| | sources | Suspect | Likely | Certain |\n|---|---|---|---|---|\n");
        for (name, chinese, made) in [
            ("public and own, not Chinese", false, false),
            ("public and own, Chinese", true, false),
            ("put together by the trainer, not Chinese", false, true),
            ("put together by the trainer, Chinese", true, true),
        ] {
            let ours = attacks.iter().filter(|((source, other), _)| {
                *other == chinese && source.starts_with("made-") == made && of_channel(source, *other)
            });
            mean_row(&mut card, name, ours.map(|(_, rates)| rates));
        }
        card.push_str("\nFalse positives on benign texts of sources that the model had not seen.\n\n");
        table(&mut card, benign.iter());
        card.push_str("\nMean over sources of 30 texts or more:\n\n| | sources | Suspect | Likely | Certain |\n|---|---|---|---|---|\n");
        let hard = |source: &str| texts.iter().any(|text| text.source == source && text.is_hard());
        for (name, is_hard) in [("ordinary", false), ("written to be hard", true)] {
            mean_row(
                &mut card,
                name,
                benign.iter().filter(|((source, _), _)| hard(source) == is_hard).map(|(_, rates)| rates),
            );
        }
    }
    card.push_str("\n## Data\n\n| source | licence | benign | attacks |\n|---|---|---|---|\n");
    let mut sources = BTreeMap::<(&str, &str), (usize, usize)>::new();
    for text in texts {
        let counts = sources.entry((&text.source, &text.licence)).or_default();
        if text.attack { counts.1 += 1 } else { counts.0 += 1 }
    }
    for ((source, licence), (benign, attacks)) in sources {
        let _ = writeln!(card, "| {source} | {licence} | {benign} | {attacks} |");
    }
    card.push_str(LIMITS);
    card
}

fn table<'a>(card: &mut String, rows: impl Iterator<Item = (&'a (&'a str, bool), &'a [Rate; 3])>) {
    card.push_str("| source | texts | Suspect | Likely | Certain |\n|---|---|---|---|---|\n");
    for ((source, chinese), rates) in rows {
        let cell = |rate: &Rate| {
            let (low, high) = rate.interval();
            format!("{:.1} % ({:.1}–{:.1})", 100.0 * rate.share(), 100.0 * low, 100.0 * high)
        };
        let cells: Vec<String> = rates.iter().map(cell).collect();
        let of = rates.first().map_or(0, |rate| rate.of);
        let _ =
            writeln!(card, "| {source}{} | {of} | {} |", if *chinese { " (Chinese)" } else { "" }, cells.join(" | "));
    }
}

fn mean_row<'a>(card: &mut String, name: &str, rates: impl Iterator<Item = &'a [Rate; 3]>) {
    let ([suspect, likely, certain], count) = mean(rates);
    if count > 0 {
        let _ = writeln!(
            card,
            "| {name} | {count} | {:.1} % | {:.1} % | {:.1} % |",
            100.0 * suspect,
            100.0 * likely,
            100.0 * certain
        );
    }
}

const INTRODUCTION: &str = "# Model card: the classifier of the prompt firewall

Written by `nanoclaw-firewall-train`; do not edit.

    cargo run -p nanoclaw-firewall-train --release -- --data ../shared/data/firewall/train.jsonl.gz --own training

A linear model over hashed features of a text that was folded and decoded first: words and up to three in a row, pairs with
a gap, the beginnings of sentences, marks and what stands beside them, how words begin, up to four Chinese characters,
and *concepts*: groups of English and Chinese words that say the same, in the order in which they come. Of a word of four
letters or more only the first and the last letter have a place. Three heads: an attack of a user, an attack in what a tool
gives, and instructions of any kind. The last one is no offence and feeds nothing but taint. A text is read in windows of
512 and 192 bytes, and the worst one counts.
";

const HOW: &str = "## How it was measured

A random split flatters, so whole sources were left out: sources are dealt into six parts, a model is learned without each
part, and every text below was judged by the model that had seen no text of its source's part. The levels are set so that no
more than 1 % (Suspect), 0.3 % (Likely) and 0.1 % (Certain) of benign texts of such unseen sources reach them: of all texts
together, and of each source counting alike, where none counts for more than five times the share. Of the sources that were
written to be hard it may be four times as many of what users ask, and ten times as many of what tools give. The same has
to hold for the eighth of the benign texts that no model learns from. So the false positives below are what the levels were
set by. The recall is flattered: features, phrases, and also this rule about levels, which was loosened twice and then made
stricter for what users ask, were chosen on these figures. The shipped model has learned from all sources but that eighth.
`bench/firewall` measures it, together with the rules, on other sources. They took no part in learning; but the last change
of the rule was made when too many false alarms had been seen there.

Attacks count here where the label is of the head's kind: a source's texts that say nothing of an attack on their face are
left out where its labels are known to be doubtful (s-labs, neuralchemy, jackhhao, satml, yanismiraoui), and so are, for
what tools give, texts that neither override anything nor speak to a model.
";

const LIMITS: &str = "
Sources whose names begin with `made-` were put together by the trainer, from phrases in its source or of attacks and
benign texts above. `training/` says what the texts of our own (`own`) are. All are used under their licences; the texts
themselves are not in this repository.

## Limits

- **Plain instructions in what a tool gives cannot be told from harmless ones.** \"Send the invoice to this address\" is an
  attack or is not because of where it stands. Neither this model nor any other that reads only the text can say so. What
  tools give is therefore labelled by where it comes from, and consequential calls ask.
- Attacks that say nothing of overriding, in words of everyday life, are missed more often than not, in Chinese above all:
  see the sources of our own above.
- Languages other than English and Chinese were hardly learned.
- Role play without harm is often like that of a jailbreak; whether it is an attack is a matter of what it is for.
- An attacker who knows these weights can write around them. The levels hold for texts that were not made to do so.
- Texts that quote attacks (articles on security, rules of filters) are the benign texts most often taken for attacks.
";
