//! The ways in for those who cannot show who they are yet: an invitation for a certificate, name and password for a
//! token. Whoever fails is on record and waits longer and longer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use nanoclaw_audit::{Fact, Note};
use nanoclaw_identity::accounts::{AccountError, SignInError};
use nanoclaw_identity::operators::EnrolError;
use nanoclaw_identity::tokens::TokenError;
use nanoclaw_identity::{OperatorName, StoreError};
use nanoclaw_request::{Door, RefusalCode, Stage};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::answer::{self, Answer, Fault};
use super::call::Password;
use super::given::unreadable;
use super::peer::Peer;
use super::routes::Entrance;
use super::strikes::Source;
use super::{Api, people, whole_body};
use crate::say;

/// How long a token is valid that somebody gets by signing in.
const SIGNED_IN: SignedDuration = SignedDuration::from_hours(1);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrol {
    token: String,
    request: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    name: String,
    password: Password,
}

impl Api {
    /// Serves somebody who has not shown who they are.
    pub(super) async fn enter(
        &self,
        peer: &Arc<Peer>,
        entrance: Entrance,
        head: &Parts,
        body: &mut Incoming,
    ) -> Result<Answer, Fault> {
        if head.uri.query().is_some_and(|query| !query.is_empty()) {
            return Err(Fault::malformed("there is a query where none is expected", "leave it out"));
        }
        if entrance == Entrance::Authority {
            let certificate = self.operators.authority().certificate_pem().to_owned();
            return Ok(answer::whole(StatusCode::OK, "application/x-pem-file", certificate));
        }
        self.hear(peer.source().map(Source::of).as_ref()).await?;
        let body = whole_body(&head.headers, body).await?;
        let peer = Arc::clone(peer);
        let entered = move |api: Arc<Api>| async move {
            match entrance {
                Entrance::Authority => Err(Fault::failed("it was answered before")),
                Entrance::Enrol => match read(&body) {
                    Ok(enrol) => api.enrol(&peer, enrol).await,
                    Err(fault) => Err(api.turned_away(&peer, None, fault).await),
                },
                Entrance::SignIn => match read(&body) {
                    Ok(sign_in) => api.sign_in(&peer, sign_in).await,
                    Err(fault) => Err(api.turned_away(&peer, None, fault).await),
                },
            }
        };
        self.to_its_end(entered).await
    }

    async fn enrol(&self, peer: &Peer, Enrol { token, request }: Enrol) -> Result<Answer, Fault> {
        let operators = Arc::clone(&self.operators);
        let enrolled = blocking(move || operators.enrol(&token, &request, Timestamp::now())).await?;
        let certificate = match enrolled {
            Ok(certificate) => certificate,
            Err(EnrolError::Token(error @ TokenError::NotValid)) => {
                let reason = error.to_string();
                let fault = Fault::of(StatusCode::UNAUTHORIZED, Stage::Identify, RefusalCode::NotYou, reason, "");
                return Err(self.turned_away(peer, None, fault).await);
            }
            Err(EnrolError::Store(error @ StoreError::Certificate(_))) => {
                return Err(self.turned_away(peer, None, Fault::malformed(error.to_string(), "")).await);
            }
            Err(EnrolError::Account(error @ AccountError::More(..))) => return Err(error.into()),
            Err(error) => return Err(failed(error)),
        };
        let who = people::holder(&self.operators, &certificate.serial);
        let got = format!("a certificate with the number {}, by an invitation", certificate.serial);
        self.signed_in(who.clone(), got).await?;
        Ok(people::certificate(&self.operators, &who, &certificate))
    }

    async fn sign_in(&self, peer: &Peer, SignIn { name, password }: SignIn) -> Result<Answer, Fault> {
        let source = peer.source().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let operators = Arc::clone(&self.operators);
        let tried = name.clone();
        let now = Timestamp::now();
        let signed_in = blocking(move || operators.by_password(&tried, &password.0, source, now)).await?;
        let operator = match signed_in {
            Ok(operator) => operator,
            Err(error) => {
                // Only the name of an account that there is gets into the log.
                let who = OperatorName::parse(&name).and_then(|name| self.operators.accounts().get(&name, now));
                let who = who.map(|account| account.name.as_str().to_owned());
                let reason = error.to_string();
                let of = |status, code| Fault::of(status, Stage::Identify, code, reason.as_str(), "");
                let fault = match error {
                    SignInError::Wrong => of(StatusCode::UNAUTHORIZED, RefusalCode::NotYou),
                    SignInError::Locked { until } => {
                        let seconds = until.duration_since(now).as_secs().max(1).unsigned_abs();
                        let fault = of(StatusCode::TOO_MANY_REQUESTS, RefusalCode::Limit);
                        fault.with(RETRY_AFTER, HeaderValue::from(seconds))
                    }
                    SignInError::Busy => of(StatusCode::TOO_MANY_REQUESTS, RefusalCode::Limit),
                    SignInError::Store(error) => return Err(failed(error)),
                };
                return Err(self.turned_away(peer, who, fault).await);
            }
        };
        let expires = now.checked_add(SIGNED_IN).map_err(Fault::failed)?;
        let made = self.operators.tokens().create(&operator, &operator.roles, expires, now);
        let (token, secret) = made.map_err(failed)?;
        self.signed_in(operator.name.clone(), format!("token {} for an hour, by a password", token.id)).await?;
        let shown = json!({
            "operator": operator.name,
            "roles": people::role_names(&token.roles),
            "token": secret.dangerously_expose(),
            "expires": token.expires,
        });
        Ok(answer::json(StatusCode::CREATED, &shown))
    }

    pub(super) async fn signed_in(&self, who: String, got: String) -> Result<(), Fault> {
        let fact = Fact::SignedIn { door: Door::Api, who, got };
        self.plane.recorder.note(Note::of_control(fact)).await.map_err(Fault::failed)
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| unreadable(&error))
}

/// Something went wrong that is nothing that strangers need to be told.
fn failed(error: impl std::fmt::Display) -> Fault {
    say(format_args!("somebody could not enter through the API: {error}"));
    Fault::failed("the control plane cannot do it at this moment")
}

/// Does work that takes a core for a while.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(Fault::failed)
}
