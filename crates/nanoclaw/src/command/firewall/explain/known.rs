//! What the firewall knows: levels, channels, rules, kinds of data, filters, intents.

use nanoclaw_firewall::filter::{Intent, Meaning};
use nanoclaw_firewall::loss::{self, Kind};
use nanoclaw_firewall::rules::{self, Rule};
use nanoclaw_firewall::{Channel, Firewall, Level, Verdict};

use super::text::done;
use crate::output;
use crate::terminal::visible;

/// Says all of it, a line for each.
pub(super) fn all(firewall: &Firewall) {
    output::line("levels: how sure it is that a text is an attack");
    for level in Level::ALL {
        output::line(format_args!("  {}", level_line(level)));
    }
    output::line(format_args!("model: {}", nanoclaw_firewall::model::version()));
    output::line("channels: whose words a text is");
    for channel in Channel::ALL {
        output::line(format_args!("  {}", channel_line(channel)));
    }
    output::line("rules: what attacks look like, and how sure that makes");
    rules::all().for_each(|rule| output::line(format_args!("  {}", rule_line(rule))));
    output::line("data that must not leave, by group");
    loss::kinds().iter().for_each(|kind| output::line(format_args!("  {}", kind_line(kind))));
    output::line("intents: what can be said in `prompt_filters` as a sentence");
    for intent in Intent::ALL {
        output::line(format_args!("  {}", intent_line(intent)));
    }
    if !firewall.settings().filters.is_empty() {
        output::line("filters of this configuration");
    }
    for filter in &firewall.settings().filters {
        output::line(format_args!("  {}", filter_line(filter)));
    }
}

/// Says what has this name; not if nothing has it.
pub(super) fn one(firewall: &Firewall, name: &str) -> bool {
    let level = Level::ALL.into_iter().find(|level| level.name() == name).map(level_line);
    let channel = || Channel::ALL.into_iter().find(|channel| channel.name() == name).map(channel_line);
    let filter = || firewall.settings().filters.iter().find(|filter| filter.name == name).map(filter_line);
    let rule = || rules::all().find(|rule| rule.id == name).map(rule_line);
    let kind = || loss::kinds().iter().find(|kind| kind.id == name).map(kind_line);
    if let Some(line) = level.or_else(channel).or_else(filter).or_else(rule).or_else(kind) {
        output::line(line);
        return true;
    }
    let Some(intent) = Intent::parse(name) else { return false };
    output::line(intent_line(intent));
    output::line("the same is said by");
    intent.sentences().for_each(|sentence| output::line(format_args!("  {sentence}")));
    true
}

fn level_line(level: Level) -> String {
    let meaning = match level {
        Level::Clean => "nothing to say",
        Level::Suspect => "one benign text in a hundred gets here",
        Level::Likely => "three benign texts in a thousand get here; from here on it is `flagged`",
        Level::Certain => "one benign text in a thousand gets here",
    };
    format!("{}: score {} and more: {meaning}", level.name(), level.floor())
}

fn channel_line(channel: Channel) -> String {
    let meaning = match channel {
        Channel::User => "what a person asks of the model",
        Channel::Tool => "what a tool gave",
        Channel::Document => "what a person gave to be read",
        Channel::Agent => "what another agent says",
        Channel::Output => "what leaves: an answer, the arguments of a call, the body of a request",
    };
    let certain = match channel {
        Channel::Output => "searched for data, and not taken for an attack".to_owned(),
        _ => format!(
            "what is suspicious {}; what is certainly an attack {}",
            done(Verdict::Annotate),
            done(if channel.is_content() { Verdict::Ask } else { Verdict::Deny })
        ),
    };
    format!("{}: {meaning}; {certain}", channel.name())
}

fn rule_line(rule: &Rule) -> String {
    let mut levels: Vec<(Level, Vec<&str>)> = Vec::new();
    for channel in Channel::ALL {
        match (rule.levels.of(channel), levels.last_mut()) {
            (Level::Clean, _) => {}
            (level, Some((last, names))) if *last == level => names.push(channel.name()),
            (level, _) => levels.push((level, vec![channel.name()])),
        }
    }
    let levels: Vec<String> =
        levels.iter().map(|(level, names)| format!("{} in {}", level.name(), names.join(", "))).collect();
    format!("{}: {}; {}", rule.id, rule.reason, levels.join("; "))
}

fn kind_line(kind: &Kind) -> String {
    let quiet = if kind.quiet { "; looked for only where a configuration names it" } else { "" };
    format!("{} ({}): {}; takes {}{quiet}", kind.id, kind.group.name(), kind.title, kind.needs)
}

fn intent_line(intent: Intent) -> String {
    let meaning = match intent.meaning() {
        Meaning::Attacks => "prompts that are certainly attacks do not go on, and such content is withheld".to_owned(),
        Meaning::Losses { groups, channels, action } => {
            let groups: Vec<&str> = groups.iter().map(|group| group.name()).collect();
            let channels: Vec<&str> = channels.iter().map(|channel| channel.name()).collect();
            format!("{}: {} of data: {}", channels.join(", "), action.name(), groups.join(", "))
        }
    };
    format!("{} ({}): {meaning}", intent.name(), intent.aliases().first().unwrap_or(&intent.name()))
}

fn filter_line(filter: &nanoclaw_firewall::filter::Filter) -> String {
    let channels: Vec<&str> = filter.channels.iter().map(|channel| channel.name()).collect();
    format!("{}: {}: {}", visible(&filter.name), channels.join(", "), filter.action.name())
}
