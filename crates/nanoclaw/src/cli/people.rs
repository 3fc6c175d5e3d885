//! What can be typed about servers elsewhere and about the people who may use them.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use nanoclaw_identity::Role;

/// `nanoclaw context`
#[derive(Debug, Subcommand)]
pub enum Context {
    /// Get a certificate from a server with an invitation, and remember the server
    Add {
        /// How to call it here
        name: String,
        /// Where it is, such as https://claw.bank.example:7443
        url: String,
        /// The invitation; without it, or with `-`, it is read from standard input, where nobody else on this machine sees it
        #[arg(long, default_value = "-", hide_default_value = true)]
        token: String,
        /// SHA-256 of the certificate of its authority; on a terminal it is shown for comparison, and this may be left out
        #[arg(long, value_name = "sha256:HEX")]
        ca_fingerprint: Option<String>,
    },
    /// List the servers that are known
    Ls {
        /// One line of JSON per server
        #[arg(long)]
        json: bool,
    },
    /// Forget a server, with the certificate and key for it
    Rm {
        /// Which
        name: String,
    },
    /// Show what is known of a server
    Show {
        /// Which
        name: String,
    },
    /// Use an API token, read from standard input, on top of the certificate
    Token {
        /// Which server
        name: String,
        /// Use the certificate alone again
        #[arg(long)]
        remove: bool,
    },
}

/// `nanoclaw operator`
#[derive(Debug, Subcommand)]
pub enum Operators {
    /// Make an account
    Add {
        /// Its name
        name: String,
        #[command(flatten)]
        roles: Roles,
        /// Read a password for it, a line, from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the accounts
    Ls {
        /// One line of JSON per account
        #[arg(long)]
        json: bool,
    },
    /// Change an account, from its owner's next request on
    #[command(group(ArgGroup::new("change").required(true).multiple(true)))]
    Set {
        /// Its name
        name: String,
        /// viewer, operator, approver, auditor or admin, instead of what it has; may be repeated
        #[arg(long = "role", value_name = "ROLE", value_parser = role, group = "change")]
        roles: Vec<&'static str>,
        /// Read another password for it, a line, from standard input
        #[arg(long, group = "change")]
        password_stdin: bool,
        /// Take it out of use, with its tokens and certificates
        #[arg(long, group = "change")]
        disable: bool,
        /// Take it into use again
        #[arg(long, group = "change", conflicts_with = "disable")]
        enable: bool,
    },
    /// Remove an account with its tokens and certificates, and the invitations that its owner made
    Rm {
        /// Which
        name: String,
    },
    /// List the invitations that are not used yet; `nanoclaw token rm ID` takes one back
    Invitations {
        /// One line of JSON per invitation
        #[arg(long)]
        json: bool,
    },
    /// Invite somebody, and print what they have to run
    Invite {
        /// The name of the account
        name: String,
        #[command(flatten)]
        roles: Roles,
        /// How long the invitation is valid, from 15m to 24h
        #[arg(long = "for", value_name = "TIME", value_parser = life, default_value = "1h")]
        life: Duration,
        /// Where they reach this server, such as https://claw.bank.example:7443; with --context, where you do
        #[arg(long, value_name = "URL")]
        server: Option<String>,
    },
}

/// What somebody may be.
#[derive(Debug, Args)]
pub struct Roles {
    /// viewer, operator, approver, auditor or admin; may be repeated
    #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role)]
    pub roles: Vec<&'static str>,
}

/// `nanoclaw token`
#[derive(Debug, Subcommand)]
pub enum Tokens {
    /// Make an API token for programs of yours; it is shown this once
    Create {
        /// viewer, operator, approver, auditor or admin; may be repeated; all that you have, without it
        #[arg(long = "role", value_name = "ROLE", value_parser = role)]
        roles: Vec<&'static str>,
        /// How long it is valid, whole hours or days from 1h to 366d
        #[arg(long = "for", value_name = "TIME", value_parser = token, default_value = "30d")]
        life: Duration,
    },
    /// List the API tokens
    Ls {
        /// One line of JSON per token
        #[arg(long)]
        json: bool,
    },
    /// Take a token or an invitation back
    Rm {
        /// Which
        id: String,
    },
}

/// `nanoclaw certificate`
#[derive(Debug, Subcommand)]
pub enum Certificates {
    /// List the client certificates
    Ls {
        /// One line of JSON per certificate
        #[arg(long)]
        json: bool,
    },
    /// Revoke a client certificate, at once and for good
    Revoke {
        /// Its number
        serial: String,
    },
}

fn role(text: &str) -> Result<&'static str, String> {
    let role = Role::parse(text).ok_or("use viewer, operator, approver, auditor or admin")?;
    Ok(role.name())
}

/// How long a token may be valid.
fn token(text: &str) -> Result<Duration, String> {
    let life = life(text)?;
    let hours = life.as_secs() / 3600;
    let fits = life == Duration::from_secs(hours * 3600) && (1..=366 * 24).contains(&hours);
    fits.then_some(life).ok_or_else(|| "write whole hours or days, from 1h to 366d".to_owned())
}

/// A whole number of minutes, hours or days.
fn life(text: &str) -> Result<Duration, String> {
    let read = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let minutes = match unit {
            "m" => 1,
            "h" => 60,
            "d" => 24 * 60,
            _ => return None,
        };
        let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
        number.checked_mul(minutes * 60).map(Duration::from_secs)
    };
    read().ok_or_else(|| "write a number and `m`, `h` or `d`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_minutes_hours_or_days() {
        assert_eq!(life("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(life("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for wrong in ["", "h", "0h", "1", "1w", "-1h", "1.5h", "99999999999999999999d", "é"] {
            assert!(life(wrong).is_err(), "{wrong}");
        }
    }
}
