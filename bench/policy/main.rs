//! Decisions per second of CPU time: fleets of 10, 100 and 1,000 agents with 100 policies each, of questions that are new
//! and of such that were asked before, beside plain Cedar with the policies of one such agent in one set. Prints a section
//! of docs/BENCHMARKS.md.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cedar_policy::{Authorizer, Context, Entities, EntityUid, PolicySet, Request, RestrictedExpression};
use nanoclaw_config::{Labels, ModelAccess, RuleSet, ToolRule, ToolRules, parse_net_rule};
use nanoclaw_identity::CellSockets;
use nanoclaw_policy::{CellRules, Engine, Generation, Policies, Verdict, Written, compile};
use nanoclaw_request::{
    Action, Arrived, CellId, Connect, Destination, DnsName, Door, Evidence, Exec, FileWrite, Host, HttpRequest,
    ModelCall, ModelOperation, ProposedCall, SessionId, Via,
};

/// How long each figure is measured.
const TIME: Duration = Duration::from_secs(3);
/// Network rules of one agent; each permits three actions, so it is three policies.
const NETWORKS: usize = 20;
/// Rules about tools.
const TOOLS: usize = 38;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    println!("{INTRODUCTION}");
    let mut rates = Vec::new();
    for agents in [10, 100, 1000] {
        for sets in [Vec::new(), RuleSet::ALL.to_vec()] {
            for questions in [NEW, REPEATED] {
                let rate = row(agents, &sets, questions)?;
                rates.extend((agents == 100 && sets.is_empty()).then_some((questions, rate)));
            }
        }
    }
    let plain = plain()?;
    println!("\n| goal, with 100 agents and no rule sets | measured | of plain Cedar | met |\n|---|---|---|---|");
    for (questions, rate) in rates {
        let (kind, met) = (kind(questions), if rate >= GOAL { "yes" } else { "**no**" });
        println!("| 100,000 decisions a second, {kind} questions | {rate:.0} | {:.1} × | {met} |", rate / plain);
    }
    Ok(())
}

/// Decisions in a second of CPU time.
const GOAL: f64 = 100_000.0;

/// How many different questions are asked in turn: more than are remembered, or fewer.
const NEW: usize = 60_013;
const REPEATED: usize = 61;

fn kind(questions: usize) -> &'static str {
    if questions == NEW { "new" } else { "repeated" }
}

const INTRODUCTION: &str = "
## Decisions of policy

One thread asks `Engine::decide` for a random agent of a fleet, each agent with 100 policies of its own: connections, HTTP
requests, tool calls with arguments, files, programs, model calls. Per second of CPU time; p50 and p99 are wall time of one
decision. `new` questions were never asked before; `repeated` ones were asked of this agent in this generation, as programs
do that open the same file again and again (tool and model calls are never remembered). Plain Cedar is `is_authorized`
with the same 100 policies in one set. See `bench/policy`.

| agents | policies | rule sets | questions | decisions a second | p50, µs | p99, µs | allowed |
|---|---|---|---|---|---|---|---|";

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn row(agents: usize, sets: &[RuleSet], questions: usize) -> Result<f64> {
    let mut generation = Generation::new(Arc::new(Written::default()), Labels::default(), sets.to_vec());
    let mut policies = 0;
    let ids = (0..agents)
        .map(|number| CellId::parse(&format!("agent-{number}")))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    for id in &ids {
        let rules = rules(id)?;
        policies += compile(id, &rules.networks, rules.models.as_ref()).len();
        generation = generation.with_cell(id.clone(), rules);
    }
    let store = Policies::new(generation);
    let engines: Vec<(Engine, CellSockets)> = ids
        .into_iter()
        .map(|id| {
            let sockets = CellSockets::of(id.clone(), SessionId::from_random([1; 16]));
            (Engine::of(store.clone(), id, Arc::default()), sockets)
        })
        .collect();
    let actions = actions(questions)?;
    let decide = |number: usize| {
        // Steps that share no factor with the lengths, so that every pair comes up.
        let (engine, sockets) = engines.get(number * 7 % engines.len())?;
        let action = actions.get(number % actions.len())?.clone();
        let proposed = sockets.identify(Arrived::now(Door::Egress, ())).propose(|()| Ok(action));
        Some(engine.decide(proposed))
    };
    // What each agent's policies come to is compiled with its first decision.
    (0..engines.len().max(4 * REPEATED) * 8).for_each(|number| drop(black_box(decide(number))));
    let (mut times, mut allowed) = (Vec::new(), 0_usize);
    let (begun, spent) = (Instant::now(), cpu());
    while begun.elapsed() < TIME {
        let at = Instant::now();
        let verdict = black_box(decide(times.len()));
        times.push(at.elapsed());
        allowed += usize::from(matches!(verdict, Some(Verdict::Allowed(_))));
    }
    let rate = times.len() as f64 / (cpu() - spent).as_secs_f64();
    let share = 100 * allowed / times.len();
    let (p50, p99) = quantiles(&mut times);
    let kind = kind(questions);
    println!("| {agents} | {policies} | {} | {kind} | {rate:.0} | {p50:.1} | {p99:.1} | {share} % |", sets.len());
    Ok(rate)
}

/// What 100 policies come to for whoever asks Cedar with all of them in one set.
fn plain() -> Result<f64> {
    let id = CellId::parse("agent-0")?;
    let rules = rules(&id)?;
    let texts: Vec<String> =
        compile(&id, &rules.networks, rules.models.as_ref()).into_iter().map(|policy| policy.text).collect();
    let set: PolicySet = texts.concat().parse()?;
    let uid = |text: &str| text.parse::<EntityUid>();
    let authorizer = Authorizer::new();
    let mut times = Vec::new();
    let (begun, spent) = (Instant::now(), cpu());
    while begun.elapsed() < TIME {
        let at = Instant::now();
        let context = Context::from_pairs([("vouched".to_owned(), RestrictedExpression::new_bool(true))])?;
        let resource = uid(&format!("Tool::\"tool-{}\"", times.len() % TOOLS))?;
        let request = Request::new(uid("Agent::\"agent-0\"")?, uid("Action::\"tool_call\"")?, resource, context, None)?;
        black_box(authorizer.is_authorized(&request, &set, &Entities::empty()));
        times.push(at.elapsed());
    }
    let rate = times.len() as f64 / (cpu() - spent).as_secs_f64();
    let (p50, p99) = quantiles(&mut times);
    println!("| 1, plain Cedar | {} | 0 | | {rate:.0} | {p50:.1} | {p99:.1} | |", texts.len());
    Ok(rate)
}

fn quantiles(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    (at(0.5), at(0.99))
}

fn rules(id: &CellId) -> Result<CellRules> {
    let networks = (0..NETWORKS)
        .map(|number| {
            parse_net_rule(&format!("agents.{id}.allowed_networks[{number}]"), &format!("*.host-{number}.example.com"))
        })
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let tool = |number: usize| ToolRule {
        id: format!("agents.{id}.tools.allow[{number}]"),
        name: format!("tool-{number}"),
        arguments: [("command".to_owned(), "git *".to_owned())].into(),
    };
    let tools = ToolRules { allow: Some((0..TOOLS).map(tool).collect()), deny: Vec::new() };
    let models = ModelAccess { model: Some("main/model".to_owned()), tools, ..ModelAccess::default() };
    Ok(CellRules { networks, models: Some(models), ..CellRules::default() })
}

/// So many different things that agents do; four fifths of them are allowed.
fn actions(count: usize) -> Result<Vec<Action>> {
    (0..count).map(action).collect()
}

fn action(number: usize) -> Result<Action> {
    let text = |text: &str| text.to_owned();
    let host = Host::Name(DnsName::parse(&format!("api-{number}.host-{}.example.com", number * 7 % (NETWORKS + 5)))?);
    let destination = Destination { host, port: 443 };
    Ok(match number % 12 {
        0..=2 => Action::Connect(Connect {
            destination: destination.clone(),
            via: Via::Transparent,
            evidence: Evidence::Http { host: destination },
            addresses: vec!["93.184.216.34".parse()?],
        }),
        3..=5 => {
            let path = format!("/v1/things/{number}");
            Action::Http(HttpRequest {
                connection: destination.clone(),
                host: destination,
                method: text("GET"),
                path,
                query: None,
            })
        }
        6..=7 => Action::ToolCall(ProposedCall {
            tool: format!("tool-{}", number % (TOOLS + 4)),
            call: format!("call-{number}"),
            arguments: Some(vec![(text("command"), format!("git status {number}"))]),
            written: String::new(),
            digest: String::new(),
            at_provider: false,
            traced: Vec::new(),
        }),
        8..=9 => Action::FileWrite(FileWrite { operation: "open", path: format!("/tmp/{number}"), obstacle: None }),
        10 => {
            let command = vec![text("true"), number.to_string()];
            Action::Exec(Exec { path: text("/bin/true"), command, obstacle: None })
        }
        _ => Action::CallModel(ModelCall {
            operation: ModelOperation::Chat,
            asked: text("main/model"),
            candidates: vec![text("main/model")],
            stream: true,
            messages: 12,
            bytes: 10_000,
            digest: number.to_string(),
            reserved_tokens: 4_000,
        }),
    })
}
