//! What a certificate or a token is worth depends on the account.

use tempfile::TempDir;

use super::*;
use crate::ca::{PrivateKey, new_request};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn name(text: &str) -> OperatorName {
    OperatorName::parse(text).unwrap()
}

fn roles(roles: &[Role]) -> BTreeSet<Role> {
    roles.iter().copied().collect()
}

fn root() -> Operator {
    Operator { name: "uid:0".into(), roles: roles(&[Role::Admin]) }
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn place() -> (TempDir, Operators) {
    let folder = tempfile::tempdir().unwrap();
    let operators = Operators::open(folder.path(), at(0)).unwrap();
    (folder, operators)
}

/// Invites `who` and enrols them: their certificate in DER.
fn enrolled(operators: &Operators, who: &str, as_what: &[Role], now: Timestamp) -> Vec<u8> {
    let (_, invitation) = operators.invite(&root(), &name(who), &roles(as_what), HOUR, now).unwrap();
    let (request, _): (String, PrivateKey) = new_request().unwrap();
    let certificate = operators.enrol(invitation.dangerously_expose(), &request, now).unwrap();
    crate::ca::tests::der(&certificate.pem)
}

#[test]
fn somebody_invited_has_an_account_and_a_certificate() {
    let (folder, operators) = place();
    let der = enrolled(&operators, "ana", &[Role::Approver], at(0));
    let ana = Operator { name: "ana".into(), roles: roles(&[Role::Approver]) };
    assert_eq!(operators.by_certificate(&der, at(1)), Some(ana.clone()));
    drop(operators);
    let again = Operators::open(folder.path(), at(2)).unwrap();
    assert_eq!(again.by_certificate(&der, at(2)), Some(ana));
}

#[test]
fn what_an_account_says_counts_at_each_request() {
    let (_folder, operators) = place();
    let der = enrolled(&operators, "ana", &[Role::Approver, Role::Viewer], at(0));
    let ana = operators.by_certificate(&der, at(1)).unwrap();
    let token = operators.tokens().create(&ana, &roles(&[Role::Approver]), at(9000), at(1)).unwrap().1;
    let token = token.dangerously_expose();
    assert_eq!(operators.by_token(token, at(1)).unwrap().roles, roles(&[Role::Approver]));
    operators.accounts().set_roles(&name("ana"), &roles(&[Role::Viewer])).unwrap();
    assert_eq!(operators.by_certificate(&der, at(1)).unwrap().roles, roles(&[Role::Viewer]));
    assert_eq!(operators.by_token(token, at(1)), None, "nothing is left of it");
    operators.accounts().set_roles(&name("ana"), &roles(&[Role::Admin])).unwrap();
    assert_eq!(operators.by_token(token, at(1)).unwrap().roles, roles(&[Role::Approver]), "and never more");
    operators.accounts().set_disabled(&name("ana"), true).unwrap();
    assert_eq!((operators.by_certificate(&der, at(1)), operators.by_token(token, at(1))), (None, None));
    operators.accounts().set_disabled(&name("ana"), false).unwrap();
    assert!(operators.by_certificate(&der, at(1)).is_some() && operators.by_token(token, at(1)).is_some());
}

#[test]
fn nobody_inherits_what_belonged_to_somebody_of_the_same_name() {
    let (_folder, operators) = place();
    let der = enrolled(&operators, "ana", &[Role::Admin], at(0));
    let ana = operators.by_certificate(&der, at(1)).unwrap();
    let (_, token) = operators.tokens().create(&ana, &ana.roles, at(9000), at(1)).unwrap();
    let (_, invitation) = operators.invite(&root(), &name("ana"), &ana.roles, HOUR, at(1)).unwrap();
    operators.remove(&name("ana"), at(2)).unwrap();
    operators.accounts().add(&name("ana"), &roles(&[Role::Admin]), None, at(3)).unwrap();
    assert_eq!(operators.by_certificate(&der, at(4)), None);
    assert_eq!(operators.by_token(token.dangerously_expose(), at(4)), None);
    let request = new_request().unwrap().0;
    assert!(operators.enrol(invitation.dangerously_expose(), &request, at(4)).is_err());
}

#[test]
fn what_outlived_a_removed_account_is_older_than_the_next_one() {
    let (_folder, operators) = place();
    let der = enrolled(&operators, "ana", &[Role::Admin], at(0));
    let ana = operators.by_certificate(&der, at(1)).unwrap();
    let (_, token) = operators.tokens().create(&ana, &ana.roles, at(9000), at(1)).unwrap();
    // Only the account is gone, as after a crash or by somebody's editor.
    operators.accounts().remove(&name("ana")).unwrap();
    assert_eq!(
        (operators.by_certificate(&der, at(2)), operators.by_token(token.dangerously_expose(), at(2))),
        (None, None)
    );
    operators.accounts().add(&name("ana"), &roles(&[Role::Admin]), None, at(3)).unwrap();
    assert_eq!(
        (operators.by_certificate(&der, at(4)), operators.by_token(token.dangerously_expose(), at(4))),
        (None, None)
    );
}

#[test]
fn an_invitation_to_a_few_roles_does_not_open_an_account_that_has_more() {
    let (_folder, operators) = place();
    operators.accounts().add(&name("boss"), &roles(&[Role::Admin]), None, at(0)).unwrap();
    let clerk = Operator { name: "clerk".into(), roles: roles(&[Role::Viewer]) };
    operators.accounts().add(&name("clerk"), &clerk.roles, None, at(0)).unwrap();
    let invited = operators.invite(&clerk, &name("boss"), &clerk.roles, HOUR, at(0));
    assert!(matches!(invited, Err(TokenError::More(_, Role::Admin))));
    // The account may also become more while the invitation waits.
    let (_, invitation) = operators.invite(&clerk, &name("new"), &clerk.roles, HOUR, at(0)).unwrap();
    operators.accounts().add(&name("new"), &roles(&[Role::Auditor]), None, at(1)).unwrap();
    let request = new_request().unwrap().0;
    let enrolled = operators.enrol(invitation.dangerously_expose(), &request, at(2));
    assert!(matches!(enrolled, Err(EnrolError::Account(AccountError::More(_, Role::Auditor)))));
    assert_eq!(operators.authority().certificates(at(2)), []);
    // Another certificate for somebody who is no more than the invitation says is fine.
    operators.accounts().add(&name("bo"), &roles(&[Role::Viewer]), None, at(1)).unwrap();
    let (_, invitation) = operators.invite(&clerk, &name("bo"), &clerk.roles, HOUR, at(1)).unwrap();
    assert!(operators.enrol(invitation.dangerously_expose(), &request, at(2)).is_ok());
}

#[test]
fn a_request_that_cannot_be_read_does_not_cost_the_invitation() {
    let (_folder, operators) = place();
    let (_, invitation) = operators.invite(&root(), &name("ana"), &roles(&[Role::Viewer]), HOUR, at(0)).unwrap();
    assert!(matches!(operators.enrol(invitation.dangerously_expose(), "x", at(1)), Err(EnrolError::Store(_))));
    let request = new_request().unwrap().0;
    assert!(operators.enrol(invitation.dangerously_expose(), &request, at(1)).is_ok());
    assert!(matches!(operators.enrol(invitation.dangerously_expose(), &request, at(1)), Err(EnrolError::Token(_))));
}

#[test]
fn people_without_an_account_here_have_the_roles_of_their_token() {
    let (_folder, operators) = place();
    let who = Operator { name: "oidc:4711".into(), roles: roles(&[Role::Viewer]) };
    let (_, token) = operators.tokens().create(&who, &who.roles, at(100), at(0)).unwrap();
    assert_eq!(operators.by_token(token.dangerously_expose(), at(1)), Some(who));
    assert_eq!(operators.by_token(token.dangerously_expose(), at(100)), None);
}

#[test]
fn a_password_signs_in() {
    let (_folder, operators) = place();
    operators.accounts().add(&name("ana"), &roles(&[Role::Viewer]), Some("correct horse battery"), at(0)).unwrap();
    let source = IpAddr::from([192, 0, 2, 1]);
    assert!(operators.by_password("ana", "correct horse battery", source, at(1)).is_ok());
    assert!(matches!(operators.by_password("ana", "x", source, at(1)), Err(SignInError::Wrong)));
}
