use super::*;
use nanoclaw_config::{AgentKind, Config, ProviderKind, SandboxMode, SecretSource};

/// Imports a text as if it lay in a directory of its own.
fn imported(text: &str) -> Imported {
    let surroundings = Surroundings { home: Some("/home/somebody".into()) };
    import(text, Path::new("openclaw.json"), Path::new("/home/somebody/.openclaw"), &surroundings).unwrap()
}

/// The configuration that came of a text, checked as `nanoclaw config check` does.
fn checked(text: &str) -> (Config, String, Report) {
    let Imported { report, configuration } = imported(text);
    let configuration = configuration.unwrap_or_else(|error| panic!("{error}\n{report}"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nanoclaw-config.yaml");
    std::fs::write(&file, &configuration).unwrap();
    let loaded = nanoclaw_config::load(&file).unwrap_or_else(|error| panic!("{error}\n{configuration}"));
    (loaded.config, configuration, report)
}

/// A configuration as people have them, with comments, trailing commas, keys without quotes and keys of both kinds.
const REALISTIC: &str = r#"
// ~/.openclaw/openclaw.json
{
  meta: { lastTouchedVersion: "2026.9.6" },
  env: { vars: { OPENROUTER_API_KEY: 'sk-or-SECRET1', }, shellEnv: { enabled: true } },
  secrets: {
    providers: { filemain: { source: "file", path: "~/keys.json", mode: "json" } },
  },
  models: {
    mode: "merge",
    providers: {
      "custom-proxy": {
        baseUrl: "https://models.example.com/v1/",
        apiKey: "sk-SECRET2",
        api: "openai-completions",
        timeoutSeconds: 300,
        headers: { "X-Tenant": "SECRET3" },
        models: [ { id: "llama-3.1-8b", name: "Llama", contextWindow: 128000, }, ],
      },
      minimax: {
        baseUrl: "https://api.minimax.example/anthropic",
        api: "anthropic-messages",
        apiKey: "${MINIMAX_API_KEY}",
      },
      local: { baseUrl: "http://127.0.0.1:8000/v1", apiKey: "vllm-local" },
      vaulted: {
        baseUrl: "https://v.example.com/v1", api: "openai-responses",
        apiKey: { source: "env", provider: "default", id: "VAULTED_KEY" },
      },
      filed: {
        baseUrl: "https://f.example.com", api: "google-generative-ai",
        apiKey: { source: "file", provider: "filemain", id: "/providers/f/apiKey" },
      },
      bedrock: { baseUrl: "https://bedrock.example.com", api: "bedrock-converse-stream" },
    },
  },
  agents: {
    defaults: {
      workspace: "~/.openclaw/workspace",
      model: { primary: "anthropic/claude-sonnet-4-6", fallbacks: ["minimax/MiniMax-M2.7", "bedrock/nova"] },
      models: {
        "anthropic/claude-opus-4-6": { alias: "opus", params: { cacheRetention: "long" } },
        "openai/*": {},
      },
      imageModel: { primary: "openrouter/qwen/qwen-2.5-vl" },
      thinkingDefault: "low",
      heartbeat: { every: "30m" },
      sandbox: { mode: "all", scope: "agent", docker: { network: "none", binds: ["/srv:/srv:rw"] } },
    },
    entries: {
      main: { default: true, identity: { name: "Samantha" } },
      "Fast One": { model: "llama-3.1-8b", tools: { profile: "coding", deny: ["browser"] } },
      risky: { model: "opus", sandbox: { mode: "off" }, workspace: "/srv/risky" },
    },
  },
  tools: { deny: ["canvas"], elevated: { enabled: true }, byProvider: { anthropic: { profile: "minimal" } } },
  channels: {
    telegram: { enabled: true, botToken: "SECRET4" },
    whatsapp: { allowFrom: ["+15555550123"] },
  },
  plugins: { enabled: true, entries: { "voice-call": { enabled: true } } },
  mcp: { servers: { outlook: { command: "node", args: ["x"] } } },
  gateway: { mode: "local", auth: { mode: "token", token: "SECRET5" }, remote: { url: "ws://x", token: "SECRET6" } },
  cron: { enabled: true },
  hooks: { enabled: true, token: "SECRET7" },
  browser: { enabled: true },
  somethingNew: { a: 1 },
}
"#;

#[test]
fn a_realistic_configuration_becomes_a_valid_one() {
    let (config, text, report) = checked(REALISTIC);
    assert_eq!(config.sandbox_mode, SandboxMode::Restricted);
    let kinds: Vec<(&str, &str)> = config
        .models
        .providers
        .iter()
        .map(|provider| {
            let kind = match &provider.kind {
                ProviderKind::OpenAi(_) => "openai",
                ProviderKind::Anthropic(_) => "anthropic",
                ProviderKind::Gemini(_) => "gemini",
                ProviderKind::LlamaServer(_) => "llama-server",
            };
            (provider.name.as_str(), kind)
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("custom-proxy", "openai"),
            ("minimax", "anthropic"),
            ("local", "openai"),
            ("vaulted", "openai"),
            ("filed", "gemini"),
            ("anthropic", "anthropic"),
        ]
    );
    let key = |name: &str| {
        let provider = config.models.providers.iter().find(|provider| provider.name == name).unwrap();
        match &provider.kind {
            ProviderKind::OpenAi(remote) | ProviderKind::Anthropic(remote) | ProviderKind::Gemini(remote) => {
                remote.api_key.clone()
            }
            ProviderKind::LlamaServer(_) => None,
        }
    };
    let env = |name: &str| Some(SecretSource::Env(name.to_owned()));
    assert_eq!(key("custom-proxy"), env("CUSTOM_PROXY_API_KEY"));
    assert_eq!(key("minimax"), env("MINIMAX_API_KEY"));
    assert_eq!(key("local"), None);
    assert_eq!(key("vaulted"), env("VAULTED_KEY"));
    assert_eq!(key("filed"), env("FILED_API_KEY"));
    assert_eq!(key("anthropic"), env("ANTHROPIC_API_KEY"));
    assert_eq!(config.models.providers[0].timeout.as_secs(), 300);

    assert_eq!(config.models.default.as_deref(), Some("standard"));
    let targets: Vec<String> = config.models.aliases["standard"].iter().map(ToString::to_string).collect();
    assert_eq!(targets, ["anthropic/claude-sonnet-4-6", "minimax/MiniMax-M2.7"]);
    assert_eq!(config.models.aliases["opus"][0].to_string(), "anthropic/claude-opus-4-6");

    let agents: Vec<(&str, Option<&str>)> = config
        .agents
        .iter()
        .map(|agent| (agent.id.as_str(), agent.models.as_ref().and_then(|models| models.model.as_deref())))
        .collect();
    assert_eq!(
        agents,
        [("main", None), ("fast-one", Some("custom-proxy/llama-3.1-8b")), ("risky", Some("anthropic/claude-opus-4-6"))]
    );
    assert!(config.agents.iter().all(|agent| agent.kind == AgentKind::OpenClaw { directory: None }));
    let tools = &config.agents[1].models.as_ref().unwrap().tools;
    let deny: Vec<&str> = tools.deny.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(deny, ["canvas", "browser"]);
    assert!(tools.allow.as_ref().unwrap().iter().any(|rule| rule.name == "exec"));
    assert!(text.contains("# agents.entries.main\n"), "{text}");
    assert!(report.said("carried", "agents.defaults.sandbox.mode").starts_with("satisfied"));
    assert!(report.said("changed", "agents.entries.risky.sandbox.mode").starts_with("stricter now"));
}

#[test]
fn no_secret_is_written_or_shown() {
    let (_, text, report) = checked(REALISTIC);
    let report = report.to_string();
    for n in 1..=7 {
        let secret = format!("SECRET{n}");
        assert!(!text.contains(&secret) && !report.contains(&secret), "{secret}: {text}\n{report}");
    }
    assert!(!text.contains("vllm-local") && !report.contains("vllm-local"));
}

#[test]
fn whatever_is_not_carried_over_is_named_with_what_to_do() {
    let report = checked(REALISTIC).2;
    for (path, what) in [
        ("channels.telegram", "nanoclaw chat"),
        ("channels.whatsapp", "webhook"),
        ("plugins.entries.voice-call", "no plugin is loaded"),
        ("plugins.enabled", "no plugin is loaded"),
        ("mcp.servers.outlook", "`mcp: [...]`"),
        ("gateway.auth", "generates it"),
        ("gateway.remote", "generates it"),
        ("cron", "schedule:"),
        ("hooks.token", "webhook:"),
        ("browser", "no browser"),
        ("env.vars.OPENROUTER_API_KEY", "NanoClaw's environment"),
        ("env.shellEnv", "NanoClaw's environment"),
        ("secrets", "api_key"),
        ("somethingNew", "does not know this section"),
        ("models.mode", "no catalogue"),
        ("models.providers.custom-proxy.headers", "key_header"),
        ("models.providers.custom-proxy.models", "models.prices"),
        ("models.providers.bedrock", "does not speak its `api`"),
        ("agents.defaults.model.fallbacks[1]", "provider is not carried over"),
        ("agents.defaults.models[\"anthropic/claude-opus-4-6\"].params", "the agent sends its own"),
        ("agents.defaults.imageModel", "one model"),
        ("agents.defaults.thinkingDefault", "OpenClaw's own setting"),
        ("agents.defaults.heartbeat", "schedule:"),
        ("agents.defaults.sandbox.docker.binds", "`mounts`"),
        ("agents.entries.main.identity", "IDENTITY.md"),
        ("tools.elevated", "no way out"),
        ("tools.byProvider", "this restriction is lost"),
    ] {
        let said = report.said("dropped", path);
        assert!(said.contains(what), "{path}: `{said}`\n{report}");
    }
    assert!(report.said("changed", "models.providers.filed.apiKey").contains("`FILED_API_KEY`"), "{report}");
    assert!(
        report.said("changed", "agents.defaults.workspace").contains("/home/somebody/.openclaw/workspace/main"),
        "{report}"
    );
}

#[test]
fn the_smallest_configuration_has_one_agent() {
    let (config, _, report) = checked("{ agents: { defaults: { model: 'openai/gpt-5.4' } } }");
    assert_eq!(config.agents.len(), 1);
    assert_eq!(config.agents[0].id.as_str(), "main");
    assert_eq!(config.models.default.as_deref(), Some("openai/gpt-5.4"));
    assert!(report.said("carried", "OpenClaw's own provider openai").contains("`OPENAI_API_KEY`"), "{report}");
    assert!(report.said("changed", "agents.defaults.sandbox").contains("stricter now"));
}

#[test]
fn a_sandbox_that_is_written_short_is_understood() {
    for text in [
        r#"{ sandbox: "all", agents: { defaults: { model: "openai/a" } } }"#,
        r#"{ agents: { defaults: { model: "openai/a", sandbox: "all" } } }"#,
        r#"{ agents: { defaults: { model: "openai/a" }, list: [{ id: "main", sandbox: "all" }] } }"#,
    ] {
        let report = checked(text).2.to_string();
        assert!(report.contains("satisfied: the whole of OpenClaw runs in a cell"), "{text}: {report}");
    }
}

#[test]
fn a_list_of_agents_is_read_like_a_map_of_them() {
    let (config, _, report) = checked(
        r#"{ agents: { defaults: { model: "groq/x" }, list: [{ id: "a" }, { id: "A" }, { name: "no id" }, { id: "b", model: { primary: "groq/y", fallbacks: ["openai/z"] } }] } }"#,
    );
    let ids: Vec<&str> = config.agents.iter().map(|agent| agent.id.as_str()).collect();
    assert_eq!(ids, ["a", "a-2", "b"]);
    assert_eq!(config.agents[2].models.as_ref().unwrap().model.as_deref(), Some("b"));
    assert_eq!(config.models.aliases["b"].len(), 2);
    assert!(report.said("dropped", "agents.list[2]").contains("without `id`"));
}

#[test]
fn without_a_model_that_can_be_carried_over_nothing_is_made() {
    for text in ["{}", "{ agents: { entries: { main: {} } } }", "{ agents: { defaults: { model: 'bedrock/x' } } }"] {
        let imported = imported(text);
        assert!(matches!(imported.configuration, Err(ImportError::NoModel)), "{text}");
    }
}

#[test]
fn an_agent_without_a_model_of_its_own_has_the_common_one() {
    let (config, _, report) =
        checked("{ agents: { defaults: { model: 'openai/a' }, entries: { x: { model: 'nowhere/b' } } } }");
    assert_eq!(config.agents[0].models.as_ref().unwrap().model, None);
    assert!(report.said("changed", "agents.entries.x.model").contains("the model of all agents"));
}

#[test]
fn the_first_listed_model_is_taken_where_none_is_named() {
    let (config, _, report) =
        checked("{ models: { providers: { p: { baseUrl: 'https://p.example.com/v1', models: [{ id: 'm/1' }] } } } }");
    assert_eq!(config.models.default.as_deref(), Some("p/m/1"));
    assert!(report.said("changed", "agents.defaults.model").contains("first model"));
}

#[test]
fn a_key_that_would_cross_the_network_in_the_clear_is_left_out() {
    let (config, text, report) = checked(
        "{ models: { providers: { p: { baseUrl: 'http://p.example.com/v1', apiKey: 'k' } } }, agents: { defaults: { model: 'p/m' } } }",
    );
    assert_eq!(config.models.providers.len(), 1);
    assert!(!text.contains("api_key"), "{text}");
    assert!(report.said("changed", "models.providers.p.apiKey").contains("in the clear"), "{report}");
}

#[test]
fn a_key_in_a_file_of_its_own_is_read_from_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    std::fs::write(&file, "k").unwrap();
    let text = format!(
        "{{ secrets: {{ providers: {{ f: {{ source: 'file', path: '{}', mode: 'singleValue' }}, gone: {{ source: 'file', path: '/no/such', mode: 'singleValue' }} }} }},
           models: {{ providers: {{ p: {{ baseUrl: 'https://p.example.com/v1', apiKey: {{ source: 'file', provider: 'f', id: 'value' }} }},
                                    q: {{ baseUrl: 'https://q.example.com/v1', apiKey: {{ source: 'file', provider: 'gone', id: 'value' }} }} }} }},
           agents: {{ defaults: {{ model: 'p/m' }} }} }}",
        file.display()
    );
    let (config, text, report) = checked(&text);
    let ProviderKind::OpenAi(remote) = &config.models.providers[0].kind else { panic!("{text}") };
    assert_eq!(remote.api_key, Some(SecretSource::File(file)));
    assert!(text.contains("Q_API_KEY"), "{text}");
    assert!(report.said("changed", "models.providers.q.apiKey").contains("not there"), "{report}");
}

#[test]
fn files_that_are_included_are_named() {
    let report = checked("{ agents: { defaults: { model: 'openai/a' } }, tools: { $include: './tools.json5' } }").2;
    assert!(report.said("dropped", "tools[\"$include\"]").contains("not read"), "{report}");
}

#[test]
fn a_hostile_configuration_writes_nothing_but_texts() {
    let evil = "x\\n  - id: evil\\n    kind: command\\n    command: [sh] # \\u202e \\u001b]0;t\\u0007 \\u0085 \\u2028 ' \\\" : {";
    let text = format!(
        r#"{{
          "{evil}": 1,
          "sandbox": "{evil}",
          "models": {{ "providers": {{
            "{evil}": {{ "baseUrl": "https://p.example.com/v1", "apiKey": "{evil}", "{evil}": 1, "models": [{{ "id": "{evil}" }}, 5, null] }},
            "url": {{ "baseUrl": "https://u:p@p.example.com/{evil}" }},
            "list": [], "number": 5, "api": {{ "baseUrl": "https://p.example.com", "api": 7 }},
            "time": {{ "baseUrl": "https://p.example.com/v1", "timeoutSeconds": 1e300 }}
          }} }},
          "agents": {{
            "defaults": {{ "model": {{ "primary": "openai/a", "fallbacks": ["{evil}", 5, "openai/{evil}", "openai/*", "openai/"] }},
              "models": {{ "openai/b": {{ "alias": "{evil}" }}, "openai/c": {{ "alias": "default" }}, "openai/d": {{ "alias": "yes" }} }},
              "workspace": "/{evil}" }},
            "entries": {{ "{evil}": {{ "tools": {{ "deny": ["{evil}", "*"], "profile": "{evil}" }} }}, "x": 5, "": {{}} }},
            "list": "no list"
          }}
        }}"#
    );
    let (config, text, report) = checked(&text);
    assert!(config.agents.iter().all(|agent| agent.kind == AgentKind::OpenClaw { directory: None }), "{text}");
    assert_eq!(config.agents.len(), 3, "{text}");
    assert!(config.models.aliases.contains_key("yes"), "{text}");
    for c in text.chars().chain(report.to_string().chars()) {
        assert!(c == '\n' || !c.is_control(), "{text}\n{report}");
        assert!(!matches!(c, '\u{202e}' | '\u{2028}'), "{text}\n{report}");
    }
    assert!(!report.to_string().contains("u:p@"), "{report}");
}

#[test]
fn what_is_no_configuration_is_refused() {
    let refused = |text: &str| {
        import(text, Path::new("f"), Path::new("/"), &Surroundings::default()).map(|_| ()).unwrap_err().to_string()
    };
    assert!(refused("{ a: }").starts_with("`f` is not JSON5: "));
    assert_eq!(refused("[]"), "`f` holds no object, as configurations of OpenClaw do");
    assert!(refused(&"[".repeat(100)).contains("nested more than 64 levels deep"));
    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large");
    std::fs::write(&large, vec![b' '; MAX_FILE as usize + 1]).unwrap();
    assert!(matches!(file(&large, &Surroundings::default()), Err(ImportError::TooLong(_))));
    assert!(matches!(file(directory.path(), &Surroundings::default()), Err(ImportError::Read { .. })));
}

#[test]
fn a_key_in_the_path_of_an_address_is_held_back() {
    let imported = import(
        r#"{ models: { providers: { gate: { api: "openai-completions", baseUrl: "https://gate.example/k/9Zb3TqLm4Xy7Kp2Rw8Vn/v1" } } },
            agents: { defaults: { model: "gate/a" } } }"#,
        Path::new("openclaw.json"),
        Path::new("/"),
        &Surroundings::default(),
    )
    .unwrap();
    let report = imported.report.to_string();
    assert!(report.contains("random-looking") && !report.contains("9Zb3TqLm"), "{report}");
    assert!(matches!(imported.configuration, Err(ImportError::NoModel)));
}
