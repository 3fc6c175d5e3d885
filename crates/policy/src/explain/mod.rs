//! Why something was not permitted, and the smallest change that would permit it.
//!
//! Cedar has decided when these are asked, and only says which policies did; that no policy permits something, and which
//! came nearest, must be found here. Nothing here permits anything.

mod models;
pub(crate) mod network;

use nanoclaw_config::{ModelAccess, NetRule};
use nanoclaw_request::{Action, CellId, Exec, FileWrite, Refusal, RefusalCode};

use crate::refuse;

/// The configuration's rules about one agent.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) cell: CellId,
    pub(crate) networks: Vec<NetRule>,
    pub(crate) models: Option<ModelAccess>,
}

/// errno(3), the same on every Linux.
const EPERM: i32 = 1;

impl Rules {
    /// The agent's group.
    pub(crate) fn group(&self) -> Option<&str> {
        self.models.as_ref()?.group.as_deref()
    }

    /// Why no policy permits `action` of the agent itself.
    pub(crate) fn explain(&self, action: &Action) -> Refusal {
        let found = match action {
            Action::Resolve(resolve) => self.resolve(resolve),
            Action::Connect(connect) => self.connect(connect),
            Action::Http(http) => self.http(http),
            Action::Datagram(datagram) => Some(refuse(
                RefusalCode::DatagramNotAllowed,
                format!(
                    "{} to {} is not TCP, and cells speak only TCP and DNS",
                    protocol_name(datagram.protocol),
                    datagram.to
                ),
                String::new(),
            )),
            Action::FileWrite(write) => Some(self.file_write(write)),
            Action::Exec(exec) => Some(cannot_run(exec)),
            Action::Syscall(call) => Some(refuse(
                RefusalCode::SyscallNotAllowed,
                if call.detail.is_empty() {
                    format!("system call {} is closed to cells", call.name)
                } else {
                    format!("system call {} ({}) is closed to cells", call.name, call.detail)
                },
                String::new(),
            )),
            Action::CallModel(call) => Some(self.call_model(call)),
            Action::ToolCall(call) => Some(self.tool_call(call)),
            Action::Launch(_) | Action::Manage(_) | Action::Approve(_) | Action::AuditRead(_) => {
                Some(refuse(RefusalCode::NotYou, format!("a cell may not ask for {}", action.name()), String::new()))
            }
        };
        found.unwrap_or_else(|| refuse(code(action), "no policy permits it".to_owned(), String::new()))
    }

    /// Why `action` is not done though the configuration would permit it.
    pub(crate) fn forbidden(&self, action: &Action, what: &str, policies: &[String]) -> Refusal {
        refuse(code(action), format!("{what} is denied by {}", policies.join(", ")), String::new())
    }

    fn file_write(&self, write: &FileWrite) -> Refusal {
        // What belongs to somebody else, or asks for a set-id bit: no mount would change that.
        if write.obstacle == Some(EPERM) {
            return refuse(
                RefusalCode::ReadOnly,
                format!("{} of {} is not this cell's to make", write.operation, write.path),
                String::new(),
            );
        }
        refuse(
            RefusalCode::ReadOnly,
            format!("{} of {} is outside the places that this cell may write", write.operation, write.path),
            self.mount_help(&write.path),
        )
    }

    /// The mount that would make a path writable; nothing for places that belong to the system.
    fn mount_help(&self, path: &str) -> String {
        const SYSTEM: [&str; 10] = ["bin", "boot", "dev", "etc", "lib", "lib64", "proc", "sbin", "sys", "usr"];
        let Some((directory, _)) = path.rsplit_once('/') else { return String::new() };
        let top = directory.split('/').nth(1).unwrap_or_default();
        if top.is_empty() || SYSTEM.contains(&top) || !is_plain(directory) {
            return String::new();
        }
        format!(
            "to allow it, add `mounts: [{{ source: HOST_DIR, target: {directory}, mode: rw }}]` to agent {}",
            self.cell
        )
    }
}

/// Longest name in bytes that a rule is proposed for.
const LONGEST_NAME: usize = 128;

/// Whether a name that an agent made up can stand in a proposed rule, where it means itself and nothing else.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+".contains(c);
    !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(plain)
}

fn cannot_run(exec: &Exec) -> Refusal {
    refuse(
        RefusalCode::ExecNotAllowed,
        format!("{} cannot be executed in this cell", exec.path),
        "mount the program read-only, or set `sandbox_mode: standard` to run programs from writable places".to_owned(),
    )
}

/// The code of a refusal that has no better one.
const fn code(action: &Action) -> RefusalCode {
    match action {
        Action::Resolve(_) | Action::Connect(_) | Action::Http(_) => RefusalCode::HostNotAllowed,
        Action::Datagram(_) => RefusalCode::DatagramNotAllowed,
        Action::FileWrite(_) => RefusalCode::ReadOnly,
        Action::Exec(_) => RefusalCode::ExecNotAllowed,
        Action::Syscall(_) => RefusalCode::SyscallNotAllowed,
        Action::CallModel(_) => RefusalCode::ModelNotAllowed,
        Action::ToolCall(_) => RefusalCode::ToolNotAllowed,
        Action::Launch(_) | Action::Manage(_) | Action::Approve(_) | Action::AuditRead(_) => RefusalCode::NotYou,
    }
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
