//! What models cost.

use std::path::{Path, PathBuf};

use nanoclaw_config::{ModelRef, NanoUsd, glob};
use nanoclaw_dialect::Usage;
use serde::Deserialize;

/// Longest price file in bytes.
const LONGEST_FILE: u64 = 1024 * 1024;

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
        let sum = |amounts: [(u64, u64); 3]| {
            amounts.into_iter().fold(0_u64, |sum, (tokens, price)| sum.saturating_add(tokens.saturating_mul(price)))
        };
        NanoUsd(sum([(usage.input - cached, self.input), (cached, self.cached), (usage.output, self.output)]))
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

    /// What `model` costs, where the table says so. Entries can name a model with its provider or without.
    pub fn of(&self, model: &ModelRef) -> Option<Price> {
        let whole = model.to_string();
        let fits = |entry: &&Entry| glob::matches(&entry.model, &whole) || glob::matches(&entry.model, &model.model);
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
        assert_eq!(price(&prices, "spare/gpt-5-mini-2025"), Some(Price { input: 250, cached: 25, output: 2000 }));
        assert_eq!(price(&prices, "x/own"), Some(Price::default()));
        assert_eq!(price(&prices, "x/unheard-of"), None);
    }

    #[test]
    fn cached_tokens_cost_what_cached_tokens_cost() {
        let price = Price { input: 1000, cached: 100, output: 5000 };
        let usage = Usage { input: 10, cached: 4, output: 2, reasoning: 1 };
        assert_eq!(price.of(usage), NanoUsd(6 * 1000 + 4 * 100 + 2 * 5000));
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
