use std::collections::HashSet;

use super::*;

fn all() -> Vec<(Group, &'static Attack)> {
    Group::ALL.into_iter().flat_map(|group| group.attacks().map(move |attack| (group, attack))).collect()
}

#[test]
fn there_are_more_attacks_than_promised() {
    assert!(all().len() >= 130, "{} attacks", all().len());
}

#[test]
fn names_are_unique_kebab_case() {
    let mut seen = HashSet::new();
    for (_, attack) in all() {
        assert!(
            attack.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
            "{}",
            attack.name
        );
        assert!(seen.insert(attack.name), "`{}` is there twice", attack.name);
        assert!(Group::ALL.iter().all(|group| group.name() != attack.name), "`{}` is a group", attack.name);
    }
}

#[test]
fn every_attack_says_what_must_happen() {
    for (_, attack) in all() {
        assert!(!attack.expect.is_empty(), "{}", attack.name);
        assert!(!attack.what.is_empty() && !attack.what.ends_with('.'), "{}", attack.name);
        assert!(!attack.layer.is_empty(), "{}", attack.name);
    }
}

/// A control that sees outside what is expected inside proves nothing.
#[test]
fn no_outside_control_sees_what_is_expected_inside() {
    for (_, attack) in all() {
        let (Control::Outside(seen) | Control::OutsideRoot(seen)) = attack.control else { continue };
        for expected in attack.expect {
            assert!(
                !seen.iter().any(|seen| seen.is(&Outcome::Stopped(*expected))),
                "{}: {expected} is expected on both sides",
                attack.name
            );
        }
    }
}

#[test]
fn settings_survive_the_command_line() {
    let settings = Settings {
        mode: Mode::Standard,
        user: HostUser::Rootless,
        pids: 7,
        memory: 1 << 20,
        tmp: 2 << 20,
        files: 9,
        host_canary: Some("/a b/c".into()),
        host_port: Some(8080),
        host_abstract: Some("name".to_owned()),
        host_unix: Some("/run/x.sock".into()),
        state_dir: Some("/var/lib/x".into()),
        secret: Some("s3cret".to_owned()),
        allowed: Some("127.0.0.1:9090".parse().unwrap()),
    };
    let mut arguments = settings.arguments();
    arguments.push("fork-bomb".to_owned());
    assert_eq!(Settings::parse(&arguments), Ok((settings, vec!["fork-bomb".to_owned()])));
    assert_eq!(Settings::parse(&Settings::default().arguments()), Ok((Settings::default(), vec![])));
}

#[test]
fn wrong_settings_are_named() {
    let parse = |arguments: &[&str]| {
        let owned: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        Settings::parse(&owned).unwrap_err().to_string()
    };
    assert_eq!(parse(&["--colour", "red"]), "unknown option `--colour`");
    assert_eq!(parse(&["--pids"]), "option `--pids` needs a value");
    assert_eq!(parse(&["--pids", "many"]), "`many` is not a value of option `--pids`");
}

#[test]
fn a_killed_attempt_is_an_outcome() {
    let killed = child::outcome_of(|| {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::SYS);
        Outcome::Succeeded("survived".to_owned())
    });
    assert_eq!(killed, Outcome::Stopped(Stopped::KilledBy(libc::SIGSYS)));
}

#[test]
fn a_panicking_attempt_is_broken() {
    let outcome = child::outcome_of(|| panic!("on purpose"));
    assert!(matches!(outcome, Outcome::Broken(_)), "{outcome:?}");
}

#[test]
fn what_an_attempt_says_comes_back() {
    for said in [
        Outcome::Stopped(Stopped::Errno(libc::EROFS)),
        Outcome::Succeeded("evidence".to_owned()),
        Outcome::NotApplicable("why".to_owned()),
        Outcome::Stopped(Stopped::Rcode(3)),
    ] {
        assert_eq!(child::outcome_of(|| said.clone()), said);
    }
}

#[test]
fn one_success_among_many_targets_counts() {
    let errno = |errno| Outcome::Stopped(Stopped::Errno(errno));
    let try_all = |outcomes: &[Outcome]| attempt::each(outcomes.to_vec(), |outcome| outcome);
    assert_eq!(try_all(&[errno(1), errno(1)]), errno(1));
    assert!(matches!(try_all(&[errno(1), errno(2)]), Outcome::Broken(_)), "different answers");
    assert!(matches!(try_all(&[errno(1), Outcome::Succeeded(String::new())]), Outcome::Succeeded(_)));
    assert!(matches!(try_all(&[]), Outcome::NotApplicable(_)));
}

/// The controls that need no host service, as whoever runs the tests.
#[test]
fn attempts_get_through_outside_a_cell() {
    let user = if rustix::process::getuid().is_root() { HostUser::Root } else { HostUser::Rootless };
    let base = tempfile::tempdir().unwrap();
    let context = Context::outside(Settings { user, ..Settings::default() }, base.path()).unwrap();
    let mut held = 0;
    for (group, attack) in all() {
        if let Some(report) = attack.report_outside(group, &context) {
            assert!(report.ok, "{}: {}", report.name, report.detail);
            held += usize::from(report.control_ok == Some(true));
        }
    }
    assert!(held >= 40, "only {held} controls held");
}
