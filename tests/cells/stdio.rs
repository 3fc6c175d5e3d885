//! Standard input, output and error.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use crate::support::{Background, Host, finish, skip};

#[test]
fn binary_data_passes_both_ways_unchanged() {
    let host = Host::new();
    let bytes: Vec<u8> = (0..1_000_003u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let done = finish(host.prepare(["run", "--", "cat"]), &bytes);
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    assert!(done.stdout == bytes, "{} bytes went in, {} came out, or others", bytes.len(), done.stdout.len());
}

#[test]
fn fifty_megabytes_of_output_come_out_whole() {
    let host = Host::new();
    let done = host.sh(&[], "yes 0123456789abcde | head -c 52428800");
    assert_eq!(done.code(), Some(0), "{}", done.stderr);
    assert_eq!(done.stdout.len(), 52_428_800);
    assert!(done.stdout.chunks(16).all(|line| line == b"0123456789abcde\n"));
}

#[test]
fn files_can_be_input_and_output() {
    let host = Host::new();
    host.write("in", vec![b'x'; 3_000_000]);
    let done = host.host_sh(r#"echo before > out; "$NANOCLAW" run -- cat < in >> out"#);
    assert_eq!(done.code(), Some(0), "{done:?}");
    let out = host.read("out");
    assert!(out.starts_with("before\nxxx") && out.len() == 3_000_007, "{} bytes", out.len());
}

#[test]
fn the_end_of_input_reaches_the_program() {
    let host = Host::new();
    let mut command = host.prepare(["run", "--", "sh", "-c", "cat; echo over"]);
    assert_eq!(finish(command, b"some\n").good(), "some\nover\n");
    command = host.prepare(["run", "--", "sh", "-c", "wc -c"]);
    assert_eq!(finish(command, b"").good().trim(), "0");
}

#[test]
fn output_comes_while_the_program_runs() {
    let host = Host::new();
    let command = host.prepare(["run", "--", "sh", "-c", "echo first; read line; echo got $line"]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    let running = Background::start(command, reader.into());
    running.writes("first\n");
    std::io::Write::write_all(&mut writer, b"this\n").unwrap();
    running.writes("got this\n");
    assert_eq!(running.finish().code(), Some(0));
}

#[test]
fn output_and_error_stay_apart_and_in_order_where_they_are_one() {
    let host = Host::new();
    let done = host.sh(&[], "echo out; echo err >&2");
    assert_eq!((done.good().as_str(), done.stderr.as_str()), ("out\n", "err\n"));
    let done = host.host_sh(r#""$NANOCLAW" run -- sh -c 'for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done' 2>&1"#);
    assert_eq!(done.good(), "o1\ne1\no2\ne2\no3\ne3\no4\ne4\no5\ne5\n");
}

#[test]
fn a_reader_that_leaves_early_ends_the_program() {
    let host = Host::new();
    let done = host.host_sh(r#""$NANOCLAW" run -- yes | head -n 1"#);
    assert_eq!(done.good(), "y\n");
}

#[test]
fn output_can_be_opened_by_name() {
    let host = Host::new();
    let script = "echo out > /dev/stdout; echo err > /dev/stderr; echo fd > /dev/fd/1";
    let done = host.sh(&[], script);
    assert_eq!((done.good().as_str(), done.stderr.as_str()), ("out\nfd\n", "err\n"));
    let to_files = format!(r#""$NANOCLAW" run -- sh -c '{script}' > out 2> err"#);
    assert_eq!(host.host_sh(&to_files).code(), Some(0));
    assert_eq!((host.read("out"), host.read("err")), ("out\nfd\n".to_owned(), "err\n".to_owned()));
}

#[test]
fn what_was_in_the_operators_output_before_is_out_of_reach() {
    let host = Host::new();
    let reach = "import os
for call in (lambda: os.ftruncate(1, 0), lambda: os.lseek(1, 0, 0), lambda: os.open('/proc/self/fd/1', os.O_RDWR | os.O_TRUNC)):
    try: call()
    except OSError: pass
print('written')";
    host.write("reach.py", reach);
    let done =
        host.host_sh(r#"echo before > out; "$NANOCLAW" run --ro reach.py:/reach.py -- python3 /reach.py >> out"#);
    assert_eq!(done.code(), Some(0), "{done:?}");
    assert_eq!(host.read("out"), "before\nwritten\n");
    let names = host
        .host_sh(r#""$NANOCLAW" run -- sh -c 'readlink /proc/self/fd/1 /proc/self/fd/2' > names 2> errors; cat names"#)
        .good();
    assert!(names.lines().all(|name| name.starts_with("pipe:")), "no path of the host: {names}");
}

#[test]
fn the_operators_input_cannot_be_written_or_changed() {
    let host = Host::new();
    let done = host.host_sh(
        r#"printf 'line\n' | { "$NANOCLAW" run -- sh -c 'read line; echo $line; echo INJECTED > /proc/self/fd/0'; cat; }"#,
    );
    assert_eq!(done.text(), "line\n");
    let file = host.write("in", "line\n");
    let before = std::fs::metadata(&file).unwrap().mode();
    let done =
        host.host_sh(r#""$NANOCLAW" run -- sh -c 'chmod 666 /proc/self/fd/0; echo more >> /proc/self/fd/0; cat' < in"#);
    assert!(done.text().starts_with("line\n"), "{done:?}");
    assert_eq!((std::fs::metadata(&file).unwrap().mode(), host.read("in").as_str()), (before, "line\n"));
}

#[test]
fn missing_standard_descriptors_are_no_harm() {
    let host = Host::new();
    let done = host.host_sh(r#"exec "$NANOCLAW" run -- cat <&-"#);
    assert_eq!(done.good(), "");
    let done = host.host_sh(r#""$NANOCLAW" run -- sh -c 'echo lost; exit 4' >&- 2>&-"#);
    assert_eq!(done.code(), Some(4), "{done:?}");
}

#[test]
fn a_directory_as_standard_input_is_refused() {
    let host = Host::new();
    let done = host.host_sh(r#"exec "$NANOCLAW" run -- ls -l /proc/self/fd/0/ < /"#);
    assert_eq!((done.code(), done.text().as_str()), (Some(125), ""));
    let message = "descriptor 0 is a directory or block device, which must not reach into a cell; redirect it to a file or a pipe";
    assert!(done.stderr.contains(message), "{}", done.stderr);
}

#[test]
fn a_block_device_as_standard_input_is_refused() {
    let Some(host) = Host::root() else { return };
    let Some(device) = block_device() else { return skip("no block device can be opened here") };
    let running = Background::start(host.prepare(["run", "--", "head", "-c", "1"]), device);
    let done = running.finish();
    assert_eq!((done.code(), done.text().as_str()), (Some(125), ""));
    assert!(done.stderr.contains("descriptor 0 is a directory or block device"), "{}", done.stderr);
}

fn block_device() -> Option<Stdio> {
    let devices = std::fs::read_dir("/sys/class/block").ok()?.flatten();
    let mut devices = devices.map(|entry| std::path::Path::new("/dev").join(entry.file_name()));
    devices.find_map(|device| File::open(device).ok()).map(Stdio::from)
}
