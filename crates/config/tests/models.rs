//! What valid files mean that speak of models.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::path::Path;
use std::time::Duration;

use nanoclaw_config::{
    Agent, AgentDialect, AgentKind, BUILTIN_TOOLS, Budget, Builtin, Config, Cron, Group, Limits, LlamaServer,
    McpServer, McpTransport, ModelAccess, ModelRef, Models, NanoUsd, Provider, ProviderKind, Remote, Scheduled,
    SecretSource, ToolRule, ToolRules, Webhook, When, parse,
};

const FILE: &str = include_str!("data/models.yaml");

fn config(text: &str) -> Config {
    let loaded = parse(text, Path::new("nanoclaw-config.yaml"), Path::new("/srv/fleet"));
    let loaded = loaded.unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.notices, []);
    loaded.config
}

fn agent(config: &Config, id: &str) -> Agent {
    config.agents.iter().find(|agent| agent.id.as_str() == id).cloned().unwrap()
}

fn model(text: &str) -> ModelRef {
    let (provider, model) = text.split_once('/').unwrap();
    ModelRef { provider: provider.to_owned(), model: model.to_owned() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn provider(name: &str, kind: ProviderKind) -> Provider {
    Provider {
        name: name.to_owned(),
        kind,
        connect_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(120),
        timeout: Duration::from_secs(600),
        retries: 2,
    }
}

fn remote(base_url: &str, api_key: Option<SecretSource>) -> Remote {
    Remote { base_url: base_url.to_owned(), api_key, key_header: None, ca: None, responses: false }
}

fn env(name: &str) -> SecretSource {
    SecretSource::Env(name.to_owned())
}

#[test]
fn providers_and_aliases_mean_what_they_say() {
    let main = Remote {
        key_header: Some("api-key".to_owned()),
        ca: Some("/srv/fleet/ca.pem".into()),
        responses: true,
        ..remote("https://api.example.com/v1", Some(env("MAIN_KEY")))
    };
    let key = SecretSource::File("/run/keys/second".into());
    let local = LlamaServer {
        model_file: "/srv/fleet/model.gguf".into(),
        program: "/usr/bin/llama-server".into(),
        context: 4096,
        limits: Limits { memory: Some(3 << 30), cpu_millis: Some(2000), ..Limits::default() },
    };
    let small = LlamaServer {
        model_file: "/srv/small.gguf".into(),
        program: "/srv/fleet/bin/llama-server".into(),
        context: 8192,
        limits: Limits::default(),
    };
    let expected = Models {
        providers: vec![
            Provider {
                connect_timeout: Duration::from_secs(3),
                idle_timeout: Duration::from_secs(30),
                timeout: Duration::from_secs(3600),
                retries: 0,
                ..provider("main", ProviderKind::OpenAi(main))
            },
            provider("second", ProviderKind::Anthropic(remote("https://api.example.org", Some(key)))),
            provider("third", ProviderKind::Gemini(remote("http://127.0.0.1:8080", Some(env("third"))))),
            provider("near", ProviderKind::OpenAi(remote("http://10.1.2.3:11434/v1", None))),
            provider("local", ProviderKind::LlamaServer(local)),
            Provider { timeout: Duration::from_secs(86_400), ..provider("small", ProviderKind::LlamaServer(small)) },
        ],
        default: Some("robust".to_owned()),
        aliases: [
            ("fast".to_owned(), vec![model("main/org/some-small-model:latest")]),
            ("robust".to_owned(), vec![model("main/some-model"), model("local/m")]),
        ]
        .into(),
        prices: Some("/srv/fleet/prices.json".into()),
        keep_bodies: true,
    };
    assert_eq!(config(FILE).models, expected);
}

#[test]
fn budgets_groups_and_the_address_mean_what_they_say() {
    let config = config(FILE);
    let fleet = Budget {
        requests_per_minute: Some(600),
        tokens_per_minute: Some(1),
        tokens_per_hour: Some(2),
        usd_per_day: Some(NanoUsd(50 * NanoUsd::USD)),
        concurrent_calls: Some(8),
        ..Budget::default()
    };
    let trading = Budget {
        tokens_per_day: Some(1_000_000),
        tokens_per_month: Some(1_000_000_000_000_000),
        usd_per_month: Some(NanoUsd(1)),
        ..Budget::default()
    };
    assert_eq!(config.budget, fleet);
    assert_eq!(
        config.groups,
        [
            Group { name: "trading".to_owned(), budget: trading },
            Group { name: "idle".to_owned(), budget: Budget::default() }
        ]
    );
    assert_eq!(config.listen, Some("127.0.0.1:7280".parse().unwrap()));
}

#[test]
fn an_agent_of_our_own_means_what_it_says() {
    let analyst = agent(&config(FILE), "analyst");
    let files = McpTransport::Stdio {
        command: texts(&["mcp-files", "/workspace", "3"]),
        env: [("DEBUG".to_owned(), "1".to_owned())].into(),
    };
    let search = McpTransport::Http { url: "https://mcp.example.com/mcp/".to_owned() };
    let builtin = Builtin {
        instructions: "You watch the orders.\nBe brief.\n".to_owned(),
        dialect: AgentDialect::Messages,
        skills: Some("/srv/fleet/skills".into()),
        mcp: vec![
            McpServer { name: "files".to_owned(), transport: files },
            McpServer { name: "search".to_owned(), transport: search },
        ],
        max_steps: 7,
        context_tokens: 20_000,
    };
    assert_eq!(analyst.kind, AgentKind::Builtin(builtin));
    let rule = |id: &str, name: &str, arguments: &[(&str, &str)]| ToolRule {
        id: format!("agents.analyst.tools.{id}"),
        name: name.to_owned(),
        arguments: arguments.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    let access = ModelAccess {
        model: Some("fast".to_owned()),
        allow: texts(&["main/*", "robust", "*"]),
        deny: texts(&["main/expensive*"]),
        tools: ToolRules {
            allow: Some(vec![
                rule("allow[0]", "file_read", &[]),
                rule("allow[1]", "memory_*", &[]),
                rule("allow[2]", "http_fetch", &[("url", "https://docs.example.com/*"), ("depth", "2")]),
            ]),
            deny: vec![rule("deny[0]", "http_fetch", &[]), rule("deny[1]", "*", &[])],
        },
        budget: Budget {
            tokens_per_day: Some(200_000),
            usd_per_hour: Some(NanoUsd(NanoUsd::USD / 2)),
            max_output_tokens: Some(4096),
            ..Budget::default()
        },
        group: Some("trading".to_owned()),
        text_calls: false,
        told: false,
    };
    assert_eq!(analyst.models, Some(access));
    let cron = Cron {
        text: "0 9 * * 1-5".to_owned(),
        minutes: 1,
        hours: 1 << 9,
        days: u32::MAX - 1,
        months: 0x1ffe,
        weekdays: 0b011_1110,
        either_day: false,
    };
    assert_eq!(
        analyst.schedule,
        [
            Scheduled { when: When::Cron(cron), prompt: "Sum up.".to_owned() },
            Scheduled { when: When::Every(Duration::from_secs(900)), prompt: "Look for new orders.".to_owned() },
        ]
    );
    let webhook = Webhook { token: env("HOOK_TOKEN"), prompt: "An order came in.".to_owned() };
    assert_eq!(analyst.webhook, Some(webhook));
    assert_eq!(analyst.limits.timeout, Some(Duration::from_secs(3600)));
}

#[test]
fn agents_that_say_little_have_the_defaults() {
    let config = config(FILE);
    let plain = agent(&config, "plain");
    let builtin = Builtin { max_steps: 50, context_tokens: 4096, ..Builtin::default() };
    assert_eq!((plain.kind, plain.models), (AgentKind::Builtin(builtin), Some(ModelAccess::default())));
    assert_eq!((plain.schedule, plain.webhook), (Vec::new(), None));
    let claw = agent(&config, "claw");
    assert_eq!(claw.kind, AgentKind::OpenClaw { directory: Some("/srv/fleet/openclaw".into()) });
    assert_eq!(claw.models, Some(ModelAccess::default()));
    assert_eq!(claw.schedule.len(), 1);
}

#[test]
fn an_agent_has_the_context_of_a_model_that_runs_here_unless_it_says_otherwise() {
    let models = "models:
  providers:
    - { name: far, kind: openai, base_url: 'https://a.example' }
    - { name: near, kind: llama-server, model_file: ./m.gguf, program: ./llama-server, context: 8192 }
    - { name: tiny, kind: llama-server, model_file: ./m.gguf, program: ./llama-server, context: 512 }
  aliases: { either: [far/a, near/m] }
";
    let context = |default: &str, lines: &str| {
        let text = format!("{models}  default: {default}\nagents: [{{ id: a, kind: builtin{lines} }}]");
        match agent(&config(&text), "a").kind {
            AgentKind::Builtin(builtin) => builtin.context_tokens,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(context("near/m", ""), 8192);
    assert_eq!(context("far/a", ""), 96_000);
    assert_eq!(context("far/a", ", model: near/m"), 8192);
    assert_eq!(context("near/m", ", model: far/a"), 96_000);
    assert_eq!(context("either", ""), 8192);
    assert_eq!(context("near/m", ", context_tokens: 5000"), 5000);
    assert_eq!(context("tiny/m", ""), 4096, "an agent cannot work with less");
}

#[test]
fn programs_use_models_only_if_they_say_so() {
    let config = config(FILE);
    let command = AgentKind::Command(texts(&["x"]));
    let other = agent(&config, "other");
    let none_of_them = ToolRules { allow: Some(Vec::new()), deny: Vec::new() };
    let access =
        ModelAccess { model: Some("second/some-model".to_owned()), tools: none_of_them, ..ModelAccess::default() };
    assert_eq!((other.kind, other.models), (command.clone(), Some(access)));
    let chooser = ModelAccess { allow: texts(&["second/*"]), ..ModelAccess::default() };
    assert_eq!(agent(&config, "chooser").models, Some(chooser));
    let none = agent(&config, "none");
    assert_eq!((none.kind, none.models), (command, None));
}

#[test]
fn models_that_nobody_uses_are_fine() {
    let text = "models: { providers: [{ name: a, kind: openai, base_url: 'https://a.example' }] }";
    assert_eq!(config(text).agents, []);
}

/// The notices on a file with one agent, whose `id` is `a`.
fn notices(agent: &str) -> Vec<(bool, String)> {
    let text = format!(
        "models: {{ providers: [{{ name: main, kind: openai, base_url: 'https://a.example' }}], default: main/x }}\nagents: [{{ id: a, {agent} }}]"
    );
    let loaded = parse(&text, Path::new("c.yaml"), Path::new("/srv")).unwrap_or_else(|report| panic!("{report}"));
    loaded.notices.into_iter().map(|notice| (notice.loud, notice.message)).collect()
}

#[test]
fn a_tool_rule_that_never_holds_is_told_with_what_was_meant() {
    let said = |agent: &str| notices(agent).into_iter().map(|(_, message)| message).collect::<Vec<_>>();
    let mcp = "mcp: [{ name: files, command: [x] }]";
    assert_eq!(
        said(&format!(
            "kind: builtin, {mcp}, tools: {{ allow: [file_raed, 'memory_*', files__read], deny: [{{ name: shel, arguments: {{ command: 'rm*' }} }}, 'zzz*', fiels__write] }}"
        )),
        [
            "agent `a` has no tool `file_raed`, so this rule never holds; did you mean `file_read`?".to_owned(),
            "agent `a` has no tool `shel`, so this rule never holds; did you mean `shell`?".to_owned(),
            format!(
                "agent `a` has no tool `zzz*`, so this rule never holds; it has {} and `SERVER__TOOL` of its MCP servers",
                BUILTIN_TOOLS.join(", ")
            ),
            "agent `a` has no tool `fiels__write`, so this rule never holds; did you mean `files__write`?".to_owned(),
        ]
    );
    for fits in ["*", "f*", "fil*write", "*__read", "files__*", "files__", "file_read"] {
        assert_eq!(said(&format!("kind: builtin, {mcp}, tools: {{ deny: ['{fits}'] }}")), [""; 0], "{fits}");
    }
    assert_eq!(said("kind: openclaw, tools: { allow: [exec] }"), [""; 0], "it has tools of its own");
    assert_eq!(said("command: [x], model: main/y, tools: { allow: [exec] }"), [""; 0]);
}

#[test]
fn a_shell_that_a_minimal_root_does_not_have_is_told() {
    let said = (false, "agent `a` has no shell in its cell to run, as its `rootfs` is `minimal`".to_owned());
    assert_eq!(notices("kind: builtin, rootfs: minimal, tools: { allow: [todo, shell] }"), [said]);
    for fine in ["rootfs: minimal", "rootfs: minimal, tools: { allow: ['*'] }", "tools: { allow: [shell] }"] {
        assert_eq!(notices(&format!("kind: builtin, {fine}")), [], "{fine}");
    }
}

#[test]
fn variables_in_the_place_of_the_model_doors_are_told() {
    let env = "env: { OPENAI_BASE_URL: 'https://x', ANTHROPIC_API_KEY: hunter2-hunter2, LANG: C }";
    let said = notices(&format!("command: [x], model: main/x, {env}"));
    assert_eq!(
        said,
        [
            (false, "`OPENAI_BASE_URL` replaces the address of the model door, so that clients of agent `a` ask somebody else".to_owned()),
            (true, "`ANTHROPIC_API_KEY` replaces a placeholder: agent `a` needs no key for the model door, and all that runs in its cell can read this one".to_owned()),
        ]
    );
    assert_eq!(notices(&format!("command: [x], {env}")), [], "it has no model door");
}
