//! Records that are not decisions: what came of an allowed act, and facts that nobody asked for.

use std::net::SocketAddr;

use jiff::Timestamp;
use nanoclaw_config::Label;
use nanoclaw_policy::Permit;
use nanoclaw_request::{CellId, Door, Refusal, SessionId};

use crate::model_use::{ModelUse, Screened};
use crate::record::{Record, ResultKind, Severity, control, operator_id};
use crate::text::clip;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With an exit status, 0 to 255.
    Code(i32),
    /// By a signal, by its number.
    Signal(i32),
}

/// What came of a warranted act. Leave out what does not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Why it failed; `None` when it was done.
    pub error: Option<Refusal>,
    /// How the process that was started ended.
    pub exit: Option<Exit>,
    /// Bytes from the cell to the outside.
    pub bytes_sent: Option<u64>,
    /// Bytes from the outside to the cell.
    pub bytes_received: Option<u64>,
    /// The address that was dialled.
    pub peer: Option<SocketAddr>,
    /// What a call of a model came to.
    pub model: Option<ModelUse>,
}

impl Outcome {
    /// It could not be done.
    pub fn failed(error: Refusal) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    pub(crate) fn record(self, permit: &Permit) -> Record {
        let result = if self.error.is_some() { ResultKind::Failed } else { ResultKind::Done };
        let mut record = Record::about(permit.proposal(), Timestamp::now(), result);
        if let Some(error) = &self.error {
            record.explain(error);
        }
        record.ended(self.exit);
        record.bytes_sent = self.bytes_sent;
        record.bytes_received = self.bytes_received;
        record.peer = self.peer;
        record.model = self.model;
        record
    }
}

/// A limit that a cell ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Memory and swap: the kernel killed something in the cell.
    Memory,
    /// Processes and threads.
    Pids,
    /// Bytes in a writable place.
    Disk,
    /// Wall time: the cell was ended.
    Timeout,
}

impl LimitKind {
    /// The stable name, as it stands in the log's `resource`.
    pub const fn name(self) -> &'static str {
        match self {
            LimitKind::Memory => "memory",
            LimitKind::Pids => "pids",
            LimitKind::Disk => "disk",
            LimitKind::Timeout => "timeout",
        }
    }
}

/// Something that happened without being asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The first process of a cell ended, and all others with it.
    CellExited(Exit),
    /// A cell ran into a limit.
    LimitReached {
        /// Which.
        limit: LimitKind,
        /// What is known about it, such as the bound and how often it was hit.
        detail: String,
    },
    /// Something that an auditor must know, such as a protection that this version does not enforce.
    Notice(String),
    /// What a cell has read so far has risen to this.
    LabelsRose(Label),
    /// The prompt firewall refuses a request for what a user says in it. The refusal has a record of its own.
    PromptRefused {
        /// SHA-256 of the request, in hex.
        digest: String,
        /// What was found in it.
        screened: Vec<Screened>,
    },
    /// Policy leaves something to people, and they are asked.
    Asked {
        /// The question's id.
        question: String,
        /// SHA-256 of the request that it is about, in hex.
        digest: String,
        /// What would be done, by the action's stable name.
        action: String,
        /// To what.
        resource: String,
        /// Why policy asks.
        why: String,
        /// The ids of the policies that ask.
        policies: Vec<String>,
        /// How many different people must approve.
        people: u8,
        /// Who asked the agent for what it does.
        requesters: Vec<String>,
    },
    /// Nobody waits for the answer to a question any more.
    Withdrawn {
        /// The question's id.
        question: String,
    },
    /// A person has what a cell has read forgotten.
    LabelsReset {
        /// The cell.
        cell: CellId,
        /// What it had read.
        from: Label,
    },
    /// Other policies come into force.
    PolicyReloaded {
        /// The number of their generation.
        generation: u64,
        /// SHA-256 of all that they decide by, in hex.
        digest: String,
        /// What was found when they were compared with those before.
        found: String,
    },
    /// The control plane began its work.
    ControlStarted,
    /// The control plane ended its work in order.
    ControlStopped,
    /// Somebody at a door could not be identified, so there was no proposal to refuse.
    CallerRefused {
        /// Which door.
        door: Door,
        /// The operator whom the kernel, a certificate or an account of that name points to, where there is one.
        who: Option<String>,
        /// Why.
        refusal: Refusal,
    },
    /// Somebody has shown at a door who they are, and got something to show from now on.
    SignedIn {
        /// Which door.
        door: Door,
        /// The operator.
        who: String,
        /// What they got, such as the number of a certificate.
        got: String,
    },
    /// What happened to the certificate of a cell.
    Identity {
        /// What.
        change: IdentityChange,
        /// The SPIFFE id in it.
        spiffe_id: String,
        /// Its number.
        serial: String,
        /// Until when it is valid.
        not_after: Timestamp,
    },
}

/// What can happen to the certificate of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityChange {
    /// The first one of a run.
    Issued,
    /// One that takes the place of an earlier one.
    Renewed,
    /// The cell has ended; those before it are revoked with it.
    Revoked,
}

impl IdentityChange {
    /// The stable name, as it stands in the log's `action`.
    pub const fn name(self) -> &'static str {
        match self {
            IdentityChange::Issued => "identity_issued",
            IdentityChange::Renewed => "identity_renewed",
            IdentityChange::Revoked => "identity_revoked",
        }
    }
}

/// A fact, and whom it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    about: Option<(CellId, SessionId)>,
    fact: Fact,
}

impl Note {
    /// A fact about one run of a cell.
    pub fn of_cell(cell: CellId, session: SessionId, fact: Fact) -> Self {
        Self { about: Some((cell, session)), fact }
    }

    /// A fact about NanoClaw itself.
    pub fn of_control(fact: Fact) -> Self {
        Self { about: None, fact }
    }

    /// Refused callers and prompts can be many, so these fold; other facts never do.
    pub(crate) fn is_foldable(&self) -> bool {
        matches!(self.fact, Fact::CallerRefused { .. } | Fact::PromptRefused { .. })
    }

    pub(crate) fn record(self) -> Record {
        let (agent_id, session_id) = match self.about {
            Some((cell, session)) => (cell.to_string(), Some(session)),
            None => (control(), None),
        };
        let noted = |action| Record {
            session_id,
            ..Record::new(Timestamp::now(), agent_id.clone(), action, ResultKind::Noted)
        };
        match self.fact {
            Fact::CellExited(exit) => {
                let mut record = noted("cell_exited");
                record.ended(Some(exit));
                record
            }
            Fact::LimitReached { limit, detail } => Record {
                resource: Some(limit.name().to_owned()),
                severity: Severity::Medium,
                detail: Some(clip(detail)),
                ..noted("limit_reached")
            },
            Fact::Notice(text) => Record { severity: Severity::Low, detail: Some(clip(text)), ..noted("notice") },
            Fact::LabelsRose(label) => {
                Record { detail: Some(label.to_string().replace(',', ", ")), ..noted("labels_rose") }
            }
            Fact::PromptRefused { digest, screened } => Record {
                severity: Severity::Medium,
                detail: Some(format!("sha256 {digest}")),
                model: Some(ModelUse { screened, ..ModelUse::default() }),
                ..noted("prompt_refused")
            },
            Fact::Asked { question, digest, action, resource, why, policies, people, requesters } => {
                let people = if people == 1 { "1 person".to_owned() } else { format!("{people} people") };
                let mut detail = format!("question {question}, sha256 {digest}: {action}, asks {people}: {why}");
                if !requesters.is_empty() {
                    detail.push_str(&format!("; for {}", requesters.join(", ")));
                }
                Record {
                    resource: Some(clip(resource)),
                    policy_ids: policies,
                    detail: Some(clip(detail)),
                    ..noted("approval_asked")
                }
            }
            Fact::Withdrawn { question } => {
                Record { detail: Some(format!("question {question}")), ..noted("approval_withdrawn") }
            }
            Fact::LabelsReset { cell, from } => Record {
                agent_id: cell.to_string(),
                detail: Some(format!("it had read: {}", from.to_string().replace(',', ", "))),
                ..noted("labels_reset")
            },
            Fact::PolicyReloaded { generation, digest, found } => Record {
                detail: Some(clip(format!("generation {generation}, sha256 {digest}; {found}"))),
                ..noted("policy_reloaded")
            },
            Fact::ControlStarted => noted("control_started"),
            Fact::ControlStopped => noted("control_stopped"),
            Fact::CallerRefused { door: at, who, refusal } => {
                let who = who.map_or_else(|| format!("system:{}", at.name()), |who| operator_id(&who));
                let mut record = Record {
                    door: Some(at.name()),
                    ..Record::new(Timestamp::now(), who, "sign_in", ResultKind::Denied)
                };
                record.refuse(&refusal);
                record
            }
            Fact::SignedIn { door: at, who, got } => Record {
                door: Some(at.name()),
                detail: Some(clip(got)),
                ..Record::new(Timestamp::now(), operator_id(&who), "sign_in", ResultKind::Allowed)
            },
            Fact::Identity { change, spiffe_id, serial, not_after } => Record {
                resource: Some(spiffe_id),
                detail: Some(format!("serial {serial}, until {not_after:.0}")),
                ..noted(change.name())
            },
        }
    }
}

impl Record {
    fn ended(&mut self, exit: Option<Exit>) {
        match exit {
            Some(Exit::Code(code)) => self.exit_code = Some(code),
            Some(Exit::Signal(signal)) => self.signal = Some(signal),
            None => {}
        }
    }
}
