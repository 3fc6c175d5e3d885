//! The launcher: a single-threaded process of its own, forked before anything else starts, that clones cells.
//!
//! clone(2) in a threaded process leaves the child with locks that nobody will release, so the process that clones
//! has one thread for its whole life. It keeps what needs privilege (id maps, id-mapped mounts, control groups),
//! reaps the cells' inits, and cleans up. When the control plane is gone, it ends every cell and itself.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags};
use serde::{Deserialize, Serialize};

use crate::cgroup::{Cgroup, Support, Usage};
use crate::error::{Step, StepError};
use crate::init::Init;
use crate::plan::{BindKind, CELL_ID, LaunchPlan, RootStep};
use crate::sys::{self, Fork};
use crate::{cgroup, source, wire};

/// What the control plane asks of the launcher. Cells are numbered by the control plane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToLauncher {
    /// Start cell `n`; the [`LaunchPlan`] is beside it in a memory file.
    Launch { n: u64 },
    /// Tell what cell `n` has used.
    Usage { n: u64 },
    /// End cell `n` at once.
    Kill { n: u64 },
}

/// What the launcher answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromLauncher {
    /// Cell `n` exists; its control socket is beside it.
    Launched { n: u64, pid: i32, host_id: (u32, u32) },
    /// Cell `n` does not.
    Failed { n: u64, error: StepError },
    /// What cell `n` has used so far.
    Usage { n: u64, usage: Usage },
    /// Cell `n` is gone, every process of it.
    Gone { n: u64, status: i32, usage: Usage },
}

/// What the launcher is told once, at the fork.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) state_dir: PathBuf,
    pub(crate) cgroups: Support,
    pub(crate) privileged: bool,
}

/// Most cells of one launcher at a time.
const CELLS: u32 = 256;

struct Running {
    n: u64,
    host_id: u32,
    cgroup: Option<Cgroup>,
}

pub(crate) struct Launcher {
    plane: OwnedFd,
    settings: Settings,
    running: HashMap<i32, Running>,
    launched: u32,
    /// The number of our pid namespace, in which alone our pid means something.
    pid_namespace: u64,
}

impl Launcher {
    /// Serves the control plane until it closes the socket.
    pub(crate) fn run(plane: OwnedFd, settings: Settings) -> ! {
        let pid_namespace = rustix::fs::stat("/proc/self/ns/pid").map_or(0, |stat| stat.st_ino);
        let mut launcher = Self { plane, settings, running: HashMap::new(), launched: 0, pid_namespace };
        let status = i32::from(launcher.serve().is_err());
        launcher.end_all();
        sys::exit_now(status)
    }

    fn serve(&mut self) -> io::Result<()> {
        rustix::thread::set_name(c"nanoclaw-launch")?;
        // Cells are copies of this process, and what operators keep in their environment is nothing for a cell's memory.
        sys::erase_environment();
        // A session of its own: a Ctrl-C at the terminal is for the control plane to handle.
        rustix::process::setsid()?;
        let null = rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())?;
        for number in 0..3 {
            sys::put_on(&null, number)?;
        }
        if self.settings.privileged {
            rustix::thread::set_thread_groups(&[])?;
        }
        sys::set_signal_mask(&[libc::SIGCHLD], libc::SIG_BLOCK);
        let signals = sys::signal_descriptor(&[libc::SIGCHLD])?;
        let mut swept = false;
        loop {
            let mut polled = [PollFd::new(&self.plane, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut polled, None))?;
            let [plane_ready, child_ended] = polled.map(|fd| !fd.revents().is_empty());
            if child_ended {
                let mut drained = [0; 128];
                while rustix::io::read(&signals, &mut drained).is_ok_and(|n| n > 0) {}
                self.reap()?;
            }
            if plane_ready {
                match wire::receive(&self.plane)? {
                    Some((request, fds)) => self.answer(request, fds)?,
                    None => return Ok(()),
                }
                // Only now, so that no cell waits for it.
                if !std::mem::replace(&mut swept, true) {
                    self.sweep();
                }
            }
        }
    }

    fn answer(&mut self, request: ToLauncher, fds: Vec<OwnedFd>) -> io::Result<()> {
        match request {
            ToLauncher::Launch { n } => match self.launch(n, fds) {
                Ok((pid, host_id, control)) => {
                    wire::send(&self.plane, &FromLauncher::Launched { n, pid, host_id }, &[control.as_fd()])
                }
                Err(error) => wire::send(&self.plane, &FromLauncher::Failed { n, error }, &[]),
            },
            ToLauncher::Usage { n } => {
                let usage = self.running.values().find(|cell| cell.n == n).map(usage).unwrap_or_default();
                wire::send(&self.plane, &FromLauncher::Usage { n, usage }, &[])
            }
            ToLauncher::Kill { n } => {
                for (pid, cell) in self.running.iter().filter(|(_, cell)| cell.n == n) {
                    end(*pid, cell);
                }
                Ok(())
            }
        }
    }

    fn launch(&mut self, n: u64, fds: Vec<OwnedFd>) -> Result<(i32, (u32, u32), OwnedFd), StepError> {
        let memory = fds.into_iter().next().ok_or_else(|| StepError::new("read the plan", "there is none", ""))?;
        let plan: LaunchPlan = wire::from_memory(memory).step("read the plan")?;
        let host_id = self.host_id()?;
        let mounts = if self.settings.privileged { self.open_mounts(&plan, host_id)? } else { HashMap::new() };
        let cgroup = self.cgroup(&plan)?;
        let (control, init_control) = wire::pair().step("make the control socket")?;
        let (go, release) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).step("make a pipe")?;
        let namespaces = libc::CLONE_NEWUSER
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS;
        let entrance =
            cgroup.as_ref().map(Cgroup::entrance).transpose().step("enter the control group")?.unwrap_or_default();
        let unified = entrance.unified.as_ref().map(AsFd::as_fd);
        let fork = sys::clone3(namespaces as u64, unified).step_help(
            "make the namespaces",
            "this host must allow user namespaces (sysctl user.max_user_namespaces; kernel.unprivileged_userns_clone on Debian)",
        )?;
        match fork {
            Fork::Child => {
                drop(control);
                drop(release);
                let (state_dir, privileged) = (self.settings.state_dir.clone(), self.settings.privileged);
                Init {
                    plan: &plan,
                    control: init_control,
                    go,
                    groups: entrance.tasks,
                    mounts,
                    state_dir: &state_dir,
                    privileged,
                }
                .run()
            }
            Fork::Parent(pid) => {
                drop(init_control);
                let ids = if self.settings.privileged {
                    (host_id, host_id)
                } else {
                    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
                };
                let ready = write_id_maps(pid, ids, self.settings.privileged);
                let ready = ready.and_then(|()| rustix::io::write(&release, b"g").map(drop).step("release the cell"));
                let cell = Running { n, host_id, cgroup };
                match ready {
                    Ok(()) => {
                        self.running.insert(pid, cell);
                        Ok((pid, ids, control))
                    }
                    Err(error) => {
                        end(pid, &cell);
                        sys::wait_for(pid);
                        remove(cell);
                        Err(error)
                    }
                }
            }
        }
    }

    /// A host uid and gid that no other living cell has: no two processes of a host have one pid, and a launcher hands
    /// out 256 numbers, one to each living cell. They lie between 2^30 and 2^31, where no account is. Launchers in
    /// different pid namespaces of one host may choose alike; what keeps their cells apart then is all else.
    fn host_id(&mut self) -> Result<u32, StepError> {
        let own = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs() & 0x3f_ffff;
        for _ in 0..CELLS {
            self.launched = self.launched.wrapping_add(1);
            let id = 0x4000_0000 + own * CELLS + self.launched % CELLS;
            if self.running.values().all(|cell| cell.host_id != id) {
                return Ok(id);
            }
        }
        Err(StepError::new("choose a user for the cell", format!("{CELLS} cells are running"), "stop some first"))
    }

    fn open_mounts(&self, plan: &LaunchPlan, host_id: u32) -> Result<HashMap<usize, OwnedFd>, StepError> {
        let mut maps: HashMap<(u32, u32), OwnedFd> = HashMap::new();
        let mut mounts = HashMap::new();
        for (at, step) in plan.root.iter().enumerate() {
            let RootStep::Bind(bind) = step else { continue };
            let mount = source::open(bind, Some(&self.settings.state_dir), |uid, gid| {
                if !matches!(bind.kind, BindKind::Asked | BindKind::Own) {
                    return Ok(None);
                }
                let map = match maps.entry((uid, gid)) {
                    std::collections::hash_map::Entry::Occupied(found) => found.into_mut(),
                    std::collections::hash_map::Entry::Vacant(free) => free.insert(id_map(uid, gid, host_id)?),
                };
                map.try_clone().map(Some).step("share an id map")
            })?;
            mounts.insert(at, mount);
        }
        Ok(mounts)
    }

    fn cgroup(&self, plan: &LaunchPlan) -> Result<Option<Cgroup>, StepError> {
        if matches!(self.settings.cgroups, Support::None { .. }) {
            return Ok(None);
        }
        let pid = rustix::process::getpid().as_raw_nonzero();
        let name = format!("{}-{}-{pid}-{}", plan.id, self.pid_namespace, self.launched);
        Cgroup::create(&self.settings.cgroups, &name, &plan.cgroup).map(Some).step("make the control group")
    }

    /// Removes the control groups that launchers which were killed have left behind.
    fn sweep(&self) {
        let alive = |name: &str| {
            let mut parts = name.rsplit('-').skip(1);
            let launcher = parts.next().unwrap_or_default();
            // Of launchers in other pid namespaces nothing can be known here.
            let foreign = parts.next() != Some(self.pid_namespace.to_string().as_str());
            foreign || std::path::Path::new("/proc").join(launcher).exists()
        };
        // What cannot be removed is tried again by the next launcher.
        let _left = cgroup::sweep(&self.settings.cgroups, alive).is_err();
    }

    fn reap(&mut self) -> io::Result<()> {
        while let Some(reaped) = sys::reap() {
            let Some(cell) = self.running.remove(&reaped.pid) else { continue };
            let gone = FromLauncher::Gone { n: cell.n, status: reaped.status, usage: usage(&cell) };
            wire::send(&self.plane, &gone, &[])?;
            remove(cell);
        }
        Ok(())
    }

    fn end_all(&mut self) {
        for (pid, cell) in &self.running {
            end(*pid, cell);
        }
        for (pid, cell) in self.running.drain() {
            sys::wait_for(pid);
            remove(cell);
        }
    }
}

/// Kills a cell's init, and with it, by the kernel, everything in its pid namespace.
fn end(pid: i32, cell: &Running) {
    // ESRCH: it has ended already and is about to be reaped.
    let _ended_already = sys::kill(pid, libc::SIGKILL).is_err();
    if let Some(cgroup) = &cell.cgroup {
        let _empty = cgroup.kill_all().is_err();
    }
}

fn usage(cell: &Running) -> Usage {
    cell.cgroup.as_ref().map(Cgroup::usage).unwrap_or_default()
}

fn remove(cell: Running) {
    if let Some(cgroup) = cell.cgroup {
        // What cannot be removed now is swept at the next start.
        let _swept_later = cgroup.remove().is_err();
    }
}

/// Maps uid and gid 1000 of a cell to `ids`. An unprivileged user may map only itself, and only when the cell can never
/// change its groups.
fn write_id_maps(pid: i32, (uid, gid): (u32, u32), privileged: bool) -> Result<(), StepError> {
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/{pid}/{file}"), text).step_help(
            format!("write {file} of the cell"),
            "as root, NanoClaw needs CAP_SETUID and CAP_SETGID and the whole uid range",
        )
    };
    if !privileged {
        write("setgroups", "deny".to_owned())?;
    }
    write("uid_map", format!("{CELL_ID} {uid} 1"))?;
    write("gid_map", format!("{CELL_ID} {gid} 1"))
}

/// A user namespace that maps one owner on disk to the cell's user, for an id-mapped mount (mount_setattr(2)).
fn id_map(uid: u32, gid: u32, host_id: u32) -> Result<OwnedFd, StepError> {
    let step = "make an id map";
    let (keep, hold) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).step(step)?;
    match sys::clone3(libc::CLONE_NEWUSER as u64, None).step(step)? {
        Fork::Child => {
            drop(hold);
            // Lives until the maps are written; a namespace that a descriptor holds lives on.
            let _closed = rustix::io::read(&keep, &mut [0; 1]).is_err();
            sys::exit_now(0)
        }
        Fork::Parent(pid) => {
            let made = fs::write(format!("/proc/{pid}/uid_map"), format!("{uid} {host_id} 1"))
                .and_then(|()| fs::write(format!("/proc/{pid}/gid_map"), format!("{gid} {host_id} 1")))
                .and_then(|()| fs::File::open(format!("/proc/{pid}/ns/user")))
                .step(step);
            drop(hold);
            sys::wait_for(pid);
            made.map(OwnedFd::from)
        }
    }
}
