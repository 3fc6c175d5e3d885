//! A solver's example as a question that a person can ask.

use cedar_policy::{Entity, EvalResult};
use cedar_policy_symcc::Env;

/// Most labels that are put before a name.
const MOST_LABELS: usize = 9;

/// What a solver came up with.
pub(crate) struct Example<'e> {
    environment: &'e Env,
    resource: Option<&'e Entity>,
}

impl<'e> Example<'e> {
    pub(crate) fn new(environment: &'e Env) -> Self {
        let resource = environment.request.resource().and_then(|uid| environment.entities.get(uid));
        Self { environment, resource }
    }

    fn attribute(&self, key: &str) -> Option<EvalResult> {
        self.resource?.attr(key)?.ok()
    }

    fn context(&self, key: &str) -> Option<EvalResult> {
        self.environment.request.context()?.get(key)
    }

    /// The text by which the resource is known.
    pub(crate) fn name(&self, attribute: &str) -> Option<String> {
        self.attribute(attribute).and_then(text)
    }

    /// The words of `nanoclaw policy explain`, with the name of a host as it is or with as many labels as it is said to
    /// have: to the solver these are two things.
    pub(crate) fn questions(&self, agent: &str, action: &str) -> impl Iterator<Item = Vec<String>> {
        [false, true].into_iter().filter_map(move |with_labels| self.words(agent, action, with_labels))
    }

    fn words(&self, agent: &str, action: &str, with_labels: bool) -> Option<Vec<String>> {
        let mut words = vec![format!("{agent}{}", self.session()), action.to_owned()];
        let name = |key| self.name(key);
        let pair = |key: &str, value: String| format!("{key}={value}");
        match action {
            "net_resolve" => words.push(self.host_name(with_labels)?),
            "net_connect" => {
                words.push(self.destination(with_labels)?);
                let evidence = self.context("evidence").and_then(text).filter(|it| it == "opaque" || it == "silent");
                words.extend(evidence.map(|evidence| pair("evidence", evidence)));
                let address = self.address().filter(|_| !self.is_literal());
                words.extend(address.map(|address| pair("address", address)));
            }
            "http_request" => {
                words.push(self.destination(with_labels)?);
                words.push(pair("method", self.context("method").and_then(text)?));
                words.push(pair("path", self.context("path").and_then(text)?));
            }
            "net_datagram" => words.push(self.destination(with_labels)?),
            "file_write" => words.push(name("path")?),
            "exec" => {
                words.push(name("path")?);
                words.push(pair("command", self.context("command").and_then(text)?));
            }
            "syscall" => {
                words.push(name("name")?);
                words.push(pair("detail", name("detail")?));
            }
            "model_call" => words.push(name("name")?),
            "tool_call" => {
                words.push(name("name")?);
                words.extend(
                    matches!(self.attribute("at_provider"), Some(EvalResult::Bool(true)))
                        .then(|| pair("at_provider", "true".to_owned())),
                );
                let tags = self.resource?.tags();
                let arguments = tags.filter_map(|(key, value)| Some(pair(key, text(value.ok()?)?)));
                let mut arguments: Vec<String> = arguments.collect();
                arguments.sort_unstable();
                words.extend(arguments);
            }
            _ => return None,
        }
        Some(words)
    }

    /// `[untrusted,secret]`; nothing if nothing was read.
    fn session(&self) -> String {
        let Some(EvalResult::Record(session)) = self.context("session") else { return String::new() };
        let mut labels = Vec::new();
        if matches!(session.get("untrusted"), Some(EvalResult::Bool(true))) {
            labels.push("untrusted");
        }
        labels.extend(match session.get("data") {
            Some(EvalResult::Long(1)) => Some("internal"),
            Some(EvalResult::Long(2)) => Some("confidential"),
            Some(EvalResult::Long(3)) => Some("secret"),
            _ => None,
        });
        labels.extend(match session.get("suspicion") {
            Some(EvalResult::Long(1)) => Some("suspect"),
            Some(EvalResult::Long(2)) => Some("likely"),
            Some(EvalResult::Long(3)) => Some("certain"),
            _ => None,
        });
        if labels.is_empty() { String::new() } else { format!("[{}]", labels.join(",")) }
    }

    fn is_literal(&self) -> bool {
        matches!(self.attribute("literal"), Some(EvalResult::Bool(true)))
    }

    /// The address of the example, or of its network.
    fn address(&self) -> Option<String> {
        let EvalResult::ExtensionValue(written) = self.context("address")? else { return None };
        let inside = written.split('"').nth(1)?;
        Some(inside.split('/').next().unwrap_or(inside).to_owned())
    }

    fn host_name(&self, with_labels: bool) -> Option<String> {
        let name = self.name("name")?.to_lowercase();
        let labels = match self.attribute("labels") {
            Some(EvalResult::Long(labels)) if with_labels => labels,
            _ => return Some(name),
        };
        let more = usize::try_from(labels).ok()?.saturating_sub(name.split('.').count());
        Some(format!("{}{name}", "x.".repeat(more.min(MOST_LABELS))))
    }

    fn destination(&self, with_labels: bool) -> Option<String> {
        let host = match self.is_literal() {
            true => self.address().or_else(|| self.name("name"))?,
            false => self.host_name(with_labels)?,
        };
        let port = match self.attribute("port") {
            Some(EvalResult::Long(port)) => port,
            _ => 443,
        };
        Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
    }
}

fn text(value: EvalResult) -> Option<String> {
    match value {
        EvalResult::String(text) => Some(text),
        _ => None,
    }
}

impl std::fmt::Display for Example<'_> {
    /// The request, and what its resource is like.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let request = &self.environment.request;
        let action = request.action().map(|uid| uid.id().unescaped().to_owned()).unwrap_or_default();
        let said = |attributes: Vec<(&str, String)>| {
            let mut pairs: Vec<String> = attributes.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
            pairs.sort_unstable();
            pairs.join(", ")
        };
        let value = |value: Result<EvalResult, _>| value.map(|value: EvalResult| value.to_string()).unwrap_or_default();
        let attributes = self.resource.map(|entity| {
            let tags = entity.tags().map(|(key, tag)| (key, value(tag)));
            said(entity.attrs().map(|(key, attribute)| (key, value(attribute))).chain(tags).collect())
        });
        let context = request.context().map(ToString::to_string).unwrap_or_default();
        write!(f, "{action} of {{{}}} in {context}", attributes.unwrap_or_default())
    }
}
