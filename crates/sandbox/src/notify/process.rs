//! The calling process, as far as a record needs it.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;

use super::request::{self, PATH_MAX, Start};

/// Pages are this large or a multiple of it.
const PAGE: u64 = 4096;

/// A thread that waits in a system call, by its host pid.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
}

impl Process {
    pub(super) fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// The string at an address of its memory. `None` where the kernel would not take it for a path either: it is not
    /// all in readable memory, or too long.
    pub(super) fn string(&self, address: u64) -> io::Result<Option<Vec<u8>>> {
        let mut memory = [0; PATH_MAX];
        let read = match self.read(address, &mut memory) {
            Ok(read) => read,
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(memory.get(..read).and_then(request::c_string).map(<[u8]>::to_vec))
    }

    /// The list of strings at an address of its memory (execve(2)), each cut at `longest` bytes and the list at `most`;
    /// empty where it cannot be read. For people: what is missing is seen to be missing.
    pub(super) fn strings(&self, address: u64, most: usize, longest: usize) -> Vec<String> {
        let mut memory = [0; PATH_MAX];
        let read = if address == 0 { 0 } else { self.read(address, &mut memory).unwrap_or(0) };
        let pointers = memory.get(..read).unwrap_or_default().chunks_exact(size_of::<u64>());
        let pointers = pointers.filter_map(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes);
        let mut strings = Vec::new();
        for pointer in pointers.take_while(|pointer| *pointer != 0) {
            if strings.len() == most {
                strings.push("…".to_owned());
                break;
            }
            let mut memory = [0; PATH_MAX];
            let read = self.read(pointer, &mut memory).unwrap_or(0);
            let text = memory.get(..read).unwrap_or_default();
            let end = text.iter().position(|byte| *byte == 0);
            let text = text.get(..end.unwrap_or(read)).unwrap_or_default();
            let cut = text.get(..longest).filter(|_| end.is_none_or(|end| end > longest));
            let mut string = String::from_utf8_lossy(cut.unwrap_or(text)).into_owned();
            if cut.is_some() {
                string.push('…');
            }
            strings.push(string);
        }
        strings
    }

    /// Reads from its memory as far as it is mapped; see process_vm_readv(2).
    fn read(&self, address: u64, buffer: &mut [u8; PATH_MAX]) -> io::Result<usize> {
        // A read stops before the first piece that is not all readable, so the pieces end where a page does.
        let first = (PAGE - address % PAGE) as usize;
        let piece = |address: u64, length| libc::iovec { iov_base: address as *mut libc::c_void, iov_len: length };
        let remote = [piece(address, first), piece(address.wrapping_add(first as u64), PATH_MAX - first)];
        let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: PATH_MAX };
        // SAFETY: the kernel writes at most PATH_MAX bytes to `local`, which is `buffer`; the remote addresses are of the
        // other process and are checked by the kernel.
        let read = unsafe {
            libc::process_vm_readv(
                self.pid as libc::pid_t,
                &local,
                1,
                remote.as_ptr(),
                remote.len() as libc::c_ulong,
                0,
            )
        };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }

    /// The path of the start of a relative path, as its mount namespace has it; or what the kernel calls a file without
    /// one, such as `pipe:[7]`. `None` where there is no such descriptor.
    pub(super) fn start(&self, start: Start) -> io::Result<Option<Vec<u8>>> {
        let link = match start {
            Start::WorkingDirectory => format!("/proc/{}/cwd", self.pid),
            Start::Descriptor(descriptor) => format!("/proc/{}/fd/{descriptor}", self.pid),
        };
        match fs::read_link(link) {
            Ok(path) => Ok(Some(path.into_os_string().into_vec())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its supplementary groups, as ids of the host.
    pub(super) fn groups(&self) -> io::Result<Vec<u32>> {
        Ok(self.status("Groups:")?.split_whitespace().filter_map(|group| group.parse().ok()).collect())
    }

    /// The pids of its process and of itself in its own PID namespace.
    pub(super) fn own_pids(&self) -> io::Result<(u32, u32)> {
        let innermost = |key| {
            let pids = self.status(key)?;
            let last = pids.split_whitespace().last().and_then(|pid| pid.parse().ok());
            last.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no `{key}` in its status")))
        };
        Ok((innermost("NStgid:")?, innermost("NSpid:")?))
    }

    fn status(&self, key: &str) -> io::Result<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        Ok(status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    #[test]
    fn arguments_are_read_and_cut() {
        let strings = ["cat", "/etc/shadow", &"x".repeat(20), "last"].map(|s| CString::new(s).unwrap());
        let pointers: Vec<u64> = strings.iter().map(|s| s.as_ptr() as u64).chain([0, 1]).collect();
        let process = Process::new(std::process::id());
        let read = |most, longest| process.strings(pointers.as_ptr() as u64, most, longest);
        assert_eq!(read(8, 20), ["cat", "/etc/shadow", &"x".repeat(20), "last"]);
        assert_eq!(read(2, 20), ["cat", "/etc/shadow", "…"]);
        assert_eq!(read(8, 4), ["cat", "/etc…", "xxxx…", "last"]);
    }

    #[test]
    fn arguments_that_cannot_be_read_are_empty() {
        let process = Process::new(std::process::id());
        assert!(process.strings(0, 8, 20).is_empty());
        assert!(process.strings(8, 8, 20).is_empty());
        let nowhere = [16u64, 0];
        assert_eq!(process.strings(nowhere.as_ptr() as u64, 8, 20), [""]);
    }
}
