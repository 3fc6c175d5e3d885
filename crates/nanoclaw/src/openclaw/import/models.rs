//! Which models there are for whom: defaults, fallbacks, aliases.

use std::collections::BTreeMap;

use super::node::Node;
use super::providers::Providers;
use super::report::Report;
use super::yaml::{comment, list, scalar};

/// Most models that one alias stands for.
const MAX_TARGETS: usize = 16;
/// Longest name of a model or an alias, with its provider, in bytes.
const MAX_NAME: usize = 256;

/// An alias of the configuration.
struct Alias {
    name: String,
    targets: Vec<String>,
    path: String,
}

/// Everything about models besides the providers.
pub(super) struct Models<'s> {
    pub(super) providers: Providers<'s>,
    /// What OpenClaw calls models for short, with what that stands for.
    short: BTreeMap<String, String>,
    aliases: Vec<Alias>,
    /// The model of agents that name none, with the path that says so.
    default: Option<(String, String)>,
}

impl<'s> Models<'s> {
    /// Takes over `agents.defaults.model` and `agents.defaults.models`.
    pub(super) fn read(providers: Providers<'s>, defaults: Option<&Node<'_>>, report: &mut Report) -> Self {
        let listed = defaults.and_then(|defaults| defaults.get("models")).map(|models| models.entries());
        let listed = listed.unwrap_or_default();
        let short = listed
            .iter()
            .filter_map(|(model, node)| Some((node.get("alias")?.text()?.to_owned(), (*model).to_owned())))
            .collect();
        let mut models = Self { providers, short, aliases: Vec::new(), default: None };
        for (model, node) in &listed {
            if let Some(alias) = node.get("alias") {
                models.take_alias(&alias, model, report);
            }
            node.leave(
                report,
                &["alias"],
                &[],
                "settings of single models are not carried over; the agent sends its own",
            );
        }
        let said = defaults.and_then(|defaults| defaults.get("model"));
        let model = said.as_ref().and_then(|model| models.choice(model, "standard", report));
        models.default = match (model, said) {
            (Some(model), Some(node)) => Some((model, node.path)),
            (None, _) => models.providers.first_model().map(|model| {
                let path = "agents.defaults.model";
                report.changed(path, format!("the first model that is listed, `{model}`"));
                (model.to_string(), path.to_owned())
            }),
            (Some(_), None) => None,
        };
        models
    }

    /// Whether agents that name no model have one.
    pub(super) fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// What `model` of an agent becomes: the name of a model, or of an alias for it and its fallbacks, called `alias`
    /// if that is free. `None` where none of them can be carried over, which is said.
    pub(super) fn choice(&mut self, node: &Node<'_>, alias: &str, report: &mut Report) -> Option<String> {
        let mut named = Vec::new();
        if node.text().is_some() {
            named.push(node.clone());
        } else {
            named.extend(node.get("primary"));
            named.extend(node.get("fallbacks").map(|fallbacks| fallbacks.items()).unwrap_or_default());
            node.leave(
                report,
                &["primary", "fallbacks"],
                &[],
                "it says nothing about models that NanoClaw understands",
            );
        }
        let mut targets: Vec<String> = Vec::new();
        for one in named {
            match self.resolve(one.text().unwrap_or_default(), report) {
                Ok(target) if targets.contains(&target) => {}
                Ok(_) if targets.len() == MAX_TARGETS => {
                    report.dropped(&one.path, format!("at most {MAX_TARGETS} models are tried"));
                }
                Ok(target) => targets.push(target),
                Err(why) => report.dropped(&one.path, why),
            }
        }
        let choice = match targets.as_slice() {
            [] => return None,
            [only] => {
                report.carried(&node.path, format!("model `{only}`"));
                only.clone()
            }
            several => {
                let name = self.free(alias);
                report.carried(&node.path, format!("alias `{name}`: {}", several.join(", then ")));
                self.aliases.push(Alias { name: name.clone(), targets, path: node.path.clone() });
                name
            }
        };
        Some(choice)
    }

    /// The lines of the configuration.
    pub(super) fn write(&self, out: &mut Vec<String>) {
        out.push("models:".to_owned());
        out.push("  providers:".to_owned());
        self.providers.write(out);
        if let Some((model, path)) = &self.default {
            out.push(format!("  {}", comment(path)));
            out.push(format!("  default: {}", scalar(model)));
        }
        if !self.aliases.is_empty() {
            out.push("  # Of several models, the next is tried when one fails.".to_owned());
            out.push("  aliases:".to_owned());
        }
        for alias in &self.aliases {
            let targets = match alias.targets.as_slice() {
                [only] => scalar(only),
                several => list(several),
            };
            out.push(format!("    {}", comment(&alias.path)));
            out.push(format!("    {}: {targets}", scalar(&alias.name)));
        }
    }

    fn take_alias(&mut self, node: &Node<'_>, model: &str, report: &mut Report) {
        let name = node.text().unwrap_or_default();
        let fit = fits(name) && !name.contains('/') && name != "default";
        if !fit || self.aliases.iter().any(|alias| alias.name == name) {
            report.dropped(&node.path, "it cannot be an alias here: a name without spaces, `/` and `*`, used once");
            return;
        }
        match self.resolve(model, report) {
            Ok(target) => {
                report.carried(&node.path, format!("alias `{name}` for `{target}`"));
                self.aliases.push(Alias { name: name.to_owned(), targets: vec![target], path: node.path.clone() });
            }
            Err(why) => report.dropped(&node.path, why),
        }
    }

    /// The NanoClaw name of a model that OpenClaw calls `text`.
    fn resolve(&mut self, text: &str, report: &mut Report) -> Result<String, String> {
        let text = text.trim();
        let text = self.short.get(text).cloned().unwrap_or_else(|| text.to_owned());
        let name = match text.split_once('/') {
            Some((provider, model)) => {
                let Some(provider) = self.providers.named(provider, report) else {
                    return Err(
                        "its provider is not carried over; add it to `providers`, and name the model".to_owned()
                    );
                };
                format!("{provider}/{model}")
            }
            None => match self.providers.listing(&text) {
                Some(model) => model.to_string(),
                None => return Err("it does not say which provider has it; write `PROVIDER/MODEL`".to_owned()),
            },
        };
        if fits(&name) && !name.ends_with('/') {
            Ok(name)
        } else {
            Err("it is not the name of one model; write `PROVIDER/MODEL`".to_owned())
        }
    }

    fn free(&self, wanted: &str) -> String {
        let taken = |name: &str| self.aliases.iter().any(|alias| alias.name == name);
        let mut name = wanted.to_owned();
        let mut n = 1;
        while taken(&name) || name == "default" {
            n += 1;
            name = format!("{wanted}-{n}");
        }
        name
    }
}

/// Whether NanoClaw takes it for a name of a model or of an alias.
fn fits(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '*')
}
