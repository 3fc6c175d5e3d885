//! Who the people are, and what each of them may be right now: the one place where accounts, tokens and certificates
//! come together.
//!
//! A certificate or a token says who somebody is. What they may be is what their account says at this moment: without
//! one, or with one that is out of use, it is nothing. Tokens of people who have no account here (a user of this machine,
//! somebody an issuer vouches for) carry their roles themselves, until they expire.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use nanoclaw_vault::{Secret, private};

use crate::accounts::{Account, AccountError, Accounts, OperatorName, SignInError};
use crate::ca::{Authority, Certificate};
use crate::store::StoreError;
use crate::tokens::{Token, TokenError, Tokens, beyond};
use crate::{Operator, Role};

/// Everything that the control plane knows of people.
pub struct Operators {
    accounts: Accounts,
    tokens: Tokens,
    authority: Authority,
    /// Held while somebody enrols or is removed: both take more than one step.
    changing: Mutex<()>,
}

/// Somebody does not get a certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The invitation.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The certificate.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Operators {
    /// Opens what is kept in the state directory `state`, below `ca` and `operators`. This process must be the only one
    /// that changes it.
    ///
    /// # Errors
    /// Something cannot be read or made, or others have access to it.
    pub fn open(state: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let folder = state.join("operators");
        private::directory(&folder)?;
        Ok(Self {
            accounts: Accounts::open(&folder.join("accounts.json"))?,
            tokens: Tokens::open(&folder.join("tokens.json"))?,
            authority: Authority::open(&state.join("ca"), now)?,
            changing: Mutex::default(),
        })
    }

    /// The accounts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The tokens and invitations.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The authority.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Who shows the certificate `der`, which a handshake has verified. To be asked at each request: it sees what was
    /// revoked or changed since the handshake.
    pub fn by_certificate(&self, der: &[u8], now: Timestamp) -> Option<Operator> {
        let certificate = self.authority.operator(der, now)?;
        let account = self.account_since(&certificate.operator, certificate.issued, now)?;
        Some(Operator { name: account.name.as_str().to_owned(), roles: account.roles })
    }

    /// Who shows the token `presented`.
    pub fn by_token(&self, presented: &str, now: Timestamp) -> Option<Operator> {
        let token = self.tokens.verify(presented, now)?;
        let roles = match OperatorName::parse(&token.operator) {
            Some(name) => both(&self.account_since(&name, token.created, now)?.roles, &token.roles),
            None => token.roles,
        };
        (!roles.is_empty()).then_some(Operator { name: token.operator, roles })
    }

    /// Who signs in with `password`, from `source`. Takes about half a second.
    ///
    /// # Errors
    /// Nobody, or the attempt is not looked at.
    pub fn by_password(
        &self,
        name: &str,
        password: &str,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Operator, SignInError> {
        self.accounts.verify(name, password, source, now)
    }

    /// Invites somebody to get a certificate for the account `name` with these roles, which is made if there is none.
    /// The text is shown this once.
    ///
    /// # Errors
    /// `maker` does not have all these roles and is no admin, or there is none; the account has others besides; the life
    /// is shorter than 15 minutes or longer than 24 hours; or the invitation is not kept.
    pub fn invite(
        &self,
        maker: &Operator,
        name: &OperatorName,
        roles: &BTreeSet<Role>,
        life: SignedDuration,
        now: Timestamp,
    ) -> Result<(Token, Secret), TokenError> {
        let more = self.accounts.get(name, now).and_then(|account| beyond(&account.roles, roles));
        if let Some(role) = more {
            return Err(TokenError::More(name.clone(), role));
        }
        self.tokens.invite(maker, name, roles, life, now)
    }

    /// Uses up an invitation: makes the account that it is for, or adds its roles to it, and issues a certificate for
    /// the key that `request` (PKCS #10, PEM) shows to be the caller's.
    ///
    /// # Errors
    /// The request or the invitation is not valid, or who made it may invite to that no more, or the outcome is not kept;
    /// the invitation is used up only if it and the request were valid.
    pub fn enrol(&self, invitation: &str, request: &str, now: Timestamp) -> Result<Certificate, EnrolError> {
        // Before the invitation is used up, so that a request that cannot be read does not cost it.
        Authority::check_request(request)?;
        let _changing = self.changing();
        let invitation = self.tokens.consume(invitation, now)?;
        if !self.stands(&invitation, now) {
            return Err(TokenError::NotValid.into());
        }
        let name = OperatorName::parse(&invitation.operator).ok_or(TokenError::NotValid)?;
        self.accounts.admit(&name, &invitation.roles, now)?;
        Ok(self.authority.operator_from_request(&name, request, now)?)
    }

    /// Issues the next certificate to whoever shows the certificate `der`, which a handshake has verified, for the key that
    /// `request` shows to be theirs. `None` if it is not time yet, or there were enough.
    ///
    /// # Errors
    /// The request is not valid, or the certificate is not kept.
    pub fn renew(&self, der: &[u8], request: &str, now: Timestamp) -> Result<Option<Certificate>, StoreError> {
        match self.authority.operator(der, now) {
            Some(before) => self.authority.renew_operator(&before, request, now),
            None => Ok(None),
        }
    }

    /// Removes an account, and takes back its tokens, invitations and certificates.
    ///
    /// # Errors
    /// There is none, or something is not kept; then some of it may be done, and it can be called again.
    pub fn remove(&self, name: &OperatorName, now: Timestamp) -> Result<(), AccountError> {
        let _changing = self.changing();
        self.tokens.revoke_all_of(name.as_str())?;
        self.authority.revoke_all_of(name, now)?;
        self.accounts.remove(name)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether who made an invitation could still make it. Of those who have no account here nobody knows.
    fn stands(&self, invitation: &Token, now: Timestamp) -> bool {
        let Some(maker) = invitation.maker.as_deref().and_then(OperatorName::parse) else { return true };
        let account = self.account_since(&maker, invitation.created, now);
        account.is_some_and(|account| beyond(&invitation.roles, &account.roles).is_none())
    }

    /// The account of this name if it is in use and no younger than what speaks for it: nobody inherits the tokens of
    /// somebody else who had the name before.
    fn account_since(&self, name: &OperatorName, since: Timestamp, now: Timestamp) -> Option<Account> {
        self.accounts.get(name, now).filter(|account| !account.disabled && account.created <= since)
    }
}

/// What somebody with these `roles` is who has given a token `some`. Admins are everything.
fn both(roles: &BTreeSet<Role>, some: &BTreeSet<Role>) -> BTreeSet<Role> {
    if roles.contains(&Role::Admin) { some.clone() } else { roles & some }
}

#[cfg(test)]
mod tests;
