//! What a notified call asks for, from its number and arguments alone. Nothing here looks at a process or a file.

/// Longest path with its terminating zero, as in the kernel (`PATH_MAX`).
pub const PATH_MAX: usize = 4096;

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A change to the file tree.
    File(FileChange),
    /// A program to run.
    Exec(Place),
    /// Neither: a call that no cell may make.
    Other,
}

/// A change to the file tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The name of the call in its plain form: `open`, `mkdir`, `rename`…
    pub operation: &'static str,
    /// What kind of change.
    pub change: Change,
    /// What is changed; for links and renames, the new name.
    pub place: Place,
}

/// Kinds of change, by what the kernel checks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Opens a file, perhaps a new one.
    Open {
        /// Flags of open(2).
        flags: i32,
    },
    /// Makes a new name for something new.
    Create,
    /// Makes a new name for something old.
    Link {
        /// Its old name.
        from: Place,
    },
    /// Moves a name.
    Move {
        /// The old name.
        from: Place,
    },
    /// Removes a name.
    Remove,
    /// Changes the content.
    Truncate,
    /// Changes mode or owner.
    Owner,
    /// Changes times.
    Times {
        /// To the present.
        now: bool,
    },
    /// Changes an extended attribute.
    Attribute,
}

/// Where a path argument is, and how it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What a relative path starts from.
    pub start: Start,
    /// Address of the path in the caller's memory.
    pub pointer: u64,
    /// Whether a symbolic link at the end is followed.
    pub follow: bool,
    /// Whether an empty path means the start itself (`AT_EMPTY_PATH`).
    pub empty: bool,
}

/// What a relative path starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The caller's working directory.
    WorkingDirectory,
    /// An open file of the caller.
    Descriptor(i32),
}

/// Says what a call is about.
pub fn subject(number: u32, arguments: &[u64; 6]) -> Subject {
    let [a, b, c, d, e, _] = *arguments;
    // Flags, modes and descriptors are 32 bits wide in the kernel.
    let flags = |value: u64| value as i32;
    let has = |value: u64, flag: i32| flags(value) & flag != 0;
    let file = |operation, change, place| Subject::File(FileChange { operation, change, place });
    match i64::from(number) {
        libc::SYS_openat => file("open", Change::Open { flags: flags(c) }, opened(at(a, b), flags(c))),
        libc::SYS_mkdirat => file("mkdir", Change::Create, at(a, b).not_followed()),
        libc::SYS_mknodat => file("mknod", Change::Create, at(a, b).not_followed()),
        libc::SYS_symlinkat => file("symlink", Change::Create, at(b, c).not_followed()),
        libc::SYS_linkat => {
            let from =
                Place { follow: has(e, libc::AT_SYMLINK_FOLLOW), empty: has(e, libc::AT_EMPTY_PATH), ..at(a, b) };
            file("link", Change::Link { from }, at(c, d).not_followed())
        }
        libc::SYS_renameat | libc::SYS_renameat2 => {
            file("rename", Change::Move { from: at(a, b).not_followed() }, at(c, d).not_followed())
        }
        libc::SYS_unlinkat => {
            let operation = if has(c, libc::AT_REMOVEDIR) { "rmdir" } else { "unlink" };
            file(operation, Change::Remove, at(a, b).not_followed())
        }
        libc::SYS_truncate => file("truncate", Change::Truncate, cwd(a)),
        libc::SYS_fchmod => file("chmod", Change::Owner, descriptor(a)),
        libc::SYS_fchmodat => file("chmod", Change::Owner, at(a, b)),
        FCHMODAT2 => file("chmod", Change::Owner, at(a, b).flagged(flags(d))),
        libc::SYS_fchownat => file("chown", Change::Owner, at(a, b).flagged(flags(e))),
        libc::SYS_utimensat => file("utime", Change::Times { now: c == 0 }, at(a, b).flagged(flags(d))),
        libc::SYS_setxattr => file("setxattr", Change::Attribute, cwd(a)),
        libc::SYS_lsetxattr => file("setxattr", Change::Attribute, cwd(a).not_followed()),
        libc::SYS_removexattr => file("removexattr", Change::Attribute, cwd(a)),
        libc::SYS_lremovexattr => file("removexattr", Change::Attribute, cwd(a).not_followed()),
        libc::SYS_execve => Subject::Exec(cwd(a)),
        libc::SYS_execveat => Subject::Exec(at(a, b).flagged(flags(e))),
        other => legacy(other, arguments),
    }
}

/// Where the arguments of a program to be run lie in the caller's memory, for a call that is [`Subject::Exec`].
pub(super) fn arguments(number: u32, arguments: &[u64; 6]) -> u64 {
    let [_, second, third, ..] = *arguments;
    if libc::c_long::from(number) == libc::SYS_execveat { third } else { second }
}

/// Too new for the headers of some C libraries.
const FCHMODAT2: i64 = 452;

/// Forms that only x86_64 has.
#[cfg(target_arch = "x86_64")]
fn legacy(number: i64, arguments: &[u64; 6]) -> Subject {
    let [a, b, c, ..] = *arguments;
    let (operation, change, place) = match number {
        libc::SYS_open => ("open", Change::Open { flags: b as i32 }, opened(cwd(a), b as i32)),
        libc::SYS_creat => ("open", Change::Open { flags: libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC }, cwd(a)),
        libc::SYS_mkdir => ("mkdir", Change::Create, cwd(a).not_followed()),
        libc::SYS_mknod => ("mknod", Change::Create, cwd(a).not_followed()),
        libc::SYS_symlink => ("symlink", Change::Create, cwd(b).not_followed()),
        libc::SYS_link => ("link", Change::Link { from: cwd(a).not_followed() }, cwd(b).not_followed()),
        libc::SYS_rename => ("rename", Change::Move { from: cwd(a).not_followed() }, cwd(b).not_followed()),
        libc::SYS_unlink => ("unlink", Change::Remove, cwd(a).not_followed()),
        libc::SYS_rmdir => ("rmdir", Change::Remove, cwd(a).not_followed()),
        libc::SYS_chmod => ("chmod", Change::Owner, cwd(a)),
        libc::SYS_chown => ("chown", Change::Owner, cwd(a)),
        libc::SYS_lchown => ("chown", Change::Owner, cwd(a).not_followed()),
        libc::SYS_utime | libc::SYS_utimes => ("utime", Change::Times { now: b == 0 }, cwd(a)),
        libc::SYS_futimesat => ("utime", Change::Times { now: c == 0 }, at(a, b)),
        _ => return Subject::Other,
    };
    Subject::File(FileChange { operation, change, place })
}

/// There are none.
#[cfg(not(target_arch = "x86_64"))]
fn legacy(_: i64, _: &[u64; 6]) -> Subject {
    Subject::Other
}

fn at(directory: u64, pointer: u64) -> Place {
    let start = match directory as i32 {
        libc::AT_FDCWD => Start::WorkingDirectory,
        descriptor => Start::Descriptor(descriptor),
    };
    Place { start, pointer, follow: true, empty: false }
}

fn cwd(pointer: u64) -> Place {
    Place { start: Start::WorkingDirectory, pointer, follow: true, empty: false }
}

/// An open file itself: an empty path without a pointer.
fn descriptor(descriptor: u64) -> Place {
    Place { start: Start::Descriptor(descriptor as i32), pointer: 0, follow: true, empty: true }
}

/// `O_NOFOLLOW`, and `O_CREAT|O_EXCL`, which takes a link at the end for an existing file.
fn opened(place: Place, flags: i32) -> Place {
    let exclusive = libc::O_CREAT | libc::O_EXCL;
    Place { follow: flags & libc::O_NOFOLLOW == 0 && flags & exclusive != exclusive, ..place }
}

impl Place {
    fn not_followed(self) -> Self {
        Self { follow: false, ..self }
    }

    fn flagged(self, flags: i32) -> Self {
        Self { follow: flags & libc::AT_SYMLINK_NOFOLLOW == 0, empty: flags & libc::AT_EMPTY_PATH != 0, ..self }
    }
}

/// The string at the front of `memory`, without its terminating zero; `None` where there is none in [`PATH_MAX`] bytes.
pub fn c_string(memory: &[u8]) -> Option<&[u8]> {
    let mut bytes = memory.iter().take(PATH_MAX);
    let end = bytes.position(|byte| *byte == 0)?;
    memory.get(..end)
}

/// The names in a path, without the empty ones.
pub fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
}

/// `path`, seen from the absolute path `base`, as an absolute path without `.`, `..` and empty names. A matter of
/// text: links are not looked at, so this is for records of paths that do not exist.
pub fn normalise(base: &[u8], path: &[u8]) -> Vec<u8> {
    let base = if path.starts_with(b"/") { b"" } else { base };
    let mut names: Vec<&[u8]> = Vec::new();
    for name in components(base).chain(components(path)) {
        match name {
            b"." => {}
            b".." => {
                names.pop();
            }
            _ => names.push(name),
        }
    }
    absolute(names.into_iter())
}

/// The absolute path with these names.
pub(super) fn absolute<'a>(names: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut path = Vec::new();
    for name in names {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const CWD: u64 = libc::AT_FDCWD as u64;

    fn file(number: i64, arguments: [u64; 6]) -> FileChange {
        match subject(number as u32, &arguments) {
            Subject::File(change) => change,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_descriptor_is_32_bits_wide() {
        // glibc passes AT_FDCWD as a sign-extended 64-bit value, others as 0xffffff9c.
        for cwd in [CWD, 0xffff_ff9c, 0xdead_0000_ffff_ff9c] {
            let change = file(libc::SYS_openat, [cwd, 7, libc::O_WRONLY as u64, 0, 0, 0]);
            assert_eq!(change.place.start, Start::WorkingDirectory, "{cwd:x}");
        }
        let change = file(libc::SYS_openat, [5 | 1 << 40, 7, libc::O_WRONLY as u64, 0, 0, 0]);
        assert_eq!(change.place.start, Start::Descriptor(5));
    }

    #[test]
    fn an_exclusive_create_does_not_follow_a_link() {
        let follows = |flags: i32| file(libc::SYS_openat, [CWD, 7, flags as u64, 0, 0, 0]).place.follow;
        assert!(follows(libc::O_CREAT | libc::O_WRONLY));
        assert!(follows(libc::O_EXCL | libc::O_WRONLY));
        assert!(!follows(libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY));
        assert!(!follows(libc::O_WRONLY | libc::O_NOFOLLOW));
    }

    #[test]
    fn the_new_name_is_the_place_and_the_old_one_is_kept() {
        let change = file(libc::SYS_renameat2, [3, 100, 4, 200, 0, 0]);
        assert_eq!((change.operation, change.place.start, change.place.pointer), ("rename", Start::Descriptor(4), 200));
        let Change::Move { from } = change.change else { panic!("{change:?}") };
        assert_eq!((from.start, from.pointer), (Start::Descriptor(3), 100));

        let change = file(libc::SYS_symlinkat, [100, 4, 200, 0, 0, 0]);
        assert_eq!((change.place.start, change.place.pointer), (Start::Descriptor(4), 200));
    }

    #[test]
    fn unlinkat_with_a_flag_is_rmdir() {
        assert_eq!(file(libc::SYS_unlinkat, [CWD, 1, 0, 0, 0, 0]).operation, "unlink");
        assert_eq!(file(libc::SYS_unlinkat, [CWD, 1, libc::AT_REMOVEDIR as u64, 0, 0, 0]).operation, "rmdir");
    }

    #[test]
    fn execveat_may_name_an_open_file() {
        let Subject::Exec(place) = subject(libc::SYS_execveat as u32, &[9, 1, 0, 0, libc::AT_EMPTY_PATH as u64, 0])
        else {
            panic!("not an exec");
        };
        assert_eq!((place.start, place.empty), (Start::Descriptor(9), true));
    }

    #[test]
    fn every_call_that_is_asked_about_has_a_subject() {
        use crate::seccomp::{Outcome, evaluate};
        for mode in [nanoclaw_config::SandboxMode::Restricted, nanoclaw_config::SandboxMode::Standard] {
            for number in 0..600 {
                for arguments in [[0; 6], [1; 6], [u64::from(libc::S_IFREG); 6]] {
                    let asked = evaluate(mode, number, &arguments) == Outcome::Ask;
                    assert!(!asked || subject(number, &arguments) != Subject::Other, "{number}");
                }
            }
        }
    }

    #[test]
    fn a_string_ends_at_its_zero_and_within_the_longest_path() {
        assert_eq!(c_string(b"/tmp/x\0rest\0"), Some(&b"/tmp/x"[..]));
        assert_eq!(c_string(b"\0"), Some(&b""[..]));
        assert_eq!(c_string(b"no end"), None);
        let mut long = vec![b'a'; PATH_MAX - 1];
        long.push(0);
        assert_eq!(c_string(&long).map(<[u8]>::len), Some(PATH_MAX - 1));
        long.insert(0, b'a');
        assert_eq!(c_string(&long), None);
    }

    #[test]
    fn a_path_never_leaves_the_root() {
        for (base, path, expected) in [
            ("/workspace", "a/./b", "/workspace/a/b"),
            ("/workspace", "../../../etc/passwd", "/etc/passwd"),
            ("/workspace", "/etc//shadow/", "/etc/shadow"),
            ("/", "..", "/"),
            ("/", "", "/"),
        ] {
            assert_eq!(normalise(base.as_bytes(), path.as_bytes()), expected.as_bytes(), "{base} {path}");
        }
        assert_eq!(normalise(b"/w", b"\xff\xfe/.."), b"/w");
    }
}
