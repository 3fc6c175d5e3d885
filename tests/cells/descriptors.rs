//! What a cell must not inherit: descriptors, environment, directory.

use crate::support::Host;

#[test]
fn inherited_descriptors_are_not_in_the_cell() {
    let host = Host::new();
    host.write("secret", "the-secret\n");
    let done = host.host_sh(
        r#"exec 9<secret 8<. ; exec "$NANOCLAW" run -- sh -c 'echo /proc/self/fd/*; for f in /proc/[0-9]*/fd/*; do readlink $f; done; cat <&9'"#,
    );
    assert_ne!(done.code(), Some(0));
    let text = done.text();
    assert!(text.starts_with("/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"), "{text}");
    assert!(!text.contains("secret") && !text.contains("nanoclaw-e2e"), "{text}");
    assert!(done.stderr.contains("9: Bad file descriptor"), "{}", done.stderr);
}

#[test]
fn nothing_of_the_hosts_environment_is_in_the_cell() {
    let host = Host::new();
    let mut command = host.prepare(["run", "--name", "c", "--env", "MINE=a=b c", "--", "env"]);
    command.env("OPERATORS_KEY", "the-secret").env("LD_PRELOAD_X", "x").env("LANG", "xx_YY");
    let done = crate::support::finish(command, b"");
    let text = done.good();
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    names.sort_unstable();
    let expected = [
        "HOME",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "LANG",
        "MINE",
        "NANOCLAW_CELL",
        "NO_PROXY",
        "PATH",
        "TMPDIR",
        "USER",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    ];
    assert_eq!(names, expected, "{text}");
    assert!(text.contains("MINE=a=b c\n") && text.contains("NANOCLAW_CELL=c\n"), "{text}");
    assert!(text.contains("HOME=/tmp/home\n") && text.contains("LANG=C.UTF-8\n"), "{text}");
    assert!(!text.contains("the-secret"));
}

#[test]
fn variables_that_are_asked_for_win_over_the_default_ones() {
    let host = Host::new();
    let done = host.sh(&["--env", "LANG=de_DE.UTF-8", "--env", "A=1", "--env", "A=2"], "echo $LANG $A");
    assert_eq!(done.good(), "de_DE.UTF-8 2\n");
}

#[test]
fn the_directory_is_tmp_or_the_workspace_or_what_is_asked_for() {
    let host = Host::new();
    host.directory("work");
    let mount = format!("{}:/workspace", host.at("work"));
    assert_eq!(host.sh(&[], "pwd").good(), "/tmp\n");
    assert_eq!(host.sh(&["--rw", &mount], "pwd").good(), "/workspace\n");
    assert_eq!(host.sh(&["--rw", &mount, "--workdir", "/usr/lib"], "pwd").good(), "/usr/lib\n");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let host = Host::new();
    let done = host.nanoclaw(["run", "--workdir", "/no/such/place", "--", "true"]);
    assert_eq!(done.code(), Some(126), "{done:?}");
    assert!(done.stderr.contains("`/no/such/place` is no directory in it"), "{}", done.stderr);
}

#[test]
fn the_program_is_nobody_with_nothing() {
    let host = Host::new();
    let done = host.sh(
        &["--name", "c"],
        "id -u; id -g; id -G; uname -n; grep -h Cap /proc/self/status | sort -u -k2; grep NoNewPrivs /proc/self/status",
    );
    let text = done.good();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..4], ["1000", "1000", "1000", "c"]);
    assert_eq!(lines[4..], ["CapInh:\t0000000000000000", "NoNewPrivs:\t1"], "{text}");
}
