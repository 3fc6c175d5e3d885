//! Proof on this very host that cells hold: start one, and attack it from inside.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nanoclaw_config::{Limits, Mount, MountMode, NetRule, NetTarget, Rootfs, SandboxMode};
use nanoclaw_policy::CellRules;
use nanoclaw_request::{CellId, IdError};
use nanoclaw_sandbox::CellSpec;
use nanoclaw_sandbox::attack::{HostUser, Settings};

use crate::cell::{LaunchError, Order, host_services, launch};
use crate::plane::Plane;
use crate::say;

/// Where the attacking program stands in the cell.
const PROGRAM: &str = "/opt/attack/nanoclaw";

/// Why the proof could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The cell did not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The host's side of it could not be set up.
    #[error("cannot set up the attacked cell: {0}")]
    SetUp(#[from] io::Error),
    /// Never: the name of the cell is a constant.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// Starts a cell that runs nothing but this program's version number, to see that cells can be built here.
pub async fn trial(plane: &Plane) -> Result<(), ProofError> {
    let spec = spec("doctor-trial", vec!["/nanoclaw".to_owned(), "--version".to_owned()], Rootfs::Minimal)?;
    let null = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    let mut cell = launch(plane, Order { spec, rules: CellRules::default() }, vec![null()?, null()?, null()?]).await?;
    match cell.wait().await.status {
        0 => Ok(()),
        status => Err(io::Error::other(format!("its program ended with {status}")).into()),
    }
}

/// Attacks a cell from inside, with everything on the host that an attack would look for, and gives the reports as
/// lines of JSON, the last one a summary; and whether all of it was stopped.
pub async fn attack(plane: &Plane) -> Result<(String, bool), ProofError> {
    let bait = Bait::lay()?;
    let limited = plane.launcher.cgroups().enforced();
    let usual = Settings::default();
    let settings = Settings {
        // Without a control group no other limit than the default one can be had, and the attacks must know it.
        memory: if limited.memory { usual.memory } else { Limits::DEFAULT.memory.unwrap_or(usual.memory) },
        user: if rustix::process::geteuid().is_root() { HostUser::Root } else { HostUser::Rootless },
        host_canary: Some(bait.canary.clone()),
        host_port: Some(bait.forbidden.local_addr()?.port()),
        host_abstract: Some(bait.abstract_name.clone()),
        host_unix: Some(bait.unix.clone()),
        state_dir: Some(plane.state.directory().to_path_buf()),
        allowed: Some(bait.allowed),
        ..usual
    };
    let mut command = vec![PROGRAM.to_owned(), "attack-inside".to_owned(), "run".to_owned()];
    command.extend(settings.arguments());
    let mut spec = spec("doctor-attack", command, Rootfs::Host)?;
    spec.limits = Limits {
        memory: limited.memory.then_some(settings.memory),
        pids: u32::try_from(settings.pids).ok(),
        disk: Some(settings.tmp),
        files: u32::try_from(settings.files).ok(),
        ..Limits::default()
    };
    spec.mounts = bait.mounts();
    let networks = vec![NetRule {
        id: "doctor".to_owned(),
        text: format!("host-service:{}", bait.allowed),
        target: NetTarget::HostService { address: bait.allowed },
    }];
    spec.host_services = host_services(&networks);
    let (mut reader, writer) = io::pipe()?;
    // Not our own: an output of the host must not reach into a cell, and another user's cannot be opened there.
    let (mut errors, error_writer) = io::pipe()?;
    let copied = tokio::task::spawn_blocking(move || io::copy(&mut errors, &mut io::stderr()));
    let output = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    let stdio = vec![File::open("/dev/null")?.into(), writer.into(), error_writer.into()];
    let mut cell = launch(plane, Order { spec, rules: CellRules { networks, ..CellRules::default() } }, stdio).await?;
    let end = cell.wait().await;
    let text = output.await.map_err(io::Error::other)??;
    copied.await.map_err(io::Error::other)??;
    Ok((text, end.status == 0))
}

fn spec(name: &str, command: Vec<String>, rootfs: Rootfs) -> Result<CellSpec, ProofError> {
    Ok(CellSpec {
        id: CellId::parse(name)?,
        mode: SandboxMode::Restricted,
        command,
        rootfs,
        mounts: Vec::new(),
        env: Default::default(),
        workdir: None,
        limits: Limits::default(),
        host_services: Vec::new(),
        terminal: None,
        fittings: nanoclaw_sandbox::Fittings::default(),
    })
}

/// What an attacker would like to find on the host. Removed when dropped.
struct Bait {
    directory: PathBuf,
    canary: PathBuf,
    unix: PathBuf,
    abstract_name: String,
    allowed: SocketAddr,
    forbidden: TcpListener,
    _sockets: [UnixListener; 2],
}

impl Bait {
    fn lay() -> io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("nanoclaw-doctor-{}", std::process::id()));
        fs::create_dir(&directory)?;
        for name in ["workspace", "ro", "bin"] {
            fs::create_dir(directory.join(name))?;
        }
        fs::write(directory.join("ro/known"), "known\n")?;
        // A copy: the cell never holds a handle on the file that everything else runs from.
        let program = directory.join("bin/nanoclaw");
        fs::copy("/proc/self/exe", &program)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let canary = directory.join("canary");
        fs::write(&canary, "canary\n")?;
        let unix = directory.join("socket");
        let abstract_name = format!("nanoclaw-doctor-{}", std::process::id());
        let address =
            <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&abstract_name)?;
        let sockets = [UnixListener::bind(&unix)?, UnixListener::bind_addr(&address)?];
        let server = TcpListener::bind("127.0.0.1:0")?;
        let allowed = server.local_addr()?;
        std::thread::spawn(move || serve(&server));
        let forbidden = TcpListener::bind("127.0.0.1:0")?;
        Ok(Self { directory, canary, unix, abstract_name, allowed, forbidden, _sockets: sockets })
    }

    fn mounts(&self) -> Vec<Mount> {
        let mount =
            |name: &str, target: &str, mode| Mount { source: self.directory.join(name), target: target.into(), mode };
        let program = Path::new(PROGRAM).parent().and_then(Path::to_str).unwrap_or("/opt");
        vec![
            mount("workspace", "/workspace", MountMode::Rw),
            mount("ro", "/ro", MountMode::Ro),
            mount("bin", program, MountMode::Ro),
        ]
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            say(format_args!("`{}` is left behind: {error}", self.directory.display()));
        }
    }
}

/// The one service that the cell may reach: answers every request with 200.
fn serve(listener: &TcpListener) {
    for connection in listener.incoming() {
        let Ok(mut connection) = connection else { return };
        let mut head = [0; 4096];
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nok\n";
        let _client_left = connection.read(&mut head).and_then(|_| connection.write_all(answer)).is_err();
    }
}
