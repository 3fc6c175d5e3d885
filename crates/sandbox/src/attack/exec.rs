//! Running what was never meant to be run: programs that the agent wrote, and programs that raise privileges.

use std::fs;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Stopped::{Absent, Errno, Exit};
use super::attempt::{Attempt, absent_unless, given};
use super::processes::owned;
use super::system::{Arg, call, read_at};
use super::{Attack, Context, Control, Outcome, Scope, Seen, Stopped};

/// A small dynamic program that every root filesystem with a shell has.
const PROGRAM: &str = "/usr/bin/true";

/// Flags of memfd_create(2) that the C library's older headers lack.
const MFD_NOEXEC_SEAL: u32 = 8;
const MFD_EXEC: u32 = 16;

const EACCES: &[Stopped] = &[Errno(libc::EACCES)];

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "exec-from-tmp",
        what: "run a downloaded program from /tmp",
        reference: "codex, OpenShell: allowed",
        expect: EACCES,
        layer: "noexec",
        scope: Scope::Restricted,
        run: |c| run_copy(&c.scratch_tmp("program")),
        control: Control::Inside(system_program_runs),
    },
    Attack {
        name: "exec-from-workspace",
        what: "run a downloaded program from the workspace",
        reference: "codex, OpenShell: allowed",
        expect: EACCES,
        layer: "noexec",
        scope: Scope::Restricted,
        run: |c| run_copy(&c.scratch("program")),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "exec-from-shared-memory",
        what: "run a downloaded program from /dev/shm",
        reference: "bubblewrap, srt, codex: allowed",
        expect: EACCES,
        layer: "noexec",
        scope: Scope::Restricted,
        run: |_| run_copy(&PathBuf::from(format!("/dev/shm/.attack-{}", std::process::id()))),
        control: Control::Inside(system_program_runs),
    },
    Attack {
        name: "exec-script-from-workspace",
        what: "run a script with an interpreter line from the workspace",
        reference: "",
        expect: EACCES,
        layer: "noexec",
        scope: Scope::Restricted,
        run: |c| {
            let script = c.scratch("script");
            let written = fs::write(&script, b"#!/bin/sh\nexit 0\n")
                .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)));
            given("write a script", written, |()| {
                let outcome = program(&mut Command::new(&script));
                let _ = fs::remove_file(&script);
                outcome
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "loader-runs-noexec-file",
        what: "let the dynamic loader run a program that cannot be executed itself",
        reference: "noexec bypass through ld.so",
        expect: &[Exit(127)],
        layer: "noexec",
        scope: Scope::Restricted,
        run: run_through_loader,
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "map-noexec-file-executable",
        what: "map a file from the workspace as code",
        reference: "noexec bypass through mmap",
        expect: &[Errno(libc::EPERM)],
        layer: "noexec",
        scope: Scope::Restricted,
        run: |c| {
            let path = c.scratch("mapped");
            given("write a page", fs::write(&path, [0xc3; 4096]).and_then(|()| fs::File::open(&path)), |file| {
                let protection = libc::PROT_READ | libc::PROT_EXEC;
                let mapped = call!(libc::SYS_mmap, Arg::NULL, 4096, protection, libc::MAP_PRIVATE, file.as_raw_fd(), 0);
                let _ = fs::remove_file(&path);
                mapped.outcome()
            })
        },
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "memory-file-executable",
        what: "make a memory file that can be executed",
        reference: "bubblewrap, srt, codex: allowed",
        expect: &[Errno(libc::EPERM)],
        layer: "seccomp",
        scope: Scope::Restricted,
        run: |_| call!(libc::SYS_memfd_create, c"attack", MFD_EXEC).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "memory-file-of-undeclared-kind",
        what: "make a memory file without saying whether it can be executed",
        reference: "",
        expect: EACCES,
        layer: "seccomp",
        scope: Scope::Restricted,
        run: |_| call!(libc::SYS_memfd_create, c"attack", 0).outcome(),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "exec-memory-file-by-path",
        what: "run a program from a memory file through /proc/self/fd",
        reference: "bubblewrap, srt, codex: allowed",
        expect: EACCES,
        layer: "memory file seal",
        scope: Scope::Restricted,
        run: |_| with_memory_file(|memory| program(&mut Command::new(format!("/proc/self/fd/{}", memory.as_raw_fd())))),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "exec-memory-file-behind-another-name",
        what: "swap the name of the program for that of a memory file between NanoClaw's look and the kernel's",
        reference: "seccomp_unotify(2), NOTES on the race of SECCOMP_USER_NOTIF_FLAG_CONTINUE",
        expect: &[Absent],
        layer: "seccomp",
        scope: Scope::Restricted,
        run: |_| with_memory_file(race),
        control: Control::Outside(&[Seen::Success]),
    },
    Attack {
        name: "make-memory-file-executable-later",
        what: "make a memory file that cannot be executed, then chmod it",
        reference: "",
        expect: &[Errno(libc::EPERM)],
        layer: "memory file seal",
        scope: Scope::Everywhere,
        run: |_| {
            let memory = call!(libc::SYS_memfd_create, c"attack", MFD_NOEXEC_SEAL).map(owned);
            match memory {
                Ok(Some(memory)) => call!(libc::SYS_fchmod, memory.as_raw_fd(), 0o755).outcome(),
                Ok(None) => Outcome::Broken("memfd_create gave no descriptor".to_owned()),
                Err(errno) => Outcome::Broken(format!("memfd_create gave {}", super::system::errno_name(errno))),
            }
        },
        control: Control::Inside(|c| {
            let path = c.scratch("chmod");
            let done =
                fs::write(&path, b"").and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)));
            let _ = fs::remove_file(path);
            done.map_err(|error| error.to_string())
        }),
    },
    Attack {
        name: "exec-descriptor",
        what: "run a program by descriptor alone (execveat with AT_EMPTY_PATH), so that no path is on record",
        reference: "OpenShell PR 819",
        expect: &[Errno(libc::EPERM)],
        layer: "seccomp",
        scope: Scope::Restricted,
        run: |_| {
            given("open a program", fs::File::open(PROGRAM), |file| {
                // An argument list of one null pointer is read before the program is started; the kernel refuses an
                // address that it cannot read, so nothing is replaced outside.
                let flags = libc::AT_EMPTY_PATH;
                call!(libc::SYS_execveat, file.as_raw_fd(), c"", 1_u64, Arg::NULL, flags).outcome()
            })
        },
        control: Control::Outside(&[Seen::Errno(libc::EFAULT)]),
    },
    Attack {
        name: "exec-descriptor-of-memory-file",
        what: "run a memory file by descriptor alone",
        reference: "bubblewrap, srt, codex: allowed",
        expect: &[Errno(libc::EPERM)],
        layer: "seccomp",
        scope: Scope::Restricted,
        run: |_| {
            with_memory_file(|memory| {
                call!(libc::SYS_execveat, memory.as_raw_fd(), c"", 1_u64, Arg::NULL, libc::AT_EMPTY_PATH).outcome()
            })
        },
        control: Control::Outside(&[Seen::Errno(libc::EFAULT)]),
    },
    Attack {
        name: "set-user-id-program-raises-privileges",
        what: "run a set-user-ID program of the root filesystem",
        reference: "NemoClaw #3280",
        expect: &[Absent],
        layer: "no_new_privs",
        scope: Scope::Everywhere,
        run: run_set_user_id_program,
        control: Control::Inside(|_| match auxiliary_vector(Path::new("/usr/bin/env"), &[]) {
            Ok(vector) if vector.contains("AT_EUID") => Ok(()),
            Ok(_) => Err("the loader did not show its auxiliary vector".to_owned()),
            Err(error) => Err(error),
        }),
    },
];

/// Runs a program to its end: success is exit status 0, another status is how it was stopped.
fn program(command: &mut Command) -> Outcome {
    match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) => match status.code() {
            Some(0) => Outcome::Succeeded("the program ran".to_owned()),
            Some(code) => Outcome::Stopped(Exit(code)),
            None => Outcome::Broken(format!("the program ended with {status}")),
        },
        Err(error) => Err::<(), _>(error).outcome(),
    }
}

fn system_program_runs(_: &Context) -> Result<(), String> {
    super::attempt::must_succeed(&program(&mut Command::new(PROGRAM)))
}

fn run_copy(copy: &Path) -> Outcome {
    given("copy a program", fs::copy(PROGRAM, copy), |_| {
        let outcome = program(&mut Command::new(copy));
        let _ = fs::remove_file(copy);
        outcome
    })
}

fn run_through_loader(context: &Context) -> Outcome {
    let loaders = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1"];
    let Some(loader) = loaders.iter().find(|loader| Path::new(loader).exists()) else {
        return Outcome::NotApplicable("the root filesystem has no dynamic loader".to_owned());
    };
    let copy = context.scratch_tmp("loaded");
    given("copy a program", fs::copy(PROGRAM, &copy), |_| {
        let outcome = program(Command::new(loader).arg(&copy));
        let _ = fs::remove_file(&copy);
        outcome
    })
}

/// A memory file with a program in it, executable where the kernel allows that, else of the kind that is allowed.
fn with_memory_file(attempt: impl FnOnce(&OwnedFd) -> Outcome) -> Outcome {
    let create = |flags: u32| call!(libc::SYS_memfd_create, c"attack", flags).map(owned);
    let created = create(MFD_EXEC).or_else(|_| create(0)).or_else(|_| create(MFD_NOEXEC_SEAL));
    let memory = match created {
        Ok(Some(memory)) => memory,
        Ok(None) => return Outcome::Broken("memfd_create gave no descriptor".to_owned()),
        Err(errno) => return Outcome::Broken(format!("memfd_create gave {}", super::system::errno_name(errno))),
    };
    let filled = fs::read(PROGRAM).and_then(|program| fs::File::from(memory.try_clone()?).write_all(&program));
    given("fill the memory file", filled, |()| attempt(&memory))
}

/// Two names of sixteen bytes each, ended by zero: a program that fails, and [`SWAPPED`], in which there is one that
/// succeeds.
const HONEST: &[u8; 16] = b"/usr/bin/false\0\0";
const FORGED: &[u8; 16] = b"/proc/self/fd/9\0";
const SWAPPED: i32 = 9;

/// Executes a name that another thread keeps changing, until one try runs what no name may lead to.
fn race(memory: &OwnedFd) -> Outcome {
    for _ in 0..100 {
        let ended = super::child::fork(|| exec_changing_name(memory)).and_then(super::child::collect);
        match ended {
            Ok(status) if status.exit_status() == Some(0) => {
                return Outcome::Succeeded("the memory file ran under another program's name".to_owned());
            }
            Ok(_) => {}
            Err(error) => return Outcome::Broken(format!("cannot fork: {error}")),
        }
    }
    Outcome::Stopped(Absent)
}

/// Returns only where neither program could be started.
fn exec_changing_name(memory: &OwnedFd) -> i32 {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    let words = |name: &[u8; 16]| {
        let half = |from: usize| {
            let bytes = name.iter().skip(from).take(8).rev();
            bytes.fold(0_u64, |word, byte| word << 8 | u64::from(*byte)).to_le()
        };
        [half(0), half(8)]
    };
    let names = [words(FORGED), words(HONEST)];
    let name = Arc::new(words(HONEST).map(AtomicU64::new));
    if call!(libc::SYS_dup3, memory.as_raw_fd(), SWAPPED, 0).is_err() {
        return 2;
    }
    let changing = Arc::clone(&name);
    std::thread::spawn(move || {
        for words in names.iter().cycle() {
            for (place, word) in changing.iter().zip(words) {
                place.store(*word, Relaxed);
            }
        }
    });
    // Until the other thread is at work.
    while name.iter().zip(names.iter().flatten()).all(|(place, forged)| place.load(Relaxed) != *forged) {
        std::thread::yield_now();
    }
    for _ in 0..200 {
        // Where it works this thread and the other are gone.
        let _ = call!(libc::SYS_execve, read_at(&*name), Arg::NULL, Arg::NULL);
    }
    2
}

/// What glibc's loader shows of the vector that the kernel hands to a program (ld.so(8), LD_SHOW_AUXV). It shows
/// nothing to a program that gained privileges.
fn auxiliary_vector(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).env("LD_SHOW_AUXV", "1").stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).map_err(|error| error.to_string())
}

fn run_set_user_id_program(_: &Context) -> Outcome {
    let Some(raiser) = ["su", "passwd", "mount", "newgrp", "chsh", "sudo"]
        .into_iter()
        .map(|name| Path::new("/usr/bin").join(name))
        .find(|path| fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o4000 != 0))
    else {
        return Outcome::NotApplicable("the root filesystem has no set-user-ID program".to_owned());
    };
    given("run a set-user-ID program", auxiliary_vector(&raiser, &["--help"]), |vector| {
        let value = |key: &str| {
            vector.lines().find_map(|line| Some(line.strip_prefix(key)?.trim_start_matches([':', ' ']).to_owned()))
        };
        let me = rustix::process::getuid().as_raw().to_string();
        let evidence = match (value("AT_EUID"), value("AT_SECURE")) {
            (Some(user), Some(secure)) if user == me && secure == "0" => None,
            (None, _) => Some(format!("{} ran in secure mode, as another user", raiser.display())),
            (user, secure) => Some(format!("{}: user {user:?}, secure mode {secure:?}", raiser.display())),
        };
        absent_unless(evidence.into_iter().collect())
    })
}
