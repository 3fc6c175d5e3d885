//! Every key that a file may have, level by level. The JSON Schema and the decoder are tested against these tables.

/// One kind of mapping.
#[derive(Debug)]
pub(crate) struct Level {
    /// How messages call it.
    pub(crate) name: &'static str,
    /// The keys that it may have.
    pub(crate) keys: &'static [&'static str],
    /// Keys that later versions will have, with what to do today.
    pub(crate) later: &'static [(&'static str, &'static str)],
}

/// A mapping whose `kind` decides which other keys it has.
#[derive(Debug)]
pub(crate) struct Kinds {
    /// How messages call several of them.
    pub(crate) many: &'static str,
    /// The keys that only some kinds have, with those kinds.
    pub(crate) own: &'static [(&'static str, &'static [&'static str])],
}

impl Kinds {
    /// Whether an entry called `key` may stand in a mapping of this kind, and if not, where it may.
    pub(crate) fn elsewhere(&self, key: &str, kind: &str) -> Option<&'static [&'static str]> {
        let (_, kinds) = self.own.iter().find(|(own, _)| *own == key)?;
        (!kinds.contains(&kind)).then_some(*kinds)
    }
}

pub(crate) const TOP: Level = Level {
    name: "the top level",
    keys: &[
        "sandbox_mode",
        "allowed_networks",
        "prompt_filters",
        "firewall",
        "policies",
        "rule_sets",
        "suspicious_asks",
        "labels",
        "approvals",
        "audit_enabled",
        "audit",
        "limits",
        "models",
        "budget",
        "groups",
        "listen",
        "api",
        "operators",
        "agents",
    ],
    later: &[],
};

pub(crate) const PROMPT_FILTER: Level = Level {
    name: "a prompt filter",
    keys: &["name", "regex", "keywords", "exact", "topic", "words", "at_least", "canary", "action", "channels"],
    later: &[],
};

pub(crate) const FIREWALL: Level = Level { name: "`firewall`", keys: &["prompts", "results", "losses"], later: &[] };

pub(crate) const AGENT: Level = Level {
    name: "an agent",
    keys: &[
        "id",
        "kind",
        "command",
        "rootfs",
        "mounts",
        "env",
        "workdir",
        "limits",
        "allowed_networks",
        "rule_sets",
        "restart",
        "health",
        "stop_grace",
        "model",
        "models",
        "tools",
        "budget",
        "group",
        "instructions",
        "dialect",
        "skills",
        "max_steps",
        "context_tokens",
        "mcp",
        "openclaw",
        "schedule",
        "webhook",
    ],
    later: &[("image", "unpack the image into a directory and write `rootfs: ./DIRECTORY`")],
};

/// The kinds of agents, and which keys only some of them have.
pub(crate) const AGENT_KINDS: Kinds = Kinds {
    many: "agents",
    own: &[
        ("command", &["command"]),
        ("instructions", &["builtin"]),
        ("dialect", &["builtin"]),
        ("skills", &["builtin"]),
        ("max_steps", &["builtin"]),
        ("context_tokens", &["builtin"]),
        ("mcp", &["builtin"]),
        ("openclaw", &["openclaw"]),
        ("schedule", &["builtin", "openclaw"]),
        ("webhook", &["builtin", "openclaw"]),
    ],
};

pub(crate) const MODELS: Level = Level {
    name: "`models` at the top level",
    keys: &["providers", "default", "aliases", "prices", "keep_bodies"],
    later: &[],
};

pub(crate) const PROVIDER: Level = Level {
    name: "a provider",
    keys: &[
        "name",
        "kind",
        "base_url",
        "api_key",
        "key_header",
        "ca",
        "responses",
        "model_file",
        "program",
        "context",
        "limits",
        "connect_timeout",
        "idle_timeout",
        "timeout",
        "retries",
    ],
    later: &[],
};

/// The kinds of providers, and which keys only some of them have.
pub(crate) const PROVIDER_KINDS: Kinds = Kinds {
    many: "providers",
    own: &[
        ("base_url", &["openai", "anthropic", "gemini"]),
        ("api_key", &["openai", "anthropic", "gemini"]),
        ("key_header", &["openai", "anthropic", "gemini"]),
        ("ca", &["openai", "anthropic", "gemini"]),
        ("responses", &["openai"]),
        ("model_file", &["llama-server"]),
        ("program", &["llama-server"]),
        ("context", &["llama-server"]),
        ("limits", &["llama-server"]),
    ],
};

pub(crate) const SECRET: Level = Level { name: "a secret", keys: &["env", "file"], later: &[] };

pub(crate) const BUDGET: Level = Level {
    name: "`budget`",
    keys: &[
        "requests_per_minute",
        "tokens_per_minute",
        "tokens_per_hour",
        "tokens_per_day",
        "tokens_per_month",
        "usd_per_hour",
        "usd_per_day",
        "usd_per_month",
        "concurrent_calls",
        "max_output_tokens",
    ],
    later: &[],
};

pub(crate) const GROUP: Level = Level { name: "a group", keys: &["name", "budget"], later: &[] };

pub(crate) const MODEL_RULES: Level = Level { name: "`models` of an agent", keys: &["allow", "deny"], later: &[] };

pub(crate) const TOOLS: Level = Level { name: "`tools`", keys: &["allow", "deny"], later: &[] };

pub(crate) const TOOL_RULE: Level = Level { name: "a tool rule", keys: &["name", "arguments"], later: &[] };

pub(crate) const MCP: Level = Level { name: "an MCP server", keys: &["name", "command", "env", "url"], later: &[] };

pub(crate) const SCHEDULE: Level = Level { name: "a schedule", keys: &["cron", "every", "prompt"], later: &[] };

pub(crate) const WEBHOOK: Level = Level { name: "`webhook`", keys: &["token", "prompt"], later: &[] };

pub(crate) const LIMITS: Level =
    Level { name: "`limits`", keys: &["cpu", "memory", "pids", "disk", "files", "timeout"], later: &[] };

pub(crate) const MOUNT: Level = Level { name: "a mount", keys: &["source", "target", "mode"], later: &[] };

pub(crate) const NET_RULE: Level =
    Level { name: "a network rule", keys: &["host", "ports", "addresses", "protocol"], later: &[] };

pub(crate) const HEALTH: Level =
    Level { name: "`health`", keys: &["command", "interval", "timeout", "retries"], later: &[] };

pub(crate) const LABELS: Level = Level { name: "`labels`", keys: &["tools", "hosts", "paths", "users"], later: &[] };

pub(crate) const TOOL_LABEL: Level = Level {
    name: "a label of tools",
    keys: &["name", "trust", "data", "does", "destinations", "allow", "vouches"],
    later: &[],
};

pub(crate) const HOST_LABEL: Level = Level { name: "a label of hosts", keys: &["name", "trust", "data"], later: &[] };

pub(crate) const PATH_LABEL: Level = Level { name: "a label of paths", keys: &["path", "trust", "data"], later: &[] };

pub(crate) const USERS: Level = Level { name: "`users`", keys: &["operator", "schedule", "webhook"], later: &[] };

pub(crate) const USER_LABEL: Level = Level { name: "a label of users", keys: &["trust", "data"], later: &[] };

pub(crate) const APPROVALS: Level = Level { name: "`approvals`", keys: &["wait", "people", "own"], later: &[] };

pub(crate) const AUDIT: Level = Level { name: "`audit`", keys: &["checkpoint_every", "sinks"], later: &[] };

pub(crate) const SINK: Level = Level {
    name: "a sink",
    keys: &[
        "name", "kind", "format", "path", "address", "tls", "url", "index", "tenant", "token", "api_key", "user",
        "password", "ca",
    ],
    later: &[],
};

/// The kinds of sinks, and which keys only some of them have.
pub(crate) const SINK_KINDS: Kinds = Kinds {
    many: "sinks",
    own: &[
        ("path", &["file"]),
        ("address", &["syslog"]),
        ("tls", &["syslog"]),
        ("url", &["elasticsearch", "loki", "otlp"]),
        ("index", &["elasticsearch"]),
        ("tenant", &["loki"]),
        ("token", &["elasticsearch", "loki", "otlp"]),
        ("api_key", &["elasticsearch"]),
        ("user", &["elasticsearch", "loki", "otlp"]),
        ("password", &["elasticsearch", "loki", "otlp"]),
        ("ca", &["syslog", "elasticsearch", "loki", "otlp"]),
    ],
};

pub(crate) const API: Level = Level { name: "`api`", keys: &["listen", "names"], later: &[] };

pub(crate) const OPERATORS: Level = Level { name: "`operators`", keys: &["oidc"], later: &[] };

pub(crate) const OIDC: Level =
    Level { name: "`oidc`", keys: &["issuer", "audience", "ca", "claim", "roles"], later: &[] };

pub(crate) const ALL: [&Level; 31] = [
    &TOP,
    &PROMPT_FILTER,
    &FIREWALL,
    &AGENT,
    &LIMITS,
    &MOUNT,
    &NET_RULE,
    &HEALTH,
    &MODELS,
    &PROVIDER,
    &SECRET,
    &BUDGET,
    &GROUP,
    &MODEL_RULES,
    &TOOLS,
    &TOOL_RULE,
    &MCP,
    &SCHEDULE,
    &WEBHOOK,
    &LABELS,
    &TOOL_LABEL,
    &HOST_LABEL,
    &PATH_LABEL,
    &USERS,
    &USER_LABEL,
    &APPROVALS,
    &AUDIT,
    &SINK,
    &API,
    &OPERATORS,
    &OIDC,
];

/// What to do about an unknown key.
pub(crate) fn advice(level: &Level, key: &str) -> String {
    let elsewhere: Vec<&str> = ALL.iter().filter(|other| other.keys.contains(&key)).map(|other| other.name).collect();
    match elsewhere.as_slice() {
        [] => {}
        [one] => return format!("`{key}` is a key of {one}"),
        [most @ .., last] => return format!("`{key}` is a key of {} and of {last}", most.join(", of ")),
    }
    if let Some(near) = nearest(key, level.keys) {
        return format!("did you mean `{near}`?");
    }
    let keys: Vec<String> = level.keys.iter().map(|key| format!("`{key}`")).collect();
    format!("the keys of {} are {}", level.name, keys.join(", "))
}

/// The candidate that `word` is most likely a slip of, also where it is written `likeThis` or `like-this`.
pub(crate) fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    if word.len() > 64 {
        return None;
    }
    let mut snake = String::new();
    let mut after_lower = false;
    for c in word.chars() {
        if c.is_ascii_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = c.is_ascii_lowercase();
        snake.push(if matches!(c, '-' | ' ' | '.') { '_' } else { c.to_ascii_lowercase() });
    }
    let part = |candidate: &&&'c str| snake.len() >= 4 && candidate.contains(&snake);
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&snake, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
        .or_else(|| candidates.iter().find(part).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_lead_to_the_key_that_was_meant() {
        for (slip, key) in [
            ("alowed_networks", Some("allowed_networks")),
            ("allowedNetworks", Some("allowed_networks")),
            ("allowed-networks", Some("allowed_networks")),
            ("SANDBOX_MODE", Some("sandbox_mode")),
            ("agent", Some("agents")),
            ("limit", Some("limits")),
            ("network", Some("allowed_networks")),
            ("audit", Some("audit")),
            ("net", None),
            ("x", None),
        ] {
            assert_eq!(nearest(slip, TOP.keys), key, "{slip}");
        }
        assert_eq!(nearest("comand", AGENT.keys), Some("command"));
        assert_eq!(nearest("mem", LIMITS.keys), None);
    }

    #[test]
    fn a_key_of_another_level_is_recognised() {
        assert_eq!(advice(&TOP, "rootfs"), "`rootfs` is a key of an agent");
        assert_eq!(advice(&TOP, "health"), "`health` is a key of an agent");
        assert_eq!(advice(&TOP, "mode"), "`mode` is a key of a mount");
        assert_eq!(
            advice(&TOP, "allow"),
            "`allow` is a key of `models` of an agent, of `tools` and of a label of tools"
        );
        assert_eq!(advice(&TOP, "env"), "`env` is a key of an agent, of a secret and of an MCP server");
        assert_eq!(advice(&AGENT, "memory"), "`memory` is a key of `limits`");
        assert_eq!(advice(&MOUNT, "zzz"), "the keys of a mount are `source`, `target`, `mode`");
    }
}
