//! What an identified caller may do. One function decides, for every door and for the launcher.
//!
//! This version is a small rule engine over the configuration: default deny, and a rule can only allow. It keeps
//! the shape that a full policy language needs, so the language can change behind [`Engine::authorise`].
#![forbid(unsafe_code)]

mod address;
mod models;
mod network;

use nanoclaw_config::{ModelAccess, NetRule};
use nanoclaw_identity::{Caller, Declined, Proposal};
use nanoclaw_request::{Action, CellId, Manage, Refusal, RefusalCode, Stage};

pub use address::{AddressClass, classify};
pub use network::Inspection;

/// The answer. It never fails: what cannot be decided is refused.
#[must_use]
#[derive(Debug)]
pub enum Verdict {
    /// Go on, once.
    Allowed(Permit),
    /// Do not.
    Refused(Declined),
}

/// Permission for one action. Only [`Engine::authorise`] makes one; it cannot be copied.
#[derive(Debug)]
pub struct Permit {
    proposal: Proposal,
    rules: Vec<String>,
}

impl Permit {
    /// What is permitted, by whom it was proposed.
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// The ids of the rules that allow it.
    pub fn rules(&self) -> &[String] {
        &self.rules
    }
}

/// The rules of one cell.
#[derive(Clone, Debug)]
pub struct Engine {
    cell: CellId,
    networks: Vec<NetRule>,
    models: Option<ModelAccess>,
}

impl Engine {
    /// The rules of `cell`: it may reach `networks` and nothing else.
    pub fn new(cell: CellId, networks: Vec<NetRule>) -> Self {
        Self { cell, networks, models: None }
    }

    /// The same, and it may ask models as `access` says.
    pub fn with_models(self, access: ModelAccess) -> Self {
        Self { models: Some(access), ..self }
    }

    /// The verdict on what a door's parser made of a request: what it could not read is refused already.
    pub fn decide(&self, proposed: Result<Proposal, Declined>) -> Verdict {
        proposed.map_or_else(Verdict::Refused, |proposal| self.authorise(proposal))
    }

    /// Decides.
    pub fn authorise(&self, proposal: Proposal) -> Verdict {
        let decision = match (proposal.caller(), proposal.action()) {
            // Identification let only the owner and root in, and to them the control socket is theirs.
            (Caller::Operator { uid }, Action::Manage(_)) => Ok(vec![format!("operator.{uid}")]),
            (Caller::Schedule { rule } | Caller::Webhook { rule }, Action::Manage(Manage::Turn { cell, .. }))
                if cell == self.cell.as_str() =>
            {
                Ok(vec![rule.clone()])
            }
            (Caller::Operator { uid }, Action::Launch(launch)) if launch.cell == self.cell => {
                Ok(vec![format!("operator.{uid}")])
            }
            (Caller::Cell { id, .. }, action) if *id == self.cell => self.of_cell(action),
            (Caller::Cell { .. } | Caller::Operator { .. } | Caller::Schedule { .. } | Caller::Webhook { .. }, _) => {
                Err(refuse(
                    RefusalCode::NotYou,
                    format!("{} is not for this caller", proposal.action().name()),
                    String::new(),
                ))
            }
        };
        match decision {
            Ok(rules) => Verdict::Allowed(Permit { proposal, rules }),
            Err(refusal) => Verdict::Refused(proposal.decline(refusal)),
        }
    }

    /// The mount that would make a path writable; nothing for places that belong to the system.
    fn mount_help(&self, path: &str) -> String {
        const SYSTEM: [&str; 10] = ["bin", "boot", "dev", "etc", "lib", "lib64", "proc", "sbin", "sys", "usr"];
        let Some((directory, _)) = path.rsplit_once('/') else { return String::new() };
        let top = directory.split('/').nth(1).unwrap_or_default();
        if top.is_empty() || SYSTEM.contains(&top) {
            return String::new();
        }
        format!(
            "to allow it, add `mounts: [{{ source: HOST_DIR, target: {directory}, mode: rw }}]` to agent {}",
            self.cell
        )
    }

    fn of_cell(&self, action: &Action) -> Result<Vec<String>, Refusal> {
        match action {
            Action::Resolve(resolve) => self.resolve(resolve),
            Action::Connect(connect) => self.connect(connect),
            Action::Http(http) => self.http(http),
            Action::Datagram(datagram) => Err(refuse(
                RefusalCode::DatagramNotAllowed,
                format!(
                    "{} to {} is not TCP, and cells speak only TCP and DNS",
                    protocol_name(datagram.protocol),
                    datagram.to
                ),
                String::new(),
            )),
            Action::FileWrite(write) => match write.obstacle {
                None => Ok(vec!["cell.writable".to_owned()]),
                // What belongs to somebody else, or asks for a set-id bit: no mount would change that.
                Some(EPERM) => Err(refuse(
                    RefusalCode::ReadOnly,
                    format!("{} of {} is not this cell's to make", write.operation, write.path),
                    String::new(),
                )),
                Some(_) => Err(refuse(
                    RefusalCode::ReadOnly,
                    format!("{} of {} is outside the places that this cell may write", write.operation, write.path),
                    self.mount_help(&write.path),
                )),
            },
            Action::Exec(exec) => match exec.obstacle {
                None => Ok(vec!["cell.executable".to_owned()]),
                Some(_) => Err(refuse(
                    RefusalCode::ExecNotAllowed,
                    format!("{} cannot be executed in this cell", exec.path),
                    "mount the program read-only, or set `sandbox_mode: standard` to run programs from writable places"
                        .to_owned(),
                )),
            },
            Action::Syscall(call) => Err(refuse(
                RefusalCode::SyscallNotAllowed,
                if call.detail.is_empty() {
                    format!("system call {} is closed to cells", call.name)
                } else {
                    format!("system call {} ({}) is closed to cells", call.name, call.detail)
                },
                String::new(),
            )),
            Action::CallModel(call) => self.call_model(call),
            Action::ToolCall(call) => self.tool_call(call),
            Action::Launch(_) | Action::Manage(_) => {
                Err(refuse(RefusalCode::NotYou, format!("a cell may not ask for {}", action.name()), String::new()))
            }
        }
    }
}

/// errno(3), the same on every Linux.
const EPERM: i32 = 1;

fn refuse(code: RefusalCode, reason: String, help: String) -> Refusal {
    Refusal { stage: Stage::Authorise, code, reason, help }
}

/// The IANA name of the protocols that programs commonly try.
fn protocol_name(protocol: u8) -> String {
    match protocol {
        1 => "ICMP".to_owned(),
        17 => "UDP".to_owned(),
        58 => "ICMPv6".to_owned(),
        132 => "SCTP".to_owned(),
        136 => "UDP-Lite".to_owned(),
        n => format!("IP protocol {n}"),
    }
}
