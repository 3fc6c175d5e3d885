//! Limits: the built-in defaults, the bounds, and how one set falls back on another.

use std::ops::RangeInclusive;

use crate::Limits;

impl Limits {
    /// What holds where nothing is configured: one core, 1 GiB of memory, 256 processes, 1 GiB in each writable place,
    /// 1024 open files, no end of wall time. `timeout` is the only `None`.
    pub const DEFAULT: Limits = Limits {
        cpu_millis: Some(1000),
        memory: Some(1 << 30),
        pids: Some(256),
        disk: Some(1 << 30),
        files: Some(1024),
        timeout: None,
    };
    /// Bounds of `cpu_millis`: a hundredth of a core to 1024 cores.
    pub const CPU_MILLIS: RangeInclusive<u32> = 10..=1_024_000;
    /// Bounds of `memory`, in bytes: 4 MiB, below which a cell cannot start, to 16 TiB.
    pub const MEMORY: RangeInclusive<u64> = 4 << 20..=16 << 40;
    /// Bounds of `pids`: 4, so that a program can start another, to the kernel's own ceiling (`PID_MAX_LIMIT`).
    pub const PIDS: RangeInclusive<u32> = 4..=4_194_304;
    /// Bounds of `disk`, in bytes: 64 KiB to 16 TiB.
    pub const DISK: RangeInclusive<u64> = 64 << 10..=16 << 40;
    /// Bounds of `files`: 16 to the kernel's default ceiling (`fs.nr_open`).
    pub const FILES: RangeInclusive<u32> = 16..=1_048_576;
    /// Bounds of `timeout`, in milliseconds: 1 ms to 365 days.
    pub const TIMEOUT_MILLIS: RangeInclusive<u64> = 1..=365 * 86_400_000;

    /// These limits, and those of `fallback` where these say nothing.
    #[must_use]
    pub fn or(self, fallback: Limits) -> Limits {
        Limits {
            cpu_millis: self.cpu_millis.or(fallback.cpu_millis),
            memory: self.memory.or(fallback.memory),
            pids: self.pids.or(fallback.pids),
            disk: self.disk.or(fallback.disk),
            files: self.files.or(fallback.files),
            timeout: self.timeout.or(fallback.timeout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_limits_win_over_the_fallback() {
        let own = Limits { memory: Some(8 << 20), ..Limits::default() };
        assert_eq!(own.or(Limits::DEFAULT), Limits { memory: Some(8 << 20), ..Limits::DEFAULT });
        assert_eq!(Limits::default().or(own), own);
    }

    #[test]
    fn the_defaults_are_within_the_bounds_and_complete() {
        let Limits { cpu_millis, memory, pids, disk, files, timeout } = Limits::DEFAULT;
        assert!(Limits::CPU_MILLIS.contains(&cpu_millis.unwrap()));
        assert!(Limits::MEMORY.contains(&memory.unwrap()));
        assert!(Limits::PIDS.contains(&pids.unwrap()));
        assert!(Limits::DISK.contains(&disk.unwrap()));
        assert!(Limits::FILES.contains(&files.unwrap()));
        assert_eq!(timeout, None);
    }
}
