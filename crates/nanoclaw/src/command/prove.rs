//! `nanoclaw policy prove`: what holds for every request that there can be.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_analysis::{Answer, LONGEST_PROOF, Prover, Statement, Subject};
use nanoclaw_config::{Config, ModelRef};
use nanoclaw_policy::{Generation, line};
use nanoclaw_request::CellId;
use nanoclaw_server::policies;

use crate::cli::Prove;
use crate::output::{self, FAILED, Failure};
use crate::terminal::visible;

/// A statement is refuted.
const REFUTED: u8 = 1;
/// None is refuted, and not all are proven.
const UNDECIDED: u8 = 2;

/// Proves, or shows why not.
pub fn main(arguments: &Prove) -> Result<ExitCode, Failure> {
    let config = nanoclaw_config::load(&arguments.config)?.config;
    let written = policies::read(&config).map_err(failed)?;
    let generation = policies::generation(&config, written);
    let statements = statements(&arguments.statement)?;
    let mut prover = Prover::new(arguments.solver.as_deref(), arguments.limit.unwrap_or(LONGEST_PROOF))?;
    let world = World { generation, aliases: aliases(&config) };
    let (mut proven, mut refuted, mut undecided) = (0_u64, 0_u64, 0_u64);
    for Stated { place, text, statement } in &statements {
        let of_agents = world.answers(&mut prover, statement).map_err(|error| failed(format!("{place}{error}")))?;
        let (shown, count) = match &of_agents {
            all if all.iter().any(|(_, answer)| matches!(answer, Answer::Refuted(_))) => ("refuted", &mut refuted),
            all if all.iter().all(|(_, answer)| matches!(answer, Answer::Proven | Answer::Empty)) => {
                ("proven", &mut proven)
            }
            _ => ("undecided", &mut undecided),
        };
        *count += 1;
        output::line(visible(&format!("{shown}: {text}")));
        for (about, answer) in &of_agents {
            match answer {
                Answer::Proven => {}
                Answer::Empty => output::line(visible(&format!("  {about}: there is no such request at all"))),
                Answer::Refuted(words) => {
                    output::line(visible(&format!("  {about}: nanoclaw policy explain {}", line(words))));
                }
                Answer::Undecided(why) => output::line(visible(&format!("  {about}: {why}"))),
            }
        }
    }
    output::line(format_args!("{proven} proven, {refuted} refuted, {undecided} undecided"));
    Ok(match (refuted, undecided) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(UNDECIDED),
        _ => ExitCode::from(REFUTED),
    })
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::with_status(error, FAILED)
}

/// What each alias stands for.
pub fn aliases(config: &Config) -> BTreeMap<String, Vec<String>> {
    let texts = |targets: &Vec<ModelRef>| targets.iter().map(ModelRef::to_string).collect();
    config.models.aliases.iter().map(|(name, targets)| (name.clone(), texts(targets))).collect()
}

struct Stated {
    /// `FILE:LINE: `; nothing for one that was typed.
    place: String,
    text: String,
    statement: Statement,
}

/// The statements of a file, or the one that was typed.
fn statements(typed: &str) -> Result<Vec<Stated>, Failure> {
    let lines: Vec<(String, String)> = if Statement::begins(typed) {
        vec![(String::new(), typed.to_owned())]
    } else {
        let text = std::fs::read_to_string(Path::new(typed)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => failed(format_args!(
                "`{typed}` is no statement, which begins with `never` or is `never-errors`, and there is no such file"
            )),
            _ => output::unreadable(Path::new(typed), &error),
        })?;
        let numbered = text.lines().zip(1_u64..);
        numbered.map(|(line, number)| (format!("{typed}:{number}: "), line.trim().to_owned())).collect()
    };
    let mut meant = lines.into_iter().filter(|(_, text)| !text.is_empty() && !text.starts_with('#')).peekable();
    if meant.peek().is_none() {
        let help = "write a line for each, such as `never analyst exec`";
        return Err(failed(format_args!("`{typed}` has no statement; {help}")));
    }
    let read = |(place, text): (String, String)| match Statement::parse(&text) {
        Ok(statement) => Ok(Stated { place, text, statement }),
        Err(error) => Err(failed(format!("{place}{error}"))),
    };
    meant.map(read).collect()
}

struct World {
    generation: Generation,
    aliases: BTreeMap<String, Vec<String>>,
}

impl World {
    fn subject<'a>(&'a self, agent: &'a CellId) -> Subject<'a> {
        Subject { generation: &self.generation, agent, aliases: &self.aliases }
    }

    /// What is found out about each agent, or about its policies.
    fn answers(&self, prover: &mut Prover, statement: &Statement) -> Result<Vec<(String, Answer)>, String> {
        match statement {
            Statement::Never(never) => {
                let agents = never.agents(&self.generation).map_err(|error| error.to_string())?;
                Ok(agents.iter().map(|id| (id.to_string(), prover.never(&self.subject(id), never))).collect())
            }
            Statement::NeverErrors => {
                let of_agent = |id: &CellId| {
                    let answers = prover.never_errors(&self.subject(id)).into_iter();
                    answers.map(|(policy, answer)| (format!("{id}, policy {policy}"), answer)).collect::<Vec<_>>()
                };
                Ok(self.generation.cells().flat_map(of_agent).collect())
            }
        }
    }
}
