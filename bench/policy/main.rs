//! Decisions per second of one core: fleets of 10, 100 and 1,000 agents with 100 policies each, beside plain Cedar asked
//! with the policies of one such agent in one set. Prints a Markdown table.

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
    println!("| agents | policies | rule sets | decisions/s | p50, µs | p99, µs | allowed |\n|---|---|---|---|---|---|---|");
    for agents in [10, 100, 1000] {
        for sets in [Vec::new(), RuleSet::ALL.to_vec()] {
            row(agents, &sets)?;
        }
    }
    plain()
}

fn row(agents: usize, sets: &[RuleSet]) -> Result<()> {
    let mut generation = Generation::new(Arc::new(Written::default()), Labels::default(), sets.to_vec());
    let mut policies = 0;
    let ids = (0..agents).map(|number| CellId::parse(&format!("agent-{number}"))).collect::<std::result::Result<Vec<_>, _>>()?;
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
    let actions = actions()?;
    let decide = |number: usize| {
        // Steps that share no factor with the lengths, so that every pair comes up.
        let (engine, sockets) = engines.get(number * 7 % engines.len())?;
        let action = actions.get(number % actions.len())?.clone();
        let proposed = sockets.identify(Arrived::now(Door::Egress, ())).propose(|()| Ok(action));
        Some(engine.decide(proposed))
    };
    // What each agent's policies come to is compiled with its first decision.
    (0..engines.len() * actions.len()).for_each(|number| drop(black_box(decide(number))));
    let (mut times, mut allowed) = (Vec::new(), 0_usize);
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        let at = Instant::now();
        let verdict = black_box(decide(times.len()));
        times.push(at.elapsed());
        allowed += usize::from(matches!(verdict, Some(Verdict::Allowed(_))));
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    let share = 100 * allowed / times.len();
    let (p50, p99) = quantiles(&mut times);
    println!("| {agents} | {policies} | {} | {rate:.0} | {p50:.1} | {p99:.1} | {share} % |", sets.len());
    Ok(())
}

/// What 100 policies come to for whoever asks Cedar with all of them in one set.
fn plain() -> Result<()> {
    let id = CellId::parse("agent-0")?;
    let rules = rules(&id)?;
    let texts: Vec<String> = compile(&id, &rules.networks, rules.models.as_ref()).into_iter().map(|policy| policy.text).collect();
    let set: PolicySet = texts.concat().parse()?;
    let uid = |text: &str| text.parse::<EntityUid>();
    let authorizer = Authorizer::new();
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        let at = Instant::now();
        let context = Context::from_pairs([("vouched".to_owned(), RestrictedExpression::new_bool(true))])?;
        let resource = uid(&format!("Tool::\"tool-{}\"", times.len() % TOOLS))?;
        let request = Request::new(uid("Agent::\"agent-0\"")?, uid("Action::\"tool_call\"")?, resource, context, None)?;
        black_box(authorizer.is_authorized(&request, &set, &Entities::empty()));
        times.push(at.elapsed());
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    let (p50, p99) = quantiles(&mut times);
    println!("| 1, plain Cedar | {} | 0 | {rate:.0} | {p50:.1} | {p99:.1} | |", texts.len());
    Ok(())
}

fn quantiles(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    (at(0.5), at(0.99))
}

fn rules(id: &CellId) -> Result<CellRules> {
    let networks = (0..NETWORKS)
        .map(|number| parse_net_rule(&format!("agents.{id}.allowed_networks[{number}]"), &format!("*.host-{number}.example.com")))
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

/// What agents do, about two thirds of it allowed.
fn actions() -> Result<Vec<Action>> {
    let mut all = Vec::new();
    for number in 0..NETWORKS + 10 {
        let host = Host::Name(DnsName::parse(&format!("api.host-{number}.example.com"))?);
        let destination = Destination { host, port: 443 };
        all.push(Action::Connect(Connect {
            destination: destination.clone(),
            via: Via::Transparent,
            evidence: Evidence::Http { host: destination.clone() },
            addresses: vec!["93.184.216.34".parse()?],
        }));
        let (method, path) = ("GET".to_owned(), "/v1/things".to_owned());
        all.push(Action::Http(HttpRequest { connection: destination.clone(), host: destination, method, path }));
        let command = if number % 3 == 0 { "rm -rf /" } else { "git status" };
        all.push(Action::ToolCall(ProposedCall {
            tool: format!("tool-{number}"),
            call: "call-1".to_owned(),
            arguments: Some(vec![("command".to_owned(), command.to_owned())]),
            digest: String::new(),
            at_provider: false,
            traced: Vec::new(),
        }));
        all.push(Action::FileWrite(FileWrite { operation: "open", path: format!("/tmp/{number}"), obstacle: None }));
        all.push(Action::Exec(Exec { path: "/bin/true".to_owned(), command: vec!["true".to_owned()], obstacle: None }));
    }
    all.push(Action::CallModel(ModelCall {
        operation: ModelOperation::Chat,
        asked: "main/model".to_owned(),
        candidates: vec!["main/model".to_owned()],
        stream: true,
        messages: 12,
        bytes: 10_000,
        digest: String::new(),
        reserved_tokens: 4_000,
    }));
    Ok(all)
}
