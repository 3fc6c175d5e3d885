//! Decoding against a real cell: what is predicted, and what this kernel then says.

mod cell;
mod programs;

use std::ffi::CStr;

use nanoclaw_config::SandboxMode::{Restricted, Standard};
use nanoclaw_request::{Action, Exec, FileWrite, Syscall};

use super::{Answer, Decoded};
use cell::{Answers, Call, MEMORY, PIPE, RO_DIR, RW_DIR, path, run};

const CWD: u64 = libc::AT_FDCWD as u64;

fn openat(directory: u64, name: &'static CStr, flags: i32) -> Call {
    (libc::SYS_openat, [directory, path(name), flags as u64, 0o644, 0, 0])
}

fn open(name: &'static CStr, flags: i32) -> Call {
    openat(CWD, name, flags)
}

fn mkdir(name: &'static CStr) -> Call {
    (libc::SYS_mkdirat, [CWD, path(name), 0o755, 0, 0, 0])
}

fn unlink(name: &'static CStr) -> Call {
    (libc::SYS_unlinkat, [CWD, path(name), 0, 0, 0, 0])
}

fn rename(from: &'static CStr, to: &'static CStr) -> Call {
    (libc::SYS_renameat2, [CWD, path(from), CWD, path(to), 0, 0])
}

fn link(from: &'static CStr, to: &'static CStr) -> Call {
    (libc::SYS_linkat, [CWD, path(from), CWD, path(to), 0, 0])
}

fn chmod(name: &'static CStr, mode: u64) -> Call {
    (libc::SYS_fchmodat, [CWD, path(name), mode, 0, 0, 0])
}

fn touch(name: &'static CStr) -> Call {
    (libc::SYS_utimensat, [CWD, path(name), 0, 0, 0, 0])
}

fn truncate(name: &'static CStr) -> Call {
    (libc::SYS_truncate, [path(name), 0, 0, 0, 0, 0])
}

fn setxattr(name: &'static CStr) -> Call {
    (libc::SYS_setxattr, [path(name), path(c"user.a"), path(c"b"), 1, 0, 0])
}

static NO_STRINGS: [usize; 1] = [0];

fn execve(name: &'static CStr) -> Call {
    let none = NO_STRINGS.as_ptr() as u64;
    (libc::SYS_execve, [path(name), none, none, 0, 0, 0])
}

const WRITE: i32 = libc::O_WRONLY;
const CREATE: i32 = libc::O_WRONLY | libc::O_CREAT;
const TRUNCATE: i32 = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;

/// A record: operation (`exec` for programs), path, obstacle.
type Record = Option<(&'static str, &'static str, Option<i32>)>;

const RO: Option<i32> = Some(libc::EROFS);
const NO: Option<i32> = Some(libc::EACCES);

fn expected((operation, path, obstacle): (&'static str, &str, Option<i32>)) -> Decoded {
    let path = path.to_owned();
    let action = match operation {
        "exec" => Action::Exec(Exec { path, command: Vec::new(), obstacle }),
        _ => Action::FileWrite(FileWrite { operation, path, obstacle }),
    };
    Decoded { action, beside: None, answer: obstacle.map_or(Answer::Continue, Answer::Errno) }
}

/// Runs the calls with every answer "go on", and compares each prediction with what is expected and with the kernel.
fn compare(table: &[(Call, Record)]) {
    let calls: Vec<Call> = table.iter().map(|(call, _)| *call).collect();
    let Some(seen) = run(Restricted, Answers::Continue, &calls) else { return };
    for (i, (seen, (_, record))) in seen.iter().zip(table).enumerate() {
        let decoded = seen.decoded.as_ref().expect("asked").as_ref().unwrap();
        let under_new_names = decoded.clone().map(|decoded| Decoded { beside: None, ..decoded });
        assert_eq!(under_new_names, record.map(expected), "call {i}, kernel said {}", seen.errno);
        let refusal = [libc::EROFS, libc::EACCES, libc::EPERM].contains(&seen.errno);
        match record.and_then(|(_, _, obstacle)| obstacle) {
            Some(errno) => assert_eq!(seen.errno, errno, "call {i}: {record:?}"),
            None => assert!(!refusal, "call {i}: {record:?}, kernel said {}", seen.errno),
        }
    }
}

#[test]
fn opening_to_write_is_predicted_as_the_kernel_does_it() {
    compare(&[
        (open(c"/rw/mine", WRITE), Some(("open", "/rw/mine", None))),
        (open(c"mine", WRITE | libc::O_APPEND), Some(("open", "/rw/mine", None))),
        (open(c"/rw/new", CREATE), Some(("open", "/rw/new", None))),
        (open(c"/ro/file", WRITE), Some(("open", "/ro/file", RO))),
        (open(c"/ro/file", TRUNCATE), Some(("open", "/ro/file", RO))),
        (open(c"/ro/file", libc::O_TRUNC), Some(("open", "/ro/file", RO))),
        (open(c"/ro/new", CREATE), Some(("open", "/ro/new", RO))),
        (open(c"/ro", libc::O_TMPFILE | libc::O_RDWR), Some(("open", "/ro", RO))),
        (open(c"/rw/sealed", WRITE), Some(("open", "/rw/sealed", NO))),
        (open(c"/usr/bin/env", WRITE), Some(("open", "/usr/bin/env", NO))),
        (open(c"/usr/new", CREATE), Some(("open", "/usr/new", NO))),
        (open(c"/rw/shut/file", WRITE), Some(("open", "/rw/shut/file", NO))),
        (open(c"/new", CREATE), Some(("open", "/new", None))),
    ]);
}

#[test]
fn what_changes_nothing_is_not_on_record() {
    compare(&[
        (open(c"/rw/mine", libc::O_RDONLY | libc::O_CREAT), None),
        (open(c"/rw/mine", CREATE | libc::O_EXCL), None),
        (open(c"/rw", libc::O_RDWR), None),
        (open(c"/rw/missing", WRITE), None),
        (open(c"/rw/missing/deeper", CREATE), None),
        (open(c"/rw/mine/deeper", CREATE), None),
        (open(c"/rw/round", CREATE), None),
        (open(c"/rw/to_ro", WRITE | libc::O_NOFOLLOW), None),
        (open(c"", CREATE), None),
        (openat(999, c"mine", WRITE), None),
        ((libc::SYS_openat, [CWD, 8, WRITE as u64, 0, 0, 0]), None),
        (mkdir(c"/ro/dir"), None),
        (mkdir(c"/"), None),
        (mkdir(c".."), None),
        (unlink(c"/rw/missing"), None),
        (rename(c"/rw/missing", c"/rw/x"), None),
        (truncate(c"/rw"), None),
        (execve(c"/rw/missing"), None),
        (execve(c"/missing/program"), None),
    ]);
}

/// The cell has no `/root`, so the kernel says ENOENT. An attempt on a host file is what it is all the same.
#[test]
fn a_write_to_a_place_that_could_not_be_made_is_refused() {
    compare(&[
        (open(c"/ro/.ssh/authorized_keys", CREATE), Some(("open", "/ro/.ssh/authorized_keys", Some(libc::ENOENT)))),
        (mkdir(c"/ro/a/../b/c"), Some(("mkdir", "/ro/b/c", Some(libc::ENOENT)))),
        (open(c"/ro/.ssh/authorized_keys", WRITE), None),
    ]);
}

#[test]
fn links_and_dots_do_not_hide_where_a_path_leads() {
    compare(&[
        (open(c"/rw/to_ro", WRITE), Some(("open", "/ro/file", RO))),
        (open(c"to_new_ro", CREATE), Some(("open", "/ro/new", RO))),
        (open(c"to_new_rw", CREATE), Some(("open", "/rw/new_by_link", None))),
        (open(c"../ro/dir/../file", WRITE), Some(("open", "/ro/file", RO))),
        (open(c"../../../../ro/file", WRITE), Some(("open", "/ro/file", RO))),
        (openat(RO_DIR, c"file", WRITE), Some(("open", "/ro/file", RO))),
        (openat(RO_DIR, c"../rw/mine", WRITE), Some(("open", "/rw/mine", None))),
        (openat(RW_DIR, c"mine", WRITE), Some(("open", "/rw/mine", None))),
        (open(c"/proc/self/root/ro/file", WRITE), Some(("open", "/ro/file", RO))),
        (open(c"/proc/thread-self/root/ro/file", WRITE), Some(("open", "/ro/file", RO))),
        (open(c"/proc/self/cwd/../ro/new", CREATE), Some(("open", "/ro/new", RO))),
        (open(c"/proc/1/fd/100/new", CREATE), Some(("open", "/ro/new", RO))),
        (open(c"/rw/through_proc", WRITE), Some(("open", "/ro/file", RO))),
        (open(c"//ro///file", WRITE), Some(("open", "/ro/file", RO))),
    ]);
}

#[test]
fn files_without_a_path_and_those_of_proc_are_left_alone() {
    compare(&[
        (open(c"/proc/self/fd/103", WRITE), None),
        (open(c"/proc/self/fd/102", WRITE), None),
        (open(c"/proc/self/comm", WRITE), Some(("open", "/proc/1/comm", None))),
        (openat(PIPE, c"x", CREATE), None),
    ]);
}

#[test]
fn names_are_predicted_as_the_kernel_does_it() {
    compare(&[
        (mkdir(c"/rw/d"), Some(("mkdir", "/rw/d", None))),
        (mkdir(c"/ro/d"), Some(("mkdir", "/ro/d", RO))),
        (mkdir(c"/usr/d/"), Some(("mkdir", "/usr/d", NO))),
        (unlink(c"/rw/to_ro"), Some(("unlink", "/rw/to_ro", None))),
        (unlink(c"/ro/file"), Some(("unlink", "/ro/file", RO))),
        // The mount is looked at before the name.
        (unlink(c"/ro/missing"), Some(("unlink", "/ro/missing", RO))),
        (unlink(c"/usr/bin/env"), Some(("unlink", "/usr/bin/env", NO))),
        (rename(c"/rw/program", c"/rw/renamed"), Some(("rename", "/rw/renamed", None))),
        (rename(c"/ro/file", c"/ro/other"), Some(("rename", "/ro/other", RO))),
        (rename(c"/usr/bin/env", c"/usr/bin/vne"), Some(("rename", "/usr/bin/env", NO))),
        // From one mount to another is no refusal: `mv` copies then.
        (rename(c"/ro/file", c"/rw/file"), None),
        (rename(c"/rw/mine", c"/ro/mine"), None),
        (link(c"/rw/mine", c"/rw/same"), Some(("link", "/rw/same", None))),
        (link(c"/rw/mine", c"/ro/same"), Some(("link", "/ro/same", RO))),
        (link(c"/ro/file", c"/rw/other"), None),
        ((libc::SYS_symlinkat, [path(c"/ro/file"), CWD, path(c"/ro/l"), 0, 0, 0]), Some(("symlink", "/ro/l", RO))),
        ((libc::SYS_symlinkat, [path(c"/ro/file"), CWD, path(c"/rw/l"), 0, 0, 0]), Some(("symlink", "/rw/l", None))),
        (
            (libc::SYS_mknodat, [CWD, path(c"/ro/fifo"), u64::from(libc::S_IFIFO | 0o644), 0, 0, 0]),
            Some(("mknod", "/ro/fifo", RO)),
        ),
    ]);
}

#[test]
fn what_gets_another_name_is_told_by_its_old_one_too() {
    let table = [
        (rename(c"/rw/program", c"/rw/renamed"), Some(("rename", "/rw/program", None))),
        (rename(c"renamed", c"/rw/../rw/mine"), Some(("rename", "/rw/renamed", None))),
        (link(c"/rw/../rw/mine", c"/rw/same"), Some(("link", "/rw/mine", None))),
        (link(c"/rw/mine", c"/ro/same"), None),
        (unlink(c"/rw/same"), None),
        (mkdir(c"/rw/d"), None),
    ];
    let Some(seen) = run(Restricted, Answers::Continue, &table.map(|(call, _)| call)) else { return };
    for (seen, (_, old)) in seen.into_iter().zip(table) {
        let decoded = seen.decoded.expect("asked").unwrap().unwrap();
        assert_eq!(decoded.beside, old.map(expected).map(|old| old.action));
    }
}

#[test]
fn attributes_are_predicted_as_the_kernel_does_it() {
    let not_owner = Some(libc::EPERM);
    compare(&[
        (chmod(c"/rw/mine", 0o600), Some(("chmod", "/rw/mine", None))),
        (chmod(c"/ro/file", 0o600), Some(("chmod", "/ro/file", RO))),
        (chmod(c"/usr/bin/env", 0o700), Some(("chmod", "/usr/bin/env", not_owner))),
        (touch(c"/rw/sealed"), Some(("utime", "/rw/sealed", None))),
        (touch(c"/ro/file"), Some(("utime", "/ro/file", RO))),
        (touch(c"/usr/bin/env"), Some(("utime", "/usr/bin/env", NO))),
        (truncate(c"/rw/mine"), Some(("truncate", "/rw/mine", None))),
        (truncate(c"/rw/sealed"), Some(("truncate", "/rw/sealed", NO))),
        (truncate(c"/ro/file"), Some(("truncate", "/ro/file", RO))),
        (setxattr(c"/ro/file"), Some(("setxattr", "/ro/file", RO))),
        (setxattr(c"/usr/bin/env"), Some(("setxattr", "/usr/bin/env", NO))),
        (
            (libc::SYS_fchownat, [RO_DIR, path(c""), 1000, 1000, libc::AT_EMPTY_PATH as u64, 0]),
            Some(("chown", "/ro", RO)),
        ),
        ((libc::SYS_fchownat, [RO_DIR, path(c""), 1000, 1000, 0, 0]), None),
    ]);
}

#[test]
fn programs_are_predicted_as_the_kernel_does_it() {
    compare(&[
        (execve(c"/rw/program"), Some(("exec", "/rw/program", None))),
        (execve(c"program"), Some(("exec", "/rw/program", None))),
        (execve(c"/rw/mine"), Some(("exec", "/rw/mine", NO))),
        (execve(c"/noexec/program"), Some(("exec", "/noexec/program", NO))),
        (execve(c"/rw"), Some(("exec", "/rw", NO))),
        (execve(c"/rw/shut/file"), Some(("exec", "/rw/shut/file", NO))),
        ((libc::SYS_execveat, [RW_DIR, path(c"program"), 0, 0, 0, 0]), Some(("exec", "/rw/program", None))),
    ]);
}

#[test]
fn a_path_that_is_too_long_or_not_text_is_taken_as_the_kernel_takes_it() {
    let long: &'static CStr = Box::leak(std::ffi::CString::new(vec![b'/'; 5000]).unwrap().into_boxed_c_str());
    let deep = format!("/rw/{}mine", "./".repeat(2040));
    let deep: &'static CStr = Box::leak(std::ffi::CString::new(deep).unwrap().into_boxed_c_str());
    compare(&[
        (open(long, CREATE), None),
        (open(deep, WRITE), Some(("open", "/rw/mine", None))),
        (open(c"/ro/\xff\xfe", CREATE), Some(("open", "/ro/\u{fffd}\u{fffd}", RO))),
    ]);
}

/// The last page before memory that cannot be read: the string must be found all the same.
#[test]
fn a_path_at_the_end_of_memory_is_read() {
    // SAFETY: asks for three fresh pages and gives the last one up; nothing else uses them.
    let page = unsafe {
        let pages = libc::mmap(std::ptr::null_mut(), 8192, 3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        assert_ne!(pages, libc::MAP_FAILED);
        assert_eq!(libc::munmap(pages.byte_add(4096), 4096), 0);
        let end = pages.byte_add(4096 - 9).cast::<u8>();
        std::ptr::copy_nonoverlapping(c"/ro/file".as_ptr().cast(), end, 9);
        end as u64
    };
    let unterminated = page + 9 - 4096; // all zeroes up to the path: an empty string
    compare(&[
        ((libc::SYS_openat, [CWD, page, WRITE as u64, 0, 0, 0]), Some(("open", "/ro/file", RO))),
        ((libc::SYS_openat, [CWD, unterminated, WRITE as u64, 0, 0, 0]), None),
    ]);
}

#[test]
fn the_proposed_answers_refuse_and_let_go() {
    let vsock = [libc::AF_VSOCK as u64, libc::SOCK_STREAM as u64, 0, 0, 0, 0];
    let calls = [
        open(c"/rw/made", CREATE),
        open(c"/ro/file", WRITE),
        chmod(c"/rw/mine", 0o4755),
        (libc::SYS_fchmod, [RW_DIR, 0o2755, 0, 0, 0, 0]),
        (libc::SYS_socket, vsock),
        (libc::SYS_ptrace, [0; 6]),
        (libc::SYS_unshare, [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]),
        (libc::SYS_execveat, [MEMORY, path(c""), 0, 0, libc::AT_EMPTY_PATH as u64, 0]),
        execve(c"/proc/self/fd/102"),
    ];
    let Some(seen) = run(Restricted, Answers::Proposed, &calls) else { return };
    let errnos: Vec<i32> = seen.iter().map(|seen| seen.errno).collect();
    let denied = libc::EPERM;
    assert_eq!(errnos, [0, libc::EROFS, denied, denied, denied, denied, denied, denied, libc::EACCES]);

    let actions: Vec<Action> = seen.into_iter().map(|seen| seen.decoded.unwrap().unwrap().unwrap().action).collect();
    let write =
        |operation, path: &str, obstacle| Action::FileWrite(FileWrite { operation, path: path.to_owned(), obstacle });
    let call = |name: &str, detail: &str| Action::Syscall(Syscall { name: name.to_owned(), detail: detail.to_owned() });
    let exec =
        |path: &str, errno| Action::Exec(Exec { path: path.to_owned(), command: Vec::new(), obstacle: Some(errno) });
    assert_eq!(
        actions,
        [
            write("open", "/rw/made", None),
            write("open", "/ro/file", Some(libc::EROFS)),
            write("chmod", "/rw/mine", Some(denied)),
            write("chmod", "/rw", Some(denied)),
            call("socket", "AF_VSOCK SOCK_STREAM protocol 0"),
            call("ptrace", "0x0"),
            call("unshare", "CLONE_NEWUSER"),
            exec("/memfd:hidden (deleted)", denied),
            exec("/memfd:hidden (deleted)", libc::EACCES),
        ]
    );
}

#[test]
fn standard_runs_programs_in_memory_and_records_them() {
    let by_descriptor = (libc::SYS_execveat, [MEMORY, path(c""), 0, 0, libc::AT_EMPTY_PATH as u64, 0]);
    let Some(seen) = run(Standard, Answers::Proposed, &[by_descriptor]) else { return };
    // It is empty, and no program; but it was let through.
    assert_eq!(seen[0].errno, libc::ENOEXEC);
    let decoded = seen[0].decoded.as_ref().unwrap().as_ref().unwrap().as_ref();
    assert_eq!(decoded, Some(&expected(("exec", "/memfd:hidden (deleted)", None))));
}
