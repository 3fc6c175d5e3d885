//! Why a request to the API was not answered, and what to do then.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use nanoclaw_vault::tls::TlsError;
use serde::Deserialize;
use tokio_rustls::rustls::{self, AlertDescription};

use crate::terminal::{line, visible};

/// Widest that a reason of the server is shown, in columns.
const WIDEST_REASON: usize = 2_000;
/// Most lines of a reason of the server that are shown.
const MOST_LINES: usize = 200;

/// Why a request was not answered, or not as it should have been.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Nobody listens on the unix socket.
    #[error(
        "no fleet is running from state directory `{}`; start one with `nanoclaw up`, name its directory with \
         `--state-dir DIR`, or name a server with `--context NAME`",
        .0.display()
    )]
    NoFleet(PathBuf),
    /// Nobody listens at the address.
    #[error("`{server}` cannot be reached: {source}; is the fleet running, and is this its `api.listen`?")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// It is no URL of a server.
    #[error("`{}` is no server; write `https://HOST:PORT`", visible(.0))]
    NotAServer(String),
    /// The server does not show a certificate of the authority that is believed.
    #[error(
        "`{server}` is not the server that it was when you enrolled: {why}; if it was set up anew, remove the context and \
         enrol again, otherwise somebody is in between"
    )]
    NotTheServer {
        /// The server.
        server: String,
        /// What is wrong with its certificate.
        why: String,
    },
    /// The server does not take our certificate.
    #[error("`{server}` does not take your certificate: {why}; ask an admin for an invitation, and enrol again")]
    NotTaken {
        /// The server.
        server: String,
        /// What it says.
        why: String,
    },
    /// It was refused.
    #[error("{}", refused(.detail, .help))]
    Refused {
        /// Why.
        detail: String,
        /// What to do.
        help: String,
    },
    /// The connection broke.
    #[error("the connection to `{server}` broke: {why}")]
    Broken {
        /// The server.
        server: String,
        /// How.
        why: String,
    },
    /// The answer took too long.
    #[error("`{0}` does not answer in time; try again, or look at it with `nanoclaw ps` there")]
    Late(String),
    /// The answer makes no sense.
    #[error("the answer of `{server}` cannot be read: {why}; is it another version of nanoclaw?")]
    Unreadable {
        /// The server.
        server: String,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be part of a path.
    #[error("there is nothing of the name `{}`", line(.0, 64))]
    Name(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// This machine lacks something.
    #[error("{0}")]
    Here(#[from] io::Error),
}

/// A refusal as the API words it.
#[derive(Deserialize)]
struct Problem {
    detail: String,
    #[serde(default)]
    help: String,
}

/// A mistake in a configuration has several lines, which say where it is.
fn refused(detail: &str, help: &str) -> String {
    let lines: Vec<&str> = detail.lines().take(MOST_LINES).collect();
    let detail = match lines.as_slice() {
        [] | [_] => line(detail, WIDEST_REASON),
        lines => {
            lines.iter().map(|text| visible(text).chars().take(WIDEST_REASON).collect::<String>() + "\n").collect()
        }
    };
    let between = if help.is_empty() || detail.ends_with('\n') { "" } else { "; " };
    format!("{detail}{between}{}", line(help, WIDEST_REASON))
}

impl RemoteError {
    /// What a refusal with this status and body says.
    pub(super) fn refusal(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Problem>(body) {
            Ok(Problem { detail, help }) => Self::Refused { detail, help },
            Err(_) => Self::Refused { detail: format!("the server answers with status {status}"), help: String::new() },
        }
    }

    /// Why a connection to `server` failed, as the library says.
    pub(super) fn broken(server: &str, error: &(dyn Error + 'static)) -> Self {
        let server = server.to_owned();
        match cause(error) {
            Some(rustls::Error::AlertReceived(alert)) if is_about_certificates(*alert) => {
                Self::NotTaken { server, why: said(*alert).to_owned() }
            }
            Some(error @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)) => {
                Self::NotTheServer { server, why: error.to_string() }
            }
            Some(error) => Self::Broken { server, why: error.to_string() },
            None => Self::Broken { server, why: error.to_string() },
        }
    }

    /// Whether another attempt may go better.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. } | Self::Late(_))
    }
}

/// The error of TLS that is at the bottom of another.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<rustls::Error>() {
            return Some(error);
        }
        // An error of input and output does not name the one that it wraps as its source, only that one's source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

fn is_about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}

fn said(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRevoked => "it is revoked",
        AlertDescription::CertificateExpired => "its time is over",
        AlertDescription::UnknownCA => "it is of another authority",
        _ => "it is not valid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(alert: AlertDescription) -> String {
        let error = io::Error::other(rustls::Error::AlertReceived(alert));
        RemoteError::broken("https://a.example", &error).to_string()
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_with_the_next_step() {
        assert_eq!(
            of(AlertDescription::CertificateRevoked),
            "`https://a.example` does not take your certificate: it is revoked; ask an admin for an invitation, and \
             enrol again"
        );
        assert!(of(AlertDescription::InternalError).starts_with("the connection to `https://a.example` broke: "));
    }

    #[test]
    fn what_a_server_says_is_shown_not_obeyed() {
        let error = RemoteError::refusal(403, br#"{"detail":"no\u001b[2J","help":"ask\nagain"}"#);
        assert_eq!(error.to_string(), "no\\u{1b}[2J; ask again");
        assert_eq!(RemoteError::refusal(502, b"<html>").to_string(), "the server answers with status 502");
    }

    #[test]
    fn a_mistake_in_a_configuration_keeps_its_lines() {
        let body = br#"{"detail":"error: unknown key\n  --> c.yaml:1:1\n   |\u001b\n","help":"nothing has\nchanged"}"#;
        let expected = "error: unknown key\n  --> c.yaml:1:1\n   |\\u{1b}\nnothing has changed";
        assert_eq!(RemoteError::refusal(422, body).to_string(), expected);
    }

    #[test]
    fn a_long_mistake_is_shown_in_part() {
        let body = serde_json::json!({ "detail": format!("{}\n", "x".repeat(3_000)).repeat(300) }).to_string();
        let shown = RemoteError::refusal(422, body.as_bytes()).to_string();
        assert_eq!((shown.lines().count(), shown.len()), (MOST_LINES, MOST_LINES * (WIDEST_REASON + 1)));
    }
}
