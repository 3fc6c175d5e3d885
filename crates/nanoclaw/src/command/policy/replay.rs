//! `nanoclaw policy replay`: play recorded sessions through the model door's path.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_config::Agent;
use nanoclaw_llm::{Played, Replay};
use nanoclaw_policy::Policies;

use crate::output::{self, FAILED, Failure};

/// Longest session in bytes.
const MAX_SESSION: u64 = 64 * 1024 * 1024;

/// Plays the sessions of `file`, a line of JSON each, and prints a line for each of them.
pub(super) fn main(policies: Policies, agent: &Agent, file: &Path) -> Result<ExitCode, Failure> {
    let shown = file.display();
    let failed = |what: &dyn std::fmt::Display| Failure::with_status(format!("{shown}: {what}"), FAILED);
    let mut input: Box<dyn BufRead> = match file.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(file).map_err(|error| output::unreadable(file, &error))?)),
    };
    let replay = Replay::new(policies, agent);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let length = (&mut input).take(MAX_SESSION).read_until(b'\n', &mut line).map_err(|error| failed(&error))?;
        if length == 0 || output::unread() {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let at = |what: &dyn std::fmt::Display| Failure::with_status(format!("{shown}:{number}: {what}"), FAILED);
        if line.len() as u64 == MAX_SESSION {
            return Err(at(&format!("a session is longer than {MAX_SESSION} bytes")));
        }
        let played: Played = serde_json::from_slice(&line).map_err(|error| at(&error))?;
        output::line(serde_json::to_string(&replay.play(played))?);
    }
    Ok(ExitCode::SUCCESS)
}
