//! Models whose calls will all be refused: a budget bounds money, and nobody knows what they cost.

use std::collections::BTreeMap;

use nanoclaw_config::{Agent, Budget, Config, ModelAccess, ModelRef, ProviderKind};

use crate::price::{PriceError, Prices};

/// Most agents that one sentence names. The others are counted.
const MOST_AGENTS: usize = 4;

/// Says for each such model of `config`, as a sentence without a full stop, whom it concerns and what to do. Patterns of
/// `models.allow` are not looked at: what they fit is not known before it is asked for.
///
/// # Errors
/// The price file cannot be read, or is none.
pub fn unpriced(config: &Config) -> Result<Vec<String>, PriceError> {
    let models = &config.models;
    let prices = Prices::load(models.prices.as_deref())?;
    let free = |model: &ModelRef| {
        let mut providers = models.providers.iter().filter(|provider| provider.name == model.provider);
        providers.any(|provider| matches!(provider.kind, ProviderKind::LlamaServer(_)))
    };
    let mut found: BTreeMap<ModelRef, Vec<&Agent>> = BTreeMap::new();
    for agent in &config.agents {
        let Some(access) = agent.models.as_ref().filter(|access| is_bounded(config, access)) else { continue };
        let own = access.model.as_ref().or(models.default.as_ref());
        for name in own.into_iter().chain(&access.allow).filter(|name| !name.contains('*')) {
            let candidates =
                models.aliases.get(name).cloned().unwrap_or_else(|| ModelRef::parse(name).into_iter().collect());
            for model in candidates.into_iter().filter(|model| !free(model) && prices.of(model).is_none()) {
                let agents = found.entry(model).or_default();
                if agents.last().is_none_or(|last| last.id != agent.id) {
                    agents.push(agent);
                }
            }
        }
    }
    let place = match models.prices {
        Some(_) => "the file that `models.prices` names",
        None => "a file, and name that as `prices` of `models`",
    };
    let said = found.into_iter().map(|(model, agents)| {
        let mut named: Vec<String> = agents.iter().take(MOST_AGENTS).map(|agent| format!("`{}`", agent.id)).collect();
        if agents.len() > named.len() {
            named.push(format!("{} others", agents.len() - named.len()));
        }
        format!(
            "`{model}` has no price, and a budget bounds the money of {}: every call of it, and of an alias that stands for it, is refused; put its price into {place}",
            named.join(", ")
        )
    });
    Ok(said.collect())
}

/// Whether a budget that an agent counts against bounds money.
fn is_bounded(config: &Config, access: &ModelAccess) -> bool {
    let group = config.groups.iter().find(|group| access.group.as_ref() == Some(&group.name)).map(|group| group.budget);
    let money = |budget: Budget| budget.usd_per_hour.or(budget.usd_per_day).or(budget.usd_per_month).is_some();
    [Some(config.budget), Some(access.budget), group].into_iter().flatten().any(money)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const PROVIDERS: &str = "providers: [{ name: main, kind: openai, base_url: 'https://a.example' }, { name: local, kind: llama-server, model_file: m, program: p }]";

    fn said(text: &str, base: &Path) -> Result<Vec<String>, PriceError> {
        unpriced(&nanoclaw_config::parse(text, Path::new("c.yaml"), base).unwrap().config)
    }

    fn count(rest: &str) -> usize {
        said(&format!("models: {{ {PROVIDERS}, aliases: {{ both: [main/gpt-5, main/secret-one] }}, default: main/secret-one }}\n{rest}"), Path::new("/x")).unwrap().len()
    }

    #[test]
    fn a_bound_on_money_without_a_price_is_told_before_the_first_turn() {
        let text = format!(
            "models: {{ {PROVIDERS} }}\nagents: [{{ id: a, kind: builtin, model: main/secret-one, budget: {{ usd_per_day: 5 }} }}]"
        );
        assert_eq!(
            said(&text, Path::new("/x")).unwrap(),
            [
                "`main/secret-one` has no price, and a budget bounds the money of `a`: every call of it, and of an alias that stands for it, is refused; put its price into a file, and name that as `prices` of `models`"
            ]
        );
    }

    #[test]
    fn bounds_of_agents_groups_and_the_fleet_count_and_those_on_tokens_do_not() {
        let agent = |rest: &str| format!("agents: [{{ id: a, kind: builtin{rest} }}]");
        assert_eq!(count(&agent(", budget: { usd_per_hour: 1 }")), 1);
        assert_eq!(count(&format!("budget: {{ usd_per_month: 1 }}\n{}", agent(""))), 1);
        assert_eq!(
            count(&format!("groups: [{{ name: g, budget: {{ usd_per_day: 1 }} }}]\n{}", agent(", group: g"))),
            1
        );
        assert_eq!(count(&format!("groups: [{{ name: g, budget: {{ usd_per_day: 1 }} }}]\n{}", agent(""))), 0);
        assert_eq!(count(&agent(", budget: { tokens_per_day: 9 }")), 0);
    }

    #[test]
    fn every_model_that_is_named_counts_and_those_with_a_price_do_not() {
        let agent =
            |rest: &str| count(&format!("agents: [{{ id: a, kind: builtin, budget: {{ usd_per_day: 1 }}, {rest} }}]"));
        assert_eq!(agent("model: main/gpt-5-mini"), 0);
        assert_eq!(agent("model: local/anything"), 0, "it costs nothing");
        assert_eq!(agent("model: both"), 1, "one of those that it stands for has none");
        assert_eq!(agent("model: main/gpt-5, models: { allow: [both, main/secret-two, 'main/*'] }"), 2);
        let many: Vec<_> = (0..6).map(|n| format!("{{ id: a{n}, kind: builtin }}")).collect();
        let text = format!(
            "models: {{ {PROVIDERS}, default: main/x }}\nbudget: {{ usd_per_day: 1 }}\nagents: [{}]",
            many.join(", ")
        );
        let said = said(&text, Path::new("/x")).unwrap();
        assert!(said.len() == 1 && said[0].contains("the money of `a0`, `a1`, `a2`, `a3`, 2 others:"), "{said:?}");
    }

    #[test]
    fn the_price_file_is_read_and_a_broken_one_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "models: {{ {PROVIDERS}, default: main/secret-one, prices: prices.json }}\nbudget: {{ usd_per_day: 1 }}\nagents: [{{ id: a, kind: builtin }}]"
        );
        let with = |prices: &str| {
            std::fs::write(directory.path().join("prices.json"), prices).unwrap();
            said(&text, directory.path())
        };
        assert_eq!(with(r#"{"prices": [{"model": "secret*", "input": 1, "output": 2}]}"#).unwrap(), [""; 0]);
        assert_eq!(with(r#"{"prices": []}"#).unwrap().len(), 1);
        for (broken, why) in [
            (r#"{"prices": [{"model": "secret*", "output": 2}]}"#, "missing field `input`"),
            ("nonsense", "in US dollars for a million tokens"),
        ] {
            let error = with(broken).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
