use nanoclaw_firewall::filter::{LONGEST_WORD, MOST_WORDS};
use serde_json::{Map, Value};

use super::schema;
use crate::decode::bounds::{
    CONTEXT, CONTEXT_TOKENS, COUNT, DEFAULT_CONTEXT, DEFAULT_STEPS, MAX_FILTERS, MAX_LABELS, PEOPLE, RETRIES, STEPS,
};
use crate::decode::keys::{
    AGENT, AGENT_KINDS, API, APPROVALS, AUDIT, BUDGET, FIREWALL, GROUP, HEALTH, HOST_LABEL, Kinds, LABELS, LIMITS,
    Level, MCP, MODEL_RULES, MODELS, MOUNT, NET_RULE, OIDC, OPERATORS, PATH_LABEL, PROMPT_FILTER, PROVIDER,
    PROVIDER_KINDS, SCHEDULE, SECRET, SINK, SINK_KINDS, TOOL_LABEL, TOOL_RULE, TOOLS, TOP, USER_LABEL, USERS, WEBHOOK,
};
use crate::report::Mistakes;
use crate::source::Source;
use crate::tree::{Kind, Node};
use crate::{DataClass, Limits, ROLES, RuleSet, ToolClass, Trust};

fn parsed() -> Value {
    serde_json::from_str(schema()).unwrap()
}

fn at<'v>(schema: &'v Value, level: &Level) -> &'v Value {
    let name = match level.name {
        name if name == TOP.name => return schema,
        name if name == AGENT.name => "agent",
        name if name == PROMPT_FILTER.name => "prompt_filter",
        name if name == FIREWALL.name => "firewall",
        name if name == LIMITS.name => "limits",
        name if name == MOUNT.name => "mount",
        name if name == NET_RULE.name => "network_rule",
        name if name == HEALTH.name => "health",
        name if name == MODELS.name => "models",
        name if name == PROVIDER.name => "provider",
        name if name == SECRET.name => "secret",
        name if name == BUDGET.name => "budget",
        name if name == GROUP.name => "group",
        name if name == MODEL_RULES.name => "model_rules",
        name if name == TOOLS.name => "tools",
        name if name == TOOL_RULE.name => "tool_rule",
        name if name == MCP.name => "mcp",
        name if name == SCHEDULE.name => "schedule",
        name if name == WEBHOOK.name => "webhook",
        name if name == LABELS.name => "labels",
        name if name == TOOL_LABEL.name => "tool_label",
        name if name == HOST_LABEL.name => "host_label",
        name if name == PATH_LABEL.name => "path_label",
        name if name == USERS.name => "users",
        name if name == USER_LABEL.name => "user_label",
        name if name == APPROVALS.name => "approvals",
        name if name == AUDIT.name => "audit",
        name if name == SINK.name => "sink",
        name if name == API.name => "api",
        name if name == OPERATORS.name => "operators",
        name if name == OIDC.name => "oidc",
        name => panic!("{name} is not in the schema"),
    };
    &schema["$defs"][name]
}

#[test]
fn the_schema_has_the_keys_of_the_decoder_level_by_level() {
    let schema = parsed();
    for level in crate::decode::keys::ALL {
        let object = at(&schema, level);
        let mut in_schema: Vec<&str> = object["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut in_decoder = level.keys.to_vec();
        in_schema.sort_unstable();
        in_decoder.sort_unstable();
        assert_eq!(in_schema, in_decoder, "{}", level.name);
        assert_eq!(object["additionalProperties"], Value::Bool(false), "{}", level.name);
    }
}

#[test]
fn the_schema_has_the_bounds_and_defaults_of_the_limits() {
    let schema = parsed();
    let limits = &at(&schema, &LIMITS)["properties"];
    assert_eq!(limits["pids"]["minimum"], *Limits::PIDS.start());
    assert_eq!(limits["pids"]["maximum"], *Limits::PIDS.end());
    assert_eq!(limits["files"]["minimum"], *Limits::FILES.start());
    assert_eq!(limits["files"]["maximum"], *Limits::FILES.end());
    assert_eq!(limits["cpu"]["minimum"], f64::from(*Limits::CPU_MILLIS.start()) / 1000.0);
    assert_eq!(limits["cpu"]["maximum"], *Limits::CPU_MILLIS.end() / 1000);
    assert_eq!(limits["pids"]["default"], Limits::DEFAULT.pids.unwrap());
    assert_eq!(limits["files"]["default"], Limits::DEFAULT.files.unwrap());
    assert_eq!(limits["cpu"]["default"], Limits::DEFAULT.cpu_millis.unwrap() / 1000);
    for (key, bytes) in [("memory", Limits::DEFAULT.memory), ("disk", Limits::DEFAULT.disk)] {
        assert_eq!(crate::parse_size(limits[key]["default"].as_str().unwrap()).ok(), bytes);
    }
    let text = |key: &str| limits[key]["description"].as_str().unwrap();
    assert!(text("memory").contains("From 4Mi to 16Ti") && text("disk").contains("From 64Ki to 16Ti"));
    assert_eq!((*Limits::MEMORY.start(), *Limits::MEMORY.end()), (4 << 20, 16 << 40));
    assert_eq!((*Limits::DISK.start(), *Limits::DISK.end()), (64 << 10, 16 << 40));
}

#[test]
fn the_schema_refuses_the_keys_of_other_kinds_as_the_decoder_does() {
    let schema = parsed();
    let check = |level: &Level, kinds: &Kinds, words: &[&str]| {
        let object = at(&schema, level);
        assert_eq!(object["properties"]["kind"]["enum"], Value::from(words), "{}", level.name);
        for word in words {
            let options = object["anyOf"].as_array().unwrap();
            let fits =
                |option: &&Value| option["properties"]["kind"]["enum"].as_array().unwrap().contains(&(*word).into());
            let [option] = options.iter().filter(fits).collect::<Vec<_>>()[..] else { panic!("{word}") };
            let refused =
                option["properties"].as_object().unwrap().iter().filter(|(_, value)| **value == Value::Bool(false));
            let mut in_schema: Vec<&str> = refused.map(|(key, _)| key.as_str()).collect();
            let mut in_decoder: Vec<&str> =
                kinds.own.iter().map(|(key, _)| *key).filter(|key| kinds.elsewhere(key, word).is_some()).collect();
            in_schema.sort_unstable();
            in_decoder.sort_unstable();
            assert_eq!(in_schema, in_decoder, "{} of kind {word}", level.name);
        }
    };
    check(&AGENT, &AGENT_KINDS, &["command", "builtin", "openclaw"]);
    check(&PROVIDER, &PROVIDER_KINDS, &["openai", "anthropic", "gemini", "llama-server"]);
    check(&SINK, &SINK_KINDS, &["file", "syslog", "elasticsearch", "loki", "otlp"]);
}

#[test]
fn the_schema_has_the_bounds_and_defaults_of_models() {
    let schema = parsed();
    let defs = &schema["$defs"];
    for (value, range) in [
        (&defs["agent"]["properties"]["max_steps"], &STEPS),
        (&defs["agent"]["properties"]["context_tokens"], &CONTEXT_TOKENS),
        (&defs["provider"]["properties"]["context"], &CONTEXT),
        (&defs["provider"]["properties"]["retries"], &RETRIES),
    ] {
        assert_eq!((&value["minimum"], &value["maximum"]), (&(*range.start()).into(), &(*range.end()).into()));
    }
    assert_eq!(
        (&defs["count"]["minimum"], &defs["count"]["maximum"]),
        (&(*COUNT.start()).into(), &(*COUNT.end()).into())
    );
    let file = "
        models: { providers: [{ name: a, kind: openai, base_url: 'https://a.example' }], default: a/b }
        agents: [{ id: x, kind: builtin }]";
    let config = crate::parse(file, std::path::Path::new("f"), std::path::Path::new("/")).unwrap().config;
    let [provider] = config.models.providers.as_slice() else { panic!("{config:?}") };
    let default = |level: &Level, key: &str| at(&schema, level)["properties"][key]["default"].clone();
    for (key, time) in [
        ("connect_timeout", provider.connect_timeout),
        ("idle_timeout", provider.idle_timeout),
        ("timeout", provider.timeout),
    ] {
        assert_eq!(crate::parse_duration(default(&PROVIDER, key).as_str().unwrap()), Ok(time), "{key}");
    }
    assert_eq!(default(&PROVIDER, "retries"), provider.retries);
    assert_eq!(default(&PROVIDER, "context"), DEFAULT_CONTEXT);
    assert_eq!(default(&AGENT, "max_steps"), DEFAULT_STEPS);
}

#[test]
fn the_schema_has_the_words_and_bounds_of_labels_and_operators() {
    let schema = parsed();
    let defs = &schema["$defs"];
    let of = |level: &Level, key: &str| at(&schema, level)["properties"][key].clone();
    let words = |list: &Value, words: &[&str]| {
        assert_eq!(list["items"]["enum"], Value::from(words));
        assert_eq!(list["maxItems"], words.len());
    };
    words(&defs["rule_sets"], &RuleSet::ALL.map(RuleSet::name));
    words(&of(&TOOL_LABEL, "does"), &ToolClass::ALL.map(ToolClass::name));
    words(&of(&OIDC, "roles")["additionalProperties"], &ROLES);
    assert_eq!(defs["trust"]["enum"], Value::from(Trust::ALL.map(Trust::name).as_slice()));
    assert_eq!(defs["data"]["enum"], Value::from(DataClass::ALL.map(DataClass::name).as_slice()));
    for list in ["tools", "hosts", "paths"] {
        assert_eq!(of(&LABELS, list)["maxItems"], MAX_LABELS, "{list}");
    }
    let people = of(&APPROVALS, "people");
    assert_eq!((&people["minimum"], &people["maximum"]), (&(*PEOPLE.start()).into(), &(*PEOPLE.end()).into()));
    let usual = crate::Approvals::default();
    assert_eq!(people["default"], usual.people);
    assert_eq!(of(&APPROVALS, "own")["default"], usual.own);
    assert_eq!(crate::parse_duration(of(&APPROVALS, "wait")["default"].as_str().unwrap()), Ok(usual.wait));
    assert_eq!(of(&OIDC, "claim")["default"], "groups");
}

#[test]
fn the_schema_has_the_words_and_bounds_of_the_firewall() {
    let schema = parsed();
    assert_eq!(schema["properties"]["prompt_filters"]["maxItems"], MAX_FILTERS);
    let of = |level: &Level, key: &str| at(&schema, level)["properties"][key].clone();
    let channels = nanoclaw_firewall::Channel::ALL.map(nanoclaw_firewall::Channel::name);
    assert_eq!(of(&PROMPT_FILTER, "channels")["items"]["enum"], Value::from(channels.as_slice()));
    for (list, bound) in [("regex", 2048), ("canary", LONGEST_WORD)] {
        assert_eq!(of(&PROMPT_FILTER, list)["maxLength"], bound, "{list}");
    }
    let words = &schema["$defs"]["filter_words"];
    assert_eq!((&words["maxItems"], &words["items"]["maxLength"]), (&MOST_WORDS.into(), &LONGEST_WORD.into()));
    assert_eq!(
        (&of(&FIREWALL, "prompts")["default"], &of(&FIREWALL, "results")["default"]),
        (&"deny".into(), &"quarantine".into())
    );
}

/// The part of JSON Schema that the schema uses, patterns aside. Says where a value does not fit.
fn fits(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{path}: {what}: {value}"));
    if *schema == Value::Bool(false) {
        return wrong("cannot stand here");
    }
    if let Some(reference) = schema["$ref"].as_str() {
        fits(root, root.pointer(reference.strip_prefix('#').unwrap()).unwrap(), value, path)?;
    }
    if let Some(options) = schema["anyOf"].as_array()
        && !options.iter().any(|option| fits(root, option, value, path).is_ok())
    {
        return wrong("fits none of the forms");
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return wrong("not one of the values");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => Vec::new(),
    };
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        name => panic!("type {name} is not known to this test"),
    };
    if !types.is_empty() && !types.iter().any(|name| is(name)) {
        return wrong("has the wrong type");
    }
    if let Some(object) = value.as_object() {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        for required in schema["required"].as_array().into_iter().flatten() {
            if !object.contains_key(required.as_str().unwrap()) {
                return wrong(&format!("has no {required}"));
            }
        }
        for (key, value) in object {
            match properties.get(key) {
                Some(property) => fits(root, property, value, &format!("{path}.{key}"))?,
                None if schema["additionalProperties"] == Value::Bool(false) => {
                    return wrong(&format!("unknown {key}"));
                }
                None => fits(root, &schema["additionalProperties"], value, &format!("{path}.{key}"))?,
            }
        }
    }
    if let Some(items) = value.as_array() {
        if schema["minItems"].as_u64().is_some_and(|least| (items.len() as u64) < least) {
            return wrong("has too few elements");
        }
        for (index, item) in items.iter().enumerate() {
            fits(root, &schema["items"], item, &format!("{path}[{index}]"))?;
        }
    }
    Ok(())
}

/// The value that a YAML 1.2 core schema reader makes of a node.
fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Null | Kind::Rejected => Value::Null,
        Kind::Quoted(text) => text.as_str().into(),
        Kind::Plain(text) => match text.as_str() {
            "true" | "True" | "TRUE" => true.into(),
            "false" | "False" | "FALSE" => false.into(),
            text => text
                .parse::<i64>()
                .map(Value::from)
                .or_else(|_| text.parse::<f64>().map(Value::from))
                .unwrap_or_else(|_| text.into()),
        },
        Kind::List(items) => items.iter().map(json).collect(),
        Kind::Map(entries) => entries.iter().map(|e| (e.key.clone(), json(&e.value))).collect::<Map<_, _>>().into(),
    }
}

fn check(text: &str) -> Result<(), String> {
    let source = Source::new(text);
    let mut mistakes = Mistakes::new(&source);
    let tree = crate::tree::read(text, &source, &mut mistakes).ok_or("not YAML")?;
    let schema = parsed();
    fits(&schema, &schema, &json(&tree), "$")
}

#[test]
fn the_examples_fit_the_schema() {
    for example in [
        include_str!("../../tests/data/seed.yaml"),
        include_str!("../../tests/data/full.yaml"),
        include_str!("../../tests/data/models.yaml"),
        include_str!("../../tests/data/labels.yaml"),
        include_str!("../../tests/data/firewall.yaml"),
        include_str!("../../tests/data/audit.yaml"),
    ] {
        assert_eq!(check(example), Ok(()));
    }
}

#[test]
fn what_the_decoder_refuses_by_type_the_schema_refuses_too() {
    for text in [
        "sandbox_mode: off",
        "audit_enabled: yes",
        "audit_enabled: \"true\"",
        "prompt_filters: [1]",
        "prompt_filters: [{ name: x }]",
        "prompt_filters: [{ regex: 7 }]",
        "prompt_filters: [{ regex: a, action: block }]",
        "prompt_filters: [{ regex: a, channels: [] }]",
        "prompt_filters: [{ regex: a, channels: [input] }]",
        "prompt_filters: [{ keywords: falcon }]",
        "prompt_filters: [{ keywords: [] }]",
        "prompt_filters: [{ topic: x }]",
        "prompt_filters: [{ canary: [x] }]",
        "audit: true",
        "audit: { checkpoint_every: 1 }",
        "audit: { sinks: [{ name: a, kind: file }] }",
        "audit: { sinks: [{ name: a, kind: file, path: /x, url: \"https://a.com\" }] }",
        "audit: { sinks: [{ name: a, kind: smoke, path: /x }] }",
        "audit: { sinks: [{ name: a, kind: loki, url: \"https://a.com\", tenant: 7 }] }",
        "audit: { sinks: [{ name: a, kind: otlp, url: \"https://a.com\", token: 12345678 }] }",
        "firewall: on",
        "firewall: { prompts: refuse }",
        "firewall: { results: deny }",
        "firewall: { losses: block }",
        "firewall: { losses: { card: block } }",
        "firewall: { loses: redact }",
        "allowed_networks: a.com",
        "allowed_networks: [10.1]",
        "allowed_networks: [{ ports: [443] }]",
        "allowed_networks: [{ host: a.com, ports: [\"443\"] }]",
        "limits: { pids: \"128\" }",
        "limits: { timeout: 3600 }",
        "agents: [{ id: 7, command: [x] }]",
        "agents: [{ id: a }]",
        "agents: [{ id: a, command: x }]",
        "agents: [{ id: a, command: [] }]",
        "agents: [{ id: a, command: [x], image: y }]",
        "agents: [{ id: a, command: [x], env: { A: ~ } }]",
        "agents: [{ id: a, command: [x], mounts: [{ source: x }] }]",
        "agents: [{ id: a, kind: builtin, model: m/x, command: [x] }]",
        "agents: [{ id: a, kind: openclaw, model: m/x, max_steps: 3 }]",
        "agents: [{ id: a, command: [x], instructions: x }]",
        "agents: [{ id: a, kind: builtin, model: 7 }]",
        "agents: [{ id: a, kind: builtin, model: m/x, tools: [shell] }]",
        "agents: [{ id: a, kind: builtin, model: m/x, tools: { allow: [7] } }]",
        "agents: [{ id: a, kind: builtin, model: m/x, mcp: [{ name: n }] }]",
        "agents: [{ id: a, kind: builtin, model: m/x, mcp: [{ name: n, url: 'http://a.example', env: {} }] }]",
        "agents: [{ id: a, kind: builtin, model: m/x, schedule: [{ prompt: x }] }]",
        "agents: [{ id: a, kind: builtin, model: m/x, schedule: [{ cron: '@daily', every: 1d, prompt: x }] }]",
        "agents: [{ id: a, kind: builtin, model: m/x, webhook: { prompt: x } }]",
        "models: { providers: [{ name: m }] }",
        "models: { providers: [{ name: m, kind: openai }] }",
        "models: { providers: [{ name: m, kind: gemini, base_url: 'https://a.example', responses: true }] }",
        "models: { providers: [{ name: m, kind: llama-server, model_file: ./m.gguf }] }",
        "models: { providers: [{ name: m, kind: openai, base_url: 'https://a.example', api_key: sk-1 }] }",
        "models: { providers: [{ name: m, kind: openai, base_url: 'https://a.example', api_key: {} }] }",
        "models: { aliases: { fast: [] } }",
        "budget: { tokens_per_day: \"5\" }",
        "budget: { usd_per_day: [5] }",
        "groups: [{ name: a }]",
        "listen: 7280",
        "rule_sets: rule-of-two",
        "rule_sets: [rule-of-three]",
        "agents: [{ id: a, command: [x], rule_sets: [7] }]",
        "labels: { tools: [{ trust: trusted }] }",
        "labels: { tools: [{ name: x }] }",
        "labels: { tools: [{ name: x, does: reads }] }",
        "labels: { tools: [{ name: x, does: [steals] }] }",
        "labels: { tools: [{ name: x, destinations: [1] }] }",
        "labels: { tools: [{ name: x, allow: [y] }] }",
        "labels: { tools: [{ name: x, allow: { y: [] } }] }",
        "labels: { hosts: [{ name: a.com }] }",
        "labels: { hosts: [{ name: a.com, trust: high }] }",
        "labels: { paths: [{ data: secret }] }",
        "labels: { paths: [{ path: /x, data: hidden }] }",
        "labels: { users: { operator: trusted } }",
        "labels: { users: { webhook: {} } }",
        "labels: { users: { stranger: { trust: trusted } } }",
        "approvals: { people: \"2\" }",
        "approvals: { wait: 300 }",
        "approvals: { own: \"yes\" }",
        "approvals: { people: 2, own: true }",
        "api: {}",
        "api: { names: [a.com] }",
        "api: { listen: 127.0.0.1:7443, names: a.com }",
        "operators: { oidc: { issuer: 'https://a.example', audience: b } }",
        "operators: { oidc: { issuer: 'https://a.example', roles: { g: [admin] } } }",
        "operators: { oidc: { issuer: 'https://a.example', audience: b, roles: { g: admin } } }",
        "operators: { oidc: { issuer: 'https://a.example', audience: b, roles: { g: [] } } }",
        "operators: { oidc: { issuer: 'https://a.example', audience: b, roles: { g: [root] } } }",
        "operators: { users: [] }",
        "audit: true",
        "- a",
    ] {
        assert!(check(text).is_err(), "the schema takes {text}");
        let refused = crate::parse(text, std::path::Path::new("f"), std::path::Path::new("/")).is_err();
        assert!(refused, "the decoder takes {text}");
    }
}
