//! The configuration's rules as Cedar policies.
//!
//! The text is what `nanoclaw policy show` prints and what is evaluated: there is no second form. Every text that an
//! author of a configuration chose goes through [`quoted`] or [`like`].

use std::fmt::Write as _;
use std::net::IpAddr;

use nanoclaw_config::{HostPattern, IpNet, ModelAccess, NetRule, NetTarget, ToolRule};
use nanoclaw_request::CellId;

/// A policy that came of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The rule's id, and the policy's.
    pub id: String,
    /// The policy in Cedar.
    pub text: String,
    /// The policy holds for no resource whose name this pattern does not describe: one that need not be evaluated for it.
    /// `*` stands for any characters.
    pub(crate) names: String,
    /// The only action that it is about.
    pub(crate) action: &'static str,
}

/// The policies that the rules of one agent stand for.
pub fn compile(agent: &CellId, networks: &[NetRule], models: Option<&ModelAccess>) -> Vec<Compiled> {
    let mut policies: Vec<Compiled> = networks.iter().flat_map(|rule| network(agent, rule)).collect();
    if let Some(access) = models {
        of_models(agent, access, &mut policies);
        of_tools(agent, access, &mut policies);
    }
    policies
}

/// A policy of one agent.
fn policy(effect: &str, agent: &CellId, action: &'static str, id: &str, names: &str, when: &[String]) -> Compiled {
    let mut text = format!(
        "@id({})\n{effect}(principal == Agent::{}, action == Action::\"{action}\", resource)",
        quoted(id),
        quoted(agent.as_str())
    );
    if !when.is_empty() {
        let _infallible = write!(text, "\nwhen {{ {} }}", when.join(" && ")).is_ok();
    }
    text.push(';');
    Compiled { id: id.to_owned(), text, names: names.to_owned(), action }
}

/// One rule permits looking the host up, connecting to it, and requests on the connection.
fn network(agent: &CellId, rule: &NetRule) -> Vec<Compiled> {
    let (names, host, ports, connection) = match &rule.target {
        NetTarget::Host { pattern, ports, addresses, raw } => {
            let (names, host) = named(pattern);
            (names, host, ports.as_slice(), reachable(addresses, *raw))
        }
        NetTarget::Cidr { net, ports, raw } => {
            let host = vec!["resource.literal".to_owned(), format!("context has address && {}", within(net))];
            ("*".to_owned(), host, ports.as_slice(), reachable(std::slice::from_ref(net), *raw))
        }
        NetTarget::HostService { address } => {
            let name = literal(address.ip());
            let host = vec!["resource.literal".to_owned(), format!("resource.name == {}", quoted(&name))];
            (name, host, &[address.port()][..], Vec::new())
        }
    };
    let port = match ports {
        [one] => format!("resource.port == {one}"),
        many => format!("[{}].contains(resource.port)", comma(many.iter().map(u16::to_string))),
    };
    let with = |action, conditions: &[String]| policy("permit", agent, action, &rule.id, &names, conditions);
    let known = [host.clone(), vec![format!("resource has port && {port}")]].concat();
    let mut policies = vec![with("net_connect", &[known.clone(), connection].concat())];
    // Requests are read only on connections that were permitted, so nothing about the address is asked again.
    policies.push(with("http_request", &known));
    if matches!(rule.target, NetTarget::Host { .. }) {
        // A program that only looks a name up has not said which port it means.
        let any = vec![format!("(if resource has port then {port} else true)")];
        policies.push(with("net_resolve", &[host, any].concat()));
    }
    policies
}

/// Conditions for a host that a pattern describes, after the pattern itself.
fn named(pattern: &HostPattern) -> (String, Vec<String>) {
    let not_literal = "!resource.literal".to_owned();
    match pattern {
        HostPattern::Exact(name) => {
            (name.to_string(), vec![not_literal, format!("resource.name == {}", quoted(name.as_str()))])
        }
        HostPattern::OneLabel(suffix) => {
            let names = format!("*.{suffix}");
            let labels = suffix.as_str().split('.').count() + 1;
            let conditions = vec![
                not_literal,
                format!("resource.name like {}", like(&names)),
                format!("resource.labels == {labels}"),
            ];
            (names, conditions)
        }
        HostPattern::AnyDepth(suffix) => {
            let names = format!("*.{suffix}");
            let conditions = vec![not_literal, format!("resource.name like {}", like(&names))];
            (names, conditions)
        }
    }
}

/// Conditions under which an address that the destination has may be dialled.
fn reachable(nets: &[IpNet], raw: bool) -> Vec<String> {
    let mut classes = vec!["context.class == \"public\"".to_owned()];
    for net in nets {
        // A metadata service is reached only by a rule for exactly its address.
        let class = if net.is_single() {
            "[\"special\", \"metadata\"].contains(context.class)"
        } else {
            "context.class == \"special\""
        };
        classes.push(format!("({class} && context has address && {})", within(net)));
    }
    let class = if classes.len() == 1 { classes.concat() } else { format!("({})", classes.join(" || ")) };
    let mut conditions = vec![class];
    if !raw {
        conditions.push("context.agrees".to_owned());
    }
    conditions
}

fn within(net: &IpNet) -> String {
    let text = format!("{}/{}", literal(net.address()), net.prefix());
    format!("context.address.isInRange(ip({}))", quoted(&text))
}

fn of_models(agent: &CellId, access: &ModelAccess, policies: &mut Vec<Compiled>) {
    const ACTION: &str = "model_call";
    let listing = vec!["context.operation == \"list\"".to_owned()];
    policies.push(policy("permit", agent, ACTION, &format!("agents.{agent}.models"), "*", &listing));
    if let Some(model) = &access.model {
        let own = vec![format!("resource.name == {}", quoted(model))];
        // A name is no pattern, and as one it describes at least itself.
        policies.push(policy("permit", agent, ACTION, &format!("agents.{agent}.model"), model, &own));
    }
    for (effect, list, patterns) in [("permit", "allow", &access.allow), ("forbid", "deny", &access.deny)] {
        for (index, pattern) in patterns.iter().enumerate() {
            let id = format!("agents.{agent}.models.{list}[{index}]");
            // A listing is about no model.
            let when = ["context.operation != \"list\"".to_owned(), format!("resource.name like {}", like(pattern))];
            policies.push(policy(effect, agent, ACTION, &id, pattern, &when));
        }
    }
}

fn of_tools(agent: &CellId, access: &ModelAccess, policies: &mut Vec<Compiled>) {
    const ACTION: &str = "tool_call";
    for rule in &access.tools.deny {
        let mut when = vec![format!("resource.name like {}", like(&rule.name))];
        if !rule.arguments.is_empty() {
            // What cannot be read in one way only could be read by the agent in the way that is denied.
            when.push(format!("(!resource.readable || ({}))", arguments(rule).join(" && ")));
        }
        policies.push(policy("forbid", agent, ACTION, &rule.id, &rule.name, &when));
    }
    match &access.tools.allow {
        None => {
            let here = vec!["!resource.at_provider".to_owned()];
            policies.push(policy("permit", agent, ACTION, &format!("agents.{agent}.tools"), "*", &here));
        }
        Some(rules) => {
            for rule in rules {
                let mut when = vec![format!("resource.name like {}", like(&rule.name))];
                if rule.arguments.is_empty() {
                    // What runs at a provider must be meant, and so be named.
                    when.push(format!("(!resource.at_provider || resource.name == {})", quoted(&rule.name)));
                } else {
                    when.push("!resource.at_provider && resource.readable".to_owned());
                    when.extend(arguments(rule));
                }
                policies.push(policy("permit", agent, ACTION, &rule.id, &rule.name, &when));
            }
        }
    }
}

/// Conditions on a call's arguments.
fn arguments(rule: &ToolRule) -> Vec<String> {
    let one = |(key, pattern): (&String, &String)| {
        let key = quoted(key);
        format!("resource.hasTag({key}) && resource.getTag({key}) like {}", like(pattern))
    };
    rule.arguments.iter().map(one).collect()
}

/// An address as Cedar reads it. What embeds an IPv4 address so that the kernel dials that is that address: a policy about
/// it would miss it otherwise.
pub(crate) fn literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let groups: Vec<String> = v6.segments().iter().map(|group| format!("{group:x}")).collect();
            groups.join(":")
        }
    }
}

/// A text as a Cedar string.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_default())
}

/// A pattern, in which only `*` is special, as a Cedar pattern.
fn like(pattern: &str) -> String {
    // Cedar's patterns have the same star, and nothing in an escaped text is one.
    quoted(pattern)
}

fn comma(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
