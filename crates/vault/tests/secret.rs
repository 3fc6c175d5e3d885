//! Where secrets come from, and what does not become one.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nanoclaw_config::SecretSource;
use nanoclaw_vault::{Secret, read};

/// A file that only its owner may read.
fn file(folder: &Path, content: &[u8]) -> PathBuf {
    let path = folder.join("key");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

fn from_file(path: &Path) -> Result<Secret, String> {
    read(&SecretSource::File(path.to_owned())).map_err(|error| error.to_string())
}

fn from_environment(name: &str) -> Result<Secret, String> {
    read(&SecretSource::Env(name.to_owned())).map_err(|error| error.to_string())
}

#[test]
fn one_line_break_at_the_end_of_a_file_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    for content in ["sk-12345", "sk-12345\n", "sk-12345\r\n"] {
        let secret = from_file(&file(folder.path(), content.as_bytes())).unwrap();
        assert_eq!(secret.dangerously_expose(), "sk-12345");
    }
}

#[test]
fn a_secret_masks_itself() {
    let folder = tempfile::tempdir().unwrap();
    let secret = from_file(&file(folder.path(), b"sk-12345")).unwrap();
    assert_eq!(format!("{secret} {secret:?} {secret:#?} {:?}", Some(&secret)), "*** *** *** Some(***)");
    assert!(secret.matches(b"sk-12345"));
    assert!(!secret.matches(b"sk-12346") && !secret.matches(b"sk-1234") && !secret.matches(b""));
}

#[test]
fn what_cannot_stand_in_a_header_is_no_secret_and_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for content in [
        &b"sk 12345"[..],
        b"sk-12345\n\n",
        b"sk-12345\nx",
        b"sk-12345\0",
        b"sk-\x7f12345",
        "sk-ü12345".as_bytes(),
        b"sk-\xff12345",
    ] {
        let path = file(folder.path(), content);
        assert_eq!(
            from_file(&path).unwrap_err(),
            format!(
                "the secret in `{}` holds a space, a line break or another character that no key has; write only the key there",
                path.display()
            )
        );
    }
}

#[test]
fn an_empty_a_short_or_an_endless_file_is_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    for content in ["", "\n"] {
        let path = file(folder.path(), content.as_bytes());
        assert_eq!(from_file(&path).unwrap_err(), format!("the secret in `{}` is empty", path.display()));
    }
    for content in ["x", "sk-1234", "sk-1234\n"] {
        let said = from_file(&file(folder.path(), content.as_bytes())).unwrap_err();
        assert!(said.contains("is shorter than 8 bytes, so it could not be masked") && !said.contains("sk-"), "{said}");
    }
    let path = file(folder.path(), &vec![b'x'; 64 * 1024]);
    assert!(from_file(&path).is_ok());
    let path = file(folder.path(), &vec![b'x'; 64 * 1024 + 1]);
    assert_eq!(from_file(&path).unwrap_err(), format!("`{}` is longer than 65536 bytes", path.display()));
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), b"sk-12345");
    std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    assert_eq!(
        from_file(&path).unwrap_err(),
        format!(
            "`{}` can be read or changed by others than its owner (mode 0640); run `chmod 600` on it",
            path.display()
        )
    );
}

#[test]
fn a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    symlink(file(folder.path(), b"sk-12345"), &link).unwrap();
    assert_eq!(
        from_file(&link).unwrap_err(),
        format!("`{}` is a symbolic link; name the file that it leads to", link.display())
    );
}

#[test]
fn a_pipe_does_not_hold_the_start_up() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert_eq!(from_file(&pipe).unwrap_err(), format!("`{}` is not a regular file", pipe.display()));
    assert!(from_file(folder.path()).unwrap_err().ends_with("is not a regular file"));
}

#[test]
fn a_missing_file_is_named() {
    let said = from_file(Path::new("/nonexistent/key")).unwrap_err();
    assert_eq!(said, "`/nonexistent/key` cannot be read: No such file or directory (os error 2)");
}

/// Cargo sets these variables for tests.
#[test]
fn a_variable_is_read_and_checked() {
    assert_eq!(from_environment("CARGO_PKG_NAME").unwrap().dangerously_expose(), "nanoclaw-vault");
    assert_eq!(
        from_environment("CARGO_PKG_DESCRIPTION").unwrap_err(),
        "the secret in the environment variable `CARGO_PKG_DESCRIPTION` holds a space, a line break or another \
         character that no key has; write only the key there"
    );
    assert_eq!(
        from_environment("CARGO_PKG_AUTHORS").unwrap_err(),
        "the secret in the environment variable `CARGO_PKG_AUTHORS` is empty"
    );
    assert_eq!(
        from_environment("NANOCLAW_NO_SUCH_VARIABLE").unwrap_err(),
        "the environment variable `NANOCLAW_NO_SUCH_VARIABLE` is not set; set it before you start nanoclaw"
    );
    assert!(from_environment("A=B").is_err());
}
