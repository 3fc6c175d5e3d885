//! Which crate may depend on which, and what none may depend on.

use std::process::Command;

use serde_json::Value;

use crate::{none, top};

/// The rooms, lowest first. A crate may know those on lower floors; those on one floor do not know each other.
const FLOORS: [&[&str]; 10] = [
    &["nanoclaw-request", "nanoclaw-dialect", "nanoclaw-firewall", "nanoclaw-scripted-model", "nanoclaw-tlog"],
    &["nanoclaw-config", "nanoclaw-firewall-train"],
    &["nanoclaw-vault"],
    &["nanoclaw-identity"],
    &["nanoclaw-policy"],
    &["nanoclaw-analysis", "nanoclaw-audit"],
    &["nanoclaw-gate", "nanoclaw-sinks", "nanoclaw-witness"],
    &["nanoclaw-sandbox", "nanoclaw-egress", "nanoclaw-llm", "nanoclaw-agent"],
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

/// The packages that `deny.toml` bans.
fn bans(deny: &str) -> Vec<String> {
    let name = |ban: &'_ str| ban.split_once("crate = \"")?.1.split('"').next().map(str::to_owned);
    deny.split("[[bans.deny]]").skip(1).filter_map(name).collect()
}

/// Those packages of a dependency tree, a line each, that are banned.
fn banned(bans: &[String], tree: &str) -> Vec<String> {
    let mut packages: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    packages.sort_unstable();
    packages.dedup();
    let found = packages.into_iter().filter(|package| bans.iter().any(|ban| ban == package));
    found.map(|package| format!("`{package}` is banned by deny.toml")).collect()
}

// The lock file also names packages that no feature ever asks for, so the tree is what counts.
#[test]
fn no_banned_package_is_in_the_tree() {
    let deny = std::fs::read_to_string(top().join("deny.toml")).unwrap();
    let bans = bans(&deny);
    assert!(bans.iter().any(|ban| ban == "openssl-sys"), "the ban list is read");
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--edges", "all", "--prefix", "none", "--offline"])
        .current_dir(top())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(tree.contains("aws-lc-fips-sys "), "the tree is read");
    none(&banned(&bans, &tree));
}

#[test]
fn a_banned_package_is_found() {
    let bans = bans("[[bans.deny]]\ncrate = \"ring\"\nreason = \"x\"\n");
    assert_eq!(banned(&bans, "ring v0.17.0\nserde v1.0.0\n"), ["`ring` is banned by deny.toml"]);
}
