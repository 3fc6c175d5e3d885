//! What a call of a model came to.

use std::collections::BTreeMap;

use nanoclaw_tlog::canonical::MAX_INTEGER;
use serde::Serialize;

use crate::text::clip_to;

/// What the prompt firewall found in a text. What the text says stands nowhere here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Screened {
    /// Whose words it is: `user`, `tool`, `document`, `agent`; `output` for what the model says and the calls it proposes.
    pub channel: &'static str,
    /// How sure it is: `clean`, `suspect`, `likely`, `certain`.
    pub level: &'static str,
    /// The score, in thousandths.
    pub score: u16,
    /// What was done: `noted`, `marked`, `redacted`, `withheld`, `released`, `refused`.
    pub done: &'static str,
    /// The rules and filters that it meets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The kinds of data in it that are not to leave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<String>,
    /// Where, in bytes from its beginning: the first, and the one behind the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<[usize; 2]>,
    /// How it had to be read to show that, such as `base64`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<String>,
    /// Whether all of it was looked at.
    pub complete: bool,
    /// SHA-256 of it, in hex.
    pub sha256: String,
}

/// The `model` object of the record of a call's outcome. Leave out what is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ModelUse {
    /// The provider that answered.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// The model, as the provider names it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Tokens of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Those that the provider had in its cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_tokens: Option<u64>,
    /// Tokens of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Whether the tokens were estimated, because the provider did not say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// What it cost, in US dollars as a decimal; absent where there is no price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<String>,
    /// From the request to the first event of the answer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// From the request to the end of the answer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
    /// Requests that were sent to providers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Why the answer ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// Names of the tools whose calls the model proposed, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools_proposed: Vec<String>,
    /// Those that were refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools_denied: Vec<String>,
    /// How many parts of the request come from where: `operator`, `user`, `model`, `tool:NAME`, `tool`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, u64>,
    /// What the prompt firewall found in the request, the surest first, and then in the answer; not all, where there is much.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub screened: Vec<Screened>,
    /// SHA-256 of the answer as the provider gave it, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_sha256: Option<String>,
}

impl ModelUse {
    /// As of a record: providers and models choose most of it.
    pub(crate) fn shorten(&mut self, most: usize) {
        for text in [&mut self.provider, &mut self.name] {
            *text = clip_to(most, std::mem::take(text));
        }
        self.stop = self.stop.take().map(|text| clip_to(most, text));
        for list in [&mut self.tools_proposed, &mut self.tools_denied] {
            list.truncate(most / 32);
            list.iter_mut().for_each(|text| *text = clip_to(most, std::mem::take(text)));
        }
        let sources = std::mem::take(&mut self.sources).into_iter().take(most / 32);
        self.sources = sources.map(|(name, count)| (clip_to(most, name), count)).collect();
        self.screened.truncate(most / 32);
        for found in &mut self.screened {
            for list in [&mut found.rules, &mut found.losses, &mut found.forms] {
                list.truncate(most / 32);
            }
            found.spans.truncate(most / 32);
        }
    }

    /// Makes counts that a provider invents ones that every reader of JSON reads alike.
    pub(crate) fn clamp(&mut self) {
        for count in [&mut self.input_tokens, &mut self.cached_tokens, &mut self.output_tokens] {
            *count = count.map(|count| count.min(MAX_INTEGER));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_readable_for_everybody() {
        let mut model = ModelUse { input_tokens: Some(u64::MAX), output_tokens: Some(3), ..ModelUse::default() };
        model.clamp();
        assert_eq!((model.input_tokens, model.output_tokens), (Some(MAX_INTEGER), Some(3)));
    }
}
