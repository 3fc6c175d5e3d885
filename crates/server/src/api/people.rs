//! Accounts, tokens, certificates and invitations.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::StatusCode;
use jiff::{SignedDuration, Timestamp};
use nanoclaw_identity::accounts::{Account, AccountError};
use nanoclaw_identity::ca::{Certificate, Issued, Serial};
use nanoclaw_identity::operators::Operators;
use nanoclaw_identity::tokens::{Token, TokenError, beyond};
use nanoclaw_identity::{Operator, OperatorName, Role, StoreError};
use nanoclaw_request::{RefusalCode, Stage};
use nanoclaw_vault::Secret;
use serde_json::{Value, json};

use super::Api;
use super::answer::{self, Answer, Fault};
use super::call::{ChangedOperator, NewEnrolment, NewOperator, no_such};
use super::caller::Shown;
use super::enter::blocking;

pub(super) fn role_names(roles: &BTreeSet<Role>) -> Vec<&'static str> {
    roles.iter().map(|role| role.name()).collect()
}

/// Who somebody is.
pub(super) fn me(operator: &Operator) -> Answer {
    answer::json(StatusCode::OK, &json!({ "name": operator.name, "roles": role_names(&operator.roles) }))
}

/// Whose the certificate with this number is.
pub(super) fn holder(operators: &Operators, serial: &Serial) -> String {
    let all = operators.authority().certificates(Timestamp::now());
    let found = all.into_iter().find(|issued| issued.serial == *serial);
    found.map(|issued| issued.operator.as_str().to_owned()).unwrap_or_default()
}

/// What somebody else may be, before `maker` changes it: whoever is not all of that would take over, or make, more than
/// they are.
fn may_change(maker: &Operator, roles: &BTreeSet<Role>) -> Result<(), Fault> {
    beyond(roles, &maker.roles).map_or(Ok(()), |role| Err(TokenError::NotYours(role).into()))
}

/// A certificate as it is handed out.
pub(super) fn certificate(operators: &Operators, who: &str, certificate: &Certificate) -> Answer {
    let shown = json!({
        "operator": who,
        "certificate": certificate.pem,
        "authority": operators.authority().certificate_pem(),
        "serial": certificate.serial,
        "not_after": certificate.not_after,
    });
    answer::json(StatusCode::CREATED, &shown)
}

fn shown_account(account: &Account) -> Value {
    json!({
        "name": account.name.as_str(),
        "roles": role_names(&account.roles),
        "has_password": account.has_password,
        "disabled": account.disabled,
        "created": account.created,
        "locked_until": account.locked_until,
    })
}

fn shown_token(token: &Token) -> Value {
    json!({
        "id": token.id,
        "operator": token.operator,
        "roles": role_names(&token.roles),
        "created": token.created,
        "expires": token.expires,
    })
}

fn shown_invitation(invitation: &Token) -> Value {
    let mut shown = shown_token(invitation);
    if let Value::Object(members) = &mut shown {
        members.insert("maker".to_owned(), json!(invitation.maker));
    }
    shown
}

/// A token or an invitation, the only time that it is shown.
fn new_token((token, secret): (Token, Secret)) -> Answer {
    let shown = json!({
        "id": token.id,
        "operator": token.operator,
        "roles": role_names(&token.roles),
        "expires": token.expires,
        "token": secret.dangerously_expose(),
    });
    answer::json(StatusCode::CREATED, &shown)
}

fn shown_certificate(issued: &Issued) -> Value {
    json!({
        "serial": issued.serial,
        "operator": issued.operator.as_str(),
        "issued": issued.issued,
        "not_after": issued.not_after,
        "revoked": issued.revoked,
    })
}

fn conflict(status: StatusCode, reason: String) -> Fault {
    Fault::of(status, Stage::Act, RefusalCode::Malformed, reason, "")
}

impl From<AccountError> for Fault {
    fn from(error: AccountError) -> Self {
        let reason = error.to_string();
        match error {
            AccountError::Taken(_) | AccountError::More(..) => conflict(StatusCode::CONFLICT, reason),
            AccountError::Missing(_) => Fault::not_found(reason, "`GET /v1/operators` lists them"),
            AccountError::NoRoles | AccountError::Password => conflict(StatusCode::BAD_REQUEST, reason),
            AccountError::Store(_) => Fault::failed(reason),
        }
    }
}

impl From<TokenError> for Fault {
    fn from(error: TokenError) -> Self {
        let reason = error.to_string();
        match error {
            TokenError::NotYours(_) => {
                Fault::of(StatusCode::FORBIDDEN, Stage::Act, RefusalCode::NotYou, reason, "ask an admin")
            }
            TokenError::More(..) => conflict(StatusCode::CONFLICT, reason),
            TokenError::NoRoles | TokenError::Life | TokenError::NotValid => conflict(StatusCode::BAD_REQUEST, reason),
            TokenError::Store(_) => Fault::failed(reason),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let reason = error.to_string();
        match error {
            StoreError::Certificate(_) => conflict(StatusCode::BAD_REQUEST, reason),
            _ => Fault::failed(reason),
        }
    }
}

/// Nothing more to say.
fn gone() -> Answer {
    answer::whole(StatusCode::NO_CONTENT, "application/json", "")
}

impl Api {
    /// The caller's next certificate.
    pub(super) async fn renew(&self, operator: &Operator, shown: &Shown, request: &str) -> Result<Answer, Fault> {
        let Some(der) = shown.certificate_alone() else {
            let reason = "there is no certificate to renew; come over TLS with it, and without a token";
            return Err(conflict(StatusCode::CONFLICT, reason.to_owned()));
        };
        let Some(next) = self.operators.renew(der, request, Timestamp::now())? else {
            let reason = "certificates are renewed when two thirds of their life are over, and three times at most";
            return Err(conflict(StatusCode::CONFLICT, reason.to_owned()));
        };
        let got = format!("a certificate with the number {}, in the place of the one before", next.serial);
        self.signed_in(operator.name.clone(), got).await?;
        Ok(certificate(&self.operators, &operator.name, &next))
    }

    pub(super) fn list_operators(&self) -> Answer {
        let all = self.operators.accounts().list(Timestamp::now());
        answer::json(StatusCode::OK, &all.iter().map(shown_account).collect::<Vec<_>>())
    }

    fn operator(&self, status: StatusCode, name: &OperatorName) -> Result<Answer, Fault> {
        let account =
            self.operators.accounts().get(name, Timestamp::now()).ok_or_else(|| no_such("operator", name.as_str()))?;
        Ok(answer::json(status, &shown_account(&account)))
    }

    /// Whether `maker` may change what somebody is who has this name, if there is somebody.
    fn may_change(&self, maker: &Operator, name: &OperatorName) -> Result<(), Fault> {
        let account = self.operators.accounts().get(name, Timestamp::now());
        account.map_or(Ok(()), |account| may_change(maker, &account.roles))
    }

    pub(super) async fn add_operator(&self, maker: &Operator, new: NewOperator) -> Result<Answer, Fault> {
        may_change(maker, &new.roles)?;
        let operators = Arc::clone(&self.operators);
        let name = new.name.clone();
        blocking(move || {
            let password = new.password.as_ref().map(|password| password.0.as_str());
            operators.accounts().add(&new.name, &new.roles, password, Timestamp::now())
        })
        .await??;
        self.operator(StatusCode::CREATED, &name)
    }

    pub(super) async fn change_operator(
        &self,
        maker: &Operator,
        name: OperatorName,
        ChangedOperator { roles, password, disabled }: ChangedOperator,
    ) -> Result<Answer, Fault> {
        self.may_change(maker, &name)?;
        roles.as_ref().map_or(Ok(()), |roles| may_change(maker, roles))?;
        let operators = Arc::clone(&self.operators);
        let changed = name.clone();
        blocking(move || {
            let accounts = operators.accounts();
            // The password first: it is the only part that can be refused once the account is there.
            if let Some(password) = &password {
                accounts.set_password(&changed, Some(&password.0))?;
            }
            if let Some(roles) = &roles {
                accounts.set_roles(&changed, roles)?;
            }
            if let Some(disabled) = disabled {
                accounts.set_disabled(&changed, disabled)?;
            }
            Ok::<_, AccountError>(())
        })
        .await??;
        self.operator(StatusCode::OK, &name)
    }

    pub(super) async fn remove_operator(&self, maker: &Operator, name: OperatorName) -> Result<Answer, Fault> {
        self.may_change(maker, &name)?;
        let operators = Arc::clone(&self.operators);
        blocking(move || operators.remove(&name, Timestamp::now())).await??;
        Ok(gone())
    }

    pub(super) fn list_tokens(&self) -> Answer {
        let all = self.operators.tokens().list(Timestamp::now());
        answer::json(StatusCode::OK, &all.iter().map(shown_token).collect::<Vec<_>>())
    }

    pub(super) fn add_token(
        &self,
        maker: &Operator,
        roles: &BTreeSet<Role>,
        expires: Timestamp,
    ) -> Result<Answer, Fault> {
        Ok(new_token(self.operators.tokens().create(maker, roles, expires, Timestamp::now())?))
    }

    pub(super) fn revoke_token(&self, id: &str) -> Result<Answer, Fault> {
        if self.operators.tokens().revoke(id)? { Ok(gone()) } else { Err(no_such("token", id)) }
    }

    pub(super) fn list_certificates(&self) -> Answer {
        let all = self.operators.authority().certificates(Timestamp::now());
        answer::json(StatusCode::OK, &all.iter().map(shown_certificate).collect::<Vec<_>>())
    }

    pub(super) fn add_certificate(
        &self,
        maker: &Operator,
        name: &OperatorName,
        request: &str,
    ) -> Result<Answer, Fault> {
        let now = Timestamp::now();
        self.may_change(maker, name)?;
        if self.operators.accounts().get(name, now).is_none() {
            return Err(no_such("operator", name.as_str()));
        }
        let issued = self.operators.authority().operator_from_request(name, request, now)?;
        Ok(certificate(&self.operators, name.as_str(), &issued))
    }

    pub(super) fn revoke_certificate(&self, serial: &Serial) -> Result<Answer, Fault> {
        let revoked = self.operators.authority().revoke(serial, Timestamp::now())?;
        if revoked { Ok(gone()) } else { Err(no_such("certificate", &serial.to_string())) }
    }

    pub(super) fn list_enrolments(&self) -> Answer {
        let all = self.operators.tokens().invitations(Timestamp::now());
        answer::json(StatusCode::OK, &all.iter().map(shown_invitation).collect::<Vec<_>>())
    }

    pub(super) fn add_enrolment(&self, maker: &Operator, new: &NewEnrolment) -> Result<Answer, Fault> {
        let life = SignedDuration::from_mins(i64::from(new.minutes));
        Ok(new_token(self.operators.invite(maker, &new.name, &new.roles, life, Timestamp::now())?))
    }
}
