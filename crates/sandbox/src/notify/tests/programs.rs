//! Ordinary programs under the stricter filter: they work, and none of their calls is refused.

use std::io;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use nanoclaw_config::SandboxMode::Restricted;

use super::cell::{receive, send};
use crate::notify::{Answer, Event, Listener};
use crate::seccomp::tests::child::{give_up_new_privileges, spawn};
use crate::seccomp::{Outcome, compile, evaluate, install, name};

/// Runs a program in an empty directory. `None` where it is not installed; else its exit status and the calls that
/// were refused.
fn run(command: &[&str]) -> Option<(i32, Vec<&'static str>)> {
    let (program, arguments) = command.split_first().unwrap();
    let found = std::env::var("PATH").unwrap().split(':').any(|d| std::path::Path::new(d).join(program).exists());
    if !found {
        eprintln!("SKIPPED: no {program} here");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = spawn(|| {
        give_up_new_privileges();
        let listener = install(&compile(Restricted), true).unwrap().unwrap();
        send(&theirs, &[listener]);
        let mut command = Command::new(program);
        command.args(arguments).current_dir(directory.path()).env("HOME", directory.path());
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        vec![status.code().unwrap_or(-1)]
    });
    drop(theirs);
    let listener = Listener::new(receive(&ours).pop().unwrap()).unwrap();
    let mut refused = Vec::new();
    loop {
        let mut ready = [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut ready, None).unwrap();
        match listener.receive() {
            Ok(Event::Call(call)) => {
                let answer = match evaluate(Restricted, call.number, &call.arguments) {
                    Outcome::Refuse => {
                        refused.push(name(call.number).unwrap());
                        Answer::Errno(libc::EPERM)
                    }
                    _ => Answer::Continue,
                };
                listener.answer(call.id, answer).unwrap();
            }
            Ok(Event::Vanished) => {}
            Ok(Event::Over) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
    Some((child.wait().values[0], refused))
}

fn works(command: &[&str]) {
    if let Some(end) = run(command) {
        assert_eq!(end, (0, Vec::new()), "{command:?}");
    }
}

#[test]
fn a_shell_and_its_tools_work() {
    works(&[
        "sh",
        "-ec",
        "echo a > f; cp -a f g; mv g h; mkdir d; ln h d/l; ln -s ../f d/s; touch -d yesterday f; chmod 700 f; rm h; \
         tar cf t.tar d; ls -lR . | sort | tail -n 3; sed -i s/a/b/ f; read x < f; test $x = b; find . -type f; \
         (sleep 0 & wait); test -w /dev/null; date; id; df .; rm -r d",
    ]);
}

#[test]
fn bash_works() {
    works(&[
        "bash",
        "-ec",
        "trap 'echo bye' EXIT; for i in 1 2 3; do echo $i | cat & done; wait; ulimit -n 64; exec 3<>f",
    ]);
}

#[test]
fn python_works() {
    works(&[
        "python3",
        "-c",
        "import os, sqlite3, subprocess, tempfile, threading, multiprocessing, socket, mmap, asyncio
subprocess.run(['true'], check=True)
db = sqlite3.connect('p.db'); db.execute('pragma journal_mode=wal'); db.execute('create table t(a)'); db.commit()
with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-1, 2]) == [1, 2]
server = socket.create_server(('127.0.0.1', 0)); client = socket.create_connection(server.getsockname())
t = threading.Thread(target=lambda: mmap.mmap(-1, 4096)); t.start(); t.join()
async def f(): await (await asyncio.create_subprocess_exec('true')).wait()
asyncio.run(f())
os.openpty(); os.sched_getaffinity(0); os.nice(1)
with tempfile.NamedTemporaryFile() as file: os.utime(file.fileno()); os.fchmod(file.fileno(), 0o600)",
    ]);
}

/// Some versions ask for `io_uring`, and do without.
#[test]
fn node_works() {
    let script = "const fs = require('fs'), { Worker } = require('worker_threads'), http = require('http');
fs.writeFileSync('a', 'x'); fs.cpSync('a', 'b'); require('child_process').execSync('true');
fs.promises.readFile('b').then(() => new Worker('1', { eval: true }));
const server = http.createServer((_, r) => r.end('x')).listen(0, '127.0.0.1', () =>
  http.get({ host: '127.0.0.1', port: server.address().port }, (r) => { r.resume(); server.close(); }));";
    if let Some((status, refused)) = run(&["node", "-e", script]) {
        assert_eq!(status, 0);
        assert!(refused.iter().all(|call| call.starts_with("io_uring")), "{refused:?}");
    }
}

#[test]
fn git_works() {
    works(&[
        "sh",
        "-ec",
        "command -v git || exit 0; git init -q r; cd r; echo a > a; git add a; git -c user.name=a -c user.email=a@b commit -qm m; \
         git gc -q; git clone -q . ../s; git log",
    ]);
}

#[test]
fn java_works() {
    let source = "public class J { public static void main(String[] a) throws Exception {
        Thread t = new Thread(() -> System.gc()); t.start(); t.join();
        java.nio.file.Files.writeString(java.nio.file.Path.of(\"j\"), \"x\"); } }";
    works(&["sh", "-ec", &format!("command -v java || exit 0; echo '{source}' > J.java; java J.java")]);
}
