//! Using the host up. Everything here is bounded by itself, at most a few thousand processes or twice a known limit,
//! ends at the first refusal, and runs inside cells only, except where asking alone is harmless.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use super::Stopped::{Errno, KilledBy};
use super::attempt::{Attempt, each, given, workspace_is_writable};
use super::child::{end, idle};
use super::system::{Arg, at, call, errno_name};
use super::{Attack, Context, Control, HostUser, Outcome, Scope, Seen, Stopped};

/// More processes, threads, descriptors or files than any cell of the suite may have.
const MANY: u64 = 4096;

const EPERM: &[Stopped] = &[Errno(libc::EPERM)];
const EACCES: &[Stopped] = &[Errno(libc::EACCES)];
const TOO_MANY_FILES: &[Stopped] = &[Errno(libc::EMFILE)];

/// A limit of the cell, shown by a control inside it.
const fn limited(
    name: &'static str,
    what: &'static str,
    reference: &'static str,
    expect: &'static [Stopped],
    layer: &'static str,
    run: fn(&Context) -> Outcome,
    control: fn(&Context) -> Result<(), String>,
) -> Attack {
    let control = Control::Inside(control);
    Attack { name, what, reference, expect, layer, scope: Scope::Everywhere, run, control }
}

pub(super) const ATTACKS: &[Attack] = &[
    limited(
        "fork-bomb",
        "fork until the host has no room for a process",
        "NemoClaw #809; openclaw PR 38621; no limit on any peer",
        &[Errno(libc::EAGAIN)],
        "cgroup",
        fork_bomb,
        one_process_fits,
    ),
    limited(
        "thread-bomb",
        "start threads until the host has no room for one",
        "NemoClaw #809",
        &[Errno(libc::EAGAIN)],
        "cgroup",
        thread_bomb,
        one_process_fits,
    ),
    limited(
        "memory-bomb",
        "take twice the memory that the cell has",
        "Conch 140",
        &[KilledBy(libc::SIGKILL), Errno(libc::ENOMEM)],
        "cgroup",
        memory_bomb,
        some_memory_fits,
    ),
    limited(
        "memory-file-bomb",
        "take twice the memory that the cell has, in files that have no name",
        "Conch 140",
        &[KilledBy(libc::SIGKILL), Errno(libc::ENOMEM)],
        "cgroup",
        memory_file_bomb,
        some_memory_fits,
    ),
    limited(
        "fill-temporary-directory",
        "fill /tmp, which is memory of the host",
        "openclaw #105466; Conch 140",
        &[Errno(libc::ENOSPC)],
        "tmpfs size",
        fill_tmp,
        tmp_is_writable,
    ),
    limited(
        "fill-shared-memory",
        "fill /dev/shm, which is memory of the host",
        "Conch 140",
        &[Errno(libc::ENOSPC)],
        "tmpfs size",
        fill_shm,
        tmp_is_writable,
    ),
    limited(
        "inode-flood",
        "create empty files until there is no inode left",
        "cms 309",
        &[Errno(libc::ENOSPC)],
        "tmpfs size",
        inode_flood,
        tmp_is_writable,
    ),
    limited(
        "huge-files",
        "make files of terabytes by ftruncate, fallocate and a far write",
        "openclaw #105466",
        &[Errno(libc::EFBIG)],
        "limits",
        huge_files,
        workspace_is_writable,
    ),
    limited(
        "huge-file-unaware",
        "make a file of a terabyte without heeding the signal for that",
        "",
        &[KilledBy(libc::SIGXFSZ)],
        "limits",
        |c| {
            given("create a file", File::create(c.scratch("huge")), |file| {
                let _ = fs::remove_file(c.scratch("huge"));
                file.set_len(1 << 40).outcome()
            })
        },
        workspace_is_writable,
    ),
    limited(
        "descriptor-flood",
        "open files until the host has no room for one",
        "OpenShell accept_fd_exhaustion",
        TOO_MANY_FILES,
        "limits",
        |c| flood(c, || File::open("/dev/null").map(OwnedFd::from)),
        one_file_opens,
    ),
    limited(
        "pipe-flood",
        "make pipes, each with a buffer in the kernel",
        "",
        TOO_MANY_FILES,
        "limits",
        |c| flood(c, || rustix::pipe::pipe().map_err(io::Error::from)),
        one_file_opens,
    ),
    limited(
        "socket-flood",
        "make sockets until the host has no room for one",
        "",
        TOO_MANY_FILES,
        "limits",
        |c| flood(c, std::os::unix::net::UnixStream::pair),
        one_file_opens,
    ),
    limited(
        "event-flood",
        "make event counters, timers and watchers until the host has no room for one",
        "",
        TOO_MANY_FILES,
        "limits",
        |c| {
            each(["eventfd", "epoll", "timerfd", "inotify"], |kind| {
                flood(c, || {
                    let made = match kind {
                        "eventfd" => call!(libc::SYS_eventfd2, 0, 0),
                        "epoll" => call!(libc::SYS_epoll_create1, 0),
                        "timerfd" => call!(libc::SYS_timerfd_create, libc::CLOCK_MONOTONIC, 0),
                        _ => call!(libc::SYS_inotify_init1, 0),
                    };
                    let number = made.map_err(io::Error::from_raw_os_error)?;
                    super::processes::owned(number).ok_or_else(|| io::Error::other("no descriptor"))
                })
            })
        },
        one_file_opens,
    ),
    limited(
        "terminal-flood",
        "open pseudo-terminals until the host has none left",
        "",
        &[Errno(libc::ENOSPC)],
        "devpts",
        |c| flood(c, || File::options().read(true).write(true).open("/dev/ptmx").map(OwnedFd::from)),
        one_file_opens,
    ),
    limited(
        "descriptors-in-flight",
        "hide open files in messages that nobody reads",
        "CVE-2021-0920 class",
        &[Errno(libc::ETOOMANYREFS)],
        "limits",
        in_flight,
        one_file_opens,
    ),
    limited(
        "lock-memory",
        "lock more memory than the limit",
        "",
        &[Errno(libc::ENOMEM)],
        "limits",
        lock_memory,
        some_memory_fits,
    ),
    limited(
        "raise-limits",
        "raise one's limits on files, processes, file size and core files",
        "",
        EPERM,
        "limits",
        raise_limits,
        limits_can_be_lowered,
    ),
    limited(
        "raise-limits-of-first-process",
        "raise the limits of the cell's first process",
        "",
        &[Errno(libc::EPERM)],
        "hidepid",
        |_| {
            let mut wanted = [u64::MAX; 2];
            call!(libc::SYS_prlimit64, 1, libc::RLIMIT_NOFILE as i32, at(&mut wanted), Arg::NULL).outcome()
        },
        limits_can_be_lowered,
    ),
    limited(
        "high-priority",
        "take the processor from everybody else with nice -20",
        "",
        EACCES,
        "limits",
        |_| call!(libc::SYS_setpriority, 0, 0, -20).outcome(),
        |_| call!(libc::SYS_setpriority, 0, 0, 19).map(drop).map_err(errno_name),
    ),
    Attack {
        name: "real-time-priority",
        what: "take the processor from everybody else with a real-time policy",
        reference: "",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| {
            // A priority beyond the highest, which the kernel notices before it asks for privileges.
            each([libc::SCHED_FIFO, libc::SCHED_RR], |policy| {
                let mut priority = 1000_i32;
                call!(libc::SYS_sched_setscheduler, 0, policy, at(&mut priority)).outcome()
            })
        },
        control: Control::Outside(&[Seen::Errno(libc::EINVAL)]),
    },
    Attack {
        name: "deadline-scheduling",
        what: "reserve the processor with a deadline",
        reference: "",
        expect: EPERM,
        layer: "seccomp",
        scope: Scope::Everywhere,
        run: |_| call!(libc::SYS_sched_setattr, 0, Arg::NULL, 0).outcome(),
        control: Control::Outside(&[Seen::Errno(libc::EINVAL)]),
    },
    Attack {
        name: "real-time-disk-priority",
        what: "take the disk from everybody else",
        reference: "",
        expect: EPERM,
        layer: "capabilities",
        scope: Scope::Everywhere,
        run: |_| {
            const REAL_TIME: i32 = 1 << 13;
            call!(libc::SYS_ioprio_set, 1, 0, REAL_TIME).outcome()
        },
        control: Control::OutsideRoot(&[Seen::Success]),
    },
    limited(
        "escape-memory-killer",
        "have everybody else killed when memory is short",
        "",
        &[Errno(libc::EROFS)],
        "read-only /proc",
        |_| write_score("-1000"),
        |_| fs::read("/proc/self/oom_score_adj").map(drop).map_err(|error| error.to_string()),
    ),
    limited(
        "fill-pipes",
        "keep more in pipe buffers than a user may",
        "CVE-2016-2847",
        EPERM,
        "limits",
        |_| {
            given("make a pipe", rustix::pipe::pipe(), |(reader, _writer)| {
                call!(libc::SYS_fcntl, reader.as_raw_fd(), libc::F_SETPIPE_SZ, 1 << 30).outcome()
            })
        },
        |_| {
            let (reader, _writer) = rustix::pipe::pipe().map_err(|error| error.to_string())?;
            call!(libc::SYS_fcntl, reader.as_raw_fd(), libc::F_SETPIPE_SZ, 8192).map(drop).map_err(errno_name)
        },
    ),
];

/// How many of something were had before `make` was refused; a success where that is more than `limit`.
fn count_until_refused<T>(limit: u64, mut make: impl FnMut() -> io::Result<T>) -> (Vec<T>, Outcome) {
    let mut made = Vec::new();
    loop {
        if made.len() as u64 > limit {
            let count = made.len();
            return (made, Outcome::Succeeded(format!("had {count}, where {limit} is the limit")));
        }
        match make() {
            Ok(one) => made.push(one),
            Err(error) => return (made, Err::<(), _>(error).outcome()),
        }
    }
}

fn fork_bomb(context: &Context) -> Outcome {
    let (children, outcome) = count_until_refused(context.settings.pids.min(MANY), idle);
    children.into_iter().for_each(end);
    outcome
}

fn thread_bomb(context: &Context) -> Outcome {
    let start = || {
        let builder = std::thread::Builder::new().stack_size(64 << 10);
        builder.spawn(|| std::thread::sleep(Duration::from_secs(20)))
    };
    // The threads end with this process, which the runner made for this attempt alone.
    count_until_refused(context.settings.pids.min(MANY), start).1
}

fn one_process_fits(_: &Context) -> Result<(), String> {
    idle().map(end).map_err(|error| error.to_string())
}

fn memory_bomb(context: &Context) -> Outcome {
    // The largest process is killed, so it is this one and not the one that reports.
    const STEP: usize = 1 << 20;
    // Not zero, so that every page is really there.
    let pattern = vec![0xa5_u8; STEP];
    let mut taken: Vec<Vec<u8>> = Vec::new();
    while (taken.len() * STEP) as u64 <= 2 * context.settings.memory {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(STEP).is_err() {
            return Outcome::Stopped(Errno(libc::ENOMEM));
        }
        piece.extend_from_slice(&pattern);
        taken.push(std::hint::black_box(piece));
    }
    Outcome::Succeeded(format!("took {} MiB", taken.len()))
}

fn memory_file_bomb(context: &Context) -> Outcome {
    if context.settings.user == HostUser::Rootless {
        return Outcome::NotApplicable(
            "without a control group only /tmp and each process's own memory are limited".to_owned(),
        );
    }
    // Each below any limit on the size of a file.
    const SIZE: usize = 4 << 20;
    let piece = vec![0xa5; SIZE];
    let (files, outcome) = count_until_refused(2 * context.settings.memory / SIZE as u64, || {
        const NO_EXEC: u32 = 8;
        let made = call!(libc::SYS_memfd_create, c"bomb", NO_EXEC).map_err(io::Error::from_raw_os_error)?;
        let mut file =
            super::processes::owned(made).map(File::from).ok_or_else(|| io::Error::other("no descriptor"))?;
        file.write_all(&piece)?;
        // Mapped, it counts as memory of this process, which then is the largest and so the one that is killed.
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        call!(libc::SYS_mmap, Arg::NULL, SIZE, libc::PROT_READ, flags, file.as_raw_fd(), 0)
            .map_err(io::Error::from_raw_os_error)?;
        Ok(file)
    });
    drop(files);
    outcome
}

fn some_memory_fits(_: &Context) -> Result<(), String> {
    let mut piece = Vec::new();
    piece.try_reserve_exact(1 << 20).map_err(|error| error.to_string())?;
    piece.resize(1 << 20, 0xa5_u8);
    std::hint::black_box(piece);
    Ok(())
}

/// Fills a directory in files of a quarter of its size, then empties it again.
fn fill(directory: &std::path::Path, size: u64) -> Outcome {
    let place = directory.join(format!(".attack-fill-{}", std::process::id()));
    let filled = fs::create_dir(&place).and_then(|()| {
        let piece = vec![0xa5; 64 << 10];
        let mut written = 0;
        while written <= 2 * size {
            let mut file = File::create(place.join(written.to_string()))?;
            for _ in 0..(size / 4 / piece.len() as u64).max(1) {
                file.write_all(&piece)?;
                written += piece.len() as u64;
            }
        }
        Ok(written)
    });
    let _ = fs::remove_dir_all(&place);
    filled.outcome()
}

fn fill_tmp(context: &Context) -> Outcome {
    fill(&context.tmp, context.settings.tmp)
}

fn fill_shm(context: &Context) -> Outcome {
    fill(std::path::Path::new("/dev/shm"), context.settings.tmp)
}

fn tmp_is_writable(context: &Context) -> Result<(), String> {
    let path = context.scratch_tmp("control");
    fs::write(&path, b"x").and_then(|()| fs::remove_file(&path)).map_err(|error| error.to_string())
}

fn inode_flood(context: &Context) -> Outcome {
    let place = context.scratch_tmp("inodes");
    if let Err(error) = fs::create_dir(&place) {
        return Outcome::Broken(format!("cannot make a directory in /tmp: {error}"));
    }
    let most = context.settings.tmp / 4096 * 2;
    let mut number = 0_u64;
    let (_, outcome) = count_until_refused(most, || {
        number += 1;
        File::create(place.join(number.to_string())).map(drop)
    });
    let _ = fs::remove_dir_all(&place);
    outcome
}

fn huge_files(context: &Context) -> Outcome {
    const HUGE: i64 = 1 << 40;
    // SIGXFSZ would end this process where the limit is met; blocked, the call says EFBIG.
    let mut blocked = 1_u64 << (libc::SIGXFSZ - 1);
    if let Err(errno) = call!(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, at(&mut blocked), Arg::NULL, 8) {
        return Outcome::Broken(format!("cannot block a signal: {}", errno_name(errno)));
    }
    each([context.scratch("huge"), context.scratch_tmp("huge")], |path| {
        given("create a file", File::create(&path), |file| {
            let _ = fs::remove_file(&path);
            let mut byte = [1_u8];
            let ways = [
                call!(libc::SYS_ftruncate, file.as_raw_fd(), HUGE),
                call!(libc::SYS_fallocate, file.as_raw_fd(), 0, 0, HUGE),
                call!(libc::SYS_pwrite64, file.as_raw_fd(), super::system::bytes_at(&mut byte), 1, HUGE),
            ];
            each(ways, |way| way.outcome())
        })
    })
}

/// Makes descriptors until that is refused; pairs count as one.
fn flood<T>(context: &Context, make: impl FnMut() -> io::Result<T>) -> Outcome {
    count_until_refused(context.settings.files.min(MANY), make).1
}

fn one_file_opens(_: &Context) -> Result<(), String> {
    File::open("/dev/null").map(drop).map_err(|error| error.to_string())
}

/// Sends descriptors in messages that stay unread, so that they are open without being in any table.
fn in_flight(context: &Context) -> Outcome {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let pair = std::os::unix::net::UnixStream::pair().and_then(|pair| {
        pair.0.set_nonblocking(true)?;
        Ok((pair, File::open("/dev/null")?))
    });
    given("make a pair of sockets", pair, |((sender, _receiver), file)| {
        use std::os::fd::AsFd;
        let descriptors = [file.as_fd(); 64];
        let send = || {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            sendmsg(&sender, &[io::IoSlice::new(b"x")], &mut ancillary, SendFlags::empty()).map_err(io::Error::from)
        };
        // Each message holds 64 more.
        count_until_refused(context.settings.files.min(MANY) / 32, send).1
    })
}

fn lock_memory(_: &Context) -> Outcome {
    const SIZE: usize = 64 << 20;
    let protection = libc::PROT_READ;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    match call!(libc::SYS_mmap, Arg::NULL, SIZE, protection, flags, -1, 0) {
        Ok(address) => call!(libc::SYS_mlock, address, SIZE).outcome(),
        Err(errno) => Outcome::Stopped(Errno(errno)),
    }
}

fn raise_limits(_: &Context) -> Outcome {
    let limits = [libc::RLIMIT_NOFILE, libc::RLIMIT_NPROC, libc::RLIMIT_FSIZE, libc::RLIMIT_CORE];
    each(limits.map(|limit| limit as i32), |limit| {
        let mut wanted = [u64::MAX; 2];
        call!(libc::SYS_prlimit64, 0, limit, at(&mut wanted), Arg::NULL).outcome()
    })
}

fn limits_can_be_lowered(_: &Context) -> Result<(), String> {
    let mut wanted = [16_u64; 2];
    call!(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE as i32, at(&mut wanted), Arg::NULL).map(drop).map_err(errno_name)
}

fn write_score(score: &str) -> Outcome {
    let file = File::options().write(true).open("/proc/self/oom_score_adj");
    file.and_then(|mut file| file.write_all(score.as_bytes())).outcome()
}
