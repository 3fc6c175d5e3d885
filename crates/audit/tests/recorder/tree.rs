//! The tree over the log: what stands in it, who signs it, and what happens when it does not fit.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nanoclaw_audit::{AuditError, Options, Recorder, TreeOptions, add_cosignatures};
use nanoclaw_tlog::bundle::entries;
use nanoclaw_tlog::canonical::canonical;
use nanoclaw_tlog::checkpoint::Checkpoint;
use nanoclaw_tlog::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use nanoclaw_tlog::note::{SignedNote, VerifierKey};
use nanoclaw_tlog::sign::Signer;
use nanoclaw_tlog::tile::{DirTiles, Kind, TilePath, Tiles as _};
use nanoclaw_tlog::tree::{consistency_proof, inclusion_proof, root};
use nanoclaw_tlog::verify::{CHECKPOINT, PUBLIC_KEYS, WITNESSED};

use crate::support::{fast_dir, no_folding, refused};

fn sealed(dir: &Path) -> Options {
    let tree = TreeOptions { every: Duration::from_secs(3600), ..TreeOptions::new(dir.join("keys/audit")) };
    Options { tree: Some(tree), segment_bytes: 20_000, flood: no_folding(), ..Options::new(dir.join("audit")) }
}

/// Records so many refusals, each with a path of its own, and ends: a checkpoint counts them all then.
fn record(dir: &Path, from: u64, to: u64) {
    let recorder = Recorder::open(sealed(dir)).unwrap();
    for n in from..to {
        let _ = recorder.record_blocking(refused("a", &format!("/x/{n}"))).unwrap();
    }
}

fn note(dir: &Path, name: &str) -> SignedNote {
    fs::read_to_string(dir.join("audit").join(name)).unwrap().parse().unwrap()
}

fn checkpoint(dir: &Path) -> Checkpoint {
    note(dir, CHECKPOINT).text.parse().unwrap()
}

fn keys(dir: &Path) -> Vec<VerifierKey> {
    let text = fs::read_to_string(dir.join("audit").join(PUBLIC_KEYS)).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// The lines of all segments, in order.
fn lines(dir: &Path) -> Vec<Vec<u8>> {
    let mut names: Vec<_> = fs::read_dir(dir.join("audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|name| name.extension().is_some_and(|end| end == "jsonl"));
    // `audit.jsonl` sorts behind `audit-…`.
    names.sort();
    let text: Vec<u8> = names.iter().flat_map(|name| fs::read(name).unwrap()).collect();
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

#[test]
fn every_record_is_in_the_tree_in_its_canonical_form() {
    let dir = fast_dir();
    for to in [1, 2, 255, 257, 700] {
        let from = fs::exists(dir.path().join("audit/checkpoint")).unwrap().then(|| checkpoint(dir.path()).size);
        record(dir.path(), from.unwrap_or(0), to);
        let now = checkpoint(dir.path());
        assert_eq!(now.size, to);
        assert_eq!(note(dir.path(), CHECKPOINT).verify(&keys(dir.path())).unwrap().len(), 2, "both keys vouch");
        let tiles = DirTiles::new(&dir.path().join("audit"));
        assert_eq!(root(&tiles, to).unwrap(), now.root);
        let lines = lines(dir.path());
        assert_eq!(lines.len() as u64, to);
        let mut at = 0;
        for index in 0.. {
            let Some(path) = TilePath::within(Kind::Entries, index, to) else { break };
            for entry in entries(&tiles.read(&path).unwrap()) {
                assert_eq!(entry.unwrap(), canonical(&lines[at]).unwrap(), "record {at}");
                at += 1;
            }
        }
        assert_eq!(at as u64, to);
        for index in [0, to / 2, to - 1] {
            let leaf = leaf_hash(&canonical(&lines[index as usize]).unwrap());
            let proof = inclusion_proof(&tiles, index, to).unwrap();
            verify_inclusion(&leaf, index, to, &now.root, &proof).unwrap();
        }
    }
    let partial: Vec<_> =
        walk(&dir.path().join("audit/tile")).into_iter().filter(|path| path.contains(".p/")).collect();
    assert_eq!(partial.len(), 3, "only the newest partial tiles are kept: {partial:?}");
}

fn walk(dir: &Path) -> Vec<String> {
    let of = |path: std::path::PathBuf| if path.is_dir() { walk(&path) } else { vec![path.display().to_string()] };
    fs::read_dir(dir).unwrap().flat_map(|entry| of(entry.unwrap().path())).collect()
}

#[test]
fn each_checkpoint_is_consistent_with_those_before() {
    let dir = fast_dir();
    let mut before: Vec<Checkpoint> = Vec::new();
    for to in [3, 4, 300, 301, 520] {
        record(dir.path(), before.last().map_or(0, |last| last.size), to);
        let now = checkpoint(dir.path());
        let tiles = DirTiles::new(&dir.path().join("audit"));
        for old in &before {
            let proof = consistency_proof(&tiles, old.size, now.size).unwrap();
            verify_consistency(old.size, now.size, &old.root, &now.root, &proof).unwrap();
        }
        before.push(now);
    }
}

#[test]
fn checkpoints_come_while_the_log_is_written_and_are_told_of() {
    let dir = fast_dir();
    let mut options = sealed(dir.path());
    options.tree.as_mut().unwrap().every = Duration::from_millis(1);
    let recorder = Recorder::open(options).unwrap();
    let told = recorder.checkpoints().unwrap();
    for n in 0..2000 {
        let _ = recorder.record_blocking(refused("a", &format!("/x/{n}"))).unwrap();
    }
    recorder.flush_blocking().unwrap();
    while *told.borrow() < 2000 {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(checkpoint(dir.path()).size, 2000);
}

#[test]
fn two_recorders_of_one_log_grow_one_tree() {
    let dir = fast_dir();
    let open = || {
        let mut options = sealed(dir.path());
        options.tree.as_mut().unwrap().every = Duration::from_millis(1);
        Recorder::open(options).unwrap()
    };
    let (one, two) = (open(), open());
    std::thread::scope(|scope| {
        for recorder in [&one, &two] {
            scope.spawn(move || {
                for n in 0..500 {
                    let _ = recorder.record_blocking(refused("a", &format!("/x/{n}"))).unwrap();
                    if n % 50 == 0 {
                        recorder.flush_blocking().unwrap();
                    }
                }
            });
        }
    });
    drop((one, two));
    let now = checkpoint(dir.path());
    assert_eq!(now.size, 1000);
    assert_eq!(root(&DirTiles::new(&dir.path().join("audit")), 1000).unwrap(), now.root);
}

/// Opens the log, and waits for what comes of it.
fn refusal(dir: &Path) -> String {
    let error = match Recorder::open(sealed(dir)) {
        Err(error) => error,
        Ok(recorder) => loop {
            // The thread that grows the tree finds it, and closes the doors.
            if let Err(error) = recorder.record_blocking(refused("a", "/x/next")) {
                break error;
            }
            std::thread::sleep(Duration::from_millis(1));
        },
    };
    assert!(matches!(error, AuditError::Tree { .. }), "{error}");
    error.to_string()
}

#[test]
fn a_tree_that_was_changed_closes_the_doors() {
    let part = "audit/tile/0/000.p/40";
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("is not the one of `checkpoint`", |dir| {
            let mut bytes = fs::read(dir.join("audit/tile/0/000.p/40")).unwrap();
            bytes[40] ^= 1;
            fs::write(dir.join("audit/tile/0/000.p/40"), bytes).unwrap();
        }),
        ("`tile/0/000.p/40` cannot be read", |dir| fs::remove_file(dir.join("audit/tile/0/000.p/40")).unwrap()),
        ("`tile/entries/000.p/40`", |dir| fs::remove_file(dir.join("audit/tile/entries/000.p/40")).unwrap()),
        ("does not fit the text", |dir| {
            let text = fs::read_to_string(dir.join("audit/checkpoint")).unwrap();
            fs::write(dir.join("audit/checkpoint"), text.replacen("\n40\n", "\n39\n", 1)).unwrap();
        }),
        ("no key that is trusted has signed it", |dir| fs::remove_file(dir.join("keys/audit")).unwrap()),
    ];
    for (expected, change) in changes {
        let dir = fast_dir();
        record(dir.path(), 0, 40);
        assert!(dir.path().join(part).exists());
        change(dir.path());
        let error = refusal(dir.path());
        assert!(error.contains(expected), "{error}");
    }
    // Without a change it goes on.
    let dir = fast_dir();
    record(dir.path(), 0, 40);
    record(dir.path(), 40, 41);
    assert_eq!(checkpoint(dir.path()).size, 41);
}

#[test]
fn tiles_that_a_crash_has_left_are_written_again() {
    let dir = fast_dir();
    record(dir.path(), 0, 10);
    let before = fs::read(dir.path().join("audit/checkpoint")).unwrap();
    let part = fs::read(dir.path().join("audit/tile/0/000.p/10")).unwrap();
    let bundle = fs::read(dir.path().join("audit/tile/entries/000.p/10")).unwrap();
    record(dir.path(), 10, 300);
    // As after a crash between the tiles and the checkpoint, in the middle of a tile.
    fs::write(dir.path().join("audit/checkpoint"), before).unwrap();
    for (name, bytes) in [("0", part), ("entries", bundle)] {
        fs::create_dir_all(dir.path().join(format!("audit/tile/{name}/000.p"))).unwrap();
        fs::write(dir.path().join(format!("audit/tile/{name}/000.p/10")), bytes).unwrap();
        fs::write(dir.path().join(format!("audit/tile/{name}/000")), b"half").unwrap();
    }
    record(dir.path(), 300, 301);
    let now = checkpoint(dir.path());
    assert_eq!(now.size, 301);
    assert_eq!(root(&DirTiles::new(&dir.path().join("audit")), 301).unwrap(), now.root);
}

/// A path of control characters is six times as long on record, and stands in several fields.
#[test]
fn what_an_agent_makes_long_is_sealed_all_the_same() {
    let dir = fast_dir();
    let recorder = Recorder::open(sealed(dir.path())).unwrap();
    for c in ["\u{1}", "\u{202e}", "\u{e0041}", "x", "\""] {
        let _ = recorder.record_blocking(refused("a", &format!("/{}", c.repeat(4095)))).unwrap();
    }
    drop(recorder);
    let report = nanoclaw_tlog::verify::directory(&dir.path().join("audit"), &nanoclaw_tlog::verify::Trust::default());
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.lines, report.unsealed), (5, 0));
    let lines = lines(dir.path());
    assert!(lines.iter().all(|line| line.len() <= 65_535));
}

#[test]
fn a_log_cut_behind_its_checkpoint_goes_on_and_keeps_what_the_tree_has() {
    let dir = fast_dir();
    record(dir.path(), 0, 20);
    fs::remove_file(dir.path().join("audit/audit.jsonl")).unwrap();
    record(dir.path(), 20, 22);
    let now = checkpoint(dir.path());
    // The record of the loss, and the two new ones.
    assert_eq!(now.size, 23);
    let bytes =
        DirTiles::new(&dir.path().join("audit")).read(&TilePath { kind: Kind::Entries, index: 0, width: 23 }).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.contains("\"/x/7\"") && text.contains("log_recovered"), "{text}");
}

#[test]
fn a_witness_that_cosigns_is_kept_beside_the_newest_checkpoint() {
    let dir = fast_dir();
    record(dir.path(), 0, 5);
    let witness = Signer::of_witness("witness.example", &[7; 64]).unwrap();
    let first = note(dir.path(), CHECKPOINT);
    let lines = witness.vouch(&first.text.parse().unwrap(), 9).unwrap();
    add_cosignatures(&dir.path().join("audit"), &first, &lines).unwrap();
    add_cosignatures(&dir.path().join("audit"), &first, &lines).unwrap();
    let all = [keys(dir.path()), witness.keys().to_vec()].concat();
    for name in [CHECKPOINT, WITNESSED] {
        assert_eq!(note(dir.path(), name).verify(&all).unwrap().len(), 4, "{name}");
        assert_eq!(note(dir.path(), name).signatures.len(), 4, "{name}");
    }
    record(dir.path(), 5, 6);
    assert_eq!(note(dir.path(), CHECKPOINT).signatures.len(), 2);
    // Too late for the newest, it changes nothing of it.
    add_cosignatures(&dir.path().join("audit"), &first, &lines).unwrap();
    assert_eq!(note(dir.path(), CHECKPOINT).signatures.len(), 2);
    assert_eq!(note(dir.path(), WITNESSED).text, first.text);
    // It is the newest witnessed one, until a newer one is.
    let second = note(dir.path(), CHECKPOINT);
    record(dir.path(), 6, 7);
    let later = witness.vouch(&second.text.parse().unwrap(), 10).unwrap();
    add_cosignatures(&dir.path().join("audit"), &second, &later).unwrap();
    add_cosignatures(&dir.path().join("audit"), &first, &lines).unwrap();
    assert_eq!(note(dir.path(), WITNESSED).text, second.text);
    assert_eq!(note(dir.path(), WITNESSED).verify(&all).unwrap().len(), 4);
}

#[test]
fn the_private_keys_are_for_their_owner_alone_and_the_name_follows_from_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = fast_dir();
    record(dir.path(), 0, 1);
    let key = dir.path().join("keys/audit");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(checkpoint(dir.path()).origin.starts_with("nanoclaw/"));
    fs::write(&key, "not hex\n").unwrap();
    assert!(refusal(dir.path()).contains("is not a file of signing keys"));
}
