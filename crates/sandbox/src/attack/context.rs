//! Where an attack runs and what it has been told about the place.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// How strict the attacked cell is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// `sandbox_mode: restricted`
    #[default]
    Restricted,
    /// `sandbox_mode: standard`
    Standard,
}

/// Who runs NanoClaw on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostUser {
    /// root
    #[default]
    Root,
    /// Any other user.
    Rootless,
}

/// What the side that starts the cell tells the side that attacks it. Each optional value arms some attacks; those
/// without theirs are reported as not applicable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How strict the cell is.
    pub mode: Mode,
    /// Who started it.
    pub user: HostUser,
    /// Its limit on processes.
    pub pids: u64,
    /// Its limit on memory, in bytes.
    pub memory: u64,
    /// The size of its `/tmp`, in bytes.
    pub tmp: u64,
    /// Its limit on open files of one process.
    pub files: u64,
    /// A host file that the host user can read and that is not mounted.
    pub host_canary: Option<PathBuf>,
    /// A TCP port of the host's loopback, listening, that no rule allows.
    pub host_port: Option<u16>,
    /// An abstract unix socket of the host, listening; without the leading NUL.
    pub host_abstract: Option<String>,
    /// A pathname unix socket of the host, listening.
    pub host_unix: Option<PathBuf>,
    /// NanoClaw's state directory on the host.
    pub state_dir: Option<PathBuf>,
    /// A text that stands in the environment of the `nanoclaw` that started the cell.
    pub secret: Option<String>,
    /// An HTTP server on the host's loopback that a `host-service` rule allows.
    pub allowed: Option<SocketAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            user: HostUser::default(),
            pids: 64,
            memory: 128 << 20,
            tmp: 4 << 20,
            files: 256,
            host_canary: None,
            host_port: None,
            host_abstract: None,
            host_unix: None,
            state_dir: None,
            secret: None,
            allowed: None,
        }
    }
}

/// A setting that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// There is no such option.
    #[error("unknown option `{0}`")]
    Unknown(String),
    /// The option has no value.
    #[error("option `{0}` needs a value")]
    NoValue(String),
    /// The value cannot be read.
    #[error("`{value}` is not a value of option `{option}`")]
    Value {
        /// The option, with its dashes.
        option: String,
        /// What was given.
        value: String,
    },
}

impl Settings {
    /// The options that make [`Settings::parse`] give these settings again.
    pub fn arguments(&self) -> Vec<String> {
        let mode = match self.mode {
            Mode::Restricted => "restricted",
            Mode::Standard => "standard",
        };
        let user = match self.user {
            HostUser::Root => "root",
            HostUser::Rootless => "rootless",
        };
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let options = [
            ("--mode", Some(mode.to_owned())),
            ("--user", Some(user.to_owned())),
            ("--pids", Some(self.pids.to_string())),
            ("--memory", Some(self.memory.to_string())),
            ("--tmp", Some(self.tmp.to_string())),
            ("--files", Some(self.files.to_string())),
            ("--host-canary", self.host_canary.as_ref().map(path)),
            ("--host-port", self.host_port.map(|port| port.to_string())),
            ("--host-abstract", self.host_abstract.clone()),
            ("--host-unix", self.host_unix.as_ref().map(path)),
            ("--state-dir", self.state_dir.as_ref().map(path)),
            ("--secret", self.secret.clone()),
            ("--allowed", self.allowed.map(|address| address.to_string())),
        ];
        options.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?])).flatten().collect()
    }

    /// Reads options; what does not begin with `--` comes back as the names of attacks.
    ///
    /// # Errors
    /// An unknown option, a missing value, a value of the wrong form.
    pub fn parse(arguments: &[String]) -> Result<(Self, Vec<String>), SettingsError> {
        let mut settings = Self::default();
        let mut names = Vec::new();
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            if !option.starts_with("--") {
                names.push(option.clone());
                continue;
            }
            let value = rest.next().ok_or_else(|| SettingsError::NoValue(option.clone()))?;
            settings.set(option, value)?;
        }
        Ok((settings, names))
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), SettingsError> {
        let wrong = || SettingsError::Value { option: option.to_owned(), value: value.to_owned() };
        let number = || value.parse::<u64>().map_err(|_| wrong());
        match option {
            "--mode" => {
                self.mode = match value {
                    "restricted" => Mode::Restricted,
                    "standard" => Mode::Standard,
                    _ => return Err(wrong()),
                }
            }
            "--user" => {
                self.user = match value {
                    "root" => HostUser::Root,
                    "rootless" => HostUser::Rootless,
                    _ => return Err(wrong()),
                }
            }
            "--pids" => self.pids = number()?,
            "--memory" => self.memory = number()?,
            "--tmp" => self.tmp = number()?,
            "--files" => self.files = number()?,
            "--host-canary" => self.host_canary = Some(value.into()),
            "--host-port" => self.host_port = Some(value.parse().map_err(|_| wrong())?),
            "--host-abstract" => self.host_abstract = Some(value.to_owned()),
            "--host-unix" => self.host_unix = Some(value.into()),
            "--state-dir" => self.state_dir = Some(value.into()),
            "--secret" => self.secret = Some(value.to_owned()),
            "--allowed" => self.allowed = Some(value.parse().map_err(|_| wrong())?),
            _ => return Err(SettingsError::Unknown(option.to_owned())),
        }
        Ok(())
    }
}

/// What an attack works with.
#[derive(Debug)]
pub struct Context {
    /// What was said about the cell.
    pub settings: Settings,
    /// A read-only mount (outside: a plain directory) that holds `known`.
    pub ro: PathBuf,
    /// A writable mount.
    pub workspace: PathBuf,
    /// The private temporary directory.
    pub tmp: PathBuf,
    /// Descriptors that were open when the program started, besides 0, 1 and 2: number and what it refers to.
    pub inherited: Vec<(i32, String)>,
}

impl Context {
    /// The cell's own places.
    pub fn inside(settings: Settings) -> Self {
        let [ro, workspace, tmp] = ["/ro", "/workspace", "/tmp"].map(PathBuf::from);
        Self { settings, ro, workspace, tmp, inherited: inherited() }
    }

    /// Three fresh directories under `base`, which stand for the cell's places in an outside control.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn outside(settings: Settings, base: &std::path::Path) -> std::io::Result<Self> {
        let place = |name: &str| {
            let place = base.join(name);
            std::fs::create_dir_all(&place).map(|()| place)
        };
        let context = Self {
            settings,
            ro: place("ro")?,
            workspace: place("workspace")?,
            tmp: place("tmp")?,
            inherited: inherited(),
        };
        std::fs::write(context.known(), b"known\n")?;
        Ok(context)
    }

    /// The file on the read-only mount; it belongs to this user.
    pub fn known(&self) -> PathBuf {
        self.ro.join("known")
    }

    /// A name in the workspace that no other attack uses.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.workspace.join(format!(".attack-{name}-{}", std::process::id()))
    }

    /// A name in the temporary directory that no other attack uses.
    pub fn scratch_tmp(&self, name: &str) -> PathBuf {
        self.tmp.join(format!(".attack-{name}-{}", std::process::id()))
    }
}

/// `path` for a raw system call. A path with a NUL byte comes back empty, which the kernel refuses with `ENOENT`.
pub(super) fn c_path(path: impl Into<OsString>) -> std::ffi::CString {
    std::ffi::CString::new(path.into().into_vec()).unwrap_or_default()
}

pub(super) fn inherited() -> Vec<(i32, String)> {
    let Ok(listing) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let numbers: Vec<i32> = listing.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // The listing's own descriptor is closed by now, so its link is gone.
    let open = numbers.into_iter().filter(|number| *number > 2);
    open.filter_map(|number| {
        let target = std::fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
        Some((number, target.to_string_lossy().into_owned()))
    })
    .collect()
}
