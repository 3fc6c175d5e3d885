//! `nanoclaw policy`: see what decides, and ask it.

mod diff;
mod learn;
mod replay;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use nanoclaw_audit::{Filter, Reader};
use nanoclaw_config::{Agent, Config, RuleSet};
use nanoclaw_policy::{BASE, Case, Engine, Policies, SCHEMA, Session, Would, Written, compile, rule_set_texts, words};
use nanoclaw_request::{Action, Refusal};
use nanoclaw_server::policies;

use crate::cli::Policy;
use crate::output::{self, FAILED, Failure};
use crate::terminal::visible;

/// A question is answered with no, or an expectation is not met.
const REFUSED: u8 = 1;

/// Shows, explains or tests.
pub fn main(state_dir: Option<&Path>, arguments: &Policy) -> Result<ExitCode, Failure> {
    match arguments {
        Policy::Schema => output::line(SCHEMA.trim_end()),
        Policy::Check { file, config } => return super::config::check(config.as_deref().unwrap_or(file)),
        Policy::Diff { old, new, json } => return diff::main(old, new, *json),
        Policy::Learn { config, agent, since, kinds, output } => {
            let question = learn::Question { config, agent, since: *since, kinds, output: output.as_deref() };
            return learn::main(state_dir, &question);
        }
        Policy::Prove(arguments) => return super::prove::main(arguments),
        Policy::Show { config, agent } => return Loaded::load(config)?.show(agent.as_deref()),
        Policy::Explain { config, seq: Some(seq), .. } => {
            let since = changed_since(state_dir, *seq)?;
            return Loaded::load(config)?.explain_record(&record(state_dir, *seq)?, since);
        }
        Policy::Explain { config, question, seq: None } => {
            let case = Case::parse(question).map_err(failed)?;
            return Loaded::load(config)?.explain(case);
        }
        Policy::Replay { config, agent, file } => {
            let loaded = Loaded::load(config)?;
            let agent = loaded.agent(agent).map_err(failed)?;
            return replay::main(loaded.policies(), agent, file);
        }
        Policy::Test { config, file } => {
            let table = match file.as_os_str() == "-" {
                true => io::read_to_string(io::stdin()),
                false => fs::read_to_string(file),
            };
            let table = table.map_err(|error| output::unreadable(file, &error))?;
            return Loaded::load(config)?.test(&file.display().to_string(), &table);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The record with this number.
fn record(state_dir: Option<&Path>, seq: u64) -> Result<String, Failure> {
    let state = super::fleet(state_dir)?;
    let numbered = |line: &String| {
        let record: Result<serde_json::Value, _> = serde_json::from_str(line);
        record.is_ok_and(|record| record.get("seq").and_then(serde_json::Value::as_u64) == Some(seq))
    };
    let behind = seq.saturating_sub(1);
    let mut records = Reader::open_behind(&state.audit(), Filter::default(), behind)?.filter_map(Result::ok);
    records.find(numbered).ok_or_else(|| failed(format!("the audit log has no record {seq}")))
}

/// The first record behind this one that tells of other policies, perhaps.
fn changed_since(state_dir: Option<&Path>, seq: u64) -> Result<Option<u64>, Failure> {
    let state = super::fleet(state_dir)?;
    let number = |line: String| {
        let record: serde_json::Value = serde_json::from_str(&line).ok()?;
        let action = record.get("action")?.as_str()?;
        ["policy_reloaded", "control_started"].contains(&action).then(|| record.get("seq")?.as_u64()).flatten()
    };
    let records = Reader::open_behind(&state.audit(), Filter::default(), seq)?;
    Ok(records.filter_map(Result::ok).find_map(number))
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::with_status(error, FAILED)
}

/// Whether a policy can be about an action: it names it, or names none.
fn about(text: &str, action: &str) -> bool {
    text.contains(action) || !text.contains("Action::\"")
}

/// A configuration and the policies of its files.
struct Loaded {
    config: Config,
    written: Arc<Written>,
}

impl Loaded {
    fn load(file: &Path) -> Result<Self, Failure> {
        let config = nanoclaw_config::load(file)?.config;
        let written = policies::read(&config).map_err(failed)?;
        Ok(Self { config, written })
    }

    fn show(&self, only: Option<&str>) -> Result<ExitCode, Failure> {
        if let Some(id) = only {
            self.agent(id).map_err(failed)?;
        }
        output::line(BASE.trim_end());
        for agent in self.config.agents.iter().filter(|agent| only.is_none_or(|id| agent.id.as_str() == id)) {
            let access = policies::access(&self.config, agent);
            output::line(format_args!("\n// Agent {}.", agent.id));
            for policy in compile(&agent.id, &agent.allowed_networks, access.as_ref()) {
                output::line(format_args!("\n{}", policy.text));
            }
        }
        let shown = |agent: &&Agent| only.is_none_or(|id| agent.id.as_str() == id);
        let of_agent = |agent: &Agent| agent.rule_sets.clone().unwrap_or_else(|| self.config.rule_sets.clone());
        let sets: BTreeSet<RuleSet> = self.config.agents.iter().filter(shown).flat_map(of_agent).collect();
        for set in sets {
            output::line(format_args!("\n// Rule set {}.", set.name()));
            rule_set_texts(set).iter().for_each(|text| output::line(format_args!("\n{text}")));
        }
        for policy in self.written.texts() {
            output::line(format_args!("\n{policy}"));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn explain(&self, case: Case) -> Result<ExitCode, Failure> {
        let walls = match &case.action {
            Action::FileWrite(_) => Some("write"),
            Action::Exec(_) => Some("run"),
            _ => None,
        };
        match self.decide(case).map_err(failed)? {
            Ok(Would { policies, asking }) => {
                let by = |id: &String| output::line(format_args!("  by {}", visible(id)));
                match asking {
                    None => output::line("allowed"),
                    Some(asking) => {
                        output::line(format_args!("allowed if people agree: {}", visible(&asking.why)));
                        asking.policies.iter().for_each(by);
                    }
                }
                policies.iter().for_each(by);
                if let Some(what) = walls {
                    output::line(format_args!(
                        "  policies were asked, not the walls of the cell: what it can {what} is also for `mounts` and `sandbox_mode`"
                    ));
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(refusal) => {
                output::line(format_args!("refused: {}", visible(&refusal.reason)));
                if !refusal.help.is_empty() {
                    output::line(format_args!("  {}", visible(&refusal.help)));
                }
                Ok(ExitCode::from(REFUSED))
            }
        }
    }

    /// The record, and the policies that it names as they stand now.
    fn explain_record(&self, line: &str, since: Option<u64>) -> Result<ExitCode, Failure> {
        output::line(nanoclaw_audit::render(line));
        let record: serde_json::Value = serde_json::from_str(line)?;
        let text = |key: &str| record.get(key).and_then(serde_json::Value::as_str);
        if let Some(help) = text("help") {
            output::line(format_args!("  {}", visible(help)));
        }
        let all_of = |key: &str| -> Vec<&str> {
            let all = record.get(key).and_then(serde_json::Value::as_array);
            all.map(|all| all.iter().filter_map(serde_json::Value::as_str).collect()).unwrap_or_default()
        };
        let (named, agreed) = (all_of("policy_ids"), all_of("approved_by"));
        if !agreed.is_empty() {
            output::line(format_args!("  agreed to by {}", visible(&agreed.join(", "))));
        }
        if named.is_empty() && text("result") == Some("denied") {
            output::line("  no policy permits it");
        }
        let mut texts: Vec<String> = nanoclaw_policy::base_texts();
        for agent in self.config.agents.iter().filter(|agent| text("agent_id") == Some(agent.id.as_str())) {
            let access = policies::access(&self.config, agent);
            texts.extend(compile(&agent.id, &agent.allowed_networks, access.as_ref()).into_iter().map(|p| p.text));
        }
        texts.extend(RuleSet::ALL.into_iter().flat_map(rule_set_texts));
        texts.extend(self.written.texts());
        if let Some(seq) = since.filter(|_| !named.is_empty()) {
            output::line(format_args!(
                "\n// the configuration was read again since, with record {seq}: these are the policies as they are now"
            ));
        }
        let action = format!("Action::\"{}\"", text("action").unwrap_or_default());
        for id in named {
            let mark = format!("@id(\"{}\")", id.escape_default());
            let mut found = texts.iter().filter(|text| text.contains(&mark) && about(text, &action)).peekable();
            if found.peek().is_none() {
                output::line(format_args!("\n// {}: the configuration has it no more", visible(id)));
            }
            found.for_each(|text| output::line(format_args!("\n{}", text.trim())));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn test(&self, name: &str, table: &str) -> Result<ExitCode, Failure> {
        let (mut met, mut missed) = (0_u64, 0_u64);
        for (number, line) in table.lines().enumerate() {
            let at =
                |what: &dyn std::fmt::Display| Failure::with_status(format!("{name}:{}: {what}", number + 1), FAILED);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words = words(line).map_err(|error| at(&error))?;
            let [expected, question @ ..] = words.as_slice() else { continue };
            if !["allow", "ask", "deny"].contains(&expected.as_str()) {
                return Err(at(&format!("`{expected}` is neither `allow` nor `ask` nor `deny`")));
            }
            let decided =
                self.decide(Case::parse(question).map_err(|error| at(&error))?).map_err(|unknown| at(&unknown))?;
            let found = match &decided {
                Ok(Would { asking: None, .. }) => "allow",
                Ok(Would { asking: Some(_), .. }) => "ask",
                Err(_) => "deny",
            };
            if found == expected {
                met += 1;
                continue;
            }
            missed += 1;
            let said = match decided {
                Ok(Would { policies, asking: None }) => format!("allowed by {}", policies.join(", ")),
                Ok(Would { asking: Some(asking), .. }) => format!("people are asked by {}", asking.policies.join(", ")),
                Err(refusal) => format!("refused: {refusal}"),
            };
            output::line(visible(&format!("{name}:{}: {line}: {said}", number + 1)));
        }
        if met + missed == 0 {
            let help = "write lines such as `allow analyst tool_call shell`";
            return Err(failed(format_args!("`{name}` expects nothing; {help}")));
        }
        output::line(format_args!("{met} as expected, {missed} not"));
        Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
    }

    fn policies(&self) -> Policies {
        Policies::new(policies::generation(&self.config, Arc::clone(&self.written)))
    }

    fn agent(&self, id: &str) -> Result<&Agent, String> {
        let agent = self.config.agents.iter().find(|agent| agent.id.as_str() == id);
        agent.ok_or_else(|| format!("the configuration has no agent `{}`", visible(id)))
    }

    /// What would be decided. The error is that there is no such agent.
    fn decide(&self, case: Case) -> Result<Result<Would, Refusal>, String> {
        let agent = self.agent(case.agent.as_str())?;
        let mut action = case.action;
        if let Action::CallModel(call) = &mut action {
            policies::resolve(&self.config, &agent.id, call);
        }
        let policies = self.policies();
        let session = Arc::new(Session::resumed(case.session));
        Ok(Engine::of(policies, agent.id.clone(), session).would(&action))
    }
}
