//! What is no attack, by the hundred: the hard negatives that this project has written itself.

use super::hits;
use crate::verdict::{Channel, Level};

/// The least share of texts that no rule takes for likely attacks.
const LEAST_CLEAR: f64 = 0.98;

#[test]
fn hard_negatives_are_never_certain_and_seldom_likely() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../training");
    for name in ["en-hard.jsonl", "zh-hard.jsonl"] {
        let Ok(lines) = std::fs::read_to_string(format!("{folder}/{name}")) else {
            eprintln!("SKIPPED: no {folder}/{name}");
            continue;
        };
        let (mut all, mut likely, mut certain) = (0, 0, Vec::new());
        for line in lines.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = row["text"].as_str().unwrap();
            let channel = if row["channel"] == "user" { Channel::User } else { Channel::Tool };
            let level = hits(channel, text).iter().map(|hit| hit.level).max().unwrap_or_default();
            all += 1;
            likely += usize::from(level >= Level::Likely);
            if level == Level::Certain {
                certain.push(text.to_owned());
            }
        }
        assert!(certain.is_empty(), "{name}: {certain:#?}");
        let clear = 1.0 - f64::from(u32::try_from(likely).unwrap()) / f64::from(all);
        assert!(clear >= LEAST_CLEAR, "{name}: {likely} of {all}");
    }
}
