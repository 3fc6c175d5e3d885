//! Names that parts of the file give themselves, and references to them.

use std::collections::HashMap;

use nanoclaw_request::CellId;

use super::keys::nearest;
use super::reader::{Fields, Reader};
use crate::display::shown;
use crate::tree::Kind;
use crate::{ModelRef, ValueError};

/// Longest name of a model, with its provider, in bytes.
pub(super) const MAX_MODEL: usize = 256;

/// How messages speak of things that have a name.
pub(super) struct Naming {
    key: &'static str,
    /// What the text is called that stands there.
    text: &'static str,
    one: &'static str,
    many: &'static str,
    example: &'static str,
}

impl Naming {
    pub(super) const AGENT: Self =
        Self { key: "id", text: "an id", one: "an agent", many: "agents", example: "nano-001" };
    pub(super) const PROVIDER: Self =
        Self { key: "name", text: "a name", one: "a provider", many: "providers", example: "main" };
    pub(super) const GROUP: Self =
        Self { key: "name", text: "a name", one: "a group", many: "groups", example: "trading" };
    pub(super) const SINK: Self = Self { key: "name", text: "a name", one: "a sink", many: "sinks", example: "siem" };
    pub(super) const MCP: Self =
        Self { key: "name", text: "a name", one: "an MCP server", many: "MCP servers", example: "files" };
}

/// Reads the name of one thing, which nothing in `seen` has yet. `seen` holds lines.
pub(super) fn name(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    naming: &Naming,
    seen: &mut HashMap<CellId, usize>,
) -> Option<CellId> {
    let Naming { key, text: called, one, many, example } = naming;
    let Some(field) = fields.get(key) else {
        r.error(
            fields.place,
            format!("{one} has no `{key}`"),
            format!("add `{key}: {example}`; {key}s are unique in the file"),
        );
        return None;
    };
    let text = r.text(&field, &format!("write {called} such as `{example}`"))?;
    let id = CellId::parse(text).map_err(|error| {
        let lower = text.to_lowercase().replace(['_', ' ', '.'], "-");
        let help = match CellId::parse(&lower) {
            Ok(id) => format!("write `{id}`"),
            Err(_) => format!("write {called} such as `{example}`"),
        };
        // It quotes what cannot stand there, which may be a control character.
        ValueError::new(format!("`{}` is not {called}: {}", shown(text), shown(&error.to_string())), help)
    });
    let id = r.check(field.place(), id)?;
    if let Some(line) = seen.get(&id) {
        let help = format!("choose another; the first is on line {line}");
        r.error(field.place(), format!("two {many} have the {key} `{id}`"), help);
        return None;
    }
    seen.insert(id.clone(), field.place().line);
    Some(id)
}

/// Names of one kind.
#[derive(Default)]
pub(super) struct Known {
    names: Vec<String>,
    /// Whether more were written than could be read, so that a name that is not here proves nothing.
    partial: bool,
}

impl Known {
    pub(super) fn add(&mut self, name: &str) {
        self.names.push(name.to_owned());
    }

    /// Adds what stands as `name`, also where it is not fit to be one: who refers to it makes no second mistake.
    pub(super) fn add_from(&mut self, fields: &Fields<'_>) {
        match fields.get("name").map(|field| &field.node.kind) {
            Some(Kind::Plain(name) | Kind::Quoted(name)) => self.add(name),
            _ => self.partial = true,
        }
    }

    /// Says that there are more, which could not be read.
    pub(super) fn cut(&mut self) {
        self.partial = true;
    }

    fn has(&self, name: &str) -> bool {
        self.partial || self.names.iter().any(|known| known == name)
    }

    fn near(&self, name: &str) -> Option<&str> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        nearest(name, &names)
    }
}

/// What the top level has that other parts refer to.
#[derive(Default)]
pub(super) struct Names {
    pub(super) providers: Known,
    pub(super) aliases: Known,
    pub(super) groups: Known,
    /// Whether there is a model for agents that name none.
    pub(super) default: bool,
}

impl Names {
    /// Checks the name of a model: an alias or `provider/model`.
    pub(super) fn model(&self, text: &str) -> Result<(), ValueError> {
        if text.contains('/') {
            return self.target(text).map(|_| ());
        }
        check(text, false)?;
        if self.aliases.has(text) {
            return Ok(());
        }
        let bad = |what: &str, help: String| Err(ValueError::new(format!("`{}` {what}", shown(text)), help));
        if self.providers.names.iter().any(|name| name == text) {
            return bad("is a provider, not a model", format!("write `{}/MODEL`", shown(text)));
        }
        let help = match (self.aliases.near(text), self.providers.names.as_slice()) {
            _ if text == "default" => "leave it out, and `default` of `models` at the top level is used".to_owned(),
            (Some(near), _) => format!("did you mean `{}`?", shown(near)),
            (None, [only]) => format!("write `{}/{}`, or add it to `aliases` of `models`", shown(only), shown(text)),
            (None, _) => "write `PROVIDER/MODEL`, or add it to `aliases` of `models`".to_owned(),
        };
        bad("is no alias, and names no provider", help)
    }

    /// Reads `provider/model`.
    pub(super) fn target(&self, text: &str) -> Result<ModelRef, ValueError> {
        check(text, false)?;
        let Some(model) = ModelRef::parse(text) else {
            let help = match self.aliases.names.iter().any(|name| name == text) {
                true => "an alias stands for models, not for other aliases; write the models that it stands for",
                false => "write `PROVIDER/MODEL`",
            };
            return Err(ValueError::new(format!("`{}` is not a provider and a model", shown(text)), help));
        };
        self.provider(&model.provider, &format!("/{}", model.model))?;
        Ok(model)
    }

    /// Checks a pattern for names of models. One that can never fit is a mistake, because it may be there to deny something.
    pub(super) fn pattern(&self, text: &str) -> Result<(), ValueError> {
        check(text, true)?;
        match text.split_once('/') {
            Some((provider, rest)) if !provider.contains('*') => self.provider(provider, &format!("/{rest}")),
            _ if text.contains('*') => Ok(()),
            _ => self.model(text),
        }
    }

    /// Checks the name of a group.
    pub(super) fn group(&self, text: &str) -> Result<(), ValueError> {
        if self.groups.has(text) {
            return Ok(());
        }
        let help = match self.groups.near(text) {
            Some(near) => format!("did you mean `{}`?", shown(near)),
            None => format!("add `{{ name: {}, budget: {{ … }} }}` to `groups` at the top level", shown(text)),
        };
        Err(ValueError::new(format!("there is no group `{}`", shown(text)), help))
    }

    fn provider(&self, name: &str, rest: &str) -> Result<(), ValueError> {
        if self.providers.has(name) {
            return Ok(());
        }
        let help = match self.providers.near(name) {
            Some(near) => format!("did you mean `{}{}`?", shown(near), shown(rest)),
            None => format!("add `{}` to `providers` of `models`", shown(name)),
        };
        Err(ValueError::new(format!("there is no provider `{}`", shown(name)), help))
    }
}

/// Checks what every name and every pattern has in common.
pub(super) fn check(text: &str, pattern: bool) -> Result<(), ValueError> {
    let bad = |what: String, help: &str| Err(ValueError::new(what, help));
    if text.is_empty() {
        return bad("the name is empty".to_owned(), "write a name, or remove it");
    }
    if text.len() > MAX_MODEL {
        return bad(format!("`{}` is longer than {MAX_MODEL} bytes", shown(text)), "write a shorter name");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return bad(format!("`{}` has a space or a control character in it", shown(text)), "remove it");
    }
    if text.contains('*') && !pattern {
        return bad(
            format!("`{}` has a `*` in it", shown(text)),
            "patterns stand only in `allow` and `deny`; write one name",
        );
    }
    Ok(())
}
