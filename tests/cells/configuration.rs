//! `-c FILE`, `config check`, `config schema`, and what is said at a start and by `doctor`.

use crate::support::Host;

#[test]
fn the_promised_file_is_valid_and_nothing_of_it_is_without_effect() {
    let host = Host::new();
    host.write(
        "c.yaml",
        "sandbox_mode: \"restricted\"\nallowed_networks:\n  - \"api.bank.com\"\n  - \"internal.log.server\"\nprompt_filters:\n  - \"禁止敏感信息輸出\"\naudit_enabled: true\n",
    );
    let check = host.nanoclaw(["config", "check", "c.yaml"]);
    assert_eq!((check.good().as_str(), check.stderr.as_str()), ("`c.yaml` is valid\n", ""));
    let done = host.sh(&["-c", "c.yaml"], "echo ran");
    assert_eq!(done.good(), "ran\n");
    assert!(!host.records().iter().any(|record| record.to_string().contains("prompt_filters")));
}

#[test]
fn a_filter_that_means_nothing_starts_nothing() {
    let host = Host::new();
    host.write("c.yaml", "prompt_filters: [\"禁止敏感信息輸岀\"]\n");
    for arguments in [&["config", "check", "c.yaml"][..], &["run", "-c", "c.yaml", "--", "true"]] {
        let done = host.nanoclaw(arguments.iter().copied());
        assert!(done.code() != Some(0) && done.stderr.contains("did you mean `禁止敏感信息輸出`?"), "{done:?}");
    }
}

#[test]
fn a_list_of_values_that_cannot_be_read_starts_nothing() {
    let host = Host::new();
    host.write("c.yaml", "prompt_filters: [{ exact: ./list }]\n");
    host.write("list", "CH-7781-2291\n");
    for arguments in [&["config", "check", "c.yaml"][..], &["run", "-c", "c.yaml", "--", "true"]] {
        let done = host.nanoclaw(arguments.iter().copied());
        assert!(done.code() != Some(0) && done.stderr.contains("nanoclaw firewall hash"), "{done:?}");
        assert!(!done.stderr.contains("7781"), "{done:?}");
    }
}

#[test]
fn a_disabled_audit_is_loud_and_writes_nothing() {
    let host = Host::new();
    host.write("c.yaml", "audit_enabled: false\n");
    let done = host.nanoclaw(["run", "-c", "c.yaml", "--json", "--", "sh", "-c", "touch /etc/x; exit 3"]);
    assert_eq!(done.code(), Some(3), "{done:?}");
    assert!(done.stderr.contains("nanoclaw: notice: line 1, column 16: `audit_enabled: false`: nothing that any agent does or tries is recorded"), "{}", done.stderr);
    assert_eq!(done.summary()["refusals"][0]["first"]["path"], "/etc/x", "still refused, still counted");
    let log = std::fs::read_to_string(host.path("state/audit/audit.jsonl")).unwrap_or_default();
    assert!(!log.contains("/etc/x"), "{log}");
}

#[test]
fn a_check_names_models_without_a_price_where_money_is_bounded_and_refuses_a_broken_price_file() {
    let host = Host::new();
    let config = |prices: &str| {
        format!(
            "models: {{ providers: [{{ name: main, kind: openai, base_url: 'https://a.example' }}], default: main/nobody-s{prices} }}\nagents: [{{ id: a, kind: builtin, budget: {{ usd_per_day: 5 }} }}]\n"
        )
    };
    host.write("c.yaml", config(""));
    let check = host.nanoclaw(["config", "check", "c.yaml"]);
    assert_eq!(check.good(), "`c.yaml` is valid\n");
    assert!(
        check
            .stderr
            .starts_with("nanoclaw: notice: `main/nobody-s` has no price, and a budget bounds the money of `a`"),
        "{}",
        check.stderr
    );
    host.write("c.yaml", config(", prices: prices.json"));
    host.write("prices.json", r#"{"prices": [{"model": "nobody-s", "input": 1, "output": 2}]}"#);
    let check = host.nanoclaw(["config", "check", "c.yaml"]);
    assert_eq!((check.good().as_str(), check.stderr.as_str()), ("`c.yaml` is valid\n", ""));
    for broken in [r#"{"prices": [{"model": "nobody-s", "output": 2}]}"#, "{"] {
        host.write("prices.json", broken);
        let check = host.nanoclaw(["config", "check", "c.yaml"]);
        assert_eq!((check.code(), check.text().as_str()), (Some(125), ""), "{check:?}");
        assert!(check.stderr.starts_with("nanoclaw: error: price file `"), "{}", check.stderr);
    }
}

#[test]
fn a_fleet_starts_with_the_notice_that_a_model_has_no_price() {
    let host = Host::new();
    let provider = "{ name: main, kind: openai, base_url: 'https://a.example' }";
    let agent = "{ id: a, command: [\"true\"], model: main/nobody-s, budget: { usd_per_day: 5 } }";
    host.write("c.yaml", format!("models: {{ providers: [{provider}] }}\nagents: [{agent}]\n"));
    let up = host.nanoclaw(["up", "-c", "c.yaml"]);
    assert_eq!(up.good(), "");
    let notice = "`main/nobody-s` has no price, and a budget bounds the money of `a`";
    assert!(up.stderr.contains(&format!("nanoclaw: notice: {notice}")), "{}", up.stderr);
    let noted = host.records().into_iter().filter(|record| record["result"] == "noted");
    assert_eq!(noted.filter(|record| record.to_string().contains(notice)).count(), 1, "it is on record, too");
}

#[test]
fn the_doctor_says_whether_the_fips_module_is_in_force() {
    let host = Host::new();
    let report: serde_json::Value = serde_json::from_slice(&host.nanoclaw(["doctor", "--json"]).stdout).unwrap();
    assert_eq!(report["fips"], cfg!(feature = "fips"), "{report}");
    let line = if cfg!(feature = "fips") { "ok       FIPS cryptography " } else { "absent   FIPS cryptography " };
    let text = host.nanoclaw(["doctor"]).text();
    assert_eq!(text.lines().filter(|said| said.starts_with(line)).count(), 1, "{text}");
}

#[test]
fn the_schema_is_json() {
    let schema = Host::new().nanoclaw(["config", "schema"]).good();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["$schema"].as_str().is_some_and(|uri| uri.contains("json-schema.org")), "{}", schema["$schema"]);
    assert!(schema["properties"]["agents"].is_object());
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn a_mistake_is_shown_with_its_place_and_what_to_do() {
    let host = Host::new();
    for (text, place, help) in [
        ("sandbox_mod: restricted\n", "c.yaml:1:1", "did you mean `sandbox_mode`?"),
        ("sandbox_mode: off\n", "c.yaml:1:15", "restricted"),
        (
            "audit_enabled: true\nagents:\n  - id: a\n    command: [true]\n    limits: { memory: lots }\n",
            "c.yaml:5:23",
            "lots",
        ),
        ("agents:\n  - command: [x]\n", "c.yaml:2:5", "id"),
        ("", "c.yaml", ""),
        ("agents: [\n", "c.yaml", ""),
    ] {
        host.write("c.yaml", text);
        for arguments in
            [&["config", "check", "c.yaml"][..], &["run", "-c", "c.yaml", "--", "echo", "ran"], &["up", "-c", "c.yaml"]]
        {
            let done = host.nanoclaw(arguments);
            assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{arguments:?} {text:?}");
            assert!(
                done.stderr.contains(place) && done.stderr.contains(help),
                "{arguments:?} {text:?}: {}",
                done.stderr
            );
        }
    }
}

#[test]
fn the_name_picks_an_agent_of_the_file_and_options_add_to_it() {
    let host = Host::new();
    host.write(
        "c.yaml",
        "agents:\n  - id: one\n    command: [sh, -c, 'echo $A $B; ls /in; cat /more/data']\n    env: { A: a, B: b }\n    mounts: [{ source: ./in, target: /in }]\n",
    );
    host.write("in/data", "data\n");
    let done = host.nanoclaw(["run", "-c", "c.yaml", "--name", "one", "--env", "B=other", "--ro", "in:/more"]);
    assert_eq!(done.good(), "a other\ndata\ndata\n");
    let done = host.nanoclaw(["run", "-c", "c.yaml", "--name", "one", "--", "echo", "instead"]);
    assert_eq!(done.good(), "instead\n");
}

#[test]
fn up_without_agents_says_so() {
    let host = Host::new();
    host.write("c.yaml", "audit_enabled: true\n");
    let done = host.nanoclaw(["up", "-c", "c.yaml"]);
    assert_eq!(done.code(), Some(125));
    assert_eq!(
        done.stderr,
        "nanoclaw: `c.yaml` has no `agents`, so there is no fleet to run; add some, or run one program with `nanoclaw run -c`\n"
    );
}
