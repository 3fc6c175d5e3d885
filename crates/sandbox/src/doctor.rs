//! What this host offers for cells, layer by layer, with the mending step for what is missing.

use std::path::Path;

use serde::Serialize;

use crate::cgroup::Support;
use crate::sys;

/// One layer of protection.
#[derive(Clone, Debug, Serialize)]
pub struct Layer {
    /// Its name.
    pub name: &'static str,
    /// Whether it is there.
    pub present: bool,
    /// Whether a cell in `restricted` mode starts without it.
    pub required: bool,
    /// What was found.
    pub detail: String,
    /// What to do where it is missing; empty where nothing needs doing.
    pub mend: &'static str,
}

/// Looks at every layer. What only trying can tell (namespaces, mounts, the packet filter) is tried by starting a
/// cell, which the caller does with this list in hand.
pub fn examine(cgroups: &Support) -> Vec<Layer> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let namespaces = read("/proc/sys/user/max_user_namespaces").and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let unprivileged = read("/proc/sys/kernel/unprivileged_userns_clone").is_none_or(|value| value == "1");
    let root = rustix::process::geteuid().is_root();
    let abi = sys::landlock_abi();
    let enforced = cgroups.enforced();
    let mut layers = vec![
        Layer {
            name: "kernel",
            present: kernel_at_least(&release, (5, 14)),
            required: true,
            detail: format!("Linux {release}"),
            mend: "use Linux 5.14 or later (mount API, id-mapped mounts, process limits per user namespace)",
        },
        Layer {
            name: "user namespaces",
            present: namespaces > 0 && (root || unprivileged),
            required: true,
            detail: format!("user.max_user_namespaces={namespaces}"),
            mend: "sysctl -w user.max_user_namespaces=15000 (on Debian before 11 also kernel.unprivileged_userns_clone=1)",
        },
        Layer {
            name: "seccomp user notification",
            present: sys::seccomp_notification_available(),
            required: true,
            detail: "system calls are filtered by an allow list and refusals recorded".to_owned(),
            mend: "use a kernel with CONFIG_SECCOMP_FILTER (Linux 5.0 or later)",
        },
        Layer {
            name: "landlock",
            present: abi > 0,
            required: true,
            detail: format!("ABI {abi}"),
            mend: "boot with `lsm=landlock,...` on a kernel with CONFIG_SECURITY_LANDLOCK",
        },
    ];
    for (name, present) in
        [("memory limit", enforced.memory), ("cpu limit", enforced.cpu), ("process limit", enforced.pids)]
    {
        layers.push(Layer {
            name,
            present,
            required: false,
            detail: cgroups.to_string(),
            mend: "run as root, or have a control group delegated (systemd: `Delegate=yes` in the unit, or `systemd-run --user --scope -p Delegate=yes`)",
        });
    }
    let ipv6 = Path::new("/proc/net/if_inet6").exists();
    layers.push(Layer {
        name: "ipv6",
        present: ipv6,
        required: false,
        detail: if ipv6 { "cells reach IPv4 and IPv6 destinations" } else { "cells reach IPv4 destinations only" }
            .to_owned(),
        mend: "boot without `ipv6.disable=1`",
    });
    layers
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn kernel_at_least(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) >= wanted)
}

#[cfg(test)]
mod tests {
    #[test]
    fn kernel_versions_compare_as_numbers() {
        assert!(super::kernel_at_least("6.1.0-18-amd64", (5, 14)));
        assert!(super::kernel_at_least("5.14.0", (5, 14)));
        assert!(!super::kernel_at_least("5.9.16", (5, 14)));
        assert!(!super::kernel_at_least("nonsense", (5, 14)));
    }
}
