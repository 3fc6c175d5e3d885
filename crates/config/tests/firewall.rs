//! What `prompt_filters` and `firewall` mean, and what is said where they mean nothing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

use std::path::Path;

use nanoclaw_config::Loaded;
use nanoclaw_firewall::filter::{Filter, Finds};
use nanoclaw_firewall::loss::{Group, LossSettings};
use nanoclaw_firewall::{Channel, Firewall, Prompts, Results, Settings, Verdict};

fn loaded(text: &str) -> Loaded {
    nanoclaw_config::parse(text, Path::new("f"), Path::new("/srv")).unwrap_or_else(|report| panic!("{report}"))
}

fn settings(text: &str) -> Settings {
    loaded(text).config.firewall
}

/// What is said about a file: place, message and help of its only mistake.
fn mistake(text: &str) -> (usize, usize, String, String) {
    let report = nanoclaw_config::parse(text, Path::new("f"), Path::new("/srv")).unwrap_err();
    let [mistake] = report.mistakes() else { panic!("{report}") };
    (mistake.line, mistake.column, mistake.message.clone(), mistake.help.clone())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn every_form_of_a_filter_means_what_it_says() {
    let Settings { filters, loss, prompts, results } = settings(include_str!("data/firewall.yaml"));
    let filter = |name: &str, action, channels: &[Channel], finds| Filter {
        name: name.to_owned(),
        action,
        channels: channels.to_vec(),
        finds,
    };
    let leaving = [Channel::Output, Channel::Agent];
    assert_eq!(
        filters,
        [
            filter("accounts", Verdict::Deny, &[Channel::Output], Finds::Pattern("ACC-[0-9]{6}".to_owned())),
            filter("filter-4", Verdict::Redact, &leaving, Finds::Words(words(&["falcon", "猎鹰计划", "project x"]))),
            filter("clients", Verdict::Ask, &leaving, Finds::Known("/srv/clients.hashed".into())),
            filter(
                "mergers",
                Verdict::Deny,
                &[Channel::User],
                Finds::Topic { words: words(&["merger", "takeover", "收购"]), at_least: 2 }
            ),
            filter("trap", Verdict::Deny, &Channel::ALL, Finds::Canary("zx-canary-7719".to_owned())),
        ]
    );
    assert_eq!((prompts, results), (Prompts::Annotate, Results::Quarantine));
    for channel in leaving {
        for (group, action) in [
            (Group::Payment, Some(Verdict::Deny)),
            (Group::Identity, Some(Verdict::Deny)),
            (Group::Contact, Some(Verdict::Redact)),
            (Group::Secret, Some(Verdict::Ask)),
            (Group::Network, None),
        ] {
            assert_eq!(loss.actions.get(&(channel, group)).copied(), action, "{group:?}");
        }
    }
    assert_eq!(loss.actions[&(Channel::Tool, Group::Secret)], Verdict::Redact);
    assert_eq!(loss.actions.get(&(Channel::User, Group::Secret)), None);
}

#[test]
fn nothing_is_acted_on_where_nothing_is_said() {
    assert_eq!(settings("sandbox_mode: restricted"), Settings::default());
    assert_eq!(Settings::default().loss, LossSettings::default());
    assert_eq!(settings("prompt_filters: []\nfirewall: {}"), Settings::default());
}

#[test]
fn one_action_counts_for_all_sensitive_data() {
    let said = settings("firewall: { losses: redact }");
    assert_eq!(said.loss, settings("prompt_filters: [no-sensitive-output]").loss);
    let denied = settings("prompt_filters: [\"禁止敏感信息輸出\"]\nfirewall: { losses: deny }");
    assert_eq!(denied.loss.actions[&(Channel::Output, Group::Secret)], Verdict::Deny);
}

#[test]
fn a_sentence_that_means_nothing_is_a_mistake_with_what_was_probably_meant() {
    assert_eq!(
        mistake("prompt_filters:\n  - \"禁止敏感信息输岀\""),
        (
            2,
            5,
            "`禁止敏感信息输岀` is no prompt filter that NanoClaw understands".to_owned(),
            "did you mean `禁止敏感信息输出`?".to_owned()
        )
    );
    let (.., help) = mistake("prompt_filters: [no-sensitive-ouput]");
    assert_eq!(help, "did you mean `no-sensitive-output`?");
    let (line, column, message, help) = mistake("prompt_filters:\n  - no-secrets-output\n  - be nice");
    assert_eq!((line, column), (3, 5), "{message}");
    assert!(help.starts_with("it understands `no-sensitive-output`, ") && help.contains("`canary`"), "{help}");
}

#[test]
fn a_wrong_pattern_is_shown_with_its_place_in_the_file_and_in_itself() {
    let (line, column, message, help) = mistake("prompt_filters:\n  - { regex: 'ACC-([0-9]{6}' }");
    assert_eq!((line, column), (2, 14));
    assert_eq!(message, "the pattern is wrong at its character 5 (`(`): unclosed group");
    assert!(help.contains("single quotes"), "{help}");
}

#[test]
fn what_contradicts_itself_is_a_mistake() {
    for (text, expected) in [
        ("prompt_filters: [no-sensitive-output, \"禁止敏感信息输出\"]", "means the same as a filter before it"),
        ("prompt_filters: [no-prompt-injection]\nfirewall: { prompts: off }", "`prompts` takes back"),
        ("prompt_filters: [no-prompt-injection]\nfirewall: { results: annotate }", "`results` takes back"),
        (
            "prompt_filters: [no-secrets-output]\nfirewall: { losses: allow }",
            "`losses` takes back what `no-secrets-output`",
        ),
        ("prompt_filters: [no-secrets-output]\nfirewall: { losses: { secret: allow } }", "`secret` takes back"),
        ("prompt_filters: [{ regex: abc, canary: abcdefghij }]", "has both `regex` and `canary`"),
        ("prompt_filters: [{ name: x }]", "does not say what it looks for"),
        ("prompt_filters: [{ regex: abc, at_least: 2 }]", "`at_least` is for filters with `topic`"),
        ("prompt_filters: [{ regex: abc, name: x }, { regex: d, name: x }]", "two filters are named `x`"),
        ("prompt_filters: [{ regex: abc, name: \"a b\" }]", "`a b` cannot be the name of a filter"),
        ("prompt_filters: [{ topic: x, words: [aa, bb], action: redact }]", "only `annotate` or `ask` or `deny`"),
        ("prompt_filters: [{ topic: x, words: [aa, bb], at_least: 3 }]", "`at_least`"),
        ("prompt_filters: [{ regex: abc, channels: [] }]", "filters nothing"),
        ("firewall: { losses: { cadr: deny } }", "`cadr` is no kind of data"),
    ] {
        let (.., message, _) = mistake(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
}

#[test]
fn what_is_switched_off_is_said() {
    for (text, expected) in [
        ("firewall: { prompts: off }", "`prompts: off`: nothing is done"),
        ("firewall: { results: off }", "`results: off`: nothing is done"),
        ("prompt_filters: [{ regex: 'a+b' }]", "the pattern of `filter-1` can fit a text of any length"),
    ] {
        let notices = loaded(text).notices;
        assert!(notices.len() == 1 && notices[0].message.contains(expected), "{text}: {notices:?}");
    }
}

#[test]
fn a_firewall_is_made_of_what_was_read_and_finds_it() {
    let text =
        "prompt_filters: [{ keywords: [\"猎鹰计划\"], name: secret-project }, { regex: 'ACC-[0-9]{6}', action: deny }]";
    let firewall = Firewall::new(&settings(text)).unwrap();
    let judgement = firewall.judge(Channel::Agent, "關於獵鷹計劃");
    assert_eq!((judgement.verdict, judgement.rules[0].id.as_ref()), (Verdict::Redact, "secret-project"));
    assert_eq!(firewall.judge(Channel::Agent, "see ACC-123456").verdict, Verdict::Deny);
    assert_eq!(firewall.judge(Channel::Agent, "see ACC-12345").verdict, Verdict::Allow);
}
