//! What only x86 has: I/O ports, segments, and two more tables of system calls.

use super::Stopped::KilledBy;
use super::attempt::{Attempt, each};
use super::syscalls::refused;
use super::system::{bytes_at, call};
use super::{Attack, Control, Outcome, Scope, Seen};

/// The kernel finds fault with the arguments, for every user, or was built without the call.
const INVALID_OR_NOT_BUILT: Control = Control::Outside(&[Seen::Errno(libc::EINVAL), Seen::Errno(libc::ENOSYS)]);

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "io-privilege-level",
        "get at the machine's I/O ports with iopl",
        "",
        |_| call!(libc::SYS_iopl, 4).outcome(),
        INVALID_OR_NOT_BUILT,
    ),
    refused(
        "io-port-permission",
        "get at the machine's I/O ports with ioperm",
        "",
        |_| call!(libc::SYS_ioperm, u64::MAX, 1, 1).outcome(),
        INVALID_OR_NOT_BUILT,
    ),
    refused(
        "local-descriptor-table",
        "change the segment table, a source of kernel bugs",
        "CVE-2015-5157",
        |_| {
            let mut table = [0_u8; 8];
            call!(libc::SYS_modify_ldt, 0, bytes_at(&mut table), 8).outcome()
        },
        Control::Outside(&[Seen::Success, Seen::Errno(libc::ENOSYS)]),
    ),
    Attack {
        name: "thirty-two-bit-gate",
        what: "call the kernel by the 32-bit gate, whose numbers mean other calls",
        reference: "celln 30; bubblewrap: allowed",
        expect: &[KilledBy(libc::SIGSYS)],
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| {
            const GETPID_32: u32 = 20;
            let pid = super::system::int80(GETPID_32);
            Outcome::Succeeded(format!("getpid of the 32-bit table gave {pid}"))
        },
        control: Control::Outside(&[Seen::Success, Seen::KilledBy(libc::SIGSEGV)]),
    },
    Attack {
        name: "x32-calls",
        what: "call the kernel by x32 numbers, which a filter may not know",
        reference: "agent-sandbox.nix PR 92",
        expect: &[KilledBy(libc::SIGSYS)],
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| {
            const X32: i64 = 0x4000_0000;
            each([libc::SYS_getpid, libc::SYS_ptrace], |number| call!(X32 | number, 0, 0, 0, 0).outcome())
        },
        control: Control::Outside(&[Seen::Errno(libc::ENOSYS)]),
    },
];
