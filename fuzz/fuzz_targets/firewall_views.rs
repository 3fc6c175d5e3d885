//! The readings of any text: whatever is found in one, in whatever way it was decoded, stands somewhere in the text, at
//! boundaries of characters; the readings together are bounded, and the same every time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanoclaw_firewall::Readings;
use nanoclaw_firewall::view::{MAX_DEPTH, MAX_READINGS, SPARE};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let readings = Readings::of(&text);
    assert!(readings.all.len() <= MAX_READINGS);
    let decoded: usize = readings.all.iter().skip(1).map(|reading| reading.plain.text().len()).sum();
    assert!(decoded <= 2 * text.len() + SPARE);
    for reading in &readings.all {
        assert!(reading.forms.len() <= MAX_DEPTH);
        for view in [&reading.plain, &reading.folded] {
            let whole = view.source(0..view.text().len());
            assert!(text.get(whole.start..whole.end).is_some());
            // Ranges of one character and of many, and such as cut through characters.
            for at in 0..view.text().len() {
                for length in [0, 1, 2, 5, 64] {
                    let span = view.source(at..at + length);
                    assert!(text.get(span.start..span.end).is_some());
                }
                let one = view.source(at..at + 1);
                assert!(whole.start <= one.start && one.end <= whole.end);
            }
        }
    }
    assert_eq!(readings.all, Readings::of(&text).all);
});
