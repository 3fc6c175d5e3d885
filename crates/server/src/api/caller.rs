//! Who sends a request: whom the connection speaks for, and, on top of that, whom a bearer token speaks for.
//!
//! This is asked at each request, so that what is revoked or changed counts from the next one on; streams that last ask
//! again while they last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use jiff::Timestamp;
use nanoclaw_audit::{Fact, Note};
use nanoclaw_gate::Person;
use nanoclaw_identity::{Operator, Role, identify_person};
use nanoclaw_policy::Verdict;
use nanoclaw_request::{Action, Arrived, Door, Refusal, RefusalCode, Stage};
use tokio::time::{sleep, timeout};

use super::Api;
use super::answer::Fault;
use super::guard;
use super::oidc::Vouched;
use super::peer::{Peer, Way};
use super::strikes::Source;

/// How often what lasts looks whether its caller still may.
const LOOK: Duration = Duration::from_secs(1);

/// What API tokens begin with; everything else is taken to be an issuer's.
const API_TOKEN: &str = "ncl_";

/// What a caller shows. Kept by streams, which look at it again.
#[derive(Clone)]
pub(super) struct Shown {
    way: ShownWay,
    bearer: Option<Arc<str>>,
}

#[derive(Clone)]
enum ShownWay {
    Uid(u32),
    Certificate(Option<Arc<[u8]>>),
}

/// What lasts longer than it takes to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasting {
    /// A stream of events, which is taken up again with another token.
    Events,
    /// A turn, which is not: an issuer's token, which nobody takes back and which often ends after minutes, counts for it
    /// as it did when it began.
    Turn,
}

/// Why nobody is known.
struct Unknown {
    status: StatusCode,
    /// Whom the connection speaks for, where that is known.
    who: Option<String>,
    reason: String,
    help: &'static str,
}

impl Unknown {
    fn new(status: StatusCode, reason: impl Into<String>, help: &'static str) -> Self {
        Self { status, who: None, reason: reason.into(), help }
    }
}

impl Shown {
    /// Who shows it, by all names: with a token on top of a certificate one person has two.
    pub(super) fn person(&self, operator: &Operator) -> Person {
        Person::of(operator.name.clone(), [self.name()])
    }

    /// Whom the connection itself speaks for, whatever token there is on top.
    pub(super) fn name(&self) -> String {
        match &self.way {
            ShownWay::Uid(uid) => format!("uid:{uid}"),
            ShownWay::Certificate(der) => {
                let name = der.as_deref().and_then(nanoclaw_identity::ca::peer_name);
                name.map(|name| name.as_str().to_owned()).unwrap_or_default()
            }
        }
    }

    /// The certificate, in DER, where nothing else is shown.
    pub(super) fn certificate_alone(&self) -> Option<&[u8]> {
        match (&self.way, &self.bearer) {
            (ShownWay::Certificate(der), None) => der.as_deref(),
            _ => None,
        }
    }

    /// Whether it comes from elsewhere.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self.way, ShownWay::Certificate(_))
    }

    /// What this request shows.
    pub(super) fn of(peer: &Peer, headers: &HeaderMap) -> Result<Self, Fault> {
        let bearer = match guard::only(headers, AUTHORIZATION)? {
            None => None,
            Some(value) => match value.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim().into()),
                _ => return Err(Fault::malformed("the field `authorization` cannot be read", "send `Bearer TOKEN`")),
            },
        };
        let way = match &peer.way {
            Way::Local { uid } => ShownWay::Uid(*uid),
            Way::Remote { certificate, .. } => ShownWay::Certificate(certificate.clone()),
        };
        Ok(Self { way, bearer })
    }
}

impl Api {
    /// Who it is. Every failure is on record, and too many of them from one place are not even looked at.
    pub(super) async fn identify(&self, peer: &Peer, shown: &Shown) -> Result<Operator, Fault> {
        let first = self.connected(shown);
        let source = match (&first, peer.source()) {
            // Whoever else comes from there has nothing to do with it.
            (Ok(first), Some(_)) => Some(Source::Person(first.name.clone())),
            (_, address) => address.map(Source::of),
        };
        if first.is_err() || shown.bearer.is_some() {
            self.hear(source.as_ref()).await?;
        }
        let known = match first {
            Ok(first) => self.borne(shown, first).await,
            Err(unknown) => Err(unknown),
        };
        match known {
            Ok(operator) => Ok(operator),
            Err(Unknown { status, who, reason, help }) => {
                let fault = Fault::of(status, Stage::Identify, RefusalCode::NotYou, reason, help);
                // Whoever vouches for them does not answer, which is no failure of theirs.
                let source = source.filter(|_| status != StatusCode::SERVICE_UNAVAILABLE);
                Err(self.refused(peer, source, who, fault).await)
            }
        }
    }

    /// Whether whoever shows this may still do what they were allowed. There is no record of it.
    async fn may_still(&self, shown: &Shown, began: &Operator, action: &Action, lasting: Lasting) -> bool {
        let known = match (self.connected(shown), &shown.bearer) {
            (Ok(_), Some(bearer)) if lasting == Lasting::Turn && !bearer.starts_with(API_TOKEN) => Ok(began.clone()),
            (Ok(first), _) => self.borne(shown, first).await,
            (Err(unknown), _) => Err(unknown),
        };
        let Some(operator) = known.ok().filter(|operator| operator.name == began.name) else { return false };
        let known = identify_person(Arrived::now(Door::Api, ()), operator);
        matches!(self.engine.decide(known.propose(|()| Ok(action.clone()))), Verdict::Allowed(_))
    }

    /// Returns when whoever shows this may no more do what they were allowed.
    pub(super) async fn until_over(&self, shown: &Shown, began: &Operator, action: &Action, lasting: Lasting) {
        let mut policies = self.plane.policies.subscribe();
        while self.may_still(shown, began, action, lasting).await {
            // The time is over, or there are other policies; where there never are any again, the time is what is left.
            if let Ok(Err(_)) = timeout(LOOK, policies.changed()).await {
                sleep(LOOK).await;
            }
        }
    }

    /// Refuses callers who have failed too often.
    pub(super) async fn hear(&self, source: Option<&Source>) -> Result<(), Fault> {
        let Some(source) = source else { return Ok(()) };
        let Err(wait) = self.strikes.heard(source, Instant::now()) else { return Ok(()) };
        let seconds = wait.as_secs().max(1);
        let reason = "too many attempts to show who one is have failed";
        let status = StatusCode::TOO_MANY_REQUESTS;
        let fault = Fault::of(status, Stage::Identify, RefusalCode::Limit, reason, "wait, then try again")
            .with(RETRY_AFTER, HeaderValue::from(seconds));
        Err(self.record_refused(None, fault).await)
    }

    /// Counts and records a failure to show who one is, and gives the answer to it.
    pub(super) async fn turned_away(&self, peer: &Peer, who: Option<String>, fault: Fault) -> Fault {
        self.refused(peer, peer.source().map(Source::of), who, fault).await
    }

    async fn refused(&self, peer: &Peer, source: Option<Source>, who: Option<String>, fault: Fault) -> Fault {
        if let Some(source) = source {
            self.strikes.failed(source, Instant::now());
        }
        let reason = match peer.source() {
            Some(source) => format!("{} (from {source})", fault.refusal.reason),
            None => fault.refusal.reason.clone(),
        };
        let Fault { status, refusal, field } = fault;
        let told = refusal.reason.clone();
        let fault = self.record_refused(who, Fault { status, refusal: Refusal { reason, ..refusal }, field }).await;
        // Where they come from is nothing that they need to be told.
        Fault { refusal: Refusal { reason: told, ..fault.refusal }, ..fault }
    }

    async fn record_refused(&self, who: Option<String>, fault: Fault) -> Fault {
        let fact = Fact::CallerRefused { door: Door::Api, who, refusal: fault.refusal.clone() };
        match self.plane.recorder.note(Note::of_control(fact)).await {
            Ok(()) if fault.status == StatusCode::UNAUTHORIZED => {
                fault.with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            Ok(()) => fault,
            Err(error) => Fault::failed(error),
        }
    }

    /// Whom the connection speaks for now.
    fn connected(&self, shown: &Shown) -> Result<Operator, Unknown> {
        match &shown.way {
            ShownWay::Uid(uid) => {
                let owner = rustix::process::geteuid().as_raw();
                let name = format!("uid:{uid}");
                if *uid != owner && *uid != 0 {
                    let reason = format!("uid {uid} does not own this control plane");
                    let help = "run the command as the user who started it, or as root";
                    return Err(Unknown { who: Some(name), ..Unknown::new(StatusCode::FORBIDDEN, reason, help) });
                }
                Ok(Operator { name, roles: [Role::Admin].into() })
            }
            ShownWay::Certificate(None) => {
                let reason = "no client certificate was shown";
                let help = "get one with an invitation: `POST /v1/enroll`";
                Err(Unknown::new(StatusCode::UNAUTHORIZED, reason, help))
            }
            ShownWay::Certificate(Some(der)) => self.operators.by_certificate(der, Timestamp::now()).ok_or_else(|| {
                let who = nanoclaw_identity::ca::peer_name(der).map(|name| name.as_str().to_owned());
                let reason = "the client certificate is nobody's: it is revoked, over, or not an operator's";
                let help = "ask an admin for an invitation";
                Unknown { who, ..Unknown::new(StatusCode::FORBIDDEN, reason, help) }
            }),
        }
    }

    /// Whom the token on top of that speaks for, where there is one.
    async fn borne(&self, shown: &Shown, first: Operator) -> Result<Operator, Unknown> {
        let Some(bearer) = &shown.bearer else { return Ok(first) };
        let refused = |reason: String| Unknown {
            who: Some(first.name.clone()),
            ..Unknown::new(StatusCode::UNAUTHORIZED, reason, "sign in again, or ask for another token")
        };
        if bearer.starts_with(API_TOKEN) {
            return self
                .operators
                .by_token(bearer, Timestamp::now())
                .ok_or_else(|| refused("the token is nobody's: it is revoked, over, or was never given".to_owned()));
        }
        let Some(issuer) = &self.issuer else { return Err(refused("the token is not one of this server".to_owned())) };
        match issuer.operator(bearer).await {
            Vouched::For(operator) => Ok(operator),
            Vouched::Not(error) => Err(refused(format!("the issuer's token is not valid: {error}"))),
            Vouched::Unreachable(error) => Err(Unknown {
                status: StatusCode::SERVICE_UNAVAILABLE,
                ..refused(format!("the issuer's keys cannot be had: {error}"))
            }),
        }
    }
}
