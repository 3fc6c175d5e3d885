//! What a cell sees as `/`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::Host;

#[test]
fn the_hosts_root_shows_programs_and_no_data() {
    let host = Host::new();
    let text = host.sh(&[], "ls -A /; echo --; ls -A /etc; echo --; ls /home /root /boot /sys /mnt /opt /srv /data 2>&1 | grep -v 'cannot access'").text();
    let mut parts = text.split("--\n");
    let root: Vec<&str> = parts.next().unwrap().lines().collect();
    let may =
        ["bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "nix", "proc", "run", "sbin", "tmp", "usr", "var"];
    assert!(root.iter().all(|name| may.contains(name)), "{root:?}");
    let etc: Vec<&str> = parts.next().unwrap().lines().collect();
    for name in ["shadow", "sudoers", "ssh", "machine-id", "environment"] {
        assert!(!etc.contains(&name), "{etc:?}");
    }
    assert_eq!(parts.next(), Some(""));
}

#[test]
fn the_root_cannot_be_written() {
    let host = Host::new();
    let done = host.sh(
        &[],
        "for d in / /etc /usr /usr/bin /var /dev /proc; do touch $d/x 2>&1; done; chmod 777 /etc; mkdir /y; echo over",
    );
    assert_eq!(done.good().lines().last(), Some("over"));
    assert_eq!(done.text().lines().count(), 8, "every place refuses: {done:?}");
}

#[test]
fn a_minimal_root_holds_nothing_but_nanoclaw() {
    let host = Host::new();
    let version = host.nanoclaw(["--version"]).good();
    assert_eq!(host.nanoclaw(["run", "--rootfs", "minimal", "--", "/nanoclaw", "--version"]).good(), version);
    for program in ["/bin/sh", "/usr/bin/env", "sh"] {
        assert_eq!(host.nanoclaw(["run", "--rootfs", "minimal", "--", program]).code(), Some(127), "{program}");
    }
    // A shell brought along looks around with nothing but its builtins.
    let tools = format!("{}:/tools", tree(&host, "tools").display());
    let script = "echo /* /.[!.]*; echo /usr/*; echo /bin/* /sbin/* /home/* /root/*";
    let done = host.nanoclaw([
        "run",
        "--rootfs",
        "minimal",
        "--ro",
        &tools,
        "--env",
        "LD_LIBRARY_PATH=/tools/libs",
        "--",
        &format!("/tools{}", loader()),
        "/tools/bin/sh",
        "-c",
        script,
    ]);
    let text = done.good();
    let lines: Vec<&str> = text.lines().collect();
    // `lib` holds the libraries that NanoClaw itself runs with, where it is not linked statically.
    let own =
        ["/dev", "/etc", "/lib", "/lib64", "/nanoclaw", "/proc", "/run", "/tmp", "/tools", "/usr", "/var", "/.[!.]*"];
    assert!(lines[0].split(' ').all(|name| own.contains(&name)), "{text}");
    assert!(["/usr/lib", "/usr/lib /usr/lib64", "/usr/*"].contains(&lines[1]), "{text}");
    assert_eq!(lines[2], "/bin/* /sbin/* /home/* /root/*", "nothing is there");
}

#[test]
fn nanoclaw_in_a_cell_is_a_copy_that_cannot_be_written() {
    let host = Host::new();
    let before = fs::metadata(host.binary()).unwrap().modified().unwrap();
    let done = host.nanoclaw(["run", "--rootfs", "minimal", "--", "/nanoclaw", "--state-dir", "/nanoclaw", "ps"]);
    assert_eq!(done.code(), Some(125), "{done:?}");
    assert_eq!(fs::metadata(host.binary()).unwrap().modified().unwrap(), before);
}

#[test]
fn a_directory_can_be_the_root() {
    let host = Host::new();
    let tree = tree(&host, "tree");
    fs::write(tree.join("bin/mark"), "of the tree\n").unwrap();
    fs::create_dir(tree.join("etc")).unwrap();
    fs::write(tree.join("etc/shadow"), "root:x\n").unwrap();
    fs::write(tree.join("stray"), "a file of the top level\n").unwrap();
    let script = "cat /bin/mark; ls /; echo --; touch /bin/x; ls /usr /etc/shadow; echo over";
    let done = host.sh(&["--rootfs", "./tree"], script);
    let text = done.good();
    let root = text
        .strip_prefix("of the tree\n")
        .and_then(|rest| rest.split("--\n").next())
        .unwrap_or_else(|| panic!("{done:?}"));
    let root: Vec<&str> = root.lines().collect();
    for name in ["bin", "dev", "etc", "libs", "proc", "tmp"] {
        assert!(root.contains(&name), "{root:?}");
    }
    assert!(!root.contains(&"usr") && !root.contains(&"stray"), "{root:?}");
    assert!(text.ends_with("--\nover\n"), "{text}");
    assert!(done.stderr.contains("Read-only file system"), "{}", done.stderr);
    assert!(!tree.join("bin/x").exists());
}

#[test]
fn a_link_in_a_root_does_not_lead_to_the_host() {
    let host = Host::new();
    host.write("secret/key", "key\n");
    let root = tree(&host, "root");
    fs::create_dir_all(root.join("etc/ssl")).unwrap();
    symlink(host.path("secret"), root.join("etc/ssl/certs")).unwrap();
    symlink(host.path("secret"), root.join("secret")).unwrap();
    let root = root.display().to_string();
    let script = "for f in /etc/ssl/certs/* /secret/*; do echo $f; done";
    let done = host.nanoclaw(["run", "--rootfs", &root, "--", "/bin/sh", "-c", script]);
    assert_eq!(done.good(), "/etc/ssl/certs/*\n/secret/*\n");
}

#[test]
fn a_root_that_is_no_directory_is_refused() {
    let host = Host::new();
    let file = host.write("file", "");
    let done = host.sh(&["--rootfs", file.to_str().unwrap()], "true");
    assert_eq!(done.code(), Some(125), "{done:?}");
    assert!(done.stderr.contains("`rootfs` must be `host`, `minimal` or a directory"), "{}", done.stderr);
}

/// A tree with a shell and a few programs of this machine, each with the libraries that it needs.
fn tree(host: &Host, name: &str) -> std::path::PathBuf {
    let root = host.directory(name);
    for directory in ["bin", "libs"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for program in ["sh", "ls", "cat", "touch"] {
        let real = fs::canonicalize(Path::new("/bin").join(program)).unwrap();
        fs::copy(&real, root.join("bin").join(program)).unwrap();
        for library in libraries(&real) {
            for place in [
                root.join(library.trim_start_matches('/')),
                root.join("libs").join(Path::new(&library).file_name().unwrap()),
            ] {
                fs::create_dir_all(place.parent().unwrap()).unwrap();
                fs::copy(&library, place).unwrap();
            }
        }
    }
    root
}

/// The absolute paths that ldd(1) prints.
fn libraries(program: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}

fn loader() -> String {
    let sh = fs::canonicalize("/bin/sh").unwrap();
    libraries(&sh).into_iter().find(|library| library.contains("/ld-")).expect("a loader")
}
