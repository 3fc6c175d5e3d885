//! Questions that two configurations could answer differently, as their rules and policies suggest them.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use cedar_policy::Policy;
use nanoclaw_config::{BUILTIN_TOOLS, HostPattern, IpNet, ModelAccess, NetRule, NetTarget, ToolRule};
use nanoclaw_request::{CellId, DnsName};

use super::Side;
use super::literals::{ANYTHING, Literals};
use crate::compile::literal;
use crate::tools;

/// Most questions that one policy of a file suggests about one agent.
const MOST_OF_ONE: usize = 200;
/// Longest question, in bytes; longer ones are left out.
const LONGEST_QUESTION: usize = 500;
/// Most places of an agent's own rules that each of them is asked about.
const MOST_PLACES: usize = 16;
/// What stands for the names that no rule has.
const SOME_HOST: &str = "some.example.com";
const SOME_TOOL: &str = "some_tool";
const SOME_MODEL: &str = "some/model";
const SOME_FILE: &str = "/some/file";
const SOME_CALL: &str = "some_call";

/// Questions about agents, each once.
pub(super) struct Probes {
    most: usize,
    seen: HashSet<(CellId, Vec<String>)>,
    /// What is likely to be answered differently, and all else.
    likely: Vec<(CellId, Vec<String>)>,
    others: Vec<(CellId, Vec<String>)>,
    left_out: usize,
}

/// What an agent may use where a policy of a file says nothing.
struct Known {
    places: Vec<String>,
    models: BTreeSet<String>,
    tools: BTreeSet<String>,
}

/// The questions about one agent that are being collected.
struct Asking<'p> {
    probes: &'p mut Probes,
    cell: &'p CellId,
    likely: bool,
}

impl Probes {
    /// None yet, and at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { most, seen: HashSet::new(), likely: Vec::new(), others: Vec::new(), left_out: 0 }
    }

    /// Those about one agent.
    pub(super) fn of(&mut self, cell: &CellId, before: &Side<'_>, after: &Side<'_>) {
        let sides = [before, after];
        let rules = sides.map(|side| side.generation.rules(cell));
        let [old, new] = &rules;
        let mut asking = Asking { probes: self, cell, likely: true };
        let same = |one: &NetRule, other: &NetRule| one.target == other.target;
        for (rules, others) in [(old, new), (new, old)] {
            for rule in &rules.networks {
                asking.likely = !others.networks.iter().any(|other| same(rule, other));
                asking.network(rule);
            }
        }
        let texts = sides.map(|side| side.generation.written().texts().collect::<BTreeSet<_>>());
        let [old_texts, new_texts] = &texts;
        let access = [old.models.as_ref(), new.models.as_ref()];
        let known = Known {
            places: old.networks.iter().chain(&new.networks).filter_map(one_place).take(MOST_PLACES).collect(),
            models: access.into_iter().flatten().filter_map(|access| access.model.clone()).collect(),
            tools: tool_names(&sides, access),
        };
        for (side, others) in [(before, new_texts), (after, old_texts)] {
            for policy in side.generation.written().policies() {
                asking.likely = !others.contains(&policy.to_string());
                asking.policy(policy, &known);
            }
        }
        asking.likely = old.models != new.models;
        for access in [old, new].into_iter().filter_map(|rules| rules.models.as_ref()) {
            asking.models(access);
            access.tools.allow.iter().flatten().chain(&access.tools.deny).for_each(|rule| asking.tool_rule(rule));
        }
        before.models.iter().chain(&after.models).for_each(|name| asking.ask("model_call", name, &[]));
        asking.likely = false;
        for name in &known.tools {
            asking.tool(name, &sides);
        }
        asking.unknown();
    }

    /// How many there were beyond the most.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    /// The likely ones first.
    pub(super) fn into_questions(self) -> Vec<(CellId, Vec<String>)> {
        let mut questions = self.likely;
        questions.extend(self.others);
        questions
    }
}

impl Asking<'_> {
    /// Action, resource and the pairs behind it.
    fn ask(&mut self, action: &str, resource: &str, pairs: &[String]) {
        let mut words = vec![action.to_owned(), resource.to_owned()];
        words.extend_from_slice(pairs);
        // What cannot stand in a line is asked by no person.
        let long = words.iter().map(String::len).sum::<usize>() > LONGEST_QUESTION;
        if long || words.iter().any(|word| word.chars().any(char::is_control)) {
            self.probes.left_out += 1;
            return;
        }
        let question = (self.cell.clone(), words);
        if self.probes.seen.contains(&question) {
            return;
        }
        let full = self.probes.likely.len() + self.probes.others.len() >= self.probes.most;
        // What is likely to matter takes the place of what is not.
        if full && !(self.likely && self.probes.others.pop().is_some()) {
            self.probes.left_out += 1;
            return;
        }
        if full {
            self.probes.left_out += 1;
        }
        self.probes.seen.insert(question.clone());
        if self.likely { self.probes.likely.push(question) } else { self.probes.others.push(question) }
    }

    fn network(&mut self, rule: &NetRule) {
        match &rule.target {
            NetTarget::Host { pattern, ports, addresses, .. } => {
                for name in named(pattern) {
                    self.ask("net_resolve", &name, &[]);
                    for port in ports {
                        self.connect(&format!("{name}:{port}"), addresses);
                    }
                }
            }
            NetTarget::Cidr { net, ports, .. } => {
                for (address, port) in ends(net).into_iter().flat_map(|end| ports.iter().map(move |port| (end, port))) {
                    self.connect(&place(address, *port), &[]);
                }
            }
            NetTarget::HostService { address } => self.connect(&address.to_string(), &[]),
        }
    }

    /// A connection as TLS or HTTP and as anything else, to public addresses and to these.
    fn connect(&mut self, place: &str, addresses: &[IpNet]) {
        self.ask("net_connect", place, &[]);
        self.ask("net_connect", place, &["evidence=opaque".to_owned()]);
        self.ask("http_request", place, &[]);
        for address in addresses.iter().flat_map(ends) {
            self.ask("net_connect", place, &[format!("address={address}")]);
        }
    }

    fn models(&mut self, access: &ModelAccess) {
        let named = access.allow.iter().chain(&access.deny).map(|pattern| described(pattern));
        let own = access.model.iter().cloned().chain(["default".to_owned()]);
        named.chain(own).collect::<BTreeSet<_>>().iter().for_each(|name| self.ask("model_call", name, &[]));
    }

    fn tool_rule(&mut self, rule: &ToolRule) {
        let pairs: Vec<String> =
            rule.arguments.iter().map(|(key, pattern)| format!("{key}={}", described(pattern))).collect();
        self.ask("tool_call", &described(&rule.name), &pairs);
        self.ask("tool_call", &described(&rule.name), &["at_provider=true".to_owned()]);
    }

    /// A tool, with the arguments that say where a call goes.
    fn tool(&mut self, name: &str, sides: &[&Side<'_>; 2]) {
        self.ask("tool_call", name, &[]);
        self.ask("tool_call", name, &["at_provider=true".to_owned()]);
        for side in sides {
            let facts = tools::facts(side.generation.labels(), name);
            let destinations = facts.destinations.unwrap_or_else(|| vec!["to".to_owned()]);
            destinations.iter().take(1).for_each(|key| self.ask("tool_call", name, &[format!("{key}={ANYTHING}")]));
            for (key, values) in &facts.allow {
                values.iter().for_each(|value| self.ask("tool_call", name, &[format!("{key}={}", described(value))]));
            }
        }
    }

    /// One of everything that nobody named.
    fn unknown(&mut self) {
        let to = format!("{SOME_HOST}:443");
        self.ask("net_resolve", SOME_HOST, &[]);
        self.connect(&to, &[]);
        self.ask("net_datagram", "192.0.2.1:53", &[]);
        self.ask("file_write", SOME_FILE, &[]);
        self.ask("exec", SOME_FILE, &[]);
        self.ask("syscall", SOME_CALL, &[]);
        self.ask("model_call", SOME_MODEL, &[]);
    }

    /// What a policy of a file could be about.
    fn policy(&mut self, policy: &Policy, known: &Known) {
        let literals = Literals::of(policy);
        let texts = || literals.texts.iter().cloned();
        let rooted = |text: String| if text.starts_with('/') { text } else { format!("/{text}") };
        let paths: Vec<String> = texts().filter(|text| text.contains('/')).map(rooted).collect();
        let left = self.probes.seen.len() + MOST_OF_ONE;
        for action in &literals.actions {
            let resources = match *action {
                "net_resolve" => hosts(&literals),
                "net_connect" | "http_request" => {
                    with_ports(&hosts(&literals), &literals).into_iter().chain(known.places.clone()).collect()
                }
                "net_datagram" => {
                    let is_address = |host: &String| host.parse::<IpAddr>().is_ok();
                    let hosts: Vec<String> = hosts(&literals).into_iter().filter(is_address).collect();
                    with_ports(&hosts, &literals)
                }
                "file_write" => or(literals.ids("File").into_iter().chain(paths.clone()).collect(), SOME_FILE),
                "exec" => or(literals.ids("Program").into_iter().chain(paths.clone()).collect(), SOME_FILE),
                "syscall" => or(literals.ids("SystemCall").into_iter().chain(texts()).collect(), SOME_CALL),
                "model_call" => {
                    let named = literals.ids("Model").into_iter().chain(texts()).chain(known.models.clone());
                    or(named.collect(), SOME_MODEL)
                }
                _ => {
                    let named: Vec<String> = literals.ids("Tool").into_iter().chain(texts()).collect();
                    if literals.ids("Tool").is_empty() {
                        named.into_iter().chain(known.tools.clone()).collect()
                    } else {
                        named
                    }
                }
            };
            let pairs = pairs(action, &literals, &paths);
            for resource in &resources {
                for pairs in &pairs {
                    if self.probes.seen.len() >= left {
                        self.probes.left_out += 1;
                        continue;
                    }
                    self.ask(action, resource, pairs);
                }
            }
        }
    }
}

/// What can stand behind a resource for a policy: nothing, each pair alone, and all of them.
fn pairs(action: &str, literals: &Literals, paths: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut each = |key: &str, values: &mut dyn Iterator<Item = &String>| {
        all.extend(values.map(|value| vec![format!("{key}={value}")]));
    };
    let is_method = |text: &&String| !text.is_empty() && text.chars().all(|c| c.is_ascii_uppercase());
    let mut addresses: Vec<String> = literals
        .texts
        .iter()
        .flat_map(|text| nets(text))
        .flat_map(|net| ends(&net))
        .map(|end| end.to_string())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    match action {
        "net_connect" => {
            each("evidence", &mut ["opaque".to_owned(), "silent".to_owned()].iter());
            let special = ["10.0.0.1".to_owned(), "169.254.169.254".to_owned()];
            each("address", &mut addresses.iter().chain(&special));
        }
        "http_request" => {
            each("method", &mut literals.texts.iter().filter(is_method));
            each("path", &mut paths.iter());
        }
        "exec" => each("command", &mut literals.texts.iter()),
        "syscall" => each("detail", &mut literals.texts.iter()),
        "tool_call" => {
            for key in literals.keys.iter().filter(|key| !key.contains('=')) {
                each(key, &mut literals.texts.iter());
            }
        }
        _ => {}
    }
    all
}

/// The names of tools that either side knows.
fn tool_names(sides: &[&Side<'_>; 2], access: [Option<&ModelAccess>; 2]) -> BTreeSet<String> {
    let rules = access.into_iter().flatten();
    let ruled = rules.flat_map(|access| access.tools.allow.iter().flatten().chain(&access.tools.deny));
    let labelled = sides.iter().flat_map(|side| side.generation.labels().tools.iter().map(|label| &label.name));
    let patterns = ruled.map(|rule| &rule.name).chain(labelled).map(|pattern| described(pattern));
    patterns.chain(BUILTIN_TOOLS.map(str::to_owned)).chain([SOME_TOOL.to_owned()]).collect()
}

/// A text that a pattern describes, in which only `*` is special.
fn described(pattern: &str) -> String {
    pattern.replace('*', ANYTHING)
}

/// Names that a pattern describes, and some near it.
fn named(pattern: &HostPattern) -> Vec<String> {
    match pattern {
        HostPattern::Exact(name) => vec![name.to_string()],
        HostPattern::OneLabel(suffix) | HostPattern::AnyDepth(suffix) => {
            vec![format!("{ANYTHING}.{suffix}"), format!("{ANYTHING}.{ANYTHING}.{suffix}"), suffix.to_string()]
        }
    }
}

/// A place that a rule describes.
fn one_place(rule: &NetRule) -> Option<String> {
    match &rule.target {
        NetTarget::Host { pattern, ports, .. } => {
            Some(format!("{}:{}", named(pattern).into_iter().next()?, ports.first()?))
        }
        NetTarget::Cidr { net, ports, .. } => Some(place(net.address(), *ports.first()?)),
        NetTarget::HostService { address } => Some(address.to_string()),
    }
}

/// The first and the last address of a network.
fn ends(net: &IpNet) -> Vec<IpAddr> {
    let first = net.address();
    let last = match first {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(net.prefix().into()).unwrap_or(0);
            IpAddr::V4((v4.to_bits() | host).into())
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(net.prefix().into()).unwrap_or(0);
            IpAddr::V6((v6.to_bits() | host).into())
        }
    };
    if first == last { vec![first] } else { vec![first, last] }
}

/// The network that a text is, if it is one.
fn nets(text: &str) -> Option<IpNet> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, prefix.parse().ok()),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    IpNet::new(address, prefix.unwrap_or(if address.is_ipv4() { 32 } else { 128 }))
}

/// The hosts that a policy speaks of.
fn hosts(literals: &Literals) -> Vec<String> {
    let mut hosts = Vec::new();
    for text in literals.ids("Host").iter().chain(&literals.texts) {
        match nets(text) {
            Some(net) => hosts.extend(ends(&net).into_iter().map(literal)),
            // A pattern that begins with its star describes such names.
            None if text.contains('.') => {
                let name = text.strip_prefix('.').map_or_else(|| text.clone(), |rest| format!("{ANYTHING}.{rest}"));
                hosts.extend(DnsName::parse(&name).ok().map(|name| name.to_string()));
            }
            None => {}
        }
    }
    or(hosts, SOME_HOST)
}

fn with_ports(hosts: &[String], literals: &Literals) -> Vec<String> {
    let mut ports: Vec<u16> = literals.numbers.iter().filter_map(|number| u16::try_from(*number).ok()).collect();
    ports.retain(|port| *port != 0);
    ports.push(443);
    let of = |host: &String| match host.parse::<IpAddr>() {
        Ok(address) => ports.iter().map(|port| place(address, *port)).collect::<Vec<_>>(),
        Err(_) => ports.iter().map(|port| format!("{host}:{port}")).collect(),
    };
    hosts.iter().flat_map(of).collect()
}

fn place(address: IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(address, port).to_string()
}

fn or(found: Vec<String>, some: &str) -> Vec<String> {
    if found.is_empty() { vec![some.to_owned()] } else { found }
}
