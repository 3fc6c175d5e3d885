//! Giving everything up: identities, capabilities, limits, file access. All of it happens in a cell's init before
//! the command exists, so that every process of the cell inherits it and none can undo it.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet};

use crate::error::{Step, StepError};
use crate::plan::{CELL_ID, LandlockPlan, ProcessLimits};
use crate::sys;

/// Becomes uid and gid 1000 of the cell's user namespace, still with its capabilities: what is mounted and created
/// next belongs to the cell's user.
pub(crate) fn become_cell_user(setgroups: bool) -> Result<(), StepError> {
    let uid = rustix::process::Uid::from_raw(CELL_ID);
    let gid = rustix::process::Gid::from_raw(CELL_ID);
    rustix::thread::set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_SETUID_FIXUP | CapabilitiesSecureBits::NO_ROOT,
    )
    .step("set secure bits")?;
    if setgroups {
        rustix::thread::set_thread_groups(&[]).step("drop supplementary groups")?;
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid).step("change the group")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).step("change the user")?;
    // Not dumpable: no process of the cell can look into its init (proc(5), ptrace(2)).
    sys::prctl(libc::PR_SET_DUMPABLE, 0).step("forbid dumps")?;
    // Set after the change of user, which clears it. The launcher's death is the cell's death.
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).step("tie the cell to its launcher")?;
    Ok(())
}

/// Drops every capability from every set, for good.
pub(crate) fn drop_privileges() -> Result<(), StepError> {
    for capability in 0..64u32 {
        let Some(set) = CapabilitySet::from_bits(1u64 << capability) else { continue };
        match rustix::thread::remove_capability_from_bounding_set(set) {
            Ok(()) => {}
            // Numbers that this kernel does not know.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error).step(format!("drop capability {capability} from the bounding set")),
        }
    }
    rustix::thread::clear_ambient_capability_set().step("clear ambient capabilities")?;
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    rustix::thread::set_capabilities_secure_bits(locked).step("lock secure bits")?;
    rustix::thread::set_no_new_privs(true).step("set no_new_privs")?;
    sys::drop_capabilities().step("drop capabilities")
}

/// Sets the limits of each process. A hard limit that is lower already stays.
pub(crate) fn limit(limits: &ProcessLimits) -> Result<(), StepError> {
    const MIB: u64 = 1024 * 1024;
    let mut all = vec![
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_NOFILE, limits.files),
        (libc::RLIMIT_FSIZE, limits.file_size),
        (libc::RLIMIT_NPROC, limits.processes),
        (libc::RLIMIT_MEMLOCK, 8 * MIB),
        (libc::RLIMIT_MSGQUEUE, 819_200),
        (libc::RLIMIT_SIGPENDING, 4096),
        (libc::RLIMIT_NICE, 0),
        (libc::RLIMIT_RTPRIO, 0),
    ];
    all.extend(limits.data.map(|data| (libc::RLIMIT_DATA, data)));
    for (resource, value) in all {
        sys::set_limit(resource, value.min(sys::hard_limit(resource)))
            .step(format!("set resource limit {resource}"))?;
    }
    Ok(())
}

/// The highest Landlock ABI that both this kernel and we know.
pub(crate) fn landlock_version() -> Option<ABI> {
    Some(match sys::landlock_abi() {
        i32::MIN..=0 => return None,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        7 => ABI::V7,
        8.. => ABI::V8,
    })
}

/// Confines file access and, where the kernel can, signals and abstract sockets, to what the plan names. Every right
/// that the ABI knows is a hard requirement.
pub(crate) fn landlock(plan: &LandlockPlan) -> Result<(), StepError> {
    let abi = landlock_version().ok_or_else(|| {
        StepError::new("set up Landlock", "this kernel has none", "boot with `lsm=landlock,…` on Linux 5.13 or later")
    })?;
    let step = || "set up Landlock".to_owned();
    let all = AccessFs::from_all(abi);
    let read = BitFlags::from(AccessFs::ReadFile) | AccessFs::ReadDir;
    let write = AccessFs::from_write(abi);
    let devices = (read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev) & all;
    let mut ruleset =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(all).step(step())?;
    if abi >= ABI::V6 {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal).step(step())?;
    }
    let mut ruleset = ruleset.create().step(step())?;
    let rules: [(&[PathBuf], BitFlags<AccessFs>); 4] = [
        (&[PathBuf::from("/")], read),
        (&plan.execute, BitFlags::from(AccessFs::Execute)),
        (
            &plan.write,
            write
                & !BitFlags::from(AccessFs::MakeChar)
                & !BitFlags::from(AccessFs::MakeBlock)
                & !BitFlags::from(AccessFs::IoctlDev),
        ),
        (&plan.devices, devices),
    ];
    for (paths, access) in rules {
        for path in paths {
            let place = PathFd::new(path).step(format!("Landlock rule for `{}`", path.display()))?;
            let file = !std::fs::metadata(path).step(step())?.is_dir();
            let access = if file { access & AccessFs::from_file(abi) } else { access };
            ruleset = ruleset
                .add_rule(PathBeneath::new(place, access))
                .step(format!("Landlock rule for `{}`", path.display()))?;
        }
    }
    let status = ruleset.restrict_self().step(step())?;
    if status.ruleset == RulesetStatus::FullyEnforced {
        Ok(())
    } else {
        Err(StepError::new(step(), format!("only {:?}", status.ruleset), "use a kernel whose Landlock is complete"))
    }
}

/// Closes every descriptor but the standard ones and `keep`. The owners of the others must not be used again.
pub(crate) fn close_others(keep: &[BorrowedFd<'_>]) -> Result<(), StepError> {
    use std::os::fd::AsRawFd;
    let mut numbers: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok()).collect();
    numbers.sort_unstable();
    let mut first = 3;
    for number in numbers.into_iter().chain([u32::MAX]) {
        if number > first {
            // SAFETY: this process is a fresh copy that keeps using only the descriptors in `keep`; the owners of
            // the others were left behind by clone and are never dropped, as the process ends with `_exit`.
            let result = unsafe { libc::syscall(libc::SYS_close_range, first, number - 1, 0) };
            if result < 0 {
                return Err(std::io::Error::last_os_error()).step("close inherited descriptors");
            }
        }
        first = number.saturating_add(1);
    }
    Ok(())
}

/// An `O_PATH` descriptor of this process's root, for whoever watches the cell from outside.
pub(crate) fn root_descriptor() -> Result<OwnedFd, StepError> {
    rustix::fs::open("/", rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())
        .step("open the root")
}
