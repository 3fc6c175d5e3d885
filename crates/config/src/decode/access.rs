//! What an agent may do with models: which ones, which tools, how much.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use super::keys::{BUDGET, GROUP, MODEL_RULES, TOOL_RULE, TOOLS};
use super::kind::Runs;
use super::names::{Names, Naming, check, name};
use super::reader::{Field, Fields, Reader};
use crate::display::shown;
use crate::tree::Kind;
use crate::value::usd;
use crate::{Budget, Group, ModelAccess, NanoUsd, ToolRule, ToolRules};

/// Most patterns in one list.
const MAX_PATTERNS: usize = 256;
/// Most arguments that one tool rule looks at.
const MAX_TOOL_ARGUMENTS: usize = 64;
/// Most groups.
const MAX_GROUPS: usize = 256;
/// Bounds of counts in a budget.
pub(crate) const COUNT: RangeInclusive<u64> = 1..=1_000_000_000_000_000;

/// Reads what an agent may do with models; nothing where it may use none.
pub(super) fn access(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    runs: Runs,
    who: &str,
    path: &str,
    names: &Names,
) -> Option<ModelAccess> {
    let model = fields.get("model").and_then(|field| {
        let text = r.text(&field, "write an alias, or `PROVIDER/MODEL`")?;
        r.check(field.place(), names.model(text).map(|()| text.to_owned()))
    });
    let rules = fields.get("models").map(|field| model_rules(r, &field, names));
    let tools = fields.get("tools").map(|field| tools(r, &field, path)).unwrap_or_default();
    let budget = fields.get("budget").map(|field| budget(r, &field)).unwrap_or_default();
    let group = fields.get("group").and_then(|field| {
        let text = r.text(&field, "write the name of a group")?;
        r.check(field.place(), names.group(text).map(|()| text.to_owned()))
    });
    let asks = fields.any(&["model", "models"]).is_some();
    if runs == Runs::Command && !asks {
        if let Some(field) = fields.any(&["tools", "budget", "group"]) {
            r.error(
                field.key,
                format!("`{}` is about models, and {who} may use none", field.name),
                "add `model: PROVIDER/MODEL`, or remove it",
            );
        }
        return None;
    }
    let (allow, deny) = rules.unwrap_or_default();
    let names_one = fields.get("model").is_some() || names.default || (runs == Runs::Command && !allow.is_empty());
    if !names_one && runs != Runs::Unknown {
        r.error(
            fields.place,
            format!("{who} has no model"),
            "add `model: PROVIDER/MODEL` to it, or `default: PROVIDER/MODEL` to `models` at the top level",
        );
    }
    Some(ModelAccess { model, allow, deny, tools, budget, group, text_calls: false, told: false })
}

/// Reads which further models there are, and which are denied.
fn model_rules(r: &mut Reader<'_>, field: &Field<'_>, names: &Names) -> (Vec<String>, Vec<String>) {
    let help = "write a mapping such as `{ allow: [\"main/*\"] }`";
    let Some(fields) = r.fields(field, &MODEL_RULES, help) else { return Default::default() };
    let mut patterns = |key: &str| {
        let help = format!("write a list such as `{key}: [\"main/*\"]`");
        let Some(field) = fields.get(key) else { return Vec::new() };
        let Some(items) = r.list(&field, MAX_PATTERNS, &help) else { return Vec::new() };
        let mut patterns = Vec::new();
        for node in items {
            let item = field.element(node);
            if let Some(text) = r.text(&item, &help) {
                patterns.extend(r.check(item.place(), names.pattern(text).map(|()| text.to_owned())));
            }
        }
        patterns
    };
    (patterns("allow"), patterns("deny"))
}

/// Reads which tools may be called. The rules are called `path.tools.allow[0]`, and so on.
fn tools(r: &mut Reader<'_>, field: &Field<'_>, path: &str) -> ToolRules {
    let help = "write a mapping such as `{ allow: [file_read], deny: [shell] }`";
    let Some(fields) = r.fields(field, &TOOLS, help) else { return ToolRules::default() };
    let mut rules = |key: &str| {
        let field = fields.get(key)?;
        let items = r.list(&field, MAX_PATTERNS, &format!("write a list such as `{key}: [file_read]`"))?;
        let mut rules = Vec::new();
        for (index, node) in items.iter().enumerate() {
            rules.extend(tool_rule(r, &field.element(node), format!("{path}.tools.{key}[{index}]")));
        }
        Some(rules)
    };
    ToolRules { allow: rules("allow"), deny: rules("deny").unwrap_or_default() }
}

fn tool_rule(r: &mut Reader<'_>, item: &Field<'_>, id: String) -> Option<ToolRule> {
    let help = "write a tool such as `file_read`, or `{ name: http_fetch, arguments: { url: \"https://docs.example.com/*\" } }`";
    if !matches!(item.node.kind, Kind::Map(_)) {
        let text = r.text(item, help)?;
        let name = r.check(item.place(), check(text, true).map(|()| text.to_owned()))?;
        return Some(ToolRule { id, name, arguments: BTreeMap::new() });
    }
    let fields = r.fields(item, &TOOL_RULE, help)?;
    let arguments = fields.get("arguments").map(|field| arguments(r, &field)).unwrap_or_default();
    let Some(field) = fields.get("name") else {
        r.error(fields.place, "a tool rule has no `name`", "add `name: http_fetch`, or `name: \"*\"` for every tool");
        return None;
    };
    let text = r.text(&field, help)?;
    let name = r.check(field.place(), check(text, true).map(|()| text.to_owned()))?;
    Some(ToolRule { id, name, arguments })
}

fn arguments(r: &mut Reader<'_>, field: &Field<'_>) -> BTreeMap<String, String> {
    let Kind::Map(entries) = &field.node.kind else {
        r.mismatch(field, "a mapping", "write a mapping such as `{ url: \"https://docs.example.com/*\" }`");
        return BTreeMap::new();
    };
    if let Some(extra) = entries.get(MAX_TOOL_ARGUMENTS) {
        let message = format!("`arguments` has {} keys, and at most {MAX_TOOL_ARGUMENTS} are allowed", entries.len());
        r.error(extra.place, message, "remove the rest");
        return BTreeMap::new();
    }
    let mut arguments = BTreeMap::new();
    for entry in entries {
        let item = Field::new(&entry.key, entry.place, &entry.value);
        let help = format!("write a pattern, such as `{}: \"*\"` for any value", shown(&entry.key));
        arguments.extend(r.verbatim(&item, "a text", &help).map(|text| (entry.key.clone(), text.to_owned())));
    }
    arguments
}

/// Reads a budget, of the fleet, of a group or of an agent.
pub(super) fn budget(r: &mut Reader<'_>, field: &Field<'_>) -> Budget {
    let help = "write a mapping such as `{ tokens_per_day: 200000, usd_per_day: 5 }`";
    let Some(fields) = r.fields(field, &BUDGET, help) else { return Budget::default() };
    let count = |r: &mut Reader<'_>, key: &str| fields.get(key).and_then(|field| r.number(&field, &COUNT));
    let money = |r: &mut Reader<'_>, key: &str| -> Option<NanoUsd> {
        let field = fields.get(key)?;
        let text = r.verbatim(&field, "an amount of money", "write dollars such as `5` or `0.50`")?;
        r.check(field.place(), usd(key, text))
    };
    Budget {
        requests_per_minute: count(r, "requests_per_minute"),
        tokens_per_minute: count(r, "tokens_per_minute"),
        tokens_per_hour: count(r, "tokens_per_hour"),
        tokens_per_day: count(r, "tokens_per_day"),
        tokens_per_month: count(r, "tokens_per_month"),
        usd_per_hour: money(r, "usd_per_hour"),
        usd_per_day: money(r, "usd_per_day"),
        usd_per_month: money(r, "usd_per_month"),
        concurrent_calls: count(r, "concurrent_calls"),
        max_output_tokens: count(r, "max_output_tokens"),
    }
}

/// Reads the groups, and keeps their names.
pub(super) fn groups(r: &mut Reader<'_>, field: Option<Field<'_>>, names: &mut Names) -> Vec<Group> {
    let Some(field) = field else { return Vec::new() };
    let help = "write a list such as `[{ name: trading, budget: { tokens_per_day: 1000000 } }]`";
    let Some(items) = r.list(&field, MAX_GROUPS, help) else {
        names.groups.cut();
        return Vec::new();
    };
    let mut groups = Vec::new();
    let mut seen = HashMap::new();
    for node in items {
        let item = field.element(node);
        let Some(fields) = r.fields(&item, &GROUP, "write `{ name: trading, budget: { tokens_per_day: 1000000 } }`")
        else {
            names.groups.cut();
            continue;
        };
        let name = name(r, &fields, &Naming::GROUP, &mut seen);
        names.groups.add_from(&fields);
        let budget = match fields.get("budget") {
            Some(field) => Some(budget(r, &field)),
            None => {
                r.error(fields.place, "a group has no `budget`", "add `budget: { tokens_per_day: 1000000 }`");
                None
            }
        };
        if let (Some(name), Some(budget)) = (name, budget) {
            groups.push(Group { name: name.to_string(), budget });
        }
    }
    groups
}
