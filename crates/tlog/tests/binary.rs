//! `nanoclaw-verify`, the verifier that knows nothing of the rest, on a log that was written here by the specifications.
#![expect(clippy::unwrap_used, reason = "a test may panic, also in the functions that its tests share")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use nanoclaw_tlog::bundle::push_entry;
use nanoclaw_tlog::checkpoint::Checkpoint;
use nanoclaw_tlog::merkle::leaf_hash;
use nanoclaw_tlog::proof::Proof;
use nanoclaw_tlog::sign::Signer;
use nanoclaw_tlog::tile::DirTiles;
use nanoclaw_tlog::tree::Growth;

const RECORDS: u64 = 600;

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn log(dir: &Path) {
    let signer = Signer::of_log("log.example", &[1; 64]).unwrap();
    let mut growth = Growth::open(&DirTiles::new(dir), 0).unwrap();
    let (mut bundle, mut lines) = (Vec::new(), String::new());
    for seq in 1..=RECORDS {
        let entry = format!("{{\"detail\":\"\u{202e}\u{1f600}\u{7f}\",\"seq\":{seq}}}");
        push_entry(&mut bundle, entry.as_bytes()).unwrap();
        growth.push(leaf_hash(entry.as_bytes()));
        lines.push_str(&format!("{entry}\n"));
        if seq % 256 == 0 || seq == RECORDS {
            let width = if seq % 256 == 0 { String::new() } else { format!(".p/{}", seq % 256) };
            write(&dir.join(format!("tile/entries/{:03}{width}", (seq - 1) / 256)), &bundle);
            bundle.clear();
        }
    }
    let grown = growth.finish();
    grown.tiles.iter().for_each(|(path, bytes)| write(&dir.join(path.to_string()), bytes));
    let checkpoint = Checkpoint { origin: "log.example".to_owned(), size: grown.size, root: grown.root };
    write(&dir.join("checkpoint"), signer.note(&checkpoint, 5).unwrap().to_string().as_bytes());
    let keys: String = signer.keys().iter().map(|key| format!("{key}\n")).collect();
    write(&dir.join("log.vkey"), keys.as_bytes());
    write(&dir.join("audit.jsonl"), lines.as_bytes());
}

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_nanoclaw-verify")).args(arguments).output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn a_log_and_a_proof_verify_and_changes_are_found() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("audit");
    log(&dir);
    let (dir_text, key) = (dir.to_str().unwrap(), dir.join("log.vkey"));
    let (code, text) = run(&[dir_text]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("600 records are sealed, by the keys that lie in it"), "{text}");
    assert!(text.contains("verified   nothing was changed"), "{text}");

    let file = temporary.path().join("300.tlog-proof");
    let proof = Proof::find(&dir, 300).unwrap();
    fs::write(&file, proof.to_string()).unwrap();
    let with = |key: &Path| run(&["--key", key.to_str().unwrap(), "--proof", file.to_str().unwrap()]);
    let (code, text) = with(&key);
    assert_eq!(code, Some(0), "{text}");
    // What a terminal might obey is shown as JSON escapes.
    assert!(text.contains(r#"{"detail":"\u202e\ud83d\ude00\u007f","seq":300}"#), "{text}");
    fs::write(&file, Proof { index: 300, ..proof }.to_string()).unwrap();
    let (code, text) = with(&key);
    assert_eq!(code, Some(1), "{text}");

    let lines = fs::read_to_string(dir.join("audit.jsonl")).unwrap();
    fs::write(dir.join("audit.jsonl"), lines.replacen("\"seq\":7}", "\"seq\":7,\"x\":0}", 1)).unwrap();
    let (code, text) = run(&[dir_text]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("CHANGED    audit.jsonl, line 7: record 7 is not as it is in the tree: `x`"), "{text}");
}

#[test]
fn every_record_is_found_by_its_number_and_none_by_another() {
    let temporary = tempfile::tempdir().unwrap();
    log(temporary.path());
    let trust = nanoclaw_tlog::verify::Trust::read(&[temporary.path().join("log.vkey")], &[], &[]).unwrap();
    for seq in [1, 2, 255, 256, 257, 512, 513, 599, 600] {
        let proof = Proof::find(temporary.path(), seq).unwrap();
        assert_eq!(proof.index, seq - 1);
        proof.verify(&trust.log, &[]).unwrap();
    }
    for seq in [0, 601, u64::MAX] {
        assert!(Proof::find(temporary.path(), seq).is_err(), "{seq}");
    }
}

#[test]
fn wrong_usage_is_neither_a_yes_nor_a_no() {
    for arguments in
        [&["--nonsense"][..], &[], &["a", "b"], &["--key"], &["--proof", "x"], &["--key", "/nonexistent", "x"]]
    {
        let (code, text) = run(arguments);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.starts_with("nanoclaw-verify: "), "{text}");
    }
    assert_eq!(run(&["--help"]).0, Some(0));
}
