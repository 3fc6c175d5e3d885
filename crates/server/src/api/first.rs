//! The first admin: where nobody can administer the API yet, whoever started the control plane is told how to begin.

use std::net::SocketAddr;

use jiff::{SignedDuration, Timestamp};
use nanoclaw_identity::operators::Operators;
use nanoclaw_identity::tokens::TokenError;
use nanoclaw_identity::{Operator, OperatorName, Role};

use crate::say;

/// How long the invitation is valid.
const LIFE: SignedDuration = SignedDuration::from_hours(1);
/// The account that it is for.
const NAME: &str = "admin";
/// Who invites.
const MAKER: &str = "system:nanoclaw";

/// Where no admin has a certificate that is good, invites one and says so to whoever started the control plane; nowhere
/// else, as whoever has the text becomes the admin.
pub(super) fn invite(operators: &Operators, address: SocketAddr) -> Result<(), TokenError> {
    let now = Timestamp::now();
    if has_admin(operators, now) {
        return Ok(());
    }
    let Some(name) = OperatorName::parse(NAME) else { return Ok(()) };
    // Those of earlier starts, which may stand in some log, are of no more use.
    operators.tokens().revoke_all_of(MAKER)?;
    // An invitation to an account that is there names all of its roles.
    let mut roles = operators.accounts().get(&name, now).map(|account| account.roles).unwrap_or_default();
    roles.insert(Role::Admin);
    let maker = Operator { name: MAKER.to_owned(), roles: roles.clone() };
    let (_, invitation) = operators.invite(&maker, &name, &roles, LIFE, now)?;
    let print = operators.authority().fingerprint();
    say(format_args!("no admin has a certificate for the API yet; within an hour this invitation gives one:"));
    say(format_args!("  server          https://{address}"));
    say(format_args!("  invitation      {}", invitation.dangerously_expose()));
    say(format_args!("  CA fingerprint  {print}"));
    say("whoever is to be it runs this, with a NAME for the server, and gives the invitation when asked:");
    say(format_args!("  nanoclaw context add NAME https://{address} --ca-fingerprint sha256:{print}"));
    Ok(())
}

fn has_admin(operators: &Operators, now: Timestamp) -> bool {
    operators.authority().certificates(now).iter().filter(|certificate| certificate.revoked.is_none()).any(
        |certificate| {
            let account = operators.accounts().get(&certificate.operator, now);
            account.is_some_and(|account| {
                !account.disabled && account.roles.contains(&Role::Admin) && account.created <= certificate.issued
            })
        },
    )
}
