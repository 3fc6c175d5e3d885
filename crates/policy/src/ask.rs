//! Actions as questions to Cedar.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use cedar_policy::{Context, Entity, EntityUid, RestrictedExpression};
use nanoclaw_identity::Caller;
use nanoclaw_request::{
    Action, CellId, Connect, Destination, Evidence, Host, Launch, Manage, ModelCall, ModelOperation, ProposedCall,
};

use crate::compile::literal;
use crate::explain::network::evidence;
use crate::language::Language;
use crate::{AddressClass, classify};

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
    /// Whether some policy looks at the address even where its class is enough for the rules. Reading one is costly.
    pub(crate) addresses: bool,
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
            Some(Caller::Operator { uid }) => {
                (language.operator.of(&format!("uid:{uid}")), Pairs::new(), Some(language.role.of("admin")))
            }
            Some(Caller::Schedule { rule } | Caller::Webhook { rule }) => {
                let agent = RestrictedExpression::new_entity_uid(language.agent.of(self.agent.as_str()));
                (language.trigger.of(rule), vec![("agent", agent)], None)
            }
        };
        let entity = entity(&uid, attributes, parent)?;
        Ok(Principal { uid, entity })
    }

    /// What is asked, as the questions that must all be answered well. A model is asked for by the first name or by all
    /// that follow it; see [`crate::Engine`].
    pub(crate) fn questions(&self, action: &Action) -> Result<Vec<Question>, Unaskable> {
        let language = self.language;
        let one = |resource: EntityUid, name: &str, attributes: Pairs, context: Pairs| {
            question(action.name(), resource, name, attributes, context).map(|question| vec![question])
        };
        match action {
            Action::Resolve(resolve) => {
                let name = resolve.name.as_str();
                one(language.host.of(name), name, self.host(name, false, resolve.port), Pairs::new())
            }
            Action::Connect(connect) => self.connect(action.name(), connect),
            Action::Http(http) => {
                let (name, attributes) = self.destination(&http.connection);
                let mut context = vec![("method", text(&http.method)), ("path", text(&http.path))];
                if let Host::Ip(address) = &http.connection.host {
                    context.push(("address", RestrictedExpression::new_ip(literal(*address))));
                }
                one(language.host.of(&name), &name, attributes, context)
            }
            Action::Datagram(datagram) => {
                let name = literal(datagram.to.ip());
                let attributes = self.host(&name, true, Some(datagram.to.port()));
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
                vec![("command", text(&exec.command.join(" "))), ("executable", truth(exec.obstacle.is_none()))],
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
                let resource = cell.map_or_else(|| language.fleet.of("fleet"), |cell| language.agent.of(cell));
                one(resource, cell.unwrap_or_default(), Pairs::new(), vec![("operation", text(operation))])
            }
        }
    }

    fn connect(&self, action: &'static str, connect: &Connect) -> Result<Vec<Question>, Unaskable> {
        let (name, attributes) = self.destination(&connect.destination);
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
            if self.addresses || literal_host || class != AddressClass::Public {
                context.push(("address", RestrictedExpression::new_ip(literal(*address))));
            }
            question(action, self.language.host.of(&name), &name, attributes.clone(), context)
        };
        match &connect.destination.host {
            // An address needs no lookup.
            Host::Ip(address) if connect.addresses.is_empty() => asked(address).map(|question| vec![question]),
            _ => connect.addresses.iter().map(asked).collect(),
        }
    }

    fn destination(&self, destination: &Destination) -> (String, Pairs) {
        let (name, is_literal) = match &destination.host {
            Host::Name(name) => (name.as_str().to_owned(), false),
            Host::Ip(address) => (literal(*address), true),
        };
        let attributes = self.host(&name, is_literal, Some(destination.port));
        (name, attributes)
    }

    fn host(&self, name: &str, is_literal: bool, port: Option<u16>) -> Pairs {
        let labels = i64::try_from(name.split('.').count()).unwrap_or(i64::MAX);
        let mut attributes = vec![
            ("name", text(name)),
            ("labels", RestrictedExpression::new_long(labels)),
            ("literal", truth(is_literal)),
        ];
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
            question(action, self.language.model.of(&name), &name, vec![("name", text(&name))], context)
        };
        names.into_iter().map(asked).collect()
    }

    fn tool(&self, action: &'static str, call: &ProposedCall) -> Result<Question, Unaskable> {
        let uid = self.language.tool.of(&call.tool);
        let attributes = [
            ("name", text(&call.tool)),
            ("at_provider", truth(call.at_provider)),
            ("readable", truth(call.arguments.is_some())),
        ];
        let tags = call.arguments.iter().flatten().map(|(key, value)| (key.clone(), text(value)));
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value));
        let entity =
            Entity::new_with_tags(uid.clone(), attributes, [], tags).map_err(|error| Unaskable(error.to_string()))?;
        let context = Context::empty();
        Ok(Question { action, resource: uid, context, entity, name: call.tool.clone() })
    }
}

fn question(
    action: &'static str,
    resource: EntityUid,
    name: &str,
    attributes: Pairs,
    context: Pairs,
) -> Result<Question, Unaskable> {
    let entity = entity(&resource, attributes, None)?;
    let context = context.into_iter().map(|(key, value)| (key.to_owned(), value));
    let context = Context::from_pairs(context).map_err(|error| Unaskable(error.to_string()))?;
    Ok(Question { action, resource, context, entity, name: name.to_owned() })
}

fn entity(uid: &EntityUid, attributes: Pairs, parent: Option<EntityUid>) -> Result<Entity, Unaskable> {
    let attributes: HashMap<String, RestrictedExpression> =
        attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let parents: HashSet<EntityUid> = parent.into_iter().collect();
    Entity::new(uid.clone(), attributes, parents).map_err(|error| Unaskable(error.to_string()))
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn truth(truth: bool) -> RestrictedExpression {
    RestrictedExpression::new_bool(truth)
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
fn steered(manage: &Manage) -> (&'static str, Option<&str>) {
    match manage {
        Manage::List => ("list", None),
        Manage::Down => ("down", None),
        Manage::Logs { cell } => ("logs", Some(cell)),
        Manage::Exec { cell, .. } => ("exec", Some(cell)),
        Manage::Turn { cell, .. } => ("turn", Some(cell)),
        Manage::Sessions { cell } => ("sessions", Some(cell)),
        Manage::Stop { cell } => ("stop", Some(cell)),
    }
}
