//! Hostile directories, permissions, and disks that are full.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use nanoclaw_audit::{AuditError, Fact, Note, Outcome, Recorded, Recorder};

use crate::support::{assert_gapless, connect, open, options, record_each, records, refused, warrant};

/// Set in the processes that this file starts from itself: the directory of a log on a disk that fills up.
const SMALL: &str = "NANOCLAW_TEST_SMALL_DISK";

#[test]
fn only_the_owner_can_read_the_log() {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().join("audit");
    record_each(&dir, &["/x"]);
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
    for name in ["audit.jsonl", "head", "lock"] {
        assert_eq!(fs::metadata(dir.join(name)).unwrap().mode() & 0o7777, 0o600, "{name}");
    }
}

fn refusal(dir: &Path) -> String {
    match Recorder::open(options(dir)) {
        Err(error @ AuditError::Untrusted { .. }) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the recorder was opened"),
    }
}

#[test]
fn a_planted_symlink_is_not_followed() {
    for name in ["audit.jsonl", "head", "lock"] {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        symlink(&target, dir.path().join(name)).unwrap();
        let expected = format!(
            "the audit log `{}` is a symbolic link; move it away or choose another state directory",
            dir.path().join(name).display()
        );
        assert_eq!(refusal(dir.path()), expected);
        assert!(!target.exists(), "{name} led to a new file elsewhere");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink(dir.path().join("real"), dir.path().join("audit")).unwrap();
    assert!(refusal(&dir.path().join("audit")).contains("is a symbolic link or not a directory"));
}

#[test]
fn a_symlink_planted_while_running_closes_the_doors() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = open(dir.path());
    drop(warrant(&recorder, connect("a", 8080)));
    let log = dir.path().join("audit.jsonl");
    fs::rename(&log, dir.path().join("kept")).unwrap();
    fs::write(dir.path().join("target"), "").unwrap();
    symlink(dir.path().join("target"), &log).unwrap();
    assert!(matches!(recorder.record_blocking(connect("a", 8080)), Err(AuditError::Untrusted { .. })));
    assert!(recorder.record_blocking(refused("a", "/x")).is_err());
    assert_eq!(fs::read(dir.path().join("target")).unwrap(), b"");
}

#[test]
fn files_that_others_can_write_or_own_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    record_each(dir.path(), &["/x"]);
    let log = dir.path().join("audit.jsonl");
    fs::set_permissions(&log, Permissions::from_mode(0o660)).unwrap();
    assert!(refusal(dir.path()).contains("can be written by other users"));
    fs::set_permissions(&log, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    assert!(refusal(dir.path()).contains("can be written by other users"));
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&log, Some(1000), None).unwrap();
        assert!(refusal(dir.path()).contains("belongs to another user"));
    } else {
        eprintln!("SKIPPED: a log of another user (needs root)");
    }
}

#[test]
fn a_fifo_in_place_of_the_log_is_refused_without_waiting_for_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("audit.jsonl");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(refusal(dir.path()).contains("is not a regular file"));
}

/// Fills the disk through the recorder, and checks that it closes.
fn fill(dir: &Path) {
    let recorder = open(dir);
    let (_, ticket) = warrant(&recorder, connect("a", 8080)).spend();
    let mut warrants = 1;
    let error = loop {
        match recorder.record_blocking(connect("a", 8080)) {
            Ok(Recorded::Proceed(_)) => warrants += 1,
            Ok(Recorded::Stop(declined)) => panic!("{declined:?}"),
            Err(error) => break error,
        }
        assert!(warrants < 100_000, "the disk does not fill up");
    };
    assert!(matches!(error, AuditError::Write { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("free space or repair the disk, then start nanoclaw again"), "{text}");

    // Room again: what failed stays failed until somebody has looked.
    let _ = fs::remove_file(dir.join("../ballast"));
    for _ in 0..3 {
        assert_eq!(recorder.record_blocking(connect("a", 8080)).unwrap_err().to_string(), text);
        assert_eq!(recorder.record_blocking(refused("a", "/x")).unwrap_err().to_string(), text);
    }
    assert_eq!(recorder.outcome_blocking(ticket, Outcome::default()).unwrap_err().to_string(), text);
    assert_eq!(recorder.note_blocking(Note::of_control(Fact::ControlStopped)).unwrap_err().to_string(), text);
    assert_eq!(recorder.flush_blocking().unwrap_err().to_string(), text);
    drop(recorder);

    // Each warrant has its record, and the failed one left no half line behind.
    let records = records(dir);
    assert_eq!(records.len(), warrants);
    assert_gapless(&records);
}

/// Runs one test of this program again, behind `wrapper`, a shell fragment that ends in `"$@"`.
fn again(wrapper: &str, test: &str, dir: &Path) -> std::process::Output {
    let mut command = Command::new("sh");
    command.args(["-c", wrapper, "sh"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(SMALL, dir);
    command.output().unwrap()
}

fn assert_passed(output: &std::process::Output) {
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_full_disk_closes_the_doors() {
    if let Some(dir) = std::env::var_os(SMALL) {
        return fill(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = r#"mount -t tmpfs -o size=128k,mode=700 none "${NANOCLAW_TEST_SMALL_DISK%/audit}" &&
        head -c 65536 /dev/zero > "${NANOCLAW_TEST_SMALL_DISK%/audit}/ballast" && exec "$@""#;
    let script = format!("exec unshare -rm sh -c '{mount}' sh \"$@\"");
    let probe = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: a full disk (no mount namespace to be had)");
        return;
    }
    fs::create_dir(dir.path().join("disk")).unwrap();
    assert_passed(&again(&script, "disk::a_full_disk_closes_the_doors", &dir.path().join("disk/audit")));
}

#[test]
fn a_file_size_limit_closes_the_doors() {
    if let Some(dir) = std::env::var_os(SMALL) {
        return fill(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    // 16 blocks of 512 bytes; without the trap the kernel would end the process.
    let script = r#"trap "" XFSZ; ulimit -f 16; exec "$@""#;
    assert_passed(&again(script, "disk::a_file_size_limit_closes_the_doors", &dir.path().join("audit")));
    // The limit gone, the log goes on where it was.
    let before = records(&dir.path().join("audit")).len();
    record_each(&dir.path().join("audit"), &["/x"]);
    let after = records(&dir.path().join("audit"));
    assert_eq!(after.len(), before + 1);
    assert_gapless(&after);
}
