//! Installing a program in the calling thread.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::Instruction;

/// Installs `program` in the calling thread, for good; its children inherit it. The caller has set `no_new_privs`.
///
/// With `with_listener` the descriptor that notified calls wait on comes back (seccomp_unotify(2)). Once the last copy
/// of it is closed, or where there never was one, notified calls answer `ENOSYS`: closed, not open.
pub fn install(program: &[Instruction], with_listener: bool) -> io::Result<Option<OwnedFd>> {
    if !with_listener {
        seccomp(program, 0)?;
        return Ok(None);
    }
    // A thread whose call the control plane has taken up is then only woken by a deadly signal. Without it, the timer
    // signals of some runtimes break a call off and start it again, over and over, each time with a record.
    let patient = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let descriptor = match seccomp(program, patient) {
        // Kernels before 5.19 have no such flag.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            seccomp(program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?
        }
        other => other?,
    };
    // SAFETY: with SECCOMP_FILTER_FLAG_NEW_LISTENER the call returned a new descriptor, which nobody else owns.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

fn seccomp(program: &[Instruction], flags: libc::c_ulong) -> io::Result<i32> {
    let too_long = |_| io::Error::from_raw_os_error(libc::EINVAL);
    let fprog = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(too_long)?,
        // The kernel copies the program and writes nothing.
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: `fprog` points at `len` instructions that outlive the call.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::from_ref(&fprog)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
