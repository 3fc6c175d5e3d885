//! What is said about files that are wrong: whole messages, place and help included.
#![expect(clippy::panic, reason = "helpers of tests fail the test")]

use std::path::Path;

use nanoclaw_config::{MAX_FILE, Report, parse};

fn report(text: &str) -> Report {
    match parse(text, Path::new("nanoclaw-config.yaml"), Path::new("/srv/fleet")) {
        Ok(loaded) => panic!("{text:?} was read as {loaded:?}"),
        Err(report) => report,
    }
}

/// `mistakes.txt` holds pairs of a file and what is said about it.
#[test]
fn every_mistake_is_shown_with_its_place_and_the_next_step() {
    let cases: Vec<&str> = include_str!("data/mistakes.txt").split("=== ").skip(1).collect();
    assert!(cases.len() >= 95, "only {} cases were found", cases.len());
    for case in cases {
        let (name, rest) = case.split_once('\n').unwrap();
        let (file, expected) = rest.split_once("---->\n").unwrap();
        assert_eq!(report(file).to_string(), expected.trim_end_matches('\n'), "{name}");
    }
}

/// Some of the cases hold keys and passwords in places where people put them.
#[test]
fn secrets_in_the_file_are_in_no_message() {
    let cases = include_str!("data/mistakes.txt")
        .split("=== ")
        .filter_map(|case| case.split_once("---->\n"))
        .map(|(file, _)| file);
    let mut secrets = 0;
    for (_, file) in cases.filter_map(|case| case.split_once('\n')) {
        let said = format!("{:?}", report(file));
        for secret in ["sk-live", "hunter2", "api-version=2"] {
            secrets += file.matches(secret).count();
            assert!(!said.contains(secret), "{said}");
        }
    }
    assert_eq!(secrets, 14);
    for file in [
        "models: [{ api_key: sk-live }]",
        "models: { provider: { base_url: 'https://sk-live@a.example', timeout: x } }",
        "agents: [{ id: A, webhook: { token: [sk-live] } }]",
        "agents: { a: { env: { API_TOKEN: sk-live } } }",
        "nonsense: { MyPassword: sk-live }",
        "operators: { oidc: { issuer: 'https://sk-live@a.example', audience: x } }",
        "x: { \"api_key\": \"sk-live\", ]",
        "x: { api_key: { env: K }, api_key: sk-live }",
        "x: { api_key: !!str sk-live }",
    ] {
        let said = format!("{:?}", report(file));
        assert!(!said.contains("sk-live") && said.contains('…'), "{said}");
    }
}

#[test]
fn carriage_returns_do_not_move_the_place_or_reach_the_terminal() {
    let said = report("sandbox_mode: restricted\r\naudits: 1\r\n").to_string();
    assert_eq!(
        said,
        "error: unknown key `audits`\n  --> nanoclaw-config.yaml:2:1\n   |\n 2 | audits: 1\n   | ^^^^^^\n   = help: did you mean `audit`?"
    );
}

#[test]
fn tabs_in_place_of_spaces_are_named() {
    assert_eq!(
        report("sandbox_mode:\trestricted\n").to_string(),
        "error: a space must follow here\n  --> nanoclaw-config.yaml:1:15\n   |\n 1 | sandbox_mode:    restricted\n   |                  ^\n   = help: write `key: value` and `- value` with a space, not a tab"
    );
    assert_eq!(
        report("limits:\n\tcpu: 1\n").to_string(),
        "error: a tab cannot stand here\n  --> nanoclaw-config.yaml:2:2\n   |\n 2 |     cpu: 1\n   |     ^\n   = help: indent with spaces"
    );
}

#[test]
fn carets_stand_under_the_text_behind_a_tab() {
    assert_eq!(
        report("sandbox_mode: \toff\n").to_string(),
        "error: `sandbox_mode` cannot be `off`, only `restricted` or `standard`\n  --> nanoclaw-config.yaml:1:16\n   |\n 1 | sandbox_mode:     off\n   |                   ^^^\n   = help: write `restricted` or `standard`"
    );
}

#[test]
fn control_characters_are_refused_and_never_printed() {
    let text = "# \u{1b}[2J\nsandbox_mode: \"restricted\0\"\n# \u{202e}desrever\n";
    let said = report(text).to_string();
    assert_eq!(
        said,
        r"error: the character U+001B cannot stand in this file
  --> nanoclaw-config.yaml:1:3
   |
 1 | # \u{1b}[2J
   |   ^^^^^^
   = help: remove it, or write `\u001b` inside double quotes

error: the character U+0000 cannot stand in this file
  --> nanoclaw-config.yaml:2:26
   |
 2 | sandbox_mode: \u{22}restricted\u{0}\u{22}
   |                          ^^^^^
   = help: remove it, or write `\u0000` inside double quotes

error: the character U+202E cannot stand in this file
  --> nanoclaw-config.yaml:3:3
   |
 3 | # \u{202e}desrever
   |   ^^^^^^^^
   = help: remove it, or write `\u202e` inside double quotes

3 mistakes in `nanoclaw-config.yaml`"
            .replace(r"\u{22}", "\"")
    );
}

#[test]
fn escaped_control_characters_in_values_are_not_printed_either() {
    let said = report(r#"sandbox_mode: "\e[2J""#).to_string();
    assert!(said.starts_with("error: `sandbox_mode` cannot be `\\u{1b}[2J`, only"), "{said}");
    let said = report(r#"agents: [{ id: "a\e[2J", command: [x] }]"#).to_string();
    assert!(said.starts_with("error: `a\\u{1b}[2J` is not an id: `\\u{1b}` cannot stand in an id"), "{said}");
    let providers = r#"providers: [{ name: "ma\tin", kind: openai, base_url: 'https://a.example' }]"#;
    let said = report(&format!("models: {{ {providers}, default: main/x, aliases: {{ a: main/x }} }}")).to_string();
    assert!(
        said.chars().all(|c| c == '\n' || !c.is_control()) && said.contains("did you mean `ma    in/x`?"),
        "{said}"
    );
    let name = Path::new("a\u{1b}[2J.yaml");
    let said = parse("", name, Path::new("/")).unwrap_err().to_string();
    assert!(said.contains("--> a\\u{1b}[2J.yaml:1:1"), "{said}");
}

#[test]
fn empty_files_are_mistakes() {
    for text in ["", "\n\n", "   ", "\u{feff}", "---\n...\n"] {
        let report = report(text);
        assert_eq!(report.mistakes().len(), 1, "{text:?}");
    }
    assert_eq!(
        report("").to_string(),
        "error: the file is empty\n  --> nanoclaw-config.yaml:1:1\n   |\n 1 |\n   | ^\n   = help: write at least `sandbox_mode: restricted`; `nanoclaw config schema` prints every key"
    );
}

#[test]
fn a_file_over_the_limit_is_refused_and_one_at_the_limit_is_read() {
    let padded = |size: usize| {
        let start = "sandbox_mode: restricted\n";
        format!("{start}{}", "#".repeat(size - start.len()))
    };
    assert!(parse(&padded(MAX_FILE), Path::new("x"), Path::new("/")).is_ok());
    assert_eq!(
        report(&padded(MAX_FILE + 1)).to_string(),
        "error: the file is larger than 1048576 bytes\n  --> nanoclaw-config.yaml:1:1\n   |\n 1 |\n   | ^\n   = help: split the fleet into several files"
    );
}

#[test]
fn lists_have_an_end() {
    let many = |item: &str, count: usize| format!("[{}]", vec![item; count].join(", "));
    let agents = |count: usize| {
        let agents: Vec<String> = (0..count).map(|n| format!("{{ id: a{n}, command: [x] }}")).collect();
        format!("agents: [{}]", agents.join(", "))
    };
    for (fits, over, message) in [
        (
            format!("allowed_networks: {}", many("a.com", 512)),
            format!("allowed_networks: {}", many("a.com", 513)),
            "`allowed_networks` has 513 elements, and at most 512 are allowed",
        ),
        (
            format!("prompt_filters: {}", many("{ regex: abc }", 256)),
            format!("prompt_filters: {}", many("{ regex: abc }", 257)),
            "`prompt_filters` has 257 elements, and at most 256 are allowed",
        ),
        (
            format!("policies: {}", many("a.cedar", 64)),
            format!("policies: {}", many("a.cedar", 65)),
            "`policies` has 65 elements, and at most 64 are allowed",
        ),
        (agents(256), agents(257), "`agents` has 257 elements, and at most 256 are allowed"),
        (
            format!("agents: [{{ id: a, command: {} }}]", many("x", 1024)),
            format!("agents: [{{ id: a, command: {} }}]", many("x", 1025)),
            "`command` has 1025 elements, and at most 1024 are allowed",
        ),
    ] {
        assert!(parse(&fits, Path::new("x"), Path::new("/")).is_ok(), "{message}");
        assert_eq!(report(&over).mistakes()[0].message, message);
    }
    let numbered = |count: usize, item: &dyn Fn(usize) -> String| (1..=count).map(item).collect::<Vec<_>>().join(", ");
    let mounts = |count| {
        let mounts = numbered(count, &|n| format!("{{ source: x, target: /m{n} }}"));
        format!("agents: [{{ id: a, command: [x], mounts: [{mounts}] }}]")
    };
    let env = |count| {
        let env = numbered(count, &|n| format!("E{n}: x"));
        format!("agents: [{{ id: a, command: [x], env: {{ {env} }} }}]")
    };
    let ports = |count| format!("allowed_networks: [{{ host: a, ports: [{}] }}]", numbered(count, &|n| n.to_string()));
    let nets = |count| {
        let nets = numbered(count, &|n| format!("10.0.0.{n}"));
        format!("allowed_networks: [{{ host: a, addresses: [{nets}] }}]")
    };
    for (fits, over, message) in [
        (mounts(64), mounts(65), "`mounts` has 65 elements, and at most 64 are allowed"),
        (env(256), env(257), "`env` has 257 variables, and at most 256 are allowed"),
        (ports(64), ports(65), "`ports` has 65 elements, and at most 64 are allowed"),
        (nets(64), nets(65), "`addresses` has 65 elements, and at most 64 are allowed"),
    ] {
        assert!(parse(&fits, Path::new("x"), Path::new("/")).is_ok(), "{message}");
        assert_eq!(report(&over).mistakes()[0].message, message);
    }
    let all = report(&format!("allowed_networks: [{}]", vec!["[]"; 70_000].join(",")));
    assert_eq!(all.mistakes()[0].message, "the file has more than 65536 values");
}

#[test]
fn lists_about_models_have_an_end() {
    type File<'f> = &'f dyn Fn(usize) -> String;
    let numbered = |count: usize, item: &dyn Fn(usize) -> String| (1..=count).map(item).collect::<Vec<_>>().join(", ");
    let provider = |n: usize| format!("{{ name: m{n}, kind: openai, base_url: 'https://a.example' }}");
    let models = |rest: String| format!("models: {{ providers: [{}], default: m1/x, {rest} }}", provider(1));
    let agent = |rest: String| format!("{}\nagents: [{{ id: a, kind: builtin, {rest} }}]", models(String::new()));
    let cases: [(usize, &str, File<'_>); 11] = [
        (64, "`providers` has 65 elements", &|count| {
            format!("models: {{ providers: [{}] }}", numbered(count, &provider))
        }),
        (256, "`aliases` has 257 names", &|count| {
            models(format!("aliases: {{ {} }}", numbered(count, &|n| format!("a{n}: m1/x"))))
        }),
        (16, "`a` has 17 elements", &|count| {
            models(format!("aliases: {{ a: [{}] }}", numbered(count, &|n| format!("m1/x{n}"))))
        }),
        (256, "`groups` has 257 elements", &|count| {
            format!("groups: [{}]", numbered(count, &|n| format!("{{ name: g{n}, budget: {{}} }}")))
        }),
        (256, "`deny` has 257 elements", &|count| {
            agent(format!("models: {{ deny: [{}] }}", numbered(count, &|n| format!("m1/x{n}"))))
        }),
        (256, "`allow` has 257 elements", &|count| {
            agent(format!("tools: {{ allow: [{}] }}", numbered(count, &|n| format!("t{n}"))))
        }),
        (64, "`arguments` has 65 keys", &|count| {
            let arguments = numbered(count, &|n| format!("a{n}: x"));
            agent(format!("tools: {{ deny: [{{ name: x, arguments: {{ {arguments} }} }}] }}"))
        }),
        (64, "`mcp` has 65 elements", &|count| {
            agent(format!("mcp: [{}]", numbered(count, &|n| format!("{{ name: s{n}, command: [x] }}"))))
        }),
        (64, "`schedule` has 65 elements", &|count| {
            agent(format!("schedule: [{}]", numbered(count, &|_| "{ every: 1d, prompt: x }".to_owned())))
        }),
        (253, "is longer than 256 bytes", &|count| agent(format!("model: m1/{}", "x".repeat(count)))),
        (64, "is not the name of a header", &|count| {
            let provider = "name: m1, kind: openai, base_url: 'https://a.example', api_key: { env: K }";
            format!("models: {{ providers: [{{ {provider}, key_header: {} }}] }}", "x".repeat(count))
        }),
    ];
    for (most, message, file) in cases {
        assert!(parse(&file(most), Path::new("x"), Path::new("/")).is_ok(), "{message}");
        let report = report(&file(most + 1));
        assert!(report.mistakes()[0].message.contains(message), "{report}");
    }
}

#[test]
fn lists_about_labels_and_operators_have_an_end() {
    type File<'f> = &'f dyn Fn(usize) -> String;
    let numbered = |count: usize, item: &dyn Fn(usize) -> String| (1..=count).map(item).collect::<Vec<_>>().join(", ");
    let tool = |rest: String| format!("labels: {{ tools: [{{ name: x, {rest} }}] }}");
    let oidc = "issuer: 'https://a.example', audience: b";
    let cases: [(usize, &str, File<'_>); 8] = [
        (512, "`tools` has 513 elements", &|count| {
            format!("labels: {{ tools: [{}] }}", numbered(count, &|n| format!("{{ name: t{n}, trust: trusted }}")))
        }),
        (512, "`hosts` has 513 elements", &|count| {
            format!("labels: {{ hosts: [{}] }}", numbered(count, &|n| format!("{{ name: h{n}, trust: trusted }}")))
        }),
        (512, "`paths` has 513 elements", &|count| {
            format!("labels: {{ paths: [{}] }}", numbered(count, &|n| format!("{{ path: /p{n}, trust: trusted }}")))
        }),
        (64, "`destinations` has 65 elements", &|count| {
            tool(format!("destinations: [{}]", numbered(count, &|n| format!("a{n}"))))
        }),
        (64, "`allow` has 65 arguments", &|count| {
            tool(format!("allow: {{ {} }}", numbered(count, &|n| format!("a{n}: [x]"))))
        }),
        (512, "`to` has 513 elements", &|count| {
            tool(format!("allow: {{ to: [{}] }}", numbered(count, &|n| format!("v{n}"))))
        }),
        (32, "`names` has 33 elements", &|count| {
            format!("api: {{ listen: 0.0.0.0:1, names: [{}] }}", numbered(count, &|n| format!("h{n}.example")))
        }),
        (256, "`roles` has 257 groups", &|count| {
            let roles = numbered(count, &|n| format!("g{n}: [viewer]"));
            format!("operators: {{ oidc: {{ {oidc}, roles: {{ {roles} }} }} }}")
        }),
    ];
    for (most, message, file) in cases {
        assert!(parse(&file(most), Path::new("x"), Path::new("/")).is_ok(), "{message}");
        let report = report(&file(most + 1));
        assert!(report.mistakes()[0].message.contains(message), "{report}");
    }
}

#[test]
fn texts_about_labels_and_operators_have_an_end() {
    type File<'f> = &'f dyn Fn(&str) -> String;
    let tool = |rest: String| format!("labels: {{ tools: [{{ name: x, {rest} }}] }}");
    let oidc = |rest: String| format!("operators: {{ oidc: {{ issuer: 'https://a.example', {rest} }} }}");
    let cases: [(usize, &str, File<'_>); 7] = [
        (256, "is longer than 256 bytes", &|text| format!("labels: {{ tools: [{{ name: {text}, trust: trusted }}] }}")),
        (128, "is longer than 128 bytes", &|text| tool(format!("destinations: [{text}]"))),
        (128, "is longer than 128 bytes", &|text| tool(format!("allow: {{ {text}: [x] }}"))),
        (2048, "a value has 2049 bytes, more than 2048", &|text| tool(format!("allow: {{ to: [{text}] }}"))),
        (256, "is longer than 256 bytes", &|text| oidc(format!("audience: {text}, roles: {{ g: [viewer] }}"))),
        (256, "is longer than 256 bytes", &|text| {
            oidc(format!("audience: a, claim: {text}, roles: {{ g: [viewer] }}"))
        }),
        (256, "is longer than 256 bytes", &|text| oidc(format!("audience: a, roles: {{ {text}: [viewer] }}"))),
    ];
    for (longest, message, file) in cases {
        let fits = file(&"a".repeat(longest));
        assert!(parse(&fits, Path::new("x"), Path::new("/")).is_ok(), "{fits}");
        let report = report(&file(&"a".repeat(longest + 1)));
        assert!(report.mistakes()[0].message.contains(message), "{report}");
    }
}

#[test]
fn approvals_have_bounds() {
    for (fits, over) in [
        ("wait: 1s", "wait: 999ms"),
        ("wait: 1d", "wait: 24h1s"),
        ("people: 1", "people: 0"),
        ("people: 2", "people: 3"),
        ("people: 1, own: true", "people: 2, own: true"),
        ("people: 2, own: false", "own: true, people: 2"),
    ] {
        let file = |entry: &str| format!("approvals: {{ {entry} }}");
        assert!(parse(&file(fits), Path::new("x"), Path::new("/")).is_ok(), "{fits}");
        let report = report(&file(over));
        assert!(report.mistakes()[0].message.contains(over.split(':').next().unwrap()), "{report}");
    }
}

#[test]
fn a_report_holds_a_hundred_mistakes_and_counts_the_rest() {
    let text: String = (0..250).map(|n| format!("zz{n:03}: 1\n")).collect();
    let report = report(&text);
    assert_eq!((report.mistakes().len(), report.omitted()), (100, 150));
    assert!(report.to_string().ends_with("\n\n250 mistakes in `nanoclaw-config.yaml`, 150 of them not shown"));
}

#[test]
fn mistakes_carry_line_column_and_text_for_programs() {
    let report = report("sandbox_mode: restricted\n禁止: 1\n");
    let mistake = &report.mistakes()[0];
    assert_eq!((mistake.line, mistake.column, mistake.text.as_str()), (2, 1, "禁止"));
}

#[test]
fn an_agent_leaves_the_cell_of_a_model_its_name() {
    let file = |provider: &str, agent: &str| {
        format!(
            "models: {{ providers: [{{ name: {provider}, kind: llama-server, model_file: /m.gguf, program: /p }}] }}
agents: [{{ id: {agent}, command: [\"true\"] }}]
"
        )
    };
    let taken = report(&file("local", "model-local")).to_string();
    assert!(taken.contains("the id `model-local` is that of the cell in which provider `local` runs"), "{taken}");
    let long = report(&file(&"a".repeat(58), "b")).to_string();
    assert!(long.contains("choose one of at most 57 characters"), "{long}");
    assert!(parse(&file("local", "local"), Path::new("c"), Path::new("/srv")).is_ok());
}

#[test]
fn an_agent_that_may_not_use_its_own_model_is_a_mistake() {
    let file = |agent: &str| {
        format!(
            "models:
  providers: [{{ name: main, kind: openai, base_url: 'https://a.example' }}]
  default: both
  aliases: {{ both: [main/x, main/y] }}
agents:
  - {{ id: a, {agent} }}
"
        )
    };
    let said = report(&file("kind: builtin, models: { deny: [main/z, 'main/y*'] }")).to_string();
    assert_eq!(
        said,
        "error: agent `a` may not use its own model: this denies `main/y`, for which `both` stands
  --> nanoclaw-config.yaml:6:54
   |
 6 |   - { id: a, kind: builtin, models: { deny: [main/z, 'main/y*'] } }
   |                                                      ^^^^^^^^^
   = help: remove it, or give the agent another `model`"
    );
    let own = report(&file("command: [x], model: main/z, models: { deny: ['*'] }"));
    assert_eq!(own.mistakes()[0].message, "agent `a` may not use its own model: this denies `main/z`");
    for fine in [
        "kind: builtin, model: main/z, models: { deny: [both, 'main/y'] }",
        "kind: openclaw, models: { allow: ['*'], deny: ['main/z*'] }",
        "command: [x], models: { allow: [main/z], deny: [both] }",
    ] {
        assert!(parse(&file(fine), Path::new("c"), Path::new("/srv")).is_ok(), "{fine}");
    }
}

#[test]
fn openclaw_needs_more_than_a_minimal_root() {
    let text = "models: { providers: [{ name: main, kind: openai, base_url: 'https://a.example' }], default: main/x }
agents: [{ id: a, kind: openclaw, rootfs: minimal }]
";
    let report = report(text);
    let mistake = &report.mistakes()[0];
    assert_eq!((mistake.line, mistake.text.as_str()), (2, "minimal"));
    assert_eq!(mistake.message, "agent `a` is OpenClaw, which needs a node, and `minimal` has none");
    assert!(parse(&text.replace("minimal", "host"), Path::new("c"), Path::new("/srv")).is_ok());
}

#[test]
fn a_missing_base_url_comes_with_an_example_for_its_kind() {
    for (kind, example) in [
        ("openai", "https://api.example.com/v1"),
        ("anthropic", "https://api.anthropic.com"),
        ("gemini", "https://generativelanguage.googleapis.com"),
    ] {
        let report = report(&format!("models: {{ providers: [{{ name: a, kind: {kind} }}] }}"));
        assert_eq!(report.mistakes()[0].help, format!("add `base_url: \"{example}\"`"));
    }
}
