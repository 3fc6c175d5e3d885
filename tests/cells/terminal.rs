//! A cell run from a terminal gets a terminal of its own.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Background, Host, Terminal};

#[test]
fn the_cell_has_a_terminal_of_its_own() {
    let host = Host::new();
    let terminal = Terminal::new(33, 101);
    let name = &terminal.name;
    let script = format!(
        "tty; stty size; echo $TERM; echo to-tty > /dev/tty; ls /dev/pts; test {name} = /dev/pts/0 || ls {name}; echo over"
    );
    let child = terminal.start(&host.prepare(["run", "--", "sh", "-c", &script]));
    assert_eq!(terminal.wait(child), Some(0), "{}", terminal.text());
    terminal.shows("over");
    let text = terminal.text();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines[..4], ["/dev/pts/0", "33 101", "xterm-256color", "to-tty"], "{text}");
    assert!(text.contains("0  ptmx"), "no terminals but its own: {text}");
    if name != "/dev/pts/0" {
        assert!(text.contains(&format!("cannot access '{name}'")), "the host's terminal is not there: {text}");
    }
}

#[test]
fn a_new_window_size_reaches_the_program() {
    let host = Host::new();
    let terminal = Terminal::new(24, 80);
    let script = "trap 'stty size; exit 6' WINCH; echo ready; while :; do sleep 0.05; done";
    let child = terminal.start(&host.prepare(["run", "--", "sh", "-c", script]));
    terminal.shows("ready");
    terminal.resize(40, 132);
    assert_eq!(terminal.wait(child), Some(6), "{}", terminal.text());
    terminal.shows("40 132");
}

#[test]
fn keys_go_to_the_program_and_are_shown_once() {
    let host = Host::new();
    let terminal = Terminal::new(24, 80);
    let child = terminal.start(&host.prepare(["run", "--", "sh", "-c", "echo ready; read x; echo got [$x]"]));
    terminal.shows("ready");
    terminal.type_keys("hello\r");
    terminal.shows("got [hello]");
    assert_eq!(terminal.wait(child), Some(0));
    assert_eq!(terminal.text().matches("hello").count(), 2, "one echo, one answer: {}", terminal.text());
}

#[test]
fn the_end_of_file_key_ends_input() {
    let host = Host::new();
    let terminal = Terminal::new(24, 80);
    let child = terminal.start(&host.prepare(["run", "--", "sh", "-c", "echo ready; cat; echo over"]));
    terminal.shows("ready");
    terminal.type_keys("\x04");
    terminal.shows("over");
    assert_eq!(terminal.wait(child), Some(0));
}

#[test]
fn the_interrupt_key_interrupts_the_program_and_not_nanoclaw() {
    let host = Host::new();
    let terminal = Terminal::new(24, 80);
    let script = "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let child = terminal.start(&host.prepare(["run", "--json", "--", "sh", "-c", script]));
    terminal.shows("ready");
    terminal.type_keys("\x03");
    assert_eq!(terminal.wait(child), Some(9), "{}", terminal.text());
    terminal.shows("interrupted");
    terminal.shows(r#""exit":9"#);
}

#[test]
fn a_shell_has_job_control() {
    let host = Host::new();
    let terminal = Terminal::new(24, 80);
    let child =
        terminal.start(&host.prepare(["run", "--env", "PS1=ready> ", "--", "bash", "--norc", "--noprofile", "-i"]));
    terminal.shows("ready> ");
    assert!(!terminal.text().contains("no job control"), "{}", terminal.text());
    terminal.type_keys("sh -c 'echo run''ning; exec sleep 1000'\r");
    terminal.shows("running");
    terminal.type_keys("\x1a");
    terminal.shows("Stopped");
    terminal.type_keys("bg; kill %1; wait %1; echo status $?\r");
    terminal.shows("status 143");
    terminal.type_keys("exit 8\r");
    assert_eq!(terminal.wait(child), Some(8), "{}", terminal.text());
}

#[test]
fn the_modes_of_the_terminal_are_put_back() {
    let host = Host::new();
    let terminal = Terminal::new(24, 80);
    let before = format!("{:?}", terminal.modes());
    let child = terminal.start(&host.prepare(["run", "--", "sh", "-c", "stty raw -echo; exit 3"]));
    assert_eq!(terminal.wait(child), Some(3));
    assert_eq!(format!("{:?}", terminal.modes()), before);
    let child = terminal.start(&host.prepare(["run", "--", "no-such-program"]));
    assert_eq!(terminal.wait(child), Some(127));
    assert_eq!(format!("{:?}", terminal.modes()), before);
}

#[test]
fn a_signal_puts_the_modes_back_too() {
    let host = Host::new();
    let terminal = Terminal::new(24, 80);
    let before = format!("{:?}", terminal.modes());
    let child = terminal.start(&host.prepare(["run", "--", "sh", "-c", "echo ready; exec sleep 1000"]));
    terminal.shows("ready");
    assert_ne!(format!("{:?}", terminal.modes()), before, "raw while it runs");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(terminal.wait(child), Some(143));
    assert_eq!(format!("{:?}", terminal.modes()), before);
}

#[test]
fn a_terminal_for_input_only_becomes_a_pipe() {
    let host = Host::new();
    let terminal = Terminal::new(24, 80);
    let script = "test -t 0 && echo terminal; readlink /proc/self/fd/0 | cut -c1-4; read x; echo got $x";
    let command = terminal.session(&host.prepare(["run", "--", "sh", "-c", script]));
    let running = Background::start(command, terminal.stdio());
    running.writes("pipe");
    terminal.type_keys("word\r");
    running.writes("got word");
    let done = running.finish();
    assert_eq!(done.text(), "pipe\ngot word\n", "{}", done.stderr);
}

#[test]
fn a_terminal_for_output_only_becomes_a_pipe() {
    let host = Host::new();
    let terminal = Terminal::new(24, 80);
    let mut command = host.prepare(["run", "--", "sh", "-c", "test -t 1 && echo terminal; cat; echo err >&2"]);
    command.stdin(Stdio::from(std::fs::File::open(host.write("in", "from a file\n")).unwrap()));
    let child = command.stdout(terminal.stdio()).stderr(terminal.stdio()).spawn().unwrap();
    assert_eq!(terminal.wait(child), Some(0));
    terminal.shows("err");
    let text = terminal.text();
    assert!(text.contains("from a file") && !text.contains("terminal"), "{text}");
}

#[test]
fn errors_that_are_redirected_stay_redirected() {
    let host = Host::new();
    let terminal = Terminal::new(24, 80);
    let mut command = terminal.session(&host.prepare(["run", "--", "sh", "-c", "tty; echo an-error >&2"]));
    let errors = std::fs::File::create(host.path("errors")).unwrap();
    let child = command.stdin(terminal.stdio()).stdout(terminal.stdio()).stderr(errors).spawn().unwrap();
    assert_eq!(terminal.wait(child), Some(0), "{}", terminal.text());
    terminal.shows("/dev/pts/0");
    assert_eq!(host.read("errors"), "an-error\n");
    assert!(!terminal.text().contains("an-error"), "{}", terminal.text());
}
