//! `nanoclaw firewall test`: compare verdicts with expected ones.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_config::Item;
use nanoclaw_firewall::{Channel, Judgement, Level, Verdict};
use serde::Deserialize;
use serde_json::Value;

use super::{MISSED, answer, failed};
use crate::cli;
use crate::output::{self, FAILED, Failure};
use crate::terminal::visible;

/// Characters of a text by which a case without a name is told.
const SHOWN: usize = 60;

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// How the report calls it.
    name: Option<String>,
    text: String,
    channel: Option<String>,
    expect: Value,
}

/// What a case expects. What is not named may be anything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    verdict: Option<Verdict>,
    level: Option<Level>,
    flagged: Option<bool>,
    /// These kinds of data, and no others.
    dlp: Option<BTreeSet<String>>,
    /// These rules, and perhaps others.
    rules: Option<BTreeSet<String>>,
    /// The redacted text.
    text: Option<String>,
}

/// Tests the cases of a file.
pub(super) fn main(config: Option<&Path>, file: &Path) -> Result<ExitCode, Failure> {
    let firewall = super::firewall(config)?;
    let name = file.display().to_string();
    let cases = read(file)?;
    if cases.is_empty() {
        let help = "write cases such as `- {text: \"…\", channel: user, expect: deny}`";
        return Err(failed(format_args!("`{name}` expects nothing; {help}")));
    }
    let mut missed = 0;
    for item in &cases {
        let at = |what: &dyn std::fmt::Display| Failure::with_status(format!("{name}:{}: {what}", item.line), FAILED);
        let case: Case = serde_json::from_value(item.value.clone()).map_err(|error| at(&error))?;
        let expected = Expected::of(&case.expect).map_err(|error| at(&error))?;
        let channel = case.channel.as_deref().map_or(Ok(Channel::User), cli::channel);
        let judgement = firewall.judge(channel.map_err(|help| at(&help))?, &case.text);
        let wrong = expected.unlike(&judgement, answer::redacted(&case.text, &judgement));
        if wrong.is_empty() {
            continue;
        }
        missed += 1;
        let called = case.name.unwrap_or_else(|| shortened(&case.text));
        output::line(visible(&format!("{name}:{}: {called}: {}", item.line, wrong.join(", "))));
    }
    output::line(format_args!("{} as expected, {missed} not", cases.len() - missed));
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::from(MISSED) })
}

/// The cases of a file: lines of JSON if it begins as an object does, else YAML.
fn read(file: &Path) -> Result<Vec<Item>, Failure> {
    let text = super::text(file)?;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    if !text.trim_start().starts_with('{') {
        return Ok(nanoclaw_config::list(&text, file)?);
    }
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let item = |(line, text)| match serde_json::from_str(text) {
        Ok(value) => Ok(Item { line, value }),
        Err(error) => {
            let help = "write one object a line";
            Err(failed(format_args!("{}:{line}: column {}: {error}; {help}", file.display(), error.column())))
        }
    };
    lines.map(item).collect()
}

impl Expected {
    fn of(value: &Value) -> serde_json::Result<Self> {
        if value.is_string() {
            let verdict = serde_json::from_value(value.clone())?;
            return Ok(Self { verdict: Some(verdict), ..Self::default() });
        }
        serde_json::from_value(value.clone())
    }

    /// In what a judgement is not as expected.
    fn unlike(&self, found: &Judgement, redacted: Option<String>) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut differs = |what: &str, expected: &str, found: &str| {
            if expected != found {
                wrong.push(format!("{what} is {found}, not {expected}"));
            }
        };
        if let Some(verdict) = self.verdict {
            differs("verdict", verdict.name(), found.verdict.name());
        }
        if let Some(level) = self.level {
            differs("level", level.name(), found.level.name());
        }
        if let Some(flagged) = self.flagged {
            differs("flagged", &flagged.to_string(), &found.flagged().to_string());
        }
        if let Some(text) = &self.text {
            differs("text", &format!("`{text}`"), &redacted.map_or("as it was".to_owned(), |text| format!("`{text}`")));
        }
        let kinds: BTreeSet<&str> = found.losses.iter().map(|hit| &*hit.kind).collect();
        if let Some(dlp) = &self.dlp {
            let expected: BTreeSet<&str> = dlp.iter().map(String::as_str).collect();
            differs("dlp", &listed(&expected), &listed(&kinds));
        }
        let rules: BTreeSet<&str> = found.rules.iter().map(|hit| &*hit.id).collect();
        let missing = self.rules.iter().flatten().filter(|rule| !rules.contains(rule.as_str()));
        let missing: BTreeSet<&str> = missing.map(String::as_str).collect();
        if !missing.is_empty() {
            wrong.push(format!("rules are {}, without {}", listed(&rules), listed(&missing)));
        }
        wrong
    }
}

fn listed(names: &BTreeSet<&str>) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().copied().collect::<Vec<_>>().join(" ")
}

/// The beginning of a text, on one line.
fn shortened(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(SHOWN) {
        None => words,
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_case_says_only_what_it_cares_about() {
        let found = Judgement { verdict: Verdict::Deny, score: 0.97, level: Level::Certain, ..Judgement::default() };
        let unlike = |value: Value| Expected::of(&value).unwrap().unlike(&found, None);
        assert_eq!(unlike(json!("deny")), Vec::<String>::new());
        assert_eq!(unlike(json!({})), Vec::<String>::new());
        assert_eq!(unlike(json!("allow")), ["verdict is deny, not allow"]);
        let all = json!({ "level": "clean", "flagged": false, "dlp": ["card"], "rules": ["x"], "text": "y" });
        assert_eq!(
            unlike(all),
            [
                "level is certain, not clean",
                "flagged is true, not false",
                "text is as it was, not `y`",
                "dlp is none, not card",
                "rules are none, without x"
            ]
        );
        assert!(Expected::of(&json!("Deny")).is_err());
        assert!(Expected::of(&json!({ "verdicts": "deny" })).is_err());
    }
}
