//! The compiled filter in this kernel, without a listener.

use nanoclaw_config::SandboxMode::Restricted;

use super::child::{errno_of, give_up_new_privileges, spawn};
use crate::seccomp::{compile, install};

/// What a confined child gets for these calls.
fn confined(calls: &[(libc::c_long, [u64; 6])]) -> Vec<i32> {
    let report = spawn(|| {
        give_up_new_privileges();
        assert!(install(&compile(Restricted), false).unwrap().is_none());
        calls.iter().map(|(number, arguments)| errno_of(*number, *arguments)).collect()
    })
    .wait();
    assert_eq!(report.status, 0);
    assert_eq!(report.values.len(), calls.len());
    report.values
}

fn path(text: &'static std::ffi::CStr) -> u64 {
    text.as_ptr() as u64
}

const CWD: u64 = libc::AT_FDCWD as u64;

#[test]
fn ordinary_calls_work() {
    let read_only = (libc::O_RDONLY | libc::O_CLOEXEC) as u64;
    let results = confined(&[
        (libc::SYS_getpid, [0; 6]),
        (libc::SYS_openat, [CWD, path(c"/"), read_only, 0, 0, 0]),
        (libc::SYS_socket, [libc::AF_UNIX as u64, libc::SOCK_STREAM as u64, 0, 0, 0, 0]),
        (libc::SYS_socket, [libc::AF_INET as u64, libc::SOCK_DGRAM as u64, 0, 0, 0, 0]),
        (libc::SYS_memfd_create, [path(c"m"), u64::from(libc::MFD_NOEXEC_SEAL), 0, 0, 0, 0]),
        (libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]),
    ]);
    assert_eq!(results, [0; 6]);
}

#[test]
fn what_would_be_asked_or_refused_is_absent_without_a_listener() {
    let write_only = libc::O_WRONLY as u64;
    let results = confined(&[
        // These would succeed.
        (libc::SYS_openat, [CWD, path(c"/dev/null"), write_only, 0, 0, 0]),
        (libc::SYS_socketpair, [libc::AF_NETLINK as u64, 0, 0, 0, 0, 0]),
        // These would fail, with another error.
        (libc::SYS_execve, [path(c"/nowhere"), 0, 0, 0, 0, 0]),
        (libc::SYS_mount, [0; 6]),
        (libc::SYS_ptrace, [u64::MAX, 0, 0, 0, 0, 0]),
        (libc::SYS_unshare, [u64::MAX, 0, 0, 0, 0, 0]),
        (libc::SYS_io_uring_setup, [0; 6]),
        (libc::SYS_bpf, [0; 6]),
        (libc::SYS_ioctl, [0, libc::TIOCSTI | 1 << 32, 0, 0, 0, 0]),
        (libc::SYS_seccomp, [u64::from(libc::SECCOMP_SET_MODE_FILTER), 0, 0, 0, 0, 0]),
        (libc::SYS_clone, [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]),
    ]);
    assert_eq!(results, [libc::ENOSYS; 11]);
}

#[test]
fn flags_in_memory_are_absent() {
    let results = confined(&[
        (libc::SYS_clone3, [0; 6]),
        (libc::SYS_openat2, [CWD, path(c"/"), 0, 0, 0, 0]),
        (libc::SYS_prctl, [9999, 0, 0, 0, 0, 0]),
        (libc::SYS_setsockopt, [0, libc::IPPROTO_TCP as u64, libc::TCP_ULP as u64, path(c"tls"), 3, 0]),
    ]);
    assert_eq!(results, [libc::ENOSYS, libc::ENOSYS, libc::EINVAL, libc::ENOENT]);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn an_x32_call_ends_the_process() {
    let report = spawn(|| {
        give_up_new_privileges();
        install(&compile(Restricted), false).unwrap();
        vec![errno_of(0x4000_0000 | libc::SYS_getpid, [0; 6])]
    })
    .wait();
    assert!(report.values.is_empty() && libc::WIFSIGNALED(report.status));
    assert_eq!(libc::WTERMSIG(report.status), libc::SIGSYS);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_32_bit_call_ends_the_process() {
    let report = spawn(|| {
        give_up_new_privileges();
        install(&compile(Restricted), false).unwrap();
        let mut result = 20_i32; // getpid of i386
        // SAFETY: i386's getpid reads no memory; `int 0x80` clobbers r8 to r11 at most.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("eax") result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        }
        vec![result]
    })
    .wait();
    assert!(report.values.is_empty() && libc::WIFSIGNALED(report.status));
    // SIGSEGV where the kernel was built without 32-bit calls.
    assert!([libc::SIGSYS, libc::SIGSEGV].contains(&libc::WTERMSIG(report.status)));
}
