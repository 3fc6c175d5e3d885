//! Which crate may depend on which, and what none may depend on.

use std::process::Command;

use serde_json::Value;

use crate::{none, top};

/// The rooms, lowest first. A crate may know those on lower floors; those on one floor do not know each other.
const FLOORS: [&[&str]; 8] = [
    &["nanoclaw-request"],
    &["nanoclaw-config"],
    &["nanoclaw-identity"],
    &["nanoclaw-policy"],
    &["nanoclaw-audit"],
    &["nanoclaw-sandbox", "nanoclaw-egress"],
    &["nanoclaw-server"],
    &["nanoclaw"],
];

fn floor(package: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&package))
}

/// `metadata` is what `cargo metadata --no-deps` prints.
fn upward(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let ours: Vec<String> = packages.iter().map(name).collect();
    let mut offences = Vec::new();
    for package in packages {
        let from = name(package);
        let Some(own) = floor(&from) else {
            offences.push(format!("`{from}` has no floor in FLOORS"));
            continue;
        };
        for to in package["dependencies"].as_array().unwrap().iter().map(name).filter(|to| ours.contains(to)) {
            if floor(&to).is_none_or(|floor| floor >= own) {
                offences.push(format!("`{from}` may not depend on `{to}`"));
            }
        }
    }
    offences
}

#[test]
fn rooms_know_only_rooms_below_them() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(top())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(metadata["packages"].as_array().unwrap().len(), FLOORS.concat().len(), "every room is there");
    none(&upward(&metadata));
}

#[test]
fn an_upward_a_sideways_and_a_homeless_room_are_found() {
    let package = |name: &str, dependencies: &[&str]| {
        let dependencies: Vec<Value> = dependencies.iter().map(|name| serde_json::json!({ "name": name })).collect();
        serde_json::json!({ "name": name, "dependencies": dependencies })
    };
    let sample = serde_json::json!({ "packages": [
        package("nanoclaw-policy", &["serde", "nanoclaw-audit"]),
        package("nanoclaw-audit", &["nanoclaw-policy"]),
        package("nanoclaw-egress", &["nanoclaw-sandbox", "nanoclaw-audit"]),
        package("nanoclaw-sandbox", &[]),
        package("nanoclaw-utils", &[]),
    ]});
    assert_eq!(
        upward(&sample),
        [
            "`nanoclaw-policy` may not depend on `nanoclaw-audit`",
            "`nanoclaw-egress` may not depend on `nanoclaw-sandbox`",
            "`nanoclaw-utils` has no floor in FLOORS",
        ]
    );
}

/// The values of `key = "…"` lines.
fn values<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let value = |line: &'t str| line.trim().strip_prefix(key)?.trim().strip_prefix("= \"")?.strip_suffix('"');
    text.lines().filter_map(value).collect()
}

/// Packages of the lock file that the ban list of `deny.toml` names.
fn banned(bans: &str, lock: &str) -> Vec<String> {
    let bans = values(bans, "crate");
    let packages = values(lock, "name").into_iter();
    packages
        .filter(|package| bans.contains(package))
        .map(|package| format!("`{package}` is banned by deny.toml"))
        .collect()
}

#[test]
fn no_banned_package_is_in_the_lock_file() {
    let read = |name: &str| std::fs::read_to_string(top().join(name)).unwrap();
    let bans = read("deny.toml");
    assert!(values(&bans, "crate").contains(&"openssl-sys"), "the ban list is read");
    none(&banned(&bans, &read("Cargo.lock")));
}

#[test]
fn a_banned_package_is_found() {
    let lock = "[[package]]\nname = \"ring\"\nversion = \"0.17.0\"\n\n[[package]]\nname = \"serde\"\n";
    assert_eq!(banned("[[bans.deny]]\ncrate = \"ring\"\n", lock), ["`ring` is banned by deny.toml"]);
}
