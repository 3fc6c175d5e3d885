//! One line of the log. The order of the fields is the order in the file: first the core that users were promised,
//! then the rest. `docs/reference/audit-record.md` describes each.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use jiff::Timestamp;
use nanoclaw_identity::{Caller, Declined, Proposal};
use nanoclaw_policy::Permit;
use nanoclaw_request::{
    Action, Evidence, Manage, ModelCall, ProposedCall, Refusal, RefusalCode, SessionId, Stage, Syscall,
};
use serde::{Serialize, Serializer};

use crate::model_use::ModelUse;
use crate::text::{clip, clip_to};

/// What became of the thing that a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResultKind {
    /// It was allowed; the act follows.
    Allowed,
    /// It was refused.
    Denied,
    /// An allowed act was carried out.
    Done,
    /// An allowed act was tried and did not succeed.
    Failed,
    /// A fact that nobody asked for, such as the end of a cell.
    Noted,
}

impl ResultKind {
    /// Every result.
    pub const ALL: [ResultKind; 5] =
        [ResultKind::Allowed, ResultKind::Denied, ResultKind::Done, ResultKind::Failed, ResultKind::Noted];

    /// The stable name, as it stands in the log.
    pub const fn name(self) -> &'static str {
        match self {
            ResultKind::Allowed => "allowed",
            ResultKind::Denied => "denied",
            ResultKind::Done => "done",
            ResultKind::Failed => "failed",
            ResultKind::Noted => "noted",
        }
    }
}

impl fmt::Display for ResultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text is not the name of a [`ResultKind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a result; use allowed, denied, done, failed or noted")]
pub struct UnknownResult(String);

impl FromStr for ResultKind {
    type Err = UnknownResult;
    fn from_str(text: &str) -> Result<Self, UnknownResult> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| UnknownResult(text.to_owned()))
    }
}

/// How much attention a record deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Ordinary work.
    Informational,
    /// Something did not work, with no sign of intent.
    Low,
    /// The cell tried what it may not do.
    Medium,
    /// A known way of attack, or the log itself is in question.
    High,
}

/// One record, before it has a sequence number.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Record {
    #[serde(serialize_with = "millis")]
    pub timestamp: Timestamp,
    pub agent_id: String,
    pub action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub result: ResultKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    pub session_id: Option<SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy_ids: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    pub severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_received: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folded: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_millis")]
    pub first: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_millis")]
    pub last: Option<Timestamp>,
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn millis<S: Serializer>(at: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&format_args!("{at:.3}"))
}

fn some_millis<S: Serializer>(at: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => millis(at, s),
        None => s.serialize_none(),
    }
}

fn shown<S: Serializer>(id: &Option<SessionId>, s: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => s.collect_str(id),
        None => s.serialize_none(),
    }
}

impl Record {
    /// A record with the fields that every record has.
    pub(crate) fn new(timestamp: Timestamp, agent_id: String, action: &'static str, result: ResultKind) -> Self {
        Self {
            timestamp,
            agent_id,
            action,
            path: None,
            result,
            reason: None,
            seq: 0,
            request_seq: None,
            session_id: None,
            door: None,
            stage: None,
            code: None,
            resource: None,
            policy_ids: Vec::new(),
            approved_by: Vec::new(),
            help: None,
            severity: Severity::Informational,
            via: None,
            addresses: Vec::new(),
            errno: None,
            detail: None,
            exit_code: None,
            signal: None,
            bytes_sent: None,
            bytes_received: None,
            peer: None,
            model: None,
            folded: None,
            first: None,
            last: None,
        }
    }

    /// Who asked for what, without what came of it.
    pub(crate) fn about(proposal: &Proposal, at: Timestamp, result: ResultKind) -> Self {
        let action = proposal.action();
        // A launch is asked for by an operator, but it is the first thing that happens to the agent.
        let (agent_id, session_id) = match (proposal.caller(), action) {
            (Caller::Cell { id, session }, _) => (id.to_string(), Some(*session)),
            (Caller::Operator(_), Action::Launch(launch)) => (launch.cell.to_string(), Some(launch.session)),
            (Caller::Operator(operator), _) => (operator_id(&operator.name), None),
            (Caller::Schedule { rule } | Caller::Webhook { rule }, _) => (format!("system:{rule}"), None),
        };
        let (path, resource) = subject(action);
        Self {
            path: path.map(clip),
            session_id,
            door: Some(proposal.door().name()),
            resource: resource.map(clip),
            ..Self::new(at, agent_id, action.name(), result)
        }
    }

    /// The record of a permission.
    pub(crate) fn allowed(permit: &Permit) -> Self {
        let proposal = permit.proposal();
        let mut record = Self::about(proposal, proposal.at(), ResultKind::Allowed);
        record.policy_ids = permit.rules().to_vec();
        record.approved_by = permit.approved().iter().map(|name| operator_id(name)).collect();
        record.describe(proposal.action());
        record
    }

    /// The record of a refusal.
    pub(crate) fn denied(declined: &Declined) -> Self {
        let proposal = declined.proposal();
        let mut record = Self::about(proposal, proposal.at(), ResultKind::Denied);
        record.describe(proposal.action());
        record.refuse(declined.refusal());
        record.policy_ids = declined.policies().to_vec();
        if matches!(proposal.action(), Action::Syscall(call) if is_ordinary(call)) {
            record.severity = Severity::Low;
        }
        record
    }

    /// Cuts everything in it whose length somebody else chooses to some `most` bytes, and lists to as few entries: what is
    /// written with escapes can be six times as long as it was.
    pub(crate) fn shorten(&mut self, most: usize) {
        for text in [&mut self.path, &mut self.resource, &mut self.reason, &mut self.detail, &mut self.help] {
            *text = text.take().map(|text| clip_to(most, text));
        }
        for list in [&mut self.policy_ids, &mut self.approved_by] {
            list.truncate(most / 32);
            list.iter_mut().for_each(|text| *text = clip_to(most, std::mem::take(text)));
        }
        self.addresses.truncate(most / 32);
        if let Some(model) = &mut self.model {
            model.shorten(most);
        }
    }

    /// Says why it was refused.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        self.explain(refusal);
        self.reason = Some(clip(format!("{VIOLATION}: {}", refusal.reason)));
    }

    /// Says why it failed.
    pub(crate) fn explain(&mut self, refusal: &Refusal) {
        self.reason = Some(clip(refusal.reason.clone()));
        self.stage = Some(stage(refusal.stage));
        self.code = Some(refusal.code.name());
        self.help = (!refusal.help.is_empty()).then(|| clip(refusal.help.clone()));
        self.severity = severity(refusal.code);
    }

    fn describe(&mut self, action: &Action) {
        let detail = match action {
            Action::Launch(launch) => Some(launch.summary.clone()),
            Action::Resolve(_) => None,
            Action::Connect(connect) => {
                self.via = Some(connect.via.name());
                self.addresses.clone_from(&connect.addresses);
                Some(evidence(&connect.evidence))
            }
            Action::Http(http) => Some(format!("{} {} for {}", http.method, http.path, http.host)),
            Action::Datagram(datagram) => Some(format!("IP protocol {}", datagram.protocol)),
            Action::FileWrite(write) => {
                self.errno = write.obstacle;
                Some(write.operation.to_owned())
            }
            Action::Exec(exec) => {
                self.errno = exec.obstacle;
                Some(command_line(&exec.command))
            }
            Action::Syscall(call) => Some(call.detail.clone()),
            Action::CallModel(call) => Some(model_call(call)),
            Action::ToolCall(call) => Some(proposed_call(call)),
            Action::Manage(manage) => Some(match manage {
                Manage::List => "list".to_owned(),
                Manage::Logs { .. } => "logs".to_owned(),
                Manage::Exec { command, .. } => format!("exec {}", command_line(command)),
                Manage::Turn { digest, .. } => format!("turn, sha256 {digest}"),
                Manage::Sessions { .. } => "sessions".to_owned(),
                Manage::Stop { .. } => "stop".to_owned(),
                Manage::Down => "down".to_owned(),
                Manage::Reload => "reload".to_owned(),
                Manage::Approvals => "approvals".to_owned(),
                Manage::Quarantine => "quarantine".to_owned(),
                Manage::QuarantineDecide { id, answer, .. } => format!("quarantine-decide {answer} {id}"),
                Manage::Policy => "policy".to_owned(),
                Manage::ResetLabels { .. } => "reset-labels".to_owned(),
                Manage::Renew => "renew".to_owned(),
                Manage::Operators { what, .. } => what.clone(),
            }),
            Action::Approve(approve) => {
                Some(format!("{} question {}, sha256 {}", approve.answer, approve.question, approve.digest))
            }
            Action::AuditRead(read) => Some(read.what.clone()),
        };
        self.detail = detail.filter(|text| !text.is_empty()).map(clip);
    }
}

/// What every refusal's `reason` begins with.
pub(crate) const VIOLATION: &str = "Security policy violation";

/// How an operator stands in `agent_id`. No cell can have this name: `:` cannot stand in one.
pub(crate) fn operator_id(name: &str) -> String {
    format!("operator:{}", name.strip_prefix("uid:").unwrap_or(name))
}

/// How NanoClaw itself stands in `agent_id`.
pub(crate) fn control() -> String {
    "system:nanoclaw".to_owned()
}

/// Path and resource of an action; file actions have a path, all others a resource.
fn subject(action: &Action) -> (Option<String>, Option<String>) {
    match action {
        Action::FileWrite(write) => (Some(write.path.clone()), None),
        Action::Exec(exec) => (Some(exec.path.clone()), None),
        Action::Launch(launch) => (None, Some(command_line(&launch.command))),
        Action::Resolve(resolve) => {
            let name = &resolve.name;
            (None, Some(resolve.port.map_or_else(|| name.to_string(), |port| format!("{name}:{port}"))))
        }
        Action::Connect(connect) => (None, Some(connect.destination.to_string())),
        Action::Http(http) => (None, Some(http.connection.to_string())),
        Action::Datagram(datagram) => (None, Some(datagram.to.to_string())),
        Action::Syscall(call) => (None, Some(call.name.clone())),
        Action::CallModel(call) => (None, Some(call.asked.clone()).filter(|asked| !asked.is_empty())),
        Action::ToolCall(call) => (None, Some(call.tool.clone())),
        Action::Manage(manage) => match manage {
            Manage::Logs { cell }
            | Manage::Exec { cell, .. }
            | Manage::Turn { cell, .. }
            | Manage::Sessions { cell }
            | Manage::Stop { cell }
            | Manage::QuarantineDecide { cell, .. }
            | Manage::ResetLabels { cell } => (None, Some(cell.clone())),
            Manage::Operators { name, .. } => (None, Some(name.clone()).filter(|name| !name.is_empty())),
            Manage::List
            | Manage::Down
            | Manage::Reload
            | Manage::Approvals
            | Manage::Quarantine
            | Manage::Policy
            | Manage::Renew => (None, None),
        },
        Action::Approve(approve) => (None, Some(approve.cell.clone())),
        Action::AuditRead(_) => (None, None),
    }
}

fn model_call(call: &ModelCall) -> String {
    let ModelCall { operation, asked: _, candidates, stream, messages, bytes, digest, reserved_tokens } = call;
    let streamed = if *stream { ", streamed" } else { "" };
    let mut text = format!("{}{streamed}: {messages} messages, {bytes} bytes, sha256 {digest}", operation.name());
    // What is refused early, a list and a count are for no model.
    if !candidates.is_empty() {
        text.push_str(&format!(", {reserved_tokens} tokens reserved, for {}", candidates.join(", ")));
    }
    text
}

/// Arguments can hold anything, so the log has their names and their digest.
fn proposed_call(call: &ProposedCall) -> String {
    let names = match &call.arguments {
        Some(arguments) => arguments.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
        None => "unreadable arguments".to_owned(),
    };
    if call.at_provider {
        return "offered to the model, to be carried out by the provider".to_owned();
    }
    format!("{} ({names}), sha256 {}", call.call, call.digest)
}

/// Program and arguments on one line, quoted as a shell would read them back.
fn command_line(command: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = command.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn evidence(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Tls { encrypted_hello: true, .. } => "TLS with an encrypted hello".to_owned(),
        Evidence::Tls { sni: Some(sni), .. } => format!("TLS for {sni}"),
        Evidence::Tls { sni: None, .. } => "TLS without a server name".to_owned(),
        Evidence::Http { host } => format!("HTTP for {host}"),
        Evidence::Opaque => "neither TLS nor HTTP".to_owned(),
        Evidence::Silent => String::new(),
    }
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Identify => "identify",
        Stage::Inspect => "inspect",
        Stage::Authorise => "authorise",
        Stage::Act => "act",
    }
}

/// Calls that ordinary programs try, and go on without: glibc asks netlink (protocol 0, routing) for the host's addresses
/// at each `getaddrinfo`, and Node.js asks for `io_uring` at each start.
fn is_ordinary(call: &Syscall) -> bool {
    match call.name.as_str() {
        "socket" => call.detail.starts_with("AF_NETLINK ") && call.detail.ends_with(" protocol 0"),
        "io_uring_setup" => true,
        _ => false,
    }
}

const fn severity(code: RefusalCode) -> Severity {
    match code {
        RefusalCode::Malformed
        | RefusalCode::NameNotFound
        | RefusalCode::NoSuchCell
        | RefusalCode::NotFound
        | RefusalCode::Unreachable
        | RefusalCode::NoSuchModel
        | RefusalCode::BudgetExhausted
        | RefusalCode::Limit => Severity::Low,
        RefusalCode::HostNotAllowed
        | RefusalCode::ProtocolNotAllowed
        | RefusalCode::DatagramNotAllowed
        | RefusalCode::ReadOnly
        | RefusalCode::ModelNotAllowed
        | RefusalCode::ToolNotAllowed
        | RefusalCode::NotApproved
        | RefusalCode::NoLongerAllowed
        | RefusalCode::ExecNotAllowed => Severity::Medium,
        // Asking for another's door, reaching for metadata, fronting and closed system calls are not accidents.
        RefusalCode::NotYou
        | RefusalCode::AddressForbidden
        | RefusalCode::SniMismatch
        | RefusalCode::HttpHostMismatch
        | RefusalCode::EncryptedHello
        | RefusalCode::ContentRefused
        | RefusalCode::SyscallNotAllowed
        // Nobody can say what it was.
        | RefusalCode::Undecided => Severity::High,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_quoted_so_that_two_never_look_alike() {
        let line = |words: &[&str]| command_line(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["sh", "-c", "echo it's; id", ""]), r"sh -c 'echo it'\''s; id' ''");
        assert_ne!(line(&["a b"]), line(&["a", "b"]));
    }

    #[test]
    fn a_model_call_that_is_for_no_model_says_nothing_of_one() {
        let call = |candidates: &[&str]| {
            model_call(&ModelCall {
                operation: nanoclaw_request::ModelOperation::List,
                asked: String::new(),
                candidates: candidates.iter().map(|name| (*name).to_owned()).collect(),
                stream: false,
                messages: 0,
                bytes: 2,
                digest: "ab".to_owned(),
                reserved_tokens: 7,
            })
        };
        assert_eq!(call(&[]), "list: 0 messages, 2 bytes, sha256 ab");
        assert_eq!(call(&["a/b", "c"]), "list: 0 messages, 2 bytes, sha256 ab, 7 tokens reserved, for a/b, c");
    }

    #[test]
    fn only_the_two_calls_that_ordinary_programs_try_are_ordinary() {
        let is_ordinary =
            |name: &str, detail: &str| is_ordinary(&Syscall { name: name.to_owned(), detail: detail.to_owned() });
        assert!(is_ordinary("socket", "AF_NETLINK SOCK_RAW protocol 0"));
        assert!(is_ordinary("io_uring_setup", ""));
        for (name, detail) in [
            ("socket", "AF_NETLINK SOCK_RAW protocol 12"),
            ("socket", "AF_NETLINK SOCK_RAW protocol 10"),
            ("socket", "AF_PACKET SOCK_RAW protocol 0"),
            ("socketpair", "AF_NETLINK SOCK_RAW protocol 0"),
            ("io_uring_enter", ""),
            ("mount", ""),
        ] {
            assert!(!is_ordinary(name, detail), "{name} {detail}");
        }
    }

    #[test]
    fn results_are_read_back_by_name() {
        for kind in ResultKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert_eq!(
            "deny".parse::<ResultKind>().unwrap_err().to_string(),
            "`deny` is not a result; use allowed, denied, done, failed or noted"
        );
    }
}
