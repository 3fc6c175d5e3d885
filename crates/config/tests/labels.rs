//! What valid files mean that speak of labels, rule sets, approvals and operators.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use nanoclaw_config::{
    Api, Approvals, Config, DataClass, HostLabel, HostPattern, HostSet, IpNet, Label, Labels, Loaded, Notice, Oidc,
    PathLabel, RuleSet, ToolClass, ToolLabel, Trust, UserLabels, parse,
};
use nanoclaw_request::DnsName;

const FILE: &str = include_str!("data/labels.yaml");

fn loaded(text: &str) -> Loaded {
    parse(text, Path::new("f"), Path::new("/srv/fleet")).unwrap_or_else(|report| panic!("{report}"))
}

fn config(text: &str) -> Config {
    let Loaded { config, notices } = loaded(text);
    assert_eq!(notices, []);
    config
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn tool(index: usize, name: &str) -> ToolLabel {
    ToolLabel {
        id: format!("labels.tools[{index}]"),
        name: name.to_owned(),
        trust: None,
        data: None,
        does: None,
        destinations: None,
        allow: [].into(),
        vouches: Vec::new(),
    }
}

fn net(address: &str, prefix: u8) -> HostSet {
    HostSet::Net(IpNet::new(address.parse::<IpAddr>().unwrap(), prefix).unwrap())
}

fn name(pattern: fn(DnsName) -> HostPattern, text: &str) -> HostSet {
    HostSet::Name(pattern(DnsName::parse(text).unwrap()))
}

#[test]
fn labels_of_tools_mean_what_they_say() {
    let expected = [
        ToolLabel {
            trust: Some(Trust::Untrusted),
            data: Some(DataClass::Confidential),
            does: Some([ToolClass::Reads].into()),
            destinations: Some(Vec::new()),
            vouches: texts(&["sender"]),
            ..tool(0, "mail__read_*")
        },
        ToolLabel {
            does: Some([ToolClass::Writes, ToolClass::Sends].into()),
            destinations: Some(texts(&["recipients", "cc"])),
            allow: [
                ("recipients".to_owned(), texts(&["*@bank.com", "board@example.org"])),
                ("cc".to_owned(), texts(&["*@bank.com"])),
            ]
            .into(),
            ..tool(1, "send_email")
        },
        ToolLabel { does: Some([].into()), ..tool(2, "todo") },
        ToolLabel { allow: [("iban".to_owned(), texts(&["DE89*"]))].into(), ..tool(3, "*") },
    ];
    assert_eq!(config(FILE).labels.tools, expected);
}

#[test]
fn labels_of_hosts_and_paths_mean_what_they_say() {
    let Labels { hosts, paths, .. } = config(FILE).labels;
    let host = |index, target, trust, data| HostLabel { id: format!("labels.hosts[{index}]"), target, trust, data };
    let (trusted, untrusted) = (Some(Trust::Trusted), Some(Trust::Untrusted));
    let (internal, confidential) = (Some(DataClass::Internal), Some(DataClass::Confidential));
    assert_eq!(
        hosts,
        [
            host(0, name(HostPattern::Exact, "api.corp.bank.com"), None, Some(DataClass::Secret)),
            host(1, name(HostPattern::OneLabel, "corp.bank.com"), trusted, internal),
            host(2, name(HostPattern::AnyDepth, "corp.bank.com"), trusted, confidential),
            host(3, net("10.1.2.3", 32), untrusted, None),
            host(4, net("10.0.0.0", 8), trusted, None),
            host(5, net("fd00::", 8), trusted, None),
            host(6, net("127.0.0.1", 32), trusted, internal),
        ]
    );
    let path = |index, path: &str, trust, data| PathLabel {
        id: format!("labels.paths[{index}]"),
        path: path.into(),
        trust,
        data,
    };
    assert_eq!(
        paths,
        [
            path(0, "/data/patients", trusted, Some(DataClass::Secret)),
            path(1, "/data", untrusted, None),
            path(2, "/", None, Some(DataClass::Public)),
        ]
    );
}

#[test]
fn what_is_not_said_of_a_user_stays_as_it_was() {
    let label = |trust, data| Label::new(trust, data);
    assert_eq!(
        config(FILE).labels.users,
        UserLabels {
            operator: label(Trust::Trusted, DataClass::Confidential),
            schedule: label(Trust::Trusted, DataClass::Internal),
            webhook: label(Trust::Untrusted, DataClass::Public),
        }
    );
    let users = config("labels: { users: { schedule: { trust: untrusted } } }").labels.users;
    let schedule = label(Trust::Untrusted, DataClass::Internal);
    assert_eq!(users, UserLabels { schedule, ..UserLabels::default() });
}

#[test]
fn an_agent_without_rule_sets_leaves_the_choice_to_the_fleet() {
    let config = config(FILE);
    assert_eq!(config.rule_sets, [RuleSet::ValueProvenance, RuleSet::RuleOfTwo, RuleSet::SuspiciousAsks]);
    let of = |index: usize| config.agents[index].rule_sets.as_deref();
    assert_eq!(of(0), None);
    assert_eq!(of(1), Some([RuleSet::SuspiciousAsks].as_slice()));
    assert_eq!(of(2), Some([RuleSet::TrustedAction, RuleSet::SuspiciousAsks].as_slice()));
}

#[test]
fn suspicious_sessions_ask_unless_the_file_says_otherwise() {
    use RuleSet::{RuleOfTwo, SuspiciousAsks};
    for (text, fleet) in [
        ("sandbox_mode: restricted", vec![SuspiciousAsks]),
        ("rule_sets: []", vec![SuspiciousAsks]),
        ("rule_sets: [suspicious-asks, rule-of-two]", vec![SuspiciousAsks, RuleOfTwo]),
        ("suspicious_asks: true", vec![SuspiciousAsks]),
        ("suspicious_asks: false", vec![]),
        ("suspicious_asks: false\nrule_sets: [rule-of-two]", vec![RuleOfTwo]),
        ("suspicious_asks: false\nrule_sets: [suspicious-asks]", vec![SuspiciousAsks]),
    ] {
        assert_eq!(loaded(text).config.rule_sets, fleet, "{text}");
    }
}

#[test]
fn approvals_and_operators_mean_what_they_say() {
    let config = config(FILE);
    assert_eq!(config.approvals, Approvals { wait: Duration::from_secs(900), people: 2, own: false });
    let names = texts(&["nanoclaw.bank.com", "10.1.2.3", "fd00::7"]);
    assert_eq!(config.api, Some(Api { listen: "0.0.0.0:7443".parse().unwrap(), names }));
    let oidc = Oidc {
        issuer: "https://id.bank.com/realms/staff/".to_owned(),
        audience: "nanoclaw".to_owned(),
        ca: Some("/srv/fleet/id-ca.pem".into()),
        claim: "realm groups".to_owned(),
        roles: [("/staff/approvers".to_owned(), texts(&["approver", "viewer"])), ("7".to_owned(), texts(&["admin"]))]
            .into(),
    };
    assert_eq!(config.oidc, Some(oidc));
}

#[test]
fn without_these_keys_nothing_listens_and_nobody_vouches() {
    let config = config("sandbox_mode: restricted");
    assert_eq!((config.api, config.oidc), (None, None));
    assert_eq!((config.rule_sets, config.labels), (vec![RuleSet::SuspiciousAsks], Labels::default()));
    assert_eq!(config.approvals, Approvals { wait: Duration::from_secs(300), people: 1, own: false });
}

#[test]
fn an_issuer_on_the_loopback_needs_no_tls_and_the_usual_claim_is_groups() {
    let text = "operators: { oidc: { issuer: 'http://127.0.0.1:5556/dex', audience: a, roles: { g: [viewer] } } }";
    let oidc = config(text).oidc.unwrap();
    assert_eq!((oidc.issuer.as_str(), oidc.claim.as_str()), ("http://127.0.0.1:5556/dex", "groups"));
    assert_eq!(oidc.ca, None);
}

#[test]
fn entries_for_the_same_sources_are_told_from_narrower_ones_before_wider_ones() {
    for list in [
        "hosts: [{ name: 'a.b.com', trust: trusted }, { name: '*.b.com', trust: trusted }]",
        "hosts: [{ name: '*.b.com', trust: trusted }, { name: '**.b.com', trust: trusted }]",
        "hosts: [{ name: '**.a.b.com', trust: trusted }, { name: '**.b.com', trust: trusted }]",
        "hosts: [{ name: '**.b.com', trust: trusted }, { name: b.com, trust: trusted }]",
        "hosts: [{ name: '*.b.com', trust: trusted }, { name: '*.a.b.com', trust: trusted }]",
        "hosts: [{ name: 10.0.0.0/16, trust: trusted }, { name: 10.0.0.0/8, trust: trusted }]",
        "hosts: [{ name: 10.0.0.0/8, trust: trusted }, { name: 11.0.0.1, trust: trusted }]",
        "paths: [{ path: /a/b, trust: trusted }, { path: /a, trust: trusted }, { path: /ab, trust: trusted }]",
        "tools: [{ name: read_mail, trust: trusted }, { name: 'read_*', trust: trusted }]",
        "tools: [{ name: 'a*c', trust: trusted }, { name: 'a*', trust: trusted }]",
        "tools: [{ name: 'a*c', trust: trusted }, { name: '*c', trust: trusted }]",
    ] {
        config(&format!("labels: {{ {list} }}"));
    }
    for list in [
        "hosts: [{ name: '*.b.com', trust: trusted }, { name: 'a.b.com', trust: trusted }]",
        "hosts: [{ name: '**.b.com', trust: trusted }, { name: '*.b.com', trust: trusted }]",
        "hosts: [{ name: '**.b.com', trust: trusted }, { name: '*.a.b.com', trust: trusted }]",
        "hosts: [{ name: '**.b.com', trust: trusted }, { name: '**.a.b.com', trust: trusted }]",
        "hosts: [{ name: A.b.com, trust: trusted }, { name: a.b.com, data: public }]",
        "hosts: [{ name: 10.0.0.0/8, trust: trusted }, { name: 10.0.0.0/16, trust: trusted }]",
        "hosts: [{ name: 10.0.0.0/8, trust: trusted }, { name: 10.9.9.9, trust: trusted }]",
        "paths: [{ path: /a, trust: trusted }, { path: /a/b, trust: trusted }]",
        "paths: [{ path: /, trust: trusted }, { path: /a, trust: trusted }]",
        "tools: [{ name: 'read_*', trust: trusted }, { name: read_mail, trust: trusted }]",
        "tools: [{ name: 'a*', trust: trusted }, { name: 'a*c', trust: trusted }]",
        "tools: [{ name: '*', trust: trusted }, { name: '**', trust: trusted }]",
    ] {
        let report = parse(&format!("labels: {{ {list} }}"), Path::new("f"), Path::new("/")).unwrap_err();
        let [mistake] = report.mistakes() else { panic!("{list}: {report}") };
        let said = mistake.message.as_str();
        assert!(said.contains("never counts") || said.starts_with("two labels are for"), "{list}: {said}");
    }
}

#[test]
fn what_weakens_a_protection_is_said_aloud() {
    let file = "
labels:
  tools: [{ name: pay, allow: { iban: ['**'] } }]
  users: { webhook: { trust: trusted } }
";
    let notice = |line, column, message: &str| Notice { line, column, loud: true, message: message.to_owned() };
    assert_eq!(
        loaded(file).notices,
        [
            notice(3, 40, "every value of `iban` is allowed, wherever it comes from"),
            notice(4, 12, "what callers of webhooks say is trusted: whoever can write into it gives orders to agents"),
        ]
    );
}

#[test]
fn international_names_are_shown_as_the_dns_has_them() {
    let Loaded { config, notices } = loaded(
        "
labels: { hosts: [{ name: \"*.bücher.example\", trust: trusted }] }
api: { listen: 127.0.0.1:7443, names: [bücher.example] }
",
    );
    assert_eq!(config.labels.hosts[0].target, name(HostPattern::OneLabel, "xn--bcher-kva.example"));
    assert_eq!(config.api.unwrap().names, ["xn--bcher-kva.example"]);
    let said: Vec<&str> = notices.iter().map(|notice| notice.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "`*.bücher.example` is `*.xn--bcher-kva.example` in the DNS",
            "`bücher.example` is `xn--bcher-kva.example` in the DNS"
        ]
    );
}
