//! Tokens and invitations, and what an attacker tries with them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn days(days: i64) -> Timestamp {
    at(days * 86_400)
}

fn person(name: &str, roles: &[Role]) -> Operator {
    Operator { name: name.into(), roles: roles.iter().copied().collect() }
}

fn roles(roles: &[Role]) -> BTreeSet<Role> {
    roles.iter().copied().collect()
}

fn name(text: &str) -> OperatorName {
    OperatorName::parse(text).unwrap()
}

fn place() -> (TempDir, PathBuf, Tokens) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.json");
    let tokens = Tokens::open(&path).unwrap();
    (folder, path, tokens)
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[test]
fn a_token_is_known_by_what_was_shown_once() {
    let (_folder, path, tokens) = place();
    let ana = person("ana", &[Role::Approver, Role::Viewer]);
    let (token, secret) = tokens.create(&ana, &roles(&[Role::Viewer]), days(30), at(0)).unwrap();
    let text = secret.dangerously_expose();
    assert!(text.starts_with("ncl_") && text.len() == 47, "{} bytes", text.len());
    for tokens in [&tokens, &Tokens::open(&path).unwrap()] {
        assert_eq!(tokens.verify(text, at(1)), Some(token.clone()));
        assert_eq!(tokens.list(at(1)), std::slice::from_ref(&token));
    }
    assert_eq!((&*token.operator, &token.roles), ("ana", &roles(&[Role::Viewer])));
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(!kept.contains(&text[4..]) && !kept.contains(&text[text.len() - 4..]), "nothing of it is kept");
}

#[test]
fn what_is_nearly_a_token_is_none() {
    let (_folder, _, tokens) = place();
    let ana = person("ana", &[Role::Viewer]);
    let (token, secret) = tokens.create(&ana, &ana.roles, days(30), at(0)).unwrap();
    let text = secret.dangerously_expose();
    let hash = hex(&sha256(text.as_bytes()));
    let mut last = text.to_owned();
    let other = if last.pop() == Some('A') { 'E' } else { 'A' };
    last.push(other);
    let near = [
        &last,
        &text[..46],
        &text[4..],
        &format!("{text} "),
        &format!("{text}A"),
        &text.to_uppercase(),
        &hash,
        &token.id,
        "",
        "ncl_",
    ];
    for wrong in near {
        assert_eq!(tokens.verify(wrong, at(1)), None, "{wrong}");
    }
    assert_eq!(tokens.verify(&"ncl_".repeat(1_000_000), at(1)), None);
    assert!(tokens.verify(text, at(1)).is_some());
}

#[test]
fn tokens_end() {
    let (_folder, _, tokens) = place();
    let ana = person("ana", &[Role::Viewer]);
    for wrong in [at(0), at(-1), days(366) + SignedDuration::from_secs(1)] {
        assert!(matches!(tokens.create(&ana, &ana.roles, wrong, at(0)), Err(TokenError::Life)), "{wrong}");
    }
    assert!(tokens.create(&ana, &ana.roles, days(366), at(0)).is_ok());
    let (_, secret) = tokens.create(&ana, &ana.roles, at(10), at(0)).unwrap();
    assert!(tokens.verify(secret.dangerously_expose(), at(9)).is_some());
    assert!(tokens.verify(secret.dangerously_expose(), at(10)).is_none());
    assert_eq!((tokens.list(at(9)).len(), tokens.list(at(10)).len()), (2, 1));
}

#[test]
fn revoked_tokens_are_none_from_then_on() {
    let (_folder, path, tokens) = place();
    let [ana, bo] = ["ana", "bo"].map(|name| person(name, &[Role::Viewer]));
    let make = |who: &Operator| tokens.create(who, &who.roles, days(1), at(0)).unwrap();
    let [(one, first), (_, second), (_, third)] = [make(&ana), make(&ana), make(&bo)];
    let valid =
        |tokens: &Tokens| [&first, &second, &third].map(|s| tokens.verify(s.dangerously_expose(), at(1)).is_some());
    assert_eq!(valid(&tokens), [true, true, true]);
    assert!(tokens.revoke(&one.id).unwrap());
    assert!(!tokens.revoke(&one.id).unwrap(), "there is none any more");
    assert_eq!(valid(&tokens), [false, true, true]);
    assert_eq!(tokens.revoke_all_of("ana").unwrap(), 1);
    assert_eq!(valid(&tokens), [false, false, true]);
    assert_eq!(valid(&Tokens::open(&path).unwrap()), [false, false, true]);
}

#[test]
fn nobody_gives_more_than_they_have() {
    let (_folder, _, tokens) = place();
    let ana = person("ana", &[Role::Viewer, Role::Approver]);
    for more in [&[Role::Admin][..], &[Role::Viewer, Role::Operator]] {
        let made = tokens.create(&ana, &roles(more), days(1), at(0));
        assert!(matches!(made, Err(TokenError::NotYours(Role::Admin | Role::Operator))), "{more:?}");
        let invited = tokens.invite(&ana, &name("bo"), &roles(more), HOUR, at(0));
        assert!(matches!(invited, Err(TokenError::NotYours(_))), "{more:?}");
    }
    assert!(matches!(tokens.create(&ana, &roles(&[]), days(1), at(0)), Err(TokenError::NoRoles)));
    assert!(matches!(tokens.invite(&ana, &name("bo"), &roles(&[]), HOUR, at(0)), Err(TokenError::NoRoles)));
    assert!(tokens.create(&ana, &ana.roles, days(1), at(0)).is_ok());
    let root = person("root", &[Role::Admin]);
    assert!(tokens.create(&root, &roles(&[Role::Viewer, Role::Auditor]), days(1), at(0)).is_ok(), "an admin is all");
}

#[test]
fn an_invitation_is_used_once_and_in_time() {
    let (_folder, path, tokens) = place();
    let root = person("root", &[Role::Admin]);
    let invite = || tokens.invite(&root, &name("bo"), &roles(&[Role::Viewer]), HOUR, at(0)).unwrap().1;
    let [used, late, revoked] = [invite(), invite(), invite()];
    let consume = |tokens: &Tokens, secret: &Secret, now| tokens.consume(secret.dangerously_expose(), now);
    let bo = consume(&tokens, &used, at(1)).unwrap();
    assert_eq!((&*bo.operator, bo.roles), ("bo", roles(&[Role::Viewer])));
    assert!(matches!(consume(&tokens, &used, at(1)), Err(TokenError::NotValid)));
    assert!(matches!(consume(&Tokens::open(&path).unwrap(), &used, at(1)), Err(TokenError::NotValid)));
    assert!(matches!(consume(&tokens, &late, at(3600)), Err(TokenError::NotValid)));
    assert!(consume(&tokens, &late, at(3599)).is_ok());
    let [left] = tokens.invitations(at(1)).try_into().unwrap();
    assert!(tokens.revoke(&left.id).unwrap());
    assert!(matches!(consume(&tokens, &revoked, at(1)), Err(TokenError::NotValid)));
    for life in [SignedDuration::from_mins(14), SignedDuration::from_hours(25), -HOUR] {
        let invited = tokens.invite(&root, &name("bo"), &roles(&[Role::Viewer]), life, at(0));
        assert!(matches!(invited, Err(TokenError::Life)), "{life}");
    }
}

#[test]
fn an_invitation_is_no_token_and_a_token_no_invitation() {
    let (_folder, _, tokens) = place();
    let root = person("root", &[Role::Admin]);
    let (_, token) = tokens.create(&root, &root.roles, days(1), at(0)).unwrap();
    let (_, invitation) = tokens.invite(&root, &name("bo"), &root.roles, HOUR, at(0)).unwrap();
    assert!(matches!(tokens.consume(token.dangerously_expose(), at(1)), Err(TokenError::NotValid)));
    assert_eq!(tokens.verify(invitation.dangerously_expose(), at(1)), None);
    assert!(tokens.verify(token.dangerously_expose(), at(1)).is_some());
    assert!(tokens.consume(invitation.dangerously_expose(), at(1)).is_ok());
}

#[test]
fn of_many_who_use_an_invitation_at_once_one_wins() {
    let (_folder, _, tokens) = place();
    let root = person("root", &[Role::Admin]);
    for _ in 0..10 {
        let (_, secret) = tokens.invite(&root, &name("bo"), &root.roles, HOUR, at(0)).unwrap();
        let (winners, start) = (AtomicUsize::new(0), std::sync::Barrier::new(8));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let won = tokens.consume(secret.dangerously_expose(), at(1)).is_ok();
                    winners.fetch_add(won.into(), Ordering::Relaxed);
                });
            }
        });
        assert_eq!(winners.into_inner(), 1);
    }
}

#[test]
fn an_invitation_whose_use_cannot_be_kept_is_not_used() {
    let (folder, _, tokens) = place();
    let root = person("root", &[Role::Admin]);
    let (_, secret) = tokens.invite(&root, &name("bo"), &root.roles, HOUR, at(0)).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(tokens.consume(secret.dangerously_expose(), at(1)), Err(TokenError::Store(_))));
    std::fs::create_dir(&folder).unwrap();
    assert!(tokens.consume(secret.dangerously_expose(), at(1)).is_ok());
}
