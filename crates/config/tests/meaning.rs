//! What valid files mean.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::path::Path;
use std::time::Duration;

use nanoclaw_config::{
    Agent, AgentKind, Approvals, Audit, Budget, Config, Health, HostPattern, IpNet, Labels, Limits, Loaded, Models,
    Mount, MountMode, NetRule, NetTarget, Restart, Rootfs, SandboxMode,
};
use nanoclaw_firewall::loss::Group;
use nanoclaw_firewall::{Channel, Settings, Verdict};
use nanoclaw_request::{CellId, DnsName};

fn parse(text: &str) -> Loaded {
    nanoclaw_config::parse(text, Path::new("nanoclaw-config.yaml"), Path::new("/srv/fleet"))
        .unwrap_or_else(|report| panic!("{report}"))
}

fn net(text: &str) -> IpNet {
    let (address, prefix) = text.split_once('/').unwrap();
    IpNet::new(address.parse().unwrap(), prefix.parse().unwrap()).unwrap()
}

fn host(id: &str, text: &str, pattern: HostPattern, ports: &[u16], addresses: &[&str]) -> NetRule {
    let addresses = addresses.iter().map(|a| net(a)).collect();
    let target = NetTarget::Host { pattern, ports: ports.to_vec(), addresses, raw: false };
    NetRule { id: id.to_owned(), text: text.to_owned(), target }
}

fn command(words: &[&str]) -> AgentKind {
    AgentKind::Command(words.iter().map(|word| (*word).to_owned()).collect())
}

fn exact(name: &str) -> HostPattern {
    HostPattern::Exact(DnsName::parse(name).unwrap())
}

#[test]
fn the_four_keys_of_the_promised_file_mean_what_they_say() {
    let Loaded { config, notices } = parse(include_str!("data/seed.yaml"));
    assert_eq!(
        config,
        Config {
            sandbox_mode: SandboxMode::Restricted,
            audit_enabled: true,
            audit: Audit::default(),
            firewall: no_sensitive_output(),
            policies: Vec::new(),
            rule_sets: vec![nanoclaw_config::RuleSet::SuspiciousAsks],
            labels: Labels::default(),
            approvals: Approvals::default(),
            allowed_networks: vec![
                host("allowed_networks[0]", "api.bank.com", exact("api.bank.com"), &[80, 443], &[]),
                host("allowed_networks[1]", "internal.log.server", exact("internal.log.server"), &[80, 443], &[]),
            ],
            limits: Limits::default(),
            models: Models::default(),
            budget: Budget::default(),
            groups: Vec::new(),
            listen: None,
            api: None,
            oidc: None,
            agents: Vec::new(),
        }
    );
    assert_eq!(notices, []);
}

/// What the promised file's filter switches on.
fn no_sensitive_output() -> Settings {
    let mut settings = Settings::default();
    for channel in [Channel::Output, Channel::Agent] {
        for group in [Group::Payment, Group::Identity, Group::Contact, Group::Secret] {
            settings.loss.actions.insert((channel, group), Verdict::Redact);
        }
    }
    settings
}

#[test]
fn the_full_form_means_what_it_says() {
    let Loaded { config, notices } = parse(include_str!("data/full.yaml"));
    let shared = vec![
        host("allowed_networks[0]", "internal.log.server", exact("internal.log.server"), &[80, 443], &[]),
        host(
            "allowed_networks[1]",
            r#"{ host: "*.bank.com", ports: [443, 8443], addresses: ["10.0.0.0/8", "169.254.169.254/32"] }"#,
            HostPattern::OneLabel(DnsName::parse("bank.com").unwrap()),
            &[443, 8443],
            &["10.0.0.0/8", "169.254.169.254/32"],
        ),
    ];
    let limits = Limits {
        cpu_millis: Some(500),
        memory: Some(512 << 20),
        timeout: Some(Duration::from_secs(5400)),
        ..Limits::default()
    };
    let rule = |n: usize, text: &str, target| NetRule {
        id: format!("agents.nano-001.allowed_networks[{n}]"),
        text: text.to_owned(),
        target,
    };
    let service = NetTarget::HostService { address: "127.0.0.1:8080".parse().unwrap() };
    let v6 = NetTarget::Cidr { net: net("fd00::/8"), ports: vec![5432], raw: true };
    let first = Agent {
        id: CellId::parse("nano-001").unwrap(),
        kind: command(&["python3", "/workspace/agent.py", "--retries", "3", "true"]),
        models: None,
        schedule: Vec::new(),
        webhook: None,
        rootfs: Rootfs::Host,
        mounts: vec![
            Mount { source: "/srv/fleet/work".into(), target: "/workspace".into(), mode: MountMode::Rw },
            Mount { source: "/srv/models".into(), target: "/models".into(), mode: MountMode::Ro },
        ],
        env: [("LANG", "C.UTF-8"), ("PORT", "08080"), ("DEBUG", "yes"), ("EMPTY", "")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        workdir: Some("/workspace".into()),
        limits: Limits {
            cpu_millis: Some(1000),
            memory: Some(1 << 30),
            pids: Some(128),
            disk: Some(1 << 30),
            files: Some(512),
            timeout: Some(Duration::from_secs(5400)),
        },
        allowed_networks: vec![
            host("agents.nano-001.allowed_networks[0]", "api.bank.com:443", exact("api.bank.com"), &[443], &[]),
            rule(1, "host-service:127.0.0.1:8080", service),
            rule(2, "tcp://[fd00::/8]:5432", v6),
        ],
        rule_sets: None,
        restart: Restart::OnFailure,
        health: Some(Health {
            command: ["test", "-e", "/tmp/ready"].map(str::to_owned).to_vec(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_millis(500),
            retries: 5,
        }),
        stop_grace: Duration::ZERO,
    };
    let second = Agent {
        id: CellId::parse("nano-002").unwrap(),
        kind: command(&["/nanoclaw"]),
        models: None,
        schedule: Vec::new(),
        webhook: None,
        rootfs: Rootfs::Minimal,
        mounts: Vec::new(),
        env: [].into(),
        workdir: None,
        limits,
        allowed_networks: Vec::new(),
        rule_sets: None,
        restart: Restart::Always,
        health: None,
        stop_grace: Duration::from_secs(10),
    };
    let third = Agent {
        id: CellId::parse("nano-003").unwrap(),
        kind: command(&["run"]),
        rootfs: Rootfs::Directory("/srv/images/debian".into()),
        allowed_networks: shared.clone(),
        restart: Restart::Never,
        health: Some(Health {
            command: vec!["check".to_owned()],
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            retries: 3,
        }),
        ..second.clone()
    };
    assert_eq!(
        config,
        Config {
            sandbox_mode: SandboxMode::Standard,
            audit_enabled: true,
            audit: Audit::default(),
            firewall: Settings::default(),
            policies: Vec::new(),
            rule_sets: vec![nanoclaw_config::RuleSet::SuspiciousAsks],
            labels: Labels::default(),
            approvals: Approvals::default(),
            allowed_networks: shared,
            limits,
            models: Models::default(),
            budget: Budget::default(),
            groups: Vec::new(),
            listen: None,
            api: None,
            oidc: None,
            agents: vec![first, second, third],
        }
    );
    assert_eq!(notices, []);
}

#[test]
fn what_is_not_said_has_the_safe_default() {
    let Loaded { config, notices } = parse("agents: [{ id: a, command: [x] }]");
    assert_eq!(config.sandbox_mode, SandboxMode::Restricted);
    assert!(config.audit_enabled);
    assert_eq!(config.agents[0].allowed_networks, []);
    assert_eq!(config.agents[0].rootfs, Rootfs::Host);
    assert_eq!(config.agents[0].restart, Restart::Never);
    assert_eq!(notices, []);
}

#[test]
fn an_empty_list_of_an_agent_does_not_inherit() {
    let text =
        "allowed_networks: [a.com]\nagents: [{ id: a, command: [x], allowed_networks: [] }, { id: b, command: [x] }]";
    let Loaded { config, .. } = parse(text);
    assert_eq!(config.agents[0].allowed_networks, []);
    assert_eq!(config.agents[1].allowed_networks, config.allowed_networks);
}

#[test]
fn notices_stand_where_their_cause_stands() {
    let text = "allowed_networks: [bücher.example, \"*.bücher.example:443\"]\naudit_enabled: false\n";
    let notices = parse(text).notices;
    let said: Vec<_> = notices.iter().map(|n| (n.line, n.column, n.loud, n.message.as_str())).collect();
    assert_eq!(
        said,
        [
            (1, 20, false, "`bücher.example` is `xn--bcher-kva.example` in the DNS"),
            (1, 36, false, "`*.bücher.example:443` is `*.xn--bcher-kva.example` in the DNS"),
            (2, 16, true, "`audit_enabled: false`: nothing that any agent does or tries is recorded"),
        ]
    );
}

#[test]
fn a_byte_order_mark_and_crlf_are_fine() {
    let plain = include_str!("data/full.yaml");
    let dos = format!("\u{feff}{}", plain.replace('\n', "\r\n"));
    assert_eq!(parse(&dos), parse(plain));
}

#[test]
fn json_is_yaml() {
    let text = r#"{"sandbox_mode": "standard", "agents": [{"id": "a", "command": ["x"], "limits": {"pids": 16}}]}"#;
    assert_eq!(parse(text).config.agents[0].limits.pids, Some(16));
}

#[test]
fn sinks_are_where_they_say() {
    use nanoclaw_config::{Credential, Http, RecordFormat, Sink, SinkKind};

    let audit = parse(include_str!("data/audit.yaml")).config.audit;
    assert_eq!(audit.checkpoint_every, Duration::from_secs(5));
    let env = |name: &str| nanoclaw_config::SecretSource::Env(name.to_owned());
    let http = |url: &str, credential| Http { url: url.to_owned(), credential, ca: None };
    let syslog = |host: &str, port, tls| SinkKind::Syslog { host: host.to_owned(), port, tls, ca: None };
    let expected = [
        ("copy", SinkKind::File("/srv/fleet/copy.jsonl".into())),
        ("siem", syslog("siem.bank.com", 6514, true)),
        ("local", syslog("::1", 601, false)),
        (
            "search",
            SinkKind::Elasticsearch {
                http: http("https://elastic.bank.com:9200", Some(Credential::ApiKey(env("ELASTIC_KEY")))),
                index: "logs-nanoclaw.audit-default".to_owned(),
            },
        ),
        (
            "open",
            SinkKind::Elasticsearch {
                http: http(
                    "https://open.bank.com",
                    Some(Credential::Password { user: "nanoclaw".to_owned(), password: env("OPEN_PASSWORD") }),
                ),
                index: "audit".to_owned(),
            },
        ),
        (
            "loki",
            SinkKind::Loki {
                http: http("http://127.0.0.1:3100", Some(Credential::Token(env("LOKI_TOKEN")))),
                tenant: Some("bank".to_owned()),
            },
        ),
        ("collector", SinkKind::Otlp(http("http://localhost:4318", None))),
    ];
    assert_eq!(audit.sinks.len(), expected.len());
    for (sink, (name, kind)) in audit.sinks.into_iter().zip(expected) {
        let format = if name == "copy" { RecordFormat::Ocsf } else { RecordFormat::Nanoclaw };
        assert_eq!(sink, Sink { name: name.to_owned(), format, kind });
    }
}

#[test]
fn records_in_the_clear_are_told_of() {
    for sink in ["kind: syslog, address: 'a.bank.com:514', tls: false", "kind: loki, url: 'http://a.bank.com'"] {
        let Loaded { notices, .. } = parse(&format!("audit: {{ sinks: [{{ name: a, {sink} }}] }}"));
        assert!(notices.iter().any(|notice| notice.message.contains("who is on the way to it reads")), "{notices:?}");
    }
}
