//! Connections of the control plane to servers inside real cells, of root and of an ordinary user.
//!
//! The launcher must be forked while a process has one thread, which no test of the standard harness does. So each test
//! here is a process of its own, and this file is the harness: it knows as much of the usual options as test runners
//! use.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test is a panic")]

mod inside;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::{Command, ExitCode};

/// Somebody who is neither root nor a user of this machine.
const NOBODY: u32 = 65533;

const USERS: [&str; 2] = ["root", "rootless"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, test, directory] = arguments.as_slice()
        && first == "inside"
    {
        inside::run(test, directory.as_ref());
        return ExitCode::SUCCESS;
    }
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = |full: &str| {
        let fits = |name: &&&String| if has("--exact") { **name == full } else { full.contains(name.as_str()) };
        names.is_empty() || names.iter().any(|name| fits(&name))
    };
    let mut failed = 0;
    for test in inside::TESTS {
        for user in USERS {
            let full = format!("{user}::{test}");
            if has("--list") {
                // None of them is ignored.
                if !has("--ignored") {
                    println!("{full}: test");
                }
            } else if chosen(&full) {
                let good = run(user, test);
                println!("test {full} ... {}", if good { "ok" } else { "FAILED" });
                failed += usize::from(!good);
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one test as this user, in a process and a directory of its own.
fn run(user: &str, test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if user == "root" && !is_root {
        eprintln!("SKIPPED: needs root");
        return true;
    }
    let directory = tempfile::Builder::new().prefix("nanoclaw-dial-").tempdir().expect("a temporary directory");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    let own = std::env::current_exe().expect("this program");
    let mut command = if user == "rootless" && is_root {
        chown(directory.path(), Some(NOBODY), Some(NOBODY)).expect("a new owner");
        // The build's directory may be closed to others.
        let copy = directory.path().join("dial");
        fs::copy(own, &copy).expect("a copy of this program");
        let mut command = Command::new("setpriv");
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(copy);
        command
    } else {
        Command::new(own)
    };
    command.args(["inside", test]).arg(directory.path());
    command.current_dir(directory.path()).status().expect("a process").success()
}
