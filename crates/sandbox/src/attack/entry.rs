//! The program that runs in the attacked cell: `list`, `run [NAME…]` and `outside [NAME…]`, with the options of
//! [`Settings`]. A name may be an attack or a group; without names it is all of them.

use std::io::Write;
use std::process::ExitCode;

use super::{Attack, Context, Group, Report, Settings, Summary};

/// Exit status when an attack or a control did not go as it must.
const FAILED: u8 = 1;
/// Exit status when the arguments cannot be read.
const USAGE: u8 = 2;

/// Runs with the arguments after the hidden subcommand. Writes one [`Report`] a line to standard output and, for `run`
/// and `outside`, a last line `{"summary": …}`. Call it before any thread is started: it forks.
///
/// Exits with 0 if every attack was stopped as expected and every control held, 1 if not, 2 on wrong arguments.
pub fn main_inside(arguments: &[String]) -> ExitCode {
    let [verb, rest @ ..] = arguments else {
        return usage("say `list`, `run` or `outside`");
    };
    let (settings, names) = match Settings::parse(rest) {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error.to_string()),
    };
    let chosen: Vec<(Group, &Attack)> = Group::ALL
        .into_iter()
        .flat_map(|group| group.attacks().map(move |attack| (group, attack)))
        .filter(|(group, attack)| {
            names.is_empty() || names.iter().any(|name| name == attack.name || name == group.name())
        })
        .collect();
    let known =
        |name: &String| chosen.iter().any(|(group, attack)| name == attack.name || name.as_str() == group.name());
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return usage(&format!("there is no attack and no group `{unknown}`"));
    }
    match verb.as_str() {
        "list" => list(&chosen),
        "run" => run(&chosen, settings),
        "outside" => outside(&chosen, settings),
        other => usage(&format!("there is no `{other}`; say `list`, `run` or `outside`")),
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("attack-inside: {problem}");
    ExitCode::from(USAGE)
}

/// Writes one line; where the reader has gone there is nobody to tell.
fn line(value: &impl serde::Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
}

fn list(chosen: &[(Group, &Attack)]) -> ExitCode {
    for (group, attack) in chosen {
        line(&serde_json::json!({
            "name": attack.name,
            "group": group.name(),
            "what": attack.what,
            "reference": attack.reference,
            "layer": attack.layer,
            "expected": attack.expect.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
    }
    ExitCode::SUCCESS
}

fn run(chosen: &[(Group, &Attack)], settings: Settings) -> ExitCode {
    let context = Context::inside(settings);
    finish(chosen.iter().map(|(group, attack)| attack.report_inside(*group, &context)))
}

fn outside(chosen: &[(Group, &Attack)], settings: Settings) -> ExitCode {
    let base = std::env::temp_dir().join(format!("nanoclaw-attack-{}", std::process::id()));
    let context = match Context::outside(settings, &base) {
        Ok(context) => context,
        Err(error) => return usage(&format!("cannot prepare `{}`: {error}", base.display())),
    };
    let code = finish(chosen.iter().filter_map(|(group, attack)| attack.report_outside(*group, &context)));
    let _ = std::fs::remove_dir_all(&base);
    code
}

fn finish(reports: impl Iterator<Item = Report>) -> ExitCode {
    let mut summary = Summary::default();
    for report in reports {
        line(&report);
        summary.add(&report);
    }
    line(&serde_json::json!({ "summary": summary }));
    if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}
