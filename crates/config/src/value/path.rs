//! Paths of the host and of the cell, mounts and environment variables.

use std::path::{Component, Path, PathBuf};

use super::ValueError;
use crate::decode::keys::nearest;
use crate::display::shown;
use crate::{Mount, MountMode, Rootfs};

/// Longest path, one less than Linux's `PATH_MAX`.
const MAX_PATH: usize = 4095;

/// Reads a path inside the cell: absolute, and written in its one shortest form.
pub(crate) fn cell_path(text: &str) -> Result<PathBuf, ValueError> {
    check_text(text)?;
    let short = shortest(text);
    if !text.starts_with('/') {
        return Err(ValueError::new(
            format!("`{}` is not an absolute path", shown(text)),
            format!("a path inside the cell begins with `/`; write `{}`", shown(&short)),
        ));
    }
    if text != short {
        return Err(ValueError::new(
            format!("`{}` is not the shortest form of the path", shown(text)),
            format!("write `{}`", shown(&short)),
        ));
    }
    Ok(PathBuf::from(text))
}

/// Reads the place of a mount inside the cell: a [`cell_path`] that NanoClaw does not make itself.
pub(crate) fn mount_target(text: &str) -> Result<PathBuf, ValueError> {
    let path = cell_path(text)?;
    if path == Path::new("/") {
        return Err(ValueError::new(
            "`/` cannot be a mount target",
            "choose a place below it such as `/workspace`; `rootfs` chooses what the cell sees as `/`",
        ));
    }
    match ["/proc", "/sys", "/dev"].iter().find(|own| path.starts_with(own)) {
        Some(own) => Err(ValueError::new(
            format!("`{}` cannot be a mount target", shown(text)),
            format!("NanoClaw makes `{own}` itself; choose another place such as `/workspace`"),
        )),
        None => Ok(path),
    }
}

/// Reads a path of the host; a relative one is resolved against `base`, which should be absolute and without
/// symbolic links, so that leading `..` mean what they seem to mean.
pub(crate) fn host_path(text: &str, base: &Path) -> Result<PathBuf, ValueError> {
    check_text(text)?;
    if text.starts_with('~') {
        return Err(ValueError::new(
            format!("`{}` begins with `~`, which only shells understand", shown(text)),
            "write the whole path, or a relative one such as `./work`",
        ));
    }
    let mut path = if text.starts_with('/') { PathBuf::new() } else { base.to_path_buf() };
    let mut below = text.starts_with('/');
    for part in Path::new(text).components() {
        match part {
            Component::ParentDir if below => {
                return Err(ValueError::new(
                    format!("`{}` has a `..` after a name, which leads elsewhere if that name is a link", shown(text)),
                    "write the path without it",
                ));
            }
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) | Component::Normal(_) => {
                below = true;
                path.push(part);
            }
        }
    }
    Ok(path)
}

fn check_text(text: &str) -> Result<(), ValueError> {
    if text.is_empty() {
        return Err(ValueError::new("the path is empty", "write a path such as `/workspace`"));
    }
    if text.contains('\0') {
        return Err(ValueError::new(format!("`{}` has a NUL character, which no path has", shown(text)), "remove it"));
    }
    if text.len() > MAX_PATH {
        return Err(ValueError::new(
            format!("the path has {} bytes, and Linux takes at most {MAX_PATH}", text.len()),
            "choose a shorter one",
        ));
    }
    Ok(())
}

/// The absolute path that `text` seems to mean.
fn shortest(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether two mount targets cannot both be mounted, and how to say it.
pub(crate) fn nested(a: &Path, b: &Path) -> Option<ValueError> {
    if a == b {
        Some(ValueError::new(
            format!("`{}` is the target of two mounts", shown(&a.to_string_lossy())),
            "give each mount a target of its own",
        ))
    } else if a.starts_with(b) || b.starts_with(a) {
        let (inner, outer) = if a.starts_with(b) { (a, b) } else { (b, a) };
        Some(ValueError::new(
            format!(
                "the mount target `{}` lies inside the mount target `{}`",
                shown(&inner.to_string_lossy()),
                shown(&outer.to_string_lossy())
            ),
            "mount them side by side, not one inside the other",
        ))
    } else {
        None
    }
}

/// Reads `PATH[:DEST]`, as `--ro` and `--rw` take it. A relative `PATH` is resolved against `base`; without `DEST` the
/// cell sees it at the same absolute path as the host.
pub fn parse_mount(text: &str, mode: MountMode, base: &Path) -> Result<Mount, ValueError> {
    let (source, target) = match text.rsplit_once(':') {
        Some((_, "ro" | "rw")) => {
            return Err(ValueError::new(
                format!("`{}` ends with a mode", shown(text)),
                "choose the mode with the flag: `--ro PATH[:DEST]` or `--rw PATH[:DEST]`",
            ));
        }
        Some((_, target)) if !target.starts_with('/') => {
            return Err(ValueError::new(
                format!("`{}` is not an absolute path", shown(target)),
                "write `PATH:/DEST`; a path that holds `:` can be mounted from a configuration file",
            ));
        }
        Some((source, target)) => (source, Some(target)),
        None => (text, None),
    };
    let source = host_path(source, base)?;
    let target = match target {
        Some(target) => mount_target(target)?,
        None => mount_target(source.to_str().ok_or_else(|| {
            ValueError::new(format!("`{}` is not UTF-8", shown(&source.to_string_lossy())), "write `PATH:/DEST`")
        })?)?,
    };
    Ok(Mount { source, target, mode })
}

/// Reads what a cell sees as `/`: `host`, `minimal` or a directory of the host, relative to `base`.
pub fn parse_rootfs(text: &str, base: &Path) -> Result<Rootfs, ValueError> {
    match text {
        "host" => return Ok(Rootfs::Host),
        "minimal" => return Ok(Rootfs::Minimal),
        _ => {}
    }
    if text.starts_with("image:") {
        return Err(ValueError::new(
            "`rootfs: image:…` is not supported by this version",
            "unpack the image into a directory and write `rootfs: ./DIRECTORY`",
        ));
    }
    if !text.contains('/') && !text.starts_with(['.', '~']) {
        let help = match nearest(text, &["host", "minimal"]) {
            Some(near) => {
                format!("did you mean `{near}`? A directory is written with a `/`, such as `./{}`", shown(text))
            }
            None => format!("write `host`, `minimal`, or a directory with a `/`, such as `./{}`", shown(text)),
        };
        return Err(ValueError::new(format!("`{}` is not a root filesystem", shown(text)), help));
    }
    let path = host_path(text, base)?;
    if path.parent().is_none() {
        return Err(ValueError::new(
            "`/` would show the whole host to the agent",
            "write `rootfs: host`, which shows the host's programs and nothing private",
        ));
    }
    Ok(Rootfs::Directory(path))
}

/// Reads `NAME=VALUE`, as `--env` takes it.
pub fn parse_env(text: &str) -> Result<(String, String), ValueError> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(ValueError::new(format!("`{}` has no `=`", shown(text)), "write `NAME=VALUE`"));
    };
    env_name(name)?;
    no_nul("the value", value)?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Checks the name of an environment variable (POSIX.1-2017, 3.235, lower case allowed).
pub(crate) fn env_name(name: &str) -> Result<(), ValueError> {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err(ValueError::new(
        format!("`{}` is not the name of an environment variable", shown(name)),
        "use letters, digits and `_`, and do not begin with a digit",
    ))
}

/// Refuses NUL in texts that are handed to the kernel.
pub(crate) fn no_nul(what: &str, text: &str) -> Result<(), ValueError> {
    if text.contains('\0') {
        return Err(ValueError::new(
            format!("{what} `{}` has a NUL character, which no program can receive", shown(text)),
            "remove it",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T: std::fmt::Debug>(result: Result<T, ValueError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn cell_paths_have_one_form() {
        assert_eq!(cell_path("/workspace/a b"), Ok(PathBuf::from("/workspace/a b")));
        assert_eq!(cell_path("/"), Ok(PathBuf::from("/")));
        for (text, expected) in [
            ("", "the path is empty; write a path such as `/workspace`"),
            ("work", "`work` is not an absolute path; a path inside the cell begins with `/`; write `/work`"),
            ("/a/../../b", "`/a/../../b` is not the shortest form of the path; write `/b`"),
            ("//a", "`//a` is not the shortest form of the path; write `/a`"),
            ("/a/", "`/a/` is not the shortest form of the path; write `/a`"),
            ("/a/./b", "`/a/./b` is not the shortest form of the path; write `/a/b`"),
            ("/a\0b", "`/a\\u{0}b` has a NUL character, which no path has; remove it"),
        ] {
            assert_eq!(said(cell_path(text)), expected);
        }
        assert_eq!(
            said(cell_path(&format!("/{}", "a".repeat(4095)))),
            "the path has 4096 bytes, and Linux takes at most 4095; choose a shorter one"
        );
    }

    #[test]
    fn places_that_nanoclaw_makes_are_no_mount_targets() {
        assert!(mount_target("/processes").is_ok());
        assert_eq!(
            said(mount_target("/")),
            "`/` cannot be a mount target; choose a place below it such as `/workspace`; `rootfs` chooses what the cell sees as `/`"
        );
        assert_eq!(
            said(mount_target("/proc/self")),
            "`/proc/self` cannot be a mount target; NanoClaw makes `/proc` itself; choose another place such as `/workspace`"
        );
        assert!(mount_target("/sys").is_err());
        assert!(mount_target("/dev/shm").is_err());
    }

    #[test]
    fn host_paths_are_resolved_against_the_base() {
        let base = Path::new("/srv/fleet");
        for (text, expected) in [
            ("./work", "/srv/fleet/work"),
            ("jobs/in", "/srv/fleet/jobs/in"),
            (".", "/srv/fleet"),
            ("../data", "/srv/data"),
            ("../../../../etc", "/etc"),
            ("/opt//x/", "/opt/x"),
        ] {
            assert_eq!(host_path(text, base).unwrap().as_os_str(), expected, "{text}");
        }
        assert_eq!(
            said(host_path("~/work", base)),
            "`~/work` begins with `~`, which only shells understand; write the whole path, or a relative one such as `./work`"
        );
        assert_eq!(
            said(host_path("/opt/link/../x", base)),
            "`/opt/link/../x` has a `..` after a name, which leads elsewhere if that name is a link; write the path without it"
        );
    }

    #[test]
    fn mount_flags_take_a_path_and_a_destination() {
        let base = Path::new("/home/u");
        let mount = |source: &str, target: &str, mode| Ok(Mount { source: source.into(), target: target.into(), mode });
        assert_eq!(parse_mount("/data", MountMode::Ro, base), mount("/data", "/data", MountMode::Ro));
        assert_eq!(parse_mount("work", MountMode::Rw, base), mount("/home/u/work", "/home/u/work", MountMode::Rw));
        assert_eq!(parse_mount("./w:/workspace", MountMode::Rw, base), mount("/home/u/w", "/workspace", MountMode::Rw));
        assert_eq!(
            said(parse_mount("/a:/b:ro", MountMode::Rw, base)),
            "`/a:/b:ro` ends with a mode; choose the mode with the flag: `--ro PATH[:DEST]` or `--rw PATH[:DEST]`"
        );
        assert_eq!(
            said(parse_mount("/a:b", MountMode::Rw, base)),
            "`b` is not an absolute path; write `PATH:/DEST`; a path that holds `:` can be mounted from a configuration file"
        );
        assert!(parse_mount("/", MountMode::Ro, base).is_err());
        assert!(parse_mount(":/x", MountMode::Ro, base).is_err());
        assert!(parse_mount("", MountMode::Ro, base).is_err());
    }

    #[test]
    fn environment_names_are_plain() {
        assert_eq!(parse_env("LANG=C.UTF-8"), Ok(("LANG".into(), "C.UTF-8".into())));
        assert_eq!(parse_env("_x1=a=b"), Ok(("_x1".into(), "a=b".into())));
        assert_eq!(parse_env("EMPTY="), Ok(("EMPTY".into(), String::new())));
        assert_eq!(said(parse_env("LANG")), "`LANG` has no `=`; write `NAME=VALUE`");
        assert_eq!(
            said(parse_env("1A=x")),
            "`1A` is not the name of an environment variable; use letters, digits and `_`, and do not begin with a digit"
        );
        assert!(parse_env("=x").is_err());
        assert!(parse_env("A=\0").is_err());
    }
}
