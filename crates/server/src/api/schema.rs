//! What the API takes and gives, as JSON Schema (draft 2020-12, the one of OpenAPI 3.1).

use nanoclaw_audit::ResultKind;
use nanoclaw_identity::Role;
use serde_json::{Map, Value, json};

/// A schema.
#[derive(Clone, Debug)]
pub(super) struct Schema(Value);

impl Schema {
    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Value::Object(members) = &mut self.0 {
            members.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Of at most so many characters.
    pub(super) fn at_most(self, length: u32) -> Self {
        self.with("maxLength", length)
    }

    /// Of at least so many characters.
    pub(super) fn at_least(self, length: u32) -> Self {
        self.with("minLength", length)
    }

    fn about(self, text: &str) -> Self {
        self.with("description", text)
    }

    /// This or `null`.
    fn or_null(self) -> Self {
        Self(json!({ "anyOf": [self.0, { "type": "null" }] }))
    }

    /// As it stands in the document.
    pub(super) fn into_json(self) -> Value {
        self.0
    }
}

pub(super) fn text() -> Schema {
    Schema(json!({ "type": "string" }))
}

fn matching(pattern: &str) -> Schema {
    text().with("pattern", pattern)
}

fn time() -> Schema {
    text().with("format", "date-time")
}

fn flag() -> Schema {
    Schema(json!({ "type": "boolean" }))
}

/// A whole number within these bounds.
pub(super) fn number(least: u64, most: Option<u64>) -> Schema {
    let number = Schema(json!({ "type": "integer", "minimum": least }));
    match most {
        Some(most) => number.with("maximum", most),
        None => number,
    }
}

fn integer() -> Schema {
    Schema(json!({ "type": "integer" }))
}

/// One of these texts.
fn one_of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Schema {
    text().with("enum", texts.into_iter().map(Value::from).collect::<Vec<_>>())
}

/// Any number of these.
pub(super) fn list(of: Schema) -> Schema {
    Schema(json!({ "type": "array", "items": of.0 }))
}

/// Any JSON value.
pub(super) fn anything() -> Schema {
    Schema(json!({}))
}

/// An object with these members and no others; the first `required` of them are always there.
fn object<const N: usize>(required: usize, members: [(&str, Schema); N]) -> Schema {
    let names: Vec<Value> = members.iter().take(required).map(|(name, _)| Value::from(*name)).collect();
    let members: Map<String, Value> = members.into_iter().map(|(name, schema)| (name.to_owned(), schema.0)).collect();
    Schema(json!({ "type": "object", "properties": members, "required": names, "additionalProperties": false }))
}

fn agent_id() -> Schema {
    matching("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
}

fn operator_name() -> Schema {
    matching("^[a-z][a-z0-9._-]{0,63}$")
}

fn roles() -> Schema {
    list(one_of(Role::ALL.map(Role::name))).with("minItems", 1)
}

fn serial() -> Schema {
    matching("^[0-9a-f]{32}$")
}

fn pem() -> Schema {
    text().about("PEM")
}

/// What an open part of a path is.
pub(super) fn part(name: &str) -> Schema {
    match name {
        "name" => operator_name(),
        "serial" => serial(),
        "question" | "token" => matching("^[0-9a-f]{1,64}$"),
        _ => agent_id(),
    }
}

/// A problem (RFC 9457).
pub(super) fn problem() -> Schema {
    let code = nanoclaw_request::RefusalCode::ALL.map(nanoclaw_request::RefusalCode::name);
    object(
        5,
        [
            ("title", text()),
            ("status", integer()),
            ("detail", text().about("Why, for people.")),
            ("code", one_of(code).about("Why, for programs: the `code` of the audit record.")),
            ("help", text().about("What to do about it; may be empty.")),
        ],
    )
}

pub(super) fn enrol() -> Schema {
    object(
        2,
        [("token", text().about("The invitation.")), ("request", pem().about("PKCS #10, PEM, for P-256 or P-384."))],
    )
}

pub(super) fn certificate() -> Schema {
    object(
        5,
        [
            ("operator", operator_name()),
            ("certificate", pem()),
            ("authority", pem().about("The certificate of the authority: what the server's is to be checked with.")),
            ("serial", serial()),
            ("not_after", time()),
        ],
    )
}

pub(super) fn sign_in() -> Schema {
    object(2, [("name", text()), ("password", text())])
}

pub(super) fn signed_in() -> Schema {
    object(4, [("operator", text()), ("roles", roles()), ("token", text()), ("expires", time())])
}

pub(super) fn me() -> Schema {
    object(2, [("name", text()), ("roles", roles())])
}

fn label() -> Schema {
    object(
        3,
        [
            ("trust", one_of(nanoclaw_config::Trust::ALL.map(nanoclaw_config::Trust::name))),
            ("data", one_of(nanoclaw_config::DataClass::ALL.map(nanoclaw_config::DataClass::name))),
            ("suspicion", one_of(nanoclaw_firewall::Level::ALL.map(nanoclaw_firewall::Level::name))),
        ],
    )
}

pub(super) fn agent() -> Schema {
    let identity = object(3, [("spiffe_id", text()), ("serial", serial()), ("not_after", time())]);
    let count = || number(0, None).or_null();
    object(
        15,
        [
            ("id", agent_id()),
            ("kind", one_of(["command", "builtin", "openclaw", "model"])),
            ("phase", one_of(["starting", "running", "unwell", "waiting", "stopping", "stopped"])),
            ("restarts", number(0, None)),
            ("uptime_seconds", number(0, None)),
            ("cpu_us", count()),
            ("memory_bytes", count()),
            ("pids", count()),
            ("refusals", number(0, None)),
            ("last_exit", integer().or_null()),
            ("problem", text().or_null()),
            ("identity", identity.or_null().about("The certificate of the cell that runs.")),
            ("labels", label().about("What the agent has read so far, all together.")),
            ("labels_since", time().or_null().about("Since when it has read that.")),
            ("generation", number(0, None).about("The policies that decide about it.")),
        ],
    )
}

pub(super) fn approval() -> Schema {
    object(
        13,
        [
            ("id", text()),
            ("digest", digest().about("SHA-256 of the whole request. An answer is for this and nothing else.")),
            ("cell", agent_id()),
            ("action", text()),
            ("resource", text()),
            ("detail", text().about("All of it, such as a tool's arguments, one a line.")),
            ("why", text().about("Why policy asks.")),
            ("policies", list(text())),
            ("asked_at", time()),
            ("expires_at", time()),
            ("needs", number(1, None).about("How many different people must approve.")),
            ("approved_by", list(text())),
            (
                "requesters",
                list(text()).about(
                    "Who asked the agent for what it does; they cannot approve, unless `approvals.own` lets them.",
                ),
            ),
        ],
    )
}

fn digest() -> Schema {
    matching("^[0-9a-f]{64}$")
}

pub(super) fn new_answer() -> Schema {
    object(
        2,
        [
            ("digest", digest().about("Of what you have seen.")),
            ("answer", one_of(["approve", "deny", "edit"])),
            ("reason", text().or_null().about("Why it is denied, for the agent and the log.")),
            (
                "arguments",
                Schema(json!({ "type": ["object", "null"] }))
                    .about("What the tool is to be called with; only to edit."),
            ),
        ],
    )
}

pub(super) fn answered() -> Schema {
    let missing = number(0, None).about("How many more people must approve.");
    object(1, [("outcome", one_of(["approved", "counted", "denied", "edited"])), ("missing", missing)])
}

pub(super) fn reloaded() -> Schema {
    Schema(json!({
        "type": "object",
        "properties": {
            "generation": { "type": "integer", "minimum": 1 },
            "digest": { "type": "string" },
            "notices": { "type": "array", "items": { "type": "string" } },
            "comparison": {},
            "later": { "type": "array" },
            "removed": { "type": "array", "items": { "type": "string" } },
            "added": { "type": "array", "items": { "type": "string" } },
        },
        "required": ["generation", "digest", "notices", "comparison", "later", "removed", "added"],
        "description": "What is in force now, and what waits for the next start; as `nanoclaw reload --json` prints it.",
    }))
}

pub(super) fn turn() -> Schema {
    object(
        1,
        [
            ("prompt", text()),
            ("session", matching("^[A-Za-z0-9._-]{1,64}$").or_null().about("The session to go on with.")),
            ("schema", anything().about("JSON Schema that the final answer must follow.")),
        ],
    )
}

pub(super) fn turn_event() -> Schema {
    Schema(json!({
        "type": "object",
        "properties": { "event": { "type": "string" } },
        "required": ["event"],
        "description": "As `nanoclaw ask --json` prints it. `done` and `failed` are the last.",
    }))
}

pub(super) fn session() -> Schema {
    object(4, [("id", text()), ("title", text()), ("updated", integer()), ("entries", number(0, None))])
}

pub(super) fn policies() -> Schema {
    let one = object(2, [("origin", text().about("Where it comes from.")), ("text", text())]);
    object(2, [("generation", number(0, None)), ("policies", list(one))])
}

pub(super) fn question() -> Schema {
    object(1, [("question", text().about("Such as `analyst net_connect api.example.com:443`."))])
}

pub(super) fn explanation() -> Schema {
    object(
        5,
        [
            ("decision", one_of(["allow", "ask", "deny"])),
            ("policies", list(text())),
            ("reason", text()),
            ("code", text()),
            ("help", text()),
        ],
    )
}

pub(super) fn result() -> Schema {
    one_of(ResultKind::ALL.map(ResultKind::name))
}

pub(super) fn record() -> Schema {
    Schema(json!({
        "type": "object",
        "properties": {
            "timestamp": { "type": "string", "format": "date-time" },
            "agent_id": { "type": "string" },
            "action": { "type": "string" },
            "result": result().0,
            "seq": { "type": "integer", "minimum": 1 },
        },
        "required": ["timestamp", "agent_id", "action", "result", "seq"],
        "description": "An audit record; docs/reference/audit-record.md describes every field.",
    }))
}

pub(super) fn operator() -> Schema {
    object(
        6,
        [
            ("name", operator_name()),
            ("roles", roles()),
            ("has_password", flag()),
            ("disabled", flag()),
            ("created", time()),
            ("locked_until", time().or_null()),
        ],
    )
}

pub(super) fn new_operator() -> Schema {
    object(2, [("name", operator_name()), ("roles", roles()), ("password", text().or_null())])
}

pub(super) fn changed_operator() -> Schema {
    object(0, [("roles", roles().or_null()), ("password", text().or_null()), ("disabled", flag().or_null())])
        .with("minProperties", 1)
}

pub(super) fn token() -> Schema {
    object(5, [("id", text()), ("operator", text()), ("roles", roles()), ("created", time()), ("expires", time())])
}

pub(super) fn invitation() -> Schema {
    object(
        6,
        [
            ("id", text()),
            ("operator", operator_name()),
            ("roles", roles()),
            ("created", time()),
            ("expires", time()),
            ("maker", text().or_null().about("Who invites; with them goes the invitation.")),
        ],
    )
}

pub(super) fn new_token() -> Schema {
    let hours = number(1, Some(u64::from(super::call::LONGEST_TOKEN_HOURS))).about("How long it is valid.");
    object(2, [("roles", roles()), ("hours", hours)])
}

pub(super) fn shown_token() -> Schema {
    object(
        5,
        [
            ("id", text()),
            ("operator", text()),
            ("roles", roles()),
            ("expires", time()),
            ("token", text().about("Shown this once.")),
        ],
    )
}

pub(super) fn issued() -> Schema {
    object(
        5,
        [
            ("serial", serial()),
            ("operator", operator_name()),
            ("issued", time()),
            ("not_after", time()),
            ("revoked", time().or_null()),
        ],
    )
}

pub(super) fn renewal() -> Schema {
    object(1, [("request", pem().about("PKCS #10, PEM, for P-256 or P-384."))])
}

pub(super) fn new_certificate() -> Schema {
    object(2, [("operator", operator_name()), ("request", pem().about("PKCS #10, PEM, for P-256 or P-384."))])
}

pub(super) fn new_enrolment() -> Schema {
    let minutes = number(15, Some(u64::from(super::call::LONGEST_INVITATION_MINUTES)));
    object(
        2,
        [
            ("operator", operator_name()),
            ("roles", roles()),
            ("minutes", minutes.or_null().about("How long it is valid; 60 without it.")),
        ],
    )
}
