//! What differs between two configurations, for people.

use nanoclaw_policy::{Became, Comparison, Turned};
use nanoclaw_server::reload::Later;

use crate::output;
use crate::terminal::visible;

/// Prints it. Questions are printed as `nanoclaw policy explain` takes them.
pub fn tell(comparison: &Comparison) {
    if comparison.is_empty() {
        output::line("policies: the same as before");
    }
    if !comparison.policies.is_empty() || !comparison.settings.is_empty() {
        output::line("what is decided by:");
    }
    for policy in &comparison.policies {
        let sign = match policy.became {
            Became::Added => '+',
            Became::Removed => '-',
            Became::Changed => '~',
        };
        let text = policy.text.split_whitespace().collect::<Vec<_>>().join(" ");
        output::line(format_args!("  {sign} {}: {}", visible(&policy.id), visible(&text)));
    }
    if comparison.more_policies > 0 {
        output::line(format_args!("  and {} policies more", comparison.more_policies));
    }
    for line in &comparison.settings {
        output::line(format_args!("  ~ {}", visible(line)));
    }
    answers("newly allowed:", comparison.newly_allowed());
    answers("no longer allowed:", comparison.newly_refused());
    let Comparison { asked, left_out, .. } = comparison;
    if *asked > 0 {
        let more = if *left_out > 0 { format!(" ({left_out} more were left out)") } else { String::new() };
        output::line(format_args!(
            "{asked} questions were put to both{more}; what they do not ask about is not proven to be the same"
        ));
    }
}

/// Prints the keys of a configuration that policy does not decide by, a line for each agent.
pub fn waiting(later: &[Later]) {
    for Later { agent, keys } in later {
        let whose = agent.as_ref().map_or_else(|| "the fleet".to_owned(), |agent| format!("agent {agent}"));
        output::line(format_args!("  {whose}: {}", visible(&keys.join(", "))));
    }
}

fn answers<'t>(title: &str, turned: impl Iterator<Item = &'t Turned>) {
    let mut turned = turned.peekable();
    if turned.peek().is_some() {
        output::line(title);
    }
    for Turned { question, before, after } in turned {
        output::line(format_args!("  {}  ({} before, {} now)", visible(question), before.name(), after.name()));
    }
}
