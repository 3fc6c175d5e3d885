//! `nanoclaw doctor`: what this host offers, and whether a cell on it holds.

use std::path::Path;
use std::process::ExitCode;

use nanoclaw_sandbox::doctor::{Layer, examine};
use nanoclaw_server::proof;
use nanoclaw_vault::tls;
use serde_json::{Value, json};

use crate::cli::Doctor;
use crate::output::{self, Failure};

/// Examines, or attacks. Fails if a required layer is missing, or if an attack succeeded.
pub fn main(state_dir: Option<&Path>, arguments: &Doctor) -> Result<ExitCode, Failure> {
    let state = super::state(state_dir)?;
    super::with_plane(state, None, false, async |plane| {
        if arguments.attack {
            let (reports, stopped) = proof::attack(&plane).await?;
            print_attacks(&reports, arguments.json);
            return Ok(if stopped { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        let layers = examine(plane.launcher.cgroups());
        let trial = proof::trial(&plane).await.map_err(|error| error.to_string());
        let ready = trial.is_ok() && layers.iter().all(|layer| layer.present || !layer.required);
        if arguments.json {
            output::line(json!({ "ready": ready, "layers": layers, "fips": tls::is_fips(), "trial": trial.err() }));
        } else {
            print_layers(&layers, &trial);
        }
        Ok(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn print_layers(layers: &[Layer], trial: &Result<(), String>) {
    for layer in layers {
        let state = match (layer.present, layer.required) {
            (true, _) => "ok",
            (false, true) => "MISSING",
            (false, false) => "absent",
        };
        output::line(format_args!("{state:8} {:26} {}", layer.name, layer.detail));
        if !layer.present {
            output::line(format_args!("{:35} to mend: {}", "", layer.mend));
        }
    }
    let (state, module) = match tls::is_fips() {
        true => ("ok", "all of it is done by AWS-LC's FIPS module, which tested itself at this start"),
        false => ("absent", "AWS-LC without its FIPS module, as this program was built"),
    };
    output::line(format_args!("{state:8} {:26} {module}", "FIPS cryptography"));
    match trial {
        Ok(()) => output::line(format_args!("{:8} {:26} a cell was built, ran and ended", "ok", "trial")),
        Err(error) => output::line(format_args!("{:8} {:26} {error}", "FAILED", "trial")),
    }
}

/// The attack list as a table, one line each, and the summary; or the reports as they are.
fn print_attacks(reports: &str, as_json: bool) {
    if as_json {
        output::line(reports.trim_end());
        return;
    }
    for line in reports.lines() {
        let Ok(report) = serde_json::from_str::<Value>(line) else { continue };
        let text = |key: &str| report.get(key).and_then(Value::as_str).unwrap_or("");
        if let Some(summary) = report.get("summary") {
            print_summary(summary);
        } else {
            let state = match (report.get("ok").and_then(Value::as_bool), text("outcome")) {
                (Some(true), "not-applicable") => "skipped",
                (Some(true), _) => "stopped",
                _ => "FAILED",
            };
            output::line(format_args!(
                "{state:8} {:10} {:44} {} {}",
                text("group"),
                text("name"),
                text("layer"),
                text("detail")
            ));
        }
    }
}

fn print_summary(summary: &Value) {
    let number = |key: &str| summary.get(key).and_then(Value::as_u64).unwrap_or(0);
    output::line(format_args!("{} attacks tried, {} stopped", number("tried"), number("stopped")));
    let lists = [
        ("failed", "got through"),
        ("controls_failed", "prove nothing, as their control failed"),
        ("not_applicable", "skipped"),
    ];
    for (key, meaning) in lists {
        let names: Vec<_> =
            summary.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if !names.is_empty() {
            output::line(format_args!("{meaning}: {}", names.join(", ")));
        }
    }
}
