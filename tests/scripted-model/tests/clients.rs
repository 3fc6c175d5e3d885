//! The official client libraries take the mock for the providers they were written for.
#![expect(clippy::unwrap_used, reason = "what a test cannot set up is a failed test")]

mod process;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use process::Process;

/// The top of the repository.
fn top() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Where `scripts/setup.sh test` installs the libraries; `None`, loudly, if it did not.
fn installed(language: &str) -> Option<PathBuf> {
    let place = top().join(".cache/clients").join(language);
    if place.join("installed").exists() {
        return Some(place);
    }
    eprintln!("SKIPPED: no client libraries in {}; install them with `scripts/setup.sh test`", place.display());
    None
}

fn run(interpreter: &Path, script: &Path, mock: &Process) {
    let done = Command::new(interpreter)
        .arg(script)
        .env("MODEL", "scripted-model")
        .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{}/v1", mock.port))
        .env("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{}", mock.port))
        .env("OPENAI_API_KEY", "placeholder")
        .env("ANTHROPIC_API_KEY", "placeholder")
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{}:\n{out}{err}", script.display());
    assert!(out.lines().filter(|line| line.starts_with("ok ")).count() >= 10, "{out}");
}

#[test]
fn the_python_clients_understand_the_mock() {
    let Some(python) = installed("python") else { return };
    let mock = Process::start(&[]);
    for script in ["openai_client.py", "anthropic_client.py"] {
        run(&python.join("bin/python"), &top().join("tests/clients").join(script), &mock);
    }
}

#[test]
fn the_node_clients_understand_the_mock() {
    let Some(node) = installed("node") else { return };
    let mock = Process::start(&[]);
    // Node.js looks for modules beside the script.
    let directory = tempfile::tempdir().unwrap();
    symlink(node.canonicalize().unwrap().join("node_modules"), directory.path().join("node_modules")).unwrap();
    for script in ["openai_client.mjs", "anthropic_client.mjs"] {
        let copy = directory.path().join(script);
        fs::copy(top().join("tests/clients").join(script), &copy).unwrap();
        run(&node.join("node_modules/.bin/node"), &copy, &mock);
    }
}
