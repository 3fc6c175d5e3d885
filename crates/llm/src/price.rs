//! What models cost.

use std::path::{Path, PathBuf};

use hyper::HeaderMap;
use nanoclaw_config::{ModelRef, NanoUsd, glob};
use nanoclaw_dialect::Usage;
use serde::Deserialize;
use serde_json::Value;

/// Longest price file in bytes.
const LONGEST_FILE: u64 = 1024 * 1024;

/// Fields of requests that change what a token costs, and the values with which they do not: faster service costs up to
/// six times the price, and a place where it is given a tenth more.
const APART: [(&str, &[&str]); 3] = [
    ("service_tier", &["auto", "default", "standard", "standard_only", "flex"]),
    ("speed", &["standard"]),
    ("inference_geo", &["global"]),
];
/// Values of `anthropic-beta` that do: requests past 200,000 tokens cost twice the price.
const BETAS_APART: [&str; 2] = ["context-1m", "fast-mode"];

/// What a request asks for that the prices of its model do not hold for.
pub(crate) fn apart(body: &Value, headers: &HeaderMap) -> Option<&'static str> {
    let field = APART.into_iter().find(|(name, usual)| {
        let value = body.get(*name).filter(|value| !value.is_null());
        value.is_some_and(|value| !value.as_str().is_some_and(|text| usual.contains(&text)))
    });
    let mut betas = headers.get_all("anthropic-beta").iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    let beta =
        betas.find_map(|beta| BETAS_APART.into_iter().find(|apart| beta.trim_ascii().starts_with(apart.as_bytes())));
    field.map(|(name, _)| name).or(beta)
}

/// Why prices cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// The file cannot be read.
    #[error("price file `{}`: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a price table.
    #[error("price file `{}`: {source}; write {{ \"prices\": [{{ \"model\": \"NAME*\", \"input\": 1.5, \"cached\": 0.5, \"output\": 6 }}] }}, in US dollars for a million tokens", .path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why, with line and column.
        source: serde_json::Error,
    },
    /// A price is negative, or too high to be one.
    #[error("price file `{}`: the price of `{model}` is not between 0 and 1000000", .path.display())]
    Absurd {
        /// Which file.
        path: PathBuf,
        /// Whose price.
        model: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    #[expect(dead_code, reason = "it is for readers of the file")]
    note: String,
    prices: Vec<Entry>,
}

/// In US dollars for a million tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    model: String,
    input: f64,
    cached: Option<f64>,
    output: f64,
}

/// What one model costs, in thousand-millionths of a dollar for a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    input: u64,
    cached: u64,
    output: u64,
}

impl Price {
    /// What `usage` costs.
    pub fn of(self, usage: Usage) -> NanoUsd {
        let cached = usage.cached.min(usage.input);
        let amounts = [
            (usage.input - cached, self.input),
            (usage.surcharge, self.input),
            (cached, self.cached),
            (usage.output, self.output),
        ];
        let cost = |(tokens, price): (u64, u64)| tokens.saturating_mul(price);
        NanoUsd(amounts.into_iter().map(cost).fold(0, u64::saturating_add))
    }
}

/// A price table: the operator's own entries before the built-in ones.
#[derive(Clone, Debug)]
pub struct Prices {
    entries: Vec<Entry>,
}

impl Prices {
    /// The built-in table, after the entries of `file`.
    ///
    /// # Errors
    /// The file cannot be read, or is no price table.
    pub fn load(file: Option<&Path>) -> Result<Self, PriceError> {
        let mut entries = match file {
            Some(path) => {
                let failed = |source| PriceError::File { path: path.to_path_buf(), source };
                let length = std::fs::metadata(path).map_err(failed)?.len();
                if length > LONGEST_FILE {
                    return Err(failed(std::io::Error::other(format!(
                        "{length} bytes are too many for a price table"
                    ))));
                }
                read(path, &std::fs::read_to_string(path).map_err(failed)?)?
            }
            None => Vec::new(),
        };
        entries.extend(read(Path::new("data/prices.json"), include_str!("../data/prices.json"))?);
        Ok(Self { entries })
    }

    /// What `model` costs, where the table says so. Entries can name a model with its provider or without, and with its
    /// date or without.
    pub fn of(&self, model: &ModelRef) -> Option<Price> {
        let whole = model.to_string();
        let names = [whole.as_str(), &model.model, undated(&whole), undated(&model.model)];
        let fits = |entry: &&Entry| names.iter().any(|name| glob::matches(&entry.model, name));
        let entry = self.entries.iter().find(fits)?;
        let cached = entry.cached.unwrap_or(entry.input);
        Some(Price { input: per_token(entry.input), cached: per_token(cached), output: per_token(entry.output) })
    }
}

fn read(path: &Path, text: &str) -> Result<Vec<Entry>, PriceError> {
    let table: Table =
        serde_json::from_str(text).map_err(|source| PriceError::Malformed { path: path.to_path_buf(), source })?;
    let sane = |price: f64| (0.0..=1e6).contains(&price);
    match table
        .prices
        .iter()
        .find(|entry| ![entry.input, entry.cached.unwrap_or(0.0), entry.output].into_iter().all(sane))
    {
        Some(entry) => Err(PriceError::Absurd { path: path.to_path_buf(), model: entry.model.clone() }),
        None => Ok(table.prices),
    }
}

/// A name without `-YYYY-MM-DD`, `-YYYYMMDD` or `-latest` at its end, by which providers name one model more exactly.
fn undated(name: &str) -> &str {
    let without = |end: &str| {
        let (start, found) = name.split_at_checked(name.len().checked_sub(end.len())?)?;
        let fits = |(found, end): (u8, u8)| if end == b'0' { found.is_ascii_digit() } else { found == end };
        found.bytes().zip(end.bytes()).all(fits).then_some(start)
    };
    ["-0000-00-00", "-00000000", "-latest"].into_iter().find_map(without).unwrap_or(name)
}

/// From dollars for a million tokens. Rounded up, so that a price never becomes free.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a price was checked to lie between 0 and a million"
)]
fn per_token(dollars: f64) -> u64 {
    (dollars * 1000.0).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(prices: &Prices, model: &str) -> Option<Price> {
        prices.of(&ModelRef::parse(model).unwrap())
    }

    #[test]
    fn the_most_exact_entry_comes_first_and_the_operators_own_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("prices.json");
        std::fs::write(
            &path,
            r#"{"prices": [{"model": "main/gpt-5-mini", "input": 1, "output": 2}, {"model": "own", "input": 0, "output": 0}]}"#,
        )
        .unwrap();
        let prices = Prices::load(Some(&path)).unwrap();
        assert_eq!(price(&prices, "main/gpt-5-mini"), Some(Price { input: 1000, cached: 1000, output: 2000 }));
        assert_eq!(price(&prices, "spare/gpt-5-mini-2025-08-07"), Some(Price { input: 250, cached: 25, output: 2000 }));
        assert_eq!(price(&prices, "x/own"), Some(Price::default()));
        assert_eq!(price(&prices, "x/unheard-of"), None);
    }

    #[test]
    fn variants_that_nobody_priced_have_no_price() {
        let prices = Prices::load(None).unwrap();
        for name in [
            "gpt-5-pro",
            "gpt-5-pro-2025-10-06",
            "gpt-5.9",
            "o3-pro",
            "o3-deep-research-2025-06-26",
            "o4-mini-deep-research",
            "gpt-4o-audio-preview",
            "gpt-4o-realtime-preview-2025-06-03",
            "gpt-4o-mini-search-preview",
            "gpt-4o-2024-05",
            "gpt-4o-latest-2024-05-13",
            "gpt-5-20250807x",
            "claude-opus-4-9",
            "claude-sonnet-4-5-fast",
            "gemini-2.5-flash-image",
            "gemini-2.5-pro-preview-tts",
            "x-gpt-5",
        ] {
            assert_eq!(price(&prices, &format!("main/{name}")), None, "{name}");
        }
        for (name, input) in [
            ("gpt-5", 1250),
            ("gpt-5-2025-08-07", 1250),
            ("gpt-4o-2024-05-13", 5000),
            ("gpt-4o-2024-11-20", 2500),
            ("o3-2025-04-16", 2000),
            ("claude-opus-4-5-20251101", 5000),
            ("claude-opus-4-20250514", 15000),
            ("claude-3-5-haiku-latest", 800),
            ("gemini-2.5-flash", 300),
        ] {
            assert_eq!(price(&prices, &format!("main/{name}")).map(|price| price.input), Some(input), "{name}");
        }
    }

    #[test]
    fn what_costs_more_than_its_price_is_told() {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let none = HeaderMap::new();
        for (body, found) in [
            ("{}", None),
            (r#"{"service_tier": "auto", "speed": null}"#, None),
            (r#"{"service_tier": "priority"}"#, Some("service_tier")),
            (r#"{"service_tier": 7}"#, Some("service_tier")),
            (r#"{"speed": "fast"}"#, Some("speed")),
            (r#"{"inference_geo": "us"}"#, Some("inference_geo")),
        ] {
            assert_eq!(apart(&json(body), &none), found, "{body}");
        }
        for (value, found) in
            [("token-efficient-tools-2025-02-19", None), ("other-1, context-1m-2025-08-07", Some("context-1m"))]
        {
            let headers = HeaderMap::from_iter([("anthropic-beta".parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(apart(&json("{}"), &headers), found, "{value}");
        }
    }

    #[test]
    fn cached_tokens_cost_what_cached_tokens_cost() {
        let price = Price { input: 1000, cached: 100, output: 5000 };
        let usage = Usage { input: 10, cached: 4, output: 2, reasoning: 1, surcharge: 3 };
        assert_eq!(price.of(usage), NanoUsd(6 * 1000 + 3 * 1000 + 4 * 100 + 2 * 5000));
        assert_eq!(price.of(Usage { input: u64::MAX, ..usage }), NanoUsd(u64::MAX));
    }

    #[test]
    fn a_bad_table_is_refused_with_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p");
        for (text, part) in [
            (r#"{"prices": [{"model": "x", "input": 1}]}"#, "missing field `output` at line 1 column"),
            (r#"{"prices": [{"model": "x", "input": -1, "output": 1}]}"#, "the price of `x` is not between"),
            ("[]", "in US dollars for a million tokens"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Prices::load(Some(&path)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
