//! Opening what the host shows to a cell: the check and the mount use the same descriptor, so that nothing can be
//! swapped in between.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nanoclaw_config::MountMode;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use crate::error::{Step, StepError};
use crate::plan::{Bind, BindKind};
use crate::sys::{self, MountAttributes};

/// Names that hold credentials or control other programs, wherever they stand.
const DENIED_NAMES: [&str; 22] = [
    ".aws",
    ".azure",
    ".docker",
    ".gnupg",
    ".kube",
    ".netrc",
    ".oci",
    ".password-store",
    ".pgpass",
    ".ssh",
    ".vault-token",
    ".git-credentials",
    ".mozilla",
    ".nanoclaw",
    "containerd.sock",
    "crio.sock",
    "docker.sock",
    "gcloud",
    "gh",
    "keyrings",
    "podman.sock",
    "buildkitd.sock",
];
/// Names of [`DENIED_NAMES`] that are too ordinary to refuse outside a home's `.config` or `.local/share`.
const ONLY_IN_CONFIG: [&str; 3] = ["gcloud", "gh", "keyrings"];
/// Places that are never shown whole, nor anything below where the second field says so.
const DENIED_PLACES: [(&str, bool); 14] = [
    ("/", false),
    ("/home", false),
    ("/root", false),
    ("/var", false),
    ("/var/lib", false),
    ("/etc", true),
    ("/boot", true),
    ("/dev", true),
    ("/proc", true),
    ("/sys", true),
    ("/run", true),
    ("/var/run", true),
    ("/var/lib/docker", true),
    ("/var/lib/kubelet", true),
];

/// Clones the mount that `bind` names, with all its attributes, detached: ready for `move_mount`. `id_map` gives a
/// user namespace for the owner of the source, where this process may map ids.
pub(crate) fn open(
    bind: &Bind,
    state_dir: Option<&Path>,
    id_map: impl FnOnce(u32, u32) -> Result<Option<OwnedFd>, StepError>,
) -> Result<OwnedFd, StepError> {
    let step = || format!("mount `{}`", bind.source.display());
    // A source may lie in what another cell, or an earlier run of this one, can write: a link put there would lead
    // anywhere on the host.
    let resolve = match bind.kind {
        BindKind::Asked | BindKind::Own => ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS,
        BindKind::System | BindKind::Device => ResolveFlags::NO_MAGICLINKS,
    };
    let opened = rustix::fs::openat2(CWD, &bind.source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve);
    let source = match opened {
        Err(Errno::LOOP) => {
            let cause = "a part of the path is a symbolic link, which whoever can write there could turn elsewhere";
            return Err(StepError::new(step(), cause, "write the path without links, as `realpath` prints it"));
        }
        opened => opened.step_help(step(), "check that the path exists and that you may reach it")?,
    };
    let stat = rustix::fs::fstat(&source).step(step())?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if bind.kind == BindKind::Asked {
        check(&source, kind, state_dir).map_err(|(cause, help)| StepError::new(step(), cause, help))?;
    }
    let tree = rustix::mount::open_tree(
        &source,
        "",
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH
            | OpenTreeFlags::AT_RECURSIVE,
    )
    .step(step())?;
    let attributes = MountAttributes {
        read_only: bind.mode == MountMode::Ro,
        no_exec: bind.no_exec,
        no_device: bind.kind != BindKind::Device,
    };
    let owner =
        if matches!(bind.kind, BindKind::Asked | BindKind::Own) { id_map(stat.st_uid, stat.st_gid)? } else { None };
    let recursive = kind == FileType::Directory;
    match (sys::set_mount_attributes(&tree, attributes, owner.as_ref().map(AsFd::as_fd), recursive), owner) {
        (Ok(()), _) => {}
        // A read-only mount without id mapping only shows less; a writable one would not be writable.
        (Err(_), Some(_)) if attributes.read_only => {
            sys::set_mount_attributes(&tree, attributes, None, recursive).step(step())?;
        }
        (Err(error), Some(_)) => {
            return Err(StepError::new(
                step(),
                format!("its file system cannot map ids ({error})"),
                "put the directory on ext4, xfs, btrfs or tmpfs, or run NanoClaw as the user who owns it",
            ));
        }
        (Err(error), None) => return Err(error).step(step()),
    }
    Ok(tree)
}

fn check(source: &OwnedFd, kind: FileType, state_dir: Option<&Path>) -> Result<(), (String, &'static str)> {
    if !matches!(kind, FileType::Directory | FileType::RegularFile) {
        return Err((
            "only files and directories can be shown to a cell, no sockets, pipes or devices".to_owned(),
            "reach services through allowed_networks instead",
        ));
    }
    let real = real_path(source.as_fd()).map_err(|error| (error.to_string(), ""))?;
    if let Some(why) = denied(&real, state_dir) {
        return Err((why, "mount the one directory that the agent needs instead"));
    }
    if kind == FileType::Directory {
        let found = DENIED_NAMES.iter().filter(|name| !ONLY_IN_CONFIG.contains(name)).find(|name| {
            rustix::fs::accessat(source, **name, rustix::fs::Access::EXISTS, rustix::fs::AtFlags::empty()).is_ok()
        });
        if let Some(name) = found {
            return Err((
                format!("it holds `{name}`, which is on the built-in deny list"),
                "mount a directory below it instead",
            ));
        }
    }
    Ok(())
}

fn real_path(fd: BorrowedFd<'_>) -> std::io::Result<PathBuf> {
    use std::os::fd::AsRawFd;
    let link = rustix::fs::readlinkat(CWD, format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())?;
    Ok(PathBuf::from(OsStr::from_bytes(link.as_bytes())))
}

/// Why a real path may not be shown, if it may not.
fn denied(real: &Path, state_dir: Option<&Path>) -> Option<String> {
    for (place, below) in DENIED_PLACES {
        if real == Path::new(place) || (below && real.starts_with(place)) {
            return Some(format!("`{}` is on the built-in deny list (`{place}`)", real.display()));
        }
    }
    let names: Vec<&str> = real.iter().filter_map(OsStr::to_str).collect();
    let hit = names.iter().enumerate().find(|(at, name)| {
        let in_config =
            at.checked_sub(1).and_then(|before| names.get(before)).is_some_and(|n| matches!(*n, ".config" | "share"));
        DENIED_NAMES.contains(name) && (!ONLY_IN_CONFIG.contains(name) || in_config)
    });
    if let Some((_, name)) = hit {
        return Some(format!("`{}` is on the built-in deny list (`{name}`)", real.display()));
    }
    state_dir
        .filter(|state| real.starts_with(state) || state.starts_with(real))
        .map(|state| format!("`{}` would show NanoClaw's own state (`{}`)", real.display(), state.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_control_sockets_are_denied() {
        let state = Path::new("/var/lib/nanoclaw");
        for path in [
            "/",
            "/etc",
            "/etc/ssl",
            "/root",
            "/proc/self",
            "/sys",
            "/run/docker.sock",
            "/srv/docker.sock",
            "/home/a/.ssh",
            "/home/a/.ssh/id_ed25519",
            "/home/a/.kube/config",
            "/home/a/.config/gcloud",
            "/var/lib/nanoclaw/audit",
            "/var/lib",
        ] {
            assert!(denied(Path::new(path), Some(state)).is_some(), "{path}");
        }
        for path in ["/home/a/work", "/srv/data", "/root/work", "/home/a/gh", "/opt/gcloud", "/var/tmp/x"] {
            assert_eq!(denied(Path::new(path), Some(state)), None, "{path}");
        }
    }
}
