//! `nanoclaw operator`, `token` and `certificate`: who may use the API of a control plane, here or elsewhere.

use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use nanoclaw_server::state::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::context::line_of_input;
use crate::cli::{Certificates, Operators, Tokens};
use crate::output::{self, FAILED, Failure};
use crate::remote::{Client, Context, fingerprint, part};
use crate::terminal::{json as json_line, visible};

/// The API that a command is about.
pub struct Api {
    client: Client,
    /// Where others reach it, if that is known.
    server: Option<String>,
}

impl Api {
    /// Of the context, or else of the fleet on this machine.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn of(state_dir: Option<&Path>, context: Option<&Context>) -> Result<Self, Failure> {
        Ok(match context {
            Some(context) => Self { client: context.client()?, server: Some(context.facts.server.clone()) },
            None => Self { client: Client::local(State::of_fleet(state_dir)?.directory())?, server: None },
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Account {
    name: String,
    roles: Vec<String>,
    has_password: bool,
    disabled: bool,
    created: Timestamp,
    locked_until: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Token {
    id: String,
    operator: String,
    roles: Vec<String>,
    created: Timestamp,
    expires: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Invitation {
    id: String,
    operator: String,
    roles: Vec<String>,
    created: Timestamp,
    expires: Timestamp,
    maker: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Certificate {
    serial: String,
    operator: String,
    issued: Timestamp,
    not_after: Timestamp,
    revoked: Option<Timestamp>,
}

/// A token or an invitation, the only time that it is told.
#[derive(Deserialize)]
struct Shown {
    token: String,
    expires: Timestamp,
}

#[derive(Deserialize)]
struct Me {
    roles: Vec<String>,
}

/// `nanoclaw operator`.
pub fn operators(api: &Api, arguments: Operators) -> Result<ExitCode, Failure> {
    let client = &api.client;
    match arguments {
        Operators::Add { name, roles, password_stdin } => {
            let mut body = json!({ "name": name, "roles": roles.roles });
            if password_stdin && let Value::Object(members) = &mut body {
                members.insert("password".to_owned(), line_of_input()?.into());
            }
            let _made: Account = client.post("/v1/operators", &body)?;
        }
        Operators::Ls { json } => {
            let all: Vec<Account> = client.get("/v1/operators")?;
            table(json, &all, ["OPERATOR", "ROLES", "PASSWORD", "STATE", "SINCE"], |account| {
                let state = match (account.disabled, account.locked_until) {
                    (true, _) => "disabled".to_owned(),
                    (false, Some(until)) => format!("locked until {until}"),
                    (false, None) => "in use".to_owned(),
                };
                let password = if account.has_password { "yes" } else { "no" };
                [account.name.clone(), account.roles.join(","), password.to_owned(), state, account.created.to_string()]
            })?;
        }
        Operators::Set { name, roles, password_stdin, disable, enable } => {
            let mut change = Map::new();
            if !roles.is_empty() {
                change.insert("roles".to_owned(), json!(roles));
            }
            if password_stdin {
                change.insert("password".to_owned(), line_of_input()?.into());
            }
            if disable || enable {
                change.insert("disabled".to_owned(), disable.into());
            }
            let _changed: Account = client.post(&format!("/v1/operators/{}", part(&name)?), &change)?;
        }
        Operators::Invitations { json } => {
            let all: Vec<Invitation> = client.get("/v1/enrolments")?;
            table(json, &all, ["INVITATION", "OPERATOR", "ROLES", "BY", "EXPIRES"], |invitation| {
                let Invitation { id, operator, roles, maker, expires, .. } = invitation;
                let maker = maker.clone().unwrap_or_else(|| "-".to_owned());
                [id.clone(), operator.clone(), roles.join(","), maker, expires.to_string()]
            })?;
        }
        Operators::Rm { name } => client.delete(&format!("/v1/operators/{}", part(&name)?))?,
        Operators::Invite { name, roles, life, server } => {
            let body = json!({ "operator": name, "roles": roles.roles, "minutes": life.as_secs() / 60 });
            let Shown { token, expires } = client.post("/v1/enrolments", &body)?;
            let print = fingerprint(&client.text("/v1/ca")?.text).map_err(|why| Failure::with_status(why, FAILED))?;
            let server = server.as_deref().or(api.server.as_deref()).unwrap_or("https://SERVER:PORT");
            output::line(visible(&format!(
                "invitation      {token}\nCA fingerprint  sha256:{print}\nvalid until     {expires}, once\n\n\
                 Whoever is invited runs this, with a NAME of their choice, and is asked for the invitation:\n  \
                 nanoclaw context add NAME {server} --ca-fingerprint sha256:{print}"
            )));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `nanoclaw token`.
pub fn tokens(api: &Api, arguments: Tokens) -> Result<ExitCode, Failure> {
    let client = &api.client;
    match arguments {
        Tokens::Create { roles, life } => {
            let roles = if roles.is_empty() {
                client.get::<Me>("/v1/me")?.roles
            } else {
                roles.into_iter().map(str::to_owned).collect()
            };
            let hours = life.as_secs() / 3600;
            let Shown { token, expires } = client.post("/v1/tokens", &json!({ "roles": roles, "hours": hours }))?;
            output::line(visible(&token));
            nanoclaw_server::say(format_args!("valid until {expires}; it is shown this once"));
        }
        Tokens::Ls { json } => {
            let all: Vec<Token> = client.get("/v1/tokens")?;
            table(json, &all, ["TOKEN", "OPERATOR", "ROLES", "CREATED", "EXPIRES"], |token| {
                let Token { id, operator, roles, created, expires } = token;
                [id.clone(), operator.clone(), roles.join(","), created.to_string(), expires.to_string()]
            })?;
        }
        Tokens::Rm { id } => client.delete(&format!("/v1/tokens/{}", part(&id)?))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `nanoclaw certificate`.
pub fn certificates(api: &Api, arguments: Certificates) -> Result<ExitCode, Failure> {
    let client = &api.client;
    match arguments {
        Certificates::Ls { json } => {
            let all: Vec<Certificate> = client.get("/v1/certificates")?;
            table(json, &all, ["CERTIFICATE", "OPERATOR", "ISSUED", "UNTIL", "REVOKED"], |certificate| {
                let Certificate { serial, operator, issued, not_after, revoked } = certificate;
                let revoked = revoked.map_or_else(|| "-".to_owned(), |since| since.to_string());
                [serial.clone(), operator.clone(), issued.to_string(), not_after.to_string(), revoked]
            })?;
        }
        Certificates::Revoke { serial } => client.delete(&format!("/v1/certificates/{}", part(&serial)?))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints rows in columns as wide as they need to be, or as JSON.
fn table<T: Serialize, const N: usize>(
    json: bool,
    all: &[T],
    head: [&str; N],
    row: impl Fn(&T) -> [String; N],
) -> Result<(), Failure> {
    if json {
        for one in all {
            output::line(json_line(&serde_json::to_string(one)?));
        }
        return Ok(());
    }
    let head = head.map(str::to_owned);
    let rows = std::iter::once(head).chain(all.iter().map(|one| row(one).map(|cell| visible(&cell).into_owned())));
    let rows: Vec<[String; N]> = rows.collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let mut text = String::new();
        for (width, cell) in widths.iter().zip(row) {
            text.push_str(&format!("{cell:width$}  "));
        }
        output::line(text.trim_end());
    }
    Ok(())
}
