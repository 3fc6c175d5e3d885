//! Enrolling at a server: an invitation becomes a certificate, and a context is made of it.
//!
//! The first handshake believes whoever answers, and only asks for the authority's certificate. Its fingerprint is
//! compared with the one that came with the invitation, by whoever enrols or by the command line, and everything after
//! that goes over connections that believe this authority alone: the invitation is seen by nobody else.

use std::fs;

use jiff::Timestamp;
use nanoclaw_identity::ca::{client_tls, new_request};
use nanoclaw_vault::tls::dangerous_unverified_client_config;
use nanoclaw_vault::{Secret, digest, private};
use serde::Deserialize;
use serde_json::json;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::client::{Client, Server};
use super::context::{self, Context, ContextError, Facts};
use super::error::RemoteError;

/// What one has to enrol with.
pub struct Invited<'i> {
    /// How the server is to be called here.
    pub name: &'i str,
    /// Its URL.
    pub url: &'i str,
    /// The invitation.
    pub token: &'i Secret,
}

/// What the server answers.
#[derive(Deserialize)]
pub(super) struct Enrolled {
    operator: String,
    pub(super) certificate: String,
    authority: String,
    pub(super) serial: String,
    pub(super) not_after: Timestamp,
}

/// Enrols, if `believes` says that the authority with this fingerprint is the right one. The invitation is sent only then.
/// `Ok(None)` if it does not.
///
/// # Errors
/// The server is not there, shows another authority later, or does not take the invitation; or there is a context of this
/// name, or it cannot be written.
pub fn enrol<E: From<ContextError>>(
    invited: &Invited<'_>,
    believes: impl FnOnce(&str) -> Result<bool, E>,
) -> Result<Option<Context>, E> {
    let directory = context::vacant(invited.name)?;
    let server = Server::parse(invited.url).map_err(ContextError::from)?;
    let anybody = dangerous_unverified_client_config().map_err(RemoteError::from).map_err(ContextError::from)?;
    let anybody = Client::tls(server.clone(), anybody, None).map_err(ContextError::from)?;
    let authority = anybody.text("/v1/ca").map_err(ContextError::from)?.text;
    let print = fingerprint(&authority).map_err(|why| unreadable(&server, why))?;
    if !believes(&print)? {
        return Ok(None);
    }
    private::directory(&directory).map_err(ContextError::from)?;
    let made = finish(invited, &server, &authority, &print, &directory);
    if made.is_err() {
        // What is left of it would only be in the way; whether it goes is not what is to be told.
        let _ = fs::remove_dir_all(&directory);
    }
    Ok(made.map(Some)?)
}

fn finish(
    invited: &Invited<'_>,
    server: &Server,
    authority: &str,
    print: &str,
    directory: &std::path::Path,
) -> Result<Context, ContextError> {
    let (request, key) = new_request()?;
    // Before the invitation is used up.
    private::create(&directory.join("key.pem"), key.dangerously_expose_pem().as_bytes())?;
    let client = Client::tls(server.clone(), client_tls(authority, None).map_err(RemoteError::from)?, None)?;
    let body = json!({ "token": invited.token.dangerously_expose(), "request": request });
    let enrolled: Enrolled = client.post("/v1/enroll", &body)?;
    if fingerprint(&enrolled.authority).ok().as_deref() != Some(print) {
        return Err(unreadable(server, "it names another authority than before".to_owned()));
    }
    let facts = Facts {
        server: server.to_string(),
        operator: enrolled.operator,
        serial: enrolled.serial,
        not_after: enrolled.not_after,
    };
    context::write(directory, &facts, authority, &enrolled.certificate)?;
    Context::open(invited.name)
}

fn unreadable(server: &Server, why: String) -> ContextError {
    RemoteError::Unreadable { server: server.to_string(), why }.into()
}

/// SHA-256 in hex of the first certificate in `pem`.
///
/// # Errors
/// There is none.
pub fn fingerprint(pem: &str) -> Result<String, String> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| "there is no certificate in it".to_owned())?;
    Ok(digest::hex(&digest::sha256(&der)))
}

/// Whether `given`, with `sha256:` before it or not, in any case and with colons or without, is the fingerprint `print`.
pub fn same_fingerprint(given: &str, print: &str) -> bool {
    let given = given.trim().to_ascii_lowercase();
    let given = given.strip_prefix("sha256:").unwrap_or(&given).replace(':', "");
    given == print
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_compared_however_it_is_written() {
        let print = "ab".repeat(32);
        for same in [
            print.clone(),
            format!("sha256:{print}"),
            format!("SHA256:{}", print.to_uppercase()),
            "AB:".repeat(31) + "AB",
        ] {
            assert!(same_fingerprint(&same, &print), "{same}");
        }
        for other in ["", "sha256:", &print[..62], &"ac".repeat(32)] {
            assert!(!same_fingerprint(other, &print), "{other}");
        }
        assert!(fingerprint("hello").is_err());
    }
}
