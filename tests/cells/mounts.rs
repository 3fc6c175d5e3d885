//! What of the host a cell can be shown, and what it can do with it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;

use crate::support::{Finished, Host};

#[test]
fn what_is_written_is_on_the_host() {
    let host = Host::new();
    host.directory("work");
    let done = host.sh(
        &["--rw", &format!("{}:/workspace", host.at("work"))],
        "mkdir -p a/b; echo report > a/b/report; stat -c '%u %g' a",
    );
    assert_eq!(done.good(), "1000 1000\n");
    assert_eq!(host.read("work/a/b/report"), "report\n");
    let metadata = fs::metadata(host.path("work/a/b/report")).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (host.uid(), 0o644));
}

#[test]
fn files_belong_to_the_owner_of_the_source() {
    let Some(host) = Host::root() else { return };
    for owner in [0, 12345] {
        let name = format!("work-{owner}");
        chown(host.directory(&name), Some(owner), Some(owner + 1)).unwrap();
        let old = host.write(&format!("{name}/old"), "old\n");
        chown(&old, Some(owner), Some(owner + 1)).unwrap();
        let done = host.sh(
            &["--rw", &format!("{}:/workspace", host.at(&name))],
            "echo new > new; echo more >> old; stat -c '%u %g' . old new",
        );
        assert_eq!(done.good(), "1000 1000\n1000 1000\n1000 1000\n");
        for file in ["new", "old"] {
            let metadata = fs::metadata(host.path(&name).join(file)).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (owner, owner + 1), "{file}");
        }
        assert_eq!(host.read(&format!("{name}/old")), "old\nmore\n");
    }
}

#[test]
fn files_of_others_in_a_writable_place_are_out_of_reach() {
    let Some(host) = Host::root() else { return };
    chown(host.directory("work"), Some(12345), Some(12345)).unwrap();
    let other = host.write("work/other", "private\n");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
    let done = host.sh(
        &["--rw", &format!("{}:/workspace", host.at("work"))],
        "cat other; echo x > other; chown 1000 other; chmod 666 other",
    );
    assert_ne!(done.code(), Some(0));
    assert_eq!(done.text(), "");
    assert_eq!(host.read("work/other"), "private\n");
    assert_eq!(fs::metadata(&other).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_read_only_place_cannot_be_written_and_the_try_is_on_record() {
    let host = Host::new();
    host.directory("in");
    host.write("in/data", "data\n");
    let done = host.sh(
        &["--name", "c", "--ro", &format!("{}:/in", host.at("in"))],
        "cat /in/data; echo x > /in/data; rm /in/data; touch /in/new",
    );
    assert_eq!(done.text(), "data\n");
    assert_eq!(done.stderr.matches("Read-only file system").count(), 3, "{}", done.stderr);
    assert_eq!(host.read("in/data"), "data\n");
    assert!(!host.path("in/new").exists());
    let denied: Vec<_> =
        host.records().into_iter().filter(|r| r["result"] == "denied" && r["agent_id"] == "c").collect();
    for path in ["/in/data", "/in/new"] {
        let record =
            denied.iter().find(|record| record["path"] == path).unwrap_or_else(|| panic!("{path}: {denied:#?}"));
        assert_eq!(record["action"], "file_write");
        assert!(record["reason"].as_str().unwrap().starts_with("Security policy violation"), "{record}");
    }
}

#[test]
fn a_place_without_a_target_keeps_its_path() {
    let host = Host::new();
    let data = host.write("in/data", "data\n");
    let path = data.to_str().unwrap();
    // The host's own temporary directory is not the cell's.
    let done = host.sh(&["--ro", path], &format!("cat {path}"));
    assert_eq!(done.good(), "data\n");
}

#[test]
fn a_relative_path_is_of_the_current_directory() {
    let host = Host::new();
    host.write("in/data", "data\n");
    assert_eq!(host.sh(&["--ro", "./in:/in", "--ro", "in/data:/one"], "cat /in/data /one").good(), "data\ndata\n");
}

#[test]
fn places_can_lie_in_each_other() {
    let host = Host::new();
    host.directory("work");
    host.directory("work/out");
    host.directory("out");
    let options =
        ["--rw", &format!("{}:/workspace/out", host.at("out")), "--ro", &format!("{}:/workspace", host.at("work"))];
    let done = host.sh(&options, "echo x > out/x && ! touch y 2>/dev/null && echo well");
    assert_eq!(done.good(), "well\n");
    assert_eq!(host.read("out/x"), "x\n");
    assert!(!host.path("work/out/x").exists());
}

#[test]
fn what_a_cell_can_write_it_cannot_run() {
    let host = Host::new();
    host.directory("work");
    fs::copy("/bin/true", host.path("work/program")).unwrap();
    let options = ["--rw", &format!("{}:/workspace", host.at("work"))];
    let done = host.nanoclaw(["run"].iter().chain(&options).chain(&["--", "/workspace/program"]));
    assert_eq!(done.code(), Some(126), "{done:?}");
    let done = host.sh(&options, "/workspace/program; echo $?; cp /bin/true /tmp/program; /tmp/program; echo $?");
    assert_eq!(done.good(), "126\n126\n");
    let denied = host.records_of("exec").into_iter().filter(|record| record["result"] == "denied");
    let paths: Vec<String> = denied.map(|record| record["path"].as_str().unwrap().to_owned()).collect();
    assert!(
        paths.contains(&"/workspace/program".to_owned()) && paths.contains(&"/tmp/program".to_owned()),
        "{paths:?}"
    );
}

#[test]
fn in_standard_mode_a_cell_can_run_what_it_has_written() {
    let host = Host::new();
    host.directory("work");
    host.write("standard.yaml", "sandbox_mode: standard\n");
    let options = ["-c", "standard.yaml", "--rw", &format!("{}:/workspace", host.at("work"))];
    let done = host.sh(&options, "for d in /workspace /tmp; do cp /bin/true $d/program; $d/program; echo $?; done");
    assert_eq!(done.good(), "0\n0\n");
}

#[track_caller]
fn refused(host: &Host, path: &str, message: &str) {
    for option in ["--ro", "--rw"] {
        let done: Finished =
            host.nanoclaw(["run", "--name", "c", option, &format!("{path}:/shown"), "--", "cat", "/shown"]);
        assert_eq!((done.code(), done.text().as_str()), (Some(125), ""), "{option} {path}");
        let expected = format!("nanoclaw: cell `c` was not started: mount `{path}`: {message}\n");
        assert!(done.stderr.ends_with(&expected), "{option} {path}\nis:       {}expected: {expected}", done.stderr);
        let launches = host.records_of("cell_launch");
        assert_eq!(launches.last().unwrap()["result"], "failed", "{option} {path}");
    }
}

const BELOW: &str = "mount the one directory that the agent needs instead";

#[test]
fn places_on_the_deny_list_are_refused() {
    let Some(host) = Host::root() else { return };
    for (path, place) in [
        ("/", "/"),
        ("/etc", "/etc"),
        ("/etc/passwd", "/etc"),
        ("/root", "/root"),
        ("/home", "/home"),
        ("/var", "/var"),
        ("/var/lib", "/var/lib"),
        ("/proc", "/proc"),
        ("/proc/1", "/proc"),
        ("/sys", "/sys"),
        ("/dev", "/dev"),
        ("/run", "/run"),
        ("/boot", "/boot"),
    ] {
        refused(&host, path, &format!("`{path}` is on the built-in deny list (`{place}`); {BELOW}"));
    }
    let done = host.nanoclaw(["run", "--ro", "/usr/../etc:/shown", "--", "cat", "/shown/passwd"]);
    assert_eq!((done.code(), done.text().as_str()), (Some(125), ""));
    assert!(done.stderr.contains("`/usr/../etc` has a `..` after a name"), "{}", done.stderr);
}

#[test]
fn places_that_hold_credentials_are_refused() {
    let host = Host::new();
    for name in [".ssh", ".aws", ".kube", ".docker", ".gnupg"] {
        host.directory(&format!("home-{name}/{name}/below"));
        let (home, path) = (host.at(&format!("home-{name}")), host.at(&format!("home-{name}/{name}")));
        refused(&host, &path, &format!("`{path}` is on the built-in deny list (`{name}`); {BELOW}"));
        let below = format!("{path}/below");
        refused(&host, &below, &format!("`{below}` is on the built-in deny list (`{name}`); {BELOW}"));
        refused(
            &host,
            &home,
            &format!("it holds `{name}`, which is on the built-in deny list; mount a directory below it instead"),
        );
    }
    host.write("home-netrc/.netrc", "machine x\n");
    let netrc = host.at("home-netrc/.netrc");
    refused(&host, &netrc, &format!("`{netrc}` is on the built-in deny list (`.netrc`); {BELOW}"));
}

#[test]
fn sockets_pipes_and_devices_are_refused() {
    let host = Host::new();
    host.directory("held");
    let _docker = UnixListener::bind(host.path("held/docker.sock")).unwrap();
    let _other = UnixListener::bind(host.path("other.sock")).unwrap();
    assert_eq!(host.host_sh("mkfifo pipe").code(), Some(0));
    let message = "only files and directories can be shown to a cell, no sockets, pipes or devices; reach services through allowed_networks instead";
    for name in ["held/docker.sock", "other.sock", "pipe"] {
        refused(&host, &host.at(name), message);
    }
    refused(&host, "/dev/null", message);
    // A directory that holds the engine's socket is as good as the socket.
    refused(
        &host,
        &host.at("held"),
        "it holds `docker.sock`, which is on the built-in deny list; mount a directory below it instead",
    );
}

#[test]
fn nanoclaws_own_state_is_refused() {
    let host = Host::new();
    assert_eq!(host.sh(&[], "true").code(), Some(0));
    let (state, audit, above) = (host.at("state"), host.at("state/audit"), host.at(""));
    let own = |path: &str| format!("`{path}` would show NanoClaw's own state (`{state}`); {BELOW}");
    refused(&host, &state, &own(&state));
    refused(&host, &audit, &own(&audit));
    let above = above.trim_end_matches('/');
    refused(&host, above, &own(above));
}

const LINK: &str = "a part of the path is a symbolic link, which whoever can write there could turn elsewhere; \
                    write the path without links, as `realpath` prints it";

#[test]
fn a_source_that_leads_through_a_link_is_refused() {
    let host = Host::new();
    host.write("real/data", "data\n");
    symlink(host.path("real"), host.path("link")).unwrap();
    symlink("/etc", host.path("innocent")).unwrap();
    refused(&host, &host.at("link"), LINK);
    refused(&host, &format!("{}/data", host.at("link")), LINK);
    refused(&host, &host.at("innocent"), LINK);
    assert_eq!(host.sh(&["--ro", &format!("{}:/in", host.at("real"))], "cat /in/data").good(), "data\n");
}

#[test]
fn a_source_that_a_cell_turned_into_a_link_is_not_followed() {
    let host = Host::new();
    host.write("secret/key", "key\n");
    host.directory("work/data");
    let work = format!("{}:/workspace", host.at("work"));
    let turned = host.sh(&["--rw", &work], &format!("rmdir data && ln -s {} data && echo turned", host.at("secret")));
    assert_eq!(turned.good(), "turned\n");
    refused(&host, &host.at("work/data"), LINK);
}

#[test]
fn a_link_inside_a_place_does_not_lead_out_of_the_cell() {
    let host = Host::new();
    host.directory("work");
    host.write("secret", "the-secret\n");
    symlink(host.path("secret"), host.path("work/absolute")).unwrap();
    symlink("../secret", host.path("work/relative")).unwrap();
    let done =
        host.sh(&["--rw", &format!("{}:/workspace", host.at("work"))], "cat absolute relative; echo x > relative");
    assert_ne!(done.code(), Some(0));
    assert_eq!(done.text(), "");
    assert_eq!(host.read("secret"), "the-secret\n");
}

#[test]
fn a_source_that_is_not_there_is_named() {
    let host = Host::new();
    refused(
        &host,
        &host.at("missing"),
        "No such file or directory (os error 2); check that the path exists and that you may reach it",
    );
}

#[test]
fn a_target_that_leaves_its_place_is_refused() {
    let host = Host::new();
    host.directory("work");
    for target in ["relative", "/workspace/../etc", "/", "/proc/1", "/dev", "/etc/passwd/x/.."] {
        let done = host.nanoclaw(["run", "--rw", &format!("{}:{target}", host.at("work")), "--", "true"]);
        assert_eq!(done.code(), Some(125), "{target}: {done:?}");
        assert!(done.stderr.contains("--rw"), "{target}: {}", done.stderr);
    }
}
