//! Starting a program from a cell's init.
//!
//! posix_spawn(3) borrows init's memory until the program runs, so that nothing of it is copied and torn down again,
//! which is most of what fork(2) would cost here.

use std::ffi::{CString, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use crate::plan::Program;
use crate::sys;

/// Where the program's standard descriptors come from.
pub(crate) enum Stdio {
    /// These, for 0, 1 and 2.
    Given(Vec<OwnedFd>),
    /// A terminal of the cell, which becomes the program's controlling terminal; error may go elsewhere.
    Terminal { path: CString, peer: OwnedFd, error: Option<OwnedFd> },
}

/// Runs a program in a session of its own, with default signals, and gives its pid. A name without `/` is looked for
/// in the program's own PATH, as execvp(3) does, but without trying names that are not there: each try is recorded.
pub(crate) fn spawn(program: &Program, stdio: &Stdio) -> io::Result<i32> {
    sys::close_on_exec_from(3)?;
    // The one way to this error, so that the caller can tell the directory from the program.
    if !program.workdir.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
    }
    let actions = Actions::new(stdio, program)?;
    let attributes = Attributes::new()?;
    let arguments = Strings::new(&program.command)?;
    let environment = Strings::new(program.env.iter().map(|(key, value)| format!("{key}={value}")))?;
    let name = program.command.first().map(String::as_str).unwrap_or_default();
    let directories: Vec<&str> = if name.contains('/') {
        vec![""]
    } else {
        program.env.get("PATH").map_or("/usr/bin:/bin", String::as_str).split(':').collect()
    };
    let mut error = io::Error::from_raw_os_error(libc::ENOENT);
    for directory in directories {
        let path = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        // A relative path counts from the program's directory.
        if name.is_empty() || !program.workdir.join(Path::new(&path)).exists() {
            continue;
        }
        let path = c_string(&path)?;
        let mut pid = 0;
        // SAFETY: all pointers are to initialised objects that outlive the call; both arrays end with NULL.
        let failure = unsafe {
            libc::posix_spawn(
                &raw mut pid,
                path.as_ptr(),
                actions.0.as_ptr(),
                attributes.0.as_ptr(),
                arguments.pointers.as_ptr().cast::<*mut c_char>(),
                environment.pointers.as_ptr().cast::<*mut c_char>(),
            )
        };
        match failure {
            0 => return Ok(pid),
            libc::ENOENT | libc::ENOTDIR | libc::EACCES => error = io::Error::from_raw_os_error(failure),
            _ => return Err(io::Error::from_raw_os_error(failure)),
        }
    }
    Err(error)
}

fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

struct Actions(MaybeUninit<libc::posix_spawn_file_actions_t>);

impl Actions {
    fn new(stdio: &Stdio, program: &Program) -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: initialises the object, which `Drop` destroys.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        let mut actions = Self(actions);
        match stdio {
            Stdio::Given(descriptors) => {
                let [input, output, error] = descriptors.as_slice() else {
                    return Err(io::Error::from_raw_os_error(libc::EBADF));
                };
                for (from, to) in [(input, 0), (output, 1), (error, 2)] {
                    actions.duplicate(from.as_raw_fd(), to)?;
                }
            }
            Stdio::Terminal { path, peer, error } => {
                // The first terminal that a session leader opens for reading becomes its controlling terminal (tty(4)).
                // Only for reading: to open for writing is for the control plane to decide, which cannot look into
                // this process where it has no privilege itself.
                // SAFETY: the object is initialised, the path is NUL-terminated and copied by the call.
                check(unsafe {
                    libc::posix_spawn_file_actions_addopen(actions.0.as_mut_ptr(), 0, path.as_ptr(), libc::O_RDONLY, 0)
                })?;
                for (from, to) in [(peer, 0), (peer, 1), (error.as_ref().unwrap_or(peer), 2)] {
                    actions.duplicate(from.as_raw_fd(), to)?;
                }
            }
        }
        let directory = c_string(&program.workdir.to_string_lossy())?;
        // SAFETY: as above.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(actions.0.as_mut_ptr(), directory.as_ptr()) })?;
        Ok(actions)
    }

    fn duplicate(&mut self, from: i32, to: i32) -> io::Result<()> {
        // SAFETY: the object is initialised; the numbers are checked when the program starts.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(self.0.as_mut_ptr(), from, to) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(self.0.as_mut_ptr()) };
    }
}

struct Attributes(MaybeUninit<libc::posix_spawnattr_t>);

impl Attributes {
    /// A new session, no signal blocked, every signal at its default.
    fn new() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: initialises the object, which `Drop` destroys.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        let mut attributes = Self(attributes);
        let flags = i32::from(libc::POSIX_SPAWN_SETSID) | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        // SAFETY: the object is initialised; the signal sets are initialised before use and copied by the calls.
        unsafe {
            let mut set = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            check(libc::posix_spawnattr_setsigmask(attributes.0.as_mut_ptr(), set.as_ptr()))?;
            libc::sigfillset(set.as_mut_ptr());
            check(libc::posix_spawnattr_setsigdefault(attributes.0.as_mut_ptr(), set.as_ptr()))?;
            check(libc::posix_spawnattr_setflags(attributes.0.as_mut_ptr(), flags as libc::c_short))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised by `new`, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(self.0.as_mut_ptr()) };
    }
}

/// A NULL-terminated array of C strings, as execve(2) wants it.
struct Strings {
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Strings {
    /// Copies `strings`; an error where one holds a NUL byte.
    fn new<S: AsRef<str>>(strings: impl IntoIterator<Item = S>) -> io::Result<Self> {
        let owned = strings.into_iter().map(|s| c_string(s.as_ref())).collect::<io::Result<Vec<_>>>()?;
        let pointers = owned.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Self { _owned: owned, pointers })
    }
}
