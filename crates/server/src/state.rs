//! Where NanoClaw keeps its state, private to the user.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags};

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is no home to put it in.
    #[error(
        "no place for NanoClaw's state: neither `--state-dir`, NANOCLAW_STATE_DIR, XDG_STATE_HOME nor HOME is set; set one of them"
    )]
    NoPlace,
    /// It cannot be made or opened.
    #[error("state directory `{path}`: {source}; choose another with `--state-dir DIR` or NANOCLAW_STATE_DIR")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may get at it.
    #[error("state directory `{0}` is open to other users; `chmod 700` it, or choose another with `--state-dir DIR`")]
    Open(PathBuf),
    /// It is somebody else's.
    #[error(
        "state directory `{0}` belongs to another user; run `nanoclaw` as that user, or choose another with `--state-dir DIR`"
    )]
    Foreign(PathBuf),
    /// Another control plane runs a fleet from it.
    #[error(
        "a fleet is already running from state directory `{0}`; `nanoclaw down` ends it, `--state-dir DIR` starts another beside it"
    )]
    FleetRunning(PathBuf),
}

/// The state directory.
#[derive(Clone, Debug)]
pub struct State {
    directory: PathBuf,
}

/// Held by the one control plane that runs a fleet from a state directory.
#[derive(Debug)]
pub struct FleetLock {
    _file: OwnedFd,
}

impl State {
    /// Finds the directory (`chosen`, else NANOCLAW_STATE_DIR, else `/var/lib/nanoclaw` as root, else
    /// `$XDG_STATE_HOME/nanoclaw`, else `~/.local/state/nanoclaw`) and makes it, mode 0700.
    pub fn open(chosen: Option<&Path>) -> Result<Self, StateError> {
        let directory = Self::place(chosen).ok_or(StateError::NoPlace)?;
        let unusable = |source: std::io::Error| StateError::Unusable { path: directory.clone(), source };
        if let Some(above) = directory.parent() {
            std::fs::create_dir_all(above).map_err(unusable)?;
        }
        match rustix::fs::mkdir(&directory, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(unusable(error.into())),
        }
        let user = rustix::process::geteuid();
        Self::private(&directory, |owner| owner == user.as_raw())
    }

    /// The same directory, to steer the fleet that runs from it or to read what it left: it is not made, so that nothing
    /// may be there, and root may do so with any user's.
    ///
    /// # Errors
    /// Others may get at it.
    pub fn of_fleet(chosen: Option<&Path>) -> Result<Self, StateError> {
        let directory = Self::place(chosen).ok_or(StateError::NoPlace)?;
        if let Err(error) = std::fs::metadata(&directory)
            && error.kind() == std::io::ErrorKind::NotFound
        {
            return Ok(Self { directory });
        }
        let user = rustix::process::geteuid();
        Self::private(&directory, |owner| owner == user.as_raw() || user.is_root())
    }

    fn private(directory: &Path, mine: impl FnOnce(u32) -> bool) -> Result<Self, StateError> {
        let unusable = |source: std::io::Error| StateError::Unusable { path: directory.to_path_buf(), source };
        let directory = directory.canonicalize().map_err(unusable)?;
        let stat = rustix::fs::stat(&directory).map_err(|error| unusable(error.into()))?;
        if !mine(stat.st_uid) {
            Err(StateError::Foreign(directory))
        } else if stat.st_mode & 0o077 != 0 {
            Err(StateError::Open(directory))
        } else {
            Ok(Self { directory })
        }
    }

    fn place(chosen: Option<&Path>) -> Option<PathBuf> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let chosen = chosen.map(Path::to_path_buf).or_else(|| variable("NANOCLAW_STATE_DIR"));
        if let Some(chosen) = chosen {
            return std::path::absolute(chosen).ok();
        }
        if rustix::process::geteuid().is_root() {
            return Some(PathBuf::from("/var/lib/nanoclaw"));
        }
        variable("XDG_STATE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
            .map(|base| base.join("nanoclaw"))
    }

    /// The directory itself.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the keys lie that the audit log is signed with.
    pub fn audit_key(&self) -> PathBuf {
        self.directory.join("keys/audit")
    }

    /// Where the audit log lies.
    pub fn audit(&self) -> PathBuf {
        self.directory.join("audit")
    }

    /// The socket through which a running fleet is steered.
    pub fn control_socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// The socket on which the API of a running fleet is served.
    pub fn api_socket(&self) -> PathBuf {
        self.directory.join("api.sock")
    }

    /// What agents have read, a file for each; the directory is made.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn labels(&self) -> std::io::Result<PathBuf> {
        let directory = self.directory.join("labels");
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// How far each sink of the audit log has come, a directory for each.
    pub fn sinks(&self) -> PathBuf {
        self.directory.join("sinks")
    }

    /// The output of an agent.
    pub fn log(&self, agent: &str) -> PathBuf {
        self.directory.join("logs").join(format!("{agent}.log"))
    }

    /// What belongs to an agent and outlives its cells.
    pub fn agent(&self, agent: &str) -> PathBuf {
        self.directory.join("agents").join(agent)
    }

    /// What every cell of a fleet may see.
    pub(crate) fn inside(&self) -> PathBuf {
        self.directory.join("inside")
    }

    /// The copy of this program that cells run.
    pub(crate) fn program(&self) -> PathBuf {
        self.inside().join("nanoclaw")
    }

    /// Where the use of budgets is kept.
    pub fn budgets(&self) -> PathBuf {
        self.directory.join("budgets")
    }

    /// Where bodies of model calls are kept, if they are.
    pub fn bodies(&self) -> PathBuf {
        self.directory.join("bodies")
    }

    /// Claims the directory for one fleet. The kernel releases the claim when this process ends, however it ends.
    pub fn lock_fleet(&self) -> Result<FleetLock, StateError> {
        let unusable =
            |error: rustix::io::Errno| StateError::Unusable { path: self.directory.clone(), source: error.into() };
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(CWD, self.directory.join("fleet.lock"), flags, Mode::RUSR | Mode::WUSR)
            .map_err(unusable)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(FleetLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StateError::FleetRunning(self.directory.clone())),
            Err(error) => Err(unusable(error)),
        }
    }
}
