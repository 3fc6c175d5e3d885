//! Every endpoint there is: one table, from which requests are dispatched and the OpenAPI document is made.

use hyper::Method;

use super::call::{self, Asked};
use super::given::Given;
use super::schema::{self, Schema};

/// What a part of the query is.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: fn() -> Schema,
}

/// What comes back when it is done.
pub(super) enum Gives {
    /// JSON.
    Json(u16, fn() -> Schema),
    /// A text of this media type.
    Text(&'static str),
    /// JSON values, a line each.
    Lines(fn() -> Schema),
    /// Server-sent events, each a JSON value.
    Events(fn() -> Schema),
    /// Nothing.
    Nothing(u16),
}

/// What a route is for.
pub(super) enum Serves {
    /// Somebody who has shown who they are; policy decides about what this reads.
    Operators(fn(&mut Given<'_>) -> Asked),
    /// Somebody who has not, and gets something to show with it.
    Strangers(Entrance),
}

/// The ways in for those who cannot show who they are yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// The authority's certificate, which is no secret.
    Authority,
    /// An invitation for a certificate.
    Enrol,
    /// Name and password for a token.
    SignIn,
}

/// One endpoint.
pub(super) struct Route {
    pub(super) method: Method,
    /// `{id}` stands for one part.
    pub(super) path: &'static str,
    /// Its name in the document.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) takes: Option<fn() -> Schema>,
    pub(super) gives: Gives,
    pub(super) serves: Serves,
}

const AGENT: Parameter = Parameter {
    name: "agent",
    about: "Only records with this `agent_id`.",
    schema: || schema::text().at_most(256).at_least(1),
};

/// All of them.
pub(super) static ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/v1/ca",
        name: "getAuthority",
        about: "The certificate of the internal authority, to be compared with its fingerprint. For everybody.",
        query: &[],
        takes: None,
        gives: Gives::Text("application/x-pem-file"),
        serves: Serves::Strangers(Entrance::Authority),
    },
    Route {
        method: Method::POST,
        path: "/v1/enroll",
        name: "enroll",
        about: "Get a client certificate with an invitation, which is used up by it. For everybody.",
        query: &[],
        takes: Some(schema::enrol),
        gives: Gives::Json(201, schema::certificate),
        serves: Serves::Strangers(Entrance::Enrol),
    },
    Route {
        method: Method::POST,
        path: "/v1/sign-in",
        name: "signIn",
        about: "Get a token for an hour with name and password. For everybody; the token counts on top of a certificate.",
        query: &[],
        takes: Some(schema::sign_in),
        gives: Gives::Json(201, schema::signed_in),
        serves: Serves::Strangers(Entrance::SignIn),
    },
    Route {
        method: Method::GET,
        path: "/v1/me",
        name: "getMe",
        about: "Who you are, and what you may be.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, schema::me),
        serves: Serves::Operators(call::me),
    },
    Route {
        method: Method::POST,
        path: "/v1/me/certificate",
        name: "renewCertificate",
        about: "Get the next client certificate, once two thirds of the life of the one that is shown are over.",
        query: &[],
        takes: Some(schema::renewal),
        gives: Gives::Json(201, schema::certificate),
        serves: Serves::Operators(call::renew),
    },
    Route {
        method: Method::GET,
        path: "/v1/openapi.json",
        name: "getOpenApi",
        about: "This document.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, schema::anything),
        serves: Serves::Operators(call::openapi),
    },
    Route {
        method: Method::GET,
        path: "/v1/agents",
        name: "listAgents",
        about: "What every agent is doing.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, || schema::list(schema::agent())),
        serves: Serves::Operators(call::agents),
    },
    Route {
        method: Method::GET,
        path: "/v1/agents/{id}",
        name: "getAgent",
        about: "What one agent is doing.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, schema::agent),
        serves: Serves::Operators(call::agent),
    },
    Route {
        method: Method::GET,
        path: "/v1/agents/{id}/logs",
        name: "getLogs",
        about: "The end of what its programs said.",
        query: &[Parameter {
            name: "tail",
            about: "How many lines at most.",
            schema: || schema::number(1, Some(call::MOST_LOG_LINES)),
        }],
        takes: None,
        gives: Gives::Text("text/plain; charset=utf-8"),
        serves: Serves::Operators(call::logs),
    },
    Route {
        method: Method::POST,
        path: "/v1/agents/{id}/turns",
        name: "startTurn",
        about: "Tell an agent something and hear what it does, until it is done. Closing the connection interrupts it.",
        query: &[],
        takes: Some(schema::turn),
        gives: Gives::Events(schema::turn_event),
        serves: Serves::Operators(call::turn),
    },
    Route {
        method: Method::GET,
        path: "/v1/agents/{id}/sessions",
        name: "listSessions",
        about: "Its sessions, the latest first.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, || schema::list(schema::session())),
        serves: Serves::Operators(call::sessions),
    },
    Route {
        method: Method::POST,
        path: "/v1/agents/{id}/stop",
        name: "stopAgent",
        about: "Stop it, and do not start it again. It is under way when this is answered.",
        query: &[],
        takes: None,
        gives: Gives::Nothing(202),
        serves: Serves::Operators(call::stop),
    },
    Route {
        method: Method::POST,
        path: "/v1/agents/{id}/labels/reset",
        name: "resetLabels",
        about: "Forget what it has read, as if it were new.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, schema::agent),
        serves: Serves::Operators(call::reset_labels),
    },
    Route {
        method: Method::GET,
        path: "/v1/approvals",
        name: "listApprovals",
        about: "What waits for people's answers.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, || schema::list(schema::approval())),
        serves: Serves::Operators(call::approvals),
    },
    Route {
        method: Method::GET,
        path: "/v1/approvals/{question}",
        name: "getApproval",
        about: "One question.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, schema::approval),
        serves: Serves::Operators(call::approval),
    },
    Route {
        method: Method::POST,
        path: "/v1/approvals/{question}",
        name: "answerApproval",
        about: "Answer a question. The digest says what you have seen; an answer to anything else does not count.",
        query: &[],
        takes: Some(schema::new_answer),
        gives: Gives::Json(200, schema::answered),
        serves: Serves::Operators(call::answer),
    },
    Route {
        method: Method::POST,
        path: "/v1/reload",
        name: "reload",
        about: "Read the server's own configuration again, and put its policies in force.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, schema::reloaded),
        serves: Serves::Operators(call::reload),
    },
    Route {
        method: Method::POST,
        path: "/v1/down",
        name: "stopFleet",
        about: "Stop the fleet and end the control plane. It is under way when this is answered.",
        query: &[],
        takes: None,
        gives: Gives::Nothing(202),
        serves: Serves::Operators(call::down),
    },
    Route {
        method: Method::GET,
        path: "/v1/policy",
        name: "getPolicy",
        about: "The policies in force, in Cedar.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, schema::policies),
        serves: Serves::Operators(call::policy),
    },
    Route {
        method: Method::POST,
        path: "/v1/policy/explain",
        name: "explainPolicy",
        about: "What the policies in force would say, as `nanoclaw policy explain` asks.",
        query: &[],
        takes: Some(schema::question),
        gives: Gives::Json(200, schema::explanation),
        serves: Serves::Operators(call::explain),
    },
    Route {
        method: Method::GET,
        path: "/v1/audit",
        name: "getAudit",
        about: "Records of the audit log, oldest first. The field `Link` names the next page, if there may be one.",
        query: &[
            Parameter {
                name: "from",
                about: "The first record, by number. Without it, the first there is.",
                schema: || schema::number(1, Some(call::LAST_SEQ)),
            },
            AGENT,
            Parameter { name: "result", about: "Only records with this `result`.", schema: schema::result },
            Parameter {
                name: "limit",
                about: "How many at most; 100 without it.",
                schema: || schema::number(1, Some(call::MOST_RECORDS)),
            },
        ],
        takes: None,
        gives: Gives::Lines(schema::record),
        serves: Serves::Operators(call::audit),
    },
    Route {
        method: Method::GET,
        path: "/v1/events",
        name: "followAudit",
        about: "Records of the audit log as they are written. `id` is the record's number; a client that comes back with \
                `Last-Event-ID` goes on there.",
        query: &[
            AGENT,
            Parameter {
                name: "after",
                about: "Begin behind this record; `Last-Event-ID` counts more. Without either, from now on.",
                schema: || schema::number(0, Some(call::LAST_SEQ)),
            },
        ],
        takes: None,
        gives: Gives::Events(schema::record),
        serves: Serves::Operators(call::events),
    },
    Route {
        method: Method::GET,
        path: "/v1/operators",
        name: "listOperators",
        about: "All accounts.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, || schema::list(schema::operator())),
        serves: Serves::Operators(call::operators),
    },
    Route {
        method: Method::POST,
        path: "/v1/operators",
        name: "addOperator",
        about: "Make an account.",
        query: &[],
        takes: Some(schema::new_operator),
        gives: Gives::Json(201, schema::operator),
        serves: Serves::Operators(call::add_operator),
    },
    Route {
        method: Method::POST,
        path: "/v1/operators/{name}",
        name: "changeOperator",
        about: "Change what an account may be, its password, or whether it is in use.",
        query: &[],
        takes: Some(schema::changed_operator),
        gives: Gives::Json(200, schema::operator),
        serves: Serves::Operators(call::change_operator),
    },
    Route {
        method: Method::DELETE,
        path: "/v1/operators/{name}",
        name: "removeOperator",
        about: "Remove an account with its tokens and certificates.",
        query: &[],
        takes: None,
        gives: Gives::Nothing(204),
        serves: Serves::Operators(call::remove_operator),
    },
    Route {
        method: Method::GET,
        path: "/v1/tokens",
        name: "listTokens",
        about: "All API tokens, without what would let one use them.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, || schema::list(schema::token())),
        serves: Serves::Operators(call::tokens),
    },
    Route {
        method: Method::POST,
        path: "/v1/tokens",
        name: "addToken",
        about: "Make an API token for programs of yours. It is shown this once.",
        query: &[],
        takes: Some(schema::new_token),
        gives: Gives::Json(201, schema::shown_token),
        serves: Serves::Operators(call::add_token),
    },
    Route {
        method: Method::DELETE,
        path: "/v1/tokens/{id}",
        name: "revokeToken",
        about: "Take a token or an invitation back.",
        query: &[],
        takes: None,
        gives: Gives::Nothing(204),
        serves: Serves::Operators(call::revoke_token),
    },
    Route {
        method: Method::GET,
        path: "/v1/certificates",
        name: "listCertificates",
        about: "All client certificates whose time is not over.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, || schema::list(schema::issued())),
        serves: Serves::Operators(call::certificates),
    },
    Route {
        method: Method::POST,
        path: "/v1/certificates",
        name: "addCertificate",
        about: "Issue a client certificate for an account, for the key of a request (PKCS #10).",
        query: &[],
        takes: Some(schema::new_certificate),
        gives: Gives::Json(201, schema::certificate),
        serves: Serves::Operators(call::add_certificate),
    },
    Route {
        method: Method::DELETE,
        path: "/v1/certificates/{serial}",
        name: "revokeCertificate",
        about: "Revoke a client certificate, at once and for good.",
        query: &[],
        takes: None,
        gives: Gives::Nothing(204),
        serves: Serves::Operators(call::revoke_certificate),
    },
    Route {
        method: Method::GET,
        path: "/v1/enrolments",
        name: "listEnrolments",
        about: "Invitations that are not used yet; `DELETE /v1/tokens/{id}` takes one back.",
        query: &[],
        takes: None,
        gives: Gives::Json(200, || schema::list(schema::invitation())),
        serves: Serves::Operators(call::enrolments),
    },
    Route {
        method: Method::POST,
        path: "/v1/enrolments",
        name: "addEnrolment",
        about: "Invite somebody: a text that is good for one certificate. It is shown this once.",
        query: &[],
        takes: Some(schema::new_enrolment),
        gives: Gives::Json(201, schema::shown_token),
        serves: Serves::Operators(call::add_enrolment),
    },
];

/// What a path leads to.
pub(super) enum Found<'p> {
    /// A route, with the parts of the path that it leaves open.
    Route(&'static Route, Vec<&'p str>),
    /// Routes, but none for this method; those that there are.
    Method(Vec<&'static str>),
    /// Nothing.
    Nothing,
}

/// Where a request goes.
pub(super) fn find<'p>(method: &Method, path: &'p str) -> Found<'p> {
    let mut others = Vec::new();
    for route in ROUTES {
        let Some(parts) = matched(route.path, path) else { continue };
        if route.method == *method {
            return Found::Route(route, parts);
        }
        others.push(route.method.as_str());
    }
    if others.is_empty() { Found::Nothing } else { Found::Method(others) }
}

fn matched<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut parts = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parts),
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => parts.push(given),
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: &str, path: &str) -> Option<&'static str> {
        match find(&method.parse().unwrap(), path) {
            Found::Route(route, _) => Some(route.name),
            Found::Method(_) | Found::Nothing => None,
        }
    }

    #[test]
    fn a_path_leads_to_one_route_or_none() {
        assert_eq!(name("GET", "/v1/agents"), Some("listAgents"));
        assert_eq!(name("GET", "/v1/agents/one"), Some("getAgent"));
        assert_eq!(name("DELETE", "/v1/tokens/ab"), Some("revokeToken"));
        for path in ["/v1/agents/", "/v1/agents/one/", "/v1//agents", "//v1/agents", "/", "", "/v1/agents/one/logs/x"] {
            assert_eq!(name("GET", path), None, "{path}");
        }
        assert!(matches!(find(&Method::PUT, "/v1/operators"), Found::Method(others) if others == ["GET", "POST"]));
    }

    #[test]
    fn no_two_routes_are_the_same() {
        for (number, route) in ROUTES.iter().enumerate() {
            for other in &ROUTES[number + 1..] {
                assert!(route.name != other.name, "{}", route.name);
                assert!((&route.method, route.path) != (&other.method, other.path), "{}", route.path);
            }
        }
    }
}
