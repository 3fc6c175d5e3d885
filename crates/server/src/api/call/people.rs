//! What can be asked for about people: accounts, tokens, certificates, invitations.

use std::collections::BTreeSet;

use jiff::Timestamp;
use nanoclaw_identity::ca::Serial;
use nanoclaw_identity::{OperatorName, Role};
use nanoclaw_request::Manage;
use serde::Deserialize;

use super::{
    Asked, Call, ChangedOperator, LONGEST_INVITATION_MINUTES, LONGEST_TOKEN_HOURS, NewEnrolment, NewOperator, Password,
    TOKEN_CREATE, manage, no_such,
};
use crate::api::answer::Fault;
use crate::api::given::Given;

fn people(what: &str, name: String, call: Result<Call, Fault>) -> Asked {
    // What is given and taken must stand on record.
    let more = call.as_ref().map(told).unwrap_or_default();
    let what = if more.is_empty() { what.to_owned() } else { format!("{what}: {more}") };
    manage(Manage::Operators { what, name }, call)
}

/// What a call gives or takes, in words.
fn told(call: &Call) -> String {
    let named = |roles: &BTreeSet<Role>| {
        let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
        format!("roles {}", names.join(", "))
    };
    let mut told = Vec::new();
    let password = match call {
        Call::NewOperator(new) => {
            told.push(named(&new.roles));
            new.password.is_some()
        }
        Call::ChangedOperator(_, change) => {
            told.extend(change.roles.as_ref().map(named));
            told.extend(change.disabled.map(|disabled| if disabled { "disabled" } else { "enabled" }.to_owned()));
            change.password.is_some()
        }
        Call::NewToken(roles, expires) => {
            told.extend([named(roles), format!("until {expires:.0}")]);
            false
        }
        Call::NewEnrolment(new) => {
            told.extend([named(&new.roles), format!("for {} minutes", new.minutes)]);
            false
        }
        _ => false,
    };
    told.extend(password.then(|| "a password".to_owned()));
    told.join("; ")
}

fn operator_name(text: &str) -> Result<OperatorName, Fault> {
    OperatorName::parse(text).ok_or_else(|| {
        let reason = format!("`{}` cannot be the name of an operator", text.escape_debug());
        Fault::malformed(reason, "use 1 to 64 of a-z, 0-9, `.`, `_` and `-`, a letter first")
    })
}

fn roles(names: &[String]) -> Result<BTreeSet<Role>, Fault> {
    let role = |name: &String| {
        let unknown = || format!("`{}` is no role", name.escape_debug());
        Role::parse(name).ok_or_else(|| Fault::malformed(unknown(), "use viewer, operator, approver, auditor or admin"))
    };
    let roles: BTreeSet<Role> = names.iter().map(role).collect::<Result<_, _>>()?;
    if roles.is_empty() {
        return Err(Fault::malformed("`roles` is empty", "name at least one role"));
    }
    Ok(roles)
}

/// A name for the record that is one, even where the request could not be read.
fn named(text: Option<&str>) -> String {
    text.and_then(OperatorName::parse).map_or_else(|| "?".to_owned(), |name| name.as_str().to_owned())
}

pub(in crate::api) fn operators(given: &mut Given<'_>) -> Asked {
    people("list", String::new(), given.nothing().map(|()| Call::Operators))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddOperator {
    name: String,
    roles: Vec<String>,
    #[serde(default)]
    password: Option<Password>,
}

pub(in crate::api) fn add_operator(given: &mut Given<'_>) -> Asked {
    let body = given.query().and_then(|_| given.json::<AddOperator>());
    let name = named(body.as_ref().ok().map(|body| body.name.as_str()));
    let call = body.and_then(|AddOperator { name, roles: given, password }| {
        Ok(Call::NewOperator(NewOperator { name: operator_name(&name)?, roles: roles(&given)?, password }))
    });
    people("operator-create", name, call)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeOperator {
    #[serde(default)]
    roles: Option<Vec<String>>,
    #[serde(default)]
    password: Option<Password>,
    #[serde(default)]
    disabled: Option<bool>,
}

pub(in crate::api) fn change_operator(given: &mut Given<'_>) -> Asked {
    let name = given.part(0);
    let call = given.query().and_then(|_| given.json::<ChangeOperator>()).and_then(|change| {
        let ChangeOperator { roles: given, password, disabled } = change;
        let roles = given.map(|given| roles(&given)).transpose()?;
        if roles.is_none() && password.is_none() && disabled.is_none() {
            return Err(Fault::malformed("nothing is to change", "name `roles`, `password` or `disabled`"));
        }
        Ok(Call::ChangedOperator(operator_name(&name)?, ChangedOperator { roles, password, disabled }))
    });
    people("operator-change", named(Some(&name)), call)
}

pub(in crate::api) fn remove_operator(given: &mut Given<'_>) -> Asked {
    let name = given.part(0);
    let call = given.nothing().and_then(|()| operator_name(&name)).map(Call::RemovedOperator);
    people("operator-remove", named(Some(&name)), call)
}

pub(in crate::api) fn tokens(given: &mut Given<'_>) -> Asked {
    people("token-list", String::new(), given.nothing().map(|()| Call::Tokens))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddToken {
    roles: Vec<String>,
    hours: u32,
}

pub(in crate::api) fn add_token(given: &mut Given<'_>) -> Asked {
    let body = given.query().and_then(|_| given.json::<AddToken>());
    let call = body.and_then(|AddToken { roles: given, hours }| {
        if !(1..=LONGEST_TOKEN_HOURS).contains(&hours) {
            let reason = format!("a token of {hours} hours: `hours` is 1 to {LONGEST_TOKEN_HOURS}");
            return Err(Fault::malformed(reason, "choose another time"));
        }
        let life = jiff::SignedDuration::from_hours(i64::from(hours));
        let expires = Timestamp::now().checked_add(life).map_err(Fault::failed)?;
        Ok(Call::NewToken(roles(&given)?, expires))
    });
    people(TOKEN_CREATE, String::new(), call)
}

/// The id of a token: hexadecimal digits.
fn token_id(text: &str) -> Result<String, Fault> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    // It may be a token, which no record may hold.
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Fault::not_found("that is not the id of a token", "`GET /v1/tokens` lists them"))
    }
}

pub(in crate::api) fn revoke_token(given: &mut Given<'_>) -> Asked {
    let id = token_id(&given.part(0));
    let name = id.as_ref().cloned().unwrap_or_else(|_| "?".to_owned());
    people("token-revoke", name, given.nothing().and(id).map(Call::RevokedToken))
}

pub(in crate::api) fn enrolments(given: &mut Given<'_>) -> Asked {
    people("enrolment-list", String::new(), given.nothing().map(|()| Call::Enrolments))
}

pub(in crate::api) fn certificates(given: &mut Given<'_>) -> Asked {
    people("certificate-list", String::new(), given.nothing().map(|()| Call::Certificates))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddCertificate {
    operator: String,
    request: String,
}

pub(in crate::api) fn add_certificate(given: &mut Given<'_>) -> Asked {
    let body = given.query().and_then(|_| given.json::<AddCertificate>());
    let name = named(body.as_ref().ok().map(|body| body.operator.as_str()));
    let call = body
        .and_then(|AddCertificate { operator, request }| Ok(Call::NewCertificate(operator_name(&operator)?, request)));
    people("certificate-create", name, call)
}

pub(in crate::api) fn revoke_certificate(given: &mut Given<'_>) -> Asked {
    let part = given.part(0);
    let serial = Serial::parse(&part).ok_or_else(|| no_such("certificate", &part));
    let name = serial.as_ref().map_or_else(|_| "?".to_owned(), Serial::to_string);
    people("certificate-revoke", name, given.nothing().and(serial).map(Call::RevokedCertificate))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddEnrolment {
    operator: String,
    roles: Vec<String>,
    #[serde(default)]
    minutes: Option<u32>,
}

pub(in crate::api) fn add_enrolment(given: &mut Given<'_>) -> Asked {
    let body = given.query().and_then(|_| given.json::<AddEnrolment>());
    let name = named(body.as_ref().ok().map(|body| body.operator.as_str()));
    let call = body.and_then(|AddEnrolment { operator, roles: given, minutes }| {
        let minutes = minutes.unwrap_or(60);
        if !(15..=LONGEST_INVITATION_MINUTES).contains(&minutes) {
            let reason = format!("an invitation of {minutes} minutes: `minutes` is 15 to {LONGEST_INVITATION_MINUTES}");
            return Err(Fault::malformed(reason, "choose another time"));
        }
        Ok(Call::NewEnrolment(NewEnrolment { name: operator_name(&operator)?, roles: roles(&given)?, minutes }))
    });
    people("enrolment-create", name, call)
}
