//! Actions as questions to Cedar.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use cedar_policy::{Context, Entity, EntityUid, RestrictedExpression};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use nanoclaw_config::{Label, Labels, ToolClass, Trust};
use nanoclaw_identity::Caller;
use nanoclaw_request::{
    Action, Approve, CellId, Connect, Destination, Evidence, Host, Launch, Manage, ModelCall, ModelOperation, Origin,
    ProposedCall,
};

use crate::compare::line;
use crate::compile::literal;
use crate::explain::network::evidence;
use crate::language::Language;
use crate::made::Mentions;
use crate::readings::readings;
use crate::session::Session;
use crate::slice::is_of_agents;
use crate::tools::{self, ToolFacts};
use crate::{AddressClass, classify, hosts};

/// One thing that Cedar decides. An action may be several: each address of a connection, each model behind an alias.
pub(crate) struct Question {
    pub(crate) action: &'static str,
    pub(crate) resource: EntityUid,
    pub(crate) context: Context,
    /// The resource, and what it is said of.
    pub(crate) entity: Entity,
    /// What patterns are compared with: the resource's name.
    pub(crate) name: String,
}

/// The caller as Cedar knows it.
pub(crate) struct Principal {
    pub(crate) uid: EntityUid,
    pub(crate) entity: Entity,
}

/// Why there is no question: a value that Cedar does not take. The action is refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unaskable(String);

type Pairs = Vec<(&'static str, RestrictedExpression)>;

/// The words of Cedar for an agent's questions.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) language: &'static Language,
    pub(crate) agent: &'a CellId,
    pub(crate) group: Option<&'a str>,
    pub(crate) labels: &'a Labels,
    /// What the agent has read so far.
    pub(crate) session: &'a Session,
    /// What it has read so far.
    pub(crate) label: Label,
    /// What it reads with this action, if it is done.
    pub(crate) reads: Label,
    pub(crate) now: Timestamp,
    pub(crate) mentions: Mentions,
}

impl Asker<'_> {
    /// Who asks.
    pub(crate) fn principal(&self, caller: Option<&Caller>) -> Result<Principal, Unaskable> {
        let language = self.language;
        let (uid, attributes, parent) = match caller {
            None | Some(Caller::Cell { .. }) => {
                let group = self.group.map(|group| language.group.of(group));
                (language.agent.of(self.agent.as_str()), Pairs::new(), group)
            }
            Some(Caller::Operator(operator)) => {
                let uid = language.operator.of(&operator.name);
                let roles = operator.roles.iter().map(|role| language.role.of(role.name())).collect();
                let entity = entity(&uid, Pairs::new(), roles)?;
                return Ok(Principal { uid, entity });
            }
            Some(Caller::Schedule { rule } | Caller::Webhook { rule }) => {
                let agent = RestrictedExpression::new_entity_uid(language.agent.of(self.agent.as_str()));
                (language.trigger.of(rule), vec![("agent", agent)], None)
            }
        };
        let entity = entity(&uid, attributes, parent.into_iter().collect())?;
        Ok(Principal { uid, entity })
    }

    /// What is asked, as the questions that must all be answered well. A model is asked for by the first name or by all
    /// that follow it; see [`crate::Engine`].
    pub(crate) fn questions(&self, action: &Action) -> Result<Vec<Question>, Unaskable> {
        let language = self.language;
        let one = |resource: EntityUid, name: &str, attributes: Pairs, context: Pairs| {
            self.question(action.name(), resource, name, attributes, context).map(|question| vec![question])
        };
        match action {
            Action::Resolve(resolve) => {
                let (name, host) = (resolve.name.as_str(), Host::Name(resolve.name.clone()));
                // One without a port is answered in the cell. Any other leads to a connection.
                let asker = if resolve.port.is_some() { self.reading(&host, &[]) } else { *self };
                let attributes = asker.host(&host, name, resolve.port, &[]);
                let question = asker.question(action.name(), language.host.of(name), name, attributes, Pairs::new())?;
                Ok(vec![question])
            }
            Action::Connect(connect) => {
                self.reading(&connect.destination.host, &connect.addresses).connect(action.name(), connect)
            }
            Action::Http(http) => {
                let asker = self.reading(&http.connection.host, &[]);
                let (name, attributes) = asker.destination(&http.connection, &[]);
                let read = |(method, path): (String, String)| {
                    let mut context = vec![("method", text(&method)), ("path", text(&path))];
                    if let Host::Ip(address) = &http.connection.host {
                        context.push(("address", RestrictedExpression::new_ip(literal(*address))));
                    }
                    asker.question(action.name(), language.host.of(&name), &name, attributes.clone(), context)
                };
                readings(&http.method, &http.path).into_iter().map(read).collect()
            }
            Action::Datagram(datagram) => {
                let name = literal(datagram.to.ip());
                let attributes = self.host(&Host::Ip(datagram.to.ip()), &name, Some(datagram.to.port()), &[]);
                let protocol = RestrictedExpression::new_long(datagram.protocol.into());
                one(language.host.of(&name), &name, attributes, vec![("protocol", protocol)])
            }
            Action::FileWrite(write) => one(
                language.file.of(&write.path),
                &write.path,
                vec![("path", text(&write.path))],
                vec![("operation", text(write.operation)), ("writable", truth(write.obstacle.is_none()))],
            ),
            Action::Exec(exec) => one(
                language.program.of(&exec.path),
                &exec.path,
                vec![("path", text(&exec.path))],
                vec![("command", text(&line(&exec.command))), ("executable", truth(exec.obstacle.is_none()))],
            ),
            Action::Syscall(call) => one(
                language.system_call.of(&call.name),
                &call.name,
                vec![("name", text(&call.name)), ("detail", text(&call.detail))],
                Pairs::new(),
            ),
            Action::CallModel(call) => self.models(action.name(), call),
            Action::ToolCall(call) => self.tool(action.name(), call).map(|question| vec![question]),
            Action::Launch(Launch { cell, command, summary, .. }) => one(
                language.agent.of(cell.as_str()),
                cell.as_str(),
                Pairs::new(),
                vec![("command", text(&command.join(" "))), ("summary", text(summary))],
            ),
            Action::Manage(manage) => {
                let (operation, cell) = steered(manage);
                let resource = cell.map_or_else(|| language.fleet.of(FLEET), |cell| language.agent.of(cell));
                one(resource, cell.unwrap_or_default(), Pairs::new(), vec![("operation", text(operation))])
            }
            Action::Approve(Approve { cell, answer, .. }) => {
                one(language.agent.of(cell), cell, Pairs::new(), vec![("answer", text(answer))])
            }
            Action::AuditRead(_) => one(language.fleet.of(FLEET), FLEET, Pairs::new(), Pairs::new()),
        }
    }

    /// The same for a connection: what answers there is as good as read. Otherwise what is allowed because nothing was read
    /// yet would be cut off as soon as something is.
    fn reading(self, host: &Host, addresses: &[IpAddr]) -> Self {
        let reads = if self.mentions.labels { hosts::host(self.labels, host, addresses) } else { self.reads };
        Self { reads, ..self }
    }

    fn connect(&self, action: &'static str, connect: &Connect) -> Result<Vec<Question>, Unaskable> {
        let (name, attributes) = self.destination(&connect.destination, &connect.addresses);
        let form = match &connect.evidence {
            Evidence::Tls { .. } => "tls",
            Evidence::Http { .. } => "http",
            Evidence::Opaque => "opaque",
            Evidence::Silent => "silent",
        };
        let agrees = evidence(&connect.destination, &connect.evidence).is_ok();
        let literal_host = matches!(connect.destination.host, Host::Ip(_));
        let asked = |address: &IpAddr| {
            let class = classify(*address);
            let mut context = vec![
                ("via", text(connect.via.name())),
                ("evidence", text(form)),
                ("agrees", truth(agrees)),
                ("class", text(class_name(class))),
            ];
            if self.mentions.addresses || literal_host || class != AddressClass::Public {
                context.push(("address", RestrictedExpression::new_ip(literal(*address))));
            }
            self.question(action, self.language.host.of(&name), &name, attributes.clone(), context)
        };
        match &connect.destination.host {
            // An address needs no lookup.
            Host::Ip(address) if connect.addresses.is_empty() => asked(address).map(|question| vec![question]),
            _ => connect.addresses.iter().map(asked).collect(),
        }
    }

    fn destination(&self, destination: &Destination, addresses: &[IpAddr]) -> (String, Pairs) {
        let name = match &destination.host {
            Host::Name(name) => name.as_str().to_owned(),
            Host::Ip(address) => literal(*address),
        };
        let attributes = self.host(&destination.host, &name, Some(destination.port), addresses);
        (name, attributes)
    }

    fn host(&self, host: &Host, name: &str, port: Option<u16>, addresses: &[IpAddr]) -> Pairs {
        let labels = i64::try_from(name.split('.').count()).unwrap_or(i64::MAX);
        let mut attributes = vec![
            ("name", text(name)),
            ("labels", RestrictedExpression::new_long(labels)),
            ("literal", truth(matches!(host, Host::Ip(_)))),
        ];
        if self.mentions.labels {
            let label = hosts::host(self.labels, host, addresses);
            attributes.push(("trusted", truth(label.trust == Trust::Trusted)));
            attributes.push(("data", data(label)));
        }
        attributes.extend(port.map(|port| ("port", RestrictedExpression::new_long(port.into()))));
        attributes
    }

    fn models(&self, action: &'static str, call: &ModelCall) -> Result<Vec<Question>, Unaskable> {
        let number = |count: u64| RestrictedExpression::new_long(i64::try_from(count).unwrap_or(i64::MAX));
        // A listing is about no model.
        let names = match call.operation {
            ModelOperation::List => vec![String::new()],
            _ => std::iter::once(&call.asked).chain(&call.candidates).cloned().collect(),
        };
        let asked = |name: String| {
            let context = vec![
                ("operation", text(call.operation.name())),
                ("stream", truth(call.stream)),
                ("messages", number(call.messages as u64)),
                ("reserved_tokens", number(call.reserved_tokens)),
            ];
            self.question(action, self.language.model.of(&name), &name, vec![("name", text(&name))], context)
        };
        names.into_iter().map(asked).collect()
    }

    fn tool(&self, action: &'static str, call: &ProposedCall) -> Result<Question, Unaskable> {
        let uid = self.language.tool.of(&call.tool);
        let facts = tools::facts(self.labels, &call.tool);
        let does = |class| truth(facts.does.contains(&class));
        let attributes = [
            ("name", text(&call.tool)),
            ("at_provider", truth(call.at_provider)),
            ("readable", truth(call.arguments.is_some())),
            ("reads", does(ToolClass::Reads)),
            ("writes", does(ToolClass::Writes)),
            ("sends", does(ToolClass::Sends)),
            ("pays", does(ToolClass::Pays)),
            ("executes", does(ToolClass::Executes)),
        ];
        let tags = call.arguments.iter().flatten().map(|(key, value)| (key.clone(), text(value)));
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value));
        let entity =
            Entity::new_with_tags(uid.clone(), attributes, [], tags).map_err(|error| Unaskable(error.to_string()))?;
        let names = |names: Vec<&str>| RestrictedExpression::new_set(names.into_iter().map(text));
        let mut context = vec![
            ("vouched", truth(is_vouched(call, &facts))),
            ("from_user", names(from_user(call))),
            ("from_untrusted", names(from_untrusted(call, self.label.trust))),
        ];
        if self.mentions.said {
            context.push(("said", text(&self.session.said())));
        }
        let context = self.context(action, context)?;
        Ok(Question { action, resource: uid, context, entity, name: call.tool.clone() })
    }

    fn question(
        &self,
        action: &'static str,
        resource: EntityUid,
        name: &str,
        attributes: Pairs,
        context: Pairs,
    ) -> Result<Question, Unaskable> {
        let entity = entity(&resource, attributes, HashSet::new())?;
        Ok(Question { action, context: self.context(action, context)?, resource, entity, name: name.to_owned() })
    }

    /// The context with what every action has.
    fn context(&self, action: &str, mut context: Pairs) -> Result<Context, Unaskable> {
        let unaskable = |error: &dyn std::fmt::Display| Unaskable(error.to_string());
        let record = |fields: Pairs| {
            let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value));
            RestrictedExpression::new_record(fields).map_err(|error| unaskable(&error))
        };
        if self.mentions.labels && is_of_agents(action) {
            let label = self.label.join(self.reads);
            let untrusted = truth(label.trust == Trust::Untrusted);
            context.push((
                "session",
                record(vec![
                    ("untrusted", untrusted),
                    ("data", data(label)),
                    ("suspicion", RestrictedExpression::new_long(label.suspicion as i64)),
                ])?,
            ));
        }
        if self.mentions.budget && matches!(action, "model_call" | "tool_call") {
            context.push(("budget_left", RestrictedExpression::new_long(self.session.budget_left().into())));
        }
        if self.mentions.now {
            let now = self.now.to_zoned(TimeZone::UTC);
            let long = |value: i8| RestrictedExpression::new_long(value.into());
            let weekday = long(now.weekday().to_monday_one_offset());
            context.push((
                "now",
                record(vec![("weekday", weekday), ("hour", long(now.hour())), ("minute", long(now.minute()))])?,
            ));
        }
        let context = context.into_iter().map(|(key, value)| (key.to_owned(), value));
        Context::from_pairs(context).map_err(|error| unaskable(&error))
    }
}

/// The fleet has one name.
const FLEET: &str = "fleet";

/// Whether everything that says where a call goes has somebody's word.
fn is_vouched(call: &ProposedCall, facts: &ToolFacts) -> bool {
    let Some(arguments) = &call.arguments else { return false };
    let names: Vec<&str> = arguments.iter().map(|(name, _)| name.as_str()).collect();
    arguments.iter().filter(|(name, _)| facts.is_destination(name, &names)).all(|(name, value)| {
        let mut traced = call.traced.iter().filter(|traced| traced.argument == *name).peekable();
        // What nobody traced is as good as its whole text.
        if traced.peek().is_none() {
            return facts.allows(name, value);
        }
        traced.all(|traced| traced.origin <= Origin::Trusted || facts.allows(name, &traced.value))
    })
}

/// The arguments all of whose texts a trusted user said.
fn from_user(call: &ProposedCall) -> Vec<&str> {
    let traced: BTreeSet<&str> = call.traced.iter().map(|traced| traced.argument.as_str()).collect();
    let others =
        |name: &&str| call.traced.iter().any(|traced| traced.argument == *name && traced.origin != Origin::User);
    traced.into_iter().filter(|name| !others(name)).collect()
}

/// The arguments with a text that only untrusted sources gave. What nobody traced, as when a policy that looks at it comes
/// while a call waits, may have come from there, if the session has read such.
fn from_untrusted(call: &ProposedCall, session: Trust) -> Vec<&str> {
    let traced: BTreeSet<&str> = call.traced.iter().map(|traced| traced.argument.as_str()).collect();
    let untrusted = call.traced.iter().filter(|traced| traced.origin == Origin::Untrusted);
    let names = call.arguments.iter().flatten().map(|(name, _)| name.as_str());
    let untraced = names.filter(|name| session == Trust::Untrusted && !traced.contains(name));
    untrusted.map(|traced| traced.argument.as_str()).chain(untraced).collect::<BTreeSet<_>>().into_iter().collect()
}

fn entity(uid: &EntityUid, attributes: Pairs, parents: HashSet<EntityUid>) -> Result<Entity, Unaskable> {
    let attributes: HashMap<String, RestrictedExpression> =
        attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Entity::new(uid.clone(), attributes, parents).map_err(|error| Unaskable(error.to_string()))
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn truth(truth: bool) -> RestrictedExpression {
    RestrictedExpression::new_bool(truth)
}

/// How confidential, as policies compare it.
fn data(label: Label) -> RestrictedExpression {
    RestrictedExpression::new_long(label.data as i64)
}

const fn class_name(class: AddressClass) -> &'static str {
    match class {
        AddressClass::Public => "public",
        AddressClass::Loopback => "loopback",
        AddressClass::Metadata => "metadata",
        AddressClass::Special => "special",
    }
}

/// What is done to which agent; `None` is the fleet.
pub(crate) fn steered(manage: &Manage) -> (&'static str, Option<&str>) {
    match manage {
        Manage::List => ("list", None),
        Manage::Down => ("down", None),
        Manage::Logs { cell } => ("logs", Some(cell)),
        Manage::Exec { cell, .. } => ("exec", Some(cell)),
        Manage::Turn { cell, .. } => ("turn", Some(cell)),
        Manage::Sessions { cell } => ("sessions", Some(cell)),
        Manage::Stop { cell } => ("stop", Some(cell)),
        Manage::Reload => ("reload", None),
        Manage::Approvals => ("approvals", None),
        Manage::Quarantine => ("quarantine", None),
        Manage::QuarantineDecide { cell, .. } => ("quarantine-decide", Some(cell)),
        Manage::Policy => ("policy", None),
        Manage::ResetLabels { cell } => ("reset-labels", Some(cell)),
        Manage::Renew => ("renew", None),
        Manage::Operators { .. } => ("operators", None),
    }
}
