//! `models.providers`, and the providers that OpenClaw knows without it.

use std::path::Path;

use nanoclaw_config::ModelRef;

use super::names::Names;
use super::node::Node;
use super::report::Report;
use super::secrets::{Key, Secrets, variable};
use super::yaml::{comment, scalar};

/// Longest time for an answer in seconds, as the configuration allows it.
const MAX_TIMEOUT: u64 = 86_400;

/// Providers that OpenClaw knows by name: kind, where they are, which variable has their key.
const KNOWN: [(&str, &str, &str, Option<&str>); 13] = [
    ("anthropic", "anthropic", "https://api.anthropic.com", Some("ANTHROPIC_API_KEY")),
    ("openai", "openai-responses", "https://api.openai.com/v1", Some("OPENAI_API_KEY")),
    ("google", "gemini", "https://generativelanguage.googleapis.com", Some("GEMINI_API_KEY")),
    ("openrouter", "openai", "https://openrouter.ai/api/v1", Some("OPENROUTER_API_KEY")),
    ("groq", "openai", "https://api.groq.com/openai/v1", Some("GROQ_API_KEY")),
    ("mistral", "openai", "https://api.mistral.ai/v1", Some("MISTRAL_API_KEY")),
    ("deepseek", "openai", "https://api.deepseek.com", Some("DEEPSEEK_API_KEY")),
    ("xai", "openai", "https://api.x.ai/v1", Some("XAI_API_KEY")),
    ("moonshot", "openai", "https://api.moonshot.ai/v1", Some("MOONSHOT_API_KEY")),
    ("together", "openai", "https://api.together.xyz/v1", Some("TOGETHER_API_KEY")),
    ("zai", "openai", "https://api.z.ai/api/paas/v4", Some("ZAI_API_KEY")),
    ("ollama", "openai", "http://127.0.0.1:11434/v1", None),
    ("lmstudio", "openai", "http://127.0.0.1:1234/v1", None),
];

/// What is not carried over of a provider.
const LEFT: [(&str, &str); 11] = [
    (
        "headers",
        "headers of your own are not sent, and may hold keys; write `api_key` and, where it is another header, `key_header`",
    ),
    ("authHeader", "the key goes where the provider's dialect wants it; `key_header` names another header"),
    ("request", "NanoClaw makes the connection itself; `ca` names further authorities, and `HTTPS_PROXY` is not used"),
    ("localService", "NanoClaw starts no such program; a provider of kind `llama-server` runs llama.cpp in a cell"),
    ("region", "only Amazon's dialect has regions"),
    ("maxTokens", "write `budget: { max_output_tokens: N }` on the agents"),
    ("params", "parameters come from the agent; NanoClaw passes them on"),
    ("agentRuntime", "OpenClaw runs its own loop in the cell"),
    ("injectNumCtxForOpenAICompat", "set the length of the context where the model runs"),
    ("auth", "write where the key is as `api_key: { env: NAME }`"),
    ("models", "NanoClaw passes every name of a model on; prices that differ go into the file of `models.prices`"),
];

/// A provider that is carried over.
pub(super) struct Provider {
    /// What OpenClaw calls it.
    id: String,
    /// What NanoClaw calls it.
    pub(super) name: String,
    path: String,
    kind: &'static str,
    base_url: String,
    key: Key,
    key_header: Option<&'static str>,
    responses: bool,
    /// In seconds.
    timeout: Option<u64>,
    /// Names of models that the configuration lists.
    models: Vec<String>,
}

/// All of them.
pub(super) struct Providers<'s> {
    all: Vec<Provider>,
    names: Names,
    secrets: &'s Secrets<'s>,
}

impl<'s> Providers<'s> {
    /// Takes over what `models` says.
    pub(super) fn read(models: Option<&Node<'_>>, secrets: &'s Secrets<'s>, report: &mut Report) -> Self {
        let mut providers = Self { all: Vec::new(), names: Names::default(), secrets };
        let Some(models) = models else { return providers };
        models.leave(
            report,
            &["providers"],
            &[("mode", "there is no catalogue: what `models` names is what there is")],
            "there is no catalogue of models; NanoClaw passes every name on",
        );
        for (id, node) in models.get("providers").map(|node| node.entries()).unwrap_or_default() {
            match providers.one(id, &node, report) {
                Ok(provider) => providers.keep(provider, report),
                Err(why) => report.dropped(&node.path, why),
            }
        }
        providers
    }

    /// The NanoClaw name of a provider, which is added where OpenClaw knows it without configuration.
    pub(super) fn named(&mut self, id: &str, report: &mut Report) -> Option<String> {
        let position = self.all.iter().position(|provider| provider.id.eq_ignore_ascii_case(id));
        if let Some(provider) = position.and_then(|at| self.all.get(at)) {
            return Some(provider.name.clone());
        }
        let (id, kind, base_url, key) = KNOWN.iter().find(|known| known.0.eq_ignore_ascii_case(id))?;
        let (kind, responses) = split(kind);
        let provider = Provider {
            id: (*id).to_owned(),
            name: self.names.take(id),
            path: format!("OpenClaw's own provider {id}"),
            kind,
            base_url: (*base_url).to_owned(),
            key: key.map_or(Key::None, |key| Key::Env(key.to_owned())),
            key_header: None,
            responses,
            timeout: None,
            models: Vec::new(),
        };
        let name = provider.name.clone();
        self.keep(provider, report);
        Some(name)
    }

    /// The only provider that lists this model, and the model, as NanoClaw calls them.
    pub(super) fn listing(&self, model: &str) -> Option<ModelRef> {
        let mut found = self.all.iter().filter(|provider| provider.models.iter().any(|listed| listed == model));
        let provider = found.next().filter(|_| found.next().is_none())?;
        Some(ModelRef { provider: provider.name.clone(), model: model.to_owned() })
    }

    /// The first model that the configuration lists: OpenClaw takes it where nothing else is said.
    pub(super) fn first_model(&self) -> Option<ModelRef> {
        self.all.iter().find_map(|provider| {
            let model = provider.models.first()?.clone();
            Some(ModelRef { provider: provider.name.clone(), model })
        })
    }

    /// The lines of the configuration, one provider after the other.
    pub(super) fn write(&self, out: &mut Vec<String>) {
        for provider in &self.all {
            provider.write(out);
        }
    }

    /// Keeps a provider, if a configuration with it is valid; without its key, if only that is in the way.
    fn keep(&mut self, mut provider: Provider, report: &mut Report) {
        if let Err(why) = provider.check() {
            let key = std::mem::replace(&mut provider.key, Key::None);
            if matches!(key, Key::None) || provider.check().is_err() {
                report.dropped(&provider.path, format!("it cannot be used here: {why}"));
                return;
            }
            report.changed(&format!("{}.apiKey", provider.path), format!("left out: {why}"));
        }
        let key = match &provider.key {
            Key::Env(variable) => format!(", with the key that is in the variable `{variable}`"),
            Key::File(_) | Key::Perhaps(_) | Key::None => String::new(),
        };
        report.carried(&provider.path, format!("provider `{}`, kind `{}`{key}", provider.name, provider.kind));
        self.all.push(provider);
    }

    fn one(&mut self, id: &str, node: &Node<'_>, report: &mut Report) -> Result<Provider, String> {
        let known = KNOWN.iter().find(|known| known.0.eq_ignore_ascii_case(id));
        let mut key_header = None;
        let mut openai_path = false;
        let api = match node.get("api") {
            Some(api) => Some(api.text().ok_or("its `api` is not a text")?),
            None => None,
        };
        let (kind, responses) = match (api, known) {
            (None, Some((_, kind, _, _))) => split(kind),
            (None, None) | (Some("openai-completions"), _) => ("openai", false),
            (Some("openai-responses"), _) => ("openai", true),
            (Some("azure-openai-responses"), _) => {
                key_header = Some("api-key");
                ("openai", true)
            }
            (Some("anthropic-messages"), _) => ("anthropic", false),
            (Some("google-generative-ai"), _) => ("gemini", false),
            (Some("ollama"), _) => {
                openai_path = true;
                ("openai", false)
            }
            (Some(_), _) => {
                return Err(
                    "NanoClaw does not speak its `api`; it speaks OpenAI's, Anthropic's and Gemini's, so look for \
                    an endpoint of the provider that speaks one of those"
                        .to_owned(),
                );
            }
        };
        let base_url = match (node.get("baseUrl").and_then(|url| url.text()), known) {
            (Some(url), _) => url.trim().trim_end_matches('/').to_owned(),
            (None, Some((_, _, url, _))) => (*url).to_owned(),
            (None, None) => return Err("it has no `baseUrl`; write a provider with `base_url` by hand".to_owned()),
        };
        let base_url = if openai_path && !base_url.ends_with("/v1") {
            report.changed(&node.path, "reached at its OpenAI-compatible address, which ends in `/v1`");
            format!("{base_url}/v1")
        } else {
            base_url
        };
        let name = self.names.take(id);
        if name != id {
            report.changed(&node.path, format!("called `{name}`: names are of a-z, 0-9 and `-`"));
        }
        let local =
            ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|here| base_url.starts_with(here));
        let environment = known.and_then(|known| known.3).map_or_else(|| variable(&name), str::to_owned);
        let key = match node.get("apiKey") {
            Some(key) => self.secrets.key(&key, &environment, local, report),
            // What OpenClaw knows has its key in a profile or in the environment.
            None if known.is_some() && !local => Key::Env(environment),
            None => Key::None,
        };
        let timeout = node.get("timeoutSeconds").and_then(|time| time.value.as_u64());
        let timeout = timeout.filter(|seconds| (1..=MAX_TIMEOUT).contains(seconds));
        if let Some(time) = node.get("timeoutSeconds")
            && timeout.is_none()
        {
            report.dropped(&time.path, format!("not a number from 1 to {MAX_TIMEOUT}; `timeout` is 10 minutes"));
        }
        node.leave(
            report,
            &["api", "baseUrl", "apiKey", "timeoutSeconds"],
            &LEFT,
            "NanoClaw's providers have no such setting",
        );
        let models = node.get("models").map(|models| models.items()).unwrap_or_default();
        let models = models.iter().filter_map(|model| model.get("id")?.text().map(str::to_owned)).collect();
        let (id, path) = (id.to_owned(), node.path.clone());
        Ok(Provider { id, name, path, kind, base_url, key, key_header, responses, timeout, models })
    }
}

/// The kind, and whether it speaks OpenAI responses too.
fn split(kind: &'static str) -> (&'static str, bool) {
    match kind {
        "openai-responses" => ("openai", true),
        kind => (kind, false),
    }
}

impl Provider {
    fn write(&self, out: &mut Vec<String>) {
        out.push(format!("    {}", comment(&self.path)));
        out.push(format!("    - name: {}", scalar(&self.name)));
        out.push(format!("      kind: {}", self.kind));
        out.push(format!("      base_url: {}", scalar(&self.base_url)));
        match &self.key {
            Key::None => {}
            Key::Env(name) => out.push(format!("      api_key: {{ env: {} }}", scalar(name))),
            Key::File(path) => out.push(format!("      api_key: {{ file: {} }}", scalar(path))),
            Key::Perhaps(name) => {
                out.push("      # Take the `#` away if it asks for a key:".to_owned());
                out.push(format!("      # api_key: {{ env: {} }}", scalar(name)));
            }
        }
        if let (Some(header), Key::Env(_) | Key::File(_)) = (self.key_header, &self.key) {
            out.push(format!("      key_header: {header}"));
        }
        if self.responses {
            out.push("      responses: true".to_owned());
        }
        if let Some(seconds) = self.timeout {
            out.push(format!("      timeout: {seconds}s"));
        }
    }

    /// Whether a configuration with nothing but this provider is valid, and if not, why.
    fn check(&self) -> Result<(), String> {
        // There may be a key or a password in it, which no message repeats.
        if self.base_url.contains(['@', '?', '#', '$']) {
            return Err(
                "its `baseUrl` has a user, a query or a variable in it; write the plain URL as `base_url`".to_owned()
            );
        }
        if self.base_url.split('/').skip(3).any(looks_random) {
            return Err(
                "its `baseUrl` has a long random-looking part in its path, which may be a secret and is not copied; write the \
                 provider by hand if it is none"
                    .to_owned(),
            );
        }
        let mut lines = vec!["models:".to_owned(), "  providers:".to_owned()];
        self.write(&mut lines);
        match nanoclaw_config::parse(&lines.join("\n"), Path::new("import"), Path::new("/")) {
            Ok(_) => Ok(()),
            Err(report) => Err(report
                .mistakes()
                .first()
                .map(|mistake| format!("{}; {}", mistake.message, mistake.help))
                .unwrap_or_default()),
        }
    }
}

/// Fewest letters and digits that make a part of a path look random.
const RANDOM: usize = 16;

/// Whether a part of a path looks like a key rather than like words, versions and dates.
fn looks_random(part: &str) -> bool {
    let random = |word: &&str| {
        let has = |is: fn(&char) -> bool| word.chars().any(|c| is(&c));
        let digits = has(char::is_ascii_digit);
        let mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
        digits && has(char::is_ascii_alphabetic) || word.len() >= RANDOM && (mixed || digits)
    };
    let words = part.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() >= 4);
    words.filter(random).map(str::len).sum::<usize>() >= RANDOM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_a_path_are_told_from_words() {
        for key in [
            "sk-proj-9Zb3TqLm4Xy7Kp2Rw8Vn",
            "0123456789abcdef0123456789abcdef",
            "3fa85f64-5717-4562-b3fc-2c963f66afa6",
            "AbCdEfGhIjKlMnOpQrSt",
            "key=a1b2c3d4e5f6a7b8c9",
            "12345678901234567890",
        ] {
            assert!(looks_random(key), "{key}");
        }
        for word in [
            "",
            "v1",
            "v1beta",
            "openai",
            "chat",
            "gpt-4o-mini-2024-07-18",
            "my-project-production-europe",
            "paas",
            "deployments",
        ] {
            assert!(!looks_random(word), "{word}");
        }
    }
}
