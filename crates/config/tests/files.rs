//! Reading from the file system.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nanoclaw_config::{LoadError, load};
use tempfile::TempDir;

fn said(result: Result<nanoclaw_config::Loaded, LoadError>, dir: &TempDir) -> String {
    let dir = dir.path().canonicalize().unwrap();
    result.unwrap_err().to_string().replace(dir.to_str().unwrap(), "DIR")
}

fn dir() -> TempDir {
    TempDir::new().unwrap()
}

const MOUNTS: &str = "agents:
  - id: a
    command: [x]
    rootfs: ./root
    mounts: [{ source: work, target: /workspace }]
";

#[test]
fn relative_sources_belong_to_the_directory_of_the_file() {
    let dir = dir();
    let path = dir.path().join("c.yaml");
    fs::write(&path, MOUNTS).unwrap();
    fs::create_dir(dir.path().join("root")).unwrap();
    fs::write(dir.path().join("work"), "a file can be mounted too").unwrap();
    let config = load(&path).unwrap().config;
    assert_eq!(config.agents[0].mounts[0].source, dir.path().canonicalize().unwrap().join("work"));
}

#[test]
fn a_link_to_the_file_belongs_to_the_directory_that_it_leads_to() {
    let dir = dir();
    let real = dir.path().join("real");
    fs::create_dir_all(real.join("root")).unwrap();
    fs::create_dir(real.join("work")).unwrap();
    fs::write(real.join("c.yaml"), MOUNTS).unwrap();
    symlink(real.join("c.yaml"), dir.path().join("link.yaml")).unwrap();
    let config = load(&dir.path().join("link.yaml")).unwrap().config;
    assert_eq!(config.agents[0].mounts[0].source, real.canonicalize().unwrap().join("work"));
}

#[test]
fn missing_sources_are_mistakes_with_a_place() {
    let dir = dir();
    let path = dir.path().canonicalize().unwrap().join("c.yaml");
    fs::write(&path, MOUNTS).unwrap();
    fs::write(dir.path().join("root"), "not a directory").unwrap();
    assert_eq!(
        said(load(&path), &dir),
        "error: `DIR/root` is not a directory
  --> DIR/c.yaml:4:13
   |
 4 |     rootfs: ./root
   |             ^^^^^^
   = help: name the directory to use as `/`

error: `DIR/work` does not exist
  --> DIR/c.yaml:5:24
   |
 5 |     mounts: [{ source: work, target: /workspace }]
   |                        ^^^^
   = help: create it, for example with `mkdir -p DIR/work`, or mend the path

2 mistakes in `DIR/c.yaml`"
    );
}

#[test]
fn files_of_providers_and_agents_must_be_there() {
    let dir = dir();
    let path = dir.path().canonicalize().unwrap().join("c.yaml");
    let text = "models:
  providers:
    - { name: a, kind: openai, base_url: 'https://a.example', api_key: { file: key }, ca: ca.pem }
    - { name: b, kind: llama-server, model_file: m.gguf, program: server }
  default: a/x
  prices: prices.json
agents:
  - { id: a, kind: builtin, skills: skills }
  - { id: b, kind: openclaw, openclaw: claw }
";
    fs::write(&path, text).unwrap();
    fs::create_dir(dir.path().join("key")).unwrap();
    fs::write(dir.path().join("skills"), "").unwrap();
    let missing = match load(&path) {
        Err(LoadError::Invalid(report)) => report,
        other => panic!("{other:?}"),
    };
    let base = dir.path().canonicalize().unwrap();
    let said: Vec<_> = missing
        .mistakes()
        .iter()
        .map(|m| format!("{}; {}", m.message, m.help).replace(base.to_str().unwrap(), "DIR"))
        .collect();
    let file = |name: &str| format!("`DIR/{name}` does not exist; put the file there, or mend the path");
    assert_eq!(
        said,
        [
            "`DIR/key` is a directory; name the file itself".to_owned(),
            file("ca.pem"),
            file("m.gguf"),
            file("server"),
            file("prices.json"),
            "`DIR/skills` is not a directory; name the directory itself".to_owned(),
            "`DIR/claw` does not exist; create it, for example with `mkdir -p DIR/claw`, or mend the path".to_owned(),
        ]
    );
    for name in ["ca.pem", "server", "prices.json"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    fs::write(dir.path().join("m.gguf"), "GGUF\x03").unwrap();
    fs::remove_dir(dir.path().join("key")).unwrap();
    fs::write(dir.path().join("key"), "secret").unwrap();
    fs::remove_file(dir.path().join("skills")).unwrap();
    fs::create_dir(dir.path().join("skills")).unwrap();
    fs::create_dir(dir.path().join("claw")).unwrap();
    assert!(load(&path).is_ok());
}

#[test]
fn a_model_file_that_is_no_gguf_is_a_mistake() {
    let dir = dir();
    let path = dir.path().canonicalize().unwrap().join("c.yaml");
    let provider = "{ name: b, kind: llama-server, model_file: m.gguf, program: c.yaml }";
    fs::write(&path, format!("models:\n  providers:\n    - {provider}\n")).unwrap();
    for content in ["", "GGU", "version https://git-lfs.example/spec/v1\n", "GGML1234"] {
        fs::write(dir.path().join("m.gguf"), content).unwrap();
        let said = said(load(&path), &dir);
        assert!(
            said.starts_with(
                "error: `DIR/m.gguf` is no model in GGUF: it does not begin with `GGUF`\n  --> DIR/c.yaml:3:50"
            ),
            "{said}"
        );
    }
    fs::write(dir.path().join("m.gguf"), "GGUF").unwrap();
    assert!(load(&path).is_ok());
    fs::remove_file(dir.path().join("m.gguf")).unwrap();
    fs::create_dir(dir.path().join("m.gguf")).unwrap();
    assert!(said(load(&path), &dir).starts_with("error: `DIR/m.gguf` is a directory"));
}

#[test]
fn bytes_that_are_not_utf8_are_pointed_at() {
    let dir = dir();
    let path = dir.path().canonicalize().unwrap().join("c.yaml");
    fs::write(&path, b"sandbox_mode: restricted\n# caf\xe9\n").unwrap();
    assert_eq!(
        said(load(&path), &dir),
        "error: the file is not UTF-8: byte 0xe9 begins no character
  --> DIR/c.yaml:2:6
   |
 2 | # caf\u{fffd}
   |      ^
   = help: save the file as UTF-8, for example with `iconv -t utf-8`"
    );
    fs::write(&path, b"\xff\xfea\0:\0 \0b\0").unwrap();
    assert!(said(load(&path), &dir).ends_with("= help: it looks like UTF-16; save it as UTF-8"));
}

#[test]
fn a_huge_file_is_not_read_to_its_end() {
    let dir = dir();
    let path = dir.path().join("c.yaml");
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(error.starts_with("error: the file is larger than 1048576 bytes\n"), "{error}");
    // Cut in the middle of a character at the limit.
    fs::write(&path, "#é".repeat(1 << 20)).unwrap();
    let error = load(&path).unwrap_err().to_string();
    assert!(error.starts_with("error: the file is larger than 1048576 bytes\n"), "{error}");
}

#[test]
fn what_is_not_a_file_is_refused() {
    let dir = dir();
    assert_eq!(
        said(load(&dir.path().canonicalize().unwrap()), &dir),
        "error: `DIR` is not a regular file; name the configuration file itself, such as `nanoclaw-config.yaml`"
    );
    assert!(matches!(load(Path::new("/dev/null")), Err(LoadError::NotAFile { .. })));
    assert_eq!(
        said(load(&dir.path().canonicalize().unwrap().join("none.yaml")), &dir),
        "error: cannot read `DIR/none.yaml`: there is no such file; write one, or name the one that is meant"
    );
}

#[test]
fn a_pipe_without_a_writer_does_not_hang() {
    let dir = dir();
    let path = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    assert!(matches!(load(&path), Err(LoadError::NotAFile { .. })));
}
