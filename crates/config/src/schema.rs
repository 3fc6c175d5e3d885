//! The JSON Schema of the file, for editors and other checkers.

/// The schema, JSON Schema 2020-12, as published in `docs/reference/nanoclaw-config.schema.json`.
pub fn schema() -> &'static str {
    include_str!("../../../docs/reference/nanoclaw-config.schema.json")
}

#[cfg(test)]
mod tests;
