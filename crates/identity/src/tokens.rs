//! Tokens: texts that somebody's programs show instead of a certificate, and invitations, which are good for one
//! certificate.
//!
//! A token is 32 random bytes, so its SHA-256 is all that is kept: nobody guesses what has 256 bits, and a slow hash
//! would only slow the control plane down. Tokens are found by their hash, of which a caller cannot choose the beginning
//! bit by bit, so how long the search takes teaches nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use nanoclaw_vault::digest::{hex, sha256};
use nanoclaw_vault::{Secret, random};
use serde::{Deserialize, Serialize};

use crate::store::{self, Store, StoreError};
use crate::{Operator, OperatorName, Role};

/// What a token begins with, for people and for programs that look for leaked ones.
const TOKEN: &str = "ncl_";
/// What an invitation begins with.
const INVITATION: &str = "nci_";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Longest text that is looked up, in bytes; tokens have 47.
const MAX_PRESENTED_BYTES: usize = 64;
/// Longest life of a token.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(24 * 366);
/// Shortest life of an invitation.
const SHORTEST_INVITATION: SignedDuration = SignedDuration::from_mins(15);
/// Longest life of an invitation.
const LONGEST_INVITATION: SignedDuration = SignedDuration::from_hours(24);
/// Most tokens at a time.
const MAX_TOKENS: usize = 10_000;
/// Most invitations at a time.
const MAX_INVITATIONS: usize = 1_000;

/// What is known of a token or an invitation; not it itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// For lists and for revoking it.
    pub id: String,
    /// Whose it is: the name of the [`Operator`] who made it, or of the account that an invitation is for.
    pub operator: String,
    /// What its holder may be.
    #[serde(with = "store::roles")]
    pub roles: BTreeSet<Role>,
    /// Since when.
    pub created: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// Who made it, where that is somebody else than whose it is: of an invitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maker: Option<String>,
}

/// A token cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nothing that its holder may be.
    #[error("a token has at least one role; name one of viewer, operator, approver, auditor, admin")]
    NoRoles,
    /// Its holder would be more than its maker.
    #[error("you cannot give the role `{}`, as you do not have it", .0.name())]
    NotYours(Role),
    /// Its holder would become somebody who is more than the invitation says.
    #[error("the account `{0}` has the role `{role}` already; invite to all of its roles", role = .1.name())]
    More(OperatorName, Role),
    /// It would end before it begins, or too late.
    #[error("a token is valid for at most 366 days, an invitation for 15 minutes to 24 hours; choose another time")]
    Life,
    /// There is no such invitation, or it was used, or its time is over.
    #[error("the invitation is not valid; ask for another")]
    NotValid,
    /// It is not kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// By hash.
    tokens: BTreeMap<String, Token>,
    /// By hash.
    invitations: BTreeMap<String, Token>,
}

/// The tokens and invitations.
pub struct Tokens(Store<Table>);

impl Tokens {
    /// Reads the tokens in this file, if there is one. This process must be the only one that changes it.
    ///
    /// # Errors
    /// It cannot be read, holds something else, or others have access to it.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        Ok(Self(Store::open(file)?))
    }

    /// Makes a token for `maker`'s programs. It is shown this once.
    ///
    /// # Errors
    /// `maker` does not have all these roles and is no admin, there is none, the time is over or too far, or the token
    /// is not kept.
    pub fn create(
        &self,
        maker: &Operator,
        roles: &BTreeSet<Role>,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(Token, Secret), TokenError> {
        may_give(maker, roles)?;
        if expires <= now || expires.duration_since(now) > LONGEST_LIFE {
            return Err(TokenError::Life);
        }
        self.make(TOKEN, (maker.name.clone(), None), roles, expires, now)
    }

    /// Invites somebody to get a certificate for the account `name` with these roles. The text is shown this once.
    ///
    /// # Errors
    /// `maker` does not have all these roles and is no admin, there is none, the life is too short or too long, or the
    /// invitation is not kept.
    pub(crate) fn invite(
        &self,
        maker: &Operator,
        name: &OperatorName,
        roles: &BTreeSet<Role>,
        life: SignedDuration,
        now: Timestamp,
    ) -> Result<(Token, Secret), TokenError> {
        may_give(maker, roles)?;
        if !(SHORTEST_INVITATION..=LONGEST_INVITATION).contains(&life) {
            return Err(TokenError::Life);
        }
        self.make(INVITATION, (name.as_str().to_owned(), Some(maker.name.clone())), roles, now + life, now)
    }

    fn make(
        &self,
        prefix: &str,
        (operator, maker): (String, Option<String>),
        roles: &BTreeSet<Role>,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(Token, Secret), TokenError> {
        let random = random::bytes::<TOKEN_BYTES>().map_err(StoreError::from)?;
        let id = hex(&random::bytes::<8>().map_err(StoreError::from)?);
        let text = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random));
        let token = Token { id, operator, roles: roles.clone(), created: now, expires, maker };
        let hash = hex(&sha256(text.as_bytes()));
        self.0.change(|table| {
            let (list, most, what) = match prefix {
                INVITATION => (&mut table.invitations, MAX_INVITATIONS, "invitations"),
                _ => (&mut table.tokens, MAX_TOKENS, "tokens"),
            };
            list.retain(|_, token| now < token.expires);
            if list.len() >= most {
                return Err(TokenError::from(StoreError::Full(most, what)));
            }
            list.insert(hash, token.clone());
            Ok(())
        })?;
        // Base64 is visible ASCII, which is what a secret is made of.
        Secret::new(text).map(|secret| (token, secret)).ok_or(TokenError::NotValid)
    }

    /// The token that `presented` is, if its time is not over. What its owner is now may be less than what they were:
    /// see [`crate::operators::Operators::by_token`].
    pub fn verify(&self, presented: &str, now: Timestamp) -> Option<Token> {
        let hash = hash(presented, TOKEN)?;
        self.0.read(|table| table.tokens.get(&hash).filter(|token| token.is_valid(now)).cloned())
    }

    /// Uses up the invitation that `presented` is. Of several at a time one gets it.
    ///
    /// # Errors
    /// It is none, was used, its time is over, or that it is used cannot be kept.
    pub fn consume(&self, presented: &str, now: Timestamp) -> Result<Token, TokenError> {
        let hash = hash(presented, INVITATION).ok_or(TokenError::NotValid)?;
        self.0.change(|table| {
            let invitation = table.invitations.remove(&hash).ok_or(TokenError::NotValid)?;
            if invitation.is_valid(now) { Ok(invitation) } else { Err(TokenError::NotValid) }
        })
    }

    /// Takes back the token or invitation with this id. Says whether there was one.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn revoke(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.revoke_where(|token| token.id == id)? > 0)
    }

    /// Takes back all tokens and invitations of this [`Operator`], and the invitations that they made. Says how many there
    /// were.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn revoke_all_of(&self, operator: &str) -> Result<usize, StoreError> {
        self.revoke_where(|token| token.operator == operator || token.maker.as_deref() == Some(operator))
    }

    fn revoke_where(&self, gone: impl Fn(&Token) -> bool) -> Result<usize, StoreError> {
        self.0.change(|table| {
            let before = table.tokens.len() + table.invitations.len();
            table.tokens.retain(|_, token| !gone(token));
            table.invitations.retain(|_, token| !gone(token));
            Ok(before - table.tokens.len() - table.invitations.len())
        })
    }

    /// All tokens whose time is not over, the oldest first.
    pub fn list(&self, now: Timestamp) -> Vec<Token> {
        self.0.read(|table| valid(&table.tokens, now))
    }

    /// All invitations that are not used and whose time is not over, the oldest first.
    pub fn invitations(&self, now: Timestamp) -> Vec<Token> {
        self.0.read(|table| valid(&table.invitations, now))
    }
}

impl Token {
    fn is_valid(&self, now: Timestamp) -> bool {
        now < self.expires
    }
}

fn valid(list: &BTreeMap<String, Token>, now: Timestamp) -> Vec<Token> {
    let mut tokens: Vec<Token> = list.values().filter(|token| token.is_valid(now)).cloned().collect();
    tokens.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
    tokens
}

/// The hash that `presented` is kept under, if it can be one at all.
fn hash(presented: &str, prefix: &str) -> Option<String> {
    let fits = presented.len() <= MAX_PRESENTED_BYTES && presented.starts_with(prefix);
    fits.then(|| hex(&sha256(presented.as_bytes())))
}

fn may_give(maker: &Operator, roles: &BTreeSet<Role>) -> Result<(), TokenError> {
    if roles.is_empty() {
        return Err(TokenError::NoRoles);
    }
    beyond(roles, &maker.roles).map_or(Ok(()), |role| Err(TokenError::NotYours(role)))
}

/// One of `roles` that `some` do not hold, if there is one. Admins are everything.
pub fn beyond(roles: &BTreeSet<Role>, some: &BTreeSet<Role>) -> Option<Role> {
    if some.contains(&Role::Admin) { None } else { roles.difference(some).next().copied() }
}

#[cfg(test)]
mod tests;
