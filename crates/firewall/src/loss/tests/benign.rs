//! What is found in the output of tools that holds nothing: the data of the project, where it is at hand.

use std::process::{Command, Stdio};

use super::*;

/// Sources whose texts hold made personal data and keys on purpose.
const ON_PURPOSE: [&str; 3] = ["presidio_synth", "code_presidio", "code_gitleaks"];

#[test]
fn output_of_tools_has_less_than_one_hit_a_megabyte() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/firewall/train.jsonl.gz");
    if !std::path::Path::new(path).exists() {
        eprintln!("SKIPPED: the data of the firewall is not at hand ({path})");
        return;
    }
    let output = Command::new("gzip").args(["-dc", path]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "gzip");
    let detectors = Detectors::new(&LossSettings::default());
    let (mut bytes, mut hits) = (0, Vec::new());
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let source = row["source"].as_str().unwrap();
        if row["label"] != 0 || row["channel"] != "tool" || ON_PURPOSE.contains(&source) {
            continue;
        }
        let text = row["text"].as_str().unwrap();
        bytes += text.len();
        for found in detectors.search(text) {
            if kinds::KINDS.iter().any(|kind| kind.id == found.kind && kind.group != Group::Contact) {
                hits.push(format!("{} {source}: {}", found.kind, &text[found.start..found.end]));
            }
        }
    }
    assert!(bytes > 8_000_000, "{bytes} bytes");
    assert!(hits.len() <= bytes / 1_000_000, "{} hits in {bytes} bytes:\n{}", hits.len(), hits.join("\n"));
}
