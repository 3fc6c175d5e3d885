use std::path::Path;

use nanoclaw_config::{Labels, ModelAccess, RuleSet, ToolRule, ToolRules, parse_net_rule};

use super::*;
use crate::{CellRules, Written, words};

fn cell() -> CellId {
    CellId::parse("a").unwrap()
}

fn networks(texts: &[&str]) -> CellRules {
    let rule =
        |(index, text): (usize, &&str)| parse_net_rule(&format!("agents.a.allowed_networks[{index}]"), text).unwrap();
    CellRules { networks: texts.iter().enumerate().map(rule).collect(), ..CellRules::default() }
}

fn tools(allow: Option<&[&str]>, deny: &[(&str, &[(&str, &str)])]) -> CellRules {
    let rule = |list: &str, index: usize, name: &str, arguments: &[(&str, &str)]| ToolRule {
        id: format!("agents.a.tools.{list}[{index}]"),
        name: name.to_owned(),
        arguments: arguments.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    let allow = allow.map(|names| names.iter().enumerate().map(|(i, name)| rule("allow", i, name, &[])).collect());
    let deny = deny.iter().enumerate().map(|(i, (name, arguments))| rule("deny", i, name, arguments)).collect();
    let models = Some(ModelAccess { tools: ToolRules { allow, deny }, ..ModelAccess::default() });
    CellRules { models, ..CellRules::default() }
}

fn generation(rules: CellRules, cedar: &str, sets: &[RuleSet]) -> Generation {
    let written = Arc::new(Written::read([(Path::new("p.cedar"), cedar)]).unwrap());
    Generation::new(written, Labels::default(), sets.to_vec()).with_cell(cell(), rules)
}

fn compared(before: &Generation, after: &Generation) -> Comparison {
    let resolve = |_: &CellId, call: &mut ModelCall| call.candidates = vec![call.asked.clone()];
    let side = |generation| Side { generation, models: Vec::new(), resolve: &resolve };
    let comparison = compare(&side(before), &side(after));
    for turned in &comparison.turned {
        let words = words(&turned.question).unwrap();
        assert!(Case::parse(&words).is_ok(), "{turned:?}");
    }
    comparison
}

/// Question and answers, of what is newly allowed and of what is no longer.
fn turned(comparison: &Comparison) -> (Vec<String>, Vec<String>) {
    let told = |turned: &Turned| format!("{} {} {}", turned.question, turned.before.name(), turned.after.name());
    (comparison.newly_allowed().map(told).collect(), comparison.newly_refused().map(told).collect())
}

fn plain(rules: CellRules) -> Generation {
    generation(rules, "", &[])
}

#[test]
fn the_same_in_another_order_is_the_same() {
    let one = plain(networks(&["api.example.com:443", "10.0.0.0/8:443"]));
    let other = plain(networks(&["10.0.0.0/8:443", "api.example.com:443"]));
    let comparison = compared(&one, &other);
    assert_eq!((&comparison.policies, &comparison.turned), (&Vec::new(), &Vec::new()));
    assert!(compared(&one, &one.clone()).is_empty() && compared(&one, &one.clone()).asked == 0);
}

#[test]
fn a_rule_that_comes_and_one_that_goes_are_found() {
    let before = plain(networks(&["api.example.com:443"]));
    let after = plain(networks(&["api.example.com:8443"]));
    let comparison = compared(&before, &after);
    let (more, less) = turned(&comparison);
    assert!(more.contains(&"a net_connect api.example.com:8443 deny allow".to_owned()), "{more:?}");
    assert!(less.contains(&"a net_connect api.example.com:443 allow deny".to_owned()), "{less:?}");
    assert!(comparison.policies.iter().all(|policy| policy.became == Became::Changed), "{:?}", comparison.policies);
    let (more, less) = turned(&compared(&before, &plain(networks(&[]))));
    assert!(more.is_empty() && less.contains(&"a http_request api.example.com:443 allow deny".to_owned()), "{less:?}");
}

#[test]
fn a_pattern_that_grows_and_a_network_that_shrinks_are_found() {
    for (before, after, question) in [
        ("*.example.com:443", "**.example.com:443", "a net_connect x.x.example.com:443 deny allow"),
        ("10.0.0.0/9:443", "10.0.0.0/8:443", "a net_connect 10.255.255.255:443 deny allow"),
        (
            "api.example.com:443",
            "tcp://api.example.com:443",
            "a net_connect api.example.com:443 evidence=opaque deny allow",
        ),
        (
            "[fd00::/9]:443",
            "[fd00::/8]:443",
            "a net_connect '[fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:443' deny allow",
        ),
    ] {
        let (before, after) = (plain(networks(&[before])), plain(networks(&[after])));
        let (more, _) = turned(&compared(&before, &after));
        assert!(more.contains(&question.to_owned()), "{question}: {more:?}");
        let (more, _) = turned(&compared(&after, &before));
        assert!(more.is_empty(), "{more:?}");
    }
}

#[test]
fn tools_that_come_and_denials_that_go_are_found() {
    let none = plain(tools(Some(&["file_read"]), &[("shell", &[("command", "rm *")])]));
    let more = plain(tools(Some(&["file_read", "web_*"]), &[("shell", &[("command", "rm *")])]));
    let (allowed, _) = turned(&compared(&none, &more));
    assert!(allowed.contains(&"a tool_call web_x deny allow".to_owned()), "{allowed:?}");
    let any = plain(tools(None, &[("shell", &[("command", "rm *")])]));
    let undenied = plain(tools(None, &[]));
    let (allowed, refused) = turned(&compared(&any, &undenied));
    assert_eq!((allowed, refused), (vec!["a tool_call shell 'command=rm x' deny allow".to_owned()], Vec::new()));
}

#[test]
fn policies_of_files_are_probed_with_what_they_name() {
    let rules = || {
        let CellRules { models, .. } = tools(None, &[]);
        CellRules { models, ..networks(&["api.example.com:443"]) }
    };
    let cases = [
        (
            r#"forbid(principal, action == Action::"http_request", resource)
               when { context.method == "DELETE" || context.path like "/admin*" };"#,
            "a http_request api.example.com:443 method=DELETE deny allow",
        ),
        (
            r#"forbid(principal, action == Action::"tool_call", resource == Tool::"shell")
               when { resource.hasTag("command") && resource.getTag("command") like "git push*" };"#,
            "a tool_call shell 'command=git pushx' deny allow",
        ),
        (
            r#"forbid(principal, action == Action::"exec", resource == Program::"/usr/bin/nc");"#,
            "a exec /usr/bin/nc deny allow",
        ),
        (
            r#"forbid(principal, action == Action::"file_write", resource) when { resource.path like "/srv/secret/*" };"#,
            "a file_write /srv/secret/x deny allow",
        ),
        (
            r#"@ask("is this meant?") forbid(principal, action == Action::"tool_call", resource == Tool::"pay");"#,
            "a tool_call pay ask allow",
        ),
    ];
    for (cedar, question) in cases {
        let (before, after) = (generation(rules(), cedar, &[]), generation(rules(), "", &[]));
        let comparison = compared(&before, &after);
        let (more, less) = turned(&comparison);
        assert!(more.contains(&question.to_owned()), "{question}: {more:?}");
        assert!(less.is_empty(), "{less:?}");
        assert_eq!(comparison.policies.len(), 1, "{:?}", comparison.policies);
        assert_eq!(comparison.policies[0].became, Became::Removed);
    }
    let permit =
        r#"permit(principal, action == Action::"net_connect", resource) when { resource.name like "*.ops.test" };"#;
    let (more, _) = turned(&compared(&generation(rules(), "", &[]), &generation(rules(), permit, &[])));
    assert!(more.contains(&"a net_connect x.ops.test:443 deny allow".to_owned()), "{more:?}");
    assert!(more.contains(&"a net_connect x.ops.test:443 address=169.254.169.254 deny allow".to_owned()), "{more:?}");
}

#[test]
fn rule_sets_are_probed_with_what_sessions_can_have_read() {
    let rules = || tools(None, &[]);
    let (with, without) = (generation(rules(), "", &[RuleSet::RuleOfTwo]), generation(rules(), "", &[]));
    let comparison = compared(&with, &without);
    let (more, less) = turned(&comparison);
    assert!(less.is_empty(), "{less:?}");
    assert!(more.iter().any(|line| line.starts_with("'a[untrusted,secret]' tool_call ")), "{more:?}");
    assert_eq!(comparison.settings, ["agents.a: rule sets [] instead of [rule-of-two]"]);
}

#[test]
fn an_agent_that_comes_is_compared_with_nothing() {
    let before = Generation::default();
    let (more, less) = turned(&compared(&before, &plain(networks(&["api.example.com:443"]))));
    assert!(more.contains(&"a net_connect api.example.com:443 deny allow".to_owned()) && less.is_empty(), "{more:?}");
}

#[test]
fn questions_have_an_end_and_the_likely_ones_come_first() {
    let texts: Vec<String> = (0..350).map(|number| format!("h{number}.example.com:443")).collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let all = plain(networks(&texts));
    texts.truncate(30);
    let before = plain(networks(&texts));
    texts.push("last.example.com:443");
    let after = plain(networks(&texts));
    let resolve = |_: &CellId, _: &mut ModelCall| {};
    let side = |generation| Side { generation, models: Vec::new(), resolve: &resolve };
    let comparison = asking(&side(&before), &side(&after), 50);
    assert_eq!(comparison.asked, 50);
    assert!(comparison.left_out > 50, "{}", comparison.left_out);
    let (more, _) = turned(&comparison);
    assert!(more.contains(&"a net_connect last.example.com:443 deny allow".to_owned()), "{more:?}");
    let emptied = asking(&side(&all), &side(&plain(networks(&[]))), 0);
    let policies = (emptied.policies.len(), emptied.more_policies);
    assert_eq!((policies, emptied.asked), ((MOST_POLICIES, 3 * 350 - MOST_POLICIES), 0));
}

#[test]
fn a_line_is_taken_apart_into_its_words() {
    for word in ["", "a b", "it's", "\"", "$(id)", "`id`", "a=b", "\\", "*"] {
        let line = line(&["x".to_owned(), word.to_owned()]);
        assert_eq!(words(&line).unwrap(), ["x", word], "{line}");
    }
}
