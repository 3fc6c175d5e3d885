//! The prompt firewall on arbitrary text in every channel: spans are whole characters of the text, and the verdict follows from
//! what was found, the same each time.
//!
//! Input: one byte that names the channel, then the text; what is no UTF-8 is replaced.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nanoclaw_firewall::filter::Intent;
use nanoclaw_firewall::{Channel, Firewall, Level, Settings, Span, Verdict, stream};

static FIREWALL: LazyLock<Firewall> = LazyLock::new(|| {
    let mut settings = Settings::default();
    Intent::ALL.into_iter().for_each(|intent| intent.apply(&mut settings));
    Firewall::new(&settings).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    let Some((channel, text)) = bytes.split_first() else { return };
    let channel = Channel::ALL[usize::from(*channel) % Channel::ALL.len()];
    let text = String::from_utf8_lossy(text);
    let judgement = FIREWALL.judge(channel, &text);

    let whole = |span: Span| {
        assert!(span.start <= span.end && text.get(span.start..span.end).is_some(), "{span:?} of {text:?}");
    };
    judgement.rules.iter().for_each(|hit| whole(hit.span));
    judgement.losses.iter().for_each(|hit| whole(hit.span));
    judgement.window.into_iter().for_each(whole);
    assert!(judgement.losses.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start), "{judgement:?}");
    assert!(judgement.rules.windows(2).all(|pair| pair[0].span <= pair[1].span), "{judgement:?}");

    assert!((0.0..=1.0).contains(&judgement.score) && (0.0..=1.0).contains(&judgement.instructs), "{judgement:?}");
    assert!(judgement.score >= judgement.level.floor(), "{judgement:?}");
    assert!(judgement.rules.iter().all(|hit| hit.level <= judgement.level && hit.verdict <= judgement.verdict));
    assert!(judgement.losses.iter().all(|hit| hit.verdict <= judgement.verdict));
    assert!(judgement.complete || judgement.verdict > Verdict::Allow, "{judgement:?}");
    if channel != Channel::Output {
        assert!(judgement.level == Level::Clean || judgement.verdict >= Verdict::Annotate, "{judgement:?}");
    }
    assert_eq!(FIREWALL.judge(channel, &text), judgement, "the same text, the same judgement");
    stream::redact(&text, &judgement);
});
