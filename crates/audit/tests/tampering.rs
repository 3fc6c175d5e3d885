//! What somebody with full access to the disk does to the log, and what `verify` says: each change is found and named by
//! its place, and what is put back verifies again. The attacker has all files, and in the last tests the keys as well; the
//! auditor has the public keys and an earlier checkpoint, held elsewhere.
#![expect(clippy::unwrap_used, reason = "a test may panic, also in the functions that its tests share")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nanoclaw_audit::{Fact, Flood, Note, Options, Recorder, TreeOptions};
use nanoclaw_tlog::bundle::{entries, push_entry};
use nanoclaw_tlog::merkle::leaf_hash;
use nanoclaw_tlog::verify::{Report, Trust, directory};
use tempfile::TempDir;

/// Records before the checkpoint that is held elsewhere, and in all.
const HELD: usize = 300;
const ALL: usize = 600;

struct World {
    dir: TempDir,
    trust: Trust,
}

fn record(dir: &Path, from: usize, to: usize, what: &str) {
    let tree = TreeOptions { every: Duration::from_secs(3600), ..TreeOptions::new(dir.join("keys/audit")) };
    let flood = Flood { burst: u32::MAX, per_second: u32::MAX };
    let options = Options { tree: Some(tree), segment_bytes: 30_000, flood, ..Options::new(dir.join("audit")) };
    let recorder = Recorder::open(options).unwrap();
    for n in from..to {
        recorder.note_blocking(Note::of_control(Fact::Notice(format!("{what} {n} \u{202e}\u{1b}[2J")))).unwrap();
    }
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 0, HELD, "notice");
    let held = dir.path().join("held");
    fs::copy(dir.path().join("audit/checkpoint"), &held).unwrap();
    fs::copy(dir.path().join("audit/log.vkey"), dir.path().join("key")).unwrap();
    record(dir.path(), HELD, ALL, "notice");
    let trust = Trust::read(&[dir.path().join("key")], &[], &[held]).unwrap();
    World { dir, trust }
}

impl World {
    fn log(&self) -> PathBuf {
        self.dir.path().join("audit")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.log().join(name)
    }

    fn verify(&self) -> Report {
        directory(&self.log(), &self.trust)
    }

    fn clean(&self) {
        let report = self.verify();
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.lines, report.unsealed), (ALL as u64, 0));
    }

    /// What is found, one a line; it must be something.
    fn found(&self) -> String {
        let report = self.verify();
        assert!(!report.is_clean(), "nothing was found");
        report.findings.iter().map(|finding| format!("{finding}\n")).collect()
    }

    /// Changes a file, and puts it back.
    fn with(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let old = fs::read(self.file(name)).unwrap();
        let mut new = old.clone();
        change(&mut new);
        assert_ne!(new, old, "{name}");
        fs::write(self.file(name), &new).unwrap();
        let found = self.found();
        fs::write(self.file(name), old).unwrap();
        found
    }

    fn with_lines(&self, name: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> String {
        self.with(name, |bytes| {
            let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            change(&mut lines);
            *bytes = lines.concat();
        })
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let of = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    fs::read_dir(dir).unwrap().flat_map(|entry| of(entry.unwrap().path())).collect()
}

fn segments(log: &Path) -> Vec<String> {
    let names = files(log).into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".jsonl")).collect();
    names.sort();
    names
}

#[test]
fn a_byte_that_is_flipped_anywhere_is_found_where_it_is() {
    let world = world();
    world.clean();
    let (mut flips, mut names) = (0, 0);
    for path in files(&world.log()) {
        let name = path.strip_prefix(world.log()).unwrap().to_str().unwrap().to_owned();
        // These hold nothing that anybody relies on: two locks, and where the next line goes, which is mended.
        if ["lock", "tree.lock", "head"].contains(&name.as_str()) {
            continue;
        }
        names += 1;
        let old = fs::read(&path).unwrap();
        // A stride that meets every place of a line or a hash in time.
        for at in (0..old.len()).step_by((old.len() / 90).max(1) | 1) {
            for bit in [0x01, 0x80] {
                let found = world.with(&name, |bytes| bytes[at] ^= bit);
                flips += 1;
                assert!(found.contains(&name), "{name}, byte {at}: {found}");
                if name.ends_with(".jsonl") {
                    let line = old[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
                    assert!(found.contains(&format!("{name}, line {line}")), "{name}, byte {at}: {found}");
                }
            }
        }
    }
    assert!(names >= 10 && flips > 1000, "{names} files, {flips} flips");
    world.clean();
}

#[test]
fn lines_that_are_deleted_inserted_moved_or_cut_off_are_found() {
    let world = world();
    let names = segments(&world.log());
    let (first, second, last) = (names[0].as_str(), names[1].as_str(), names[names.len() - 1].as_str());
    let found = world.with_lines(first, |lines| drop(lines.remove(6)));
    assert!(found.contains(&format!("{first}, line 7: before it, records 7 to 7 are missing")), "{found}");
    let found = world.with_lines(first, |lines| drop(lines.drain(..3)));
    assert!(found.contains(&format!("{first}, line 1: before it, records 1 to 3 are missing")), "{found}");
    let found = world.with_lines(second, |lines| lines.insert(4, lines[2].clone()));
    assert!(found.contains(&format!("{second}, line 5: record")), "{found}");
    let found = world.with_lines(second, |lines| {
        let invented = String::from_utf8(lines[4].clone()).unwrap().replace("notice ", "invented ");
        lines[4] = invented.into_bytes();
    });
    assert!(found.contains(&format!("{second}, line 5: record")) && found.contains("`detail`"), "{found}");
    let found = world.with_lines(first, |lines| lines.swap(10, 11));
    assert!(found.contains(&format!("{first}, line 11: record 12 does not belong here")), "{found}");
    let found = world.with_lines(last, |lines| lines.truncate(lines.len() - 2));
    assert!(found.contains(&format!("records {} to {ALL} are missing", ALL - 1)), "{found}");
    // A name twice, the second as it was: readers that take the first see something else.
    let found = world.with_lines(first, |lines| {
        let doubled = String::from_utf8(lines[0].clone()).unwrap().replacen("{", "{\"result\":\"denied\",", 1);
        lines[0] = doubled.into_bytes();
    });
    assert!(found.contains(&format!("{first}, line 1: record 1 is not as it is in the tree")), "{found}");
    world.clean();
    // A whole segment from the middle is missed; the oldest ones may be moved elsewhere, for the tree has them.
    let (oldest, held) = (fs::read(world.file(first)).unwrap(), fs::read(world.file(second)).unwrap());
    fs::remove_file(world.file(second)).unwrap();
    assert!(world.found().contains("are missing; the tree has them"));
    fs::remove_file(world.file(first)).unwrap();
    let report = world.verify();
    assert!(report.is_clean() && report.archived > 0, "{report}");
    assert_eq!(report.archived + report.lines, ALL as u64);
    fs::write(world.file(first), oldest).unwrap();
    fs::write(world.file(second), held).unwrap();
    world.clean();
}

#[test]
fn tiles_and_checkpoints_that_are_gone_are_missed() {
    let world = world();
    let mut gone = 0;
    for path in files(&world.log()) {
        let name = path.strip_prefix(world.log()).unwrap().to_str().unwrap().to_owned();
        if name.starts_with("tile/") || name == "checkpoint" || name == "log.vkey" {
            let old = fs::read(&path).unwrap();
            fs::remove_file(&path).unwrap();
            let found = world.found();
            assert!(found.contains(&name), "{name}: {found}");
            fs::write(&path, old).unwrap();
            gone += 1;
        }
    }
    assert!(gone >= 8, "{gone}");
    world.clean();
}

/// Rewrites record 20 in its line, its entry and its hash: all that can be done without the keys.
#[test]
fn a_record_rewritten_wherever_it_stands_does_not_lead_to_the_checkpoint() {
    let world = world();
    let (bundle, tile) = (world.file("tile/entries/000"), world.file("tile/0/000"));
    let (old_bundle, old_tile) = (fs::read(&bundle).unwrap(), fs::read(&tile).unwrap());
    let mut records: Vec<Vec<u8>> = entries(&old_bundle).map(|entry| entry.unwrap().to_vec()).collect();
    records[19] = String::from_utf8(records[19].clone()).unwrap().replace("notice 19", "notice 91").into_bytes();
    let (mut new_bundle, mut new_tile) = (Vec::new(), old_tile.clone());
    records.iter().for_each(|record| push_entry(&mut new_bundle, record).unwrap());
    new_tile[19 * 32..20 * 32].copy_from_slice(&leaf_hash(&records[19]));
    fs::write(&bundle, new_bundle).unwrap();
    fs::write(&tile, new_tile).unwrap();
    let found = world.with_lines(&segments(&world.log())[0], |lines| {
        lines[19] = String::from_utf8(lines[19].clone()).unwrap().replace("notice 19", "notice 91").into_bytes();
    });
    // The tile above it, the held checkpoint and the newest one all say so.
    for place in ["tile/1/000.p/2: its hashes are not those", "held`: it counts 300 records", "those that `checkpoint`"]
    {
        assert!(found.contains(place), "{found}");
    }
    fs::write(&bundle, old_bundle).unwrap();
    fs::write(&tile, old_tile).unwrap();
    world.clean();
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let new = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(new.parent().unwrap()).unwrap();
        fs::copy(&path, new).unwrap();
    }
}

#[test]
fn a_log_rolled_back_as_a_whole_does_not_reach_the_held_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 0, 100, "notice");
    copy(&dir.path().join("audit"), &dir.path().join("old"));
    record(dir.path(), 100, 200, "notice");
    let trust = Trust::read(&[], &[], &[dir.path().join("audit/checkpoint")]).unwrap();
    assert!(directory(&dir.path().join("audit"), &trust).is_clean());
    let report = directory(&dir.path().join("old"), &trust);
    assert!(report.to_string().contains("it counts 200 records, and the log has only 100: the log was rolled back"));
    // Without anything that was held elsewhere, an old log is a log.
    assert!(directory(&dir.path().join("old"), &Trust::default()).is_clean());
}

/// The attacker has the keys, and lets a log from before grow into another.
#[test]
fn a_fork_is_not_what_the_held_checkpoint_counts() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), 0, 100, "notice");
    let (fork, held) = (dir.path().join("fork"), dir.path().join("held"));
    fs::copy(dir.path().join("audit/checkpoint"), &held).unwrap();
    copy(&dir.path().join("audit"), &fork.join("audit"));
    copy(&dir.path().join("keys"), &fork.join("keys"));
    record(dir.path(), 100, 200, "notice");
    record(&fork, 100, 250, "other");
    let trust = Trust::read(&[], &[], &[held, dir.path().join("audit/checkpoint")]).unwrap();
    assert!(directory(&dir.path().join("audit"), &trust).is_clean());
    assert!(directory(&fork.join("audit"), &Trust::default()).is_clean(), "by itself it is a log");
    let report = directory(&fork.join("audit"), &trust);
    assert!(report.to_string().contains("the log was rewritten between entry 100 and entry 200"), "{report}");
    assert_eq!(report.findings.len(), 1, "{report}");
}

#[test]
fn a_log_made_anew_with_other_keys_is_not_the_log() {
    let (world, other) = (world(), tempfile::tempdir().unwrap());
    record(other.path(), 0, ALL, "notice");
    let report = directory(&other.path().join("audit"), &world.trust);
    assert!(report.to_string().contains("no key that is trusted has signed it"), "{report}");
    assert!(report.to_string().contains("log.vkey: it has other keys"), "{report}");
}

#[test]
fn a_log_that_goes_on_while_it_is_verified_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    let tree = TreeOptions { every: Duration::from_millis(1), ..TreeOptions::new(dir.path().join("keys/audit")) };
    let flood = Flood { burst: u32::MAX, per_second: u32::MAX };
    let options = Options { tree: Some(tree), segment_bytes: 20_000, flood, ..Options::new(dir.path().join("audit")) };
    let recorder = Recorder::open(options).unwrap();
    let note = |n| recorder.note_blocking(Note::of_control(Fact::Notice(format!("notice {n}")))).unwrap();
    note(0);
    while *recorder.checkpoints().unwrap().borrow() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| (1..3000).for_each(note));
        let mut times = 0;
        while !writing.is_finished() {
            let report = directory(&dir.path().join("audit"), &Trust::default());
            assert!(report.is_clean(), "{report}");
            times += 1;
        }
        assert!(times > 3, "{times}");
    });
}
