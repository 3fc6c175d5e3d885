//! What can be asked for, read into one closed type: what it is for policy and record, and what it is for whoever does it.

mod people;

use std::collections::BTreeSet;

use jiff::Timestamp;
use nanoclaw_agent::protocol::{LONGEST_SESSION_NAME, Order, is_session_name};
use nanoclaw_audit::{Filter, ResultKind};
use nanoclaw_gate::Answer as Said;
use nanoclaw_identity::ca::Serial;
use nanoclaw_identity::{OperatorName, Role};
use nanoclaw_policy::{Case, words};
use nanoclaw_request::{Action, Approve, AuditRead, CellId, Manage, RefusalCode, Stage};
use serde::Deserialize;

pub(super) use people::{
    add_certificate, add_enrolment, add_operator, add_token, certificates, change_operator, enrolments, operators,
    remove_operator, revoke_certificate, revoke_token, tokens,
};

use super::answer::Fault;
use super::given::Given;
use crate::turn;

/// Most lines of an agent's log that are given at once.
pub(super) const MOST_LOG_LINES: u64 = 10_000;
/// Most records of the audit log in one page.
pub(super) const MOST_RECORDS: u64 = 1_000;
/// Greatest number of a record that can be asked for: all programs that read JSON can write it.
pub(super) const LAST_SEQ: u64 = (1 << 53) - 1;
/// Longest life of a token in hours: a year.
pub(super) const LONGEST_TOKEN_HOURS: u32 = 24 * 366;
/// Longest life of an invitation in minutes: a day.
pub(super) const LONGEST_INVITATION_MINUTES: u32 = 24 * 60;

/// What is done where somebody makes a token.
pub(super) const TOKEN_CREATE: &str = "token-create";

/// What is asked for.
#[derive(Debug)]
pub(super) enum Call {
    Me,
    OpenApi,
    Agents,
    Agent(CellId),
    Logs { cell: CellId, tail: usize },
    Turn { cell: CellId, order: Order },
    Sessions(CellId),
    Stop(CellId),
    ResetLabels(CellId),
    Approvals,
    Approval(String),
    Answer { question: String, digest: String, answer: Said },
    Reload,
    Down,
    Policy,
    Explain(Box<Case>),
    Audit(Page),
    Events(Following),
    Operators,
    NewOperator(NewOperator),
    ChangedOperator(OperatorName, ChangedOperator),
    RemovedOperator(OperatorName),
    Tokens,
    NewToken(BTreeSet<Role>, Timestamp),
    RevokedToken(String),
    Certificates,
    NewCertificate(OperatorName, String),
    RevokedCertificate(Serial),
    Enrolments,
    Renew(String),
    NewEnrolment(NewEnrolment),
}

/// A part of the audit log.
#[derive(Debug)]
pub(super) struct Page {
    /// Records after this one.
    pub(super) after: u64,
    pub(super) filter: Filter,
    pub(super) limit: usize,
}

/// The records of the audit log that are yet to be written.
#[derive(Debug)]
pub(super) struct Following {
    /// Records after this one; `None` means those from now on.
    pub(super) after: Option<u64>,
    pub(super) filter: Filter,
}

/// An account that is to be.
#[derive(Debug)]
pub(super) struct NewOperator {
    pub(super) name: OperatorName,
    pub(super) roles: BTreeSet<Role>,
    pub(super) password: Option<Password>,
}

/// What is to change of an account.
#[derive(Debug)]
pub(super) struct ChangedOperator {
    pub(super) roles: Option<BTreeSet<Role>>,
    pub(super) password: Option<Password>,
    pub(super) disabled: Option<bool>,
}

/// An invitation that is to be.
#[derive(Debug)]
pub(super) struct NewEnrolment {
    pub(super) name: OperatorName,
    pub(super) roles: BTreeSet<Role>,
    pub(super) minutes: u32,
}

/// A password on its way to where it is hashed. Prints itself as `***`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Password(pub(super) String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What a request asks for: the action that policy decides on, and the call, unless it cannot be read.
pub(super) type Asked = (Action, Result<Call, Fault>);

fn manage(what: Manage, call: Result<Call, Fault>) -> Asked {
    (Action::Manage(what), call)
}

/// Something about the fleet as a whole that needs nothing else.
fn plain(given: &mut Given<'_>, what: Manage, call: Call) -> Asked {
    manage(what, given.nothing().map(|()| call))
}

/// Something about one agent that needs nothing else.
fn about(given: &mut Given<'_>, what: fn(String) -> Manage, call: fn(CellId) -> Call) -> Asked {
    let cell = given.part(0);
    let known = given.nothing().and_then(|()| cell_id(&cell));
    manage(what(cell), known.map(call))
}

fn cell_id(text: &str) -> Result<CellId, Fault> {
    CellId::parse(text).map_err(|_| no_such_cell(text))
}

/// Nothing in this fleet has that name.
pub(super) fn no_such_cell(name: &str) -> Fault {
    Fault::of(
        hyper::StatusCode::NOT_FOUND,
        Stage::Inspect,
        RefusalCode::NoSuchCell,
        format!("there is no agent `{}` in this fleet", name.escape_debug()),
        "`GET /v1/agents` lists them",
    )
}

pub(super) fn me(given: &mut Given<'_>) -> Asked {
    plain(given, Manage::List, Call::Me)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renew {
    request: String,
}

pub(super) fn renew(given: &mut Given<'_>) -> Asked {
    let read = given.query().and_then(|_| given.json::<Renew>());
    manage(Manage::Renew, read.map(|Renew { request }| Call::Renew(request)))
}

pub(super) fn openapi(given: &mut Given<'_>) -> Asked {
    plain(given, Manage::List, Call::OpenApi)
}

pub(super) fn agents(given: &mut Given<'_>) -> Asked {
    plain(given, Manage::List, Call::Agents)
}

pub(super) fn agent(given: &mut Given<'_>) -> Asked {
    about(given, |_| Manage::List, Call::Agent)
}

pub(super) fn logs(given: &mut Given<'_>) -> Asked {
    let cell = given.part(0);
    let read = given.query().and_then(|query| {
        let tail = query.number("tail", 1, MOST_LOG_LINES)?.unwrap_or(MOST_LOG_LINES);
        given.nothing()?;
        Ok(Call::Logs { cell: cell_id(&cell)?, tail: usize::try_from(tail).unwrap_or(usize::MAX) })
    });
    manage(Manage::Logs { cell }, read)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    prompt: String,
    #[serde(default)]
    session: Option<String>,
    #[serde(default)]
    schema: Option<serde_json::Value>,
}

pub(super) fn turn(given: &mut Given<'_>) -> Asked {
    let cell = given.part(0);
    let order = given.query().and_then(|_| given.json::<Turn>()).and_then(|turn| {
        if turn.session.as_deref().is_some_and(|session| !is_session_name(session)) {
            let reason = format!("`session` is not 1 to {LONGEST_SESSION_NAME} letters, digits, `-`, `_` and `.`");
            return Err(Fault::malformed(reason, "choose another name"));
        }
        Ok(Order::Turn { session: turn.session, prompt: turn.prompt, untrusted: None, schema: turn.schema })
    });
    // A turn that cannot be read has the digest of nothing.
    let unread = Order::Turn { session: None, prompt: String::new(), untrusted: None, schema: None };
    let what = turn::manage(&cell, Some(order.as_ref().unwrap_or(&unread)));
    manage(what, order.and_then(|order| Ok(Call::Turn { cell: cell_id(&cell)?, order })))
}

pub(super) fn sessions(given: &mut Given<'_>) -> Asked {
    about(given, |cell| Manage::Sessions { cell }, Call::Sessions)
}

pub(super) fn stop(given: &mut Given<'_>) -> Asked {
    about(given, |cell| Manage::Stop { cell }, Call::Stop)
}

pub(super) fn reset_labels(given: &mut Given<'_>) -> Asked {
    about(given, |cell| Manage::ResetLabels { cell }, Call::ResetLabels)
}

pub(super) fn approvals(given: &mut Given<'_>) -> Asked {
    plain(given, Manage::Approvals, Call::Approvals)
}

pub(super) fn approval(given: &mut Given<'_>) -> Asked {
    let id = given.part(0);
    plain(given, Manage::Approvals, Call::Approval(id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAnswer {
    digest: String,
    answer: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    arguments: Option<serde_json::Map<String, serde_json::Value>>,
}

pub(super) fn answer(given: &mut Given<'_>) -> Asked {
    let question = given.part(0);
    let read = given.query().and_then(|_| given.json::<NewAnswer>()).and_then(|new| {
        if new.digest.len() != 64 || !new.digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Fault::malformed("`digest` is not a SHA-256 in hex", "copy it from the question"));
        }
        let said = match (new.answer.as_str(), new.reason, new.arguments) {
            ("approve", None, None) => Said::Approve,
            ("deny", reason, None) => Said::Deny { reason: reason.unwrap_or_default() },
            ("edit", None, Some(arguments)) => {
                Said::Edit { arguments: serde_json::Value::Object(arguments).to_string() }
            }
            ("approve" | "deny" | "edit", _, _) => {
                let help = "`reason` goes with `deny`, `arguments` with `edit`";
                return Err(Fault::malformed("the answer has what does not go with it, or lacks what does", help));
            }
            _ => return Err(Fault::malformed("there is no such `answer`", "use approve, deny or edit")),
        };
        Ok((new.digest, said))
    });
    let approve = Approve {
        // Longer ones are nobody's.
        question: question.chars().take(64).collect(),
        digest: read.as_ref().map(|(digest, _)| digest.clone()).unwrap_or_default(),
        // Whom it is about is known to the desk.
        cell: String::new(),
        answer: read.as_ref().map_or("", |(_, said)| said.name()),
    };
    (Action::Approve(approve), read.map(|(digest, answer)| Call::Answer { question, digest, answer }))
}

pub(super) fn reload(given: &mut Given<'_>) -> Asked {
    plain(given, Manage::Reload, Call::Reload)
}

pub(super) fn down(given: &mut Given<'_>) -> Asked {
    plain(given, Manage::Down, Call::Down)
}

pub(super) fn policy(given: &mut Given<'_>) -> Asked {
    plain(given, Manage::Policy, Call::Policy)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explain {
    question: String,
}

pub(super) fn explain(given: &mut Given<'_>) -> Asked {
    let case = given.query().and_then(|_| given.json::<Explain>()).and_then(|Explain { question }| {
        let wrong = |error: &dyn std::fmt::Display| Fault::malformed(error.to_string(), "");
        let words = words(&question).map_err(|error| wrong(&error))?;
        Ok(Call::Explain(Box::new(Case::parse(&words).map_err(|error| wrong(&error))?)))
    });
    manage(Manage::Policy, case)
}

fn agent_filter(query: &super::given::Query) -> Result<Option<String>, Fault> {
    match query.text("agent") {
        Some(agent) if agent.is_empty() || agent.len() > 256 => {
            Err(Fault::malformed("`agent` is not 1 to 256 bytes", "write an `agent_id` of the audit log"))
        }
        agent => Ok(agent.map(str::to_owned)),
    }
}

pub(super) fn audit(given: &mut Given<'_>) -> Asked {
    let read = given.query().and_then(|query| {
        given.nothing()?;
        let result = query.text("result").map(str::parse::<ResultKind>).transpose();
        let result = result.map_err(|error| Fault::malformed(error.to_string(), ""))?;
        let after = query.number("from", 1, LAST_SEQ)?.unwrap_or(1) - 1;
        let limit = query.number("limit", 1, MOST_RECORDS)?.unwrap_or(100);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(Page { after, filter: Filter { agent: agent_filter(&query)?, result }, limit })
    });
    let what = match &read {
        Ok(Page { after, filter, limit }) => {
            format!("{limit} records from {} on{}", after.saturating_add(1), words_of(filter))
        }
        Err(_) => String::new(),
    };
    (Action::AuditRead(AuditRead { what }), read.map(Call::Audit))
}

pub(super) fn events(given: &mut Given<'_>) -> Asked {
    let read = given.query().and_then(|query| {
        given.nothing()?;
        let after = query.number("after", 0, LAST_SEQ)?;
        Ok(Following { after, filter: Filter { agent: agent_filter(&query)?, result: None } })
    });
    let unread = || Action::AuditRead(AuditRead { what: String::new() });
    (read.as_ref().map_or_else(|_| unread(), Following::action), read.map(Call::Events))
}

impl Following {
    /// What it is for policy and record.
    pub(super) fn action(&self) -> Action {
        let from = self.after.map_or_else(|| "from now on".to_owned(), |after| format!("after {after}"));
        Action::AuditRead(AuditRead { what: format!("what is written {from}{}", words_of(&self.filter)) })
    }
}

fn words_of(filter: &Filter) -> String {
    let agent = filter.agent.as_ref().map(|agent| format!(" of `{agent}`")).unwrap_or_default();
    let result = filter.result.map(|result| format!(" that are {result}")).unwrap_or_default();
    format!("{agent}{result}")
}

/// Nothing has that name or number.
pub(super) fn no_such(what: &str, name: &str) -> Fault {
    let name: String = name.chars().take(64).collect();
    Fault::not_found(format!("there is no {what} `{}`", name.escape_debug()), "it may be gone already")
}
