//! `nanoclaw firewall quarantine`: what the prompt firewall keeps from agents' models until a person decides.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use nanoclaw_gate::{Shelf, State, Withheld};
use nanoclaw_server::control::{Client, Reply, Request};
use nanoclaw_server::state::State as Place;
use serde_json::{Value, json};

use crate::cli::{Quarantine, Withheld as What};
use crate::output::{self, Failure};
use crate::terminal::{json as json_line, visible};

/// Lists, shows, releases or drops.
pub fn main(state_dir: Option<&Path>, arguments: &Quarantine) -> Result<ExitCode, Failure> {
    let place = super::fleet(state_dir)?;
    match &arguments.what {
        What::List { agent, json } => list(&place, agent.as_deref(), *json)?,
        What::Show { agent, id, json } => show(&look(&place, agent, Some(id))?, agent, *json)?,
        What::Release { agent, id } => decide(&place, agent, id, true)?,
        What::Drop { agent, id } => decide(&place, agent, id, false)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn look(place: &Place, agent: &str, id: Option<&str>) -> Result<Shelf, Failure> {
    match Client::connect(place)?
        .ask(&Request::Quarantine { cell: agent.to_owned(), id: id.map(str::to_owned) }, &[])?
    {
        Reply::Withheld(shelf) => Ok(shelf),
        _ => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
    }
}

fn decide(place: &Place, agent: &str, id: &str, release: bool) -> Result<(), Failure> {
    let request = Request::QuarantineDecide { cell: agent.to_owned(), id: id.to_owned(), release };
    Client::connect(place)?.ask(&request, &[])?;
    Ok(())
}

fn list(place: &Place, agent: Option<&str>, json: bool) -> Result<(), Failure> {
    let agents = match agent {
        Some(agent) => vec![agent.to_owned()],
        None => match Client::connect(place)?.ask(&Request::List, &[])? {
            Reply::Cells(agents) => agents.into_iter().map(|agent| agent.id.to_string()).collect(),
            _ => return Err(io::Error::from(io::ErrorKind::InvalidData).into()),
        },
    };
    let width = agents.iter().map(String::len).max().unwrap_or(0).max(5);
    if !json {
        output::line(format_args!(
            "{:width$}  {:16}  {:8}  {:20}  {:5}  FROM",
            "AGENT", "ID", "STATE", "SINCE", "SCORE"
        ));
    }
    for agent in agents {
        let shelf = look(place, &agent, None)?;
        for withheld in &shelf.withheld {
            if json {
                output::line(json_line(&object(&agent, withheld).to_string()));
                continue;
            }
            let Withheld { at, score, source, channel, .. } = withheld;
            let from = if source.is_empty() { channel } else { source };
            let (id, state) = (withheld.id(), word(withheld.state));
            let line = format!("{agent:width$}  {id:16}  {state:8}  {:20}  {score:>5}  {from}", format!("{at:.0}"));
            output::line(visible(&line));
        }
        if shelf.unkept > 0 {
            output::notice(format_args!(
                "{} more were withheld from `{agent}` and not kept, as its quarantine is full; release or drop some",
                shelf.unkept
            ));
        }
    }
    Ok(())
}

fn show(shelf: &Shelf, agent: &str, json: bool) -> Result<(), Failure> {
    let [withheld] = shelf.withheld.as_slice() else { return Err(io::Error::from(io::ErrorKind::InvalidData).into()) };
    if json {
        output::line(json_line(&object(agent, withheld).to_string()));
        return Ok(());
    }
    let Withheld { at, score, source, channel, why, by, sha256, text, .. } = withheld;
    let mut lines = vec![
        format!("agent   {agent}"),
        format!("from    {}", if source.is_empty() { channel } else { source }),
        format!("since   {at:.0}"),
        format!("score   {score} of 1000"),
        format!("why     {why}"),
        format!("sha256  {sha256}"),
        format!("state   {}", word(withheld.state)),
    ];
    if !by.is_empty() {
        lines.push(format!("by      {by}"));
    }
    if withheld.state == State::Held {
        lines.push(String::new());
        lines.push(text.clone());
    }
    output::line(visible(&lines.join("\n")));
    Ok(())
}

fn object(agent: &str, withheld: &Withheld) -> Value {
    let Withheld { sha256, channel, source, score, why, at, state: _, by, text } = withheld;
    json!({
        "agent": agent, "id": withheld.id(), "state": word(withheld.state), "since": format!("{at:.0}"), "score": score,
        "channel": channel, "source": source, "why": why, "by": by, "sha256": sha256, "text": text,
    })
}

const fn word(state: State) -> &'static str {
    match state {
        State::Held => "held",
        State::Released => "released",
        State::Dropped => "dropped",
    }
}
